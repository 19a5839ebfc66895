/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/sign.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/auth_v1.h"
#include "gateway/auth_v3.h"

#define HOST "ecs.example.com"
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void must_fit(int len, size_t room)
{
    if (len < 0 || (size_t)len >= room)
        abort();
}

static void add_header(struct recipe *recipe, const char *name, struct str value)
{
    struct recipe_header *header = &recipe->headers[recipe->header_count++];

    must_fit(snprintf(header->name, sizeof(header->name), "%s", name), sizeof(header->name));
    must_fit(snprintf(header->value, sizeof(header->value), "%.*s", STR_ARG(value)), sizeof(header->value));
}

static struct params read_params(struct arena *arena, struct str text, enum param_source source)
{
    struct params params = {0};

    if (params_add(&params, arena, text, source, NULL) < 0)
        abort();
    params_sort(&params);
    return params;
}

/* ── V1 ── */

static void sign_v1(const struct sign_order *order, struct arena *arena, struct recipe *ret)
{
    bool post = order->form == SIGN_V1_POST;
    char stamp[TIME_TEXT_MAX];
    struct str text, signature;
    struct params params;
    struct buf escaped;

    (void)time_print_second(order->stamp_us, stamp);
    text = arena_printf(arena,
                        "Version=2014-05-26&Format=JSON&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&AccessKeyId=%s&"
                        "SignatureNonce=%s&Timestamp=%s&Action=%s%s%s",
                        order->key_id, order->nonce, stamp, order->action, *order->query ? "&" : "", order->query);
    params = read_params(arena, text, post ? PARAM_FORM : PARAM_QUERY);
    signature = auth_v1_sign(arena, HASH_SHA1, str_from(order->secret),
                             auth_v1_string(arena, post ? STR("POST") : STR("GET"), &params, false));
    buf_init(&escaped, 256);
    buf_add_percent(&escaped, signature);
    text = arena_printf(arena, "%.*s&Signature=%.*s", STR_ARG(text), STR_ARG(buf_str(&escaped)));
    buf_done(&escaped);
    add_header(ret, "Host", STR(HOST));
    must_fit(snprintf(ret->target, sizeof(ret->target), "/%s%.*s", post ? "" : "?", post ? 0 : (int)text.len, text.ptr),
             sizeof(ret->target));
    if (post) {
        must_fit(snprintf(ret->body, sizeof(ret->body), "%.*s", STR_ARG(text)), sizeof(ret->body));
        add_header(ret, "Content-Type", STR("application/x-www-form-urlencoded"));
    }
}

/* ── V3 ── */

static struct str payload_of(struct arena *arena, const struct recipe *recipe)
{
    uint8_t digest[SHA256_BYTES];
    char *text = arena_alloc(arena, 2 * SHA256_BYTES + 1);

    if (recipe->body[0] == '\0')
        return STR(EMPTY_SHA256);
    hash_sha256(str_from(recipe->body), digest);
    hex_encode(digest, sizeof(digest), text);
    return str_from(text);
}

static void sign_v3(const struct sign_order *order, struct arena *arena, struct recipe *ret)
{
    static const struct str signed_headers =
        STR_INIT("host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version");
    bool form = order->form == SIGN_V3_FORM;
    char stamp[TIME_TEXT_MAX];
    struct str payload, canonical, signature;
    struct params params;
    struct call call;

    (void)time_print_second(order->stamp_us, stamp);
    must_fit(snprintf(ret->target, sizeof(ret->target), "/%s%s", form || !*order->query ? "" : "?", form ? "" : order->query),
             sizeof(ret->target));
    if (form)
        must_fit(snprintf(ret->body, sizeof(ret->body), "%s", order->query), sizeof(ret->body));
    payload = payload_of(arena, ret);
    add_header(ret, "Host", STR(HOST));
    add_header(ret, "x-acs-action", str_from(order->action));
    add_header(ret, "x-acs-version", STR("2014-05-26"));
    add_header(ret, "x-acs-date", str_from(stamp));
    add_header(ret, "x-acs-signature-nonce", str_from(order->nonce));
    add_header(ret, "x-acs-content-sha256", payload);
    add_header(ret, "accept", STR("application/json"));
    if (form)
        add_header(ret, "Content-Type", STR("application/x-www-form-urlencoded"));
    params = read_params(arena, form ? STR("") : str_from(order->query), PARAM_QUERY);
    call = recipe_call(ret, arena);
    canonical = auth_v3_canonical(arena, &call, &params, signed_headers, payload, false);
    signature = auth_v3_sign(arena, str_from(order->secret), auth_v3_string(arena, canonical));
    add_header(ret, "Authorization",
               arena_printf(arena, "ACS3-HMAC-SHA256 Credential=%s,SignedHeaders=%.*s,Signature=%.*s", order->key_id,
                            STR_ARG(signed_headers), STR_ARG(signature)));
}

void sign_recipe(const struct sign_order *order, struct arena *arena, struct recipe *ret)
{
    ret->form = order->form;
    ret->stamp_us = order->stamp_us;
    ret->header_count = 0;
    ret->target[0] = '\0';
    ret->body[0] = '\0';
    if (order->form == SIGN_V1_GET || order->form == SIGN_V1_POST)
        sign_v1(order, arena, ret);
    else
        sign_v3(order, arena, ret);
}

struct call recipe_call(const struct recipe *recipe, struct arena *arena)
{
    struct header *headers = arena_array(arena, struct header, RECIPE_HEADERS);

    for (size_t i = 0; i < recipe->header_count; i++)
        headers[i] = (struct header){str_from(recipe->headers[i].name), str_from(recipe->headers[i].value)};
    return (struct call){
        .method = recipe->form == SIGN_V1_GET ? STR("GET") : STR("POST"),
        .target = str_from(recipe->target),
        .headers = headers,
        .header_count = recipe->header_count,
        .body = str_from(recipe->body),
        .source_ip = STR("192.0.2.1"),
        .arena = arena,
    };
}
