/* SPDX-License-Identifier: Apache-2.0 */
/* Signature V1. Input: a raw request; its body is taken for a form. */
#include "fuzz/raw_call.h"

#include "gateway/auth_v1.h"
#include "gateway/target.h"

#define SECRET STR("fuzz-secret")

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Takes one layer of percent-encoding off; only what our own encoder writes is here. */
static struct str decode(struct arena *arena, struct str text)
{
    char *bytes = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        assert(strchr("%-_.~", text.ptr[i]) || (text.ptr[i] >= '0' && text.ptr[i] <= '9') ||
               ((text.ptr[i] | 0x20) >= 'a' && (text.ptr[i] | 0x20) <= 'z'));
        if (text.ptr[i] != '%') {
            bytes[len++] = text.ptr[i];
            continue;
        }
        assert(i + 2 < text.len);
        bytes[len++] = (char)(hex_value(text.ptr[i + 1]) << 4 | hex_value(text.ptr[i + 2]));
        i += 2;
    }
    return str_slice(bytes, len);
}

static bool counts(const struct param *param, bool skip_empty)
{
    return !param->shadowed && !str_eq(param->name, STR("Signature")) && !(skip_empty && param->value.len == 0);
}

/* What is signed can be read back, so no two sets of parameters share a string. */
static void check_string(struct arena *arena, struct str method, const struct params *params, bool skip_empty)
{
    struct str string = auth_v1_string(arena, method, params, skip_empty);
    struct str head = arena_printf(arena, "%.*s&%%2F&", STR_ARG(method));
    struct str rest;

    assert(string.ptr && str_starts(string, head));
    rest = decode(arena, str_slice(string.ptr + head.len, string.len - head.len));
    for (size_t i = 0; i < params->count; i++) {
        struct str pair;
        struct str name;
        struct str value;

        if (!counts(&params->items[i], skip_empty))
            continue;
        (void)str_split(rest, '&', &pair, &rest); /* false: the last one */
        assert(str_split(pair, '=', &name, &value));
        assert(str_eq(decode(arena, name), params->items[i].name) && str_eq(decode(arena, value), params->items[i].value));
    }
    assert(rest.len == 0);
}

static bool matches(struct arena *arena, struct str method, struct params *params, struct str signature)
{
    struct str string = STR_NONE;
    bool fits = auth_v1_matches(arena, method, params, HASH_SHA1, SECRET, signature, &string);

    assert(fits || string.ptr);
    return fits;
}

/* Refused, or what the rest of the pipeline sees is what was signed: the other of two places had it, too. */
static void check_bound(struct arena *arena, struct str method, struct params *params, struct str signature,
                        struct str string)
{
    if (matches(arena, method, params, signature))
        assert(str_eq(auth_v1_string(arena, method, params, false), string));
}

/* No byte of what is signed can change under the signature. */
static void check_changes(struct arena *arena, struct str method, struct params *params, struct str signature,
                          struct str string)
{
    for (size_t i = 0; i < params->count && i < 16; i++) {
        struct param *param = &params->items[i];
        struct param before = *param;

        if (!counts(param, false))
            continue;
        param->value = arena_printf(arena, "%.*sx", STR_ARG(before.value));
        check_bound(arena, method, params, signature, string);
        *param = before;
        params_sort(params); /* a leniency that fits changes what is shadowed */
        param->name = arena_printf(arena, "%.*s~", STR_ARG(before.name));
        check_bound(arena, method, params, signature, string);
        *param = before;
        params_sort(params);
    }
}

/* Nor can an empty one come in that nobody signed. */
static void check_added(struct arena *arena, struct str method, struct params *params, struct str signature,
                        struct str string)
{
    struct params more = {arena_array(arena, struct param, params->count + 1), params->count + 1};

    for (size_t i = 0; i < params->count; i++)
        more.items[i] = params->items[i];
    more.items[params->count] = (struct param){.name = STR("~~"), .value = STR(""), .source = PARAM_QUERY, .order = UINT32_MAX};
    params_sort(&more);
    check_bound(arena, method, &more, signature, string);
}

/* A call that the Java client signed: for names in both places the query's value. */
static void check_query_first(struct arena *arena, struct str method, struct params *params)
{
    struct str signature;
    bool doubled = params_prefer_query(params, true);

    signature = auth_v1_sign(arena, HASH_SHA1, SECRET, auth_v1_string(arena, method, params, false));
    (void)params_prefer_query(params, false); /* what it returns is known */
    assert(matches(arena, method, params, signature));
    if (doubled)
        (void)params_prefer_query(params, false); /* as it came: a match leaves the query in front */
}

static void check_call(struct arena *arena, const struct call *call, struct params *params)
{
    struct str string;
    struct str signature;

    check_string(arena, call->method, params, false);
    check_string(arena, call->method, params, true);
    string = auth_v1_string(arena, call->method, params, false);
    signature = auth_v1_sign(arena, HASH_SHA1, SECRET, string);
    assert(matches(arena, call->method, params, signature));
    assert(matches(arena, call->method, params,
                   auth_v1_sign(arena, HASH_SHA1, SECRET, auth_v1_string(arena, call->method, params, true))));
    params_sort(params); /* the empty ones are back */
    assert(!matches(arena, call->method, params, str_slice(signature.ptr, signature.len - 1)));
    assert(!matches(arena, call->method, params, auth_v1_sign(arena, HASH_SHA1, STR("other"), string)));
    assert(!matches(arena, STR("PUT"), params, signature) || str_eq(call->method, STR("PUT")));
    check_changes(arena, call->method, params, signature, string);
    check_added(arena, call->method, params, signature, string);
    check_query_first(arena, call->method, params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct params params = {NULL, 0};
    struct arena arena;
    struct call call;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    if (raw_call_read(&arena, fuzz_input(data, size), &call) &&
        params_add(&params, &arena, target_split(call.target).query, PARAM_QUERY, NULL) == 0 &&
        params_add(&params, &arena, call.body, PARAM_FORM, NULL) == 0) {
        params_sort(&params);
        check_call(&arena, &call, &params);
    }
    arena_done(&arena);
    return 0;
}
