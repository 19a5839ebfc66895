/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts in guests: run once at most, ended at their deadline, told truly what became of them, through crashes too. */
#include "engine/active.h"
#include "model/command.h"
#include "unit/engine_faulty.h"
#include "unit/engine_task_kit.h"

static struct invocation_task await_status(struct world *world, struct str id, enum task_status status, usec_t limit_us)
{
    usec_t end = env_now(world->env) + limit_us;

    while (task_row(world, id).status != (int)status && env_now(world->env) < end)
        world_pass(world, 10 * USEC_PER_MSEC);
    if (task_row(world, id).status != (int)status)
        fail_msg("the task is %s, not %s", task_status_text((enum task_status)task_row(world, id).status),
                 task_status_text(status));
    return task_row(world, id);
}

static void assert_text(struct str a, const char *b)
{
    if (!str_eq(a, str_from(b)))
        fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(a), b);
}

static void the_end_of_a_script_is_its_result(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct str good = send_script(world, id, "echo {{ACS::InstanceId}}", 60);
    struct str bad = send_script(world, id, "echo no; exit 3", 60);
    struct invocation_task task = await_status(world, good, TASK_STATUS_SUCCESS, SECONDS(5));
    struct invocation *inv;
    struct tx *tx;

    (void)arg;
    assert_text(task.output, arena_cstr(&world->arena, arena_printf(&world->arena, "%.*s\n", STR_ARG(id))));
    assert_true(task.exited && task.exit_code == 0 && task.error == -1);
    assert_true(task.started_us > 0 && task.finished_us >= task.started_us);
    assert_int_equal(task.deadline_us, task.started_us + SECONDS(60));
    task = await_status(world, bad, TASK_STATUS_FAILED, SECONDS(5));
    assert_int_equal(task.exit_code, 3);
    assert_int_equal(task.error, TASK_ERROR_EXIT_CODE_NONZERO);
    assert_text(task.output, "no\n");
    tx = store_read_begin(world->store);
    assert_int_equal(store_invocation_get(tx, task.invocation_id, &inv), 0);
    assert_int_equal(inv->status, INVOCATION_STATUS_FAILED);
    assert_int_equal(inv->invoke_status, INVOKE_STATUS_FINISHED);
    store_read_end(tx);
    world_close(world);
}

static void long_output_is_cut(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    char *script = arena_alloc(&world->arena, 30001);
    struct invocation_task task;

    (void)arg;
    memset(script, 'x', 30000);
    memcpy(script, "echo ", 5);
    task = await_status(world, send_script(world, id, script, 60), TASK_STATUS_SUCCESS, SECONDS(5));
    assert_int_equal(task.output.len, COMMAND_OUTPUT_BYTES);
    assert_int_equal(task.dropped_bytes, 30000 - 5 + 1 - COMMAND_OUTPUT_BYTES);
    world_close(world);
}

static void a_script_is_ended_at_its_deadline(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct str task_id = send_script(world, id, "sleep 1000", 10);
    struct invocation_task task;

    (void)arg;
    world_pass(world, SECONDS(9));
    task = task_row(world, task_id);
    assert_int_equal(task.status, TASK_STATUS_RUNNING);
    assert_true(task.pid != 0);
    task = await_status(world, task_id, TASK_STATUS_TIMEOUT, SECONDS(2));
    assert_int_equal(task.error, TASK_ERROR_EXECUTION_TIMEOUT);
    assert_false(task.exited);
    assert_true(task.finished_us >= task.deadline_us && task.finished_us < task.deadline_us + SECONDS(1));
    world_close(world);
}

