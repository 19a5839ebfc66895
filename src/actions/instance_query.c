/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeInstances, DescribeInstanceAttribute, DescribeUserData. */
#include "actions/instance_view.h"

#define PAGE_DEFAULT 10

/* The four keys of Filter.N. */
static int take_filter(struct action *act, const struct filter_pair *pair,
                       struct instance_filter *filter)
{
    const struct {
        struct str key;
        usec_t *bound;
    } keys[] = {
        {STR("CreationStartTime"), &filter->created_from_us},
        {STR("CreationEndTime"), &filter->created_until_us},
        {STR("ExpiredStartTime"), &filter->expires_from_us},
        {STR("ExpiredEndTime"), &filter->expires_until_us},
    };

    for (size_t i = 0; i < countof(keys); i++)
        if (str_eq(pair->key, keys[i].key))
            return time_parse(pair->value, keys[i].bound) < 0 ? fail(act->fail, E_FILTER_VALUE) : 0;
    return fail(act->fail, E_FILTER_KEY);
}

/* A JSON list that was given filters, also an empty one; one that wasn't does not. */
static const struct str_list *given(const struct str_list *list)
{
    return list->items ? list : NULL;
}

/* What no instance here has: classic addresses, RDMA, HPC clusters, IPv6, devices that are away. */
static bool asks_for_nothing(const struct describe_instances_request *req)
{
    return req->inner_ip_addresses.items || req->rdma_ip_addresses.items ||
           req->ipv6_address.count > 0 || !str_empty(req->hpc_cluster_id) ||
           (req->io_optimized.set && !req->io_optimized.value) ||
           (req->device_available.set && !req->device_available.value);
}

/* The options as the row keeps them, with a star for each that is not asked for. */
static struct str metadata_glob(struct arena *arena, const struct describe_instances_request *req)
{
    const struct opt_int *hops = &req->http_put_response_hop_limit;
    const char *endpoint =
        req->http_endpoint < 0 ? "*" : http_endpoint_text((enum http_endpoint)req->http_endpoint);
    const char *tokens =
        req->http_tokens < 0 ? "*" : http_tokens_text((enum http_tokens)req->http_tokens);

    if (req->http_endpoint < 0 && req->http_tokens < 0 && !hops->set)
        return STR_NONE;
    return hops->set
               ? arena_printf(arena, "%s,%s,%lld", endpoint, tokens, (long long)hops->value)
               : arena_printf(arena, "%s,%s,*", endpoint, tokens);
}

static int make_filter(struct action *act, const struct describe_instances_request *req,
                       struct instance_filter *filter)
{
    static const struct str_list nothing = {NULL, 0};
    struct tag *tags;
    int r = 0;

    instance_filter_init(filter);
    filter->account_id = act->account->id;
    filter->region_id = req->region_id;
    filter->ids = asks_for_nothing(req) ? &nothing : given(&req->instance_ids);
    filter->zone_id = req->zone_id;
    filter->vpc_id = req->vpc_id;
    filter->vswitch_id = req->vswitch_id;
    filter->image_id = req->image_id;
    filter->key_pair_name = req->key_pair_name;
    filter->type_id = req->instance_type;
    filter->family = req->instance_type_family;
    filter->resource_group_id = req->resource_group_id;
    filter->security_group_id = req->security_group_id;
    filter->name_glob = req->instance_name;
    filter->metadata_glob = metadata_glob(act->arena, req);
    filter->private_ips = given(&req->private_ip_addresses);
    filter->public_ips = given(&req->public_ip_addresses);
    filter->eip_addresses = given(&req->eip_addresses);
    filter->state = req->status;
    filter->charge_type = req->instance_charge_type;
    filter->network_type = req->instance_network_type;
    filter->internet_charge_type = req->internet_charge_type;
    filter->lock_reason = req->lock_reason;
    for (size_t i = 0; i < req->filter.count && r == 0; i++)
        r = take_filter(act, &req->filter.items[i], filter);
    if (r == 0)
        r = action_tag_filter(act, &req->tag, &tags, &filter->tag_count);
    if (r == 0)
        filter->tags = tags;
    return r;
}

/* Everything that decides which rows there are, so that a token is good for its own query only. */
static struct page_check make_check(const struct instance_filter *filter)
{
    const struct str texts[] = {filter->account_id,
                                filter->region_id,
                                filter->zone_id,
                                filter->vpc_id,
                                filter->vswitch_id,
                                filter->image_id,
                                filter->key_pair_name,
                                filter->type_id,
                                filter->family,
                                filter->resource_group_id,
                                filter->security_group_id,
                                filter->name_glob,
                                filter->metadata_glob};
    const int64_t numbers[] = {filter->state,
                               filter->charge_type,
                               filter->network_type,
                               filter->internet_charge_type,
                               filter->lock_reason,
                               filter->created_from_us,
                               filter->created_until_us,
                               filter->expires_from_us,
                               filter->expires_until_us};
    struct page_check check;

    page_check_init(&check);
    for (size_t i = 0; i < countof(texts); i++)
        page_check_add(&check, texts[i]);
    for (size_t i = 0; i < countof(numbers); i++)
        page_check_add_i64(&check, numbers[i]);
    page_check_add_list(&check, filter->ids);
    page_check_add_list(&check, filter->private_ips);
    page_check_add_list(&check, filter->public_ips);
    page_check_add_list(&check, filter->eip_addresses);
    action_tag_check(&check, filter->tags, filter->tag_count);
    return check;
}

