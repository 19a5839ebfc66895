/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/disk_fault.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "base/macro.h"
#include "kit/medium.h"

/* What SQLite sees; the real file stands behind it in the memory that SQLite gave. */
struct disk_file {
    sqlite3_file head;
    struct medium *medium;
};

static sqlite3_vfs *real_vfs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows, and all media */
static struct disk_fault_plan plan;
static struct disk_fault_counts counts;
static int64_t turns; /* calls that the plan counts */
static bool stopped;

static struct medium *medium_of(sqlite3_file *file)
{
    return ((struct disk_file *)(void *)file)->medium;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return (sqlite3_file *)(void *)((struct disk_file *)(void *)file + 1);
}

static void disk_lock(void)
{
    if (pthread_mutex_lock(&lock) != 0)
        abort();
}

static void disk_unlock(void)
{
    if (pthread_mutex_unlock(&lock) != 0)
        abort();
}

/* ── which calls fail ── */

/* One call: what the plan has for it. */
struct turn {
    bool fails;
    bool full; /* says that there is no room */
    bool part; /* some of a write is done */
};

static struct turn fail_by(enum disk_failure how)
{
    struct turn turn = {.fails = true};

    counts.failed++;
    turn.full = how == DISK_FAILURE_FULL || how == DISK_FAILURE_SHORT;
    turn.part = how == DISK_FAILURE_SHORT || how == DISK_FAILURE_STOP;
    stopped = how == DISK_FAILURE_STOP;
    return turn;
}

static struct turn take_turn(enum disk_op op)
{
    int64_t *count = op == DISK_OP_WRITE ? &counts.writes : op == DISK_OP_SYNC ? &counts.syncs : &counts.reads;

    ++*count;
    if (stopped && op != DISK_OP_READ) {
        counts.failed++;
        return (struct turn){.fails = true};
    }
    if (stopped || !(plan.ops & op) || plan.nth == 0)
        return (struct turn){0};
    turns++;
    if (turns < plan.nth || turns - plan.nth >= MAX_OF(1, plan.count))
        return (struct turn){0};
    return fail_by(plan.how);
}

/* ── files ── */

static int disk_close(sqlite3_file *file)
{
    disk_lock();
    int rc = real_of(file)->pMethods->xClose(real_of(file));
    medium_of(file)->open--;
    disk_unlock();
    return rc;
}

static int disk_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 offset)
{
    disk_lock();
    int rc = take_turn(DISK_OP_READ).fails ? SQLITE_IOERR_READ
                                          : real_of(file)->pMethods->xRead(real_of(file), bytes, len, offset);
    disk_unlock();
    return rc;
}

static int write_real(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    int rc = len > 0 ? real_of(file)->pMethods->xWrite(real_of(file), bytes, len, offset) : SQLITE_OK;

    if (rc == SQLITE_OK)
        medium_wrote(medium_of(file), bytes, len, offset);
    return rc;
}

static int disk_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    disk_lock();
    struct turn turn = take_turn(DISK_OP_WRITE);
    int part = turn.fails ? 0 : len;

    if (turn.part)
        part = (int)(chance(&plan.seed) % (uint64_t)len); /* never all of it */
    int rc = write_real(file, bytes, part, offset);
    disk_unlock();
    if (turn.fails)
        return turn.full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    return rc;
}

static int disk_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int rc = SQLITE_IOERR_TRUNCATE;

    disk_lock();
    if (!take_turn(DISK_OP_WRITE).fails)
        rc = real_of(file)->pMethods->xTruncate(real_of(file), size);
    if (rc == SQLITE_OK)
        medium_cut(medium_of(file), size);
    disk_unlock();
    return rc;
}

/* The real file is not flushed: what is flushed is known here, and the tests' folder needs to survive nothing. */
static int disk_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    disk_lock();
    bool fails = take_turn(DISK_OP_SYNC).fails;

    if (!fails)
        medium_flushed(medium_of(file));
    else if (!stopped)
        medium_flush_failed(medium_of(file));
    disk_unlock();
    return fails ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int disk_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), ret);
}

