/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateDeploymentSet, DescribeDeploymentSets, ModifyDeploymentSetAttribute, DeleteDeploymentSet,
 * DescribeDeploymentSetSupportedInstanceTypeFamily. What a set means for the choice of hosts stands in model/spread.h.
 */
#include "actions/common.h"
#include "base/buf.h"
#include "model/name.h"
#include "model/spread.h"

#define GROUPS_DEFAULT 3
#define PAGE_DEFAULT 10
#define PAGE_MAX 50
#define FAMILIES_BYTES_MAX 16384 /* of the whole catalogue: under 100 families */

int action_deployment_set(struct action *act, struct str region_id, struct str id, struct deployment_set **ret)
{
    struct deployment_set *set;
    int r = store_deployment_set_get(act->tx, id, &set);

    if (r < 0)
        return r;
    if (!str_eq(set->account_id, act->account->id) || !str_eq(set->region_id, region_id))
        return -E_NOT_FOUND;
    *ret = set;
    return 0;
}

/* Empty or absent: none is given. */
static int check_texts(struct action *act, struct str name, struct str description)
{
    if (!str_empty(name) && !name_valid(name))
        return fail(act->fail, E_DEPLOYMENT_SET_NAME);
    return !str_empty(description) && !description_valid(description) ? fail(act->fail, E_DEPLOYMENT_SET_DESCRIPTION) : 0;
}

/* ── make, change, delete ── */

static int check_quota(struct action *act, struct str region_id)
{
    int64_t count;
    int r = store_deployment_set_count(act->tx, act->account->id, region_id, &count);

    if (r < 0)
        return action_failed(act, r);
    return count >= act->options->quota_deployment_sets ? fail(act->fail, E_DEPLOYMENT_SET_QUOTA) : 0;
}

int create_deployment_set(struct action *act, const struct create_deployment_set_request *req,
                          struct create_deployment_set_reply *reply)
{
    struct deployment_set set = {
        .id = env_id(act->env, act->arena, "ds-"),
        .account_id = act->account->id,
        .region_id = req->region_id,
        .name = req->deployment_set_name,
        .description = req->description,
        .strategy = req->strategy,
        .on_failure = req->on_unable_to_redeploy_failed_instance,
        .created_us = act->now,
    };
    const struct catalog_region *region;
    int r = action_region(act, req->region_id, &region);

    if (r == 0)
        r = check_texts(act, set.name, set.description);
    if (r == 0)
        r = check_quota(act, set.region_id);
    if (r < 0)
        return r;
    if (set.strategy == DEPLOYMENT_STRATEGY_AVAILABILITY_GROUP)
        set.group_count = req->group_count.set ? req->group_count.value : GROUPS_DEFAULT;
    reply->deployment_set_id = set.id;
    return action_failed(act, store_deployment_set_insert(act->tx, &set));
}

int modify_deployment_set_attribute(struct action *act, const struct modify_deployment_set_attribute_request *req,
                                    struct modify_deployment_set_attribute_reply *reply)
{
    const struct catalog_region *region;
    struct deployment_set *set;
    int r = action_region(act, req->region_id, &region);

    (void)reply;
    if (r < 0)
        return r;
    r = action_deployment_set(act, req->region_id, req->deployment_set_id, &set);
    if (r < 0)
        return r == -E_NOT_FOUND ? fail(act->fail, E_DEPLOYMENT_SET_MODIFY) : action_failed(act, r);
    r = check_texts(act, req->deployment_set_name, req->description);
    if (r < 0)
        return r;
    if (!str_empty(req->deployment_set_name))
        set->name = req->deployment_set_name;
    if (!str_empty(req->description))
        set->description = req->description;
    return action_failed(act, store_deployment_set_save(act->tx, set));
}

int delete_deployment_set(struct action *act, const struct delete_deployment_set_request *req,
                          struct delete_deployment_set_reply *reply)
{
    const struct catalog_region *region;
    struct deployment_member *members;
    struct deployment_set *set;
    size_t count;
    int r = action_region(act, req->region_id, &region);

    (void)reply;
    if (r < 0)
        return r;
    r = action_deployment_set(act, req->region_id, req->deployment_set_id, &set);
    if (r < 0)
        return r == -E_NOT_FOUND ? fail(act->fail, E_DEPLOYMENT_SET_NOT_FOUND) : action_failed(act, r);
    r = store_deployment_set_members(act->tx, set->id, STR_NONE, &members, &count);
    if (r < 0)
        return action_failed(act, r);
    if (count > 0)
        return fail(act->fail, E_DEPLOYMENT_SET_NOT_EMPTY);
    return action_failed(act, store_deployment_set_delete(act->tx, set->id));
}

