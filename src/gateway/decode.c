/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/decode.h"

#include <jansson.h>
#include <stdlib.h>

#define INDEX_DIGITS_MAX 9 /* N in Name.N */

/* The parameters under one prefix: names without it. */
struct item {
    struct str name;
    struct str value;
    int64_t number; /* in a list: N */
};

struct view {
    struct item *items;
    size_t count;
    struct str prefix; /* "DataDisk.1.", as the documents spell it: for messages */
};

struct decode {
    struct arena *arena;
    struct fail *fail;
};

/* Layout of every list in a request or reply struct (base/shape.h). */
struct list_any {
    void *items;
    size_t count;
};

static int decode_object(struct decode *decode, const struct shape *shape, const struct view *view,
                         char *base);

static int refuse(struct decode *decode, const struct shape_field *field, const struct view *view,
                  struct str value)
{
    enum error_code code = field->error ? (enum error_code)field->error : E_INVALID_PARAMETER;
    struct str path = arena_printf(decode->arena, "%.*s%s", STR_ARG(view->prefix), field->name);

    return fail(decode->fail, code, path, value, path);
}

/* ── views ── */

static const struct item *view_find(const struct view *view, const char *name)
{
    struct str wanted = str_from(name);
    const struct item *found = NULL;

    for (size_t i = 0; i < view->count; i++) {
        const struct item *item = &view->items[i];

        if (item->name.len != wanted.len || !str_eq_nocase(item->name, wanted))
            continue;
        if (memcmp(item->name.ptr, name, wanted.len) == 0)
            return item;
        if (!found)
            found = item;
    }
    return found;
}

/* "Name.rest" → rest */
static bool is_under(struct str name, struct str parent, struct str *ret_rest)
{
    if (name.len <= parent.len + 1 || name.ptr[parent.len] != '.' ||
        !str_starts_nocase(name, parent))
        return false;
    *ret_rest = str_slice(name.ptr + parent.len + 1, name.len - parent.len - 1);
    return true;
}

static struct view view_under(struct decode *decode, const struct view *view, const char *name)
{
    struct str parent = str_from(name);
    struct view under = {.items = NULL};
    struct item item = {.number = 0};

    for (size_t i = 0; i < view->count; i++) {
        if (!is_under(view->items[i].name, parent, &item.name))
            continue;
        item.value = view->items[i].value;
        arena_push(decode->arena, under.items, under.count, item);
    }
    if (under.count > 0)
        under.prefix = arena_printf(decode->arena, "%.*s%s.", STR_ARG(view->prefix), name);
    return under;
}

/* "12" or "12.rest": number and rest. */
static bool split_number(struct item *item)
{
    struct str head;
    struct str rest;

    (void)str_split(item->name, '.', &head, &rest);
    if (head.len == 0 || head.len > INDEX_DIGITS_MAX || head.ptr[0] == '-' ||
        str_to_i64(head, &item->number) < 0)
        return false;
    item->name = rest;
    return true;
}

static int compare_numbers(const void *left, const void *right)
{
    const struct item *a = left;
    const struct item *b = right;

    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return str_cmp(a->name, b->name);
}

/* The members of a list, by number; what has none (Name.#3#key) is no member. */
static struct view view_list(struct decode *decode, const struct view *view, const char *name)
{
    struct view list = view_under(decode, view, name);
    size_t kept = 0;

    for (size_t i = 0; i < list.count; i++)
        if (split_number(&list.items[i]))
            list.items[kept++] = list.items[i];
    list.count = kept;
    if (kept > 1)
        qsort(list.items, kept, sizeof(*list.items), compare_numbers);
    return list;
}

/* The stretch of one number, from `start`. */
static struct view view_member(struct decode *decode, const struct view *list, size_t start)
{
    struct view member = {.items = list->items + start};

    while (start + member.count < list->count &&
           list->items[start + member.count].number == list->items[start].number)
        member.count++;
    member.prefix = arena_printf(decode->arena, "%.*s%lld.", STR_ARG(list->prefix),
                                 (long long)list->items[start].number);
    return member;
}

/* ── scalars ── */

static size_t item_size(const struct shape_field *field)
{
    switch (field->kind) {
    case SHAPE_STR:
        return sizeof(struct str);
    case SHAPE_BOOL:
        return sizeof(bool);
    case SHAPE_INT:
        return sizeof(int64_t);
    case SHAPE_FLOAT:
        return sizeof(double);
    case SHAPE_ENUM:
        return sizeof(int);
    case SHAPE_TIME_MINUTE:
    case SHAPE_TIME_SECOND:
        return sizeof(usec_t);
    case SHAPE_OBJECT:
        return field->object->size;
    }
    assert(false);
    return 0;
}

