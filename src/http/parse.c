/* SPDX-License-Identifier: Apache-2.0 */
#include "http/parse.h"

#include "base/limits.h"

#define CHUNK_SIZE_MAX ((uint64_t)1 << 40)
#define CHUNK_OVERHEAD_MAX ((size_t)16 * 1024) /* a body of one-byte chunks with long extensions is an attack */

/* RFC 9110 §5.6.2: letters, digits and !#$%&'*+-.^_`|~ */
static bool is_token_char(unsigned char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c > 0x20 && c < 0x7f && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_token_char((unsigned char)s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

/* ── where the head ends ── */

/* A line from line_start to the LF at `at`: true when it was the empty one. */
static enum parse_result take_line(struct head_scan *scan, const char *data, size_t at)
{
    size_t len;

    if (at == scan->line_start || data[at - 1] != '\r')
        return PARSE_BAD;
    len = at - 1 - scan->line_start;
    if (scan->first_line_len == 0) {
        if (len == 0)
            return PARSE_BAD;
        if (len > LIMIT_REQUEST_LINE_BYTES)
            return PARSE_LINE_TOO_LONG;
        scan->first_line_len = len;
    } else if (len == 0) {
        return PARSE_OK;
    }
    scan->line_start = at + 1;
    return PARSE_MORE;
}

enum parse_result head_scan(struct head_scan *scan, struct str data, size_t *ret_len)
{
    while (scan->pos < data.len) {
        const char *lf = memchr(data.ptr + scan->pos, '\n', data.len - scan->pos);
        enum parse_result result;
        size_t at;

        if (!lf) {
            scan->pos = data.len;
            break;
        }
        at = (size_t)(lf - data.ptr);
        scan->pos = at + 1;
        result = take_line(scan, data.ptr, at);
        if (result == PARSE_OK)
            *ret_len = at + 1;
        if (result == PARSE_OK && at + 1 - scan->first_line_len > LIMIT_HEADERS_BYTES)
            return PARSE_HEADERS_TOO_BIG;
        if (result != PARSE_MORE)
            return result;
    }
    if (scan->first_line_len == 0)
        return data.len > LIMIT_REQUEST_LINE_BYTES + 2 ? PARSE_LINE_TOO_LONG : PARSE_MORE;
    return data.len - scan->first_line_len > LIMIT_HEADERS_BYTES ? PARSE_HEADERS_TOO_BIG : PARSE_MORE;
}

/* ── what the head says ── */

static struct str take_until_crlf(struct str *text)
{
    const char *lf = memchr(text->ptr, '\n', text->len);
    struct str line;

    assert(lf && lf > text->ptr && lf[-1] == '\r');
    line = str_slice(text->ptr, (size_t)(lf - text->ptr) - 1);
    text->len -= (size_t)(lf - text->ptr) + 1;
    text->ptr = lf + 1;
    return line;
}

static bool target_is_clean(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c <= 0x20 || c == 0x7f)
            return false;
    }
    return s.len > 0;
}

static enum parse_result parse_request_line(struct str line, struct head *head, bool *ret_http11, const char **ret_reason)
{
    struct str rest;
    struct str version;

    *ret_reason = "the request line is not METHOD TARGET VERSION";
    if (!str_split(line, ' ', &head->method, &rest) || !is_token(head->method) || head->method.len > 32)
        return PARSE_BAD;
    if (!str_split(rest, ' ', &head->target, &version) || !target_is_clean(head->target))
        return PARSE_BAD;
    *ret_http11 = str_eq(version, STR("HTTP/1.1"));
    if (*ret_http11 || str_eq(version, STR("HTTP/1.0")))
        return PARSE_OK;
    if (version.len != 8 || !str_starts(version, STR("HTTP/")))
        return PARSE_BAD;
    *ret_reason = "the HTTP version is neither 1.0 nor 1.1";
    return PARSE_VERSION;
}

