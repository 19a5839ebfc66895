/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process above the daemon. Each test has a process of its own that calls reaper_start(): it becomes the reaper, and its
 * child plays the daemon and talks to the test through a pipe.
 */
#include "unit/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "main/reaper.h"

#define PATIENCE_MS 20000

struct play {
    pid_t reaper;
    pid_t daemon;
    int heard; /* what the daemon writes */
};

/* A program for the daemon; it never returns to the test. */
typedef void (*daemon_fn)(int out);

static void block_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set); /* as main.c does before it calls reaper_start */
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static int next_signal(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    return sigwaitinfo(&set, NULL);
}

static void say(int out, int64_t number)
{
    if (write(out, &number, sizeof(number)) != (ssize_t)sizeof(number))
        _exit(99); /* the test is gone */
}

static int64_t hear(struct play *p)
{
    struct pollfd ready = {.fd = p->heard, .events = POLLIN};
    int64_t number = 0;

    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    assert_int_equal(read(p->heard, &number, sizeof(number)), sizeof(number));
    return number;
}

/* In the process that is to be the reaper. `on_children`: what it inherits for SIGCHLD. */
static void become(daemon_fn fn, int out, sighandler_t on_children)
{
    (void)signal(SIGCHLD, on_children);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    block_signals();
    if (reaper_start() < 0)
        _exit(98);
    say(out, getpid());
    fn(out);
    _exit(97);
}

static void begin_as(struct play *p, daemon_fn fn, sighandler_t on_children)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    p->reaper = fork();
    assert_true(p->reaper >= 0);
    if (p->reaper == 0) {
        (void)close(ends[0]);
        become(fn, ends[1], on_children);
    }
    (void)close(ends[1]);
    p->heard = ends[0];
    p->daemon = (pid_t)hear(p);
    assert_int_not_equal(p->daemon, p->reaper);
}

static void begin(struct play *p, daemon_fn fn)
{
    begin_as(p, fn, SIG_DFL);
}

/* What the process ended with; should it not end it is killed, and that is told. */
static int end(struct play *p)
{
    int fd = (int)syscall(SYS_pidfd_open, p->reaper, 0);
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    int status = 0;

    assert_true(fd >= 0);
    if (poll(&ended, 1, PATIENCE_MS) != 1) {
        print_error("the reaper did not end\n");
        (void)kill(p->reaper, SIGKILL);
    }
    (void)close(fd);
    (void)close(p->heard);
    assert_int_equal(waitpid(p->reaper, &status, 0), p->reaper);
    return status;
}

/* ── exit codes and signals ── */

static void exit_0(int out)
{
    (void)out;
    _exit(0);
}

static void exit_42(int out)
{
    (void)out;
    _exit(42);
}

static void die_of_kill(int out)
{
    (void)out;
    (void)raise(SIGKILL);
}

static void die_of_abort(int out)
{
    (void)out;
    abort();
}

/* A second TERM ends the daemon at once: main.c lets them through after the first. */
static void die_of_term(int out)
{
    sigset_t set;

    (void)out;
    (void)sigfillset(&set);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)raise(SIGTERM);
}

static void exit_codes_are_passed_on(void **state)
{
    struct play p;

    (void)state;
    begin(&p, exit_0);
    assert_int_equal(end(&p), 0);
    begin(&p, exit_42);
    assert_int_equal(WEXITSTATUS(end(&p)), 42);
}

static void signals_that_end_it_are_passed_on(void **state)
{
    static const struct {
        daemon_fn fn;
        int number;
    } rows[] = {{die_of_kill, SIGKILL}, {die_of_abort, SIGABRT}, {die_of_term, SIGTERM}};

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        struct play p;
        int status;

        begin(&p, rows[i].fn);
        status = end(&p);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), rows[i].number);
    }
}

/* ── signals to it ── */

static void tell_signals(int out)
{
    for (int i = 0; i < 3; i++)
        say(out, next_signal());
    _exit(7);
}

static void signals_are_passed_down(void **state)
{
    static const int numbers[] = {SIGHUP, SIGTERM, SIGINT};
    struct play p;

    (void)state;
    begin(&p, tell_signals);
    for (size_t i = 0; i < countof(numbers); i++) {
        assert_int_equal(kill(p.reaper, numbers[i]), 0);
        assert_int_equal(hear(&p), numbers[i]);
    }
    assert_int_equal(WEXITSTATUS(end(&p)), 7);
}

