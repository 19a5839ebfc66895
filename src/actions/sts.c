/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sts.GetCallerIdentity, Sts.AssumeRole. There are no roles as rows: every role name of the own
 * account can be assumed, by keys that may do everything; a key with a policy passes its own policy
 * on and can't narrow it further.
 */
#include "actions/common.h"
#include "base/hash.h"
#include "model/name.h"

#define STS_ID_LETTERS 24
#define STS_SECRET_LETTERS 44
#define STS_TOKEN_LETTERS 256
#define ROLE_NAME_MAX 64

int sts_get_caller_identity(struct action *act, const struct sts_get_caller_identity_request *req,
                            struct sts_get_caller_identity_reply *reply)
{
    struct str role_id;

    (void)req;
    reply->account_id = act->account->id;
    if (!act->key || str_empty(act->key->role_arn)) {
        reply->arn = arena_printf(act->arena, "acs:ram::%.*s:root", STR_ARG(act->account->id));
        reply->identity_type = STR("Account");
        reply->principal_id = act->account->id;
        reply->user_id = act->account->id;
        return 0;
    }
    (void)str_split(act->key->principal_id, ':', &role_id,
                    &(struct str){0}); /* without a colon it is all role id */
    reply->arn = act->key->role_arn;
    reply->identity_type = STR("AssumedRoleUser");
    reply->principal_id = act->key->principal_id;
    reply->role_id = role_id;
    return 0;
}

/* "acs:ram::<account>:role/<name>". */
static int parse_role(struct action *act, struct str arn, struct str *ret_name)
{
    static const struct str head = STR_INIT("acs:ram::");
    static const struct str kind = STR_INIT("role/");
    struct str account, path, name;

    if (!str_starts(arn, head) ||
        !str_split(str_slice(arn.ptr + head.len, arn.len - head.len), ':', &account, &path) ||
        !str_starts_nocase(path, kind))
        return fail(act->fail, E_ROLE_ARN);
    name = str_slice(path.ptr + kind.len, path.len - kind.len);
    if (name.len > ROLE_NAME_MAX || (name.len > 1 ? !session_name_valid(name) : name.len == 0))
        return fail(act->fail, E_ROLE_ARN);
    if (!str_eq(account, act->account->id))
        return fail(act->fail, E_NO_PERMISSION_ASSUME);
    *ret_name = name;
    return 0;
}

/* The same role of the same account always has the same id, as if it were kept. */
static struct str role_id_of(struct action *act, struct str name)
{
    struct str text =
        arena_printf(act->arena, "%.*s/%.*s", STR_ARG(act->account->id), STR_ARG(name));
    uint8_t digest[SHA256_BYTES];
    uint64_t number;

    hash_sha256(text, digest);
    memcpy(&number, digest, sizeof(number));
    return arena_printf(act->arena, "3%017llu", (unsigned long long)(number % 100000000000000000u));
}

static struct str random_text(struct action *act, const char *head, size_t count)
{
    static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789";
    size_t head_len = strlen(head);
    char *text = arena_alloc(act->arena, head_len + count + 1);

    memcpy(text, head, head_len);
    for (size_t i = 0; i < count; i++)
        text[head_len + i] = alphabet[env_random_u64(act->env) % (sizeof(alphabet) - 1)];
    return str_slice(text, head_len + count);
}

static int choose_policy(struct action *act, struct str asked, struct str *ret)
{
    struct str own = act->key ? act->key->policy : STR_NONE;

    if (!str_empty(asked) && !act->policy_valid(asked))
        return fail(act->fail, E_ROLE_POLICY);
    if (!str_empty(asked) && !str_empty(own))
        return fail(act->fail, E_NO_PERMISSION_ASSUME);
    *ret = str_empty(asked) ? own : asked;
    return 0;
}

int sts_assume_role(struct action *act, const struct sts_assume_role_request *req,
                    struct sts_assume_role_reply *reply)
{
    struct access_key key = {
        .account_id = act->account->id, .enabled = true, .created_us = act->now};
    struct str name = STR_NONE, role_id;
    int r = parse_role(act, req->role_arn, &name);

    if (r < 0)
        return r;
    if (!session_name_valid(req->role_session_name))
        return fail(act->fail, E_ROLE_SESSION_NAME);
    r = choose_policy(act, req->policy, &key.policy);
    if (r < 0)
        return r;
    role_id = role_id_of(act, name);
    key.id = random_text(act, "STS.N", STS_ID_LETTERS);
    key.secret = random_text(act, "", STS_SECRET_LETTERS);
    key.token = random_text(act, "CAIS", STS_TOKEN_LETTERS);
    key.expires_us = act->now + req->duration_seconds * USEC_PER_SEC;
    key.principal_id =
        arena_printf(act->arena, "%.*s:%.*s", STR_ARG(role_id), STR_ARG(req->role_session_name));
    key.role_arn =
        arena_printf(act->arena, "acs:ram::%.*s:assumed-role/%.*s/%.*s", STR_ARG(act->account->id),
                     STR_ARG(name), STR_ARG(req->role_session_name));
    r = store_key_insert(act->tx, &key);
    if (r < 0)
        return action_failed(act, r);
    reply->credentials =
        (struct sts_assume_role_credentials){key.id, key.secret, key.token, key.expires_us};
    reply->assumed_role_user = (struct sts_assume_role_assumed_role_user){
        .arn = key.role_arn, .assumed_role_id = key.principal_id};
    return 0;
}
