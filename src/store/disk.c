/* SPDX-License-Identifier: Apache-2.0 */
/* Disks. */
#include "store/core.h"
#include "store/find.h"

static const struct column disk_columns[] = {
    COLUMN(struct disk, id),
    COLUMN(struct disk, account_id),
    COLUMN(struct disk, region_id),
    COLUMN(struct disk, zone_id),
    COLUMN(struct disk, instance_id),
    COLUMN(struct disk, type),
    COLUMN(struct disk, category),
    COLUMN(struct disk, status),
    COLUMN(struct disk, size_gib),
    COLUMN(struct disk, device),
    COLUMN(struct disk, name),
    COLUMN(struct disk, description),
    COLUMN(struct disk, image_id),
    COLUMN(struct disk, performance_level),
    COLUMN(struct disk, delete_with_instance),
    COLUMN(struct disk, encrypted),
    COLUMN(struct disk, created_us),
    COLUMN(struct disk, attached_us),
    COLUMN(struct disk, detached_us),
};
static const struct table disk_table = TABLE(struct disk, disk_columns);
static const struct query disk_by_id = {"SELECT {c} FROM disk WHERE id = $1", &disk_table};

int store_disk_insert(struct tx *tx, const struct disk *disk)
{
    static const struct query query = {"INSERT INTO disk ({c}) VALUES ({v}) ON CONFLICT DO NOTHING",
                                       &disk_table};

    static const struct query count = {
        "INSERT INTO disk_tally (account_id, n) VALUES ($1, 1) ON CONFLICT (account_id) DO UPDATE "
        "SET n = disk_tally.n + 1",
        NULL};
    int r;

    ahead_changed_disks(tx);
    r = rows_post_row(tx, &query, disk, NO_ARGS, -E_EXISTS);
    return r < 0 ? r : rows_post(tx, &count, ARGS(V_STR(disk->account_id)), -E_NOT_FOUND);
}

int store_disk_get(struct tx *tx, struct str id, struct disk **ret)
{
    return rows_one(tx, &disk_by_id, ARGS(V_STR(id)), ret);
}

int store_disk_save(struct tx *tx, const struct disk *disk)
{
    static const struct query query = {"UPDATE disk SET {s} WHERE id = {1}", &disk_table};
    int64_t changed = 0;
    int r;

    ahead_changed_disks(tx);
    r = rows_save(tx, &query, disk, ARGS(V_STR(disk->id)), &changed);
    return r < 0 ? r : changed == 0 ? -E_NOT_FOUND : 0;
}

int store_disk_delete(struct tx *tx, struct str id)
{
    static const struct query query = {"DELETE FROM disk WHERE id = $1", NULL};
    static const struct query count = {
        "UPDATE disk_tally SET n = n - 1 WHERE account_id = (SELECT account_id FROM disk WHERE id "
        "= $1)",
        NULL};
    int r;

    ahead_changed_disks(tx);
    r = rows_change(tx, &count, ARGS(V_STR(id)), NULL);
    return r < 0 ? r : rows_must_change(tx, &query, ARGS(V_STR(id)));
}

int store_disk_count(struct tx *tx, struct str account_id, int64_t *ret)
{
    static const struct query query = {"SELECT n FROM disk_tally WHERE account_id = $1", NULL};

    return rows_number(tx, &query, ARGS(V_STR(account_id)), 0, ret);
}

int store_disk_of_instance(struct tx *tx, struct str instance_id, struct disk **ret,
                           size_t *ret_count)
{
    static const struct query query = {"SELECT {c} FROM disk WHERE instance_id = $1 ORDER BY id",
                                       &disk_table};

    return rows_all(tx, &query, ARGS(V_STR(instance_id)), ret, ret_count);
}

int store_disk_busy(struct tx *tx, struct str instance_id, bool *ret)
{
    /* The partial index disk_busy answers: nearly always it is empty. */
    static const struct query query = {
        "SELECT 1 FROM disk WHERE instance_id = $1 AND status <> 0 LIMIT 1", NULL};
    const struct ahead *known = ahead_disks(tx, instance_id);
    int64_t found = 0;
    int r = known ? 0 : rows_number(tx, &query, ARGS(V_STR(instance_id)), 0, &found);

    if (r == 0)
        *ret = known ? known->disk_busy : found != 0;
    return r;
}

/* ── find ── */

static bool disk_matches(const void *filter_of, const void *row)
{
    const struct disk_filter *filter = filter_of;
    const struct disk *disk = row;

    return find_text(filter->account_id, disk->account_id) &&
           find_text(filter->region_id, disk->region_id) &&
           find_text(filter->zone_id, disk->zone_id) &&
           find_text(filter->instance_id, disk->instance_id) &&
           find_text(filter->name, disk->name) && find_int(filter->type, disk->type) &&
           find_int(filter->category, disk->category) && find_int(filter->status, disk->status) &&
           find_int(filter->delete_with_instance, disk->delete_with_instance) &&
           find_between(disk->created_us, filter->created_from_us, filter->created_until_us);
}

static int disk_match(struct tx *tx, const void *filter_of, struct str id, bool wanted, void *item)
{
    const struct disk_filter *filter = filter_of;
    int r = find_in(filter->ids, id) ? find_tags(tx, id, filter->tags, filter->tag_count) : 0;

    return r <= 0 ? r : find_row(tx, &disk_by_id, id, disk_matches, filter, wanted, item);
}

static bool only_owner(const struct disk_filter *filter)
{
    return !filter->zone_id.ptr && !filter->name.ptr && filter->type < 0 && filter->category < 0 &&
           filter->status < 0 && filter->delete_with_instance < 0 && filter->tag_count == 0 &&
           filter->created_from_us == 0 && filter->created_until_us == 0;
}

int store_disk_find(struct tx *tx, const struct disk_filter *filter, const struct page *page,
                    struct disk_list *ret)
{
    static const struct query by_instance = {
        "SELECT id FROM disk WHERE instance_id = $1 AND id < $2 ORDER BY id DESC", NULL};
    static const struct query by_region = {
        "SELECT id FROM disk WHERE account_id = $1 AND region_id = $2 AND id < $3 ORDER BY id DESC",
        NULL};
    static const struct query all = {"SELECT id FROM disk WHERE id < $1 ORDER BY id DESC", NULL};
    struct find find = {.match = disk_match, .filter = filter, .item_bytes = sizeof(struct disk)};
    struct find_result result;

    if (filter->ids) {
        find.ids = filter->ids;
    } else if (filter->instance_id.ptr) {
        find.stream = &by_instance;
        find_arg(&find, filter->instance_id);
    } else if (filter->tag_count > 0 && filter->account_id.ptr) {
        find_by_tag(&find, filter->account_id, STR("disk"), filter->tags, filter->tag_count);
    } else if (filter->account_id.ptr && filter->region_id.ptr) {
        find.stream = &by_region;
        find.exact = only_owner(filter);
        find_arg(&find, filter->account_id);
        find_arg(&find, filter->region_id);
    } else {
        find.stream = &all;
    }
    int r = find_page(tx, &find, page, &result);
    if (r < 0)
        return r;
    *ret = (struct disk_list){result.items, result.count, result.more, result.total};
    return 0;
}
