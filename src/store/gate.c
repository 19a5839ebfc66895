/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of the gateway: nonces of mutations, and client tokens.
 *
 * Whether a nonce was used is answered from memory (nonce.h); its row is written just before
 * COMMIT, in the order of the key, so that a thousand of them touch few pages and a call that is
 * refused leaves none.
 */
#include "base/bug.h"
#include "base/hash.h"
#include "store/core.h"

/*
 * No nonce with an older time stamp is taken: it may have been forgotten. Of a clock that goes on,
 * the gateway's window refuses such calls anyway; after one that ran ahead and was set back, they
 * could be sent again.
 */
#define NONCE_FLOOR STR("nonce_floor_us")

static void digest_of(struct arena *arena, struct str key_id, struct str nonce,
                      uint8_t digest[NONCE_DIGEST_BYTES])
{
    uint8_t all[SHA256_BYTES];
    /* The length keeps ("ab", "c") and ("a", "bc") apart. */
    struct str text =
        arena_printf(arena, "%zu:%.*s:%.*s", key_id.len, STR_ARG(key_id), STR_ARG(nonce));

    hash_sha256(text, all);
    memcpy(digest, all, NONCE_DIGEST_BYTES);
}

/* Another node's may be above ours. */
static int is_below_floor(struct tx *tx, usec_t stamp_us, bool *ret)
{
    int r = tx->nonce_floor_us < 0 ? store_number_get(tx, NONCE_FLOOR, &tx->nonce_floor_us) : 0;

    *ret = stamp_us < tx->nonce_floor_us;
    return r;
}

/* The set in memory knows what this node has seen. Where rows are posted, nonce_flush finds out what others have. */
static int put_elsewhere(struct tx *tx, const struct nonce_row *row)
{
    static const struct query query = {"SELECT 1 FROM nonce WHERE stamp_us = $1 AND digest = $2 AND expires_us > $3", NULL};
    struct str digest = str_slice((const char *)row->digest, NONCE_DIGEST_BYTES);
    int64_t used = 0;
    bool below;
    int r = is_below_floor(tx, row->stamp_us, &below);

    if (r == 0 && !below && !rows_are_posted(tx))
        r = rows_number(tx, &query, ARGS(V_I64(row->stamp_us), V_BLOB(digest), V_I64(tx->now)), 0, &used);
    return r == 0 && (below || used) ? -E_EXISTS : r;
}

int store_nonce_put(struct tx *tx, struct str key_id, struct str nonce, usec_t stamp_us,
                    usec_t expires_us)
{
    struct nonce_row row = {.stamp_us = stamp_us, .expires_us = expires_us};
    int r = 0;

    assert(tx->is_write && tx->depth > 0);
    if (stamp_us < tx->store->nonce_floor_us)
        return -E_EXISTS;
    digest_of(&tx->arena, key_id, nonce, row.digest);
    if (tx->store->driver->shared)
        r = put_elsewhere(tx, &row);
    if (r == 0)
        r = nonce_set_add(&tx->store->nonces, row.digest, expires_us, tx->now);
    if (r < 0)
        return r == -E_LIMIT ? -E_BUSY : r;
    arena_push(&tx->arena, tx->nonces, tx->nonce_count, row);
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct nonce_row *x = a;
    const struct nonce_row *y = b;

    if (x->stamp_us != y->stamp_us)
        return x->stamp_us < y->stamp_us ? -1 : 1;
    return memcmp(x->digest, y->digest, NONCE_DIGEST_BYTES);
}

/* When another node has taken it, no row is met: then the batch is run again, and its own call hears of it. */
static int nonce_add(struct tx *tx, const struct nonce_row *row)
{
    static const struct query unseen = {
        "INSERT INTO nonce (stamp_us, digest, expires_us) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", NULL};
    /* An expired row with the same stamp may still be there: the gateway's clock window has refused such a call before. */
    static const struct query looked_at = {
        "INSERT INTO nonce (stamp_us, digest, expires_us) VALUES ($1, $2, $3)"
        " ON CONFLICT (stamp_us, digest) DO UPDATE SET expires_us = excluded.expires_us",
        NULL};
    struct str digest = str_slice((const char *)row->digest, NONCE_DIGEST_BYTES);
    const struct value args[] = {V_I64(row->stamp_us), V_BLOB(digest), V_I64(row->expires_us)};

    if (rows_are_posted(tx))
        return rows_post(tx, &unseen, args, 3, -E_EXISTS);
    return rows_change(tx, &looked_at, args, 3, NULL);
}

int nonce_flush(struct tx *tx)
{

    if (BUG(nonce_forgotten))
        return 0;
    if (tx->nonce_count > 1)
        qsort(tx->nonces, tx->nonce_count, sizeof(*tx->nonces), by_key);
    for (size_t i = 0; i < tx->nonce_count; i++) {
        int r = nonce_add(tx, &tx->nonces[i]);

        if (r < 0)
            return r;
    }
    return 0;
}

