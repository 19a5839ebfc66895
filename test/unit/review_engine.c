/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to break the promise that were looked for, and found closed or closed since: races of orders, records, events. */
#include "unit/engine_world.h"

#include "engine/active.h"

static const struct stop_order graceful = {.stopped_mode = STOPPED_MODE_KEEP_CHARGING};
static const struct stop_order forced = {.force = true, .stopped_mode = STOPPED_MODE_KEEP_CHARGING};

/* An order that waits in the writer's queue, as one of a client does while a batch is being flushed. */
struct queued {
    struct write write;
    struct ordered ordered;
    int result;
};

static int queued_run(struct tx *tx, struct write *write)
{
    return order_run(tx, &container_of(write, struct queued, write)->ordered);
}

static void queued_done(struct write *write, int result)
{
    container_of(write, struct queued, write)->result = result;
}

static void queue_order(struct world *world, struct queued *queued, struct ordered ordered)
{
    *queued = (struct queued){.write = {.run = queued_run, .done = queued_done}, .ordered = ordered, .result = 1};
    queued->ordered.world = world;
    assert_int_equal(store_submit(world->store, &queued->write), 0);
}

static struct job job_of(struct world *world, struct str id)
{
    struct tx *tx = store_read_begin(world->store);
    struct job_list jobs;
    struct job found = {0};

    assert_int_equal(store_job_find(tx, -1, 0, 100, &jobs), 0);
    for (size_t i = 0; i < jobs.count && found.id == 0; i++)
        if (str_eq(jobs.items[i].instance_id, id))
            found = jobs.items[i];
    store_read_end(tx);
    assert_true(found.id != 0);
    return found;
}

/* A job that has something to write has submitted it, and it is not written yet. */
static void until_submitted(struct world *world)
{
    usec_t sim = sim_advance(world->sim);
    usec_t next = engine_run_due(world->engine);

    while (store_queue_length(world->store) == 0) {
        env_advance(world->env, MAX_OF(MIN_OF(sim, next) - env_now(world->env), 1));
        sim = sim_advance(world->sim);
        next = engine_run_due(world->engine);
    }
}

/* The forced stop got its 200: a revert that was decided before must not undo it. */
static void an_accepted_force_beats_a_revert(void **arg)
{
    struct world *world = world_open();
    struct queued force;
    struct str id;

    (void)arg;
    world_set(world, "stop.on_timeout", "revert");
    world_set(world, "stop.force_overtakes", "true");
    world_set(world, "stop.graceful_timeout_s", "10");
    id = world_launch(world, "ecs.g6.large");
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_pass(world, SECONDS(10) - 1);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    env_advance(world->env, 1);
    queue_order(world, &force, (struct ordered){.kind = ORDER_STOP, .id = id, .stop = forced});
    (void)engine_run_due(world->engine); /* the deadline: the revert is in the queue, behind the order */
    (void)store_run_once(world->store);
    assert_int_equal(force.result, 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_int_equal(world_machine(world, id), MACHINE_OFF);
    assert_int_equal(job_of(world, id).state, JOB_STATE_DONE);
    world_close(world);
}

/* Law 4, in the row as well: what a job saves at its end does not move it back. */
static void the_row_of_an_overtaken_job_keeps_the_earlier_deadline(void **arg)
{
    struct world *world = world_open();
    struct queued force;
    struct str id;
    usec_t at;

    (void)arg;
    world_set(world, "stop.force_overtakes", "true");
    id = world_launch(world, "ecs.g6.large");
    assert_int_equal(world_stop(world, id, graceful), 0);
    (void)engine_run_due(world->engine); /* pressed */
    while (store_run_once(world->store) > 0)
        ;
    env_advance(world->env, SECONDS(3)); /* the guest is off */
    at = env_now(world->env);
    queue_order(world, &force, (struct ordered){.kind = ORDER_STOP, .id = id, .stop = forced});
    (void)sim_advance(world->sim);
    (void)engine_run_due(world->engine);
    while (store_run_once(world->store) > 0)
        ;
    assert_int_equal(force.result, 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_true(job_of(world, id).deadline_us <= at);
    world_close(world);
}

/* The guest goes off while `Running` is being written: nobody tells us a second time. */
static void an_event_during_the_last_record_is_not_lost(void **arg)
{
    struct world *world = world_open();
    struct str id = env_id(world->env, &world->arena, "i-");

    (void)arg;
    world_set(world, "engine.reconcile_s", "86400");
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_CREATE, .id = id, .type = "ecs.g6.large", .start = true}),
                     0);
    for (int i = 0; i < 1000 && world_machine(world, id) != MACHINE_RUNNING; i++) {
        while (store_run_once(world->store) > 0)
            ;
        until_submitted(world);
    }
    assert_int_equal(world_machine(world, id), MACHINE_RUNNING);
    (void)sim_advance(world->sim);
    (void)engine_run_due(world->engine);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STARTING);
    world_guest(world, id, "crash", "");
    (void)sim_advance(world->sim); /* the event comes while the job records */
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    world_check_segments(world, id, BILLING_MODE_KEPT);
    world_close(world);
}

static int newest_job(struct world *world, int64_t *ret)
{
    struct tx *tx = store_read_begin(world->store);
    struct job_list jobs = {0};
    int r = store_job_find(tx, -1, 0, 1, &jobs);

    *ret = jobs.count ? jobs.items[0].id : 0;
    store_read_end(tx);
    return r;
}

/* The clock was set back while we were down, or stands still as a virtual one does: numbers are not given twice. */
static void numbers_of_jobs_survive_a_clock_that_goes_back(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    int64_t before, after;

    (void)arg;
    assert_int_equal(newest_job(world, &before), 0);
    world_kill(world);
    world->env = env_free(world->env);
    world->env = env_new_seeded(43, before);
    world_up(world);
    assert_int_equal(world_stop(world, id, graceful), 0);
    assert_int_equal(newest_job(world, &after), 0);
    assert_true(after > before);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    world_close(world);
}

