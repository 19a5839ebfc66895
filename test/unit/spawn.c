/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "base/spawn.h"
#include "gen/errors.h"

static int setup(void **state)
{
    struct arena *arena = test_calloc(1, sizeof(*arena));

    arena_init(arena, 1 << 20);
    *state = arena;
    return 0;
}

static int teardown(void **state)
{
    arena_done(*state);
    test_free(*state);
    return 0;
}

static struct spawn_result run(void **state, const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct spawn_result result;

    assert_int_equal(spawn_wait(argv, 10 * USEC_PER_SEC, *state, &result), 0);
    return result;
}

static void output_and_exit_code_are_told(void **state)
{
    struct spawn_result result = run(state, "echo out; echo err >&2; exit 3");

    assert_int_equal(result.exit_code, 3);
    assert_false(result.timed_out);
    assert_true(str_eq(result.output, STR("out\nerr\n")));
}

static void a_signal_is_told(void **state)
{
    assert_int_equal(run(state, "kill -9 $$").exit_code, 128 + 9);
}

static void input_is_empty(void **state)
{
    assert_true(str_eq(run(state, "cat; echo end").output, STR("end\n")));
}

static void long_output_is_cut_and_does_not_block(void **state)
{
    struct spawn_result result = run(state, "head -c 1000000 /dev/zero | tr '\\0' x; exit 0");

    assert_int_equal(result.exit_code, 0);
    assert_int_equal(result.output.len, SPAWN_OUTPUT_BYTES);
}

static void time_is_up(void **state)
{
    const char *argv[] = {"sleep", "100", NULL};
    struct spawn_result result;

    assert_int_equal(spawn_wait(argv, 50 * USEC_PER_MSEC, *state, &result), 0);
    assert_true(result.timed_out);
    assert_int_equal(result.exit_code, 128 + 9);
}

static void no_such_program(void **state)
{
    const char *argv[] = {"no-such-program-of-ecsd", NULL};
    struct spawn_result result;

    assert_int_equal(spawn_wait(argv, USEC_PER_SEC, *state, &result), -E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(output_and_exit_code_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_signal_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(input_is_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(long_output_is_cut_and_does_not_block, setup, teardown),
        cmocka_unit_test_setup_teardown(time_is_up, setup, teardown),
        cmocka_unit_test_setup_teardown(no_such_program, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
