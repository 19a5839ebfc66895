/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's log, and the events that the API shows. */
#include "store/core.h"
#include "store/find.h"

static const struct column event_columns[] = {
    COLUMN(struct event, id),          COLUMN(struct event, time_us),
    COLUMN(struct event, kind),        COLUMN(struct event, account_id),
    COLUMN(struct event, instance_id), COLUMN(struct event, from_state),
    COLUMN(struct event, to_state),    COLUMN(struct event, reason),
    COLUMN(struct event, request_id),  COLUMN(struct event, actor),
};
static const struct table event_table = TABLE(struct event, event_columns);

int store_event_add(struct tx *tx, const struct event *event)
{
    static const struct query query = {
        "INSERT INTO event ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &event_table};
    struct event row = *event;

    if (row.id == 0)
        row.id = env_sequence(tx->store->env);
    return rows_post_row(tx, &query, &row, NO_ARGS, -E_EXISTS);
}

int store_event_list(struct tx *tx, int64_t after, struct str instance_id, int64_t limit,
                     struct event **ret, size_t *ret_count)
{
    static const struct query all = {"SELECT {c} FROM event WHERE id > $1 ORDER BY id LIMIT $2",
                                     &event_table};
    /* No index for it: the log is appended to 20,000 times a second and read by instance once in a
     * while. */
    static const struct query one = {
        "SELECT {c} FROM event WHERE id > $1 AND instance_id = $3 ORDER BY id LIMIT $2",
        &event_table};

    if (str_empty(instance_id))
        return rows_all(tx, &all, ARGS(V_I64(after), V_I64(limit)), ret, ret_count);
    return rows_all(tx, &one, ARGS(V_I64(after), V_I64(limit), V_STR(instance_id)), ret, ret_count);
}

int store_event_purge(struct tx *tx, usec_t before, int64_t limit)
{
    /* Ids are times (env_sequence); time_us may be earlier by what a call took. */
    static const struct query query = {
        "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE id < $1 ORDER BY id LIMIT $2)",
        NULL};

    return rows_change(tx, &query, ARGS(V_I64(before), V_I64(limit)), NULL);
}

/* ── system events ── */

static const struct column system_columns[] = {
    COLUMN(struct system_event, id),
    COLUMN(struct system_event, account_id),
    COLUMN(struct system_event, region_id),
    COLUMN(struct system_event, instance_id),
    COLUMN(struct system_event, type),
    COLUMN(struct system_event, cycle_status),
    COLUMN(struct system_event, reason),
    COLUMN(struct system_event, published_us),
    COLUMN(struct system_event, not_before_us),
    COLUMN(struct system_event, finished_us),
};
static const struct table system_table = TABLE(struct system_event, system_columns);

int store_system_event_add(struct tx *tx, const struct system_event *event)
{
    static const struct query query = {
        "INSERT INTO system_event ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &system_table};

    return rows_post_row(tx, &query, event, NO_ARGS, -E_EXISTS);
}

static bool system_event_matches(const void *filter_of, const void *row)
{
    const struct system_event_filter *filter = filter_of;
    const struct system_event *event = row;

    return find_text(filter->account_id, event->account_id) &&
           find_text(filter->region_id, event->region_id) &&
           find_text(filter->instance_id, event->instance_id) && find_in(filter->ids, event->id) &&
           find_in(filter->types, event->type) &&
           find_in(filter->cycle_statuses, event->cycle_status) &&
           find_between(event->published_us, filter->published_from_us,
                        filter->published_until_us) &&
           find_between(event->not_before_us, filter->not_before_from_us,
                        filter->not_before_until_us);
}

static int system_event_match(struct tx *tx, const void *filter, struct str id, bool wanted,
                              void *item)
{
    static const struct query query = {"SELECT {c} FROM system_event WHERE id = $1", &system_table};

    return find_row(tx, &query, id, system_event_matches, filter, wanted, item);
}

int store_system_event_find(struct tx *tx, const struct system_event_filter *filter,
                            const struct page *page, struct system_event_list *ret)
{
    static const struct query by_instance = {
        "SELECT id FROM system_event WHERE instance_id = $1 AND id < $2 ORDER BY id DESC", NULL};
    static const struct query by_region = {"SELECT id FROM system_event WHERE account_id = $1 AND "
                                           "region_id = $2 AND id < $3 ORDER BY id DESC",
                                           NULL};
    static const struct query all = {"SELECT id FROM system_event WHERE id < $1 ORDER BY id DESC",
                                     NULL};
    struct find find = {
        .match = system_event_match, .filter = filter, .item_bytes = sizeof(struct system_event)};
    struct find_result result;

    if (filter->ids) {
        find.ids = filter->ids;
    } else if (!str_empty(filter->instance_id)) {
        find.stream = &by_instance;
        find_arg(&find, filter->instance_id);
    } else if (!str_empty(filter->account_id) && !str_empty(filter->region_id)) {
        find.stream = &by_region;
        find_arg(&find, filter->account_id);
        find_arg(&find, filter->region_id);
    } else {
        find.stream = &all;
    }
    int r = find_page(tx, &find, page, &result);
    if (r < 0)
        return r;
    *ret = (struct system_event_list){result.items, result.count, result.more, result.total};
    return 0;
}
