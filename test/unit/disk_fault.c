/* SPDX-License-Identifier: Apache-2.0 */
/* The tests' own disk: it fails when told to, and forgets what was not flushed, and nothing else. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "unit/unit.h"

#include "base/mem.h"
#include "kit/disk_fault.h"

#define SECTOR 512
#define SEEDS 60

struct disk {
    char dir[64];
    char path[128];
    sqlite3_file *file;
};

static sqlite3_vfs *vfs(void)
{
    return sqlite3_vfs_find(NULL);
}

static sqlite3_file *open_as(const char *path, int kind)
{
    sqlite3_file *file = xcalloc(1, (size_t)vfs()->szOsFile);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | kind;

    assert_int_equal(vfs()->xOpen(vfs(), path, file, flags, &flags), SQLITE_OK);
    return file;
}

static void close_file(struct disk *disk)
{
    assert_int_equal(disk->file->pMethods->xClose(disk->file), SQLITE_OK);
    disk->file = xfree(disk->file);
}

/* An open file in a folder that was flushed since. */
static void disk_init(struct disk *disk)
{
    int fd;

    memset(disk, 0, sizeof(*disk));
    (void)snprintf(disk->dir, sizeof(disk->dir), "/tmp/disk-XXXXXX");
    assert_non_null(mkdtemp(disk->dir));
    (void)snprintf(disk->path, sizeof(disk->path), "%s/file", disk->dir);
    fd = open(disk->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    disk->file = open_as(disk->path, SQLITE_OPEN_MAIN_DB);
}

static void disk_done(struct disk *disk)
{
    disk_fault_arm(NULL);
    if (disk->file)
        close_file(disk);
    disk_fault_forget(disk->dir);
    (void)unlink(disk->path); /* some tests remove it */
    assert_int_equal(rmdir(disk->dir), 0);
}

/* `sectors` sectors full of `letter`, from sector `at` on. */
static int put(struct disk *disk, char letter, int64_t at, int sectors)
{
    char bytes[16 * SECTOR];

    memset(bytes, letter, sizeof(bytes));
    return disk->file->pMethods->xWrite(disk->file, bytes, sectors * SECTOR, at * SECTOR);
}

static int flush(struct disk *disk)
{
    return disk->file->pMethods->xSync(disk->file, SQLITE_SYNC_NORMAL);
}

/* What is in each sector, as letters: 0 is '.'; '!': not all of it is the same. "": no such file. */
static const char *letters(const struct disk *disk)
{
    static char text[32];
    char bytes[sizeof(text) * SECTOR];
    size_t sectors;
    ssize_t len;
    int fd = open(disk->path, O_RDONLY | O_CLOEXEC);

    text[0] = '\0';
    if (fd < 0)
        return text;
    len = read(fd, bytes, sizeof(bytes));
    assert_int_equal(close(fd), 0);
    assert_true(len >= 0 && len % SECTOR == 0);
    sectors = (size_t)len / SECTOR;
    for (size_t i = 0; i < sectors; i++) {
        text[i] = bytes[i * SECTOR] ? bytes[i * SECTOR] : '.';
        for (size_t b = 1; b < SECTOR; b++)
            if (bytes[i * SECTOR + b] != bytes[i * SECTOR])
                text[i] = '!';
    }
    text[sectors] = '\0';
    return text;
}

static void power_failure(struct disk *disk, uint64_t seed)
{
    close_file(disk);
    disk_fault_power_failure(disk->dir, seed);
}

/* ── what survives ── */

static void flushed_stays(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk disk;

        disk_init(&disk);
        assert_int_equal(put(&disk, 'a', 0, 4), SQLITE_OK);
        assert_int_equal(disk_fault_unsynced(disk.dir), 4 * SECTOR);
        assert_int_equal(flush(&disk), SQLITE_OK);
        assert_int_equal(disk_fault_unsynced(disk.dir), 0);
        power_failure(&disk, seed);
        assert_string_equal(letters(&disk), "aaaa");
        disk_done(&disk);
    }
}

/* Old or new in each sector; none, all and a part of it are all met. */
static void unflushed_is_torn(void **state)
{
    int none = 0;
    int all = 0;
    int part = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk disk;
        const char *found;

        disk_init(&disk);
        assert_int_equal(put(&disk, 'a', 0, 8), SQLITE_OK);
        assert_int_equal(flush(&disk), SQLITE_OK);
        assert_int_equal(put(&disk, 'b', 0, 8), SQLITE_OK);
        assert_string_equal(letters(&disk), "bbbbbbbb");
        power_failure(&disk, seed);
        found = letters(&disk);
        assert_int_equal(strspn(found, "ab"), 8);
        none += strcmp(found, "aaaaaaaa") == 0;
        all += strcmp(found, "bbbbbbbb") == 0;
        part += strchr(found, 'a') && strchr(found, 'b');
        disk_done(&disk);
    }
    assert_true(none > 0 && all > 0 && part > 0);
    assert_int_equal(none + all + part, SEEDS);
}

