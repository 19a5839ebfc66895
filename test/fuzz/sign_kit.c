/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/sign_kit.h"

#include "fuzz/fuzz.h"
#include "gateway/auth_v1.h"
#include "gateway/auth_v3.h"
#include "gateway/out.h"
#include "gateway/target.h"

static unsigned nonce;
static unsigned inputs;

void sign_reset(void)
{
    nonce = 0;
    inputs++;
}

static struct str next_nonce(struct arena *arena)
{
    /* The gateway remembers those of reads: one input's are not another's. */
    return arena_printf(arena, "n-%08u-%u", inputs, nonce++);
}

static struct str stamp(struct arena *arena, usec_t now)
{
    char text[TIME_TEXT_MAX];

    return arena_str(arena, str_slice(text, time_print_second(now, text)));
}

static bool is_common(struct str name)
{
    static const struct str names[] = {STR_INIT("AccessKeyId"),      STR_INIT("Signature"),      STR_INIT("SignatureMethod"),
                                       STR_INIT("SignatureVersion"), STR_INIT("SignatureNonce"), STR_INIT("Timestamp"),
                                       STR_INIT("SecurityToken"),    STR_INIT("SignatureType")};

    for (size_t i = 0; i < countof(names); i++)
        if (str_eq_nocase(name, names[i]))
            return true;
    return false;
}

static void add_pair(struct out *query, struct str name, struct str value)
{
    if (query->len > 0)
        out_char(query, '&');
    out_percent(query, name, false);
    out_char(query, '=');
    out_percent(query, value, false);
}

/* The query without what the signer says himself; absent when it can't be read. */
static bool keep_query(const struct call *call, struct out *query)
{
    struct params params = {NULL, 0};
    bool versioned = false;

    if (params_add(&params, call->arena, target_split(call->target).query, PARAM_QUERY, NULL) < 0)
        return false;
    for (size_t i = 0; i < params.count; i++) {
        if (!is_common(params.items[i].name))
            add_pair(query, params.items[i].name, params.items[i].value);
        versioned |= str_eq_nocase(params.items[i].name, STR("Version"));
    }
    if (!versioned)
        add_pair(query, STR("Version"), STR("2014-05-26"));
    return true;
}

static struct str path_of(const struct call *call)
{
    return target_split(call->target).path;
}

struct call sign_v1(const struct call *call, struct str key_id, usec_t now)
{
    struct arena *arena = call->arena;
    struct params params = {NULL, 0};
    struct call sent = *call;
    struct str string;
    struct out query;

    out_init(&query, arena, 256, LIMIT_REPLY_BYTES);
    if (!keep_query(call, &query))
        return sent;
    add_pair(&query, STR("AccessKeyId"), key_id);
    add_pair(&query, STR("SignatureMethod"), STR("HMAC-SHA1"));
    add_pair(&query, STR("SignatureVersion"), STR("1.0"));
    add_pair(&query, STR("SignatureNonce"), next_nonce(arena));
    add_pair(&query, STR("Timestamp"), stamp(arena, now));
    if (params_add(&params, arena, out_text(&query), PARAM_QUERY, NULL) < 0 ||
        params_add(&params, arena, call->body, PARAM_FORM, NULL) < 0)
        return sent;
    params_sort(&params);
    string = auth_v1_string(arena, call->method, &params, false);
    if (string.ptr)
        add_pair(&query, STR("Signature"), auth_v1_sign(arena, HASH_SHA1, SIGN_SECRET, string));
    sent.target = arena_printf(arena, "%.*s?%.*s", STR_ARG(path_of(call)), STR_ARG(out_text(&query)));
    return sent;
}

/* ── V3 ── */

static bool is_ours(struct str name)
{
    static const struct str names[] = {STR_INIT("authorization"), STR_INIT("x-acs-date"), STR_INIT("x-acs-signature-nonce"),
                                       STR_INIT("x-acs-content-sha256"), STR_INIT("x-acs-security-token")};

    for (size_t i = 0; i < countof(names); i++)
        if (str_eq_nocase(name, names[i]))
            return true;
    return false;
}

static struct str body_digest(const struct call *call)
{
    uint8_t digest[SHA256_BYTES];
    char *hex = arena_alloc(call->arena, 2 * SHA256_BYTES + 1);

    hash_sha256(call->body, digest);
    hex_encode(digest, sizeof(digest), hex);
    return str_from(hex);
}

static struct str signed_headers(const struct call *call)
{
    struct out list;

    out_init(&list, call->arena, 256, LIMIT_REPLY_BYTES);
    out_cstr(&list, "host");
    for (size_t i = 0; i < call->header_count; i++)
        if (str_starts_nocase(call->headers[i].name, STR("x-acs-"))) {
            out_char(&list, ';');
            out_str(&list, call->headers[i].name);
        }
    return out_text(&list);
}

static struct header *own_headers(const struct call *call, usec_t now, size_t *ret_count)
{
    struct header *headers = arena_array(call->arena, struct header, call->header_count + 5);
    size_t count = 0;

    for (size_t i = 0; i < call->header_count; i++)
        if (!is_ours(call->headers[i].name))
            headers[count++] = call->headers[i];
    headers[count++] = (struct header){STR("x-acs-date"), stamp(call->arena, now)};
    headers[count++] = (struct header){STR("x-acs-signature-nonce"), next_nonce(call->arena)};
    headers[count++] = (struct header){STR("x-acs-content-sha256"), body_digest(call)};
    *ret_count = count;
    return headers;
}

struct call sign_v3(const struct call *call, usec_t now)
{
    struct arena *arena = call->arena;
    struct params params = {NULL, 0};
    struct call sent = *call;
    struct header *headers = own_headers(call, now, &sent.header_count);
    struct str list;
    struct str string;

    sent.headers = headers;
    if (params_add(&params, arena, target_split(call->target).query, PARAM_QUERY, NULL) < 0)
        return sent;
    params_sort(&params);
    list = signed_headers(&sent);
    string = auth_v3_string(arena, auth_v3_canonical(arena, &sent, &params, list, body_digest(call), false));
    headers[sent.header_count++] = (struct header){
        STR("authorization"),
        arena_printf(arena, "ACS3-HMAC-SHA256 Credential=%.*s,SignedHeaders=%.*s,Signature=%.*s", STR_ARG(SIGN_KEY),
                     STR_ARG(list), STR_ARG(auth_v3_sign(arena, SIGN_SECRET, string)))};
    return sent;
}
