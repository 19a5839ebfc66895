/* SPDX-License-Identifier: Apache-2.0 */
/* RunCommand, InvokeCommand, StopInvocation. */
#include "actions/command.h"

#define INSTANCES_MAX 100 /* InstanceId.N (RunCommand page) */
#define DROP_LIMIT 64     /* old invocations that make room in one call */

/* What both requests say about where and how. */
struct send_ask {
    struct str region_id;
    const struct str_list *instance_ids;
    const struct tag_pair_list *resource_tags;
    struct str parameters;
    struct str username;
    int termination_mode;
    int repeat_mode;
    bool timed;
    struct str frequency;
    struct str resource_group_id;
    const struct tag_pair_list *tags;
};

#define SEND_ASK(req)                                                                              \
    {                                                                                              \
        .region_id = (req)->region_id, .instance_ids = &(req)->instance_id,                        \
        .resource_tags = &(req)->resource_tag, .parameters = (req)->parameters,                    \
        .username = (req)->username, .termination_mode = (req)->termination_mode,                  \
        .repeat_mode = (req)->repeat_mode, .timed = (req)->timed, .frequency = (req)->frequency,   \
        .resource_group_id = (req)->resource_group_id, .tags = &(req)->tag                         \
    }

static int check_send(struct action *act, const struct send_ask *ask)
{
    bool timed = ask->timed || ask->repeat_mode == REPEAT_MODE_PERIOD;

    if (timed && str_empty(ask->frequency))
        return fail(act->fail, E_CMD_FREQUENCY_MISSING);
    if (timed)
        return fail(act->fail, E_CMD_FREQUENCY);
    if (ask->repeat_mode > REPEAT_MODE_ONCE)
        return fail(act->fail, E_PARAMETER_NOT_SUPPORTED, STR("RepeatMode"));
    if (ask->username.len > COMMAND_USERNAME_BYTES)
        return fail(act->fail, E_CMD_USERNAME);
    if (!str_eq(ask->username, STR("root")))
        return fail(act->fail, E_PARAMETER_NOT_SUPPORTED, STR("Username"));
    return 0;
}

/* ── parameters ── */

static bool is_among(const struct str_list *list, struct str name)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->items[i], name))
            return true;
    return false;
}

static int check_values(struct action *act, const struct command *command, const struct text_pair_list *values)
{
    struct str_list names;
    int r;

    if (values->count > 0 && !command->parametric)
        return fail(act->fail, E_CMD_PARAM_DISABLED);
    if (values->count > COMMAND_PARAMETERS_MAX)
        return fail(act->fail, E_CMD_PARAM_COUNT);
    r = command_parameters(act->arena, command->content, &names);
    for (size_t i = 0; r == 0 && i < values->count; i++) {
        if (values->items[i].name.len > COMMAND_PARAMETER_NAME_BYTES)
            return fail(act->fail, E_CMD_PARAM_KEY_LIMIT);
        if (!is_among(&names, values->items[i].name))
            return fail(act->fail, E_CMD_PARAM_MATCH);
    }
    return r < 0 ? fail(act->fail, (enum error_code)-r) : 0;
}

static int fill_script(struct action *act, const struct command *command, struct str parameters, struct str *ret)
{
    struct text_pair_list values = {0};
    int r = 0;

    if (!str_empty(parameters))
        r = act->read_map(act->arena, parameters, &values);
    if (r == -E_EXISTS)
        return fail(act->fail, E_CMD_PARAM_DUPLICATE);
    if (r < 0)
        return fail(act->fail, E_INVALID_PARAMETER, STR("Parameters"));
    *ret = command->content;
    if (values.count == 0 && !command->parametric)
        return 0;
    r = check_values(act, command, &values);
    if (r < 0)
        return r;
    r = command_fill(act->arena, command->content, &values, false, LIMIT_SCRIPT_BYTES, ret);
    return r < 0 ? fail(act->fail, E_CMD_CONTENT_LIMIT_INVOKE) : 0;
}

/* ── instances ── */

static int by_tags(struct action *act, const struct send_ask *ask, struct instance_list *ret)
{
    struct page page = {.limit = INSTANCES_MAX};
    struct instance_filter filter;
    struct tag *tags;
    size_t count;
    int r = action_tag_filter(act, ask->resource_tags, &tags, &count);

    if (r < 0)
        return r;
    instance_filter_init(&filter);
    filter.account_id = act->account->id;
    filter.region_id = ask->region_id;
    filter.tags = tags;
    filter.tag_count = count;
    r = store_instance_find(act->tx, &filter, &page, false, ret);
    if (r < 0)
        return action_failed(act, r);
    if (ret->more)
        return fail(act->fail, E_CMD_INSTANCE_COUNT);
    return ret->count == 0 ? fail(act->fail, E_CMD_INSTANCE_NOT_FOUND) : 0;
}

