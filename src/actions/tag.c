/* SPDX-License-Identifier: Apache-2.0 */
/* TagResources, UntagResources, ListTagResources: instances, disks and key pairs carry tags. */
#include "actions/common.h"
#include "model/name.h"

#define TAGS_PER_RESOURCE 20
#define TAG_PAGE 50 /* resources' tags on one page of ListTagResources */

static const char *const taggable[] = {"instance", "disk", "keypair", NULL};
/* Resource types of the real service that have no rows here: known, but nothing is found. */
static const char *const others[] = {
    "image",          "snapshot",         "securitygroup",  "volume",  "eni",        "ddh",
    "launchtemplate", "reservedinstance", "snapshotpolicy", "command", "invocation", NULL};

static int check_type(struct action *act, struct str region_id, struct str resource_type)
{
    const struct catalog_region *region;
    int r = action_region(act, region_id, &region);

    if (r == 0 && words_find(taggable, resource_type) < 0 && words_find(others, resource_type) < 0)
        return fail(act->fail, E_RESOURCE_TYPE);
    return r;
}

static struct str canonical(struct str resource_type)
{
    int word = words_find(taggable, resource_type);

    return word < 0 ? resource_type : str_from(taggable[word]);
}

/*
 * 0 when `id` is a resource of that type, of this account, in that region, else -E_NOT_FOUND. *ret:
 * what its tags' rows call it; key pairs are called by names here, which others have as well.
 */
static int find_resource(struct action *act, struct str region_id, struct str type, struct str id,
                         struct str *ret)
{
    struct instance *inst;
    struct key_pair *pair;
    struct disk *disk;
    int r = -E_NOT_FOUND;
    bool own = false;

    if (str_eq_nocase(type, STR("instance"))) {
        r = store_instance_get_hot(act->tx, id, &inst);
        own = r == 0 && str_eq(inst->account_id, act->account->id) &&
              str_eq(inst->region_id, region_id);
    } else if (str_eq_nocase(type, STR("disk"))) {
        r = store_disk_get(act->tx, id, &disk);
        own = r == 0 && str_eq(disk->account_id, act->account->id) &&
              str_eq(disk->region_id, region_id);
    } else if (str_eq_nocase(type, STR("keypair"))) {
        r = store_key_pair_get(act->tx, act->account->id, region_id, id, &pair);
        own = r == 0;
        id = own ? pair->id : id;
    }
    if (r == 0 && own)
        *ret = id;
    return r == 0 && !own ? -E_NOT_FOUND : r;
}

static int check_resource(struct action *act, struct str region_id, struct str type, struct str id,
                          struct str *ret)
{
    int r = find_resource(act, region_id, type, id, ret);

    return r == -E_NOT_FOUND ? fail(act->fail, E_RESOURCE_NOT_FOUND) : action_failed(act, r);
}

/* *ret: what their tags' rows call them. */
static int check_resources(struct action *act, struct str region_id, struct str type,
                           const struct str_list *ids, struct str **ret)
{
    struct str *rows = arena_array(act->arena, struct str, ids->count + 1);
    int r = check_type(act, region_id, type);

    if (r == 0 && ids->count == 0) /* "[]" */
        return fail(act->fail, E_MISSING_PARAMETER, STR("ResourceId"));
    for (size_t i = 0; i < ids->count && r == 0; i++)
        r = check_resource(act, region_id, type, ids->items[i], &rows[i]);
    *ret = rows;
    return r;
}

/* How many there will be: the ones there are and those new ones that don't replace one. */
static int check_room(struct action *act, struct str id, const struct tag *tags, size_t count)
{
    struct tag *have;
    size_t have_count, total;
    int r = store_tag_of_resource(act->tx, id, &have, &have_count);

    if (r < 0)
        return action_failed(act, r);
    total = have_count + count;
    for (size_t i = 0; i < have_count; i++)
        for (size_t k = 0; k < count; k++)
            total -= str_eq(have[i].key, tags[k].key);
    return total > TAGS_PER_RESOURCE ? fail(act->fail, E_TAG_QUOTA) : 0;
}

int tag_resources(struct action *act, const struct tag_resources_request *req,
                  struct tag_resources_reply *reply)
{
    struct str *rows = NULL;
    struct tag *tags;
    size_t count;
    int r;

    (void)reply;
    if (req->tag.count == 0)
        return fail(act->fail, E_TAG_MISSING);
    r = action_tags(act, &req->tag, &tags, &count);
    if (r == 0)
        r = check_resources(act, req->region_id, req->resource_type, &req->resource_id, &rows);
    for (size_t i = 0; i < req->resource_id.count && r == 0; i++) {
        r = check_room(act, rows[i], tags, count);
        for (size_t k = 0; k < count && r == 0; k++) {
            tags[k].resource_id = rows[i];
            tags[k].resource_type = canonical(req->resource_type);
            r = store_tag_put(act->tx, &tags[k]);
        }
    }
    return action_failed(act, r);
}

int untag_resources(struct action *act, const struct untag_resources_request *req,
                    struct untag_resources_reply *reply)
{
    struct str *rows;
    int r = check_resources(act, req->region_id, req->resource_type, &req->resource_id, &rows);

    (void)reply;
    if (r < 0)
        return r;
    if (req->tag_key.count == 0 && !req->all)
        return fail(act->fail, E_TAG_MISSING);
    for (size_t i = 0; i < req->resource_id.count && r == 0; i++) {
        struct str id = rows[i];
        /* Keys that are named win over All; one that isn't there is no failure. */
        if (req->tag_key.count == 0)
            r = store_tag_delete(act->tx, id, STR_NONE);
        for (size_t k = 0; k < req->tag_key.count && (r == 0 || r == -E_NOT_FOUND); k++)
            r = store_tag_delete(act->tx, id, req->tag_key.items[k]);
        r = r == -E_NOT_FOUND ? 0 : r;
    }
    return action_failed(act, r);
}

