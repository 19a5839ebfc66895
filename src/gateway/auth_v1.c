/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/auth_v1.h"

#include "gateway/out.h"

/* Up to three such strings, and the error that carries one, have to fit into the call's arena. */
#define STRING_MAX ((size_t)4 * 1024 * 1024)

static bool is_signed(const struct param *param, bool skip_empty)
{
    if (param->shadowed || param->source == PARAM_JSON)
        return false;
    if (skip_empty && param->value.len == 0)
        return false;
    return !str_eq(param->name, STR("Signature"));
}

/* The room that the string takes, to the byte or a little more. */
static size_t string_length(struct str method, const struct params *params, bool skip_empty)
{
    size_t len = method.len + strlen("&%2F&");

    for (size_t i = 0; i < params->count; i++)
        if (is_signed(&params->items[i], skip_empty))
            len += out_percent_length(params->items[i].name, true) +
                   out_percent_length(params->items[i].value, true) + strlen("%26%3D");
    return len;
}

struct str auth_v1_string(struct arena *arena, struct str method, const struct params *params,
                          bool skip_empty)
{
    size_t len = string_length(method, params, skip_empty);
    bool first = true;
    struct out out;

    if (len > STRING_MAX)
        return STR_NONE;
    out_init(&out, arena, len, len);
    out_str(&out, method);
    out_cstr(&out, "&%2F&");
    for (size_t i = 0; i < params->count; i++) {
        const struct param *param = &params->items[i];

        if (!is_signed(param, skip_empty))
            continue;
        if (!first)
            out_cstr(&out, "%26");
        first = false;
        out_percent(&out, param->name, true);
        out_cstr(&out, "%3D");
        out_percent(&out, param->value, true);
    }
    return out_text(&out);
}

struct str auth_v1_sign(struct arena *arena, enum hash_kind kind, struct str secret,
                        struct str string)
{
    uint8_t digest[SHA256_BYTES];
    char *text = arena_alloc(arena, BASE64_MAX(SHA256_BYTES));
    struct out key;
    size_t len;

    out_init(&key, arena, secret.len + 1, secret.len + 1);
    out_str(&key, secret);
    out_char(&key, '&');
    len = hash_hmac(kind, out_text(&key), string, digest);
    return str_slice(text, base64_encode(digest, len, text));
}

static bool fits(struct arena *arena, enum hash_kind kind, struct str secret, struct str string,
                 struct str signature)
{
    return string.ptr && equal_constant_time(auth_v1_sign(arena, kind, secret, string), signature);
}

static bool has_empty(const struct params *params)
{
    for (size_t i = 0; i < params->count; i++)
        if (params->items[i].value.len == 0)
            return true;
    return false;
}

/* Nobody signed them: who reads the parameters from now on does not see them. */
static void drop_empty(struct params *params)
{
    for (size_t i = 0; i < params->count; i++)
        if (params->items[i].value.len == 0)
            params->items[i].shadowed = true;
}

bool auth_v1_matches(struct arena *arena, struct str method, struct params *params,
                     enum hash_kind kind, struct str secret, struct str signature,
                     struct str *ret_string)
{
    struct str string = auth_v1_string(arena, method, params, false);

    if (fits(arena, kind, secret, string, signature))
        return true;
    if (has_empty(params) &&
        fits(arena, kind, secret, auth_v1_string(arena, method, params, true), signature)) {
        drop_empty(params);
        return true;
    }
    if (params_prefer_query(params, true)) {
        if (fits(arena, kind, secret, auth_v1_string(arena, method, params, false), signature))
            return true;
        (void)params_prefer_query(params, false); /* it is known to be doubled */
    }
    *ret_string = string;
    return false;
}
