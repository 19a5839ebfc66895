/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON body as parameters: each member is one, lists become Name.1, Name.2…, objects
 * Name.Field.
 */
#include <jansson.h>
#include <stdio.h>

#include "gateway/params.h"

/* Every value of JSON text costs jansson some 50 bytes: what a body may ask for is bounded before
 * it is parsed. */
#define VALUES_MAX (4 * (size_t)LIMIT_PARAMS)

/* Counts what opens or separates values outside strings; refuses what is too deep or too much. */
static bool is_bounded(struct str text)
{
    size_t values = 0;
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            depth++;
            values++;
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if (c == ',') {
            values++;
        }
        if (depth > LIMIT_JSON_DEPTH || values > VALUES_MAX)
            return false;
    }
    return true;
}

struct flatten {
    struct params *params;
    struct arena *arena;
    struct fail *fail;
};

static int flatten_value(struct flatten *flatten, struct str name, json_t *value);

static struct str join(struct arena *arena, struct str prefix, const char *name)
{
    return prefix.len > 0 ? arena_printf(arena, "%.*s.%s", STR_ARG(prefix), name)
                          : arena_str(arena, str_from(name));
}

static int flatten_object(struct flatten *flatten, struct str prefix, json_t *object)
{
    const char *name;
    json_t *value;
    int r;

    json_object_foreach(object, name, value)
    {
        r = flatten_value(flatten, join(flatten->arena, prefix, name), value);
        if (r < 0)
            return r;
    }
    return 0;
}

static int flatten_array(struct flatten *flatten, struct str prefix, json_t *array)
{
    size_t index;
    json_t *value;
    int r;

    json_array_foreach(array, index, value)
    {
        char number[24];

        (void)snprintf(number, sizeof(number), "%zu", index + 1);
        r = flatten_value(flatten, join(flatten->arena, prefix, number), value);
        if (r < 0)
            return r;
    }
    return 0;
}

static struct str scalar_text(struct arena *arena, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return arena_str(arena, str_slice(json_string_value(value), json_string_length(value)));
    case JSON_INTEGER:
        return arena_printf(arena, "%lld", (long long)json_integer_value(value));
    case JSON_REAL:
        return arena_printf(arena, "%f", json_real_value(value));
    case JSON_TRUE:
        return STR("true");
    case JSON_FALSE:
        return STR("false");
    case JSON_NULL:
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    return STR_NONE;
}

static int flatten_value(struct flatten *flatten, struct str name, json_t *value)
{
    struct param param = {.name = name, .source = PARAM_JSON};

    /* The prefix of a prefix grows with the depth: refuse it before it is made longer. */
    if (name.len > LIMIT_NAME_BYTES)
        return fail(flatten->fail, E_INVALID_PARAMETER, STR("parameter name"));
    if (json_is_object(value))
        return flatten_object(flatten, name, value);
    if (json_is_array(value))
        return flatten_array(flatten, name, value);
    param.value = scalar_text(flatten->arena, value);
    if (!param.value.ptr)
        return 0; /* null: not given */
    return params_add_pair(flatten->params, flatten->arena, param, flatten->fail);
}

int params_add_json(struct params *params, struct arena *arena, struct str body, struct fail *fail)
{
    struct flatten flatten = {.params = params, .arena = arena, .fail = fail};
    json_error_t error;
    json_t *root;
    int r;

    if (str_trim(body).len == 0)
        return 0;
    if (!is_bounded(body))
        return fail(fail, E_REQUEST_TOO_LARGE);
    root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(root)) {
        json_decref(root);
        return fail(fail, E_BAD_REQUEST, STR("the body is not a JSON object"));
    }
    r = flatten_object(&flatten, STR_NONE, root);
    json_decref(root);
    return r;
}

int params_read_map(struct arena *arena, struct str text, struct text_pair_list *ret)
{
    struct text_pair_list list = {NULL, 0};
    json_error_t error;
    const char *name;
    json_t *value;
    json_t *root;
    int r = 0;

    if (!is_bounded(text))
        return -E_INVALID;
    root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return json_error_code(&error) == json_error_duplicate_key ? -E_EXISTS : -E_INVALID;
    if (!json_is_object(root))
        r = -E_INVALID;
    json_object_foreach(root, name, value)
    {
        struct text_pair pair = {arena_str(arena, str_from(name)), scalar_text(arena, value)};

        if (!pair.value.ptr)
            r = -E_INVALID;
        arena_push(arena, list.items, list.count, pair);
    }
    json_decref(root);
    if (r == 0)
        *ret = list;
    return r;
}
