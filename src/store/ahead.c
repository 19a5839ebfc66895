/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writes of a batch will ask for first, read at its start: where each question is a round trip, a batch asks once for all of
 * them. From then until COMMIT nobody else writes (it is our turn), and what the batch itself changes is forgotten here.
 */
#include "store/core.h"
#include "store/instance.h"

/* clang-format off */
#define EIGHT(a, b, c, d, e, f, g, h) "$" #a ", $" #b ", $" #c ", $" #d ", $" #e ", $" #f ", $" #g ", $" #h
#define IDS                                                                                        \
    EIGHT(1, 2, 3, 4, 5, 6, 7, 8) ", " EIGHT(9, 10, 11, 12, 13, 14, 15, 16) ", "                   \
    EIGHT(17, 18, 19, 20, 21, 22, 23, 24) ", " EIGHT(25, 26, 27, 28, 29, 30, 31, 32) ", "          \
    EIGHT(33, 34, 35, 36, 37, 38, 39, 40) ", " EIGHT(41, 42, 43, 44, 45, 46, 47, 48) ", "          \
    EIGHT(49, 50, 51, 52, 53, 54, 55, 56) ", " EIGHT(57, 58, 59, 60, 61, 62, 63, 64)
/* clang-format on */
#define IDS_MAX 64 /* in one query; the parameters that are left over are NULL */

#define AHEAD_MAX LIMIT_BATCH_OPS /* of a batch: as many as it has writes. What a write names beyond is read when it is asked for */

#define NEWEST "FROM segment WHERE segment.instance_id = instance.id ORDER BY start_us DESC LIMIT 1"

static const struct query query = {
    "SELECT {c}, COALESCE((SELECT start_us " NEWEST "), -1), COALESCE((SELECT end_us " NEWEST "), 0),"
    " COALESCE((SELECT 1 FROM disk WHERE disk.instance_id = instance.id AND status <> 0 LIMIT 1), 0)"
    " FROM instance WHERE id IN (" IDS ")",
    &instance_hot_table};

static void keep(struct tx *tx, const struct rows *rows)
{
    size_t columns = instance_hot_table.count;
    struct ahead *ahead = arena_new(&tx->arena, struct ahead);

    rows_peek(rows, &instance_hot_table, &ahead->inst);
    rows_keep(tx, &instance_hot_table, &ahead->inst);
    ahead->segment_start_us = rows_i64(rows, columns);
    ahead->segment_end_us = rows_i64(rows, columns + 1);
    ahead->disk_busy = rows_i64(rows, columns + 2) != 0;
    ahead->knows_instance = ahead->knows_segment = true;
    (void)map_put(&tx->ahead, ahead->inst.id, ahead); /* one that two writes name is read twice */
}

static int read_some(struct tx *tx, const struct value ids[IDS_MAX])
{
    struct rows rows;
    int r = rows_start(tx, &query, ids, IDS_MAX, &rows);

    if (r < 0)
        return r;
    while ((r = rows_next(&rows)) > 0)
        keep(tx, &rows);
    rows_end(&rows);
    return r;
}

/* Where in a list of writes, and in what its first one is about. */
struct place {
    const struct write *list;
    size_t i;
};

/* STR_NONE: there is none. */
static struct str next_id(struct place *place)
{
    for (; place->list; place->list = place->list->next, place->i = 0)
        while (place->i < place->list->about.count) {
            struct str id = place->list->about.items[place->i++];

            if (!str_empty(id))
                return id;
        }
    return STR_NONE;
}

/* The next ids that writes name; those that are left over stay absent. */
static size_t gather(struct place *place, struct value ids[IDS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < IDS_MAX; i++) {
        ids[i] = V_STR(next_id(place));
        count += ids[i].kind != VALUE_NULL;
    }
    return count;
}

int ahead_read(struct tx *tx, const struct write *list)
{
    struct place place = {list, 0};
    struct value ids[IDS_MAX];
    size_t read = 0;
    int r = 0;

    ahead_forget(tx);
    tx->ahead_knows_disks = true;
    for (; r == 0 && read < AHEAD_MAX && gather(&place, ids) > 0; read += IDS_MAX)
        r = read_some(tx, ids);
    return r;
}

void ahead_forget(struct tx *tx)
{
    map_done(&tx->ahead);
    map_init(&tx->ahead, tx->store->seed);
}

/* ── what is known ── */

static struct ahead *find(const struct tx *tx, struct str id)
{
    return tx->ahead.count > 0 ? map_get(&tx->ahead, id) : NULL;
}

bool ahead_instance(struct tx *tx, struct str id, struct instance **ret)
{
    const struct ahead *ahead = find(tx, id);

    if (!ahead || !ahead->knows_instance)
        return false;
    *ret = arena_new(&tx->arena, struct instance);
    **ret = ahead->inst; /* the caller's, to change; its texts stay as long */
    return true;
}

const struct ahead *ahead_segment(const struct tx *tx, struct str id)
{
    const struct ahead *ahead = find(tx, id);

    return ahead && ahead->knows_segment ? ahead : NULL;
}

const struct ahead *ahead_disks(const struct tx *tx, struct str id)
{
    return tx->ahead_knows_disks ? find(tx, id) : NULL;
}

/* ── what is forgotten ── */

void ahead_changed_instance(struct tx *tx, struct str id)
{
    struct ahead *ahead = find(tx, id);

    if (ahead)
        ahead->knows_instance = false;
}

void ahead_changed_segment(struct tx *tx, struct str id)
{
    struct ahead *ahead = find(tx, id);

    if (ahead)
        ahead->knows_segment = false;
}

void ahead_changed_disks(struct tx *tx)
{
    tx->ahead_knows_disks = false;
}
