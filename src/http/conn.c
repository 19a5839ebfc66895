/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: from readable bytes to a call, from a reply to written bytes. Runs on its loop's thread only. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/metric.h"
#include "http/internal.h"

#define TURNS_PER_STEP 32 /* reads, writes and calls before other connections get their turn */

enum turn { TURN_GO_ON, TURN_WAIT, TURN_CLOSE };

/* ── requests ── */

static struct request *request_new(struct conn *conn)
{
    struct loop *loop = conn->loop;
    struct request *request;

    if (list_empty(&loop->pool)) {
        request = xcalloc(1, sizeof(*request));
        arena_init(&request->arena, LIMIT_CALL_ARENA_BYTES);
    } else {
        request = list_item(loop->pool.next, struct request, link);
        list_remove(&request->link);
        loop->pool_count--;
    }
    list_init(&request->link);
    request->loop = loop;
    request->conn = conn;
    return request;
}

void request_free(struct request *request)
{
    struct loop *loop = request->loop;
    struct arena arena;

    (void)atomic_fetch_sub(&loop->http->buffered_bytes, (int64_t)request->body_cap);
    (void)xfree(request->body);
    list_remove(&request->link);
    if (loop->pool_count >= REQUEST_POOL_MAX) {
        arena_done(&request->arena);
        (void)xfree(request);
        return;
    }
    arena_reset(&request->arena);
    arena = request->arena;
    *request = (struct request){.arena = arena, .loop = loop};
    list_init(&request->link);
    list_append(&loop->pool, &request->link);
    loop->pool_count++;
}

static bool buffer_take(struct http *http, size_t bytes)
{
    int64_t grow = (int64_t)bytes;

    if (atomic_fetch_add(&http->buffered_bytes, grow) + grow <= http->settings.options->http_max_buffered_bytes)
        return true;
    (void)atomic_fetch_sub(&http->buffered_bytes, grow);
    metric_add(METRIC_CONNECTIONS_REFUSED_MEMORY, 1);
    return false;
}

/* Room for `more` bytes of body; false: all bodies together would be over the limit. */
static bool body_reserve(struct request *request, size_t more)
{
    size_t cap = MAX_OF(request->body_cap, (size_t)2048);

    if (request->body_len + more <= request->body_cap)
        return true;
    while (cap < request->body_len + more)
        cap *= 2;
    if (!buffer_take(request->loop->http, cap - request->body_cap))
        return false;
    request->body = xrealloc(request->body, cap);
    request->body_cap = cap;
    return true;
}

/* ── connections ── */

struct conn *conn_new(struct loop *loop, int fd, enum http_listener kind, const char *source_ip)
{
    struct conn *conn = xcalloc(1, sizeof(*conn));

    conn->source.kind = SOURCE_CONN;
    conn->kind = kind;
    conn->phase = CONN_HEAD;
    conn->loop = loop;
    conn->fd = fd;
    (void)snprintf(conn->source_ip, sizeof(conn->source_ip), "%s", source_ip);
    list_init(&conn->link);
    list_init(&conn->again_link);
    return conn;
}

static void conn_drop_held(struct conn *conn)
{
    (void)atomic_fetch_sub(&conn->loop->http->buffered_bytes, (int64_t)conn->held_cap);
    conn->held = xfree(conn->held);
    conn->held_cap = 0;
}

void conn_free(struct conn *conn)
{
    list_remove(&conn->link);
    list_remove(&conn->again_link);
    if (conn->request) {
        conn->request->conn = NULL;
        if (conn->phase != CONN_BUSY)
            request_free(conn->request);
    }
    if (conn->tls)
        tls_conn_free(conn->tls);
    (void)close(conn->fd); /* nothing was promised that a failing close could break */
    conn_drop_held(conn);
    (void)xfree(conn);
}

void conn_enter(struct conn *conn, enum conn_phase phase)
{
    conn->phase = phase;
    conn->since_us = conn->loop->now_us;
    list_remove(&conn->link);
    list_append(&conn->loop->phases[phase], &conn->link);
}

static ssize_t conn_recv(struct conn *conn, void *bytes, size_t len)
{
    return conn->tls ? tls_recv(conn->tls, bytes, len) : recv(conn->fd, bytes, len, 0);
}

static bool conn_holds(const struct conn *conn)
{
    return conn->held && conn->data >= conn->held && conn->data < conn->held + conn->held_cap;
}

