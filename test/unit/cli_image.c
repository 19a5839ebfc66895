/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken for a disk image, and that the data folder holds whole ones only. */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/image_file.h"
#include "cli/image_folder.h"

#define GIB ((uint64_t)1 << 30)

struct place {
    char dir[64];
    char path[96]; /* of the file that is looked at */
    struct arena arena;
    struct fail fail;
};

static int set_up(void **state)
{
    struct place *place = xcalloc(1, sizeof(*place));

    (void)snprintf(place->dir, sizeof(place->dir), "/tmp/ecsd-image-XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->path, sizeof(place->path), "%s/file", place->dir);
    arena_init(&place->arena, (size_t)1 << 20);
    fail_init(&place->fail, &place->arena);
    *state = place;
    return 0;
}

static void empty(const char *path)
{
    DIR *dir = opendir(path);
    char inner[512];

    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        if (unlink(inner) < 0)
            empty(inner);
    }
    if (dir)
        (void)closedir(dir);
    assert_int_equal(rmdir(path), 0);
}

static int tear_down(void **state)
{
    struct place *place = *state;

    empty(place->dir);
    arena_done(&place->arena);
    (void)xfree(place);
    return 0;
}

static void put(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    (void)close(fd);
}

static void number(uint8_t *at, size_t count, uint64_t value)
{
    for (size_t i = 0; i < count; i++)
        at[count - 1 - i] = (uint8_t)(value >> 8 * i);
}

/* The head of an empty image, as qemu-img writes it, and room for its table. */
static void qcow2(uint8_t file[4096], uint32_t version, uint64_t size_bytes)
{
    memset(file, 0, 4096);
    memcpy(file, "QFI\xfb", 4);
    number(file + 4, 4, version);
    number(file + 20, 4, 16);
    number(file + 24, 8, size_bytes);
    number(file + 36, 4, 4);
    number(file + 40, 8, 1024);
    number(file + 100, 4, 104);
}

static int look(struct place *place, const void *bytes, size_t len, const char *format,
                struct image_file *ret)
{
    int fd, r;

    put(place->path, bytes, len);
    fd = open(place->path, O_RDONLY);
    assert_true(fd >= 0);
    fail_init(&place->fail, &place->arena);
    r = image_file_look(fd, place->path, format, ret, &place->fail);
    (void)close(fd);
    return r;
}

static void the_size_is_the_disks_not_the_files(void **state)
{
    uint8_t file[4096];
    struct image_file got;

    qcow2(file, 3, 3 * GIB);
    assert_int_equal(look(*state, file, sizeof(file), NULL, &got), 0);
    assert_true(got.qcow2);
    assert_int_equal(got.size_gib, 3);
    assert_int_equal(got.length, 4096);
    qcow2(file, 2, 3 * GIB + 1); /* rounded up: the disk has to fit */
    assert_int_equal(look(*state, file, sizeof(file), "qcow2", &got), 0);
    assert_int_equal(got.size_gib, 4);
    memset(file, 'x', sizeof(file));
    assert_int_equal(look(*state, file, sizeof(file), NULL, &got), 0);
    assert_false(got.qcow2);
    assert_int_equal(got.size_gib, 1);
}

static void refuses(struct place *place, const uint8_t *bytes, size_t len, const char *format,
                    const char *why)
{
    struct image_file got = {.size_gib = -1};

    assert_int_equal(look(place, bytes, len, format, &got), -E_INVALID);
    if (!str_contains(place->fail.message, str_from(why)))
        fail_msg("\"%.*s\" does not say \"%s\"", STR_ARG(place->fail.message), why);
    assert_int_equal(got.size_gib, -1);
}

static void what_needs_another_file_is_refused(void **state)
{
    static const struct {
        size_t at, count;
        uint64_t value;
        const char *why;
    } wrongs[] = {
        {8, 8, 2048, "backing file"},
        {16, 4, 7, "backing file"},
        {32, 4, 2, "encrypted"},
        {72, 8, 1 << 2, "another file"},
        {72, 8, 1, "repair"},
        {72, 8, 1 << 1, "repair"},
        {72, 8, 1 << 5, "newer version"},
        {72, 8, (uint64_t)1 << 63, "newer version"},
        {4, 4, 4, "version 4"},
        {20, 4, 8, "damaged"},
        {20, 4, 22, "damaged"},
        {24, 8, 0, "no size"},
        {24, 8, 2048 * GIB + 1, "2048 GiB"},
        {24, 8, UINT64_MAX, "2048 GiB"},
        {40, 8, 4096, "cut off"},
        {40, 8, UINT64_MAX - 7, "cut off"},
        {36, 4, UINT32_MAX, "cut off"},
    };
    uint8_t file[4096];
    struct image_file got;

    for (size_t i = 0; i < countof(wrongs); i++) {
        qcow2(file, 3, GIB);
        number(file + wrongs[i].at, wrongs[i].count, wrongs[i].value);
        refuses(*state, file, sizeof(file), NULL, wrongs[i].why);
    }
    qcow2(file, 3, GIB);
    number(file + 72, 8,
           1 << 3 | 1 << 4); /* another compression, and subclusters: nothing is missing */
    assert_int_equal(look(*state, file, sizeof(file), NULL, &got), 0);
    for (size_t len = 8; len < 104; len += 32)
        refuses(*state, file, len, NULL, "cut off");
}