static int disk_control(sqlite3_file *file, int op, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int disk_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int disk_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

/* Locks and shared memory are of the processes, not of the disk. */
static int file_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_check_lock(sqlite3_file *file, int *ret)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), ret);
}

static int shm_map(sqlite3_file *file, int page, int page_bytes, int extend, void volatile **ret)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, page_bytes, extend, ret);
}

static int shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shm_unmap(sqlite3_file *file, int delete)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), delete);
}

static const sqlite3_io_methods disk_methods = {
    .iVersion = 2, /* never mapped: what is written must pass here */
    .xClose = disk_close,
    .xRead = disk_read,
    .xWrite = disk_write,
    .xTruncate = disk_truncate,
    .xSync = disk_sync,
    .xFileSize = disk_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = disk_control,
    .xSectorSize = disk_sector_size,
    .xDeviceCharacteristics = disk_characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

/* ── names ── */

static int open_tracked(const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    struct medium *medium = medium_get(name);
    bool fresh = !medium->here;

    if (fresh && stopped)
        return SQLITE_CANTOPEN;
    int rc = real_vfs->xOpen(real_vfs, name, real_of(file), flags, ret_flags);
    if (rc != SQLITE_OK)
        return rc;
    if (fresh)
        medium_made(medium, (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0);
    medium->open++;
    ((struct disk_file *)(void *)file)->medium = medium;
    file->pMethods = &disk_methods;
    return SQLITE_OK;
}

/* The layer above is a copy of this one's table: the first argument may be either. */
static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)vfs;
    file->pMethods = NULL;
    if (!name) /* temporary: nobody looks for it after a failure */
        return real_vfs->xOpen(real_vfs, name, file, flags, ret_flags);
    disk_lock();
    int rc = open_tracked(name, file, flags, ret_flags);
    disk_unlock();
    return rc;
}

static int disk_delete(sqlite3_vfs *vfs, const char *name, int flush_folder)
{
    int rc = SQLITE_IOERR_DELETE;

    (void)vfs;
    disk_lock();
    struct medium *medium = medium_get(name);
    if (!take_turn(DISK_OP_WRITE).fails)
        rc = real_vfs->xDelete(real_vfs, name, 0);
    if (rc == SQLITE_OK)
        medium_removed(medium, flush_folder != 0);
    disk_unlock();
    return rc;
}

static int disk_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    (void)vfs;
    return real_vfs->xAccess(real_vfs, name, flags, ret);
}

static int disk_full_path(sqlite3_vfs *vfs, const char *name, int room, char *ret)
{
    (void)vfs;
    return real_vfs->xFullPathname(real_vfs, name, room, ret);
}

void disk_fault_install(void)
{
    static sqlite3_vfs vfs;

    if (real_vfs)
        return;
    if (sqlite3_initialize() != SQLITE_OK)
        abort();
    real_vfs = sqlite3_vfs_find(NULL);
    assert(real_vfs);
    vfs = *real_vfs;
    vfs.pNext = NULL;
    vfs.zName = "disk-fault";
    vfs.szOsFile = (int)sizeof(struct disk_file) + real_vfs->szOsFile;
    vfs.xOpen = disk_open;
    vfs.xDelete = disk_delete;
    vfs.xAccess = disk_access;
    vfs.xFullPathname = disk_full_path;
    if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
        abort();
}

void disk_fault_arm(const struct disk_fault_plan *next)
{
    disk_lock();
    plan = next ? *next : (struct disk_fault_plan){0};
    counts = (struct disk_fault_counts){0};
    turns = 0;
    stopped = false;
    disk_unlock();
}

struct disk_fault_counts disk_fault_counts(void)
{
    disk_lock();
    struct disk_fault_counts copy = counts;
    disk_unlock();
    return copy;
}

void disk_fault_power_failure(const char *dir, uint64_t seed)
{
    disk_lock();
    media_power_failure(dir, seed);
    disk_unlock();
}

void disk_fault_forget(const char *dir)
{
    disk_lock();
    media_forget(dir);
    disk_unlock();
}

int64_t disk_fault_unsynced(const char *dir)
{
    disk_lock();
    int64_t total = media_unsynced(dir);
    disk_unlock();
    return total;
}