/* A deadline is absolute, the clock is not: one set back by an hour adds none to the wait. */
static void a_clock_set_back_does_not_prolong_a_stop(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    usec_t ordered_at;

    (void)arg;
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_pass(world, SECONDS(1));
    ordered_at = env_now(world->env);
    world_kill(world);
    world->env = env_free(world->env);
    world->env = env_new_seeded(43, ordered_at - SECONDS(3600));
    world_up(world);
    world_await(world, id, INSTANCE_STATE_STOPPED,
                SECONDS(world->options.values.stop_graceful_timeout_s) + SECONDS(30));
    world_check_segments(world, id, BILLING_MODE_KEPT);
    world_close(world);
}

/* The same while we run: the clocks of hosts and store go on, the engine's jumps back. */
static void a_clock_set_back_while_a_stop_waits(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct env *back;
    int waited_s = 0;

    (void)arg;
    world_set(world, "stop.graceful_timeout_s", "300");
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_pass(world, SECONDS(100));
    back = env_new_seeded(44, env_now(world->env) - SECONDS(3600));
    world->engine->env = back;
    for (; world_state(world, id) != INSTANCE_STATE_STOPPED && waited_s < 1000; waited_s++) {
        (void)world_settle(world);
        env_advance(back, SECONDS(1));
        env_advance(world->env, SECONDS(1));
    }
    assert_in_range(waited_s, 195, 205);
    world_check_segments(world, id, BILLING_MODE_KEPT);
    world_close(world);
    back = env_free(back);
}

static struct sim_disk disk_state(struct world *world, struct str id, const char *what)
{
    struct sim_disk disk;
    struct str disk_id = arena_printf(&world->arena, "d-%s-%.*s", what, STR_ARG(id));

    assert_int_equal(sim_disk_state(world->sim, STR("host-1"), id, disk_id, &disk), 0);
    return disk;
}

/* An economical stop takes the machine off its host; what is on its cloud disks is the customer's. */
static void cloud_disks_survive_an_economical_stop(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct stop_order economical = {.stopped_mode = STOPPED_MODE_STOP_CHARGING};
    struct sim_disk before;

    (void)arg;
    assert_int_equal(world_stop(world, id, economical), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_int_equal(world_machine(world, id), MACHINE_ABSENT);
    world_kill(world); /* also over a restart */
    world_up(world);
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    before = disk_state(world, id, "sys");
    assert_true(before.written);
    /* Two boots, one graceful shutdown in between: 1 + 1 + 1 pieces are on the medium. */
    assert_int_equal(before.durable, 3);
    assert_int_equal(disk_state(world, id, "data").durable, 3);
    world_close(world);
}

static size_t disks_kept(struct world *world, struct str id)
{
    size_t kept = 0;
    const char *const names[] = {"sys", "data"};

    for (size_t i = 0; i < countof(names); i++) {
        struct str disk_id = arena_printf(&world->arena, "d-%s-%.*s", names[i], STR_ARG(id));

        kept += sim_disk_kept(world->sim, disk_id);
    }
    return kept;
}

/* What is released is gone from the medium; a disk that stays has its content. From Running, Stopped, and economical. */
static void a_release_removes_only_the_disks_that_go(void **arg)
{
    struct world *world = world_open();
    struct stop_order economical = {.stopped_mode = STOPPED_MODE_STOP_CHARGING};

    (void)arg;
    for (int way = 0; way < 3; way++) {
        struct str id = world_launch(world, "ecs.g6.large");

        if (way > 0) {
            assert_int_equal(world_stop(world, id, way == 1 ? graceful : economical), 0);
            world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
        }
        assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_DELETE, .id = id, .stop = forced}), 0);
        if (way == 2) { /* the order is durable, the disk is not gone yet */
            world_kill(world);
            world_up(world);
        }
        world_await(world, id, -1, SECONDS(60));
        world_pass(world, SECONDS(60));
        assert_int_equal(world_machine(world, id), MACHINE_ABSENT);
        assert_int_equal(disks_kept(world, id), 1);
        assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    }
    world_close(world);
}

static int remove_host(struct tx *tx, void *arg)
{
    struct world *world = arg;

    engine_host_changed(world->engine, tx, STR("host-1"));
    return store_host_delete(tx, STR("host-1"));
}

/* The host was out of reach when its last instance was released, and is taken away for good: the job must end. */
static void a_release_ends_when_its_host_is_removed(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    world_host(world, "state", "down");
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_DELETE, .id = id}), 0);
    world_pass(world, SECONDS(60));
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 1);
    assert_int_equal(world_host_row(world, STR("host-1")).used_vcpus, 0);
    assert_int_equal(store_write(world->store, remove_host, world), 0);
    world_pass(world, SECONDS(60));
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_accepted_force_beats_a_revert),
        cmocka_unit_test(the_row_of_an_overtaken_job_keeps_the_earlier_deadline),
        cmocka_unit_test(an_event_during_the_last_record_is_not_lost),
        cmocka_unit_test(numbers_of_jobs_survive_a_clock_that_goes_back),
        cmocka_unit_test(a_clock_set_back_does_not_prolong_a_stop),
        cmocka_unit_test(a_clock_set_back_while_a_stop_waits),
        cmocka_unit_test(cloud_disks_survive_an_economical_stop),
        cmocka_unit_test(a_release_removes_only_the_disks_that_go),
        cmocka_unit_test(a_release_ends_when_its_host_is_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
