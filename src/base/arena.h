/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump allocator. Three lifetimes use it: the call, the job step, the batch of a writer.
 * Invariants: 1. memory comes zeroed, but for arena_alloc_raw's, and aligned to 16.  2. nothing is freed alone; arena_reset and
 * arena_done free all and run the cleanup handlers, last registered first.  3. out of memory or over `limit_bytes` aborts: what
 * clients can make us allocate is bounded before it is.  4. under AddressSanitizer freed memory is poisoned.
 */
#pragma once

#include <stdarg.h>

#include "base/str.h"

struct arena_block;
struct arena_cleanup;

struct arena {
    struct arena_block *blocks; /* newest first */
    struct arena_cleanup *cleanups;
    char *next; /* free room of the newest block */
    char *end;
    size_t used_bytes;
    size_t limit_bytes;
};

void arena_init(struct arena *arena, size_t limit_bytes);
/* Runs cleanups, frees everything; the arena may be initialised again. Works on a zeroed arena. */
void arena_done(struct arena *arena);
/* As arena_done, but keeps one block for the next use. */
void arena_reset(struct arena *arena);

void *arena_alloc(struct arena *arena, size_t size_bytes) __attribute__((malloc, alloc_size(2), returns_nonnull));
#define arena_new(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array(arena, type, n) ((type *)arena_alloc_array((arena), (n), sizeof(type)))
/* Not zeroed: for those who fill all of it at once, or keep count of what they have filled. */
void *arena_alloc_raw(struct arena *arena, size_t size_bytes) __attribute__((malloc, alloc_size(2), returns_nonnull));
void *arena_alloc_array(struct arena *arena, size_t count, size_t item_bytes);

/* Copies that end in NUL (not counted in len). An absent str stays absent. */
struct str arena_str(struct arena *arena, struct str s);
char *arena_cstr(struct arena *arena, struct str s);
struct str arena_printf(struct arena *arena, const char *format, ...) printf_like(2, 3);
struct str arena_vprintf(struct arena *arena, const char *format, va_list args) printf_like(2, 0);

/* `fn(object)` runs when the arena is reset or done. */
void arena_cleanup(struct arena *arena, void (*fn)(void *object), void *object);

/* An array on an arena that doubles: arena_push(arena, list.items, list.count, item) appends. */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t item_bytes);
#define arena_push(arena, items, count, item)                                                  \
    do {                                                                                       \
        (items) = arena_grow((arena), (items), (count), sizeof(*(items)));                     \
        (items)[(count)++] = (item);                                                           \
    } while (0)
