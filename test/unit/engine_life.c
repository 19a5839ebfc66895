/* SPDX-License-Identifier: Apache-2.0 */
/* Start, reboot, delete, automatic release, leases, housekeeping: everything of the engine but the stop itself. */
#include "unit/engine_world.h"

static const struct stop_order graceful = {0};
static const struct stop_order forced = {.force = true};

static int order(struct world *world, enum order_kind kind, struct str id, struct stop_order stop)
{
    return world_order(world, (struct ordered){.kind = kind, .id = id, .stop = stop});
}

static void launch_is_pending_then_running(void **arg)
{
    struct world *world = world_open();
    struct str id = env_id(world->env, &world->arena, "i-");
    struct instance *inst;

    (void)arg;
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_CREATE, .id = id, .type = "ecs.g6.large",
                                                         .start = true}), 0);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_PENDING);
    world_await(world, id, INSTANCE_STATE_STARTING, SECONDS(1));
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(3));
    inst = world_instance(world, id);
    assert_int_equal(inst->incarnation, 1);
    assert_int_equal(inst->job_id, 0);
    assert_true(inst->started_us > 0);
    assert_true(str_empty(inst->public_ip));
    world_check_segments(world, id, BILLING_MODE_RUNNING);
    world_close(world);
}

static void create_is_stopped_at_once(void **arg)
{
    struct world *world = world_open();
    struct str id = env_id(world->env, &world->arena, "i-");

    (void)arg;
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_CREATE, .id = id, .type = "ecs.g6.large"}), 0);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPED);
    world_check_segments(world, id, BILLING_MODE_KEPT);
    world_pass(world, SECONDS(1));
    assert_int_equal(order(world, ORDER_START, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(5));
    world_check_segments(world, id, BILLING_MODE_RUNNING);
    world_close(world);
}

static void no_room_is_no_stock(void **arg)
{
    struct world *world = world_open();
    struct str id = env_id(world->env, &world->arena, "i-");
    struct host host = world_host_row(world, STR("host-1"));
    int made = 0;

    (void)arg;
    /* ecs.g6.26xlarge: 104 vCPUs and 384 GiB */
    while (world_order(world, (struct ordered){.kind = ORDER_CREATE, .id = id, .type = "ecs.g6.26xlarge"}) == 0) {
        id = env_id(world->env, &world->arena, "i-");
        made++;
    }
    assert_int_equal(made, MIN_OF(host.vcpus / 104, host.memory_mib / (384 * 1024)));
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_CREATE, .id = id, .type = "ecs.g6.26xlarge"}),
                     -E_NO_STOCK);
    assert_null(world_instance(world, id));
    world_close(world);
}

static void guest_that_never_boots(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    world_guest(world, id, "boot", "100000");
    assert_int_equal(order(world, ORDER_START, id, graceful), 0);
    world_pass(world, SECONDS(599));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STARTING);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(30));
    assert_int_equal(world_machine(world, id), MACHINE_OFF);
    assert_int_equal(world_events(world, id, EVENT_KIND_STATE, "boot-failure"), 1);
    assert_int_equal(world_system_events(world, id, "InstanceFailure.Reboot"), 1);
    world_check_segments(world, id, BILLING_MODE_KEPT);
    world_close(world);
}

static void crash_while_booting(void **arg)
{
    struct world *world = world_open();
    struct str id = env_id(world->env, &world->arena, "i-");

    (void)arg;
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_CREATE, .id = id, .type = "ecs.g6.large",
                                                         .start = true}), 0);
    world_pass(world, SECONDS(1));
    world_guest(world, id, "crash", "");
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(6));
    assert_int_equal(world_instance(world, id)->job_id, 0);
    world_close(world);
}

static void reboot_is_a_new_incarnation(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.i1.xlarge");
    struct machine_status status;
    bool written = false;

    (void)arg;
    assert_int_equal(order(world, ORDER_REBOOT, id, graceful), 0);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STARTING);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(7));
    assert_int_equal(world->hv->ops->probe(world->hv, STR("host-1"), id, &status), 0);
    assert_int_equal(status.incarnation, 2);
    assert_int_equal(world_instance(world, id)->incarnation, 2);
    assert_int_equal(world->hv->ops->disk_written(world->hv, STR("host-1"), id,
                                                  arena_printf(&world->arena, "%.*s-local-0", STR_ARG(id)), &written), 0);
    assert_true(written);
    world_check_segments(world, id, BILLING_MODE_RUNNING);
    world_close(world);
}

static void deaf_guest_is_power_cycled(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(order(world, ORDER_REBOOT, id, graceful), 0);
    world_pass(world, SECONDS(299));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STARTING);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(10));
    assert_int_equal(order(world, ORDER_REBOOT, id, forced), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(3));
    assert_int_equal(world_instance(world, id)->incarnation, 3);
    world_close(world);
}

