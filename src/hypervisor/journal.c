/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "hypervisor/journal_impl.h"

#define JOURNAL_REWRITE_MIN_BYTES                                                                  \
    (8 * 1024 * 1024)                     /* below this, replaying is quicker than noticing */
#define JOURNAL_WRITE_BYTES (256u * 1024) /* per write(2) while rewriting */

/* CRC-32 of ISO-HDLC, four bits at a time: short records don't repay a larger table. */
static uint32_t crc_add(uint32_t crc, const void *bytes, size_t len)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    const uint8_t *at = bytes;

    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc = table[(crc ^ at[i]) & 15] ^ (crc >> 4);
        crc = table[(crc ^ (at[i] >> 4)) & 15] ^ (crc >> 4);
    }
    return ~crc;
}

uint32_t journal_record_crc(const struct journal_record *record, struct str tail)
{
    const char *bytes = (const char *)record + sizeof(record->crc);

    return crc_add(crc_add(0, bytes, sizeof(*record) - sizeof(record->crc)), tail.ptr, tail.len);
}

static size_t padded(size_t len)
{
    return (len + 7) / 8 * 8;
}

int journal_error(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EFBIG ? -E_NO_SPACE : -E_IO;
}

static int write_at(int fd, const char *bytes, size_t len, int64_t offset)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, bytes, len, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? journal_error(errno) : -E_IO;
        bytes += n;
        len -= (size_t)n;
        offset += n;
    }
    return 0;
}

struct journal_header journal_header_make(const char *boot_id, uint64_t marker)
{
    struct journal_header header = {.version = marker ? JOURNAL_SHARED : JOURNAL_PRIVATE, .marker = marker};

    memcpy(header.magic, JOURNAL_MAGIC, sizeof(header.magic));
    memcpy(header.boot_id, boot_id, MIN_OF(strlen(boot_id), sizeof(header.boot_id) - 1));
    header.crc =
        crc_add(0, &header.version, sizeof(header) - offsetof(struct journal_header, version));
    return header;
}

bool journal_header_is_good(const struct journal_header *header)
{
    size_t rest_bytes = sizeof(*header) - offsetof(struct journal_header, version);

    return memcmp(header->magic, JOURNAL_MAGIC, sizeof(header->magic)) == 0 &&
           header->crc == crc_add(0, &header->version, rest_bytes);
}

/* ── opening ── */

bool journal_all_zero(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i])
            return false;
    return true;
}

/* Returns the offset behind the last good record, or a failure of `read`. */
int64_t journal_read_private(const char *bytes, int64_t size_bytes, journal_read_fn read, void *arg)
{
    int64_t offset = sizeof(struct journal_header);

    while (size_bytes - offset >= (int64_t)sizeof(struct journal_record)) {
        struct journal_record record;
        struct str tail;
        int64_t next;
        int r;

        memcpy(&record, bytes + offset, sizeof(record));
        next = offset + (int64_t)(sizeof(record) + padded(record.tail_bytes));
        if (record.tail_bytes > JOURNAL_TAIL_MAX || next > size_bytes)
            break;
        tail = str_slice(bytes + offset + sizeof(record), record.tail_bytes);
        if (journal_record_crc(&record, tail) != record.crc ||
            !journal_all_zero(tail.ptr + tail.len, padded(tail.len) - tail.len))
            break;
        r = read(arg, &record, tail);
        if (r < 0)
            return r;
        offset = next;
    }
    return offset;
}

static int journal_make(struct journal *journal, const char *boot_id)
{
    struct journal_header header = journal_header_make(boot_id, 0);

    if (ftruncate(journal->fd, 0) < 0)
        return journal_error(errno);
    journal->size_bytes = sizeof(header);
    journal->same_boot = true;
    return write_at(journal->fd, (const char *)&header, sizeof(header), 0);
}

static int journal_load_bytes(struct journal *journal, const char *bytes, int64_t size_bytes,
                              const char *boot_id, journal_read_fn read, void *arg,
                              struct fail *fail)
{
    struct journal_header want = journal_header_make(boot_id, 0);
    struct journal_header have;
    int64_t end;

