/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/keyring.h"

#include <pthread.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"

#define KEYS_MAX 1024
#define KEY_BYTES_MAX ((size_t)8192) /* of one entry's texts; a larger policy is read each time */
#define RING_BYTES_MAX ((size_t)2 * KEYS_MAX * KEY_BYTES_MAX)

struct identity {
    struct access_key key;
    struct account account;
};

struct keyring {
    struct store *store;
    pthread_mutex_t mutex; /* guards all below */
    struct arena arena;
    struct map identities; /* key id → struct identity; both on the arena */
    uint64_t seed;
    uint64_t version; /* of the store's tenants: what is remembered was true of it */
};

struct keyring *keyring_new(struct env *env, struct store *store)
{
    struct keyring *ring = xcalloc(1, sizeof(*ring));

    ring->store = store;
    ring->seed = env_random_u64(env);
    ring->version = store_tenants_version(store);
    (void)pthread_mutex_init(&ring->mutex, NULL); /* Linux never refuses a default one */
    arena_init(&ring->arena, RING_BYTES_MAX);
    map_init(&ring->identities, ring->seed);
    return ring;
}

struct keyring *keyring_free(struct keyring *ring)
{
    if (!ring)
        return NULL;
    map_done(&ring->identities);
    arena_done(&ring->arena);
    (void)pthread_mutex_destroy(&ring->mutex); /* nobody holds it any more */
    return xfree(ring);
}

static struct identity *copy(struct arena *arena, const struct access_key *key,
                             const struct account *account)
{
    struct identity *identity = arena_new(arena, struct identity);

    identity->key = *key;
    identity->key.id = arena_str(arena, key->id);
    identity->key.secret = arena_str(arena, key->secret);
    identity->key.account_id = arena_str(arena, key->account_id);
    identity->key.token = arena_str(arena, key->token);
    identity->key.policy = arena_str(arena, key->policy);
    identity->key.role_arn = arena_str(arena, key->role_arn);
    identity->key.principal_id = arena_str(arena, key->principal_id);
    identity->account = *account;
    identity->account.id = arena_str(arena, account->id);
    identity->account.name = arena_str(arena, account->name);
    return identity;
}

/* Before anything else with the mutex held. */
static void forget_old(struct keyring *ring, uint64_t version)
{
    if (ring->version == version && ring->identities.count < KEYS_MAX)
        return;
    map_done(&ring->identities);
    map_init(&ring->identities, ring->seed);
    arena_reset(&ring->arena);
    ring->version = version;
}

static struct identity *recall(struct keyring *ring, uint64_t version, struct str key_id,
                               struct arena *arena)
{
    struct identity *found;

    (void)pthread_mutex_lock(&ring->mutex);
    forget_old(ring, version);
    found = map_get(&ring->identities, key_id);
    if (found)
        found = copy(arena, &found->key, &found->account);
    (void)pthread_mutex_unlock(&ring->mutex);
    return found;
}

static size_t text_bytes(const struct identity *identity)
{
    const struct access_key *key = &identity->key;

    return key->id.len + key->secret.len + key->account_id.len + key->token.len + key->policy.len +
           key->role_arn.len + key->principal_id.len + identity->account.id.len +
           identity->account.name.len;
}

/* Only what was read at a version that is still the one remembered: a commit may have come between. */
static void remember(struct keyring *ring, uint64_t version, const struct identity *identity)
{
    struct identity *kept;

    if (text_bytes(identity) > KEY_BYTES_MAX)
        return;
    (void)pthread_mutex_lock(&ring->mutex);
    if (ring->version == version && !map_get(&ring->identities, identity->key.id)) {
        kept = copy(&ring->arena, &identity->key, &identity->account);
        (void)map_put(&ring->identities, kept->key.id, kept);
    }
    (void)pthread_mutex_unlock(&ring->mutex);
}

static int read_store(struct keyring *ring, struct str key_id, struct arena *arena,
                      struct identity **ret)
{
    struct tx *tx = store_read_begin(ring->store);
    struct access_key *key;
    struct account *account;
    int r = store_key_get(tx, key_id, &key);

    if (r == 0)
        r = store_account_get(tx, key->account_id, &account);
    if (r == 0)
        *ret = copy(arena, key, account);
    store_read_end(tx);
    return r;
}

int keyring_find(struct keyring *ring, struct str key_id, struct arena *arena,
                 const struct access_key **ret_key, const struct account **ret_account)
{
    /* Before the snapshot: what is read is at least as new as this. */
    uint64_t version = store_tenants_version(ring->store);
    struct identity *found = recall(ring, version, key_id, arena);

    if (!found) {
        int r = read_store(ring, key_id, arena, &found);

        if (r < 0)
            return r;
        remember(ring, version, found);
    }
    *ret_key = &found->key;
    *ret_account = &found->account;
    return 0;
}