static void check_gone(struct world *world, struct str id)
{
    struct tx *tx = store_read_begin(world->store);
    struct disk *disk;
    struct disk *disks;
    size_t count;

    assert_int_equal(store_disk_of_instance(tx, id, &disks, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(store_disk_get(tx, arena_printf(&world->arena, "d-sys-%.*s", STR_ARG(id)), &disk), -E_NOT_FOUND);
    assert_int_equal(store_disk_get(tx, arena_printf(&world->arena, "d-data-%.*s", STR_ARG(id)), &disk), 0);
    assert_int_equal(disk->status, DISK_STATUS_AVAILABLE);
    assert_true(str_empty(disk->instance_id));
    store_read_end(tx);
    assert_int_equal(world_machine(world, id), MACHINE_ABSENT);
    assert_int_equal(world_host_row(world, STR("host-1")).used_vcpus, 0);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    world_check_segments(world, id, -1);
}

static void delete_running_goes_through_stopping(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    assert_int_equal(order(world, ORDER_DELETE, id, graceful), 0);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    world_await(world, id, -1, SECONDS(5));
    check_gone(world, id);
    world_close(world);
}

static void delete_stopped_is_gone_at_once(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    world_host(world, "state", "down");
    assert_int_equal(order(world, ORDER_DELETE, id, graceful), 0);
    assert_int_equal(world_state(world, id), -1);
    world_pass(world, SECONDS(100));
    /* a crash here forgets which host it was */
    world_kill(world);
    world_up(world);
    world_pass(world, SECONDS(10));
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 1);
    world_host(world, "state", "up");
    world_pass(world, SECONDS(31));
    check_gone(world, id);
    world_close(world);
}

static void release_at_its_time(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct ordered at = {.kind = ORDER_RELEASE_AT, .id = id, .at_us = env_now(world->env) + SECONDS(3600)};

    (void)arg;
    assert_int_equal(world_order(world, at), 0);
    world_pass(world, SECONDS(3599));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_RUNNING);
    world_kill(world);
    world_up(world);
    world_await(world, id, -1, SECONDS(3));
    world_pass(world, SECONDS(1));
    check_gone(world, id);
    assert_int_equal(world_events(world, id, EVENT_KIND_STATE, "release"), 2);
    world_close(world);
}

static int take_over(struct tx *tx, void *arg)
{
    int64_t epoch;

    (void)arg;
    return store_node_take(tx, STR("local"), tx_now(tx) + SECONDS(60), &epoch);
}

/* Another process has become this node: ours must not touch a machine any more. */
static void fenced_engine_does_nothing(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    log_threshold = (enum log_level)0;
    assert_int_equal(store_write(world->store, take_over, NULL), 0);
    world_pass(world, SECONDS(6));
    assert_int_equal(world_stop(world, id, forced), 0);
    world_pass(world, SECONDS(30));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    assert_int_equal(world_machine(world, id), MACHINE_RUNNING);
    log_threshold = LOG_ERROR;
    /* the next process of this name carries it out */
    world_kill(world);
    world_up(world);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(1));
    world_close(world);
}

static int ask_for_blank_disks(struct tx *tx, void *arg)
{
    struct str *id = arg;
    struct instance *inst;
    int r = store_instance_get_hot(tx, *id, &inst);

    if (r < 0)
        return r;
    inst->reinit_local = true;
    return store_instance_save(tx, inst);
}

static int64_t local_pieces(struct world *world, struct str id)
{
    struct str disk_id = arena_printf(&world->arena, "%.*s-local-0", STR_ARG(id));
    struct sim_disk disk;

    assert_int_equal(sim_disk_state(world->sim, STR("host-1"), id, disk_id, &disk), 0);
    return disk.durable + disk.cached;
}

/* Nothing that was there before is visible after a start, whatever became of the stop's own clearing. */
static void reinit_flag_clears_before_the_boot(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.i2.xlarge");
    int64_t of_one_boot = local_pieces(world, id);

    (void)arg;
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(world_stop(world, id, graceful), 0);
        world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
        if (turn == 1)
            assert_int_equal(store_write(world->store, ask_for_blank_disks, &id), 0);
        assert_int_equal(order(world, ORDER_START, id, graceful), 0);
        world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(5));
        assert_false(world_instance(world, id)->reinit_local);
        assert_int_equal(local_pieces(world, id) > of_one_boot, turn == 0);
    }
    world_close(world);
}

static void finished_jobs_are_removed(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    assert_int_equal(world_jobs(world, -1), 2);
    world_pass(world, SECONDS(3700));
    assert_int_equal(world_jobs(world, -1), 0);
    world_close(world);
}

