/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners and loop threads. Loop 0 accepts and gives each connection to the loop with the fewest. Deadlines need no
 * heap: each phase has one length, so its list is in the order of the deadlines.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "http/internal.h"

#define EVENTS_MAX 256
#define ACCEPTS_PER_ROUND 64
#define ACCEPT_REST_US (100 * USEC_PER_MSEC)
#define ROUND_US USEC_PER_SEC /* more than a loop's last round takes, unless a call in it hangs */
#define SPARE_FDS 64 /* files that are not connections */

usec_t monotonic_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail; sockets live in real time even when the clock is virtual */
    return (usec_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

/* ── connections of a loop ── */

/*
 * Before a close. While libvirt starts a program its fork holds copies of our sockets: then closing ours ends neither the socket
 * nor what epoll tells of it (epoll(7), questions and answers, 6), and the next event is of a connection that has been freed.
 */
static void unwatch(const struct loop *loop, int fd)
{
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* one that was not watched stays so */
}

void loop_drop(struct conn *conn)
{
    struct loop *loop = conn->loop;

    unwatch(loop, conn->fd);
    loop->conn_count--;
    metric_add(METRIC_CONNECTIONS, -1);
    (void)pthread_mutex_lock(&loop->mutex);
    loop->assigned--;
    (void)pthread_mutex_unlock(&loop->mutex);
    conn_free(conn);
}

static struct conn *oldest(struct loop *loop, enum conn_phase phase)
{
    struct list *head = &loop->phases[phase];

    return list_empty(head) ? NULL : list_item(head->next, struct conn, link);
}

/* Who waits longest without having asked for anything goes first, then who is slowest to ask. */
static bool make_room(struct loop *loop)
{
    struct conn *idle = oldest(loop, CONN_IDLE);
    struct conn *asking = oldest(loop, CONN_HEAD);
    struct conn *victim = idle;

    if (!victim || (asking && asking->since_us < victim->since_us))
        victim = asking;
    if (!victim)
        victim = oldest(loop, CONN_LINGER);
    if (!victim)
        victim = oldest(loop, CONN_BODY);
    if (!victim)
        return false;
    metric_add(METRIC_CONNECTIONS_REFUSED_FULL, 1);
    loop_drop(victim);
    return true;
}

static void welcome(struct loop *loop, struct conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = &conn->source};
    bool room = loop->conn_count < loop->http->conns_per_loop || make_room(loop);

    loop->conn_count++;
    metric_add(METRIC_CONNECTIONS, 1);
    if (conn->kind == HTTP_LISTENER_TLS)
        conn->tls = tls_conn_new(loop->http->tls, conn->fd);
    if (!room || (conn->kind == HTTP_LISTENER_TLS && !conn->tls) ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) < 0) {
        metric_add(METRIC_CONNECTIONS_REFUSED_FULL, 1);
        loop_drop(conn);
        return;
    }
    conn_enter(conn, CONN_HEAD);
}

/* ── accepting ── */

static struct loop *least_loaded(struct http *http)
{
    struct loop *best = NULL;
    size_t best_count = 0;

    for (size_t i = 0; i < http->loop_count; i++) {
        struct loop *loop = &http->loops[i];
        size_t count;

        (void)pthread_mutex_lock(&loop->mutex);
        count = loop->assigned;
        (void)pthread_mutex_unlock(&loop->mutex);
        if (!best || count < best_count) {
            best = loop;
            best_count = count;
        }
    }
    return best;
}

static void hand_over(struct http *http, int fd, enum http_listener kind, const char *source_ip)
{
    struct loop *loop = least_loaded(http);
    struct conn *conn = conn_new(loop, fd, kind, source_ip);

    (void)pthread_mutex_lock(&loop->mutex);
    loop->assigned++;
    list_append(&loop->newcomers, &conn->link);
    (void)pthread_mutex_unlock(&loop->mutex);
    (void)eventfd_write(loop->wake_fd, 1);
}

static void source_text(const struct sockaddr_storage *from, char text[INET6_ADDRSTRLEN])
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
    const struct sockaddr_in *in = (const struct sockaddr_in *)from;

    if (from->ss_family == AF_INET)
        (void)inet_ntop(AF_INET, &in->sin_addr, text, INET6_ADDRSTRLEN);
    else if (from->ss_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, text, INET6_ADDRSTRLEN);
    else
        (void)snprintf(text, INET6_ADDRSTRLEN, "local");
}

/*
 * Out of file descriptors the listener would be ready for ever: it rests for a moment, and an idle connection goes. Not now: it
 * may have an event of its own among those of this round.
 */
