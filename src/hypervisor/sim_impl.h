/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the simulated hypervisor; only sim*.c include this.
 *
 * sim.c        open and close, lock, time, hosts and machines
 * sim_calls.c  the calls of hypervisor.h
 * sim_disk.c   what is on cloud disks while no machine has them
 * sim_event.c  what the watcher is told, and when
 * sim_file.c   the journal: how state becomes records and records become state
 * sim_knob.c   simulate(): names and values
 *
 * Invariants
 * 1. `lock` guards everything here; the watcher is called without it.
 * 2. An order is written to the journal before it is carried out: a failed write changed nothing.
 * 3. Before an order is carried out, the machine is settled to the order's time; so replaying gives
 *    the same machine.
 * 4. Ends of phases are not in the journal: they follow from it and the time.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "hypervisor/guest.h"
#include "hypervisor/journal.h"
#include "hypervisor/timers.h"

#define SIM_ID_MAX 63    /* bytes of a host's or machine's id */
#define SIM_TEXT_MAX 255 /* bytes of a device, an image id, a disk id */
#define SIM_DISKS_MAX 64
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
    bool written;        /* the journal knows it; only sim_host_add sees one that it doesn't */
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
    uint8_t id_len;
    char id[];
};

/* What is on a cloud disk that no machine has. One that was never written is not kept: it is blank. */
struct sim_kept {
    struct sim_disk data;
    size_t id_len;
    char id[];
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
    uint32_t next_number;
    size_t machine_count;
    struct map kept; /* disk id → struct sim_kept */
    struct timers timers;
    struct list ready; /* notes to deliver now, oldest first */
    struct journal journal;
    bool journaled;
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
struct sim_host *sim_host_find(const struct sim *sim, struct str id);
struct sim_host *sim_host_new(struct sim *sim, struct str id);
/* The newest host, which the journal does not know: its number is free again. */
void sim_host_drop(struct sim *sim, struct sim_host *host);
struct sim_machine *sim_machine_find(const struct sim_host *host, struct str id);
struct sim_machine *sim_machine_new(struct sim *sim, struct sim_host *host, struct str id);
void sim_machine_drop(struct sim *sim, struct sim_machine *machine);
/* Carries out what is due of this machine, and sets its timer. */
void sim_settle(struct sim *sim, struct sim_machine *machine, usec_t now_us);
/* Checks, writes and carries out one order. 0, guest_check's refusals, or the journal's. */
int sim_order(struct sim *sim, struct sim_machine *machine, enum guest_verb verb, int64_t arg)
    must_check;
/* Power loss: every machine of the host ends at `now_us`. Not written to the journal. */
void sim_host_fail(struct sim *sim, struct sim_host *host, usec_t now_us);

/* ── sim_calls.c ── */
extern const struct hypervisor_ops sim_ops;
/* Takes the lock and finds host and machine: -E_NOT_FOUND, -E_UNREACHABLE, and then the lock is free again. */
int sim_machine_enter(struct sim *sim, struct str host_id, struct str id, struct sim_machine **ret)
    must_check;

int sim_disk_delete(struct hypervisor *hv, struct str disk_id);

/* ── sim_disk.c; with the lock held ── */
void sim_keep(struct sim *sim, struct str id, const struct sim_disk *data);
void sim_unkeep(struct sim *sim, struct str id);
/* A new definition finds what is on its cloud disks. */
void sim_kept_fill(const struct sim *sim, struct guest *guest);
/* `now` replaces `before`: cloud disks that left are kept, those that came are the machine's. Either may have no disks. */
void sim_disks_move(struct sim *sim, const struct guest *before, const struct guest *now);
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
int sim_write_order(struct sim *sim, const struct sim_machine *machine, enum guest_verb verb,
                    int64_t arg, usec_t now_us) must_check;
int sim_write_machine(struct sim *sim, const struct sim_machine *machine, usec_t now_us) must_check;
int sim_write_undefine(struct sim *sim, const struct sim_machine *machine, usec_t now_us)
    must_check;
int sim_write_disk_delete(struct sim *sim, struct str disk_id, usec_t now_us) must_check;
int sim_write_host(struct sim *sim, struct sim_host *host, usec_t now_us) must_check;
int sim_write_knob(struct sim *sim, const struct sim_host *host, enum host_knob knob, int64_t value,
                   usec_t now_us) must_check;
int sim_write_host_fail(struct sim *sim, const struct sim_host *host, usec_t now_us) must_check;

/* ── sim_knob.c ── */
int sim_simulate(struct hypervisor *hv, struct str host_id, struct str machine_id, struct str name,
                 struct str value, struct fail *fail);

/* ── sim_attach.c ── */
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
int sim_exec_start(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                   const struct machine_exec *exec, int64_t *ret_pid);
int sim_exec_poll(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                  int64_t pid, struct arena *arena, struct machine_exec_status *ret);
int sim_exec_kill(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                  int64_t pid);
