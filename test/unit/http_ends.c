/* SPDX-License-Identifier: Apache-2.0 */
/* How connections end: clients that are slow, that vanish, that are too many; and the server's own stop. */
#include "unit/http_kit.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>

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
    assert_true(http_stop(server.http, USEC_PER_SEC));
    server.stopped = true;
    assert_int_equal(count_watched(), 1); /* what wakes the loop: the listeners are gone as well */
    (void)close(ends[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    server_done(&server);
}

/* A server in the middle of a call; returns the client's socket. */
static int start_in_call(struct server *server, const char *request)
{
    int fd;

    server_init(server);
    server_start(server, false);
    fd = dial(server);
    say(fd, request);
    gateway_wait_kept(&server->gateway, 1);
    return fd;
}

static void test_half_close(void **state)
{
    struct server server;
    int fd = start_in_call(&server, "POST /keep HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");
    char byte;

    (void)state;
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

    return http_stop(server->http, 10 * USEC_PER_SEC) ? server : NULL;
}

/* What has begun is finished, idle connections go, and nobody new comes in. */
static void test_graceful_stop(void **state)
{
    struct server server;
    struct buf reply;
    struct str body;
    pthread_t stopper;
    void *stopped;
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
    (void)pthread_join(stopper, &stopped);
    assert_ptr_equal(stopped, &server);
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
    int fd = start_in_call(&server, "POST /keep HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi");

    (void)state;
    assert_true(http_stop(server.http, 100 * USEC_PER_MSEC));
    server.stopped = true;
    server_done(&server);
    (void)close(fd);
}

/* A host that never answers keeps the thread of who asked for a console: the stop is not kept. */
static void test_stop_without_a_loop(void **state)
{
    struct server server;
    int fd = start_in_call(&server, "GET /stuck HTTP/1.1\r\n" H "\r\n");

    (void)state;
    assert_false(http_stop(server.http, 50 * USEC_PER_MSEC));
    gateway_release(&server.gateway);
    server_done(&server);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_client),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_vanished_client),
        cmocka_unit_test(test_forked_meanwhile),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_graceful_stop),
        cmocka_unit_test(test_impatient_stop),
        cmocka_unit_test(test_stop_without_a_loop),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
