/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of query and form. Input: a query, a line feed, a form body. */
#include "fuzz/fuzz.h"

#include "gateway/out.h"
#include "gateway/params.h"

static void check_bounds(const struct params *params)
{
    assert(params->count <= LIMIT_PARAMS);
    for (size_t i = 0; i < params->count; i++) {
        const struct param *param = &params->items[i];

        assert(param->name.ptr && param->name.len <= LIMIT_NAME_BYTES && str_is_utf8(param->name));
        assert(param->value.ptr && str_is_utf8(param->value));
        assert(!memchr(param->name.ptr, '\0', param->name.len) && !memchr(param->value.ptr, '\0', param->value.len));
    }
}

/* Sorted by name, form before query, first come first; all but the first of a name shadowed. */
static void check_order(const struct params *params)
{
    for (size_t i = 1; i < params->count; i++) {
        const struct param *a = &params->items[i - 1];
        const struct param *b = &params->items[i];
        int order = str_cmp(a->name, b->name);

        assert(order <= 0 && b->shadowed == (order == 0));
        assert(order < 0 || a->source < b->source || (a->source == b->source && a->order < b->order));
    }
    assert(params->count == 0 || !params->items[0].shadowed);
}

static void check_lookup(const struct params *params)
{
    for (size_t i = 0; i < params->count; i++) {
        const struct param *param = &params->items[i];

        if (!param->shadowed)
            assert(params_get(params, param->name).ptr == param->value.ptr);
    }
}

static struct str print(struct arena *arena, const struct params *params, enum param_source source)
{
    struct out out;

    out_init(&out, arena, 256, FUZZ_ARENA_BYTES / 8);
    for (size_t i = 0; i < params->count; i++) {
        if (params->items[i].source != source)
            continue;
        if (out.len > 0)
            out_char(&out, '&');
        out_percent(&out, params->items[i].name, false);
        out_char(&out, '=');
        out_percent(&out, params->items[i].value, false);
    }
    assert(!out.full);
    return fuzz_exact(arena, out_text(&out));
}

/* What was read, written and read again is the same. */
static void check_round_trip(struct arena *arena, const struct params *params)
{
    struct params again = {NULL, 0};
    struct str query = print(arena, params, PARAM_QUERY);
    struct str form = print(arena, params, PARAM_FORM);

    assert(params_add(&again, arena, query, PARAM_QUERY, NULL) == 0);
    assert(params_add(&again, arena, form, PARAM_FORM, NULL) == 0);
    params_sort(&again);
    assert(again.count == params->count);
    for (size_t i = 0; i < again.count; i++) {
        const struct param *a = &params->items[i];
        const struct param *b = &again.items[i];

        assert(str_eq(a->name, b->name) && str_eq(a->value, b->value));
        assert(a->source == b->source && a->shadowed == b->shadowed);
    }
}

/* How often a name is not shadowed: once, whoever is preferred. */
static void check_winners(const struct params *params)
{
    for (size_t start = 0, end; start < params->count; start = end) {
        size_t winners = 0;

        for (end = start; end < params->count && str_eq(params->items[end].name, params->items[start].name); end++)
            winners += !params->items[end].shadowed;
        assert(winners == 1);
    }
}

static void check_preference(struct params *params)
{
    bool doubled = params_prefer_query(params, true);

    check_winners(params);
    for (size_t i = 0; doubled && i < params->count; i++)
        if (params->items[i].source == PARAM_FORM && !params->items[i].shadowed)
            for (size_t k = 0; k < params->count; k++)
                assert(params->items[k].source != PARAM_QUERY || !str_eq(params->items[k].name, params->items[i].name));
    assert(params_prefer_query(params, false) == doubled);
    check_order(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct params params = {NULL, 0};
    struct arena arena;
    struct fail fail;
    struct str query;
    struct str form;
    int r;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    fail_init(&fail, &arena);
    (void)str_split(fuzz_input(data, size), '\n', &query, &form); /* without a line feed there is no form */
    r = params_add(&params, &arena, fuzz_exact(&arena, query), PARAM_QUERY, &fail);
    if (r == 0)
        r = params_add(&params, &arena, fuzz_exact(&arena, form), PARAM_FORM, &fail);
    check_bounds(&params);
    assert(r == -(int)fail.code && (r == 0 || r == -E_INVALID_PARAMETER || r == -E_REQUEST_TOO_LARGE));
    if (r == 0) {
        params_sort(&params);
        check_order(&params);
        check_lookup(&params);
        check_round_trip(&arena, &params);
        check_preference(&params);
    }
    arena_done(&arena);
    return 0;
}
