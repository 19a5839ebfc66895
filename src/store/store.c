/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, closing, the lock of the data folder, and the readers. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/bug.h"
#include "base/mem.h"
#include "store/core.h"
#include "store/postgres.h"

#define READER_CACHE_SHARE 4 /* a reader's page cache is this part of the writer's */

#define LOCK_WAIT_MS 1000

/* ── the lock ── */

/* "…/ecsd.db" → "…/lock", in the folder where the file really is, whatever leads to it. */
static char *lock_path(const char *path)
{
    char real[PATH_MAX];

    if (realpath(path, real))
        path = real;
    const char *slash = strrchr(path, '/');
    size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    char *text = xcalloc(folder + sizeof("lock"), 1);

    memcpy(text, path, folder);
    memcpy(text + folder, "lock", sizeof("lock"));
    return text;
}

/*
 * Takes it. A process that was killed a moment ago may still have it: its end is waited for, briefly; one that lives on keeps
 * it. False: it is taken.
 */
static bool lock_file(int fd)
{
    char text[32];
    struct pollfd end = {.events = POLLIN};
    ssize_t n;
    int64_t pid;

    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    n = pread(fd, text, sizeof(text), 0);
    if (n <= 1 || str_to_i64(str_slice(text, (size_t)n - 1), &pid) < 0 || pid <= 0 || pid > INT32_MAX)
        return false;
    end.fd = (int)syscall(SYS_pidfd_open, (int)pid, 0);
    if (end.fd >= 0) {
        (void)poll(&end, 1, LOCK_WAIT_MS); /* whatever comes of it: the lock tells */
        (void)close(end.fd);
    }
    return flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static int lock_refused(int fd, const char *path, struct fail *fail)
{
    char holder[32] = "";
    ssize_t got = pread(fd, holder, sizeof(holder) - 1, 0);

    if (got <= 0)
        return fail_text(fail, E_BUSY,
                         "%s is held by another process; stop it or use another data folder", path);
    holder[strcspn(holder, "\n")] = '\0';
    return fail_text(fail, E_BUSY,
                     "the data folder is in use by the ecsd with process id %s (%s); stop it or "
                     "use another data folder",
                     holder, path);
}

/* The lock goes with the process, also after kill -9; the number in the file is for people. */
static int lock_take(struct store *store, const char *file, struct fail *fail)
{
    _cleanup_(xfree_cleanup) char *path = lock_path(file);
    char text[32];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return fail_text(fail, E_IO, "cannot write the data folder (%s): %s", path,
                         strerror(errno));
    if (!lock_file(fd)) {
        int r = lock_refused(fd, path, fail);

        (void)close(fd); /* nothing was written */
        return r;
    }
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len) {
        (void)close(fd); /* the first failure is the one to tell */
        return fail_text(fail, E_IO, "cannot write the data folder (%s): %s", path,
                         strerror(errno));
    }
    store->lock_fd = fd;
    return 0;
}

/* A database elsewhere has its own lock; the folder has things beside it. */
static int lock_folder(struct store *store, const struct store_settings *settings, struct fail *fail)
{
    _cleanup_(xfree_cleanup) char *file = NULL;
    size_t len;

    if (!store->driver->lock)
        return lock_take(store, store->path, fail);
    if (!settings->folder)
        return 0;
    len = strlen(settings->folder) + sizeof("/ecsd.db");
    file = xcalloc(len, 1);
    (void)snprintf(file, len, "%s/ecsd.db", settings->folder); /* where it would be: the same lock */
    return lock_take(store, file, fail);
}

/* ── readers ── */

static int reader_new(struct store *store, struct fail *fail, struct tx **ret)
{
    struct db *db = NULL;
    int r = store->driver->open(store->path, store->reader_cache_kib, fail, &db);

    if (r < 0)
        return r;
    struct tx *tx = xcalloc(1, sizeof(*tx));

    tx->store = store;
    tx->db = db;
    arena_init(&tx->arena, LIMIT_CALL_ARENA_BYTES);
    *ret = tx;
    return 0;
}

static void reader_free(struct tx *tx)
{
    tx->db->ops->close(tx->db);
    arena_done(&tx->arena);
    xfree(tx);
}

/*
 * An idle reader, or a new one, or, when there are STORE_READERS_MAX or no more can be opened, the
 * next that gets idle. store_open made one, so that there is always somebody to wait for.
 */
