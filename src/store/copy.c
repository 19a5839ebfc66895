/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of a store into another one, whatever is beneath them. Columns have one order everywhere, since both have had the same
 * migrations; so rows are carried as they are.
 */
#include "base/buf.h"
#include "base/hash.h"
#include "store/core.h"

#define COPY_TEXT_BYTES 2048
#define ROW_BYTES ((size_t)64 << 20) /* of the largest row: a command's output, a reply that is kept */

static const char *const tables[] = {
    "account", "access_key", "host", "node", "number", "address", "vpc", "vswitch", "security_group", "group_member", "tag",
    "instance", "instance_doc", "tally", "disk", "disk_tally", "image", "key_pair", "deployment_set", "job", "event", "system_event", "segment",
    "command", "invocation", "invocation_task", "client_token", "nonce",
};

/* What a table holds, in whichever order it is read. */
struct content {
    int64_t rows;
    uint64_t sum;
};

struct copy {
    struct store *from;
    void (*each)(void *arg, const char *table, int64_t rows);
    void *arg;
    struct fail *fail;
    struct tx *source;
    struct tx *target;
    struct buf row; /* the one under way, as bytes */
};

/* Text and bytes are one: drivers differ in what they keep a script as. */
static void add_value(struct buf *row, const struct value *value)
{
    switch (value->kind) {
    case VALUE_NULL:
        buf_add_char(row, 'n');
        return;
    case VALUE_I64:
        buf_printf(row, "i%lld", (long long)value->i64);
        return;
    case VALUE_DOUBLE:
        buf_printf(row, "d%.17g", value->number);
        return;
    case VALUE_TEXT:
    case VALUE_BLOB:
        buf_printf(row, "t%zu:", value->text.len);
        buf_add(row, value->text.ptr, value->text.len);
    }
}

static int add_row(struct copy *copy, struct content *content, const struct value *values, size_t count)
{
    uint8_t digest[SHA256_BYTES];
    uint64_t number;

    buf_reset(&copy->row);
    for (size_t i = 0; i < count; i++)
        add_value(&copy->row, &values[i]);
    if (copy->row.full)
        return -E_LIMIT;
    hash_sha256(buf_str(&copy->row), digest);
    memcpy(&number, digest, sizeof(number));
    content->sum += number;
    content->rows++;
    return 0;
}

static size_t read_row(const struct rows *rows, struct value *values)
{
    struct db *db = rows->tx->db;
    size_t count = db->ops->columns(db, rows->stmt);

    assert(count <= COLUMNS_MAX);
    for (size_t i = 0; i < count; i++)
        db->ops->column(db, rows->stmt, i, &values[i]);
    return count;
}

/* Lives as long as the transaction: a prepared statement is found by its address. */
static const struct query *query_of(struct tx *tx, const char *text)
{
    struct query *query = arena_new(&tx->arena, struct query);

    query->text = text;
    return query;
}

static const struct query *select_all(struct tx *tx, const char *table)
{
    return query_of(tx, arena_printf(&tx->arena, "SELECT * FROM %s", table).ptr);
}

static const struct query *insert_into(struct tx *tx, const char *table, size_t columns)
{
    struct buf sql;
    const struct query *query;

    buf_init(&sql, COPY_TEXT_BYTES);
    buf_printf(&sql, "INSERT INTO %s VALUES (", table);
    for (size_t i = 0; i < columns; i++)
        buf_printf(&sql, "%s$%zu", i > 0 ? ", " : "", i + 1);
    buf_add_char(&sql, ')');
    assert(!sql.full);
    query = query_of(tx, arena_cstr(&tx->arena, buf_str(&sql)));
    buf_done(&sql);
    return query;
}

static int copy_rows(struct copy *copy, const char *table, struct content *ret)
{
    const struct query *insert = NULL;
    struct value values[COLUMNS_MAX];
    struct rows rows;
    int r = rows_start(copy->source, select_all(copy->source, table), NO_ARGS, &rows);

    if (r < 0)
        return r;
    while ((r = rows_next(&rows)) > 0) {
        size_t count = read_row(&rows, values);

        if (!insert)
            insert = insert_into(copy->target, table, count);
        r = add_row(copy, ret, values, count);
        if (r == 0)
            r = rows_change(copy->target, insert, values, count, NULL);
        if (r < 0)
            break;
    }
    rows_end(&rows);
    return r;
}

static int read_content(struct copy *copy, struct tx *tx, const char *table, struct content *ret)
{
    struct value values[COLUMNS_MAX];
    struct rows rows;
    int r = rows_start(tx, select_all(tx, table), NO_ARGS, &rows);

    if (r < 0)
        return r;
    while ((r = rows_next(&rows)) > 0) {
        r = add_row(copy, ret, values, read_row(&rows, values));
        if (r < 0)
            break;
    }
    rows_end(&rows);
    return r;
}

static int copy_table(struct copy *copy, const char *table)
{
    struct content before = {0};
    struct content source = {0};
    struct content target = {0};
    int r = read_content(copy, copy->target, table, &before);

    if (r == 0 && before.rows > 0)
        return fail_text(copy->fail, E_EXISTS, "the store that is to be filled is not empty: it has %lld rows in %s",
                         (long long)before.rows, table);
    if (r == 0)
        r = copy_rows(copy, table, &source);
    if (r == 0)
        r = read_content(copy, copy->target, table, &target);
    if (r < 0)
        return fail_text(copy->fail, (enum error_code)-r, "table %s: %s", table, error_code_text((enum error_code)-r));
    if (source.rows != target.rows || source.sum != target.sum)
        return fail_text(copy->fail, E_IO, "table %s is not the same after it was copied (%lld rows of %lld); nothing was kept", table,
                         (long long)target.rows, (long long)source.rows);
    if (copy->each)
        copy->each(copy->arg, table, source.rows);
    return 0;
}

static int copy_run(struct tx *tx, void *arg)
{
    struct copy *copy = arg;
    int r = 0;

    copy->target = tx;
    if (store_is_shared(tx->store)) /* a large table's rows are read all at once: the target hears nothing meanwhile, and waits */
        r = tx_check(tx, tx->db->ops->exec(tx->db, "SET LOCAL idle_in_transaction_session_timeout = 0"));
    copy->source = store_read_begin(copy->from);
    for (size_t i = 0; i < countof(tables) && r == 0; i++)
        r = copy_table(copy, tables[i]);
    store_read_end(copy->source);
    return r;
}

int store_copy(struct store *from, struct store *to, void (*each)(void *arg, const char *table, int64_t rows), void *arg,
               struct fail *fail)
{
    struct copy copy = {.from = from, .each = each, .arg = arg, .fail = fail};
    int r;

    buf_init(&copy.row, ROW_BYTES);
    r = store_write(to, copy_run, &copy);
    buf_done(&copy.row);
    return r < 0 && !fail->code ? fail_text(fail, (enum error_code)-r, "the copy was not kept: %s", error_code_text((enum error_code)-r)) : r;
}