static void a_stop_ends_it_or_keeps_it_from_starting(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct str running = send_script(world, id, "sleep 1000", 60);
    struct str waiting;

    (void)arg;
    (void)await_status(world, running, TASK_STATUS_RUNNING, SECONDS(1));
    world_pass(world, SECONDS(1));
    stop_task(world, running);
    assert_int_equal(task_row(world, running).status, TASK_STATUS_STOPPING);
    assert_true(task_row(world, running).stopped_us > 0);
    (void)await_status(world, running, TASK_STATUS_TERMINATED, SECONDS(1));
    world_guest(world, id, "hang", "on");
    waiting = send_script(world, id, "echo never", 60);
    world_pass(world, SECONDS(1));
    stop_task(world, waiting);
    assert_int_equal(task_row(world, waiting).status, TASK_STATUS_CANCELLED);
    world_guest(world, id, "hang", "off");
    world_pass(world, SECONDS(5));
    assert_int_equal(task_row(world, waiting).status, TASK_STATUS_CANCELLED);
    assert_int_equal(task_row(world, waiting).started_us, 0);
    stop_task(world, running); /* one that has ended stays */
    assert_int_equal(task_row(world, running).status, TASK_STATUS_TERMINATED);
    world_close(world);
}

static void without_an_agent_it_is_aborted(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct str first, second;
    struct invocation_task task;

    (void)arg;
    world_guest(world, id, "hang", "on");
    first = send_script(world, id, "echo never", 60);
    world_pass(world, SECONDS(59));
    assert_int_equal(task_row(world, first).status, TASK_STATUS_PENDING);
    task = await_status(world, first, TASK_STATUS_ABORTED, SECONDS(2));
    assert_int_equal(task.error, TASK_ERROR_CLIENT_NOT_RUNNING);
    assert_text(task.error_info, "the aliyun service is not running on the instance");
    second = send_script(world, id, "echo late", 60);
    world_pass(world, SECONDS(30));
    world_guest(world, id, "hang", "off"); /* it comes up in time */
    (void)await_status(world, second, TASK_STATUS_SUCCESS, SECONDS(3));
    world_host(world, "state", "down");
    task = await_status(world, send_script(world, id, "echo never", 60), TASK_STATUS_ABORTED, SECONDS(62));
    assert_int_equal(task.error, TASK_ERROR_CLIENT_NOT_RESPONSE);
    world_close(world);
}

static void the_end_of_its_machine_is_its_end(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct str running = send_script(world, id, "sleep 1000", 3600);
    struct str late;
    struct invocation_task task;

    (void)arg;
    world_pass(world, SECONDS(2));
    assert_int_equal(world_stop(world, id, (struct stop_order){0}), 0);
    late = send_script(world, id, "echo never", 60);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(30));
    world_pass(world, 10 * USEC_PER_MSEC); /* told by the event: nobody waits for the next look */
    task = task_row(world, running);
    assert_int_equal(task.status, TASK_STATUS_FAILED);
    assert_int_equal(task.error, TASK_ERROR_EXECUTION_INTERRUPTED);
    assert_false(task.exited);
    assert_int_equal(task_row(world, late).status, TASK_STATUS_ABORTED);
    assert_int_equal(task_row(world, late).error, TASK_ERROR_INSTANCE_NOT_RUNNING);
    world_close(world);
}

static void a_reset_of_the_guest_loses_it(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct str task_id = send_script(world, id, "sleep 1000", 3600);
    struct invocation_task task;

    (void)arg;
    world_pass(world, SECONDS(2));
    world_guest(world, id, "reboot", "");
    task = await_status(world, task_id, TASK_STATUS_FAILED, SECONDS(30));
    assert_int_equal(task.error, TASK_ERROR_EXECUTION_INTERRUPTED);
    assert_true(str_contains(task.error_info, STR("outcome is unknown")));
    world_close(world);
}

static void released_instances_are_told_of(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct str task_id = send_script(world, id, "sleep 1000", 3600);
    struct invocation_task task;

    (void)arg;
    world_pass(world, SECONDS(2));
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_DELETE, .id = id, .stop = {.force = true}}), 0);
    task = await_status(world, task_id, TASK_STATUS_FAILED, SECONDS(30));
    assert_true(task.error == TASK_ERROR_INSTANCE_RELEASED || task.error == TASK_ERROR_EXECUTION_INTERRUPTED);
    world_close(world);
}

