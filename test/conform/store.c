/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every store has to do, whatever is beneath it. A runner (test/unit/store.c) includes this
 * file and calls conform_store with each driver.
 */
#include "unit/store_fixture.h"

static const struct db_driver *conform_driver;

/* Runs a test's body inside one write, where all of the store's functions may be used. */
struct body {
    struct fixture *f;
    int (*run)(struct tx *tx, struct fixture *f);
};

static int body_run(struct tx *tx, void *arg)
{
    struct body *body = arg;

    return body->run(tx, body->f);
}

static void in_write(int (*run)(struct tx *tx, struct fixture *f))
{
    struct fixture f;
    struct body body = {&f, run};

    fixture_init(&f);
    fixture_open_with(&f, conform_driver);
    assert_int_equal(store_write(f.store, body_run, &body), 0);
    fixture_done(&f);
}

#define ok(call) assert_int_equal((call), 0)

static void assert_same(struct str a, struct str b)
{
    assert_int_equal(a.ptr == NULL, b.ptr == NULL);
    if (!str_eq(a, b))
        fail_msg("\"%.*s\" is not \"%.*s\"", STR_ARG(a), STR_ARG(b));
}

/* ── instances ── */

static int instance_body(struct tx *tx, struct fixture *f)
{
    struct instance inst = fixture_instance(f);
    struct instance *got = NULL;

    inst.description = STR(""); /* present and empty is another thing than absent */
    inst.user_data = STR("aGk=");
    inst.spot_price_limit = 0.125;
    inst.bandwidth_out_mbps = 5;
    inst.deletion_protection = true;
    inst.hibernation = true;
    inst.locks = 1 << LOCK_REASON_SECURITY;
    inst.release_us = 99;
    ok(store_instance_insert(tx, &inst));
    assert_int_equal(store_instance_insert(tx, &inst), -E_EXISTS);
    ok(store_instance_get(tx, inst.id, &got));
    assert_same(got->id, inst.id);
    assert_same(got->account_id, ACCOUNT);
    assert_same(got->description, inst.description);
    assert_same(got->key_pair_name, STR_NONE);
    assert_same(got->user_data, inst.user_data);
    assert_true(got->spot_price_limit == 0.125);
    assert_int_equal(got->bandwidth_out_mbps, 5);
    assert_true(got->deletion_protection && got->hibernation && !got->reinit_local);
    assert_int_equal(got->locks, inst.locks);
    assert_int_equal(got->created_us, inst.created_us);

    ok(store_instance_get_hot(tx, inst.id, &got));
    assert_same(got->type_id, inst.type_id);
    assert_int_equal(got->release_us, 99);
    assert_same(got->image_id, STR_NONE); /* cold ones are zeroed */
    assert_int_equal(got->created_us, 0);

    struct instance old = *got;
    got->state = INSTANCE_STATE_STOPPING;
    got->job_id = 7;
    got->host_id = STR_NONE;
    ok(store_instance_save(tx, got));
    assert_int_equal(got->version, 2);
    assert_int_equal(store_instance_save(tx, &old), -E_CONFLICT);
    assert_int_equal(old.version, 1);
    ok(store_instance_get(tx, inst.id, &got));
    assert_int_equal(got->state, INSTANCE_STATE_STOPPING);
    assert_int_equal(got->version, 2);
    assert_same(got->host_id, STR_NONE);
    assert_same(got->user_data, inst.user_data);

    got->name = STR("other");
    ok(store_instance_save_doc(tx, got));
    ok(store_instance_get(tx, inst.id, &got));
    assert_same(got->name, STR("other"));

    assert_int_equal(store_instance_delete(tx, &old), -E_CONFLICT);
    ok(store_instance_delete(tx, got));
    assert_int_equal(store_instance_get(tx, inst.id, &got), -E_NOT_FOUND);
    assert_int_equal(store_instance_get_hot(tx, inst.id, &got), -E_NOT_FOUND);
    assert_int_equal(store_instance_save_doc(tx, got), -E_NOT_FOUND);
    return 0;
}

static void test_instance(void **state)
{
    (void)state;
    in_write(instance_body);
}

