/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of any resource. */
#include "store/core.h"
#include "store/find.h"

static const struct column tag_columns[] = {
    COLUMN(struct tag, resource_id), COLUMN(struct tag, resource_type),
    COLUMN(struct tag, account_id),  COLUMN(struct tag, key),
    COLUMN(struct tag, value),
};
static const struct table tag_table = TABLE(struct tag, tag_columns);

int store_tag_put(struct tx *tx, const struct tag *tag)
{
    static const struct query query = {"INSERT INTO tag ({c}) VALUES ({v}) ON CONFLICT "
                                       "(resource_id, key) DO UPDATE SET value = excluded.value",
                                       &tag_table};
    struct tag row = *tag;

    if (!row.value.ptr)
        row.value = STR(""); /* a tag always has a value; absent means any, in filters */
    return rows_save(tx, &query, &row, NO_ARGS, NULL);
}

int store_tag_delete(struct tx *tx, struct str resource_id, struct str key)
{
    static const struct query one = {"DELETE FROM tag WHERE resource_id = $1 AND key = $2", NULL};
    static const struct query all = {"DELETE FROM tag WHERE resource_id = $1", NULL};

    if (key.ptr)
        return rows_change(tx, &one, ARGS(V_STR(resource_id), V_STR(key)), NULL);
    return rows_change(tx, &all, ARGS(V_STR(resource_id)), NULL);
}

int store_tag_of_resource(struct tx *tx, struct str resource_id, struct tag **ret,
                          size_t *ret_count)
{
    static const struct query query = {"SELECT {c} FROM tag WHERE resource_id = $1 ORDER BY key",
                                       &tag_table};

    return rows_all(tx, &query, ARGS(V_STR(resource_id)), ret, ret_count);
}

/* ── find ── */

struct tag_walk {
    struct tx *tx;
    struct str account_id;
    struct str resource_type;
    const struct tag *filter;
    size_t filter_count;
    struct str after_resource; /* the last tag of the page before; absent: from the start */
    struct str after_key;
    int64_t limit;
    struct tag *items;
    size_t count;
};

static int after(const struct tag_walk *walk, const struct tag *tag)
{
    int order = str_cmp(tag->resource_id, walk->after_resource);

    return order != 0 ? order : str_cmp(tag->key, walk->after_key);
}

/* Tags of one resource onto the page; 1: the page is full (and one more). */
static int add_resource(struct tag_walk *walk, struct str resource_id)
{
    struct tag *tags = NULL;
    size_t count = 0;
    int r = find_tags(walk->tx, resource_id, walk->filter, walk->filter_count);

    if (r <= 0)
        return r;
    r = store_tag_of_resource(walk->tx, resource_id, &tags, &count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        bool mine = find_text(walk->account_id, tags[i].account_id) &&
                    find_text(walk->resource_type, tags[i].resource_type);

        if (!mine || (walk->after_resource.ptr && after(walk, &tags[i]) <= 0))
            continue;
        arena_push(&walk->tx->arena, walk->items, walk->count, tags[i]);
        if ((int64_t)walk->count > walk->limit)
            return 1;
    }
    return r;
}

static int oldest_first(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int walk_ids(struct tag_walk *walk, const struct str_list *ids)
{
    struct str *sorted = arena_array(&walk->tx->arena, struct str, ids->count + 1);
    int r = 0;

    if (ids->count > 0) {
        memcpy(sorted, ids->items, ids->count * sizeof(*sorted));
        qsort(sorted, ids->count, sizeof(*sorted), oldest_first);
    }
    for (size_t i = 0; i < ids->count && r == 0; i++) {
        if (i > 0 && str_eq(sorted[i], sorted[i - 1]))
            continue;
        if (walk->after_resource.ptr && str_cmp(sorted[i], walk->after_resource) < 0)
            continue;
        r = add_resource(walk, sorted[i]);
    }
    return r;
}

/* The resources that have the first tag of the filter (or any tag), oldest first. */
static int walk_resources(struct tag_walk *walk)
{
    static const struct query by_value = {"SELECT resource_id FROM tag WHERE account_id = $1 AND "
                                          "resource_type = $2 AND resource_id >= $3 AND key = $4"
                                          " AND value = $5 ORDER BY resource_id",
                                          NULL};
    static const struct query by_key = {"SELECT resource_id FROM tag WHERE account_id = $1 AND "
                                        "resource_type = $2 AND resource_id >= $3 AND key = $4"
                                        " ORDER BY resource_id",
                                        NULL};
    static const struct query all = {"SELECT resource_id FROM tag WHERE account_id = $1 AND "
                                     "resource_type = $2 AND resource_id >= $3"
                                     " ORDER BY resource_id",
                                     NULL};
    const struct tag *tag = walk->filter_count > 0 ? &walk->filter[0] : NULL;
    const struct query *query = !tag ? &all : tag->value.ptr ? &by_value : &by_key;
    struct value args[] = {V_STR(walk->account_id), V_STR(walk->resource_type),
                           V_STR(walk->after_resource.ptr ? walk->after_resource : STR("")),
                           V_STR(tag ? tag->key : STR_NONE), V_STR(tag ? tag->value : STR_NONE)};
    struct str latest = STR_NONE;
    struct rows rows;
    int r = rows_start(walk->tx, query, args, !tag ? 3 : tag->value.ptr ? 5 : 4, &rows);

    if (r < 0)
        return r;
    while ((r = rows_next(&rows)) > 0) {
        struct str id = rows_text(&rows, 0);

        if (latest.ptr && str_eq(latest, id))
            continue; /* another tag of the same */
        latest = arena_str(&walk->tx->arena, id);
        r = add_resource(walk, latest);
        if (r != 0)
            break;
    }
    rows_end(&rows);
    return r;
}

/* `after` and *ret_next: resource id, a line feed, key. Keys may hold anything else. */
int store_tag_find(struct tx *tx, struct str account_id, struct str resource_type,
                   const struct str_list *ids, const struct tag *filter, size_t filter_count,
                   struct str after_text, int64_t limit, struct tag **ret, size_t *ret_count,
                   struct str *ret_next)
{
    struct tag_walk walk = {.tx = tx,
                            .account_id = account_id,
                            .resource_type = resource_type,
                            .filter = filter,
                            .filter_count = filter_count,
                            .limit = limit};

    assert(limit > 0);
    if (after_text.ptr && !str_split(after_text, '\n', &walk.after_resource, &walk.after_key))
        return -E_INVALID;
    int r = ids ? walk_ids(&walk, ids) : walk_resources(&walk);
    if (r < 0)
        return r;
    *ret_next = STR_NONE;
    if ((int64_t)walk.count > limit) {
        const struct tag *last = &walk.items[--walk.count - 1];

        *ret_next =
            arena_printf(&tx->arena, "%.*s\n%.*s", STR_ARG(last->resource_id), STR_ARG(last->key));
    }
    *ret = walk.items;
    *ret_count = walk.count;
    return 0;
}
