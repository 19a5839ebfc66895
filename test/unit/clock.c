/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "base/clock.h"
#include "gen/errors.h"

static void prints_known_times(void **state)
{
    static const struct {
        usec_t t;
        const char *micro;
        const char *http;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000000Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777000000, "1994-11-06T08:49:37.000000Z",
         "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110 §5.6.7 */
        {951782400000001, "2000-02-29T00:00:00.000001Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
        {1512878645123456, "2017-12-10T04:04:05.123456Z", "Sun, 10 Dec 2017 04:04:05 GMT"},
        {4107542399999999, "2100-02-28T23:59:59.999999Z", "Sun, 28 Feb 2100 23:59:59 GMT"},
        {4107542400000000, "2100-03-01T00:00:00.000000Z", "Mon, 01 Mar 2100 00:00:00 GMT"},
        {253402300799999999, "9999-12-31T23:59:59.999999Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
        {-1, "1969-12-31T23:59:59.999999Z", "Wed, 31 Dec 1969 23:59:59 GMT"},
    };
    char text[TIME_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(time_print_micro(rows[i].t, text), strlen(rows[i].micro));
        assert_string_equal(text, rows[i].micro);
        assert_int_equal(time_print_http(rows[i].t, text), strlen(rows[i].http));
        assert_string_equal(text, rows[i].http);
    }
    (void)time_print_minute(1512878645123456, text);
    assert_string_equal(text, "2017-12-10T04:04Z");
    (void)time_print_second(1512878645123456, text);
    assert_string_equal(text, "2017-12-10T04:04:05Z");
    assert_true(time_print_micro(USEC_NEVER, text) < TIME_TEXT_MAX);
    assert_true(time_print_micro(INT64_MIN, text) < TIME_TEXT_MAX);
}

static void parses_all_forms(void **state)
{
    static const struct {
        const char *text;
        usec_t t;
    } rows[] = {
        {"1970-01-01T00:00Z", 0},
        {"2017-12-10T04:04Z", 1512878640000000},
        {"2017-12-10T04:04:05Z", 1512878645000000},
        {"2017-12-10T04:04:05.1Z", 1512878645100000},
        {"2017-12-10T04:04:05.123456Z", 1512878645123456},
        {"2017-12-10T04:04:05.123456789Z", 1512878645123456},
        {"2000-02-29T23:59:59Z", 951868799000000},
    };
    usec_t t;

    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        assert_int_equal(time_parse(str_from(rows[i].text), &t), 0);
        assert_true(t == rows[i].t);
    }
}

static void refuses_all_else(void **state)
{
    static const char *const bad[] = {
        "",
        "2017-12-10",
        "2017-12-10T04:04",
        "2017-12-10T04:04:05",
        "2017-12-10 04:04:05Z",
        "2017-12-10T04:04:05z",
        "2017-12-10t04:04:05Z",
        "2017-12-10T04:04:05+00:00",
        "2017-12-10T4:04:05Z",
        "2017-13-10T04:04:05Z",
        "2017-00-10T04:04:05Z",
        "2017-12-00T04:04:05Z",
        "2017-12-32T04:04:05Z",
        "2017-02-29T04:04:05Z",
        "2100-02-29T04:04:05Z",
        "2017-12-10T24:00:00Z",
        "2017-12-10T04:60:05Z",
        "2017-12-10T04:04:60Z",
        "1969-12-31T23:59:59Z",
        "12017-12-10T04:04:05Z",
        "2017-12-10T04:04:05.Z",
        "2017-12-10T04:04:05.1234567890Z",
        "2017-12-10T04:04.5Z",
        "2017-12-10T04:04:05ZZ",
        " 2017-12-10T04:04:05Z",
        "2017-12-10T04:04:05Z ",
        "-017-12-10T04:04:05Z",
        "2017-1a-10T04:04:05Z",
    };
    usec_t t = 42;

    (void)state;
    for (size_t i = 0; i < countof(bad); i++) {
        if (time_parse(str_from(bad[i]), &t) != -E_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_true(t == 42);
    }
}

/* Every day from 1970 to 2400, counted independently by the calendar's rule. */
static void round_trips(void **state)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    char text[TIME_TEXT_MAX];
    char expected[TIME_TEXT_MAX];
    usec_t day = 0;
    usec_t parsed;

    (void)state;
    for (int year = 1970; year <= 2400; year++) {
        for (int month = 0; month < 12; month++) {
            int leap = month == 1 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

            for (int d = 1; d <= lengths[month] + leap; d++, day += 24 * USEC_PER_HOUR) {
                (void)snprintf(expected, sizeof(expected), "%04d-%02d-%02dT12:34:56Z", year,
                               month + 1, d);
                (void)time_print_second(day + 45296 * USEC_PER_SEC, text);
                assert_string_equal(text, expected);
                assert_int_equal(time_parse(str_from(text), &parsed), 0);
                assert_true(parsed == day + 45296 * USEC_PER_SEC);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_known_times),
        cmocka_unit_test(parses_all_forms),
        cmocka_unit_test(refuses_all_else),
        cmocka_unit_test(round_trips),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
