/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the simulated hypervisor; only sim*.c include this.
 *
 * sim.c        open and close, lock, time, hosts and machines
 * sim_calls.c  the calls of hypervisor.h
 * sim_disk.c   what is on cloud disks while no machine has them
 * sim_exec.c   programs that the guests' agents run
 * sim_attach.c disks that come and go while a machine lives
 * sim_event.c  what the watcher is told, and when
 * sim_record.c what is in records
 * sim_apply.c  what records do: all changes but those that time makes
 * sim_file.c   the journal: how it is opened, written and rewritten
 * sim_share.c  a world that several processes have open
 * sim_knob.c   simulate(): names and values
 *
 * Invariants
 * 1. `lock` guards everything here; the watcher is called without it.
 * 2. An order is written to the journal before it is carried out, by sim_apply, live as at the next
 *    start: a failed write changed nothing.
 * 3. Before an order is carried out, the machine is settled to the order's time; so replaying gives
 *    the same machine.
 * 4. Ends of phases are not in the journal: they follow from it and the time.
 * 5. A shared world is a function of its file alone: time passes in it only as far as records say
 *    (file_us). Who wants to see a later moment, because something is due by then, writes that first.
 * 6. sim_commit and whatever takes the lock may apply records of other processes, and so free machines: no pointer to one
 *    is used after it. Hosts stay.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "hypervisor/guest.h"
#include "hypervisor/journal.h"
#include "base/timers.h"

#define SIM_ID_MAX 63    /* bytes of a host's or machine's id */
#define SIM_TEXT_MAX 255 /* bytes of a device, an image id, a disk id */
#define SIM_DISKS_MAX 64
#define SIM_HOLDERS_MAX 64 /* machines that are off and have a disk in their definition that another one gets */
#define SIM_PPM 1000000 /* probabilities are kept in millionths */

enum { TIMER_MACHINE, TIMER_NOTE };

/* The journal holds these numbers: add at the end only. */
enum host_knob {
    HOST_DOWN,
    HOST_DELAY_US,
    HOST_DROP_PPM,
    HOST_LATE_US,
    HOST_DUPLICATE_PPM,
    HOST_KNOB_COUNT
};

struct sim_host {
    struct map machines; /* id → struct sim_machine */
    uint32_t number;     /* in sim->hosts */
    bool attached;       /* host_add was called and host_remove was not */
    int64_t knobs[HOST_KNOB_COUNT];
    size_t id_len;
    char id[SIM_ID_MAX + 1];
};

struct sim_machine {
    struct timer timer; /* end of the guest's phase */
    struct guest guest;
    struct sim_host *host;
    int64_t vcpus;
    int64_t memory_mib;
    uint32_t number; /* in the journal */
    bool unseen;     /* changed while the host was out of reach: told when it is back */
    struct list programs;  /* sim_exec.c */
    size_t program_count;
    usec_t exec_us;        /* knobs of its agent: how long a program takes, how it ends; in memory only */
    int64_t exec_exit;
    uint8_t id_len;
    char id[];
};

/* What is on a cloud disk that no machine has. One that was never written is not kept: it is blank. */
struct sim_kept {
    struct sim_disk data;
    size_t id_len;
    char id[];
};

/* Shared worlds only: a cloud disk and the machine that had it open last; whether it still does, its guest says. */
struct sim_open_disk {
    struct sim_machine *machine;
    size_t id_len;
    char id[];
};

/* Orders as they are written. */
struct sim_spec {
    struct str id;
    int64_t vcpus;
    int64_t memory_mib;
    usec_t boot_us;
    usec_t shutdown_us;
    const struct machine_disk *disks;
    size_t disk_count;
};

struct sim_attach {
    struct machine_disk disk;
    size_t holder_count;
    uint32_t holders[SIM_HOLDERS_MAX]; /* numbers of machines: off, with the disk in their definition */
};

/* sim_share.c; -1: not open. */
struct sim_share {
    int lock_fd;   /* flock: shared while open, exclusive while the file is replaced */
    int notify_fd; /* inotify: somebody has written */
    int stop_fd;
    pthread_t thread;
    bool threaded;
    bool own_found; /* sim_commit: its record has been applied */
    int own_answer;
    usec_t retry_us; /* time could not be written: not before then again */
};

/* An event on its way. */
struct sim_note {
    struct timer timer; /* late ones only */
    struct list node;   /* in sim->ready */
    struct sim_host *host;
    int64_t incarnation;
    enum machine_state state;
    size_t id_len;
    char id[SIM_ID_MAX + 1];
};

