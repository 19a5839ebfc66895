/* SPDX-License-Identifier: Apache-2.0 */
/* An older copy of the database under hosts that went on: nothing hangs, nothing is silent, one machine at most lives. */
#include "unit/engine_world.h"

static const struct stop_order graceful = {0};
static const struct stop_order forced = {.force = true};

static int order(struct world *world, enum order_kind kind, struct str id, struct stop_order stop)
{
    return world_order(world, (struct ordered){.kind = kind, .id = id, .stop = stop});
}

static void backup(struct world *world)
{
    world_kill(world);
    world_copy_file(world, "ecsd.db", "backup");
    world_up(world);
}

static void restore(struct world *world)
{
    world_kill(world);
    world_copy_file(world, "backup", "ecsd.db");
    world_up(world);
}

static int64_t machine_incarnation(struct world *world, struct str id)
{
    struct machine_status status;

    assert_int_equal(world->hv->ops->probe(world->hv, STR("host-1"), id, &status), 0);
    return status.incarnation;
}

static void await(struct world *world, struct str id, int state)
{
    world_await(world, id, state, SECONDS(20));
}

static void stop(struct world *world, struct str id)
{
    assert_int_equal(world_stop(world, id, graceful), 0);
    await(world, id, INSTANCE_STATE_STOPPED);
}

static void start(struct world *world, struct str id)
{
    assert_int_equal(order(world, ORDER_START, id, graceful), 0);
    await(world, id, INSTANCE_STATE_RUNNING);
}

/* Row and machine agree, and the whole life works from here on. */
static void check_life(struct world *world, struct str id)
{
    await(world, id, INSTANCE_STATE_RUNNING);
    assert_int_equal(world_instance(world, id)->incarnation, machine_incarnation(world, id));
    assert_int_equal(world_machine(world, id), MACHINE_RUNNING);
    world_check_segments(world, id, BILLING_MODE_RUNNING);
    assert_int_equal(order(world, ORDER_REBOOT, id, graceful), 0);
    await(world, id, INSTANCE_STATE_RUNNING);
    stop(world, id);
    assert_int_equal(world_machine(world, id), MACHINE_OFF);
    start(world, id);
    assert_int_equal(world_instance(world, id)->incarnation, machine_incarnation(world, id));
    assert_int_equal(order(world, ORDER_DELETE, id, forced), 0);
    world_await(world, id, -1, SECONDS(20));
    assert_int_equal(world_machine(world, id), MACHINE_ABSENT);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
}

static void stopped_row_of_a_running_machine(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    int64_t before;

    (void)arg;
    stop(world, id);
    backup(world);
    start(world, id);
    stop(world, id);
    start(world, id);
    before = machine_incarnation(world, id);
    restore(world);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPED);
    await(world, id, INSTANCE_STATE_RUNNING);
    assert_int_equal(machine_incarnation(world, id), before); /* it was not touched */
    assert_int_equal(world_events(world, id, EVENT_KIND_RECONCILE, "the host has a running machine"), 1);
    world_pass(world, SECONDS(200));
    assert_int_equal(world_events(world, id, EVENT_KIND_RECONCILE, ""), 2); /* once, and the job's taking over */
    check_life(world, id);
    world_close(world);
}

static void running_row_of_a_later_machine(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    int64_t before;

    (void)arg;
    backup(world);
    stop(world, id);
    start(world, id);
    before = machine_incarnation(world, id);
    restore(world);
    world_pass(world, SECONDS(70));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_RUNNING);
    assert_int_equal(machine_incarnation(world, id), before);
    assert_int_equal(world_events(world, id, EVENT_KIND_RECONCILE, "the host has a machine"), 1);
    check_life(world, id);
    world_close(world);
}

static void running_row_of_a_later_dead_machine(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    backup(world);
    stop(world, id);
    start(world, id);
    stop(world, id);
    restore(world);
    await(world, id, INSTANCE_STATE_STOPPED);
    world_check_segments(world, id, BILLING_MODE_KEPT);
    start(world, id);
    check_life(world, id);
    world_close(world);
}

