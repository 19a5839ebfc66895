/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateKeyPair, ImportKeyPair, DescribeKeyPairs, DeleteKeyPairs, AttachKeyPair, DetachKeyPair. An
 * instance has its pair by name, and takes the public key from there at each start; so a pair that
 * an instance has stays.
 */
#include "actions/common.h"
#include "base/keygen.h"
#include "model/name.h"
#include "model/public_key.h"

#define RESOURCE_TYPE STR("keypair")
#define RESOURCE_GROUP_MAX_BYTES 64
#define PAGE_DEFAULT 10
#define PAGE_MAX 50

/* What both ways of making a pair are told. */
struct pair_order {
    struct str region_id, name, resource_group_id;
    const struct tag_pair_list *tags;
};

static int find_pair(struct action *act, struct str region_id, struct str name,
                     struct key_pair **ret)
{
    return store_key_pair_get(act->tx, act->account->id, region_id, name, ret);
}

/* ── make ── */

static int check_room(struct action *act, const struct pair_order *order)
{
    struct key_pair *pairs;
    size_t count;
    int r = find_pair(act, order->region_id, order->name, &pairs);

    if (r == 0)
        return fail(act->fail, E_KEY_PAIR_EXISTS);
    if (r == -E_NOT_FOUND)
        r = store_key_pair_list(act->tx, act->account->id, order->region_id, &pairs, &count);
    if (r < 0)
        return action_failed(act, r);
    return count >= LIMIT_KEY_PAIRS ? fail(act->fail, E_KEY_PAIR_QUOTA) : 0;
}

static int check_order(struct action *act, const struct pair_order *order, struct tag **ret_tags,
                       size_t *ret_count)
{
    const struct catalog_region *region;
    int r = action_region(act, order->region_id, &region);

    if (r < 0)
        return r;
    if (!name_valid(order->name))
        return fail(act->fail, E_KEY_PAIR_NAME);
    /* There is no service that makes groups: any id is taken as a label to filter by. */
    if (order->resource_group_id.len > RESOURCE_GROUP_MAX_BYTES)
        return fail(act->fail, E_RESOURCE_GROUP_NOT_FOUND);
    r = action_tags(act, order->tags, ret_tags, ret_count);
    return r < 0 ? r : check_room(act, order);
}

static int put_pair(struct action *act, const struct pair_order *order,
                    const struct public_key *key, const struct tag *tags, size_t tag_count,
                    struct str *ret_id)
{
    struct key_pair pair = {
        .id = env_id(act->env, act->arena, "ssh-"),
        .account_id = act->account->id,
        .region_id = order->region_id,
        .name = order->name,
        .fingerprint = key->fingerprint,
        .public_key = key->line,
        .resource_group_id = order->resource_group_id,
        .created_us = act->now,
    };
    int r = store_key_pair_insert(act->tx, &pair);

    for (size_t i = 0; i < tag_count && r == 0; i++) {
        struct tag tag = tags[i];
        tag.resource_id = pair.id;
        tag.resource_type = RESOURCE_TYPE;
        r = store_tag_put(act->tx, &tag);
    }
    if (r < 0)
        return action_failed(act, r);
    *ret_id = pair.id;
    return 0;
}

int create_key_pair(struct action *act, const struct create_key_pair_request *req,
                    struct create_key_pair_reply *reply)
{
    const struct pair_order order = {req->region_id, req->key_pair_name, req->resource_group_id,
                                     &req->tag};
    struct keygen_key made;
    struct public_key key;
    struct tag *tags;
    size_t tag_count;
    int r = check_order(act, &order, &tags, &tag_count);

    if (r < 0)
        return r;
    r = keygen_take(act->arena, &made);
    if (r < 0)
        return action_failed(act, r);
    r = public_key_parse(act->arena, made.public_line, &key);
    assert(r == 0);
    r = put_pair(act, &order, &key, tags, tag_count, &reply->key_pair_id);
    if (r < 0)
        return r;
    reply->key_pair_name = order.name;
    reply->key_pair_finger_print = key.fingerprint;
    reply->private_key_body = made.private_pem;
    return 0;
}

int import_key_pair(struct action *act, const struct import_key_pair_request *req,
                    struct import_key_pair_reply *reply)
{
    const struct pair_order order = {req->region_id, req->key_pair_name, req->resource_group_id,
                                     &req->tag};
    struct public_key key;
    struct tag *tags;
    size_t tag_count;
    struct str id;
    int r = check_order(act, &order, &tags, &tag_count);

    if (r < 0)
        return r;
    if (public_key_parse(act->arena, req->public_key_body, &key) < 0)
        return fail(act->fail, E_KEY_PAIR_BODY);
    r = put_pair(act, &order, &key, tags, tag_count, &id);
    if (r < 0)
        return r;
    reply->key_pair_name = order.name;
    reply->key_pair_finger_print = key.fingerprint;
    return 0;
}

