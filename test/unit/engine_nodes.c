/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several nodes on one store: who drives which host, what becomes of a node's work when it is silent, and that one which wakes up
 * late does no harm. The nodes are engines in one process, over one store and one set of simulated hosts; a node that a test leaves
 * out is one that is paused.
 */
#include "engine/errand.h"
#include "unit/engine_nodes_kit.h"
#include "unit/engine_task_kit.h"

/* ── shares ── */

static void hosts_are_shared_among_those_that_live(void **state)
{
    struct nodes *nodes = begin(1);

    (void)state;
    pass(nodes, SECONDS(1));
    assert_int_equal(held(nodes, 0), HOSTS);
    up(nodes, 1);
    pass(nodes, 4 * THIRD);
    assert_int_equal(held(nodes, 0), 3);
    assert_int_equal(held(nodes, 1), 3);
    assert_int_equal(engine_nodes(nodes->engine[0]), 2);
    up(nodes, 2);
    pass(nodes, 4 * THIRD);
    for (size_t i = 0; i < NODES; i++)
        assert_int_equal(held(nodes, i), 2);
    assert_int_equal(engine_nodes(nodes->engine[2]), 3);
    finish(nodes);
}

static int add_one_more(struct tx *tx, void *arg)
{
    struct nodes *nodes = arg;
    struct str id = STR("host-new");
    int r = add_host(tx, &id);

    if (r == 0)
        engine_host_changed(nodes->engine[0], tx, id);
    return r;
}

static void a_host_that_is_added_is_driven_at_once(void **state)
{
    struct nodes *nodes = begin(1);

    (void)state;
    pass(nodes, SECONDS(1));
    assert_int_equal(store_write(nodes->world->store, add_one_more, nodes), 0);
    pass(nodes, USEC_PER_SEC / 10);
    assert_int_equal(held(nodes, 0), HOSTS + 1);
    finish(nodes);
}

static void a_node_that_leaves_in_order_gives_its_hosts_back(void **state)
{
    struct nodes *nodes = begin(2);

    (void)state;
    pass(nodes, 4 * THIRD);
    assert_int_equal(held(nodes, 1), 3);
    lease_give_up(nodes->engine[1]);
    down(nodes, 1);
    assert_int_equal(held(nodes, 1), 0);
    pass(nodes, THIRD + SECONDS(1)); /* not a whole lease */
    assert_int_equal(held(nodes, 0), HOSTS);
    assert_int_equal(engine_nodes(nodes->engine[0]), 1);
    finish(nodes);
}

/* A node that is there again before anybody has missed it has a new epoch: what it held is free, and its own again. */
static void a_node_that_starts_anew_finds_its_work(void **state)
{
    struct nodes *nodes = begin_spread(2);
    struct str id;

    (void)state;
    id = launch_at(nodes, 1);
    guest(nodes, id, "shutdown", "8");
    assert_int_equal(world_stop(nodes->world, id, (struct stop_order){0}), 0);
    pass(nodes, SECONDS(1));
    assert_int_equal(active(nodes, 1), 1);
    down(nodes, 1);
    up(nodes, 1);
    (void)await(nodes, id, INSTANCE_STATE_STOPPED, SECONDS(15));
    assert_true(held(nodes, 1) >= 3);
    finish(nodes);
}

/* Machines in the folder of one process are nobody else's, whatever becomes of it. */
static void hosts_of_one_process_stay_with_it(void **state)
{
    struct nodes *nodes;

    (void)state;
    own_machines = true;
    nodes = begin(1);
    pass(nodes, THIRD);
    up(nodes, 1);
    pass(nodes, 4 * THIRD);
    assert_int_equal(held(nodes, 0), HOSTS);
    down(nodes, 0);
    pass(nodes, LEASE + 3 * THIRD);
    assert_int_equal(held(nodes, 1), 0);
    up(nodes, 0);
    pass(nodes, THIRD);
    assert_int_equal(held(nodes, 0), HOSTS);
    lease_give_up(nodes->engine[0]);
    down(nodes, 0);
    pass(nodes, LEASE);
    assert_int_equal(held(nodes, 1), 0);
    finish(nodes);
    own_machines = false;
}

