/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that grows on an arena, with a mandatory limit: what the call makes (string to sign, reply)
 * dies with the call. Invariants: 1. what would pass `limit_bytes` is not added and sets `full`,
 * for good: callers check once at the end.
 * 2. the text is not NUL-terminated.
 */
#pragma once

#include "base/arena.h"

struct out {
    struct arena *arena;
    char *ptr;
    size_t len;
    size_t cap;
    size_t limit_bytes;
    bool full;
};

void out_init(struct out *out, struct arena *arena, size_t first_bytes, size_t limit_bytes);
/* As out_room, where there is no room yet. */
char *out_grow(struct out *out, size_t len);
void out_add(struct out *out, const void *bytes, size_t len);
void out_cstr(struct out *out, const char *s);
void out_i64(struct out *out, int64_t value);
/* RFC 3986 percent-encoding of all but A-Z a-z 0-9 - _ . ~, upper-case hex; `twice` encodes the
 * result once more. */
void out_percent(struct out *out, struct str s, bool twice);
size_t out_percent_length(struct str s, bool twice);

/* Room for `len` more bytes, to be filled by the caller, or NULL when that passes the limit. */
static inline char *out_room(struct out *out, size_t len)
{
    if (len > out->cap - out->len || out->full)
        return out_grow(out, len);
    out->len += len;
    return out->ptr + out->len - len;
}

static inline void out_char(struct out *out, char c)
{
    char *room = out_room(out, 1);

    if (room)
        *room = c;
}

static inline void out_str(struct out *out, struct str s)
{
    out_add(out, s.ptr, s.len);
}

static inline struct str out_text(const struct out *out)
{
    return str_slice(out->ptr ? out->ptr : "", out->len);
}
