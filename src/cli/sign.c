/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sign.h"

#include <stdlib.h>

#include "base/hash.h"

#define REQUEST_BYTES_MAX ((size_t)1 << 20)

static int compare_params(const void *a, const void *b)
{
    return str_cmp(((const struct sign_param *)a)->name, ((const struct sign_param *)b)->name);
}

/* Name=Value&…, sorted and percent-encoded: what is signed and what is sent. */
static struct str make_query(struct sign_param *params, size_t count, struct arena *arena)
{
    struct buf text;
    struct str query;

    if (count > 0)
        qsort(params, count, sizeof(*params), compare_params);
    buf_init(&text, REQUEST_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(&text, '&');
        buf_add_percent(&text, params[i].name);
        buf_add_char(&text, '=');
        buf_add_percent(&text, params[i].value);
    }
    query = arena_str(arena, buf_str(&text));
    buf_done(&text);
    return query;
}

static struct str encode(struct str s, struct arena *arena)
{
    struct buf text;
    struct str encoded;

    buf_init(&text, 3 * REQUEST_BYTES_MAX);
    buf_add_percent(&text, s);
    encoded = arena_str(arena, buf_str(&text));
    buf_done(&text);
    return encoded;
}

struct str sign_v1(const struct sign_call *call, struct arena *arena)
{
    char now[TIME_TEXT_MAX];
    uint8_t digest[SHA256_BYTES];
    char signature[BASE64_MAX(SHA256_BYTES)];
    const struct sign_param common[] = {
        {STR("Action"), call->action},
        {STR("Version"), call->version},
        {STR("AccessKeyId"), call->key_id},
        {STR("SignatureMethod"), STR("HMAC-SHA1")},
        {STR("SignatureVersion"), STR("1.0")},
        {STR("SignatureNonce"), call->nonce},
        {STR("Timestamp"), str_slice(now, time_print_second(call->now, now))},
        {STR("Format"), call->xml ? STR("XML") : STR("JSON")},
    };
    struct sign_param *all = arena_array(arena, struct sign_param, call->param_count + countof(common));
    struct str query;
    struct str text;

    for (size_t i = 0; i < call->param_count; i++)
        all[i] = call->params[i];
    for (size_t i = 0; i < countof(common); i++)
        all[call->param_count + i] = common[i];
    query = make_query(all, call->param_count + countof(common), arena);
    text = arena_printf(arena, "GET&%%2F&%.*s", STR_ARG(encode(query, arena)));
    (void)base64_encode(digest,
                        hash_hmac(HASH_SHA1, arena_printf(arena, "%.*s&", STR_ARG(call->key_secret)), text, digest), signature);
    return arena_printf(arena, "GET /?%.*s&Signature=%.*s HTTP/1.1\r\nHost: %.*s\r\nConnection: close\r\n\r\n", STR_ARG(query),
                        STR_ARG(encode(str_from(signature), arena)), STR_ARG(call->host));
}

struct str sign_v3(const struct sign_call *call, struct arena *arena)
{
    static const char signed_names[] = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";
    char now[TIME_TEXT_MAX];
    char body_hash[2 * SHA256_BYTES + 1];
    char request_hash[2 * SHA256_BYTES + 1];
    char signature[2 * SHA256_BYTES + 1];
    uint8_t digest[SHA256_BYTES];
    struct str query = make_query(call->params, call->param_count, arena);
    struct str headers;
    struct str text;

    (void)time_print_second(call->now, now);
    hash_sha256(STR(""), digest);
    hex_encode(digest, sizeof(digest), body_hash);
    headers = arena_printf(arena,
                           "host:%.*s\nx-acs-action:%.*s\nx-acs-content-sha256:%s\nx-acs-date:%s\nx-acs-signature-nonce:%.*s\n"
                           "x-acs-version:%.*s\n",
                           STR_ARG(call->host), STR_ARG(call->action), body_hash, now, STR_ARG(call->nonce),
                           STR_ARG(call->version));
    text = arena_printf(arena, "POST\n/\n%.*s\n%.*s\n%s\n%s", STR_ARG(query), STR_ARG(headers), signed_names, body_hash);
    hash_sha256(text, digest);
    hex_encode(digest, sizeof(digest), request_hash);
    text = arena_printf(arena, "ACS3-HMAC-SHA256\n%s", request_hash);
    hex_encode(digest, hash_hmac(HASH_SHA256, call->key_secret, text, digest), signature);
    return arena_printf(arena,
                        "POST /?%.*s HTTP/1.1\r\nHost: %.*s\r\nx-acs-action: %.*s\r\nx-acs-version: %.*s\r\nx-acs-date: %s\r\n"
                        "x-acs-signature-nonce: %.*s\r\nx-acs-content-sha256: %s\r\nAccept: application/%s\r\n"
                        "Authorization: ACS3-HMAC-SHA256 Credential=%.*s,SignedHeaders=%s,Signature=%s\r\n"
                        "Content-Length: 0\r\nConnection: close\r\n\r\n",
                        STR_ARG(query), STR_ARG(call->host), STR_ARG(call->action), STR_ARG(call->version), now,
                        STR_ARG(call->nonce), body_hash, call->xml ? "xml" : "json", STR_ARG(call->key_id), signed_names, signature);
}