/* ── orders at any node ── */

static void a_stop_is_carried_out_by_the_holder(void **state)
{
    struct nodes *nodes = begin_spread(3);
    struct str id;
    usec_t took;

    (void)state;
    id = launch_at(nodes, 1);
    assert_int_equal(world_stop(nodes->world, id, (struct stop_order){0}), 0);
    pass(nodes, SECONDS(1));
    assert_int_equal(active(nodes, 0), 0);
    assert_int_equal(active(nodes, 1), 1);
    took = await(nodes, id, INSTANCE_STATE_STOPPED, SECONDS(10));
    assert_true(took < SECONDS(3)); /* the guest takes three, of which one has passed */
    assert_int_equal(active(nodes, 1), 0);
    world_check_segments(nodes->world, id, BILLING_MODE_KEPT);
    finish(nodes);
}

static void a_forced_stop_overtakes_at_another_node(void **state)
{
    struct nodes *nodes = begin(2);
    struct str id;

    (void)state;
    world_set(nodes->world, "stop.force_overtakes", "true");
    pass(nodes, 4 * THIRD);
    id = launch_at(nodes, 1);
    guest(nodes, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(nodes->world, id, (struct stop_order){0}), 0);
    pass(nodes, SECONDS(5));
    assert_int_equal(world_state(nodes->world, id), INSTANCE_STATE_STOPPING);
    assert_int_equal(world_stop(nodes->world, id, (struct stop_order){.force = true}), 0);
    (void)await(nodes, id, INSTANCE_STATE_STOPPED, SECONDS(2));
    finish(nodes);
}

