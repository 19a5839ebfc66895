/* SPDX-License-Identifier: Apache-2.0 */
/* Commands, their invocations, and one task for each instance of an invocation. */
#include "model/command.h"
#include "store/core.h"
#include "store/find.h"

#define TASK_KINDS (2 * TASK_STATUS_COUNT) /* of status and of having an exit code */

/* ── commands ── */

static const struct column command_columns[] = {
    COLUMN(struct command, id),
    COLUMN(struct command, account_id),
    COLUMN(struct command, region_id),
    COLUMN(struct command, name),
    COLUMN(struct command, description),
    COLUMN(struct command, type),
    COLUMN(struct command, content),
    COLUMN(struct command, working_dir),
    COLUMN(struct command, timeout_s),
    COLUMN(struct command, parametric),
    COLUMN(struct command, resource_group_id),
    COLUMN(struct command, invoke_times),
    COLUMN(struct command, created_us),
};
static const struct table command_table = TABLE(struct command, command_columns);
static const struct query command_by_id = {"SELECT {c} FROM command WHERE id = $1", &command_table};

int store_command_insert(struct tx *tx, const struct command *command)
{
    static const struct query query = {"INSERT INTO command ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &command_table};

    return rows_insert(tx, &query, command);
}

int store_command_get(struct tx *tx, struct str id, struct command **ret)
{
    return rows_one(tx, &command_by_id, ARGS(V_STR(id)), ret);
}

int store_command_invoked(struct tx *tx, struct str id)
{
    static const struct query query = {"UPDATE command SET invoke_times = invoke_times + 1 WHERE id = $1", NULL};

    return rows_must_change(tx, &query, ARGS(V_STR(id)));
}

int store_command_delete(struct tx *tx, struct str id)
{
    static const struct query query = {"DELETE FROM command WHERE id = $1", NULL};
    int r = rows_must_change(tx, &query, ARGS(V_STR(id)));

    return r < 0 ? r : store_tag_delete(tx, id, STR_NONE);
}

int store_command_count(struct tx *tx, struct str account_id, struct str region_id, int64_t *ret)
{
    static const struct query query = {"SELECT COUNT(*) FROM command WHERE account_id = $1 AND region_id = $2", NULL};

    return rows_number(tx, &query, ARGS(V_STR(account_id), V_STR(region_id)), 0, ret);
}

static bool command_matches(const void *filter_of, const void *row)
{
    const struct command_filter *filter = filter_of;
    const struct command *command = row;

    return str_eq(filter->account_id, command->account_id) && str_eq(filter->region_id, command->region_id) &&
           find_text(filter->resource_group_id, command->resource_group_id) && find_int(filter->type, command->type) &&
           (!filter->name_glob.ptr || str_glob(filter->name_glob, command->name, false)) &&
           (!filter->description_glob.ptr || str_glob(filter->description_glob, command->description, false));
}

static int command_match(struct tx *tx, const void *filter_of, struct str id, bool wanted, void *item)
{
    const struct command_filter *filter = filter_of;
    int r = find_tags(tx, id, filter->tags, filter->tag_count);

    return r <= 0 ? r : find_row(tx, &command_by_id, id, command_matches, filter, wanted, item);
}

int store_command_find(struct tx *tx, const struct command_filter *filter, const struct page *page, struct command_list *ret)
{
    static const struct query by_region = {
        "SELECT id FROM command WHERE account_id = $1 AND region_id = $2 AND id < $3 ORDER BY id DESC", NULL};
    struct str id = filter->id;
    const struct str_list one = {&id, 1};
    struct find find = {.match = command_match, .filter = filter, .item_bytes = sizeof(struct command)};
    struct find_result result;
    int r;

    if (id.ptr) {
        find.ids = &one;
    } else {
        find.stream = &by_region;
        find_arg(&find, filter->account_id);
        find_arg(&find, filter->region_id);
    }
    r = find_page(tx, &find, page, &result);
    if (r < 0)
        return r;
    *ret = (struct command_list){result.items, result.count, result.more, result.total};
    return 0;
}

/* ── tasks ── */

static const struct column task_columns[] = {
    COLUMN(struct invocation_task, id),
    COLUMN(struct invocation_task, invocation_id),
    COLUMN(struct invocation_task, command_id),
    COLUMN(struct invocation_task, account_id),
    COLUMN(struct invocation_task, region_id),
    COLUMN(struct invocation_task, instance_id),
    COLUMN(struct invocation_task, status),
    COLUMN(struct invocation_task, incarnation),
    COLUMN(struct invocation_task, pid),
    COLUMN(struct invocation_task, exited),
    COLUMN(struct invocation_task, exit_code),
    COLUMN(struct invocation_task, dropped_bytes),
    COLUMN(struct invocation_task, error),
    COLUMN(struct invocation_task, error_info),
    COLUMN(struct invocation_task, timeout_s),
    COLUMN(struct invocation_task, created_us),
    COLUMN(struct invocation_task, deliver_us),
    COLUMN(struct invocation_task, started_us),
    COLUMN(struct invocation_task, deadline_us),
    COLUMN(struct invocation_task, stopped_us),
    COLUMN(struct invocation_task, finished_us),
    COLUMN(struct invocation_task, updated_us),
    COLUMN(struct invocation_task, output), /* the last one: a brief row ends before it */
};
static const struct table task_table = TABLE(struct invocation_task, task_columns);
static const struct table task_brief_table = {
    .columns = task_columns, .count = countof(task_columns) - 1, .size = sizeof(struct invocation_task)};
static const struct query task_by_id = {"SELECT {c} FROM invocation_task WHERE id = $1", &task_table};

int store_task_get(struct tx *tx, struct str id, struct invocation_task **ret)
{
    return rows_one(tx, &task_by_id, ARGS(V_STR(id)), ret);
}

int store_task_save(struct tx *tx, const struct invocation_task *task)
{
    static const struct query query = {"UPDATE invocation_task SET {s} WHERE id = {1}", &task_table};
    int64_t changed = 0;
    int r = rows_save(tx, &query, task, ARGS(V_STR(task->id)), &changed);

    return r < 0 ? r : changed == 0 ? -E_NOT_FOUND : 0;
}

int store_task_unfinished(struct tx *tx, struct str after, int64_t limit, struct task_list *ret)
{
    static const struct query query = {
        "SELECT {c} FROM invocation_task WHERE finished_us = 0 AND id > $1 ORDER BY id LIMIT $2", &task_table};

    *ret = (struct task_list){0};
    return rows_all(tx, &query, ARGS(V_STR(after.ptr ? after : STR("")), V_I64(limit)), &ret->items, &ret->count);
}

int store_task_of_invocation(struct tx *tx, struct str invocation_id, struct task_list *ret)
{
    static const struct query query = {"SELECT {c} FROM invocation_task WHERE invocation_id = $1 ORDER BY id", &task_brief_table};

    *ret = (struct task_list){0};
    return rows_all(tx, &query, ARGS(V_STR(invocation_id)), &ret->items, &ret->count);
}

int store_task_summary(struct tx *tx, struct str instance_id, struct task_summary *ret)
{
    static const struct query count = {"SELECT COUNT(*) FROM invocation_task WHERE instance_id = $1", NULL};
    static const struct query active = {
        "SELECT COUNT(*) FROM invocation_task WHERE instance_id = $1 AND finished_us = 0", NULL};
    static const struct query latest = {
        "SELECT {c} FROM invocation_task WHERE instance_id = $1 ORDER BY id DESC LIMIT 1", &task_brief_table};
    struct invocation_task *task = NULL;
    int r = rows_number(tx, &count, ARGS(V_STR(instance_id)), 0, &ret->count);

    if (r == 0)
        r = rows_number(tx, &active, ARGS(V_STR(instance_id)), 0, &ret->active);
    if (r == 0)
        r = rows_one(tx, &latest, ARGS(V_STR(instance_id)), &task);
    ret->latest = r == 0 ? task : NULL;
    return r == -E_NOT_FOUND ? 0 : r;
}

static bool task_matches(const void *filter_of, const void *row)
{
    const struct task_filter *filter = filter_of;
    const struct invocation_task *task = row;

    return str_eq(filter->account_id, task->account_id) && str_eq(filter->region_id, task->region_id) &&
           find_text(filter->invocation_id, task->invocation_id) && find_text(filter->command_id, task->command_id) &&
           find_text(filter->instance_id, task->instance_id) &&
           find_int(filter->invoke_status, (int)task_invoke_status(task));
}

static int task_match(struct tx *tx, const void *filter_of, struct str id, bool wanted, void *item)
{
    const struct task_filter *filter = filter_of;
    struct invocation_task task = {0};
    int r = find_row(tx, &task_by_id, id, task_matches, filter, wanted || filter->tag_count > 0, &task);

    if (r > 0 && filter->tag_count > 0)
        r = find_tags(tx, task.invocation_id, filter->tags, filter->tag_count);
    if (r > 0 && wanted)
        memcpy(item, &task, sizeof(task));
    return r;
}

int store_task_find(struct tx *tx, const struct task_filter *filter, const struct page *page, struct task_list *ret)
{
    static const struct query by_invocation = {
        "SELECT id FROM invocation_task WHERE invocation_id = $1 AND id < $2 ORDER BY id DESC", NULL};
    static const struct query by_instance = {
        "SELECT id FROM invocation_task WHERE instance_id = $1 AND id < $2 ORDER BY id DESC", NULL};
    static const struct query by_region = {
        "SELECT id FROM invocation_task WHERE account_id = $1 AND region_id = $2 AND id < $3 ORDER BY id DESC", NULL};
    struct find find = {.match = task_match, .filter = filter, .item_bytes = sizeof(struct invocation_task)};
    struct find_result result;
    int r;

    if (filter->invocation_id.ptr) {
        find.stream = &by_invocation;
        find_arg(&find, filter->invocation_id);
    } else if (filter->instance_id.ptr) {
        find.stream = &by_instance;
        find_arg(&find, filter->instance_id);
    } else {
        find.stream = &by_region;
        find_arg(&find, filter->account_id);
        find_arg(&find, filter->region_id);
    }
    r = find_page(tx, &find, page, &result);
    if (r < 0)
        return r;
    *ret = (struct task_list){result.items, result.count, result.more, result.total};
    return 0;
}

/* ── invocations ── */

static const struct column invocation_columns[] = {
    COLUMN(struct invocation, id),
    COLUMN(struct invocation, account_id),
    COLUMN(struct invocation, region_id),
    COLUMN(struct invocation, command_id),
    COLUMN(struct invocation, command_name),
    COLUMN(struct invocation, command_description),
    COLUMN(struct invocation, command_type),
    COLUMN(struct invocation, content),
    COLUMN(struct invocation, parameters),
    COLUMN(struct invocation, script),
    COLUMN(struct invocation, working_dir),
    COLUMN(struct invocation, username),
    COLUMN(struct invocation, timeout_s),
    COLUMN(struct invocation, termination_mode),
    COLUMN(struct invocation, parametric),
    COLUMN(struct invocation, resource_group_id),
    COLUMN(struct invocation, status),
    COLUMN(struct invocation, invoke_status),
    COLUMN(struct invocation, task_count),
    COLUMN(struct invocation, created_us),
    COLUMN(struct invocation, finished_us),
};
static const struct table invocation_table = TABLE(struct invocation, invocation_columns);
static const struct query invocation_by_id = {"SELECT {c} FROM invocation WHERE id = $1", &invocation_table};

/* How many results an account has is counted beside them: nobody counts a hundred thousand rows for each call. */
static int count_tasks(struct tx *tx, struct str account_id, int64_t by)
{
    struct str name = arena_printf(tx_arena(tx), "command_results:%.*s", STR_ARG(account_id));
    int64_t count = 0;
    int r = store_number_get(tx, name, &count);

    return r < 0 ? r : store_number_set(tx, name, count + by);
}

int store_task_count(struct tx *tx, struct str account_id, int64_t *ret)
{
    return store_number_get(tx, arena_printf(tx_arena(tx), "command_results:%.*s", STR_ARG(account_id)), ret);
}

int store_invocation_insert(struct tx *tx, const struct invocation *inv, const struct invocation_task *tasks)
{
    static const struct query insert = {"INSERT INTO invocation ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &invocation_table};
    static const struct query insert_task = {"INSERT INTO invocation_task ({c}) VALUES ({v}) ON CONFLICT DO NOTHING",
                                             &task_table};
    int r = rows_insert(tx, &insert, inv);

    for (int64_t i = 0; r == 0 && i < inv->task_count; i++)
        r = rows_insert(tx, &insert_task, &tasks[i]);
    return r < 0 ? r : count_tasks(tx, inv->account_id, inv->task_count);
}

int store_invocation_get(struct tx *tx, struct str id, struct invocation **ret)
{
    return rows_one(tx, &invocation_by_id, ARGS(V_STR(id)), ret);
}

/* One of each kind says as much as all of them. */
static int fold_rows(struct tx *tx, struct str id, struct invocation_task *kinds, size_t *ret_count)
{
    static const struct query query = {
        "SELECT status, exited, MAX(finished_us) FROM invocation_task WHERE invocation_id = $1 GROUP BY status, exited", NULL};
    struct rows rows;
    size_t count = 0;
    int r = rows_start(tx, &query, ARGS(V_STR(id)), &rows);

    if (r < 0)
        return r;
    while ((r = rows_next(&rows)) > 0) {
        assert(count < TASK_KINDS);
        kinds[count++] = (struct invocation_task){
            .status = (int)rows_i64(&rows, 0), .exited = rows_i64(&rows, 1) != 0, .finished_us = rows_i64(&rows, 2)};
    }
    rows_end(&rows);
    *ret_count = count;
    return r;
}

int store_invocation_fold(struct tx *tx, struct str id)
{
    static const struct query query = {
        "UPDATE invocation SET status = $2, invoke_status = $3, finished_us = $4 WHERE id = $1", NULL};
    struct invocation_task kinds[TASK_KINDS];
    struct invocation inv = {0};
    size_t count = 0;
    int r = fold_rows(tx, id, kinds, &count);

    if (r < 0)
        return r;
    invocation_fold(&inv, kinds, count);
    return rows_must_change(tx, &query,
                            ARGS(V_STR(id), V_I64(inv.status), V_I64(inv.invoke_status), V_I64(inv.finished_us)));
}

static bool invocation_matches(const void *filter_of, const void *row)
{
    const struct invocation_filter *filter = filter_of;
    const struct invocation *inv = row;

    return str_eq(filter->account_id, inv->account_id) && str_eq(filter->region_id, inv->region_id) &&
           find_text(filter->command_id, inv->command_id) && find_text(filter->resource_group_id, inv->resource_group_id) &&
           find_int(filter->command_type, inv->command_type) && find_int(filter->invoke_status, inv->invoke_status) &&
           (!filter->name_glob.ptr || str_glob(filter->name_glob, inv->command_name, false));
}

static int has_task_at(struct tx *tx, struct str invocation_id, struct str instance_id)
{
    static const struct query query = {
        "SELECT COUNT(*) FROM invocation_task WHERE invocation_id = $1 AND instance_id = $2", NULL};
    int64_t count = 0;
    int r = rows_number(tx, &query, ARGS(V_STR(invocation_id), V_STR(instance_id)), 0, &count);

    return r < 0 ? r : count > 0;
}

static int invocation_match(struct tx *tx, const void *filter_of, struct str id, bool wanted, void *item)
{
    const struct invocation_filter *filter = filter_of;
    int r = find_tags(tx, id, filter->tags, filter->tag_count);

    if (r > 0 && filter->instance_id.ptr)
        r = has_task_at(tx, id, filter->instance_id);
    return r <= 0 ? r : find_row(tx, &invocation_by_id, id, invocation_matches, filter, wanted, item);
}

int store_invocation_find(struct tx *tx, const struct invocation_filter *filter, const struct page *page,
                          struct invocation_list *ret)
{
    static const struct query by_region = {
        "SELECT id FROM invocation WHERE account_id = $1 AND region_id = $2 AND id < $3 ORDER BY id DESC", NULL};
    struct str id = filter->id;
    const struct str_list one = {&id, 1};
    struct find find = {.match = invocation_match, .filter = filter, .item_bytes = sizeof(struct invocation)};
    struct find_result result;
    int r;

    if (id.ptr) {
        find.ids = &one;
    } else {
        find.stream = &by_region;
        find_arg(&find, filter->account_id);
        find_arg(&find, filter->region_id);
    }
    r = find_page(tx, &find, page, &result);
    if (r < 0)
        return r;
    *ret = (struct invocation_list){result.items, result.count, result.more, result.total};
    return 0;
}

/* ── what is past its time ── */

static int invocation_drop(struct tx *tx, struct str id)
{
    static const struct query account = {"SELECT account_id FROM invocation WHERE id = $1", NULL};
    static const struct query drop_tasks = {"DELETE FROM invocation_task WHERE invocation_id = $1", NULL};
    static const struct query drop = {"DELETE FROM invocation WHERE id = $1", NULL};
    struct str_list accounts = {0};
    int64_t changed = 0;
    int r = rows_texts(tx, &account, ARGS(V_STR(id)), &accounts);

    if (r == 0 && accounts.count == 0)
        return -E_NOT_FOUND;
    if (r == 0)
        r = rows_change(tx, &drop_tasks, ARGS(V_STR(id)), &changed);
    if (r == 0)
        r = rows_must_change(tx, &drop, ARGS(V_STR(id)));
    if (r == 0)
        r = store_tag_delete(tx, id, STR_NONE);
    return r < 0 ? r : count_tasks(tx, accounts.items[0], -changed);
}

static int invocations_drop(struct tx *tx, const struct str_list *ids)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < ids->count; i++)
        r = invocation_drop(tx, ids->items[i]);
    return r;
}

int store_invocation_purge(struct tx *tx, usec_t before, int64_t limit)
{
    static const struct query query = {
        "SELECT id FROM invocation WHERE finished_us > 0 AND finished_us < $1 ORDER BY finished_us LIMIT $2", NULL};
    struct str_list ids = {0};
    int r = rows_texts(tx, &query, ARGS(V_I64(before), V_I64(limit)), &ids);

    return r < 0 ? r : invocations_drop(tx, &ids);
}

int store_invocation_drop_oldest(struct tx *tx, struct str account_id, int64_t limit)
{
    static const struct query query = {
        "SELECT id FROM invocation WHERE account_id = $1 AND finished_us > 0 ORDER BY finished_us LIMIT $2", NULL};
    struct str_list ids = {0};
    int r = rows_texts(tx, &query, ARGS(V_STR(account_id), V_I64(limit)), &ids);

    return r < 0 ? r : invocations_drop(tx, &ids);
}
