/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"

#define REPLY_MAX ((size_t)LIMIT_REPLY_BYTES + LIMIT_REPLY_BYTES / 4) /* with head and the lines of chunks */
#define READ_BYTES ((size_t)64 * 1024)

/* ── reading a reply ── */

struct reply_head {
    int status;
    bool chunked;
    int64_t content_length; /* -1: until the connection ends */
    size_t len;
};

static bool read_header(struct str line, struct reply_head *head)
{
    struct str name;
    struct str value;

    if (!str_split(line, ':', &name, &value))
        return false;
    value = str_trim(value);
    if (str_eq_nocase(name, STR("Content-Length")))
        return str_to_i64(value, &head->content_length) == 0 && head->content_length >= 0;
    if (str_eq_nocase(name, STR("Transfer-Encoding")))
        head->chunked = str_eq_nocase(value, STR("chunked"));
    return true;
}

/* "HTTP/1.1 200 OK" */
static bool read_status(struct str line, int *ret)
{
    struct str version;
    struct str rest;
    struct str digits;
    int64_t status;

    if (!str_starts(line, STR("HTTP/1.")) || !str_split(line, ' ', &version, &rest))
        return false;
    (void)str_split(rest, ' ', &digits, &rest);
    if (str_to_i64(digits, &status) < 0 || status < 100 || status > 599)
        return false;
    *ret = (int)status;
    return true;
}

static enum client_progress read_head(struct str data, struct reply_head *ret)
{
    const char *end = memmem(data.ptr, data.len, "\r\n\r\n", 4);
    struct reply_head head = {.content_length = -1};
    struct str rest;
    struct str line;

    if (!end)
        return data.len > LIMIT_HEADERS_BYTES ? CLIENT_BAD : CLIENT_MORE;
    head.len = (size_t)(end - data.ptr) + 4;
    rest = str_slice(data.ptr, head.len - 4);
    (void)str_split(rest, '\n', &line, &rest);
    if (!read_status(str_trim(str_ends(line, STR("\r")) ? str_slice(line.ptr, line.len - 1) : line), &head.status))
        return CLIENT_BAD;
    while (rest.len > 0) {
        (void)str_split(rest, '\n', &line, &rest);
        if (str_ends(line, STR("\r")))
            line.len--;
        if (!read_header(line, &head))
            return CLIENT_BAD;
    }
    *ret = head;
    return CLIENT_DONE;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The line that opens a chunk: its size, without an extension. */
static enum client_progress read_chunk_size(struct str data, size_t *ret_size, size_t *ret_line)
{
    const char *end = memmem(data.ptr, data.len, "\r\n", 2);
    size_t size = 0;
    size_t digits = 0;

    if (!end)
        return data.len > 1024 ? CLIENT_BAD : CLIENT_MORE;
    for (const char *p = data.ptr; p < end && hex_value(*p) >= 0; p++, digits++) {
        size = size * 16 + (size_t)hex_value(*p);
        if (size > REPLY_MAX)
            return CLIENT_BAD;
    }
    if (digits == 0)
        return CLIENT_BAD;
    *ret_size = size;
    *ret_line = (size_t)(end - data.ptr) + 2;
    return CLIENT_DONE;
}

/* Walks from chunk to chunk. With `out`, whose room suffices, it also copies. */
static enum client_progress walk_chunks(struct str data, char *out, size_t *ret_total)
{
    size_t at = 0;
    size_t total = 0;

    for (;;) {
        size_t size;
        size_t line;
        enum client_progress progress = read_chunk_size(str_slice(data.ptr + at, data.len - at), &size, &line);

        if (progress != CLIENT_DONE)
            return progress;
        if (size == 0)
            break; /* trailers say nothing that we want, and the connection ends here */
        if (data.len - at < line + size + 2)
            return CLIENT_MORE;
        at += line;
        if (data.ptr[at + size] != '\r' || data.ptr[at + size + 1] != '\n')
            return CLIENT_BAD;
        if (out)
            memcpy(out + total, data.ptr + at, size);
        total += size;
        at += size + 2;
    }
    *ret_total = total;
    return CLIENT_DONE;
}

static enum client_progress read_body(const struct reply_head *head, struct str rest, bool ended, struct arena *arena,
                                      struct str *ret)
{
    enum client_progress progress;
    size_t total;
    char *text;

    if (head->chunked) {
        progress = walk_chunks(rest, NULL, &total);
        if (progress != CLIENT_DONE)
            return progress;
        text = arena_alloc(arena, total + 1);
        (void)walk_chunks(rest, text, &total); /* it has just been walked */
        *ret = str_slice(text, total);
        return CLIENT_DONE;
    }
    if (head->content_length < 0) {
        *ret = rest;
        return ended ? CLIENT_DONE : CLIENT_MORE;
    }
    if (rest.len < (size_t)head->content_length)
        return CLIENT_MORE;
    *ret = str_slice(rest.ptr, (size_t)head->content_length);
    return CLIENT_DONE;
}

enum client_progress client_parse(struct str data, bool ended, struct arena *arena, struct client_reply *ret)
{
    struct client_reply reply = {0};
    struct reply_head head;
    enum client_progress progress = read_head(data, &head);

