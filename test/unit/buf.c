/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "base/buf.h"

static void builds_text(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1 << 20);
    assert_str(buf_str(&buf), "");
    buf_add_cstr(&buf, "a");
    buf_add_char(&buf, 'b');
    buf_add_str(&buf, STR("cd"));
    buf_add_str(&buf, STR_NONE);
    buf_printf(&buf, "[%d]", 5);
    assert_str(buf_str(&buf), "abcd[5]");
    assert_int_equal(buf.ptr[buf.len], '\0');
    for (int i = 0; i < 10000; i++)
        buf_add_cstr(&buf, "0123456789");
    assert_int_equal(buf.len, 100007);
    assert_false(buf.full);
    buf_reset(&buf);
    assert_str(buf_str(&buf), "");
    buf_done(&buf);
    buf_done(&buf);
}

static void stops_at_its_limit(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 8);
    buf_add_cstr(&buf, "12345678");
    assert_false(buf.full);
    buf_add_char(&buf, '9');
    assert_true(buf.full);
    assert_str(buf_str(&buf), "12345678");
    buf_reset(&buf);
    assert_false(buf.full);
    buf_add_cstr(&buf, "123456789");
    assert_true(buf.full);
    buf_add_char(&buf, 'x'); /* it would fit, but what is missing before it stays missing */
    assert_str(buf_str(&buf), "");
    assert_null(buf_room(&buf, 1));
    buf_done(&buf);
}

static void never_allocates_past_its_limit(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 200);
    for (int i = 0; i < 200; i++)
        buf_add_char(&buf, 'x');
    assert_false(buf.full);
    assert_true(buf.cap <= 201);
    assert_null(buf_room(&buf, SIZE_MAX));
    assert_true(buf.full);
    buf_done(&buf);
}

static void prints_integers(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    buf_add_i64(&buf, 0);
    buf_add_char(&buf, ' ');
    buf_add_i64(&buf, INT64_MIN);
    buf_add_char(&buf, ' ');
    buf_add_i64(&buf, INT64_MAX);
    assert_str(buf_str(&buf), "0 -9223372036854775808 9223372036854775807");
    buf_done(&buf);
}

static void encodes_percent(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    buf_add_percent(&buf, str_slice("AZaz09-_.~ /+*&=\xe4\xb8\xad\0%", 21));
    assert_str(buf_str(&buf), "AZaz09-_.~%20%2F%2B%2A%26%3D%E4%B8%AD%00%25");
    buf_done(&buf);
}

static void gives_room(void **state)
{
    struct buf buf;
    char *room;

    (void)state;
    buf_init(&buf, 100);
    buf_add_cstr(&buf, "ab");
    room = buf_room(&buf, 3);
    assert_non_null(room);
    memcpy(room, "cde", 3);
    assert_str(buf_str(&buf), "abcde");
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_text),
        cmocka_unit_test(stops_at_its_limit),
        cmocka_unit_test(never_allocates_past_its_limit),
        cmocka_unit_test(prints_integers),
        cmocka_unit_test(encodes_percent),
        cmocka_unit_test(gives_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
