/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeInstanceStatus: what waiters poll. By id it reads nothing but the hot rows. */
#include "actions/common.h"

#define PAGE_DEFAULT 10
#define PAGE_MAX 50

static int check_zone(struct action *act, struct str region_id, struct str zone_id)
{
    const struct catalog_region *region;
    int r = action_region(act, region_id, &region);

    if (r == 0 && !str_empty(zone_id) && !catalog_zone_find(region, zone_id))
        return fail(act->fail, E_ZONE_NOT_FOUND_STATUS);
    return r;
}

static void add_status(struct describe_instance_status_reply *reply, const struct instance *inst)
{
    reply->instance_statuses.items[reply->instance_statuses.count++] =
        (struct describe_instance_status_instance_status){.instance_id = inst->id,
                                                          .status = inst->state};
}

static bool earlier(const struct str_list *ids, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (str_eq(ids->items[k], ids->items[i]))
            return true;
    return false;
}

/* In the order of the call; ids that are unknown, of others or elsewhere are left out. */
static int status_by_id(struct action *act, const struct describe_instance_status_request *req,
                        const struct page_ask *ask, struct describe_instance_status_reply *reply)
{
    size_t first = (size_t)(ask->number - 1) * (size_t)ask->size, total = 0;

    for (size_t i = 0; i < req->instance_id.count; i++) {
        struct instance *inst;
        int r = earlier(&req->instance_id, i)
                    ? -E_NOT_FOUND
                    : store_instance_get_hot(act->tx, req->instance_id.items[i], &inst);
        if (r == -E_NOT_FOUND)
            continue;
        if (r < 0)
            return action_failed(act, r);
        if (!str_eq(inst->account_id, act->account->id) ||
            !str_eq(inst->region_id, req->region_id) ||
            (!str_empty(req->zone_id) && !str_eq(inst->zone_id, req->zone_id)))
            continue;
        if (total++ >= first && reply->instance_statuses.count < (size_t)ask->size)
            add_status(reply, inst);
    }
    reply->total_count = (int64_t)total;
    return 0;
}

static int status_by_page(struct action *act, const struct describe_instance_status_request *req,
                          const struct page_ask *ask, struct describe_instance_status_reply *reply)
{
    const struct page page = {
        .offset = (ask->number - 1) * ask->size, .limit = ask->size, .count = true};
    struct instance_filter filter;
    struct instance_list list;
    int r;

    instance_filter_init(&filter);
    filter.account_id = act->account->id;
    filter.region_id = req->region_id;
    filter.zone_id = req->zone_id;
    r = store_instance_find(act->tx, &filter, &page, true, &list);
    if (r < 0)
        return action_failed(act, r);
    for (size_t i = 0; i < list.count; i++)
        add_status(reply, &list.items[i]);
    reply->total_count = list.total;
    return 0;
}

int describe_instance_status(struct action *act, const struct describe_instance_status_request *req,
                             struct describe_instance_status_reply *reply)
{
    struct page_ask ask = page_ask_make(req->page_number, req->page_size, PAGE_DEFAULT, PAGE_MAX);
    int r = check_zone(act, req->region_id, req->zone_id);

    if (r < 0)
        return r;
    if (req->instance_id.count > LIMIT_BATCH_INSTANCES)
        return fail(act->fail, E_TOO_MANY_INSTANCE_IDS);
    reply->page_number = ask.number;
    reply->page_size = ask.size;
    reply->instance_statuses.items =
        arena_array(act->arena, struct describe_instance_status_instance_status, (size_t)ask.size);
    return req->instance_id.count > 0 ? status_by_id(act, req, &ask, reply)
                                      : status_by_page(act, req, &ask, reply);
}
