/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration. Input: an INI file; each of its lines is also tried as --set and as a variable of the environment. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/option.h"

#define PRINT_BYTES (1u << 20)

struct sets {
    struct arena *arena;
    struct fail fail;
    char path[40];
};

/* A file without a name, which has a path all the same. */
static int make_file(struct str text, char path[40])
{
    int fd = memfd_create("fuzz.ini", MFD_CLOEXEC);

    assert(fd >= 0);
    assert(write(fd, text.ptr, text.len) == (ssize_t)text.len);
    (void)snprintf(path, 40, "/proc/self/fd/%d", fd);
    return fd;
}

static int read_file(struct sets *sets, struct str text, struct option_set *set)
{
    int fd = make_file(text, sets->path);
    int r;

    option_set_init(set, sets->arena);
    fail_init(&sets->fail, sets->arena);
    r = option_set_file(set, sets->path, &sets->fail);
    (void)close(fd); /* nothing is owed to it */
    return r;
}

static bool same_value(const struct option_row *row, const struct options *a, const struct options *b)
{
    const void *left = (const char *)a + row->offset;
    const void *right = (const char *)b + row->offset;

    switch (row->kind) {
    case OPTION_BOOL:
        return *(const bool *)left == *(const bool *)right;
    case OPTION_INT:
        return *(const int64_t *)left == *(const int64_t *)right;
    case OPTION_FLOAT:
        return *(const double *)left == *(const double *)right;
    case OPTION_ENUM:
        return *(const int *)left == *(const int *)right;
    case OPTION_TEXT:
        return str_eq(*(const struct str *)left, *(const struct str *)right);
    }
    return false;
}

static bool same_values(const struct option_set *a, const struct option_set *b)
{
    for (size_t i = 0; i < option_row_count; i++)
        if (!same_value(&option_rows[i], &a->values, &b->values))
            return false;
    return true;
}

static void check_told(const struct fail *fail, int r)
{
    assert(r == -(int)fail->code && fail->message.len > 0 && !memchr(fail->message.ptr, '\0', fail->message.len));
}

/* --print-config is a file that says the same. */
static void check_printed(struct sets *sets, const struct option_set *set)
{
    struct option_set again;
    struct buf printed;

    buf_init(&printed, PRINT_BYTES);
    option_set_print(set, &printed);
    assert(!printed.full);
    assert(read_file(sets, buf_str(&printed), &again) == 0);
    assert(same_values(set, &again));
    buf_done(&printed);
}

static void check_file(struct sets *sets, struct str text)
{
    struct option_set set;
    int r = read_file(sets, text, &set);

    if (r < 0)
        check_told(&sets->fail, r);
    else
        check_printed(sets, &set);
}

/* One value is taken everywhere or nowhere, and what is refused changes nothing. */
static void check_one(struct sets *sets, struct str name, struct str value)
{
    struct option_set before;
    struct option_set set;
    char *list[] = {NULL, NULL};
    struct buf variable;
    int r;

    option_set_init(&before, sets->arena);
    option_set_init(&set, sets->arena);
    fail_init(&sets->fail, sets->arena);
    r = option_set_one(&set, name, value, OPTION_COMMAND_LINE, &sets->fail);
    if (r < 0) {
        check_told(&sets->fail, r);
        assert(same_values(&set, &before));
        return;
    }
    buf_init(&variable, name.len + value.len + 16);
    buf_add_cstr(&variable, "ECSD_");
    for (size_t i = 0; i < name.len; i++)
        buf_add_char(&variable, name.ptr[i] == '.' ? '_' : (char)(name.ptr[i] - (name.ptr[i] >= 'a' ? 'a' - 'A' : 0)));
    buf_add_char(&variable, '=');
    buf_add_str(&variable, value);
    list[0] = variable.ptr;
    assert(option_set_environment(&before, list, &sets->fail) == 0 && same_values(&set, &before));
    buf_done(&variable);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = fuzz_input(data, size);
    struct arena arena;
    struct sets sets = {.arena = &arena};

    arena_init(&arena, FUZZ_ARENA_BYTES);
    check_file(&sets, rest);
    for (int i = 0; i < 8 && rest.len > 0; i++) {
        struct str line;
        struct str name;
        struct str value;

        (void)str_split(rest, '\n', &line, &rest); /* false: the last one */
        if (str_split(line, '=', &name, &value) && !memchr(line.ptr, '\0', line.len))
            check_one(&sets, str_trim(name), fuzz_exact(&arena, str_trim(value)));
    }
    arena_done(&arena);
    return 0;
}
