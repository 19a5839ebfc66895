/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeDisks. */
#include "actions/common.h"

#define PAGE_DEFAULT 10
#define MAX_RESULTS_MAX 500

static bool wants(struct opt_bool asked)
{
    return asked.set && asked.value;
}

/* What no disk here is: subscribed, encrypted, shared, made of a snapshot, under a snapshot policy,
 * locked. */
static bool asks_for_nothing(const struct describe_disks_request *req)
{
    return req->disk_charge_type == CHARGE_TYPE_PRE_PAID || wants(req->encrypted) ||
           wants(req->enable_shared) || wants(req->enable_auto_snapshot) ||
           wants(req->enable_automated_snapshot_policy) || wants(req->delete_auto_snapshot) ||
           !str_empty(req->snapshot_id) || !str_empty(req->auto_snapshot_policy_id) ||
           !str_empty(req->kms_key_id) || req->lock_reason >= 0 ||
           !str_empty(req->resource_group_id) || str_eq_nocase(req->multi_attach, STR("Enabled"));
}

static int check_request(struct action *act, const struct describe_disks_request *req)
{
    const struct catalog_region *region = catalog_region_find(req->region_id);

    if (!region)
        return fail(act->fail, E_DISK_REGION);
    if (!str_empty(req->zone_id) && !catalog_zone_find(region, req->zone_id))
        return fail(act->fail, E_DISK_ZONE);
    if (!str_empty(req->multi_attach) && !str_eq_nocase(req->multi_attach, STR("Enabled")) &&
        !str_eq_nocase(req->multi_attach, STR("Disabled")))
        return fail(act->fail, E_DISK_MULTI_ATTACH);
    return 0;
}

static int take_times(struct action *act, const struct filter_pair_list *pairs,
                      struct disk_filter *filter)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const struct filter_pair *pair = &pairs->items[i];
        bool from = str_eq(pair->key, STR("CreationStartTime"));

        if (!from && !str_eq(pair->key, STR("CreationEndTime")))
            return fail(act->fail, E_FILTER_KEY);
        if (time_parse(pair->value, from ? &filter->created_from_us : &filter->created_until_us) < 0)
            return fail(act->fail, E_FILTER_VALUE);
    }
    return 0;
}

static int make_filter(struct action *act, const struct describe_disks_request *req,
                       struct disk_filter *ret)
{
    static const struct str_list nothing = {NULL, 0};
    struct tag *tags;
    size_t tag_count;
    int r = action_tag_filter(act, &req->tag, &tags, &tag_count);

    if (r < 0)
        return r;
    *ret = (struct disk_filter){
        .account_id = act->account->id,
        .region_id = req->region_id,
        .zone_id = req->zone_id,
        .instance_id = req->instance_id,
        .name = req->disk_name,
        .ids = asks_for_nothing(req) ? &nothing : (req->disk_ids.items ? &req->disk_ids : NULL),
        .type = req->disk_type == DISK_TYPE_ASKED_ALL ? -1 : req->disk_type,
        .category = req->category == DISK_CATEGORY_ASKED_ALL ? -1 : req->category,
        .status = req->status == DISK_STATUS_ASKED_ALL ? -1 : req->status,
        .delete_with_instance =
            req->delete_with_instance.set ? req->delete_with_instance.value : -1,
        .tags = tags,
        .tag_count = tag_count,
    };
    /* Portable disks are the data disks. */
    if (req->portable.set && ret->type < 0)
        ret->type = req->portable.value ? DISK_TYPE_DATA : DISK_TYPE_SYSTEM;
    else if (req->portable.set && (ret->type == DISK_TYPE_DATA) != req->portable.value)
        ret->ids = &nothing;
    return take_times(act, &req->filter, ret);
}