/* A graceful stop whose host comes back to the node that had it is not taken for a forced one. */
static void a_job_that_comes_back_stays_graceful(void **state)
{
    struct nodes *nodes = begin(1);
    struct str id;

    (void)state;
    pass(nodes, THIRD);
    id = launch(nodes);
    guest(nodes, id, "shutdown", "60");
    assert_int_equal(world_stop(nodes->world, id, (struct stop_order){0}), 0);
    pass(nodes, SECONDS(1));
    up(nodes, 1);
    pass(nodes, 4 * THIRD);
    lease_give_up(nodes->engine[1]);
    down(nodes, 1);
    pass(nodes, 2 * THIRD);
    assert_int_equal(held(nodes, 0), HOSTS);
    assert_int_equal(world_state(nodes->world, id), INSTANCE_STATE_STOPPING);
    (void)await(nodes, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_int_equal(machine(nodes, world_instance(nodes->world, id)->host_id, id).end, MACHINE_END_GUEST);
    finish(nodes);
}

static void what_belongs_to_no_host_is_done_too(void **state)
{
    struct nodes *nodes = begin(2);
    struct str id, host;

    (void)state;
    pass(nodes, 4 * THIRD);
    id = launch_at(nodes, 1);
    host = world_instance(nodes->world, id)->host_id;
    assert_int_equal(world_stop(nodes->world, id, (struct stop_order){0}), 0);
    (void)await(nodes, id, INSTANCE_STATE_STOPPED, SECONDS(10));
    assert_int_equal(world_order(nodes->world, (struct ordered){.kind = ORDER_DELETE, .id = id}), 0);
    pass(nodes, SECONDS(2));
    assert_int_equal(world_state(nodes->world, id), -1);
    assert_int_equal(machine(nodes, host, id).state, MACHINE_ABSENT);
    finish(nodes);
}

static struct invocation_task await_task(struct nodes *nodes, struct str id, enum task_status status, usec_t limit_us)
{
    usec_t end = env_now(nodes->world->env) + limit_us;

    while (task_row(nodes->world, id).status != (int)status && env_now(nodes->world->env) < end)
        step(nodes, end);
    assert_int_equal(task_row(nodes->world, id).status, status);
    return task_row(nodes->world, id);
}

static void commands_are_ordered_and_stopped_at_any_node(void **state)
{
    struct nodes *nodes = begin_spread(2);
    struct str id, done, endless;

    (void)state;
    id = launch_at(nodes, 1);
    done = send_script(nodes->world, id, "echo hello", 60);
    endless = send_script(nodes->world, id, "sleep 1000", 900);
    assert_true(str_eq(await_task(nodes, done, TASK_STATUS_SUCCESS, SECONDS(5)).output, STR("hello\n")));
    (void)await_task(nodes, endless, TASK_STATUS_RUNNING, SECONDS(5));
    stop_task(nodes->world, endless);
    (void)await_task(nodes, endless, TASK_STATUS_TERMINATED, SECONDS(5));
    finish(nodes);
}

/* A script whose node is silent is asked after by the next one, and never started again. */
static void a_script_is_followed_by_the_next_holder(void **state)
{
    struct nodes *nodes = begin_spread(2);
    struct str id, task;

    (void)state;
    id = launch_at(nodes, 1);
    task = send_script(nodes->world, id, "sleep 40", 900);
    (void)await_task(nodes, task, TASK_STATUS_RUNNING, SECONDS(5));
    nodes->paused[1] = true;
    (void)await_task(nodes, task, TASK_STATUS_SUCCESS, SECONDS(60));
    nodes->paused[1] = false;
    pass(nodes, 4 * THIRD);
    assert_int_equal(task_row(nodes->world, task).status, TASK_STATUS_SUCCESS);
    assert_int_equal(nodes->engine[1]->errands.count, 0);
    finish(nodes);
}

/* Its new host is perhaps another node's: that one boots it. */
static void a_redeploy_ends_at_another_node(void **state)
{
    struct nodes *nodes = begin_spread(3);
    struct str id, from;

    (void)state;
    for (int i = 0; i < HOSTS; i++) {
        id = launch(nodes);
        from = world_instance(nodes->world, id)->host_id;
        assert_int_equal(world_order(nodes->world, (struct ordered){.kind = ORDER_REDEPLOY, .id = id}), 0);
        pass(nodes, SECONDS(1));
        (void)await(nodes, id, INSTANCE_STATE_RUNNING, SECONDS(30));
        assert_false(str_eq(world_instance(nodes->world, id)->host_id, from));
        assert_int_equal(machine(nodes, from, id).state, MACHINE_ABSENT);
    }
    for (size_t i = 0; i < NODES; i++)
        assert_int_equal(active(nodes, i), 0);
    finish(nodes);
}

static void set_host(struct nodes *nodes, struct str host_id, const char *state)
{
    struct world *world = nodes->world;

    assert_int_equal(world->hv->ops->simulate(world->hv, host_id, STR_NONE, STR("state"), str_from(state), &world->fail), 0);
}

/* What is left of a deleted instance stays with its node when its host goes to another: no row would lead that one to it. */
static void a_delete_outlives_the_loss_of_its_host(void **state)
{
    struct nodes *nodes = begin(1);
    struct world *world = nodes->world;
    struct str host = STR_NONE;
    struct str id;

    (void)state;
    pass(nodes, THIRD);
    while (!str_eq(host, STR("host-6"))) { /* the first that is given up */
        id = launch(nodes);
        host = world_instance(world, id)->host_id;
    }
    assert_int_equal(world_stop(world, id, (struct stop_order){0}), 0);
    (void)await(nodes, id, INSTANCE_STATE_STOPPED, SECONDS(10));
    set_host(nodes, host, "down");
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_DELETE, .id = id}), 0);
    up(nodes, 1);
    pass(nodes, 4 * THIRD);
    assert_int_equal(held(nodes, 1), 3);
    assert_int_equal(active(nodes, 0), 1);
    set_host(nodes, host, "up");
    pass(nodes, 2 * THIRD + SECONDS(30));
    assert_int_equal(active(nodes, 0), 0);
    assert_int_equal(machine(nodes, host, id).state, MACHINE_ABSENT);
    finish(nodes);
}

/* ── silence ── */

