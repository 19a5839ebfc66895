/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeCommands, DescribeInvocations, DescribeInvocationResults, DescribeCloudAssistantStatus. */
#include "actions/command.h"

#include "base/hash.h"

#define PAGE_DEFAULT 10
#define PAGE_MAX 50
#define OUTPUTS_MAX (4u * 1024 * 1024) /* of all tasks in a reply of DescribeInvocations: there may be 5000 */

/* ── what the four have alike ── */

struct list_ask {
    int64_t number;
    int64_t size;
    struct str next_token;
    bool by_token;
};

#define LIST_ASK(req)                                                                              \
    {                                                                                              \
        .number = (req)->page_number,                                                              \
        .size = (req)->max_results.set ? (req)->max_results.value : (req)->page_size,              \
        .next_token = (req)->next_token,                                                           \
        .by_token = (req)->max_results.set || !str_empty((req)->next_token)                        \
    }

struct list_page {
    struct page page;
    struct page_ask ask;
    struct page_check check;
};

/* `check` is over the filters. */
static int page_open(struct action *act, const struct list_ask *ask, const struct page_check *check, struct list_page *ret)
{
    ret->ask = page_ask_make(ask->by_token ? 1 : ask->number, ask->size, PAGE_DEFAULT, PAGE_MAX);
    ret->check = *check;
    ret->page = (struct page){.limit = ret->ask.size,
                              .offset = (ret->ask.number - 1) * ret->ask.size,
                              .count = str_empty(ask->next_token)};
    if (!str_empty(ask->next_token) &&
        page_token_read(act->arena, check, ask->next_token, &ret->page.after) < 0)
        return fail(act->fail, E_NEXT_TOKEN);
    return 0;
}

static struct page_check check_of(struct action *act, const struct str *texts, size_t count)
{
    struct page_check check;

    page_check_init(&check);
    page_check_add(&check, act->account->id);
    for (size_t i = 0; i < count; i++)
        page_check_add(&check, texts[i]);
    return check;
}

static struct str encoded(struct action *act, struct str bytes, int encoding)
{
    char *text;

    if (encoding != CONTENT_ENCODING_BASE64)
        return bytes;
    text = arena_alloc(act->arena, BASE64_MAX(bytes.len));
    return str_slice(text, base64_encode((const uint8_t *)bytes.ptr, bytes.len, text));
}

static struct str absent_if_empty(struct str s)
{
    return str_empty(s) ? STR_NONE : s;
}

/* ── DescribeCommands ── */

static int fill_command(struct action *act, const struct command *command, int encoding, struct command_view *view)
{
    struct str_list names = {0};
    int r = 0;

    if (command->parametric)
        r = command_parameters(act->arena, command->content, &names);
    if (r < 0)
        return fail(act->fail, (enum error_code)-r);
    *view = (struct command_view){
        .command_id = command->id,
        .name = command->name,
        .type = command->type,
        .description = command->description,
        .command_content = encoded(act, command->content, encoding),
        .working_dir = command->working_dir,
        .timeout = command->timeout_s,
        .enable_parameter = command->parametric,
        .parameter_names = names,
        .invoke_times = command->invoke_times,
        .provider = COMMAND_PROVIDER_USER,
        .version = 1,
        .latest = true,
        .resource_group_id = command->resource_group_id,
        .creation_time = command->created_us,
    };
    view->parameter_definitions.items = arena_array(act->arena, struct parameter_definition, names.count + 1);
    view->parameter_definitions.count = names.count;
    for (size_t i = 0; i < names.count; i++)
        view->parameter_definitions.items[i] = (struct parameter_definition){.parameter_name = names.items[i]};
    return action_tag_views(act, command->id, &view->tags);
}

