/* SPDX-License-Identifier: Apache-2.0 */
/* What the jobs of disks write: each function is one write, the disk's row together with the job's own. */
#include "engine/active.h"

struct str record_disk_id(const struct job *job)
{
    struct str rest = job->disks;
    struct str id = STR_NONE;

    (void)holdings_next_disk(&rest, &id); /* written by the order: there is one */
    return id;
}

/* The disk, when the order still stands; NULL: its instance was released, or the operator had a hand in it. */
static int load_ordered(struct tx *tx, const struct job *job, struct disk **ret)
{
    int wanted = job->kind == JOB_KIND_ATTACH_DISK ? DISK_STATUS_ATTACHING : DISK_STATUS_DETACHING;
    struct disk *disk;
    int r;

    r = store_disk_get(tx, record_disk_id(job), &disk);
    if (r < 0 && r != -E_NOT_FOUND)
        return r;
    *ret = r >= 0 && disk->status == wanted && str_eq(disk->instance_id, job->instance_id) ? disk : NULL;
    return 0;
}

/* The row, its event, the end of the job. */
static int finish(struct tx *tx, struct active *active, const struct disk *disk, enum job_state state, const char *error)
{
    const struct job *job = &active->job;
    struct order by = {.request_id = job->request_id, .actor = STR("engine")};
    struct str from = job->kind == JOB_KIND_ATTACH_DISK ? STR("Attaching") : STR("Detaching");
    int r;

    r = store_disk_save(tx, disk);
    if (r < 0)
        return r;
    r = record_disk_event(tx, disk, job->instance_id, from, &by);
    return r < 0 ? r : record_end(tx, active, state, error);
}

int record_disk_over(struct tx *tx, struct active *active)
{
    return record_end(tx, active, JOB_STATE_FAILED, "the disk has left the instance on another way");
}

int record_disk_attached(struct tx *tx, struct active *active)
{
    struct disk *disk;
    int r;

    r = load_ordered(tx, &active->job, &disk);
    if (r < 0)
        return r;
    if (!disk)
        return record_disk_over(tx, active);
    disk->attached_us = tx_now(tx);
    disk_move(disk, DISK_STATUS_IN_USE);
    return finish(tx, active, disk, JOB_STATE_DONE, NULL);
}

/* A start that was ordered since then may have defined the machine with the disk: then it is asked again. */
static int started_since(struct tx *tx, const struct job *job, bool *ret)
{
    struct instance *inst;
    int r;

    r = store_instance_get_hot(tx, job->instance_id, &inst);
    if (r < 0 && r != -E_NOT_FOUND)
        return r;
    *ret = r >= 0 && inst->incarnation != job->incarnation;
    return 0;
}

int record_disk_detached(struct tx *tx, struct active *active)
{
    struct disk *disk;
    bool started;
    int r;

    r = load_ordered(tx, &active->job, &disk);
    if (r < 0)
        return r;
    if (!disk)
        return record_disk_over(tx, active);
    r = started_since(tx, &active->job, &started);
    if (r < 0)
        return r;
    if (started) {
        active->apply = record_error;
        active->after = AFTER_RETRY;
        active->wake_us = tx_now(tx);
        return 0;
    }
    holdings_release_disk(tx, disk);
    return finish(tx, active, disk, JOB_STATE_DONE, NULL);
}

/* Back to what it was before the order. */
int record_disk_refused(struct tx *tx, struct active *active)
{
    struct disk *disk;
    int r;

    r = load_ordered(tx, &active->job, &disk);
    if (r < 0)
        return r;
    if (!disk)
        return record_disk_over(tx, active);
    if (active->job.kind == JOB_KIND_ATTACH_DISK)
        holdings_release_disk(tx, disk);
    else
        disk_move(disk, DISK_STATUS_IN_USE);
    return finish(tx, active, disk, JOB_STATE_FAILED, "the machine can't do that while it lives");
}

int record_disk_deleted(struct tx *tx, struct active *active)
{
    return record_end(tx, active, JOB_STATE_DONE, NULL);
}