static void rest_listeners(struct loop *loop)
{
    if (loop->accept_again_us != 0)
        return;
    loop->accept_again_us = loop->now_us + ACCEPT_REST_US;
    loop->needs_room = true;
    for (int i = 0; i < HTTP_LISTENER_COUNT; i++) {
        if (loop->http->listeners[i].fd >= 0)
            unwatch(loop, loop->http->listeners[i].fd);
    }
}

static void watch_listeners(struct loop *loop)
{
    loop->accept_again_us = 0;
    for (int i = 0; i < HTTP_LISTENER_COUNT; i++) {
        struct listener *listener = &loop->http->listeners[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener->source};

        if (listener->fd >= 0)
            (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, listener->fd, &event);
    }
}

static void accept_some(struct loop *loop, const struct listener *listener)
{
    for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof(from);
        char source_ip[INET6_ADDRSTRLEN] = "";
        int on = 1;
        int fd = accept4(listener->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
            rest_listeners(loop);
        if (fd < 0)
            return;
        metric_add(METRIC_CONNECTIONS_ACCEPTED, 1);
        if (from.ss_family == AF_INET || from.ss_family == AF_INET6)
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        source_text(&from, source_ip);
        hand_over(loop->http, fd, listener->kind, source_ip);
    }
}

/* ── the loop ── */

static void list_take(struct list *from, struct list *to)
{
    while (!list_empty(from)) {
        struct list *node = from->next;

        list_remove(node);
        list_append(to, node);
    }
}

/* After the events of a round: nobody has one any more. */
static void make_room_for_files(struct loop *loop)
{
    if (loop->needs_room)
        (void)make_room(loop); /* else the listeners try again after their rest */
    loop->needs_room = false;
}

/* What other threads have left for this one. */
static void take_inbox(struct loop *loop)
{
    struct list answered;
    struct list newcomers;

    list_init(&answered);
    list_init(&newcomers);
    (void)pthread_mutex_lock(&loop->mutex);
    list_take(&loop->answered, &answered);
    list_take(&loop->newcomers, &newcomers);
    (void)pthread_mutex_unlock(&loop->mutex);
    while (!list_empty(&answered)) {
        struct request *request = list_item(answered.next, struct request, link);

        list_remove(&request->link);
        if (request->conn)
            conn_answered(request->conn);
        else
            request_free(request);
    }
    while (!list_empty(&newcomers)) {
        struct conn *conn = list_item(newcomers.next, struct conn, link);

        list_remove(&conn->link);
        welcome(loop, conn);
    }
}

static void take_event(struct loop *loop, const struct epoll_event *event)
{
    struct source *source = event->data.ptr;
    struct conn *conn;
    eventfd_t count;

    switch (source->kind) {
    case SOURCE_WAKE:
        (void)eventfd_read(loop->wake_fd, &count); /* only to make it wait again */
        break;
    case SOURCE_LISTENER:
        accept_some(loop, container_of(source, struct listener, source));
        break;
    case SOURCE_CONN:
        conn = container_of(source, struct conn, source);
        if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            conn->half_closed = true;
        if (conn->tls || conn->half_closed || (event->events & EPOLLIN))
            conn->readable = true;
        if (conn->tls || (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)))
            conn->writable = true;
        conn_step(conn);
        break;
    }
}

static void take_again(struct loop *loop)
{
    struct list round;

    list_init(&round);
    list_take(&loop->again, &round);
    while (!list_empty(&round))
        conn_step(list_item(round.next, struct conn, again_link));
}

/* Too slow to take its reply: what the kernel still holds for it goes as well. */
static void reset_conn(const struct conn *conn)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); /* else it is only closed politely */
}

/* Cuts what is over its time. Returns when the next deadline is. */
static usec_t expire(struct loop *loop)
{
    usec_t next = USEC_NEVER;

    for (enum conn_phase phase = 0; phase < CONN_PHASE_COUNT; phase++) {
        usec_t length = loop->http->phase_us[phase];
        struct conn *conn;

        if (length == USEC_NEVER)
            continue;
        while ((conn = oldest(loop, phase)) && conn->since_us + length <= loop->now_us) {
            if (phase != CONN_IDLE && phase != CONN_LINGER)
                metric_add(METRIC_CONNECTIONS_REFUSED_DEADLINE, 1);
            if (phase == CONN_WRITE)
                reset_conn(conn);
            loop_drop(conn);
        }
        if (conn)
            next = MIN_OF(next, conn->since_us + length);
    }
    if (loop->accept_again_us != 0 && loop->accept_again_us <= loop->now_us)
        watch_listeners(loop);
    if (loop->accept_again_us != 0)
        next = MIN_OF(next, loop->accept_again_us);
    return next;
}

static void drop_all(struct loop *loop, enum conn_phase phase)
{
    struct conn *conn;

    while ((conn = oldest(loop, phase)))
        loop_drop(conn);
}

