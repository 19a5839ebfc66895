/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time, randomness and ids: the only way to them for everything above base (law 8 of docs/ARCHITECTURE.md).
 * Three kinds: real (system clock, getrandom), virtual (a clock that an operator advances, getrandom), seeded (a clock
 * that the simulation advances, randomness from a seed). Thread-safe.
 */
#pragma once

#include <pthread.h>

#include "base/arena.h"
#include "base/clock.h"

struct env;

struct env *env_new_real(void);
struct env *env_new_virtual(usec_t start);
struct env *env_new_seeded(uint64_t seed, usec_t start);
struct env *env_free(struct env *env); /* returns NULL; NULL is fine */

bool env_is_virtual(const struct env *env);
usec_t env_now(struct env *env);
/* Moves a virtual or seeded clock forward and wakes all env_wait callers. Aborts on a real one or when `by` < 0.
 * The caller holds no mutex that anybody waits with. */
void env_advance(struct env *env, usec_t by);

/*
 * Waits on `cond` (guarded by `mutex`, which the caller holds) until it is signalled or env_now() >= `until`
 * (USEC_NEVER: only signalled). A real clock that is set meanwhile changes nothing of how long the wait is. May wake early;
 * callers loop. Never misses a concurrent env_advance.
 */
void env_wait(struct env *env, pthread_cond_t *cond, pthread_mutex_t *mutex, usec_t until);

void env_random(struct env *env, void *bytes, size_t len);
uint64_t env_random_u64(struct env *env);

/*
 * A resource id: prefix and 20 base-36 characters, of which the first 10 are the time, so that ids of one daemon sort by
 * creation (keyset paging, sequential inserts), and the other 10 are random. Never the same twice in one process.
 */
#define ID_TEXT_MAX 40
struct str env_id(struct env *env, struct arena *arena, const char *prefix);
/* Upper-case UUID version 4 text, for RequestId. `text` gets 36 characters and NUL. */
void env_uuid(struct env *env, char text[37]);
/* A number that grows: microseconds of the clock, and one more than the last when time stands still. Job and event keys. */
int64_t env_sequence(struct env *env);
/* From now on env_sequence gives more than `seen`: what a run before this one gave out is not given again. */
void env_sequence_after(struct env *env, int64_t seen);
/* The largest number that env_sequence has given, or was told of; -1: none yet. */
int64_t env_sequence_last(struct env *env);