/* As main.c does: the first one stops, a second one would end it at once. Was there a second one? */
static void stop_in_order(int out)
{
    struct timespec while_stopping = {.tv_nsec = 500 * 1000 * 1000};
    sigset_t set;

    say(out, 0);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    say(out, next_signal());
    say(out, sigtimedwait(&set, NULL, &while_stopping));
    _exit(5);
}

/* A terminal sends its interrupt to reaper and daemon alike: passed on, it would be the second one. */
static void an_interrupt_from_a_terminal_comes_once(void **state)
{
    struct play p = {0};
    int terminal;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    p.reaper = forkpty(&terminal, NULL, NULL, NULL);
    assert_true(p.reaper >= 0);
    if (p.reaper == 0)
        become(stop_in_order, ends[1], SIG_DFL);
    (void)close(ends[1]);
    p.heard = ends[0];
    p.daemon = (pid_t)hear(&p);
    assert_int_equal(hear(&p), 0);
    assert_int_equal(write(terminal, "\003", 1), 1);
    assert_int_equal(hear(&p), SIGINT);
    assert_int_equal(hear(&p), -1);
    assert_int_equal(WEXITSTATUS(end(&p)), 5);
    (void)close(terminal);
}

/* ── orphans ── */

/* A child makes a grandchild and leaves it; the grandchild says who its parent is by then, and ends. */
static void leave_an_orphan(int out)
{
    int gate[2];
    char c;

    if (pipe2(gate, O_CLOEXEC) < 0)
        _exit(96);
    pid_t child = fork();

    if (child == 0) {
        pid_t grandchild = fork();

        if (grandchild == 0) {
            (void)close(gate[1]);
            (void)read(gate[0], &c, 1); /* until its parent and the daemon let go of it */
            say(out, getppid());
            say(out, getpid());
            _exit(0);
        }
        _exit(0);
    }
    (void)waitpid(child, NULL, 0);
    (void)close(gate[1]);
    (void)next_signal();
    _exit(0);
}

/* Until the process is no more, not even as a zombie. */
static bool is_collected(pid_t pid)
{
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        if (kill(pid, 0) < 0)
            return true;
        (void)poll(NULL, 0, 10); /* nothing tells of the collecting of another's child */
    }
    return false;
}

static void orphans_are_collected(void **state)
{
    struct play p;

    (void)state;
    begin(&p, leave_an_orphan);
    assert_int_equal(hear(&p), p.reaper);
    assert_true(is_collected((pid_t)hear(&p)));
    assert_int_equal(kill(p.reaper, SIGTERM), 0);
    assert_int_equal(end(&p), 0);
}

/* ── ends ── */

static void wait_for_ever(int out)
{
    (void)out;
    for (;;)
        (void)next_signal();
}

static void who_kills_the_reaper_kills_the_daemon(void **state)
{
    struct play p;
    int fd;
    int status;

    (void)state;
    begin(&p, wait_for_ever);
    fd = (int)syscall(SYS_pidfd_open, p.daemon, 0);
    assert_true(fd >= 0);
    assert_int_equal(kill(p.reaper, SIGKILL), 0);
    status = end(&p);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, PATIENCE_MS), 1);
    (void)close(fd);
}

/* Some who start us ignore the ends of their children, and that is inherited: then the system collects them, and tells nobody. */
static void ignored_children_are_no_trouble(void **state)
{
    struct play p;
    int status;

    (void)state;
    begin_as(&p, exit_42, SIG_IGN); /* its own alone: what the test ignored, it could not wait for */
    status = end(&p);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

/* What the daemon inherits is as it was: the signals that were blocked, and SIGCHLD, which was not. */
static void tell_mask(int out)
{
    sigset_t set;

    (void)sigprocmask(SIG_BLOCK, NULL, &set);
    say(out, sigismember(&set, SIGTERM));
    say(out, sigismember(&set, SIGCHLD));
    _exit(0);
}

static void the_daemons_signals_are_as_they_were(void **state)
{
    struct play p;

    (void)state;
    begin(&p, tell_mask);
    assert_int_equal(hear(&p), 1);
    assert_int_equal(hear(&p), 0);
    assert_int_equal(end(&p), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_codes_are_passed_on),
        cmocka_unit_test(signals_that_end_it_are_passed_on),
        cmocka_unit_test(signals_are_passed_down),
        cmocka_unit_test(an_interrupt_from_a_terminal_comes_once),
        cmocka_unit_test(orphans_are_collected),
        cmocka_unit_test(who_kills_the_reaper_kills_the_daemon),
        cmocka_unit_test(ignored_children_are_no_trouble),
        cmocka_unit_test(the_daemons_signals_are_as_they_were),
    };

    /* Where what starts us is no init, orphans that a killed reaper leaves are ours. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
