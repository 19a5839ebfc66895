/* SPDX-License-Identifier: Apache-2.0 */
#include "base/env.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/list.h"
#include "base/mem.h"

enum env_kind { ENV_REAL, ENV_VIRTUAL, ENV_SEEDED };

/* A thread in env_wait on a clock that we move. Lives on that thread's stack, linked while it
 * waits. */
struct waiter {
    struct list node;
    pthread_cond_t *cond;
    pthread_mutex_t *mutex;
    uint64_t round; /* of the last env_advance that took it in hand */
    unsigned pins;  /* env_advance calls that are about to use cond and mutex */
};

/*
 * Order of locks: a caller's mutex, then `lock`. `lock` guards random, waiters and round; the clock
 * is written under it and read without it.
 */
struct env {
    enum env_kind kind;
    _Atomic usec_t now;
    _Atomic int64_t last_sequence;
    _Atomic int64_t last_id;
    pthread_mutex_t lock;
    pthread_cond_t unpinned;
    struct list waiters;
    uint64_t round;
    uint64_t random; /* state of the seeded generator */
};

static struct env *env_new(enum env_kind kind, uint64_t seed, usec_t start)
{
    struct env *env = xcalloc(1, sizeof(*env));

    assert(start >= 0);
    env->kind = kind;
    env->now = start;
    env->last_sequence = -1;
    env->last_id = -1;
    env->random = seed;
    (void)pthread_mutex_init(&env->lock, NULL);
    (void)pthread_cond_init(&env->unpinned, NULL);
    list_init(&env->waiters);
    return env;
}

struct env *env_new_real(void)
{
    return env_new(ENV_REAL, 0, 0);
}

struct env *env_new_virtual(usec_t start)
{
    return env_new(ENV_VIRTUAL, 0, start);
}

struct env *env_new_seeded(uint64_t seed, usec_t start)
{
    return env_new(ENV_SEEDED, seed, start);
}

struct env *env_free(struct env *env)
{
    if (!env)
        return NULL;
    assert(list_empty(&env->waiters));
    (void)pthread_cond_destroy(&env->unpinned);
    (void)pthread_mutex_destroy(&env->lock);
    return xfree(env);
}

bool env_is_virtual(const struct env *env)
{
    return env->kind != ENV_REAL;
}

usec_t env_now(struct env *env)
{
    struct timespec now;

    if (env->kind != ENV_REAL)
        return env->now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (usec_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

/* A waiter that round `round` has not woken yet, or NULL. */
static struct waiter *next_waiter(struct env *env, uint64_t round)
{
    list_for_each (node, &env->waiters) {
        struct waiter *waiter = list_item(node, struct waiter, node);

        if (waiter->round < round)
            return waiter;
    }
    return NULL;
}

/*
 * A waiter registers while it holds its mutex and gives the mutex up only by sleeping: whoever
 * broadcasts under that mutex can't come between. The mutex must not be taken under `lock` (order
 * of locks), so the waiter is pinned meanwhile: it does not return, and thus neither its stack nor
 * its mutex goes away, before the pin is gone.
 */
void env_advance(struct env *env, usec_t by)
{
    struct waiter *waiter;
    usec_t now;
    uint64_t round;

    if (env->kind == ENV_REAL || by < 0 || __builtin_add_overflow(env_now(env), by, &now)) {
        (void)fputs("<2>a clock was moved that can't be moved so\n", stderr);
        abort();
    }
    (void)pthread_mutex_lock(&env->lock);
    env->now += by;
    round = ++env->round;
    while ((waiter = next_waiter(env, round))) {
        waiter->round = round;
        waiter->pins++;
        (void)pthread_mutex_unlock(&env->lock);
        (void)pthread_mutex_lock(waiter->mutex);
        (void)pthread_cond_broadcast(waiter->cond);
        (void)pthread_mutex_unlock(waiter->mutex);
        (void)pthread_mutex_lock(&env->lock);
        if (--waiter->pins == 0)
            (void)pthread_cond_broadcast(&env->unpinned);
    }
    (void)pthread_mutex_unlock(&env->lock);
}

static void wait_real(struct env *env, pthread_cond_t *cond, pthread_mutex_t *mutex, usec_t until)
{
    struct timespec at;
    usec_t left;

    if (until == USEC_NEVER) {
        (void)pthread_cond_wait(cond, mutex);
        return;
    }
    /* The wait is as long as it looks now: a clock that is set back meanwhile must not prolong it. */
    left = MAX_OF(until - env_now(env), 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    left += at.tv_nsec / 1000;
    at.tv_sec += (time_t)(left / USEC_PER_SEC);
    at.tv_nsec = (long)(left % USEC_PER_SEC * 1000);
    (void)pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &at);
}

static void wait_virtual(struct env *env, pthread_cond_t *cond, pthread_mutex_t *mutex,
                         usec_t until)
{
    struct waiter waiter = {.cond = cond, .mutex = mutex};

    (void)pthread_mutex_lock(&env->lock);
    if (env_now(env) >= until) {
        (void)pthread_mutex_unlock(&env->lock);
        return;
    }
    waiter.round = env->round;
    list_append(&env->waiters, &waiter.node);
    (void)pthread_mutex_unlock(&env->lock);

    (void)pthread_cond_wait(cond, mutex);

    (void)pthread_mutex_lock(&env->lock);
    if (waiter.pins == 0) {
        list_remove(&waiter.node);
        (void)pthread_mutex_unlock(&env->lock);
        return;
    }
    /* Who pinned us wants our mutex: let it go for a moment, which to the caller is only a longer
     * wait. */
    (void)pthread_mutex_unlock(mutex);
    while (waiter.pins > 0)
        (void)pthread_cond_wait(&env->unpinned, &env->lock);
    list_remove(&waiter.node);
    (void)pthread_mutex_unlock(&env->lock);
    (void)pthread_mutex_lock(mutex);
}

void env_wait(struct env *env, pthread_cond_t *cond, pthread_mutex_t *mutex, usec_t until)
{
    if (env_now(env) >= until)
        return;
    if (env->kind == ENV_REAL)
        wait_real(env, cond, mutex, until);
    else
        wait_virtual(env, cond, mutex, until);
}

/* The kernel's random bytes, fetched in portions per thread: an id must not cost a system call. */
static __thread struct {
    unsigned char bytes[256];
    size_t left;
    unsigned generation;
} pool;
static _Atomic unsigned fork_generation = 1;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* A child must not go on with its parent's bytes. */
static void forget_pools(void)
{
    fork_generation++;
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, forget_pools);
}

static void fill_random(unsigned char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t got = getrandom(bytes, len, 0);

        if (got < 0 && errno != EINTR)
            abort(); /* keys and ids without randomness would be worse than no service */
        if (got > 0) {
            bytes += got;
            len -= (size_t)got;
        }
    }
}