static bool is_listed(const struct instance_list *list, struct str id)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->items[i].id, id))
            return true;
    return false;
}

/* Each once, however often it was named. */
static int by_ids(struct action *act, const struct send_ask *ask, struct instance_list *ret)
{
    *ret = (struct instance_list){.items = arena_array(act->arena, struct instance, ask->instance_ids->count)};
    for (size_t i = 0; i < ask->instance_ids->count; i++) {
        struct instance *inst = NULL;
        int r;

        if (is_listed(ret, ask->instance_ids->items[i]))
            continue;
        r = store_instance_get(act->tx, ask->instance_ids->items[i], &inst);
        if (r == -E_NOT_FOUND || (r == 0 && (!str_eq(inst->account_id, act->account->id) ||
                                             !str_eq(inst->region_id, ask->region_id))))
            return fail(act->fail, E_CMD_INSTANCE_NOT_FOUND);
        if (r < 0)
            return action_failed(act, r);
        ret->items[ret->count++] = *inst;
    }
    return 0;
}

static int find_instances(struct action *act, const struct send_ask *ask, int type, struct instance_list *ret)
{
    int r;

    if (ask->instance_ids->count > 0)
        r = by_ids(act, ask, ret);
    else if (ask->resource_tags->count > 0)
        r = by_tags(act, ask, ret);
    else
        r = fail(act->fail, E_CMD_MISSING_INSTANCES);
    for (size_t i = 0; r == 0 && i < ret->count; i++) {
        bool windows = str_eq(ret->items[i].os_type, str_from(os_type_text(OS_TYPE_WINDOWS)));

        /* Scripts run with /bin/sh. */
        if (windows || type != COMMAND_TYPE_RUN_SHELL_SCRIPT)
            r = fail(act->fail, E_CMD_INSTANCE_MATCH);
    }
    return r;
}

/* ── the invocation ── */

/* Results of an account are bounded: the oldest finished ones make room. */
static int make_room(struct action *act, int64_t wanted)
{
    int64_t most = act->options->quota_command_results;
    int64_t count = 0;
    int r = store_task_count(act->tx, act->account->id, &count);

    if (r == 0 && count + wanted > most) {
        r = store_invocation_drop_oldest(act->tx, act->account->id, DROP_LIMIT);
        if (r == 0)
            r = store_task_count(act->tx, act->account->id, &count);
    }
    if (r < 0)
        return action_failed(act, r);
    return count + wanted > most ? fail(act->fail, E_INVOCATION_QUOTA) : 0;
}

static struct invocation_task task_of(struct action *act, const struct invocation *inv, const struct instance *inst)
{
    struct invocation_task task = {
        .id = env_id(act->env, act->arena, "r-"),
        .invocation_id = inv->id,
        .command_id = inv->command_id,
        .account_id = inv->account_id,
        .region_id = inv->region_id,
        .instance_id = inst->id,
        .status = TASK_STATUS_PENDING,
        .error = -1,
        .timeout_s = inv->timeout_s,
        .created_us = act->now,
        .updated_us = act->now,
        .deliver_us = act->now + act->options->command_delivery_s * USEC_PER_SEC,
    };

    if (inst->state != INSTANCE_STATE_RUNNING) {
        task.status = TASK_STATUS_ABORTED;
        task.error = TASK_ERROR_INSTANCE_NOT_RUNNING;
        task.error_info = task_error_info(task.error);
        task.finished_us = act->now;
    }
    return task;
}

static struct invocation invocation_of(struct action *act, const struct command *command, const struct send_ask *ask)
{
    return (struct invocation){
        .id = env_id(act->env, act->arena, "t-"),
        .account_id = act->account->id,
        .region_id = ask->region_id,
        .command_id = command->id,
        .command_name = command->name,
        .command_description = command->description,
        .command_type = command->type,
        .content = command->content,
        .parameters = ask->parameters,
        .working_dir = command->working_dir,
        .username = ask->username,
        .timeout_s = command->timeout_s,
        .termination_mode = ask->termination_mode,
        .parametric = command->parametric,
        .resource_group_id = ask->resource_group_id,
        .created_us = act->now,
    };
}

