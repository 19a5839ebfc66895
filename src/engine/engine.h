/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable work: jobs that carry instances from state to state through any crash.
 *
 * Invariants
 * 1. The transition of an instance and the job that carries it out are one transaction.
 * 2. A step may run again at any time: it looks before it acts, and records after it has acted.
 * 3. Stopped is written only after hv probe has said OFF (or the machine was never defined) for the job's incarnation.
 * 4. Deadlines are in the job row and never move later.
 * 5. Only the holder of the node's current epoch writes a job.
 */
#pragma once

#include "base/buf.h"
#include "hypervisor/hypervisor.h"
#include "store/store.h"

struct engine;

struct engine_settings {
    struct store *store;
    struct hypervisor *hypervisor;
    struct env *env;
    const struct options *options;
    struct str node;           /* this process's name among nodes; "local" with SQLite */
    bool shared;               /* other nodes may have the same store: hosts are leased */
    bool own_machines;         /* simulated hosts are this process's alone: no other node can drive them */
};

int engine_open(const struct engine_settings *settings, struct fail *fail, struct engine **ret) must_check;
/* Takes the lease, registers the hosts, claims unfinished jobs, reconciles; then starts workers and timers. */
int engine_start(struct engine *engine, struct fail *fail) must_check;
/* As engine_start, but without threads: the simulation and unit tests drive engine_run_due. */
int engine_recover(struct engine *engine, struct fail *fail) must_check;
/*
 * Lets running steps end, gives no new ones, stops the threads. Unfinished jobs stay for the next start. False: after `patience_us`
 * some call to a host, or to the database, has not come back. Then the leases run out by themselves, and the engine can't be closed: the process has to
 * end without that, which is as safe as a power failure.
 */
bool engine_stop(struct engine *engine, usec_t patience_us) must_check;
struct engine *engine_close(struct engine *engine);
/* Runs every step, timer and reconciliation that is due, inline; returns when the next is due (USEC_NEVER: nothing known). */
usec_t engine_run_due(struct engine *engine);

/* ── orders: called by actions inside their write transaction. Checks have been made; rows and job are written here. ── */

struct order {
    struct str request_id;
    struct str actor;     /* access key id, for the event */
    int reason;           /* enum stop_reason */
};

/* Running → Stopping. On force with stop.force_overtakes also Stopping (the waiting job is cut short). */
int engine_order_stop(struct engine *engine, struct tx *tx, struct instance *inst, const struct stop_order *stop,
                      const struct order *order, struct fail *fail) must_check;
/* Stopped or Pending → Starting: reserves capacity if none is (-E_NO_STOCK), gives a public address if one is owed, next incarnation. */
int engine_order_start(struct engine *engine, struct tx *tx, struct instance *inst, const struct order *order,
                       struct fail *fail) must_check;
/* Running → Starting. force: power cycle. */
int engine_order_reboot(struct engine *engine, struct tx *tx, struct instance *inst, bool force, const struct order *order,
                        struct fail *fail) must_check;
/*
 * RUNNING → STOPPING, or STOPPED → STARTING; ends RUNNING at another host, if one has room. Local disks become blank.
 * `force`: power off. -E_NO_STOCK as start.
 */
int engine_order_redeploy(struct engine *engine, struct tx *tx, struct instance *inst, bool force, const struct order *order,
                          struct fail *fail) must_check;
/*
 * A Stopped instance is to leave its host for another one, where it stays Stopped. 0 with *ret_why NULL: inst->job_id does that, be it
 * one that was ordered before; it ends as failed, with the reason, when it leaves the instance where it is. 0 with *ret_why: it
 * stays, for that reason.
 */
int engine_order_evacuate(struct engine *engine, struct tx *tx, struct instance *inst, const struct order *order,
                          const char **ret_why) must_check;
/*
 * Releases: Stopped at once for the API (job cleans up the host), Running through Stopping (`force_stop`: power off,
 * else asks the guest first). Afterwards the instance and what goes with it is gone.
 */