static int engine_lists_body(struct tx *tx, struct fixture *f)
{
    static const int states[] = {INSTANCE_STATE_PENDING, INSTANCE_STATE_STARTING,
                                 INSTANCE_STATE_RUNNING, INSTANCE_STATE_STOPPING,
                                 INSTANCE_STATE_STOPPED};
    struct instance_list list;
    struct str ids[countof(states)];
    usec_t next = 0;

    ok(store_instance_next_release(tx, &next));
    assert_true(next == USEC_NEVER);
    for (size_t i = 0; i < countof(states); i++) {
        struct instance inst = fixture_instance(f);

        inst.state = states[i];
        inst.host_id = i == 4 ? STR_NONE : inst.host_id;
        inst.release_us = (usec_t)(i % 2 ? 1000 * i : 0);
        ids[i] = inst.id;
        ok(store_instance_insert(tx, &inst));
    }
    ok(store_instance_placed(tx, STR_NONE, 2, &list));
    assert_int_equal(list.count, 2);
    assert_true(list.more);
    assert_same(list.items[0].id, ids[0]);
    ok(store_instance_placed(tx, list.items[1].id, 2, &list));
    assert_int_equal(list.count, 2);
    assert_false(list.more);
    assert_same(list.items[0].id, ids[2]);
    ok(store_instance_next_release(tx, &next));
    assert_int_equal(next, 1000);
    ok(store_instance_release_due(tx, 999, 10, &list));
    assert_int_equal(list.count, 0);
    ok(store_instance_release_due(tx, 3000, 1, &list));
    assert_int_equal(list.count, 1);
    assert_true(list.more);
    assert_same(list.items[0].id, ids[1]);
    return 0;
}

/* Those that are locked for being over, and those without an end, are not found. */
static int expiry_body(struct tx *tx, struct fixture *f)
{
    static const struct {
        usec_t expires_us;
        int64_t locks;
    } rows[] = {{0, 0}, {5000, 0}, {2000, 1 << LOCK_REASON_FINANCIAL}, {3000, 1 << LOCK_REASON_SECURITY}};
    struct str ids[countof(rows)];
    struct instance_list list;
    usec_t next = 0;

    ok(store_instance_next_expiry(tx, &next));
    assert_true(next == USEC_NEVER);
    for (size_t i = 0; i < countof(rows); i++) {
        struct instance inst = fixture_instance(f);

        inst.expires_us = rows[i].expires_us;
        inst.locks = rows[i].locks;
        ids[i] = inst.id;
        ok(store_instance_insert(tx, &inst));
    }
    ok(store_instance_next_expiry(tx, &next));
    assert_int_equal(next, 3000);
    ok(store_instance_expiry_due(tx, 2999, 10, &list));
    assert_int_equal(list.count, 0);
    ok(store_instance_expiry_due(tx, 5000, 1, &list));
    assert_int_equal(list.count, 1);
    assert_true(list.more);
    assert_same(list.items[0].id, ids[3]);
    return 0;
}

static void test_engine_lists(void **state)
{
    (void)state;
    in_write(engine_lists_body);
    in_write(expiry_body);
}

#include "conform/store_count.c"

/* ── jobs and nodes ── */

static int job_body(struct tx *tx, struct fixture *f)
{
    struct job job = {.id = 100,
                      .kind = JOB_KIND_STOP,
                      .instance_id = STR("i-1"),
                      .account_id = ACCOUNT,
                      .force = true,
                      .holder = STR("n1"),
                      .deadline_us = USEC_NEVER,
                      .created_us = 5};
    struct job_list list;
    struct job *got = NULL;
    int64_t first = 0;
    int64_t second = 0;

    (void)f;
    ok(store_node_take(tx, STR("n1"), 1000, &first));
    ok(store_node_take(tx, STR("n1"), 2000, &second));
    assert_int_equal(second, first + 1);
    assert_int_equal(store_node_renew(tx, STR("n1"), first, 3000), -E_FENCED);
    ok(store_node_renew(tx, STR("n1"), second, 3000));

    job.epoch = first;
    ok(store_job_insert(tx, &job));
    assert_int_equal(store_job_insert(tx, &job), -E_EXISTS);
    ok(store_job_get(tx, 100, &got));
    assert_true(got->force && !got->clear_local);
    assert_int_equal(got->deadline_us, USEC_NEVER);
    assert_same(got->error, STR_NONE);
    got->step = 3;
    got->error = STR("host does not answer");
    ok(store_job_save(tx, got));
    ok(store_job_get(tx, 100, &got));
    assert_int_equal(got->step, 3);
    assert_same(got->error, STR("host does not answer"));

    /* Another node can't have it while the lease lasts; its own later epoch can. */
    ok(store_node_take(tx, STR("n2"), 9000, &first));
    ok(store_job_claim(tx, STR("n2"), first, 2999, 0, 10, &list));
    assert_int_equal(list.count, 0);
    ok(store_job_claim(tx, STR("n1"), second, 2999, 0, 10, &list));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].epoch, second);
    assert_int_equal(store_job_save(tx, got), -E_FENCED); /* still of the older epoch */
    ok(store_job_claim(tx, STR("n1"), second, 2999, 0, 10, &list));
    assert_int_equal(list.count, 0);
    ok(store_job_claim(tx, STR("n2"), first, 3000, 100, 10, &list)); /* behind it there is none */
    assert_int_equal(list.count, 0);
    ok(store_job_claim(tx, STR("n2"), first, 3000, 99, 10, &list));
    assert_int_equal(list.count, 1);
    assert_same(list.items[0].holder, STR("n2"));

    return 0;
}