struct sim {
    struct hypervisor base;
    struct sim_settings settings;
    char *boot_id;
    pthread_mutex_t lock;
    pthread_cond_t wake;    /* the timer thread: something earlier is due */
    pthread_cond_t quiet;   /* no watcher is being called */
    pthread_cond_t delayed; /* only time ends it: calls to slow hosts */
    struct map host_ids;
    struct sim_host **hosts;
    uint32_t host_count;
    struct sim_machine **numbered; /* machines by number */
    uint32_t numbered_room;
    uint32_t next_number;
    int64_t last_pid;
    size_t machine_count;
    struct map kept; /* disk id → struct sim_kept */
    struct map open; /* disk id → struct sim_open_disk */
    struct timers timers;
    struct list ready; /* notes to deliver now, oldest first */
    struct journal journal;
    bool journaled;
    bool shared;
    bool loading; /* the file is being read at the start: no timers yet */
    struct sim_share share;
    usec_t file_us;   /* time of the journal's latest record */
    usec_t last_us;   /* simulated time never runs back, whatever the clock does */
    usec_t offset_us; /* simulated time less env's */
    usec_t wake_us;   /* what the timer thread waits for; 0 while it works */
    uint64_t dice;
    machine_watch_fn watch;
    void *watch_arg;
    int delivering;
    pthread_t thread;
    bool threaded;
    bool stopping;
};

static inline struct str host_id_of(const struct sim_host *host)
{
    return str_slice(host->id, host->id_len);
}

static inline struct str machine_id_of(const struct sim_machine *machine)
{
    return str_slice(machine->id, machine->id_len);
}

/* ── sim.c; all with the lock held ── */
struct sim *sim_of(struct hypervisor *hv);
void sim_lock(struct sim *sim);
/* Also wakes the timer thread if something became due earlier than it waits for. */
void sim_unlock(struct sim *sim);
usec_t sim_now(struct sim *sim);
/* Simulated time as env's. */
usec_t sim_env_time(const struct sim *sim, usec_t sim_us);
void sim_close(struct hypervisor *hv);
/* All of it: hosts, machines, disks. */
void sim_world_init(struct sim *sim);
void sim_world_done(struct sim *sim);
struct sim_host *sim_host_find(const struct sim *sim, struct str id);
struct sim_host *sim_host_new(struct sim *sim, struct str id);
struct sim_machine *sim_machine_find(const struct sim_host *host, struct str id);
struct sim_machine *sim_machine_new(struct sim *sim, struct sim_host *host, struct str id);
void sim_machine_drop(struct sim *sim, struct sim_machine *machine);
/* Carries out what is due of this machine (in a shared world: by file_us), and sets its timer. */
void sim_settle(struct sim *sim, struct sim_machine *machine, usec_t now_us);
/* Lets time pass up to now, at most a batch of ends; true: something was due. */
bool sim_run_timers(struct sim *sim);
/* Checks, writes and carries out one order of the operator. 0, guest_check's refusals, or the journal's. */
int sim_order(struct sim *sim, struct sim_machine *machine, enum guest_verb verb, int64_t arg)
    must_check;
/* What guest_check has allowed, of an applied record. */
void sim_carry_out(struct sim *sim, struct sim_machine *machine, enum guest_verb verb, int64_t arg,
                   usec_t now_us);
/* Power loss: every machine of the host ends at `now_us`. Not written to the journal. */
void sim_host_fail(struct sim *sim, struct sim_host *host, usec_t now_us);

/* ── sim_calls.c ── */
extern const struct hypervisor_ops sim_ops;
/* Takes the lock and finds host and machine: -E_NOT_FOUND, -E_UNREACHABLE, and then the lock is free again. */
int sim_machine_enter(struct sim *sim, struct str host_id, struct str id, struct sim_machine **ret)
    must_check;
/* Takes the lock and finds the host: -E_NOT_FOUND, -E_UNREACHABLE. On failure the lock is free again. */
int sim_host_enter(struct sim *sim, struct str host_id, struct sim_host **ret) must_check;

int sim_disk_delete(struct hypervisor *hv, struct str disk_id);

/* ── sim_disk.c; with the lock held ── */
void sim_keep(struct sim *sim, struct str id, const struct sim_disk *data);
void sim_unkeep(struct sim *sim, struct str id);
/* A cloud disk is open in one living machine only: in another one than this? Only a shared world keeps book. */
bool sim_disk_is_open(struct sim *sim, const struct sim_machine *machine, struct str id);
bool sim_disks_are_open(struct sim *sim, const struct sim_machine *machine);
/* If the machine lives, its cloud disks are open in it. */
void sim_disks_open(struct sim *sim, struct sim_machine *machine);
/* A new definition finds what is on its cloud disks. */
void sim_kept_fill(const struct sim *sim, struct guest *guest);
/* `now` replaces `before`: cloud disks that left are kept, those that came are the machine's. Either may have no disks. */
void sim_disks_move(struct sim *sim, const struct sim_machine *machine, const struct guest *before,
                    const struct guest *now);
void sim_kept_free(struct sim *sim);

