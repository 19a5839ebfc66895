/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances: a narrow row that changes with each state, a wide one beside it, and the tally.
 *
 * The tally needs to know the state that a save replaces. A write mostly saves what it has read, so
 * it remembers the states that it read (tx.shadows, by id and version); only what it doesn't
 * remember costs another read.
 */
#include "store/instance.h"

#include "store/core.h"

/* `id` comes first, what a save writes starts at HOT_SET: the others never change. */
#define HOT_SET 4
static const struct column columns[] = {
    /* instance */
    COLUMN(struct instance, id),
    COLUMN(struct instance, account_id),
    COLUMN(struct instance, region_id),
    COLUMN(struct instance, zone_id),
    COLUMN(struct instance, state),
    COLUMN(struct instance, version),
    COLUMN(struct instance, incarnation),
    COLUMN(struct instance, job_id),
    COLUMN(struct instance, host_id),
    COLUMN(struct instance, stopped_mode),
    COLUMN(struct instance, locks),
    COLUMN(struct instance, type_id),
    COLUMN(struct instance, charge_type),
    COLUMN(struct instance, deletion_protection),
    COLUMN(struct instance, reinit_local),
    COLUMN(struct instance, public_ip),
    COLUMN(struct instance, state_since_us),
    COLUMN(struct instance, started_us),
    COLUMN(struct instance, expires_us),
    COLUMN(struct instance, release_us),
    /* instance_doc */
    COLUMN(struct instance, name),
    COLUMN(struct instance, description),
    COLUMN(struct instance, host_name),
    COLUMN(struct instance, image_id),
    COLUMN(struct instance, os_name),
    COLUMN(struct instance, os_name_en),
    COLUMN(struct instance, os_type),
    COLUMN(struct instance, key_pair_name),
    COLUMN(struct instance, resource_group_id),
    COLUMN(struct instance, user_data),
    COLUMN(struct instance, password_hash),
    COLUMN(struct instance, network_type),
    COLUMN(struct instance, vpc_id),
    COLUMN(struct instance, vswitch_id),
    COLUMN(struct instance, private_ip),
    COLUMN(struct instance, eni_id),
    COLUMN(struct instance, mac),
    COLUMN(struct instance, eip_id),
    COLUMN(struct instance, eip_address),
    COLUMN(struct instance, internet_charge_type),
    COLUMN(struct instance, bandwidth_in_mbps),
    COLUMN(struct instance, bandwidth_out_mbps),
    COLUMN(struct instance, wants_public_ip),
    COLUMN(struct instance, spot_strategy),
    COLUMN(struct instance, spot_price_limit),
    COLUMN(struct instance, credit_specification),
    COLUMN(struct instance, serial_number),
    COLUMN(struct instance, metadata_options),
    COLUMN(struct instance, hibernation),
    COLUMN(struct instance, created_us),
    COLUMN(struct instance, deployment_set_id),
    COLUMN(struct instance, deployment_group_no),
};
#define HOT_COUNT 20

const struct table instance_all_table = TABLE(struct instance, columns);
const struct table instance_hot_table = {
    .columns = columns, .count = HOT_COUNT, .size = sizeof(struct instance)};
static const struct table set_table = {
    .columns = columns + HOT_SET, .count = HOT_COUNT - HOT_SET, .size = sizeof(struct instance)};
static const struct table doc_table = {.columns = columns + HOT_COUNT,
                                       .count = countof(columns) - HOT_COUNT,
                                       .size = sizeof(struct instance)};

const struct query instance_query_hot = {"SELECT {c} FROM instance WHERE id = $1",
                                         &instance_hot_table};
const struct query instance_query_all = {
    "SELECT {c} FROM instance JOIN instance_doc USING (id) WHERE id = $1", &instance_all_table};

struct str instance_family_of(struct str type_id)
{
    const struct instance_type *type = type_id.ptr ? instance_type_find(type_id) : NULL;

    return type ? str_from(type->family) : STR_NONE;
}

/* ── what a write remembers ── */

void instance_remember(struct tx *tx, const struct instance *inst)
{
    struct shadow *shadow = NULL;

    if (!tx->is_write)
        return;
    for (size_t i = 0; i < TX_SHADOWS && !shadow; i++)
        if (str_eq(tx->shadows[i].id, inst->id))
            shadow = &tx->shadows[i];
    if (!shadow)
        shadow = &tx->shadows[tx->shadow_next++ % TX_SHADOWS];
    if (!shadow->id.ptr || !str_eq(shadow->id, inst->id))
        shadow->id = arena_str(&tx->arena, inst->id);
    shadow->version = inst->version;
    shadow->state = inst->state;
}