static bool in_bounds(const struct shape_field *field, int64_t value)
{
    return (field->min == 0 && field->max == 0) || (value >= field->min && value <= field->max);
}

/* Some clients send 20.0 or "20" with its quotes. */
static int number_text(struct str text, int64_t *ret)
{
    double value;

    text = str_trim(text);
    if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"')
        text = str_slice(text.ptr + 1, text.len - 2);
    if (str_to_i64(text, ret) == 0)
        return 0;
    if (str_to_double(text, &value) < 0 || value < -9e15 || value > 9e15 ||
        value != (double)(int64_t)value)
        return -E_INVALID;
    *ret = (int64_t)value;
    return 0;
}

static int enum_index(const char *const *words, struct str text)
{
    for (int i = 0; words[i]; i++)
        if (str_eq_nocase(text, str_from(words[i])))
            return i;
    return -E_INVALID;
}

static int take_int(const struct shape_field *field, struct str text, char *place, bool opt)
{
    int64_t value;
    int r = field->flags & SHAPE_NUMTEXT ? number_text(text, &value) : str_to_i64(text, &value);

    if (r < 0 || !in_bounds(field, value))
        return -E_INVALID;
    if (opt)
        *(struct opt_int *)(void *)place = (struct opt_int){.set = true, .value = value};
    else
        *(int64_t *)(void *)place = value;
    return 0;
}

static int take_bool(struct str text, char *place, bool opt)
{
    bool value;

    if (str_to_bool(text, false, &value) < 0)
        return -E_INVALID;
    if (opt)
        *(struct opt_bool *)(void *)place = (struct opt_bool){.set = true, .value = value};
    else
        *(bool *)(void *)place = value;
    return 0;
}

static int take_float(const struct shape_field *field, struct str text, char *place, bool opt)
{
    double value;

    if (str_to_double(text, &value) < 0)
        return -E_INVALID;
    if ((field->min != 0 || field->max != 0) &&
        (value < (double)field->min || value > (double)field->max))
        return -E_INVALID;
    if (opt)
        *(struct opt_float *)(void *)place = (struct opt_float){.set = true, .value = value};
    else
        *(double *)(void *)place = value;
    return 0;
}

/* One value to its place; `opt`: the place is the opt_ form. -E_INVALID. */
static int take_scalar(const struct shape_field *field, struct str text, char *place, bool opt)
{
    int index;

    switch (field->kind) {
    case SHAPE_STR:
        if (!in_bounds(field, (int64_t)text.len))
            return -E_INVALID;
        *(struct str *)(void *)place = text;
        return 0;
    case SHAPE_BOOL:
        return take_bool(text, place, opt);
    case SHAPE_INT:
        return take_int(field, text, place, opt);
    case SHAPE_FLOAT:
        return take_float(field, text, place, opt);
    case SHAPE_ENUM:
        index = enum_index(field->words, text);
        if (index >= 0)
            *(int *)(void *)place = index;
        return index < 0 ? index : 0;
    case SHAPE_TIME_MINUTE:
    case SHAPE_TIME_SECOND:
        return time_parse(text, (usec_t *)(void *)place);
    case SHAPE_OBJECT:
        break;
    }
    assert(false);
    return -E_INVALID;
}

static bool is_given(const struct shape_field *field, const struct item *item)
{
    return item && (item->value.len > 0 || field->flags & SHAPE_FREE);
}

static int decode_scalar(struct decode *decode, const struct shape_field *field,
                         const struct view *view, char *place)
{
    const struct item *item = view_find(view, field->name);
    struct str text = is_given(field, item) ? item->value : str_from(field->default_text);

    if (field->kind == SHAPE_ENUM)
        *(int *)(void *)place = -1;
    if (!text.ptr)
        return 0;
    if (field->flags & SHAPE_REFUSED && !str_eq_nocase(text, str_from(field->default_text)))
        return refuse(decode, field, view, text);
    if (take_scalar(field, text, place, field->flags & SHAPE_OPT) < 0)
        return refuse(decode, field, view, text);
    return 0;
}

/* ── lists ── */

static int too_many(struct decode *decode, const struct shape_field *field, const struct view *view)
{
    if (field->too_many)
        return fail(decode->fail, (enum error_code)field->too_many, str_from(field->name));
    return refuse(decode, field, view, STR(""));
}

