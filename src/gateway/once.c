/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/once.h"

#include "base/bug.h"
#include "base/hash.h"
#include "gateway/out.h"

/* What differs between a call and its retry, or says nothing about what is wanted. */
static bool is_common(struct str name)
{
    static const struct str common[] = {
        STR_INIT("Action"),         STR_INIT("Version"),         STR_INIT("AccessKeyId"),
        STR_INIT("Signature"),      STR_INIT("SignatureMethod"), STR_INIT("SignatureVersion"),
        STR_INIT("SignatureNonce"), STR_INIT("SignatureType"),   STR_INIT("Timestamp"),
        STR_INIT("Format"),         STR_INIT("SecurityToken"),   STR_INIT("BearerToken"),
        STR_INIT("OwnerId"),        STR_INIT("OwnerAccount"),    STR_INIT("ResourceOwnerId"),
        STR_INIT("SourceIp"),       STR_INIT("SecureTransport"), STR_INIT("ResourceOwnerAccount"),
        STR_INIT("AcceptLanguage"), STR_INIT("ClientToken"),
    };

    for (size_t i = 0; i < countof(common); i++)
        if (str_eq_nocase(name, common[i]))
            return true;
    return false;
}

/* Lengths before texts, so that no two lists of parameters look alike. */
static struct str digest_of(const struct request *request)
{
    uint8_t digest[SHA256_BYTES];
    char *text = arena_alloc(request->arena, 2 * SHA256_BYTES + 1);
    struct out out;

    out_init(&out, request->arena, 1024, LIMIT_CALL_ARENA_BYTES);
    for (size_t i = 0; i < request->params.count; i++) {
        const struct param *param = &request->params.items[i];

        if (param->shadowed || str_empty(param->value) || is_common(param->name))
            continue;
        out_i64(&out, (int64_t)param->name.len);
        out_char(&out, ':');
        out_str(&out, param->name);
        out_i64(&out, (int64_t)param->value.len);
        out_char(&out, ':');
        out_str(&out, param->value);
    }
    hash_sha256(out_text(&out), digest);
    hex_encode(digest, sizeof(digest), text);
    return str_slice(text, 2 * SHA256_BYTES);
}

int once_read(struct request *request)
{
    struct str token;

    if (!request->row->client_token || request->auth == AUTH_OPERATOR)
        return 0;
    token = params_get(&request->params, STR("ClientToken"));
    if (str_empty(token))
        return 0;
    if (token.len > LIMIT_CLIENT_TOKEN_BYTES || !str_is_token(token))
        return fail(&request->fail, E_CLIENT_TOKEN_VALUE);
    request->client_token = token;
    request->client_digest = digest_of(request);
    return 0;
}

int once_look(struct request *request, struct tx *tx, struct str *ret_members)
{
    struct client_token *token;
    int r;

    *ret_members = STR_NONE;
    if (str_empty(request->client_token))
        return 0;
    r = store_token_get(tx, request->account->id, str_from(request->row->action),
                        request->client_token, &token);
    if (r == -E_NOT_FOUND)
        return 0;
    if (r < 0)
        return r;
    if (!str_eq(token->digest, request->client_digest))
        return fail(&request->fail, E_CLIENT_TOKEN_MISMATCH);
    *ret_members = token->reply.ptr ? arena_str(request->arena, token->reply) : STR("");
    return 0;
}

int once_keep(struct request *request, struct tx *tx, struct str members, usec_t keep)
{
    struct client_token token = {
        .action = str_from(request->row->action),
        .token = request->client_token,
        .reply = members,
        .expires_us = tx_now(tx) + keep,
    };

    if (str_empty(request->client_token) || BUG(token_forgotten))
        return 0;
    token.account_id = request->account->id;
    token.digest = request->client_digest;
    return store_token_put(tx, &token);
}