/* Connections that have not said a word yet. */
static void drop_silent(struct loop *loop)
{
    list_for_each_safe(node, &loop->phases[CONN_HEAD]) {
        struct conn *conn = list_item(node, struct conn, link);

        if (conn->data_len == 0)
            loop_drop(conn);
    }
}

/* A stop was asked for. True: this loop is done. */
static bool drain(struct loop *loop)
{
    struct http *http = loop->http;

    if (!loop->draining && loop == &http->loops[0]) {
        for (int i = 0; i < HTTP_LISTENER_COUNT; i++) {
            if (http->listeners[i].fd < 0)
                continue;
            unwatch(loop, http->listeners[i].fd);
            (void)close(http->listeners[i].fd);
            http->listeners[i].fd = -1;
        }
        loop->accept_again_us = 0;
    }
    loop->draining = true;
    drop_all(loop, CONN_IDLE);
    drop_silent(loop);
    return loop->conn_count == 0 || loop->now_us >= http->drain_until_us;
}

static int wait_ms(const struct loop *loop, usec_t next, bool stopping)
{
    usec_t until = stopping ? MIN_OF(next, loop->http->drain_until_us) : next;

    if (!list_empty(&loop->again))
        return 0;
    if (until == USEC_NEVER)
        return -1;
    return (int)(MIN_OF(MAX_OF(until - loop->now_us, (usec_t)0), USEC_PER_HOUR) / 1000) + 1;
}

static void *loop_run(void *arg)
{
    struct loop *loop = arg;
    struct epoll_event events[EVENTS_MAX];
    bool stopping = false;

    (void)pthread_setname_np(pthread_self(), "http"); /* for people only */
    loop->now_us = monotonic_us();
    for (;;) {
        usec_t next = expire(loop);
        int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, wait_ms(loop, next, stopping));

        loop->now_us = monotonic_us();
        for (int i = 0; i < count; i++)
            take_event(loop, &events[i]);
        make_room_for_files(loop);
        take_again(loop);
        take_inbox(loop);
        stopping = atomic_load(&loop->http->stopping);
        if (stopping && drain(loop))
            break;
    }
    (void)pthread_mutex_lock(&loop->http->mutex);
    loop->http->ended_count++;
    (void)pthread_cond_broadcast(&loop->http->ended);
    (void)pthread_mutex_unlock(&loop->http->mutex);
    return NULL;
}

/* ── life of the server ── */

static int loop_init(struct http *http, struct loop *loop, struct fail *fail)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop->wake};

    loop->http = http;
    loop->wake.kind = SOURCE_WAKE;
    for (int i = 0; i < CONN_PHASE_COUNT; i++)
        list_init(&loop->phases[i]);
    list_init(&loop->again);
    list_init(&loop->pool);
    list_init(&loop->answered);
    list_init(&loop->newcomers);
    mutex_init_brief(&loop->mutex);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) < 0)
        return fail_text(fail, E_IO, "can't make an event loop: %s", strerror(errno));
    return 0;
}

static void set_lengths(struct http *http)
{
    const struct options *options = http->settings.options;
    long fds = sysconf(_SC_OPEN_MAX);
    int64_t conns = options->http_max_connections;

    if (fds > SPARE_FDS * 2)
        conns = MIN_OF(conns, (int64_t)fds - SPARE_FDS);
    http->conns_per_loop = (size_t)MAX_OF(conns / (int64_t)http->loop_count, (int64_t)4);
    http->phase_us[CONN_IDLE] = options->http_idle_timeout_s * USEC_PER_SEC;
    http->phase_us[CONN_HEAD] = options->http_header_deadline_s * USEC_PER_SEC;
    http->phase_us[CONN_BODY] = options->http_body_deadline_s * USEC_PER_SEC;
    http->phase_us[CONN_BUSY] = USEC_NEVER;
    http->phase_us[CONN_WRITE] = options->http_write_deadline_s * USEC_PER_SEC;
    http->phase_us[CONN_LINGER] = LINGER_US;
}

static int open_listeners(struct http *http, struct fail *fail)
{
    const struct http_settings *settings = &http->settings;
    const struct str addresses[HTTP_LISTENER_COUNT] = {
        [HTTP_LISTENER_PLAIN] = settings->listen,
        [HTTP_LISTENER_TLS] = settings->listen_tls,
        [HTTP_LISTENER_ADMIN] = settings->listen_admin,
    };
    int r;

    for (int i = 0; i < HTTP_LISTENER_COUNT; i++) {
        http->listeners[i] = (struct listener){.source = {SOURCE_LISTENER}, .kind = (enum http_listener)i, .fd = -1};
        r = str_empty(addresses[i]) ? 0 : listen_address(addresses[i], &http->listeners[i], fail);
        if (r < 0)
            return r;
    }
    if (!str_empty(settings->listen_tls)) {
        r = tls_open(settings->options, settings->dir, fail, &http->tls);
        if (r < 0)
            return r;
    }
    if (!settings->operator_path)
        return 0;
    return listen_unix(settings->operator_path, &http->listeners[HTTP_LISTENER_OPERATOR], fail);
}

