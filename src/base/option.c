/* SPDX-License-Identifier: Apache-2.0 */
#include "base/option.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define ENVIRONMENT_PREFIX STR("ECSD_")
#define NAME_MAX_BYTES 64

static const char *const source_names[] = {
    [OPTION_DEFAULT] = "default",
    [OPTION_FILE] = "file",
    [OPTION_ENVIRONMENT] = "environment",
    [OPTION_COMMAND_LINE] = "command line",
};

static const struct option_row *find_row(struct str name)
{
    for (size_t i = 0; i < option_row_count; i++) {
        if (str_eq(str_from(option_rows[i].name), name))
            return &option_rows[i];
    }
    return NULL;
}

static void *member_of(struct options *values, const struct option_row *row)
{
    return (char *)values + row->offset;
}

static const void *const_member_of(const struct options *values, const struct option_row *row)
{
    return (const char *)values + row->offset;
}

/* Without the zeros that a decimal number doesn't need. */
static void add_number(struct buf *out, double value)
{
    buf_printf(out, "%.15g", value);
}

static void add_allowed(struct buf *out, const struct option_row *row)
{
    switch (row->kind) {
    case OPTION_BOOL:
        buf_add_cstr(out, "true or false");
        break;
    case OPTION_INT:
    case OPTION_FLOAT:
        buf_add_cstr(out, row->kind == OPTION_INT ? "a whole number from " : "a number from ");
        add_number(out, row->min);
        buf_add_cstr(out, " to ");
        add_number(out, row->max);
        break;
    case OPTION_TEXT:
        buf_add_cstr(out, "text of one line, without \" ;\"");
        break;
    case OPTION_ENUM:
        for (size_t i = 0; row->words[i]; i++) {
            buf_add_cstr(out, i == 0 ? "one of " : ", ");
            buf_add_cstr(out, row->words[i]);
        }
        break;
    }
}

/* A text has to survive the way through an INI file: one line, no inline comment, no outer blanks,
 * no surprise. */
static bool text_is_plain(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if (c < ' ' || c == 0x7f || (c == ';' && (i == 0 || value.ptr[i - 1] == ' ')))
            return false;
    }
    return str_is_utf8(value) && str_trim(value).len == value.len;
}

static int read_enum(const struct option_row *row, struct str value, int *ret)
{
    for (int i = 0; row->words[i]; i++) {
        if (str_eq_nocase(str_from(row->words[i]), value)) {
            *ret = i;
            return 0;
        }
    }
    return -E_INVALID;
}

static int read_value(const struct option_row *row, struct str value, struct arena *arena,
                      struct options *ret_values)
{
    void *member = member_of(ret_values, row);
    int64_t number;
    double real;

    switch (row->kind) {
    case OPTION_BOOL:
        return str_to_bool(value, true, member);
    case OPTION_INT:
        if (str_to_i64(value, &number) < 0 || number < (int64_t)row->min ||
            number > (int64_t)row->max)
            return -E_INVALID;
        *(int64_t *)member = number;
        return 0;
    case OPTION_FLOAT:
        if (str_to_double(value, &real) < 0 || real < row->min || real > row->max)
            return -E_INVALID;
        *(double *)member = real;
        return 0;
    case OPTION_TEXT:
        if (!text_is_plain(value))
            return -E_INVALID;
        *(struct str *)member = arena_str(arena, value.ptr ? value : STR(""));
        return 0;
    case OPTION_ENUM:
        return read_enum(row, value, member);
    }
    return -E_INVALID;
}

void option_set_init(struct option_set *set, struct arena *arena)
{
    int r;

    *set = (struct option_set){.arena = arena};
    set->sources = arena_array(arena, enum option_source, option_row_count);
    for (size_t i = 0; i < option_row_count; i++) {
        r = read_value(&option_rows[i], str_from(option_rows[i].default_text), arena, &set->values);
        assert(r == 0); /* tools/gen_options.py checked it */
    }
}

static int refuse_value(const struct option_row *row, struct str value, struct fail *fail)
{
    struct buf allowed;
    int r;

    buf_init(&allowed, 4096);
    add_allowed(&allowed, row);
    r = fail_text(fail, E_INVALID, "option %s: \"%.*s\" is not allowed; it takes %.*s", row->name,
                  STR_ARG(value), STR_ARG(buf_str(&allowed)));
    buf_done(&allowed);
    return r;
}

