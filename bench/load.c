/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: replays prepared HTTP/1.1 requests over N connections from one thread and prints what it saw as one JSON line.
 * It knows nothing of the API: requests come ready and signed from a file (4-byte little-endian length, bytes, …), so
 * that the generator costs as little as possible of the cores that it shares with the server.
 *
 *   load --to 127.0.0.1:8080 --requests FILE --connections 64 [--seconds 10] [--repeat] [--close]
 *
 * Without --repeat each request is sent once. --close opens a new connection for each request.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/mem.h"

#define REPLY_BYTES (1u << 20)
#define SAMPLES_MAX (1u << 24)
#define STATUS_MAX 600

struct request {
    const char *bytes;
    uint32_t len;
};

struct connection {
    int fd;
    const struct request *request;
    size_t sent;
    char *reply;
    size_t received;
    size_t expected; /* 0: the head has not ended yet */
    int64_t started_ns;
};

struct load {
    struct sockaddr_in to;
    struct request *requests;
    size_t request_count;
    size_t next;
    bool repeat;
    bool reconnect;
    int epoll_fd;
    int64_t end_ns;
    uint32_t *samples_us;
    size_t sample_count;
    uint64_t statuses[STATUS_MAX];
    uint64_t broken;
    size_t open;
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void read_requests(struct load *load, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    size_t at = 0, room = 0;
    char *map;

    if (fd < 0 || fstat(fd, &st) < 0)
        die(path);
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED)
        die("mmap");
    close(fd);
    while (at + 4 <= (size_t)st.st_size) {
        uint32_t len;

        memcpy(&len, map + at, 4);
        if (load->request_count == room) {
            room = room ? room * 2 : 1024;
            load->requests = xrealloc(load->requests, room * sizeof(*load->requests));
        }
        load->requests[load->request_count++] = (struct request){map + at + 4, len};
        at += 4 + (size_t)len;
    }
    if (load->request_count == 0) {
        errno = ENODATA;
        die(path);
    }
}

static const struct request *take_request(struct load *load)
{
    if (load->next == load->request_count) {
        if (!load->repeat)
            return NULL;
        load->next = 0;
    }
    return &load->requests[load->next++];
}

static void watch(struct load *load, struct connection *conn, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};

    if (epoll_ctl(load->epoll_fd, op, conn->fd, &event) < 0)
        die("epoll_ctl");
}

