/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many instances an account has in a region, by state. Each batch adds up its changes in memory
 * and writes each count once; the sum of a region's row is a total that costs nothing at any size.
 */
#include "store/core.h"

static struct tally_entry *entry_of(struct tx *tx, struct str account_id, struct str region_id)
{
    struct tally_entry *entry = tx->tally_latest;

    if (entry && str_eq(entry->account_id, account_id) && str_eq(entry->region_id, region_id))
        return entry;
    struct str key = arena_printf(&tx->arena, "%.*s|%.*s", STR_ARG(account_id), STR_ARG(region_id));

    entry = map_get(&tx->tally_map, key);
    if (!entry) {
        entry = arena_new(&tx->arena, struct tally_entry);
        entry->account_id = arena_str(&tx->arena, account_id);
        entry->region_id = arena_str(&tx->arena, region_id);
        (void)map_put(&tx->tally_map, key, entry); /* it was not there */
        arena_push(&tx->arena, tx->tally, tx->tally_count, entry);
    }
    tx->tally_latest = entry;
    return entry;
}

void tally_add(struct tx *tx, struct str account_id, struct str region_id, int state, int64_t by)
{
    assert(tx->is_write && state >= 0 && state < INSTANCE_STATE_COUNT);
    struct tally_step step = {&entry_of(tx, account_id, region_id)->added[state], by};

    *step.slot += by;
    arena_push(&tx->arena, tx->tally_steps, tx->tally_step_count, step);
}

int tally_flush(struct tx *tx)
{
    static const struct query add = {
        "INSERT INTO tally (account_id, region_id, state, n) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (account_id, region_id, state) DO UPDATE SET n = tally.n + excluded.n",
        NULL};

    for (size_t i = 0; i < tx->tally_count; i++) {
        const struct tally_entry *entry = tx->tally[i];

        for (int state = 0; state < INSTANCE_STATE_COUNT; state++) {
            if (entry->added[state] == 0)
                continue;
            int r = rows_post(tx, &add,
                              ARGS(V_STR(entry->account_id), V_STR(entry->region_id), V_I64(state), V_I64(entry->added[state])),
                              -E_NOT_FOUND);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* What the database has and what this batch is about to add. */
int tally_get(struct tx *tx, struct str account_id, struct str region_id, int state, int64_t *ret)
{
    static const struct query one = {
        "SELECT n FROM tally WHERE account_id = $1 AND region_id = $2 AND state = $3", NULL};
    static const struct query all = {
        "SELECT CAST(SUM(n) AS BIGINT) FROM tally WHERE account_id = $1 AND region_id = $2", NULL};
    int64_t n = 0;
    int r = state < 0 ? rows_number(tx, &all, ARGS(V_STR(account_id), V_STR(region_id)), 0, &n)
                      : rows_number(tx, &one,
                                    ARGS(V_STR(account_id), V_STR(region_id), V_I64(state)), 0, &n);

    if (r < 0)
        return r;
    if (tx->is_write) {
        const struct tally_entry *entry = entry_of(tx, account_id, region_id);

        for (int s = 0; s < INSTANCE_STATE_COUNT; s++)
            if (state < 0 || s == state)
                n += entry->added[s];
    }
    *ret = n;
    return 0;
}

int store_instance_count(struct tx *tx, struct str account_id, int64_t *ret)
{
    static const struct query query = {"SELECT CAST(SUM(n) AS BIGINT) FROM tally WHERE account_id = $1", NULL};
    int64_t n = 0;
    int r = rows_number(tx, &query, ARGS(V_STR(account_id)), 0, &n);

    if (r < 0)
        return r;
    for (size_t i = 0; i < tx->tally_count; i++)
        for (int state = 0; state < INSTANCE_STATE_COUNT && str_eq(tx->tally[i]->account_id, account_id); state++)
            n += tx->tally[i]->added[state];
    *ret = n;
    return 0;
}