static int job_list_body(struct tx *tx, struct fixture *f)
{
    struct job job = {.id = 100, .instance_id = STR("i-1"), .holder = STR("n1"), .epoch = 1};
    struct job mine = job;
    struct job_list list;
    struct job *got = NULL;

    (void)f;
    ok(store_job_insert(tx, &job));
    mine.state = JOB_STATE_DONE;
    mine.finished_us = 500;
    ok(store_job_save(tx, &mine));
    job.id = 200;
    ok(store_job_insert(tx, &job));
    ok(store_job_find(tx, -1, 0, 10, &list));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[0].id, 200);
    ok(store_job_find(tx, -1, 200, 10, &list));
    assert_int_equal(list.count, 1);
    ok(store_job_find(tx, JOB_STATE_ACTIVE, 0, 10, &list));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].id, 200);
    ok(store_job_find(tx, JOB_STATE_DONE, 0, 10, &list));
    assert_int_equal(list.count, 1);
    ok(store_job_purge(tx, 500, 10));
    ok(store_job_get(tx, 100, &got));
    ok(store_job_purge(tx, 501, 10));
    assert_int_equal(store_job_get(tx, 100, &got), -E_NOT_FOUND);
    ok(store_job_get(tx, 200, &got));
    return 0;
}

static void test_job(void **state)
{
    (void)state;
    in_write(job_body);
    in_write(job_list_body);
}

/* ── accounts, keys, hosts ── */

static int tenant_body(struct tx *tx, struct fixture *f)
{
    struct account account = {.id = ACCOUNT, .name = STR("first"), .created_us = 1};
    struct access_key key = {
        .id = STR("K1"), .secret = STR("s"), .account_id = ACCOUNT, .enabled = true};
    struct access_key sts = {.id = STR("STS.1"),
                             .secret = STR("s"),
                             .account_id = ACCOUNT,
                             .enabled = true,
                             .token = STR("t"),
                             .expires_us = 100};
    struct account *accounts = NULL;
    struct access_key *keys = NULL;
    size_t count = 0;

    (void)f;
    ok(store_account_insert(tx, &account));
    assert_int_equal(store_account_insert(tx, &account), -E_EXISTS);
    account.stopped_mode = STOPPED_MODE_STOP_CHARGING;
    ok(store_account_save(tx, &account));
    ok(store_account_list(tx, &accounts, &count));
    assert_int_equal(count, 1);
    assert_int_equal(accounts[0].stopped_mode, STOPPED_MODE_STOP_CHARGING);
    account.id = STR("2");
    assert_int_equal(store_account_save(tx, &account), -E_NOT_FOUND);
    ok(store_key_insert(tx, &key));
    assert_int_equal(store_key_insert(tx, &key), -E_EXISTS);
    ok(store_key_insert(tx, &sts));
    ok(store_key_set_enabled(tx, STR("K1"), false));
    assert_int_equal(store_key_set_enabled(tx, STR("K2"), false), -E_NOT_FOUND);
    ok(store_key_get(tx, STR("K1"), &keys));
    assert_false(keys->enabled);
    ok(store_key_list(tx, ACCOUNT, &keys, &count));
    assert_int_equal(count, 2);
    ok(store_key_purge(tx, 99, 10));
    ok(store_key_get(tx, STR("STS.1"), &keys));
    assert_same(keys->token, STR("t"));
    ok(store_key_purge(tx, 100, 10));
    assert_int_equal(store_key_get(tx, STR("STS.1"), &keys), -E_NOT_FOUND);
    ok(store_key_get(tx, STR("K1"), &keys));
    ok(store_key_delete(tx, STR("K1")));
    assert_int_equal(store_key_delete(tx, STR("K1")), -E_NOT_FOUND);
    return 0;
}

static void test_tenant(void **state)
{
    (void)state;
    in_write(tenant_body);
}

#include "conform/store_host.c"

/* ── disks ── */

