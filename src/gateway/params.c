/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/params.h"

#include <stdlib.h>

#define SMALL_COUNT 48 /* up to here insertion beats qsort: clients send nearly sorted lists */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* `+` is a space, %XX a byte; a percent sign that starts no escape stays what it is. */
static struct str unescape(struct arena *arena, struct str raw)
{
    size_t first = 0;
    char *text;
    char *next;

    while (first < raw.len && raw.ptr[first] != '%' && raw.ptr[first] != '+')
        first++;
    if (first == raw.len)
        return raw;
    text = arena_alloc(arena, raw.len);
    memcpy(text, raw.ptr, first);
    next = text + first;
    for (size_t i = first; i < raw.len; i++) {
        char c = raw.ptr[i];

        if (c == '+') {
            c = ' ';
        } else if (c == '%' && i + 2 < raw.len && hex_value(raw.ptr[i + 1]) >= 0 &&
                   hex_value(raw.ptr[i + 2]) >= 0) {
            c = (char)(hex_value(raw.ptr[i + 1]) << 4 | hex_value(raw.ptr[i + 2]));
            i += 2;
        }
        *next++ = c;
    }
    return str_slice(text, (size_t)(next - text));
}

static bool is_plain_ascii(struct str s)
{
    unsigned char seen = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\0')
            return false;
        seen |= (unsigned char)s.ptr[i];
    }
    return seen < 0x80;
}

/* NUL is valid UTF-8, but nothing behind us may meet it inside a text. */
static bool is_text(struct str s)
{
    return is_plain_ascii(s) || (str_is_utf8(s) && !memchr(s.ptr, '\0', s.len));
}

int params_add_pair(struct params *params, struct arena *arena, struct param param,
                    struct fail *fail)
{
    if (params->count >= LIMIT_PARAMS)
        return fail(fail, E_REQUEST_TOO_LARGE);
    if (param.name.len > LIMIT_NAME_BYTES || !is_text(param.name))
        return fail(fail, E_INVALID_PARAMETER, STR("parameter name"));
    if (!is_text(param.value))
        return fail(fail, E_INVALID_PARAMETER, param.name);
    param.order = (unsigned)params->count;
    arena_push(arena, params->items, params->count, param);
    return 0;
}

int params_add(struct params *params, struct arena *arena, struct str text,
               enum param_source source, struct fail *fail)
{
    while (text.len > 0) {
        struct param param = {.source = source};
        struct str pair;
        struct str rest;
        int r;

        (void)str_split(text, '&', &pair, &rest); /* false: the last pair */
        text = rest;
        if (pair.len == 0)
            continue;
        if (!str_split(pair, '=', &param.name, &param.value))
            param.value = STR("");
        param.name = unescape(arena, param.name);
        param.value = unescape(arena, param.value);
        r = params_add_pair(params, arena, param, fail);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compare(const void *left, const void *right)
{
    const struct param *a = left;
    const struct param *b = right;
    int order = str_cmp(a->name, b->name);

    if (order == 0)
        order = (int)a->source - (int)b->source;
    if (order == 0)
        order = a->order < b->order ? -1 : 1;
    return order;
}

void params_sort(struct params *params)
{
    struct param *items = params->items;

    if (params->count > SMALL_COUNT)
        qsort(items, params->count, sizeof(*items), compare);
    for (size_t i = 1; i < params->count && params->count <= SMALL_COUNT; i++) {
        struct param moved = items[i];
        size_t place = i;

        for (; place > 0 && compare(&items[place - 1], &moved) > 0; place--)
            items[place] = items[place - 1];
        items[place] = moved;
    }
    for (size_t i = 1; i < params->count; i++)
        items[i].shadowed = str_eq(items[i].name, items[i - 1].name);
}

/* One run of equal names: the winner is the first of the source that is preferred, or else the
 * first. */
static bool prefer_in_run(struct param *run, size_t count, bool query)
{
    size_t winner = 0;

    for (size_t i = 1; query && i < count && winner == 0; i++)
        if (run[i].source == PARAM_QUERY && run[0].source == PARAM_FORM)
            winner = i;
    for (size_t i = 0; i < count; i++)
        run[i].shadowed = i != winner;
    return count > 1 && run[0].source == PARAM_FORM && run[count - 1].source != PARAM_FORM;
}

bool params_prefer_query(struct params *params, bool query)
{
    bool doubled = false;

    for (size_t start = 0, end; start < params->count; start = end) {
        for (end = start + 1;
             end < params->count && str_eq(params->items[end].name, params->items[start].name);)
            end++;
        doubled |= prefer_in_run(params->items + start, end - start, query);
    }
    return doubled;
}

struct str params_get(const struct params *params, struct str name)
{
    struct str found = STR_NONE;

    for (size_t i = 0; i < params->count; i++) {
        const struct param *param = &params->items[i];

        if (param->name.len != name.len || param->shadowed || !str_eq_nocase(param->name, name))
            continue;
        if (memcmp(param->name.ptr, name.ptr, name.len) == 0)
            return param->value;
        if (!found.ptr)
            found = param->value;
    }
    return found;
}
