/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>

#include "gen/errors.h"

#define SEC_PER_DAY ((int64_t)86400)

struct civil {
    int64_t year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
    int hour;
    int minute;
    int second;
    int micro;
    int weekday; /* 0 is Sunday */
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/*
 * Days since 1970-01-01 and back, in the proleptic Gregorian calendar. Years are counted from
 * March, so that the leap day is the last of a year; an era is the 400 years after which the
 * calendar repeats (146,097 days).
 */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2 ? 1 : 0);
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static struct civil civil_from(usec_t t)
{
    int64_t second = floor_div(t, USEC_PER_SEC);
    int64_t days = floor_div(second, SEC_PER_DAY);
    int64_t rest = second - days * SEC_PER_DAY;
    int64_t shifted = days + 719468;
    int64_t era = floor_div(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    int month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);

    return (struct civil){
        .year = year_of_era + era * 400 + (month <= 2 ? 1 : 0),
        .month = month,
        .day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1),
        .hour = (int)(rest / 3600),
        .minute = (int)(rest / 60 % 60),
        .second = (int)(rest % 60),
        .micro = (int)((t % USEC_PER_SEC + USEC_PER_SEC) % USEC_PER_SEC),
        .weekday = (int)(((days + 4) % 7 + 7) % 7),
    };
}

static size_t printed(int len)
{
    assert(len > 0);
    assert(len < TIME_TEXT_MAX);
    return (size_t)len;
}

size_t time_print_minute(usec_t t, char text[TIME_TEXT_MAX])
{
    struct civil c = civil_from(t);

    return printed(snprintf(text, TIME_TEXT_MAX, "%04lld-%02d-%02dT%02d:%02dZ", (long long)c.year,
                            c.month, c.day, c.hour, c.minute));
}

size_t time_print_second(usec_t t, char text[TIME_TEXT_MAX])
{
    struct civil c = civil_from(t);

    return printed(snprintf(text, TIME_TEXT_MAX, "%04lld-%02d-%02dT%02d:%02d:%02dZ",
                            (long long)c.year, c.month, c.day, c.hour, c.minute, c.second));
}

size_t time_print_micro(usec_t t, char text[TIME_TEXT_MAX])
{
    struct civil c = civil_from(t);

    return printed(snprintf(text, TIME_TEXT_MAX, "%04lld-%02d-%02dT%02d:%02d:%02d.%06dZ",
                            (long long)c.year, c.month, c.day, c.hour, c.minute, c.second,
                            c.micro));
}

size_t time_print_http(usec_t t, char text[TIME_TEXT_MAX])
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct civil c = civil_from(t);

    return printed(snprintf(text, TIME_TEXT_MAX, "%s, %02d %s %04lld %02d:%02d:%02d GMT",
                            days[c.weekday], c.day, months[c.month - 1], (long long)c.year, c.hour,
                            c.minute, c.second));
}

static bool take_char(struct str *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c)
        return false;
    *text = str_slice(text->ptr + 1, text->len - 1);
    return true;
}

/* Exactly `digits` digits, whose value lies in min..max. */
static bool take_number(struct str *text, size_t digits, int min, int max, int *ret)
{
    int value = 0;

    if (text->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (text->ptr[i] < '0' || text->ptr[i] > '9')
            return false;
        value = value * 10 + (text->ptr[i] - '0');
    }
    if (value < min || value > max)
        return false;
    *text = str_slice(text->ptr + digits, text->len - digits);
    *ret = value;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (leap && month == 2 ? 1 : 0);
}

/* 1 to 9 digits; what is finer than a microsecond is cut off. */
static bool take_fraction(struct str *text, int *ret_micro)
{
    size_t digits = 0;
    int micro = 0;

    for (; digits < text->len && text->ptr[digits] >= '0' && text->ptr[digits] <= '9'; digits++) {
        if (digits < 6)
            micro = micro * 10 + (text->ptr[digits] - '0');
    }
    if (digits < 1 || digits > 9)
        return false;
    for (size_t i = digits; i < 6; i++)
        micro *= 10;
    *text = str_slice(text->ptr + digits, text->len - digits);
    *ret_micro = micro;
    return true;
}

static bool take_date(struct str *text, int *year, int *month, int *day)
{
    return take_number(text, 4, 1970, 9999, year) && take_char(text, '-') &&
           take_number(text, 2, 1, 12, month) && take_char(text, '-') &&
           take_number(text, 2, 1, days_in_month(*year, *month), day);
}

int time_parse(struct str text, usec_t *ret)
{
    int year, month, day, hour, minute;
    int second = 0;
    int micro = 0;

    if (!take_date(&text, &year, &month, &day) || !take_char(&text, 'T') ||
        !take_number(&text, 2, 0, 23, &hour) || !take_char(&text, ':') ||
        !take_number(&text, 2, 0, 59, &minute))
        return -E_INVALID;
    if (take_char(&text, ':')) {
        if (!take_number(&text, 2, 0, 59, &second))
            return -E_INVALID;
        if (take_char(&text, '.') && !take_fraction(&text, &micro))
            return -E_INVALID;
    }
    if (!take_char(&text, 'Z') || text.len != 0)
        return -E_INVALID;
    *ret = ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * USEC_PER_MINUTE +
           second * USEC_PER_SEC + micro;
    return 0;
}