static int disk_body(struct tx *tx, struct fixture *f)
{
    struct disk_filter filter = {.account_id = ACCOUNT,
                                 .region_id = REGION,
                                 .type = -1,
                                 .category = -1,
                                 .status = -1,
                                 .delete_with_instance = -1};
    struct page page = {.limit = 2, .count = true};
    struct disk_list list;
    struct disk *got = NULL;
    size_t count = 0;
    bool busy = true;
    struct str ids[5];

    for (size_t i = 0; i < 5; i++) {
        struct disk disk = {.id = env_id(f->env, &f->arena, "d-"),
                            .account_id = ACCOUNT,
                            .region_id = REGION,
                            .instance_id = i < 2 ? STR("i-1") : STR_NONE,
                            .type = i == 0 ? DISK_TYPE_SYSTEM : DISK_TYPE_DATA,
                            .status = i < 2 ? DISK_STATUS_IN_USE : DISK_STATUS_AVAILABLE,
                            .size_gib = 20 + (int64_t)i};

        ids[i] = disk.id;
        ok(store_disk_insert(tx, &disk));
        assert_int_equal(store_disk_insert(tx, &disk), -E_EXISTS);
    }
    ok(store_disk_busy(tx, STR("i-1"), &busy));
    assert_false(busy);
    ok(store_disk_of_instance(tx, STR("i-1"), &got, &count));
    assert_int_equal(count, 2);
    got[1].status = DISK_STATUS_ATTACHING;
    ok(store_disk_save(tx, &got[1]));
    ok(store_disk_busy(tx, STR("i-1"), &busy));
    assert_true(busy);

    ok(store_disk_find(tx, &filter, &page, &list));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.total, 5);
    assert_true(list.more);
    assert_same(list.items[0].id, ids[4]); /* newest first */
    page.after = list.items[1].id;
    page.limit = 10;
    ok(store_disk_find(tx, &filter, &page, &list));
    assert_int_equal(list.count, 3);
    assert_false(list.more);
    page = (struct page){.limit = 10, .offset = 1, .count = true};
    filter.status = DISK_STATUS_AVAILABLE;
    ok(store_disk_find(tx, &filter, &page, &list));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.total, 3);
    struct str_list wanted = {(struct str[]){ids[0], STR("d-none"), ids[3], ids[3]}, 4};
    page.offset = 0;
    filter.ids = &wanted;
    ok(store_disk_find(tx, &filter, &page, &list));
    assert_int_equal(list.count, 1);
    assert_same(list.items[0].id, ids[3]);
    filter.status = -1;
    filter.account_id = STR("other");
    ok(store_disk_find(tx, &filter, &page, &list));
    assert_int_equal(list.total, 0);
    ok(store_disk_delete(tx, ids[0]));
    assert_int_equal(store_disk_delete(tx, ids[0]), -E_NOT_FOUND);
    assert_int_equal(store_disk_get(tx, ids[0], &got), -E_NOT_FOUND);
    return 0;
}

static int64_t disks_of(struct tx *tx, struct str account_id)
{
    int64_t count = -1;

    ok(store_disk_count(tx, account_id, &count));
    return count;
}

/* Of an account, exact after each insert, refused insert, delete and refused delete. */
static int disk_tally_body(struct tx *tx, struct fixture *f)
{
    struct disk disk = {.account_id = ACCOUNT, .region_id = REGION, .status = DISK_STATUS_AVAILABLE};

    for (int64_t i = 1; i <= 3; i++) {
        disk.id = env_id(f->env, &f->arena, "d-");
        ok(store_disk_insert(tx, &disk));
        assert_int_equal(store_disk_insert(tx, &disk), -E_EXISTS);
        assert_int_equal(disks_of(tx, ACCOUNT), i);
    }
    ok(store_disk_delete(tx, disk.id));
    assert_int_equal(store_disk_delete(tx, disk.id), -E_NOT_FOUND);
    assert_int_equal(disks_of(tx, ACCOUNT), 2);
    assert_int_equal(disks_of(tx, STR("another")), 0);
    return 0;
}

static void test_disk(void **state)
{
    (void)state;
    in_write(disk_body);
    in_write(disk_tally_body);
}

/* ── network ── */

