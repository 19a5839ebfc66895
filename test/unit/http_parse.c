/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and chunked bodies, whole and in pieces. */
#include "unit/unit.h"

#include "base/limits.h"
#include "base/mem.h"
#include "http/parse.h"

#define LINE "GET /?Action=StopInstance HTTP/1.1\r\n"
#define HOST "Host: a:1\r\n"

struct shape_case {
    const char *text;
    enum parse_result result;
};

static enum parse_result read_head(struct str text, struct arena *arena, struct head *head, const char **reason)
{
    struct head_scan scan = {0};
    size_t len = 0;
    enum parse_result result = head_scan(&scan, text, &len);

    *reason = "scan";
    if (result != PARSE_OK)
        return result;
    return head_parse(str_slice(text.ptr, len), arena, head, reason);
}

static void test_heads(void **state)
{
    static const struct shape_case cases[] = {
        {LINE HOST "\r\n", PARSE_OK},
        {LINE "hOsT:a\r\n\r\n", PARSE_OK},
        {"GET http://ecs.aliyuncs.com/?a=b HTTP/1.1\r\n" HOST "\r\n", PARSE_OK},
        {"GET ?a=b HTTP/1.1\r\n" HOST "\r\n", PARSE_OK},
        {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", PARSE_OK},
        {"GET / HTTP/1.0\r\n\r\n", PARSE_OK},
        {LINE HOST "Content-Length: 3\r\n\r\n", PARSE_OK},
        {LINE HOST "Transfer-Encoding: Chunked\r\n\r\n", PARSE_OK},
        {LINE HOST "X-Empty:\r\n\r\n", PARSE_OK},
        {LINE HOST, PARSE_MORE},
        {"GET / HTT", PARSE_MORE},
        {LINE "\r\n", PARSE_BAD},                                              /* no Host */
        {LINE "Host:\r\n\r\n", PARSE_BAD},
        {LINE HOST HOST "\r\n", PARSE_BAD},
        {LINE HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", PARSE_BAD},
        {LINE HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", PARSE_BAD},
        {LINE HOST "Content-Length: 3, 3\r\n\r\n", PARSE_BAD},
        {LINE HOST "Content-Length: +3\r\n\r\n", PARSE_BAD},
        {LINE HOST "Content-Length: -1\r\n\r\n", PARSE_BAD},
        {LINE HOST "Content-Length: 3x\r\n\r\n", PARSE_BAD},
        {LINE HOST "Content-Length: 0x3\r\n\r\n", PARSE_BAD},
        {LINE HOST "Content-Length:\r\n\r\n", PARSE_BAD},
        {LINE HOST "Content-Length: 9999999999999999999\r\n\r\n", PARSE_BAD},
        {LINE HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", PARSE_BAD},
        {LINE HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", PARSE_BAD},
        {LINE HOST "Transfer-Encoding: xchunked\r\n\r\n", PARSE_BAD},
        {LINE HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", PARSE_BAD},
        {LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", PARSE_BAD},
        {LINE HOST "Transfer-Encoding: identity\r\n\r\n", PARSE_BAD},
        {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", PARSE_BAD},
        {LINE HOST "Content-Length : 3\r\n\r\n", PARSE_BAD},
        {LINE HOST "Con tent: 3\r\n\r\n", PARSE_BAD},
        {LINE HOST ": 3\r\n\r\n", PARSE_BAD},
        {LINE HOST "nocolon\r\n\r\n", PARSE_BAD},
        {LINE HOST "X-A: b\r\n folded\r\n\r\n", PARSE_BAD},
        {LINE " Host: a\r\n" HOST "\r\n", PARSE_BAD},
        {LINE HOST "X-A: b\001c\r\n\r\n", PARSE_BAD},
        {LINE HOST "X-A: b\rc\r\n\r\n", PARSE_BAD},
        {"GET / HTTP/1.1\n" HOST "\r\n", PARSE_BAD},
        {LINE "Host: a\n\r\n", PARSE_BAD},
        {LINE HOST "\n", PARSE_BAD},
        {"GET /  HTTP/1.1\r\n" HOST "\r\n", PARSE_BAD},
        {"GET  / HTTP/1.1\r\n" HOST "\r\n", PARSE_BAD},
        {"GET / a HTTP/1.1\r\n" HOST "\r\n", PARSE_BAD},
        {"GET /\t HTTP/1.1\r\n" HOST "\r\n", PARSE_BAD},
        {"G@T / HTTP/1.1\r\n" HOST "\r\n", PARSE_BAD},
        {"GET /\r\n\r\n", PARSE_BAD},
        {"GET / http/1.1\r\n" HOST "\r\n", PARSE_BAD},
        {"GET / HTTP/2.0\r\n" HOST "\r\n", PARSE_VERSION},
        {"\026\003\001\002\n", PARSE_BAD}, /* the start of a TLS handshake */
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct arena arena;
        struct head head;
        const char *reason;
        enum parse_result result;

        arena_init(&arena, 1 << 20);
        result = read_head(str_from(cases[i].text), &arena, &head, &reason);
        if (result != cases[i].result)
            fail_msg("case %zu: got %d (%s), expected %d:\n%s", i, result, reason ? reason : "", cases[i].result, cases[i].text);
        arena_done(&arena);
    }
}

static void test_fields(void **state)
{
    struct arena arena;
    struct head head;
    const char *reason;

    (void)state;
    arena_init(&arena, 1 << 20);
    assert_int_equal(read_head(STR("POST /?x=1 HTTP/1.1\r\nHost: h:80\r\nContent-Length: 12\r\nX-A:  two words \t\r\n"
                                   "Expect: 100-Continue\r\nConnection: TE, close\r\n\r\n"),
                               &arena, &head, &reason),
                     PARSE_OK);
    assert_true(str_eq(head.method, STR("POST")));
    assert_true(str_eq(head.target, STR("/?x=1")));
    assert_true(str_eq(head.host, STR("h:80")));
    assert_int_equal(head.content_length, 12);
    assert_int_equal(head.header_count, 5);
    assert_true(str_eq(head.headers[2].value, STR("two words")));
    assert_true(head.expect_continue);
    assert_false(head.keep_alive);
    assert_int_equal(read_head(STR(LINE HOST "Connection: close, keep-alive\r\nConnection: keep-alive\r\n\r\n"), &arena, &head,
                               &reason),
                     PARSE_OK);
    assert_false(head.keep_alive);
    assert_int_equal(read_head(STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), &arena, &head, &reason), PARSE_OK);
    assert_true(head.keep_alive);
    arena_done(&arena);
}

static void test_head_in_pieces(void **state)
{
    struct str text = STR(LINE HOST "X-B: c\r\n\r\nrest");
    struct head_scan scan = {0};
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < text.len - 4; i++)
        assert_int_equal(head_scan(&scan, str_slice(text.ptr, i), &len), PARSE_MORE);
    assert_int_equal(head_scan(&scan, str_slice(text.ptr, text.len - 4), &len), PARSE_OK);
    assert_int_equal(len, text.len - 4);
}

static void test_limits(void **state)
{
    size_t room = LIMIT_REQUEST_LINE_BYTES + LIMIT_HEADERS_BYTES + 4096;
    char *text = xcalloc(room, 1);
    struct head_scan scan = {0};
    size_t len = 0;

    (void)state;
    (void)memset(text, 'a', room);
    assert_int_equal(head_scan(&scan, str_slice(text, LIMIT_REQUEST_LINE_BYTES), &len), PARSE_MORE);
    assert_int_equal(head_scan(&scan, str_slice(text, LIMIT_REQUEST_LINE_BYTES + 3), &len), PARSE_LINE_TOO_LONG);
    scan = (struct head_scan){0};
    (void)memcpy(text, LINE, sizeof(LINE) - 1);
    assert_int_equal(head_scan(&scan, str_slice(text, LIMIT_HEADERS_BYTES), &len), PARSE_MORE);
    assert_int_equal(head_scan(&scan, str_slice(text, room), &len), PARSE_HEADERS_TOO_BIG);
    (void)xfree(text);
}

static void test_too_many_headers(void **state)
{
    struct buf text;
    struct arena arena;
    struct head head;
    const char *reason;

    (void)state;
    buf_init(&text, 1 << 16);
    buf_add_cstr(&text, LINE HOST);
    for (int i = 0; i < HEAD_HEADERS_MAX; i++)
        buf_printf(&text, "X-%d: a\r\n", i);
    buf_add_cstr(&text, "\r\n");
    arena_init(&arena, 1 << 20);
    assert_int_equal(read_head(buf_str(&text), &arena, &head, &reason), PARSE_HEADERS_TOO_BIG);
    arena_done(&arena);
    buf_done(&text);
}

/* Feeds `text` in pieces of `step` bytes. */
static enum parse_result read_chunks(struct str text, size_t step, struct buf *body, size_t *ret_used)
{
    struct chunk_scan scan = {0};
    enum parse_result result = PARSE_MORE;
    size_t at = 0;

    while (at < text.len && result == PARSE_MORE) {
        struct str piece;
        size_t used;

        result = chunk_scan(&scan, str_slice(text.ptr + at, MIN_OF(step, text.len - at)), &used, &piece);
        assert_true(used > 0);
        at += used;
        buf_add_str(body, piece);
    }
    *ret_used = at;
    return result;
}

static void test_chunks(void **state)
{
    static const struct shape_case cases[] = {
        {"5\r\nhello\r\n0\r\n\r\n", PARSE_OK},
        {"2\r\nhe\r\n3;name=value\r\nllo\r\n0\r\n\r\n", PARSE_OK},
        {"005\r\nhello\r\n000\r\nTrailer: x\r\n\r\n", PARSE_OK},
        {"5\r\nhello\r\n0\r\n", PARSE_MORE},
        {"5\r\nhelloX\r\n0\r\n\r\n", PARSE_BAD},
        {"5\nhello\r\n0\r\n\r\n", PARSE_BAD},
        {"\r\nhello\r\n0\r\n\r\n", PARSE_BAD},
        {"-5\r\nhello\r\n0\r\n\r\n", PARSE_BAD},
        {"0x5\r\nhello\r\n0\r\n\r\n", PARSE_BAD},
        {" 5\r\nhello\r\n0\r\n\r\n", PARSE_BAD},
        {"5 \r\nhello\r\n0\r\n\r\n", PARSE_BAD},
        {"5\r\nhello\n0\r\n\r\n", PARSE_BAD},
        {"5\r\nhello\r\n0\r\n\n", PARSE_BAD},
        {"ffffffffffffffffff\r\nhello", PARSE_BAD},
    };

    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        for (size_t step = 1; step < 40; step++) {
            struct buf body;
            size_t used;

            buf_init(&body, 4096);
            assert_int_equal(read_chunks(str_from(cases[i].text), step, &body, &used), cases[i].result);
            if (cases[i].result == PARSE_OK) {
                assert_true(str_eq(buf_str(&body), STR("hello")));
                assert_int_equal(used, strlen(cases[i].text));
            }
            buf_done(&body);
        }
    }
}

/* One byte of body a chunk, each with a long extension: refused before it costs more than it is worth. */
static void test_chunk_overhead(void **state)
{
    struct buf text;
    struct buf body;
    size_t used;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_init(&body, 1 << 20);
    for (int i = 0; i < 1000; i++)
        buf_add_cstr(&text, "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n");
    assert_int_equal(read_chunks(buf_str(&text), 1 << 20, &body, &used), PARSE_BAD);
    assert_true(used < text.len);
    buf_done(&text);
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 20000; i++)
        buf_add_cstr(&text, "0");
    assert_int_equal(read_chunks(buf_str(&text), 1 << 20, &body, &used), PARSE_BAD);
    assert_true(used < text.len);
    buf_done(&text);
    buf_done(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_head_in_pieces), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_too_many_headers), cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_chunk_overhead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
