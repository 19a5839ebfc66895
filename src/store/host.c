/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts, their reservations, and nodes: who may act, by leases with epochs. */
#include "store/core.h"

static const struct column host_columns[] = {
    COLUMN(struct host, id),
    COLUMN(struct host, url),
    COLUMN(struct host, region_id),
    COLUMN(struct host, zone_id),
    COLUMN(struct host, state),
    COLUMN(struct host, vcpus),
    COLUMN(struct host, memory_mib),
    COLUMN(struct host, used_vcpus),
    COLUMN(struct host, used_memory_mib),
    COLUMN(struct host, holder),
    COLUMN(struct host, epoch),
    COLUMN(struct host, created_us),
};
static const struct table host_table = TABLE(struct host, host_columns);

int store_host_insert(struct tx *tx, const struct host *host)
{
    static const struct query query = {"INSERT INTO host ({c}) VALUES ({v}) ON CONFLICT DO NOTHING",
                                       &host_table};

    return rows_insert(tx, &query, host);
}

int store_host_get(struct tx *tx, struct str id, struct host **ret)
{
    static const struct query query = {"SELECT {c} FROM host WHERE id = $1", &host_table};

    return rows_one(tx, &query, ARGS(V_STR(id)), ret);
}

int store_host_list(struct tx *tx, struct host **ret, size_t *ret_count)
{
    static const struct query query = {"SELECT {c} FROM host ORDER BY id", &host_table};

    return rows_all(tx, &query, NO_ARGS, ret, ret_count);
}

/* The next zone of the region after `zone_id` with a host that may take something; absent: there is none. */
static int next_zone(struct tx *tx, struct str region_id, struct str zone_id, struct str *ret)
{
    static const struct query query = {"SELECT zone_id FROM host WHERE region_id = $1 AND zone_id > $2 AND state = 0"
                                       " AND used_vcpus < vcpus ORDER BY zone_id LIMIT 1",
                                       NULL};
    struct str_list found = {0};
    int r = rows_texts(tx, &query, ARGS(V_STR(region_id), V_STR(zone_id)), &found);

    *ret = found.count > 0 ? found.items[0] : STR_NONE;
    return r;
}

/* Adds those of one zone. */
static int roomy_in_zone(struct tx *tx, const struct host_room *room, struct str zone_id, struct host **hosts, size_t *count)
{
    /* What the index asks for stands here word for word: else neither database would use it. */
    static const struct query query = {"SELECT {c} FROM host WHERE region_id = $1 AND zone_id = $2 AND state = 0"
                                       " AND used_vcpus < vcpus AND vcpus - used_vcpus >= $3"
                                       " AND memory_mib - used_memory_mib >= $4"
                                       " ORDER BY memory_mib - used_memory_mib DESC, id LIMIT $5",
                                       &host_table};
    struct host *found;
    size_t found_count;
    int r = rows_all(tx, &query,
                     ARGS(V_STR(room->region_id), V_STR(zone_id), V_I64(room->vcpus), V_I64(room->memory_mib),
                          V_I64(room->each_zone)),
                     &found, &found_count);

    for (size_t i = 0; r >= 0 && i < found_count; i++)
        arena_push(&tx->arena, *hosts, *count, found[i]);
    return r;
}

int store_host_roomy(struct tx *tx, const struct host_room *room, struct host **ret, size_t *ret_count)
{
    struct str zone_id = STR("");
    struct host *hosts = NULL;
    size_t count = 0;
    int r;

    assert(room->vcpus > 0 && room->each_zone > 0);
    if (!str_empty(room->zone_id)) {
        r = roomy_in_zone(tx, room, room->zone_id, &hosts, &count);
    } else {
        while ((r = next_zone(tx, room->region_id, zone_id, &zone_id)) >= 0 && !str_empty(zone_id))
            if ((r = roomy_in_zone(tx, room, zone_id, &hosts, &count)) < 0)
                break;
    }
    if (r < 0)
        return r;
    *ret = hosts;
    *ret_count = count;
    return 0;
}

int store_host_save(struct tx *tx, const struct host *host)
{
    static const struct query query = {"UPDATE host SET url = $2, region_id = $3, zone_id = $4, "
                                       "state = $5, vcpus = $6, memory_mib = $7 WHERE id = $1",
                                       NULL};

    return rows_must_change(tx, &query,
                            ARGS(V_STR(host->id), V_STR(host->url), V_STR(host->region_id),
                                 V_STR(host->zone_id), V_I64(host->state), V_I64(host->vcpus),
                                 V_I64(host->memory_mib)));
}

