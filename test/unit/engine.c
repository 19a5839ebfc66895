/* SPDX-License-Identifier: Apache-2.0 */
/* The stop in full: stop-instance.md §4 to §8, §14 and §15, and what goes wrong on the way. */
#include "unit/engine_world.h"

static const struct stop_order graceful = {0};
static const struct stop_order forced = {.force = true};
static const struct stop_order economical = {.stopped_mode = STOPPED_MODE_STOP_CHARGING};

static void stop_is_stopping_then_stopped(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct instance *inst;

    (void)arg;
    assert_int_equal(world_stop(world, id, graceful), 0);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    assert_int_equal(world_stop(world, id, graceful), -E_INSTANCE_STATUS);
    world_pass(world, SECONDS(1));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(4));
    assert_int_equal(world_machine(world, id), MACHINE_OFF);
    inst = world_instance(world, id);
    assert_int_equal(inst->stopped_mode, STOPPED_MODE_KEEP_CHARGING);
    assert_int_equal(inst->job_id, 0);
    assert_str(inst->host_id, "host-1");
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    assert_int_equal(world_stop(world, id, graceful), -E_INSTANCE_STATUS);
    assert_int_equal(world_events(world, id, EVENT_KIND_STATE, "api"), 5);
    world_check_segments(world, id, BILLING_MODE_KEPT);
    world_close(world);
}

static void unknown_instance(void **arg)
{
    struct world *world = world_open();

    (void)arg;
    assert_int_equal(world_stop(world, STR("blah"), graceful), -E_NOT_FOUND);
    world_close(world);
}

static void force_is_a_power_cut(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct sim_disk disk;

    (void)arg;
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, forced), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(1));
    assert_int_equal(sim_disk_state(world->sim, STR("host-1"), id, arena_printf(&world->arena, "d-sys-%.*s", STR_ARG(id)),
                                    &disk), 0);
    assert_true(disk.lost > 0);
    assert_int_equal(world_events(world, id, EVENT_KIND_ESCALATE, ""), 0);
    world_close(world);
}

static void deaf_guest_is_cut_at_the_deadline(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_pass(world, SECONDS(299));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(2));
    assert_int_equal(world_events(world, id, EVENT_KIND_ESCALATE, "the guest did not"), 1);
    assert_int_equal(world_system_events(world, id, "SystemFailure.Stop"), 1);
    world_close(world);
}

static void hung_machine_is_killed_in_the_end(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_guest(world, id, "hang", "on");
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_pass(world, SECONDS(319));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(3));
    assert_int_equal(world_machine(world, id), MACHINE_OFF);
    world_close(world);
}

static void revert_lets_it_run_on(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_set(world, "stop.on_timeout", "revert");
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(301));
    assert_int_equal(world_machine(world, id), MACHINE_RUNNING);
    assert_int_equal(world_events(world, id, EVENT_KIND_REVERT, ""), 1);
    assert_int_equal(world_jobs(world, JOB_STATE_FAILED), 1);
    world_check_segments(world, id, BILLING_MODE_RUNNING);
    /* and it can be stopped again */
    world_guest(world, id, "ignore-power-button", "off");
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(10));
    world_close(world);
}

/* With every event lost too, the next press comes by the clock. */
static void press_is_repeated_by_the_clock(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    assert_int_equal(world->hv->ops->reset(world->hv, STR("host-1"), id, 1), 0);
    world_host(world, "drop-events", "1");
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_pass(world, SECONDS(4));
    assert_int_equal(world_machine(world, id), MACHINE_RUNNING);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(7));
    world_close(world);
}

/* A guest that is booting loses the press: the next one must come. */
static void early_press_is_repeated(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    assert_int_equal(world->hv->ops->reset(world->hv, STR("host-1"), id, 1), 0);
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(6)); /* booted after 2, pressed then, off 3 later */
    assert_int_equal(world_events(world, id, EVENT_KIND_ESCALATE, ""), 0);
    world_close(world);
}

static void paused_machine_is_resumed_first(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_guest(world, id, "pause", "");
    assert_int_equal(world_machine(world, id), MACHINE_PAUSED);
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    world_close(world);
}

