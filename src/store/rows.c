/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rows.h"

#include "base/buf.h"
#include "store/core.h"

#define QUERY_TEXT_BYTES 8192

/* ── the statement cache ── */

static size_t cache_slot(const struct db *db, const struct query *query)
{
    size_t slot = ((uintptr_t)query >> 4) * 0x9e3779b1u % DB_STATEMENTS;

    for (size_t tries = 0; db->cache[slot].query && db->cache[slot].query != query; tries++) {
        assert(tries < DB_STATEMENTS); /* more queries than slots: raise DB_STATEMENTS */
        slot = (slot + 1) % DB_STATEMENTS;
    }
    return slot;
}

struct stmt *db_cached(const struct db *db, const struct query *query)
{
    return db->cache[cache_slot(db, query)].stmt;
}

void db_cache(struct db *db, const struct query *query, struct stmt *stmt)
{
    size_t slot = cache_slot(db, query);

    assert(!db->cache[slot].stmt && stmt);
    db->cache[slot].query = query;
    db->cache[slot].stmt = stmt;
}

/* ── SQL from a query's text and its table's columns ── */

static void add_columns(struct buf *out, const struct table *table, char what)
{
    assert(table); /* a query that names columns has one */
    for (size_t i = 0; i < table->count; i++) {
        if (i > 0)
            buf_add_cstr(out, ", ");
        if (what != 'v')
            buf_add_cstr(out, table->columns[i].name);
        if (what == 's')
            buf_add_cstr(out, " = ");
        if (what != 'c')
            buf_printf(out, "$%zu", i + 1);
    }
}

static void expand(const struct query *query, struct buf *out)
{
    size_t columns = query->table ? query->table->count : 0;

    for (const char *p = query->text; *p != '\0'; p++) {
        if (*p != '{') {
            buf_add_char(out, *p);
            continue;
        }
        char what = p[1];

        assert(what != '\0' && p[2] == '}');
        if (what >= '1' && what <= '9')
            buf_printf(out, "$%zu", columns + (size_t)(what - '0'));
        else
            add_columns(out, query->table, what);
        p += 2;
    }
    assert(!out->full);
}

int rows_statement(struct tx *tx, const struct query *query, struct stmt **ret)
{
    struct stmt *stmt = db_cached(tx->db, query);
    struct buf sql;

    if (!stmt) {
        buf_init(&sql, QUERY_TEXT_BYTES);
        expand(query, &sql);
        int r = tx->db->ops->prepare(tx->db, buf_str(&sql).ptr, &stmt);
        buf_done(&sql);
        if (r < 0)
            return tx_check(tx, r);
        db_cache(tx->db, query, stmt);
    }
    *ret = stmt;
    return 0;
}

/* ── struct → parameters ── */

static struct value value_of(const struct column *column, const void *object)
{
    const char *at = (const char *)object + column->offset;

    switch (column->kind) {
    case COLUMN_STR:
        return V_STR(*(const struct str *)(const void *)at);
    case COLUMN_INT:
        return V_I64(*(const int *)(const void *)at);
    case COLUMN_I64:
        return V_I64(*(const int64_t *)(const void *)at);
    case COLUMN_BOOL:
        return V_I64(*(const bool *)(const void *)at ? 1 : 0);
    case COLUMN_DOUBLE:
        return (struct value){.kind = VALUE_DOUBLE, .number = *(const double *)(const void *)at};
    }
    abort();
}

/* ── row → struct ── */

static void set_number(const struct column *column, void *at, const struct value *value)
{
    int64_t number = value->kind == VALUE_I64 ? value->i64 : 0;

    switch (column->kind) {
    case COLUMN_INT:
        *(int *)at = (int)number;
        return;
    case COLUMN_I64:
        *(int64_t *)at = number;
        return;
    case COLUMN_BOOL:
        *(bool *)at = number != 0;
        return;
    case COLUMN_DOUBLE:
        *(double *)at = value->kind == VALUE_DOUBLE ? value->number : (double)number;
        return;
    case COLUMN_STR:
        break;
    }
    abort();
}

