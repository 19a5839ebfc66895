/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and access keys. */
#include "store/core.h"

static const struct column account_columns[] = {
    COLUMN(struct account, id),
    COLUMN(struct account, name),
    COLUMN(struct account, stopped_mode),
    COLUMN(struct account, created_us),
};
static const struct table account_table = TABLE(struct account, account_columns);

/* Tells the readers after COMMIT that what they remember of accounts and keys is old. Returns `result`. */
static int changed(struct tx *tx, int result)
{
    if (result >= 0)
        tx->tenants_changed = true;
    return result;
}

int store_account_insert(struct tx *tx, const struct account *account)
{
    static const struct query query = {
        "INSERT INTO account ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &account_table};

    return changed(tx, rows_insert(tx, &query, account));
}

int store_account_get(struct tx *tx, struct str id, struct account **ret)
{
    static const struct query query = {"SELECT {c} FROM account WHERE id = $1", &account_table};

    return rows_one(tx, &query, ARGS(V_STR(id)), ret);
}

int store_account_save(struct tx *tx, const struct account *account)
{
    static const struct query query = {
        "UPDATE account SET name = $2, stopped_mode = $3 WHERE id = $1", NULL};

    return changed(tx, rows_must_change(tx, &query,
                                        ARGS(V_STR(account->id), V_STR(account->name),
                                             V_I64(account->stopped_mode))));
}

int store_account_list(struct tx *tx, struct account **ret, size_t *ret_count)
{
    static const struct query query = {"SELECT {c} FROM account ORDER BY id", &account_table};

    return rows_all(tx, &query, NO_ARGS, ret, ret_count);
}

static const struct column key_columns[] = {
    COLUMN(struct access_key, id),           COLUMN(struct access_key, secret),
    COLUMN(struct access_key, account_id),   COLUMN(struct access_key, enabled),
    COLUMN(struct access_key, token),        COLUMN(struct access_key, expires_us),
    COLUMN(struct access_key, policy),       COLUMN(struct access_key, role_arn),
    COLUMN(struct access_key, principal_id), COLUMN(struct access_key, created_us),
};
static const struct table key_table = TABLE(struct access_key, key_columns);

int store_key_insert(struct tx *tx, const struct access_key *key)
{
    static const struct query query = {
        "INSERT INTO access_key ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &key_table};

    return changed(tx, rows_insert(tx, &query, key));
}

int store_key_get(struct tx *tx, struct str id, struct access_key **ret)
{
    static const struct query query = {"SELECT {c} FROM access_key WHERE id = $1", &key_table};

    return rows_one(tx, &query, ARGS(V_STR(id)), ret);
}

int store_key_set_enabled(struct tx *tx, struct str id, bool enabled)
{
    static const struct query query = {"UPDATE access_key SET enabled = $2 WHERE id = $1", NULL};

    return changed(tx, rows_must_change(tx, &query, ARGS(V_STR(id), V_I64(enabled ? 1 : 0))));
}

int store_key_delete(struct tx *tx, struct str id)
{
    static const struct query query = {"DELETE FROM access_key WHERE id = $1", NULL};

    return changed(tx, rows_must_change(tx, &query, ARGS(V_STR(id))));
}

int store_key_list(struct tx *tx, struct str account_id, struct access_key **ret, size_t *ret_count)
{
    static const struct query query = {
        "SELECT {c} FROM access_key WHERE account_id = $1 ORDER BY id", &key_table};

    return rows_all(tx, &query, ARGS(V_STR(account_id)), ret, ret_count);
}

int store_key_purge(struct tx *tx, usec_t now, int64_t limit)
{
    static const struct query query = {"DELETE FROM access_key WHERE id IN (SELECT id FROM "
                                       "access_key WHERE expires_us > 0 AND expires_us <= $1"
                                       " ORDER BY expires_us LIMIT $2)",
                                       NULL};
    int64_t count = 0;
    int r = rows_change(tx, &query, ARGS(V_I64(now), V_I64(limit)), &count);

    return count > 0 ? changed(tx, r) : r;
}