static void lost_host_leaves_stopping(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct tx *tx;
    struct job_list jobs;

    (void)arg;
    world_host(world, "state", "down");
    assert_int_equal(world_stop(world, id, forced), 0);
    world_pass(world, SECONDS(1000));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    tx = store_read_begin(world->store);
    assert_int_equal(store_job_find(tx, JOB_STATE_ACTIVE, 0, 10, &jobs), 0);
    assert_int_equal(jobs.count, 1);
    assert_true(str_contains(jobs.items[0].error, STR("the host does not answer")));
    store_read_end(tx);
    world_host(world, "state", "up");
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(31));
    world_close(world);
}

/* One that looks finds the host back; all others that wait for it go on at once. */
static void returning_host_wakes_all(void **arg)
{
    struct world *world = world_open();
    struct str ids[20];

    (void)arg;
    for (size_t i = 0; i < countof(ids); i++)
        ids[i] = world_launch(world, "ecs.g6.large");
    world_host(world, "state", "down");
    for (size_t i = 0; i < countof(ids); i++) {
        assert_int_equal(world_stop(world, ids[i], forced), 0);
        world_pass(world, SECONDS(3)); /* so that they look at different times */
    }
    world_pass(world, SECONDS(100));
    world_host(world, "state", "up");
    world_await(world, ids[0], INSTANCE_STATE_STOPPED, SECONDS(31));
    world_settle(world);
    for (size_t i = 0; i < countof(ids); i++)
        assert_int_equal(world_state(world, ids[i]), INSTANCE_STATE_STOPPED);
    world_close(world);
}

static void lost_events_do_not_matter(void **arg)
{
    struct world *world = world_open();
    struct str id;

    (void)arg;
    world_host(world, "drop-events", "1");
    id = world_launch(world, "ecs.g6.large");
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(6));
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(10));
    world_guest(world, id, "poweroff", "");
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(70)); /* engine.reconcile_s */
    world_close(world);
}

static void guest_switches_itself_off(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.i1.xlarge");
    struct str local = arena_printf(&world->arena, "%.*s-local-0", STR_ARG(id));
    struct str ip = world_instance(world, id)->public_ip;
    struct instance *inst;
    bool written = false;

    (void)arg;
    world_guest(world, id, "poweroff", "");
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    inst = world_instance(world, id);
    assert_int_equal(inst->stopped_mode, STOPPED_MODE_KEEP_CHARGING);
    assert_true(str_eq(inst->public_ip, ip));
    assert_str(inst->host_id, "host-1");
    assert_int_equal(world_events(world, id, EVENT_KIND_STATE, "guest"), 1);
    assert_int_equal(world_system_events(world, id, "InstanceFailure.Reboot"), 0);
    assert_int_equal(world->hv->ops->disk_written(world->hv, STR("host-1"), id, local, &written), 0);
    assert_true(written); /* §7: kept, it was not a stop of the API */
    world_check_segments(world, id, BILLING_MODE_KEPT);
    world_close(world);
}

static void crash_is_told(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_guest(world, id, "crash", "");
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    assert_int_equal(world_events(world, id, EVENT_KIND_STATE, "crash"), 1);
    assert_int_equal(world_system_events(world, id, "InstanceFailure.Reboot"), 1);
    world_check_segments(world, id, BILLING_MODE_KEPT);
    world_close(world);
}

static void host_power_loss_is_told(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_host(world, "crash", "");
    world_host(world, "state", "up");
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(70));
    assert_int_equal(world_events(world, id, EVENT_KIND_STATE, "host"), 1);
    assert_int_equal(world_system_events(world, id, "SystemFailure.Reboot"), 1);
    world_close(world);
}

static int write_stopped(struct tx *tx, void *arg)
{
    struct str *id = arg;
    struct instance *inst;
    int r = store_instance_get_hot(tx, *id, &inst);

    if (r < 0)
        return r;
    instance_move(inst, INSTANCE_STATE_STOPPED, tx_now(tx));
    return store_instance_save(tx, inst);
}

/* The row says Stopped and the machine lives, as after a store was put back from a copy. */
static void machine_that_should_be_off_is_cut(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    assert_int_equal(store_write(world->store, write_stopped, &id), 0);
    assert_int_equal(world_machine(world, id), MACHINE_RUNNING);
    world_pass(world, SECONDS(70));
    assert_int_equal(world_machine(world, id), MACHINE_OFF);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPED);
    assert_int_equal(world_events(world, id, EVENT_KIND_RECONCILE, "a machine ran"), 1);
    world_close(world);
}

