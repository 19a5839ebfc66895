/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders: what an action asks of the engine, written in the action's own transaction. The hot row once, the job once, one
 * event; nothing else for a stop, which is the order that comes by the thousand. The job becomes active after COMMIT.
 */
#include "base/bug.h"
#include "engine/lease.h"

struct hand_over {
    struct engine *engine;
    struct job job;
    struct str host_id;
    bool is_rest;
};

static void hand_over_committed(void *arg)
{
    struct hand_over *over = arg;

    active_adopt(over->engine, &over->job, over->host_id, over->is_rest);
}

static void batch_handed_over(void *arg)
{
    struct engine *engine = arg;

    pthread_mutex_lock(&engine->mutex);
    if (!list_empty(&engine->ready_hosts))
        engine_call_worker(engine);
    pthread_mutex_unlock(&engine->mutex);
}

static void hand_over(struct engine *engine, struct tx *tx, const struct job *job, struct str host_id, bool is_rest)
{
    struct hand_over *over = arena_new(tx_arena(tx), struct hand_over);

    *over = (struct hand_over){engine, *job, host_id, is_rest};
    /* What the caller gave may live shorter than the transaction. */
    over->job.disks = arena_str(tx_arena(tx), job->disks);
    over->job.request_id = arena_str(tx_arena(tx), job->request_id);
    over->job.instance_id = arena_str(tx_arena(tx), job->instance_id);
    over->job.account_id = arena_str(tx_arena(tx), job->account_id);
    over->host_id = arena_str(tx_arena(tx), host_id);
    if (str_empty(job->holder))
        return; /* the node that drives the host picks it up */
    tx_on_commit(tx, hand_over_committed, over);
    tx_after_batch(tx, batch_handed_over, engine);
}

void engine_hand_over(struct engine *engine, struct tx *tx, const struct job *job, struct str host_id)
{
    hand_over(engine, tx, job, host_id, false);
}

int engine_begin_job(struct engine *engine, struct tx *tx, const struct job *job, struct str host_id)
{
    int r = store_job_insert(tx, job);

    if (r == 0)
        engine_hand_over(engine, tx, job, host_id);
    return r;
}

static struct job new_job(struct engine *engine, struct tx *tx, const struct instance *inst, enum job_kind kind,
                          const struct order *order)
{
    struct job job = {
        .id = env_sequence(tx_env(tx)),
        .kind = (int)kind,
        .state = JOB_STATE_ACTIVE,
        .instance_id = inst->id,
        .account_id = inst->account_id,
        .incarnation = inst->incarnation,
        .stopped_mode = STOPPED_MODE_KEEP_CHARGING,
        .reason = order->reason,
        .request_id = order->request_id,
        .created_us = tx_now(tx),
        .deadline_us = USEC_NEVER,
    };

    lease_sign(engine, &job, inst->host_id);
    return job;
}

static int order_event(struct tx *tx, const struct instance *inst, struct str from, struct str to,
                       const struct order *order)
{
    struct change change = {from, to, str_from(stop_reason_text((enum stop_reason)order->reason)), order->request_id,
                            order->actor};

    return record_event(tx, EVENT_KIND_STATE, inst->account_id, inst->id, &change);
}

/* The row moves to `to` with `job` as its job; both are written, with the event. */
static int begin(struct engine *engine, struct tx *tx, struct instance *inst, enum instance_state to,
                 const struct job *job, const struct order *order)
{
    struct str from = state_text(inst->state);
    int r;

    inst->job_id = job->id;
    instance_move(inst, to, tx_now(tx));
    r = store_instance_save(tx, inst);
    if (r < 0)
        return r;
    r = store_job_insert(tx, job);
    if (r < 0)
        return r;
    r = order_event(tx, inst, from, state_text((int)to), order);
    if (r < 0)
        return r;
    engine_hand_over(engine, tx, job, inst->host_id);
    return 0;
}

/* ── stop ── */

usec_t order_patience_us(const struct engine *engine, int kind)
{
    const struct options *options = engine->options;
    const int64_t patience_s[] = {
        [JOB_KIND_START] = options->start_timeout_s,
        [JOB_KIND_STOP] = options->stop_graceful_timeout_s,
        [JOB_KIND_REBOOT] = options->reboot_timeout_s,
        [JOB_KIND_DELETE] = options->stop_graceful_timeout_s,
        [JOB_KIND_DELETE_DISK] = 0, /* the jobs of disks have no deadline */
        [JOB_KIND_REDEPLOY] = options->reboot_timeout_s,
        [JOB_KIND_EVACUATE] = 0, /* it waits for nothing */
    };

    static_assert(countof(patience_s) == JOB_KIND_COUNT, "every kind has its patience");
    return patience_s[kind] * USEC_PER_SEC;
}