static size_t max_items(const struct shape_field *field)
{
    return field->max_items > 0 ? field->max_items : LIMIT_LIST_ITEMS;
}

/* The text of a JSON array as a list: its members become items 1, 2… */
static int json_list(struct decode *decode, const struct shape_field *field,
                     const struct view *view, struct str text, struct view *ret)
{
    /* Each member has a comma: what the text may hold is bounded before it is parsed. */
    size_t commas = 0;
    json_error_t error;
    size_t index;
    json_t *value;
    json_t *root;
    int r = 0;

    for (size_t i = 0; i < text.len; i++)
        commas += text.ptr[i] == ',' || text.ptr[i] == '[';
    if (commas > max_items(field) + LIMIT_LIST_ITEMS)
        return too_many(decode, field, view);
    root = json_loadb(text.ptr, text.len, JSON_DECODE_ANY, &error);
    if (!json_is_array(root))
        r = refuse(decode, field, view, text);
    json_array_foreach(root, index, value)
    {
        struct item item = {.number = (int64_t)index + 1};

        if (json_is_string(value))
            item.value = arena_str(decode->arena,
                                   str_slice(json_string_value(value), json_string_length(value)));
        else if (json_is_integer(value))
            item.value = arena_printf(decode->arena, "%lld", (long long)json_integer_value(value));
        else
            r = refuse(decode, field, view, text);
        if (r < 0)
            break;
        arena_push(decode->arena, ret->items, ret->count, item);
    }
    json_decref(root);
    return r;
}

/* How many different numbers there are. */
static size_t count_members(const struct view *list)
{
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++)
        count += i == 0 || list->items[i].number != list->items[i - 1].number;
    return count;
}

static int decode_object_list(struct decode *decode, const struct shape_field *field,
                              const struct view *list, struct list_any *ret)
{
    char *items = arena_array(decode->arena, char, count_members(list) * field->object->size);
    size_t count = 0;
    int r;

    for (size_t start = 0; start < list->count;) {
        struct view member = view_member(decode, list, start);

        r = decode_object(decode, field->object, &member, items + count * field->object->size);
        if (r < 0)
            return r;
        count++;
        start += member.count;
    }
    *ret = (struct list_any){.items = items, .count = count};
    return 0;
}

static int decode_scalar_list(struct decode *decode, const struct shape_field *field,
                              const struct view *list, struct list_any *ret)
{
    size_t size = item_size(field);
    char *items = arena_array(decode->arena, char, list->count *size);
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct item *item = &list->items[i];

        /* "Name.1.x" is not a member of a list of scalars; an empty one is not given. */
        if (item->name.len > 0 || (item->value.len == 0 && !(field->flags & SHAPE_FREE)))
            continue;
        if (take_scalar(field, item->value, items + count * size, false) < 0)
            return refuse(decode, field, list, item->value);
        count++;
    }
    *ret = (struct list_any){.items = items, .count = count};
    return 0;
}

/* A list under its plain name is the text of a JSON array; anything else there is no list. */
static bool is_json_list(const struct shape_field *field, const struct item *whole)
{
    return field->kind != SHAPE_OBJECT && whole && whole->value.len > 0 &&
           (field->flags & SHAPE_JSON || whole->value.ptr[0] == '[');
}

/* Clients send lists that they don't use with empty items: NULL when there are only such. */
static const struct item *first_given(const struct view *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].value.len > 0)
            return &list->items[i];
    return NULL;
}

static int decode_list(struct decode *decode, const struct shape_field *field,
                       const struct view *view, char *place)
{
    const struct item *whole = view_find(view, field->name);
    struct view list = view_list(decode, view, field->name);
    bool is_json = list.count == 0 && is_json_list(field, whole);
    int r;

    if (is_json) {
        r = json_list(decode, field, view, whole->value, &list);
        if (r < 0)
            return r;
    }
    /* "[]" is a list that was given: it gets items, though none. */
    if (list.count == 0 && !is_json)
        return 0;
    if (field->flags & SHAPE_REFUSED && first_given(&list))
        return refuse(decode, field, view, first_given(&list)->value);
    if (count_members(&list) > max_items(field))
        return too_many(decode, field, view);
    if (field->kind == SHAPE_OBJECT)
        return decode_object_list(decode, field, &list, (struct list_any *)(void *)place);
    /* In messages a list of scalars is named as a whole. */
    list.prefix = view->prefix;
    return decode_scalar_list(decode, field, &list, (struct list_any *)(void *)place);
}