int store_host_delete(struct tx *tx, struct str id)
{
    static const struct query query = {"DELETE FROM host WHERE id = $1", NULL};

    return rows_must_change(tx, &query, ARGS(V_STR(id)));
}

int store_host_reserve(struct tx *tx, struct str id, int64_t vcpus, int64_t memory_mib)
{
    /* What is given back always fits: capacity may have been lowered meanwhile. Below nothing is
     * never right. */
    static const struct query query = {"UPDATE host SET used_vcpus = used_vcpus + $2, "
                                       "used_memory_mib = used_memory_mib + $3 WHERE id = $1"
                                       " AND ($2 <= 0 OR used_vcpus + $2 <= vcpus) AND ($3 <= 0 OR "
                                       "used_memory_mib + $3 <= memory_mib)"
                                       " AND used_vcpus + $2 >= 0 AND used_memory_mib + $3 >= 0",
                                       NULL};
    static const struct query exists = {"SELECT 1 FROM host WHERE id = $1", NULL};
    int64_t found = 0;
    int r = rows_must_change(tx, &query, ARGS(V_STR(id), V_I64(vcpus), V_I64(memory_mib)));

    if (r != -E_NOT_FOUND)
        return r;
    r = rows_number(tx, &exists, ARGS(V_STR(id)), 0, &found);
    return r < 0 ? r : found ? -E_LIMIT : -E_NOT_FOUND;
}

/* ── nodes ── */

int store_node_take(struct tx *tx, struct str node, usec_t until, int64_t *ret_epoch)
{
    static const struct query take = {
        "INSERT INTO node (id, epoch, until_us) VALUES ($1, 1, $2)"
        " ON CONFLICT (id) DO UPDATE SET epoch = node.epoch + 1, until_us = excluded.until_us",
        NULL};
    static const struct query epoch = {"SELECT epoch FROM node WHERE id = $1", NULL};
    int r = rows_change(tx, &take, ARGS(V_STR(node), V_I64(until)), NULL);

    return r < 0 ? r : rows_number(tx, &epoch, ARGS(V_STR(node)), 0, ret_epoch);
}

int store_node_renew(struct tx *tx, struct str node, int64_t epoch, usec_t until)
{
    static const struct query query = {"UPDATE node SET until_us = $3 WHERE id = $1 AND epoch = $2",
                                       NULL};
    int r = rows_must_change(tx, &query, ARGS(V_STR(node), V_I64(epoch), V_I64(until)));

    return r == -E_NOT_FOUND ? -E_FENCED : r;
}

int store_node_end(struct tx *tx, struct str node, int64_t epoch)
{
    static const struct query query = {"UPDATE node SET until_us = 0 WHERE id = $1 AND epoch = $2", NULL};

    return rows_change(tx, &query, ARGS(V_STR(node), V_I64(epoch)), NULL);
}

static const struct column node_columns[] = {
    COLUMN(struct node, id),
    COLUMN(struct node, epoch),
    COLUMN(struct node, until_us),
};
static const struct table node_table = TABLE(struct node, node_columns);

int store_node_list(struct tx *tx, struct node **ret, size_t *ret_count)
{
    static const struct query query = {"SELECT {c} FROM node ORDER BY id", &node_table};

    return rows_all(tx, &query, NO_ARGS, ret, ret_count);
}

/* ── hosts of nodes ── */

int store_host_hold(struct tx *tx, struct str id, struct str holder, int64_t epoch)
{
    static const struct query query = {"UPDATE host SET holder = $2, epoch = $3 WHERE id = $1", NULL};

    return rows_must_change(tx, &query, ARGS(V_STR(id), V_STR(holder), V_I64(epoch)));
}

int store_host_check(struct tx *tx, struct str id, struct str holder, int64_t epoch)
{
    static const struct query query = {"SELECT 1 FROM host WHERE id = $1 AND holder = $2 AND epoch = $3", NULL};
    int64_t found = 0;
    int r = rows_number(tx, &query, ARGS(V_STR(id), V_STR(holder), V_I64(epoch)), 0, &found);

    return r < 0 ? r : found ? 0 : -E_FENCED;
}