/* ── list ── */

static bool has_tag(const struct tag_view_list *have, const struct tag *wanted)
{
    for (size_t i = 0; i < have->count; i++)
        if (str_eq(have->items[i].tag_key, wanted->key) &&
            (str_empty(wanted->value) || str_eq(have->items[i].tag_value, wanted->value)))
            return true;
    return false;
}

static bool pair_matches(const struct describe_key_pairs_request *req, const struct key_pair *pair)
{
    if (!str_empty(req->key_pair_name) && !str_glob(req->key_pair_name, pair->name, false))
        return false;
    if (!str_empty(req->key_pair_finger_print) &&
        !str_eq(req->key_pair_finger_print, pair->fingerprint))
        return false;
    return str_empty(req->resource_group_id) ||
           str_eq(req->resource_group_id, pair->resource_group_id);
}

static bool has_tags(const struct tag_view_list *have, const struct tag *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!has_tag(have, &wanted[i]))
            return false;
    return true;
}

/* The page's part of what matches goes into the reply, all of it is counted. */
static int add_pairs(struct action *act, const struct describe_key_pairs_request *req,
                     const struct tag *wanted, size_t wanted_count, const struct page_ask *ask,
                     struct describe_key_pairs_reply *reply)
{
    size_t first = (size_t)(ask->number - 1) * (size_t)ask->size, matches = 0, count = 0;
    struct key_pair *pairs = NULL;
    int r = store_key_pair_list(act->tx, act->account->id, req->region_id, &pairs, &count);

    if (r < 0)
        return action_failed(act, r);
    for (size_t i = 0; i < count && r == 0; i++) {
        const struct key_pair *pair = &pairs[i];
        struct tag_view_list tags = {NULL, 0};

        if (!pair_matches(req, pair))
            continue;
        r = action_tag_views(act, pair->id, &tags);
        if (r < 0 || !has_tags(&tags, wanted, wanted_count))
            continue;
        if (matches++ < first || reply->key_pairs.count >= (size_t)ask->size)
            continue;
        reply->key_pairs.items[reply->key_pairs.count++] = (struct describe_key_pairs_key_pair){
            .key_pair_name = pair->name,
            .key_pair_finger_print = pair->fingerprint,
            .creation_time = pair->created_us,
            .resource_group_id = pair->resource_group_id,
            .public_key = req->include_public_key ? pair->public_key : STR_NONE,
            .tags = tags,
        };
    }
    reply->total_count = (int64_t)matches;
    return r;
}

int describe_key_pairs(struct action *act, const struct describe_key_pairs_request *req,
                       struct describe_key_pairs_reply *reply)
{
    struct page_ask ask = page_ask_make(req->page_number, req->page_size, PAGE_DEFAULT, PAGE_MAX);
    const struct catalog_region *region;
    struct tag *wanted;
    size_t wanted_count;
    int r = action_region(act, req->region_id, &region);

    if (r == 0)
        r = action_tag_filter(act, &req->tag, &wanted, &wanted_count);
    if (r < 0)
        return r;
    reply->key_pairs.items =
        arena_array(act->arena, struct describe_key_pairs_key_pair, (size_t)ask.size);
    reply->page_number = ask.number;
    reply->page_size = ask.size;
    return add_pairs(act, req, wanted, wanted_count, &ask, reply);
}

/* ── delete ── */

static int check_detached(struct action *act, const struct key_pair *pair)
{
    const struct page page = {.limit = 1};
    struct instance_filter filter;
    struct instance_list list;
    int r;

    instance_filter_init(&filter);
    filter.account_id = pair->account_id;
    filter.region_id = pair->region_id;
    filter.key_pair_name = pair->name;
    r = store_instance_find(act->tx, &filter, &page, true, &list);
    if (r < 0)
        return action_failed(act, r);
    return list.count > 0 ? fail(act->fail, E_KEY_PAIR_ATTACHED) : 0;
}

static int delete_one(struct action *act, struct str region_id, struct str name)
{
    struct key_pair *pair;
    int r = find_pair(act, region_id, name, &pair);

    if (r == -E_NOT_FOUND)
        return 0;
    if (r < 0)
        return action_failed(act, r);
    r = check_detached(act, pair);
    if (r < 0)
        return r;
    r = store_tag_delete(act->tx, pair->id, STR_NONE);
    if (r == 0)
        r = store_key_pair_delete(act->tx, act->account->id, region_id, name);
    return action_failed(act, r);
}

int delete_key_pairs(struct action *act, const struct delete_key_pairs_request *req,
                     struct delete_key_pairs_reply *reply)
{
    const struct catalog_region *region;
    int r = action_region(act, req->region_id, &region);

