/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The one file that may: see base/banned.h. */
#undef calloc
#undef realloc

static _Noreturn void out_of_memory(void)
{
    /* Nothing that allocates: the heap is what just failed. */
    (void)fputs("<2>out of memory\n", stderr);
    abort();
}

void *xcalloc(size_t count, size_t item_bytes)
{
    void *memory = calloc(count ? count : 1, item_bytes ? item_bytes : 1);

    if (!memory)
        out_of_memory();
    return memory;
}

void *xrealloc(void *memory, size_t size_bytes)
{
    assert(size_bytes > 0);
    memory = realloc(memory, size_bytes);
    if (!memory)
        out_of_memory();
    return memory;
}

char *xstrdup(const char *text)
{
    size_t len = strlen(text);
    char *copy = xrealloc(NULL, len + 1);

    memcpy(copy, text, len + 1);
    return copy;
}

void *xfree(void *memory)
{
    free(memory);
    return NULL;
}

void xfree_cleanup(void *pointer_to_pointer)
{
    void **slot = pointer_to_pointer;

    *slot = xfree(*slot);
}