int http_open(const struct http_settings *settings, struct fail *fail, struct http **ret)
{
    struct http *http = xcalloc(1, sizeof(*http));
    int r;

    http->settings = *settings;
    (void)pthread_mutex_init(&http->mutex, NULL); /* Linux never refuses default ones */
    (void)pthread_cond_init(&http->ended, NULL);
    http->loop_count = (size_t)settings->options->http_threads;
    http->loops = xcalloc(http->loop_count, sizeof(*http->loops));
    for (size_t i = 0; i < http->loop_count; i++) {
        http->loops[i].epoll_fd = -1;
        http->loops[i].wake_fd = -1;
    }
    for (int i = 0; i < HTTP_LISTENER_COUNT; i++)
        http->listeners[i].fd = -1;
    set_lengths(http);
    r = open_listeners(http, fail);
    for (size_t i = 0; i < http->loop_count && r == 0; i++)
        r = loop_init(http, &http->loops[i], fail);
    if (r < 0) {
        (void)http_close(http);
        return r;
    }
    *ret = http;
    return 0;
}

int http_start(struct http *http, struct fail *fail)
{
    watch_listeners(&http->loops[0]);
    for (size_t i = 0; i < http->loop_count; i++) {
        int error = pthread_create(&http->loops[i].thread, NULL, loop_run, &http->loops[i]);

        if (error != 0)
            return fail_text(fail, E_IO, "can't start a thread: %s", strerror(error));
        http->started_count++;
    }
    return 0;
}

/* False: after that time some have not. */
static bool await_loops(struct http *http, usec_t until_us)
{
    struct timespec until = {.tv_sec = (time_t)(until_us / USEC_PER_SEC), .tv_nsec = (long)(until_us % USEC_PER_SEC * 1000)};
    bool ended;
    int r = 0;

    (void)pthread_mutex_lock(&http->mutex);
    while (http->ended_count < http->started_count && r == 0)
        r = pthread_cond_clockwait(&http->ended, &http->mutex, CLOCK_MONOTONIC, &until);
    ended = http->ended_count == http->started_count;
    (void)pthread_mutex_unlock(&http->mutex);
    return ended;
}

bool http_stop(struct http *http, usec_t patience_us)
{
    http->drain_until_us = monotonic_us() + patience_us;
    atomic_store(&http->stopping, true);
    for (size_t i = 0; i < http->started_count; i++)
        (void)eventfd_write(http->loops[i].wake_fd, 1);
    if (!await_loops(http, http->drain_until_us + ROUND_US)) {
        log_warning("an API call has not come back: ecsd ends without it");
        return false;
    }
    for (size_t i = 0; i < http->started_count; i++)
        (void)pthread_join(http->loops[i].thread, NULL);
    http->started_count = 0;
    http->ended_count = 0;
    return true;
}

static void loop_done(struct loop *loop)
{
    if (!loop->http)
        return;
    take_inbox(loop);
    for (enum conn_phase phase = 0; phase < CONN_PHASE_COUNT; phase++)
        drop_all(loop, phase);
    while (!list_empty(&loop->pool)) {
        struct request *request = list_item(loop->pool.next, struct request, link);

        list_remove(&request->link);
        arena_done(&request->arena);
        (void)xfree(request);
    }
    if (loop->epoll_fd >= 0)
        (void)close(loop->epoll_fd);
    if (loop->wake_fd >= 0)
        (void)close(loop->wake_fd);
    (void)pthread_mutex_destroy(&loop->mutex);
}

struct http *http_close(struct http *http)
{
    if (!http)
        return NULL;
    assert(http->started_count == 0);
    for (size_t i = 0; i < http->loop_count; i++)
        loop_done(&http->loops[i]);
    for (int i = 0; i < HTTP_LISTENER_COUNT; i++) {
        if (http->listeners[i].fd >= 0)
            (void)close(http->listeners[i].fd);
    }
    if (http->settings.operator_path && http->listeners[HTTP_LISTENER_OPERATOR].address[0])
        (void)unlink(http->settings.operator_path);
    http->tls = tls_close(http->tls);
    (void)pthread_cond_destroy(&http->ended); /* nobody waits any more */
    (void)pthread_mutex_destroy(&http->mutex);
    (void)xfree(http->loops);
    return xfree(http);
}

struct str http_address(const struct http *http, enum http_listener which)
{
    const struct listener *listener = &http->listeners[which];

    return listener->address[0] ? str_from(listener->address) : STR_NONE;
}
