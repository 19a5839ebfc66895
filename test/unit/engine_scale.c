/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ten thousand hosts: what a call costs does not grow with them. Time tells nothing here, so the steps of SQLite's machine are counted,
 * over whatever statements a call runs; bench/fleet.py measures the rest.
 */
#include "engine/lease.h"
#include "unit/engine_world.h"

#include <sqlite3.h>

#define MANY 10000
#define FEW 10
#define ZONE STR("cn-hangzhou-h")

/* ── counting ── */

static int64_t steps;

static int add_steps(unsigned type, void *arg, void *stmt, void *took_ns)
{
    (void)type;
    (void)arg;
    (void)took_ns;
    steps += sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
    return 0;
}

/* For each database that is opened from now on. */
static int count_steps(sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
    (void)error;
    (void)api;
    return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, add_steps, NULL);
}

static int watch_sqlite(void **state)
{
    (void)state;
    log_threshold = LOG_ERROR; /* a line for each stray */
    return sqlite3_auto_extension((void (*)(void))count_steps) == SQLITE_OK ? 0 : -1;
}

/* ── worlds ── */

static int put_hosts(struct tx *tx, void *arg)
{
    int count = *(int *)arg;
    int r = 0;

    for (int i = 0; r == 0 && i < count; i++) {
        struct host host = {.id = arena_printf(tx_arena(tx), "h-%05d", i),
                            .url = STR("sim:"),
                            .region_id = STR("cn-hangzhou"),
                            .zone_id = ZONE,
                            .state = HOST_STATE_UP,
                            .vcpus = 64,
                            .memory_mib = (64 + i % 7) * 1024};

        r = store_host_insert(tx, &host);
    }
    return r;
}

static int remove_first_host(struct tx *tx, void *arg)
{
    (void)arg;
    return store_host_delete(tx, STR("host-1"));
}

/* The world's own host would be the best of all. */
static struct world *open_fleet(int hosts)
{
    struct world *world = world_open();

    assert_int_equal(store_write(world->store, remove_first_host, NULL), 0);
    assert_int_equal(store_write(world->store, put_hosts, &hosts), 0);
    return world;
}

/* ── placing ── */

struct placing {
    struct world *world;
    struct str zone_id;
    int64_t steps;
    struct str first; /* host */
};

/* As a RunInstances of a hundred does: all in one write. Were every host read for each, no arena would have room for that. */
static int place_hundred(struct tx *tx, void *arg)
{
    struct placing *placing = arg;
    int r = 0;

    steps = 0;
    for (int i = 0; r == 0 && i < 100; i++) {
        struct instance inst = {
            .region_id = STR("cn-hangzhou"), .zone_id = placing->zone_id, .type_id = STR("ecs.t5-lc1m1.small")};

        r = holdings_place(tx, &inst, &inst, &placing->world->fail);
        if (i == 0)
            placing->first = arena_str(&placing->world->arena, inst.host_id);
    }
    placing->steps = steps;
    return r;
}

static int64_t steps_of_placing(int hosts, struct str zone_id)
{
    struct placing placing = {.world = open_fleet(hosts), .zone_id = zone_id};

    assert_int_equal(store_write(placing.world->store, place_hundred, &placing), 0);
    assert_str(placing.first, "h-00006"); /* the first with the most memory */
    world_close(placing.world);
    return placing.steps;
}

static void a_placement_looks_at_few_hosts(void **state)
{
    const struct str zones[] = {ZONE, STR_NONE};

    (void)state;
    for (size_t i = 0; i < countof(zones); i++) {
        int64_t few = steps_of_placing(FEW, zones[i]);
        int64_t many = steps_of_placing(MANY, zones[i]);

        assert_true(few > 100);
        if (many > few * 3 / 2)
            fail_msg("%lld steps among %d hosts, %lld among %d", (long long)few, FEW, (long long)many, MANY);
    }
}

/* ── taking hosts over ── */

struct crowd {
    int64_t instances;
    int64_t jobs; /* of the first of them */
    int64_t made;
    int64_t steps;
};

static int put_crowd(struct tx *tx, void *arg)
{
    struct crowd *crowd = arg;
    int r = 0;

    for (int64_t n = 0; r == 0 && n < crowd->instances; n++) {
        struct instance inst = {.id = arena_printf(tx_arena(tx), "i-%06lld", (long long)n),
                                .account_id = ACCOUNT,
                                .region_id = STR("cn-hangzhou"),
                                .host_id = STR("h-00001"),
                                .type_id = STR("ecs.t5-lc1m1.small"),
                                .state = INSTANCE_STATE_STOPPED};
        struct job job = {.id = n + 1, .kind = JOB_KIND_STOP, .instance_id = inst.id, .holder = STR("gone"), .epoch = 1};

        r = store_instance_insert(tx, &inst);
        if (r == 0 && n < crowd->jobs)
            r = store_job_insert(tx, &job);
    }
    return r;
}

static int poke(struct tx *tx, void *arg)
{
    struct crowd *crowd = arg;
    int r;

    steps = 0;
    r = store_job_poke_unheld(tx, STR("gone"), 1);
    crowd->steps = steps;
    return r;
}

