/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/shape_kit.h"

#include <stdio.h>

#define YEAR_9999 ((usec_t)253402300799 * USEC_PER_SEC)

size_t shape_item_size(const struct shape_field *field)
{
    static const size_t sizes[] = {
        [SHAPE_STR] = sizeof(struct str),     [SHAPE_BOOL] = sizeof(bool),          [SHAPE_INT] = sizeof(int64_t),
        [SHAPE_FLOAT] = sizeof(double),       [SHAPE_ENUM] = sizeof(int),           [SHAPE_TIME_MINUTE] = sizeof(usec_t),
        [SHAPE_TIME_SECOND] = sizeof(usec_t),
    };

    return field->kind == SHAPE_OBJECT ? field->object->size : sizes[field->kind];
}

static struct str time_text(struct arena *arena, usec_t t)
{
    char text[TIME_TEXT_MAX];

    return t == 0 ? STR_NONE : arena_str(arena, str_slice(text, time_print_micro(t, text)));
}

/* A number that was read has 15 digits at most: written with as many it is the same. */
static struct str float_text(struct arena *arena, double value)
{
    struct str text = STR_NONE;
    double read = value + 1;

    for (int digits = 0; digits <= 15 && read != value; digits++) {
        text = arena_printf(arena, "%.*f", digits, value);
        if (str_to_double(text, &read) < 0)
            read = value + 1;
    }
    return text;
}

struct str shape_scalar_text(struct arena *arena, const struct shape_field *field, const char *place)
{
    const void *at = place;

    switch (field->kind) {
    case SHAPE_STR:
        return *(const struct str *)at;
    case SHAPE_BOOL:
        return *(const bool *)at ? STR("true") : STR("false");
    case SHAPE_INT:
        return arena_printf(arena, "%lld", (long long)*(const int64_t *)at);
    case SHAPE_FLOAT:
        return float_text(arena, *(const double *)at);
    case SHAPE_ENUM:
        return *(const int *)at >= 0 ? str_from(field->words[*(const int *)at]) : STR_NONE;
    case SHAPE_TIME_MINUTE:
    case SHAPE_TIME_SECOND:
        return time_text(arena, *(const usec_t *)at);
    case SHAPE_OBJECT:
        break;
    }
    assert(false);
    return STR_NONE;
}

const char *shape_opt_value(const struct shape_field *field, const char *place)
{
    const void *at = place;

    if (field->kind == SHAPE_BOOL)
        return ((const struct opt_bool *)at)->set ? (const char *)&((const struct opt_bool *)at)->value : NULL;
    if (field->kind == SHAPE_INT)
        return ((const struct opt_int *)at)->set ? (const char *)&((const struct opt_int *)at)->value : NULL;
    if (field->kind == SHAPE_FLOAT)
        return ((const struct opt_float *)at)->set ? (const char *)&((const struct opt_float *)at)->value : NULL;
    return place;
}

/* ── bounds ── */

static bool is_within(const struct shape_field *field, int64_t value)
{
    return (field->min == 0 && field->max == 0) || (value >= field->min && value <= field->max);
}

static size_t count_words(const struct shape_field *field)
{
    size_t count = 0;

    while (field->words[count])
        count++;
    return count;
}

static void check_scalar(const struct shape_field *field, const char *place, bool is_item)
{
    const void *at = place;
    struct str text;

    if (field->kind == SHAPE_STR) {
        text = *(const struct str *)at;
        assert(!text.ptr || (str_is_utf8(text) && !memchr(text.ptr, '\0', text.len)));
        assert(!text.ptr || is_within(field, (int64_t)text.len));
        assert(!is_item || text.ptr);
    } else if (field->kind == SHAPE_INT) {
        /* Absent and without a default it is zero, whatever the bounds. */
        assert(*(const int64_t *)at == 0 || is_within(field, *(const int64_t *)at));
    } else if (field->kind == SHAPE_ENUM) {
        assert(*(const int *)at >= (is_item ? 0 : -1) && *(const int *)at < (int)count_words(field));
    } else if (field->kind == SHAPE_TIME_MINUTE || field->kind == SHAPE_TIME_SECOND) {
        assert(*(const usec_t *)at >= 0 && *(const usec_t *)at <= YEAR_9999 + USEC_PER_SEC);
    } else if (field->kind == SHAPE_BOOL) {
        assert(*(const uint8_t *)at <= 1);
    }
}

static void check_list(const struct shape_field *field, const struct list_any *list)
{
    assert(list->count <= (field->max_items > 0 ? field->max_items : LIMIT_LIST_ITEMS));
    for (size_t i = 0; i < list->count; i++) {
        if (field->kind == SHAPE_OBJECT)
            shape_check_bounds(field->object, list->items + i * field->object->size);
        else
            check_scalar(field, list->items + i * shape_item_size(field), true);
    }
}

void shape_check_bounds(const struct shape *shape, const char *base)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_field *field = &shape->fields[i];
        const char *place = base + field->offset;

        if (field->flags & SHAPE_LIST) {
            check_list(field, (const void *)place);
            continue;
        }
        if (field->flags & SHAPE_OPT)
            place = field->kind == SHAPE_OBJECT ? *(const char *const *)(const void *)place : shape_opt_value(field, place);
        if (!place)
            continue;
        if (field->kind == SHAPE_OBJECT)
            shape_check_bounds(field->object, place);
        else
            check_scalar(field, place, false);
    }
}

/* ── the same ── */

