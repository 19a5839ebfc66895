/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often each action was called, what came of it, how long it took: the metrics whose labels are actions. Plain numbers in
 * arrays, one place for each action and code there is: no lock, and what clients make up takes no memory.
 */
#pragma once

#include "base/clock.h"
#include "gateway/gateway.h"

/* `row` NULL or not built: counted as "other". code E_NONE: it was answered. Any thread. */
void tally_call(const struct action_row *row, enum error_code code, usec_t took_us);
