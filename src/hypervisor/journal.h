/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An append-only file of checked records. It is not synced: the page cache outlives this process,
 * and a power failure of the real machine is one of every simulated machine (the header holds the
 * boot id, so that the opener can tell).
 *
 * File: header (64 bytes), then records: struct journal_record, each followed by `tail_bytes` of
 * tail padded with zeros to 8.
 *
 * Invariants
 * 1. What journal_append returned 0 for is read again by the next open.
 * 2. A record that fails its checksum ends the journal: it and what follows were never
 *    acknowledged, and are cut off.
 * 3. One process at a time (flock).
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
    uint16_t zero;
    uint32_t number;
    int64_t time_us;
    int64_t value;
};
static_assert(sizeof(struct journal_record) == 32, "no holes in the file");

struct journal {
    char *path;
    int fd; /* -1: in memory, nothing is written */
    int64_t size_bytes;
    int64_t base_bytes; /* size after the latest rewriting */
    bool same_boot;     /* was the file written since the real machine started? */
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
/* Writes one record; crc and tail_bytes are filled in. -E_NO_SPACE, -E_IO: nothing was written. */
int journal_append(struct journal *journal, struct journal_record record, struct str tail)
    must_check;
/* Has it grown so much that rewriting pays? */
bool journal_is_large(const struct journal *journal);

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