    memcpy(&have, bytes, sizeof(have));
    if (journal_all_zero(bytes,
                         sizeof(have))) /* what a power failure leaves of a file that was never synced */
        return journal_make(journal, boot_id);
    if (memcmp(have.magic, want.magic, sizeof(have.magic)) != 0)
        return fail_text(fail, E_IO, "%s is not a journal of simulated machines", journal->path);
    if (have.version == JOURNAL_SHARED)
        return fail_text(fail, E_IO, "%s is shared by several processes: --hypervisor sim:FOLDER",
                         journal->path);
    if (have.version != JOURNAL_PRIVATE)
        return fail_text(fail, E_IO, "%s is of version %u; this program reads version %d",
                         journal->path, have.version, JOURNAL_PRIVATE);
    journal->same_boot = memcmp(have.boot_id, want.boot_id, sizeof(have.boot_id)) == 0;
    end = journal_read_private(bytes, size_bytes, read, arg);
    if (end < 0)
        return fail_text(fail, E_IO,
                         "%s does not make sense; move it away to start without simulated machines",
                         journal->path);
    journal->size_bytes = end;
    if (end < size_bytes && ftruncate(journal->fd, end) < 0)
        return fail_text(fail, E_IO, "%s: its torn end can't be cut off", journal->path);
    return 0;
}

static int journal_load(struct journal *journal, int64_t size_bytes, const char *boot_id,
                        journal_read_fn read, void *arg, struct fail *fail)
{
    void *bytes;
    int r;

    if (size_bytes < (int64_t)sizeof(struct journal_header))
        return journal_make(journal, boot_id);
    bytes = mmap(NULL, (size_t)size_bytes, PROT_READ, MAP_PRIVATE, journal->fd, 0);
    if (bytes == MAP_FAILED)
        return fail_text(fail, E_IO, "%s can't be read", journal->path);
    r = journal_load_bytes(journal, bytes, size_bytes, boot_id, read, arg, fail);
    (void)munmap(bytes, (size_t)size_bytes); /* it was mapped: nothing can fail */
    return r;
}

/* The lock is on the file that has the name, not on one that was just replaced. */
static int journal_lock(const struct journal *journal, int64_t *ret_size_bytes)
{
    struct stat here;
    struct stat named;

    if (flock(journal->fd, LOCK_EX | LOCK_NB) < 0)
        return -E_BUSY;
    if (fstat(journal->fd, &here) < 0 || stat(journal->path, &named) < 0)
        return -E_IO;
    if (here.st_ino != named.st_ino || here.st_dev != named.st_dev)
        return -E_BUSY;
    *ret_size_bytes = here.st_size;
    return 0;
}

int journal_open(const char *path, const char *boot_id, journal_read_fn read, void *arg,
                 struct fail *fail, struct journal *ret)
{
    struct journal journal = {.fd = -1, .same_boot = true};
    int64_t size_bytes = 0;
    int r;

    if (!path) {
        *ret = journal;
        return 0;
    }
    journal.path = xstrdup(path);
    journal.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (journal.fd < 0) {
        r = fail_text(fail, E_IO, "%s can't be opened: errno %d", path, errno);
    } else {
        r = journal_lock(&journal, &size_bytes);
        if (r == -E_BUSY)
            (void)fail_text(fail, E_BUSY, "%s is in use by another process",
                            path); /* r says the same */
    }
    if (r == 0)
        r = journal_load(&journal, size_bytes, boot_id, read, arg, fail);
    if (r < 0) {
        journal_close(&journal);
        return r;
    }
    journal.base_bytes = journal.size_bytes;
    *ret = journal;
    return 0;
}

void journal_close(struct journal *journal)
{
    if (journal->fd >= 0)
        (void)close(journal->fd); /* nothing is owed to the disk */
    journal->fd = -1;
    journal->path = xfree(journal->path);
}

/* ── appending ── */

static void record_add(struct buf *buf, uint64_t marker, struct journal_record record,
                       struct str tail)
{
    static const char zeros[8];

    assert(tail.len <= JOURNAL_TAIL_MAX);
    record.tail_bytes = (uint32_t)tail.len;
    record.crc = journal_record_crc(&record, tail);
    if (marker)
        buf_add(buf, &marker, sizeof(marker));
    buf_add(buf, &record, sizeof(record));
    if (tail.len)
        buf_add(buf, tail.ptr, tail.len);
    if (tail.len && !marker)
        buf_add(buf, zeros, padded(tail.len) - tail.len);
}

static int journal_write(struct journal *journal, const char *bytes, size_t len)
{
    int r = write_at(journal->fd, bytes, len, journal->size_bytes);

    if (r == 0)
        journal->size_bytes += (int64_t)len;
    else if (ftruncate(journal->fd, journal->size_bytes) < 0)
        return -E_IO; /* the half record fails its checksum at the next open, or the next append
                         covers it */
    return r;
}