/* Brings unread input into `held`, with room for `more` bytes behind it; false: no memory is left for buffers. */
static bool conn_hold(struct conn *conn, size_t more)
{
    size_t need = conn->data_len + more;
    size_t cap = MAX_OF(conn->held_cap, (size_t)1024);
    size_t offset = conn_holds(conn) ? (size_t)(conn->data - conn->held) : 0;
    bool holds = conn_holds(conn);

    while (cap < need)
        cap *= 2;
    if (cap != conn->held_cap) {
        if (!buffer_take(conn->loop->http, cap - conn->held_cap))
            return false;
        conn->held = xrealloc(conn->held, cap);
        conn->held_cap = cap;
    }
    if (conn->data_len > 0)
        (void)memmove(conn->held, holds ? conn->held + offset : conn->data, conn->data_len);
    conn->data = conn->held;
    return true;
}

static void conn_use(struct conn *conn, size_t len)
{
    assert(len <= conn->data_len);
    conn->data += len;
    conn->data_len -= len;
    if (conn->data_len == 0)
        conn->data = NULL;
}

/* Reads more input behind what is unread. */
static enum turn conn_fill(struct conn *conn)
{
    size_t room = SCRATCH_BYTES;
    char *into = conn->loop->scratch;
    ssize_t got;

    if (!conn->readable)
        return TURN_WAIT;
    if (conn->data_len > 0) {
        room = MAX_OF(conn->data_len, (size_t)1024); /* doubles */
        if (!conn_hold(conn, room))
            return TURN_CLOSE;
        into = conn->held + conn->data_len;
    }
    got = conn_recv(conn, into, room);
    if (got < 0 && errno == EINTR)
        return TURN_GO_ON;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        conn->readable = false;
        return TURN_WAIT;
    }
    if (got <= 0)
        return TURN_CLOSE;
    if (conn->data_len == 0)
        conn->data = into;
    conn->data_len += (size_t)got;
    if ((size_t)got < room && !conn->tls && !conn->half_closed)
        conn->readable = false; /* drained: the next byte makes an edge */
    return TURN_GO_ON;
}

/* ── from the head to the call ── */

static enum turn start_write(struct conn *conn)
{
    struct request *request = conn->request;

    if (!request->head.keep_alive || atomic_load(&conn->loop->http->stopping))
        request->close_after = true;
    respond_prepare(request, str_eq(request->call.method, STR("HEAD")));
    conn_enter(conn, CONN_WRITE);
    return TURN_GO_ON;
}

static enum turn refuse(struct conn *conn, enum error_code code, int status, const char *reason)
{
    metric_add(METRIC_CONNECTIONS_REFUSED_MALFORMED, 1);
    conn->request->close_after = true;
    conn->request->unread = true;
    respond_refuse(conn->request, code, status, reason);
    return start_write(conn);
}

static enum turn refuse_head(struct conn *conn, enum parse_result result, const char *reason)
{
    if (!conn->request) {
        conn->request = request_new(conn);
        conn->request->call.arena = &conn->request->arena;
    }
    conn->request->call.source_ip = str_from(conn->source_ip);
    switch (result) {
    case PARSE_LINE_TOO_LONG:
        return refuse(conn, E_REQUEST_TOO_LARGE, 414, "the request line is too long");
    case PARSE_HEADERS_TOO_BIG:
        return refuse(conn, E_REQUEST_TOO_LARGE, 431, "the headers are too large");
    case PARSE_VERSION:
        return refuse(conn, E_BAD_REQUEST, 505, reason);
    case PARSE_OK:
    case PARSE_MORE:
    case PARSE_BAD:
        break;
    }
    return refuse(conn, E_BAD_REQUEST, 0, reason ? reason : "a line does not end in CR LF");
}

static void on_suspend(void *arg)
{
    struct request *request = arg;

    request->suspended = true;
}

/* May run on the store's writer: hands the request back to its loop. */
static void on_done(void *arg, const struct reply *reply)
{
    struct request *request = arg;
    struct loop *loop = request->loop;
    bool first;

    assert(!request->answered);
    request->reply = *reply;
    request->answered = true;
    if (!request->suspended)
        return;
    (void)pthread_mutex_lock(&loop->mutex);
    first = list_empty(&loop->answered);
    list_append(&loop->answered, &request->link);
    (void)pthread_mutex_unlock(&loop->mutex);
    if (first)
        (void)eventfd_write(loop->wake_fd, 1); /* fails only when the counter is full: then the loop wakes anyway */
}

/* The request is complete. */
static enum turn dispatch(struct conn *conn)
{
    struct request *request = conn->request;
    struct http *http = conn->loop->http;

