/* SPDX-License-Identifier: Apache-2.0 */
/* What instances cost over time. Law 7: segments of an instance neither overlap nor leave a hole.
 */
#include "store/core.h"

static const struct column segment_columns[] = {
    COLUMN(struct segment, instance_id), COLUMN(struct segment, account_id),
    COLUMN(struct segment, start_us),    COLUMN(struct segment, end_us),
    COLUMN(struct segment, mode),        COLUMN(struct segment, type_id),
    COLUMN(struct segment, public_ip),
};
static const struct table segment_table = TABLE(struct segment, segment_columns);

/* Ends the open segment at `at`. One without a length makes room for the next; the last one stays: there was an instance. */
static int end_segment(struct tx *tx, struct str instance_id, usec_t start, usec_t at, bool last)
{
    static const struct query end = {
        "UPDATE segment SET end_us = $3 WHERE instance_id = $1 AND start_us = $2", NULL};
    static const struct query drop = {
        "DELETE FROM segment WHERE instance_id = $1 AND start_us = $2", NULL};

    if (at == start && !last)
        return rows_post(tx, &drop, ARGS(V_STR(instance_id), V_I64(start)), -E_NOT_FOUND);
    return rows_post(tx, &end, ARGS(V_STR(instance_id), V_I64(start), V_I64(at)), -E_NOT_FOUND);
}

/* Start and end of the newest segment; start -1: there is none. */
static int newest(struct tx *tx, struct str instance_id, usec_t *ret_start, usec_t *ret_end)
{
    static const struct query query = {"SELECT start_us, end_us FROM segment WHERE instance_id = "
                                       "$1 ORDER BY start_us DESC LIMIT 1",
                                       NULL};
    const struct ahead *known = ahead_segment(tx, instance_id);
    struct rows rows;
    int r;

    if (known) {
        *ret_start = known->segment_start_us;
        *ret_end = known->segment_end_us;
        return 0;
    }
    r = rows_start(tx, &query, ARGS(V_STR(instance_id)), &rows);
    if (r < 0)
        return r;
    r = rows_next(&rows);
    if (r >= 0) {
        *ret_start = r > 0 ? rows_i64(&rows, 0) : -1;
        *ret_end = r > 0 ? rows_i64(&rows, 1) : 0;
    }
    rows_end(&rows);
    return r < 0 ? r : 0;
}

int store_segment_switch(struct tx *tx, const struct instance *inst, int mode, usec_t at)
{
    static const struct query insert = {"INSERT INTO segment ({c}) VALUES ({v})", &segment_table};
    usec_t start = -1;
    usec_t end = 0;
    int r = newest(tx, inst->id, &start, &end);

    if (r < 0)
        return r;
    ahead_changed_segment(tx, inst->id);
    /* The system's clock may have been set back: a segment never starts before the one before it
     * ended. */
    at = MAX_OF(at, MAX_OF(start, end));
    if (start >= 0 && end == 0)
        r = end_segment(tx, inst->id, start, at, mode < 0);
    if (r < 0 || mode < 0)
        return r;
    struct segment segment = {
        .instance_id = inst->id,
        .account_id = inst->account_id,
        .start_us = at,
        .mode = mode,
        .type_id = inst->type_id,
        .public_ip = inst->public_ip.ptr != NULL,
    };
    return rows_post_row(tx, &insert, &segment, NO_ARGS, -E_EXISTS);
}

int store_segment_list(struct tx *tx, struct str instance_id, struct segment **ret,
                       size_t *ret_count)
{
    static const struct query query = {
        "SELECT {c} FROM segment WHERE instance_id = $1 ORDER BY start_us", &segment_table};

    return rows_all(tx, &query, ARGS(V_STR(instance_id)), ret, ret_count);
}

int store_segment_latest(struct tx *tx, struct str after_id, usec_t after_start_us, int64_t limit,
                         struct segment **ret, size_t *ret_count)
{
    static const struct query first = {
        "SELECT {c} FROM segment ORDER BY instance_id DESC, start_us DESC LIMIT $1",
        &segment_table};
    static const struct query next = {
        "SELECT {c} FROM segment WHERE (instance_id, start_us) < ($1, $2) ORDER BY instance_id "
        "DESC, start_us DESC LIMIT $3",
        &segment_table};

    if (!after_id.ptr)
        return rows_all(tx, &first, ARGS(V_I64(limit)), ret, ret_count);
    return rows_all(tx, &next, ARGS(V_STR(after_id), V_I64(after_start_us), V_I64(limit)), ret,
                    ret_count);
}