static void economical_stop_gives_back_and_takes_again(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct instance *before = world_instance(world, id);
    struct instance *inst;

    (void)arg;
    assert_false(str_empty(before->public_ip));
    assert_int_equal(world_host_row(world, STR("host-1")).used_vcpus, 2);
    assert_int_equal(world_stop(world, id, economical), 0);
    assert_false(str_empty(world_instance(world, id)->public_ip));
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    inst = world_instance(world, id);
    assert_int_equal(inst->stopped_mode, STOPPED_MODE_STOP_CHARGING);
    assert_true(str_empty(inst->public_ip));
    assert_true(str_empty(inst->host_id));
    assert_true(str_eq(inst->private_ip, before->private_ip));
    assert_int_equal(world_host_row(world, STR("host-1")).used_vcpus, 0);
    world_check_segments(world, id, BILLING_MODE_FREE);

    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(5));
    inst = world_instance(world, id);
    assert_false(str_empty(inst->public_ip));
    assert_false(str_eq(inst->public_ip, before->public_ip));
    assert_true(str_eq(inst->private_ip, before->private_ip));
    assert_int_equal(inst->incarnation, 2);
    assert_int_equal(world_host_row(world, STR("host-1")).used_vcpus, 2);
    world_check_segments(world, id, BILLING_MODE_RUNNING);
    world_close(world);
}

static int fill_host(struct tx *tx, void *arg)
{
    struct host *host;
    int r = store_host_get(tx, STR("host-1"), &host);

    (void)arg;
    return r < 0 ? r : store_host_reserve(tx, host->id, host->vcpus - host->used_vcpus, 0);
}

static int empty_host(struct tx *tx, void *arg)
{
    (void)arg;
    return store_host_reserve(tx, STR("host-1"), -100, 0);
}

static void no_stock_leaves_it_stopped(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct instance *inst;

    (void)arg;
    assert_int_equal(world_stop(world, id, economical), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    assert_int_equal(store_write(world->store, fill_host, NULL), 0);
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), -E_NO_STOCK);
    world_pass(world, SECONDS(5));
    inst = world_instance(world, id);
    assert_int_equal(inst->state, INSTANCE_STATE_STOPPED);
    assert_int_equal(inst->stopped_mode, STOPPED_MODE_STOP_CHARGING);
    assert_true(inst->wants_public_ip);
    world_check_segments(world, id, BILLING_MODE_FREE);
    assert_int_equal(store_write(world->store, empty_host, NULL), 0);
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(5));
    world_close(world);
}

static void reclaiming_refuses_a_start(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_set(world, "stop.reclaim_s", "2");
    assert_int_equal(world_stop(world, id, economical), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), -E_OPERATION_CONFLICT);
    world_pass(world, SECONDS(2));
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), 0);
    world_close(world);
}

static void prepaid_stops_in_standard_mode(void **arg)
{
    struct world *world = world_open();
    struct str id = env_id(world->env, &world->arena, "i-");

    (void)arg;
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_CREATE, .id = id, .type = "ecs.g6.large",
                                                         .charge_type = CHARGE_TYPE_PRE_PAID, .start = true}), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(5));
    assert_int_equal(world_stop(world, id, economical), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    assert_str(world_instance(world, id)->host_id, "host-1");
    assert_int_equal(instance_shown_stopped_mode(world_instance(world, id)), STOPPED_MODE_NOT_APPLICABLE);
    world_close(world);
}

static bool local_written(struct world *world, struct str id, int index)
{
    bool written = false;

    assert_int_equal(world->hv->ops->disk_written(world->hv, STR("host-1"), id,
                                                  arena_printf(&world->arena, "%.*s-local-%d", STR_ARG(id), index),
                                                  &written), 0);
    return written;
}

static void i1_needs_confirmation_and_is_cleared(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.i1.xlarge");
    struct stop_order confirmed = {.confirm = true};

    (void)arg;
    assert_int_equal(world_stop(world, id, graceful), -E_CONFIRM_STOP);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_RUNNING);
    assert_true(local_written(world, id, 0));
    assert_int_equal(world_stop(world, id, confirmed), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    assert_false(local_written(world, id, 0));
    assert_false(local_written(world, id, 1));
    assert_false(world_instance(world, id)->reinit_local);
    world_close(world);
}

static void other_local_disks_are_kept(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.i2.xlarge");

    (void)arg;
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(5));
    assert_true(local_written(world, id, 0));
    world_close(world);
}

static void force_overtakes_a_waiting_stop(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_pass(world, SECONDS(10));
    assert_int_equal(world_stop(world, id, forced), -E_INSTANCE_STATUS);
    world_set(world, "stop.force_overtakes", "true");
    assert_int_equal(world_stop(world, id, forced), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(1));
    world_close(world);
}