static bool value_is_clean(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* NULL, or what is wrong. */
static const char *parse_header_line(struct str line, struct header *ret_header)
{
    struct str value;

    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return "a header line is folded";
    if (!str_split(line, ':', &ret_header->name, &value))
        return "a header line has no colon";
    if (!is_token(ret_header->name))
        return "a header name is not a token";
    if (!value_is_clean(value))
        return "a header value holds a control character";
    ret_header->value = str_trim(value);
    return NULL;
}

static const char *parse_length(struct str value, struct head *head)
{
    uint64_t length = 0;

    if (head->has_content_length)
        return "Content-Length is there twice";
    if (value.len == 0 || value.len > 18)
        return "Content-Length is not a number";
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return "Content-Length is not a number";
        length = length * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    head->content_length = length;
    head->has_content_length = true;
    return NULL;
}

static void parse_connection(struct str value, struct head *head)
{
    struct str rest = value;

    while (!str_empty(rest)) {
        struct str word;
        struct str next = STR_NONE;

        (void)str_split(rest, ',', &word, &next); /* without a comma the rest is the word */
        word = str_trim(word);
        if (str_eq_nocase(word, STR("close")))
            head->close = true;
        else if (str_eq_nocase(word, STR("keep-alive")))
            head->keep_alive = true;
        rest = next;
    }
    head->keep_alive &= !head->close; /* RFC 9112 §9.3 */
}

static const char *note_host(struct str value, bool http11, struct head *head)
{
    (void)http11;
    if (head->host.ptr)
        return "Host is there twice";
    head->host = value;
    return NULL;
}

static const char *note_length(struct str value, bool http11, struct head *head)
{
    (void)http11;
    return parse_length(value, head);
}

static const char *note_encoding(struct str value, bool http11, struct head *head)
{
    if (head->chunked || !http11 || !str_eq_nocase(value, STR("chunked")))
        return "Transfer-Encoding is not chunked";
    head->chunked = true;
    return NULL;
}

static const char *note_connection(struct str value, bool http11, struct head *head)
{
    (void)http11;
    parse_connection(value, head);
    return NULL;
}

static const char *note_expect(struct str value, bool http11, struct head *head)
{
    head->expect_continue = http11 && str_eq_nocase(value, STR("100-continue"));
    return NULL;
}

/* The few headers that frame a message. Each returns NULL, or what is wrong. */
static const struct framing {
    struct str name;
    const char *(*note)(struct str value, bool http11, struct head *head);
} framings[] = {
    {STR_INIT("Host"), note_host},
    {STR_INIT("Content-Length"), note_length},
    {STR_INIT("Transfer-Encoding"), note_encoding},
    {STR_INIT("Connection"), note_connection},
    {STR_INIT("Expect"), note_expect},
};

static const char *note_header(const struct header *header, bool http11, struct head *head)
{
    for (size_t i = 0; i < countof(framings); i++) {
        if (str_eq_nocase(header->name, framings[i].name))
            return framings[i].note(header->value, http11, head);
    }
    return NULL;
}

static size_t count_lines(struct str text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n';
    return count;
}

enum parse_result head_parse(struct str text, struct arena *arena, struct head *ret_head, const char **ret_reason)
{
    struct head *head = ret_head;
    bool http11 = false;
    enum parse_result result;
    size_t lines = count_lines(text);

    assert(lines >= 2);
    *head = (struct head){0};
    *ret_reason = NULL;
    result = parse_request_line(take_until_crlf(&text), head, &http11, ret_reason);
    if (result != PARSE_OK)
        return result;
    head->keep_alive = http11;
    *ret_reason = "there are too many headers";
    if (lines - 2 > HEAD_HEADERS_MAX)
        return PARSE_HEADERS_TOO_BIG;
    *ret_reason = NULL;
    head->headers = arena_array(arena, struct header, lines);
    for (size_t i = 0; i < lines - 2; i++) {
        struct header *header = &head->headers[i];

        *ret_reason = parse_header_line(take_until_crlf(&text), header);
        if (!*ret_reason)
            *ret_reason = note_header(header, http11, head);
        if (*ret_reason)
            return PARSE_BAD;
        head->header_count++;
    }
    if (head->chunked && head->has_content_length)
        *ret_reason = "Content-Length stands beside Transfer-Encoding";
    else if (http11 && str_empty(head->host))
        *ret_reason = "the Host header is missing";
    return *ret_reason ? PARSE_BAD : PARSE_OK;
}

/* ── chunked bodies ── */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One byte of a size line. */
static enum parse_result take_size_byte(struct chunk_scan *scan, char c)
{
    int digit = hex_value(c);

    if (scan->state == CHUNK_SIZE_LF) {
        scan->state = scan->left > 0 ? CHUNK_DATA : CHUNK_TRAILER_START;
        return c == '\n' ? PARSE_MORE : PARSE_BAD;
    }
    if (scan->state != CHUNK_EXTENSION && digit >= 0) {
        scan->state = CHUNK_SIZE_DIGITS;
        scan->left = scan->left * 16 + (uint64_t)digit;
        scan->overhead += scan->left == 0; /* zeros before a size have no end of their own */
        return scan->left > CHUNK_SIZE_MAX || scan->overhead > CHUNK_OVERHEAD_MAX ? PARSE_BAD : PARSE_MORE;
    }
    if (scan->state == CHUNK_SIZE || c == '\n')
        return PARSE_BAD;
    if (c == '\r') {
        scan->state = CHUNK_SIZE_LF;
        return PARSE_MORE;
    }
    if (scan->state != CHUNK_EXTENSION && c != ';')
        return PARSE_BAD;
    scan->state = CHUNK_EXTENSION;
    return ++scan->overhead > CHUNK_OVERHEAD_MAX ? PARSE_BAD : PARSE_MORE;
}

/* One byte after the last chunk: trailer lines are read and dropped. */
static enum parse_result take_trailer_byte(struct chunk_scan *scan, char c)
{
    enum chunk_state state = scan->state;

    if (state == CHUNK_END_LF) {
        scan->state = CHUNK_DONE;
        return c == '\n' ? PARSE_OK : PARSE_BAD;
    }
    if (state == CHUNK_TRAILER_LF) {
        scan->state = CHUNK_TRAILER_START;
        return c == '\n' ? PARSE_MORE : PARSE_BAD;
    }
    assert(state == CHUNK_TRAILER_START || state == CHUNK_TRAILER);
    if (c == '\r')
        scan->state = state == CHUNK_TRAILER_START ? CHUNK_END_LF : CHUNK_TRAILER_LF;
    else
        scan->state = CHUNK_TRAILER;
    return c == '\n' || ++scan->overhead > CHUNK_OVERHEAD_MAX ? PARSE_BAD : PARSE_MORE;
}

static enum parse_result take_chunk_byte(struct chunk_scan *scan, char c)
{
    if (scan->state == CHUNK_DATA_CR) {
        scan->state = CHUNK_DATA_LF;
        return c == '\r' ? PARSE_MORE : PARSE_BAD;
    }
    if (scan->state == CHUNK_DATA_LF) {
        scan->state = CHUNK_SIZE;
        return c == '\n' ? PARSE_MORE : PARSE_BAD;
    }
    return scan->state < CHUNK_DATA ? take_size_byte(scan, c) : take_trailer_byte(scan, c);
}

enum parse_result chunk_scan(struct chunk_scan *scan, struct str data, size_t *ret_used, struct str *ret_piece)
{
    size_t used = 0;
    enum parse_result result = PARSE_MORE;

    assert(scan->state != CHUNK_DONE);
    *ret_piece = STR_NONE;
    while (used < data.len && result == PARSE_MORE) {
        if (scan->state == CHUNK_DATA) {
            size_t take = (size_t)MIN_OF(scan->left, (uint64_t)(data.len - used));

            *ret_piece = str_slice(data.ptr + used, take);
            scan->left -= take;
            used += take;
            if (scan->left == 0)
                scan->state = CHUNK_DATA_CR;
            break;
        }
        result = take_chunk_byte(scan, data.ptr[used++]);
    }
    *ret_used = used;
    return result;
}