static int insert(struct action *act, struct invocation *inv, const struct instance_list *instances)
{
    struct invocation_task *tasks = arena_array(act->arena, struct invocation_task, instances->count);
    int r;

    for (size_t i = 0; i < instances->count; i++)
        tasks[i] = task_of(act, inv, &instances->items[i]);
    inv->task_count = (int64_t)instances->count;
    invocation_fold(inv, tasks, instances->count);
    r = store_invocation_insert(act->tx, inv, tasks);
    if (r < 0)
        return action_failed(act, r);
    for (size_t i = 0; i < instances->count; i++)
        if (!task_is_finished(tasks[i].status))
            engine_order_task(act->engine, act->tx, &tasks[i], instances->items[i].host_id);
    return 0;
}

/* The tasks are durable with the call; the engine takes them up after COMMIT. */
static int send(struct action *act, const struct command *command, const struct send_ask *ask, struct str *ret_id)
{
    struct invocation inv = invocation_of(act, command, ask);
    struct instance_list instances;
    int r = check_send(act, ask);

    if (r == 0)
        r = fill_script(act, command, ask->parameters, &inv.script);
    if (r == 0)
        r = find_instances(act, ask, command->type, &instances);
    if (r == 0)
        r = make_room(act, (int64_t)instances.count);
    if (r == 0)
        r = insert(act, &inv, &instances);
    if (r == 0)
        r = command_put_tags(act, inv.id, STR("invocation"), ask->tags);
    *ret_id = inv.id;
    return r;
}

int run_command(struct action *act, const struct run_command_request *req, struct run_command_reply *reply)
{
    static const struct tag_pair_list no_tags = {0};
    const struct send_ask send_ask = SEND_ASK(req);
    const struct command_ask ask = {
        .region_id = req->region_id,
        .name = req->name,
        .description = req->description,
        .type = req->type,
        .content = req->command_content,
        .encoding = req->content_encoding,
        .working_dir = req->working_dir,
        .timeout_s = req->timeout,
        .parametric = req->enable_parameter,
        .resource_group_id = req->resource_group_id,
    };
    struct command command;
    int r;

    if (!catalog_region_find(req->region_id))
        return fail(act->fail, E_CMD_REGION_API);
    r = command_make(act, &ask, &command);
    if (r < 0)
        return r;
    command.invoke_times = 1;
    r = send(act, &command, &send_ask, &reply->invoke_id);
    /* Its tags are those of the call, and so the invocation's; a kept command begins without. */
    if (r == 0 && req->keep_command)
        r = command_keep(act, &command, &no_tags);
    reply->command_id = command.id;
    return r;
}

int invoke_command(struct action *act, const struct invoke_command_request *req, struct invoke_command_reply *reply)
{
    const struct send_ask send_ask = SEND_ASK(req);
    struct command *command;
    int r;

    if (!catalog_region_find(req->region_id))
        return fail(act->fail, E_CMD_REGION);
    if (req->working_dir.len > COMMAND_WORKING_DIR_BYTES)
        return fail(act->fail, E_INVALID_PARAMETER, STR("WorkingDir"));
    r = command_get(act, req->command_id, req->region_id, E_CMD_NOT_FOUND, &command);
    if (r < 0)
        return r;
    if (!str_empty(req->working_dir))
        command->working_dir = req->working_dir;
    if (req->timeout.set)
        command->timeout_s = req->timeout.value;
    r = send(act, command, &send_ask, &reply->invoke_id);
    return r < 0 ? r : action_failed(act, store_command_invoked(act->tx, command->id));
}

/* ── stop ── */

static bool is_asked(const struct str_list *instance_ids, struct str id)
{
    return instance_ids->count == 0 || is_among(instance_ids, id);
}

int stop_invocation(struct action *act, const struct stop_invocation_request *req, struct stop_invocation_reply *reply)
{
    struct invocation *inv = NULL;
    struct task_list tasks;
    int r;

    (void)reply;
    if (!catalog_region_find(req->region_id))
        return fail(act->fail, E_CMD_REGION);
    r = store_invocation_get(act->tx, req->invoke_id, &inv);
    if (r == -E_NOT_FOUND ||
        (r == 0 && (!str_eq(inv->account_id, act->account->id) || !str_eq(inv->region_id, req->region_id))))
        return fail(act->fail, E_INVOCATION_NOT_FOUND);
    if (r == 0)
        r = store_task_of_invocation(act->tx, inv->id, &tasks);
    for (size_t i = 0; r == 0 && i < tasks.count; i++)
        if (is_asked(&req->instance_id, tasks.items[i].instance_id))
            r = engine_order_task_stop(act->engine, act->tx, &tasks.items[i]);
    if (r == 0)
        r = store_invocation_fold(act->tx, inv->id);
    return action_failed(act, r);
}
