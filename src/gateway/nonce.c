/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/nonce.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#define SHARDS 16
#define FIRST_SLOTS ((size_t)64)
#define SHARD_NONCES_MAX ((size_t)(LIMIT_SEEN_NONCES / SHARDS))

/* Both are 0 in a free slot. The digest is keyed, so nobody can make two nonces collide. */
struct slot {
    uint64_t digest;
    usec_t expires;
};

/* Open addressing, at most half full, only ever added to. */
struct half {
    struct slot *slots;
    size_t count;
    size_t capacity;
};

/* New nonces go to `young`; when that is as old as a nonce may get, it becomes `old`, and the old
 * half is dropped. */
struct shard {
    pthread_mutex_t mutex; /* guards all below */
    struct half young;
    struct half old;
    usec_t young_since;
};

struct nonce_table {
    struct shard shards[SHARDS];
    uint8_t secret[16];
    usec_t keep;
};

struct nonce_table *nonce_table_new(struct env *env, usec_t keep)
{
    struct nonce_table *table = xcalloc(1, sizeof(*table));

    assert(keep > 0);
    for (size_t i = 0; i < SHARDS; i++) {
        int r = pthread_mutex_init(&table->shards[i].mutex, NULL);

        assert(r == 0);
        (void)r; /* only looked at by the assertion */
    }
    env_random(env, table->secret, sizeof(table->secret));
    table->keep = keep;
    return table;
}

struct nonce_table *nonce_table_free(struct nonce_table *table)
{
    if (!table)
        return NULL;
    for (size_t i = 0; i < SHARDS; i++) {
        (void)xfree(table->shards[i].young.slots);
        (void)xfree(table->shards[i].old.slots);
        (void)pthread_mutex_destroy(&table->shards[i].mutex); /* nobody holds it any more */
    }
    return xfree(table);
}

static uint64_t digest_of(const struct nonce_table *table, struct str key_id, struct str nonce)
{
    char text[sizeof(table->secret) + 128 + 1 + LIMIT_NONCE_BYTES];
    uint8_t digest[SHA256_BYTES];
    size_t len = sizeof(table->secret);
    uint64_t value;

    key_id.len = MIN_OF(key_id.len, (size_t)128);
    nonce.len = MIN_OF(nonce.len, (size_t)LIMIT_NONCE_BYTES);
    memcpy(text, table->secret, len);
    memcpy(text + len, key_id.ptr, key_id.len);
    len += key_id.len;
    text[len++] = '\0';
    if (nonce.len > 0)
        memcpy(text + len, nonce.ptr, nonce.len);
    hash_sha256(str_slice(text, len + nonce.len), digest);
    memcpy(&value, digest, sizeof(value));
    return value != 0 ? value : 1;
}

/* The slot of that digest, or the free one where it belongs; NULL in an empty half. */
static struct slot *half_find(const struct half *half, uint64_t digest)
{
    if (half->capacity == 0)
        return NULL;
    for (size_t i = (size_t)(digest >> 8) & (half->capacity - 1);;
         i = (i + 1) & (half->capacity - 1))
        if (half->slots[i].digest == digest || half->slots[i].digest == 0)
            return &half->slots[i];
}

static bool half_knows(const struct half *half, uint64_t digest, usec_t now)
{
    const struct slot *slot = half_find(half, digest);

    return slot && slot->digest == digest && slot->expires > now;
}

static void half_grow(struct half *half)
{
    struct half bigger = {.count = half->count,
                          .capacity = MAX_OF(half->capacity * 2, FIRST_SLOTS)};

    bigger.slots = xcalloc(bigger.capacity, sizeof(*bigger.slots));
    for (size_t i = 0; i < half->capacity; i++)
        if (half->slots[i].digest != 0)
            *half_find(&bigger, half->slots[i].digest) = half->slots[i];
    (void)xfree(half->slots);
    *half = bigger;
}

static void half_put(struct half *half, struct slot slot)
{
    struct slot *place;

    if (half->count * 2 >= half->capacity)
        half_grow(half);
    place = half_find(half, slot.digest);
    half->count += place->digest == 0;
    *place = slot;
}

static void rotate(struct shard *shard, usec_t now, usec_t keep)
{
    if (shard->young.count < SHARD_NONCES_MAX && now - shard->young_since < keep)
        return;
    (void)xfree(shard->old.slots);
    shard->old = shard->young;
    shard->young = (struct half){.slots = NULL};
    shard->young_since = now;
}

static bool knows(const struct shard *shard, uint64_t digest, usec_t now)
{
    return half_knows(&shard->young, digest, now) || half_knows(&shard->old, digest, now);
}

static void lock(pthread_mutex_t *mutex)
{
    int r = pthread_mutex_lock(mutex);

    assert(r == 0);
    (void)r; /* only looked at by the assertion */
}

bool nonce_seen(struct nonce_table *table, struct str key_id, struct str nonce, usec_t now)
{
    uint64_t digest = digest_of(table, key_id, nonce);
    struct shard *shard = &table->shards[digest % SHARDS];
    bool seen;

    lock(&shard->mutex);
    seen = knows(shard, digest, now);
    (void)pthread_mutex_unlock(&shard->mutex); /* held by us */
    return seen;
}

bool nonce_record(struct nonce_table *table, struct str key_id, struct str nonce, usec_t now)
{
    uint64_t digest = digest_of(table, key_id, nonce);
    struct shard *shard = &table->shards[digest % SHARDS];
    bool fresh;

    lock(&shard->mutex);
    fresh = !knows(shard, digest, now);
    if (fresh) {
        rotate(shard, now, table->keep);
        half_put(&shard->young, (struct slot){.digest = digest, .expires = now + table->keep});
    }
    (void)pthread_mutex_unlock(&shard->mutex); /* held by us */
    return fresh;
}
