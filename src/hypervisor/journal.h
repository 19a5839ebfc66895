/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An append-only file of checked records. It is not synced: the page cache outlives this process,
 * and a power failure of the real machine is one of every simulated machine (the header holds the
 * boot id, so that the opener can tell).
 *
 * File: header (64 bytes), then records: struct journal_record, each followed by `tail_bytes` of
 * tail. Private (version 1): the tail is padded with zeros to 8. Shared (version 2): no padding; a
 * marker of 8 bytes, drawn for this file, stands before each record.
 *
 * Invariants of a private journal
 * 1. What journal_append returned 0 for is read again by the next open.
 * 2. A record that fails its checksum ends the journal: it and what follows were never
 *    acknowledged, and are cut off.
 * 3. One process at a time (flock).
 *
 * Invariants of a shared one, which any number of processes have open at once
 * 4. A record is one write(2) to a descriptor with O_APPEND, which Linux carries out one after the
 *    other. No lock is held: who is stopped or killed anywhere is in nobody's way.
 * 5. All processes read the same records in the same order, whenever they look. What is no whole
 *    record was torn (a full disk, a kill) if a whole one comes after it, and is skipped; at the end
 *    of the file it may be on its way, and is waited for.
 * 6. Nothing in the file is changed or cut off; only who has it alone puts another in its place.
 */
#pragma once

#include "base/clock.h"
#include "base/fail.h"

#define JOURNAL_TAIL_MAX (64u * 1024) /* a machine with 64 disks and the longest names */

struct journal_record {
    uint32_t crc; /* of the rest of the record and the tail */
    uint32_t tail_bytes;
    uint8_t kind;
    uint8_t what;
    uint16_t detail;
    uint32_t number;
    int64_t time_us;
    int64_t value;
};
static_assert(sizeof(struct journal_record) == 32, "no holes in the file");

struct journal {
    char *path;
    int fd;              /* -1: in memory, nothing is written */
    int64_t size_bytes;  /* shared: what has been read of it; in journal_read_fn, where the record begins */
    int64_t base_bytes;  /* size after the latest rewriting */
    int64_t own_bytes;   /* shared: where the record that was appended last begins */
    int64_t stale_bytes; /* shared: the size at which there was nothing more to be read */
    uint64_t marker;     /* 0: private */
    bool same_boot;      /* was the file written since the real machine started? */
};

/* A negative value refuses the file. */
typedef int (*journal_read_fn)(void *arg, const struct journal_record *record, struct str tail);

/*
 * Opens or makes `path` and hands every record to `read`, oldest first. -E_BUSY: another process
 * has it; -E_IO: not ours, or damaged in a way that a torn write can't explain. `path` NULL: a
 * journal that keeps nothing.
 */
int journal_open(const char *path, const char *boot_id, journal_read_fn read, void *arg,
                 struct fail *fail, struct journal *ret) must_check;
void journal_close(struct journal *journal);
/*
 * Writes one record; crc and tail_bytes are filled in. 0: written, and read as far as size_bytes says. 1 (shared only):
 * others were quicker; journal_catch_up comes to it, at own_bytes. -E_NO_SPACE, -E_IO: nothing was written that anybody
 * ever reads.
 */
int journal_append(struct journal *journal, struct journal_record record, struct str tail)
    must_check;
/* Has it grown so much that rewriting pays? */
bool journal_is_large(const struct journal *journal);

/* ── shared ── */

/*
 * Opens what others may have open, reads it to its end, changes nothing. 1: there is no file that could be shared as it is
 * (none, a private one, one from before the real machine restarted): who has it alone makes one. -E_IO as above.
 */
int journal_open_shared(const char *path, const char *boot_id, journal_read_fn read, void *arg,
                        struct fail *fail, struct journal *ret) must_check;
/*
 * The caller knows that nobody has it open as a shared one, and rewrites it next: then it is shared, with `marker`. Reads a
 * private one as well: -E_BUSY: a process has it.
 */
int journal_open_alone(const char *path, const char *boot_id, uint64_t marker, journal_read_fn read,
                       void *arg, struct fail *fail, struct journal *ret) must_check;
/* Hands what was appended since to `read`. -E_IO: it can't be read, or is shorter than it was. */
int journal_catch_up(struct journal *journal, journal_read_fn read, void *arg) must_check;

/* Rewriting: begin, add what is true now, then end puts the new file in place of the old one in one
 * rename. */
struct journal_rewrite {
    struct journal *journal;
    char *path;
    int fd;
    struct buf buf;
    int64_t size_bytes;
    int error; /* the first failure; end returns it and the old file stays */
};
void journal_rewrite_begin(struct journal *journal, const char *boot_id,
                           struct journal_rewrite *rewrite);
void journal_rewrite_add(struct journal_rewrite *rewrite, struct journal_record record,
                         struct str tail);
int journal_rewrite_end(struct journal_rewrite *rewrite) must_check;