/* -1: not remembered. */
static int recall(const struct tx *tx, const struct instance *inst)
{
    for (size_t i = 0; i < TX_SHADOWS; i++)
        if (tx->shadows[i].version == inst->version && tx->shadows[i].id.ptr &&
            str_eq(tx->shadows[i].id, inst->id))
            return tx->shadows[i].state;
    return -1;
}

static int stored_state(struct tx *tx, const struct instance *inst, int *ret)
{
    static const struct query query = {"SELECT state FROM instance WHERE id = $1 AND version = $2",
                                       NULL};
    int64_t state = recall(tx, inst);

    if (state < 0) {
        int r = rows_number(tx, &query, ARGS(V_STR(inst->id), V_I64(inst->version)), -1, &state);
        if (r < 0)
            return r;
    }
    if (state < 0)
        return -E_CONFLICT;
    *ret = (int)state;
    return 0;
}

/* ── one instance ── */

static int get(struct tx *tx, const struct query *query, struct str id, struct instance **ret)
{
    bool known = query == &instance_query_hot && ahead_instance(tx, id, ret);
    int r = known ? 0 : rows_one(tx, query, ARGS(V_STR(id)), ret);

    if (r == 0)
        instance_remember(tx, *ret);
    return r;
}

int store_instance_get(struct tx *tx, struct str id, struct instance **ret)
{
    return get(tx, &instance_query_all, id, ret);
}

int store_instance_get_hot(struct tx *tx, struct str id, struct instance **ret)
{
    return get(tx, &instance_query_hot, id, ret);
}

int store_instance_insert(struct tx *tx, const struct instance *inst)
{
    static const struct query hot = {
        "INSERT INTO instance ({c}) VALUES ({v}) ON CONFLICT DO NOTHING", &instance_hot_table};
    static const struct query doc = {
        "INSERT INTO instance_doc ({c}, id, in_account, in_region, in_zone, of_type, of_family)"
        " VALUES ({v}, {1}, {2}, {3}, {4}, {5}, {6})",
        &doc_table};

    assert(inst->id.len > 0 && inst->account_id.len > 0 && inst->region_id.len > 0);
    int r = rows_post_row(tx, &hot, inst, NO_ARGS, -E_EXISTS);
    if (r < 0)
        return r;
    r = rows_post_row(tx, &doc, inst,
                      ARGS(V_STR(inst->id), V_STR(inst->account_id), V_STR(inst->region_id),
                           V_STR(inst->zone_id), V_STR(inst->type_id),
                           V_STR(instance_family_of(inst->type_id))),
                      -E_EXISTS);
    if (r < 0)
        return r;
    tally_add(tx, inst->account_id, inst->region_id, inst->state, 1);
    instance_remember(tx, inst);
    return 0;
}

int store_instance_save(struct tx *tx, struct instance *inst)
{
    static const struct query query = {"UPDATE instance SET {s} WHERE id = {1} AND version = {2}",
                                       &set_table};
    int before = 0;
    int r = stored_state(tx, inst, &before);

    if (r < 0)
        return r;
    ahead_changed_instance(tx, inst->id);
    inst->version++;
    r = rows_post_row(tx, &query, inst, ARGS(V_STR(inst->id), V_I64(inst->version - 1)), -E_CONFLICT);
    if (r < 0) {
        inst->version--;
        return r;
    }
    if (before != inst->state) {
        tally_add(tx, inst->account_id, inst->region_id, before, -1);
        tally_add(tx, inst->account_id, inst->region_id, inst->state, 1);
    }
    instance_remember(tx, inst);
    return 0;
}

int store_instance_save_doc(struct tx *tx, const struct instance *inst)
{
    static const struct query query = {
        "UPDATE instance_doc SET {s}, of_type = {2}, of_family = {3} WHERE id = {1}", &doc_table};

    return rows_post_row(tx, &query, inst, ARGS(V_STR(inst->id), V_STR(inst->type_id), V_STR(instance_family_of(inst->type_id))),
                         -E_NOT_FOUND);
}

