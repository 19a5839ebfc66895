/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include "gen/errors.h"

static unsigned char fold(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int str_cmp(struct str a, struct str b)
{
    size_t common = MIN_OF(a.len, b.len);
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

int str_cmp_nocase(struct str a, struct str b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        if (fold(a.ptr[i]) != fold(b.ptr[i]))
            return fold(a.ptr[i]) < fold(b.ptr[i]) ? -1 : 1;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool str_eq_nocase(struct str a, struct str b)
{
    return a.len == b.len && str_cmp_nocase(a, b) == 0;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_slice(s.ptr, prefix.len), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq_nocase(str_slice(s.ptr, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    if (suffix.len == 0)
        return true;
    return s.len >= suffix.len && memcmp(s.ptr + (s.len - suffix.len), suffix.ptr, suffix.len) == 0;
}

bool str_contains(struct str s, struct str needle)
{
    if (needle.len == 0)
        return true;
    return s.len >= needle.len && memmem(s.ptr, s.len, needle.ptr, needle.len) != NULL;
}

/* Greedy: when a byte does not fit, the latest star takes one more and matching goes on from there.
 * Earlier stars never need to be tried again, because the latest one can take whatever they could.
 */
bool str_glob(struct str pattern, struct str s, bool nocase)
{
    size_t p = 0;
    size_t i = 0;
    size_t star = SIZE_MAX;
    size_t star_i = 0;

    while (i < s.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            star_i = i;
        } else if (p < pattern.len &&
                   (nocase ? fold(pattern.ptr[p]) == fold(s.ptr[i]) : pattern.ptr[p] == s.ptr[i])) {
            p++;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++star_i;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool str_split(struct str s, char sep, struct str *ret_head, struct str *ret_rest)
{
    const char *at = s.len > 0 ? memchr(s.ptr, sep, s.len) : NULL;

    if (!at) {
        *ret_head = s;
        *ret_rest = STR_NONE;
        return false;
    }
    *ret_head = str_slice(s.ptr, (size_t)(at - s.ptr));
    *ret_rest = str_slice(at + 1, s.len - ret_head->len - 1);
    return true;
}

/* Collected below zero, where there is one more number than above. */
int str_to_i64(struct str s, int64_t *ret)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    size_t i = negative ? 1 : 0;
    int64_t value = 0;

    if (i == s.len)
        return -E_INVALID;
    for (; i < s.len; i++) {
        if (!is_digit(s.ptr[i]))
            return -E_INVALID;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, s.ptr[i] - '0', &value))
            return -E_INVALID;
    }
    if (!negative && value == INT64_MIN)
        return -E_INVALID;
    *ret = negative ? value : -value;
    return 0;
}

/* Digits of one side of the point, at most 15 of them in all: up to there a double holds each
 * decimal number apart. */
static int take_digits(struct str s, size_t *at, size_t *digits, double *value)
{
    size_t start = *at;

    for (; *at < s.len && is_digit(s.ptr[*at]); (*at)++) {
        if (*digits == 0 && s.ptr[*at] == '0' && *value <= 0.0 && *at + 1 < s.len &&
            is_digit(s.ptr[*at + 1]))
            continue; /* a leading zero is no digit that counts */
        if (++(*digits) > 15)
            return -E_INVALID;
        *value = *value * 10.0 + (s.ptr[*at] - '0');
    }
    return *at > start ? 0 : -E_INVALID;
}

int str_to_double(struct str s, double *ret)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    size_t at = negative ? 1 : 0;
    size_t digits = 0;
    double value = 0.0;
    double scale = 1.0;

    if (take_digits(s, &at, &digits, &value) < 0)
        return -E_INVALID;
    if (at < s.len && s.ptr[at] == '.') {
        size_t point = ++at;

        digits = MAX_OF(digits, (size_t)1); /* zeros behind the point count */
        if (take_digits(s, &at, &digits, &value) < 0)
            return -E_INVALID;
        for (; point < at; point++)
            scale *= 10.0;
    }
    if (at != s.len)
        return -E_INVALID;
    *ret = (negative ? -value : value) / scale;
    return 0;
}

int str_to_bool(struct str s, bool loose, bool *ret)
{
    static const struct {
        struct str word;
        bool value;
        bool loose;
    } words[] = {
        {STR_INIT("true"), true, false}, {STR_INIT("false"), false, false},
        {STR_INIT("on"), true, true},    {STR_INIT("off"), false, true},
        {STR_INIT("yes"), true, true},   {STR_INIT("no"), false, true},
        {STR_INIT("1"), true, true},     {STR_INIT("0"), false, true},
    };

    for (size_t i = 0; i < countof(words); i++) {
        if ((loose || !words[i].loose) && str_eq_nocase(s, words[i].word)) {
            *ret = words[i].value;
            return 0;
        }
    }
    return -E_INVALID;
}

int str_to_duration(struct str s, int64_t *ret_us)
{
    static const struct {
        struct str suffix;
        int64_t factor_us;
    } units[] = {
        {STR_INIT("us"), 1},       {STR_INIT("ms"), 1000},      {STR_INIT("s"), 1000000},
        {STR_INIT("m"), 60000000}, {STR_INIT("h"), 3600000000}, {STR_INIT("d"), 86400000000},
        {STR_INIT(""), 1000000},
    };
    int64_t value;

    for (size_t i = 0; i < countof(units); i++) {
        if (!str_ends(s, units[i].suffix))
            continue;
        s.len -= units[i].suffix.len;
        if (str_to_i64(s, &value) < 0 || value < 0 ||
            __builtin_mul_overflow(value, units[i].factor_us, &value))
            return -E_INVALID;
        *ret_us = value;
        return 0;
    }
    return -E_INVALID;
}

/* Length of the well-formed sequence at `p`, or 0: no overlong form, no surrogate, nothing over
 * U+10FFFF (RFC 3629 §4). */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    size_t len = p[0] < 0x80   ? 1
                 : p[0] < 0xC2 ? 0
                 : p[0] < 0xE0 ? 2
                 : p[0] < 0xF0 ? 3
                 : p[0] < 0xF5 ? 4
                               : 0;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;

    if (len == 0 || len > left)
        return 0;
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    for (size_t i = 1; i < len; i++) {
        if (p[i] < low || p[i] > high)
            return 0;
        low = 0x80;
        high = 0xBF;
    }
    return len;
}

bool str_is_utf8(struct str s)
{
    for (size_t i = 0; i < s.len;) {
        size_t len = utf8_sequence((const unsigned char *)s.ptr + i, s.len - i);

        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

bool str_is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < 0x21 || s.ptr[i] > 0x7e)
            return false;
    }
    return s.len > 0;
}

struct str str_print_i64(int64_t value, char digits[I64_TEXT_MAX])
{
    char *end = digits + I64_TEXT_MAX;
    char *next = end;
    /* The magnitude as unsigned: INT64_MIN has no positive twin. */
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        *--next = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        *--next = '-';
    return str_slice(next, (size_t)(end - next));
}
