/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "cli/command.h"

static struct arena arena;
static struct fail why;
static struct arguments got;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)1 << 20);
    fail_init(&why, &arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

#define READ(...) read_line((char *[]){(char[]){"ecsctl"}, __VA_ARGS__ __VA_OPT__(,) NULL})
#define W(text) (char[]){text}

static int read_line(char **argv)
{
    int argc = 0;

    while (argv[argc])
        argc++;
    return arguments_read(argc, argv, &got, &why);
}

static struct str value_of(const struct pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (str_eq(pairs->items[i].name, str_from(name)))
            return pairs->items[i].value;
    return STR_NONE;
}

/* Each row can be reached by its own words, and says what it needs. */
static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        struct str first;
        struct str second;
        const char *words[2];
        size_t used;

        (void)str_split(str_from(command->words), ' ', &first, &second);
        words[0] = arena_cstr(&arena, first);
        words[1] = second.ptr ? arena_cstr(&arena, second) : "x";
        assert_ptr_equal(command_find(words, 2, &used), command);
        assert_int_equal(used, second.ptr ? 2 : 1);
        assert_true(str_ends(str_from(command->help), STR(".")));
        assert_true(command->kind == COMMAND_CALL || command->action);
        assert_true(!command->columns || command->path);
        for (size_t k = 0; k < COMMAND_SETTINGS && command->settings[k].name; k++)
            assert_true(command->kind == COMMAND_KNOBS || (command->settings[k].wire && command->settings[k].value));
    }
}

static void reads_operands_and_settings(void **state)
{
    struct pairs pairs;

    (void)state;
    assert_int_equal(READ(W("--data"), W("/d"), W("account"), W("set"), W("17"), W("stopped-mode=StopCharging"), W("--json")), 0);
    assert_string_equal(got.command->words, "account set");
    assert_string_equal(got.flags[FLAG_DATA], "/d");
    assert_non_null(got.flags[FLAG_JSON]);
    assert_int_equal(arguments_pairs(&got, &pairs, &why), 0);
    assert_int_equal(pairs.count, 2);
    assert_str(value_of(&pairs, "AccountId"), "17");
    assert_str(value_of(&pairs, "StoppedMode"), "StopCharging");
}

static void adds_what_is_not_said(void **state)
{
    struct pairs pairs;

    (void)state;
    assert_int_equal(READ(W("host"), W("add"), W("h"), W("zone=z"), W("vcpus=4"), W("memory=8"), W("--data=/d")), 0);
    assert_int_equal(arguments_pairs(&got, &pairs, &why), 0);
    assert_str(value_of(&pairs, "Url"), "sim:");
    assert_str(value_of(&pairs, "MemoryGib"), "8");
    assert_int_equal(READ(W("host"), W("add"), W("h"), W("zone=z"), W("vcpus=4")), 0);
    assert_int_equal(arguments_pairs(&got, &pairs, &why), -E_INVALID);
    assert_str(why.message, "host add needs memory=GIB");
}

static void refuses_what_is_wrong(void **state)
{
    struct pairs pairs;

    (void)state;
    assert_int_equal(READ(W("acount"), W("list")), -E_INVALID);
    assert_str(why.message, "acount list is not a command; see ecsctl --help");
    assert_int_equal(READ(W("account")), -E_INVALID);
    assert_int_equal(READ(W("usage"), W("--nope")), -E_INVALID);
    assert_int_equal(READ(W("usage"), W("--v1")), -E_INVALID);
    assert_str(why.message, "usage does not take --v1");
    assert_int_equal(READ(W("usage"), W("--data")), -E_INVALID);
    assert_int_equal(READ(W("usage"), W("--json=1")), -E_INVALID);
    assert_int_equal(read_line((char *[]){W("ecsctl"), NULL}), -E_INVALID);
    assert_int_equal(READ(W("job"), W("show")), 0);
    assert_int_equal(arguments_pairs(&got, &pairs, &why), -E_INVALID);
    assert_int_equal(READ(W("job"), W("show"), W("1"), W("2")), 0);
    assert_int_equal(arguments_pairs(&got, &pairs, &why), -E_INVALID);
    assert_int_equal(READ(W("job"), W("list"), W("nope=1")), 0);
    assert_int_equal(arguments_pairs(&got, &pairs, &why), -E_INVALID);
    assert_int_equal(READ(W("job"), W("list"), W("all=true"), W("all=true")), 0);
    assert_int_equal(arguments_pairs(&got, &pairs, &why), -E_INVALID);
    assert_str(why.message, "all is given twice");
}

/* Before a command it is ours, behind `call` it is the API's. */
static void two_kinds_of_version(void **state)
{
    (void)state;
    assert_int_equal(READ(W("--version")), 0);
    assert_null(got.command);
    assert_int_equal(READ(W("call"), W("X"), W("--version"), W("2014-05-26"), W("A=b")), 0);
    assert_string_equal(got.flags[FLAG_VERSION], "2014-05-26");
    assert_int_equal(got.word_count, 2);
}

static void helps(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_int_equal(READ(W("help"), W("sim"), W("guest")), 0);
    assert_string_equal(got.command->words, "sim guest");
    assert_non_null(got.flags[FLAG_HELP]);
    command_print_all(out);
    (void)fclose(out);
    for (size_t i = 0; i < command_count; i++)
        assert_non_null(strstr(text, commands[i].help));
    for (size_t i = 0; i < FLAG_COUNT; i++)
        assert_non_null(strstr(text, flag_rows[i].help));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_table_is_sound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_operands_and_settings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(adds_what_is_not_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_kinds_of_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(helps, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
