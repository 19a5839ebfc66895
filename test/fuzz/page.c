/* SPDX-License-Identifier: Apache-2.0 */
/* NextToken. Input: a token, or any text that becomes the place in one. */
#include "fuzz/fuzz.h"

#include "model/page.h"

static unsigned hex_value(char c)
{
    return c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10) & 15;
}

/* The check that the token claims: otherwise none but a token of ours would ever be read. */
static struct page_check claimed(struct str token)
{
    struct page_check check = {0};

    for (size_t i = 0; i < 16 && i < token.len; i++)
        check.sum |= (uint64_t)hex_value(token.ptr[i]) << (4 * (i ^ 1));
    return check;
}

static void check_read(struct arena *arena, struct str token)
{
    struct page_check check = claimed(token);
    struct page_check other = {check.sum + 1};
    struct str after = STR("untouched");

    if (page_token_read(arena, &check, token, &after) < 0) {
        assert(str_eq(after, STR("untouched")));
        return;
    }
    assert(after.len > 0 && token.len <= PAGE_TOKEN_MAX);
    assert(str_eq(page_token_make(arena, &check, after), token));
    assert(page_token_read(arena, &other, token, &after) == -E_INVALID);
}

static void check_made(struct arena *arena, struct str after)
{
    struct str_list list = {&after, 1};
    struct page_check check;
    struct str token;
    struct str read;

    if (after.len == 0 || 2 * (after.len + 8) > PAGE_TOKEN_MAX)
        return;
    page_check_init(&check);
    page_check_add(&check, after);
    page_check_add_list(&check, &list);
    token = page_token_make(arena, &check, after);
    assert(page_token_read(arena, &check, fuzz_exact(arena, token), &read) == 0 && str_eq(read, after));
    /* One that was cut is for nobody. */
    assert(page_token_read(arena, &check, str_slice(token.ptr, token.len - 1), &read) == -E_INVALID);
    assert(page_token_read(arena, &check, str_slice(token.ptr + 2, token.len - 2), &read) == -E_INVALID ||
           memcmp(token.ptr, token.ptr + 2, 16) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = fuzz_input(data, size);
    struct arena arena;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    check_read(&arena, text);
    check_made(&arena, text);
    arena_done(&arena);
    return 0;
}
