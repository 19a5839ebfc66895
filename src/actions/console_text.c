/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/console.h"

#define ESC 0x1b
#define BEL 0x07

static bool is_between(uint8_t c, uint8_t first, uint8_t last)
{
    return c >= first && c <= last;
}

/* After ESC [: parameters, intermediates, one final byte. */
static size_t skip_control_sequence(const uint8_t *text, size_t len)
{
    size_t at = 0;

    while (at < len && is_between(text[at], 0x20, 0x3f))
        at++;
    return at < len && is_between(text[at], 0x40, 0x7e) ? at + 1 : at;
}

/* After ESC ] and its like: a string that BEL or ESC \ ends. */
static size_t skip_string(const uint8_t *text, size_t len)
{
    for (size_t at = 0; at < len; at++) {
        if (text[at] == BEL)
            return at + 1;
        if (text[at] == ESC && at + 1 < len && text[at + 1] == '\\')
            return at + 2;
    }
    return len;
}

/* How many bytes after an ESC belong to its sequence. */
static size_t skip_escape(const uint8_t *text, size_t len)
{
    size_t at = 0;

    if (len == 0)
        return 0;
    if (text[0] == '[')
        return 1 + skip_control_sequence(text + 1, len - 1);
    if (text[0] == ']' || text[0] == 'P' || text[0] == 'X' || text[0] == '^' || text[0] == '_')
        return 1 + skip_string(text + 1, len - 1);
    while (at < len && is_between(text[at], 0x20, 0x2f))
        at++;
    return at < len && is_between(text[at], 0x30, 0x7e) ? at + 1 : at;
}

struct str console_plain(struct arena *arena, struct str text)
{
    const uint8_t *bytes = (const uint8_t *)text.ptr;
    char *plain = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (size_t at = 0; at < text.len; at++) {
        if (bytes[at] == ESC)
            at += skip_escape(bytes + at + 1, text.len - at - 1);
        else if ((bytes[at] >= 0x20 && bytes[at] != 0x7f) || bytes[at] == '\n' || bytes[at] == '\t')
            plain[len++] = text.ptr[at];
    }
    return str_slice(plain, len);
}