/* ── objects ── */

static int decode_embedded(struct decode *decode, const struct shape_field *field,
                           const struct view *view, char *place)
{
    struct view under = view_under(decode, view, field->name);

    if (!(field->flags & SHAPE_OPT))
        return decode_object(decode, field->object, &under, place);
    if (under.count == 0)
        return 0;
    *(void **)(void *)place = arena_alloc(decode->arena, field->object->size);
    return decode_object(decode, field->object, &under, *(char **)(void *)place);
}

static int decode_object(struct decode *decode, const struct shape *shape, const struct view *view,
                         char *base)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_field *field = &shape->fields[i];
        char *place = base + field->offset;
        int r;

        if (field->flags & SHAPE_LIST)
            r = decode_list(decode, field, view, place);
        else if (field->kind == SHAPE_OBJECT)
            r = decode_embedded(decode, field, view, place);
        else
            r = decode_scalar(decode, field, view, place);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_required(struct decode *decode, const struct shape *shape,
                          const struct view *view);

/* A member that is there needs its own required fields; one that is not there needs nothing. */
static int check_nested(struct decode *decode, const struct shape_field *field,
                        const struct view *view)
{
    struct view list;
    int r;

    if (!(field->flags & SHAPE_LIST)) {
        list = view_under(decode, view, field->name);
        return list.count > 0 ? check_required(decode, field->object, &list) : 0;
    }
    list = view_list(decode, view, field->name);
    for (size_t start = 0; start < list.count;) {
        struct view member = view_member(decode, &list, start);

        r = check_required(decode, field->object, &member);
        if (r < 0)
            return r;
        start += member.count;
    }
    return 0;
}

/* Does anything have a value that decode_object would take for this field? */
static bool is_present(struct decode *decode, const struct shape_field *field,
                       const struct view *view)
{
    const struct item *whole = view_find(view, field->name);
    bool is_list = field->flags & SHAPE_LIST;
    struct view under;

    if (is_list ? is_json_list(field, whole) : is_given(field, whole))
        return true;
    if (!is_list && field->kind != SHAPE_OBJECT)
        return false;
    under = is_list ? view_list(decode, view, field->name) : view_under(decode, view, field->name);
    for (size_t i = 0; i < under.count; i++) {
        bool is_part = field->kind == SHAPE_OBJECT || under.items[i].name.len == 0;

        if (is_part && (under.items[i].value.len > 0 || field->flags & SHAPE_FREE))
            return true;
    }
    return false;
}

static bool has_required(const struct shape *shape)
{
    for (size_t i = 0; i < shape->count; i++)
        if (shape->fields[i].flags & SHAPE_REQUIRED ||
            (shape->fields[i].object && has_required(shape->fields[i].object)))
            return true;
    return false;
}

static int check_required(struct decode *decode, const struct shape *shape, const struct view *view)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_field *field = &shape->fields[i];
        int r = 0;

        if (field->flags & SHAPE_REQUIRED && !is_present(decode, field, view))
            r = fail(decode->fail,
                     field->missing ? (enum error_code)field->missing : E_MISSING_PARAMETER,
                     arena_printf(decode->arena, "%.*s%s", STR_ARG(view->prefix), field->name));
        else if (field->kind == SHAPE_OBJECT && has_required(field->object))
            r = check_nested(decode, field, view);
        if (r < 0)
            return r;
    }
    return 0;
}

int decode_request(struct arena *arena, const struct shape *shape, const struct params *params,
                   void *ret, struct fail *fail)
{
    struct decode decode = {.arena = arena, .fail = fail};
    struct view view = {.items = arena_array(arena, struct item, params->count)};
    int r;

    for (size_t i = 0; i < params->count; i++)
        if (!params->items[i].shadowed)
            view.items[view.count++] =
                (struct item){.name = params->items[i].name, .value = params->items[i].value};
    r = check_required(&decode, shape, &view);
    if (r < 0)
        return r;
    return decode_object(&decode, shape, &view, ret);
}

struct str_list decode_texts(void *req, const struct shape_field *field)
{
    void *place = (char *)req + field->offset;

    assert(field->kind == SHAPE_STR);
    if (field->flags & SHAPE_LIST)
        return *(struct str_list *)place;
    return str_empty(*(struct str *)place) ? (struct str_list){0} : (struct str_list){place, 1};
}
