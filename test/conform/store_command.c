/* SPDX-License-Identifier: Apache-2.0 */
/* Commands, invocations and tasks in the store; a part of store.c. */
/* ── commands ── */

static struct invocation_task a_task(struct tx *tx, const struct invocation *inv, const char *instance_id)
{
    return (struct invocation_task){
        .id = env_id(tx_env(tx), tx_arena(tx), "r-"),
        .invocation_id = inv->id,
        .command_id = inv->command_id,
        .account_id = inv->account_id,
        .region_id = inv->region_id,
        .instance_id = str_from(instance_id),
        .status = TASK_STATUS_PENDING,
        .error = -1,
        .created_us = tx_now(tx),
    };
}

static struct invocation an_invocation(struct tx *tx, struct str command_id, int64_t tasks)
{
    return (struct invocation){
        .id = env_id(tx_env(tx), tx_arena(tx), "t-"),
        .account_id = ACCOUNT,
        .region_id = REGION,
        .command_id = command_id,
        .command_name = STR("hello"),
        .script = STR("echo"),
        .status = INVOCATION_STATUS_PENDING,
        .invoke_status = INVOKE_STATUS_RUNNING,
        .task_count = tasks,
        .created_us = tx_now(tx),
    };
}

static int command_body(struct tx *tx, struct fixture *f)
{
    struct command command = {.id = env_id(f->env, &f->arena, "c-"), .account_id = ACCOUNT, .region_id = REGION,
                              .name = STR("hello"), .content = STR("echo \xff"), .parametric = true, .timeout_s = 60};
    struct command_filter filter = {.account_id = ACCOUNT, .region_id = REGION, .type = -1};
    struct page page = {.limit = 10, .count = true};
    struct command_list list;
    struct command *got;
    int64_t count;

    ok(store_command_insert(tx, &command));
    assert_int_equal(store_command_insert(tx, &command), -E_EXISTS);
    ok(store_command_invoked(tx, command.id));
    ok(store_command_get(tx, command.id, &got));
    assert_same(got->content, command.content);
    assert_true(got->parametric);
    assert_int_equal(got->invoke_times, 1);
    ok(store_command_count(tx, ACCOUNT, REGION, &count));
    assert_int_equal(count, 1);
    ok(store_command_find(tx, &filter, &page, &list));
    assert_int_equal(list.total, 1);
    filter.name_glob = STR("hel*");
    filter.id = command.id;
    ok(store_command_find(tx, &filter, &page, &list));
    assert_int_equal(list.total, 1);
    filter.account_id = STR("another");
    ok(store_command_find(tx, &filter, &page, &list));
    assert_int_equal(list.total, 0);
    ok(store_command_delete(tx, command.id));
    assert_int_equal(store_command_delete(tx, command.id), -E_NOT_FOUND);
    assert_int_equal(store_command_get(tx, command.id, &got), -E_NOT_FOUND);
    return 0;
}

static void test_command(void **state)
{
    (void)state;
    in_write(command_body);
}

static int end_task(struct tx *tx, struct invocation_task *task, enum task_status status, usec_t at)
{
    task->status = (int)status;
    task->exited = true;
    task->output = STR("\x01out\xfe");
    task->finished_us = at;
    ok(store_task_save(tx, task));
    return store_invocation_fold(tx, task->invocation_id);
}

/* Those that have ended go, with all of theirs, and the count of results with them. */
static int purge_invocations(struct tx *tx, const struct invocation *first, const struct invocation *second,
                             struct invocation_task *other)
{
    struct invocation *inv;
    struct task_list list;
    int64_t count;

    ok(store_invocation_purge(tx, 60, 10));
    ok(store_invocation_get(tx, first->id, &inv));
    ok(store_invocation_purge(tx, 61, 10));
    assert_int_equal(store_invocation_get(tx, first->id, &inv), -E_NOT_FOUND);
    ok(store_task_of_invocation(tx, first->id, &list));
    assert_int_equal(list.count, 0);
    ok(store_task_count(tx, ACCOUNT, &count));
    assert_int_equal(count, 1);
    ok(store_invocation_drop_oldest(tx, ACCOUNT, 10)); /* what is under way stays */
    ok(store_invocation_get(tx, second->id, &inv));
    ok(end_task(tx, other, TASK_STATUS_SUCCESS, 70));
    ok(store_invocation_drop_oldest(tx, ACCOUNT, 10));
    ok(store_task_count(tx, ACCOUNT, &count));
    assert_int_equal(count, 0);
    return 0;
}

static int invocation_body(struct tx *tx, struct fixture *f)
{
    struct invocation first = an_invocation(tx, STR("c-1"), 2);
    struct invocation second = an_invocation(tx, STR("c-2"), 1);
    struct invocation_task tasks[] = {a_task(tx, &first, "i-a"), a_task(tx, &first, "i-b")};
    struct invocation_task other = a_task(tx, &second, "i-a");
    struct task_filter filter = {.account_id = ACCOUNT, .region_id = REGION, .invoke_status = -1};
    struct invocation_filter of = {.account_id = ACCOUNT, .region_id = REGION, .command_type = -1, .invoke_status = -1};
    struct page page = {.limit = 10, .count = true};
    struct invocation_list invocations;
    struct invocation_task *got;
    struct task_summary summary;
    struct invocation *inv;
    struct task_list list;
    int64_t count;

    (void)f;
    ok(store_invocation_insert(tx, &first, tasks));
    ok(store_invocation_insert(tx, &second, &other));
    ok(store_task_count(tx, ACCOUNT, &count));
    assert_int_equal(count, 3);
    ok(store_task_unfinished(tx, STR_NONE, 2, &list));
    assert_int_equal(list.count, 2);
    assert_same(list.items[0].id, tasks[0].id);
    ok(store_task_unfinished(tx, list.items[1].id, 2, &list));
    assert_int_equal(list.count, 1);
    ok(end_task(tx, &tasks[0], TASK_STATUS_SUCCESS, 50));
    ok(store_task_get(tx, tasks[0].id, &got));
    assert_same(got->output, tasks[0].output);
    ok(store_invocation_get(tx, first.id, &inv));
    assert_int_equal(inv->status, INVOCATION_STATUS_PENDING);
    assert_int_equal(inv->finished_us, 0);
    ok(end_task(tx, &tasks[1], TASK_STATUS_FAILED, 60));
    ok(store_invocation_get(tx, first.id, &inv));
    assert_int_equal(inv->status, INVOCATION_STATUS_PARTIAL_FAILED);
    assert_int_equal(inv->finished_us, 60);

    ok(store_task_find(tx, &filter, &page, &list));
    assert_int_equal(list.total, 3);
    filter.instance_id = STR("i-a");
    ok(store_task_find(tx, &filter, &page, &list));
    assert_int_equal(list.total, 2);
    assert_same(list.items[0].id, other.id); /* newest first */
    filter.invoke_status = INVOKE_STATUS_FINISHED;
    ok(store_task_find(tx, &filter, &page, &list));
    assert_int_equal(list.total, 1);
    of.instance_id = STR("i-b");
    ok(store_invocation_find(tx, &of, &page, &invocations));
    assert_int_equal(invocations.total, 1);
    assert_same(invocations.items[0].id, first.id);
    ok(store_task_summary(tx, STR("i-a"), &summary));
    assert_int_equal(summary.count, 2);
    assert_int_equal(summary.active, 1);
    assert_same(summary.latest->id, other.id);

    return purge_invocations(tx, &first, &second, &other);
}

static void test_invocation(void **state)
{
    (void)state;
    in_write(invocation_body);
}
