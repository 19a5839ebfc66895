/* SPDX-License-Identifier: Apache-2.0 */
/* A story of a few writes that touch what a store keeps in step: rows, versions, tallies, nonces. Each is there or not. */
#pragma once

#include "unit/store_fixture.h"

static inline struct str name_of(struct tx *tx, const char *kind, int64_t number)
{
    return arena_printf(tx_arena(tx), "%s-%lld", kind, (long long)number);
}

#define STEPS 6

static inline int step_run(struct tx *tx, void *arg)
{
    int64_t step = *(int64_t *)arg;
    struct instance *inst = NULL;
    char nonce[16];

    (void)snprintf(nonce, sizeof(nonce), "n%lld", (long long)step);
    int r = store_nonce_put(tx, STR("k"), str_from(nonce), step, tx_now(tx) + USEC_PER_HOUR);
    if (r < 0)
        return r;
    r = store_number_set(tx, name_of(tx, "step", step), 1);
    if (r == 0)
        r = store_instance_get_hot(tx, STR("i-fault"), &inst);
    if (r < 0)
        return r;
    inst->state =
        inst->state == INSTANCE_STATE_RUNNING ? INSTANCE_STATE_STOPPED : INSTANCE_STATE_RUNNING;
    r = store_instance_save(tx, inst);
    return r < 0 ? r : store_segment_switch(tx, inst, BILLING_MODE_KEPT, step * 1000);
}

static inline int make_instance(struct tx *tx, void *arg)
{
    struct instance inst = fixture_instance(arg);

    inst.id = STR("i-fault");
    return store_instance_insert(tx, &inst);
}

/* What is stored is what was acknowledged: rows, versions, the tally, the nonces. */
static inline void check_steps(struct fixture *f, const bool done[STEPS])
{
    struct instance_filter filter;
    struct instance_list list;
    struct page page = {.limit = 1, .count = true};
    struct tx *tx = store_read_begin(f->store);
    int64_t count = 0;

    for (int64_t step = 0; step < STEPS; step++) {
        int64_t value = -1;

        assert_int_equal(store_number_get(tx, name_of(tx, "step", step), &value), 0);
        assert_int_equal(value, done[step]);
        count += done[step];
    }
    instance_filter_init(&filter);
    filter.account_id = ACCOUNT;
    filter.region_id = REGION;
    filter.state = count % 2 ? INSTANCE_STATE_STOPPED : INSTANCE_STATE_RUNNING;
    assert_int_equal(store_instance_find(tx, &filter, &page, true, &list), 0);
    assert_int_equal(list.total, 1);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].version, 1 + count);
    store_read_end(tx);
}