/* All of it in one write, or it is torn: a second one would stand behind what others wrote meanwhile. */
static int journal_share(struct journal *journal, const char *bytes, size_t len)
{
    ssize_t n;
    off_t end;

    do
        n = write(journal->fd, bytes, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return journal_error(errno);
    if (n != (ssize_t)len)
        return -E_NO_SPACE; /* the next write would say so */
    end = lseek(journal->fd, 0, SEEK_CUR); /* where this write ended, whatever others wrote since */
    assert(end >= n);
    journal->own_bytes = end - n;
    if (journal->own_bytes != journal->size_bytes)
        return 1;
    journal->size_bytes = end;
    return 0;
}

int journal_append(struct journal *journal, struct journal_record record, struct str tail)
{
    struct buf buf;
    int r;

    if (journal->fd < 0)
        return 0;
    if (tail.len == 0 && !journal->marker) {
        record.tail_bytes = 0;
        record.crc = journal_record_crc(&record, STR_NONE);
        return journal_write(journal, (const char *)&record, sizeof(record));
    }
    buf_init(&buf, sizeof(record) + JOURNAL_TAIL_MAX + 2 * sizeof(uint64_t));
    record_add(&buf, journal->marker, record, tail);
    assert(!buf.full);
    r = journal->marker ? journal_share(journal, buf.ptr, buf.len)
                        : journal_write(journal, buf.ptr, buf.len);
    buf_done(&buf);
    return r;
}

bool journal_is_large(const struct journal *journal)
{
    return journal->size_bytes > MAX_OF(JOURNAL_REWRITE_MIN_BYTES, 4 * journal->base_bytes);
}

/* ── rewriting ── */

static void rewrite_flush(struct journal_rewrite *rewrite)
{
    if (rewrite->error == 0 && rewrite->buf.len > 0)
        rewrite->error =
            write_at(rewrite->fd, rewrite->buf.ptr, rewrite->buf.len, rewrite->size_bytes);
    rewrite->size_bytes += (int64_t)rewrite->buf.len;
    buf_reset(&rewrite->buf);
}

void journal_rewrite_begin(struct journal *journal, const char *boot_id,
                           struct journal_rewrite *rewrite)
{
    struct journal_header header = journal_header_make(boot_id, journal->marker);
    size_t path_bytes = strlen(journal->path) + sizeof(".new");

    assert(journal->fd >= 0);
    *rewrite = (struct journal_rewrite){.journal = journal, .path = xcalloc(1, path_bytes)};
    (void)snprintf(rewrite->path, path_bytes, "%s.new", journal->path); /* it fits */
    buf_init(&rewrite->buf, JOURNAL_WRITE_BYTES + JOURNAL_TAIL_MAX + 64);
    rewrite->fd = open(rewrite->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (rewrite->fd < 0 || flock(rewrite->fd, LOCK_EX | LOCK_NB) < 0)
        rewrite->error = journal_error(errno);
    buf_add(&rewrite->buf, &header, sizeof(header));
}

void journal_rewrite_add(struct journal_rewrite *rewrite, struct journal_record record,
                         struct str tail)
{
    record_add(&rewrite->buf, rewrite->journal->marker, record, tail);
    assert(!rewrite->buf.full);
    if (rewrite->buf.len >= JOURNAL_WRITE_BYTES)
        rewrite_flush(rewrite);
}

int journal_rewrite_end(struct journal_rewrite *rewrite)
{
    struct journal *journal = rewrite->journal;
    int r;

    rewrite_flush(rewrite);
    r = rewrite->error;
    if (r == 0 && rename(rewrite->path, journal->path) < 0)
        r = journal_error(errno);
    if (r == 0) {
        (void)close(journal->fd); /* the old file has no name any more */
        journal->fd = rewrite->fd;
        journal->size_bytes = rewrite->size_bytes;
        journal->same_boot = true;
    } else if (rewrite->fd >= 0) {
        (void)close(rewrite->fd);
        (void)unlink(rewrite->path); /* the next attempt truncates it anyway */
    }
    /* Also after a failure: try again only when it has grown as much once more. */
    journal->base_bytes = journal->size_bytes;
    buf_done(&rewrite->buf);
    rewrite->path = xfree(rewrite->path);
    return r;
}