void rows_peek(const struct rows *rows, const struct table *table, void *object)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct column *column = &table->columns[i];
        void *at = (char *)object + column->offset;
        struct value value;

        rows->tx->db->ops->column(rows->tx->db, rows->stmt, i, &value);
        if (column->kind == COLUMN_STR)
            *(struct str *)at = value.kind == VALUE_TEXT || value.kind == VALUE_BLOB ? value.text : STR_NONE;
        else
            set_number(column, at, &value);
    }
}

void rows_keep(struct tx *tx, const struct table *table, void *object)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->columns[i].kind != COLUMN_STR)
            continue;
        struct str *text = (struct str *)(void *)((char *)object + table->columns[i].offset);

        *text = arena_str(&tx->arena, *text);
    }
}

/* ── stepping ── */

int rows_start(struct tx *tx, const struct query *query, const struct value *args, size_t count,
               struct rows *ret)
{
    struct stmt *stmt = NULL;
    int r;

    if (tx->lost < 0)
        return tx->lost;
    r = rows_statement(tx, query, &stmt);
    if (r < 0)
        return r;
    r = tx->db->ops->bind(tx->db, stmt, args, count);
    if (r < 0) {
        (void)tx_check(tx, r); /* gives it back */
        return r;
    }
    *ret = (struct rows){.tx = tx, .stmt = stmt};
    return 0;
}

int rows_next(struct rows *rows)
{
    struct db *db = rows->tx->db;

    return tx_check(rows->tx, db->ops->step(db, rows->stmt));
}

void rows_end(struct rows *rows)
{
    rows->tx->db->ops->reset(rows->tx->db, rows->stmt);
    rows->stmt = NULL;
}

int64_t rows_i64(const struct rows *rows, size_t index)
{
    struct value value;

    rows->tx->db->ops->column(rows->tx->db, rows->stmt, index, &value);
    return value.kind == VALUE_I64 ? value.i64 : 0;
}

struct str rows_text(const struct rows *rows, size_t index)
{
    struct value value;

    rows->tx->db->ops->column(rows->tx->db, rows->stmt, index, &value);
    return value.kind == VALUE_TEXT || value.kind == VALUE_BLOB ? value.text : STR_NONE;
}

/* ── changes ── */

int rows_change(struct tx *tx, const struct query *query, const struct value *args, size_t count,
                int64_t *ret_changed)
{
    struct rows rows;

    assert(tx->is_write);
    int r = tx_touch(tx);
    if (r < 0)
        return r;
    r = rows_start(tx, query, args, count, &rows);
    if (r < 0)
        return r;
    r = rows_next(&rows);
    assert(r <=
           0); /* a change gives no rows; those with RETURNING are read by rows_one and rows_all */
    rows_end(&rows);
    if (r == 0 && ret_changed)
        *ret_changed = tx->db->ops->changed(tx->db);
    return r;
}

/* The columns of `object`, then `args`; how many these are. */
static size_t gather(const struct table *table, const void *object, const struct value *args, size_t count,
                     struct value values[COLUMNS_MAX])
{
    assert(table->count + count <= COLUMNS_MAX);
    for (size_t i = 0; i < table->count; i++)
        values[i] = value_of(&table->columns[i], object);
    if (count > 0)
        memcpy(values + table->count, args, count * sizeof(*args));
    return table->count + count;
}

int rows_save(struct tx *tx, const struct query *query, const void *object,
              const struct value *args, size_t count, int64_t *ret_changed)
{
    struct value values[COLUMNS_MAX];
    size_t all = gather(query->table, object, args, count, values);

    return rows_change(tx, query, values, all, ret_changed);
}

int rows_insert(struct tx *tx, const struct query *query, const void *object)
{
    int64_t changed = 0;
    int r = rows_save(tx, query, object, NO_ARGS, &changed);

    return r < 0 ? r : changed == 0 ? -E_EXISTS : 0;
}

