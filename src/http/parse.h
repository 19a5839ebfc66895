/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 requests, strictly (RFC 9112): pure functions over bytes, no sockets. Refused: bare LF, folded header lines,
 * blanks before a colon, names that are no tokens, control characters, two Content-Length or Host, Content-Length beside
 * Transfer-Encoding, any Transfer-Encoding but chunked.
 */
#pragma once

#include "gateway/gateway.h"

#define HEAD_HEADERS_MAX 128

enum parse_result {
    PARSE_OK,
    PARSE_MORE,             /* not all there yet */
    PARSE_BAD,              /* 400 */
    PARSE_LINE_TOO_LONG,    /* 414 */
    PARSE_HEADERS_TOO_BIG,  /* 431 */
    PARSE_VERSION,          /* 505 */
};

/* Finds the end of a head that arrives in pieces; no byte is looked at twice. Zeroed at start. */
struct head_scan {
    size_t pos;
    size_t line_start;
    size_t first_line_len; /* 0: the request line isn't complete */
};
/* PARSE_OK: the head with its empty line is *ret_len bytes long. */
enum parse_result head_scan(struct head_scan *scan, struct str data, size_t *ret_len);

struct head {
    struct str method;
    struct str target;
    struct header *headers; /* on the arena; views into the text */
    size_t header_count;
    struct str host;
    uint64_t content_length;
    bool has_content_length;
    bool chunked;
    bool keep_alive;
    bool close; /* the option was there: no keep-alive beside it counts */
    bool expect_continue;
};
/* `text` is a complete head. PARSE_OK, PARSE_BAD (with the reason), PARSE_HEADERS_TOO_BIG or PARSE_VERSION. */
enum parse_result head_parse(struct str text, struct arena *arena, struct head *ret_head, const char **ret_reason);

enum chunk_state { CHUNK_SIZE, CHUNK_SIZE_DIGITS, CHUNK_EXTENSION, CHUNK_SIZE_LF, CHUNK_DATA, CHUNK_DATA_CR, CHUNK_DATA_LF,
                   CHUNK_TRAILER_START, CHUNK_TRAILER, CHUNK_TRAILER_LF, CHUNK_END_LF, CHUNK_DONE };
/* Zeroed at start. */
struct chunk_scan {
    enum chunk_state state;
    uint64_t left;       /* of the current chunk */
    size_t overhead;     /* bytes of extensions and trailers so far, bounded */
};
/*
 * Takes from `data` up to the next piece of body: *ret_used bytes are consumed, of which *ret_piece are body (may be
 * empty). PARSE_OK: the body is complete. PARSE_MORE: call again with what follows. PARSE_BAD.
 */
enum parse_result chunk_scan(struct chunk_scan *scan, struct str data, size_t *ret_used, struct str *ret_piece);
