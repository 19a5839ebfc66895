/* SPDX-License-Identifier: Apache-2.0 */
/* ModifyDiskAttribute, ResizeDisk: rows only; a machine finds the size in its next definition. */
#include "actions/common.h"
#include "model/disk.h"
#include "model/name.h"

static int check_request(struct action *act, const struct modify_disk_attribute_request *req)
{
    bool changes = req->disk_name.ptr || req->description.ptr || req->delete_with_instance.set ||
                   req->delete_auto_snapshot.set || req->enable_auto_snapshot.set ||
                   req->bursting_enabled.set;

    if (!str_empty(req->region_id) && !catalog_region_find(req->region_id))
        return fail(act->fail, E_DISK_REGION_MALFORMED);
    if (str_empty(req->disk_id) == (req->disk_ids.count == 0))
        return fail(act->fail, E_DISK_INCOMPLETE);
    if (!changes)
        return fail(act->fail, E_DISK_NO_ATTRIBUTE);
    if (!str_empty(req->disk_name) && !name_valid(req->disk_name))
        return fail(act->fail, E_DISK_NAME_WRONG);
    if (!str_empty(req->description) && !description_valid(req->description))
        return fail(act->fail, E_DISK_DESCRIPTION_MODIFY);
    return 0;
}

static int modify_one(struct action *act, const struct modify_disk_attribute_request *req,
                      struct str id)
{
    bool keeps = req->delete_with_instance.set && !req->delete_with_instance.value;
    struct disk *disk;
    int r = action_disk(act, id, &disk);

    if (r < 0)
        return r;
    if (keeps && (disk->type == DISK_TYPE_SYSTEM || disk_is_local(disk)))
        return fail(act->fail, E_DISK_NOT_PORTABLE);
    if (req->disk_name.ptr)
        disk->name = req->disk_name;
    if (req->description.ptr)
        disk->description = req->description;
    if (req->delete_with_instance.set)
        disk->delete_with_instance = req->delete_with_instance.value;
    return action_failed(act, store_disk_save(act->tx, disk));
}

int modify_disk_attribute(struct action *act, const struct modify_disk_attribute_request *req,
                          struct modify_disk_attribute_reply *reply)
{
    int r = check_request(act, req);

    (void)reply;
    if (r == 0 && !str_empty(req->disk_id))
        return modify_one(act, req, req->disk_id);
    for (size_t i = 0; i < req->disk_ids.count && r == 0; i++)
        r = modify_one(act, req, req->disk_ids.items[i]);
    return r;
}

int resize_disk(struct action *act, const struct resize_disk_request *req,
                struct resize_disk_reply *reply)
{
    struct instance *inst = NULL;
    struct disk *disk;
    int r = action_disk(act, req->disk_id, &disk);

    (void)reply;
    if (r == 0 && !str_empty(disk->instance_id))
        r = action_instance_hot(act, disk->instance_id, &inst);
    if (r == 0)
        r = disk_resize_check(disk, inst, req->new_size, act->fail);
    if (r < 0)
        return r;
    if (req->type == DISK_RESIZE_ONLINE)
        return fail(act->fail, E_DISK_RESIZE_ONLINE);
    disk->size_gib = req->new_size;
    return action_failed(act, store_disk_save(act->tx, disk));
}