static void a_silent_nodes_stops_end_in_time(void **state)
{
    struct nodes *nodes = begin(3);
    struct world *world = nodes->world;
    struct str id;
    usec_t deadline;

    (void)state;
    world_set(world, "stop.graceful_timeout_s", "60");
    pass(nodes, 4 * THIRD);
    id = launch_at(nodes, 1);
    guest(nodes, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, (struct stop_order){0}), 0);
    deadline = env_now(world->env) + SECONDS(60);
    pass(nodes, SECONDS(2));
    nodes->paused[1] = true;
    pass(nodes, LEASE + 2 * THIRD);
    assert_int_equal(held(nodes, 1), 0);
    assert_int_equal(held(nodes, 0) + held(nodes, 2), HOSTS);
    (void)await(nodes, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_true(env_now(world->env) >= deadline && env_now(world->env) < deadline + SECONDS(1));
    finish(nodes);
}

/* It wakes up after its instance was stopped and started by another node: nothing of what it still has in mind happens. */
static void one_that_wakes_up_late_does_no_harm(void **state)
{
    struct nodes *nodes = begin(2);
    struct world *world = nodes->world;
    struct instance *inst;
    struct str id;

    (void)state;
    pass(nodes, 4 * THIRD);
    id = launch_at(nodes, 1);
    guest(nodes, id, "shutdown", "20");
    assert_int_equal(world_stop(world, id, (struct stop_order){0}), 0);
    pass(nodes, SECONDS(1));
    nodes->paused[1] = true;
    (void)await(nodes, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), 0);
    (void)await(nodes, id, INSTANCE_STATE_RUNNING, SECONDS(10));
    assert_int_equal(active(nodes, 1), 1);
    nodes->paused[1] = false;
    pass(nodes, 5 * THIRD);
    assert_int_equal(active(nodes, 1), 0);
    assert_int_equal(held(nodes, 0), 3);
    assert_int_equal(held(nodes, 1), 3);
    inst = world_instance(world, id);
    assert_int_equal(inst->state, INSTANCE_STATE_RUNNING);
    assert_int_equal(machine(nodes, inst->host_id, id).state, MACHINE_RUNNING);
    assert_int_equal(machine(nodes, inst->host_id, id).incarnation, inst->incarnation);
    finish(nodes);
}

/* It takes an order before it knows that its hosts are gone, and that another node has ended what it had under way. */
static void one_that_wakes_up_late_takes_orders(void **state)
{
    struct nodes *nodes = begin_spread(2);
    struct world *world = nodes->world;
    struct str id;

    (void)state;
    id = launch_at(nodes, 1);
    guest(nodes, id, "shutdown", "20");
    assert_int_equal(world_stop(world, id, (struct stop_order){0}), 0);
    pass(nodes, SECONDS(1));
    nodes->paused[1] = true;
    (void)await(nodes, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_int_equal(active(nodes, 1), 1);
    at(nodes, 1);
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), 0);
    assert_int_equal(active(nodes, 1), 1);
    nodes->paused[1] = false;
    (void)await(nodes, id, INSTANCE_STATE_RUNNING, 4 * THIRD); /* the host may change hands meanwhile */
    pass(nodes, 5 * THIRD);
    assert_int_equal(active(nodes, 0) + active(nodes, 1), 0);
    finish(nodes);
}

static size_t living(struct nodes *nodes, struct str id)
{
    size_t count = 0;

    for (int i = 1; i <= HOSTS; i++) {
        struct machine_status status = machine(nodes, arena_printf(&nodes->world->arena, "host-%d", i), id);

        count += status.state != MACHINE_ABSENT && status.state != MACHINE_OFF;
    }
    return count;
}

/* It gets its hosts back in the very write in which it would learn that it had lost them: what it has in mind is outdated. */
static void one_that_wakes_up_late_and_gets_all_back_begins_anew(void **state)
{
    struct nodes *nodes = begin_spread(2);
    struct world *world = nodes->world;
    struct str id, host;

    (void)state;
    id = launch_at(nodes, 1);
    host = world_instance(world, id)->host_id;
    guest(nodes, id, "shutdown", "20");
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_REDEPLOY, .id = id}), 0);
    pass(nodes, SECONDS(1));
    assert_int_equal(active(nodes, 1), 1);
    nodes->paused[1] = true;
    while (living(nodes, id) == 0 || str_eq(world_instance(world, id)->host_id, host))
        pass(nodes, SECONDS(1) / 10);
    lease_give_up(nodes->engine[0]);
    down(nodes, 0);
    nodes->paused[1] = false;
    (void)await(nodes, id, INSTANCE_STATE_RUNNING, 4 * THIRD);
    assert_int_equal(living(nodes, id), 1);
    assert_int_equal(machine(nodes, world_instance(world, id)->host_id, id).state, MACHINE_RUNNING);
    assert_int_equal(active(nodes, 1), 0);
    finish(nodes);
}

