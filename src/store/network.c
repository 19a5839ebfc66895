/* SPDX-License-Identifier: Apache-2.0 */
/* VPCs, vSwitches, security groups and who is in them, addresses, and named numbers. */
#include "store/core.h"

static const struct column vpc_columns[] = {
    COLUMN(struct vpc, id),         COLUMN(struct vpc, account_id), COLUMN(struct vpc, region_id),
    COLUMN(struct vpc, name),       COLUMN(struct vpc, cidr),       COLUMN(struct vpc, is_default),
    COLUMN(struct vpc, created_us),
};
static const struct table vpc_table = TABLE(struct vpc, vpc_columns);

int store_vpc_insert(struct tx *tx, const struct vpc *vpc)
{
    static const struct query query = {"INSERT INTO vpc ({c}) VALUES ({v}) ON CONFLICT DO NOTHING",
                                       &vpc_table};

    return rows_insert(tx, &query, vpc);
}

int store_vpc_get(struct tx *tx, struct str id, struct vpc **ret)
{
    static const struct query query = {"SELECT {c} FROM vpc WHERE id = $1", &vpc_table};

    return rows_one(tx, &query, ARGS(V_STR(id)), ret);
}

int store_vpc_default(struct tx *tx, struct str account_id, struct str region_id, struct vpc **ret)
{
    static const struct query query = {"SELECT {c} FROM vpc WHERE account_id = $1 AND region_id = "
                                       "$2 AND is_default = 1 ORDER BY id LIMIT 1",
                                       &vpc_table};

    return rows_one(tx, &query, ARGS(V_STR(account_id), V_STR(region_id)), ret);
}

/* ── vSwitches ── */

#define VSWITCH_COLUMN(member) COLUMN(struct vswitch, member)
static const struct column vswitch_columns[] = {
    VSWITCH_COLUMN(id),         VSWITCH_COLUMN(account_id),   VSWITCH_COLUMN(vpc_id),
    VSWITCH_COLUMN(zone_id),    VSWITCH_COLUMN(name),         VSWITCH_COLUMN(cidr),
    VSWITCH_COLUMN(is_default), VSWITCH_COLUMN(next_address), VSWITCH_COLUMN(created_us),
};
static const struct table vswitch_table = TABLE(struct vswitch, vswitch_columns);