static size_t common_prefix(struct str a, const char *b)
{
    size_t same = 0;

    while (same < a.len && b[same] == a.ptr[same])
        same++;
    return same;
}

/* The known name that begins like the unknown one for longest, with or without its section: against
 * typing errors. */
static const char *nearest_name(struct str name)
{
    const char *nearest = option_rows[0].name;
    size_t best = 0;

    for (size_t i = 0; i < option_row_count; i++) {
        const char *candidate = option_rows[i].name;
        size_t whole = common_prefix(name, candidate);
        size_t tail = common_prefix(name, strchr(candidate, '.') + 1);

        if (MAX_OF(whole, tail) > best) {
            best = MAX_OF(whole, tail);
            nearest = candidate;
        }
    }
    return nearest;
}

int option_set_one(struct option_set *set, struct str name, struct str value,
                   enum option_source source, struct fail *fail)
{
    const struct option_row *row = find_row(name);
    struct options probe;

    if (!row)
        return fail_text(fail, E_INVALID,
                         "option %.*s: no such option; the nearest is %s, --print-config lists all",
                         STR_ARG(name), nearest_name(name));
    /* Also what a stronger source has set already must be right, so that an error in a file never
     * hides. */
    if (read_value(row, value, set->arena, &probe) < 0)
        return refuse_value(row, value, fail);
    if (source < set->sources[row - option_rows])
        return 0;
    (void)read_value(row, value, set->arena, &set->values); /* the same value, just read */
    set->sources[row - option_rows] = source;
    return 0;
}

struct file_reader {
    struct option_set *set;
    struct fail *fail;
    const char *path;
    FILE *file;
    char *line;
    size_t line_cap;
    int line_number;
    bool seen[OPTION_COUNT]; /* in this file: a name that stands twice is an error of its writer */
    int result;
};

static int refuse_line(struct file_reader *reader, const char *why)
{
    if (reader->result == 0)
        reader->result = fail_text(reader->fail, E_INVALID, "%s line %d: %s", reader->path,
                                   reader->line_number, why);
    return 0;
}

/* The text before an inline comment, as libinih has it: `;` at the start or behind a blank. */
static size_t without_comment(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (line[i] == ';' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
            len = i;
            break;
        }
    }
    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t' || line[len - 1] == '\r' ||
                       line[len - 1] == '\n'))
        len--;
    return len;
}

/* A line without comment and outer blanks: libinih takes an indented one for more of the value
 * before. */
static struct str bare_line(const char *line, size_t len)
{
    struct str bare = str_trim(str_slice(line, without_comment(line, len)));

    return bare.len > 0 && bare.ptr[0] == '#' ? STR("") : bare;
}

/* What libinih would skip or misread; NULL: nothing. */
static const char *line_error(struct str line, size_t room_bytes)
{
    if (line.len == 0)
        return NULL;
    if (memchr(line.ptr, '\0', line.len))
        return "a NUL byte: this is not an INI file";
    if (line.len + 2 > room_bytes)
        return "too long";
    if (line.ptr[0] == '[' ? line.ptr[line.len - 1] != ']'
                           : !memchr(line.ptr, '=', line.len) && !memchr(line.ptr, ':', line.len))
        return "expected [section] or name = value";
    return NULL;
}

/*
 * Gives libinih a line at a time, as fgets would. It works on a short fixed buffer (200 bytes) and
 * would read what is longer as a further line: so comments are cut off here, and what is too long
 * even so is refused.
 */
static char *next_line(char *room, int room_bytes, void *stream)
{
    struct file_reader *reader = stream;
    struct str line;
    const char *error;
    ssize_t got;

    if (reader->result < 0)
        return NULL;
    got = getline(&reader->line, &reader->line_cap, reader->file);
    if (got < 0)
        return NULL;
    reader->line_number++;
    line = bare_line(reader->line, (size_t)got);
    error = line_error(line, (size_t)room_bytes);
    if (error) {
        (void)refuse_line(reader, error);
        return NULL;
    }
    if (line.len > 0)
        memcpy(room, line.ptr, line.len);
    memcpy(room + line.len, "\n", 2);
    return room;
}

