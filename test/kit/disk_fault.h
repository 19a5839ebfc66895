/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that fails and forgets, for tests: a layer of SQLite's file interface over the real one. Each file of a database
 * (its own, log, journal) passes through it, below the store's own layer. Per file it knows what is on the medium and what
 * was only written: a flush carries over, nothing else does.
 *
 * Invariants
 * 1. Without a plan the files behave as real ones. Nothing is really flushed: the medium is this layer's memory.
 * 2. A flush that failed makes nothing durable, and no later flush does it for the same writes: whether they are on the
 *    medium shows at the power failure (Linux gives up the pages that it could not write).
 * 3. After a power failure each 512-byte sector of a write that was not flushed has come to the medium or not, whatever
 *    became of the others, and a file that was made or removed since its folder was flushed is there or not.
 * 4. The same plan, seed and calls give the same bytes.
 * One lock guards it all: any thread may use the files and ask.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum disk_op {
    DISK_OP_WRITE = 1, /* also a truncation and a removal */
    DISK_OP_SYNC = 2,
    DISK_OP_READ = 4,
    DISK_OP_CHANGE = DISK_OP_WRITE | DISK_OP_SYNC,
};

enum disk_failure {
    DISK_FAILURE_IO,    /* EIO; nothing was done */
    DISK_FAILURE_FULL,  /* ENOSPC; nothing was done. A flush or read: EIO */
    DISK_FAILURE_SHORT, /* a part was written, by the seed, then ENOSPC. A flush or read: EIO */
    DISK_FAILURE_STOP,  /* the process dies in it: a part was written, and nothing that is done later changes a file */
};

#define DISK_FAULT_FOR_EVER INT64_MAX

struct disk_fault_plan {
    unsigned ops;  /* enum disk_op: which calls count */
    int64_t nth;   /* the one from which on to fail, counted from 1 after disk_fault_arm; 0: none */
    int64_t count; /* how many in a row; 0 means 1. After DISK_FAILURE_STOP all fail until another plan comes */
    enum disk_failure how;
    uint64_t seed;
};

struct disk_fault_counts { /* since disk_fault_arm */
    int64_t writes;
    int64_t syncs;
    int64_t reads;
    int64_t failed;
};

/* Becomes what databases are opened with; before the first of the process is. Again: does nothing. */
void disk_fault_install(void);
/* Counts from 0 again and follows `plan`; NULL: fails nothing. */
void disk_fault_arm(const struct disk_fault_plan *plan);
struct disk_fault_counts disk_fault_counts(void);
/* The power of the machine failed: the files below `dir` become what was left on the medium. None of them may be open. */
void disk_fault_power_failure(const char *dir, uint64_t seed);
/* `dir` was removed, or is to be taken as it is: nothing more is known of its files. None of them may be open. */
void disk_fault_forget(const char *dir);
/* How many bytes below `dir` were written and are not flushed. */
int64_t disk_fault_unsynced(const char *dir);
