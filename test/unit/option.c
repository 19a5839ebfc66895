/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/option.h"

/* environ is not const, though nobody writes to it. */
#define VAR(text) ((char[]){text})

struct fixture {
    struct arena arena;
    struct option_set set;
    struct fail fail;
    char path[64];
};

static int set_up(void **state)
{
    static struct fixture fixture;
    int fd;

    arena_init(&fixture.arena, 8 << 20);
    option_set_init(&fixture.set, &fixture.arena);
    fail_init(&fixture.fail, &fixture.arena);
    memcpy(fixture.path, "/tmp/ecsd-option-XXXXXX", 24);
    fd = mkstemp(fixture.path);
    assert_true(fd >= 0);
    (void)close(fd);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    (void)unlink(fixture->path);
    arena_done(&fixture->arena);
    return 0;
}

static int load(struct fixture *fixture, struct str text)
{
    FILE *file = fopen(fixture->path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
    return option_set_file(&fixture->set, fixture->path, &fixture->fail);
}

static int set_one(struct fixture *fixture, const char *name, const char *value,
                   enum option_source source)
{
    return option_set_one(&fixture->set, str_from(name), str_from(value), source, &fixture->fail);
}

static void has_defaults(void **state)
{
    const struct options *values = &((struct fixture *)*state)->set.values;

    assert_true(values->stop_graceful_timeout_s == 300);
    assert_true(values->stop_press_interval_s == 5);
    assert_true(values->gateway_clock_window_s == 900);
    assert_false(values->gateway_throttle);
    assert_int_equal(values->compat_profile, COMPAT_PROFILE_SEED);
    assert_int_equal(values->stop_on_timeout, STOP_ON_TIMEOUT_ESCALATE);
    assert_true(values->sim_boot_s == 0.2);
    assert_str(values->node_region, "cn-hangzhou");
    assert_str(values->gateway_troubleshoot_url, "");
    assert_non_null(values->gateway_troubleshoot_url.ptr);
    assert_int_equal(option_row_count, OPTION_COUNT);
}

static void stronger_sources_win_in_any_order(void **state)
{
    struct fixture *fixture = *state;
    char *const variables[] = {VAR("PATH=/bin"), VAR("ECSD_STOP_PRESS_INTERVAL_S=7"),
                               VAR("ECSD_ACCESS_KEY_ID=x"), NULL};

    assert_int_equal(set_one(fixture, "stop.graceful_timeout_s", "40", OPTION_COMMAND_LINE), 0);
    assert_int_equal(option_set_environment(&fixture->set, variables, &fixture->fail), 0);
    assert_int_equal(
        load(fixture,
             STR("[stop]\npress_interval_s = 6\ngraceful_timeout_s = 60\nkill_wait_s: 3\n")),
        0);
    assert_true(fixture->set.values.stop_graceful_timeout_s == 40);
    assert_true(fixture->set.values.stop_press_interval_s == 7);
    assert_true(fixture->set.values.stop_kill_wait_s == 3);
    assert_int_equal(set_one(fixture, "stop.graceful_timeout_s", "41", OPTION_COMMAND_LINE), 0);
    assert_true(fixture->set.values.stop_graceful_timeout_s == 41);
}

static void reads_every_kind(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(set_one(fixture, "gateway.throttle", "on", OPTION_FILE), 0);
    assert_true(fixture->set.values.gateway_throttle);
    assert_int_equal(set_one(fixture, "sim.boot_s", "1.25", OPTION_FILE), 0);
    assert_true(fixture->set.values.sim_boot_s == 1.25);
    assert_int_equal(set_one(fixture, "compat.profile", "Current", OPTION_FILE), 0);
    assert_int_equal(fixture->set.values.compat_profile, COMPAT_PROFILE_CURRENT);
    assert_int_equal(set_one(fixture, "account.stopped_mode", "stopcharging", OPTION_FILE), 0);
    assert_int_equal(fixture->set.values.account_stopped_mode, ACCOUNT_STOPPED_MODE_STOP_CHARGING);
    assert_int_equal(set_one(fixture, "node.region", "cn-beijing", OPTION_FILE), 0);
    assert_str(fixture->set.values.node_region, "cn-beijing");
}

static void refuses_what_is_wrong(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        const char *said; /* part of the text: what would be right */
    } rows[] = {
        {"stop.pres_interval_s", "5", "stop.press_interval_s"},
        {"press_interval_s", "5", "no such option"},
        {"stop.press_interval_s", "0", "a whole number from 1 to 3600"},
        {"stop.press_interval_s", "3601", "a whole number from 1 to 3600"},
        {"stop.press_interval_s", "5s", "a whole number from 1 to 3600"},
        {"stop.press_interval_s", "", "a whole number from 1 to 3600"},
        {"sim.boot_s", "-0.1", "a number from 0 to 86400"},
        {"sim.boot_s", "fast", "a number from 0 to 86400"},
        {"gateway.throttle", "maybe", "true or false"},
        {"stop.on_timeout", "wait", "one of escalate, revert"},
        {"node.region", "a\nb", "text of one line"},
        {"node.region", "a ;b", "text of one line"},
        {"node.region", "\xff", "text of one line"},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(set_one(fixture, rows[i].name, rows[i].value, OPTION_COMMAND_LINE),
                         -E_INVALID);
        assert_int_equal(fixture->fail.code, E_INVALID);
        if (!str_contains(fixture->fail.message, str_from(rows[i].said)))
            fail_msg("\"%.*s\" does not say \"%s\"", STR_ARG(fixture->fail.message), rows[i].said);
    }
    assert_true(fixture->set.values.stop_press_interval_s == 5);
    assert_str(fixture->set.values.node_region, "cn-hangzhou");
    for (size_t i = 0; i < option_row_count; i++)
        assert_int_equal(fixture->set.sources[i], OPTION_DEFAULT);
}

