/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite writes each page of the write-ahead log with two system calls: a batch of 64 stops makes
 * about 500. This layer gathers what is written in a row and hands it on in pieces of
 * LOG_PIECE_BYTES.
 *
 * Why that is safe: SQLite tells other connections of frames only after the commit's sync (all our
 * connections are synchronous=FULL), and whatever is not a write in a row (sync, read, truncate,
 * size, close) hands on the rest first.
 *
 * When handing on fails, the piece is dropped, and with it pages of statements that have succeeded:
 * the whole transaction must go. A write or sync that fails sees to that. Any other call must not
 * answer that the disk is full, after which SQLite may take back one statement and let the rest be
 * committed with a hole; it answers that writing failed, after which SQLite takes back all.
 *
 * When a flush fails, its commit is in the file all the same: SQLite doesn't count it, its callers
 * hear of the failure, and the next process would find it whole and carry it out. So the head of its
 * first frame is overwritten with zeros, and that is flushed: recovery ends there. The next commit
 * begins at the same place.
 */
#include "store/sqlite_log.h"

#include <sqlite3.h>

#include "base/log.h"
#include "base/macro.h"
#include "base/mem.h"

#define LOG_HEAD_BYTES 32   /* of the file, before the first frame */
#define FRAME_HEAD_BYTES 24 /* salts and sums are in it */
#define LOG_PIECE_BYTES (120 * 1024) /* SQLite's own file layer takes less than 128 KiB at a time  \
                                      */

struct log_file {
    sqlite3_file head; /* what SQLite sees */
    char *piece;       /* NULL until the first write: readers never have one */
    int len;
    sqlite3_int64 offset; /* in the file, of the piece */
    sqlite3_int64 loose;  /* where what is not flushed begins; INT64_MAX: nowhere */
    bool owed;            /* a commit that failed is still in the file */
};

static sqlite3_vfs *inner_vfs;

static struct log_file *log_of(sqlite3_file *file)
{
    return (struct log_file *)(void *)file;
}

/* The real file stands behind ours in the memory that SQLite gave. */
static sqlite3_file *inner_of(sqlite3_file *file)
{
    return (sqlite3_file *)(void *)(log_of(file) + 1);
}

static int hand_on(sqlite3_file *file)
{
    struct log_file *log = log_of(file);
    int len = log->len;

    if (len == 0)
        return SQLITE_OK;
    log->len = 0;
    return inner_of(file)->pMethods->xWrite(inner_of(file), log->piece, len, log->offset);
}

/* Undoes in the file what failed to be flushed. */
static void take_back(sqlite3_file *file)
{
    static const char zeros[LOG_HEAD_BYTES];
    struct log_file *log = log_of(file);
    sqlite3_file *inner = inner_of(file);
    int len = log->loose == 0 ? LOG_HEAD_BYTES : FRAME_HEAD_BYTES;
    int rc = inner->pMethods->xWrite(inner, zeros, len, log->loose);

    log->owed = rc != SQLITE_OK;
    if (rc == SQLITE_OK)
        rc = inner->pMethods->xSync(inner, SQLITE_SYNC_NORMAL);
    if (rc != SQLITE_OK)
        log_error("a failed commit could not be taken back", LOG_TEXT("error", sqlite3_errstr(rc)),
                  LOG_TEXT("do", "look at the disk of the data folder; if ecsd or the machine ends "
                                 "before the next write, calls that were answered with an error "
                                 "may turn out carried out"));
}

static int log_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    struct log_file *log = log_of(file);

    log->loose = MIN_OF(log->loose, offset);
    if (len > LOG_PIECE_BYTES || log->len > LOG_PIECE_BYTES - len ||
        offset != log->offset + log->len) {
        int rc = hand_on(file);
        if (rc != SQLITE_OK)
            return rc;
        log->offset = offset;
    }
    if (len > LOG_PIECE_BYTES)
        return inner_of(file)->pMethods->xWrite(inner_of(file), bytes, len, offset);
    if (!log->piece)
        log->piece = xcalloc(1, LOG_PIECE_BYTES);
    memcpy(log->piece + log->len, bytes, (size_t)len);
    log->len += len;
    return SQLITE_OK;
}

static int log_close(sqlite3_file *file)
{
    int rc = hand_on(file);

    if (log_of(file)->owed)
        take_back(file);
    int closed = inner_of(file)->pMethods->xClose(inner_of(file));

    log_of(file)->piece = xfree(log_of(file)->piece);
    return rc != SQLITE_OK ? rc : closed;
}

#define AFTER_THE_REST(file, call)                                                                 \
    int rc = hand_on(file);                                                                        \
    sqlite3_file *inner = inner_of(file);                                                          \
    return rc != SQLITE_OK ? SQLITE_IOERR_WRITE : inner->pMethods->call

static int log_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 offset)
{
    AFTER_THE_REST(file, xRead(inner, bytes, len, offset));
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    AFTER_THE_REST(file, xTruncate(inner, size));
}

/*
 * A commit whose last piece could not be written is not whole: recovery passes it over by itself.
 * That the disk is full may be said here: a commit is the one that asks, and goes as a whole.
 */
static int log_sync(sqlite3_file *file, int flags)
{
    struct log_file *log = log_of(file);
    int rc = hand_on(file);

    if (rc != SQLITE_OK)
        return rc;
    rc = inner_of(file)->pMethods->xSync(inner_of(file), flags);
    if (rc == SQLITE_OK) {
        log->loose = INT64_MAX;
        log->owed = false;
    } else if (log->loose != INT64_MAX) {
        take_back(file);
    }
    return rc;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    AFTER_THE_REST(file, xFileSize(inner, ret));
}

static int log_control(sqlite3_file *file, int op, void *arg)
{
    AFTER_THE_REST(file, xFileControl(inner, op, arg));
}

static int log_lock(sqlite3_file *file, int level)
{
    AFTER_THE_REST(file, xLock(inner, level));
}

static int log_unlock(sqlite3_file *file, int level)
{
    AFTER_THE_REST(file, xUnlock(inner, level));
}

static int log_check_lock(sqlite3_file *file, int *ret)
{
    AFTER_THE_REST(file, xCheckReservedLock(inner, ret));
}

static int log_sector_size(sqlite3_file *file)
{
    return inner_of(file)->pMethods->xSectorSize(inner_of(file));
}

static int log_characteristics(sqlite3_file *file)
{
    return inner_of(file)->pMethods->xDeviceCharacteristics(inner_of(file));
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1, /* a log has no shared memory of its own and is never mapped */
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_lock,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

/* Only the log gets the layer; the database's own file is the real one. */
static int log_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL))
        return inner_vfs->xOpen(inner_vfs, name, file, flags, ret_flags);
    *log_of(file) = (struct log_file){.loose = INT64_MAX};
    int rc = inner_vfs->xOpen(inner_vfs, name, inner_of(file), flags, ret_flags);
    if (inner_of(file)->pMethods)
        file->pMethods = &log_methods;
    return rc;
}

void sqlite_log_register(void)
{
    static sqlite3_vfs vfs;

    inner_vfs = sqlite3_vfs_find(NULL);
    if (!inner_vfs)
        return; /* sqlite3_open reports it */
    vfs = *inner_vfs;
    vfs.pNext = NULL;
    vfs.zName = SQLITE_LOG_VFS;
    vfs.szOsFile = (int)sizeof(struct log_file) + inner_vfs->szOsFile;
    vfs.xOpen = log_open;
    (void)sqlite3_vfs_register(&vfs, 0); /* cannot fail once the library is initialised */
}