/* ── sim_event.c; with the lock held ── */
/* The machine's state has changed. */
void sim_note(struct sim *sim, struct sim_machine *machine);
/* The host is in reach again: tells what changed meanwhile. */
void sim_note_unseen(struct sim *sim, struct sim_host *host);
/* Calls the watcher for all that is ready; gives the lock away meanwhile. */
void sim_deliver(struct sim *sim);
void sim_note_ready(struct sim *sim, struct sim_note *note);
void sim_notes_free(struct sim *sim);

/* ── sim_file.c; with the lock held ── */
/* Makes a large journal small. Called when memory and journal say the same: before an order, never
 * within. */
void sim_file_maintain(struct sim *sim);
int sim_file_open(struct sim *sim, struct fail *fail) must_check;
/* A journal_read_fn: applies the record. */
int sim_read_record(void *arg, const struct journal_record *record, struct str tail);
/* Writes a record and carries it out; its time is filled in. The record's answer, or the journal's
 * refusal; -E_UNREACHABLE: it is written, and could not be read again. */
int sim_commit(struct sim *sim, struct journal_record record, struct str tail) must_check;
int sim_commit_order(struct sim *sim, const struct sim_machine *machine, enum guest_verb verb,
                     int64_t arg) must_check;
int sim_commit_define(struct sim *sim, const struct sim_host *host, const struct sim_spec *spec)
    must_check;
int sim_commit_command(struct sim *sim, const struct sim_machine *machine, enum guest_verb verb,
                       int64_t incarnation, int64_t arg) must_check;
int sim_commit_attach(struct sim *sim, const struct sim_machine *machine, int64_t incarnation,
                      const struct sim_attach *attach) must_check;
int sim_rewrite(struct sim *sim);
/* A power failure of the real machine: what a guest was about to do then, it did not do. */
void sim_power_failure(struct sim *sim);

/* ── sim_apply.c; with the lock held ── */
/* -E_IO: no program of ours writes such a record. Else 0, and what is answered to who gave the order. */
int sim_apply(struct sim *sim, const struct journal_record *record, struct str tail,
              int *ret_answer) must_check;
struct sim_machine *sim_numbered(const struct sim *sim, uint32_t number);
void sim_number(struct sim *sim, struct sim_machine *machine, uint32_t number);

/* ── sim_share.c ── */
/* Takes the lock; in a shared world, goes on to what the others have written and to the present. -E_UNREACHABLE: the file
 * can't be read; the lock is held nevertheless. */
int sim_lock_now(struct sim *sim);
/* With the lock held: as above. */
int sim_look(struct sim *sim) must_check;
/* With the lock held: reads what others have written. */
int sim_catch_up(struct sim *sim);
/* With the lock held: is it `due_us` already, for all who look? Where nobody else does, time just passes. */
bool sim_time_is(const struct sim *sim, usec_t due_us);
/* With the lock held: writes that it is now. False: it can't be written, time stands. */
bool sim_write_time(struct sim *sim);
int sim_share_open(struct sim *sim, const char *path, struct fail *fail) must_check;
/* The thread that hears of what others write. */
int sim_share_start(struct sim *sim) must_check;
void sim_share_stop(struct sim *sim);
void sim_share_close(struct sim *sim);

/* ── sim_knob.c ── */
int sim_simulate(struct hypervisor *hv, struct str host_id, struct str machine_id, struct str name,
                 struct str value, struct fail *fail);

/* ── sim_attach.c ── */
/* Are its texts as long as the journal takes them? */
bool sim_disk_is_good(const struct machine_disk *disk);
/* Of applied records: the machine's disks are these; one less; one more. */
void sim_set_disks(struct sim *sim, struct sim_machine *machine, const struct machine_disk *disks,
                   size_t count);
void sim_drop_disk(struct sim *sim, struct sim_machine *machine, int64_t index);
void sim_add_disk(struct sim *sim, struct sim_machine *machine, const struct machine_disk *disk);
int sim_disk_attach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                    const struct machine_disk *disk, struct fail *fail);
int sim_disk_detach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                    struct str disk_id, struct fail *fail);

/* ── sim_console.c ── */
int sim_console(struct hypervisor *hv, struct str host_id, struct str id, size_t limit_bytes,
                struct arena *arena, struct str *ret);
int sim_screenshot(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                   struct arena *arena, struct str *ret_png);
int sim_vnc(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
            struct str password, usec_t until_us, struct arena *arena, struct str *ret_address);

/* ── sim_exec.c ── */
/* The machine's system goes, and its programs with it. */
void sim_programs_free(struct sim_machine *machine);
int sim_exec_start(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                   const struct machine_exec *exec, int64_t *ret_pid);
int sim_exec_poll(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                  int64_t pid, struct arena *arena, struct machine_exec_status *ret);
int sim_exec_kill(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                  int64_t pid);