    request->call.body = str_slice(request->body ? request->body : "", request->body_len);
    if (conn->kind == HTTP_LISTENER_ADMIN) {
        admin_reply(http, &request->call, &request->reply);
        return start_write(conn);
    }
    conn_enter(conn, CONN_BUSY);
    gateway_handle(http->settings.gateway, &request->call, on_suspend, on_done, request);
    /* Once suspended, the request belongs to whoever answers it: `suspended` alone may still be read here. */
    if (request->suspended)
        return TURN_WAIT;
    assert(request->answered);
    return start_write(conn);
}

static enum turn begin_body(struct conn *conn)
{
    struct request *request = conn->request;
    const struct head *head = &request->head;
    const struct options *options = conn->loop->http->settings.options;

    if (!head->chunked && head->content_length == 0)
        return dispatch(conn);
    if (!head->chunked && head->content_length > (uint64_t)options->http_max_body_bytes)
        return refuse(conn, E_REQUEST_TOO_LARGE, 0, "the body is too large");
    if (head->expect_continue && conn->data_len == 0) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        ssize_t sent = conn->tls ? tls_send(conn->tls, go_on, sizeof(go_on) - 1)
                                 : send(conn->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL);

        /* Nothing else is in the socket's buffer; a client that has no room for 25 bytes is gone. */
        if (sent != (ssize_t)sizeof(go_on) - 1)
            return TURN_CLOSE;
    }
    conn_enter(conn, CONN_BODY);
    return TURN_GO_ON;
}

/* A complete head of `len` bytes is at conn->data. */
static enum turn take_head(struct conn *conn, size_t len)
{
    struct request *request = request_new(conn);
    struct call *call = &request->call;
    const char *reason;
    enum parse_result result;
    struct str text = arena_str(&request->arena, str_slice(conn->data, len));

    conn->request = request;
    conn_use(conn, len);
    conn->scan = (struct head_scan){0};
    result = head_parse(text, &request->arena, &request->head, &reason);
    call->method = request->head.method;
    call->target = request->head.target;
    call->headers = request->head.headers;
    call->header_count = request->head.header_count;
    call->source_ip = arena_str(&request->arena, str_from(conn->source_ip)); /* may outlive the connection */
    call->tls = conn->tls != NULL;
    call->operator_socket = conn->kind == HTTP_LISTENER_OPERATOR;
    call->arena = &request->arena;
    if (result != PARSE_OK)
        return refuse_head(conn, result, reason);
    return begin_body(conn);
}

static enum turn step_head(struct conn *conn)
{
    size_t len = 0;
    enum parse_result result;

    if (conn->data_len == 0) {
        enum turn turn = conn_fill(conn);

        if (turn != TURN_GO_ON)
            return turn;
    }
    if (conn->phase == CONN_IDLE)
        conn_enter(conn, CONN_HEAD);
    /* RFC 9112 §2.2: an empty line before the request line is skipped. */
    while (conn->scan.pos == 0 && conn->data_len >= 2 && memcmp(conn->data, "\r\n", 2) == 0)
        conn_use(conn, 2);
    if (conn->data_len == 0)
        return TURN_GO_ON;
    if (conn->data_len == 1 && conn->data[0] == '\r')
        return conn_fill(conn);
    result = head_scan(&conn->scan, str_slice(conn->data, conn->data_len), &len);
    if (result == PARSE_MORE)
        return conn_fill(conn);
    if (result == PARSE_OK)
        return take_head(conn, len);
    return refuse_head(conn, result, NULL);
}

/* Adds a piece of body; false: refused. */
static bool add_body(struct conn *conn, struct str piece, enum turn *ret_turn)
{
    struct request *request = conn->request;
    const struct options *options = conn->loop->http->settings.options;

    if (piece.len == 0)
        return true;
    if (request->body_len + piece.len > (size_t)options->http_max_body_bytes) {
        *ret_turn = refuse(conn, E_REQUEST_TOO_LARGE, 0, "the body is too large");
        return false;
    }
    if (!body_reserve(request, piece.len)) {
        *ret_turn = refuse(conn, E_SERVICE_UNAVAILABLE, 0, NULL);
        return false;
    }
    (void)memcpy(request->body + request->body_len, piece.ptr, piece.len);
    request->body_len += piece.len;
    return true;
}

static enum turn step_body(struct conn *conn)
{
    struct request *request = conn->request;
    enum parse_result result;
    struct str piece;
    size_t used;
    enum turn turn;

