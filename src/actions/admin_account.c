/* SPDX-License-Identifier: Apache-2.0 */
/* Admin: accounts and their keys. */
#include "actions/admin.h"
#include "actions/tenant.h"

int admin_account(struct action *act, struct str id, struct account **ret)
{
    int r = store_account_get(act->tx, id, ret);

    return r == -E_NOT_FOUND ? fail(act->fail, E_ADMIN_ACCOUNT_NOT_FOUND, id)
                             : action_failed(act, r);
}

int admin_event(struct action *act, enum event_kind kind, struct str account_id,
                struct str instance_id, struct str reason)
{
    const struct event event = {.time_us = act->now,
                                .kind = (int)kind,
                                .account_id = account_id,
                                .instance_id = instance_id,
                                .reason = reason,
                                .request_id = act->request_id,
                                .actor = STR("operator")};

    return action_failed(act, store_event_add(act->tx, &event));
}

/* Texts are copied: a reply to a write is read after its transaction is over. */
static struct account_view account_view_of(struct arena *arena, const struct account *account)
{
    return (struct account_view){
        .account_id = arena_str(arena, account->id),
        .name = arena_str(arena, account->name),
        .stopped_mode = account->stopped_mode,
        .creation_time = account->created_us,
    };
}

/* The secret is shown once, when the key is made. */
static struct key_view key_view_of(struct arena *arena, const struct access_key *key,
                                   bool with_secret)
{
    return (struct key_view){
        .access_key_id = arena_str(arena, key->id),
        .account_id = arena_str(arena, key->account_id),
        .secret = with_secret ? arena_str(arena, key->secret) : STR_NONE,
        .enabled = key->enabled,
        .policy = arena_str(arena, key->policy),
        .role_arn = arena_str(arena, key->role_arn),
        .expiration_time = key->expires_us,
        .creation_time = key->created_us,
    };
}

int admin_list_accounts(struct action *act, const struct admin_list_accounts_request *req,
                        struct admin_list_accounts_reply *reply)
{
    struct account *accounts;
    size_t count;
    int r = store_account_list(act->tx, &accounts, &count);

    (void)req;
    if (r < 0)
        return action_failed(act, r);
    reply->accounts.items = arena_array(act->arena, struct account_view, count + 1);
    reply->accounts.count = count;
    for (size_t i = 0; i < count; i++)
        reply->accounts.items[i] = account_view_of(act->arena, &accounts[i]);
    return 0;
}

int admin_create_account(struct action *act, const struct admin_create_account_request *req,
                         struct admin_create_account_reply *reply)
{
    const struct tenant_order order = {
        .name = req->name,
        .stopped_mode =
            req->stopped_mode >= 0 ? req->stopped_mode : act->options->account_stopped_mode,
    };
    struct access_key *key;
    struct account *account;
    int r = tenant_create(act->tx, &order, &account, &key, act->fail);

    if (r < 0)
        return action_failed(act, r);
    reply->account = account_view_of(act->arena, account);
    reply->key = key_view_of(act->arena, key, true);
    return admin_event(act, EVENT_KIND_ACCOUNT, account->id, STR_NONE, STR("account made"));
}

static int check_name(struct action *act, const struct account *account, struct str name)
{
    struct account *others;
    size_t count;
    int r = store_account_list(act->tx, &others, &count);

    for (size_t i = 0; r == 0 && i < count; i++)
        if (str_eq(others[i].name, name) && !str_eq(others[i].id, account->id))
            return fail(act->fail, E_ADMIN_ACCOUNT_EXISTS, name);
    return action_failed(act, r);
}

int admin_set_account(struct action *act, const struct admin_set_account_request *req,
                      struct admin_set_account_reply *reply)
{
    struct account *account;
    int r = admin_account(act, req->account_id, &account);

    if (r == 0 && !str_empty(req->name))
        r = check_name(act, account, req->name);
    if (r < 0)
        return r;
    if (!str_empty(req->name))
        account->name = req->name;
    if (req->stopped_mode >= 0)
        account->stopped_mode = req->stopped_mode;
    r = store_account_save(act->tx, account);
    if (r < 0)
        return action_failed(act, r);
    reply->account = account_view_of(act->arena, account);
    return admin_event(act, EVENT_KIND_ACCOUNT, account->id, STR_NONE,
                       arena_printf(act->arena, "account set: stopped mode %s",
                                    stopped_mode_text((enum stopped_mode)account->stopped_mode)));
}

