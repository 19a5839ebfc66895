/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a journal that other processes append to meanwhile.
 *
 * What is no whole record is either on its way or torn for ever. It is torn exactly when a whole record comes after it,
 * since appends come one after the other; so everybody skips the same bytes, and nobody has to know who wrote them. No
 * text in a record can pass for a record: it would have to hold the file's marker, which was drawn when the file was made.
 */
#include "hypervisor/journal_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define READ_BYTES (1024 * 1024) /* at a time: whole records, and what is torn, have room in it */
#define FRAME_BYTES (sizeof(uint64_t) + sizeof(struct journal_record))

/* Bytes of the file, as far as they have been read. */
struct piece {
    const char *bytes;
    size_t len;
};

/* Is there a whole record at `at`? 0: no; else its length. */
static size_t frame_at(const struct journal *journal, struct piece piece, size_t at, struct journal_record *ret_record,
                       struct str *ret_tail)
{
    uint64_t marker;
    size_t room = piece.len - at;

    if (room < FRAME_BYTES)
        return 0;
    memcpy(&marker, piece.bytes + at, sizeof(marker));
    if (marker != journal->marker)
        return 0;
    memcpy(ret_record, piece.bytes + at + sizeof(marker), sizeof(*ret_record));
    if (ret_record->tail_bytes > JOURNAL_TAIL_MAX || ret_record->tail_bytes > room - FRAME_BYTES)
        return 0;
    *ret_tail = str_slice(piece.bytes + at + FRAME_BYTES, ret_record->tail_bytes);
    return journal_record_crc(ret_record, *ret_tail) == ret_record->crc ? FRAME_BYTES + ret_tail->len : 0;
}

/* The first whole record at `at` or behind it; `piece.len`: none. */
static size_t frame_find(const struct journal *journal, struct piece piece, size_t at, size_t *ret_len,
                         struct journal_record *ret_record, struct str *ret_tail)
{
    for (; at < piece.len; at++) {
        const char *found;

        *ret_len = frame_at(journal, piece, at, ret_record, ret_tail);
        if (*ret_len > 0)
            return at;
        found = memmem(piece.bytes + at + 1, piece.len - at - 1, &journal->marker, sizeof(journal->marker));
        if (!found)
            break;
        at = (size_t)(found - piece.bytes) - 1;
    }
    return piece.len;
}

/* Hands the records of `piece`, which begins at size_bytes, to `read`, and moves size_bytes behind them. */
static int read_piece(struct journal *journal, struct piece piece, journal_read_fn read, void *arg)
{
    int64_t base_bytes = journal->size_bytes;
    struct journal_record record;
    struct str tail;
    size_t len;
    size_t at = 0;
    int r = 0;

    while (r >= 0 && (at = frame_find(journal, piece, at, &len, &record, &tail)) < piece.len) {
        journal->size_bytes = base_bytes + (int64_t)at;
        r = read(arg, &record, tail);
        at += len;
        journal->size_bytes = base_bytes + (int64_t)at;
    }
    return MIN_OF(r, 0);
}

/* Up to `end_bytes`; what is no whole record there is left for the next time. */
static int read_up_to(struct journal *journal, int64_t end_bytes, journal_read_fn read, void *arg)
{
    int64_t chunk_bytes = READ_BYTES;
    char *bytes = NULL;
    int r = 0;

    while (r == 0 && journal->size_bytes < end_bytes) {
        int64_t begin_bytes = journal->size_bytes;
        int64_t want_bytes = MIN_OF(chunk_bytes, end_bytes - begin_bytes);
        ssize_t n;

        bytes = xrealloc(bytes, (size_t)want_bytes);
        n = pread(journal->fd, bytes, (size_t)want_bytes, begin_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n != want_bytes)
            r = -E_IO; /* it never gets shorter */
        else
            r = read_piece(journal, (struct piece){bytes, (size_t)n}, read, arg);
        if (r < 0 || journal->size_bytes > begin_bytes)
            continue;
        if (begin_bytes + want_bytes == end_bytes)
            break;
        chunk_bytes *= 2; /* more than that in one piece is torn */
    }
    xfree(bytes);
    return r;
}

