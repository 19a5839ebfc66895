/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "gen/errors.h"

static void compares_bytes(void **state)
{
    (void)state;
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("ab"), STR("a")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp(STR_NONE, STR("")), 0);
    assert_true(str_cmp_nocase(STR("ABC"), STR("abd")) < 0);
    assert_int_equal(str_cmp_nocase(STR("InstanceID"), STR("instanceid")), 0);
    assert_true(str_eq_nocase(STR("XyZ"), STR("xYz")));
    /* Only ASCII is folded: [ and { differ by the same bit as letters do. */
    assert_false(str_eq_nocase(STR("["), STR("{")));
    assert_false(str_eq_nocase(STR("\xc3\x84"), STR("\xc3\xa4")));
    assert_false(str_eq(STR("a"), STR("a\0")));
}

static void finds_parts(void **state)
{
    struct str head;
    struct str rest;

    (void)state;
    assert_true(str_starts(STR("ecsd"), STR("ec")));
    assert_true(str_starts(STR("ecsd"), STR("")));
    assert_false(str_starts(STR("ec"), STR("ecsd")));
    assert_true(str_starts_nocase(STR("Bearer x"), STR("bearer ")));
    assert_true(str_ends(STR("ecsd"), STR("sd")));
    assert_true(str_ends(STR_NONE, STR("")));
    assert_false(str_ends(STR("d"), STR("sd")));
    assert_true(str_contains(STR("haystack"), STR("st")));
    assert_false(str_contains(STR("hay"), STR("hays")));
    assert_true(str_contains(STR_NONE, STR("")));
    assert_str(str_trim(STR(" \t a b\t ")), "a b");
    assert_str(str_trim(STR("  ")), "");
    assert_true(str_split(STR("a=b=c"), '=', &head, &rest));
    assert_str(head, "a");
    assert_str(rest, "b=c");
    assert_true(str_split(STR("a="), '=', &head, &rest));
    assert_str(rest, "");
    assert_false(str_split(STR("abc"), '=', &head, &rest));
    assert_str(head, "abc");
    assert_str(rest, NULL);
    assert_false(str_split(STR_NONE, '=', &head, &rest));
    assert_str(head, NULL);
}

static void globs(void **state)
{
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
        bool matches_nocase;
    } rows[] = {
        {"", "", true, true},
        {"", "a", false, false},
        {"*", "", true, true},
        {"*", "anything", true, true},
        {"**", "x", true, true},
        {"ecs:*", "ecs:StopInstance", true, true},
        {"ecs:*", "ECS:StopInstance", false, true},
        {"ecs:Describe*", "ecs:DescribeDisks", true, true},
        {"ecs:Describe*", "ecs:Describ", false, false},
        {"*Instance", "ecs:StopInstance", true, true},
        {"*Instance", "ecs:StopInstances", false, false},
        {"a*b*c", "aXbYc", true, true},
        {"a*b*c", "aXbYcZ", false, false},
        {"a*b*c", "abcbc", true, true},
        {"*ab", "aab", true, true},
        {"a?c", "abc", false, false},
        {"A*C", "abc", false, true},
    };

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(str_glob(str_from(rows[i].pattern), str_from(rows[i].text), false),
                         rows[i].matches);
        assert_int_equal(str_glob(str_from(rows[i].pattern), str_from(rows[i].text), true),
                         rows[i].matches_nocase);
    }
}

/* What takes exponential time with backtracking over every star. */
static void globs_evil_patterns(void **state)
{
    char text[2000];
    char pattern[200];

    (void)state;
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i + 1 < sizeof(pattern); i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[sizeof(pattern) - 1] = 'b';
    assert_false(
        str_glob(str_slice(pattern, sizeof(pattern)), str_slice(text, sizeof(text)), false));
}

static void parses_integers(void **state)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x10",
                                      "1.0",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "--1",
                                      "1e3"};
    int64_t value = 42;

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        assert_int_equal(str_to_i64(str_from(bad[i]), &value), -E_INVALID);
        assert_int_equal(value, 42);
    }
    assert_int_equal(str_to_i64(STR_NONE, &value), -E_INVALID);
    assert_int_equal(str_to_i64(STR("9223372036854775807"), &value), 0);
    assert_true(value == INT64_MAX);
    assert_int_equal(str_to_i64(STR("-9223372036854775808"), &value), 0);
    assert_true(value == INT64_MIN);
    assert_int_equal(str_to_i64(STR("-0"), &value), 0);
    assert_true(value == 0);
    assert_int_equal(str_to_i64(STR("007"), &value), 0);
    assert_true(value == 7);
    /* The length rules, not a NUL. */
    assert_int_equal(str_to_i64(str_slice("123456", 3), &value), 0);
    assert_true(value == 123);
}