int describe_commands(struct action *act, const struct describe_commands_request *req, struct describe_commands_reply *reply)
{
    const struct list_ask ask = LIST_ASK(req);
    const struct str texts[] = {req->region_id, req->command_id, req->name, req->description, req->resource_group_id,
                                req->provider};
    struct page_check check = check_of(act, texts, countof(texts));
    struct command_filter filter = {
        .account_id = act->account->id,
        .region_id = req->region_id,
        .id = absent_if_empty(req->command_id),
        .name_glob = absent_if_empty(req->name),
        .description_glob = absent_if_empty(req->description),
        .resource_group_id = absent_if_empty(req->resource_group_id),
        .type = req->type,
    };
    struct command_list list = {0};
    struct list_page page;
    struct tag *tags;
    int r;

    if (!catalog_region_find(req->region_id))
        return fail(act->fail, E_CMD_REGION);
    r = action_tag_filter(act, &req->tag, &tags, &filter.tag_count);
    if (r < 0)
        return r;
    filter.tags = tags;
    action_tag_check(&check, tags, filter.tag_count);
    page_check_add_i64(&check, req->type);
    r = page_open(act, &ask, &check, &page);
    if (r < 0)
        return r;
    if (str_empty(req->provider) || str_eq(req->provider, str_from(command_provider_text(COMMAND_PROVIDER_USER))))
        r = store_command_find(act->tx, &filter, &page.page, &list);
    if (r < 0)
        return action_failed(act, r);
    reply->commands.items = arena_array(act->arena, struct command_view, list.count + 1);
    reply->commands.count = list.count;
    for (size_t i = 0; r == 0 && i < list.count; i++)
        r = fill_command(act, &list.items[i], req->content_encoding, &reply->commands.items[i]);
    reply->total_count = list.total;
    reply->page_number = page.ask.number;
    reply->page_size = page.ask.size;
    if (list.more && list.count > 0)
        reply->next_token = page_token_make(act->arena, &page.check, list.items[list.count - 1].id);
    return r;
}

/* ── DescribeInvocations ── */

/* Output, as long as there is room for it: `left` gets less. */
static int fill_output(struct action *act, struct str task_id, int encoding, size_t *left, struct str *ret)
{
    struct invocation_task *task;
    int r = *left < COMMAND_OUTPUT_BYTES ? -E_LIMIT : store_task_get(act->tx, task_id, &task);

    if (r == -E_LIMIT)
        return 0;
    if (r < 0)
        return action_failed(act, r);
    *left -= task->output.len;
    *ret = encoded(act, task->output.ptr ? task->output : STR(""), encoding);
    return 0;
}

static void fill_instance(const struct invocation_task *task, struct invoke_instance *view)
{
    *view = (struct invoke_instance){
        .instance_id = task->instance_id,
        .instance_invoke_status = (int)task_invoke_status(task),
        .invocation_status = task->status,
        .exit_code = {task->exited, task->exit_code},
        .dropped = task->dropped_bytes,
        .repeats = task->started_us != 0,
        .error_code = task->error >= 0 ? str_from(task_error_text((enum task_error)task->error)) : STR_NONE,
        .error_info = task->error_info,
        .creation_time = task->created_us,
        .start_time = task->started_us,
        .finish_time = task->finished_us,
        .stop_time = task->stopped_us,
        .update_time = task->updated_us,
    };
}

static int fill_invocation(struct action *act, const struct invocation *inv, const struct describe_invocations_request *req,
                           size_t *outputs_left, struct invocation_view *view)
{
    struct task_list tasks;
    int r = store_task_of_invocation(act->tx, inv->id, &tasks);

    if (r < 0)
        return action_failed(act, r);
    *view = (struct invocation_view){
        .invoke_id = inv->id,
        .command_id = inv->command_id,
        .command_name = inv->command_name,
        .command_description = inv->command_description,
        .command_type = inv->command_type,
        .command_content = encoded(act, inv->content, req->content_encoding),
        .parameters = inv->parameters,
        .working_dir = inv->working_dir,
        .username = inv->username,
        .timeout = inv->timeout_s,
        .repeat_mode = REPEAT_MODE_ONCE,
        .termination_mode = inv->termination_mode,
        .invocation_status = inv->status,
        .invoke_status = inv->invoke_status,
        .creation_time = inv->created_us,
    };
    view->invoke_instances.items = arena_array(act->arena, struct invoke_instance, tasks.count + 1);
    view->invoke_instances.count = tasks.count;
    for (size_t i = 0; r == 0 && i < tasks.count; i++) {
        struct invoke_instance *at = &view->invoke_instances.items[i];

        fill_instance(&tasks.items[i], at);
        if (req->include_output)
            r = fill_output(act, tasks.items[i].id, req->content_encoding, outputs_left, &at->output);
    }
    return r < 0 ? r : action_tag_views(act, inv->id, &view->tags);
}

static int show_invocations(struct action *act, const struct describe_invocations_request *req,
                            const struct invocation_list *list, const struct list_page *page,
                            struct describe_invocations_reply *reply)
{
    size_t outputs_left = OUTPUTS_MAX;
    int r = 0;