    if (progress == CLIENT_DONE && head.status < 200)
        return client_parse(str_slice(data.ptr + head.len, data.len - head.len), ended, arena, ret); /* 100 Continue */
    if (progress == CLIENT_DONE)
        progress = read_body(&head, str_slice(data.ptr + head.len, data.len - head.len), ended, arena, &reply.body);
    if (progress == CLIENT_MORE && ended)
        return CLIENT_BAD;
    if (progress != CLIENT_DONE)
        return progress;
    reply.status = head.status;
    *ret = reply;
    return CLIENT_DONE;
}

/* ── the socket ── */

static usec_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail */
    return (usec_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

/* Until fd is ready; false: the deadline has passed. */
static bool await(int fd, short events, usec_t deadline_us)
{
    for (;;) {
        struct pollfd one = {.fd = fd, .events = events};
        usec_t left_ms = (deadline_us - now_us() + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
        int r;

        if (left_ms <= 0)
            return false;
        r = poll(&one, 1, (int)MIN_OF(left_ms, (usec_t)1000000));
        if (r > 0)
            return true;
        if (r < 0 && errno != EINTR)
            return false;
    }
}

int client_connect_unix(const char *path, struct fail *fail, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    int fd;

    if (len >= sizeof(address.sun_path))
        return fail_text(fail, E_IO, "%s: longer than the %zu bytes that a socket's path may have", path,
                         sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, len);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_text(fail, E_IO, "socket: %s", strerror(errno));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        (void)fail_text(fail, E_IO, "%s: %s", path, strerror(errno));
        (void)close(fd);
        return -E_IO;
    }
    *ret_fd = fd;
    return 0;
}

/* -1 with errno. */
static int connect_one(const struct addrinfo *info, usec_t deadline_us)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;
    socklen_t len = sizeof(error);

    if (fd < 0)
        return -1;
    if (connect(fd, info->ai_addr, info->ai_addrlen) < 0)
        error = errno;
    if (error == EINPROGRESS) {
        error = ETIMEDOUT;
        if (await(fd, POLLOUT, deadline_us) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
            error = errno;
    }
    if (error == 0)
        return fd;
    (void)close(fd);
    errno = error;
    return -1;
}

int client_connect_tcp(struct str address, usec_t timeout_us, struct fail *fail, int *ret_fd)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const char *colon = memrchr(address.ptr, ':', address.len);
    struct addrinfo *list;
    struct str host;
    usec_t deadline_us = now_us() + timeout_us;
    int r;
    int fd = -1;

    if (!colon)
        return fail_text(fail, E_INVALID, "%.*s is not host:port", STR_ARG(address));
    host = str_slice(address.ptr, (size_t)(colon - address.ptr));
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = str_slice(host.ptr + 1, host.len - 2);
    r = getaddrinfo(arena_cstr(fail->arena, host),
                    arena_cstr(fail->arena, str_slice(colon + 1, (size_t)(address.ptr + address.len - colon) - 1)),
                    &hints, &list);
    if (r != 0)
        return fail_text(fail, E_IO, "%.*s: %s", STR_ARG(address), gai_strerror(r));
    for (const struct addrinfo *info = list; info && fd < 0; info = info->ai_next)
        fd = connect_one(info, deadline_us);
    freeaddrinfo(list);
    if (fd < 0)
        return fail_text(fail, E_IO, "%.*s: %s", STR_ARG(address), strerror(errno));
    *ret_fd = fd;
    return 0;
}

static int send_all(int fd, struct str data, usec_t deadline_us, struct fail *fail)
{
    while (data.len > 0) {
        ssize_t n;

        if (!await(fd, POLLOUT, deadline_us))
            return fail_text(fail, E_IO, "the request could not be sent in time");
        n = send(fd, data.ptr, data.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        /* Who refuses early answers and closes: its reply is worth more than our error. */
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return 0;
        if (n < 0)
            return fail_text(fail, E_IO, "send: %s", strerror(errno));
        data = str_slice(data.ptr + n, data.len - (size_t)n);
    }
    return 0;
}

/* Another piece of the reply; *ret_ended: there is no more. */
static int receive(int fd, struct buf *in, usec_t deadline_us, struct fail *fail, bool *ret_ended)
{
    char piece[READ_BYTES];
    ssize_t n;

    if (!await(fd, POLLIN, deadline_us))
        return fail_text(fail, E_IO, "no answer in time");
    n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n < 0)
        return fail_text(fail, E_IO, "the connection broke: %s", strerror(errno));
    buf_add(in, piece, (size_t)n);
    if (in->full)
        return fail_text(fail, E_IO, "the reply is longer than %zu bytes", REPLY_MAX);
    *ret_ended = n == 0;
    return 0;
}

int client_exchange(int fd, struct str request, usec_t timeout_us, struct fail *fail, struct client_reply *ret)
{
    _cleanup_(buf_done) struct buf in;
    enum client_progress progress = CLIENT_MORE;
    usec_t deadline_us = now_us() + timeout_us;
    struct client_reply reply;
    bool ended = false;
    int r;

    buf_init(&in, REPLY_MAX);
    r = send_all(fd, request, deadline_us, fail);
    while (r == 0 && progress == CLIENT_MORE) {
        r = receive(fd, &in, deadline_us, fail, &ended);
        if (r == 0)
            progress = client_parse(buf_str(&in), ended, fail->arena, &reply);
    }
    (void)close(fd);
    if (r < 0)
        return r;
    if (progress == CLIENT_BAD)
        return fail_text(fail, E_IO, in.len == 0 ? "the connection ended without an answer" : "the answer is no whole HTTP reply");
    reply.body = arena_str(fail->arena, reply.body);
    *ret = reply;
    return 0;
}