static void stopped_row_of_a_later_dead_machine(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    stop(world, id);
    backup(world);
    start(world, id);
    stop(world, id);
    restore(world);
    world_pass(world, SECONDS(70));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPED);
    assert_int_equal(world_machine(world, id), MACHINE_OFF);
    assert_int_equal(world_events(world, id, EVENT_KIND_RECONCILE, "the host has a machine"), 1);
    start(world, id);
    check_life(world, id);
    world_close(world);
}

/* The order comes before the comparison has looked; `kill`: and ecsd dies at once. */
static void ordered_at_once(enum order_kind kind, struct stop_order how, bool running, bool kill)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    if (!running)
        stop(world, id);
    backup(world);
    if (running)
        stop(world, id);
    start(world, id);
    stop(world, id);
    start(world, id);
    restore(world);
    assert_int_equal(order(world, kind, id, how), 0);
    for (int i = 0; kill && i < 3; i++) {
        (void)world_settle(world);
        world_kill(world);
        world_up(world);
    }
    world_pass(world, SECONDS(20));
    switch (kind) {
    case ORDER_START:
    case ORDER_REBOOT:
    case ORDER_REDEPLOY:
        check_life(world, id);
        break;
    case ORDER_STOP:
        assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPED);
        assert_int_equal(world_machine(world, id), MACHINE_OFF);
        start(world, id);
        check_life(world, id);
        break;
    case ORDER_DELETE:
        assert_int_equal(world_state(world, id), -1);
        assert_int_equal(world_machine(world, id), MACHINE_ABSENT);
        assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
        break;
    case ORDER_CREATE:
    case ORDER_RELEASE_AT:
    default:
        fail_msg("not an order of this test");
    }
    world_close(world);
}

static void orders_before_the_comparison(void **arg)
{
    (void)arg;
    for (int kill = 0; kill < 2; kill++) {
        ordered_at_once(ORDER_START, graceful, false, kill);
        ordered_at_once(ORDER_STOP, graceful, true, kill);
        ordered_at_once(ORDER_STOP, forced, true, kill);
        ordered_at_once(ORDER_REBOOT, graceful, true, kill);
        ordered_at_once(ORDER_REBOOT, forced, true, kill);
        ordered_at_once(ORDER_REDEPLOY, graceful, true, kill);
        ordered_at_once(ORDER_REDEPLOY, forced, true, kill);
        ordered_at_once(ORDER_REDEPLOY, graceful, false, kill);
        ordered_at_once(ORDER_DELETE, graceful, true, kill);
        ordered_at_once(ORDER_DELETE, forced, true, kill);
        ordered_at_once(ORDER_DELETE, graceful, false, kill);
    }
}

/* Where the row doesn't place it, it would be the second of two. */
static void a_later_machine_elsewhere_ends(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    assert_int_equal(world_stop(world, id, (struct stop_order){.stopped_mode = STOPPED_MODE_STOP_CHARGING}), 0);
    await(world, id, INSTANCE_STATE_STOPPED);
    assert_true(str_empty(world_instance(world, id)->host_id));
    backup(world);
    start(world, id);
    restore(world);
    world_pass(world, SECONDS(130)); /* cut in one comparison, cleared away in the next */
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPED);
    assert_int_equal(world_machine(world, id), MACHINE_ABSENT);
    assert_int_equal(world_events(world, id, EVENT_KIND_RECONCILE, "the host has a machine"), 1);
    assert_int_equal(world_events(world, id, EVENT_KIND_RECONCILE, "a machine ran that should not"), 1);
    start(world, id);
    check_life(world, id);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_row_of_a_running_machine),
        cmocka_unit_test(running_row_of_a_later_machine),
        cmocka_unit_test(running_row_of_a_later_dead_machine),
        cmocka_unit_test(stopped_row_of_a_later_dead_machine),
        cmocka_unit_test(orders_before_the_comparison),
        cmocka_unit_test(a_later_machine_elsewhere_ends),
    };

    log_threshold = LOG_ERROR;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
