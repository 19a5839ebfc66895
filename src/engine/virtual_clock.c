/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock that operators move. Where it stands is in the store before it moves, so that no restart goes back in time:
 * deadlines and billing segments written at later times stay in the past.
 */
#include "engine/active.h"

#define CLOCK_NUMBER STR("clock_us")
#define CLOCK_END_US (INT64_C(253402300799) * USEC_PER_SEC) /* the year 9999: what time stamps can say */

struct advance {
    struct engine *engine;
    struct str request_id;
    usec_t by_us;
};

static int write_advance(struct tx *tx, void *arg)
{
    const struct advance *advance = arg;
    struct change change = {.request_id = advance->request_id, .actor = STR("operator")};
    usec_t stored;
    int r;

    r = store_number_get(tx, CLOCK_NUMBER, &stored);
    if (r < 0)
        return r;
    /* Ahead of the clock only while somebody else advances it at the same time. */
    stored = MAX_OF(stored, env_now(advance->engine->env));
    if (advance->by_us > CLOCK_END_US - stored)
        return -E_INVALID;
    r = store_number_set(tx, CLOCK_NUMBER, stored + advance->by_us);
    if (r < 0)
        return r;
    change.reason = arena_printf(tx_arena(tx), "advanced by %lld s", (long long)(advance->by_us / USEC_PER_SEC));
    return record_event(tx, EVENT_KIND_CLOCK, STR_NONE, STR_NONE, &change);
}

int engine_clock_advance(struct engine *engine, usec_t by_us, struct str request_id)
{
    struct advance advance = {engine, request_id, by_us};
    int r;

    assert(env_is_virtual(engine->env) && by_us >= 0);
    r = store_write(engine->store, write_advance, &advance);
    if (r < 0)
        return r;
    env_advance(engine->env, by_us);
    return 0;
}

int engine_clock_restore(struct store *store, struct env *env)
{
    struct tx *tx = store_read_begin(store);
    usec_t now = env_now(env);
    usec_t stored;
    int r;

    assert(env_is_virtual(env));
    r = store_number_get(tx, CLOCK_NUMBER, &stored);
    store_read_end(tx);
    if (r >= 0 && stored > now)
        env_advance(env, stored - now);
    return r;
}
