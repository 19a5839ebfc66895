/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Throttling: a token bucket per account and action.
 * Invariants: 1. at most LIMIT_BUCKETS buckets: when they are used up, the full ones (idle for
 * long) go.  2. thread-safe; one mutex guards all.
 */
#pragma once

#include "base/env.h"

struct limiter;

/* `rate` tokens come per second, `burst` are there at first and at most. */
struct limiter *limiter_new(struct env *env, double rate, double burst);
struct limiter *limiter_free(struct limiter *limiter);
/*
 * Takes a token for each of the `nodes` that share what is allowed, so that all of them together let through no more; 0, or how
 * many milliseconds until there are enough.
 */
int64_t limiter_take(struct limiter *limiter, struct str account_id, const char *action, int64_t nodes,
                     usec_t now);