static void overtaking_survives_a_crash(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_set(world, "stop.force_overtakes", "true");
    world_set(world, "stop.on_timeout", "revert");
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, graceful), 0);
    world_pass(world, SECONDS(10));
    assert_int_equal(world_stop(world, id, forced), 0);
    world_kill(world);
    world_up(world);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(16));
    world_close(world);
}

struct later {
    struct write write;
    struct ordered ordered;
    int result;
};

static int later_run(struct tx *tx, struct write *write)
{
    return order_run(tx, &container_of(write, struct later, write)->ordered);
}

static void later_done(struct write *write, int result)
{
    container_of(write, struct later, write)->result = result;
}

/* The running job saves an error in the same batch, after the forced order: it must not undo what the order wrote. */
static void overtaking_wins_over_a_running_job(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct later later = {.write = {.run = later_run, .done = later_done}, .result = 1};
    struct tx *tx;
    struct job_list jobs;

    (void)arg;
    world_set(world, "stop.force_overtakes", "true");
    assert_int_equal(world_stop(world, id, graceful), 0);
    later.ordered = (struct ordered){.world = world, .kind = ORDER_STOP, .id = id, .stop = forced};
    world_host(world, "state", "down");
    assert_int_equal(store_submit(world->store, &later.write), 0);
    (void)engine_run_due(world->engine);
    assert_int_equal(store_queue_length(world->store) >= 2, 1);
    (void)store_run_once(world->store);
    assert_int_equal(later.result, 0);
    tx = store_read_begin(world->store);
    assert_int_equal(store_job_find(tx, JOB_STATE_ACTIVE, 0, 10, &jobs), 0);
    assert_int_equal(jobs.count, 1);
    assert_true(jobs.items[0].error.len > 0);
    assert_int_equal(jobs.items[0].step, 1);
    assert_true(jobs.items[0].deadline_us <= env_now(world->env));
    store_read_end(tx);
    world_kill(world);
    world_up(world);
    world_host(world, "state", "up");
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(1));
    world_close(world);
}

static void a_thousand_at_once(void **arg)
{
    struct world *world = world_open();
    struct str *ids = arena_array(&world->arena, struct str, 1000);

    (void)arg;
    for (size_t i = 0; i < 1000; i++) {
        ids[i] = env_id(world->env, &world->arena, "i-");
        assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_CREATE, .id = ids[i], .type = "ecs.g6.large",
                                                             .start = true}), 0);
    }
    world_pass(world, SECONDS(5));
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(world_stop(world, ids[i], i % 3 == 0 ? forced : graceful), 0);
    world_pass(world, SECONDS(5));
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(world_state(world, ids[i]), INSTANCE_STATE_STOPPED);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_is_stopping_then_stopped),
        cmocka_unit_test(unknown_instance),
        cmocka_unit_test(force_is_a_power_cut),
        cmocka_unit_test(deaf_guest_is_cut_at_the_deadline),
        cmocka_unit_test(hung_machine_is_killed_in_the_end),
        cmocka_unit_test(revert_lets_it_run_on),
        cmocka_unit_test(early_press_is_repeated),
        cmocka_unit_test(press_is_repeated_by_the_clock),
        cmocka_unit_test(paused_machine_is_resumed_first),
        cmocka_unit_test(lost_host_leaves_stopping),
        cmocka_unit_test(returning_host_wakes_all),
        cmocka_unit_test(lost_events_do_not_matter),
        cmocka_unit_test(guest_switches_itself_off),
        cmocka_unit_test(crash_is_told),
        cmocka_unit_test(host_power_loss_is_told),
        cmocka_unit_test(machine_that_should_be_off_is_cut),
        cmocka_unit_test(economical_stop_gives_back_and_takes_again),
        cmocka_unit_test(no_stock_leaves_it_stopped),
        cmocka_unit_test(reclaiming_refuses_a_start),
        cmocka_unit_test(prepaid_stops_in_standard_mode),
        cmocka_unit_test(i1_needs_confirmation_and_is_cleared),
        cmocka_unit_test(other_local_disks_are_kept),
        cmocka_unit_test(force_overtakes_a_waiting_stop),
        cmocka_unit_test(overtaking_survives_a_crash),
        cmocka_unit_test(overtaking_wins_over_a_running_job),
        cmocka_unit_test(a_thousand_at_once),
    };

    log_threshold = LOG_ERROR;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