/* An error in the file shows also where a stronger source has set the option. */
static void refuses_what_is_overridden(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(set_one(fixture, "stop.press_interval_s", "9", OPTION_COMMAND_LINE), 0);
    assert_int_equal(load(fixture, STR("[stop]\npress_interval_s = x\n")), -E_INVALID);
    assert_true(fixture->set.values.stop_press_interval_s == 9);
}

static void refuses_bad_files(void **state)
{
    static const struct {
        struct str text;
        const char *said;
    } rows[] = {
        {STR_INIT("\n[stop]\n\npress_interval_s = 0\n"), "line 4: option stop.press_interval_s"},
        {STR_INIT("[stop]\nnonsense\n"), "line 2: expected [section] or name = value"},
        {STR_INIT("[stop\nkill_wait_s = 5\n"), "line 1: expected"},
        {STR_INIT("[stop]\nkill_wait_s = 5\nkill_wait_s = 6\n"),
         "line 3: this option stands in the file twice"},
        {STR_INIT("[stop]\nkill_wait_s = 5\n  6\n"), "line 3: expected"},
        {STR_INIT("[stop]\nkill_wait_s = 5\0\n"), "line 2: a NUL byte"},
        {STR_INIT("kill_wait_s = 5\n"), "line 1: option kill_wait_s: no such option"},
    };
    struct fixture *fixture = *state;
    char long_line[4096];

    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(load(fixture, rows[i].text), -E_INVALID);
        if (!str_contains(fixture->fail.message, str_from(rows[i].said)))
            fail_msg("\"%.*s\" does not say \"%s\"", STR_ARG(fixture->fail.message), rows[i].said);
        assert_true(str_starts(fixture->fail.message, str_from(fixture->path)));
    }
    (void)snprintf(long_line, sizeof(long_line), "[node]\nregion = %03000d\n", 7);
    assert_int_equal(load(fixture, str_from(long_line)), -E_INVALID);
    assert_true(str_contains(fixture->fail.message, STR("line 2: too long")));
    assert_int_equal(option_set_file(&fixture->set, "/nonexistent/ecsd.ini", &fixture->fail),
                     -E_NOT_FOUND);
    assert_true(str_contains(fixture->fail.message, STR("No such file")));
}