static usec_t deadline_of(const struct engine *engine, const struct job *job)
{
    return job->created_us + (job->force ? 0 : order_patience_us(engine, job->kind));
}

struct overtake {
    struct engine *engine;
    struct str instance_id;
    int64_t job_id;
    usec_t deadline_us;
};

static void overtake_committed(void *arg)
{
    struct overtake *overtake = arg;
    struct engine *engine = overtake->engine;
    struct active *active;

    pthread_mutex_lock(&engine->mutex);
    active = map_get(&engine->jobs, overtake->instance_id);
    if (active && active->job.id == overtake->job_id) {
        active->overtaken_us = overtake->deadline_us;
        gauge_deadline(engine, active, overtake->deadline_us);
        active_wake(engine, active);
    }
    pthread_mutex_unlock(&engine->mutex);
}

/* The waiting job goes on to the cut, now; its row says so before anybody is told. */
static int overtake_job(struct engine *engine, struct tx *tx, struct instance *inst, const struct order *order,
                        struct fail *fail)
{
    struct overtake *overtake = arena_new(tx_arena(tx), struct overtake);
    struct job *job;
    int r;

    r = store_job_get(tx, inst->job_id, &job);
    if (r < 0)
        return r;
    if (job->kind == JOB_KIND_REDEPLOY) /* it would not end in Stopped */
        return fail(fail, E_INSTANCE_STATUS, state_text(inst->state), STR("Running"));
    job->deadline_us = MIN_OF(job->deadline_us, tx_now(tx));
    job->step = MAX_OF(job->step, (int64_t)STEP_CUT);
    r = store_job_save(tx, job);
    if (r >= 0 && engine->shared)
        r = store_job_poke(tx, job->id); /* it may be another node's */
    if (r < 0)
        return r;
    *overtake = (struct overtake){engine, arena_str(tx_arena(tx), inst->id), job->id, job->deadline_us};
    tx_on_commit(tx, overtake_committed, overtake);
    return order_event(tx, inst, STR("Stopping"), STR("Stopping"), order);
}

int engine_order_stop(struct engine *engine, struct tx *tx, struct instance *inst, const struct stop_order *stop,
                      const struct order *order, struct fail *fail)
{
    struct stop_rules rules = {.local_disk_clear = engine->options->compat_local_disk_clear};
    struct job job;

    if (inst->state == INSTANCE_STATE_STOPPING && stop->force)
        return overtake_job(engine, tx, inst, order, fail);
    if (inst->state != INSTANCE_STATE_RUNNING)
        return fail(fail, E_INSTANCE_STATUS, state_text(inst->state), STR("Running"));
    job = new_job(engine, tx, inst, JOB_KIND_STOP, order);
    job.force = stop->force;
    job.deadline_us = deadline_of(engine, &job);
    job.release_capacity = stop->stopped_mode == STOPPED_MODE_STOP_CHARGING && instance_may_stop_charging(inst);
    job.stopped_mode = job.release_capacity ? STOPPED_MODE_STOP_CHARGING : STOPPED_MODE_KEEP_CHARGING;
    /* Only a stop of the API costs what they hold. */
    job.clear_local = order->reason == STOP_REASON_API && instance_clears_local_disks(inst, &rules);
    /* Whatever happens to the host in between: they are blank before the next boot. */
    if (job.clear_local)
        inst->reinit_local = true;
    return begin(engine, tx, inst, INSTANCE_STATE_STOPPING, &job, order);
}

/* ── start ── */

/* What an economical stop gave back is taken again: room on a host, and an address if there was one. */
static int take_back(struct engine *engine, struct tx *tx, struct instance *inst, struct fail *fail)
{
    usec_t reclaimed = inst->state_since_us + engine->options->stop_reclaim_s * USEC_PER_SEC;
    struct instance *full;
    int r;

    if (tx_now(tx) < reclaimed)
        return fail(fail, E_OPERATION_CONFLICT);
    r = store_instance_get(tx, inst->id, &full);
    if (r < 0)
        return r;
    r = holdings_place(tx, inst, full, fail);
    if (r < 0 || !full->wants_public_ip)
        return r;
    r = holdings_take_address(tx, inst, fail);
    if (r < 0)
        return r;
    full->wants_public_ip = false;
    inst->wants_public_ip = false;
    return store_instance_save_doc(tx, full);
}