/* The daemon dies and comes back; the guests and their agents don't notice. */
static void restart_around(struct world *world)
{
    struct store_settings store = {.cache_mib = 2, .checkpoint_ms = 200, .env = world->env};
    struct engine_settings engine = {
        .env = world->env, .options = &world->options.values, .node = STR("local"), .hypervisor = world->hv};
    char url[96];

    (void)snprintf(url, sizeof(url), "sqlite:%s/ecsd.db", world->dir);
    world->store = store_close(world->store);
    world->engine = engine_close(world->engine);
    assert_int_equal(store_open(url, &store, &world->fail, &world->store), 0);
    engine.store = world->store;
    assert_int_equal(engine_open(&engine, &world->fail, &world->engine), 0);
    assert_int_equal(engine_recover(world->engine, &world->fail), 0);
}

static void a_restart_asks_for_what_was_started(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct str ends = send_script(world, id, "sleep 20; echo done", 60);
    struct str stops = send_script(world, id, "sleep 1000", 3600);
    struct str expires = send_script(world, id, "sleep 1000", 30);
    usec_t deadline;

    (void)arg;
    world_pass(world, SECONDS(5));
    deadline = task_row(world, expires).deadline_us;
    restart_around(world);
    stop_task(world, stops);
    restart_around(world);
    (void)await_status(world, stops, TASK_STATUS_TERMINATED, SECONDS(2));
    assert_text(await_status(world, ends, TASK_STATUS_SUCCESS, SECONDS(20)).output, "done\n");
    assert_int_equal(task_row(world, expires).status, TASK_STATUS_RUNNING);
    (void)await_status(world, expires, TASK_STATUS_TIMEOUT, SECONDS(12));
    assert_int_equal(task_row(world, expires).deadline_us, deadline);
    world_close(world);
}

/* The number that the agent gives next: how many programs there were in between. */
static int64_t agent_number(struct world *world, struct str id)
{
    struct instance *inst = world_instance(world, id);
    struct machine_exec exec = {.path = STR("/bin/true")};
    int64_t pid = 0;

    assert_int_equal(world->sim->ops->exec_start(world->sim, inst->host_id, id, inst->incarnation, &exec, &pid), 0);
    return pid;
}

static void a_crash_at_any_moment_runs_nothing_twice(void **arg)
{
    int unknown = 0;
    int done = 0;

    (void)arg;
    for (int writes = 0; writes < 5; writes++) {
        struct world *world = world_open();
        struct str id = world_launch(world, "ecs.g6.large");
        int64_t before = agent_number(world, id);
        struct str task_id = send_script(world, id, "echo once", 60);
        struct invocation_task task;

        for (int i = 0; i < writes; i++) {
            (void)engine_run_due(world->engine);
            if (i + 1 < writes) /* the latest that was given to the store is lost */
                (void)store_run_once(world->store);
        }
        restart_around(world);
        world_pass(world, SECONDS(5));
        task = task_row(world, task_id);
        assert_true(task.status == TASK_STATUS_SUCCESS || task.status == TASK_STATUS_FAILED);
        if (task.status == TASK_STATUS_FAILED)
            assert_true(str_contains(task.error_info, STR("outcome is unknown")));
        done += task.status == TASK_STATUS_SUCCESS;
        unknown += task.status == TASK_STATUS_FAILED;
        assert_true(agent_number(world, id) - before - 1 <= 1);
        world_close(world);
    }
    assert_true(done > 0 && unknown > 0); /* both happened: the moments were chosen well */
}

