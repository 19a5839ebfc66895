/* SPDX-License-Identifier: Apache-2.0 */
/* A reply becomes a status line, headers and a body: two pieces for one writev. */
#include <inttypes.h>

#include "base/log.h"
#include "http/internal.h"

#define FIXED_HEAD_BYTES 256 /* status line, Content-Length, Date, Connection, Keep-Alive */

static const char *status_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < countof(phrases); i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "Unknown";
}

/* The text changes once a second. */
static struct str date_now(struct loop *loop)
{
    usec_t now = env_now(loop->http->settings.env);

    if (loop->date_len == 0 || now / USEC_PER_SEC != loop->date_second) {
        loop->date_second = now / USEC_PER_SEC;
        loop->date_len = time_print_http(now, loop->date);
    }
    return str_slice(loop->date, loop->date_len);
}

static char *add(char *at, struct str s)
{
    if (s.len > 0)
        (void)memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static char *add_headers(char *at, const struct reply *reply)
{
    for (size_t i = 0; i < reply->header_count; i++) {
        at = add(at, reply->headers[i].name);
        at = add(at, STR(": "));
        at = add(at, reply->headers[i].value);
        at = add(at, STR("\r\n"));
    }
    return at;
}

static size_t head_room(const struct reply *reply)
{
    size_t room = FIXED_HEAD_BYTES;

    for (size_t i = 0; i < reply->header_count; i++)
        room += reply->headers[i].name.len + reply->headers[i].value.len + 4;
    return room;
}

void respond_prepare(struct request *request, bool head_only)
{
    const struct reply *reply = &request->reply;
    struct http *http = request->loop->http;
    struct str date = date_now(request->loop);
    size_t room = head_room(reply);
    char *head = arena_alloc(&request->arena, room);
    bool bodiless = reply->status == 204;
    char *at = head;
    int len;

    assert(reply->status >= 200 && reply->status <= 599);
    assert(reply->header_count <= REPLY_HEADERS_MAX);
    len = snprintf(at, FIXED_HEAD_BYTES, "HTTP/1.1 %d %s\r\nDate: %.*s\r\n", reply->status, status_phrase(reply->status),
                   STR_ARG(date));
    at += len;
    if (!bodiless)
        at += snprintf(at, 48, "Content-Length: %zu\r\n", reply->body.len);
    if (request->close_after)
        at = add(at, STR("Connection: close\r\n"));
    else
        at += snprintf(at, 80, "Connection: keep-alive\r\nKeep-Alive: timeout=%" PRId64 "\r\n",
                       http->settings.options->http_idle_timeout_s);
    at = add_headers(at, reply);
    at = add(at, STR("\r\n"));
    assert((size_t)(at - head) <= room);
    request->out[0] = (struct iovec){.iov_base = head, .iov_len = (size_t)(at - head)};
    request->out[1] = (struct iovec){0};
    if (!head_only && !bodiless && reply->body.len > 0)
        request->out[1] = (struct iovec){.iov_base = (void *)(uintptr_t)reply->body.ptr, .iov_len = reply->body.len};
}

void respond_refuse(struct request *request, enum error_code code, int status, const char *reason)
{
    struct http *http = request->loop->http;

    if (request->conn->kind == HTTP_LISTENER_ADMIN) {
        request->reply = (struct reply){.status = error_status(code), .body = str_from(reason ? reason : "refused")};
    } else {
        gateway_refuse(http->settings.gateway, &request->call, code, &request->reply);
    }
    if (status != 0)
        request->reply.status = status;
    log_debug("request refused", LOG_TEXT("reason", reason), LOG_STR("source", request->call.source_ip));
}
