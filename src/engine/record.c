/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job writes. Each function is one write of the store: all of it or nothing, together with the job's own row, so
 * that no crash can separate a state from the job that made it. A job whose instance has gone or has another job now ends
 * as failed and changes nothing else.
 */
#include "base/bug.h"
#include "engine/active.h"

struct str state_text(int state)
{
    return str_from(sm_name(&instance_sm, state));
}

int record_event(struct tx *tx, enum event_kind kind, struct str account_id, struct str instance_id,
                 const struct change *change)
{
    struct event event = {
        .time_us = tx_now(tx),
        .kind = (int)kind,
        .account_id = account_id,
        .instance_id = instance_id,
        .from_state = change->from,
        .to_state = change->to,
        .reason = change->reason,
        .request_id = change->request_id,
        .actor = change->actor,
    };

    return store_event_add(tx, &event);
}

int record_system_event(struct tx *tx, const struct instance *inst, const char *type, const char *reason)
{
    struct system_event event = {
        .id = env_id(tx_env(tx), tx_arena(tx), "e-"),
        .account_id = inst->account_id,
        .region_id = inst->region_id,
        .instance_id = inst->id,
        .type = str_from(type),
        .cycle_status = STR("Executed"),
        .reason = str_from(reason),
        .published_us = tx_now(tx),
        .not_before_us = tx_now(tx),
        .finished_us = tx_now(tx),
    };

    return store_system_event_add(tx, &event);
}

/* An event of the engine's own about a job. */
static int job_event(struct tx *tx, const struct job *job, enum event_kind kind, struct str from, struct str to,
                     struct str reason)
{
    struct change change = {from, to, reason, job->request_id, STR("engine")};

    return record_event(tx, kind, job->account_id, job->instance_id, &change);
}

/* The job's row follows while it goes on. */
static int save_progress(struct tx *tx, struct active *active, int64_t step)
{
    struct job job = active->job;

    job.step = step;
    return store_job_save(tx, &job);
}

int record_end(struct tx *tx, struct active *active, enum job_state state, const char *error)
{
    struct job job = active->job;

    job.state = (int)state;
    job.finished_us = tx_now(tx);
    job.error = error ? str_from(error) : STR_NONE;
    return store_job_save(tx, &job);
}

/* The job's instance, hot columns; NULL: not the job's any more. */
static int load_own(struct tx *tx, struct active *active, struct instance **ret)
{
    struct instance *inst;
    int r;

    r = store_instance_get_hot(tx, active->job.instance_id, &inst);
    if (r < 0 && r != -E_NOT_FOUND)
        return r;
    *ret = r >= 0 && inst->job_id == active->job.id ? inst : NULL;
    return 0;
}

static int end_without_instance(struct tx *tx, struct active *active)
{
    return record_end(tx, active, JOB_STATE_FAILED, "the instance is gone or has another job");
}

/* The row moves and is saved, with its event. */
static int move(struct tx *tx, struct active *active, struct instance *inst, enum instance_state to,
                enum stop_reason reason)
{
    struct str from = state_text(inst->state);
    int r;

    instance_move(inst, to, tx_now(tx));
    r = store_instance_save(tx, inst);
    if (r < 0)
        return r;
    return job_event(tx, &active->job, EVENT_KIND_STATE, from, state_text((int)to), str_from(stop_reason_text(reason)));
}

int record_error(struct tx *tx, struct active *active)
{
    return save_progress(tx, active, active->job.step);
}

int record_raise(struct tx *tx, struct active *active)
{
    struct job job = active->job;
    struct instance *inst;
    int r;

    job.incarnation = active->raised;
    r = store_job_save(tx, &job);
    if (r < 0)
        return r;
    r = load_own(tx, active, &inst);
    if (r < 0 || !inst)
        return r; /* a machine whose row has gone is only cleaned up */
    assert(inst->incarnation < active->raised);
    inst->incarnation = active->raised;
    r = store_instance_save(tx, inst);
    if (r < 0)
        return r;
    return job_event(tx, &job, EVENT_KIND_RECONCILE, state_text(inst->state), state_text(inst->state),
                     STR("the host has a machine of a later start than the store knew: its number is taken over"));
}

/* Durable before the power is cut, so that the reason is known even if we die between the two. */
int record_escalation(struct tx *tx, struct active *active)
{
    struct instance *inst;
    int r;

    r = load_own(tx, active, &inst);
    if (r < 0)
        return r;
    r = save_progress(tx, active, STEP_CUT);
    if (r < 0 || !inst)
        return r;
    r = job_event(tx, &active->job, EVENT_KIND_ESCALATE, state_text(inst->state), state_text(inst->state),
                  STR("the guest did not shut down in time; its power is cut"));
    if (r < 0)
        return r;
    return record_system_event(tx, inst, "SystemFailure.Stop",
                               "The operating system did not shut down in time and was powered off.");
}

