/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQLite driver: write-ahead log, synchronous=FULL (a commit is on the disk when it returns),
 * no automatic checkpoints (checkpoint.c makes them on its own connection, so that no commit waits
 * for one).
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/sqlite_log.h"

#define BUSY_WAIT_MS                                                                               \
    5000 /* another process holds the file: a backup, a person with the sqlite3 program */
/* A checkpoint that wants the log to start over keeps the writer out while it waits for readers. */
#define CHECKPOINT_WAIT_MS 20
#define SQL_TEXT_BYTES 8192 /* the longest query, several times over */
#define RENEW_PIECE_BYTES (64 * 1024) /* of the log, when it is written once more */
#define LOG_EVERY_S 10      /* a failing disk tells so once, not at each call */

struct sqlite_db {
    struct db head;
    sqlite3 *handle;
    int64_t log_pages;
    struct stmt *begin_read, *begin_write, *commit, *rollback;
};

static struct sqlite_db *sqlite_of(struct db *db)
{
    return container_of(db, struct sqlite_db, head);
}

static sqlite3_stmt *stmt_of(struct stmt *stmt)
{
    return (sqlite3_stmt *)(void *)stmt;
}

/* ── errors ── */

static bool time_to_tell(void)
{
    static atomic_int_fast64_t latest_s = -LOG_EVERY_S;
    struct timespec now;
    int_fast64_t before = atomic_load(&latest_s);

    /* Not env: with a virtual clock the disk still fails in real time. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return now.tv_sec - before >= LOG_EVERY_S &&
           atomic_compare_exchange_strong(&latest_s, &before, now.tv_sec);
}

static void tell(sqlite3 *handle, int rc, const char *advice)
{
    if (time_to_tell())
        log_error("the store failed", LOG_TEXT("error", sqlite3_errstr(rc)), LOG_NUM("code", rc),
                  LOG_TEXT("detail", handle ? sqlite3_errmsg(handle) : NULL),
                  LOG_TEXT("do", advice));
}

static int error_of(sqlite3 *handle, int rc)
{
    assert(rc != SQLITE_ROW && rc != SQLITE_MISUSE);
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        tell(handle, rc,
             "make room on the disk of the data folder; writes go on by themselves then");
        return -E_NO_SPACE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -E_BUSY;
    case SQLITE_CONSTRAINT:
        if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
            return -E_EXISTS;
        break;
    case SQLITE_NOMEM:
        abort(); /* law 10 */
    default:
        break;
    }
    tell(handle, rc,
         "look at the disk and the permissions of the data folder; restore a backup if it is "
         "damaged");
    return -E_IO;
}

/* ── statements ── */

static int sqlite_exec(struct db *db, const char *sql)
{
    sqlite3 *handle = sqlite_of(db)->handle;

    return error_of(handle, sqlite3_exec(handle, sql, NULL, NULL, NULL));
}

/* The one place where $1 becomes ?1 (SQLite would number $-names by first appearance). */
static int sqlite_prepare(struct db *db, const char *sql, struct stmt **ret)
{
    sqlite3 *handle = sqlite_of(db)->handle;
    sqlite3_stmt *stmt = NULL;
    char text[SQL_TEXT_BYTES];
    size_t len = strlen(sql);

    assert(len < sizeof(text));
    for (size_t i = 0; i <= len; i++)
        text[i] = sql[i] == '$' ? '?' : sql[i];
    int r = error_of(handle, sqlite3_prepare_v3(handle, text, (int)len + 1,
                                                SQLITE_PREPARE_PERSISTENT, &stmt, NULL));
    if (r < 0)
        return r;
    *ret = (struct stmt *)(void *)stmt;
    return 0;
}