int engine_order_delete(struct engine *engine, struct tx *tx, struct instance *inst, bool force_stop, const struct order *order,
                        struct fail *fail) must_check;
/*
 * A new instance's row is given to the engine: places it (capacity; -E_NO_STOCK), writes its first billing segment and event.
 * State PENDING, then as `start`: job start (ends RUNNING) or at once STOPPED. inst->host_id is set.
 */
int engine_order_create(struct engine *engine, struct tx *tx, struct instance *inst, bool start, const struct order *order,
                        struct fail *fail) must_check;
/* A task of an invocation, whose row the caller has written, is carried out after COMMIT at the instance's host. */
void engine_order_task(struct engine *engine, struct tx *tx, const struct invocation_task *task, struct str host_id);
/*
 * Ends a task: Cancelled at once when no agent has it yet, else Stopping. One that has ended stays. The caller folds its
 * invocation.
 */
int engine_order_task_stop(struct engine *engine, struct tx *tx, struct invocation_task *task) must_check;
/*
 * An available disk comes to an instance that is Running (through Attaching) or Stopped (at once): disk_attach_check has said
 * that it may. `device`: its name there.
 */
int engine_order_disk_attach(struct engine *engine, struct tx *tx, struct disk *disk, const struct instance *inst,
                             struct str device, const struct order *order) must_check;
/* It leaves the instance, through Detaching; until no machine has it. */
int engine_order_disk_detach(struct engine *engine, struct tx *tx, struct disk *disk, const struct instance *inst,
                             const struct order *order) must_check;
/* The row of an available disk goes at once; what is on it is a job's to remove. */
int engine_order_disk_delete(struct engine *engine, struct tx *tx, struct disk *disk, const struct order *order) must_check;
/* A host was added, changed or removed by the operator: take it up after COMMIT. */
void engine_host_changed(struct engine *engine, struct tx *tx, struct str host_id);
struct hypervisor *engine_hypervisor(struct engine *engine);
/* release_us, expires_us or the financial lock of an instance changed: look again when the next one is due. */
void engine_release_changed(struct engine *engine, struct tx *tx);
/*
 * A thread of the network is about to ask the instance's host something. -E_UNREACHABLE: that host is known not to answer;
 * -E_LIMIT: enough wait for hosts, or `every_us` (0: any time) has not passed since the same was asked. After 0 comes
 * engine_look_end, with what the host said.
 */
int engine_look_begin(struct engine *engine, struct str host_id, struct str id, usec_t every_us) must_check;
void engine_look_end(struct engine *engine, struct str host_id, int result);
const struct options *engine_options(const struct engine *engine);

/* How many nodes share the store and live, with this one: 1 or more. What is allowed to all is shared among them. */
int64_t engine_nodes(const struct engine *engine);

/* ── for operators ── */

/* Why no call should be sent here; NULL: nothing is wrong. A constant text. */
const char *engine_unready(struct engine *engine);
/*
 * The gauges of jobs, hosts and the lease, as of now: those without a label are set (base/metric.h), the others are printed.
 * Takes about a millisecond with a hundred thousand jobs.
 */
void engine_metrics(struct engine *engine, struct buf *out);
/* The name of a step of a kind of job; a constant text. */
const char *engine_step_name(int kind, int64_t step);
/* A job as the store has it gets the step and the attempts that it has by now, when it is one of ours. */
void engine_job_progress(struct engine *engine, struct job *job);
/* Moves a virtual clock, durably, and what falls due is carried out. -E_INVALID: beyond the year 9999; what the store says. */
int engine_clock_advance(struct engine *engine, usec_t by_us, struct str request_id) must_check;
/* Moves a virtual clock to where it stood at the end, if that is later; before an engine or a hypervisor uses it. */
int engine_clock_restore(struct store *store, struct env *env) must_check;
