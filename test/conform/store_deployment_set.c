/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the conformance suite about deployment sets; store.c includes it. */

static struct deployment_set_list sets_of(struct tx *tx, struct deployment_set_filter filter, int64_t offset)
{
    const struct page page = {.offset = offset, .limit = 2, .count = true};
    struct deployment_set_list list;

    filter.account_id = ACCOUNT;
    filter.region_id = REGION;
    ok(store_deployment_set_find(tx, &filter, &page, &list));
    return list;
}

/* Three; the second has a name, the third another strategy. */
static void put_sets(struct tx *tx, struct fixture *f, struct str *ids)
{
    struct deployment_set set = {.account_id = ACCOUNT, .region_id = REGION, .group_count = 7, .created_us = 5};

    for (int i = 0; i < 3; i++) {
        set.id = ids[i] = env_id(f->env, &f->arena, "ds-");
        set.name = i == 1 ? STR("middle") : STR_NONE;
        set.strategy = i == 2 ? DEPLOYMENT_STRATEGY_LOW_LATENCY : DEPLOYMENT_STRATEGY_AVAILABILITY;
        set.on_failure = i == 2 ? DEPLOYMENT_FAILURE_KEEP_STOPPED : DEPLOYMENT_FAILURE_CANCEL_MEMBERSHIP_AND_START;
        ok(store_deployment_set_insert(tx, &set));
    }
    assert_int_equal(store_deployment_set_insert(tx, &set), -E_EXISTS);
}

static int deployment_find_body(struct tx *tx, struct fixture *f)
{
    struct deployment_set_filter any = {.strategy = -1}, some = any;
    struct str ids[3];
    struct str_list two = {ids, 2}, none = {NULL, 0};
    int64_t count = -1;

    put_sets(tx, f, ids);
    ok(store_deployment_set_count(tx, ACCOUNT, REGION, &count));
    assert_int_equal(count, 3);
    ok(store_deployment_set_count(tx, ACCOUNT, STR("elsewhere"), &count));
    assert_int_equal(count, 0);
    assert_int_equal(sets_of(tx, any, 0).total, 3);
    assert_int_equal(sets_of(tx, any, 0).count, 2);
    assert_same(sets_of(tx, any, 0).items[0].id, ids[2]); /* newest first */
    assert_int_equal(sets_of(tx, any, 2).count, 1);
    assert_same(sets_of(tx, any, 2).items[0].id, ids[0]);
    some.strategy = DEPLOYMENT_STRATEGY_AVAILABILITY;
    assert_int_equal(sets_of(tx, some, 0).total, 2);
    some.name = STR("middle");
    assert_int_equal(sets_of(tx, some, 0).total, 1);
    any.ids = &two;
    assert_int_equal(sets_of(tx, any, 0).total, 2);
    any.ids = &none;
    assert_int_equal(sets_of(tx, any, 0).total, 0);
    return 0;
}

static int deployment_set_body(struct tx *tx, struct fixture *f)
{
    struct deployment_set *got = NULL;
    struct str ids[3];

    put_sets(tx, f, ids);
    ok(store_deployment_set_get(tx, ids[2], &got));
    assert_int_equal(got->strategy, DEPLOYMENT_STRATEGY_LOW_LATENCY);
    assert_int_equal(got->on_failure, DEPLOYMENT_FAILURE_KEEP_STOPPED);
    assert_int_equal(got->group_count, 7);
    assert_int_equal(got->created_us, 5);
    got->name = STR("new");
    got->description = STR("text");
    ok(store_deployment_set_save(tx, got));
    ok(store_deployment_set_get(tx, ids[2], &got));
    assert_same(got->name, STR("new"));
    assert_same(got->description, STR("text"));
    ok(store_deployment_set_delete(tx, ids[2]));
    assert_int_equal(store_deployment_set_delete(tx, ids[2]), -E_NOT_FOUND);
    assert_int_equal(store_deployment_set_save(tx, got), -E_NOT_FOUND);
    assert_int_equal(store_deployment_set_get(tx, ids[2], &got), -E_NOT_FOUND);
    return 0;
}

static void put_member(struct tx *tx, struct fixture *f, struct str set_id, struct str host_id, int64_t group_no)
{
    struct instance inst = fixture_instance(f);

    inst.deployment_set_id = set_id;
    inst.deployment_group_no = group_no;
    inst.host_id = host_id;
    ok(store_instance_insert(tx, &inst));
}

/* Those in it, in no other, until they leave or are gone. */
static int deployment_members_body(struct tx *tx, struct fixture *f)
{
    struct deployment_member *members = NULL, *others = NULL;
    struct instance *inst = NULL;
    size_t count = 0;

    put_member(tx, f, STR("ds-1"), STR("host-1"), 2);
    put_member(tx, f, STR("ds-2"), STR("host-2"), 0);
    put_member(tx, f, STR("ds-1"), STR_NONE, 3);
    put_member(tx, f, STR_NONE, STR("host-3"), 0);
    ok(store_deployment_set_members(tx, STR("ds-1"), STR_NONE, &members, &count));
    assert_int_equal(count, 2);
    assert_same(members[0].host_id, STR("host-1"));
    assert_int_equal(members[0].group_no, 2);
    assert_null(members[1].host_id.ptr);
    assert_int_equal(members[1].group_no, 3);
    ok(store_deployment_set_members(tx, STR("ds-1"), members[1].instance_id, &others, &count));
    assert_int_equal(count, 1);
    assert_same(others[0].instance_id, members[0].instance_id);
    ok(store_instance_get(tx, members[0].instance_id, &inst));
    assert_same(inst->zone_id, members[0].zone_id);
    assert_same(inst->deployment_set_id, STR("ds-1"));
    assert_int_equal(inst->deployment_group_no, 2);
    inst->deployment_set_id = STR_NONE;
    ok(store_instance_save_doc(tx, inst));
    ok(store_instance_get(tx, members[1].instance_id, &inst));
    ok(store_deployment_set_members(tx, STR("ds-1"), STR_NONE, &members, &count));
    assert_int_equal(count, 1);
    ok(store_instance_delete(tx, inst));
    ok(store_deployment_set_members(tx, STR("ds-1"), STR_NONE, &members, &count));
    assert_int_equal(count, 0);
    return 0;
}

static void test_deployment_set(void **state)
{
    (void)state;
    in_write(deployment_find_body);
    in_write(deployment_set_body);
    in_write(deployment_members_body);
}