static int take_line(void *user, const char *section, const char *name, const char *value)
{
    struct file_reader *reader = user;
    char full_name[2 * NAME_MAX_BYTES];
    const struct option_row *row;
    struct fail fail;
    int len =
        snprintf(full_name, sizeof(full_name), "%s%s%s", section, section[0] ? "." : "", name);

    if (reader->result < 0)
        return 0;
    if (len < 0 || (size_t)len >= sizeof(full_name))
        return refuse_line(reader, "the name is too long");
    row = find_row(str_from(full_name));
    if (row && reader->seen[row - option_rows])
        return refuse_line(reader, "this option stands in the file twice");
    if (row)
        reader->seen[row - option_rows] = true;
    fail_init(&fail, reader->set->arena);
    if (option_set_one(reader->set, str_from(full_name), str_from(value), OPTION_FILE, &fail) < 0)
        return refuse_line(reader, fail.message.ptr);
    return 1;
}

int option_set_file(struct option_set *set, const char *path, struct fail *fail)
{
    struct file_reader reader = {.set = set, .fail = fail, .path = path};
    int r;

    reader.file = fopen(path, "re");
    if (!reader.file)
        return fail_text(fail, E_NOT_FOUND, "%s: %s", path, strerror(errno));
    r = ini_parse_stream(next_line, &reader, take_line, &reader);
    if (ferror(reader.file) && reader.result == 0)
        reader.result = fail_text(fail, E_IO, "%s: could not be read", path);
    if (r != 0 && reader.result == 0) {
        /* What line_error let through and libinih did not; it counts the lines that it was given.
         */
        reader.line_number = MAX_OF(r, 0);
        (void)refuse_line(&reader, "not understood");
    }
    (void)fclose(reader.file);
    free(reader.line);
    return reader.result;
}

/* "stop.press_interval_s" is ECSD_STOP_PRESS_INTERVAL_S. */
static bool is_environment_name(const char *option, struct str name)
{
    if (strlen(option) != name.len)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = option[i] == '.' ? '_' : option[i];

        if ((c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c) != name.ptr[i])
            return false;
    }
    return true;
}

/* Does it begin with a section that we have, such as STOP_? Then it means an option, if a wrong
 * one. */
static bool has_our_section(struct str name)
{
    for (size_t i = 0; i < option_row_count; i++) {
        const char *point = strchr(option_rows[i].name, '.');
        struct str section = str_slice(option_rows[i].name, (size_t)(point - option_rows[i].name));

        if (name.len > section.len && name.ptr[section.len] == '_' &&
            str_starts_nocase(name, section))
            return true;
    }
    return false;
}

static int take_variable(struct option_set *set, struct str name, struct str value,
                         struct fail *fail)
{
    for (size_t i = 0; i < option_row_count; i++) {
        if (is_environment_name(option_rows[i].name, name))
            return option_set_one(set, str_from(option_rows[i].name), value, OPTION_ENVIRONMENT,
                                  fail);
    }
    if (has_our_section(name))
        return fail_text(fail, E_INVALID,
                         "environment variable ECSD_%.*s: no such option; --print-config lists all",
                         STR_ARG(name));
    return 0;
}

int option_set_environment(struct option_set *set, char *const *environ_list, struct fail *fail)
{
    for (; *environ_list; environ_list++) {
        struct str variable = str_from(*environ_list);
        struct str name;
        struct str value;
        int r;

        if (!str_starts(variable, ENVIRONMENT_PREFIX) || !str_split(variable, '=', &name, &value))
            continue;
        r = take_variable(
            set, str_slice(name.ptr + ENVIRONMENT_PREFIX.len, name.len - ENVIRONMENT_PREFIX.len),
            value, fail);
        if (r < 0)
            return r;
    }
    return 0;
}

static void add_value(struct buf *out, const struct option_row *row, const void *member)
{
    switch (row->kind) {
    case OPTION_BOOL:
        buf_add_cstr(out, *(const bool *)member ? "true" : "false");
        break;
    case OPTION_INT:
        buf_add_i64(out, *(const int64_t *)member);
        break;
    case OPTION_FLOAT:
        add_number(out, *(const double *)member);
        break;
    case OPTION_TEXT:
        buf_add_str(out, *(const struct str *)member);
        break;
    case OPTION_ENUM:
        buf_add_cstr(out, row->words[*(const int *)member]);
        break;
    }
}

void option_set_print(const struct option_set *set, struct buf *out)
{
    for (size_t i = 0; i < option_row_count; i++) {
        const struct option_row *row = &option_rows[i];

        buf_printf(out, "%s = ", row->name);
        add_value(out, row, const_member_of(&set->values, row));
        buf_printf(out, " ; %s; ", source_names[set->sources[i]]);
        add_allowed(out, row);
        buf_printf(out, "; %s\n", row->help);
    }
}