static int network_body(struct tx *tx, struct fixture *f)
{
    struct vpc vpc = {
        .id = STR("vpc-1"), .account_id = ACCOUNT, .region_id = REGION, .is_default = true};
    struct vswitch a = {.id = STR("vsw-1"),
                        .account_id = ACCOUNT,
                        .vpc_id = vpc.id,
                        .zone_id = STR("b"),
                        .is_default = true};
    struct vswitch b = {.id = STR("vsw-2"),
                        .account_id = ACCOUNT,
                        .vpc_id = vpc.id,
                        .zone_id = STR("a"),
                        .is_default = true};
    struct security_group group = {
        .id = STR("sg-1"), .account_id = ACCOUNT, .region_id = REGION, .is_default = true};
    struct vpc *got_vpc = NULL;
    struct vswitch *got = NULL;
    struct security_group *got_group = NULL;
    struct str_list groups;
    int64_t number = -1;

    (void)f;
    assert_int_equal(store_vpc_default(tx, ACCOUNT, REGION, &got_vpc), -E_NOT_FOUND);
    assert_int_equal(store_vswitch_default(tx, ACCOUNT, REGION, STR_NONE, &got), -E_NOT_FOUND);
    ok(store_vpc_insert(tx, &vpc));
    ok(store_vpc_get(tx, vpc.id, &got_vpc));
    ok(store_vpc_default(tx, ACCOUNT, REGION, &got_vpc));
    ok(store_vswitch_insert(tx, &a));
    ok(store_vswitch_insert(tx, &b));
    ok(store_vswitch_default(tx, ACCOUNT, REGION, STR_NONE, &got));
    assert_same(got->id, b.id); /* zones in order */
    ok(store_vswitch_default(tx, ACCOUNT, REGION, STR("b"), &got));
    assert_same(got->id, a.id);
    assert_int_equal(store_vswitch_default(tx, ACCOUNT, REGION, STR("c"), &got), -E_NOT_FOUND);
    ok(store_vswitch_save_cursor(tx, a.id, 77));
    ok(store_vswitch_get(tx, a.id, &got));
    assert_int_equal(got->next_address, 77);
    ok(store_group_insert(tx, &group));
    ok(store_group_get(tx, group.id, &got_group));
    ok(store_group_default(tx, ACCOUNT, REGION, &got_group));
    assert_int_equal(store_group_default(tx, STR("x"), REGION, &got_group), -E_NOT_FOUND);
    ok(store_group_join(tx, STR("i-1"), STR("sg-1")));
    ok(store_group_join(tx, STR("i-1"), STR("sg-1")));
    ok(store_group_join(tx, STR("i-1"), STR("sg-2")));
    ok(store_group_of_instance(tx, STR("i-1"), &groups));
    assert_int_equal(groups.count, 2);
    assert_same(groups.items[1], STR("sg-2"));
    ok(store_group_leave_all(tx, STR("i-1")));
    ok(store_group_of_instance(tx, STR("i-1"), &groups));
    assert_int_equal(groups.count, 0);
    ok(store_address_take(tx, STR("public"), STR("198.18.0.1"), STR("i-1")));
    assert_int_equal(store_address_take(tx, STR("public"), STR("198.18.0.1"), STR("i-2")),
                     -E_EXISTS);
    ok(store_address_take(tx, STR("vsw-1"), STR("198.18.0.1"), STR("i-2")));
    ok(store_address_free(tx, STR("public"), STR("198.18.0.1")));
    ok(store_address_take(tx, STR("public"), STR("198.18.0.1"), STR("i-2")));
    ok(store_number_get(tx, STR("cursor"), &number));
    assert_int_equal(number, 0);
    ok(store_number_set(tx, STR("cursor"), 5));
    ok(store_number_set(tx, STR("cursor"), 6));
    ok(store_number_get(tx, STR("cursor"), &number));
    assert_int_equal(number, 6);
    return 0;
}

static void test_network(void **state)
{
    (void)state;
    in_write(network_body);
}

/* ── tags ── */

static int tag_body(struct tx *tx, struct fixture *f)
{
    static const struct tag tags[] = {
        {STR_INIT("i-1"), STR_INIT("instance"), STR_INIT("A"), STR_INIT("env"), STR_INIT("prod")},
        {STR_INIT("i-1"), STR_INIT("instance"), STR_INIT("A"), STR_INIT("team"), STR_INIT("")},
        {STR_INIT("i-2"), STR_INIT("instance"), STR_INIT("A"), STR_INIT("env"), STR_INIT("test")},
        {STR_INIT("d-1"), STR_INIT("disk"), STR_INIT("A"), STR_INIT("env"), STR_INIT("prod")},
        {STR_INIT("i-3"), STR_INIT("instance"), STR_INIT("B"), STR_INIT("env"), STR_INIT("prod")},
    };
    const struct tag env_any = {.key = STR("env")};
    const struct tag env_prod = {.key = STR("env"), .value = STR("prod")};
    struct tag *got = NULL;
    size_t count = 0;
    struct str next;

    (void)f;
    for (size_t i = 0; i < countof(tags); i++)
        ok(store_tag_put(tx, &tags[i]));
    ok(store_tag_of_resource(tx, STR("i-1"), &got, &count));
    assert_int_equal(count, 2);
    assert_same(got[1].value, STR(""));
    struct tag changed = tags[0];
    changed.value = STR("prod2");
    ok(store_tag_put(tx, &changed));
    ok(store_tag_of_resource(tx, STR("i-1"), &got, &count));
    assert_int_equal(count, 2);
    assert_same(got[0].value, STR("prod2"));
    ok(store_tag_put(tx, &tags[0]));

    ok(store_tag_find(tx, STR("A"), STR("instance"), NULL, NULL, 0, STR_NONE, 2, &got, &count,
                      &next));
    assert_int_equal(count, 2);
    assert_same(got[0].resource_id, STR("i-1"));
    assert_non_null(next.ptr);
    ok(store_tag_find(tx, STR("A"), STR("instance"), NULL, NULL, 0, next, 2, &got, &count, &next));
    assert_int_equal(count, 1);
    assert_same(got[0].resource_id, STR("i-2"));
    assert_null(next.ptr);
    ok(store_tag_find(tx, STR("A"), STR("instance"), NULL, &env_prod, 1, STR_NONE, 9, &got, &count,
                      &next));
    assert_int_equal(count, 2); /* both tags of i-1 */
    ok(store_tag_find(tx, STR("A"), STR("instance"), NULL, &env_any, 1, STR_NONE, 9, &got, &count,
                      &next));
    assert_int_equal(count, 3);
    struct str_list ids = {(struct str[]){STR("i-3"), STR("i-2"), STR("i-9")}, 3};
    ok(store_tag_find(tx, STR("A"), STR("instance"), &ids, NULL, 0, STR_NONE, 9, &got, &count,
                      &next));
    assert_int_equal(count, 1); /* i-3 is another account's */
    ok(store_tag_delete(tx, STR("i-1"), STR("env")));
    ok(store_tag_of_resource(tx, STR("i-1"), &got, &count));
    assert_int_equal(count, 1);
    ok(store_tag_delete(tx, STR("i-1"), STR_NONE));
    ok(store_tag_of_resource(tx, STR("i-1"), &got, &count));
    assert_int_equal(count, 0);
    return 0;
}