    reply->invocations.items = arena_array(act->arena, struct invocation_view, list->count + 1);
    reply->invocations.count = list->count;
    for (size_t i = 0; r == 0 && i < list->count; i++)
        r = fill_invocation(act, &list->items[i], req, &outputs_left, &reply->invocations.items[i]);
    reply->total_count = list->total;
    reply->page_number = page->ask.number;
    reply->page_size = page->ask.size;
    if (list->more && list->count > 0)
        reply->next_token = page_token_make(act->arena, &page->check, list->items[list->count - 1].id);
    return r;
}

int describe_invocations(struct action *act, const struct describe_invocations_request *req,
                         struct describe_invocations_reply *reply)
{
    const struct list_ask ask = LIST_ASK(req);
    const struct str texts[] = {req->region_id,   req->invoke_id,    req->command_id,
                                req->instance_id, req->command_name, req->resource_group_id};
    struct page_check check = check_of(act, texts, countof(texts));
    struct invocation_filter filter = {
        .account_id = act->account->id,
        .region_id = req->region_id,
        .id = absent_if_empty(req->invoke_id),
        .command_id = absent_if_empty(req->command_id),
        .instance_id = absent_if_empty(req->instance_id),
        .name_glob = absent_if_empty(req->command_name),
        .resource_group_id = absent_if_empty(req->resource_group_id),
        .command_type = req->command_type,
        .invoke_status = req->invoke_status,
    };
    bool repeated = (req->timed.set && req->timed.value) || req->repeat_mode > REPEAT_MODE_ONCE;
    struct invocation_list list = {0};
    struct list_page page;
    struct tag *tags;
    int r;

    if (!catalog_region_find(req->region_id))
        return fail(act->fail, E_CMD_REGION);
    r = action_tag_filter(act, &req->tag, &tags, &filter.tag_count);
    if (r < 0)
        return r;
    filter.tags = tags;
    action_tag_check(&check, tags, filter.tag_count);
    page_check_add_i64(&check, req->command_type);
    page_check_add_i64(&check, req->invoke_status);
    r = page_open(act, &ask, &check, &page);
    if (r < 0)
        return r;
    if (!repeated)
        r = store_invocation_find(act->tx, &filter, &page.page, &list);
    return r < 0 ? action_failed(act, r) : show_invocations(act, req, &list, &page, reply);
}

/* ── DescribeInvocationResults ── */

static int fill_result(struct action *act, const struct invocation_task *task, int encoding, struct invocation_result *view)
{
    struct invocation *inv;
    int r = store_invocation_get(act->tx, task->invocation_id, &inv);

    if (r < 0)
        return action_failed(act, r);
    *view = (struct invocation_result){
        .invoke_id = task->invocation_id,
        .command_id = task->command_id,
        .instance_id = task->instance_id,
        .invocation_status = task->status,
        .invoke_record_status = (int)task_invoke_status(task),
        .exit_code = {task->exited, task->exit_code},
        .output = encoded(act, task->output.ptr ? task->output : STR(""), encoding),
        .dropped = task->dropped_bytes,
        .repeats = task->started_us != 0,
        .error_code = task->error >= 0 ? str_from(task_error_text((enum task_error)task->error)) : STR_NONE,
        .error_info = task->error_info,
        .start_time = task->started_us,
        .finished_time = task->finished_us,
        .stop_time = task->stopped_us,
        .username = inv->username,
        .termination_mode = inv->termination_mode,
    };
    return action_tag_views(act, task->invocation_id, &view->tags);
}

int describe_invocation_results(struct action *act, const struct describe_invocation_results_request *req,
                                struct describe_invocation_results_reply *reply)
{
    struct describe_invocation_results_invocation *out = &reply->invocation;
    const struct list_ask ask = LIST_ASK(req);
    const struct str texts[] = {req->region_id, req->invoke_id, req->command_id, req->instance_id};
    struct page_check check = check_of(act, texts, countof(texts));
    struct task_filter filter = {
        .account_id = act->account->id,
        .region_id = req->region_id,
        .invocation_id = absent_if_empty(req->invoke_id),
        .command_id = absent_if_empty(req->command_id),
        .instance_id = absent_if_empty(req->instance_id),
        .invoke_status = req->invoke_record_status,
    };
    struct task_list list;
    struct list_page page;
    struct tag *tags;
    int r;