static int bind_one(sqlite3_stmt *stmt, int index, const struct value *value)
{
    switch (value->kind) {
    case VALUE_I64:
        return sqlite3_bind_int64(stmt, index, value->i64);
    case VALUE_DOUBLE:
        return sqlite3_bind_double(stmt, index, value->number);
    case VALUE_TEXT:
        return sqlite3_bind_text(stmt, index, value->text.ptr, (int)value->text.len, SQLITE_STATIC);
    case VALUE_BLOB:
        return sqlite3_bind_blob(stmt, index, value->text.ptr, (int)value->text.len, SQLITE_STATIC);
    case VALUE_NULL:
        break;
    }
    return sqlite3_bind_null(stmt, index);
}

static int sqlite_bind(struct db *db, struct stmt *stmt, const struct value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int r = error_of(sqlite_of(db)->handle, bind_one(stmt_of(stmt), (int)i + 1, &values[i]));
        if (r < 0)
            return r;
    }
    return 0;
}

static int sqlite_step(struct db *db, struct stmt *stmt)
{
    int rc = sqlite3_step(stmt_of(stmt));

    return rc == SQLITE_ROW ? 1 : error_of(sqlite_of(db)->handle, rc);
}

static void sqlite_reset(struct db *db, struct stmt *stmt)
{
    (void)db;
    (void)sqlite3_reset(stmt_of(stmt)); /* repeats the error of the step, which was looked at */
}

static void sqlite_column(struct db *db, struct stmt *stmt, size_t index, struct value *ret)
{
    (void)db;
    sqlite3_stmt *s = stmt_of(stmt);
    int i = (int)index;

    switch (sqlite3_column_type(s, i)) {
    case SQLITE_INTEGER:
        *ret = V_I64(sqlite3_column_int64(s, i));
        return;
    case SQLITE_FLOAT:
        *ret = (struct value){.kind = VALUE_DOUBLE, .number = sqlite3_column_double(s, i)};
        return;
    case SQLITE_TEXT:
        ret->kind = VALUE_TEXT;
        ret->text.ptr = (const char *)sqlite3_column_text(s, i);
        ret->text.len = (size_t)sqlite3_column_bytes(s, i);
        return;
    case SQLITE_BLOB:
        ret->kind = VALUE_BLOB;
        ret->text.ptr = sqlite3_column_blob(s, i);
        ret->text.len = (size_t)sqlite3_column_bytes(s, i);
        if (!ret->text.ptr) /* an empty one */
            ret->text.ptr = "";
        return;
    default:
        ret->kind = VALUE_NULL;
        ret->text = STR_NONE;
    }
}

static size_t sqlite_columns(struct db *db, struct stmt *stmt)
{
    (void)db;
    return (size_t)sqlite3_column_count(stmt_of(stmt));
}

static int64_t sqlite_changed(struct db *db)
{
    return sqlite3_changes64(sqlite_of(db)->handle);
}

/* ── transactions ── */

static int run_once(struct db *db, struct stmt **slot, const char *sql)
{
    int r = *slot ? 0 : sqlite_prepare(db, sql, slot);

    if (r < 0)
        return r;
    r = sqlite_step(db, *slot);
    sqlite_reset(db, *slot);
    return r;
}

static int sqlite_begin(struct db *db, bool write)
{
    struct sqlite_db *s = sqlite_of(db);

    return write ? run_once(db, &s->begin_write, "BEGIN IMMEDIATE")
                 : run_once(db, &s->begin_read, "BEGIN");
}

static int sqlite_commit(struct db *db)
{
    return run_once(db, &sqlite_of(db)->commit, "COMMIT");
}

static bool sqlite_in_transaction(struct db *db)
{
    return sqlite3_get_autocommit(sqlite_of(db)->handle) == 0;
}

static void sqlite_rollback(struct db *db)
{
    if (sqlite_in_transaction(db))
        (void)run_once(db, &sqlite_of(db)->rollback,
                       "ROLLBACK"); /* whatever it says, the transaction is gone */
}

