/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sign.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"

#define TEXT_MAX ((size_t)16 << 20) /* far above what a gateway takes */

static int compare_names(const void *left, const void *right)
{
    return str_cmp(((const struct pair *)left)->name, ((const struct pair *)right)->name);
}

struct str sign_query(struct arena *arena, const struct pair *params, size_t count)
{
    struct pair *sorted = arena_array(arena, struct pair, count + 1);
    _cleanup_(buf_done) struct buf text;

    buf_init(&text, TEXT_MAX);
    if (count > 0)
        memcpy(sorted, params, count * sizeof(*params));
    qsort(sorted, count, sizeof(*sorted), compare_names);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(&text, '&');
        buf_add_percent(&text, sorted[i].name);
        buf_add_char(&text, '=');
        buf_add_percent(&text, sorted[i].value);
    }
    assert(!text.full);
    return arena_str(arena, buf_str(&text));
}

static struct str hex_text(struct arena *arena, const uint8_t *bytes, size_t len)
{
    char *text = arena_alloc(arena, 2 * len + 1);

    hex_encode(bytes, len, text);
    return str_slice(text, 2 * len);
}

static struct str hex_sha256(struct arena *arena, struct str data)
{
    uint8_t digest[SHA256_BYTES];

    hash_sha256(data, digest);
    return hex_text(arena, digest, sizeof(digest));
}

struct str sign_v3(struct arena *arena, const struct sign_call *call)
{
    struct str query = sign_query(arena, call->params, call->param_count);
    struct str payload = hex_sha256(arena, STR(""));
    uint8_t digest[SHA256_BYTES];
    struct str headers;
    struct str canonical;
    struct str string;
    size_t len;

    /* As they are signed: lower case, sorted. */
    headers = arena_printf(arena,
                           "host:%.*s\nx-acs-action:%.*s\nx-acs-content-sha256:%.*s\nx-acs-date:%.*s\n"
                           "x-acs-signature-nonce:%.*s\nx-acs-version:%.*s\n",
                           STR_ARG(call->host), STR_ARG(call->action), STR_ARG(payload), STR_ARG(call->stamp),
                           STR_ARG(call->nonce), STR_ARG(call->version));
#define SIGNED_HEADERS "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
    canonical = arena_printf(arena, "POST\n/\n%.*s\n%.*s\n" SIGNED_HEADERS "\n%.*s", STR_ARG(query), STR_ARG(headers),
                             STR_ARG(payload));
    string = arena_printf(arena, "ACS3-HMAC-SHA256\n%.*s", STR_ARG(hex_sha256(arena, canonical)));
    len = hash_hmac(HASH_SHA256, call->secret, string, digest);
    return arena_printf(arena,
                        "POST /%s%.*s HTTP/1.1\r\nHost: %.*s\r\nx-acs-action: %.*s\r\nx-acs-content-sha256: %.*s\r\n"
                        "x-acs-date: %.*s\r\nx-acs-signature-nonce: %.*s\r\nx-acs-version: %.*s\r\n"
                        "Authorization: ACS3-HMAC-SHA256 Credential=%.*s,SignedHeaders=" SIGNED_HEADERS ",Signature=%.*s\r\n"
                        "Accept: application/%s\r\nUser-Agent: ecsctl\r\nContent-Length: 0\r\nConnection: %s\r\n\r\n",
                        query.len > 0 ? "?" : "", STR_ARG(query), STR_ARG(call->host), STR_ARG(call->action), STR_ARG(payload),
                        STR_ARG(call->stamp), STR_ARG(call->nonce), STR_ARG(call->version), STR_ARG(call->key_id),
                        STR_ARG(hex_text(arena, digest, len)), call->xml ? "xml" : "json",
                        call->keep_alive ? "keep-alive" : "close");
}

static struct str v1_signature(struct arena *arena, struct str secret, struct str canonical)
{
    char *text = arena_alloc(arena, BASE64_MAX(SHA256_BYTES));
    _cleanup_(buf_done) struct buf string;
    uint8_t digest[SHA256_BYTES];
    size_t len;

    buf_init(&string, TEXT_MAX);
    buf_add_cstr(&string, "POST&%2F&");
    buf_add_percent(&string, canonical);
    assert(!string.full);
    len = hash_hmac(HASH_SHA1, arena_printf(arena, "%.*s&", STR_ARG(secret)), buf_str(&string), digest);
    return str_slice(text, base64_encode(digest, len, text));
}

struct str sign_v1(struct arena *arena, const struct sign_call *call)
{
    const struct pair common[] = {
        {STR("Action"), call->action},
        {STR("Version"), call->version},
        {STR("Format"), call->xml ? STR("XML") : STR("JSON")},
        {STR("AccessKeyId"), call->key_id},
        {STR("SignatureMethod"), STR("HMAC-SHA1")},
        {STR("SignatureVersion"), STR("1.0")},
        {STR("SignatureNonce"), call->nonce},
        {STR("Timestamp"), call->stamp},
    };
    size_t count = call->param_count + countof(common);
    struct pair *params = arena_array(arena, struct pair, count + 1);
    struct str body;

    memcpy(params, common, sizeof(common));
    for (size_t i = 0; i < call->param_count; i++)
        params[countof(common) + i] = call->params[i];
    params[count] = (struct pair){STR("Signature"), v1_signature(arena, call->secret, sign_query(arena, params, count))};
    body = sign_query(arena, params, count + 1);
    return arena_printf(arena,
                        "POST / HTTP/1.1\r\nHost: %.*s\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                        "User-Agent: ecsctl\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%.*s",
                        STR_ARG(call->host), body.len, STR_ARG(body));
}
