/* SPDX-License-Identifier: Apache-2.0 */
#include "main/reaper.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int reaper_is_needed(void)
{
    return access("/run/systemd/system", F_OK) != 0; /* sd_booted(3) */
}

/* As the daemon ended, so that whoever waits for us learns it. */
static void end_as(int status)
{
    if (WIFSIGNALED(status)) {
        sigset_t all;

        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* of the daemon there is one, if any */
        (void)signal(WTERMSIG(status), SIG_DFL);              /* KILL needs none */
        (void)sigfillset(&all);
        (void)raise(WTERMSIG(status));
        (void)sigprocmask(SIG_UNBLOCK, &all, NULL); /* it may be one that we wait for */
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void collect(pid_t daemon)
{
    int status;
    pid_t ended;

    while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
        if (ended == daemon)
            end_as(status);
}

static void run_parent(pid_t daemon)
{
    sigset_t wanted;

    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGCHLD);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigaddset(&wanted, SIGINT);
    (void)sigaddset(&wanted, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &wanted, NULL);
    for (;;) {
        siginfo_t info = {0};
        int number = sigwaitinfo(&wanted, &info);
        /* A terminal interrupts the daemon too, to which a second one would mean: at once. */
        bool has_it = number == SIGINT && info.si_code == SI_KERNEL;

        if (!has_it && (number == SIGTERM || number == SIGINT || number == SIGHUP))
            (void)kill(daemon, number); /* it is ours and not collected: the number is its own */
        collect(daemon);
    }
}

int reaper_start(void)
{
    sigset_t child;
    pid_t parent = getpid();
    pid_t daemon;

    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return -1;
    /* Whoever started us may ignore it, and that is inherited: then nobody is told of an end, and libvirt not of its helpers'. */
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL); /* none may be missed before the parent waits for them */
    daemon = fork();
    if (daemon > 0)
        run_parent(daemon);
    (void)sigprocmask(SIG_UNBLOCK, &child, NULL);
    if (daemon < 0)
        return -1;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
        _exit(1); /* it is gone already */
    return 0;
}