    if (conn->data_len == 0) {
        turn = conn_fill(conn);
        if (turn != TURN_GO_ON)
            return turn;
    }
    if (request->head.chunked) {
        result = chunk_scan(&request->chunks, str_slice(conn->data, conn->data_len), &used, &piece);
    } else {
        used = (size_t)MIN_OF((uint64_t)conn->data_len, request->head.content_length - request->body_len);
        piece = str_slice(conn->data, used);
        result = request->body_len + used == request->head.content_length ? PARSE_OK : PARSE_MORE;
    }
    if (result == PARSE_BAD)
        return refuse(conn, E_BAD_REQUEST, 0, "the chunked body is malformed");
    if (!add_body(conn, piece, &turn))
        return turn;
    conn_use(conn, used);
    return result == PARSE_OK ? dispatch(conn) : TURN_GO_ON;
}

/* ── from the reply to bytes ── */

static ssize_t send_some(struct conn *conn, struct iovec out[2])
{
    struct msghdr message = {.msg_iov = out, .msg_iovlen = 2};

    if (!conn->tls)
        return sendmsg(conn->fd, &message, MSG_NOSIGNAL);
    if (out[0].iov_len > 0)
        return tls_send(conn->tls, out[0].iov_base, out[0].iov_len);
    return tls_send(conn->tls, out[1].iov_base, out[1].iov_len);
}

static enum turn finish_write(struct conn *conn)
{
    struct request *request = conn->request;
    bool close_after = request->close_after;
    bool unread = request->unread;

    conn->request = NULL;
    request_free(request);
    if (!close_after) {
        conn_enter(conn, conn->data_len > 0 ? CONN_HEAD : CONN_IDLE);
        return TURN_GO_ON;
    }
    if (conn->tls)
        tls_bye(conn->tls);
    (void)shutdown(conn->fd, SHUT_WR); /* a connection that is gone already is fine, too */
    if (!unread && conn->data_len == 0)
        return TURN_CLOSE;
    conn->data_len = 0;
    conn_enter(conn, CONN_LINGER);
    return TURN_GO_ON;
}

static enum turn step_write(struct conn *conn)
{
    struct iovec *out = conn->request->out;
    size_t left;
    ssize_t sent;

    if (!conn->writable)
        return TURN_WAIT;
    sent = send_some(conn, out);
    if (sent < 0 && errno == EINTR)
        return TURN_GO_ON;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        conn->writable = false;
        return TURN_WAIT;
    }
    if (sent < 0 || (sent == 0 && conn->tls))
        return TURN_CLOSE;
    left = (size_t)sent;
    for (int i = 0; i < 2; i++) {
        size_t part = MIN_OF(left, out[i].iov_len);

        out[i].iov_base = (char *)out[i].iov_base + part;
        out[i].iov_len -= part;
        left -= part;
    }
    return out[0].iov_len + out[1].iov_len == 0 ? finish_write(conn) : TURN_GO_ON;
}

/* Reads and drops what a refused client goes on sending: a close with unread input would reset away the reply. */
static enum turn step_linger(struct conn *conn)
{
    enum turn turn = conn_fill(conn);

    conn->lingered_bytes += conn->data_len;
    conn->data = NULL;
    conn->data_len = 0;
    return conn->lingered_bytes > LINGER_BYTES_MAX ? TURN_CLOSE : turn;
}

static enum turn take_turn(struct conn *conn)
{
    switch (conn->phase) {
    case CONN_IDLE:
    case CONN_HEAD:
        return step_head(conn);
    case CONN_BODY:
        return step_body(conn);
    case CONN_WRITE:
        return step_write(conn);
    case CONN_LINGER:
        return step_linger(conn);
    case CONN_BUSY:
    case CONN_PHASE_COUNT:
        break;
    }
    return TURN_WAIT;
}

void conn_step(struct conn *conn)
{
    enum turn turn = TURN_GO_ON;

    list_remove(&conn->again_link);
    for (int i = 0; i < TURNS_PER_STEP && turn == TURN_GO_ON; i++)
        turn = take_turn(conn);
    if (turn != TURN_CLOSE && conn->data_len > 0 && !conn_holds(conn) && !conn_hold(conn, 0))
        turn = TURN_CLOSE;
    if (turn == TURN_CLOSE) {
        loop_drop(conn);
        return;
    }
    if (turn == TURN_GO_ON)
        list_append(&conn->loop->again, &conn->again_link);
    if (conn->data_len == 0 && conn->held)
        conn_drop_held(conn);
}

void conn_answered(struct conn *conn)
{
    assert(conn->phase == CONN_BUSY && conn->request->answered);
    (void)start_write(conn);
    conn_step(conn);
}