static void other_formats_are_not_taken_for_raw(void **state)
{
    static const char *const heads[] = {"KDMV", "conectix",   "vhdxfile", "\x1f\x8b\x08",
                                        "BZh9", "PK\x03\x04", "\3757zXZ"};
    uint8_t file[512];
    struct image_file got;

    for (size_t i = 0; i < countof(heads); i++) {
        memset(file, 0, sizeof(file));
        memcpy(file, heads[i], strlen(heads[i]));
        refuses(*state, file, sizeof(file), NULL, "format=raw");
        assert_int_equal(look(*state, file, sizeof(file), "raw", &got), 0);
    }
    refuses(*state, file, sizeof(file), "qcow2", "no qcow2");
    refuses(*state, file, sizeof(file), "vmdk", "qcow2 or raw");
    refuses(*state, file, 0, NULL, "no size");
    refuses(*state, (const uint8_t *)"QFI\xfb\0\0\0\3", 8, "raw", "is qcow2");
    assert_int_equal(image_file_look(open("/dev/null", O_RDONLY), "/dev/null", NULL, &got,
                                     &((struct place *)*state)->fail),
                     -E_INVALID);
}

/* ── the folder ── */

static bool there(const struct place *place, const char *name)
{
    struct stat st;
    char path[160];

    (void)snprintf(path, sizeof(path), "%s/images/%s", place->dir, name);
    return stat(path, &st) == 0;
}

static void open_folder(struct place *place, struct image_folder *ret)
{
    fail_init(&place->fail, &place->arena);
    assert_int_equal(image_folder_open(place->dir, ret, &place->fail), 0);
}

static void check_bytes(const struct place *place, const char *name, const char *bytes, size_t len)
{
    char path[160];
    char *got = xcalloc(1, len + 1);
    int fd;

    (void)snprintf(path, sizeof(path), "%s/images/%s", place->dir, name);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, got, len + 1), len);
    assert_memory_equal(got, bytes, len);
    (void)close(fd);
    (void)xfree(got);
}

static void an_image_comes_whole_and_goes_whole(void **state)
{
    struct place *place = *state;
    size_t len = 3u << 20 | 17; /* more than one piece, no whole number of them */
    char *disk = xcalloc(1, len);
    struct image_folder folder;
    struct image_parts parts = {
        .disk = place->path, .kernel = "/proc/self/exe", .cmdline = "console=ttyS0"};
    struct stat st;
    char path[160];

    memset(disk + (1u << 20) - 5, 'a', 10); /* over the edge of two pieces; the rest are holes */
    disk[len - 1] = 0;
    put(place->path, disk, len);
    open_folder(place, &folder);
    parts.kernel = place->path;
    assert_int_equal(image_folder_bring(&folder, STR("m-1"), &parts, &place->fail), 0);
    check_bytes(place, "m-1/disk", disk, len);
    check_bytes(place, "m-1/kernel", disk, len);
    check_bytes(place, "m-1/cmdline", "console=ttyS0", 13);
    assert_false(there(place, "m-1/initrd"));
    assert_false(there(place, "m-1.partial"));
    (void)snprintf(path, sizeof(path), "%s/images/m-1/disk", place->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 < (off_t)len / 2); /* holes stayed holes */
    assert_int_equal(st.st_mode & 07777, 0600);

    parts = (struct image_parts){
        .disk = place->path}; /* again: what was there goes first, with all its parts */
    assert_int_equal(image_folder_bring(&folder, STR("m-1"), &parts, &place->fail), 0);
    assert_true(there(place, "m-1/disk"));
    assert_false(there(place, "m-1/kernel"));
    assert_int_equal(image_folder_drop(&folder, STR("m-1"), &place->fail), 0);
    assert_false(there(place, "m-1"));
    assert_int_equal(image_folder_drop(&folder, STR("m-1"), &place->fail), 0);
    image_folder_close(&folder);
    (void)xfree(disk);
}

static void what_fails_leaves_nothing(void **state)
{
    struct place *place = *state;
    struct image_parts parts = {.disk = place->path, .kernel = "/nonexistent"};
    struct image_folder folder;

    put(place->path, "disk", 4);
    open_folder(place, &folder);
    assert_int_equal(image_folder_bring(&folder, STR("m-1"), &parts, &place->fail), -E_INVALID);
    assert_true(str_contains(place->fail.message, STR("/nonexistent")));
    assert_false(there(place, "m-1") || there(place, "m-1.partial"));
    parts = (struct image_parts){.disk = place->dir};
    assert_int_equal(image_folder_bring(&folder, STR("m-1"), &parts, &place->fail), -E_INVALID);
    assert_false(there(place, "m-1") || there(place, "m-1.partial"));
    image_folder_close(&folder);
}

/* What a run that was killed left, the next one sweeps out, and only that. */
static void leftovers_are_swept(void **state)
{
    struct place *place = *state;
    struct image_folder folder, second;
    struct image_parts parts = {.disk = place->path};
    char path[160];

    put(place->path, "disk", 4);
    open_folder(place, &folder);
    assert_int_equal(image_folder_bring(&folder, STR("m-1"), &parts, &place->fail), 0);
    (void)snprintf(path, sizeof(path), "%s/images/m-2.partial", place->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/images/m-2.partial/disk", place->dir);
    put(path, "half", 4);
    assert_int_equal(image_folder_open(place->dir, &second, &place->fail),
                     -E_BUSY); /* one at a time */
    assert_true(there(place, "m-2.partial"));
    image_folder_close(&folder);
    open_folder(place, &folder);
    assert_false(there(place, "m-2.partial"));
    assert_true(there(place, "m-1/disk"));
    image_folder_close(&folder);
    fail_init(&place->fail, &place->arena);
    assert_int_equal(image_folder_open("/nonexistent", &folder, &place->fail), -E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_size_is_the_disks_not_the_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_needs_another_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_formats_are_not_taken_for_raw, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_image_comes_whole_and_goes_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_fails_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leftovers_are_swept, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
