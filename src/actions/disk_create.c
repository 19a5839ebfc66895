/* SPDX-License-Identifier: Apache-2.0 */
/* CreateDisk: a blank data disk, Available at once. */
#include "actions/common.h"
#include "model/disk.h"
#include "model/name.h"

static int check_place(struct action *act, const struct create_disk_request *req)
{
    const struct catalog_region *region;
    int r = action_region(act, req->region_id, &region);

    if (r < 0)
        return r;
    return catalog_zone_find(region, req->zone_id) ? 0 : fail(act->fail, E_DISK_ZONE_NOT_FOUND);
}

static int check_kind(struct action *act, const struct create_disk_request *req)
{
    if (req->disk_category >= DISK_CATEGORY_EPHEMERAL_SSD)
        return fail(act->fail, E_DISK_CREATE_LOCAL);
    if (str_eq_nocase(req->multi_attach, STR("Enabled")))
        return fail(act->fail, E_DISK_MULTI_ATTACH_CATEGORY);
    if (!str_eq_nocase(req->multi_attach, STR("Disabled")))
        return fail(act->fail, E_DISK_MULTI_ATTACH);
    if (!req->size.set)
        return fail(act->fail, E_DISK_SIZE_MISSING);
    if (req->size.value < disk_size_min(req->disk_category) ||
        req->size.value > disk_size_max(req->disk_category, DISK_TYPE_DATA))
        return fail(act->fail, E_DISK_CREATE_SIZE);
    return 0;
}

static int check_texts(struct action *act, const struct create_disk_request *req)
{
    if (!str_empty(req->disk_name) && !name_valid(req->disk_name))
        return fail(act->fail, E_DISK_NAME_WRONG);
    if (!str_empty(req->description) && !description_valid(req->description))
        return fail(act->fail, E_DISK_DESCRIPTION_WRONG);
    return 0;
}

static int check_quota(struct action *act)
{
    int64_t count;
    int r = store_disk_count(act->tx, act->account->id, &count);

    if (r < 0)
        return action_failed(act, r);
    return count >= act->options->quota_disks ? fail(act->fail, E_DISK_QUOTA) : 0;
}

/* Levels exist for cloud_essd only; it gets PL1 when the call names none. */
static struct str level_of(const struct create_disk_request *req)
{
    int level = req->performance_level < 0 ? PERFORMANCE_LEVEL_PL1 : req->performance_level;

    if (req->disk_category != DISK_CATEGORY_CLOUD_ESSD)
        return STR_NONE;
    return str_from(performance_level_text((enum performance_level)level));
}

static int put(struct action *act, const struct create_disk_request *req, struct tag *tags,
               size_t tag_count, struct str id)
{
    struct disk disk = {
        .id = id,
        .account_id = act->account->id,
        .region_id = req->region_id,
        .zone_id = req->zone_id,
        .type = DISK_TYPE_DATA,
        .category = req->disk_category,
        .status = DISK_STATUS_AVAILABLE,
        .size_gib = req->size.value,
        .name = req->disk_name,
        .description = req->description,
        .performance_level = level_of(req),
        .created_us = act->now,
    };
    int r = store_disk_insert(act->tx, &disk);

    for (size_t i = 0; i < tag_count && r == 0; i++) {
        tags[i].resource_id = id;
        tags[i].resource_type = STR("disk");
        r = store_tag_put(act->tx, &tags[i]);
    }
    return action_failed(act, r);
}

int create_disk(struct action *act, const struct create_disk_request *req,
                struct create_disk_reply *reply)
{
    struct tag *tags;
    size_t tag_count;
    int r = check_place(act, req);

    if (r == 0)
        r = check_kind(act, req);
    if (r == 0)
        r = check_texts(act, req);
    if (r == 0)
        r = action_tags(act, &req->tag, &tags, &tag_count);
    if (r == 0)
        r = check_quota(act);
    if (r < 0)
        return r;
    reply->disk_id = env_id(act->env, act->arena, "d-");
    return put(act, req, tags, tag_count, reply->disk_id);
}
