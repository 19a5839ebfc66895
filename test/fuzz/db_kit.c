/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/db_kit.h"

#include <sqlite3.h>
#include <stdio.h>

#include "base/mem.h"

#define TABLES_MAX 64

struct db {
    sqlite3 *connection;
    sqlite3_stmt *version;
    sqlite3_stmt *tables[TABLES_MAX];
    size_t count;
    int64_t digest_version; /* when `digest` was taken */
    uint64_t digest;
};

static sqlite3_stmt *prepare(struct db *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int r = sqlite3_prepare_v2(db->connection, sql, -1, &statement, NULL);

    assert(r == SQLITE_OK);
    return statement;
}

struct db *db_open(const char *path)
{
    struct db *db = xcalloc(1, sizeof(*db));
    sqlite3_stmt *list;
    int r = sqlite3_open_v2(path, &db->connection, SQLITE_OPEN_READWRITE, NULL);

    assert(r == SQLITE_OK);
    db->version = prepare(db, "PRAGMA data_version");
    list = prepare(db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'nonce'");
    while (sqlite3_step(list) == SQLITE_ROW) {
        char sql[128];

        assert(db->count < TABLES_MAX);
        (void)snprintf(sql, sizeof(sql), "SELECT * FROM %s", (const char *)sqlite3_column_text(list, 0)); /* short names */
        db->tables[db->count++] = prepare(db, sql);
    }
    (void)sqlite3_finalize(list); /* it was read to its end */
    assert(db->count > 5);
    db->digest_version = -1;
    return db;
}

struct db *db_close(struct db *db)
{
    if (!db)
        return NULL;
    for (size_t i = 0; i < db->count; i++)
        (void)sqlite3_finalize(db->tables[i]); /* what its last step said is known */
    (void)sqlite3_finalize(db->version);
    (void)sqlite3_close(db->connection); /* nothing is open any more */
    return xfree(db);
}

int64_t db_version(struct db *db)
{
    int64_t version;
    int r = sqlite3_step(db->version);

    assert(r == SQLITE_ROW);
    version = sqlite3_column_int64(db->version, 0);
    (void)sqlite3_reset(db->version); /* it did not fail */
    return version;
}

/* FNV-1a. */
static uint64_t add(uint64_t sum, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ at[i]) * 0x100000001b3u;
    return sum;
}

static uint64_t add_row(uint64_t sum, sqlite3_stmt *row)
{
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        const void *bytes = sqlite3_column_blob(row, i);
        int len = sqlite3_column_bytes(row, i);

        sum = add(sum, &len, sizeof(len));
        sum = add(sum, bytes, (size_t)len);
    }
    return sum;
}

uint64_t db_digest(struct db *db)
{
    int64_t version = db_version(db);

    if (version == db->digest_version)
        return db->digest;
    db->digest = 0xcbf29ce484222325u;
    for (size_t i = 0; i < db->count; i++) {
        int r;

        while ((r = sqlite3_step(db->tables[i])) == SQLITE_ROW)
            db->digest = add_row(db->digest, db->tables[i]);
        assert(r == SQLITE_DONE);
        (void)sqlite3_reset(db->tables[i]); /* it did not fail */
        db->digest = add(db->digest, &i, sizeof(i));
    }
    db->digest_version = version;
    return db->digest;
}
