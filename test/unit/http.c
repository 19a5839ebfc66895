/* SPDX-License-Identifier: Apache-2.0 */
/* The server over real sockets, with a gateway of the test's own behind it, which can answer late and from another thread. */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/option.h"
#include "http/http.h"

/* ── a gateway ── */

struct held {
    struct held *next;
    gateway_done_fn done;
    void *arg;
    struct reply reply;
};

struct gateway {
    pthread_mutex_t mutex; /* guards all */
    pthread_cond_t changed;
    pthread_t thread;
    struct held *later;    /* to be answered by the thread at once */
    struct held *kept;     /* to be answered after gateway_release */
    int kept_count;
    int answered_count;
    bool stop;
    bool operator_seen;
};

static struct reply make_reply(const struct call *call, struct str body)
{
    struct reply reply = {.status = 200, .body = body, .header_count = 1};

    reply.headers[0] = (struct header){STR("Content-Type"), STR("text/plain")};
    (void)call;
    return reply;
}

void gateway_handle(struct gateway *gateway, const struct call *call, gateway_suspend_fn suspend, gateway_done_fn done, void *arg)
{
    struct held *held;
    struct reply reply;

    if (call->operator_socket)
        gateway->operator_seen = true;
    if (str_starts(call->target, STR("/big"))) {
        char *big = arena_alloc(call->arena, 8 << 20);

        (void)memset(big, 'b', 8 << 20);
        reply = make_reply(call, str_slice(big, 8 << 20));
        done(arg, &reply);
        return;
    }
    reply = make_reply(call, arena_printf(call->arena, "%.*s %.*s %zu [%.*s]", STR_ARG(call->method), STR_ARG(call->target),
                                          call->body.len, (int)MIN_OF(call->body.len, (size_t)64), call->body.ptr));
    if (!str_starts(call->target, STR("/later")) && !str_starts(call->target, STR("/keep"))) {
        done(arg, &reply);
        return;
    }
    suspend(arg);
    held = xcalloc(1, sizeof(*held));
    held->done = done;
    held->arg = arg;
    held->reply = reply;
    (void)pthread_mutex_lock(&gateway->mutex);
    if (str_starts(call->target, STR("/later"))) {
        held->next = gateway->later;
        gateway->later = held;
    } else {
        held->next = gateway->kept;
        gateway->kept = held;
        gateway->kept_count++;
    }
    (void)pthread_cond_broadcast(&gateway->changed);
    (void)pthread_mutex_unlock(&gateway->mutex);
}

void gateway_refuse(struct gateway *gateway, const struct call *call, enum error_code code, struct reply *ret_reply)
{
    (void)gateway;
    *ret_reply = make_reply(call, arena_printf(call->arena, "refused %s", error_code_text(code)));
    ret_reply->status = error_status(code);
}

static void *gateway_run(void *arg)
{
    struct gateway *gateway = arg;

    (void)pthread_mutex_lock(&gateway->mutex);
    while (!gateway->stop || gateway->later) {
        struct held *held = gateway->later;

        if (!held) {
            (void)pthread_cond_wait(&gateway->changed, &gateway->mutex);
            continue;
        }
        gateway->later = held->next;
        (void)pthread_mutex_unlock(&gateway->mutex);
        held->done(held->arg, &held->reply);
        (void)xfree(held);
        (void)pthread_mutex_lock(&gateway->mutex);
        gateway->answered_count++;
        (void)pthread_cond_broadcast(&gateway->changed);
    }
    (void)pthread_mutex_unlock(&gateway->mutex);
    return NULL;
}

static void gateway_wait_kept(struct gateway *gateway, int count)
{
    (void)pthread_mutex_lock(&gateway->mutex);
    while (gateway->kept_count < count)
        (void)pthread_cond_wait(&gateway->changed, &gateway->mutex);
    (void)pthread_mutex_unlock(&gateway->mutex);
}