/* ── list ── */

static void fill_capacities(struct arena *arena, const struct spread *spread, const struct catalog_region *region,
                            struct describe_deployment_sets_deployment_set *view)
{
    view->capacities.items = arena_array(arena, struct describe_deployment_sets_deployment_set_capacity, region->zone_count + 1);
    for (size_t i = 0; i < region->zone_count; i++) {
        struct str zone_id = str_from(region->zones[i].id);

        view->capacities.items[view->capacities.count++] = (struct describe_deployment_sets_deployment_set_capacity){
            .zone_id = zone_id,
            .used_amount = spread_used(spread, zone_id),
            .available_amount = MAX_OF(spread_room(spread, zone_id, 0), INT64_C(0)),
        };
    }
}

static int fill_set(struct action *act, const struct catalog_region *region, const struct deployment_set *set,
                    struct describe_deployment_sets_deployment_set *view)
{
    struct deployment_member *members;
    struct spread spread = {.set = set};
    int r = store_deployment_set_members(act->tx, set->id, STR_NONE, &members, &spread.count);

    if (r < 0)
        return action_failed(act, r);
    spread.members = members;
    *view = (struct describe_deployment_sets_deployment_set){
        .deployment_set_id = set->id,
        .deployment_set_name = set->name,
        .deployment_set_description = set->description,
        .strategy = set->strategy,
        .deployment_strategy = set->strategy,
        .domain = STR("default"), /* as it is told, in lower case; clients know both */
        .granularity = STR("host"),
        .group_count = {set->group_count > 0, set->group_count},
        .creation_time = set->created_us,
        .instance_amount = (int64_t)spread.count,
        .instance_ids.items = arena_array(act->arena, struct str, spread.count + 1),
    };
    r = str_to_i64(set->account_id, &view->account_id);
    assert(r == 0); /* 16 digits */
    for (size_t i = 0; i < spread.count; i++)
        view->instance_ids.items[view->instance_ids.count++] = members[i].instance_id;
    fill_capacities(act->arena, &spread, region, view);
    return 0;
}

int describe_deployment_sets(struct action *act, const struct describe_deployment_sets_request *req,
                             struct describe_deployment_sets_reply *reply)
{
    struct page_ask ask = page_ask_make(req->page_number, req->page_size, PAGE_DEFAULT, PAGE_MAX);
    const struct page page = {.offset = (ask.number - 1) * ask.size, .limit = ask.size, .count = true};
    const struct deployment_set_filter filter = {
        .account_id = act->account->id,
        .region_id = req->region_id,
        .ids = req->deployment_set_ids.items ? &req->deployment_set_ids : NULL,
        .name = str_empty(req->deployment_set_name) ? STR_NONE : req->deployment_set_name,
        .strategy = req->strategy,
    };
    const struct catalog_region *region;
    struct deployment_set_list list;
    int r = action_region(act, req->region_id, &region);

    if (r < 0)
        return r;
    r = store_deployment_set_find(act->tx, &filter, &page, &list);
    if (r < 0)
        return action_failed(act, r);
    reply->region_id = req->region_id;
    reply->page_number = ask.number;
    reply->page_size = ask.size;
    reply->total_count = list.total;
    reply->deployment_sets.items =
        arena_array(act->arena, struct describe_deployment_sets_deployment_set, list.count + 1);
    for (size_t i = 0; i < list.count && r == 0; i++)
        r = fill_set(act, region, &list.items[i], &reply->deployment_sets.items[reply->deployment_sets.count++]);
    return r;
}

/* Sets ask nothing of a type. */
int describe_deployment_set_supported_instance_type_family(
    struct action *act, const struct describe_deployment_set_supported_instance_type_family_request *req,
    struct describe_deployment_set_supported_instance_type_family_reply *reply)
{
    const struct catalog_region *region;
    struct buf text;
    int r = action_region(act, req->region_id, &region);

    if (r < 0)
        return r;
    buf_init(&text, FAMILIES_BYTES_MAX);
    for (size_t i = 0; i < instance_family_count; i++)
        buf_printf(&text, "%s%s", i > 0 ? "," : "", instance_families[i].id);
    assert(!text.full);
    reply->instance_type_families = arena_str(act->arena, buf_str(&text));
    buf_done(&text);
    return 0;
}
