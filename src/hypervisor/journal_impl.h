/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the journal; only journal*.c include this. */
#pragma once

#include "hypervisor/journal.h"

#define JOURNAL_MAGIC "ecsd-sim"

enum { JOURNAL_PRIVATE = 1, JOURNAL_SHARED = 2 }; /* versions: whoever adds kinds of records to the shared one adds a version */

struct journal_header {
    char magic[8];
    uint32_t crc; /* of what follows */
    uint32_t version;
    char boot_id[40];
    uint64_t marker; /* shared only */
};
static_assert(sizeof(struct journal_header) == 64, "no holes in the file");

struct journal_header journal_header_make(const char *boot_id, uint64_t marker);
bool journal_header_is_good(const struct journal_header *header);
uint32_t journal_record_crc(const struct journal_record *record, struct str tail);
/* The error that `number`, an errno, means here. */
int journal_error(int number);
bool journal_all_zero(const char *bytes, size_t len);
/* Of a private file: returns the offset behind the last good record, or a failure of `read`. */
int64_t journal_read_private(const char *bytes, int64_t size_bytes, journal_read_fn read, void *arg);
