/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/print.h"

#include "base/arena.h"
#include "base/clock.h"

#define NAME_BYTES 256
#define COLUMNS_MAX 16
#define CELL_BYTES 512

json_t *print_find(json_t *root, const char *path)
{
    struct str rest = str_from(path);
    struct str name;

    while (root && rest.len > 0) {
        (void)str_split(rest, '.', &name, &rest);
        root = json_object_getn(root, name.ptr, name.len);
    }
    return root;
}

/* What every client of the cloud calls it. */
static const char *shown_name(const char *name)
{
    return strcmp(name, "Secret") == 0 ? "AccessKeySecret" : name;
}

/* {"Lock": ["security"]} → the list in it; other values are themselves. */
static const json_t *unwrap(const json_t *value)
{
    const json_t *inner;

    if (!json_is_object(value) || json_object_size(value) != 1)
        return value;
    inner = json_object_iter_value(json_object_iter((json_t *)(uintptr_t)value)); /* it is only looked at */
    return json_is_array(inner) ? inner : value;
}

static void add_scalar(struct buf *out, const json_t *value)
{
    if (json_is_string(value))
        buf_add(out, json_string_value(value), json_string_length(value));
    else if (json_is_integer(value))
        buf_add_i64(out, json_integer_value(value));
    else if (json_is_real(value))
        buf_printf(out, "%.15g", json_real_value(value));
    else if (json_is_boolean(value))
        buf_add_cstr(out, json_is_true(value) ? "true" : "false");
}

/* Microseconds since 1970 are no reading for people. */
static bool is_moment(const char *name)
{
    return str_ends(str_from(name), STR("Us"));
}

static void add_moment(struct buf *out, const json_t *value)
{
    char text[TIME_TEXT_MAX];

    buf_add(out, text, time_print_micro(json_integer_value(value), text));
}

static void add_cell(struct buf *out, const json_t *item, const char *column)
{
    const json_t *value = unwrap(json_object_get(item, column));

    buf_reset(out);
    if (json_is_integer(value) && is_moment(column)) {
        add_moment(out, value);
    } else if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i > 0)
                buf_add_char(out, ',');
            add_scalar(out, json_array_get(value, i));
        }
    } else {
        add_scalar(out, value);
    }
    if (out->len == 0)
        buf_add_char(out, '-'); /* so that columns stay columns for awk */
}

/* Columns in UTF-8: a character is what doesn't continue another. */
static size_t width_of(struct str text)
{
    size_t width = 0;

    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return width;
}

static void put_cell(struct str text, size_t width, bool last, FILE *out)
{
    (void)fwrite(text.ptr, 1, text.len, out);
    if (last)
        (void)fputc('\n', out);
    else
        (void)fprintf(out, "%*s", (int)(width + 2 - width_of(text)), "");
}

static size_t read_columns(const char *columns, char names[COLUMNS_MAX][64])
{
    struct str rest = str_from(columns);
    struct str name;
    size_t count = 0;

    while (rest.len > 0 && count < COLUMNS_MAX) {
        (void)str_split(rest, ' ', &name, &rest);
        (void)snprintf(names[count++], 64, "%.*s", STR_ARG(name));
    }
    return count;
}

/* "TimeUs" is shown as a time. */
static struct str heading_of(const char *name)
{
    struct str text = str_from(name);

    return is_moment(name) ? str_slice(text.ptr, text.len - 2) : text;
}

void print_table(const json_t *items, const char *columns, bool heading, FILE *out)
{
    char names[COLUMNS_MAX][64];
    size_t widths[COLUMNS_MAX];
    size_t count = read_columns(columns, names);
    _cleanup_(buf_done) struct buf cell;

    buf_init(&cell, (size_t)1 << 20);
    for (size_t c = 0; c < count; c++) {
        widths[c] = heading_of(names[c]).len;
        for (size_t i = 0; i < json_array_size(items); i++) {
            add_cell(&cell, json_array_get(items, i), names[c]);
            widths[c] = MAX_OF(widths[c], width_of(buf_str(&cell)));
        }
    }
    for (size_t c = 0; heading && c < count; c++)
        put_cell(heading_of(names[c]), widths[c], c + 1 == count, out);
    for (size_t i = 0; i < json_array_size(items); i++) {
        for (size_t c = 0; c < count; c++) {
            add_cell(&cell, json_array_get(items, i), names[c]);
            put_cell(buf_str(&cell), widths[c], c + 1 == count, out);
        }
    }
}

/* A value under its dotted name; lists are numbered from 1. */
static void print_value(struct str name, const json_t *value, unsigned depth, FILE *out)
{
    char inner[NAME_BYTES];
    const char *key;
    json_t *member;
    _cleanup_(buf_done) struct buf text;

    buf_init(&text, (size_t)1 << 20);
    value = unwrap(value);
    if (depth > 8)
        return;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, key, member) {
            (void)snprintf(inner, sizeof(inner), "%.*s%s%s", STR_ARG(name), name.len > 0 ? "." : "", shown_name(key));
            print_value(str_from(inner), member, depth + 1, out);
        }
    } else if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            (void)snprintf(inner, sizeof(inner), "%.*s.%zu", STR_ARG(name), i + 1);
            print_value(str_from(inner), json_array_get(value, i), depth + 1, out);
        }
    } else {
        add_scalar(&text, value);
        (void)fprintf(out, "%.*s: %.*s\n", STR_ARG(name), STR_ARG(buf_str(&text)));
    }
}

void print_thing(json_t *root, json_t *thing, FILE *out)
{
    const char *key;
    json_t *member;

    if (thing && thing != root)
        print_value(STR(""), thing, 0, out);
    json_object_foreach(root, key, member) {
        if (member != thing && strcmp(key, "RequestId") != 0)
            print_value(str_from(key), member, 0, out);
    }
}

void print_json(json_t *root, json_t *thing, FILE *out)
{
    const char *key;
    json_t *member;

    if (json_is_object(thing) && thing != root)
        json_object_foreach(thing, key, member) {
            if (!json_object_get(root, shown_name(key)))
                (void)json_object_set(root, shown_name(key), member); /* fails for want of memory only */
        }
    (void)json_dumpf(root, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    (void)fputc('\n', out);
}
