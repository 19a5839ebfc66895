/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's agent says, and what a guest's owner may make it say. */
#include "unit/unit.h"

#include "base/hash.h"
#include "hypervisor/agent_reply.h"

#define MIB ((size_t)1 << 20)

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, MIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void a_number_of_a_process(void **state)
{
    static const char *const others[] = {"", "{", "[]", "{}", "{\"return\":{}}", "{\"return\":7}", "{\"return\":{\"pid\":\"7\"}}",
                                         "{\"return\":{\"pid\":7.5}}", "{\"return\":{\"pid\":7,\"pid\":8}}",
                                         "{\"return\":{\"pid\":99999999999999999999}}"};
    int64_t pid = -5;

    (void)state;
    assert_int_equal(agent_reply_pid("{\"return\":{\"pid\":711}}", &pid), 0);
    assert_int_equal(pid, 711);
    for (size_t i = 0; i < countof(others); i++)
        assert_int_equal(agent_reply_pid(others[i], &pid), -E_IO);
    assert_int_equal(pid, 711);
}

static void one_that_runs(void **state)
{
    struct machine_exec_status status;

    (void)state;
    assert_int_equal(agent_reply_status("{\"return\":{\"exited\":false}}", &arena, &status), 0);
    assert_false(status.exited || status.truncated);
    assert_int_equal(status.output.len, 0);
}

static void one_that_has_ended(void **state)
{
    struct machine_exec_status status;

    (void)state;
    assert_int_equal(agent_reply_status("{\"return\":{\"exited\":true,\"exitcode\":3,\"signal\":9,\"out-data\":\"b3V0\","
                                        "\"err-data\":\"ZXJy\"}}",
                                        &arena, &status),
                     0);
    assert_true(status.exited && !status.truncated);
    assert_int_equal(status.exit_code, 3);
    assert_int_equal(status.signal, 9);
    assert_true(str_eq(status.output, STR("outerr")));
    assert_int_equal(agent_reply_status("{\"return\":{\"exited\":true,\"err-truncated\":true}}", &arena, &status), 0);
    assert_true(status.truncated);
}

static void nonsense(void **state)
{
    static const char *const refused[] = {"", "{", "{}", "{\"return\":1}", "{\"return\":[]}", "{\"return\":{},\"return\":{}}"};
    struct machine_exec_status status;

    (void)state;
    for (size_t i = 0; i < countof(refused); i++)
        assert_int_equal(agent_reply_status(refused[i], &arena, &status), -E_IO);
    assert_int_equal(agent_reply_status("{\"return\":{\"exited\":true,\"exitcode\":-1,\"signal\":4294967297,\"out-data\":\"?\"}}",
                                        &arena, &status),
                     0);
    assert_true(status.truncated);
    assert_int_equal(status.exit_code, INT32_MAX);
    assert_int_equal(status.signal, INT32_MAX);
}

/* A reply with so many bytes of either output. */
static char *reply_of(size_t out_len, size_t err_len)
{
    size_t most = MAX_OF(out_len, err_len);
    uint8_t *bytes = test_calloc(1, most + 1);
    char *out = test_calloc(1, BASE64_MAX(out_len));
    char *err = test_calloc(1, BASE64_MAX(err_len));
    size_t room = BASE64_MAX(out_len) + BASE64_MAX(err_len) + 100;
    char *text = test_calloc(1, room);

    memset(bytes, 'x', most);
    (void)base64_encode(bytes, out_len, out);
    (void)base64_encode(bytes, err_len, err);
    (void)snprintf(text, room, "{\"return\":{\"exited\":true,\"out-data\":\"%s\",\"err-data\":\"%s\"}}", out, err);
    test_free(bytes);
    test_free(out);
    test_free(err);
    return text;
}

static void check_output(size_t out_len, size_t err_len, bool truncated)
{
    struct machine_exec_status status;
    char *text = reply_of(out_len, err_len);

    assert_int_equal(agent_reply_status(text, &arena, &status), 0);
    assert_int_equal(status.output.len, MIN_OF(out_len + err_len, AGENT_OUTPUT_BYTES));
    assert_int_equal(status.truncated, truncated);
    test_free(text);
    arena_reset(&arena);
}

/* It took more memory than a call may have, and the daemon with it. */
static void more_than_any_program_may_say(void **state)
{
    (void)state;
    check_output(AGENT_OUTPUT_BYTES, 0, false);
    check_output(AGENT_OUTPUT_BYTES + 1, 0, true);
    check_output(AGENT_OUTPUT_BYTES - 1, 1, false);
    check_output(AGENT_OUTPUT_BYTES - 1, 2, true);
    check_output(AGENT_OUTPUT_BYTES, 1, true);
    check_output(9 * MIB, 9 * MIB, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_number_of_a_process), TEST(one_that_runs), TEST(one_that_has_ended), TEST(nonsense), TEST(more_than_any_program_may_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