static void gateway_release(struct gateway *gateway)
{
    struct held *held;

    (void)pthread_mutex_lock(&gateway->mutex);
    held = gateway->kept;
    gateway->kept = NULL;
    while (held) {
        struct held *next = held->next;

        held->next = gateway->later;
        gateway->later = held;
        held = next;
    }
    (void)pthread_cond_broadcast(&gateway->changed);
    (void)pthread_mutex_unlock(&gateway->mutex);
}

/* ── a server ── */

struct server {
    struct gateway gateway;
    struct arena arena;
    struct option_set set;
    struct env *env;
    struct http *http;
    char dir[64];
    char socket_path[96];
    bool stopped;
};

static void server_start(struct server *server, bool tls)
{
    struct fail fail;
    struct http_settings settings = {
        .gateway = &server->gateway,
        .options = &server->set.values,
        .listen = STR("127.0.0.1:0"),
        .listen_tls = tls ? STR("127.0.0.1:0") : STR_NONE,
        .listen_admin = STR("127.0.0.1:0"),
        .dir = server->dir,
        .health = STR("{\"status\":\"ok\"}"),
    };

    server->env = env_new_real();
    settings.env = server->env;
    settings.operator_path = server->socket_path;
    fail_init(&fail, &server->arena);
    assert_int_equal(http_open(&settings, &fail, &server->http), 0);
    assert_int_equal(http_start(server->http, &fail), 0);
    assert_int_equal(pthread_create(&server->gateway.thread, NULL, gateway_run, &server->gateway), 0);
}

static void server_init(struct server *server)
{
    *server = (struct server){0};
    arena_init(&server->arena, 1 << 20);
    option_set_init(&server->set, &server->arena);
    (void)pthread_mutex_init(&server->gateway.mutex, NULL);
    (void)pthread_cond_init(&server->gateway.changed, NULL);
    (void)snprintf(server->dir, sizeof(server->dir), "/tmp/ecsd-http-XXXXXX");
    assert_non_null(mkdtemp(server->dir));
    (void)snprintf(server->socket_path, sizeof(server->socket_path), "%s/admin.sock", server->dir);
}

static void server_done(struct server *server)
{
    char path[128];

    if (!server->stopped)
        http_stop(server->http, USEC_PER_SEC);
    gateway_release(&server->gateway);
    (void)pthread_mutex_lock(&server->gateway.mutex);
    server->gateway.stop = true;
    (void)pthread_cond_broadcast(&server->gateway.changed);
    (void)pthread_mutex_unlock(&server->gateway.mutex);
    (void)pthread_join(server->gateway.thread, NULL);
    assert_null(http_close(server->http));
    assert_int_equal(access(server->socket_path, F_OK), -1);
    (void)snprintf(path, sizeof(path), "%s/tls.crt", server->dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/tls.key", server->dir);
    (void)unlink(path);
    assert_int_equal(rmdir(server->dir), 0);
    (void)env_free(server->env);
    arena_done(&server->arena);
}

/* ── a client ── */

static int dial_address(struct str address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 20};
    struct str host;
    struct str port;
    int64_t number;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(str_split(address, ':', &host, &port));
    assert_int_equal(str_to_i64(port, &number), 0);
    in.sin_port = htons((uint16_t)number);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return fd;
}

static int dial(struct server *server)
{
    return dial_address(http_address(server->http, HTTP_LISTENER_PLAIN));
}

static void say_bytes(int fd, struct str text)
{
    while (text.len > 0) {
        ssize_t sent = send(fd, text.ptr, text.len, MSG_NOSIGNAL);

        if (sent <= 0)
            return; /* the server has had enough; what it answered is read next */
        text = str_slice(text.ptr + sent, text.len - (size_t)sent);
    }
}

static void say(int fd, const char *text)
{
    say_bytes(fd, str_from(text));
}

