/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/auth.h"

#include "gateway/auth_v1.h"
#include "gateway/auth_v3.h"

#define TOKEN_MAX_BYTES 4096

static void read_v1(struct request *request)
{
    const struct params *params = &request->params;

    request->key_id = params_get(params, STR("AccessKeyId"));
    request->signature = params_get(params, STR("Signature"));
    request->algorithm = params_get(params, STR("SignatureMethod"));
    request->nonce = params_get(params, STR("SignatureNonce"));
    request->stamp_text = params_get(params, STR("Timestamp"));
    request->token = params_get(params, STR("SecurityToken"));
}

static void read_v3(struct request *request)
{
    struct auth_v3_fields fields = auth_v3_parse(request->authorization);
    const struct call *call = request->call;

    request->key_id = fields.key_id;
    request->signature = fields.signature;
    request->signed_headers = fields.signed_headers;
    request->algorithm = fields.algorithm;
    request->nonce = call_header(call, STR("x-acs-signature-nonce"));
    if (request->nonce.ptr)
        request->nonce = str_trim(request->nonce);
    request->stamp_text = str_trim(call_header(call, STR("x-acs-date")));
    request->token = str_trim(call_header(call, STR("x-acs-security-token")));
}

/* An empty nonce is a nonce: it counts as used after the first time. */
static int check_common(struct request *request)
{
    struct fail *fail = &request->fail;

    if (str_empty(request->key_id))
        return fail(fail, E_MISSING_ACCESS_KEY_ID);
    if (str_empty(request->signature))
        return fail(fail, E_MISSING_SIGNATURE);
    if (!request->nonce.ptr)
        return fail(fail, E_MISSING_SIGNATURE_NONCE);
    if (str_empty(request->stamp_text))
        return fail(fail, E_MISSING_TIMESTAMP);
    return 0;
}

static int check_key(struct request *request, struct keyring *keys)
{
    const struct access_key *key;
    const struct account *account;
    int r;

    r = keyring_find(keys, request->key_id, request->arena, &key, &account);
    if (r == -E_NOT_FOUND)
        return fail(&request->fail, E_ACCESS_KEY_NOT_FOUND);
    if (r < 0)
        return r;
    if (!key->enabled)
        return fail(&request->fail, E_ACCESS_KEY_INACTIVE);
    request->key = key;
    request->account = account;
    return 0;
}

static int check_time(struct request *request, usec_t window)
{
    usec_t stamp;

    if (time_parse(request->stamp_text, &stamp) < 0)
        return fail(&request->fail, E_TIMESTAMP_FORMAT);
    if (stamp < request->now - window || stamp > request->now + window)
        return fail(&request->fail, E_TIMESTAMP_EXPIRED);
    request->stamp = stamp;
    return 0;
}

static int check_v1(struct request *request)
{
    struct str version = params_get(&request->params, STR("SignatureVersion"));
    enum hash_kind kind = HASH_SHA1;
    struct str string;

    if (str_eq_nocase(request->algorithm, STR("HMAC-SHA256")))
        kind = HASH_SHA256;
    else if (!str_empty(request->algorithm) && !str_eq_nocase(request->algorithm, STR("HMAC-SHA1")))
        return fail(&request->fail, E_SIGNATURE_METHOD);
    if (!str_empty(version) && !str_eq(version, STR("1.0")))
        return fail(&request->fail, E_SIGNATURE_VERSION);
    if (auth_v1_matches(request->arena, request->call->method, &request->params, kind,
                        request->key->secret, request->signature, &string))
        return 0;
    return string.ptr ? fail(&request->fail, E_SIGNATURE_V1, string)
                      : fail(&request->fail, E_REQUEST_TOO_LARGE);
}

static int check_v3(struct request *request)
{
    struct auth_v3_fields fields = auth_v3_parse(request->authorization);
    struct str string;
    struct str canonical;

    if (!str_eq(fields.algorithm, STR("ACS3-HMAC-SHA256")))
        return fail(&request->fail, E_SIGNATURE_METHOD);
    if (auth_v3_matches(request->arena, request->call, &request->params, &fields,
                        request->key->secret, &string, &canonical))
        return 0;
    return fail(&request->fail, E_SIGNATURE_V3, string, canonical);
}

static int check_token(struct request *request)
{
    const struct access_key *key = request->key;
    struct fail *fail = &request->fail;

    if (str_empty(request->token))
        return str_empty(key->token) ? 0 : fail(fail, E_MISSING_SECURITY_TOKEN);
    if (request->token.len > TOKEN_MAX_BYTES || !str_is_token(request->token))
        return fail(fail, E_TOKEN_MALFORMED);
    if (str_empty(key->token) || !equal_constant_time(request->token, key->token))
        return fail(fail, E_TOKEN_MISMATCH);
    if (key->expires_us != 0 && key->expires_us <= request->now)
        return fail(fail, E_TOKEN_EXPIRED);
    return 0;
}

static int check_identity(struct request *request, const struct auth_settings *settings)
{
    int r;

    r = check_key(request, settings->keys);
    if (r < 0)
        return r;
    r = check_time(request, settings->clock_window);
    if (r < 0)
        return r;
    if (request->nonce.len > LIMIT_NONCE_BYTES)
        return fail(&request->fail, E_INVALID_PARAMETER, STR("SignatureNonce"));
    if (nonce_seen(settings->nonces, request->key_id, request->nonce, request->now))
        return fail(&request->fail, E_NONCE_USED);
    return request->format_bad ? fail(&request->fail, E_FORMAT) : 0;
}

int auth_check(struct request *request, const struct auth_settings *settings)
{
    int r;

    if (request->auth == AUTH_OPERATOR)
        return request->format_bad ? fail(&request->fail, E_FORMAT) : 0;
    if (request->auth == AUTH_NONE)
        return fail(&request->fail, E_MISSING_ACCESS_KEY_ID);
    if (request->auth == AUTH_V1)
        read_v1(request);
    else
        read_v3(request);
    r = check_common(request);
    if (r < 0)
        return r;
    r = check_identity(request, settings);
    if (r < 0)
        return r;
    r = request->auth == AUTH_V1 ? check_v1(request) : check_v3(request);
    if (r < 0)
        return r;
    r = check_token(request);
    if (r < 0)
        return r;
    if (!nonce_record(settings->nonces, request->key_id, request->nonce, request->now))
        return fail(&request->fail, E_NONCE_USED);
    return 0;
}
