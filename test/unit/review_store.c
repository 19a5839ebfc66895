/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to lose or to repeat what was stored that were looked for: the log's layer on a full disk, nonces under a clock
 * that goes back. */
#include "unit/store_fixture.h"

#include <fcntl.h>
#include <sqlite3.h>

#include "store/sqlite_log.h"

/* ── a disk that can be full: the file system under the log's layer ── */

static sqlite3_vfs *disk;
static const sqlite3_io_methods *disk_methods;
static sqlite3_io_methods full_methods;
static bool disk_is_full;

static int full_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    return disk_is_full ? SQLITE_FULL : disk_methods->xWrite(file, bytes, len, offset);
}

static int full_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    int rc = disk->xOpen(disk, name, file, flags, ret_flags);

    (void)vfs;
    if (rc != SQLITE_OK || !(flags & SQLITE_OPEN_WAL))
        return rc;
    disk_methods = file->pMethods;
    full_methods = *disk_methods;
    full_methods.xWrite = full_write;
    file->pMethods = &full_methods;
    return rc;
}

/* The layer stands on whatever is the default when the first database is opened. */
static void register_disk(void)
{
    static sqlite3_vfs vfs;

    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    disk = sqlite3_vfs_find(NULL);
    vfs = *disk;
    vfs.pNext = NULL;
    vfs.zName = "full";
    vfs.xOpen = full_open;
    assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

static void run_sql(sqlite3 *db, const char *sql)
{
    char *message = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

static int on_text(void *arg, int count, char **values, char **names)
{
    char *text = arg;

    (void)count;
    (void)names;
    (void)snprintf(text, 64, "%s", values[0] ? values[0] : "");
    return 0;
}

static void copy_file(const char *folder, const char *from, const char *to)
{
    char path[128];
    char bytes[4096];
    ssize_t n;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, from);
    int in = open(path, O_RDONLY);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, to);
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, bytes, sizeof(bytes))) > 0)
        assert_int_equal(write(out, bytes, (size_t)n), n);
    assert_int_equal(n, 0);
    (void)close(in);
    (void)close(out);
}

/* What a restart after kill -9 would find: the files as they are, opened by another. */
static int64_t rows_after_crash(struct fixture *f)
{
    char text[64] = "";
    char path[128];
    sqlite3 *db;

    copy_file(f->folder, "ecsd.db", "copy.db");
    copy_file(f->folder, "ecsd.db-wal", "copy.db-wal");
    (void)snprintf(path, sizeof(path), "%s/copy.db", f->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA integrity_check", on_text, text, NULL), SQLITE_OK);
    assert_string_equal(text, "ok");
    assert_int_equal(sqlite3_exec(db, "SELECT count(*) FROM t", on_text, text, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    (void)unlink(path);
    return strtoll(text, NULL, 10);
}

static sqlite3 *open_small(struct fixture *f)
{
    struct fail fail;
    struct db *any;
    sqlite3 *db;

    fail_init(&fail, &f->arena);
    assert_int_equal(sqlite_driver.open(f->path, 256, &fail, &any), 0); /* registers the layer */
    any->ops->close(any);
    assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, SQLITE_LOG_VFS), SQLITE_OK);
    /* A cache of a few pages: the log gets pages of a transaction before its end. */
    run_sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 10;"
                "CREATE TABLE t (k INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT);");
    return db;
}

/*
 * The disk fills up while a transaction has pages in the layer, and the statement that meets it takes back only itself.
 * What the layer held must not be missing from a transaction that then commits. `rows` moves the moment about.
 */
static void fill_up_after(struct fixture *f, sqlite3 *db, int rows, int *ret_met)
{
    int64_t before = rows_after_crash(f);
    char sql[256];

    run_sql(db, "BEGIN IMMEDIATE");
    (void)snprintf(sql, sizeof(sql),
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                   " INSERT INTO t (a, b) SELECT hex(randomblob(20)), hex(randomblob(600)) FROM n",
                   rows);
    run_sql(db, sql);
    disk_is_full = true;
    int rc = sqlite3_exec(db, "UPDATE t SET a = a || 'x' WHERE k % 7 = 0", NULL, NULL, NULL);
    disk_is_full = false;
    *ret_met += rc != SQLITE_OK;
    if (sqlite3_get_autocommit(db)) {
        assert_int_equal(rows_after_crash(f), before);
        return;
    }
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(rows_after_crash(f), before + rows);
}

static void a_full_disk_leaves_no_hole_in_the_log(void **state)
{
    struct fixture f;
    int met = 0;

    (void)state;
    fixture_init(&f);
    sqlite3 *db = open_small(&f);
    for (int rows = 10; rows < 200; rows += 3)
        fill_up_after(&f, db, rows, &met);
    assert_true(met > 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    fixture_done(&f);
}

/* ── nonces ── */

#define START ((usec_t)1800000000 * USEC_PER_SEC)
#define KEEP (1860 * USEC_PER_SEC)

struct used {
    const char *nonce;
    usec_t stamp_us;
};

static int use(struct tx *tx, void *arg)
{
    const struct used *used = arg;

    return store_nonce_put(tx, STR("key"), str_from(used->nonce), used->stamp_us, tx_now(tx) + KEEP);
}

static int purge(struct tx *tx, void *arg)
{
    (void)arg;
    return store_nonce_purge(tx, tx_now(tx), 100);
}

static void reopen_at(struct fixture *f, usec_t now)
{
    f->store = store_close(f->store);
    f->env = env_free(f->env);
    f->env = env_new_seeded(1, now);
    fixture_open(f);
}

/* What was forgotten while the clock ran ahead is refused by its time stamp when the clock is right again. */
static void a_clock_that_ran_ahead_opens_no_window_for_replays(void **state)
{
    struct fixture f;
    struct used first = {"one", START};
    struct used later = {"two", START + USEC_PER_SEC};

    (void)state;
    fixture_init(&f);
    reopen_at(&f, START);
    assert_int_equal(store_write(f.store, use, &first), 0);
    assert_int_equal(store_write(f.store, use, &first), -E_EXISTS);
    env_advance(f.env, 24 * 3600 * USEC_PER_SEC);
    assert_int_equal(store_write(f.store, purge, NULL), 0);
    assert_int_equal(store_write(f.store, use, &first), -E_EXISTS);
    reopen_at(&f, START + 10 * USEC_PER_SEC);
    assert_int_equal(store_write(f.store, use, &first), -E_EXISTS);
    assert_int_equal(store_write(f.store, use, &later), 0); /* what is newer goes on */
    fixture_done(&f);
}

/* ── one process per database ── */

/* Another name for the same file is not another database. */
static void a_link_to_the_database_is_the_database(void **state)
{
    struct store_settings settings = {.cache_mib = 1, .checkpoint_ms = 100};
    char folder[] = "/tmp/ecsd-link-XXXXXX";
    struct store *second = NULL;
    struct fixture f;
    struct fail why;
    char path[64];

    (void)state;
    fixture_init(&f);
    fixture_open(&f);
    settings.env = f.env;
    fail_init(&why, &f.arena);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/ecsd.db", folder);
    assert_int_equal(symlink(f.path, path), 0);
    assert_int_equal(store_open_with(&sqlite_driver, path, &settings, &why, &second), -E_BUSY);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_leaves_no_hole_in_the_log),
        cmocka_unit_test(a_clock_that_ran_ahead_opens_no_window_for_replays),
        cmocka_unit_test(a_link_to_the_database_is_the_database),
    };

    register_disk();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
