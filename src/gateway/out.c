/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/out.h"

void out_init(struct out *out, struct arena *arena, size_t first_bytes, size_t limit_bytes)
{
    assert(limit_bytes > 0);
    *out = (struct out){
        .arena = arena, .cap = MIN_OF(first_bytes, limit_bytes), .limit_bytes = limit_bytes};
    if (out->cap > 0)
        out->ptr = arena_alloc_raw(arena, out->cap);
}

char *out_grow(struct out *out, size_t len)
{
    if (out->full || len > out->limit_bytes - out->len) {
        out->full = true;
        return NULL;
    }
    if (len > out->cap - out->len) {
        size_t cap = MIN_OF(MAX_OF(out->cap * 2, out->len + len), out->limit_bytes);
        char *bigger = arena_alloc_raw(out->arena, cap);

        if (out->len > 0)
            memcpy(bigger, out->ptr, out->len);
        out->ptr = bigger;
        out->cap = cap;
    }
    out->len += len;
    return out->ptr + out->len - len;
}

void out_add(struct out *out, const void *bytes, size_t len)
{
    char *room = len > 0 ? out_room(out, len) : NULL;

    if (room)
        memcpy(room, bytes, len);
}

void out_cstr(struct out *out, const char *s)
{
    out_add(out, s, strlen(s));
}

void out_i64(struct out *out, int64_t value)
{
    char digits[I64_TEXT_MAX];
    struct str text = str_print_i64(value, digits);

    out_add(out, text.ptr, text.len);
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

size_t out_percent_length(struct str s, bool twice)
{
    size_t extra = twice ? 4 : 2;
    size_t len = s.len;

    for (size_t i = 0; i < s.len; i++)
        len += is_unreserved((unsigned char)s.ptr[i]) ? 0 : extra;
    return len;
}

void out_percent(struct out *out, struct str s, bool twice)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = out_percent_length(s, twice);
    char *room;

    if (len == s.len) {
        out_str(out, s);
        return;
    }
    room = out_room(out, len);
    if (!room)
        return;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (is_unreserved(c)) {
            *room++ = (char)c;
            continue;
        }
        *room++ = '%';
        if (twice) {
            *room++ = '2';
            *room++ = '5';
        }
        *room++ = hex[c >> 4];
        *room++ = hex[c & 15];
    }
}
