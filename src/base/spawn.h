/* SPDX-License-Identifier: Apache-2.0 */
/* Another program, run to its end: for tools that a library would not replace (qemu-img, genisoimage). */
#pragma once

#include "base/arena.h"
#include "base/clock.h"

struct spawn_result {
    int exit_code;     /* 128 + the signal that ended it */
    bool timed_out;    /* it was killed at the deadline */
    struct str output; /* standard output and standard error, the first SPAWN_OUTPUT_BYTES, on the arena */
};

#define SPAWN_OUTPUT_BYTES (64u * 1024)

/*
 * Runs argv[0] (looked up in PATH), with /dev/null as its input, and waits. -E_NOT_FOUND: there is no such program; -E_IO: it
 * could not be run. A program that ran is 0, whatever it ended with. Blocks; thread-safe.
 */
int spawn_wait(const char *const *argv, usec_t timeout_us, struct arena *arena, struct spawn_result *ret) must_check;
