/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "base/arena.h"

static bool is_zero(const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i] != 0)
            return false;
    }
    return true;
}

static void gives_zeroed_aligned_memory(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, 1 << 20);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 0; size < 700; size += 7) {
            unsigned char *p = arena_alloc(&arena, size);

            assert_int_equal((uintptr_t)p % 16, 0);
            assert_true(is_zero(p, size));
            memset(p, 0xA5, size);
        }
        /* The kept block holds what was written: it has to come back clean. */
        arena_reset(&arena);
        assert_int_equal(arena.used_bytes, 0);
    }
    arena_done(&arena);
}

static void survives_blocks_of_any_size(void **state)
{
    struct arena arena;
    char *small;
    char *big;

    (void)state;
    arena_init(&arena, 8 << 20);
    small = arena_alloc(&arena, 10);
    memset(small, 's', 10);
    big = arena_alloc(&arena, 3 << 20);
    memset(big, 'b', 3 << 20);
    assert_int_equal(small[9], 's');
    assert_int_equal(big[(3 << 20) - 1], 'b');
    arena_reset(&arena);
    assert_true(arena.blocks == NULL || arena.used_bytes == 0);
    arena_done(&arena);
    arena_done(&arena);
}

static void works_zeroed(void **state)
{
    struct arena arena = {0};

    (void)state;
    arena_done(&arena);
    assert_null(arena.blocks);
}

static char order[8];
static size_t order_len;

static void note(void *object)
{
    order[order_len++] = *(const char *)object;
}

static struct arena *nested;
static char late = 'l';

static void note_and_register(void *object)
{
    note(object);
    arena_cleanup(nested, note, &late);
}

static void cleans_up_last_first(void **state)
{
    char names[] = "abc";
    struct arena arena;

    (void)state;
    order_len = 0;
    nested = &arena;
    arena_init(&arena, 1 << 16);
    arena_cleanup(&arena, note, &names[0]);
    arena_cleanup(&arena, note_and_register, &names[1]);
    arena_cleanup(&arena, note, &names[2]);
    arena_reset(&arena);
    assert_int_equal(order_len, 4);
    assert_memory_equal(order, "cbla", 4);
    arena_done(&arena);
    assert_int_equal(order_len, 4); /* once each */
}

static void copies_text(void **state)
{
    struct arena arena;
    struct str copy;

    (void)state;
    arena_init(&arena, 1 << 16);
    copy = arena_str(&arena, str_slice("abcdef", 3));
    assert_str(copy, "abc");
    assert_int_equal(copy.ptr[3], '\0');
    assert_str(arena_str(&arena, STR_NONE), NULL);
    copy = arena_str(&arena, STR(""));
    assert_str(copy, "");
    assert_non_null(copy.ptr);
    assert_string_equal(arena_cstr(&arena, STR_NONE), "");
    assert_str(arena_printf(&arena, "%s-%d", "i", 7), "i-7");
    arena_done(&arena);
}

static void grows_arrays(void **state)
{
    struct arena arena;
    int *items = NULL;
    size_t count = 0;

    (void)state;
    arena_init(&arena, 4 << 20);
    for (int i = 0; i < 100000; i++)
        arena_push(&arena, items, count, i);
    assert_int_equal(count, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(items[i], i);
    arena_done(&arena);
}

static void aborts_over_its_limit(void **state)
{
    volatile size_t huge = SIZE_MAX; /* volatile: the compiler would see through it */
    struct arena arena;

    (void)state;
    arena_init(&arena, 4096);
    assert_non_null(arena_alloc(&arena, 4000));
    assert_aborts((void)arena_alloc(&arena, 200));
    assert_aborts((void)arena_array(&arena, uint64_t, huge / 4));
    assert_aborts((void)arena_alloc(&arena, huge));
    assert_non_null(arena_alloc(&arena, 96)); /* exactly full */
    assert_aborts((void)arena_alloc(&arena, 1));
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aborts_over_its_limit),
        cmocka_unit_test(gives_zeroed_aligned_memory),
        cmocka_unit_test(survives_blocks_of_any_size),
        cmocka_unit_test(works_zeroed),
        cmocka_unit_test(cleans_up_last_first),
        cmocka_unit_test(copies_text),
        cmocka_unit_test(grows_arrays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
