/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts for guests, as RunCommand and StopInvocation order them, for tests of the engine. */
#pragma once

#include "model/command.h"
#include "unit/engine_world.h"

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

/* A task as RunCommand makes it. */
HELPER struct str send_script(struct world *world, struct str instance_id, const char *script, int64_t timeout_s)
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
        .parametric = true,
        .timeout_s = timeout_s,
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
        .timeout_s = timeout_s,
        .created_us = now,
        .deliver_us = now + world->options.values.command_delivery_s * USEC_PER_SEC,
    };
    assert_int_equal(store_write(world->store, send_run, &sent), 0);
    return sent.task.id;
}

HELPER struct invocation_task task_row(struct world *world, struct str id)
{
    struct tx *tx = store_read_begin(world->store);
    struct invocation_task *task;
    struct invocation_task copy;

    assert_int_equal(store_task_get(tx, id, &task), 0);
    copy = *task;
    copy.invocation_id = arena_str(&world->arena, task->invocation_id);
    copy.output = arena_str(&world->arena, task->output);
    copy.error_info = arena_str(&world->arena, task->error_info);
    store_read_end(tx);
    return copy;
}

static int stop_run(struct tx *tx, void *arg)
{
    struct sent *sent = arg;
    struct invocation_task *task;
    int r = store_task_get(tx, sent->task.id, &task);

    if (r == 0)
        r = engine_order_task_stop(sent->world->engine, tx, task);
    return r == 0 ? store_invocation_fold(tx, task->invocation_id) : r;
}

HELPER void stop_task(struct world *world, struct str id)
{
    struct sent sent = {.world = world, .task.id = id};

    assert_int_equal(store_write(world->store, stop_run, &sent), 0);
}