    if (!catalog_region_find(req->region_id))
        return fail(act->fail, E_CMD_REGION);
    r = action_tag_filter(act, &req->tag, &tags, &filter.tag_count);
    if (r < 0)
        return r;
    filter.tags = tags;
    action_tag_check(&check, tags, filter.tag_count);
    page_check_add_i64(&check, req->invoke_record_status);
    r = page_open(act, &ask, &check, &page);
    if (r < 0)
        return r;
    r = store_task_find(act->tx, &filter, &page.page, &list);
    if (r < 0)
        return action_failed(act, r);
    out->invocation_results.items = arena_array(act->arena, struct invocation_result, list.count + 1);
    out->invocation_results.count = list.count;
    for (size_t i = 0; r == 0 && i < list.count; i++)
        r = fill_result(act, &list.items[i], req->content_encoding, &out->invocation_results.items[i]);
    out->total_count = list.total;
    out->page_number = page.ask.number;
    out->page_size = page.ask.size;
    if (list.more && list.count > 0)
        out->next_token = page_token_make(act->arena, &page.check, list.items[list.count - 1].id);
    return r;
}

/* ── DescribeCloudAssistantStatus ── */

static int fill_status(struct action *act, const struct instance *inst, struct assistant_status *view)
{
    bool windows = str_eq(inst->os_type, str_from(os_type_text(OS_TYPE_WINDOWS)));
    struct task_summary tasks;
    bool there;
    int r = store_task_summary(act->tx, inst->id, &tasks);

    if (r < 0)
        return action_failed(act, r);
    there = inst->state == INSTANCE_STATE_RUNNING && !windows;
    if (tasks.latest && tasks.latest->created_us >= inst->started_us &&
        (tasks.latest->error == TASK_ERROR_CLIENT_NOT_RUNNING || tasks.latest->error == TASK_ERROR_CLIENT_NOT_RESPONSE))
        there = false;
    *view = (struct assistant_status){
        .instance_id = inst->id,
        .cloud_assistant_status = there ? STR("true") : STR("false"),
        .os_type = windows ? STR("Windows") : STR("Linux"),
        .active_task_count = tasks.active,
        .invocation_count = tasks.count,
        .last_heartbeat_time = there ? act->now : 0,
        .last_invoked_time = tasks.latest ? tasks.latest->created_us : 0,
    };
    return 0;
}

/* Those that were named have to be the account's. */
static int check_named(struct action *act, const struct describe_cloud_assistant_status_request *req)
{
    for (size_t i = 0; i < req->instance_id.count; i++) {
        struct instance *inst = NULL;
        int r = store_instance_get_hot(act->tx, req->instance_id.items[i], &inst);

        if (r == -E_NOT_FOUND || (r == 0 && (!str_eq(inst->account_id, act->account->id) ||
                                             !str_eq(inst->region_id, req->region_id))))
            return fail(act->fail, E_CMD_INSTANCE_NOT_FOUND);
        if (r < 0)
            return action_failed(act, r);
    }
    return 0;
}

int describe_cloud_assistant_status(struct action *act, const struct describe_cloud_assistant_status_request *req,
                                    struct describe_cloud_assistant_status_reply *reply)
{
    const struct list_ask ask = LIST_ASK(req);
    struct page_check check = check_of(act, &req->region_id, 1);
    struct instance_filter filter;
    struct instance_list list = {0};
    struct list_page page;
    int r;

    if (!catalog_region_find(req->region_id))
        return fail(act->fail, E_CMD_REGION);
    r = check_named(act, req);
    if (r < 0)
        return r;
    instance_filter_init(&filter);
    filter.account_id = act->account->id;
    filter.region_id = req->region_id;
    filter.ids = req->instance_id.count > 0 ? &req->instance_id : NULL;
    page_check_add_list(&check, filter.ids);
    r = page_open(act, &ask, &check, &page);
    if (r < 0)
        return r;
    r = store_instance_find(act->tx, &filter, &page.page, false, &list);
    if (r < 0)
        return action_failed(act, r);
    reply->instance_cloud_assistant_status_set.items = arena_array(act->arena, struct assistant_status, list.count + 1);
    reply->instance_cloud_assistant_status_set.count = list.count;
    for (size_t i = 0; r == 0 && i < list.count; i++)
        r = fill_status(act, &list.items[i], &reply->instance_cloud_assistant_status_set.items[i]);
    reply->total_count = list.total;
    reply->page_number = page.ask.number;
    reply->page_size = page.ask.size;
    if (list.more && list.count > 0)
        reply->next_token = page_token_make(act->arena, &page.check, list.items[list.count - 1].id);
    return r;
}