/* Tag.N, or TagFilter.N with at most one value each, as rows that a resource must all have. */
static int make_filter(struct action *act, const struct list_tag_resources_request *req,
                       struct tag **ret, size_t *ret_count)
{
    struct tag *tags;
    int r = action_tag_filter(act, &req->tag, ret, ret_count);

    if (r < 0 || req->tag_filter.count == 0)
        return r;
    tags = arena_array(act->arena, struct tag, *ret_count + req->tag_filter.count);
    memcpy(tags, *ret, *ret_count * sizeof(*tags));
    for (size_t i = 0; i < req->tag_filter.count; i++) {
        const struct list_tag_resources_tag_filter *filter = &req->tag_filter.items[i];
        if (str_empty(filter->tag_key))
            return fail(act->fail, E_TAG_KEY);
        if (filter->tag_values.count > 1)
            return fail(act->fail, E_TAG_VALUE);
        tags[(*ret_count)++] = (struct tag){
            .account_id = act->account->id,
            .key = filter->tag_key,
            .value = filter->tag_values.count ? filter->tag_values.items[0] : STR_NONE};
    }
    *ret = tags;
    return 0;
}

static struct page_check make_check(const struct action *act,
                                    const struct list_tag_resources_request *req,
                                    const struct tag *filter, size_t count)
{
    struct page_check check;

    page_check_init(&check);
    page_check_add(&check, act->account->id);
    page_check_add(&check, req->region_id);
    page_check_add(&check, canonical(req->resource_type));
    page_check_add_list(&check, &req->resource_id);
    action_tag_check(&check, filter, count);
    return check;
}

static bool is_key_pair(struct str resource_type)
{
    return str_eq_nocase(resource_type, STR("keypair"));
}

/* A key pair's row as callers name it: -E_NOT_FOUND when it is of another region. */
static int find_pair_name(struct action *act, struct str region_id, struct str row, struct str *ret)
{
    struct key_pair *pairs;
    size_t count;
    int r = store_key_pair_list(act->tx, act->account->id, region_id, &pairs, &count);

    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        if (str_eq(pairs[i].id, row)) {
            *ret = pairs[i].name;
            return 0;
        }
    }
    return -E_NOT_FOUND;
}

/* The ids of the request as rows have them; a pair that isn't there has no tags. */
static int wanted_rows(struct action *act, const struct list_tag_resources_request *req,
                       struct str_list *ret)
{
    struct str_list rows = {arena_array(act->arena, struct str, req->resource_id.count + 1), 0};
    int r = 0;

    if (!is_key_pair(req->resource_type)) {
        *ret = req->resource_id;
        return 0;
    }
    for (size_t i = 0; i < req->resource_id.count && r == 0; i++) {
        r = find_resource(act, req->region_id, req->resource_type, req->resource_id.items[i],
                          &rows.items[rows.count]);
        rows.count += r == 0;
        r = r == -E_NOT_FOUND ? 0 : r;
    }
    *ret = rows;
    return r;
}

/*
 * The tags of what is in the region. A tag doesn't know where its resource is, so that a page may
 * hold fewer than it could, and a token all the same.
 */
static int show_tags(struct action *act, const struct list_tag_resources_request *req,
                     const struct tag *tags, size_t count, struct list_tag_resources_reply *reply)
{
    struct list_tag_resources_tag_resource *items =
        arena_array(act->arena, struct list_tag_resources_tag_resource, count + 1);
    struct str name = STR_NONE;
    size_t shown = 0;
    int r = 0;

    for (size_t i = 0; i < count; i++) {
        bool same = i > 0 && str_eq(tags[i].resource_id, tags[i - 1].resource_id);

        if (!same && is_key_pair(tags[i].resource_type))
            r = find_pair_name(act, req->region_id, tags[i].resource_id, &name);
        else if (!same)
            r = find_resource(act, req->region_id, tags[i].resource_type, tags[i].resource_id,
                              &name);
        if (r < 0 && r != -E_NOT_FOUND)
            return action_failed(act, r);
        if (r == 0)
            items[shown++] = (struct list_tag_resources_tag_resource){name, tags[i].resource_type,
                                                                      tags[i].key, tags[i].value};
    }
    reply->tag_resources.items = items;
    reply->tag_resources.count = shown;
    return 0;
}

int list_tag_resources(struct action *act, const struct list_tag_resources_request *req,
                       struct list_tag_resources_reply *reply)
{
    struct str after = STR_NONE, next = STR_NONE;
    struct tag *filter, *tags;
    size_t filter_count, count;
    struct page_check check;
    struct str_list rows;
    int r = check_type(act, req->region_id, req->resource_type);

    if (r == 0)
        r = make_filter(act, req, &filter, &filter_count);
    if (r < 0)
        return r;
    r = wanted_rows(act, req, &rows);
    if (r < 0)
        return action_failed(act, r);
    check = make_check(act, req, filter, filter_count);
    if (!str_empty(req->next_token) &&
        page_token_read(act->arena, &check, req->next_token, &after) < 0)
        return fail(act->fail, E_NEXT_TOKEN);
    r = store_tag_find(act->tx, act->account->id, canonical(req->resource_type),
                       req->resource_id.count > 0 ? &rows : NULL, filter, filter_count, after,
                       TAG_PAGE, &tags, &count, &next);
    if (r < 0)
        return action_failed(act, r);
    if (!str_empty(next))
        reply->next_token = page_token_make(act->arena, &check, next);
    return show_tags(act, req, tags, count, reply);
}
