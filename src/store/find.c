/* SPDX-License-Identifier: Apache-2.0 */
#include "store/find.h"

#include "store/core.h"

/* Above every id: they are made of letters, digits and '-'. */
#define AFTER_ALL STR("~")
#define FIND_BYTES_MAX 1024

/* ── the filters ── */

bool find_text(struct str filter, struct str value)
{
    return !filter.ptr || str_eq(filter, value);
}

bool find_in(const struct str_list *filter, struct str value)
{
    if (!filter)
        return true;
    for (size_t i = 0; i < filter->count; i++)
        if (str_eq(filter->items[i], value))
            return true;
    return false;
}

bool find_int(int filter, int value)
{
    return filter < 0 || filter == value;
}

bool find_between(usec_t value, usec_t from, usec_t until)
{
    return (from == 0 || value >= from) && (until == 0 || value <= until);
}

int find_tags(struct tx *tx, struct str resource_id, const struct tag *tags, size_t count)
{
    static const struct query query = {"SELECT value FROM tag WHERE resource_id = $1 AND key = $2",
                                       NULL};

    for (size_t i = 0; i < count; i++) {
        struct rows rows;
        int r = rows_start(tx, &query, ARGS(V_STR(resource_id), V_STR(tags[i].key)), &rows);

        if (r < 0)
            return r;
        r = rows_next(&rows);
        bool met = r > 0 && find_text(tags[i].value, rows_text(&rows, 0));
        rows_end(&rows);
        if (r < 0 || !met)
            return r < 0 ? r : 0;
    }
    return 1;
}

void find_by_tag(struct find *find, struct str account_id, struct str type, const struct tag *tags,
                 size_t count)
{
    static const struct query by_value = {"SELECT resource_id FROM tag WHERE account_id = $1 AND "
                                          "resource_type = $2 AND key = $3 AND value = $4"
                                          " AND resource_id < $5 ORDER BY resource_id DESC",
                                          NULL};
    static const struct query by_key = {"SELECT resource_id FROM tag WHERE account_id = $1 AND "
                                        "resource_type = $2 AND key = $3 AND resource_id < $4"
                                        " ORDER BY resource_id DESC",
                                        NULL};
    const struct tag *tag = &tags[0];

    for (size_t i = 0; i < count && !tag->value.ptr; i++)
        tag = &tags[i]; /* a value says more than a key */
    find->stream = tag->value.ptr ? &by_value : &by_key;
    find_arg(find, account_id);
    find_arg(find, type);
    find_arg(find, tag->key);
    if (tag->value.ptr)
        find_arg(find, tag->value);
}

int find_row(struct tx *tx, const struct query *query, struct str id,
             bool (*matches)(const void *filter, const void *row), const void *filter, bool wanted,
             void *item)
{
    union {
        max_align_t align;
        char bytes[FIND_BYTES_MAX];
    } row;
    struct rows rows;
    int r = rows_start(tx, query, ARGS(V_STR(id)), &rows);

    assert(query->table->size <= sizeof(row));
    if (r < 0)
        return r;
    r = rows_next(&rows);
    if (r > 0) {
        memset(&row, 0, query->table->size);
        rows_peek(&rows, query->table, &row);
        r = matches(filter, &row) ? 1 : 0;
        if (r > 0 && wanted) {
            rows_keep(tx, query->table, &row);
            memcpy(item, &row, query->table->size);
        }
    }
    rows_end(&rows);
    return r;
}

/* ── the page ── */

void find_arg(struct find *find, struct str value)
{
    assert(find->arg_count + 1 < FIND_ARGS_MAX);
    find->args[find->arg_count++] = V_STR(value);
}

void find_arg_i64(struct find *find, int64_t value)
{
    assert(find->arg_count + 1 < FIND_ARGS_MAX);
    find->args[find->arg_count++] = V_I64(value);
}

struct walk {
    struct tx *tx;
    const struct find *find;
    const struct page *page;
    bool count_all; /* the total is not known otherwise: no early end */
    int64_t skipped;
    void *item; /* room for one row */
    struct find_result result;
};

static void keep_item(struct walk *walk)
{
    struct find_result *result = &walk->result;
    size_t bytes = walk->find->item_bytes;

    result->items = arena_grow(&walk->tx->arena, result->items, result->count, bytes);
    memcpy((char *)result->items + result->count * bytes, walk->item, bytes);
    result->count++;
}

/* One id of the stream; 1: enough. Rows that are not wanted leave nothing on the arena: there may
 * be millions. */
static int consider(struct walk *walk, struct str id)
{
    const struct find *find = walk->find;
    struct find_result *result = &walk->result;
    bool past = !walk->page->after.ptr || str_cmp(id, walk->page->after) < 0;
    bool on_page = past && walk->skipped >= walk->page->offset;
    bool wanted = on_page && (int64_t)result->count < walk->page->limit;
    int r =
        wanted || !find->exact ? find->match(walk->tx, find->filter, id, wanted, walk->item) : 1;

    if (r <= 0)
        return r;
    result->total++;
    walk->skipped += past && !on_page;
    if (wanted)
        keep_item(walk);
    if (on_page && !wanted) {
        result->more = true;
        return walk->count_all ? 0 : 1;
    }
    return 0;
}

static int walk_stream(struct walk *walk)
{
    const struct find *find = walk->find;
    bool from_start = walk->count_all || !walk->page->after.ptr;
    struct value args[FIND_ARGS_MAX];
    struct rows rows;

    memcpy(args, find->args, sizeof(args));
    args[find->arg_count] = V_STR(from_start ? AFTER_ALL : walk->page->after);
    int r = rows_start(walk->tx, find->stream, args, find->arg_count + 1, &rows);
    if (r < 0)
        return r;
    while ((r = rows_next(&rows)) > 0) {
        r = consider(walk, rows_text(&rows, 0));
        if (r != 0)
            break;
    }
    rows_end(&rows);
    return r;
}

static int newer_first(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)b, *(const struct str *)a);
}

static int walk_ids(struct walk *walk)
{
    const struct str_list *ids = walk->find->ids;
    struct str *sorted = arena_array(&walk->tx->arena, struct str, ids->count + 1);
    int r = 0;

    if (ids->count > 0) {
        memcpy(sorted, ids->items, ids->count * sizeof(*sorted));
        qsort(sorted, ids->count, sizeof(*sorted), newer_first);
    }
    for (size_t i = 0; i < ids->count && r == 0; i++)
        if (i == 0 || !str_eq(sorted[i], sorted[i - 1]))
            r = consider(walk, sorted[i]);
    return r;
}

int find_page(struct tx *tx, const struct find *find, const struct page *page,
              struct find_result *ret)
{
    assert(page->limit >= 0 && page->offset >= 0 && (find->stream || find->ids));
    struct walk walk = {
        .tx = tx, .find = find, .page = page, .count_all = page->count && !find->total_known};

    walk.item = arena_alloc(&tx->arena, find->item_bytes);
    int r = find->ids ? walk_ids(&walk) : walk_stream(&walk);
    if (r < 0)
        return r;
    if (find->total_known)
        walk.result.total = find->total;
    *ret = walk.result;
    return 0;
}