static void test_tag(void **state)
{
    (void)state;
    in_write(tag_body);
}

/* ── segments ── */

static int segment_body(struct tx *tx, struct fixture *f)
{
    struct instance inst = fixture_instance(f);
    struct segment *got = NULL;
    size_t count = 0;

    ok(store_segment_switch(tx, &inst, -1, 5)); /* nothing to close */
    ok(store_segment_switch(tx, &inst, BILLING_MODE_RUNNING, 100));
    ok(store_segment_switch(tx, &inst, BILLING_MODE_KEPT, 100)); /* of no length: not kept */
    ok(store_segment_switch(tx, &inst, BILLING_MODE_FREE, 150));
    ok(store_segment_switch(tx, &inst, BILLING_MODE_RUNNING, 140)); /* the clock went back */
    ok(store_segment_switch(tx, &inst, BILLING_MODE_KEPT, 200));
    ok(store_segment_switch(tx, &inst, -1, 300));
    ok(store_segment_switch(tx, &inst, -1, 400));
    ok(store_segment_list(tx, inst.id, &got, &count));
    assert_int_equal(count, 3);
    assert_int_equal(got[0].mode, BILLING_MODE_KEPT);
    assert_int_equal(got[1].mode, BILLING_MODE_RUNNING);
    assert_int_equal(got[2].mode, BILLING_MODE_KEPT);
    assert_int_equal(got[0].start_us, 100);
    assert_int_equal(got[2].end_us, 300);
    for (size_t i = 1; i < count; i++)
        assert_int_equal(got[i].start_us, got[i - 1].end_us); /* law 7 */
    return 0;
}

/* One that was there for no time at all is still on the bill. */
static int brief_life_body(struct tx *tx, struct fixture *f)
{
    struct instance inst = fixture_instance(f);
    struct segment *got = NULL;
    size_t count = 0;

    ok(store_segment_switch(tx, &inst, BILLING_MODE_KEPT, 100));
    ok(store_segment_switch(tx, &inst, -1, 100));
    ok(store_segment_list(tx, inst.id, &got, &count));
    assert_int_equal(count, 1);
    assert_int_equal(got[0].start_us, 100);
    assert_int_equal(got[0].end_us, 100);
    return 0;
}

static int latest_segments_body(struct tx *tx, struct fixture *f)
{
    struct instance older = fixture_instance(f);
    struct instance newer = fixture_instance(f);
    struct segment *got = NULL;
    size_t count = 0;

    ok(store_segment_switch(tx, &newer, BILLING_MODE_RUNNING, 10));
    ok(store_segment_switch(tx, &older, BILLING_MODE_RUNNING, 20));
    ok(store_segment_switch(tx, &older, BILLING_MODE_KEPT, 30));
    ok(store_segment_latest(tx, STR_NONE, 0, 2, &got, &count));
    assert_int_equal(count, 2);
    assert_same(got[0].instance_id, newer.id);
    assert_same(got[1].instance_id, older.id);
    assert_int_equal(got[1].start_us, 30);
    ok(store_segment_latest(tx, older.id, 30, 2, &got, &count));
    assert_int_equal(count, 1);
    assert_int_equal(got[0].start_us, 20);
    return 0;
}

