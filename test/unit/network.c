/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "base/clock.h"
#include "gen/errors.h"
#include "model/network.h"
#include "model/page.h"

static void addresses_are_strict(void **state)
{
    static const char *const bad[] = {"",       "1.2.3",    "1.2.3.4.5", "1.2.3.256", "01.2.3.4",
                                      "1..3.4", "-1.2.3.4", "1.2.3.4 ",  "a.b.c.d"};
    struct arena arena;
    uint32_t address = 7;

    (void)state;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < countof(bad); i++)
        assert_int_equal(ipv4_parse(str_from(bad[i]), &address), -E_INVALID);
    assert_int_equal(address, 7);
    assert_int_equal(ipv4_parse(STR("10.0.255.3"), &address), 0);
    assert_int_equal(address, 0x0a00ff03);
    assert_str(ipv4_print(&arena, address), "10.0.255.3");
    assert_str(ipv4_print(&arena, UINT32_MAX), "255.255.255.255");
    arena_done(&arena);
}

static void blocks_have_no_host_bits(void **state)
{
    static const char *const bad[] = {"10.0.0.0",    "10.0.0.0/", "10.0.0.1/8", "10.0.0.0/33",
                                      "10.0.0.0/-1", "10.0.0/8",  "x/8"};
    struct cidr cidr;

    (void)state;
    for (size_t i = 0; i < countof(bad); i++)
        assert_int_equal(cidr_parse(str_from(bad[i]), &cidr), -E_INVALID);
    assert_int_equal(cidr_parse(STR("0.0.0.0/0"), &cidr), 0);
    assert_true(cidr_contains(&cidr, UINT32_MAX));
    assert_int_equal(cidr_parse(STR("192.168.4.0/24"), &cidr), 0);
    assert_true(cidr_contains(&cidr, 0xc0a80400));
    assert_false(cidr_contains(&cidr, 0xc0a80500));
}

static void the_first_and_the_last_three_are_reserved(void **state)
{
    struct cidr cidr;

    (void)state;
    assert_int_equal(cidr_parse(STR("192.168.4.0/24"), &cidr), 0);
    assert_int_equal(cidr_capacity(&cidr), 252);
    assert_false(cidr_usable(&cidr, cidr.base));
    assert_true(cidr_usable(&cidr, cidr.base + 1));
    assert_true(cidr_usable(&cidr, cidr.base + 252));
    for (uint32_t last = 253; last < 256; last++)
        assert_false(cidr_usable(&cidr, cidr.base + last));
    assert_false(cidr_usable(&cidr, cidr.base + 256));
    for (int64_t i = 0; i < cidr_capacity(&cidr); i++) {
        assert_true(cidr_usable(&cidr, cidr_nth(&cidr, i)));
        assert_int_equal(cidr_place(&cidr, cidr_nth(&cidr, i)), i);
    }
    assert_int_equal(cidr_parse(STR("192.168.4.0/31"), &cidr), 0);
    assert_int_equal(cidr_capacity(&cidr), 0);
}

static void parts_lie_side_by_side(void **state)
{
    struct arena arena;
    struct cidr outer, part;

    (void)state;
    arena_init(&arena, 1 << 20);
    assert_int_equal(cidr_parse(STR("10.0.0.0/8"), &outer), 0);
    part = cidr_part(&outer, 12, 0);
    assert_str(cidr_print(&arena, &part), "10.0.0.0/12");
    part = cidr_part(&outer, 12, 15);
    assert_str(cidr_print(&arena, &part), "10.240.0.0/12");
    assert_true(cidr_capacity(&part) > 1000000);
    arena_done(&arena);
}

static void a_mac_is_local_unicast_and_stable(void **state)
{
    struct arena arena;
    struct str one, two;

    (void)state;
    arena_init(&arena, 1 << 20);
    one = mac_from_id(&arena, STR("eni-1"));
    two = mac_from_id(&arena, STR("eni-2"));
    assert_int_equal(one.len, 17);
    assert_true(one.ptr[1] == '2' || one.ptr[1] == '6' || one.ptr[1] == 'a' || one.ptr[1] == 'e');
    assert_true(str_eq(one, mac_from_id(&arena, STR("eni-1"))));
    assert_false(str_eq(one, two));
    arena_done(&arena);
}

static void a_token_is_good_for_its_query_only(void **state)
{
    struct page_check check, other;
    struct arena arena;
    struct str token, after = STR_NONE;

    (void)state;
    arena_init(&arena, 1 << 20);
    page_check_init(&check);
    page_check_add(&check, STR("ab"));
    page_check_add(&check, STR("c"));
    page_check_init(&other);
    page_check_add(&other, STR("a"));
    page_check_add(&other, STR("bc"));
    token = page_token_make(&arena, &check, STR("i-0123456789abcdefghij"));
    assert_int_equal(page_token_read(&arena, &check, token, &after), 0);
    assert_str(after, "i-0123456789abcdefghij");
    assert_int_equal(page_token_read(&arena, &other, token, &after), -E_INVALID);
    for (size_t len = 0; len < 17; len++)
        assert_int_equal(page_token_read(&arena, &check, str_slice(token.ptr, len), &after),
                         -E_INVALID);
    assert_int_equal(page_token_read(&arena, &check, STR("zz00000000000000000000"), &after),
                     -E_INVALID);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_strict),
        cmocka_unit_test(blocks_have_no_host_bits),
        cmocka_unit_test(the_first_and_the_last_three_are_reserved),
        cmocka_unit_test(parts_lie_side_by_side),
        cmocka_unit_test(a_mac_is_local_unicast_and_stable),
        cmocka_unit_test(a_token_is_good_for_its_query_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
