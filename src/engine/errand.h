/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the engine only: errands, the tasks of invocations that are under way in guests.
 *
 *               due, event               taken by a worker
 *   WAITING ───────────────▶ READY ───────────────────▶ RUNNING ──▶ WAITING (next look, retry)
 *   (timers)                 (its host's queue)            │
 *                              ▲                           └──────▶ RECORDING (a write is on its way) ──▶ READY or gone
 *                              └──────────────────────────────────────────┘
 *
 * Invariants
 * 1. engine.mutex guards all but the inside of an errand that is RUNNING (its worker's) or RECORDING (the store's writer's).
 * 2. A script is given to an agent once at most: that it will be is durable before it is (errand_record_intent), and a task
 *    whose intent was recorded by somebody else, without the agent's number, is lost, never given again.
 * 3. Errands take one worker of a host and half of all at most, and one whose guest answers slowly comes back as much later:
 *    jobs always have workers, and a slow guest can't take its neighbours' turns.
 */
#pragma once

#include "engine/active.h"
#include "base/timers.h"
#include "model/command.h"

enum errand_step {
    ERRAND_DELIVER, /* until the agent answers */
    ERRAND_START,   /* the intent is durable: give it the script */
    ERRAND_POLL,    /* until it has ended, or has to */
    ERRAND_LOST,    /* it was perhaps started; nobody knows its number */
};

struct errand {
    struct write write; /* the record that is on its way */
    struct engine *engine;
    struct host_slot *host;
    struct timer timer;  /* WAITING */
    struct list link;    /* READY: in host->errands */
    struct list mates;   /* the others of its instance */
    enum active_state state;
    bool woken;
    bool stop_asked;     /* the row says Stopping, or Cancelled */
    usec_t back_us;      /* engine.back_us when its times were last put right */
    usec_t ready_us;     /* READY since */
    /* the worker's */
    bool stopping;       /* stop_asked, as of when it was taken */
    enum errand_step step;
    enum errand_step next; /* after the record */
    int (*apply)(struct tx *tx, struct errand *errand); /* not NULL: recorded before anything else */
    struct host_slot *moved; /* its machine has another host */
    usec_t pause_us;     /* until the next look */
    usec_t killed_us;    /* 0: not yet */
    int refused;         /* -E_…: what the latest try to deliver it met; 0: there was none */
    char *output;        /* what task.output points to */
    struct invocation_task task; /* texts in `text` but for the output */
    char text[];
};

/* One pass of an errand on one worker. */
struct errand_run {
    struct engine *engine;
    struct errand *errand;
    struct invocation_task *task;
    struct hypervisor *hv;
    struct arena *arena;
    usec_t now;
    usec_t wake_us;
    bool ended; /* nothing is to be recorded any more */
};

/* ── errand.c: table, timers, queues. They need the mutex, but for errand_adopt, which takes it. ── */

void errands_init(struct engine *engine);
void errands_free(struct engine *engine);
/* A durable task of a host of ours becomes an errand; one that is there already stays, and hears whether it is to be stopped. */
void errand_adopt(struct engine *engine, const struct invocation_task *task, struct str host_id);
/* The next one whose host has room; NULL: none. */
struct errand *errand_take(struct engine *engine);
/* Something happened to the machine: its errands look at once. */
void errand_wake_instance(struct engine *engine, struct str instance_id);
/* As host_slots_dropped and host_slot_requeue, for errands. */
void errands_drop(struct engine *engine);
void errands_requeue(struct engine *engine, struct host_slot *host);
/* Makes READY what is due; returns when the next is. */
usec_t errands_tick(struct engine *engine, usec_t now);
/* The clock was set back. */
void errands_back(struct engine *engine, usec_t by_us);
bool errands_ready(const struct engine *engine);
/* Of the one that has waited longest at the head of a host's queue; only when errands_ready. */
usec_t errands_ready_since(const struct engine *engine);
/* After a pass: back to wait, or gone, or to the writer. Takes the mutex. */
void errand_after(struct errand_run *run);

/* ── errand_steps.c ── */

/* Carries it out until it waits, records or ends. Takes the mutex. */
void errand_run(struct engine *engine, struct errand *errand, struct arena *arena);

/* ── errand_record.c: what is written; each runs in the store's writer. -E_CONFLICT: the row has ended meanwhile. ── */

int errand_record_intent(struct tx *tx, struct errand *errand);
int errand_record_pid(struct tx *tx, struct errand *errand);
int errand_record_end(struct tx *tx, struct errand *errand);