/* The second of two writes may come to the medium without the first, and the first without the second. */
static void order_is_free(void **state)
{
    bool met[4] = {false};

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk disk;
        const char *found;

        disk_init(&disk);
        assert_int_equal(put(&disk, 'a', 0, 2), SQLITE_OK);
        assert_int_equal(flush(&disk), SQLITE_OK);
        assert_int_equal(put(&disk, 'b', 0, 1), SQLITE_OK);
        assert_int_equal(put(&disk, 'c', 1, 1), SQLITE_OK);
        power_failure(&disk, seed);
        found = letters(&disk);
        met[(found[0] == 'b') + 2 * (found[1] == 'c')] = true;
        disk_done(&disk);
    }
    assert_true(met[0] && met[1] && met[2] && met[3]);
}

/* Growth that was not flushed: what got lost is missing or zeros, never what it had been to be. */
static void growth_is_torn(void **state)
{
    bool zeros = false;
    bool shorter = false;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk disk;
        const char *found;

        disk_init(&disk);
        assert_int_equal(put(&disk, 'a', 0, 1), SQLITE_OK);
        assert_int_equal(flush(&disk), SQLITE_OK);
        assert_int_equal(put(&disk, 'b', 1, 6), SQLITE_OK);
        power_failure(&disk, seed);
        found = letters(&disk);
        assert_int_equal(found[0], 'a');
        assert_int_equal(strspn(found + 1, "b."), strlen(found) - 1);
        zeros = zeros || strchr(found, '.');
        shorter = shorter || strlen(found) < 7;
        disk_done(&disk);
    }
    assert_true(zeros && shorter);
}

static void truncation(void **state)
{
    bool kept = false;
    bool lost = false;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk disk;

        disk_init(&disk);
        assert_int_equal(put(&disk, 'a', 0, 4), SQLITE_OK);
        assert_int_equal(flush(&disk), SQLITE_OK);
        assert_int_equal(disk.file->pMethods->xTruncate(disk.file, SECTOR), SQLITE_OK);
        if (seed % 2)
            assert_int_equal(flush(&disk), SQLITE_OK);
        power_failure(&disk, seed);
        if (seed % 2)
            assert_string_equal(letters(&disk), "a");
        kept = kept || strcmp(letters(&disk), "a") == 0;
        lost = lost || strcmp(letters(&disk), "aaaa") == 0;
        disk_done(&disk);
    }
    assert_true(kept && lost);
}

static void same_seed_same_bytes(void **state)
{
    char first[32];

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (int turn = 0; turn < 2; turn++) {
            struct disk disk;

            disk_init(&disk);
            assert_int_equal(put(&disk, 'a', 0, 16), SQLITE_OK);
            power_failure(&disk, seed);
            if (turn == 0)
                (void)snprintf(first, sizeof(first), "%s", letters(&disk));
            assert_string_equal(letters(&disk), first);
            disk_done(&disk);
        }
    }
}

static void name_other(struct disk *other, const struct disk *disk, const char *suffix, int kind)
{
    *other = (struct disk){0};
    (void)snprintf(other->path, sizeof(other->path), "%.80s%s", disk->path, suffix);
    other->file = open_as(other->path, kind);
}

/* A new file may be missing and a removed one be back, until the folder is flushed: with a new log's first flush. */
static void names(void **state)
{
    bool met[2][2] = {{false}};

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bool folder = seed % 2 == 0;
        struct disk disk;
        struct disk log;
        struct disk removed;

        disk_init(&disk);
        name_other(&removed, &disk, "-journal", SQLITE_OPEN_MAIN_JOURNAL);
        assert_int_equal(put(&removed, 'a', 0, 1), SQLITE_OK);
        assert_int_equal(flush(&removed), SQLITE_OK);
        close_file(&removed);
        assert_int_equal(vfs()->xDelete(vfs(), removed.path, 0), SQLITE_OK);
        name_other(&log, &disk, "-wal", SQLITE_OPEN_WAL);
        assert_int_equal(put(&log, 'w', 0, 1), SQLITE_OK);
        if (folder)
            assert_int_equal(flush(&log), SQLITE_OK);
        close_file(&log);
        power_failure(&disk, seed);
        assert_true(!folder || strcmp(letters(&log), "w") == 0);
        met[folder][strcmp(letters(&removed), "a") == 0] = true;
        (void)unlink(log.path); /* either may be missing: see above */
        (void)unlink(removed.path);
        disk_done(&disk);
    }
    assert_true(met[0][0] && met[0][1] && met[1][0] && !met[1][1]);
}

/* ── what fails ── */

static void nth_write_fails(void **state)
{
    struct disk disk;

    (void)state;
    disk_init(&disk);
    disk_fault_arm(&(struct disk_fault_plan){.ops = DISK_OP_WRITE, .nth = 2, .count = 2, .how = DISK_FAILURE_IO});
    assert_int_equal(put(&disk, 'a', 0, 1), SQLITE_OK);
    assert_int_equal(flush(&disk), SQLITE_OK); /* not counted by this plan */
    assert_int_equal(put(&disk, 'b', 0, 1), SQLITE_IOERR_WRITE);
    assert_int_equal(put(&disk, 'c', 0, 1), SQLITE_IOERR_WRITE);
    assert_string_equal(letters(&disk), "a");
    assert_int_equal(put(&disk, 'd', 1, 1), SQLITE_OK);
    assert_string_equal(letters(&disk), "ad");
    assert_int_equal(disk_fault_counts().writes, 4);
    assert_int_equal(disk_fault_counts().syncs, 1);
    assert_int_equal(disk_fault_counts().failed, 2);
    disk_done(&disk);
}