static struct job job_of(struct nodes *nodes, struct str id)
{
    struct tx *tx = store_read_begin(nodes->world->store);
    struct instance *inst;
    struct job *job;
    struct job copy;

    assert_int_equal(store_instance_get_hot(tx, id, &inst), 0);
    assert_int_equal(store_job_get(tx, inst->job_id, &job), 0);
    copy = *job;
    copy.holder = arena_str(&nodes->world->arena, job->holder);
    copy.instance_id = arena_str(&nodes->world->arena, job->instance_id);
    copy.error = STR_NONE;
    store_read_end(tx);
    return copy;
}

static int save_job(struct tx *tx, void *arg)
{
    return store_job_save(tx, arg);
}

static int check_host(struct tx *tx, void *arg)
{
    struct nodes *nodes = arg;

    return lease_check(tx, nodes->engine[1], world_instance(nodes->world, nodes->world->fail.message)->host_id);
}

static void late_records_are_fenced(void **state)
{
    struct nodes *nodes = begin_spread(2);
    struct world *world = nodes->world;
    struct job before;
    struct str id;

    (void)state;
    id = launch_at(nodes, 1);
    world->fail.message = id;
    guest(nodes, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, (struct stop_order){0}), 0);
    pass(nodes, SECONDS(1));
    before = job_of(nodes, id);
    assert_true(str_eq(before.holder, STR("b")));
    assert_int_equal(store_write(world->store, save_job, &before), 0);
    assert_int_equal(store_write(world->store, check_host, nodes), 0);
    nodes->paused[1] = true;
    pass(nodes, LEASE + 2 * THIRD);
    assert_true(str_eq(job_of(nodes, id).holder, STR("a")));
    assert_int_equal(store_write(world->store, save_job, &before), -E_FENCED);
    assert_int_equal(store_write(world->store, check_host, nodes), -E_FENCED);
    finish(nodes);
}

/* A node that was paused between its look at a host and the write of what it saw there. */
static void a_late_observation_is_fenced(void **state)
{
    struct nodes *nodes = begin_spread(2);
    struct world *world = nodes->world;
    struct str id, host;

    (void)state;
    id = launch_at(nodes, 1);
    host = world_instance(world, id)->host_id;
    nodes->paused[1] = true;
    pass(nodes, LEASE + 2 * THIRD);
    guest(nodes, id, "crash", "");
    assert_int_equal(machine(nodes, host, id).state, MACHINE_OFF);
    engine_observe(nodes->engine[1], &world->arena, host, id);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_RUNNING);
    engine_observe(nodes->engine[0], &world->arena, host, id);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPED);
    finish(nodes);
}

static int add_old_nodes(struct tx *tx, void *arg)
{
    int64_t epoch;
    int r = 0;

    (void)arg;
    for (int i = 0; r == 0 && i < 300; i++) {
        struct str id = arena_printf(tx_arena(tx), "0-%d", i);

        r = store_node_take(tx, id, tx_now(tx), &epoch);
        if (r == 0)
            r = store_node_end(tx, id, epoch);
    }
    return r;
}

/* However many there have been: rows stay, since epochs must not come again. */
static void a_silent_node_is_found_among_many_that_are_over(void **state)
{
    struct nodes *nodes = begin_spread(2);

    (void)state;
    assert_int_equal(store_write(nodes->world->store, add_old_nodes, NULL), 0);
    nodes->paused[1] = true;
    pass(nodes, LEASE + 2 * THIRD);
    assert_int_equal(held(nodes, 0), HOSTS);
    assert_int_equal(engine_nodes(nodes->engine[0]), 1);
    finish(nodes);
}