static void a_daemon_whose_guests_went_with_it_says_so(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct str task_id = send_script(world, id, "sleep 1000", 3600);
    struct invocation_task task;

    (void)arg;
    world_pass(world, SECONDS(5));
    world_kill(world);
    world_up(world); /* simulated agents are in memory */
    task = await_status(world, task_id, TASK_STATUS_FAILED, SECONDS(5));
    assert_true(str_contains(task.error_info, STR("outcome is unknown")));
    (void)await_status(world, send_script(world, id, "echo on", 60), TASK_STATUS_SUCCESS, SECONDS(5));
    world_close(world);
}

/* Nobody was there for longer than a command may wait: it is not run late. */
static void a_long_night_delivers_nothing(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct str task_id = send_script(world, id, "echo late", 60);

    (void)arg;
    world_kill(world);
    env_advance(world->env, SECONDS(3600));
    world_up(world);
    assert_int_equal(await_status(world, task_id, TASK_STATUS_ABORTED, SECONDS(2)).error, TASK_ERROR_DELIVERY_TIMEOUT);
    world_close(world);
}

/* Every call to the host fails once, before or after it was carried out. */
static void a_failing_host_runs_nothing_twice(void **arg)
{
    (void)arg;
    for (int nth = 1; nth <= 6; nth++) {
        for (int after = 0; after <= 1; after++) {
            struct world *world = world_open();
            struct str id = world_launch(world, "ecs.g6.large");
            int64_t before = agent_number(world, id);
            struct fault_plan plan = {.nth = nth, .after = after != 0};
            struct str task_id;
            struct invocation_task task;

            world_pass(world, SECONDS(1));
            fault_arm(world->hv, &plan);
            task_id = send_script(world, id, "sleep 0.05; echo once", 60);
            world_pass(world, SECONDS(20));
            task = task_row(world, task_id);
            assert_true(task.status == TASK_STATUS_SUCCESS || task.status == TASK_STATUS_FAILED);
            if (task.status == TASK_STATUS_FAILED)
                assert_true(str_contains(task.error_info, STR("outcome is unknown")));
            assert_true(agent_number(world, id) - before - 1 <= 1);
            fault_arm(world->hv, NULL);
            world_close(world);
        }
    }
}

static void old_results_go(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct str task_id;
    struct invocation_task *task;
    struct tx *tx;

    (void)arg;
    world_set(world, "command.keep_s", "60");
    task_id = send_script(world, id, "echo old", 60);
    (void)await_status(world, task_id, TASK_STATUS_SUCCESS, SECONDS(5));
    world_pass(world, SECONDS(50));
    (void)task_row(world, task_id);
    world_pass(world, SECONDS(15));
    tx = store_read_begin(world->store);
    assert_int_equal(store_task_get(tx, task_id, &task), -E_NOT_FOUND);
    store_read_end(tx);
    world_close(world);
}

static void many_of_one_host_all_get_their_turn(void **arg)
{
    struct world *world = world_open();
    struct str ids[20];
    struct str tasks[countof(ids) * 5];

    (void)arg;
    for (size_t i = 0; i < countof(ids); i++)
        ids[i] = world_launch(world, "ecs.g6.large");
    for (size_t i = 0; i < countof(tasks); i++)
        tasks[i] = send_script(world, ids[i % countof(ids)], "sleep 2; echo x", 60);
    world_pass(world, SECONDS(5));
    for (size_t i = 0; i < countof(tasks); i++)
        assert_int_equal(task_row(world, tasks[i]).status, TASK_STATUS_SUCCESS);
    world_close(world);
}

/* Every call of the store's driver fails once: what has run is told when the store takes it, and nothing runs twice. */
static void a_failing_store_loses_no_result(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    int64_t nth = 0;
    bool hit;

    (void)arg;
    do {
        int64_t before = agent_number(world, id);
        struct str sent = send_script(world, id, "echo once; exit 3", 60);
        int64_t at = ++nth;
        struct invocation_task task;

        hit = false;
        for (int i = 0; i < 12000 && !task_is_finished(task_row(world, sent).status); i++) {
            (void)faulty_settle(world, &at, &hit);
            env_advance(world->env, 10 * USEC_PER_MSEC);
        }
        task = task_row(world, sent);
        assert_int_equal(task.status, TASK_STATUS_FAILED);
        assert_int_equal(task.exit_code, 3);
        assert_text(task.output, "once\n");
        assert_int_equal(agent_number(world, id) - before, 2); /* the script, and the question for the number */
        assert_true(nth < 500);
    } while (hit);
    assert_true(nth > 10);
    world_close(world);
}