int journal_catch_up(struct journal *journal, journal_read_fn read, void *arg)
{
    struct stat status;
    int r;

    assert(journal->marker);
    if (fstat(journal->fd, &status) < 0 || status.st_size < journal->size_bytes)
        return -E_IO;
    if (status.st_size == journal->size_bytes || status.st_size == journal->stale_bytes)
        return 0;
    r = read_up_to(journal, status.st_size, read, arg);
    if (r == 0)
        journal->stale_bytes = status.st_size;
    return r;
}

/* ── opening ── */

static int open_failed(struct journal *journal, int error)
{
    journal_close(journal);
    return error;
}

static struct journal journal_of(const char *path, int flags)
{
    struct journal journal = {.path = xstrdup(path), .same_boot = true};

    journal.fd = open(path, flags | O_CLOEXEC, 0600);
    return journal;
}

int journal_open_shared(const char *path, const char *boot_id, journal_read_fn read, void *arg, struct fail *fail,
                        struct journal *ret)
{
    struct journal_header want = journal_header_make(boot_id, 0);
    struct journal journal = journal_of(path, O_RDWR | O_APPEND);
    struct journal_header have;
    int r;

    if (journal.fd < 0 && errno == ENOENT)
        return open_failed(&journal, 1);
    if (journal.fd < 0)
        return open_failed(&journal, fail_text(fail, E_IO, "%s can't be opened: errno %d", path, errno));
    if (pread(journal.fd, &have, sizeof(have), 0) != sizeof(have) || !journal_header_is_good(&have) ||
        have.version != JOURNAL_SHARED || memcmp(have.boot_id, want.boot_id, sizeof(have.boot_id)) != 0)
        return open_failed(&journal, 1);
    journal.marker = have.marker;
    journal.size_bytes = sizeof(have);
    /* `read` may look at where it is. */
    *ret = journal;
    r = journal_catch_up(ret, read, arg);
    if (r < 0) {
        journal_close(ret);
        return fail_text(fail, E_IO, "%s can't be read", path);
    }
    return 0;
}

static int load_alone(struct journal *journal, const char *bytes, int64_t size_bytes, const char *boot_id, uint64_t marker,
                      journal_read_fn read, void *arg)
{
    struct journal_header want = journal_header_make(boot_id, 0);
    struct journal_header have;
    int r = 0;

    memcpy(&have, bytes, sizeof(have));
    if (journal_all_zero(bytes, sizeof(have)))
        return 0; /* what a power failure leaves of a file that was never synced */
    if (!journal_header_is_good(&have) || (have.version != JOURNAL_SHARED && have.version != JOURNAL_PRIVATE))
        return -E_IO;
    journal->same_boot = memcmp(have.boot_id, want.boot_id, sizeof(have.boot_id)) == 0;
    if (have.version == JOURNAL_PRIVATE)
        return journal_read_private(bytes, size_bytes, read, arg) < 0 ? -E_IO : 0;
    journal->marker = have.marker;
    journal->size_bytes = sizeof(have);
    r = read_piece(journal, (struct piece){bytes + sizeof(have), (size_t)size_bytes - sizeof(have)}, read, arg);
    journal->marker = marker;
    return r;
}

int journal_open_alone(const char *path, const char *boot_id, uint64_t marker, journal_read_fn read, void *arg,
                       struct fail *fail, struct journal *ret)
{
    struct journal journal = journal_of(path, O_RDWR | O_CREAT);
    struct stat status;
    void *bytes;
    int r = 0;

    assert(marker);
    journal.marker = marker;
    if (journal.fd < 0 || fstat(journal.fd, &status) < 0)
        return open_failed(&journal, fail_text(fail, E_IO, "%s can't be opened: errno %d", path, errno));
    if (flock(journal.fd, LOCK_EX | LOCK_NB) < 0)
        return open_failed(&journal, fail_text(fail, E_BUSY, "%s is in use by another process", path));
    if (status.st_size >= (int64_t)sizeof(struct journal_header)) {
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, journal.fd, 0);
        r = -E_IO;
        if (bytes != MAP_FAILED) {
            r = load_alone(&journal, bytes, status.st_size, boot_id, marker, read, arg);
            (void)munmap(bytes, (size_t)status.st_size); /* it was mapped: nothing can fail */
        }
    }
    if (r < 0)
        return open_failed(&journal, fail_text(fail, E_IO, "%s is not a journal of simulated machines, or is damaged", path));
    *ret = journal;
    return 0;
}
