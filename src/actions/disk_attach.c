/* SPDX-License-Identifier: Apache-2.0 */
/* AttachDisk, DetachDisk, DeleteDisk: whether a disk may, is the model's; how it does, the engine's. */
#include "actions/common.h"
#include "model/disk.h"

/* Through Attaching to a running instance, at once to a stopped one. */
int attach_disk(struct action *act, const struct attach_disk_request *req,
                struct attach_disk_reply *reply)
{
    struct order by = action_order(act);
    struct instance *inst;
    struct disk *disk, *disks;
    size_t count;
    int r;

    (void)reply;
    r = action_disk(act, req->disk_id, &disk);
    if (r >= 0)
        r = action_instance_hot(act, req->instance_id, &inst);
    if (r < 0)
        return r;
    r = store_disk_of_instance(act->tx, inst->id, &disks, &count);
    if (r < 0)
        return action_failed(act, r);
    r = disk_attach_check(disk, inst, disks, count, act->fail);
    if (r < 0)
        return r;
    disk->delete_with_instance = req->delete_with_instance;
    r = engine_order_disk_attach(act->engine, act->tx, disk, inst,
                                 disk_free_device(act->arena, disks, count), &by);
    return action_failed(act, r);
}

int detach_disk(struct action *act, const struct detach_disk_request *req,
                struct detach_disk_reply *reply)
{
    struct order by = action_order(act);
    struct instance *inst;
    struct disk *disk;
    int r;

    (void)reply;
    r = action_disk(act, req->disk_id, &disk);
    if (r >= 0)
        r = action_instance_hot(act, req->instance_id, &inst);
    if (r >= 0)
        r = disk_detach_check(disk, inst, act->fail);
    if (r < 0)
        return r;
    if (req->delete_with_instance.set)
        disk->delete_with_instance = req->delete_with_instance.value;
    return action_failed(act, engine_order_disk_detach(act->engine, act->tx, disk, inst, &by));
}

int delete_disk(struct action *act, const struct delete_disk_request *req,
                struct delete_disk_reply *reply)
{
    struct order by = action_order(act);
    struct disk *disk;
    int r;

    (void)reply;
    r = action_disk(act, req->disk_id, &disk);
    if (r >= 0)
        r = disk_delete_check(disk, act->fail);
    if (r < 0)
        return r;
    return action_failed(act, engine_order_disk_delete(act->engine, act->tx, disk, &by));
}
