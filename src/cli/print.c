/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/print.h"

#include <inttypes.h>
#include <jansson.h>

#define CELL_BYTES 512
#define COLUMNS_MAX 32

struct table {
    json_t *rows;
    struct str columns[COLUMNS_MAX];
    size_t column_count;
    size_t widths[COLUMNS_MAX];
};

/* A plain value as text; lists of plain values with commas. */
static size_t cell_text(const json_t *value, char text[CELL_BYTES])
{
    size_t len = 0;
    size_t i;
    json_t *item;

    text[0] = '\0';
    switch (json_typeof(value)) {
    case JSON_STRING:
        return (size_t)snprintf(text, CELL_BYTES, "%s", json_string_value(value));
    case JSON_INTEGER:
        return (size_t)snprintf(text, CELL_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return (size_t)snprintf(text, CELL_BYTES, "%.15g", json_real_value(value));
    case JSON_TRUE:
        return (size_t)snprintf(text, CELL_BYTES, "yes");
    case JSON_FALSE:
        return (size_t)snprintf(text, CELL_BYTES, "no");
    case JSON_ARRAY:
        json_array_foreach(value, i, item) {
            if (json_is_string(item) && len < CELL_BYTES)
                len += (size_t)snprintf(text + len, CELL_BYTES - len, "%s%s", i > 0 ? "," : "", json_string_value(item));
        }
        return MIN_OF(len, (size_t)CELL_BYTES - 1);
    case JSON_OBJECT: /* "Locks": {"Lock": [...]} */
        item = json_object_iter_value(json_object_iter((json_t *)(uintptr_t)value));
        return json_is_array(item) ? cell_text(item, text) : 0;
    case JSON_NULL:
        break;
    }
    return 0;
}

static json_t *member_of(const json_t *object, struct str name)
{
    return json_object_getn(object, name.ptr, name.len);
}

/* {"Hosts": {"Host": […]}, …} or {"Hosts": […]}: the list, borrowed, or NULL. */
static json_t *find_list(json_t *reply)
{
    const char *name;
    json_t *value;

    json_object_foreach(reply, name, value) {
        json_t *inner = json_is_object(value) && json_object_size(value) == 1
                            ? json_object_iter_value(json_object_iter(value))
                            : value;

        if (json_is_array(inner))
            return inner;
    }
    return NULL;
}

static void choose_columns(struct table *table, const char *columns)
{
    struct str rest = str_from(columns);
    const char *name;
    json_t *value;

    while (!str_empty(rest) && table->column_count < COLUMNS_MAX) {
        struct str next = STR_NONE;

        (void)str_split(rest, ',', &table->columns[table->column_count++], &next); /* the last has no comma */
        rest = next;
    }
    if (columns || json_array_size(table->rows) == 0)
        return;
    json_object_foreach(json_array_get(table->rows, 0), name, value) {
        if (!json_is_object(value) && table->column_count < COLUMNS_MAX)
            table->columns[table->column_count++] = str_from(name);
    }
}

static void measure(struct table *table, bool heading)
{
    char text[CELL_BYTES];
    size_t i;
    json_t *row;

    for (size_t c = 0; c < table->column_count; c++)
        table->widths[c] = heading ? table->columns[c].len : 0;
    json_array_foreach(table->rows, i, row) {
        for (size_t c = 0; c < table->column_count; c++) {
            const json_t *value = member_of(row, table->columns[c]);

            if (value)
                table->widths[c] = MAX_OF(table->widths[c], MIN_OF(cell_text(value, text), (size_t)CELL_BYTES - 1));
        }
    }
}

static void print_cell(FILE *out, const struct table *table, size_t c, struct str text)
{
    bool last = c + 1 == table->column_count;

    (void)fprintf(out, "%.*s%*s", STR_ARG(text), last ? 0 : (int)(table->widths[c] - text.len + 2), "");
    if (last)
        (void)fputc('\n', out);
}

static void print_table(FILE *out, struct table *table, bool heading)
{
    char text[CELL_BYTES];
    size_t i;
    json_t *row;

    measure(table, heading);
    for (size_t c = 0; c < table->column_count && heading; c++)
        print_cell(out, table, c, table->columns[c]);
    json_array_foreach(table->rows, i, row) {
        for (size_t c = 0; c < table->column_count; c++) {
            const json_t *value = member_of(row, table->columns[c]);

            text[0] = '\0';
            if (value)
                (void)cell_text(value, text);
            print_cell(out, table, c, str_from(text));
        }
    }
}

static void print_members(FILE *out, const json_t *object)
{
    char text[CELL_BYTES];
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        if (strcmp(name, "RequestId") == 0)
            continue;
        if (json_is_object(value) && !find_list(value) && json_object_size(value) > 1) {
            print_members(out, value); /* one level: "Instance": {…}, "Document": {…} */
            continue;
        }
        (void)cell_text(value, text);
        (void)fprintf(out, "%-24s%s\n", name, text);
    }
}

int print_reply(FILE *out, struct str body, const char *columns, bool heading)
{
    json_t *reply = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, NULL);
    struct table table = {0};

    if (!json_is_object(reply)) {
        json_decref(reply);
        return -E_INVALID;
    }
    table.rows = find_list(reply);
    if (table.rows) {
        choose_columns(&table, columns);
        print_table(out, &table, heading);
    } else {
        print_members(out, reply);
    }
    json_decref(reply);
    return 0;
}

static struct str copy_text(const json_t *value, struct arena *arena)
{
    char text[CELL_BYTES];

    if (!value)
        return STR_NONE;
    (void)cell_text(value, text);
    return arena_str(arena, str_from(text));
}

struct str reply_member(struct str body, const char *path, struct arena *arena)
{
    json_t *reply = json_loadb(body.ptr, body.len, 0, NULL);
    const json_t *value = reply;
    struct str rest = str_from(path);
    struct str found;

    while (value && !str_empty(rest)) {
        struct str name;
        struct str next = STR_NONE;

        (void)str_split(rest, '.', &name, &next); /* the last has no point */
        value = member_of(value, name);
        rest = next;
    }
    found = copy_text(value, arena);
    json_decref(reply);
    return found;
}

struct str reply_last_item(struct str body, const char *member, struct arena *arena)
{
    json_t *reply = json_loadb(body.ptr, body.len, 0, NULL);
    const json_t *list = json_is_object(reply) ? find_list(reply) : NULL;
    size_t count = json_array_size(list);
    struct str found = STR_NONE;

    if (count > 0)
        found = copy_text(member_of(json_array_get(list, count - 1), str_from(member)), arena);
    json_decref(reply);
    return found;
}
