/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would be left of files if the power failed now. For disk_fault.c only; its lock guards all of it.
 *
 * Invariants
 * 1. `durable` with all `changes` over it is what the file has.
 * 2. A change that is flushed stays in the list only behind one in doubt: their order tells which of them lies above.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    char *ptr;
    int64_t len;
    int64_t room;
};

/* One write or truncation, in the order in which they came. */
struct change {
    struct bytes data;
    int64_t offset; /* of a truncation: the size */
    bool truncates;
    bool flushed;
    bool doubtful; /* its flush failed: no later one helps */
};

/* A name: what it stands for now, and what the medium knows. Outlives the open files. */
struct medium {
    struct medium *next;
    char *path;
    int open;             /* handles */
    bool here;            /* there is such a file */
    bool named;           /* its folder was flushed since it was made or removed */
    bool flushes_folder;  /* a new log or journal: SQLite flushes the folder with it, once */
    bool before_here;     /* while not named: what the medium has under the name */
    struct bytes before;
    struct bytes durable; /* of the present file */
    struct change *changes;
    size_t change_count;
};

/* The next number of a sequence: each bit is as good as any other, also from seeds that follow each other. */
uint64_t chance(uint64_t *seed);

/* The medium of that file, which is about to be opened or removed: one that is there and not known is all durable. */
struct medium *medium_get(const char *path);
void medium_made(struct medium *medium, bool flushes_folder);
void medium_removed(struct medium *medium, bool flush_folder);
void medium_wrote(struct medium *medium, const void *ptr, int64_t len, int64_t offset);
void medium_cut(struct medium *medium, int64_t size);
void medium_flushed(struct medium *medium);
void medium_flush_failed(struct medium *medium);

/* Of all files below `dir`. */
void media_power_failure(const char *dir, uint64_t seed);
void media_forget(const char *dir);
int64_t media_unsynced(const char *dir);
