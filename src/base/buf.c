/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>

#include "base/mem.h"

#define FIRST_BYTES ((size_t)128)

void buf_init(struct buf *buf, size_t limit_bytes)
{
    assert(limit_bytes > 0);
    assert(limit_bytes < SIZE_MAX / 2);
    *buf = (struct buf){.limit_bytes = limit_bytes};
}

void buf_done(struct buf *buf)
{
    (void)xfree(buf->ptr);
    *buf = (struct buf){.limit_bytes = buf->limit_bytes};
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->full = false;
    if (buf->ptr)
        buf->ptr[0] = '\0';
}

/* Room for `len` bytes and the final NUL; false when the text is full. */
static bool reserve(struct buf *buf, size_t len)
{
    size_t cap = MAX_OF(buf->cap, FIRST_BYTES);

    assert(buf->limit_bytes > 0);
    if (buf->full || len > buf->limit_bytes - buf->len) {
        buf->full = true;
        return false;
    }
    if (buf->len + len < buf->cap)
        return true;
    while (cap <= buf->len + len)
        cap *= 2;
    cap = MIN_OF(cap, buf->limit_bytes + 1);
    buf->ptr = xrealloc(buf->ptr, cap);
    buf->cap = cap;
    return true;
}

char *buf_room(struct buf *buf, size_t len)
{
    char *room;

    if (!reserve(buf, len))
        return NULL;
    room = buf->ptr + buf->len;
    buf->len += len;
    buf->ptr[buf->len] = '\0';
    return room;
}

void buf_add(struct buf *buf, const void *bytes, size_t len)
{
    char *room = buf_room(buf, len);

    if (room && len > 0)
        memcpy(room, bytes, len);
}

void buf_add_char(struct buf *buf, char c)
{
    char *room = buf_room(buf, 1);

    if (room)
        *room = c;
}

void buf_add_str(struct buf *buf, struct str s)
{
    buf_add(buf, s.ptr, s.len);
}

void buf_add_cstr(struct buf *buf, const char *s)
{
    buf_add(buf, s, strlen(s));
}

void buf_add_i64(struct buf *buf, int64_t value)
{
    char digits[I64_TEXT_MAX];
    struct str text = str_print_i64(value, digits);

    buf_add(buf, text.ptr, text.len);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    char *room;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    room = buf_room(buf, (size_t)len);
    if (!room)
        return;
    va_start(args, format);
    (void)vsnprintf(room, (size_t)len + 1, format, args);
    va_end(args);
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

void buf_add_percent(struct buf *buf, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = s.len;
    char *room;

    for (size_t i = 0; i < s.len; i++)
        len += is_unreserved((unsigned char)s.ptr[i]) ? 0 : 2;
    room = buf_room(buf, len);
    if (!room)
        return;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (is_unreserved(c)) {
            *room++ = (char)c;
            continue;
        }
        *room++ = '%';
        *room++ = hex[c >> 4];
        *room++ = hex[c & 15];
    }
}
