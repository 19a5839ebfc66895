/* SPDX-License-Identifier: Apache-2.0 */
/* What operators are told: may calls be sent here, how far is a job; and the clock that they may move. */
#include "engine/active.h"
#include "unit/engine_faulty.h"

#define TYPE "ecs.g6.large"
#define LATEST_US (INT64_C(253402300799) * USEC_PER_SEC)

static void every_step_has_a_name(void **arg)
{
    (void)arg;
    assert_string_equal(engine_step_name(JOB_KIND_STOP, 0), "press");
    assert_string_equal(engine_step_name(JOB_KIND_STOP, 5), "stopped");
    assert_string_equal(engine_step_name(JOB_KIND_DELETE_DISK, 0), "delete");
    for (int kind = 0; kind < JOB_KIND_COUNT; kind++) {
        int64_t step = 0;

        while (strcmp(engine_step_name(kind, step), "?") != 0)
            step++;
        assert_true(step > 0 && step < 20);
        assert_string_equal(engine_step_name(kind, -1), "?"); /* a row of another version */
    }
}

static void assert_unready(struct world *world, const char *why)
{
    const char *told = engine_unready(world->engine);

    if (!why)
        assert_null(told);
    else if (!told || strcmp(told, why) != 0)
        fail_msg("\"%s\" is not \"%s\"", told ? told : "ready", why);
}

/* The next renewal of the lease succeeds. */
static void until_renewed(struct world *world)
{
    world_pass(world, world->options.values.engine_lease_s * USEC_PER_SEC);
}

static int save_it(struct tx *tx, void *arg)
{
    struct str *id = arg;
    struct instance *inst;
    int r = store_instance_get(tx, *id, &inst);

    return r < 0 ? r : store_instance_save(tx, inst);
}

static void a_write_that_failed_is_told_until_one_goes_through(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    bool failed = false;

    (void)arg;
    until_renewed(world);
    assert_unready(world, NULL);
    for (int64_t at = 1; !failed; at++) { /* COMMIT is one of the calls */
        int64_t before = metric_get(METRIC_COMMITS_FAILED);
        int r;

        assert_true(at < 40);
        fault_set(at, E_IO, false);
        r = store_write(world->store, save_it, &id);
        assert_int_equal(r, fault_get().hit ? -E_IO : 0);
        fault_set(0, 0, false);
        failed = metric_get(METRIC_COMMITS_FAILED) != before;
    }
    assert_unready(world, "the store refused the latest write");
    until_renewed(world);
    assert_unready(world, NULL);
    world_close(world);
}

static void a_lease_that_runs_out_is_told(void **arg)
{
    struct world *world = world_open();

    (void)arg;
    until_renewed(world);
    env_advance(world->env, 2 * world->options.values.engine_lease_s * USEC_PER_SEC); /* nobody renews it */
    assert_unready(world, "the lease of this node has run out");
    world_pass(world, SECONDS(1));
    assert_unready(world, NULL);
    world_close(world);
}

static void a_lease_that_can_not_be_renewed_is_told(void **arg)
{
    struct world *world = world_open();
    usec_t until = env_now(world->env) + 2 * world->options.values.engine_lease_s * USEC_PER_SEC;
    const char *why = NULL;

    (void)arg;
    until_renewed(world);
    while (!why && env_now(world->env) < until) {
        fault_set(1, E_NO_SPACE, false);
        (void)world_settle(world);
        fault_set(0, 0, false);
        why = engine_unready(world->engine);
        env_advance(world->env, SECONDS(1));
    }
    assert_non_null(why);
    assert_true(strcmp(why, "E_NO_SPACE") == 0 || strcmp(why, "the store refused the latest write") == 0);
    until_renewed(world);
    assert_unready(world, NULL);
    world_close(world);
}