int admin_show_account(struct action *act, const struct admin_show_account_request *req,
                       struct admin_show_account_reply *reply)
{
    struct account *account;
    int r = admin_account(act, req->account_id, &account);

    if (r == 0)
        reply->account = account_view_of(act->arena, account);
    return r;
}

static int add_keys(struct action *act, struct str account_id, struct key_view_list *list)
{
    struct access_key *keys;
    size_t count;
    int r = store_key_list(act->tx, account_id, &keys, &count);

    if (r < 0)
        return action_failed(act, r);
    for (size_t i = 0; i < count; i++)
        arena_push(act->arena, list->items, list->count, key_view_of(act->arena, &keys[i], false));
    return 0;
}

int admin_list_keys(struct action *act, const struct admin_list_keys_request *req,
                    struct admin_list_keys_reply *reply)
{
    struct account *accounts, *account;
    size_t count;
    int r;

    if (!str_empty(req->account_id)) {
        r = admin_account(act, req->account_id, &account);
        return r < 0 ? r : add_keys(act, account->id, &reply->keys);
    }
    r = store_account_list(act->tx, &accounts, &count);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = add_keys(act, accounts[i].id, &reply->keys);
    return action_failed(act, r);
}

int admin_create_key(struct action *act, const struct admin_create_key_request *req,
                     struct admin_create_key_reply *reply)
{
    struct access_key *key;
    struct account *account;
    int r = admin_account(act, req->account_id, &account);

    if (r < 0)
        return r;
    if (!str_empty(req->policy) && !act->policy_valid(req->policy))
        return fail(act->fail, E_ADMIN_POLICY,
                    STR("it is not a JSON object with a Statement, each with Effect and Action"));
    if (!str_empty(req->access_key_id) && !str_is_token(req->access_key_id))
        return fail(act->fail, E_INVALID_PARAMETER, STR("AccessKeyId"));
    r = tenant_key_create(act->tx, account->id, req->access_key_id, req->secret, req->policy, &key,
                          act->fail);
    if (r < 0)
        return action_failed(act, r);
    reply->key = key_view_of(act->arena, key, true);
    return admin_event(act, EVENT_KIND_KEY, account->id, STR_NONE,
                       arena_printf(act->arena, "key %.*s made", STR_ARG(key->id)));
}

/* `r`: what the store said about the key; what was done goes into the log. */
static int key_done(struct action *act, int r, struct str account_id, struct str id,
                    const char *what)
{
    if (r == -E_NOT_FOUND)
        return fail(act->fail, E_ADMIN_KEY_NOT_FOUND, id);
    if (r < 0)
        return action_failed(act, r);
    return admin_event(act, EVENT_KIND_KEY, account_id, STR_NONE,
                       arena_printf(act->arena, "key %.*s %s", STR_ARG(id), what));
}

static struct str key_account(struct action *act, struct str id)
{
    struct access_key *key;

    return store_key_get(act->tx, id, &key) < 0 ? STR_NONE : key->account_id;
}

int admin_disable_key(struct action *act, const struct admin_disable_key_request *req,
                      struct admin_disable_key_reply *reply)
{
    struct str account_id = key_account(act, req->access_key_id);

    (void)reply;
    return key_done(act, store_key_set_enabled(act->tx, req->access_key_id, false), account_id,
                    req->access_key_id, "disabled");
}

int admin_enable_key(struct action *act, const struct admin_enable_key_request *req,
                     struct admin_enable_key_reply *reply)
{
    struct str account_id = key_account(act, req->access_key_id);

    (void)reply;
    return key_done(act, store_key_set_enabled(act->tx, req->access_key_id, true), account_id,
                    req->access_key_id, "enabled");
}

int admin_delete_key(struct action *act, const struct admin_delete_key_request *req,
                     struct admin_delete_key_reply *reply)
{
    struct str account_id = key_account(act, req->access_key_id);

    (void)reply;
    return key_done(act, store_key_delete(act->tx, req->access_key_id), account_id,
                    req->access_key_id, "deleted");
}
