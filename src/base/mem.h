/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heap, for what lives on neither an arena nor a buf. Out of memory aborts: what clients can
 * make us allocate is bounded before it is, the store is durable, and the supervisor restarts us.
 */
#pragma once

#include "base/macro.h"

/* Zeroed memory for `count` items; count * item_bytes may not overflow (abort). */
void *xcalloc(size_t count, size_t item_bytes)
    __attribute__((malloc, alloc_size(1, 2), returns_nonnull));
/* As realloc with a size above 0; what is added is not zeroed. */
void *xrealloc(void *memory, size_t size_bytes) __attribute__((alloc_size(2), returns_nonnull));
/* A copy of a C string. */
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
/* Returns NULL, so that `p = xfree(p)` leaves nothing dangling; NULL is fine. */
void *xfree(void *memory);

/* For _cleanup_(xfree_cleanup) on a pointer. */
void xfree_cleanup(void *pointer_to_pointer);
