/* SPDX-License-Identifier: Apache-2.0 */
/* Key pairs: the public halves. */
#include "store/core.h"

static const struct column pair_columns[] = {
    COLUMN(struct key_pair, id),
    COLUMN(struct key_pair, account_id),
    COLUMN(struct key_pair, region_id),
    COLUMN(struct key_pair, name),
    COLUMN(struct key_pair, fingerprint),
    COLUMN(struct key_pair, public_key),
    COLUMN(struct key_pair, resource_group_id),
    COLUMN(struct key_pair, created_us),
};
static const struct table pair_table = TABLE(struct key_pair, pair_columns);

int store_key_pair_insert(struct tx *tx, const struct key_pair *pair)
{
    static const struct query query = {
        "INSERT INTO key_pair ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &pair_table};

    return rows_insert(tx, &query, pair);
}

int store_key_pair_get(struct tx *tx, struct str account_id, struct str region_id, struct str name,
                       struct key_pair **ret)
{
    static const struct query query = {
        "SELECT {c} FROM key_pair WHERE account_id = $1 AND region_id = $2 AND name = $3",
        &pair_table};

    return rows_one(tx, &query, ARGS(V_STR(account_id), V_STR(region_id), V_STR(name)), ret);
}

int store_key_pair_delete(struct tx *tx, struct str account_id, struct str region_id,
                          struct str name)
{
    static const struct query query = {
        "DELETE FROM key_pair WHERE account_id = $1 AND region_id = $2 AND name = $3", NULL};

    return rows_must_change(tx, &query, ARGS(V_STR(account_id), V_STR(region_id), V_STR(name)));
}

int store_key_pair_list(struct tx *tx, struct str account_id, struct str region_id,
                        struct key_pair **ret, size_t *ret_count)
{
    static const struct query query = {
        "SELECT {c} FROM key_pair WHERE account_id = $1 AND region_id = $2 ORDER BY name",
        &pair_table};

    return rows_all(tx, &query, ARGS(V_STR(account_id), V_STR(region_id)), ret, ret_count);
}