static void test_segment(void **state)
{
    (void)state;
    in_write(segment_body);
    in_write(brief_life_body);
    in_write(latest_segments_body);
}

/* ── events ── */

static int event_body(struct tx *tx, struct fixture *f)
{
    struct event *got = NULL;
    size_t count = 0;

    for (int i = 0; i < 4; i++) {
        struct event event = {.time_us = tx_now(tx),
                              .kind = EVENT_KIND_STATE,
                              .instance_id = i % 2 ? STR("i-1") : STR("i-2"),
                              .to_state = STR("Stopped")};

        ok(store_event_add(tx, &event));
    }
    ok(store_event_list(tx, 0, STR_NONE, 3, &got, &count));
    assert_int_equal(count, 3);
    assert_true(got[0].id < got[1].id && got[1].id < got[2].id);
    ok(store_event_list(tx, got[2].id, STR_NONE, 3, &got, &count));
    assert_int_equal(count, 1);
    ok(store_event_list(tx, 0, STR("i-1"), 9, &got, &count));
    assert_int_equal(count, 2);
    assert_same(got[0].to_state, STR("Stopped"));
    ok(store_event_purge(tx, got[1].id, 9));
    ok(store_event_list(tx, 0, STR_NONE, 9, &got, &count));
    assert_int_equal(count, 1);

    struct system_event_filter filter = {.account_id = ACCOUNT, .region_id = REGION};
    struct page page = {.limit = 1, .count = true};
    struct system_event_list list;
    for (int i = 0; i < 3; i++) {
        struct system_event event = {.id = env_id(f->env, &f->arena, "e-"),
                                     .account_id = ACCOUNT,
                                     .region_id = REGION,
                                     .instance_id = i ? STR("i-1") : STR("i-2"),
                                     .cycle_status = STR("Executed"),
                                     .type = i == 2 ? STR("SystemFailure.Stop")
                                                    : STR("InstanceFailure.Reboot"),
                                     .published_us = 100 * (i + 1)};

        ok(store_system_event_add(tx, &event));
    }
    ok(store_system_event_find(tx, &filter, &page, &list));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.total, 3);
    assert_same(list.items[0].type, STR("SystemFailure.Stop"));
    filter.instance_id = STR("i-1");
    filter.types = &(struct str_list){(struct str[]){STR("InstanceFailure.Reboot")}, 1};
    ok(store_system_event_find(tx, &filter, &page, &list));
    assert_int_equal(list.total, 1);
    filter.published_until_us = 150;
    ok(store_system_event_find(tx, &filter, &page, &list));
    assert_int_equal(list.total, 0);
    return 0;
}

static void test_event(void **state)
{
    (void)state;
    in_write(event_body);
}

/* ── gateway rows ── */

static int token_body(struct tx *tx, struct fixture *f)
{
    struct client_token token = {.account_id = ACCOUNT,
                                 .action = STR("RunInstances"),
                                 .token = STR("t1"),
                                 .digest = STR("d1"),
                                 .reply = STR("i-1,i-2"),
                                 .expires_us = tx_now(tx) + 1000};
    struct client_token *got = NULL;

    (void)f;
    assert_int_equal(store_token_get(tx, ACCOUNT, token.action, token.token, &got), -E_NOT_FOUND);
    ok(store_token_put(tx, &token));
    assert_int_equal(store_token_put(tx, &token), -E_EXISTS);
    ok(store_token_get(tx, ACCOUNT, token.action, token.token, &got));
    assert_same(got->reply, token.reply);
    assert_int_equal(store_token_get(tx, STR("x"), token.action, token.token, &got), -E_NOT_FOUND);
    token.token = STR("t2");
    token.expires_us = tx_now(tx);
    ok(store_token_put(tx, &token)); /* expired at once */
    assert_int_equal(store_token_get(tx, ACCOUNT, token.action, token.token, &got), -E_NOT_FOUND);
    token.digest = STR("d2");
    token.expires_us = tx_now(tx) + 1;
    ok(store_token_put(tx, &token)); /* replaces it */
    ok(store_token_purge(tx, tx_now(tx) + 1, 10));
    assert_int_equal(store_token_get(tx, ACCOUNT, token.action, token.token, &got), -E_NOT_FOUND);
    ok(store_token_get(tx, ACCOUNT, token.action, STR("t1"), &got));
    return 0;
}

static void test_token(void **state)
{
    (void)state;
    in_write(token_body);
}

struct nonce {
    const char *text;
    usec_t stamp;
    usec_t expires;
    usec_t purge; /* instead: purge at this time */
};

