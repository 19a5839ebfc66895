/* SPDX-License-Identifier: Apache-2.0 */
#include "model/page.h"

#include "base/hash.h"
#include "gen/errors.h"

#define CHECK_BYTES sizeof(uint64_t)

/* FNV-1a, 64 bit: the check catches honest mistakes (another filter with an old token), it is no
 * signature. */
#define FNV_OFFSET 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

void page_check_init(struct page_check *check)
{
    check->sum = FNV_OFFSET;
}

static void add_bytes(struct page_check *check, const void *bytes, size_t len)
{
    const uint8_t *byte = bytes;

    for (size_t i = 0; i < len; i++)
        check->sum = (check->sum ^ byte[i]) * FNV_PRIME;
}

void page_check_add(struct page_check *check, struct str text)
{
    /* The length goes first, so that ("ab","c") and ("a","bc") differ. */
    page_check_add_i64(check, text.ptr ? (int64_t)text.len : -1);
    add_bytes(check, text.ptr, text.len);
}

void page_check_add_i64(struct page_check *check, int64_t value)
{
    add_bytes(check, &value, sizeof(value));
}

void page_check_add_list(struct page_check *check, const struct str_list *list)
{
    page_check_add_i64(check, list ? (int64_t)list->count : -1);
    for (size_t i = 0; list && i < list->count; i++)
        page_check_add(check, list->items[i]);
}

struct str page_token_make(struct arena *arena, const struct page_check *check, struct str after)
{
    size_t len = CHECK_BYTES + after.len;
    uint8_t *bytes = arena_alloc(arena, len);
    char *text = arena_alloc(arena, 2 * len + 1);

    assert(!str_empty(after) && 2 * len <= PAGE_TOKEN_MAX);
    for (size_t i = 0; i < CHECK_BYTES; i++)
        bytes[i] = (uint8_t)(check->sum >> (8 * i));
    memcpy(bytes + CHECK_BYTES, after.ptr, after.len);
    hex_encode(bytes, len, text);
    return str_slice(text, 2 * len);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int page_token_read(struct arena *arena, const struct page_check *check, struct str token,
                    struct str *ret_after)
{
    size_t len = token.len / 2;
    uint64_t sum = 0;
    char *bytes;

    if (token.len % 2 != 0 || token.len > PAGE_TOKEN_MAX || len <= CHECK_BYTES)
        return -E_INVALID;
    bytes = arena_alloc(arena, len);
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(token.ptr[2 * i]), low = hex_digit(token.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return -E_INVALID;
        bytes[i] = (char)(uint8_t)(high << 4 | low);
    }
    for (size_t i = 0; i < CHECK_BYTES; i++)
        sum |= (uint64_t)(uint8_t)bytes[i] << (8 * i);
    if (sum != check->sum)
        return -E_INVALID;
    *ret_after = str_slice(bytes + CHECK_BYTES, len - CHECK_BYTES);
    return 0;
}
