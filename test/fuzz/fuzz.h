/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every target includes. A target takes any bytes and asserts laws of one boundary over them: assert() stays on in
 * every build, and what it ends is a finding.
 * Invariants: 1. an input leaves nothing behind: the next one meets the same state.  2. the same input does the same.
 */
#pragma once

#include "base/arena.h"
#include "base/fail.h"
#include "base/limits.h"
#include "base/mem.h"

#define FUZZ_ARENA_BYTES (256u << 20)

/* libFuzzer calls it, or replay.c. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_free(void *block)
{
    (void)xfree(block);
}

/* A copy in a block of its own without a byte to spare, so that reading past the end is seen; lives as long as `arena`. */
static inline struct str fuzz_exact(struct arena *arena, struct str text)
{
    char *block = xcalloc(1, MAX_OF(text.len, (size_t)1));

    if (text.len > 0)
        memcpy(block, text.ptr, text.len);
    arena_cleanup(arena, fuzz_free, block);
    return str_slice(block, text.len);
}

static inline struct str fuzz_input(const uint8_t *data, size_t size)
{
    return str_slice(size > 0 ? (const char *)data : "", size);
}

/* Equal, and both absent or both present. */
static inline bool fuzz_same(struct str a, struct str b)
{
    return !a.ptr == !b.ptr && str_eq(a, b);
}

static inline bool fuzz_inside(struct str part, struct str whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}