static void full_for_ever(void **state)
{
    struct disk disk;

    (void)state;
    disk_init(&disk);
    disk_fault_arm(&(struct disk_fault_plan){
        .ops = DISK_OP_WRITE, .nth = 1, .count = DISK_FAULT_FOR_EVER, .how = DISK_FAILURE_FULL});
    for (int i = 0; i < 20; i++)
        assert_int_equal(put(&disk, 'a', 0, 1), SQLITE_FULL);
    assert_string_equal(letters(&disk), "");
    disk_fault_arm(NULL);
    assert_int_equal(put(&disk, 'a', 0, 1), SQLITE_OK);
    disk_done(&disk);
}

static off_t size_of(const struct disk *disk)
{
    struct stat facts;

    assert_int_equal(stat(disk->path, &facts), 0);
    return facts.st_size;
}

static void short_write(void **state)
{
    off_t least = 100 * SECTOR;
    off_t most = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk disk;

        disk_init(&disk);
        disk_fault_arm(
            &(struct disk_fault_plan){.ops = DISK_OP_WRITE, .nth = 1, .how = DISK_FAILURE_SHORT, .seed = seed});
        assert_int_equal(put(&disk, 'a', 0, 16), SQLITE_FULL);
        least = MIN_OF(least, size_of(&disk));
        most = MAX_OF(most, size_of(&disk));
        disk_done(&disk);
    }
    assert_true(least < 4 * SECTOR && most > 12 * SECTOR && most < 16 * SECTOR);
}

/* Linux tells of a failed flush once, and gives the pages up: the next flush succeeds without them. */
static void failed_flush_stays_in_doubt(void **state)
{
    bool met[2] = {false};

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk disk;
        const char *found;

        disk_init(&disk);
        assert_int_equal(put(&disk, 'a', 0, 3), SQLITE_OK);
        assert_int_equal(flush(&disk), SQLITE_OK);
        assert_int_equal(put(&disk, 'b', 0, 2), SQLITE_OK);
        disk_fault_arm(&(struct disk_fault_plan){.ops = DISK_OP_SYNC, .nth = 1});
        assert_int_equal(flush(&disk), SQLITE_IOERR_FSYNC);
        assert_int_equal(put(&disk, 'c', 1, 2), SQLITE_OK);
        assert_int_equal(flush(&disk), SQLITE_OK);
        assert_string_equal(letters(&disk), "bcc");
        power_failure(&disk, seed);
        found = letters(&disk);
        assert_string_equal(found + 1, "cc");
        met[found[0] == 'b'] = true;
        disk_done(&disk);
    }
    assert_true(met[0] && met[1]);
}

/* Killed in the third call: what was written before is there for the next process, what comes after is not. */
static void stopped_process(void **state)
{
    struct disk disk;

    (void)state;
    disk_init(&disk);
    disk_fault_arm(&(struct disk_fault_plan){.ops = DISK_OP_CHANGE, .nth = 3, .how = DISK_FAILURE_STOP, .seed = 1});
    assert_int_equal(put(&disk, 'a', 0, 2), SQLITE_OK);
    assert_int_equal(put(&disk, 'b', 1, 1), SQLITE_OK);
    assert_int_equal(flush(&disk), SQLITE_IOERR_FSYNC);
    assert_int_equal(put(&disk, 'c', 0, 2), SQLITE_IOERR_WRITE);
    assert_int_equal(disk.file->pMethods->xTruncate(disk.file, 0), SQLITE_IOERR_TRUNCATE);
    assert_int_equal(vfs()->xDelete(vfs(), disk.path, 0), SQLITE_IOERR_DELETE);
    assert_string_equal(letters(&disk), "ab");
    disk_fault_arm(NULL);
    assert_int_equal(flush(&disk), SQLITE_OK); /* the next process's */
    power_failure(&disk, 3);
    assert_string_equal(letters(&disk), "ab");
    disk_done(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flushed_stays),
        cmocka_unit_test(unflushed_is_torn),
        cmocka_unit_test(order_is_free),
        cmocka_unit_test(growth_is_torn),
        cmocka_unit_test(truncation),
        cmocka_unit_test(same_seed_same_bytes),
        cmocka_unit_test(names),
        cmocka_unit_test(nth_write_fails),
        cmocka_unit_test(full_for_ever),
        cmocka_unit_test(short_write),
        cmocka_unit_test(failed_flush_stays_in_doubt),
        cmocka_unit_test(stopped_process),
    };

    disk_fault_install();
    return cmocka_run_group_tests_name("disk_fault", tests, NULL, NULL);
}
