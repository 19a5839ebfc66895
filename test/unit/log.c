/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"

static int saved_stderr;
static int pipe_fds[2];

static int catch_stderr(void **state)
{
    (void)state;
    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC), 0);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
    return 0;
}

static int free_stderr(void **state)
{
    (void)state;
    (void)dup2(saved_stderr, STDERR_FILENO);
    (void)close(saved_stderr);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    return 0;
}

/* What was logged since the last time, as one text. */
static struct str logged(void)
{
    static char text[16384];
    ssize_t got = read(pipe_fds[0], text, sizeof(text));

    return str_slice(text, got > 0 ? (size_t)got : 0);
}

/* The line without its prefix and time, which are checked here. */
static struct str logged_body(const char *prefix)
{
    struct str line = logged();
    size_t head = strlen(prefix) + strlen("ts=2026-11-23T03:18:34.123456Z ");
    usec_t t;

    assert_true(str_starts(line, str_from(prefix)));
    assert_true(
        str_starts(str_slice(line.ptr + strlen(prefix), line.len - strlen(prefix)), STR("ts=")));
    assert_true(line.len > head);
    assert_int_equal(time_parse(str_slice(line.ptr + strlen(prefix) + 3, 27), &t), 0);
    assert_true(t > 1700000000 * USEC_PER_SEC);
    return str_slice(line.ptr + head, line.len - head);
}

static void writes_logfmt(void **state)
{
    (void)state;
    log_info("instance stopped", LOG_TEXT("instance", "i-123"), LOG_NUM("took_ms", -12));
    assert_str(logged_body("<6>"), "msg=\"instance stopped\" instance=i-123 took_ms=-12\n");
    log_error("failed");
    assert_str(logged_body("<3>"), "msg=failed\n");
    log_warning("w", LOG_STR("empty", STR("")), LOG_STR("absent", STR_NONE));
    assert_str(logged_body("<4>"), "msg=w empty=\"\" absent=\"\"\n");
}

static void escapes(void **state)
{
    (void)state;
    log_info("m", LOG_STR("k", STR("a b")));
    assert_str(logged_body("<6>"), "msg=m k=\"a b\"\n");
    log_info("m", LOG_STR("k", STR("a=b")), LOG_STR("l", STR("say \"\\\"")));
    assert_str(logged_body("<6>"), "msg=m k=\"a=b\" l=\"say \\\"\\\\\\\"\"\n");
    /* No value forges a second line or talks to a terminal. */
    log_info("m", LOG_STR("k", STR("x\n<3>ts=0 msg=forged\r\t\x1b[2J\x7f\0end")));
    assert_str(logged_body("<6>"),
               "msg=m k=\"x\\n<3>ts=0 msg=forged\\x0d\\t\\x1b[2J\\x7f\\x00end\"\n");
    log_info("m", LOG_STR("k", STR("\xe4\xb8\xad")), LOG_STR("l", STR("\xe4\xb8")),
             LOG_STR("n", STR("\xc3\xa9 x")));
    assert_str(logged_body("<6>"), "msg=m k=\xe4\xb8\xad l=\"\\xe4\\xb8\" n=\"\xc3\xa9 x\"\n");
}

static void cuts_long_lines(void **state)
{
    char long_text[10000];
    struct str line;

    (void)state;
    memset(long_text, 'x', sizeof(long_text));
    for (size_t i = 0; i < sizeof(long_text); i += 2)
        long_text[i] = '\n'; /* escapes, so that the limit falls into one for some length */
    for (size_t len = 2000; len < 2100; len++) {
        log_info("m", LOG_STR("k", str_slice(long_text, len)), LOG_NUM("after", 1));
        line = logged();
        assert_true(line.len <= 4096);
        assert_true(str_ends(line, STR("\n")));
        assert_null(memchr(line.ptr, '\n', line.len - 1));
    }
    log_info("m", LOG_STR("k", str_slice(long_text, sizeof(long_text))));
    line = logged();
    assert_true(str_ends(line, STR(" cut=true\n")));
    assert_true(line.len > 4000);
}

static void obeys_the_threshold(void **state)
{
    (void)state;
    log_debug("unseen");
    assert_int_equal(logged().len, 0);
    log_threshold = LOG_DEBUG;
    log_debug("seen");
    assert_str(logged_body("<7>"), "msg=seen\n");
    log_threshold = LOG_ERROR;
    log_warning("unseen");
    assert_int_equal(logged().len, 0);
    log_threshold = LOG_INFO;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_logfmt, catch_stderr, free_stderr),
        cmocka_unit_test_setup_teardown(escapes, catch_stderr, free_stderr),
        cmocka_unit_test_setup_teardown(cuts_long_lines, catch_stderr, free_stderr),
        cmocka_unit_test_setup_teardown(obeys_the_threshold, catch_stderr, free_stderr),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
