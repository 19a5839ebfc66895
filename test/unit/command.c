/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of commands as the CreateCommand page tells them; statuses as DescribeInvocations does. */
#include "unit/unit.h"

#include "model/command.h"

static struct arena arena;

static struct str filled(const char *content, const struct text_pair *pairs, size_t count, bool builtin)
{
    const struct text_pair_list values = {(struct text_pair *)(uintptr_t)pairs, count};
    struct str out = STR_NONE;

    assert_int_equal(command_fill(&arena, str_from(content), &values, builtin, 1000, &out), 0);
    return out;
}

#define assert_text(a, b)                                                                          \
    do {                                                                                           \
        struct str a_ = (a);                                                                       \
        if (!str_eq(a_, STR(b)))                                                                   \
            fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(a_), b);                                    \
    } while (0)

static void values_take_the_place_of_names(void **state)
{
    static const struct text_pair pairs[] = {{STR_INIT("dir"), STR_INIT("/tmp")}, {STR_INIT("n"), STR_INIT("{{dir}}")}};

    (void)state;
    assert_text(filled("ls {{dir}}", pairs, 2, false), "ls /tmp");
    assert_text(filled("{{ dir }}{{\n dir\n}}", pairs, 2, false), "/tmp/tmp");
    assert_text(filled("echo {{n}}.", pairs, 2, false), "echo {{dir}}."); /* a value is no template */
    assert_text(filled("echo [{{other}}]", pairs, 2, false), "echo []");
    assert_text(filled("echo {{dir", pairs, 2, false), "echo {{dir");
    assert_text(filled("", pairs, 2, false), "");
}

static void names_of_the_service_are_filled_apart(void **state)
{
    static const struct text_pair pairs[] = {{STR_INIT("ACS::InstanceId"), STR_INIT("i-1")}, {STR_INIT("x"), STR_INIT("y")}};

    (void)state;
    assert_text(filled("{{x}} {{ACS::InstanceId}}", pairs, 2, false), "y {{ACS::InstanceId}}");
    assert_text(filled("{{x}} {{ACS::InstanceId}} {{ACS::Else}}", pairs, 2, true), "{{x}} i-1 {{ACS::Else}}");
}

static void a_script_has_a_limit(void **state)
{
    const struct text_pair pair = {STR("x"), STR("0123456789")};
    const struct text_pair_list values = {(struct text_pair *)(uintptr_t)&pair, 1};
    struct str out;

    (void)state;
    assert_int_equal(command_fill(&arena, STR("{{x}}"), &values, false, 10, &out), 0);
    assert_int_equal(command_fill(&arena, STR("{{x}}."), &values, false, 10, &out), -E_CMD_CONTENT_LIMIT);
}

static int names_of(const char *content, struct str_list *ret)
{
    return command_parameters(&arena, str_from(content), ret);
}

static void names_have_rules(void **state)
{
    struct str_list names;
    struct buf text;

    (void)state;
    assert_int_equal(names_of("{{a}} {{ b-1_Z }} {{a}} {{ACS::InstanceId}} {x}", &names), 0);
    assert_int_equal(names.count, 2);
    assert_text(names.items[0], "a");
    assert_text(names.items[1], "b-1_Z");
    assert_int_equal(names_of("{{}}", &names), -E_CMD_PARAM_EMPTY);
    assert_int_equal(names_of("{{ \n }}", &names), -E_CMD_PARAM_EMPTY);
    assert_int_equal(names_of("{{a b}}", &names), -E_CMD_PARAM_NAME);
    assert_int_equal(names_of("{{a.b}}", &names), -E_CMD_PARAM_NAME);
    buf_init(&text, 4096);
    buf_add_cstr(&text, "{{");
    for (int i = 0; i < COMMAND_PARAMETER_NAME_BYTES; i++)
        buf_add_char(&text, 'a');
    assert_int_equal(names_of(arena_cstr(&arena, arena_printf(&arena, "%.*s}}", STR_ARG(buf_str(&text)))), &names), 0);
    assert_int_equal(names_of(arena_cstr(&arena, arena_printf(&arena, "%.*sa}}", STR_ARG(buf_str(&text)))), &names),
                     -E_CMD_PARAM_NAME_LIMIT);
    buf_reset(&text);
    for (int i = 0; i < COMMAND_PARAMETERS_MAX; i++)
        buf_printf(&text, "{{p%d}}", i);
    assert_int_equal(command_parameters(&arena, buf_str(&text), &names), 0);
    assert_int_equal(names.count, COMMAND_PARAMETERS_MAX);
    buf_add_cstr(&text, "{{more}}");
    assert_int_equal(command_parameters(&arena, buf_str(&text), &names), -E_CMD_PARAM_COUNT);
    buf_done(&text);
}

static struct invocation_task task(enum task_status status, bool exited)
{
    return (struct invocation_task){
        .status = (int)status, .exited = exited, .finished_us = task_is_finished((int)status) ? 7 : 0};
}

static void assert_fold(struct invocation_task a, struct invocation_task b, enum invocation_status status,
                        enum invoke_status invoke_status)
{
    const struct invocation_task tasks[] = {a, b};
    struct invocation inv = {0};

    invocation_fold(&inv, tasks, 2);
    assert_int_equal(inv.status, status);
    assert_int_equal(inv.invoke_status, invoke_status);
    assert_int_equal(inv.finished_us, a.finished_us && b.finished_us ? 7 : 0);
}

static void an_invocation_is_what_its_tasks_are(void **state)
{
    const struct invocation_task success = task(TASK_STATUS_SUCCESS, true);
    const struct invocation_task nonzero = task(TASK_STATUS_FAILED, true);
    const struct invocation_task timeout = task(TASK_STATUS_TIMEOUT, false);
    const struct invocation_task stopped = task(TASK_STATUS_TERMINATED, false);

    (void)state;
    assert_fold(success, success, INVOCATION_STATUS_SUCCESS, INVOKE_STATUS_FINISHED);
    assert_fold(success, stopped, INVOCATION_STATUS_SUCCESS, INVOKE_STATUS_FINISHED);
    assert_fold(success, nonzero, INVOCATION_STATUS_PARTIAL_FAILED, INVOKE_STATUS_FINISHED);
    assert_fold(success, timeout, INVOCATION_STATUS_PARTIAL_FAILED, INVOKE_STATUS_PARTIAL_FAILED);
    assert_fold(timeout, timeout, INVOCATION_STATUS_FAILED, INVOKE_STATUS_FAILED);
    assert_fold(timeout, stopped, INVOCATION_STATUS_FAILED, INVOKE_STATUS_FAILED);
    assert_fold(stopped, task(TASK_STATUS_CANCELLED, false), INVOCATION_STATUS_STOPPED, INVOKE_STATUS_STOPPED);
    assert_fold(success, task(TASK_STATUS_PENDING, false), INVOCATION_STATUS_PENDING, INVOKE_STATUS_RUNNING);
    assert_fold(timeout, task(TASK_STATUS_RUNNING, false), INVOCATION_STATUS_RUNNING, INVOKE_STATUS_RUNNING);
    assert_fold(stopped, task(TASK_STATUS_STOPPING, false), INVOCATION_STATUS_STOPPING, INVOKE_STATUS_STOPPING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_take_the_place_of_names), cmocka_unit_test(names_of_the_service_are_filled_apart),
        cmocka_unit_test(a_script_has_a_limit),           cmocka_unit_test(names_have_rules),
        cmocka_unit_test(an_invocation_is_what_its_tasks_are),
    };
    int failed;

    arena_init(&arena, 1u << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_done(&arena);
    return failed;
}