/* One reply with a Content-Length. False at the end of the connection. */
static bool hear(int fd, bool head_only, struct buf *reply, struct str *ret_body)
{
    size_t head_len = 0;
    int64_t length = -1;

    buf_reset(reply);
    while (head_len == 0 || reply->len < head_len + (size_t)length) {
        char *at;
        char *end;
        ssize_t got;
        size_t want = head_len == 0 ? 1 : head_len + (size_t)length - reply->len;

        at = buf_room(reply, want);
        assert_non_null(at);
        got = recv(fd, at, want, 0);
        if (got <= 0)
            return false;
        reply->len -= want - (size_t)got;
        reply->ptr[reply->len] = '\0';
        if (head_len > 0 || reply->len < 4 || memcmp(reply->ptr + reply->len - 4, "\r\n\r\n", 4) != 0)
            continue;
        head_len = reply->len;
        end = strstr(reply->ptr, "Content-Length: ");
        assert_non_null(end);
        length = strtoll(end + 16, NULL, 10);
        if (head_only)
            length = 0;
    }
    *ret_body = str_slice(reply->ptr + head_len, (size_t)length);
    return true;
}

static int status_of(const struct buf *reply)
{
    return reply->len > 12 ? (int)strtol(reply->ptr + 9, NULL, 10) : -1;
}

/* Says `text` on a connection of its own and expects `status`; then whether the server closes. */
static void expect_status(struct server *server, const char *text, int status, bool closes)
{
    struct buf reply;
    struct str body;
    int fd = dial(server);
    char byte;

    buf_init(&reply, 1 << 24);
    say(fd, text);
    if (!hear(fd, false, &reply, &body))
        fail_msg("no reply to:\n%s", text);
    if (status_of(&reply) != status)
        fail_msg("%d, not %d, to:\n%s", status_of(&reply), status, text);
    if (closes)
        assert_int_equal(recv(fd, &byte, 1, 0), 0);
    assert_true(closes == (strstr(reply.ptr, "Connection: close") != NULL));
    (void)close(fd);
    buf_done(&reply);
}

static void expect_body(int fd, const char *want)
{
    struct buf reply;
    struct str body;

    buf_init(&reply, 1 << 24);
    assert_true(hear(fd, false, &reply, &body));
    assert_int_equal(status_of(&reply), 200);
    if (!str_eq(body, str_from(want)))
        fail_msg("got %.*s, expected %s", STR_ARG(body), want);
    buf_done(&reply);
}

#define H "Host: a\r\n"

/* ── tests ── */

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

