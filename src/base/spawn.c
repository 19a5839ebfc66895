/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "gen/errors.h"

/* All signals are as in a new program: ours are blocked for threads of ours only. */
static int start(const char *const *argv, int output, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t all;
    int r;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    r = posix_spawn_file_actions_init(&actions);
    assert(r == 0);
    r = posix_spawnattr_init(&attributes);
    assert(r == 0);
    r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    /* None of these can fail with these arguments. */
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (r == 0)
        r = posix_spawnp(ret, argv[0], &actions, &attributes, (char *const *)argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (r == ENOENT)
        return -E_NOT_FOUND;
    return r == 0 ? 0 : -E_IO;
}

static usec_t clock_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail for this clock */
    return (usec_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

/* False: time is up. What passes the limit is read and dropped, so that the program does not stand still. */
static bool read_output(int fd, usec_t until_us, struct buf *output)
{
    char chunk[4096];

    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        usec_t left_us = until_us - clock_us();
        int r = poll(&ready, 1, left_us > 0 ? (int)(left_us / USEC_PER_MSEC) + 1 : 0);
        ssize_t n;

        if (r == 0)
            return false;
        if (r < 0)
            continue;
        n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return true;
        buf_add(output, chunk, MIN_OF((size_t)n, output->limit_bytes - output->len));
    }
}

static int reap(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int spawn_wait(const char *const *argv, usec_t timeout_us, struct arena *arena, struct spawn_result *ret)
{
    usec_t until_us = clock_us() + timeout_us;
    struct buf output;
    int ends[2];
    pid_t pid;
    int r;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -E_IO;
    r = start(argv, ends[1], &pid);
    (void)close(ends[1]); /* ours; the program has its own */
    if (r == 0) {
        buf_init(&output, SPAWN_OUTPUT_BYTES);
        *ret = (struct spawn_result){.timed_out = !read_output(ends[0], until_us, &output)};
        if (ret->timed_out)
            (void)kill(pid, SIGKILL); /* not reaped yet: the number is still its own */
        ret->exit_code = reap(pid);
        ret->output = arena_str(arena, buf_str(&output));
        buf_done(&output);
    }
    (void)close(ends[0]);
    return r;
}
