/* SPDX-License-Identifier: Apache-2.0 */
#define ACTION_FAILED_IMPLEMENTATION
#include "actions/common.h"

#include "base/bug.h"
#include "model/name.h"

#define TAGS_MAX 20 /* Tag.N of RunInstances and TagResources */

int action_failed(struct action *act, int r)
{
    if (r == 0 || (act->fail && act->fail->code == (enum error_code) - r))
        return r;
    if (r == -E_CONFLICT)
        return fail(act->fail, E_OPERATION_CONFLICT);
    return fail(act->fail, (enum error_code) - r);
}

static int owned(struct action *act, int r, struct instance *inst, struct instance **ret)
{
    if (r == -E_NOT_FOUND || (r == 0 && !BUG(stranger_served) && !str_eq(inst->account_id, act->account->id)))
        return fail(act->fail, E_INSTANCE_NOT_FOUND);
    if (r < 0)
        return action_failed(act, r);
    *ret = inst;
    return 0;
}

int action_instance_hot(struct action *act, struct str id, struct instance **ret)
{
    struct instance *inst = NULL;
    int r = store_instance_get_hot(act->tx, id, &inst);

    return owned(act, r, inst, ret);
}

int action_instance(struct action *act, struct str id, struct instance **ret)
{
    struct instance *inst = NULL;
    int r = store_instance_get(act->tx, id, &inst);

    return owned(act, r, inst, ret);
}

int action_disk(struct action *act, struct str id, struct disk **ret)
{
    struct disk *disk = NULL;
    int r = store_disk_get(act->tx, id, &disk);

    if (r == -E_NOT_FOUND || (r == 0 && !str_eq(disk->account_id, act->account->id)))
        return fail(act->fail, E_DISK_ID_NOT_FOUND);
    if (r < 0)
        return action_failed(act, r);
    *ret = disk;
    return 0;
}

int action_region(struct action *act, struct str id, const struct catalog_region **ret)
{
    const struct catalog_region *region = catalog_region_find(id);

    if (!region)
        return fail(act->fail, E_REGION_NOT_FOUND);
    *ret = region;
    return 0;
}

struct order action_order(const struct action *act)
{
    return (struct order){
        .request_id = act->request_id,
        .actor = act->key ? act->key->id : STR("operator"),
        .reason = STOP_REASON_API,
    };
}

struct stop_rules action_stop_rules(const struct action *act)
{
    return (struct stop_rules){
        .confirm_ignored = act->options->compat_confirm_stop == COMPAT_CONFIRM_STOP_IGNORE,
        .force_overtakes = act->options->stop_force_overtakes,
        .local_disk_clear = act->options->compat_local_disk_clear,
    };
}

int action_asked_mode(int mode)
{
    return mode == STOPPED_MODE_KEEP_CHARGING || mode == STOPPED_MODE_STOP_CHARGING ? mode : -1;
}

struct page_ask page_ask_make(int64_t number, int64_t size, int64_t size_default, int64_t size_max)
{
    struct page_ask ask = {.number = 1, .size = size_default};

    /* Beyond this no page has anything; the bound keeps number * size far from overflow. */
    if (number >= 1)
        ask.number = MIN_OF(number, (int64_t)INT32_MAX);
    if (size >= 1)
        ask.size = MIN_OF(size, size_max);
    return ask;
}

void page_ask_window(const struct page_ask *ask, size_t total, size_t *ret_first, size_t *ret_count)
{
    size_t first = MIN_OF((size_t)(ask->number - 1) * (size_t)ask->size, total);

    *ret_first = first;
    *ret_count = MIN_OF((size_t)ask->size, total - first);
}

static bool key_before(const struct tag *tags, size_t count, struct str key)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(tags[i].key, key))
            return true;
    return false;
}

int action_tags(struct action *act, const struct tag_pair_list *pairs, struct tag **ret,
                size_t *ret_count)
{
    struct tag *tags = arena_array(act->arena, struct tag, pairs->count + 1);

    if (pairs->count > TAGS_MAX)
        return fail(act->fail, E_TAG_COUNT);
    for (size_t i = 0; i < pairs->count; i++) {
        const struct tag_pair *pair = &pairs->items[i];
        if (str_empty(pair->key))
            return str_empty(pair->value) ? fail(act->fail, E_TAG_KEY)
                                          : fail(act->fail, E_TAG_MISMATCH);
        if (!tag_key_valid(pair->key))
            return fail(act->fail, E_TAG_KEY);
        if (!tag_value_valid(pair->value))
            return fail(act->fail, E_TAG_VALUE);
        if (key_before(tags, i, pair->key))
            return fail(act->fail, E_TAG_DUPLICATE);
        tags[i] = (struct tag){.account_id = act->account->id,
                               .key = pair->key,
                               .value = pair->value.ptr ? pair->value : STR("")};
    }
    *ret = tags;
    *ret_count = pairs->count;
    return 0;
}

int action_tag_filter(struct action *act, const struct tag_pair_list *pairs, struct tag **ret,
                      size_t *ret_count)
{
    struct tag *tags = arena_array(act->arena, struct tag, pairs->count + 1);

    if (pairs->count > TAGS_MAX)
        return fail(act->fail, E_TAG_COUNT);
    for (size_t i = 0; i < pairs->count; i++) {
        if (str_empty(pairs->items[i].key))
            return fail(act->fail, E_TAG_MISMATCH);
        tags[i] = (struct tag){.account_id = act->account->id,
                               .key = pairs->items[i].key,
                               .value = pairs->items[i].value};
    }
    *ret = tags;
    *ret_count = pairs->count;
    return 0;
}

void action_tag_check(struct page_check *check, const struct tag *tags, size_t count)
{
    page_check_add_i64(check, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        page_check_add(check, tags[i].key);
        page_check_add(check, tags[i].value);
    }
}

int action_tag_views(struct action *act, struct str resource_id, struct tag_view_list *ret)
{
    struct tag *tags;
    size_t count;
    int r = store_tag_of_resource(act->tx, resource_id, &tags, &count);

    if (r < 0)
        return action_failed(act, r);
    ret->items = arena_array(act->arena, struct tag_view, count + 1);
    ret->count = count;
    for (size_t i = 0; i < count; i++)
        ret->items[i] = (struct tag_view){.tag_key = tags[i].key, .tag_value = tags[i].value};
    return 0;
}