int rows_must_change(struct tx *tx, const struct query *query, const struct value *args,
                     size_t count)
{
    int64_t changed = 0;
    int r = rows_change(tx, query, args, count, &changed);

    return r < 0 ? r : changed == 0 ? -E_NOT_FOUND : 0;
}

/* ── changes that nobody waits for ── */

/* Only where the batch can be run again: the answer may show that it has to be. */
bool rows_are_posted(const struct tx *tx)
{
    return tx->bare && tx->db->ops->post;
}

static int post(struct tx *tx, const struct query *query, const struct value *args, size_t count)
{
    struct rows rows;
    int r = tx_touch(tx);

    if (r == 0)
        r = rows_start(tx, query, args, count, &rows);
    if (r < 0)
        return r;
    r = tx_check(tx, tx->db->ops->post(tx->db, rows.stmt, 1));
    rows_end(&rows);
    return r;
}

int rows_post(struct tx *tx, const struct query *query, const struct value *args, size_t count, int otherwise)
{
    int64_t changed = 0;
    int r;

    assert(tx->is_write && otherwise < 0);
    if (rows_are_posted(tx))
        return post(tx, query, args, count);
    r = rows_change(tx, query, args, count, &changed);
    return r < 0 ? r : changed == 0 ? otherwise : 0;
}

int rows_post_row(struct tx *tx, const struct query *query, const void *object, const struct value *args, size_t count,
                  int otherwise)
{
    struct value values[COLUMNS_MAX];
    size_t all = gather(query->table, object, args, count, values);

    return rows_post(tx, query, values, all, otherwise);
}

/* ── reads ── */

int rows_one(struct tx *tx, const struct query *query, const struct value *args, size_t count,
             void *ret)
{
    struct rows rows;
    int r = rows_start(tx, query, args, count, &rows);

    if (r < 0)
        return r;
    r = rows_next(&rows);
    if (r > 0) {
        void *object = arena_alloc(&tx->arena, query->table->size);

        rows_peek(&rows, query->table, object);
        rows_keep(tx, query->table, object);
        *(void **)ret = object;
    }
    rows_end(&rows);
    return r < 0 ? r : r == 0 ? -E_NOT_FOUND : 0;
}

int rows_all(struct tx *tx, const struct query *query, const struct value *args, size_t count,
             void *ret, size_t *ret_count)
{
    size_t size = query->table->size;
    char *items = NULL;
    size_t found = 0;
    struct rows rows;
    int r = rows_start(tx, query, args, count, &rows);

    if (r < 0)
        return r;
    while ((r = rows_next(&rows)) > 0) {
        items = arena_grow(&tx->arena, items, found, size);
        rows_peek(&rows, query->table, items + found * size);
        rows_keep(tx, query->table, items + found * size);
        found++;
    }
    rows_end(&rows);
    if (r < 0)
        return r;
    *(void **)ret = items;
    *ret_count = found;
    return 0;
}

int rows_texts(struct tx *tx, const struct query *query, const struct value *args, size_t count,
               struct str_list *ret)
{
    struct str_list list = {0};
    struct rows rows;
    int r = rows_start(tx, query, args, count, &rows);

    if (r < 0)
        return r;
    while ((r = rows_next(&rows)) > 0)
        arena_push(&tx->arena, list.items, list.count, arena_str(&tx->arena, rows_text(&rows, 0)));
    rows_end(&rows);
    if (r < 0)
        return r;
    *ret = list;
    return 0;
}

int rows_number(struct tx *tx, const struct query *query, const struct value *args, size_t count,
                int64_t otherwise, int64_t *ret)
{
    struct rows rows;
    struct value value = {.kind = VALUE_NULL};
    int r = rows_start(tx, query, args, count, &rows);

    if (r < 0)
        return r;
    r = rows_next(&rows);
    if (r > 0)
        tx->db->ops->column(tx->db, rows.stmt, 0, &value);
    rows_end(&rows);
    if (r < 0)
        return r;
    *ret = value.kind == VALUE_I64 ? value.i64 : otherwise;
    return 0;
}