static int disk_view_fill(struct action *act, const struct disk *disk, struct disk_view *view)
{
    *view = (struct disk_view){
        .disk_id = disk->id,
        .disk_name = disk->name,
        .description = disk->description,
        .region_id = disk->region_id,
        .zone_id = disk->zone_id,
        .type = disk->type,
        .category = disk->category,
        .status = disk->status,
        .size = disk->size_gib,
        .device = disk->device,
        .instance_id = disk->instance_id,
        .image_id = disk->image_id,
        .performance_level = disk->performance_level,
        .portable = disk->type == DISK_TYPE_DATA,
        .delete_with_instance = disk->delete_with_instance,
        .encrypted = disk->encrypted,
        .multi_attach = STR("Disabled"),
        .disk_charge_type = CHARGE_TYPE_POST_PAID,
        .creation_time = disk->created_us,
        .attached_time = disk->attached_us,
        .detached_time = disk->detached_us,
        .serial_number = str_slice(disk->id.ptr + 2, disk->id.len - 2),
    };
    if (!str_empty(disk->instance_id)) {
        struct attachment_view *attachment = arena_new(act->arena, struct attachment_view);
        *attachment = (struct attachment_view){disk->instance_id, disk->device, disk->attached_us};
        view->attachments = (struct attachment_view_list){attachment, 1};
        view->mount_instances = view->attachments;
        view->mount_instance_num = 1;
    }
    return action_tag_views(act, disk->id, &view->tags);
}

static struct page_check make_check(const struct disk_filter *filter)
{
    const struct str texts[] = {filter->account_id, filter->region_id, filter->zone_id,
                                filter->instance_id, filter->name};
    const int64_t numbers[] = {filter->type,
                               filter->category,
                               filter->status,
                               filter->delete_with_instance,
                               filter->created_from_us,
                               filter->created_until_us};
    struct page_check check;

    page_check_init(&check);
    for (size_t i = 0; i < countof(texts); i++)
        page_check_add(&check, texts[i]);
    for (size_t i = 0; i < countof(numbers); i++)
        page_check_add_i64(&check, numbers[i]);
    page_check_add_list(&check, filter->ids);
    action_tag_check(&check, filter->tags, filter->tag_count);
    return check;
}

int describe_disks(struct action *act, const struct describe_disks_request *req,
                   struct describe_disks_reply *reply)
{
    bool by_token = req->max_results.set || !str_empty(req->next_token);
    struct page_ask ask =
        by_token ? page_ask_make(1, req->max_results.value, PAGE_DEFAULT, MAX_RESULTS_MAX)
                 : page_ask_make(req->page_number, req->page_size, PAGE_DEFAULT, LIMIT_PAGE_SIZE);
    struct page page = {.limit = ask.size,
                        .offset = (ask.number - 1) * ask.size,
                        .count = str_empty(req->next_token)};
    struct disk_filter filter;
    struct page_check check;
    struct disk_list list;
    int r = check_request(act, req);

    if (r == 0)
        r = make_filter(act, req, &filter);
    if (r < 0)
        return r;
    check = make_check(&filter);
    if (!str_empty(req->next_token) &&
        page_token_read(act->arena, &check, req->next_token, &page.after) < 0)
        return fail(act->fail, E_NEXT_TOKEN);
    if (req->dry_run)
        return fail(act->fail, E_DRY_RUN);
    r = store_disk_find(act->tx, &filter, &page, &list);
    if (r < 0)
        return action_failed(act, r);
    reply->disks.items = arena_array(act->arena, struct disk_view, list.count + 1);
    reply->disks.count = list.count;
    for (size_t i = 0; i < list.count && r == 0; i++)
        r = disk_view_fill(act, &list.items[i], &reply->disks.items[i]);
    reply->total_count = page.count ? list.total : 0;
    reply->page_number = ask.number;
    reply->page_size = ask.size;
    if (list.more && list.count > 0)
        reply->next_token = page_token_make(act->arena, &check, list.items[list.count - 1].id);
    return r;
}
