/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked and answered, over each kind of listener. */
#include "unit/http_kit.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>

static void test_requests(void **state)
{
    struct server server;
    struct buf reply;
    struct str body;
    int fd;

    (void)state;
    server_init(&server);
    server_start(&server, false);
    fd = dial(&server);
    say(fd, "GET /?a=b HTTP/1.1\r\n" H "\r\n");
    expect_body(fd, "GET /?a=b 0 []");
    say(fd, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello");
    expect_body(fd, "POST / 5 [hello]");
    say(fd, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
    expect_body(fd, "POST / 5 [hello]");
    say(fd, "POST /later HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n");
    expect_body(fd, "POST /later 0 []");
    say(fd, "\r\nGET http://ecs.aliyuncs.com/?x HTTP/1.1\r\n" H "\r\n");
    expect_body(fd, "GET http://ecs.aliyuncs.com/?x 0 []");
    buf_init(&reply, 4096);
    say(fd, "HEAD / HTTP/1.1\r\n" H "\r\n");
    assert_true(hear(fd, true, &reply, &body));
    assert_non_null(strstr(reply.ptr, "\r\nContent-Length: 11\r\n"));
    assert_non_null(strstr(reply.ptr, "\r\nDate: "));
    say(fd, "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    buf_reset(&reply);
    assert_int_equal(recv(fd, buf_room(&reply, 25), 25, MSG_WAITALL), 25);
    assert_memory_equal(reply.ptr, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    say(fd, "ok");
    expect_body(fd, "POST / 2 [ok]");
    buf_done(&reply);
    (void)close(fd);
    expect_status(&server, "GET / HTTP/1.0\r\n\r\n", 200, true);
    expect_status(&server, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 200, true);
    server_done(&server);
}

static void test_pipelining(void **state)
{
    struct server server;
    struct buf text;
    int fd;

    (void)state;
    server_init(&server);
    server_start(&server, false);
    fd = dial(&server);
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 100; i++)
        buf_printf(&text, "POST /%s%d HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n%03d", i % 3 == 0 ? "later" : "now", i, i);
    say_bytes(fd, buf_str(&text));
    for (int i = 0; i < 100; i++) {
        char want[64];

        (void)snprintf(want, sizeof(want), "POST /%s%d 3 [%03d]", i % 3 == 0 ? "later" : "now", i, i);
        expect_body(fd, want);
    }
    (void)close(fd);
    buf_done(&text);
    server_done(&server);
}

static void test_smuggling(void **state)
{
    struct server server;

    (void)state;
    server_init(&server);
    server_start(&server, false);
    expect_status(&server, "GET / HTTP/1.1\r\n\r\n", 400, true);
    expect_status(&server, "POST / HTTP/1.1\r\n" H "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400, true);
    expect_status(&server, "POST / HTTP/1.1\r\n" H "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, true);
    expect_status(&server, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, true);
    expect_status(&server, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, true);
    expect_status(&server, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", 400, true);
    expect_status(&server, "GET / HTTP/1.1\r\n" H "Content-Length : 0\r\n\r\n", 400, true);
    expect_status(&server, "GET / HTTP/1.1\nHost: a\n\n", 400, true);
    expect_status(&server, "GET / HTTP/3.0\r\n" H "\r\n", 505, true);
    expect_status(&server, "\026\003\001\002\n\001", 400, true);
    server_done(&server);
}

static void test_request_line(void **state)
{
    struct server server;
    char *text = xcalloc(1, 300 * 1024);

    (void)state;
    server_init(&server);
    server_start(&server, false);
    (void)memset(text, 'a', 300 * 1024 - 1);
    (void)memcpy(text, "GET /", 5);
    (void)snprintf(text + 127 * 1024, 1024, " HTTP/1.1\r\n" H "\r\n");
    expect_status(&server, text, 200, false);
    (void)memset(text, 'a', 300 * 1024 - 1);
    (void)memcpy(text, "GET /", 5);
    (void)snprintf(text + 200 * 1024, 1024, " HTTP/1.1\r\n" H "\r\n");
    expect_status(&server, text, 414, true);
    (void)memset(text, 'a', 300 * 1024 - 1);
    (void)memcpy(text, "GET / HTTP/1.1\r\nX:", 18);
    expect_status(&server, text, 431, true);
    (void)xfree(text);
    server_done(&server);
}

/* Sends without end until the server closes; returns how much it took. */
static size_t flood(int fd, const char *prefix)
{
    static char block[1 << 16];
    size_t total = 0;

    say(fd, prefix);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = "4\r\nabcd\r\n"[i % 9];
    while (total < (size_t)200 << 20) {
        size_t at = total % 9; /* where the pattern stands */
        ssize_t sent = send(fd, block + at, sizeof(block) - 9, MSG_NOSIGNAL);

        if (sent <= 0)
            break;
        total += (size_t)sent;
    }
    return total;
}

static void test_big_bodies(void **state)
{
    struct server server;
    struct buf reply;
    struct str body;
    size_t taken;
    int fd;

    (void)state;
    server_init(&server);
    server_start(&server, false);
    expect_status(&server, "POST / HTTP/1.1\r\n" H "Content-Length: 200000000\r\n\r\n", 413, true);
    expect_status(&server, "POST / HTTP/1.1\r\n" H "Content-Length: 4194305\r\nExpect: 100-continue\r\n\r\n", 413, true);
    fd = dial(&server);
    taken = flood(fd, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
    assert_true(taken < (size_t)100 << 20);
    buf_init(&reply, 4096);
    if (hear(fd, false, &reply, &body)) /* a reset may have overtaken it */
        assert_int_equal(status_of(&reply), 413);
    (void)close(fd);
    buf_done(&reply);
    fd = dial(&server);
    say(fd, "GET / HTTP/1.1\r\n" H "\r\n");
    expect_body(fd, "GET / 0 []");
    (void)close(fd);
    server_done(&server);
}

/* Bodies of all connections together have a limit: one that would pass it is refused, the other goes on. */
static void test_buffer_limit(void **state)
{
    struct server server;
    char *half = xcalloc(1, 150 * 1024);
    struct pollfd both[2];
    struct buf reply;
    struct str body;
    int refused;

    (void)state;
    server_init(&server);
    server.set.values.http_max_buffered_bytes = 300 * 1024;
    server.set.values.http_threads = 1; /* takes turns: when one is refused, the other has not been yet */
    server_start(&server, false);
    for (int i = 0; i < 2; i++) {
        both[i] = (struct pollfd){.fd = dial(&server), .events = POLLIN};
        say(both[i].fd, "POST / HTTP/1.1\r\n" H "Content-Length: 150001\r\n\r\n");
        say_bytes(both[i].fd, str_slice(half, 150000));
    }
    assert_true(poll(both, 2, 20000) > 0);
    refused = both[0].revents ? 0 : 1;
    buf_init(&reply, 4096);
    assert_true(hear(both[refused].fd, false, &reply, &body));
    assert_int_equal(status_of(&reply), 503);
    say(both[1 - refused].fd, "x");
    assert_true(hear(both[1 - refused].fd, false, &reply, &body));
    assert_int_equal(status_of(&reply), 200);
    for (int i = 0; i < 2; i++)
        (void)close(both[i].fd);
    buf_done(&reply);
    (void)xfree(half);
    server_done(&server);
}

static void test_operator_socket(void **state)
{
    struct server server;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    int fd;

    (void)state;
    server_init(&server);
    server_start(&server, false);
    assert_int_equal(stat(server.socket_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", server.socket_path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    say(fd, "GET /?Action=ListJobs HTTP/1.1\r\nHost: admin\r\n\r\n");
    expect_body(fd, "GET /?Action=ListJobs 0 []");
    assert_true(server.gateway.operator_seen);
    (void)close(fd);
    server_done(&server);
}

static void test_admin(void **state)
{
    struct server server;
    struct buf reply;
    struct str body;
    int fd;

    (void)state;
    server_init(&server);
    server_start(&server, false);
    fd = dial_address(http_address(server.http, HTTP_LISTENER_ADMIN));
    say(fd, "GET /healthz HTTP/1.1\r\n" H "\r\n");
    expect_body(fd, "{\"status\":\"ok\"}");
    say(fd, "GET /readyz HTTP/1.1\r\n" H "\r\n");
    expect_body(fd, "ready\n");
    buf_init(&reply, 1 << 20);
    say(fd, "GET /metrics HTTP/1.1\r\n" H "\r\n");
    assert_true(hear(fd, false, &reply, &body));
    assert_true(str_contains(body, STR("ecsd_connections 1\n")));
    say(fd, "GET /?Action=StopInstance HTTP/1.1\r\n" H "\r\n");
    assert_true(hear(fd, false, &reply, &body));
    assert_int_equal(status_of(&reply), 404);
    say(fd, "POST /metrics HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n");
    assert_true(hear(fd, false, &reply, &body));
    assert_int_equal(status_of(&reply), 405);
    (void)close(fd);
    buf_done(&reply);
    server_done(&server);
}

/* Reads all that comes until `want` bytes of body 'b' were seen. */
static size_t tls_read_all(SSL *ssl, size_t want)
{
    char block[4096];
    size_t total = 0;
    size_t got;

    while (total < want && SSL_read_ex(ssl, block, sizeof(block), &got) == 1) {
        for (size_t i = 0; i < got; i++)
            total += block[i] == 'b';
    }
    return total;
}

static void test_tls(void **state)
{
    struct server server;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    char path[128];
    struct stat st;
    SSL *ssl;
    int fd;

    (void)state;
    server_init(&server);
    server_start(&server, true);
    (void)snprintf(path, sizeof(path), "%s/tls.key", server.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)snprintf(path, sizeof(path), "%s/tls.crt", server.dir);
    assert_int_equal(SSL_CTX_load_verify_locations(context, path, NULL), 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    fd = dial_address(http_address(server.http, HTTP_LISTENER_TLS));
    ssl = SSL_new(context);
    assert_int_equal(SSL_set1_host(ssl, "localhost"), 1);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    assert_int_equal(SSL_connect(ssl), 1);
    for (int i = 0; i < 3; i++) {
        const char *ask = "GET /big HTTP/1.1\r\nHost: z\r\n\r\n";

        assert_true(SSL_write(ssl, ask, (int)strlen(ask)) > 0);
        assert_true(tls_read_all(ssl, 8 << 20) >= 8 << 20);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    (void)close(fd);
    expect_status(&server, "GET / HTTP/1.1\r\n" H "\r\n", 200, false);
    server_done(&server);
}

static void test_open_failures(void **state)
{
    struct server server;
    struct http *second = NULL;
    struct fail fail;
    struct http_settings settings = {.gateway = &server.gateway};

    (void)state;
    server_init(&server);
    server_start(&server, false);
    settings.env = server.env;
    settings.options = &server.set.values;
    fail_init(&fail, &server.arena);
    settings.listen = http_address(server.http, HTTP_LISTENER_PLAIN);
    assert_int_equal(http_open(&settings, &fail, &second), -E_EXISTS);
    assert_true(str_contains(fail.message, STR("in use")));
    settings.listen = STR("nonsense");
    assert_int_equal(http_open(&settings, &fail, &second), -E_INVALID);
    settings.listen = STR("127.0.0.1:70000");
    assert_int_equal(http_open(&settings, &fail, &second), -E_INVALID);
    server_done(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_request_line),
        cmocka_unit_test(test_big_bodies),
        cmocka_unit_test(test_buffer_limit),
        cmocka_unit_test(test_operator_socket),
        cmocka_unit_test(test_admin),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_open_failures),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
