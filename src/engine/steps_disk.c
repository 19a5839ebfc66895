/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a disk comes to a machine, leaves it, and goes for good. The row of the disk is the order and says whether it still
 * stands; the row of the instance says whom to ask: a machine that lives is told now, one that is off finds its disks in its
 * next definition. Both are read anew in every pass.
 */
#include "base/bug.h"
#include "engine/active.h"

#define ASK_AGAIN (1 * USEC_PER_SEC) /* a guest that holds on to its disk; a machine that is between two states */

struct rows_seen {
    bool stands; /* the order does: the disk has this status, for this instance */
    struct machine_disk disk;
    int state; /* of the instance */
    int64_t incarnation;
};

static int read_rows(struct run *run, enum disk_status wanted, struct rows_seen *ret)
{
    struct tx *tx = store_read_begin(run->engine->store);
    struct instance *inst;
    struct disk *disk;
    int r;

    *ret = (struct rows_seen){0};
    r = store_disk_get(tx, record_disk_id(run->job), &disk);
    if (r >= 0 && disk->status == (int)wanted && str_eq(disk->instance_id, run->job->instance_id))
        r = store_instance_get_hot(tx, run->job->instance_id, &inst);
    else if (r >= 0)
        r = -E_NOT_FOUND;
    if (r >= 0) {
        *ret = (struct rows_seen){
            .stands = true,
            .disk = {.id = arena_str(run->arena, disk->id),
                     .device = arena_str(run->arena, disk->device),
                     .size_gib = disk->size_gib},
            .state = inst->state,
            .incarnation = inst->incarnation,
        };
        run->host_id = arena_str(run->arena, inst->host_id);
    }
    store_read_end(tx);
    return r == -E_NOT_FOUND ? 0 : r;
}

static enum step_result wait_a_while(struct run *run)
{
    run->wake_us = run->now + ASK_AGAIN;
    return STEP_WAIT;
}

/* The row says that it runs and the host that it doesn't: whoever compares the two is to come soon. */
static enum step_result wait_for_row(struct run *run)
{
    run->reached = true;
    pthread_mutex_lock(&run->engine->mutex);
    engine_hint(run->engine, run->host_id, run->job->instance_id);
    pthread_mutex_unlock(&run->engine->mutex);
    return wait_a_while(run);
}

static bool is_elsewhere(int r)
{
    return r == -E_GONE || r == -E_NOT_FOUND;
}

/* Nothing that waiting would change. */
static bool is_refusal(int r)
{
    return r == -E_UNSUPPORTED_OPERATION || r == -E_INVALID || r == -E_LIMIT;
}

static enum step_result refused(struct run *run, int r, const struct fail *fail)
{
    log_warning("a machine can't do what is ordered of its disk", LOG_STR("instance", run->job->instance_id),
                LOG_STR("disk", record_disk_id(run->job)), LOG_STR("host", run->host_id),
                LOG_TEXT("error", error_rows[-r].name), LOG_STR("why", fail->message));
    run->reached = true;
    return run_record(run, record_disk_refused, AFTER_END);
}

/* ── attach ── */

static enum step_result attach_living(struct run *run, const struct rows_seen *seen)
{
    struct fail fail;
    int r;

    fail_init(&fail, run->arena);
    r = run->hv->ops->disk_attach(run->hv, run->host_id, run->job->instance_id, seen->incarnation, &seen->disk, &fail);
    if (is_elsewhere(r))
        return wait_for_row(run);
    if (is_refusal(r))
        return refused(run, r, &fail);
    if (!run_did(run, r, "attach a disk"))
        return STEP_RETRY;
    return run_record(run, record_disk_attached, AFTER_END);
}

enum step_result step_disk_attach(struct run *run)
{
    struct rows_seen seen;
    int r;

    r = read_rows(run, DISK_STATUS_ATTACHING, &seen);
    if (r < 0)
        return run_failed(run, r, "read the disk");
    if (!seen.stands)
        return run_record(run, record_disk_over, AFTER_END);
    if (seen.state == INSTANCE_STATE_STOPPED)
        return run_record(run, record_disk_attached, AFTER_END);
    return seen.state == INSTANCE_STATE_RUNNING ? attach_living(run, &seen) : wait_a_while(run);
}

/* ── detach ── */

/* `incarnation` of the machine that has let go of the disk; of the row, that it is so when it is recorded. */
static enum step_result detached(struct run *run, const struct rows_seen *seen)
{
    run->job->incarnation = seen->incarnation;
    return run_record(run, record_disk_detached, AFTER_END);
}

static enum step_result detach_living(struct run *run, const struct rows_seen *seen)
{
    struct fail fail;
    int r;

    fail_init(&fail, run->arena);
    r = run->hv->ops->disk_detach(run->hv, run->host_id, run->job->instance_id, seen->incarnation, seen->disk.id, &fail);
    if (BUG(disk_freed_early) && r == -E_BUSY)
        return detached(run, seen);
    if (r == -E_BUSY) {
        run->reached = true;
        return wait_a_while(run);
    }
    if (is_elsewhere(r))
        return wait_for_row(run);
    if (is_refusal(r))
        return refused(run, r, &fail);
    return run_did(run, r, "detach a disk") ? detached(run, seen) : STEP_RETRY;
}

/* Out of its definition, too, where the host keeps one; who does not know that finds its disks in the next. */
static enum step_result detach_off(struct run *run, const struct rows_seen *seen)
{
    struct fail fail;
    int r;

    if (str_empty(run->host_id))
        return detached(run, seen);
    if (!run_look(run))
        return STEP_RETRY;
    if (run->status.state == MACHINE_ABSENT)
        return detached(run, seen);
    if (run->status.state != MACHINE_OFF)
        return wait_for_row(run);
    fail_init(&fail, run->arena);
    r = run->hv->ops->disk_detach(run->hv, run->host_id, run->job->instance_id, run->status.incarnation, seen->disk.id,
                                  &fail);
    if (is_elsewhere(r) || is_refusal(r))
        r = 0;
    return run_did(run, r, "take a disk out of a machine's definition") ? detached(run, seen) : STEP_RETRY;
}

enum step_result step_disk_detach(struct run *run)
{
    struct rows_seen seen;
    int r;

    r = read_rows(run, DISK_STATUS_DETACHING, &seen);
    if (r < 0)
        return run_failed(run, r, "read the disk");
    if (!seen.stands)
        return run_record(run, record_disk_over, AFTER_END);
    if (seen.state == INSTANCE_STATE_STOPPED)
        return detach_off(run, &seen);
    return seen.state == INSTANCE_STATE_RUNNING ? detach_living(run, &seen) : wait_a_while(run);
}

/* ── delete ── */

enum step_result step_disk_delete(struct run *run)
{
    int r;

    r = run->hv->ops->disk_delete(run->hv, record_disk_id(run->job));
    if (!run_did(run, r, "delete a disk"))
        return STEP_RETRY;
    return run_record(run, record_disk_deleted, AFTER_END);
}