/* Nothing is lost on one that is placed already; on failure the row is as it was. */
static int be_placed(struct engine *engine, struct tx *tx, struct instance *inst, struct fail *fail)
{
    struct str public_ip = inst->public_ip;
    int r;

    if (!str_empty(inst->host_id))
        return 0;
    r = take_back(engine, tx, inst, fail);
    if (r < 0) {
        inst->host_id = STR_NONE;
        inst->public_ip = public_ip;
    }
    return r;
}

int engine_order_start(struct engine *engine, struct tx *tx, struct instance *inst, const struct order *order,
                       struct fail *fail)
{
    struct job job;
    int r;

    if (inst->state != INSTANCE_STATE_STOPPED)
        return fail(fail, E_INSTANCE_STATUS, state_text(inst->state), STR("Stopped"));
    if (inst->job_id != 0)
        return fail(fail, E_OPERATION_CONFLICT);
    r = be_placed(engine, tx, inst, fail);
    if (r < 0)
        return r;
    inst->incarnation++;
    job = new_job(engine, tx, inst, JOB_KIND_START, order);
    job.deadline_us = deadline_of(engine, &job);
    r = begin(engine, tx, inst, INSTANCE_STATE_STARTING, &job, order);
    if (r < 0)
        return r;
    return store_segment_switch(tx, inst, BILLING_MODE_RUNNING, tx_now(tx));
}

int engine_order_reboot(struct engine *engine, struct tx *tx, struct instance *inst, bool force,
                        const struct order *order, struct fail *fail)
{
    struct job job;

    if (inst->state != INSTANCE_STATE_RUNNING)
        return fail(fail, E_INSTANCE_STATUS, state_text(inst->state), STR("Running"));
    inst->incarnation++;
    job = new_job(engine, tx, inst, JOB_KIND_REBOOT, order);
    job.force = force;
    job.deadline_us = deadline_of(engine, &job);
    return begin(engine, tx, inst, INSTANCE_STATE_STARTING, &job, order);
}

/* ── redeploy ── */

/* One that holds no room on a host is at none: it is placed anew, as at any start. */
static int redeploy_stopped(struct engine *engine, struct tx *tx, struct instance *inst, const struct order *order,
                            struct fail *fail)
{
    bool at_host = !str_empty(inst->host_id);
    struct job job;
    int r;

    r = be_placed(engine, tx, inst, fail);
    if (r < 0)
        return r;
    inst->incarnation++;
    job = new_job(engine, tx, inst, JOB_KIND_REDEPLOY, order);
    job.step = at_host ? STEP_DEAD : STEP_REDEFINE;
    job.deadline_us = deadline_of(engine, &job);
    r = begin(engine, tx, inst, INSTANCE_STATE_STARTING, &job, order);
    if (r < 0)
        return r;
    return store_segment_switch(tx, inst, BILLING_MODE_RUNNING, tx_now(tx));
}

int engine_order_redeploy(struct engine *engine, struct tx *tx, struct instance *inst, bool force,
                          const struct order *order, struct fail *fail)
{
    struct job job;

    if (inst->state == INSTANCE_STATE_STOPPED && inst->job_id != 0)
        return fail(fail, E_OPERATION_CONFLICT);
    if (inst->state == INSTANCE_STATE_STOPPED)
        return redeploy_stopped(engine, tx, inst, order, fail);
    if (inst->state != INSTANCE_STATE_RUNNING)
        return fail(fail, E_INSTANCE_STATUS, state_text(inst->state), STR("Running,Stopped"));
    inst->incarnation++;
    job = new_job(engine, tx, inst, JOB_KIND_REDEPLOY, order);
    job.force = force;
    job.deadline_us = deadline_of(engine, &job);
    return begin(engine, tx, inst, INSTANCE_STATE_STOPPING, &job, order);
}

/* ── evacuate ── */

static const char *why_it_stays(struct tx *tx, const struct instance *inst)
{
    if (inst->state != INSTANCE_STATE_STOPPED)
        return arena_printf(tx_arena(tx), "it is %.*s", STR_ARG(state_text(inst->state))).ptr;
    if (instance_has_local_disks(inst) && !BUG(local_disks_moved))
        return "its local disks would be lost";
    if (instance_type_of(inst)->persistent_memory_mib > 0)
        return "what is in its persistent memory would be lost";
    return NULL;
}

