/* SPDX-License-Identifier: Apache-2.0 */
#define FAIL_IMPLEMENTATION /* not what the analyzer is shown instead */
#include "base/fail.h"

static bool profile_is_current;

static const struct error_row *row_of(enum error_code code)
{
    assert((unsigned)code < E_COUNT);
    return &error_rows[code];
}

const char *error_code_text(enum error_code code)
{
    return row_of(code)->code;
}

const char *error_message(enum error_code code)
{
    const struct error_row *row = row_of(code);

    return profile_is_current && row->current_message ? row->current_message : row->message;
}

int error_status(enum error_code code)
{
    const struct error_row *row = row_of(code);

    return profile_is_current && row->current_status ? row->current_status : row->status;
}

void error_profile_set_current(bool current)
{
    profile_is_current = current;
}

/* Room for the template with its arguments put in. */
static size_t filled_len(const char *template, const struct str *args, size_t arg_count)
{
    size_t len = strlen(template);
    size_t used = 0;

    for (const char *p = strchr(template, '%'); p; p = strchr(p + 2, '%')) {
        assert(p[1] == 's' || p[1] == '%'); /* tools/gen_errors.py lets nothing else in */
        if (p[1] == 's') {
            assert(used < arg_count);
            len += args[used++].len;
        }
    }
    return len;
}

static struct str fill(struct arena *arena, const char *template, const struct str *args,
                       size_t arg_count)
{
    char *text;
    char *out;

    if (!strchr(template, '%'))
        return str_from(template);
    assert(arena);
    text = out = arena_alloc(arena, filled_len(template, args, arg_count) + 1);
    for (const char *p = template; *p; p++) {
        if (*p != '%') {
            *out++ = *p;
        } else if (*++p == '%') {
            *out++ = '%';
        } else {
            if (args->len > 0)
                memcpy(out, args->ptr, args->len);
            out += args++->len;
        }
    }
    return str_slice(text, (size_t)(out - text));
}

int fail_with(struct fail *fail, enum error_code code, const struct str *args, size_t arg_count)
{
    assert(code != E_NONE);
    if (fail) {
        fail->code = code;
        fail->message = fill(fail->arena, error_message(code), args, arg_count);
    }
    return -(int)code;
}

int fail_text(struct fail *fail, enum error_code code, const char *format, ...)
{
    va_list args;

    assert(code != E_NONE);
    if (fail) {
        va_start(args, format);
        fail->code = code;
        fail->message = arena_vprintf(fail->arena, format, args);
        va_end(args);
    }
    return -(int)code;
}
