/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Piles: changes that one statement makes to many rows. The server takes longer over a statement than over a row, so what the writes of a
 * batch post is collected, by statement, and sent with an array for each of its parameters:
 *
 *     UPDATE t SET a = $1 WHERE id = $2    is    UPDATE t SET a = v.p1 FROM unnest($1::bigint[], $2::text[]) AS v (p1, p2) WHERE id = v.p2
 *
 * A statement that has this form as an array is known by its text; others go one by one. The types are what the server takes the
 * parameters for.
 */
#include <stdlib.h>

#include "store/postgres_impl.h"

#define SQL_BYTES 16384
#define COLUMN_BYTES ((size_t)512 << 20) /* all that a batch can hold, and more: BATCH_ARENA_LIMIT_BYTES */
#define PILE_ROWS 64
#define PILE_BYTES ((size_t)256 << 10) /* of one parameter */

/* array.h, array_send(): number of dimensions, whether any is NULL, type; length and first index of the one dimension. */
#define HEADER_BYTES 20
enum { HEADER_NULLS = 4, HEADER_LENGTH = 12 };

static const struct pile_type {
    Oid oid; /* pg_type.dat */
    const char *array;
} types[] = {{TYPE_BYTES, "bytea[]"}, {TYPE_I64, "bigint[]"}, {TYPE_TEXT, "text[]"}, {TYPE_DOUBLE, "double precision[]"}};

/* ── the statement ── */

/* The table's name stands behind these words. */
static const struct {
    const char *words;
    enum pile_kind kind;
} kinds[] = {{"INSERT INTO ", PILE_INSERT}, {"UPDATE ", PILE_UPDATE}, {"DELETE FROM ", PILE_NONE}};

static void name_table(struct pile *pile, const char *sql)
{
    pile->kind = PILE_NONE;
    for (size_t i = 0; i < countof(kinds); i++) {
        size_t len = strlen(kinds[i].words);

        if (strncmp(sql, kinds[i].words, len) != 0)
            continue;
        pile->kind = kinds[i].kind;
        pile->table = str_slice(sql + len, strcspn(sql + len, " "));
    }
    assert(pile->table.len > 0 && !strstr(sql, "SELECT")); /* what is posted changes a table, and looks at no other */
}

static const char *array_of(Oid oid)
{
    for (size_t i = 0; i < countof(types); i++)
        if (types[i].oid == oid)
            return types[i].array;
    return NULL;
}

/* The piece of SQL with each $n as v.pn. */
static void add_words(struct buf *out, const char *from, const char *to)
{
    for (const char *at = from; at < to; at++) {
        if (*at == '$')
            buf_add_cstr(out, "v.p");
        else
            buf_add_char(out, *at);
    }
}

static void add_arrays(struct buf *out, const struct pile *pile)
{
    buf_add_cstr(out, " FROM unnest(");
    for (int i = 0; i < pile->count; i++)
        buf_printf(out, "%s$%d::%s", i > 0 ? ", " : "", i + 1, array_of(pile->types[i]));
    buf_add_cstr(out, ") AS v (");
    for (int i = 0; i < pile->count; i++)
        buf_printf(out, "%sp%d", i > 0 ? ", " : "", i + 1);
    buf_add_char(out, ')');
}

/*
 * INSERT INTO t (…) VALUES (…), and for rows that may be there nothing but that they are left alone. Here they are an error: a post that
 * meets no row is none, either, and the server takes half as long again when it has to look first.
 */
static bool make_insert(struct buf *out, const struct pile *pile, const char *sql)
{
    const char *values = strstr(sql, " VALUES (");
    const char *end = values ? strchr(values, ')') : NULL;

    if (!end || (end[1] != '\0' && strcmp(end + 1, " ON CONFLICT DO NOTHING") != 0))
        return false;
    add_words(out, sql, values);
    buf_add_cstr(out, " SELECT ");
    add_words(out, values + strlen(" VALUES ("), end);
    add_arrays(out, pile);
    return true;
}

/* UPDATE t SET … WHERE key = $n …: two changes of a row are two statements, so the row's key has to be known. */
static bool make_update(struct buf *out, struct pile *pile, const char *sql)
{
    const char *where = strstr(sql, " WHERE ");
    const char *key = where ? strchr(where, '$') : NULL;

    if (!key)
        return false;
    pile->key = (int)strtol(key + 1, NULL, 10) - 1;
    add_words(out, sql, where);
    add_arrays(out, pile);
    add_words(out, where, where + strlen(where));
    return true;
}

static bool has_arrays(const struct pile *pile)
{
    for (int i = 0; i < pile->count; i++)
        if (!array_of(pile->types[i]))
            return false;
    return pile->count > 0;
}

struct pile *pile_new(const struct postgres_stmt *stmt, const Oid oids[])
{
    struct pile *pile = xcalloc(1, sizeof(*pile));
    struct buf out;
    bool made = false;