static void reads_comments_and_both_ways_to_name(void **state)
{
    struct fixture *fixture = *state;
    char text[4096];

    (void)snprintf(text, sizeof(text),
                   "# %03000d\n; comment\nstop.kill_wait_s = 4 ; why not\n\n[stop] ; section\r\n"
                   "  press_interval_s=8\r\n[node]\nregion = a;b\n",
                   1);
    assert_int_equal(load(fixture, str_from(text)), 0);
    assert_true(fixture->set.values.stop_kill_wait_s == 4);
    assert_true(fixture->set.values.stop_press_interval_s == 8);
    assert_str(fixture->set.values.node_region, "a;b");
}

static void refuses_unknown_variables_of_ours(void **state)
{
    struct fixture *fixture = *state;
    char *const unknown[] = {VAR("ECSD_STOP_PRES_INTERVAL_S=7"), NULL};
    char *const wrong[] = {VAR("ECSD_STOP_PRESS_INTERVAL_S=7x"), NULL};
    char *const foreign[] = {VAR("ECSD_ACCESS_KEY_SECRET=7"), VAR("ECSD_="), VAR("ECSD_STOP"),
                             VAR("STOP_PRESS_INTERVAL_S=0"), NULL};

    assert_int_equal(option_set_environment(&fixture->set, unknown, &fixture->fail), -E_INVALID);
    assert_true(str_contains(fixture->fail.message, STR("ECSD_STOP_PRES_INTERVAL_S")));
    assert_int_equal(option_set_environment(&fixture->set, wrong, &fixture->fail), -E_INVALID);
    assert_int_equal(option_set_environment(&fixture->set, foreign, &fixture->fail), 0);
}

/* --print-config > file, and the file is a configuration that gives the same again. */
static void prints_what_it_reads(void **state)
{
    struct fixture *fixture = *state;
    struct option_set again;
    struct buf first;
    struct buf second;

    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    assert_int_equal(set_one(fixture, "stop.press_interval_s", "9", OPTION_COMMAND_LINE), 0);
    assert_int_equal(set_one(fixture, "sim.boot_s", "0.125", OPTION_FILE), 0);
    assert_int_equal(set_one(fixture, "stop.force_overtakes", "yes", OPTION_ENVIRONMENT), 0);
    assert_int_equal(
        set_one(fixture, "gateway.troubleshoot_url", "https://x/?a=1;b=2&q=", OPTION_FILE), 0);
    option_set_print(&fixture->set, &first);
    assert_true(str_contains(
        buf_str(&first),
        STR("stop.press_interval_s = 9 ; command line; a whole number from 1 to 3600")));
    assert_true(str_contains(buf_str(&first), STR("sim.boot_s = 0.125 ; file; ")));
    assert_true(str_contains(buf_str(&first),
                             STR("stop.force_overtakes = true ; environment; true or false")));
    assert_true(str_contains(buf_str(&first), STR("stop.kill_wait_s = 10 ; default; ")));

    assert_int_equal(load(fixture, buf_str(&first)), 0);
    option_set_init(&again, &fixture->arena);
    assert_int_equal(option_set_file(&again, fixture->path, &fixture->fail), 0);
    for (size_t i = 0; i < option_row_count; i++)
        assert_int_equal(again.sources[i], OPTION_FILE);
    memcpy(again.sources, fixture->set.sources, option_row_count * sizeof(*again.sources));
    buf_reset(&first);
    option_set_print(&fixture->set, &first);
    option_set_print(&again, &second);
    assert_true(str_eq(buf_str(&first), buf_str(&second)));
    buf_done(&first);
    buf_done(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(has_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stronger_sources_win_in_any_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_every_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_what_is_overridden, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_bad_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_comments_and_both_ways_to_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_unknown_variables_of_ours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prints_what_it_reads, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
