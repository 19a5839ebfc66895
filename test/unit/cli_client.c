/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <sys/socket.h>

#include "cli/client.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

/* Every shorter beginning wants more, and is cut short when it ends there; the whole is `status` with `body`. */
static void check_whole(struct str text, int status, const char *body)
{
    struct client_reply reply = {0};

    for (size_t len = 0; len < text.len; len++) {
        assert_int_equal(client_parse(str_slice(text.ptr, len), false, &arena, &reply), CLIENT_MORE);
        assert_int_equal(client_parse(str_slice(text.ptr, len), true, &arena, &reply), CLIENT_BAD);
    }
    assert_int_equal(client_parse(text, false, &arena, &reply), CLIENT_DONE);
    assert_int_equal(reply.status, status);
    assert_str(reply.body, body);
}

static void reads_lengths(void **state)
{
    (void)state;
    check_whole(STR("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\ncontent-length:  5 \r\n\r\nhello"), 200, "hello");
    check_whole(STR("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), 403, "");
    check_whole(STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 x\r\nContent-Length: 1\r\n\r\n!"), 404, "!");
}

static void reads_chunks(void **state)
{
    (void)state;
    check_whole(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\nB;x=y\r\n:\"01234567}\r\n0\r\n"), 200,
                "{\"a\":\"01234567}");
}

static void reads_to_the_end(void **state)
{
    struct str text = STR("HTTP/1.0 200 OK\r\nServer: x\r\n\r\nall of it");
    struct client_reply reply;

    (void)state;
    assert_int_equal(client_parse(text, false, &arena, &reply), CLIENT_MORE);
    assert_int_equal(client_parse(text, true, &arena, &reply), CLIENT_DONE);
    assert_str(reply.body, "all of it");
}

static void refuses_nonsense(void **state)
{
    static const char *const bad[] = {
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 99 x\r\n\r\n",
        "HTTP/1.1 abc x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    };
    struct client_reply reply;

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        assert_int_equal(client_parse(str_from(bad[i]), false, &arena, &reply), CLIENT_BAD);
}

/* The peer's end of a pair stands for a server: what it has written waits in the socket. */
static int exchange_with(struct str answer, bool closes, usec_t timeout_us, struct fail *fail, struct client_reply *ret)
{
    int pair[2];
    int r;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(write(pair[1], answer.ptr, answer.len), answer.len);
    if (closes)
        assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    fail_init(fail, &arena);
    r = client_exchange(pair[0], STR("GET / HTTP/1.1\r\n\r\n"), timeout_us, fail, ret);
    assert_int_equal(close(pair[1]), 0);
    return r;
}

static void exchanges(void **state)
{
    struct client_reply reply = {0};
    struct fail fail;

    (void)state;
    assert_int_equal(exchange_with(STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), false, USEC_PER_SEC, &fail, &reply), 0);
    assert_str(reply.body, "ok");
    assert_int_equal(exchange_with(STR(""), true, USEC_PER_SEC, &fail, &reply), -E_IO);
    assert_str(fail.message, "the connection ended without an answer");
    assert_int_equal(exchange_with(STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), true, USEC_PER_SEC, &fail, &reply), -E_IO);
    assert_str(fail.message, "the answer is no whole HTTP reply");
    assert_int_equal(exchange_with(STR("HTTP/1.1 2"), false, 20 * USEC_PER_MSEC, &fail, &reply), -E_IO);
    assert_str(fail.message, "no answer in time");
}

static void says_who_does_not_listen(void **state)
{
    struct fail fail;
    int fd = -1;

    (void)state;
    fail_init(&fail, &arena);
    assert_int_equal(client_connect_unix("/nowhere/admin.sock", &fail, &fd), -E_IO);
    assert_str(fail.message, "/nowhere/admin.sock: No such file or directory");
    assert_int_equal(client_connect_tcp(STR("no-port"), USEC_PER_SEC, &fail, &fd), -E_INVALID);
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_lengths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_to_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_nonsense, set_up, tear_down),
        cmocka_unit_test_setup_teardown(exchanges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_who_does_not_listen, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