int record_revert(struct tx *tx, struct active *active)
{
    struct instance *inst;
    struct job *stored;
    int r;

    r = load_own(tx, active, &inst);
    if (r < 0)
        return r;
    if (!inst)
        return end_without_instance(tx, active);
    r = store_job_get(tx, active->job.id, &stored);
    if (r < 0)
        return r;
    /* A forced order was accepted since this was decided: its caller has been told that the instance stops. */
    if (stored->step > STEP_PRESS) {
        active->apply = record_error;
        active->after = AFTER_RETRY;
        active->wake_us = tx_now(tx); /* overtake_committed has woken it */
        return 0;
    }
    inst->job_id = 0;
    if (active->job.clear_local)
        inst->reinit_local = false; /* the stop that would have cleared them did not happen */
    r = move(tx, active, inst, INSTANCE_STATE_RUNNING, (enum stop_reason)active->job.reason);
    if (r < 0)
        return r;
    r = job_event(tx, &active->job, EVENT_KIND_REVERT, STR("Stopping"), STR("Running"),
                  STR("the guest did not shut down in time; it runs on"));
    if (r < 0)
        return r;
    return record_end(tx, active, JOB_STATE_FAILED, "the guest did not shut down in time");
}

int record_stopped(struct tx *tx, struct active *active)
{
    const struct job *job = &active->job;
    struct instance *inst;
    int r;

    r = load_own(tx, active, &inst);
    if (r < 0)
        return r;
    if (!inst)
        return end_without_instance(tx, active);
    inst->job_id = 0;
    inst->stopped_mode = job->release_capacity ? STOPPED_MODE_STOP_CHARGING : STOPPED_MODE_KEEP_CHARGING;
    if (job->clear_local)
        inst->reinit_local = false;
    if (job->release_capacity) {
        r = holdings_free_address(tx, inst);
        if (r < 0)
            return r;
        if (BUG(double_release))
            (void)!store_host_reserve(tx, inst->host_id, -2, -8192);
        r = holdings_unplace(tx, inst);
        if (r < 0)
            return r;
    }
    r = move(tx, active, inst, INSTANCE_STATE_STOPPED, (enum stop_reason)job->reason);
    if (r < 0)
        return r;
    if (!BUG(segment_left_open))
        r = store_segment_switch(tx, inst, job->release_capacity ? BILLING_MODE_FREE : BILLING_MODE_KEPT, tx_now(tx));
    if (r < 0)
        return r;
    return record_end(tx, active, JOB_STATE_DONE, NULL);
}

int record_starting(struct tx *tx, struct active *active)
{
    struct instance *inst;
    int r;

    r = load_own(tx, active, &inst);
    if (r < 0)
        return r;
    if (inst && inst->state == INSTANCE_STATE_PENDING) {
        r = move(tx, active, inst, INSTANCE_STATE_STARTING, (enum stop_reason)active->job.reason);
        if (r < 0)
            return r;
    }
    return save_progress(tx, active, active->job.step + 1);
}

/* The machine has left its host; where it is to be from now on is as durable as that it starts there. */
int record_moved(struct tx *tx, struct active *active)
{
    struct engine *engine = active->engine;
    struct instance *inst;
    const char *why; /* it starts again where it is */
    struct str from;
    int r;

    r = load_own(tx, active, &inst);
    if (r < 0)
        return r;
    if (!inst) {
        active->after = AFTER_END;
        return end_without_instance(tx, active);
    }
    from = inst->host_id;
    r = holdings_move(engine, tx, inst, true, &why);
    if (r < 0)
        return r;
    /* Also where something of an earlier stay is left at the new host. */
    inst->reinit_local = instance_has_local_disks(inst);
    r = job_event(tx, &active->job, EVENT_KIND_HOST, from, inst->host_id, STR("redeployed: the machine has left its host"));
    if (r < 0)
        return r;
    if (inst->state == INSTANCE_STATE_STOPPING)
        r = move(tx, active, inst, INSTANCE_STATE_STARTING, (enum stop_reason)active->job.reason);
    else
        r = store_instance_save(tx, inst);
    if (r < 0)
        return r;
    pthread_mutex_lock(&engine->mutex);
    active->moved_to = host_slot_get(engine, inst->host_id, true);
    pthread_mutex_unlock(&engine->mutex);
    return save_progress(tx, active, active->job.step + 1);
}