int nonce_load(struct store *store, struct tx *tx)
{
    static const struct query query = {"SELECT digest, expires_us FROM nonce", NULL};
    struct rows rows;
    int r = store_number_get(tx, NONCE_FLOOR, &store->nonce_floor_us);

    if (r == 0)
        r = rows_start(tx, &query, NO_ARGS, &rows);
    if (r < 0)
        return r;
    while ((r = rows_next(&rows)) > 0) {
        struct str digest = rows_text(&rows, 0);

        if (digest.len != NONCE_DIGEST_BYTES || rows_i64(&rows, 1) <= tx->now)
            continue;
        r = nonce_set_add(&store->nonces, (const uint8_t *)digest.ptr, rows_i64(&rows, 1), tx->now);
        if (r < 0 && r != -E_EXISTS) /* the same key and nonce under two stamps */
            break;
    }
    rows_end(&rows);
    return r < 0 && r != -E_EXISTS ? r : 0;
}

/*
 * Old rows stand together at the start of the key: they are removed up to the first that is still
 * good, never searched for among the good ones. A row that expires out of order goes a little
 * later.
 */
int store_nonce_purge(struct tx *tx, usec_t now, int64_t limit)
{
    /* Asked for alone: a driver may fetch all rows that a query has, and nearly always the first says that none is due. */
    static const struct query first = {"SELECT expires_us FROM nonce ORDER BY stamp_us, digest LIMIT 1", NULL};
    static const struct query oldest = {
        "SELECT stamp_us, digest, expires_us FROM nonce ORDER BY stamp_us, digest LIMIT $1", NULL};
    static const struct query remove = {"DELETE FROM nonce WHERE (stamp_us, digest) <= ($1, $2)",
                                        NULL};
    char digest[NONCE_DIGEST_BYTES];
    struct str last = {digest, 0};
    usec_t stamp = 0;
    usec_t floor_us = 0;
    usec_t due = 0;
    struct rows rows;
    int r = rows_number(tx, &first, NO_ARGS, USEC_NEVER, &due);

    if (r < 0 || due > now)
        return r;
    r = rows_start(tx, &oldest, ARGS(V_I64(limit)), &rows);
    if (r < 0)
        return r;
    while ((r = rows_next(&rows)) > 0 && rows_i64(&rows, 2) <= now) {
        struct str bytes = rows_text(&rows, 1);

        stamp = rows_i64(&rows, 0);
        last.len = MIN_OF(bytes.len, sizeof(digest));
        memcpy(digest, bytes.ptr, last.len);
    }
    rows_end(&rows);
    if (r < 0 || last.len == 0)
        return r < 0 ? r : 0;
    if (tx->store->driver->shared)
        r = store_number_get(tx, NONCE_FLOOR, &floor_us); /* another node may have purged further */
    if (r < 0)
        return r;
    /* Too high is harmless: it stays when the transaction does not. */
    tx->store->nonce_floor_us = MAX_OF(MAX_OF(tx->store->nonce_floor_us, stamp + 1), floor_us);
    r = store_number_set(tx, NONCE_FLOOR, tx->store->nonce_floor_us);
    return r < 0 ? r : rows_change(tx, &remove, ARGS(V_I64(stamp), V_BLOB(last)), NULL);
}

/* ── client tokens ── */

static const struct column token_columns[] = {
    COLUMN(struct client_token, account_id), COLUMN(struct client_token, action),
    COLUMN(struct client_token, token),      COLUMN(struct client_token, digest),
    COLUMN(struct client_token, reply),      COLUMN(struct client_token, expires_us),
};
static const struct table token_table = TABLE(struct client_token, token_columns);

int store_token_get(struct tx *tx, struct str account_id, struct str action, struct str token,
                    struct client_token **ret)
{
    static const struct query query = {"SELECT {c} FROM client_token WHERE account_id = $1 AND "
                                       "action = $2 AND token = $3 AND expires_us > $4",
                                       &token_table};

    return rows_one(tx, &query,
                    ARGS(V_STR(account_id), V_STR(action), V_STR(token), V_I64(tx->now)), ret);
}

int store_token_put(struct tx *tx, const struct client_token *token)
{
    /* Replaces one that has expired, and only such a one. */
    static const struct query query = {
        "INSERT INTO client_token ({c}) VALUES ({v}) ON CONFLICT (account_id, action, token) DO "
        "UPDATE SET"
        " digest = excluded.digest, reply = excluded.reply, expires_us = excluded.expires_us"
        " WHERE client_token.expires_us <= {1}",
        &token_table};
    int64_t changed = 0;
    int r = rows_save(tx, &query, token, ARGS(V_I64(tx->now)), &changed);

    return r < 0 ? r : changed == 0 ? -E_EXISTS : 0;
}

int store_token_purge(struct tx *tx, usec_t now, int64_t limit)
{
    static const struct query query = {
        "DELETE FROM client_token WHERE (account_id, action, token) IN (SELECT account_id, action, "
        "token"
        " FROM client_token WHERE expires_us <= $1 ORDER BY expires_us LIMIT $2)",
        NULL};

    return rows_change(tx, &query, ARGS(V_I64(now), V_I64(limit)), NULL);
}