int store_vswitch_insert(struct tx *tx, const struct vswitch *vswitch)
{
    static const struct query query = {
        "INSERT INTO vswitch ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &vswitch_table};

    return rows_insert(tx, &query, vswitch);
}

int store_vswitch_get(struct tx *tx, struct str id, struct vswitch **ret)
{
    static const struct query query = {"SELECT {c} FROM vswitch WHERE id = $1", &vswitch_table};

    return rows_one(tx, &query, ARGS(V_STR(id)), ret);
}

int store_vswitch_default(struct tx *tx, struct str account_id, struct str region_id,
                          struct str zone_id, struct vswitch **ret)
{
    static const struct query in_zone = {"SELECT {c} FROM vswitch WHERE vpc_id = $1 AND zone_id = "
                                         "$2 AND is_default = 1 ORDER BY id LIMIT 1",
                                         &vswitch_table};
    static const struct query in_any = {
        "SELECT {c} FROM vswitch WHERE vpc_id = $1 AND is_default = 1 ORDER BY zone_id, id LIMIT 1",
        &vswitch_table};
    struct vpc *vpc = NULL;
    int r = store_vpc_default(tx, account_id, region_id, &vpc);

    if (r < 0)
        return r;
    if (zone_id.ptr)
        return rows_one(tx, &in_zone, ARGS(V_STR(vpc->id), V_STR(zone_id)), ret);
    return rows_one(tx, &in_any, ARGS(V_STR(vpc->id)), ret);
}

int store_vswitch_save_cursor(struct tx *tx, struct str id, int64_t next_address)
{
    static const struct query query = {"UPDATE vswitch SET next_address = $2 WHERE id = $1", NULL};

    return rows_must_change(tx, &query, ARGS(V_STR(id), V_I64(next_address)));
}

/* ── security groups ── */

#define GROUP_COLUMN(member) COLUMN(struct security_group, member)
static const struct column group_columns[] = {
    GROUP_COLUMN(id),         GROUP_COLUMN(account_id), GROUP_COLUMN(region_id),
    GROUP_COLUMN(vpc_id),     GROUP_COLUMN(name),       GROUP_COLUMN(description),
    GROUP_COLUMN(is_default), GROUP_COLUMN(created_us),
};
static const struct table group_table = TABLE(struct security_group, group_columns);

int store_group_insert(struct tx *tx, const struct security_group *group)
{
    static const struct query query = {
        "INSERT INTO security_group ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &group_table};

    return rows_insert(tx, &query, group);
}

int store_group_get(struct tx *tx, struct str id, struct security_group **ret)
{
    static const struct query query = {"SELECT {c} FROM security_group WHERE id = $1",
                                       &group_table};

    return rows_one(tx, &query, ARGS(V_STR(id)), ret);
}

int store_group_default(struct tx *tx, struct str account_id, struct str region_id,
                        struct security_group **ret)
{
    static const struct query query = {"SELECT {c} FROM security_group WHERE account_id = $1 AND "
                                       "region_id = $2 AND is_default = 1 ORDER BY id LIMIT 1",
                                       &group_table};

    return rows_one(tx, &query, ARGS(V_STR(account_id), V_STR(region_id)), ret);
}

int store_group_join(struct tx *tx, struct str instance_id, struct str group_id)
{
    static const struct query query = {
        "INSERT INTO group_member (group_id, instance_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        NULL};

    return rows_change(tx, &query, ARGS(V_STR(group_id), V_STR(instance_id)), NULL);
}

int store_group_leave_all(struct tx *tx, struct str instance_id)
{
    static const struct query query = {"DELETE FROM group_member WHERE instance_id = $1", NULL};

    return rows_change(tx, &query, ARGS(V_STR(instance_id)), NULL);
}

int store_group_of_instance(struct tx *tx, struct str instance_id, struct str_list *ret)
{
    static const struct query query = {
        "SELECT group_id FROM group_member WHERE instance_id = $1 ORDER BY group_id", NULL};

    return rows_texts(tx, &query, ARGS(V_STR(instance_id)), ret);
}

/* ── addresses and numbers ── */

int store_address_take(struct tx *tx, struct str scope, struct str address, struct str instance_id)
{
    static const struct query query = {"INSERT INTO address (scope, address, instance_id) VALUES "
                                       "($1, $2, $3) ON CONFLICT DO NOTHING",
                                       NULL};
    int r = rows_must_change(tx, &query, ARGS(V_STR(scope), V_STR(address), V_STR(instance_id)));

    return r == -E_NOT_FOUND ? -E_EXISTS : r;
}

int store_address_free(struct tx *tx, struct str scope, struct str address)
{
    static const struct query query = {"DELETE FROM address WHERE scope = $1 AND address = $2",
                                       NULL};

    return rows_change(tx, &query, ARGS(V_STR(scope), V_STR(address)), NULL);
}

int store_number_get(struct tx *tx, struct str name, int64_t *ret)
{
    static const struct query query = {"SELECT value FROM number WHERE name = $1", NULL};

    return rows_number(tx, &query, ARGS(V_STR(name)), 0, ret);
}

int store_number_set(struct tx *tx, struct str name, int64_t value)
{
    static const struct query query = {"INSERT INTO number (name, value) VALUES ($1, $2) ON "
                                       "CONFLICT (name) DO UPDATE SET value = excluded.value",
                                       NULL};

    return rows_post(tx, &query, ARGS(V_STR(name), V_I64(value)), -E_NOT_FOUND);
}
