/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated world that several processes have open, all on this computer: they append to one journal and read what the
 * others append. No lock is held while anybody works on it: a process that is stopped or killed holds up none.
 *
 * sim.lock, next to the journal, says only how many have it open: each holds it shared. Who comes and gets it exclusively is
 * alone: it carries out a power failure of the real machine, and writes the file anew, as small as it can be.
 *
 * Time. What a phase's end makes of a machine may be told to somebody only when no record that comes later can undo it: a
 * process may have slept between taking the time and writing its order. So whoever finds that something is due writes the
 * time first. Orders that stand behind it in the file are later, whatever they say.
 */
#include "hypervisor/sim_record.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/mem.h"

#define OPEN_WAIT_MS 10000   /* for somebody who makes the file anew */
#define OPEN_PAUSE_MS 5
#define NOTIFY_POLL_MS 1000  /* the system tells of writes; this is for one that forgets to */
#define BLIND_POLL_MS 10     /* it doesn't: out of inotify's instances, or none on this file system */
#define NOTIFY_REST_MS 1     /* orders that come by the thousand are read in bunches */
#define RETRY_US (100 * USEC_PER_MSEC)

/* ── looking ── */

int sim_catch_up(struct sim *sim)
{
    int r;

    if (!sim->shared)
        return 0;
    r = journal_catch_up(&sim->journal, sim_read_record, sim);
    return r < 0 ? -E_UNREACHABLE : 0;
}

bool sim_time_is(const struct sim *sim, usec_t due_us)
{
    return !sim->shared || due_us <= sim->file_us;
}

bool sim_write_time(struct sim *sim)
{
    usec_t now_us = sim_now(sim);

    if (now_us < sim->share.retry_us)
        return false;
    if (sim_commit(sim, (struct journal_record){.kind = RECORD_TIME}, STR_NONE) == 0)
        return true;
    sim->share.retry_us = now_us + RETRY_US;
    return false;
}

int sim_look(struct sim *sim)
{
    int r = sim_catch_up(sim);

    while (sim->shared && r == 0 && sim_run_timers(sim))
        continue;
    return r;
}

int sim_lock_now(struct sim *sim)
{
    sim_lock(sim);
    return sim_look(sim);
}

/* ── opening ── */

/* Nobody else has it. 1: it can't be written anew, and stays as it was. */
static int make_anew(struct sim *sim, const char *path, struct fail *fail)
{
    uint64_t marker = env_random_u64(sim->settings.env) | 1;
    int r = journal_open_alone(path, sim->boot_id, marker, sim_read_record, sim, fail, &sim->journal);

    if (r < 0)
        return r;
    if (!sim->journal.same_boot)
        sim_power_failure(sim);
    r = sim_rewrite(sim);
    journal_close(&sim->journal);
    sim_world_done(sim);
    sim_world_init(sim);
    return r < 0;
}

/* 1: not now. */
static int try_open(struct sim *sim, const char *path, struct fail *fail)
{
    int fd = sim->share.lock_fd;
    int made = 0;
    int r;

    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        made = make_anew(sim, path, fail);
    if (made < 0)
        return made;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        return 1;
    r = journal_open_shared(path, sim->boot_id, sim_read_record, sim, fail, &sim->journal);
    if (r == 0)
        return 0;
    (void)flock(fd, LOCK_UN); /* it was held */
    if (r > 0 && made > 0)
        return fail_text(fail, E_IO, "%s can't be written", path);
    return r;
}

static int open_lock(struct sim *sim, struct fail *fail)
{
    size_t path_bytes = strlen(sim->settings.dir) + sizeof("/sim.lock");
    char *path = xcalloc(1, path_bytes);
    int r = 0;

    (void)snprintf(path, path_bytes, "%s/sim.lock", sim->settings.dir); /* it fits */
    sim->share.lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (sim->share.lock_fd < 0)
        r = fail_text(fail, E_IO, "%s can't be opened: errno %d", path, errno);
    xfree(path);
    return r;
}

int sim_share_open(struct sim *sim, const char *path, struct fail *fail)
{
    int waited_ms = 0;
    int r = open_lock(sim, fail);

    if (r < 0)
        return r;
    while ((r = try_open(sim, path, fail)) > 0) {
        if (waited_ms >= OPEN_WAIT_MS)
            return fail_text(fail, E_BUSY, "%s is being made anew by another process", path);
        (void)poll(NULL, 0, OPEN_PAUSE_MS); /* no lock of flock(2) tells when it is free and lets go at a deadline */
        waited_ms += OPEN_PAUSE_MS;
    }
    return r;
}

/* ── hearing ── */

static void drain(int fd)
{
    char bytes[4096];

    while (read(fd, bytes, sizeof(bytes)) > 0)
        continue;
}

/* What is read makes notes ready or timers earlier; sim_unlock wakes the thread that tells of them. */
static void *share_thread(void *arg)
{
    struct sim *sim = arg;
    struct pollfd fds[] = {{.fd = sim->share.stop_fd, .events = POLLIN}, {.fd = sim->share.notify_fd, .events = POLLIN}};
    nfds_t count = sim->share.notify_fd >= 0 ? 2 : 1;
    int wait_ms = count == 2 ? NOTIFY_POLL_MS : BLIND_POLL_MS;

    (void)pthread_setname_np(pthread_self(), "sim-share"); /* for people only */
    while (!(fds[0].revents & POLLIN)) {
        if (count == 2)
            drain(sim->share.notify_fd);
        sim_lock(sim);
        (void)sim_catch_up(sim); /* calls say what is wrong */
        sim_unlock(sim);
        if (poll(fds, 1, NOTIFY_REST_MS) == 0)
            (void)poll(fds, count, wait_ms); /* interrupted: once more round */
    }
    return NULL;
}

int sim_share_start(struct sim *sim)
{
    assert(sim->shared && !sim->share.threaded);
    sim->share.stop_fd = eventfd(0, EFD_CLOEXEC);
    if (sim->share.stop_fd < 0)
        return -E_LIMIT;
    sim->share.notify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (sim->share.notify_fd >= 0 && inotify_add_watch(sim->share.notify_fd, sim->journal.path, IN_MODIFY) < 0) {
        (void)close(sim->share.notify_fd); /* nothing was to be had from it */
        sim->share.notify_fd = -1;
    }
    sim->share.threaded = pthread_create(&sim->share.thread, NULL, share_thread, sim) == 0;
    return sim->share.threaded ? 0 : -E_LIMIT;
}

void sim_share_stop(struct sim *sim)
{
    uint64_t one = 1;

    if (!sim->share.threaded)
        return;
    (void)!write(sim->share.stop_fd, &one, sizeof(one)); /* of an eventfd at 0: can't fail */
    (void)pthread_join(sim->share.thread, NULL);         /* it is ours and was not joined */
    sim->share.threaded = false;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd); /* nothing was written through it */
}

void sim_share_close(struct sim *sim)
{
    close_fd(sim->share.lock_fd);
    close_fd(sim->share.notify_fd);
    close_fd(sim->share.stop_fd);
}
