/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders about disks, written in the action's own transaction: the row's new status, the job that brings it about, an event.
 * Where no machine has to be told there is no job, and the row is at once what it is to be.
 */
#include "engine/lease.h"

int record_disk_event(struct tx *tx, const struct disk *disk, struct str instance_id, struct str from, const struct order *order)
{
    struct str to = str_from(sm_name(&disk_sm, disk->status));
    struct change change = {from, to, arena_printf(tx_arena(tx), "disk %.*s", STR_ARG(disk->id)), order->request_id,
                            order->actor};

    return record_event(tx, EVENT_KIND_DISK, disk->account_id, instance_id, &change);
}

static int add_job(struct engine *engine, struct tx *tx, enum job_kind kind, const struct disk *disk,
                   const struct instance *inst, const struct order *order)
{
    struct job job = {
        .id = env_sequence(tx_env(tx)),
        .kind = (int)kind,
        .state = JOB_STATE_ACTIVE,
        .instance_id = inst ? inst->id : STR_NONE,
        .account_id = disk->account_id,
        .incarnation = inst ? inst->incarnation : 0,
        .disks = arena_printf(tx_arena(tx), "%.*s ", STR_ARG(disk->id)),
        .reason = order->reason,
        .request_id = order->request_id,
        .created_us = tx_now(tx),
        .deadline_us = USEC_NEVER,
    };
    struct str host_id = inst ? inst->host_id : STR_NONE;

    lease_sign(engine, &job, host_id);
    return engine_begin_job(engine, tx, &job, host_id);
}

/* The row with its new status, and the event. */
static int save(struct tx *tx, const struct disk *disk, const struct instance *inst, int from, const struct order *order)
{
    int r;

    r = store_disk_save(tx, disk);
    return r < 0 ? r : record_disk_event(tx, disk, inst->id, str_from(sm_name(&disk_sm, from)), order);
}

int engine_order_disk_attach(struct engine *engine, struct tx *tx, struct disk *disk, const struct instance *inst,
                             struct str device, const struct order *order)
{
    bool living = inst->state == INSTANCE_STATE_RUNNING;
    int from = disk->status;
    int r;

    assert(living || inst->state == INSTANCE_STATE_STOPPED);
    assert(str_empty(disk->instance_id));
    disk->instance_id = inst->id;
    disk->device = device;
    if (!living)
        disk->attached_us = tx_now(tx);
    disk_move(disk, living ? DISK_STATUS_ATTACHING : DISK_STATUS_IN_USE);
    r = save(tx, disk, inst, from, order);
    return r < 0 || !living ? r : add_job(engine, tx, JOB_KIND_ATTACH_DISK, disk, inst, order);
}

int engine_order_disk_detach(struct engine *engine, struct tx *tx, struct disk *disk, const struct instance *inst,
                             const struct order *order)
{
    int from = disk->status;
    int r;

    assert(str_eq(disk->instance_id, inst->id));
    /* One that has left its host is nowhere defined: nobody has to be told. */
    if (str_empty(inst->host_id)) {
        holdings_release_disk(tx, disk);
        return save(tx, disk, inst, from, order);
    }
    disk_move(disk, DISK_STATUS_DETACHING);
    r = save(tx, disk, inst, from, order);
    return r < 0 ? r : add_job(engine, tx, JOB_KIND_DETACH_DISK, disk, inst, order);
}

int engine_order_disk_delete(struct engine *engine, struct tx *tx, struct disk *disk, const struct order *order)
{
    struct change change = {str_from(sm_name(&disk_sm, disk->status)), STR("Deleted"),
                            arena_printf(tx_arena(tx), "disk %.*s", STR_ARG(disk->id)), order->request_id, order->actor};
    int r;

    assert(str_empty(disk->instance_id));
    r = store_tag_delete(tx, disk->id, STR_NONE);
    if (r < 0 && r != -E_NOT_FOUND)
        return r;
    r = store_disk_delete(tx, disk->id);
    if (r < 0)
        return r;
    r = record_event(tx, EVENT_KIND_DISK, disk->account_id, STR_NONE, &change);
    return r < 0 ? r : add_job(engine, tx, JOB_KIND_DELETE_DISK, disk, NULL, order);
}
