/* SPDX-License-Identifier: Apache-2.0 */
/* Deployment sets. Which instances are in them stands in the instances' own rows. */
#include "store/core.h"
#include "store/find.h"

static const struct column set_columns[] = {
    COLUMN(struct deployment_set, id),
    COLUMN(struct deployment_set, account_id),
    COLUMN(struct deployment_set, region_id),
    COLUMN(struct deployment_set, name),
    COLUMN(struct deployment_set, description),
    COLUMN(struct deployment_set, strategy),
    COLUMN(struct deployment_set, on_failure),
    COLUMN(struct deployment_set, group_count),
    COLUMN(struct deployment_set, created_us),
};
static const struct table set_table = TABLE(struct deployment_set, set_columns);
static const struct query set_by_id = {"SELECT {c} FROM deployment_set WHERE id = $1", &set_table};

int store_deployment_set_insert(struct tx *tx, const struct deployment_set *set)
{
    static const struct query query = {"INSERT INTO deployment_set ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &set_table};

    return rows_insert(tx, &query, set);
}

int store_deployment_set_get(struct tx *tx, struct str id, struct deployment_set **ret)
{
    return rows_one(tx, &set_by_id, ARGS(V_STR(id)), ret);
}

int store_deployment_set_save(struct tx *tx, const struct deployment_set *set)
{
    static const struct query query = {"UPDATE deployment_set SET name = $2, description = $3 WHERE id = $1", NULL};

    return rows_must_change(tx, &query, ARGS(V_STR(set->id), V_STR(set->name), V_STR(set->description)));
}

int store_deployment_set_delete(struct tx *tx, struct str id)
{
    static const struct query query = {"DELETE FROM deployment_set WHERE id = $1", NULL};

    return rows_must_change(tx, &query, ARGS(V_STR(id)));
}

int store_deployment_set_count(struct tx *tx, struct str account_id, struct str region_id, int64_t *ret)
{
    static const struct query query = {"SELECT COUNT(*) FROM deployment_set WHERE account_id = $1 AND region_id = $2", NULL};

    return rows_number(tx, &query, ARGS(V_STR(account_id), V_STR(region_id)), 0, ret);
}

/* ── find ── */

static bool set_matches(const void *filter_of, const void *row)
{
    const struct deployment_set_filter *filter = filter_of;
    const struct deployment_set *set = row;

    return str_eq(filter->account_id, set->account_id) && str_eq(filter->region_id, set->region_id) &&
           find_text(filter->name, set->name) && find_int(filter->strategy, set->strategy);
}

static int set_match(struct tx *tx, const void *filter, struct str id, bool wanted, void *item)
{
    return find_row(tx, &set_by_id, id, set_matches, filter, wanted, item);
}

int store_deployment_set_find(struct tx *tx, const struct deployment_set_filter *filter, const struct page *page,
                              struct deployment_set_list *ret)
{
    static const struct query by_region = {
        "SELECT id FROM deployment_set WHERE account_id = $1 AND region_id = $2 AND id < $3 ORDER BY id DESC", NULL};
    struct find find = {.match = set_match, .filter = filter, .item_bytes = sizeof(struct deployment_set), .ids = filter->ids};
    struct find_result result;
    int r;

    if (!find.ids) {
        find.stream = &by_region;
        find_arg(&find, filter->account_id);
        find_arg(&find, filter->region_id);
    }
    r = find_page(tx, &find, page, &result);
    if (r < 0)
        return r;
    *ret = (struct deployment_set_list){result.items, result.count, result.total};
    return 0;
}

/* ── members ── */

/* In the order of the query below, whose columns have other names. */
static const struct column member_columns[] = {
    COLUMN(struct deployment_member, instance_id),
    COLUMN(struct deployment_member, zone_id),
    COLUMN(struct deployment_member, host_id),
    COLUMN(struct deployment_member, group_no),
};
static const struct table member_table = TABLE(struct deployment_member, member_columns);

int store_deployment_set_members(struct tx *tx, struct str id, struct str but, struct deployment_member **ret, size_t *ret_count)
{
    static const struct query query = {"SELECT d.id, i.zone_id, i.host_id, d.deployment_group_no FROM instance_doc d"
                                       " JOIN instance i ON i.id = d.id WHERE d.deployment_set_id = $1 AND d.id <> $2"
                                       " ORDER BY d.id",
                                       &member_table};

    return rows_all(tx, &query, ARGS(V_STR(id), V_STR(but.ptr ? but : STR(""))), ret, ret_count);
}
