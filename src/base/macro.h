/* SPDX-License-Identifier: Apache-2.0 */
/* Words that C lacks. Every ring may include this. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define countof(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(ptr, type, member) \
    ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* The caller has to look at the result. */
#define must_check __attribute__((warn_unused_result))

/* `_cleanup_(fn)` runs fn(&variable) when the variable goes out of scope; `steal(&p)` gives it away. */
#define _cleanup_(fn) __attribute__((cleanup(fn)))

static inline void *steal_pointer(void *pointer_to_pointer)
{
    void **slot = pointer_to_pointer;
    void *value = *slot;

    *slot = NULL;
    return value;
}
#define steal(p) ((__typeof__(*(p)))steal_pointer(p))

#define printf_like(template, first) __attribute__((format(printf, template, first)))

#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

#ifdef ECSD_SLOW_ASSERT
#define slow_assert(x) assert(x)
#else
#define slow_assert(x) ((void)0)
#endif