static struct tx *reader_take(struct store *store)
{
    struct tx *tx = NULL;
    struct arena text;
    struct fail fail;

    arena_init(&text, 1 << 20);
    fail_init(&fail, &text);
    pthread_mutex_lock(&store->reader_mutex);
    bool may_open = store->reader_count < STORE_READERS_MAX;
    if (!store->readers_free && may_open) {
        store->reader_count++;
        pthread_mutex_unlock(&store->reader_mutex);
        int r = reader_new(store, &fail, &tx);
        pthread_mutex_lock(&store->reader_mutex);
        if (r < 0)
            store->reader_count--;
    }
    while (!tx && !store->readers_free)
        pthread_cond_wait(&store->reader_cond, &store->reader_mutex);
    if (!tx) {
        tx = store->readers_free;
        store->readers_free = tx->next_free;
    }
    pthread_mutex_unlock(&store->reader_mutex);
    arena_done(&text);
    return tx;
}

struct tx *store_read_begin(struct store *store)
{
    struct tx *tx = reader_take(store);

    assert(!tx->active);
    tx->active = true;
    tx->now = env_now(store->env);
    tx->lost = tx->db->ops->begin(tx->db, false); /* reads then answer with it */
    return tx;
}

void store_read_end(struct tx *tx)
{
    struct store *store = tx->store;

    assert(tx->active && !tx->is_write);
    if (tx->db->ops->in_transaction(tx->db) && tx->db->ops->commit(tx->db) < 0)
        tx->db->ops->rollback(tx->db);
    tx->active = false;
    tx->lost = 0;
    arena_reset(&tx->arena);
    pthread_mutex_lock(&store->reader_mutex);
    tx->next_free = store->readers_free;
    store->readers_free = tx;
    pthread_cond_signal(&store->reader_cond);
    pthread_mutex_unlock(&store->reader_mutex);
}

uint64_t store_tenants_version(const struct store *store)
{
    return atomic_load(&store->tenants_version);
}

struct arena *tx_arena(struct tx *tx)
{
    return &tx->arena;
}

usec_t tx_now(struct tx *tx)
{
    return tx->now;
}

struct env *tx_env(struct tx *tx)
{
    return tx->store->env;
}

bool tx_is_write(const struct tx *tx)
{
    return tx->is_write;
}

/* ── open, close ── */

/* Keys of jobs and events are times: a clock that was set back, or stands, must not give one again. */
static int sequence_load(struct store *store, struct tx *tx)
{
    static const struct query query = {
        "SELECT MAX(id) FROM (SELECT MAX(id) AS id FROM job UNION ALL SELECT MAX(id) FROM event) t",
        NULL};
    int64_t newest = 0;
    int r = rows_number(tx, &query, NO_ARGS, 0, &newest);

    if (r == 0)
        env_sequence_after(store->env, newest);
    return r;
}

static int load(struct store *store, struct fail *fail)
{
    struct tx *first = NULL;
    int r = reader_new(store, fail, &first);

    if (r < 0)
        return r;
    store->reader_count = 1;
    store->readers_free = first;
    struct tx *tx = store_read_begin(store);

    r = nonce_load(store, tx);
    if (r == 0)
        r = sequence_load(store, tx);
    store_read_end(tx);
    return r < 0
               ? fail_text(fail, (enum error_code) - r, "cannot read the database %s", store->path)
               : 0;
}

static struct store *store_new(const struct db_driver *driver, const char *path,
                               const struct store_settings *settings)
{
    struct store *store = xcalloc(1, sizeof(*store));
    pthread_condattr_t attr;

    store->driver = driver;
    store->env = settings->env;
    store->path = xstrdup(path);
    store->lock_fd = -1;
    store->checkpoint_ms = settings->checkpoint_ms;
    store->reader_cache_kib = MAX_OF(settings->cache_mib * 1024 / READER_CACHE_SHARE, 256);
    store->seed = env_random_u64(store->env);
    writer_init(store);
    pthread_mutex_init(&store->reader_mutex, NULL);
    pthread_cond_init(&store->reader_cond, NULL);
    pthread_mutex_init(&store->checkpoint_mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&store->checkpoint_cond, &attr);
    pthread_condattr_destroy(&attr);
    return store;
}

