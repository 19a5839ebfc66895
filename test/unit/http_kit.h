/* SPDX-License-Identifier: Apache-2.0 */
/* The server over real sockets, with a gateway of the test's own behind it, which can answer late and from another thread. */
#pragma once

#include "unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/option.h"
#include "http/http.h"

#define HELPER static __attribute__((unused))

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
    bool released;
    bool stop;
    bool operator_seen;
};

HELPER struct reply make_reply(const struct call *call, struct str body)
{
    struct reply reply = {.status = 200, .body = body, .header_count = 1};

    reply.headers[0] = (struct header){STR("Content-Type"), STR("text/plain")};
    (void)call;
    return reply;
}

/* The call keeps its thread until gateway_release. */
static void gateway_hang(struct gateway *gateway)
{
    (void)pthread_mutex_lock(&gateway->mutex);
    gateway->kept_count++;
    (void)pthread_cond_broadcast(&gateway->changed);
    while (!gateway->released)
        (void)pthread_cond_wait(&gateway->changed, &gateway->mutex);
    (void)pthread_mutex_unlock(&gateway->mutex);
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
    if (str_starts(call->target, STR("/stuck")))
        gateway_hang(gateway);
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

HELPER void *gateway_run(void *arg)
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

HELPER void gateway_wait_kept(struct gateway *gateway, int count)
{
    (void)pthread_mutex_lock(&gateway->mutex);
    while (gateway->kept_count < count)
        (void)pthread_cond_wait(&gateway->changed, &gateway->mutex);
    (void)pthread_mutex_unlock(&gateway->mutex);
}

HELPER void gateway_release(struct gateway *gateway)
{
    struct held *held;

    (void)pthread_mutex_lock(&gateway->mutex);
    held = gateway->kept;
    gateway->kept = NULL;
    gateway->released = true;
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

HELPER void server_start(struct server *server, bool tls)
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

HELPER void server_init(struct server *server)
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

HELPER void server_done(struct server *server)
{
    char path[128];

    if (!server->stopped)
        assert_true(http_stop(server->http, USEC_PER_SEC));
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

HELPER int dial_address(struct str address)
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

HELPER int dial(struct server *server)
{
    return dial_address(http_address(server->http, HTTP_LISTENER_PLAIN));
}

HELPER void say_bytes(int fd, struct str text)
{
    while (text.len > 0) {
        ssize_t sent = send(fd, text.ptr, text.len, MSG_NOSIGNAL);

        if (sent <= 0)
            return; /* the server has had enough; what it answered is read next */
        text = str_slice(text.ptr + sent, text.len - (size_t)sent);
    }
}

HELPER void say(int fd, const char *text)
{
    say_bytes(fd, str_from(text));
}

/* One reply with a Content-Length. False at the end of the connection. */
HELPER bool hear(int fd, bool head_only, struct buf *reply, struct str *ret_body)
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

HELPER int status_of(const struct buf *reply)
{
    return reply->len > 12 ? (int)strtol(reply->ptr + 9, NULL, 10) : -1;
}

/* Says `text` on a connection of its own and expects `status`; then whether the server closes. */
HELPER void expect_status(struct server *server, const char *text, int status, bool closes)
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

HELPER void expect_body(int fd, const char *want)
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
