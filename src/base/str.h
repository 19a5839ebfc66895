/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A borrowed view of text: pointer and length, not necessarily NUL-terminated, never owned.
 * Invariants: 1. ptr == NULL means "absent" and then len == 0.  2. An empty, present text has ptr != NULL and len == 0.
 */
#pragma once

#include <string.h>

#include "base/macro.h"

struct str {
    const char *ptr;
    size_t len;
};

struct str_list {
    struct str *items;
    size_t count;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_INIT(literal) {"" literal, sizeof(literal) - 1}
#define STR_NONE ((struct str){NULL, 0})
/* For printf: printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

/* The view of a C string; NULL gives STR_NONE. */
static inline struct str str_from(const char *cstr)
{
    return cstr ? (struct str){cstr, strlen(cstr)} : STR_NONE;
}

static inline struct str str_slice(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}

/* True for absent and for empty: the API treats both as "not given". */
static inline bool str_empty(struct str s)
{
    return s.len == 0;
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Byte order; a prefix sorts first. */
int str_cmp(struct str a, struct str b);
/* ASCII case is folded, other bytes are compared as they are. */
int str_cmp_nocase(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_contains(struct str s, struct str needle);
/* `pattern` may hold `*` for any run of bytes; ASCII case is folded when nocase. Linear in practice, never recursive. */
bool str_glob(struct str pattern, struct str s, bool nocase);
/* Without outer spaces and tabs. */
struct str str_trim(struct str s);
/* Splits at the first `sep`: head before it, rest after it; false (head = s, rest absent) when there is none. */
bool str_split(struct str s, char sep, struct str *ret_head, struct str *ret_rest);
/* The number in decimal, at the end of `digits`; not NUL-terminated. */
#define I64_TEXT_MAX 24
struct str str_print_i64(int64_t value, char digits[I64_TEXT_MAX]);
/* Decimal text with an optional '-', nothing else, no overflow. -E_INVALID otherwise; *ret untouched. */
int str_to_i64(struct str s, int64_t *ret) must_check;
/* Decimal number with an optional fraction and '-', no exponent, no locale. -E_INVALID otherwise. */
int str_to_double(struct str s, double *ret) must_check;
/* "true"/"false" in any case; with `loose` also on/off, yes/no, 1/0 (configuration). -E_INVALID otherwise. */
int str_to_bool(struct str s, bool loose, bool *ret) must_check;
/* A number with a unit, in microseconds: "90", "90s", "5m", "2h", "250ms", "1d"; a bare number is seconds. */
int str_to_duration(struct str s, int64_t *ret_us) must_check;
bool str_is_utf8(struct str s);
/* Printable ASCII without blanks (0x21..0x7e). */
bool str_is_token(struct str s);