/* The row of a job is written when it begins and ends, and when it fails in a new way. */
static void a_job_is_shown_where_it_stands(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    struct job job = {0};
    struct tx *tx;
    struct job *row;

    (void)arg;
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, (struct stop_order){0}), 0);
    world_pass(world, SECONDS(1));
    tx = store_read_begin(world->store);
    assert_int_equal(store_job_get(tx, world_instance(world, id)->job_id, &row), 0);
    job = *row;
    job.instance_id = id;
    store_read_end(tx);
    job.step = 77;
    job.attempts = 77;
    engine_job_progress(world->engine, &job);
    assert_string_equal(engine_step_name(job.kind, job.step), "press");
    assert_int_equal(job.attempts, 0);
    job.id++; /* nobody's */
    job.step = 77;
    engine_job_progress(world->engine, &job);
    assert_int_equal(job.step, 77);
    world_close(world);
}

static int64_t clock_of(struct world *world)
{
    struct tx *tx = store_read_begin(world->store);
    int64_t stored = 0;

    assert_int_equal(store_number_get(tx, STR("clock_us"), &stored), 0);
    store_read_end(tx);
    return stored;
}

/* A world whose clock operators move. */
static struct world *virtual_world(void)
{
    struct world *world = world_open();
    usec_t now = env_now(world->env);

    world_kill(world);
    (void)env_free(world->env);
    world->env = env_new_virtual(now);
    world_up(world);
    return world;
}

static void the_clock_moves_when_the_store_has_it(void **arg)
{
    struct world *world = virtual_world();
    usec_t start = env_now(world->env);
    int64_t at = 0;
    int r;

    (void)arg;
    do {
        fault_set(++at, E_IO, false);
        r = engine_clock_advance(world->engine, SECONDS(60), STR("request-1"));
        if (fault_get().hit) {
            assert_int_equal(r, -E_IO);
            assert_int_equal(env_now(world->env), start);
        }
        fault_set(0, 0, false);
        assert_true(at < 100);
    } while (r < 0);
    assert_true(at > 3);
    assert_int_equal(env_now(world->env), start + SECONDS(60));
    assert_int_equal(clock_of(world), start + SECONDS(60));
    assert_int_equal(world_events(world, STR_NONE, EVENT_KIND_CLOCK, "advanced by 60 s"), 1);
    assert_int_equal(engine_clock_advance(world->engine, LATEST_US - env_now(world->env) + 1, STR("request-2")), -E_INVALID);
    assert_int_equal(env_now(world->env), start + SECONDS(60));
    world_close(world);
}

static void the_clock_does_not_go_back_at_a_restart(void **arg)
{
    struct world *world = virtual_world();
    usec_t start = env_now(world->env);
    struct env *env;

    (void)arg;
    assert_int_equal(engine_clock_advance(world->engine, SECONDS(3600), STR("request-1")), 0);
    env = env_new_virtual(start);
    fault_set(1, E_IO, false);
    assert_int_equal(engine_clock_restore(world->store, env), -E_IO);
    fault_set(0, 0, false);
    assert_int_equal(env_now(env), start);
    assert_int_equal(engine_clock_restore(world->store, env), 0);
    assert_int_equal(env_now(env), start + SECONDS(3600));
    (void)env_free(env);
    env = env_new_virtual(start + SECONDS(7200)); /* the real time is later by now */
    assert_int_equal(engine_clock_restore(world->store, env), 0);
    assert_int_equal(env_now(env), start + SECONDS(7200));
    (void)env_free(env);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_has_a_name),
        cmocka_unit_test(a_write_that_failed_is_told_until_one_goes_through),
        cmocka_unit_test(a_lease_that_runs_out_is_told),
        cmocka_unit_test(a_lease_that_can_not_be_renewed_is_told),
        cmocka_unit_test(a_job_is_shown_where_it_stands),
        cmocka_unit_test(the_clock_moves_when_the_store_has_it),
        cmocka_unit_test(the_clock_does_not_go_back_at_a_restart),
    };

    log_threshold = (enum log_level)0; /* failures are what it is about */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
