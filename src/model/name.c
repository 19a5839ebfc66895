/* SPDX-License-Identifier: Apache-2.0 */
#include "model/name.h"

#include <stdio.h>

#define NUMBER_MAX 999999
#define NUMBER_BITS_DEFAULT 6

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A byte of a character beyond ASCII: other scripts' letters are welcome in names (2026 page). */
static bool is_foreign(char c)
{
    return ((unsigned char)c & 0x80u) != 0;
}

static size_t char_count(struct str text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.ptr[i] & 0xc0u) != 0x80u;
    return count;
}

static bool has_scheme(struct str text)
{
    return str_starts_nocase(text, STR("http://")) || str_starts_nocase(text, STR("https://"));
}

bool name_valid(struct str name)
{
    size_t count = char_count(name);

    if (count < 2 || count > NAME_MAX_CHARS || !str_is_utf8(name) || has_scheme(name))
        return false;
    if (!is_letter(name.ptr[0]) && !is_foreign(name.ptr[0]))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!is_letter(c) && !is_digit(c) && !is_foreign(c) && !memchr(":_.-", c, 4))
            return false;
    }
    return true;
}

bool description_valid(struct str text)
{
    size_t count = char_count(text);

    return count >= 2 && count <= DESCRIPTION_MAX_CHARS && str_is_utf8(text) && !has_scheme(text);
}

/* Letters, digits, single hyphens inside; `ret_digits`: nothing but digits. */
static bool segment_valid(struct str segment, bool *ret_digits)
{
    bool digits = true;

    if (segment.len == 0 || segment.ptr[0] == '-' || segment.ptr[segment.len - 1] == '-')
        return false;
    for (size_t i = 0; i < segment.len; i++) {
        char c = segment.ptr[i];
        if (!is_letter(c) && !is_digit(c) && c != '-')
            return false;
        if (c == '-' && segment.ptr[i - 1] == '-')
            return false;
        digits = digits && is_digit(c);
    }
    *ret_digits = digits;
    return true;
}

bool host_name_valid(struct str name, bool windows)
{
    struct str segment, rest = name;
    bool digits, more;

    if (name.len < 2 || name.len > (windows ? HOST_NAME_MAX_WINDOWS : HOST_NAME_MAX_LINUX))
        return false;
    do {
        more = str_split(rest, '.', &segment, &rest);
        if (!segment_valid(segment, &digits))
            return false;
        if (windows && (more || digits))
            return false;
    } while (more);
    return true;
}

bool password_valid(struct str password, bool windows)
{
    static const char specials[] = "()`~!@#$%^&*-_+=|{}[]:;'<>,.?/";
    unsigned kinds = 0;

    if (password.len < 8 || password.len > 30 || (windows && password.ptr[0] == '/'))
        return false;
    for (size_t i = 0; i < password.len; i++) {
        char c = password.ptr[i];
        if (is_digit(c))
            kinds |= 1u;
        else if (c >= 'a' && c <= 'z')
            kinds |= 2u;
        else if (c >= 'A' && c <= 'Z')
            kinds |= 4u;
        else if (memchr(specials, c, sizeof(specials) - 1))
            kinds |= 8u;
        else
            return false;
    }
    return __builtin_popcount(kinds) >= 3;
}

static bool tag_text_valid(struct str text)
{
    return char_count(text) <= TAG_TEXT_MAX_CHARS && str_is_utf8(text) &&
           !str_contains(text, STR("http://")) && !str_contains(text, STR("https://"));
}

bool tag_key_valid(struct str key)
{
    return !str_empty(key) && tag_text_valid(key) && !str_starts_nocase(key, STR("aliyun")) &&
           !str_starts_nocase(key, STR("acs:"));
}

bool tag_value_valid(struct str value)
{
    return tag_text_valid(value) && !str_starts_nocase(value, STR("acs:"));
}

bool session_name_valid(struct str name)
{
    if (name.len < 2 || name.len > 64)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!is_letter(c) && !is_digit(c) && !memchr(".@-_", c, 4))
            return false;
    }
    return true;
}

/* Digits only, at most six; nothing gives `fallback`. -1: something else. */
static int64_t small_number(struct str text, int64_t fallback)
{
    int64_t value;

    if (text.len == 0)
        return fallback;
    if (text.len > 6 || text.ptr[0] == '-' || str_to_i64(text, &value) < 0)
        return -1;
    return value;
}

void name_pattern_parse(struct str text, struct name_pattern *ret)
{
    struct str prefix, inside, suffix, begin_text, bits_text;
    int64_t begin, bits;

    *ret = (struct name_pattern){.prefix = text, .suffix = STR("")};
    if (!str_split(text, '[', &prefix, &inside) || str_empty(prefix) ||
        !str_split(inside, ']', &inside, &suffix))
        return;
    if (!str_split(inside, ',', &begin_text, &bits_text))
        bits_text = STR("");
    begin = small_number(begin_text, 0);
    bits = small_number(bits_text, NUMBER_BITS_DEFAULT);
    if (begin < 0 || bits < 1 || bits > NUMBER_BITS_DEFAULT)
        return;
    if ((size_t)bits < begin_text.len)
        bits = NUMBER_BITS_DEFAULT;
    *ret =
        (struct name_pattern){prefix, suffix, .numbered = true, .begin = begin, .bits = (int)bits};
}

struct str name_pattern_print(struct arena *arena, const struct name_pattern *pattern,
                              int64_t index, bool unique)
{
    char number[16] = "", tail[16] = "";

    assert(index >= 0 && index < 1000);
    if (pattern->numbered)
        (void)snprintf(number, sizeof(number), "%0*ld", pattern->bits,
                       (long)MIN_OF(pattern->begin + index, NUMBER_MAX));
    if (unique && !(pattern->numbered && str_empty(pattern->suffix)))
        (void)snprintf(tail, sizeof(tail), "%03ld", (long)index + 1);
    return arena_printf(arena, "%.*s%s%.*s%s", STR_ARG(pattern->prefix), number,
                        STR_ARG(pattern->suffix), tail);
}

struct str name_fill_id(struct arena *arena, struct str text, struct str instance_id)
{
    static const struct str mark = STR_INIT("${instance_id}");
    struct str done = STR("");

    while (str_contains(text, mark)) {
        size_t at =
            (size_t)((const char *)memmem(text.ptr, text.len, mark.ptr, mark.len) - text.ptr);
        done = arena_printf(arena, "%.*s%.*s%.*s", STR_ARG(done), (int)at, text.ptr,
                            STR_ARG(instance_id));
        text = str_slice(text.ptr + at + mark.len, text.len - at - mark.len);
    }
    return done.len == 0 ? text : arena_printf(arena, "%.*s%.*s", STR_ARG(done), STR_ARG(text));
}
