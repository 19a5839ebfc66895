/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th call of the store's driver fails, for n = 1, 2, … until nothing fails any more, while the engine writes what becomes
 * of a script: it ends as if nothing had failed, once.
 */
#define fault_plan store_fault_plan /* the hypervisor's wrapper has a struct of this name too */
#include "store/db.h"
#undef fault_plan

static int open_faulty(const char *url, const struct store_settings *settings, struct fail *fail, struct store **ret)
{
    return store_open_with(&fault_driver, url + sizeof("sqlite:") - 1, settings, fail, ret);
}
#define WORLD_STORE_OPEN open_faulty

#include "model/command.h"
#include "unit/engine_world.h"

#define TYPE "ecs.g6.large"

struct sent {
    struct world *world;
    struct invocation inv;
    struct invocation_task task;
};

static int send_run(struct tx *tx, void *arg)
{
    struct sent *sent = arg;
    struct instance *inst;
    int r = store_instance_get_hot(tx, sent->task.instance_id, &inst);

    if (r == 0)
        r = store_invocation_insert(tx, &sent->inv, &sent->task);
    if (r == 0)
        engine_order_task(sent->world->engine, tx, &sent->task, inst->host_id);
    return r;
}

static struct sent script_of(struct world *world, struct str instance_id, const char *script)
{
    struct sent sent = {.world = world};
    usec_t now = env_now(world->env);

    sent.inv = (struct invocation){
        .id = env_id(world->env, &world->arena, "t-"),
        .account_id = ACCOUNT,
        .region_id = STR("cn-hangzhou"),
        .command_id = STR("c-1"),
        .content = str_from(script),
        .script = str_from(script),
        .timeout_s = 60,
        .task_count = 1,
        .created_us = now,
    };
    sent.task = (struct invocation_task){
        .id = env_id(world->env, &world->arena, "r-"),
        .invocation_id = sent.inv.id,
        .account_id = ACCOUNT,
        .region_id = sent.inv.region_id,
        .instance_id = instance_id,
        .status = TASK_STATUS_PENDING,
        .error = -1,
        .timeout_s = 60,
        .created_us = now,
        .deliver_us = now + SECONDS(300),
    };
    return sent;
}

static struct invocation_task *task_row(struct world *world, struct str id)
{
    struct tx *tx = store_read_begin(world->store);
    struct invocation_task *copy = arena_new(&world->arena, struct invocation_task);
    struct invocation_task *task;

    assert_int_equal(store_task_get(tx, id, &task), 0);
    *copy = *task;
    copy->output = arena_str(&world->arena, task->output);
    copy->error_info = arena_str(&world->arena, task->error_info);
    store_read_end(tx);
    return copy;
}

static bool await_result(struct world *world, struct str id, int64_t at)
{
    usec_t end = env_now(world->env) + SECONDS(120);
    bool hit = false;

    while (!task_is_finished(task_row(world, id)->status)) {
        usec_t next;
        usec_t now;

        fault_set(hit ? 0 : at, E_IO, false);
        next = world_settle(world);
        hit = hit || fault_get().hit;
        at -= fault_get().calls;
        fault_set(0, 0, false);
        now = env_now(world->env);
        assert_true(now < end);
        env_advance(world->env, MIN_OF(MAX_OF(next, now + 1), end) - now);
    }
    return hit;
}

static void a_script_ends_with_its_result(void **state)
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    int64_t at = 0;
    bool hit;

    (void)state;
    do {
        struct sent sent = script_of(world, id, "echo once; exit 3");
        const struct invocation_task *task;

        assert_int_equal(store_write(world->store, send_run, &sent), 0);
        hit = await_result(world, sent.task.id, ++at);
        task = task_row(world, sent.task.id);
        /* The record failed, not the script: its outcome is known here, and is written when the store takes it. */
        assert_int_equal(task->status, TASK_STATUS_FAILED);
        assert_int_equal(task->exit_code, 3);
        assert_str(task->output, "once\n");
        assert_true(at < 300);
    } while (hit);
    print_message("script: %d failures of the store\n", (int)at - 1);
    assert_true(at > 10);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_script_ends_with_its_result),
    };

    log_threshold = (enum log_level)0; /* failures are what it is about */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