/* Each answer that a start may get: only a host that says "busy" has started nothing for certain. */
static void what_a_host_answers_decides(void **arg)
{
    static const struct {
        enum error_code code;
        bool tried_again; /* and with that it succeeds */
        int status;       /* else */
    } answers[] = {
        {E_BUSY, true, 0},
        {E_UNREACHABLE, false, TASK_STATUS_FAILED},
        {E_TIMEOUT, false, TASK_STATUS_FAILED},
        {E_GONE, false, TASK_STATUS_FAILED},
        {E_INVALID, false, TASK_STATUS_ERROR},
    };

    (void)arg;
    for (size_t i = 0; i < countof(answers); i++) {
        struct world *world = world_open();
        struct str id = world_launch(world, "ecs.g6.large");
        struct fault_plan plan = {.nth = 2, .error = answers[i].code}; /* the first asks whether the agent is there */
        struct str task;

        fault_arm(world->hv, &plan);
        task = send_script(world, id, "echo once", 60);
        (void)await_status(world, task, answers[i].tried_again ? TASK_STATUS_SUCCESS : (enum task_status)answers[i].status,
                           SECONDS(10));
        assert_int_equal(fault_failed(world->hv), 1);
        fault_arm(world->hv, NULL);
        world_close(world);
    }
}

/* The engine's clock jumps back by an hour; what waits for its agent waits no longer than before. */
static void a_clock_set_back_prolongs_nothing(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, "ecs.g6.large");
    struct env *back;
    struct str task;
    int waited_s = 0;

    (void)arg;
    world_guest(world, id, "pause", ""); /* no agent answers */
    task = send_script(world, id, "echo never", 60);
    world_pass(world, SECONDS(10));
    back = env_new_seeded(44, env_now(world->env) - SECONDS(3600));
    world->engine->env = back;
    for (; task_row(world, task).status == TASK_STATUS_PENDING && waited_s < 1000; waited_s++) {
        (void)world_settle(world);
        env_advance(back, SECONDS(1));
        env_advance(world->env, SECONDS(1));
    }
    assert_int_equal(task_row(world, task).status, TASK_STATUS_ABORTED);
    assert_in_range(waited_s, 45, 56);
    world_close(world);
    back = env_free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_a_script_is_its_result),
        cmocka_unit_test(long_output_is_cut),
        cmocka_unit_test(a_script_is_ended_at_its_deadline),
        cmocka_unit_test(a_stop_ends_it_or_keeps_it_from_starting),
        cmocka_unit_test(without_an_agent_it_is_aborted),
        cmocka_unit_test(the_end_of_its_machine_is_its_end),
        cmocka_unit_test(a_reset_of_the_guest_loses_it),
        cmocka_unit_test(released_instances_are_told_of),
        cmocka_unit_test(a_restart_asks_for_what_was_started),
        cmocka_unit_test(a_crash_at_any_moment_runs_nothing_twice),
        cmocka_unit_test(a_daemon_whose_guests_went_with_it_says_so),
        cmocka_unit_test(a_long_night_delivers_nothing),
        cmocka_unit_test(a_failing_host_runs_nothing_twice),
        cmocka_unit_test(a_failing_store_loses_no_result),
        cmocka_unit_test(what_a_host_answers_decides),
        cmocka_unit_test(a_clock_set_back_prolongs_nothing),
        cmocka_unit_test(old_results_go),
        cmocka_unit_test(many_of_one_host_all_get_their_turn),
    };

    log_threshold = LOG_ERROR;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