static void pool_random(unsigned char *bytes, size_t len)
{
    (void)pthread_once(&fork_once, watch_forks);
    if (len > sizeof(pool.bytes)) {
        fill_random(bytes, len);
        return;
    }
    if (pool.left < len || pool.generation != fork_generation) {
        fill_random(pool.bytes, sizeof(pool.bytes));
        pool.left = sizeof(pool.bytes);
        pool.generation = fork_generation;
    }
    pool.left -= len;
    memcpy(bytes, pool.bytes + pool.left, len);
    /* What was a secret once is not kept. */
    explicit_bzero(pool.bytes + pool.left, len);
}

/* splitmix64: every seed gives a full-period sequence, and a run is named by one number. */
static uint64_t seeded_next(struct env *env)
{
    uint64_t z = (env->random += 0x9E3779B97F4A7C15u);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void env_random(struct env *env, void *bytes, size_t len)
{
    unsigned char *out = bytes;

    if (env->kind != ENV_SEEDED) {
        pool_random(out, len);
        return;
    }
    (void)pthread_mutex_lock(&env->lock);
    while (len > 0) {
        uint64_t value = seeded_next(env);
        size_t part = MIN_OF(len, sizeof(value));

        memcpy(out, &value, part);
        out += part;
        len -= part;
    }
    (void)pthread_mutex_unlock(&env->lock);
}

uint64_t env_random_u64(struct env *env)
{
    uint64_t value;

    env_random(env, &value, sizeof(value));
    return value;
}

/* The clock, but always more than the last time, also when the clock stands still or goes back. */
static int64_t next_tick(struct env *env, _Atomic int64_t *last)
{
    int64_t now = env_now(env);
    int64_t seen = *last;
    int64_t next;

    do {
        next = MAX_OF(now, seen + 1);
    } while (!atomic_compare_exchange_weak(last, &seen, next));
    return next;
}

int64_t env_sequence(struct env *env)
{
    return next_tick(env, &env->last_sequence);
}

void env_sequence_after(struct env *env, int64_t seen)
{
    int64_t last = env->last_sequence;

    while (last < seen && !atomic_compare_exchange_weak(&env->last_sequence, &last, seen))
        continue;
}

int64_t env_sequence_last(struct env *env)
{
    return env->last_sequence;
}

/* `count` base-36 digits of value, most significant first; what does not fit is cut off at the top.
 */
static void print_base36(uint64_t value, char *text, size_t count)
{
    for (size_t i = count; i > 0; i--) {
        text[i - 1] = "0123456789abcdefghijklmnopqrstuvwxyz"[value % 36];
        value /= 36;
    }
}

struct str env_id(struct env *env, struct arena *arena, const char *prefix)
{
    size_t prefix_len = strlen(prefix);
    char text[ID_TEXT_MAX];

    assert(prefix_len + 20 < sizeof(text));
    memcpy(text, prefix, prefix_len);
    /* 36^10 microseconds last until the year 2085; then the order, not the uniqueness, starts over.
     */
    print_base36((uint64_t)next_tick(env, &env->last_id), text + prefix_len, 10);
    print_base36(env_random_u64(env), text + prefix_len + 10, 10);
    return arena_str(arena, str_slice(text, prefix_len + 20));
}

void env_uuid(struct env *env, char text[37])
{
    unsigned char b[16];
    char *out = text;

    env_random(env, b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x40); /* RFC 9562 §5.4: version 4, variant 10 */
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    for (size_t i = 0; i < sizeof(b); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = "0123456789ABCDEF"[b[i] >> 4];
        *out++ = "0123456789ABCDEF"[b[i] & 15];
    }
    *out = '\0';
}