/* It stays where it was, which is where its next start defines it; the reason is in active->error. */
int record_left(struct tx *tx, struct active *active)
{
    struct instance *inst;
    int r;

    r = load_own(tx, active, &inst);
    if (r < 0)
        return r;
    if (!inst)
        return end_without_instance(tx, active);
    if (!BUG(left_without_word))
        inst->job_id = 0;
    r = store_instance_save(tx, inst);
    return r < 0 ? r : record_end(tx, active, JOB_STATE_FAILED, active->error);
}

static int leave_there(struct tx *tx, struct active *active, const char *why)
{
    active_say_why(active, why);
    active->apply = record_left;
    return record_left(tx, active);
}

/* The machine has left its host, and its disks are no other job's: from now on its place is elsewhere. */
int record_evacuated(struct tx *tx, struct active *active)
{
    struct instance *inst;
    bool disk_busy;
    const char *why;
    struct str from;
    int r;

    r = load_own(tx, active, &inst);
    if (r < 0)
        return r;
    if (!inst)
        return end_without_instance(tx, active);
    assert(inst->state == INSTANCE_STATE_STOPPED);
    r = store_disk_busy(tx, inst->id, &disk_busy);
    if (r < 0)
        return r;
    if (disk_busy)
        return leave_there(tx, active, EVACUATE_DISK_BUSY);
    from = inst->host_id;
    r = holdings_move(active->engine, tx, inst, false, &why);
    if (r < 0)
        return r;
    if (why)
        return leave_there(tx, active, why);
    inst->job_id = 0;
    r = store_instance_save(tx, inst);
    if (r < 0)
        return r;
    r = job_event(tx, &active->job, EVENT_KIND_HOST, from, inst->host_id, STR("evacuated: the machine has left its host"));
    return r < 0 ? r : record_end(tx, active, JOB_STATE_DONE, NULL);
}

int record_running(struct tx *tx, struct active *active)
{
    struct instance *inst;
    int r;

    r = load_own(tx, active, &inst);
    if (r < 0)
        return r;
    if (!inst)
        return end_without_instance(tx, active);
    assert(inst->state == INSTANCE_STATE_STARTING);
    inst->job_id = 0;
    inst->reinit_local = false;
    inst->started_us = tx_now(tx);
    r = move(tx, active, inst, INSTANCE_STATE_RUNNING, (enum stop_reason)active->job.reason);
    if (r < 0)
        return r;
    return record_end(tx, active, JOB_STATE_DONE, NULL);
}

int record_start_failed(struct tx *tx, struct active *active)
{
    bool by_host = active->end == MACHINE_END_HOST;
    struct instance *inst;
    int r;

    r = load_own(tx, active, &inst);
    if (r < 0)
        return r;
    if (!inst)
        return end_without_instance(tx, active);
    inst->job_id = 0;
    inst->stopped_mode = STOPPED_MODE_KEEP_CHARGING;
    r = move(tx, active, inst, INSTANCE_STATE_STOPPED, by_host ? STOP_REASON_HOST : STOP_REASON_BOOT_FAILURE);
    if (r < 0)
        return r;
    r = store_segment_switch(tx, inst, BILLING_MODE_KEPT, tx_now(tx));
    if (r < 0)
        return r;
    r = record_system_event(tx, inst, by_host ? "SystemFailure.Reboot" : "InstanceFailure.Reboot",
                            by_host ? "The host failed while the instance started; the instance is stopped."
                                    : "The operating system did not start; the instance is stopped.");
    if (r < 0)
        return r;
    return record_end(tx, active, JOB_STATE_FAILED, by_host ? "the host failed" : "the guest did not boot");
}

int record_gone(struct tx *tx, struct active *active)
{
    const struct job *job = &active->job;
    struct instance *inst;
    int r;

    r = store_instance_get(tx, job->instance_id, &inst);
    if (r < 0 && r != -E_NOT_FOUND)
        return r;
    if (r >= 0 && inst->job_id == job->id) {
        r = job_event(tx, job, EVENT_KIND_STATE, state_text(inst->state), STR("Deleted"),
                      str_from(stop_reason_text((enum stop_reason)job->reason)));
        if (r < 0)
            return r;
        r = holdings_drop(tx, inst, job->disks, false);
        if (r < 0)
            return r;
    } else if (r == -E_NOT_FOUND) {
        r = holdings_drop_disks(tx, job->instance_id, job->disks, false); /* those that waited for this */
        if (r < 0)
            return r;
    }
    return record_end(tx, active, JOB_STATE_DONE, NULL);
}
