/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP seam. Input: the bytes of a connection: a head, and behind it what may be a chunked body. */
#include "fuzz/fuzz.h"

#include "http/parse.h"

static enum parse_result scan_in_steps(struct str data, size_t step, size_t *ret_len)
{
    struct head_scan scan = {0};
    enum parse_result result = PARSE_MORE;

    for (size_t have = 0; have < data.len && result == PARSE_MORE;) {
        have = MIN_OF(have + step, data.len);
        result = head_scan(&scan, str_slice(data.ptr, have), ret_len);
    }
    return result;
}

static bool same_head(const struct head *a, const struct head *b)
{
    bool same = str_eq(a->method, b->method) && str_eq(a->target, b->target) && str_eq(a->host, b->host) &&
                a->header_count == b->header_count && a->content_length == b->content_length &&
                a->has_content_length == b->has_content_length && a->chunked == b->chunked &&
                a->keep_alive == b->keep_alive && a->expect_continue == b->expect_continue;

    for (size_t i = 0; same && i < a->header_count; i++)
        same = str_eq(a->headers[i].name, b->headers[i].name) && str_eq(a->headers[i].value, b->headers[i].value);
    return same;
}

/* What a head says, written again: no blanks to spare. */
static void print_head(const struct head *head, bool http11, struct buf *out)
{
    buf_printf(out, "%.*s %.*s HTTP/1.%d\r\n", STR_ARG(head->method), STR_ARG(head->target), http11 ? 1 : 0);
    for (size_t i = 0; i < head->header_count; i++) {
        buf_add_str(out, head->headers[i].name);
        buf_add_char(out, ':');
        buf_add_str(out, head->headers[i].value);
        buf_add_cstr(out, "\r\n");
    }
    buf_add_cstr(out, "\r\n");
}

static size_t count_header(const struct head *head, struct str name)
{
    size_t count = 0;

    for (size_t i = 0; i < head->header_count; i++)
        count += str_eq_nocase(head->headers[i].name, name);
    return count;
}

/* No reader behind us may find another end of the message than we did. */
static void check_framing(struct str text, const struct head *head)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        assert(c != '\n' || (i > 0 && text.ptr[i - 1] == '\r'));
        assert(c != '\r' || (i + 1 < text.len && text.ptr[i + 1] == '\n'));
        assert(c >= 0x20 || c == '\r' || c == '\n' || c == '\t');
    }
    assert(count_header(head, STR("host")) <= 1);
    assert(count_header(head, STR("content-length")) == (head->has_content_length ? 1 : 0));
    assert(count_header(head, STR("transfer-encoding")) == (head->chunked ? 1 : 0));
    assert(!head->chunked || !head->has_content_length);
    for (size_t i = 0; i < head->header_count; i++) {
        const struct header *header = &head->headers[i];

        assert(header->name.len > 0 && !memchr(header->name.ptr, ' ', header->name.len));
        assert(fuzz_inside(header->name, text) && fuzz_inside(header->value, text));
        assert(str_trim(header->value).len == header->value.len);
    }
}

static void check_head(struct arena *arena, struct str text)
{
    const char *reason;
    struct head head;
    struct head again;
    struct buf out;
    struct str line;
    bool http11;
    size_t len = 0;

    if (head_parse(text, arena, &head, &reason) != PARSE_OK)
        return;
    check_framing(text, &head);
    assert(str_split(text, '\r', &line, &(struct str){NULL, 0}));
    http11 = str_ends(line, STR(" HTTP/1.1"));
    buf_init(&out, 2 * text.len + 64);
    print_head(&head, http11, &out);
    assert(!out.full);
    assert(scan_in_steps(buf_str(&out), 1, &len) == PARSE_OK && len == out.len);
    assert(head_parse(buf_str(&out), arena, &again, &reason) == PARSE_OK && same_head(&head, &again));
    buf_done(&out);
}

/* The body of chunks that come in steps; *ret_used is where it ends. */
static enum parse_result read_chunks(struct str data, size_t step, struct buf *body, size_t *ret_used)
{
    struct chunk_scan scan = {0};
    enum parse_result result = PARSE_MORE;
    size_t at = 0;

    while (at < data.len && result == PARSE_MORE) {
        struct str given = str_slice(data.ptr + at, MIN_OF(step, data.len - at));
        struct str piece;
        size_t used = 0;

        result = chunk_scan(&scan, given, &used, &piece);
        assert(used > 0 && used <= given.len && fuzz_inside(piece, given));
        buf_add_str(body, piece);
        at += used;
    }
    assert(result == PARSE_BAD || (result == PARSE_OK) == (scan.state == CHUNK_DONE));
    *ret_used = at;
    return result;
}

static void check_chunks(struct str data)
{
    static const size_t steps[] = {1, 7, SIZE_MAX};
    struct buf bodies[countof(steps)];
    enum parse_result results[countof(steps)];
    size_t used[countof(steps)];

    for (size_t i = 0; i < countof(steps); i++) {
        buf_init(&bodies[i], data.len + 1);
        results[i] = read_chunks(data, steps[i], &bodies[i], &used[i]);
        assert(results[i] == results[0] && used[i] == used[0] && str_eq(buf_str(&bodies[i]), buf_str(&bodies[0])));
    }
    for (size_t i = 0; i < countof(steps); i++)
        buf_done(&bodies[i]);
}

static void check_rechunked(struct str body)
{
    struct buf chunked;
    struct buf again;
    size_t used;

    buf_init(&chunked, 16 * body.len + 64);
    buf_init(&again, body.len + 1);
    for (size_t at = 0; at < body.len; at += 5) {
        struct str piece = str_slice(body.ptr + at, MIN_OF((size_t)5, body.len - at));

        buf_printf(&chunked, "%zX;x\r\n", piece.len);
        buf_add_str(&chunked, piece);
        buf_add_cstr(&chunked, "\r\n");
    }
    buf_add_cstr(&chunked, "0\r\n\r\n");
    /* Every chunk has an extension here: long bodies of such chunks are refused, and that is a law of its own. */
    if (body.len < 1024) {
        assert(read_chunks(buf_str(&chunked), 3, &again, &used) == PARSE_OK && used == chunked.len);
        assert(str_eq(buf_str(&again), body));
    }
    buf_done(&chunked);
    buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = fuzz_input(data, size);
    struct arena arena;
    size_t len = 0;
    size_t len_in_steps = 0;
    enum parse_result result;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    result = scan_in_steps(text, SIZE_MAX / 2, &len);
    assert(scan_in_steps(text, 1, &len_in_steps) == result && len == len_in_steps);
    if (result == PARSE_OK) {
        assert(len > 4 && len <= text.len);
        check_head(&arena, fuzz_exact(&arena, str_slice(text.ptr, len)));
        text = str_slice(text.ptr + len, text.len - len);
    }
    check_chunks(text);
    check_rechunked(text);
    arena_done(&arena);
    return 0;
}
