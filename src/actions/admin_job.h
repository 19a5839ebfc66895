/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs as the operator sees them. For this folder only. */
#pragma once

#include "actions/common.h"

/* With what the engine knows better than the row. */
struct job_view job_view_of(struct action *act, const struct job *row);
