/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements of the PostgreSQL driver: prepared in each session when it first needs them; numbers go as text, since the server says
 * what their type is, all else as it is; results come in binary, whole.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/postgres_impl.h"

int postgres_prepare(struct db *db, const char *sql, struct stmt **ret)
{
    struct postgres_db *p = postgres_of(db);
    struct postgres_stmt *stmt = xcalloc(1, sizeof(*stmt));

    stmt->sql = xstrdup(sql);
    (void)snprintf(stmt->name, sizeof(stmt->name), "s%u", p->named++);
    stmt->next = p->statements;
    p->statements = stmt;
    *ret = (struct stmt *)(void *)stmt;
    return 0; /* the server hears of it at the first step in each session */
}

static void format_one(struct postgres_stmt *stmt, int i)
{
    const struct value *value = &stmt->bound[i];
    char *number = stmt->numbers[i];

    stmt->formats[i] = value->kind == VALUE_TEXT || value->kind == VALUE_BLOB;
    stmt->lengths[i] = stmt->formats[i] ? (int)value->text.len : 0;
    stmt->values[i] = number;
    if (value->kind == VALUE_I64)
        (void)snprintf(number, TEXT_OF_NUMBER, "%" PRId64, value->i64);
    else if (value->kind == VALUE_DOUBLE)
        (void)snprintf(number, TEXT_OF_NUMBER, "%.17g", value->number);
    else if (value->kind == VALUE_NULL)
        stmt->values[i] = NULL;
    else
        stmt->values[i] = value->text.len > 0 ? value->text.ptr : "";
}

void postgres_format(struct postgres_stmt *stmt)
{
    for (int i = 0; i < stmt->count; i++)
        format_one(stmt, i);
}

int postgres_bind(struct db *db, struct stmt *stmt, const struct value *values, size_t count)
{
    struct postgres_stmt *s = postgres_stmt_of(stmt);

    (void)db;
    assert(count <= PARAMETERS_MAX);
    if (count > 0)
        memcpy(s->bound, values, count * sizeof(*values));
    s->count = (int)count;
    return 0;
}

int postgres_prepare_as(struct postgres_db *p, const char *name, const char *sql, unsigned *session)
{
    PGresult *result;
    int r;

    if (*session == p->session)
        return 0;
    r = postgres_settle(p);
    if (r < 0)
        return r;
    result = pq.PQprepare(p->conn, name, sql, 0, NULL);
    r = postgres_error(p, result);
    pq.PQclear(result);
    if (r == 0)
        *session = p->session;
    return r;
}

int postgres_make_known(struct postgres_db *p, struct postgres_stmt *stmt)
{
    return postgres_prepare_as(p, stmt->name, stmt->sql, &stmt->session);
}

static int run(struct postgres_db *p, struct postgres_stmt *stmt)
{
    int r = postgres_make_known(p, stmt);

    if (r < 0)
        return r;
    if (p->posting) {
        r = postgres_post_and_wait(p, stmt);
    } else {
        postgres_format(stmt);
        stmt->result = pq.PQexecPrepared(p->conn, stmt->name, stmt->count, stmt->values, stmt->lengths, stmt->formats, 1);
        r = postgres_error(p, stmt->result);
    }
    if (r == 0)
        p->changed = strtoll(pq.PQcmdTuples(stmt->result), NULL, 10);
    return r;
}

int postgres_step(struct db *db, struct stmt *stmt)
{
    struct postgres_stmt *s = postgres_stmt_of(stmt);
    int r;

    if (!s->result) {
        s->row = -1;
        r = run(postgres_of(db), s);
        if (r < 0)
            return r;
    }
    s->row++;
    return s->row < pq.PQntuples(s->result) ? 1 : 0;
}

void postgres_reset(struct db *db, struct stmt *stmt)
{
    (void)db;
    pq.PQclear(steal(&postgres_stmt_of(stmt)->result));
    postgres_stmt_of(stmt)->count = 0;
}

static int64_t whole_number(const char *bytes, int len)
{
    uint64_t number = 0;

    for (int i = 0; i < len; i++)
        number = number << 8 | (uint8_t)bytes[i];
    if (len == 4)
        return (int32_t)(uint32_t)number;
    return len == 2 ? (int16_t)(uint16_t)number : (int64_t)number;
}

static double fraction(const char *bytes)
{
    uint64_t bits = (uint64_t)whole_number(bytes, 8);
    double number;

    memcpy(&number, &bits, sizeof(number));
    return number;
}

void postgres_column(struct db *db, struct stmt *stmt, size_t index, struct value *ret)
{
    const PGresult *result = postgres_stmt_of(stmt)->result;
    int row = postgres_stmt_of(stmt)->row;
    int i = (int)index;
    const char *bytes = pq.PQgetvalue(result, row, i);
    int len = pq.PQgetlength(result, row, i);

    (void)db;
    if (pq.PQgetisnull(result, row, i)) {
        *ret = (struct value){.kind = VALUE_NULL, .text = STR_NONE};
        return;
    }
    switch (pq.PQftype(result, i)) {
    case TYPE_I64:
    case TYPE_I32:
    case TYPE_I16:
        *ret = V_I64(whole_number(bytes, len));
        return;
    case TYPE_DOUBLE:
        *ret = (struct value){.kind = VALUE_DOUBLE, .number = fraction(bytes)};
        return;
    case TYPE_BYTES:
        *ret = V_BLOB(str_slice(bytes, (size_t)len));
        return;
    default: /* text, in any of its types */
        *ret = (struct value){.kind = VALUE_TEXT, .text = str_slice(bytes, (size_t)len)};
    }
}

size_t postgres_columns(struct db *db, struct stmt *stmt)
{
    (void)db;
    return (size_t)pq.PQnfields(postgres_stmt_of(stmt)->result);
}

int64_t postgres_changed(struct db *db)
{
    return postgres_of(db)->changed;
}

void postgres_forget(struct postgres_db *p)
{
    while (p->statements) {
        struct postgres_stmt *stmt = p->statements;

        p->statements = stmt->next;
        pq.PQclear(stmt->result);
        stmt->pile = pile_free(stmt->pile);
        xfree(stmt->sql);
        xfree(stmt);
    }
}