int engine_order_evacuate(struct engine *engine, struct tx *tx, struct instance *inst, const struct order *order,
                          const char **ret_why)
{
    bool disk_busy = false;
    struct job job;
    int r;

    assert(!str_empty(inst->host_id));
    *ret_why = why_it_stays(tx, inst);
    if (*ret_why || inst->job_id != 0)
        return 0;
    r = store_disk_busy(tx, inst->id, &disk_busy);
    if (r < 0)
        return r;
    if (disk_busy) {
        *ret_why = EVACUATE_DISK_BUSY;
        return 0;
    }
    job = new_job(engine, tx, inst, JOB_KIND_EVACUATE, order);
    inst->job_id = job.id;
    r = store_instance_save(tx, inst);
    if (r < 0)
        return r;
    return engine_begin_job(engine, tx, &job, inst->host_id);
}

/* ── delete ── */

/* Off already: its rows go at once; what is left at its host and of its disks is a job's. */
static int delete_stopped(struct engine *engine, struct tx *tx, struct instance *inst, const struct order *order)
{
    struct job job = new_job(engine, tx, inst, JOB_KIND_DELETE, order);
    struct str host_id = inst->host_id;
    struct instance *full;
    int r;

    r = order_event(tx, inst, state_text(inst->state), STR("Deleted"), order);
    if (r < 0)
        return r;
    r = store_instance_get(tx, inst->id, &full);
    if (r < 0)
        return r;
    r = holdings_disks_that_go(tx, full, &job.disks);
    if (r < 0)
        return r;
    r = holdings_drop(tx, full, job.disks, !str_empty(host_id));
    if (r < 0 || (str_empty(host_id) && str_empty(job.disks)))
        return r;
    job.step = STEP_DEAD;
    r = store_job_insert(tx, &job);
    if (r < 0)
        return r;
    hand_over(engine, tx, &job, host_id, true);
    return 0;
}

int engine_order_delete(struct engine *engine, struct tx *tx, struct instance *inst, bool force_stop,
                        const struct order *order, struct fail *fail)
{
    struct job job;
    int r;

    if (inst->state == INSTANCE_STATE_STOPPED && inst->job_id != 0)
        return fail(fail, E_OPERATION_CONFLICT);
    if (inst->state == INSTANCE_STATE_STOPPED)
        return delete_stopped(engine, tx, inst, order);
    if (inst->state != INSTANCE_STATE_RUNNING)
        return fail(fail, E_INSTANCE_STATUS, state_text(inst->state), STR("Running,Stopped"));
    job = new_job(engine, tx, inst, JOB_KIND_DELETE, order);
    job.force = force_stop;
    job.deadline_us = deadline_of(engine, &job);
    r = holdings_disks_that_go(tx, inst, &job.disks);
    if (r < 0)
        return r;
    return begin(engine, tx, inst, INSTANCE_STATE_STOPPING, &job, order);
}

/* ── create ── */

/* The row as it is to be inserted: at once Stopped, or Pending with the job that starts it. */
static int insert_created(struct engine *engine, struct tx *tx, struct instance *inst, bool start,
                          const struct order *order)
{
    struct job job;
    int r;

    inst->state = INSTANCE_STATE_PENDING;
    inst->state_since_us = tx_now(tx);
    inst->stopped_mode = STOPPED_MODE_KEEP_CHARGING;
    if (!start) {
        instance_move(inst, INSTANCE_STATE_STOPPED, tx_now(tx));
        return store_instance_insert(tx, inst);
    }
    inst->incarnation++;
    job = new_job(engine, tx, inst, JOB_KIND_START, order);
    job.deadline_us = deadline_of(engine, &job);
    inst->job_id = job.id;
    r = store_instance_insert(tx, inst);
    if (r < 0)
        return r;
    return engine_begin_job(engine, tx, &job, inst->host_id);
}

int engine_order_create(struct engine *engine, struct tx *tx, struct instance *inst, bool start,
                        const struct order *order, struct fail *fail)
{
    int r;

    assert(inst->job_id == 0 && inst->incarnation == 0);
    r = holdings_place(tx, inst, inst, fail);
    if (r < 0)
        return r;
    if (inst->wants_public_ip && str_empty(inst->public_ip)) {
        r = holdings_take_address(tx, inst, fail);
        if (r < 0)
            return r;
        inst->wants_public_ip = false;
    }
    r = insert_created(engine, tx, inst, start, order);
    if (r < 0)
        return r;
    if (inst->release_us != 0 || inst->expires_us != 0)
        engine_release_changed(engine, tx);
    r = order_event(tx, inst, STR_NONE, state_text(inst->state), order);
    if (r < 0)
        return r;
    return store_segment_switch(tx, inst, start ? BILLING_MODE_RUNNING : BILLING_MODE_KEPT, tx_now(tx));
}