static bool same_scalar(const struct shape_field *field, const char *a, const char *b)
{
    if (field->kind == SHAPE_STR)
        return fuzz_same(*(const struct str *)(const void *)a, *(const struct str *)(const void *)b);
    return memcmp(a, b, shape_item_size(field)) == 0;
}

static bool same_list(const struct shape_field *field, const struct list_any *a, const struct list_any *b)
{
    bool same = a->count == b->count && !a->items == !b->items;

    for (size_t i = 0; same && i < a->count; i++) {
        size_t at = i * shape_item_size(field);

        same = field->kind == SHAPE_OBJECT ? shape_same(field->object, a->items + at, b->items + at)
                                           : same_scalar(field, a->items + at, b->items + at);
    }
    return same;
}

static bool same_field(const struct shape_field *field, const char *a, const char *b)
{
    if (field->flags & SHAPE_LIST)
        return same_list(field, (const void *)a, (const void *)b);
    if (field->flags & SHAPE_OPT) {
        bool object = field->kind == SHAPE_OBJECT;

        a = object ? *(const char *const *)(const void *)a : shape_opt_value(field, a);
        b = object ? *(const char *const *)(const void *)b : shape_opt_value(field, b);
        if (!a || !b)
            return !a && !b;
    }
    return field->kind == SHAPE_OBJECT ? shape_same(field->object, a, b) : same_scalar(field, a, b);
}

bool shape_same(const struct shape *shape, const char *a, const char *b)
{
    for (size_t i = 0; i < shape->count; i++)
        if (!same_field(&shape->fields[i], a + shape->fields[i].offset, b + shape->fields[i].offset))
            return false;
    return true;
}

/* ── filling ── */

static uint8_t take_byte(struct shape_bytes *bytes)
{
    uint8_t byte = bytes->rest.len > 0 ? (uint8_t)bytes->rest.ptr[0] : 0;

    if (bytes->rest.len > 0)
        bytes->rest = str_slice(bytes->rest.ptr + 1, bytes->rest.len - 1);
    return byte;
}

/* Up to a line feed: texts in a seed can be read. */
static struct str take_text(struct shape_bytes *bytes)
{
    struct str text;

    if (bytes->rest.len == 0)
        return STR_NONE;
    (void)str_split(bytes->rest, '\n', &text, &bytes->rest); /* false: the last one */
    text.len = strnlen(text.ptr, text.len);                  /* no text of ours has a NUL inside (gateway/params.h) */
    return fuzz_exact(bytes->arena, text);
}

static int64_t take_int(struct shape_bytes *bytes)
{
    uint64_t value = 0;
    unsigned count = take_byte(bytes) % 9;

    for (unsigned i = 0; i < count; i++)
        value = value << 8 | take_byte(bytes);
    return (int64_t)value;
}

static void fill_scalar(struct shape_bytes *bytes, const struct shape_field *field, void *place)
{
    switch (field->kind) {
    case SHAPE_STR:
        *(struct str *)place = take_text(bytes);
        break;
    case SHAPE_BOOL:
        *(bool *)place = take_byte(bytes) & 1;
        break;
    case SHAPE_INT:
        *(int64_t *)place = take_int(bytes);
        break;
    case SHAPE_FLOAT:
        *(double *)place = (double)(int32_t)take_int(bytes) / 1000.0;
        break;
    case SHAPE_ENUM:
        *(int *)place = (int)(take_byte(bytes) % (count_words(field) + 1)) - 1;
        break;
    case SHAPE_TIME_MINUTE:
    case SHAPE_TIME_SECOND:
        *(usec_t *)place = (usec_t)((uint64_t)take_int(bytes) % (uint64_t)YEAR_9999);
        break;
    case SHAPE_OBJECT:
        assert(false);
    }
}

static void fill_list(struct shape_bytes *bytes, const struct shape_field *field, struct list_any *list)
{
    size_t size = shape_item_size(field);

    list->count = take_byte(bytes) % 4;
    list->items = list->count > 0 ? arena_alloc(bytes->arena, list->count * size) : NULL;
    for (size_t i = 0; i < list->count; i++) {
        if (field->kind == SHAPE_OBJECT)
            shape_fill(bytes, field->object, list->items + i * size);
        else
            fill_scalar(bytes, field, list->items + i * size);
    }
}

static void fill_opt(struct shape_bytes *bytes, const struct shape_field *field, char *place)
{
    bool set = take_byte(bytes) & 1;

    if (field->kind == SHAPE_OBJECT) {
        *(void **)(void *)place = set ? arena_alloc(bytes->arena, field->object->size) : NULL;
        if (set)
            shape_fill(bytes, field->object, *(char **)(void *)place);
        return;
    }
    *(bool *)(void *)place = set; /* the first member of all three; of other kinds there is no such form */
    if (shape_opt_value(field, place))
        fill_scalar(bytes, field, (char *)(uintptr_t)shape_opt_value(field, place));
}

void shape_fill(struct shape_bytes *bytes, const struct shape *shape, char *base)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_field *field = &shape->fields[i];
        char *place = base + field->offset;

        if (field->flags & SHAPE_LIST)
            fill_list(bytes, field, (void *)place);
        else if (field->flags & SHAPE_OPT)
            fill_opt(bytes, field, place);
        else if (field->kind == SHAPE_OBJECT)
            shape_fill(bytes, field->object, place);
        else
            fill_scalar(bytes, field, place);
    }
}