static const struct query savepoints[] = {
    {"SAVEPOINT s0", NULL}, {"SAVEPOINT s1", NULL}, {"SAVEPOINT s2", NULL}, {"SAVEPOINT s3", NULL},
    {"SAVEPOINT s4", NULL}, {"SAVEPOINT s5", NULL}, {"SAVEPOINT s6", NULL}, {"SAVEPOINT s7", NULL},
};
static const struct query releases[] = {
    {"RELEASE s0", NULL}, {"RELEASE s1", NULL}, {"RELEASE s2", NULL}, {"RELEASE s3", NULL},
    {"RELEASE s4", NULL}, {"RELEASE s5", NULL}, {"RELEASE s6", NULL}, {"RELEASE s7", NULL},
};
static const struct query rollbacks[] = {
    {"ROLLBACK TO s0", NULL}, {"ROLLBACK TO s1", NULL}, {"ROLLBACK TO s2", NULL},
    {"ROLLBACK TO s3", NULL}, {"ROLLBACK TO s4", NULL}, {"ROLLBACK TO s5", NULL},
    {"ROLLBACK TO s6", NULL}, {"ROLLBACK TO s7", NULL},
};

static int run_query(struct db *db, const struct query *query)
{
    struct stmt *stmt = db_cached(db, query);
    int r = 0;

    if (!stmt) {
        r = sqlite_prepare(db, query->text, &stmt);
        if (r < 0)
            return r;
        db_cache(db, query, stmt);
    }
    r = sqlite_step(db, stmt);
    sqlite_reset(db, stmt);
    return r;
}

static int sqlite_savepoint(struct db *db, size_t depth)
{
    assert(depth < countof(savepoints));
    return run_query(db, &savepoints[depth]);
}

static int sqlite_release(struct db *db, size_t depth)
{
    assert(depth < countof(releases));
    return run_query(db, &releases[depth]);
}

static int sqlite_rollback_to(struct db *db, size_t depth)
{
    assert(depth < countof(rollbacks));
    int r = run_query(db, &rollbacks[depth]);

    return r < 0 ? r : run_query(db, &releases[depth]);
}

/* ── the log ── */

static int on_commit(void *context, sqlite3 *handle, const char *name, int pages)
{
    struct sqlite_db *s = context;

    (void)handle;
    (void)name;
    s->log_pages = pages;
    return SQLITE_OK;
}

static int64_t sqlite_log_pages(struct db *db)
{
    return sqlite_of(db)->log_pages;
}

static int sqlite_checkpoint(struct db *db, enum db_checkpoint mode)
{
    static const int modes[] = {
        [DB_CHECKPOINT_PASSIVE] = SQLITE_CHECKPOINT_PASSIVE,
        [DB_CHECKPOINT_RESTART] = SQLITE_CHECKPOINT_RESTART,
        [DB_CHECKPOINT_TRUNCATE] = SQLITE_CHECKPOINT_TRUNCATE,
    };
    sqlite3 *handle = sqlite_of(db)->handle;
    int total = 0;
    int moved = 0;

    (void)sqlite3_busy_timeout(handle, CHECKPOINT_WAIT_MS);
    int r = error_of(handle, sqlite3_wal_checkpoint_v2(handle, NULL, modes[mode], &total, &moved));

    (void)sqlite3_busy_timeout(handle, BUSY_WAIT_MS);
    if (r < 0)
        return r;
    return moved < total ? -E_BUSY : 0;
}

/* Each piece of the file is written again as it is read, and then flushed. */
static int rewrite(sqlite3_file *file)
{
    sqlite3_int64 size = 0;
    char *piece;
    int rc;

    if (!file || !file->pMethods)
        return SQLITE_OK; /* there is no log */
    piece = xcalloc(1, RENEW_PIECE_BYTES);
    rc = file->pMethods->xFileSize(file, &size);
    for (sqlite3_int64 at = 0; at < size && rc == SQLITE_OK; at += RENEW_PIECE_BYTES) {
        int len = (int)MIN_OF(size - at, (sqlite3_int64)RENEW_PIECE_BYTES);

        rc = file->pMethods->xRead(file, piece, len, at);
        if (rc == SQLITE_OK)
            rc = file->pMethods->xWrite(file, piece, len, at);
    }
    if (rc == SQLITE_OK && size > 0)
        rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
    (void)xfree(piece);
    return rc;
}

