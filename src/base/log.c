/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* One write(2) of at most this much: a pipe keeps lines of several threads apart up to PIPE_BUF
 * (4096). */
#define LINE_MAX_BYTES 4096
#define TAIL " cut=true\n"

enum log_level log_threshold = LOG_INFO;

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
    bool cut;
};

/* All or nothing, so that neither an escape nor a UTF-8 sequence is ever torn by the limit. */
static void add(struct line *line, const char *bytes, size_t len)
{
    if (line->cut || len > sizeof(line->text) - sizeof(TAIL) - line->len) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->len, bytes, len);
    line->len += len;
}

static void add_cstr(struct line *line, const char *text)
{
    add(line, text, strlen(text));
}

static bool needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return true;
    }
    return s.len == 0 || !str_is_utf8(s);
}

/* Control characters never reach a terminal or split a line; bytes that aren't UTF-8 are shown, not
 * passed on. */
static void add_escaped(struct line *line, struct str s)
{
    bool utf8 = str_is_utf8(s);
    char hex[8];

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        size_t len = 1;

        if (c == '"' || c == '\\') {
            add(line, c == '"' ? "\\\"" : "\\\\", 2);
        } else if (c == '\n') {
            add(line, "\\n", 2);
        } else if (c == '\t') {
            add(line, "\\t", 2);
        } else if (c < ' ' || c == 0x7f || (c >= 0x80 && !utf8)) {
            (void)snprintf(hex, sizeof(hex), "\\x%02x", c);
            add(line, hex, 4);
        } else {
            while (i + len < s.len && ((unsigned char)s.ptr[i + len] & 0xC0) == 0x80 && c >= 0x80)
                len++;
            add(line, s.ptr + i, len);
            i += len - 1;
        }
    }
}

static void add_value(struct line *line, struct str s)
{
    if (!needs_quotes(s)) {
        add(line, s.ptr, s.len);
        return;
    }
    add(line, "\"", 1);
    add_escaped(line, s);
    add(line, "\"", 1);
}

static void add_head(struct line *line, enum log_level level, const char *message)
{
    char text[TIME_TEXT_MAX];
    char prefix[16];
    struct timespec now;

    /* The wall clock even where the program runs on a virtual one: a log is read beside others. */
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)time_print_micro((usec_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000, text);
    (void)snprintf(prefix, sizeof(prefix), "<%d>ts=", (int)level);
    add_cstr(line, prefix);
    add_cstr(line, text);
    add_cstr(line, " msg=");
    add_value(line, str_from(message));
}

void log_line(enum log_level level, const char *message, const struct log_pair *pairs, size_t count)
{
    struct line line;
    char number[24];

    assert(message);
    line.len = 0;
    line.cut = false;
    add_head(&line, level, message);
    for (size_t i = 0; i < count; i++) {
        add(&line, " ", 1);
        add_cstr(&line, pairs[i].key);
        add(&line, "=", 1);
        if (pairs[i].is_number) {
            (void)snprintf(number, sizeof(number), "%lld", (long long)pairs[i].number);
            add_cstr(&line, number);
        } else {
            add_value(&line, pairs[i].text);
        }
    }
    /* `add` always leaves room for the tail. */
    memcpy(line.text + line.len, line.cut ? TAIL : "\n", line.cut ? sizeof(TAIL) - 1 : 1);
    line.len += line.cut ? sizeof(TAIL) - 1 : 1;
    /* A log that can't be written is no reason to stop, and there is nowhere to say so. */
    while (write(STDERR_FILENO, line.text, line.len) < 0 && errno == EINTR)
        continue;
}