static int record_intent(struct tx *tx, void *arg)
{
    return errand_record_intent(tx, arg);
}

/* It had a script to deliver, lost the host, and got it back after another node had delivered it. */
static void a_script_that_another_node_delivered_is_not_delivered_again(void **state)
{
    struct nodes *nodes = begin_spread(2);
    struct errand late = {.engine = nodes->engine[1]};
    struct str task;

    (void)state;
    task = send_script(nodes->world, launch_at(nodes, 0), "sleep 40", 900);
    late.task = task_row(nodes->world, task);
    late.task.id = task;
    (void)await_task(nodes, task, TASK_STATUS_RUNNING, SECONDS(5));
    assert_int_equal(store_write(nodes->world->store, record_intent, &late), -E_CONFLICT);
    assert_int_equal(task_row(nodes->world, task).status, TASK_STATUS_RUNNING);
    finish(nodes);
}

/* Nobody could write for a while: that says of nobody that he is gone. */
static void silence_of_all_is_not_counted(void **state)
{
    struct nodes *nodes = begin_spread(3);
    int64_t buried = metric_get(METRIC_NODES_BURIED);

    (void)state;
    for (size_t i = 0; i < NODES; i++)
        nodes->paused[i] = true;
    pass(nodes, 3 * LEASE);
    for (size_t i = 0; i < NODES; i++)
        nodes->paused[i] = false;
    pass(nodes, 4 * THIRD);
    assert_int_equal(metric_get(METRIC_NODES_BURIED), buried);
    for (size_t i = 0; i < NODES; i++)
        assert_int_equal(held(nodes, i), 2);
    finish(nodes);
}

/* What a guest does on its own is noticed by the node that has its host, also when the one before is gone. */
static void a_guest_that_goes_off_is_noticed_by_the_next_holder(void **state)
{
    struct nodes *nodes = begin_spread(2);
    struct str id;

    (void)state;
    id = launch_at(nodes, 1);
    nodes->paused[1] = true;
    pass(nodes, SECONDS(1));
    guest(nodes, id, "crash", "");
    pass(nodes, SECONDS(1));
    assert_int_equal(world_state(nodes->world, id), INSTANCE_STATE_RUNNING); /* nobody who may say it */
    (void)await(nodes, id, INSTANCE_STATE_STOPPED, LEASE + 2 * THIRD);
    finish(nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_shared_among_those_that_live),
        cmocka_unit_test(a_host_that_is_added_is_driven_at_once),
        cmocka_unit_test(a_node_that_leaves_in_order_gives_its_hosts_back),
        cmocka_unit_test(a_node_that_starts_anew_finds_its_work),
        cmocka_unit_test(hosts_of_one_process_stay_with_it),
        cmocka_unit_test(a_stop_is_carried_out_by_the_holder),
        cmocka_unit_test(a_forced_stop_overtakes_at_another_node),
        cmocka_unit_test(a_job_that_comes_back_stays_graceful),
        cmocka_unit_test(what_belongs_to_no_host_is_done_too),
        cmocka_unit_test(commands_are_ordered_and_stopped_at_any_node),
        cmocka_unit_test(a_script_is_followed_by_the_next_holder),
        cmocka_unit_test(a_redeploy_ends_at_another_node),
        cmocka_unit_test(a_delete_outlives_the_loss_of_its_host),
        cmocka_unit_test(a_silent_nodes_stops_end_in_time),
        cmocka_unit_test(one_that_wakes_up_late_does_no_harm),
        cmocka_unit_test(one_that_wakes_up_late_takes_orders),
        cmocka_unit_test(one_that_wakes_up_late_and_gets_all_back_begins_anew),
        cmocka_unit_test(late_records_are_fenced),
        cmocka_unit_test(a_late_observation_is_fenced),
        cmocka_unit_test(a_silent_node_is_found_among_many_that_are_over),
        cmocka_unit_test(a_script_that_another_node_delivered_is_not_delivered_again),
        cmocka_unit_test(silence_of_all_is_not_counted),
        cmocka_unit_test(a_guest_that_goes_off_is_noticed_by_the_next_holder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
