/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, told where it is known. Codes are rows of api/errors.txt (gen/errors.h: enum error_code, E_...).
 * Functions return 0 or -E_X; a struct fail carries the text that the caller of the API shall read.
 */
#pragma once

#include "base/arena.h"
#include "gen/errors.h"

struct fail {
    enum error_code code; /* 0: nothing failed */
    struct str message;   /* on the arena */
    struct arena *arena;
};

static inline void fail_init(struct fail *fail, struct arena *arena)
{
    *fail = (struct fail){.code = E_NONE, .message = STR_NONE, .arena = arena};
}

/*
 * Writes code and message (the row's template, each %s replaced by the next `struct str` argument) and returns -code.
 * `fail` may be NULL: only the code is returned. Give as many arguments as the longest template of the code has `%s` (the
 * profiles differ): one that has fewer ignores the rest, too few is an assertion. The latest failure wins.
 */
int fail_with(struct fail *fail, enum error_code code, const struct str *args, size_t arg_count);
#define fail(f, code, ...) \
    fail_with((f), (code), (const struct str[]){__VA_ARGS__ __VA_OPT__(,) STR_NONE}, \
              countof(((const struct str[]){__VA_ARGS__ __VA_OPT__(,) STR_NONE})) - 1)

/* As fail(), with a text of ours instead of the row's: for what no client of the API reads (options, start-up). */
int fail_text(struct fail *fail, enum error_code code, const char *format, ...) printf_like(3, 4);

/* The analyzer doesn't look into fail.c: that a failure is negative, and nothing was returned, it has to see here. */
#if defined(__clang_analyzer__) && !defined(FAIL_IMPLEMENTATION)
#define fail_with(f, code, ...) ((void)fail_with((f), (code), __VA_ARGS__), -(int)(code))
#define fail_text(f, code, ...) ((void)fail_text((f), (code), __VA_ARGS__), -(int)(code))
#endif

/* The row of a code in force: the compatibility profile may replace status and message (api/errors.txt). */
struct error_row {
    const char *name;    /* "E_INSTANCE_NOT_FOUND" */
    const char *code;    /* "InvalidInstanceId.NotFound" */
    const char *message; /* template */
    int status;          /* HTTP */
    enum error_code first; /* the first row with the same code: who counts by code counts there */
    const char *current_message; /* NULL: the same in every profile */
    int current_status;          /* 0: the same */
};
extern const struct error_row error_rows[];

/* One of ours, which no page documents: they stand first in api/errors.txt and reach callers as 500 or 503. */
static inline bool error_is_internal(enum error_code code)
{
    return code > E_NONE && code <= E_LIMIT;
}

const char *error_code_text(enum error_code code);
const char *error_message(enum error_code code);
int error_status(enum error_code code);
/* compat.profile; set once, before threads start. */
void error_profile_set_current(bool current);