static int nonce_run(struct tx *tx, void *arg)
{
    const struct nonce *nonce = arg;

    if (nonce->purge)
        return store_nonce_purge(tx, nonce->purge, 100);
    return store_nonce_put(tx, STR("key"), str_from(nonce->text), nonce->stamp, nonce->expires);
}

static int put(struct fixture *f, const char *text, usec_t stamp, usec_t expires)
{
    struct nonce nonce = {.text = text, .stamp = stamp, .expires = expires};

    return store_write(f->store, nonce_run, &nonce);
}

static void test_nonce(void **state)
{
    struct fixture f;
    struct nonce purge = {.purge = 0};

    (void)state;
    fixture_init(&f);
    f.env = env_free(f.env);
    f.env = env_new_virtual(1000 * USEC_PER_SEC);
    fixture_open_with(&f, conform_driver);
    usec_t now = env_now(f.env);
    assert_int_equal(put(&f, "a", now, now + 10 * USEC_PER_SEC), 0);
    assert_int_equal(put(&f, "b", now, now + 99 * USEC_PER_SEC), 0);
    assert_int_equal(put(&f, "a", now, now + 10 * USEC_PER_SEC), -E_EXISTS);
    assert_int_equal(put(&f, "a", now + 5, now + 15 * USEC_PER_SEC),
                     -E_EXISTS); /* under another stamp, too */
    f.store = store_close(f.store);
    fixture_open_with(&f, conform_driver); /* remembered over a restart */
    assert_int_equal(put(&f, "a", now, now + 10 * USEC_PER_SEC), -E_EXISTS);
    env_advance(f.env, 11 * USEC_PER_SEC);
    assert_int_equal(put(&f, "a", now, now + 30 * USEC_PER_SEC), 0); /* expired */
    assert_int_equal(put(&f, "b", now, now + 99 * USEC_PER_SEC), -E_EXISTS);
    purge.purge = now + 200 * USEC_PER_SEC;
    assert_int_equal(store_write(f.store, nonce_run, &purge), 0);
    f.store = store_close(f.store);
    fixture_open_with(&f, conform_driver);
    /* Forgotten: what is as old is not taken any more. */
    assert_int_equal(put(&f, "b", now, now + 99 * USEC_PER_SEC), -E_EXISTS);
    assert_int_equal(put(&f, "b", now + 1, now + 99 * USEC_PER_SEC), 0);
    fixture_done(&f);
}

#include "conform/store_image.c"
#include "conform/store_command.c"
#include "conform/store_deployment_set.c"

/* ── opening ── */

static void test_open(void **state)
{
    struct fixture f;
    struct store_settings settings = {.cache_mib = 1, .checkpoint_ms = 100};
    struct fail why;
    struct store *second = NULL;
    struct instance inst;
    struct body body = {&f, instance_body};

    (void)state;
    fixture_init(&f);
    settings.env = f.env;
    fail_init(&why, &f.arena);
    fixture_open_with(&f, conform_driver);
    assert_int_equal(store_open_with(conform_driver, f.path, &settings, &why, &second), -E_BUSY);
    assert_true(str_contains(why.message, arena_printf(&f.arena, "%ld", (long)getpid())));
    assert_int_equal(store_open("mysql:x", &settings, &why, &second), -E_INVALID);
    assert_int_equal(store_open("sqlite:/nonexistent-folder/x.db", &settings, &why, &second),
                     -E_IO);
    assert_true(str_contains(why.message, STR("/nonexistent-folder")));
    f.store = store_close(f.store);
    fixture_open_with(&f, conform_driver); /* the same schema again */
    ok(store_write(f.store, body_run, &body));
    inst = fixture_instance(&f);
    assert_int_equal(inst.version, 1);
    fixture_done(&f);
}

static int conform_store(const char *name, const struct db_driver *driver)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),         cmocka_unit_test(test_instance),
        cmocka_unit_test(test_engine_lists), cmocka_unit_test(test_count_of_an_account), cmocka_unit_test(test_job),
        cmocka_unit_test(test_tenant),       cmocka_unit_test(test_host),
        cmocka_unit_test(test_disk),         cmocka_unit_test(test_network),
        cmocka_unit_test(test_tag),          cmocka_unit_test(test_segment),
        cmocka_unit_test(test_event),        cmocka_unit_test(test_token),
        cmocka_unit_test(test_nonce),        cmocka_unit_test(test_image),
        cmocka_unit_test(test_key_pair), cmocka_unit_test(test_deployment_set),
        cmocka_unit_test(test_nonce),        cmocka_unit_test(test_command),
        cmocka_unit_test(test_invocation),
    };

    conform_driver = driver;
    fault_set(0, 0, false);
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