    (void)reply;
    if (r == 0 && req->key_pair_names.count == 0)
        return fail(act->fail, E_KEY_PAIR_NAMES);
    for (size_t i = 0; i < req->key_pair_names.count && r == 0; i++)
        r = delete_one(act, req->region_id, req->key_pair_names.items[i]);
    return r;
}

/* ── attach, detach ── */

/* The call fails as a whole for what can't have a pair at all, before anything is changed. */
static int take_instances(struct action *act, struct str region_id, const struct str_list *ids,
                          struct instance **ret)
{
    struct instance *all = arena_array(act->arena, struct instance, ids->count + 1);

    if (ids->count == 0)
        return fail(act->fail, E_KEY_PAIR_INSTANCES);
    for (size_t i = 0; i < ids->count; i++) {
        struct instance *inst = NULL;
        int r = store_instance_get(act->tx, ids->items[i], &inst);

        if (r == -E_NOT_FOUND || (r == 0 && (!str_eq(inst->account_id, act->account->id) ||
                                             !str_eq(inst->region_id, region_id))))
            return fail(act->fail, E_KEY_PAIR_INSTANCES);
        if (r < 0)
            return action_failed(act, r);
        if (str_eq(inst->os_type, STR("windows")))
            return fail(act->fail, E_KEY_PAIR_WINDOWS);
        all[i] = *inst;
    }
    *ret = all;
    return 0;
}

static struct key_pair_result done(struct str instance_id)
{
    return (struct key_pair_result){instance_id, STR("200"), STR("successful"), STR("true")};
}

static struct key_pair_result has_another(struct str instance_id)
{
    return (struct key_pair_result){
        instance_id, str_from(error_code_text(E_KEY_PAIR_NOT_FOUND)),
        STR("The key pair is not attached to the instance, which has another one."), STR("false")};
}

static struct str number_text(struct action *act, size_t number)
{
    return arena_printf(act->arena, "%zu", number);
}

int attach_key_pair(struct action *act, const struct attach_key_pair_request *req,
                    struct attach_key_pair_reply *reply)
{
    const struct str_list *ids = &req->instance_ids;
    const struct catalog_region *region;
    struct instance *all;
    struct key_pair *pair;
    int r = action_region(act, req->region_id, &region);

    if (r < 0)
        return r;
    r = find_pair(act, req->region_id, req->key_pair_name, &pair);
    if (r < 0)
        return r == -E_NOT_FOUND ? fail(act->fail, E_KEY_PAIR_ATTACH) : action_failed(act, r);
    r = take_instances(act, req->region_id, ids, &all);
    if (r < 0)
        return r;
    reply->results.items = arena_array(act->arena, struct key_pair_result, ids->count);
    for (size_t i = 0; i < ids->count && r == 0; i++) {
        all[i].key_pair_name = req->key_pair_name;
        r = store_instance_save_doc(act->tx, &all[i]);
        reply->results.items[reply->results.count++] = done(ids->items[i]);
    }
    reply->key_pair_name = req->key_pair_name;
    reply->total_count = number_text(act, ids->count);
    reply->fail_count = STR("0");
    return action_failed(act, r);
}

static int detach_one(struct action *act, struct instance *inst, struct str name, struct str id,
                      struct key_pair_result *ret)
{
    int r = 0;

    if (inst->key_pair_name.ptr && !str_eq(inst->key_pair_name, name)) {
        *ret = has_another(id);
        return 0;
    }
    if (inst->key_pair_name.ptr) {
        inst->key_pair_name = STR_NONE;
        r = store_instance_save_doc(act->tx, inst);
    }
    *ret = done(id);
    return action_failed(act, r);
}

int detach_key_pair(struct action *act, const struct detach_key_pair_request *req,
                    struct detach_key_pair_reply *reply)
{
    const struct str_list *ids = &req->instance_ids;
    const struct catalog_region *region;
    struct instance *all;
    struct key_pair *pair;
    size_t failed = 0;
    int r = action_region(act, req->region_id, &region);

    if (r < 0)
        return r;
    r = find_pair(act, req->region_id, req->key_pair_name, &pair);
    if (r < 0)
        return r == -E_NOT_FOUND ? fail(act->fail, E_KEY_PAIR_DETACH) : action_failed(act, r);
    r = take_instances(act, req->region_id, ids, &all);
    if (r < 0)
        return r;
    reply->results.items = arena_array(act->arena, struct key_pair_result, ids->count);
    for (size_t i = 0; i < ids->count && r == 0; i++) {
        struct key_pair_result *result = &reply->results.items[reply->results.count++];
        r = detach_one(act, &all[i], req->key_pair_name, ids->items[i], result);
        failed += str_eq(result->success, STR("false"));
    }
    reply->key_pair_name = req->key_pair_name;
    reply->total_count = number_text(act, ids->count);
    reply->fail_count = number_text(act, failed);
    return r;
}
