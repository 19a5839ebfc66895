/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/limit.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"

struct bucket {
    double tokens;
    usec_t filled; /* when `tokens` was true */
    char name[];   /* the map's key */
};

struct limiter {
    pthread_mutex_t mutex; /* guards buckets */
    struct map buckets;
    double rate;
    double burst;
};

struct limiter *limiter_new(struct env *env, double rate, double burst)
{
    struct limiter *limiter = xcalloc(1, sizeof(*limiter));
    int r = pthread_mutex_init(&limiter->mutex, NULL);

    assert(r == 0);
    (void)r; /* only looked at by the assertion */
    assert(rate > 0 && burst >= 1);
    map_init(&limiter->buckets, env_random_u64(env));
    limiter->rate = rate;
    limiter->burst = burst;
    return limiter;
}

struct limiter *limiter_free(struct limiter *limiter)
{
    size_t cursor = 0;
    struct str name;
    void *bucket;

    if (!limiter)
        return NULL;
    while (map_next(&limiter->buckets, &cursor, &name, &bucket))
        (void)xfree(bucket);
    map_done(&limiter->buckets);
    (void)pthread_mutex_destroy(&limiter->mutex); /* nobody holds it any more */
    return xfree(limiter);
}

static void fill(const struct limiter *limiter, struct bucket *bucket, usec_t now)
{
    if (now <= bucket->filled) {
        bucket->filled = now; /* a clock that was set back: it fills from here on */
        return;
    }
    bucket->tokens = MIN_OF(limiter->burst, bucket->tokens + (double)(now - bucket->filled) *
                                                                 limiter->rate / USEC_PER_SEC);
    bucket->filled = now;
}

/* A full bucket says nothing that a new one would not. When none is full the whole table starts
 * over, in the callers' favour. */
static void make_room(struct limiter *limiter, usec_t now)
{
    struct map kept;
    size_t cursor = 0;
    struct str name;
    void *value;

    map_init(&kept, limiter->buckets.key[0]);
    while (map_next(&limiter->buckets, &cursor, &name, &value)) {
        struct bucket *bucket = value;

        fill(limiter, bucket, now);
        if (bucket->tokens >= limiter->burst || kept.count >= LIMIT_BUCKETS / 2)
            (void)xfree(bucket);
        else
            (void)map_put(&kept, name, bucket); /* names are unique */
    }
    map_done(&limiter->buckets);
    limiter->buckets = kept;
}

static struct bucket *bucket_of(struct limiter *limiter, struct str account_id, const char *action,
                                usec_t now)
{
    char name[128];
    size_t len = (size_t)snprintf(name, sizeof(name), "%.*s %s", STR_ARG(account_id), action);
    struct bucket *bucket;

    len = MIN_OF(len, sizeof(name) - 1);
    bucket = map_get(&limiter->buckets, str_slice(name, len));
    if (bucket)
        return bucket;
    if (limiter->buckets.count >= LIMIT_BUCKETS)
        make_room(limiter, now);
    bucket = xcalloc(1, sizeof(*bucket) + len + 1);
    memcpy(bucket->name, name, len);
    bucket->tokens = limiter->burst;
    bucket->filled = now;
    (void)map_put(&limiter->buckets, str_slice(bucket->name, len), bucket); /* it was not there */
    return bucket;
}

int64_t limiter_take(struct limiter *limiter, struct str account_id, const char *action, int64_t nodes, usec_t now)
{
    double price = MIN_OF((double)nodes, limiter->burst);
    int64_t wait_ms = 0;
    struct bucket *bucket;
    int r = pthread_mutex_lock(&limiter->mutex);

    assert(r == 0);
    (void)r; /* only looked at by the assertion */
    bucket = bucket_of(limiter, account_id, action, now);
    fill(limiter, bucket, now);
    if (bucket->tokens >= price)
        bucket->tokens -= price;
    else
        wait_ms = (int64_t)((price - bucket->tokens) * 1000 / limiter->rate) + 1;
    (void)pthread_mutex_unlock(&limiter->mutex); /* held by us */
    return wait_ms;
}