static int64_t steps_of_poking(int64_t instances)
{
    struct crowd crowd = {.instances = instances, .jobs = 20};
    struct world *world = open_fleet(FEW);

    assert_int_equal(store_write(world->store, put_crowd, &crowd), 0);
    assert_int_equal(store_write(world->store, poke, &crowd), 0);
    world_close(world);
    return crowd.steps;
}

static void a_takeover_looks_at_jobs_only(void **state)
{
    int64_t few = steps_of_poking(50);
    int64_t many = steps_of_poking(5000);

    (void)state;
    assert_true(few > 20);
    assert_int_equal(many, few);
}

struct member {
    struct engine *engine;
    int64_t held;
};

static int take_all(struct tx *tx, void *arg)
{
    struct member *member = arg;

    return chore_rows[CHORE_LEASE].apply(tx, member->engine);
}

static int end_local(struct tx *tx, void *arg)
{
    (void)arg;
    return store_node_end(tx, STR("local"), 1);
}

/* One node has them all, then gives half to another that has come, and forgets what it had in mind of these. */
static void a_node_takes_and_gives_thousands(void **state)
{
    struct world *world = open_fleet(MANY);
    struct engine_settings settings = {.store = world->store,
                                       .hypervisor = world->hv,
                                       .env = world->env,
                                       .options = &world->options.values,
                                       .shared = true};
    struct member members[2] = {{.engine = NULL}};

    (void)state;
    assert_int_equal(store_write(world->store, end_local, NULL), 0);
    for (int i = 0; i < 2; i++) {
        settings.node = i == 0 ? STR("a") : STR("b");
        assert_int_equal(engine_open(&settings, &world->fail, &members[i].engine), 0);
        assert_int_equal(engine_recover(members[i].engine, &world->fail), 0);
        for (int round = 0; round < 3; round++) /* is to leave, leaves, is taken */
            for (int k = 0; k <= i; k++) {
                assert_int_equal(store_write(world->store, take_all, &members[k]), 0);
                chore_rows[CHORE_LEASE].done(members[k].engine, 0);
                members[k].held = metric_get(METRIC_HOSTS_HELD);
            }
        assert_int_equal(members[0].held, i == 0 ? MANY : MANY / 2);
    }
    assert_int_equal(members[1].held, MANY / 2);
    for (int i = 0; i < 2; i++)
        members[i].engine = engine_close(members[i].engine);
    world_close(world);
}

/* ── taking jobs up ── */

static int64_t steps_of_recovery(int64_t jobs)
{
    struct crowd crowd = {.instances = jobs, .jobs = jobs};
    struct world *world = open_fleet(FEW);
    int64_t before;

    assert_int_equal(store_write(world->store, put_crowd, &crowd), 0);
    before = metric_get(METRIC_JOB_TAKEOVERS);
    steps = 0;
    do {
        world->engine->chores[CHORE_CLAIM].due_us = env_now(world->env);
        (void)engine_tick(world->engine);
        (void)store_run_once(world->store);
    } while (world->engine->chores[CHORE_CLAIM].due_us <= env_now(world->env));
    assert_int_equal(metric_get(METRIC_JOB_TAKEOVERS) - before, jobs);
    world_close(world);
    return steps;
}

static void jobs_are_looked_at_once_each(void **state)
{
    int64_t few = steps_of_recovery(1024);
    int64_t many = steps_of_recovery(8192);

    (void)state;
    if (many > few * 10)
        fail_msg("%lld steps for 1024 jobs, %lld for 8192", (long long)few, (long long)many);
}

/* ── comparing ── */

static void define_at(struct world *world, int host, int n)
{
    char host_id[32];
    char id[32];
    struct machine_spec spec = {.vcpus = 1, .memory_mib = 1024};

    (void)snprintf(host_id, sizeof(host_id), "h-%05d", host);
    (void)snprintf(id, sizeof(id), "i-%05d-%05d", host, n);
    spec.id = str_from(id);
    assert_int_equal(world->hv->ops->define(world->hv, str_from(host_id), &spec, &world->fail), 0);
}

/* A machine that the store doesn't know is looked at, whatever their number: not all of their names are in memory at once. */
static void strays_of_a_lost_store_are_many(void **state)
{
    struct world *world = open_fleet(300);

    (void)state;
    world_settle(world);
    chore_rows[CHORE_HOSTS].work(world->engine, &world->arena);
    for (int host = 0; host < 300; host++)
        for (int n = 0; n < 500; n++)
            define_at(world, host, n);
    world_pass(world, world->options.values.engine_reconcile_s * USEC_PER_SEC + USEC_PER_SEC);
    assert_null(world->engine->reconcile); /* it went through */
    assert_int_equal(metric_get(METRIC_RECONCILE_REPAIRS), 0);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_placement_looks_at_few_hosts),
        cmocka_unit_test(a_takeover_looks_at_jobs_only),
        cmocka_unit_test(a_node_takes_and_gives_thousands),
        cmocka_unit_test(jobs_are_looked_at_once_each),
        cmocka_unit_test(strays_of_a_lost_store_are_many),
    };

    return cmocka_run_group_tests(tests, watch_sqlite, NULL);
}
