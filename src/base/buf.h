/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that grows, on the heap, with a mandatory limit.
 * Invariants: 1. ptr[len] is NUL once anything was added.  2. what would pass `limit_bytes` is not added and sets `full`,
 * for good: callers check once at the end.
 */
#pragma once

#include <stdarg.h>

#include "base/str.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t limit_bytes;
    bool full;
};

void buf_init(struct buf *buf, size_t limit_bytes);
void buf_done(struct buf *buf);
/* Empties it, keeps the memory and clears `full`. */
void buf_reset(struct buf *buf);
void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_add_char(struct buf *buf, char c);
void buf_add_str(struct buf *buf, struct str s);
void buf_add_cstr(struct buf *buf, const char *s);
void buf_add_i64(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) printf_like(2, 3);
/* RFC 3986 percent-encoding of all but A-Z a-z 0-9 - _ . ~, upper-case hex (signature.md "enc"). */
void buf_add_percent(struct buf *buf, struct str s);
/* Room for `len` more bytes, to be filled by the caller, or NULL when that passes the limit. */
char *buf_room(struct buf *buf, size_t len);

static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){buf->ptr ? buf->ptr : "", buf->len};
}