static void moved_leftover_is_cleared(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct stop_order economical = {.stopped_mode = STOPPED_MODE_STOP_CHARGING};
    struct machine_spec spec = {.id = id, .vcpus = 2, .memory_mib = 8192};
    struct fail fail;

    (void)arg;
    fail_init(&fail, &world->arena);
    assert_int_equal(world_stop(world, id, economical), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    /* it comes back at a host that it has left, alive */
    assert_int_equal(world->hv->ops->define(world->hv, STR("host-1"), &spec, &fail), 0);
    assert_int_equal(world->hv->ops->start(world->hv, STR("host-1"), id, 1, &fail), 0);
    assert_true(world_machine(world, id) == MACHINE_BOOTING);
    world_pass(world, SECONDS(130));
    assert_int_equal(world_machine(world, id), MACHINE_ABSENT);
    world_close(world);
}

static void unknown_machine_is_left_alone(void **arg)
{
    struct world *world = world_open();
    struct machine_spec spec = {.id = STR("i-stranger"), .vcpus = 2, .memory_mib = 8192};
    struct fail fail;

    (void)arg;
    fail_init(&fail, &world->arena);
    assert_int_equal(world->hv->ops->define(world->hv, STR("host-1"), &spec, &fail), 0);
    assert_int_equal(world->hv->ops->start(world->hv, STR("host-1"), spec.id, 1, &fail), 0);
    world_pass(world, SECONDS(130));
    assert_int_equal(world_machine(world, spec.id), MACHINE_RUNNING);
    world_close(world);
}

/* A world with threads and the real clock: what the daemon does. */
static struct world *open_threaded(void)
{
    struct world *world = world_open();

    world_kill(world);
    world->env = env_free(world->env);
    world->env = env_new_real();
    assert_int_equal(world_try_up(world), 0);
    world->engine = engine_close(world->engine);
    world_set(world, "stop.press_interval_s", "1");
    {
        struct engine_settings settings = {world->store, world->hv, world->env, &world->options.values, STR("local")};

        assert_int_equal(engine_open(&settings, &world->fail, &world->engine), 0);
    }
    assert_int_equal(store_start(world->store), 0);
    assert_int_equal(sim_start(world->sim), 0);
    assert_int_equal(engine_start(world->engine, &world->fail), 0);
    return world;
}

static void threads_do_the_same(void **arg)
{
    struct world *world = open_threaded();
    struct str ids[50];
    struct timespec pause = {.tv_nsec = 5000000};
    bool busy = true;

    (void)arg;
    for (size_t i = 0; i < countof(ids); i++) {
        ids[i] = env_id(world->env, &world->arena, "i-");
        assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_CREATE, .id = ids[i], .type = "ecs.g6.large",
                                                             .start = true}), 0);
    }
    for (int turn = 0; turn < 2; turn++) {
        int want = turn == 0 ? INSTANCE_STATE_RUNNING : INSTANCE_STATE_STOPPED;

        for (int tries = 0; busy && tries < 2000; tries++) {
            busy = false;
            for (size_t i = 0; i < countof(ids) && !busy; i++)
                busy = world_state(world, ids[i]) != want;
            if (busy)
                (void)nanosleep(&pause, NULL);
        }
        assert_false(busy);
        busy = true;
        for (size_t i = 0; i < countof(ids) && turn == 0; i++)
            assert_int_equal(world_stop(world, ids[i], i % 2 == 0 ? graceful : forced), 0);
    }
    assert_true(engine_stop(world->engine, SECONDS(60)));
    store_stop(world->store);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    world_close(world);
}

/* A host that answers nothing, nor breaks off: the stop goes on without it, and says so. */
static void a_call_that_never_ends(void **arg)
{
    struct world *world = open_threaded();
    struct timespec pause = {.tv_nsec = 5000000};
    struct str id = env_id(world->env, &world->arena, "i-");
    struct ordered order = {.kind = ORDER_CREATE, .id = id, .type = "ecs.g6.large", .start = true};
    enum log_level before = log_threshold;

    (void)arg;
    fault_arm(world->hv, &(struct fault_plan){.hold = true});
    assert_int_equal(world_order(world, order), 0);
    for (int tries = 0; fault_calls(world->hv) == 0 && tries < 2000; tries++)
        (void)nanosleep(&pause, NULL);
    assert_true(fault_calls(world->hv) > 0);
    log_threshold = LOG_WARNING;
    assert_false(engine_stop(world->engine, 50000));
    log_threshold = before;
    store_stop(world->store); /* as the daemon, whose end comes now */
    assert_int_equal(world_state(world, id), INSTANCE_STATE_PENDING);
    fault_arm(world->hv, NULL);
    assert_true(engine_stop(world->engine, SECONDS(60)));
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launch_is_pending_then_running),
        cmocka_unit_test(create_is_stopped_at_once),
        cmocka_unit_test(no_room_is_no_stock),
        cmocka_unit_test(guest_that_never_boots),
        cmocka_unit_test(crash_while_booting),
        cmocka_unit_test(reboot_is_a_new_incarnation),
        cmocka_unit_test(deaf_guest_is_power_cycled),
        cmocka_unit_test(delete_running_goes_through_stopping),
        cmocka_unit_test(delete_stopped_is_gone_at_once),
        cmocka_unit_test(release_at_its_time),
        cmocka_unit_test(fenced_engine_does_nothing),
        cmocka_unit_test(reinit_flag_clears_before_the_boot),
        cmocka_unit_test(finished_jobs_are_removed),
        cmocka_unit_test(moved_leftover_is_cleared),
        cmocka_unit_test(unknown_machine_is_left_alone),
        cmocka_unit_test(threads_do_the_same),
        cmocka_unit_test(a_call_that_never_ends),
    };

    log_threshold = LOG_ERROR;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
