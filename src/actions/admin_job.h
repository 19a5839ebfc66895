/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs as the operator sees them. For this folder only. */
#pragma once

#include "actions/common.h"

struct job_view job_view_of(struct arena *arena, const struct job *job);