int store_instance_delete(struct tx *tx, const struct instance *inst)
{
    static const struct query hot = {"DELETE FROM instance WHERE id = $1 AND version = $2", NULL};
    static const struct query doc = {"DELETE FROM instance_doc WHERE id = $1", NULL};
    int before = 0;
    int r = stored_state(tx, inst, &before);

    if (r < 0)
        return r;
    ahead_changed_instance(tx, inst->id);
    r = rows_must_change(tx, &hot, ARGS(V_STR(inst->id), V_I64(inst->version)));
    if (r < 0)
        return r == -E_NOT_FOUND ? -E_CONFLICT : r;
    r = rows_must_change(tx, &doc, ARGS(V_STR(inst->id)));
    if (r < 0)
        return r;
    tally_add(tx, inst->account_id, inst->region_id, before, -1);
    memset(tx->shadows, 0, sizeof(tx->shadows));
    return 0;
}

/* ── for the engine ── */

static int list(struct tx *tx, const struct query *query, const struct value *args, size_t count,
                int64_t limit, struct instance_list *ret)
{
    struct instance_list found = {0};
    int r = rows_all(tx, query, args, count, &found.items, &found.count);

    if (r < 0)
        return r;
    if ((int64_t)found.count > limit) { /* one more was asked for */
        found.count--;
        found.more = true;
    }
    *ret = found;
    return 0;
}

int store_instance_placed(struct tx *tx, struct str after, int64_t limit, struct instance_list *ret)
{
    static const struct query query = {
        "SELECT {c} FROM instance WHERE host_id IS NOT NULL AND id > $1 ORDER BY id LIMIT $2",
        &instance_hot_table};

    return list(tx, &query, ARGS(V_STR(after.ptr ? after : STR("")), V_I64(limit + 1)), limit, ret);
}

/* The id that ends a stretch of that many rows; STR_NONE: fewer are left. */
static int stretch_end(struct tx *tx, struct str after, struct str *ret)
{
    static const struct query query = {"SELECT id FROM instance WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2", NULL};
    struct str_list ids;
    int r = rows_texts(tx, &query, ARGS(V_STR(after), V_I64(STORE_STRETCH_ROWS - 1)), &ids);

    if (r == 0)
        *ret = ids.count > 0 ? ids.items[0] : STR_NONE;
    return r;
}

int store_instance_at_host(struct tx *tx, struct str host_id, struct str after, int64_t limit, struct instance_list *ret,
                           struct str *ret_next)
{
    static const struct query query = {"SELECT {c} FROM instance WHERE host_id = $1 AND id > $2 AND id <= $3 ORDER BY id LIMIT $4",
                                       &instance_hot_table};
    struct str first = after.ptr ? after : STR("");
    struct str last;
    int r = stretch_end(tx, first, &last);

    if (r == 0) /* ids are letters, digits and "-": none comes behind "~" */
        r = list(tx, &query, ARGS(V_STR(host_id), V_STR(first), V_STR(last.ptr ? last : STR("~")), V_I64(limit + 1)), limit, ret);
    if (r == 0)
        *ret_next = ret->more ? ret->items[ret->count - 1].id : last;
    return r;
}

int store_instance_release_due(struct tx *tx, usec_t now, int64_t limit, struct instance_list *ret)
{
    static const struct query query = {"SELECT {c} FROM instance WHERE release_us > 0 AND "
                                       "release_us <= $1 ORDER BY release_us, id LIMIT $2",
                                       &instance_hot_table};

    return list(tx, &query, ARGS(V_I64(now), V_I64(limit + 1)), limit, ret);
}

int store_instance_next_release(struct tx *tx, usec_t *ret)
{
    static const struct query query = {
        "SELECT release_us FROM instance WHERE release_us > 0 ORDER BY release_us LIMIT 1", NULL};

    return rows_number(tx, &query, NO_ARGS, USEC_NEVER, ret);
}

int store_instance_expiry_due(struct tx *tx, usec_t now, int64_t limit, struct instance_list *ret)
{
    static const struct query query = {
        "SELECT {c} FROM instance WHERE expires_us > 0 AND (locks & 1) = 0 AND expires_us <= $1 "
        "ORDER BY expires_us, id LIMIT $2",
        &instance_hot_table};

    return list(tx, &query, ARGS(V_I64(now), V_I64(limit + 1)), limit, ret);
}

int store_instance_next_expiry(struct tx *tx, usec_t *ret)
{
    static const struct query query = {"SELECT expires_us FROM instance WHERE expires_us > 0 AND "
                                       "(locks & 1) = 0 ORDER BY expires_us LIMIT 1",
                                       NULL};

    return rows_number(tx, &query, NO_ARGS, USEC_NEVER, ret);
}
