/* SPDX-License-Identifier: Apache-2.0 */
/* Times and numbers as text. Input: a line; or a pattern, a line feed, and a text that it is to match. */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

/* The C library's view of the same moment. */
static int64_t seconds_of(struct str text, const char *form)
{
    char copy[64];
    struct tm tm = {0};

    assert(text.len < sizeof(copy));
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    assert(strptime(copy, form, &tm));
    return timegm(&tm);
}

static void check_print(usec_t t)
{
    char text[TIME_TEXT_MAX];
    usec_t again;

    assert(time_parse(str_slice(text, time_print_micro(t, text)), &again) == 0 && again == t);
    assert(time_parse(str_slice(text, time_print_second(t, text)), &again) == 0 && again == t - t % USEC_PER_SEC);
    assert(seconds_of(str_from(text), "%Y-%m-%dT%H:%M:%SZ") == t / USEC_PER_SEC);
    assert(time_parse(str_slice(text, time_print_minute(t, text)), &again) == 0 && again == t - t % USEC_PER_MINUTE);
    (void)time_print_http(t, text); /* its length is known */
    assert(seconds_of(str_from(text), "%a, %d %b %Y %H:%M:%S GMT") == t / USEC_PER_SEC);
}

static void check_time(struct str text)
{
    usec_t t = -1;

    if (time_parse(text, &t) < 0) {
        assert(t == -1);
        return;
    }
    assert(t >= 0);
    check_print(t);
}

static void check_number(struct str text, const char *cstr)
{
    char digits[I64_TEXT_MAX];
    int64_t value = 77;
    int64_t again;
    double real;
    char *end;

    if (str_to_i64(text, &value) < 0) {
        assert(value == 77);
    } else {
        errno = 0;
        assert(strtoll(cstr, &end, 10) == value && errno == 0 && end == cstr + text.len);
        assert(str_to_i64(str_print_i64(value, digits), &again) == 0 && again == value);
        if (value > 0 && value < (int64_t)1 << 57)
            check_print(value);
    }
    /* To the bit: both parts are whole numbers that a double holds. */
    if (str_to_double(text, &real) == 0)
        assert(real == strtod(cstr, &end) && end == cstr + text.len);
    if (str_to_duration(text, &value) == 0)
        assert(value >= 0);
}

/* As str_glob says, by trying everything. */
static bool matches(struct str pattern, struct str s)
{
    while (pattern.len > 0 && pattern.ptr[0] != '*') {
        if (s.len == 0 || s.ptr[0] != pattern.ptr[0])
            return false;
        pattern = str_slice(pattern.ptr + 1, pattern.len - 1);
        s = str_slice(s.ptr + 1, s.len - 1);
    }
    if (pattern.len == 0)
        return s.len == 0;
    pattern = str_slice(pattern.ptr + 1, pattern.len - 1);
    for (size_t i = 0; i <= s.len; i++)
        if (matches(pattern, str_slice(s.ptr + i, s.len - i)))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = fuzz_input(data, size);
    struct arena arena;
    struct str head;
    struct str rest;

    if (memchr(text.ptr, '\0', text.len))
        return 0; /* the C library could not be asked */
    arena_init(&arena, FUZZ_ARENA_BYTES);
    check_time(text);
    check_number(text, arena_cstr(&arena, text));
    if (str_split(text, '\n', &head, &rest) && head.len <= 8 && rest.len <= 24) {
        assert(str_glob(head, rest, false) == matches(head, rest));
        assert(!str_glob(head, rest, false) || str_glob(head, rest, true));
    }
    arena_done(&arena);
    return 0;
}