/* With NextToken or MaxResults by key, else by number. */
static int make_page(struct action *act, const struct describe_instances_request *req,
                     const struct page_check *check, struct page *page,
                     struct describe_instances_reply *reply)
{
    struct page_ask ask;

    if (str_empty(req->next_token) && !req->max_results.set) {
        ask = page_ask_make(req->page_number, req->page_size, PAGE_DEFAULT, LIMIT_PAGE_SIZE);
        *page =
            (struct page){.offset = (ask.number - 1) * ask.size, .limit = ask.size, .count = true};
        reply->page_number = ask.number;
        reply->page_size = ask.size;
        return 0;
    }
    /* Fewer than ten count as ten (2026 page). */
    ask = page_ask_make(1, req->max_results.set ? req->max_results.value : PAGE_DEFAULT,
                        PAGE_DEFAULT, LIMIT_PAGE_SIZE);
    ask.size = MAX_OF(ask.size, (int64_t)PAGE_DEFAULT);
    *page = (struct page){.limit = ask.size};
    reply->page_number = 1;
    reply->page_size = ask.size;
    if (!str_empty(req->next_token) &&
        page_token_read(act->arena, check, req->next_token, &page->after) < 0)
        return fail(act->fail, E_NEXT_TOKEN);
    return 0;
}

int describe_instances(struct action *act, const struct describe_instances_request *req,
                       struct describe_instances_reply *reply)
{
    const struct catalog_region *region;
    struct instance_filter filter;
    struct instance_list list;
    struct page_check check;
    struct page page;
    int r = action_region(act, req->region_id, &region);

    if (r == 0)
        r = make_filter(act, req, &filter);
    if (r < 0)
        return r;
    check = make_check(&filter);
    r = make_page(act, req, &check, &page, reply);
    if (r < 0)
        return r;
    if (req->dry_run)
        return fail(act->fail, E_DRY_RUN);
    r = store_instance_find(act->tx, &filter, &page, false, &list);
    if (r < 0)
        return action_failed(act, r);
    reply->instances.items = arena_array(act->arena, struct instance_view, list.count + 1);
    for (size_t i = 0; i < list.count && r == 0; i++)
        r = instance_view_fill(act, &list.items[i], &reply->instances.items[i]);
    reply->instances.count = list.count;
    /*
     * By key the total is exact where it is kept, or where the list ends with this page; else it is what has been seen.
     * The API gives it no meaning then, and counting would cost by the match.
     */
    reply->total_count = str_empty(req->next_token) ? list.total : 0;
    /* Also behind a page that has a number: pagers look for nothing else. */
    if (list.more && list.count > 0)
        reply->next_token = page_token_make(act->arena, &check, list.items[list.count - 1].id);
    return r;
}

static struct lock_brief_list lock_briefs(struct arena *arena, const struct instance *inst)
{
    struct str_list words = instance_lock_words(arena, inst);
    struct lock_brief_list list = {.items = arena_array(arena, struct lock_brief, words.count + 1),
                                   .count = words.count};

    for (size_t i = 0; i < words.count; i++)
        list.items[i].lock_reason = words.items[i];
    return list;
}

int describe_instance_attribute(struct action *act,
                                const struct describe_instance_attribute_request *req,
                                struct describe_instance_attribute_reply *reply)
{
    const struct instance_type *type;
    struct instance *inst;
    int r = action_instance(act, req->instance_id, &inst);

    if (r < 0)
        return r;
    type = instance_type_of(inst);
    *reply = (struct describe_instance_attribute_reply){
        .instance_id = inst->id,
        .instance_name = inst->name,
        .description = inst->description,
        .host_name = inst->host_name,
        .region_id = inst->region_id,
        .zone_id = inst->zone_id,
        .image_id = inst->image_id,
        .instance_type = inst->type_id,
        .cpu = type->vcpus,
        .memory = type->memory_mib,
        .status = inst->state,
        .stopped_mode = (int)instance_shown_stopped_mode(inst),
        .serial_number = inst->serial_number,
        .creation_time = inst->created_us,
        .expired_time = instance_shown_expiry(inst),
        .instance_charge_type = inst->charge_type,
        .instance_network_type = inst->network_type,
        .internet_charge_type = inst->internet_charge_type,
        .internet_max_bandwidth_in = inst->bandwidth_in_mbps,
        .internet_max_bandwidth_out = inst->bandwidth_out_mbps,
        .io_optimized = IO_OPTIMIZED_OPTIMIZED,
        .credit_specification = inst->credit_specification,
        .public_ip_address = instance_public_ips(act->arena, inst),
        .vpc_attributes = instance_vpc(act->arena, inst),
        .eip_address = {.allocation_id = inst->eip_id, .ip_address = inst->eip_address},
        .operation_locks = lock_briefs(act->arena, inst),
    };
    return instance_groups(act, inst, &reply->security_group_ids);
}

int describe_user_data(struct action *act, const struct describe_user_data_request *req,
                       struct describe_user_data_reply *reply)
{
    struct instance *inst;
    int r = action_instance(act, req->instance_id, &inst);

    if (r == 0 && !str_eq(inst->region_id, req->region_id))
        return fail(act->fail, E_INSTANCE_NOT_FOUND);
    if (r < 0)
        return r;
    *reply = (struct describe_user_data_reply){
        .region_id = inst->region_id, .instance_id = inst->id, .user_data = inst->user_data};
    return 0;
}