/*
 * A flush that failed leaves its pages in memory, marked as written: no later flush writes them (Linux). The process gives up
 * or is killed, the next one reads them back as a part of the log, and a power failure would take them, and with them all
 * that was appended since. So what we begin with is written once more. The write lock keeps others from appending
 * meanwhile.
 */
static int sqlite_renew_log(struct db *db)
{
    sqlite3 *handle = sqlite_of(db)->handle;
    sqlite3_file *file = NULL;
    int r = sqlite_begin(db, true);

    if (r < 0)
        return r;
    r = error_of(handle, sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&file));
    if (r == 0)
        r = error_of(handle, rewrite(file));
    sqlite_rollback(db);
    return r;
}

/* ── open, close ── */

static struct db *sqlite_close(struct db *db)
{
    struct sqlite_db *s = sqlite_of(db);
    struct stmt *own[] = {s->begin_read, s->begin_write, s->commit, s->rollback};

    for (size_t i = 0; i < countof(own); i++)
        (void)sqlite3_finalize(stmt_of(own[i])); /* repeats an old error, or NULL */
    for (size_t i = 0; i < DB_STATEMENTS; i++)
        (void)sqlite3_finalize(stmt_of(db->cache[i].stmt));
    int rc = sqlite3_close(s->handle);
    assert(rc == SQLITE_OK); /* all statements are finalized */
    (void)rc;
    return xfree(s);
}

static const struct db_ops sqlite_ops = {
    .name = "sqlite",
    .close = sqlite_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .savepoint = sqlite_savepoint,
    .release = sqlite_release,
    .rollback_to = sqlite_rollback_to,
    .in_transaction = sqlite_in_transaction,
    .exec = sqlite_exec,
    .prepare = sqlite_prepare,
    .bind = sqlite_bind,
    .step = sqlite_step,
    .reset = sqlite_reset,
    .column = sqlite_column,
    .columns = sqlite_columns,
    .changed = sqlite_changed,
    .checkpoint = sqlite_checkpoint,
    .log_pages = sqlite_log_pages,
    .renew_log = sqlite_renew_log,
};

static void configure_library(void)
{
    /* Its memory statistics are a lock that all threads would share. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS,
                         0);    /* fails only when somebody initialised first: still correct */
    (void)sqlite3_initialize(); /* repeated by sqlite3_open, which reports */
    sqlite_log_register();
}

static int set_up(struct sqlite_db *s, int64_t cache_kib)
{
    char sql[512];

    (void)sqlite3_extended_result_codes(s->handle, 1);
    (void)sqlite3_busy_timeout(s->handle, BUSY_WAIT_MS);
    (void)snprintf(
        sql, sizeof(sql),
        "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -%lld;",
        (long long)cache_kib);
    int r = sqlite_exec(&s->head, sql);
    if (r < 0)
        return r;
    /* Also turns automatic checkpoints off. */
    (void)sqlite3_wal_hook(s->handle, on_commit, s);
    return 0;
}

static int sqlite_open(const char *path, int64_t cache_kib, struct fail *fail, struct db **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct sqlite_db *s = xcalloc(1, sizeof(*s));
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

    (void)pthread_once(&once, configure_library);
    s->head.ops = &sqlite_ops;
    int rc = sqlite3_open_v2(path, &s->handle, flags, SQLITE_LOG_VFS);
    int r = rc == SQLITE_OK ? set_up(s, cache_kib) : error_of(s->handle, rc);
    if (r < 0) {
        r = fail_text(fail, (enum error_code) - r, "cannot open the database %s: %s", path,
                      sqlite3_errmsg(s->handle));
        (void)sqlite_close(&s->head);
        return r;
    }
    *ret = &s->head;
    return 0;
}

const struct db_driver sqlite_driver = {
    .name = "sqlite",
    .key_type = "INTEGER", /* makes the column the row's own number */
    .bytes_type = "BLOB",
    .text_type = "TEXT",
    .compact = "WITHOUT ROWID",
    .open = sqlite_open,
};