static int renew_log(struct store *store, struct fail *fail)
{
    int r = store->writer.db->ops->renew_log(store->writer.db);

    return r < 0 ? fail_text(fail, (enum error_code) - r, "cannot write the log of the database %s; look at the disk",
                             store->path)
                 : 0;
}

int store_open_with(const struct db_driver *driver, const char *path,
                    const struct store_settings *settings, struct fail *fail, struct store **ret)
{
    assert(settings->env && settings->cache_mib > 0 && settings->checkpoint_ms > 0);
    struct store *store = store_new(driver, path, settings);
    int r = lock_folder(store, settings, fail);

    if (r == 0)
        r = driver->open(path, settings->cache_mib * 1024, fail, &store->writer.db);
    if (r == 0 && driver->lock)
        r = driver->lock(store->writer.db, str_empty(settings->node) ? STR("local") : settings->node, fail);
    if (r == 0 && !BUG(log_not_renewed))
        r = renew_log(store, fail);
    if (r == 0)
        r = schema_apply(store->writer.db, driver, env_now(store->env), fail);
    if (r == 0)
        r = load(store, fail);
    if (r < 0) {
        (void)store_close(store); /* returns NULL */
        return r;
    }
    *ret = store;
    return 0;
}

int store_open(const char *url, const struct store_settings *settings, struct fail *fail,
               struct store **ret)
{
    const struct str prefix = STR("sqlite:");

    if (str_starts(str_from(url), STR("postgresql://")) || str_starts(str_from(url), STR("postgres://")))
        return store_open_with(&postgres_driver, url, settings, fail, ret);
    if (!str_starts(str_from(url), prefix) || url[prefix.len] == '\0')
        return fail_text(fail, E_INVALID, "the store \"%s\" is not known; use sqlite:FOLDER/ecsd.db or postgresql://…", url);
    return store_open_with(&sqlite_driver, url + prefix.len, settings, fail, ret);
}

int store_start(struct store *store)
{
    assert(!store->started && !store->stopping);
    struct arena text;
    struct fail fail;

    arena_init(&text, 1 << 20);
    fail_init(&fail, &text);
    int r = store->driver->open(store->path, 256, &fail, &store->checkpoint_db);
    arena_done(&text);
    if (r < 0)
        return r;
    store->started = true;
    if (pthread_create(&store->writer_thread, NULL, writer_thread, store) != 0) {
        store->started = false;
        return -E_AGAIN;
    }
    store->checkpointing = true;
    if (pthread_create(&store->checkpoint_thread, NULL, checkpoint_thread, store) != 0) {
        store->checkpointing = false;
        store_stop(store);
        return -E_AGAIN;
    }
    return 0;
}

void store_stop(struct store *store)
{
    pthread_mutex_lock(&store->queue_mutex);
    store->stopping = true;
    pthread_cond_broadcast(&store->queue_cond);
    pthread_mutex_unlock(&store->queue_mutex);
    if (store->started) {
        pthread_join(store->writer_thread, NULL);
        store->started = false;
    }
    while (store_run_once(store) > 0)
        ;
    if (store->checkpointing) {
        pthread_mutex_lock(&store->checkpoint_mutex);
        store->checkpoint_stop = true;
        pthread_cond_signal(&store->checkpoint_cond);
        pthread_mutex_unlock(&store->checkpoint_mutex);
        pthread_join(store->checkpoint_thread, NULL);
        store->checkpointing = false;
    }
}

struct store *store_close(struct store *store)
{
    if (!store)
        return NULL;
    if (store->started)
        store_stop(store);
    if (store->checkpoint_db)
        store->checkpoint_db = store->checkpoint_db->ops->close(store->checkpoint_db);
    while (store->readers_free) {
        struct tx *tx = store->readers_free;

        store->readers_free = tx->next_free;
        store->reader_count--;
        reader_free(tx);
    }
    assert(store->reader_count == 0); /* a reading transaction is still open */
    writer_done(store); /* the last connection: SQLite checkpoints and removes the log */
    pthread_mutex_destroy(&store->reader_mutex);
    pthread_cond_destroy(&store->reader_cond);
    pthread_mutex_destroy(&store->checkpoint_mutex);
    pthread_cond_destroy(&store->checkpoint_cond);
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd); /* gives the lock back; the file stays, so that nobody locks a
                                        removed one */
    xfree(store->path);
    return xfree(store);
}