    name_table(pile, stmt->sql);
    pile->count = stmt->count;
    memcpy(pile->types, oids, (size_t)stmt->count * sizeof(*oids));
    buf_init(&out, SQL_BYTES);
    if (has_arrays(pile) && pile->kind == PILE_INSERT)
        made = make_insert(&out, pile, stmt->sql);
    else if (has_arrays(pile) && pile->kind == PILE_UPDATE)
        made = make_update(&out, pile, stmt->sql);
    assert(!out.full);
    if (made)
        pile->sql = xstrdup(buf_str(&out).ptr);
    else
        pile->kind = PILE_NONE;
    buf_done(&out);
    (void)snprintf(pile->name, sizeof(pile->name), "%sv", stmt->name);
    for (int i = 0; i < pile->count; i++)
        buf_init(&pile->columns[i], COLUMN_BYTES);
    return pile;
}

struct pile *pile_free(struct pile *pile)
{
    if (!pile)
        return NULL;
    for (int i = 0; i < pile->count; i++)
        buf_done(&pile->columns[i]);
    xfree(pile->sql);
    return xfree(pile);
}

/* ── arrays ── */

static void put_i32(char *at, size_t number)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(number >> (24 - 8 * i));
}

static void add_i32(struct buf *out, size_t number)
{
    char bytes[4];

    put_i32(bytes, number);
    buf_add(out, bytes, sizeof(bytes));
}

static void add_i64(struct buf *out, uint64_t number)
{
    add_i32(out, 8);
    add_i32(out, (size_t)(number >> 32));
    add_i32(out, (size_t)(number & UINT32_MAX));
}

static void add_header(struct buf *out, Oid type)
{
    add_i32(out, 1);
    add_i32(out, 0);
    add_i32(out, type);
    add_i32(out, 0);
    add_i32(out, 1);
}

static void add_value(struct buf *out, Oid type, const struct value *value)
{
    uint64_t bits;

    if (out->len == 0)
        add_header(out, type);
    switch (value->kind) {
    case VALUE_NULL:
        put_i32(out->ptr + HEADER_NULLS, 1);
        add_i32(out, UINT32_MAX);
        return;
    case VALUE_I64:
        assert(type == TYPE_I64);
        add_i64(out, (uint64_t)value->i64);
        return;
    case VALUE_DOUBLE:
        assert(type == TYPE_DOUBLE);
        memcpy(&bits, &value->number, sizeof(bits));
        add_i64(out, bits);
        return;
    case VALUE_TEXT:
    case VALUE_BLOB:
        assert(type == TYPE_TEXT || type == TYPE_BYTES);
        add_i32(out, value->text.len);
        buf_add(out, value->text.ptr, value->text.len);
        return;
    }
    abort();
}

/* ── rows ── */

/* FNV-1a, for a guess only. */
static uint32_t hash_of(const struct value *key)
{
    const char *bytes = key->kind == VALUE_I64 ? (const char *)&key->i64 : key->text.ptr;
    size_t len = key->kind == VALUE_I64 ? sizeof(key->i64) : key->text.len;
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * 16777619u;
    return hash;
}

static uint32_t place_of(const struct pile *pile, const struct value *values)
{
    return hash_of(&values[pile->key]) % (PILE_SEEN_WORDS * 64);
}

bool pile_may_have(const struct pile *pile, const struct value *values)
{
    uint32_t place = place_of(pile, values);

    return pile->seen[place / 64] >> place % 64 & 1;
}

static void remember(struct pile *pile, const struct value *values)
{
    uint32_t place = place_of(pile, values);

    pile->seen[place / 64] |= UINT64_C(1) << place % 64;
}

void pile_add(struct pile *pile, const struct value *values, int64_t expected)
{
    for (int i = 0; i < pile->count; i++) {
        add_value(&pile->columns[i], pile->types[i], &values[i]);
        assert(!pile->columns[i].full);
    }
    if (pile->kind == PILE_UPDATE)
        remember(pile, values);
    pile->expected += expected;
    pile->rows++;
}

bool pile_is_full(const struct pile *pile)
{
    bool full = pile->rows == PILE_ROWS;

    for (int i = 0; i < pile->count; i++)
        full |= pile->columns[i].len >= PILE_BYTES;
    return full;
}

/* One row is what the statement itself takes: its values stand behind their lengths. */
void pile_only_row(const struct pile *pile, const char *values[], int lengths[], int formats[])
{
    assert(pile->rows == 1);
    for (int i = 0; i < pile->count; i++) {
        const struct buf *column = &pile->columns[i];

        values[i] = column->ptr[HEADER_NULLS + 3] ? NULL : column->ptr + HEADER_BYTES + 4;
        lengths[i] = (int)(column->len - HEADER_BYTES - 4);
        formats[i] = 1;
    }
}

void pile_parameters(const struct pile *pile, const char *values[], int lengths[], int formats[])
{
    for (int i = 0; i < pile->count; i++) {
        const struct buf *column = &pile->columns[i];

        put_i32(column->ptr + HEADER_LENGTH, pile->rows);
        values[i] = column->ptr;
        lengths[i] = (int)column->len;
        formats[i] = 1;
    }
}

void pile_clear(struct pile *pile)
{
    for (int i = 0; i < pile->count; i++)
        buf_reset(&pile->columns[i]);
    memset(pile->seen, 0, sizeof(pile->seen));
    pile->rows = 0;
    pile->expected = 0;
}
