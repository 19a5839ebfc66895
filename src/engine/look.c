/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a machine for somebody who waits on a thread of the network: its console, its screen. A host may take its
 * time, and there are few such threads: half of them at most wait for hosts, and none for one that is known to be silent.
 */
#include "engine/active.h"

/* Where a screen was shown lately; another instance with the same place makes it forget, which only lets a call through. */
static struct screen_slot *screen_of(struct engine *engine, struct str id, uint64_t *ret_hash)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a: ids are ours, nobody can choose them to collide */

    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ (uint8_t)id.ptr[i]) * UINT64_C(0x100000001b3);
    *ret_hash = hash;
    return &engine->screens[hash % countof(engine->screens)];
}

/* A clock that was set back makes nobody wait longer. */
static bool too_soon(struct engine *engine, struct str id, usec_t every_us)
{
    usec_t now = env_now(engine->env);
    struct screen_slot *slot;
    uint64_t hash;

    if (every_us == 0)
        return false;
    slot = screen_of(engine, id, &hash);
    if (slot->hash == hash && now < slot->next_us && slot->next_us <= now + every_us)
        return true;
    *slot = (struct screen_slot){hash, now + every_us};
    return false;
}

int engine_look_begin(struct engine *engine, struct str host_id, struct str id, usec_t every_us)
{
    size_t most = (size_t)MAX_OF(engine->options->http_threads / 2, (int64_t)1);
    const struct host_slot *host;
    int r = 0;

    pthread_mutex_lock(&engine->mutex);
    host = host_slot_get(engine, host_id, false);
    if (host && host->silent)
        r = -E_UNREACHABLE;
    else if (engine->looks >= most || too_soon(engine, id, every_us))
        r = -E_LIMIT;
    else
        engine->looks++;
    pthread_mutex_unlock(&engine->mutex);
    return r;
}

void engine_look_end(struct engine *engine, struct str host_id, int result)
{
    struct host_slot *host;

    pthread_mutex_lock(&engine->mutex);
    assert(engine->looks > 0);
    engine->looks--;
    host = host_slot_get(engine, host_id, false);
    if (host && result == -E_UNREACHABLE)
        host_slot_heard(engine, host, false);
    pthread_mutex_unlock(&engine->mutex);
}