/* A byte now and then buys no time: the deadline is absolute. */
static void test_slow_client(void **state)
{
    struct server server;
    struct pollfd wait = {.events = POLLIN};
    struct timespec start;
    struct timespec end;
    int sent = 0;
    char byte;

    (void)state;
    server_init(&server);
    server.set.values.http_header_deadline_s = 1;
    server.set.values.http_body_deadline_s = 1;
    server_start(&server, false);
    for (int round = 0; round < 2; round++) {
        wait.fd = dial(&server);
        say(wait.fd, round == 0 ? "GET / HTTP/1.1\r\nX: " : "POST / HTTP/1.1\r\n" H "Content-Length: 1000\r\n\r\n");
        (void)clock_gettime(CLOCK_MONOTONIC, &start);
        while (poll(&wait, 1, 100) == 0 && sent++ < 200)
            say(wait.fd, "a");
        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        assert_true(recv(wait.fd, &byte, 1, 0) <= 0);
        assert_in_range((end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000, 800, 8000);
        (void)close(wait.fd);
    }
    server_done(&server);
}

/* A client that takes its reply too slowly is cut as well. */
static void test_slow_reader(void **state)
{
    struct server server;
    struct buf reply;
    struct str body;
    int small = 4096;
    int fd;

    (void)state;
    server_init(&server);
    server.set.values.http_write_deadline_s = 1;
    server_start(&server, false);
    fd = dial(&server);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    say(fd, "GET /big HTTP/1.1\r\n" H "\r\n");
    (void)poll(NULL, 0, 2500); /* the time that the client wastes is what is tested */
    buf_init(&reply, 1 << 24);
    assert_false(hear(fd, false, &reply, &body));
    (void)close(fd);
    fd = dial(&server);
    say(fd, "GET /big HTTP/1.1\r\n" H "\r\n");
    assert_true(hear(fd, false, &reply, &body));
    assert_int_equal(body.len, 8 << 20);
    buf_done(&reply);
    (void)close(fd);
    server_done(&server);
}

/* The client goes while its call is in the gateway: the call ends all the same, and nothing breaks. */
static void test_vanished_client(void **state)
{
    struct server server;
    struct linger reset = {.l_onoff = 1};
    int fd;

    (void)state;
    server_init(&server);
    server_start(&server, false);
    for (int i = 0; i < 50; i++) {
        fd = dial(&server);
        say(fd, "POST /keep HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello");
        gateway_wait_kept(&server.gateway, i + 1);
        if (i % 2 == 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        (void)close(fd);
    }
    gateway_release(&server.gateway);
    (void)pthread_mutex_lock(&server.gateway.mutex);
    while (server.gateway.answered_count < 50)
        (void)pthread_cond_wait(&server.gateway.changed, &server.gateway.mutex);
    (void)pthread_mutex_unlock(&server.gateway.mutex);
    fd = dial(&server);
    say(fd, "GET / HTTP/1.1\r\n" H "\r\n");
    expect_body(fd, "GET / 0 []");
    (void)close(fd);
    server_done(&server);
}

/* What all epolls of this process watch. */
static int count_watched(void)
{
    char path[64];
    char text[64];
    int count = 0;

    for (int fd = 0; fd < 256; fd++) {
        char line[256];
        FILE *info;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        n = readlink(path, text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = '\0';
        if (strcmp(text, "anon_inode:[eventpoll]") != 0)
            continue;
        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        info = fopen(path, "re");
        assert_non_null(info);
        while (fgets(line, sizeof(line), info))
            count += strncmp(line, "tfd:", 4) == 0;
        (void)fclose(info);
    }
    return count;
}

/* What libvirt does to start QEMU: a child with a copy of every socket. It lives until the end of `ends`. */
static pid_t fork_copies(int client_fd, int ends[2])
{
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;

        (void)close(client_fd);
        (void)close(ends[1]);
        (void)!read(ends[0], &byte, 1);
        _exit(0);
    }
    (void)close(ends[0]);
    return child;
}

/* A socket that we close lives on in the child, and so would its events, of a connection that is no more. */
static void test_forked_meanwhile(void **state)
{
    struct server server;
    int watched;
    int ends[2];
    int later[2];
    pid_t child;
    char byte;
    int fd;

    (void)state;
    server_init(&server);
    server.set.values.http_threads = 1;
    server_start(&server, false);
    watched = count_watched();
    fd = dial(&server);
    say(fd, "GET / HTTP/1.1\r\n" H "\r\n");
    expect_body(fd, "GET / 0 []");
    assert_int_equal(count_watched(), watched + 1);
    child = fork_copies(fd, ends);
    say(fd, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    expect_body(fd, "GET / 0 []");
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    (void)close(fd);
    for (int i = 0; i < 2; i++) { /* through the same loop, behind the first one's end */
        later[i] = dial(&server);
        say(later[i], "GET / HTTP/1.1\r\n" H "\r\n");
        expect_body(later[i], "GET / 0 []");
        assert_int_equal(count_watched(), watched + 1 + i);
    }
    (void)close(later[0]);
    (void)close(later[1]);
    (void)close(ends[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    server_done(&server);
}

static void test_half_close(void **state)
{
    struct server server;
    char byte;
    int fd;

    (void)state;
    server_init(&server);
    server_start(&server, false);
    fd = dial(&server);
    say(fd, "POST /keep HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
    gateway_wait_kept(&server.gateway, 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    gateway_release(&server.gateway);
    expect_body(fd, "POST /keep 2 [hi]");
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    (void)close(fd);
    fd = dial(&server);
    say(fd, "GET / HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    expect_body(fd, "GET / 0 []");
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    (void)close(fd);
    server_done(&server);
}

/* 2,000 connections that say nothing, where 256 are allowed: newcomers are served. */
static void test_crowd(void **state)
{
    enum { CROWD = 2000 };
    struct server server;
    struct rlimit files;
    int *fds = xcalloc(CROWD, sizeof(*fds));

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_cur < CROWD + 512)
        skip();
    server_init(&server);
    server.set.values.http_max_connections = 256;
    server_start(&server, false);
    for (int i = 0; i < CROWD; i++) {
        fds[i] = dial(&server);
        if (i % 2 == 0)
            say(fds[i], "GET / HTTP/1.1\r\n");
        if (i % 200 == 199) {
            int fd = dial(&server);

            say(fd, "GET / HTTP/1.1\r\n" H "\r\n");
            expect_body(fd, "GET / 0 []");
            (void)close(fd);
        }
    }
    for (int i = 0; i < CROWD; i++)
        (void)close(fds[i]);
    (void)xfree(fds);
    server_done(&server);
}

static void *stop_server(void *arg)
{
    struct server *server = arg;

    http_stop(server->http, 10 * USEC_PER_SEC);
    return NULL;
}

/* What has begun is finished, idle connections go, and nobody new comes in. */
static void test_graceful_stop(void **state)
{
    struct server server;
    struct buf reply;
    struct str body;
    pthread_t stopper;
    char byte;
    int idle;
    int fd;

    (void)state;
    server_init(&server);
    server_start(&server, false);
    idle = dial(&server);
    say(idle, "GET / HTTP/1.1\r\n" H "\r\n");
    expect_body(idle, "GET / 0 []");
    fd = dial(&server);
    say(fd, "POST /keep HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
    gateway_wait_kept(&server.gateway, 1);
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, &server), 0);
    assert_int_equal(recv(idle, &byte, 1, 0), 0);
    gateway_release(&server.gateway);
    buf_init(&reply, 4096);
    assert_true(hear(fd, false, &reply, &body));
    assert_true(str_eq(body, STR("POST /keep 2 [hi]")));
    assert_non_null(strstr(reply.ptr, "Connection: close"));
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    (void)pthread_join(stopper, NULL);
    server.stopped = true;
    (void)close(idle);
    (void)close(fd);
    buf_done(&reply);
    server_done(&server);
}

/* Patience ends: the call goes on in the gateway, and its late answer finds nobody. */
static void test_impatient_stop(void **state)
{
    struct server server;
    int fd;

    (void)state;
    server_init(&server);
    server_start(&server, false);
    fd = dial(&server);
    say(fd, "POST /keep HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
    gateway_wait_kept(&server.gateway, 1);
    http_stop(server.http, 100 * USEC_PER_MSEC);
    server.stopped = true;
    server_done(&server);
    (void)close(fd);
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
        cmocka_unit_test(test_requests),        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_smuggling),       cmocka_unit_test(test_request_line),
        cmocka_unit_test(test_big_bodies),      cmocka_unit_test(test_buffer_limit),
        cmocka_unit_test(test_slow_client),     cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_vanished_client), cmocka_unit_test(test_forked_meanwhile),
        cmocka_unit_test(test_half_close),      cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_graceful_stop),   cmocka_unit_test(test_impatient_stop),
        cmocka_unit_test(test_operator_socket), cmocka_unit_test(test_admin),
        cmocka_unit_test(test_tls),             cmocka_unit_test(test_open_failures),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
