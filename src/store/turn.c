/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shared store: what its nodes tell each other. A batch takes its turn after those of all others (struct turn); what they did
 * since ours counts before any of our writes is told of.
 */
#include "store/core.h"

bool store_is_shared(const struct store *store)
{
    return store->driver->shared;
}

void tenants_moved(struct store *store, int64_t to)
{
    int64_t known = atomic_load(&store->tenants);

    atomic_fetch_add(&store->tenants_version, 1); /* first: who finds `tenants` up to date relies on it */
    while (known < to && !atomic_compare_exchange_weak(&store->tenants, &known, to))
        continue;
}

/* Whether it was new. */
static bool see_tenants(struct store *store, int64_t tenants)
{
    bool is_new = tenants > atomic_load(&store->tenants);

    if (is_new)
        tenants_moved(store, tenants);
    return is_new;
}

int turn_begin(struct tx *tx, const struct write *list)
{
    const struct turn *turn = &tx->db->turn;

    tx->now = env_now(tx->store->env); /* others have written while we waited */
    env_sequence_after(tx->store->env, turn->sequence);
    (void)see_tenants(tx->store, turn->tenants);
    tx->nonce_floor_us = -1;
    return ahead_read(tx, list);
}

void turn_end(struct tx *tx)
{
    struct turn *turn = &tx->db->turn;

    turn->sequence = MAX_OF(turn->sequence, env_sequence_last(tx->store->env));
    if (tx->tenants_changed)
        turn->tenants++;
}

static int read_turn(struct tx *tx, struct turn *ret)
{
    static const struct query query = {"SELECT number, tenants FROM turn WHERE one = 1", NULL};
    struct rows rows;
    int r = rows_start(tx, &query, NO_ARGS, &rows);

    if (r < 0)
        return r;
    r = rows_next(&rows);
    if (r > 0)
        *ret = (struct turn){.number = rows_i64(&rows, 0), .tenants = rows_i64(&rows, 1)};
    rows_end(&rows);
    return r > 0 ? 0 : r < 0 ? r : -E_NOT_FOUND;
}

int store_look(struct store *store, struct store_news *ret)
{
    struct store_news news = {0};
    struct turn turn;
    struct tx *tx;
    int r;

    if (!store_is_shared(store)) {
        *ret = news;
        return 0;
    }
    tx = store_read_begin(store);
    r = read_turn(tx, &turn);
    store_read_end(tx);
    if (r < 0)
        return r;
    *ret = (struct store_news){.number = turn.number, .tenants = see_tenants(store, turn.tenants)};
    return 0;
}