static void parses_doubles(void **state)
{
    static const char *const bad[] = {
        "",    ".",   "1.",    ".5",  "-",  "1e3", "0x1",
        "nan", "inf", "1.2.3", "1,5", " 1", "1 ",  "12345678901234567"};
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0.0},
                {"0.2", 0.2},
                {"-1.5", -1.5},
                {"100", 100.0},
                {"00012.50", 12.5},
                {"0.001", 0.001},
                {"3.141592653", 3.141592653},
                {"86400", 86400.0},
                {"123456789012345", 123456789012345.0}};
    double value = 42.0;

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        assert_int_equal(str_to_double(str_from(bad[i]), &value), -E_INVALID);
        assert_true(value == 42.0);
    }
    for (size_t i = 0; i < countof(good); i++) {
        assert_int_equal(str_to_double(str_from(good[i].text), &value), 0);
        assert_true(value == good[i].value);
        value = 42.0;
    }
}

static void parses_bools(void **state)
{
    bool value = false;

    (void)state;
    assert_int_equal(str_to_bool(STR("True"), false, &value), 0);
    assert_true(value);
    assert_int_equal(str_to_bool(STR("FALSE"), false, &value), 0);
    assert_false(value);
    assert_int_equal(str_to_bool(STR("on"), false, &value), -E_INVALID);
    assert_int_equal(str_to_bool(STR("1"), false, &value), -E_INVALID);
    assert_int_equal(str_to_bool(STR(""), true, &value), -E_INVALID);
    assert_int_equal(str_to_bool(STR("Yes"), true, &value), 0);
    assert_true(value);
    assert_int_equal(str_to_bool(STR("0"), true, &value), 0);
    assert_false(value);
}

static void parses_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t value_us;
    } good[] = {{"90", 90000000},  {"90s", 90000000}, {"5m", 300000000},   {"2h", 7200000000},
                {"250ms", 250000}, {"7us", 7},        {"1d", 86400000000}, {"0", 0}};
    static const char *const bad[] = {"",   "s",   "-1",         "1.5s",
                                      "1w", "5 m", "106751992d", "9223372036854775807"};
    int64_t value = 42;

    (void)state;
    for (size_t i = 0; i < countof(good); i++) {
        assert_int_equal(str_to_duration(str_from(good[i].text), &value), 0);
        assert_true(value == good[i].value_us);
    }
    value = 42;
    for (size_t i = 0; i < countof(bad); i++) {
        assert_int_equal(str_to_duration(str_from(bad[i]), &value), -E_INVALID);
        assert_true(value == 42);
    }
}

static void knows_utf8(void **state)
{
    static const char *const good[] = {"",
                                       "ascii",
                                       "\xc3\xa9",
                                       "\xe4\xb8\xad\xe6\x96\x87",
                                       "\xf0\x9f\x98\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80"};
    static const char *const bad[] = {"\x80",
                                      "\xc3",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xe4\xb8",
                                      "a\xc3z"};

    (void)state;
    for (size_t i = 0; i < countof(good); i++)
        assert_true(str_is_utf8(str_from(good[i])));
    for (size_t i = 0; i < countof(bad); i++)
        assert_false(str_is_utf8(str_from(bad[i])));
}

static void knows_tokens(void **state)
{
    (void)state;
    assert_true(str_is_token(STR("!~azAZ09")));
    assert_false(str_is_token(STR("")));
    assert_false(str_is_token(STR("a b")));
    assert_false(str_is_token(STR("a\x7f")));
    assert_false(str_is_token(STR("\xc3\xa9")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_bytes),  cmocka_unit_test(finds_parts),
        cmocka_unit_test(globs),           cmocka_unit_test(globs_evil_patterns),
        cmocka_unit_test(parses_integers), cmocka_unit_test(parses_doubles),
        cmocka_unit_test(parses_bools),    cmocka_unit_test(parses_durations),
        cmocka_unit_test(knows_utf8),      cmocka_unit_test(knows_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
