/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the engine only: the jobs in memory, who may run when, and what a step may do.
 *
 * An active job is in exactly one place:
 *
 *               due, event               taken by a worker
 *   WAITING ───────────────▶ READY ───────────────────▶ RUNNING ──▶ WAITING (event, time, retry)
 *   (timer heap)             (its host's queue)            │
 *                              ▲                           └──────▶ RECORDING (a write is on its way) ──▶ READY or gone
 *                              └──────────────────────────────────────────┘
 *
 * Invariants
 * 1. engine.mutex guards every member of this file but the inside of a job that is RUNNING (its worker's) or RECORDING
 *    (the store's writer's). Nothing of store or hypervisor is called with the mutex held.
 * 2. A job is on one worker at most; a host has at most `host_limit` calls at a time.
 * 3. A wake-up is never lost: one that comes while the job runs or records makes it READY again afterwards.
 */
#pragma once

#include <stdatomic.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metric.h"
#include "base/option.h"
#include "engine/engine.h"
#include "model/disk.h"

struct run;

/* What a step says when it returns. */
enum step_result {
    STEP_NEXT,   /* done: the next one, at once */
    STEP_AGAIN,  /* job.step was set to another one: that one, at once */
    STEP_WAIT,   /* until run.wake_us or an event */
    STEP_RETRY,  /* it failed with run.error: again after a while */
    STEP_RECORD, /* active.apply goes to the writer, then active.after */
};

enum active_state { ACTIVE_WAITING, ACTIVE_READY, ACTIVE_RUNNING, ACTIVE_RECORDING };

enum after_record { AFTER_NEXT, AFTER_RETRY, AFTER_END };

#define JOB_ERROR_BYTES 320 /* of job.error: what failed, and the host's words for it */

struct active {
    struct write write; /* the record that is on its way */
    struct engine *engine;
    int (*apply)(struct tx *tx, struct active *active);
    enum after_record after;
    enum active_state state;
    bool woken;         /* invariant 3 */
    usec_t back_us;      /* engine.back_us when its times were last put right */
    usec_t overtaken_us; /* a forced order came in: the deadline is this one; USEC_NEVER: none */
    struct str key;      /* in engine.jobs */
    char key_text[24];
    struct host_slot *host;
    struct list link;    /* READY: in host->ready */
    struct list blocked; /* in host->blocked while the host doesn't answer */
    usec_t ready_us;     /* READY since */
    usec_t wake_us;
    size_t heap_at;
    size_t gauge_at;     /* in engine.gauge_jobs */
    int64_t taken_step; /* of the job when its worker took it */
    int64_t taken_attempts;
    /* the worker's */
    struct job job;
    usec_t next_press_us;
    bool pressed_early;  /* the latest press met a booting guest */
    usec_t next_cut_us;
    int cut_level;       /* enum machine_cut of the next cut */
    int64_t raised;      /* the incarnation that record_raise gives row and job */
    bool pending;        /* the row still says Pending */
    int64_t term;        /* of its host when it came here: a later one has its own of this job */
    bool is_rest;        /* its instance has no row any more, which would lead another node to it */
    usec_t starting_us;  /* redeploy: since when the row says Starting; 0: not read yet */
    struct host_slot *moved_to; /* redeploy: the host that record_moved chose */
    enum machine_end end; /* why it went off, for boot failures */
    bool hint_at_end;    /* its instance is to be looked at when the job has ended */
    bool error_saved;    /* what job.error says is in the row */
    char error[JOB_ERROR_BYTES]; /* also why an evacuation left the instance where it was */
    char text[];         /* of the job's strings */
};

struct host_slot {
    struct str id;
    char *id_text;
    char *url_text;
    bool present;       /* in the store's table at the last look */
    int state;          /* enum host_state: what the operator had set there */
    bool added;         /* the hypervisor took it */
    bool queued;        /* in engine.ready_hosts */
    bool silent;        /* did not answer when it was last asked */
    bool held;          /* this node drives it (lease.h); always, where no others share the store */
    bool was_held;      /* lease_settle's */
    bool dropped;       /* by host_slot_drop, until host_slots_dropped */
    int64_t term;       /* how often this node has taken it */
    bool leaving;       /* nothing new is begun at it: another node is to have it */
    size_t running;
    size_t jobs;        /* active ones of it, in every state */
    struct list link;   /* in engine.ready_hosts */
    struct list ready;  /* active.link */
    struct list blocked; /* active.blocked: to be woken when the host answers again */
    struct list errands; /* errand.link: READY ones (errand.h) */
    struct list errand_link; /* in engine.errand_hosts */
    bool errands_queued;     /* it is */
    bool errand_running;
};

/* Something may have happened to an instance that has no job. */
struct hint {
    struct list link;
    struct str host_id;
    struct str id;
    char text[];
};

/* What gauge.c has to know of each active job, side by side: a hundred thousand are looked at in less than a millisecond. */
struct gauge_job {
    usec_t created_us;
    usec_t deadline_us; /* later by engine.back_us as it was then; USEC_NEVER: none */
    struct active *active;
    int kind;
};

/* When a screen may be shown again. */
struct screen_slot {
    uint64_t hash; /* of the instance's id; 0: none */
    usec_t next_us;
};

#define SCREEN_SLOTS 1024 /* instances whose latest screenshot is remembered, at most */

enum chore_id { CHORE_LEASE, CHORE_PICK_UP, CHORE_CLAIM, CHORE_EXPIRE, CHORE_RELEASE, CHORE_HOSTS, CHORE_RECONCILE, CHORE_ERRANDS, CHORE_COUNT };

/* Regular work of the engine itself: a write, or something for a worker that may block. */
struct chore_row {
    const char *name;
    int (*apply)(struct tx *tx, struct engine *engine);      /* in the writer; NULL: `work` */
    void (*done)(struct engine *engine, int result);         /* after apply; sets the next due time */
    void (*work)(struct engine *engine, struct arena *arena); /* on a worker; sets the next due time */
};

struct chore {
    struct write write;
    struct engine *engine;
    usec_t due_us;
    bool busy;
};

struct lease_found;
struct reconcile;
struct timers;

struct engine {
    struct store *store;
    struct hypervisor *hypervisor;
    struct env *env;
    const struct options *options;
    char *node_text;
    struct str node;

    pthread_mutex_t mutex;
    pthread_cond_t work;  /* something for a worker, or stopping */
    pthread_cond_t timer; /* something is due earlier than timer_until_us, or stopping */
    struct map jobs;      /* instance id, or the number of a disk's job → active */
    struct map hosts;     /* host id → host_slot */
    struct host_slot nowhere; /* of jobs whose machine has no known host */
    struct list ready_hosts;
    struct list hints;
    size_t hint_count;
    bool hint_busy;       /* one worker at a time looks at hints, so that a slow host can't hold all of them */
    struct active **heap;
    size_t heap_count;
    size_t heap_capacity;
    struct gauge_job *gauge_jobs; /* in no order */
    size_t gauge_count;
    size_t gauge_capacity;
    size_t ready_count; /* jobs that are READY */
    size_t host_limit;
    struct chore chores[CHORE_COUNT];
    usec_t timer_until_us;
    usec_t clock_us; /* the latest time that was seen */
    usec_t back_us;  /* by how much the clock has been set back in all */
    usec_t lease_until_us;
    usec_t lease_asked_us; /* the lease that is being written */
    usec_t release_next_us; /* found by CHORE_RELEASE */
    size_t claimed;         /* jobs by the latest CHORE_CLAIM */
    int64_t claimed_last;   /* the last of them */
    int64_t claim_after;    /* where the next one begins: 0, or behind those of the one before */
    int64_t adopted;        /* jobs so far */
    int64_t adopted_before; /* the same at the latest CHORE_EXPIRE */
    int64_t epoch;
    bool shared;            /* other nodes have the same store */
    bool own_machines;      /* simulated hosts are this process's alone */
    struct list peers;      /* lease.h, as are the next three */
    struct lease_found *found;
    int64_t looked_number;  /* of the latest transaction that the picking up has looked behind */
    usec_t looked_us;       /* when the peers were last looked at; 0: never */
    atomic_int_fast64_t node_count; /* living ones, with this one */
    size_t dropping;        /* hosts that are dropped */
    bool recovered;         /* all jobs without a living holder have been taken up once */
    int lease_error;        /* enum error_code: why the latest renewal was not stored; 0: it was */
    int64_t commits_failed; /* of the store, at the latest renewal */
    int64_t silent_hosts;
    bool fenced;
    bool watching;
    bool stopping;
    bool more_comes; /* more work is on its way: nobody need be called for what is here */
    size_t worker_count;
    size_t idle_workers;
    size_t called_workers; /* idle ones that were signalled and have not come yet */
    size_t thread_count;
    size_t ended_count;    /* threads that have nothing to do any more */
    pthread_cond_t ended;  /* one more has */
    pthread_t *threads; /* the timer's, then the workers' */
    struct reconcile *reconcile;

    struct map errands;          /* task id → errand */
    struct map errand_instances; /* instance id → one of its errands */
    struct list errand_hosts;    /* hosts with READY errands and room for one */
    struct timers *errand_timers;
    size_t errand_limit;         /* of workers */
    size_t errands_running;
    bool errand_next;            /* jobs and errands take turns */
    size_t looks; /* threads of the network that wait for a host (look.c) */
    struct screen_slot screens[SCREEN_SLOTS];
};

/* ── active.c: table, heap, queues. All need the mutex unless they say otherwise. ── */

/*
 * A job that is durable becomes active here. Takes the mutex. A machine without a host has host_id absent. One that is active already
 * learns its deadline: it was poked. `is_rest`: the instance's row has gone, and the job is what is left of it.
 */
void active_adopt(struct engine *engine, const struct job *job, struct str host_id, bool is_rest);
void active_wake(struct engine *engine, struct active *active);
/* NULL: it is not one of ours, or not active. */
struct active *active_find(struct engine *engine, const struct job *job);
/* Waits until `until_us`, unless it was woken meanwhile. Where its host is another node's by now, it ends here. */
void active_wait(struct engine *engine, struct active *active, usec_t until_us);
/* Out of the table and freed. */
void active_end(struct engine *engine, struct active *active);
/* The next READY job whose host has room becomes RUNNING; NULL: none. */
struct active *active_take(struct engine *engine);
/* Its host's slot is given back; the job itself is the caller's to place. */
void active_leave(struct engine *engine, struct active *active);
/* Makes READY what is due by `now`; returns when the next is. */
usec_t active_tick(struct engine *engine, usec_t now);
/*
 * The time. When the clock was set back since the latest look, all that waits becomes due as much earlier: what has been
 * waited is not waited again (law 4).
 */
usec_t engine_clock(struct engine *engine);
void active_free_all(struct engine *engine);
struct host_slot *host_slot_get(struct engine *engine, struct str id, bool make);
/* The host has answered: every job that waited for that is READY. */
void host_slot_unblock(struct engine *engine, struct host_slot *host);
/* Did it answer when it was asked? */
void host_slot_heard(struct engine *engine, struct host_slot *host, bool answers);
/*
 * Its jobs and errands leave the memory, with host_slots_dropped: another node has them. What is under way here ends with its step. What
 * is left of an instance without a row stays here: nobody else would find it.
 */
void host_slot_drop(struct engine *engine, struct host_slot *host);
/* After the last of them: one look at all jobs, and not one for each host. */
void host_slots_dropped(struct engine *engine);
/* Whether it may be worked for has changed. */
void host_slot_requeue(struct engine *engine, struct host_slot *host);
/* Sees to it that the timer looks again by `due_us`. */
void engine_due(struct engine *engine, usec_t due_us);
/* There is work: sees to it that a worker looks for it soon. */
void engine_call_worker(struct engine *engine);
/* CHORE is due at `due_us` or earlier. */
void chore_due(struct engine *engine, enum chore_id id, usec_t due_us);

/* ── gauge.c: what is kept for engine_metrics. They need the mutex. ── */

/* A job that has its host becomes active. */
void gauge_add(struct engine *engine, struct active *active);
/* It is none any more. */
void gauge_drop(struct engine *engine, struct active *active);
/* Its deadline came forward. */
void gauge_deadline(struct engine *engine, const struct active *active, usec_t deadline_us);

/* ── steps.c: the tables and their interpreter ── */

struct step {
    const char *name;
    enum step_result (*run)(struct run *run);
};

struct job_kind_row {
    const char *name;
    const struct step *steps;
    size_t count;
    int64_t define; /* index of the step that defines the machine; -1: none */
    bool of_disk;   /* of the one disk in job.disks: the instance may have several, beside its own */
};
extern const struct job_kind_row job_kinds[];

/* The steps that ask a machine to end are the first of every kind that does: jumps use these. */
enum { STEP_PRESS, STEP_CUT, STEP_DEAD, STEP_AFTER_DEAD };
/* Of a redeploy: where one goes on whose machine is at no host. */
#define STEP_REDEFINE (STEP_AFTER_DEAD + 2)

/* One pass over a job's steps on one worker. */
struct run {
    struct engine *engine;
    struct active *active;
    struct job *job;
    struct hypervisor *hv;
    struct str host_id;
    struct arena *arena;
    usec_t now;
    usec_t wake_us;
    int error;          /* of STEP_RETRY: enum error_code */
    const char *doing;  /* what failed, in words */
    struct str why;     /* the host's own words for it; absent: it gave none */
    bool looked;        /* status is what the host said after our latest command */
    bool reached;       /* the host answered in this pass */
    struct machine_status status;
};

/* Runs the job until it waits, records or ends; gives the worker's hold on it back. Takes the mutex. */
void active_run(struct engine *engine, struct active *active, struct arena *arena);

/* True: status is fresh. False: the step returns STEP_RETRY. */
bool run_look(struct run *run) must_check;
/* The result of a command: looks have to be taken again. True: it was carried out. */
bool run_did(struct run *run, int r, const char *doing) must_check;
enum step_result run_failed(struct run *run, int r, const char *doing);
/* As run_did, and the host's words in `fail` are kept. */
bool run_did_or_why(struct run *run, int r, const char *doing, const struct fail *fail) must_check;
enum step_result run_goto(struct run *run, int64_t step);
enum step_result run_record(struct run *run, int (*apply)(struct tx *tx, struct active *active), enum after_record after);
static inline bool machine_is_dead(const struct machine_status *status)
{
    return status->state == MACHINE_ABSENT || status->state == MACHINE_OFF;
}
/*
 * The machine is of a later start than row and job know of: the store is an older copy. They get a number that is not
 * behind, durably, before anything acts on the machine (law 5); then the step runs again.
 */
enum step_result run_raise(struct run *run);
/* Cuts harder each time, kill_wait_s apart. STEP_NEXT: it is dead. */
enum step_result run_cut_ladder(struct run *run);

enum step_result step_press(struct run *run);
enum step_result step_cut(struct run *run);
enum step_result step_dead(struct run *run);
enum step_result step_clear(struct run *run);
enum step_result step_release(struct run *run);
enum step_result step_stopped(struct run *run);
enum step_result step_define(struct run *run);
enum step_result step_announce(struct run *run);
enum step_result step_start(struct run *run);
enum step_result step_booted(struct run *run);
enum step_result step_running(struct run *run);
enum step_result step_undefine(struct run *run);
enum step_result step_gone(struct run *run);
enum step_result step_disk_attach(struct run *run);
enum step_result step_disk_detach(struct run *run);
enum step_result step_disk_delete(struct run *run);
enum step_result step_leave(struct run *run);
enum step_result step_move(struct run *run);
enum step_result step_vacate(struct run *run);
enum step_result step_resettle(struct run *run);

/* What record_left ends the job with. */
static inline void active_say_why(struct active *active, const char *why)
{
    (void)snprintf(active->error, sizeof(active->error), "%s", why);
    active->job.error = str_from(active->error);
    active->error_saved = false;
}

/* ── record.c: what a job writes; each runs in the store's writer ── */

int record_escalation(struct tx *tx, struct active *active);
int record_revert(struct tx *tx, struct active *active);
int record_error(struct tx *tx, struct active *active);
int record_raise(struct tx *tx, struct active *active);
int record_stopped(struct tx *tx, struct active *active);
int record_starting(struct tx *tx, struct active *active);
int record_running(struct tx *tx, struct active *active);
int record_start_failed(struct tx *tx, struct active *active);
int record_gone(struct tx *tx, struct active *active);
/* The end of the job, in its row. */
int record_end(struct tx *tx, struct active *active, enum job_state state, const char *error);

/* ── record_disk.c: the same for the jobs of disks ── */

struct str record_disk_id(const struct job *job);
int record_disk_attached(struct tx *tx, struct active *active);
int record_disk_detached(struct tx *tx, struct active *active);
int record_disk_refused(struct tx *tx, struct active *active);
int record_disk_deleted(struct tx *tx, struct active *active);
int record_disk_over(struct tx *tx, struct active *active);
int record_moved(struct tx *tx, struct active *active);
int record_evacuated(struct tx *tx, struct active *active);
int record_left(struct tx *tx, struct active *active);

struct change {
    struct str from;
    struct str to;
    struct str reason;
    struct str request_id;
    struct str actor;
};
int record_event(struct tx *tx, enum event_kind kind, struct str account_id, struct str instance_id, const struct change *change);
int record_system_event(struct tx *tx, const struct instance *inst, const char *type, const char *reason);
/* The status of a disk was `from`. */
int record_disk_event(struct tx *tx, const struct disk *disk, struct str instance_id, struct str from, const struct order *order);
struct str state_text(int state);

/* ── holdings.c: what an instance holds beside its row ── */

/* A host with room is found and charged: inst->host_id. `full`: the same instance with its cold columns. -E_NO_STOCK. */
int holdings_place(struct tx *tx, struct instance *inst, struct instance *full, struct fail *fail) must_check;
/* inst->host_id is given back and absent. */
int holdings_unplace(struct tx *tx, struct instance *inst) must_check;
struct other {
    struct host *host; /* NULL: there is none, and `why` */
    bool leaves_set;   /* there is one only outside of its deployment set */
    const char *why;
};
/*
 * Another host of the same zone with room, where its disks are seen, and which its deployment set leaves to it. Of a set that lets
 * go whom it leaves no host, one that `has_started` goes when its host is down or drains (OnUnableToRedeployFailedInstance).
 */
int holdings_find_other(const struct engine *engine, struct tx *tx, const struct instance *inst, bool has_started,
                        struct other *ret) must_check;
/* That host is charged instead of inst->host_id, which becomes it; when there is none, *ret_why, and the instance stays where it is. */
int holdings_move(const struct engine *engine, struct tx *tx, struct instance *inst, bool has_started, const char **ret_why)
    must_check;
/* The next free public address: inst->public_ip. -E_PUBLIC_IP_NO_STOCK when all are taken. */
int holdings_take_address(struct tx *tx, struct instance *inst, struct fail *fail) must_check;
int holdings_free_address(struct tx *tx, struct instance *inst) must_check;
/* The disks that go when the instance does, as job.disks has them. */
int holdings_disks_that_go(struct tx *tx, const struct instance *inst, struct str *ret) must_check;
/* Takes the first id off the text; false: there is none. */
bool holdings_next_disk(struct str *text, struct str *ret);
/* The row and all that goes with it; of its disks as holdings_drop_disks. */
int holdings_drop(struct tx *tx, struct instance *inst, struct str going, bool at_host) must_check;
/*
 * Of the instance's disks those in `going` go. The others become Available, or, while its machine is still `at_host`, Detaching
 * until it has left: what is Available may be given to any other machine (law 6).
 */
int holdings_drop_disks(struct tx *tx, struct str instance_id, struct str going, bool at_host) must_check;
/* The row becomes that of a disk which no machine has; it is not written. */
void holdings_release_disk(struct tx *tx, struct disk *disk);
/* "i-…-local-0": the id of a local disk at its host. */
struct str local_disk_id(struct arena *arena, struct str instance_id, int64_t index);

/* ── membership.c: deployment sets ── */

/*
 * Of `hosts` the one for `inst`, which has its cold columns; one that is new in a set with groups gets its group. *ret is NULL when
 * there is none. Hosts change their places in the array.
 */
int membership_place(struct tx *tx, struct instance *inst, struct host *hosts, size_t count, struct host **ret) must_check;
/* The same for one that leaves its host. *ret_cancels: its set would rather let it go than leave it without one. */
int membership_find(struct tx *tx, struct str instance_id, struct host *hosts, size_t count, struct host **ret, bool *ret_cancels)
    must_check;
/* It leaves its set, which is told as an event. */
int membership_cancel(struct tx *tx, struct str instance_id) must_check;

/* ── order.c ── */

#define EVACUATE_DISK_BUSY "one of its disks is being attached or detached"

/* These end one incarnation of the machine and begin the next: the job is of the next one. */
static inline bool job_makes_next(const struct job *job)
{
    return job->kind == JOB_KIND_REBOOT || job->kind == JOB_KIND_REDEPLOY;
}

/* The longest that a job of this kind waits before it goes on by force. */
usec_t order_patience_us(const struct engine *engine, int kind);

/* After COMMIT the job, which is in the store, becomes active. */
void engine_hand_over(struct engine *engine, struct tx *tx, const struct job *job, struct str host_id);
/* Stores the job, and hands it over so. */
int engine_begin_job(struct engine *engine, struct tx *tx, const struct job *job, struct str host_id) must_check;

/* ── observe.c, reconcile.c, chore.c ── */

/* Looks at an instance that has no job and puts right what differs from its row. */
void engine_observe(struct engine *engine, struct arena *arena, struct str host_id, struct str id);
void engine_watch(void *arg, const struct machine_event *event);
void engine_hint(struct engine *engine, struct str host_id, struct str id);
void reconcile_work(struct engine *engine, struct arena *arena);
struct reconcile *reconcile_free(struct reconcile *pass);
extern const struct chore_row chore_rows[CHORE_COUNT];
int engine_take_node(struct engine *engine, struct fail *fail) must_check;
/* errand.c: takes up what a run before this one left. */
int errands_claim(struct engine *engine, struct arena *arena) must_check;
/* Submits the due writes, queues the due work; returns when the next is due. Takes the mutex. */
usec_t engine_tick(struct engine *engine);
/* Does one piece of work; false: there is none. Takes the mutex. */
bool engine_work_once(struct engine *engine, struct arena *arena);
