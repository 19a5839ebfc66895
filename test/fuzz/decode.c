/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters to the request struct of an action. Input: the action's name, a line feed, a query. */
#include "fuzz/fuzz.h"

#include <stdio.h>

#include "fuzz/shape_kit.h"
#include "gateway/decode.h"
#include "gen/actions.h"

struct printing {
    struct arena *arena;
    struct params params;
};

static void print_object(struct printing *printing, const struct shape *shape, const char *base, struct str prefix);

static void print_pair(struct printing *printing, struct str name, struct str value)
{
    struct param param = {.name = name, .value = value, .source = PARAM_QUERY, .order = (unsigned)printing->params.count};

    arena_push(printing->arena, printing->params.items, printing->params.count, param);
}

static void print_list(struct printing *printing, const struct shape_field *field, const char *place, struct str name)
{
    const struct list_any *list = (const void *)place;

    /* A list that was given and has nothing in it. */
    if (list->items && list->count == 0)
        print_pair(printing, name, STR("[]"));
    for (size_t i = 0; i < list->count; i++) {
        const char *item = list->items + i * shape_item_size(field);
        struct str number = arena_printf(printing->arena, "%.*s.%zu", STR_ARG(name), i + 1);

        if (field->kind == SHAPE_OBJECT)
            print_object(printing, field->object, item, arena_printf(printing->arena, "%.*s.", STR_ARG(number)));
        else
            print_pair(printing, number, shape_scalar_text(printing->arena, field, item));
    }
}

static void print_field(struct printing *printing, const struct shape_field *field, const char *place, struct str name)
{
    struct str text;

    if (field->flags & SHAPE_LIST) {
        print_list(printing, field, place, name);
        return;
    }
    if (field->kind == SHAPE_OBJECT) {
        if (field->flags & SHAPE_OPT)
            place = *(const char *const *)(const void *)place;
        if (place)
            print_object(printing, field->object, place, arena_printf(printing->arena, "%.*s.", STR_ARG(name)));
        return;
    }
    if (field->flags & SHAPE_OPT)
        place = shape_opt_value(field, place);
    text = place ? shape_scalar_text(printing->arena, field, place) : STR_NONE;
    if (text.ptr)
        print_pair(printing, name, text);
}

static void print_object(struct printing *printing, const struct shape *shape, const char *base, struct str prefix)
{
    /* That it is there at all: no field has this name. */
    if (prefix.len > 0)
        print_pair(printing, arena_printf(printing->arena, "%.*s~", STR_ARG(prefix)), STR("x"));
    for (size_t i = 0; i < shape->count; i++)
        print_field(printing, &shape->fields[i], base + shape->fields[i].offset,
                    arena_printf(printing->arena, "%.*s%s", STR_ARG(prefix), shape->fields[i].name));
}

static const struct action_row *find_row(struct str name)
{
    for (size_t i = 0; i < ACTION_COUNT; i++)
        if (str_eq(name, str_from(action_rows[i].action)))
            return &action_rows[i];
    return name.len > 0 ? &action_rows[(uint8_t)name.ptr[0] % ACTION_COUNT] : NULL;
}

/* A request that was taken is within its bounds, and says the same when it is written and read again. */
static void check_request(struct arena *arena, const struct shape *shape, const char *request)
{
    struct printing printing = {.arena = arena};
    char *again = arena_alloc(arena, shape->size);
    struct fail fail;

    shape_check_bounds(shape, request);
    print_object(&printing, shape, request, STR(""));
    params_sort(&printing.params);
    fail_init(&fail, arena);
    assert(decode_request(arena, shape, &printing.params, again, &fail) == 0);
    assert(shape_same(shape, request, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct params params = {NULL, 0};
    const struct action_row *row;
    struct arena arena;
    struct fail fail;
    struct str name;
    struct str query;
    char *request;
    int r;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    fail_init(&fail, &arena);
    (void)str_split(fuzz_input(data, size), '\n', &name, &query); /* false: no parameters */
    row = find_row(name);
    if (row && row->request && params_add(&params, &arena, fuzz_exact(&arena, query), PARAM_QUERY, &fail) == 0) {
        params_sort(&params);
        request = arena_alloc(&arena, row->request->size);
        r = decode_request(&arena, row->request, &params, request, &fail);
        assert(r == -(int)fail.code);
        if (r < 0)
            assert(fail.message.len > 0 && error_status(fail.code) >= 400 && error_status(fail.code) < 500);
        else
            check_request(&arena, row->request, request);
    }
    arena_done(&arena);
    return 0;
}