static void dial(struct load *load, struct connection *conn)
{
    int one = 1;

    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        die("socket");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(conn->fd, (struct sockaddr *)&load->to, sizeof(load->to)) < 0 && errno != EINPROGRESS)
        die("connect");
    watch(load, conn, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

/* Gives the connection its next request; false: there is none. */
static bool begin(struct load *load, struct connection *conn)
{
    conn->request = now_ns() < load->end_ns ? take_request(load) : NULL;
    conn->sent = conn->received = conn->expected = 0;
    conn->started_ns = now_ns();
    return conn->request != NULL;
}

static void hang_up(struct load *load, struct connection *conn)
{
    close(conn->fd);
    conn->fd = -1;
    if (load->reconnect && begin(load, conn))
        dial(load, conn);
    else
        load->open--;
}

static bool send_some(struct load *load, struct connection *conn)
{
    while (conn->sent < conn->request->len) {
        ssize_t n = send(conn->fd, conn->request->bytes + conn->sent, conn->request->len - conn->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            watch(load, conn, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return true;
        }
        if (n < 0)
            return false;
        conn->sent += (size_t)n;
    }
    watch(load, conn, EPOLL_CTL_MOD, EPOLLIN);
    return true;
}

/* Length of head and body together, once the head is there. */
static size_t reply_length(const struct connection *conn)
{
    const char *end = memmem(conn->reply, conn->received, "\r\n\r\n", 4);
    const char *field;
    size_t head;

    if (!end)
        return 0;
    head = (size_t)(end - conn->reply) + 4;
    conn->reply[head - 1] = '\0';
    field = strcasestr(conn->reply, "\r\nContent-Length:");
    return field ? head + strtoul(field + 17, NULL, 10) : head;
}

static void finish(struct load *load, struct connection *conn)
{
    int status = conn->received > 12 ? (int)strtol(conn->reply + 9, NULL, 10) : 0;

    load->statuses[status > 0 && status < STATUS_MAX ? status : 0]++;
    if (load->sample_count < SAMPLES_MAX)
        load->samples_us[load->sample_count++] = (uint32_t)((now_ns() - conn->started_ns) / 1000);
    if (load->reconnect || !begin(load, conn))
        hang_up(load, conn);
    else if (!send_some(load, conn))
        load->broken++, hang_up(load, conn);
}

static void receive(struct load *load, struct connection *conn)
{
    ssize_t n = recv(conn->fd, conn->reply + conn->received, REPLY_BYTES - conn->received, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        load->broken++;
        hang_up(load, conn);
        return;
    }
    conn->received += (size_t)n;
    if (!conn->expected)
        conn->expected = reply_length(conn);
    if (conn->expected && conn->received >= conn->expected)
        finish(load, conn);
}

static void run(struct load *load, struct connection *conns, size_t count)
{
    struct epoll_event events[256];

    for (size_t i = 0; i < count; i++) {
        conns[i].reply = xcalloc(1, REPLY_BYTES + 1);
        if (!begin(load, &conns[i]))
            break;
        dial(load, &conns[i]);
        load->open++;
    }
    while (load->open > 0) {
        int n = epoll_wait(load->epoll_fd, events, countof(events), 10000);

        if (n == 0) {
            fprintf(stderr, "load: no reply for 10 s, %zu connections wait\n", load->open);
            return;
        }
        for (int i = 0; i < n; i++) {
            struct connection *conn = events[i].data.ptr;

            if (events[i].events & EPOLLOUT && !send_some(load, conn))
                load->broken++, hang_up(load, conn);
            else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(load, conn);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static uint32_t quantile(const struct load *load, double q)
{
    return load->sample_count ? load->samples_us[(size_t)(q * (double)(load->sample_count - 1))] : 0;
}

static void report(struct load *load, int64_t took_ns)
{
    qsort(load->samples_us, load->sample_count, sizeof(*load->samples_us), by_value);
    printf("{\"requests\":%zu,\"seconds\":%.3f,\"per_second\":%.0f,\"p50_us\":%u,\"p99_us\":%u,\"p999_us\":%u,\"max_us\":%u,"
           "\"broken\":%llu,\"statuses\":{",
           load->sample_count, (double)took_ns / 1e9, (double)load->sample_count * 1e9 / (double)took_ns,
           quantile(load, 0.5), quantile(load, 0.99), quantile(load, 0.999), quantile(load, 1.0),
           (unsigned long long)load->broken);
    for (int i = 0, shown = 0; i < STATUS_MAX; i++)
        if (load->statuses[i])
            printf("%s\"%d\":%llu", shown++ ? "," : "", i, (unsigned long long)load->statuses[i]);
    printf("}}\n");
}

static void set_address(struct load *load, char *text)
{
    char *colon = strrchr(text, ':');

    if (!colon) {
        errno = EINVAL;
        die(text);
    }
    *colon = '\0';
    load->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    if (inet_pton(AF_INET, text, &load->to.sin_addr) != 1)
        die(text);
}

int main(int argc, char **argv)
{
    static const struct option flags[] = {
        {"to", required_argument, NULL, 't'},      {"requests", required_argument, NULL, 'r'},
        {"connections", required_argument, NULL, 'c'}, {"seconds", required_argument, NULL, 's'},
        {"repeat", no_argument, NULL, 'R'},        {"close", no_argument, NULL, 'C'},
        {NULL, 0, NULL, 0},
    };
    struct load load = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    struct connection *conns;
    size_t connections = 1;
    double seconds = 10;
    int64_t start;
    int flag;

    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        switch (flag) {
        case 't': set_address(&load, optarg); break;
        case 'r': read_requests(&load, optarg); break;
        case 'c': connections = strtoul(optarg, NULL, 10); break;
        case 's': seconds = strtod(optarg, NULL); break;
        case 'R': load.repeat = true; break;
        case 'C': load.reconnect = true; break;
        default: return 2;
        }
    }
    if (!load.requests || !load.to.sin_port || connections == 0 || connections > 20000) {
        fprintf(stderr, "usage: load --to HOST:PORT --requests FILE --connections N [--seconds S] [--repeat] [--close]\n");
        return 2;
    }
    load.samples_us = xcalloc(SAMPLES_MAX, sizeof(*load.samples_us));
    conns = xcalloc(connections, sizeof(*conns));
    start = now_ns();
    load.end_ns = start + (int64_t)(seconds * 1e9);
    run(&load, conns, connections);
    report(&load, now_ns() - start);
    return load.broken ? 1 : 0;
}
