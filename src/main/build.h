/* SPDX-License-Identifier: Apache-2.0 */
/* What this program is. */
#pragma once

extern const char build_version[];
