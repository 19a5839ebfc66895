/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/spawn.h"

#define COMMAND_LINE_MAX 4096             /* of an image's kernel */
#define TOOL_TIMEOUT_US (60 * USEC_PER_SEC) /* qemu-img: it makes and looks at empty files */
#define GIB ((int64_t)1 << 30)
#define SECTOR 512
#define L1_BYTES_MAX ((uint64_t)32 << 20) /* QEMU opens no larger one */

static const char *const folders[] = {"images", "disks", "machines"};

bool pool_name_is_safe(struct str name)
{
    if (name.len == 0 || name.len > 128 || name.ptr[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

int pool_errno(int number)
{
    if (number == ENOENT)
        return -E_NOT_FOUND;
    return number == ENOSPC || number == EDQUOT ? -E_NO_SPACE : -E_IO;
}

static bool is_file(struct str path)
{
    return access(path.ptr, F_OK) == 0;
}

int pool_make(const struct pool *pool, struct fail *fail)
{
    char path[512];

    for (size_t i = 0; i < countof(folders); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", pool->dir, folders[i]);
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return fail_text(fail, E_IO, "can't make the folder %s: %s", path, strerror(errno));
    }
    return 0;
}

/* ── tools ── */

/* Tools have exit code 1 for everything: what passes, and what somebody can do something about, is in their words. */
static enum error_code code_of(struct str output)
{
    if (str_contains(output, STR("No space left on device")))
        return E_NO_SPACE;
    return str_contains(output, STR("Failed to get \"write\" lock")) ? E_BUSY : E_IO;
}

int pool_tool(const char *const *argv, struct arena *arena, struct spawn_result *result, struct fail *fail)
{
    int r = spawn_wait(argv, TOOL_TIMEOUT_US, arena, result);

    if (r == -E_NOT_FOUND)
        return fail_text(fail, E_NOT_FOUND, "there is no %s here; apt-get install qemu-utils genisoimage", argv[0]);
    if (r < 0)
        return fail_text(fail, E_IO, "%s can't be run", argv[0]);
    if (result->timed_out || result->exit_code != 0)
        return fail_text(fail, code_of(result->output), "%s: %.*s", argv[0], (int)MIN_OF(result->output.len, (size_t)200), result->output.ptr);
    return 0;
}

/* The file is complete and on the disk; its name is given to it last. */
int pool_put_in_place(struct str partial, struct str path, struct fail *fail)
{
    int fd = open(partial.ptr, O_RDWR | O_CLOEXEC);
    int r = 0;

    if (fd < 0 || fdatasync(fd) < 0 || rename(partial.ptr, path.ptr) < 0)
        r = fail_text(fail, (enum error_code) - pool_errno(errno), "can't keep %s: %s", path.ptr, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* it was flushed */
    return r;
}

/* ── images ── */

static struct str image_path(const struct pool *pool, struct str image_id, const char *name, struct arena *arena)
{
    return arena_printf(arena, "%s/images/%.*s/%s", pool->dir, STR_ARG(image_id), name);
}

bool pool_has_image(const struct pool *pool, struct str image_id)
{
    char path[512];

    if (!pool_name_is_safe(image_id))
        return false;
    (void)snprintf(path, sizeof(path), "%s/images/%.*s/disk", pool->dir, STR_ARG(image_id));
    return access(path, F_OK) == 0;
}

/* A line of text; absent: there is no such file. */
static struct str read_line(struct str path, struct arena *arena)
{
    int fd = open(path.ptr, O_RDONLY | O_CLOEXEC);
    char *text;
    ssize_t n;

    if (fd < 0)
        return STR_NONE;
    text = arena_alloc(arena, COMMAND_LINE_MAX + 1);
    n = read(fd, text, COMMAND_LINE_MAX);
    (void)close(fd); /* read only */
    for (; n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '); n--)
        text[n - 1] = '\0';
    return n > 0 ? str_slice(text, (size_t)n) : STR_NONE;
}

int pool_boot(const struct pool *pool, struct str image_id, struct arena *arena, struct domain_boot *ret, bool *ret_agent)
{
    struct str kernel;

    if (!pool_has_image(pool, image_id))
        return -E_NOT_FOUND;
    *ret = (struct domain_boot){0};
    *ret_agent = is_file(image_path(pool, image_id, "agent", arena));
    kernel = image_path(pool, image_id, "kernel", arena);
    if (!is_file(kernel))
        return 0;
    ret->kernel = kernel;
    ret->initrd = image_path(pool, image_id, "initrd", arena);
    if (!is_file(ret->initrd))
        ret->initrd = STR_NONE;
    ret->command_line = read_line(image_path(pool, image_id, "cmdline", arena), arena);
    return 0;
}

struct qcow2 {
    int64_t size_bytes;     /* of the disk that it is */
    uint64_t l1_bytes;      /* of the table of tables of what was written */
    uint64_t l1_at;
};

static uint64_t big_endian(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;

    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* What a qcow2 file says of itself (QEMU's docs/interop/qcow2.txt). False: it is none. */
static bool qcow2_read(struct str path, struct qcow2 *ret)
{
    uint8_t head[48];
    int fd = open(path.ptr, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = pread(fd, head, sizeof(head), 0);
    (void)close(fd); /* read only */
    if (n != (ssize_t)sizeof(head) || memcmp(head, "QFI\xfb", 4) != 0)
        return false;
    *ret = (struct qcow2){
        .size_bytes = (int64_t)MIN_OF(big_endian(head + 24, 8), (uint64_t)INT64_MAX),
        .l1_bytes = MIN_OF(8 * big_endian(head + 36, 4), L1_BYTES_MAX),
        .l1_at = big_endian(head + 40, 8),
    };
    return true;
}

/* ── disks ── */

static struct str cloud_path(const struct pool *pool, struct str disk_id, struct arena *arena)
{
    return arena_printf(arena, "%s/disks/%.*s.qcow2", pool->dir, STR_ARG(disk_id));
}

static struct str local_path(const struct pool *pool, struct str machine_id, struct str disk_id, struct arena *arena)
{
    return arena_printf(arena, "%s/machines/%.*s/%.*s.raw", pool->dir, STR_ARG(machine_id), STR_ARG(disk_id));
}

struct str pool_disk_path(const struct pool *pool, struct str machine_id, const struct machine_disk *disk, struct arena *arena)
{
    return disk->local ? local_path(pool, machine_id, disk->id, arena) : cloud_path(pool, disk->id, arena);
}

static struct str partial_of(struct str path, struct arena *arena)
{
    return arena_printf(arena, "%.*s.partial", STR_ARG(path));
}

static int make_raw(struct str path, int64_t bytes, struct arena *arena, struct fail *fail)
{
    struct str partial = partial_of(path, arena);
    int fd = open(partial.ptr, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r = 0;

    if (fd < 0 || ftruncate(fd, bytes) < 0)
        r = fail_text(fail, (enum error_code) - pool_errno(errno), "can't make %s: %s", path.ptr, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* pool_put_in_place flushes it */
    return r < 0 ? r : pool_put_in_place(partial, path, fail);
}

/* The base is named relative to the overlay, so that the data folder can be moved. */
static int make_overlay(const struct pool *pool, const struct machine_disk *disk, struct str path, const char *size,
                        struct arena *arena, struct fail *fail)
{
    struct str base = image_path(pool, disk->image_id, "disk", arena);
    struct str relative = arena_printf(arena, "../images/%.*s/disk", STR_ARG(disk->image_id));
    struct str partial = partial_of(path, arena);
    struct spawn_result result;
    struct qcow2 ignored;
    const char *format = qcow2_read(base, &ignored) ? "qcow2" : "raw";
    const char *argv[] = {"qemu-img", "create",     "-q", "-f",   "qcow2",     "-F",
                          format,     "-b", relative.ptr, partial.ptr, size, NULL};
    int r;

    if (!pool_has_image(pool, disk->image_id))
        return fail_text(fail, E_NOT_FOUND, "there is no file of image %.*s; ecsctl image import brings one",
                         STR_ARG(disk->image_id));
    r = pool_tool(argv, arena, &result, fail);
    return r < 0 ? r : pool_put_in_place(partial, path, fail);
}

static int make_blank(struct str path, const char *size, struct arena *arena, struct fail *fail)
{
    struct str partial = partial_of(path, arena);
    const char *argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", partial.ptr, size, NULL};
    struct spawn_result result;
    int r = pool_tool(argv, arena, &result, fail);

    return r < 0 ? r : pool_put_in_place(partial, path, fail);
}

static int grow(struct str path, int64_t bytes, const char *size, struct arena *arena, struct fail *fail)
{
    const char *argv[] = {"qemu-img", "resize", "-q", "-f", "qcow2", path.ptr, size, NULL};
    struct spawn_result result;
    struct qcow2 now;

    if (!qcow2_read(path, &now))
        return fail_text(fail, E_IO, "%s is no qcow2 file", path.ptr);
    return now.size_bytes >= bytes ? 0 : pool_tool(argv, arena, &result, fail);
}

int pool_disk_make(const struct pool *pool, struct str machine_id, const struct machine_disk *disk, struct arena *arena,
                   struct fail *fail)
{
    struct str path = pool_disk_path(pool, machine_id, disk, arena);
    int64_t bytes = disk->size_gib * GIB;
    char size[32];

    if (!pool_name_is_safe(disk->id) || (disk->local && !pool_name_is_safe(machine_id)) ||
        (!disk->local && disk->image_id.len > 0 && !pool_name_is_safe(disk->image_id)))
        return fail_text(fail, E_INVALID, "%.*s is no name of a disk", STR_ARG(disk->id));
    (void)snprintf(size, sizeof(size), "%lld", (long long)bytes);
    if (disk->local) {
        bytes = (int64_t)((double)bytes * pool->local_scale) / SECTOR * SECTOR;
        return is_file(path) ? 0 : make_raw(path, MAX_OF(bytes, (int64_t)1 << 20), arena, fail);
    }
    if (is_file(path))
        return grow(path, bytes, size, arena, fail);
    if (!str_empty(disk->image_id))
        return make_overlay(pool, disk, path, size, arena, fail);
    return make_blank(path, size, arena, fail);
}

int pool_disk_find(const struct pool *pool, struct str machine_id, struct str disk_id, struct arena *arena, struct str *ret)
{
    struct str path;

    if (!pool_name_is_safe(disk_id) || !pool_name_is_safe(machine_id))
        return -E_NOT_FOUND;
    path = local_path(pool, machine_id, disk_id, arena);
    if (!is_file(path))
        path = cloud_path(pool, disk_id, arena);
    if (!is_file(path))
        return -E_NOT_FOUND;
    *ret = path;
    return 0;
}

/* Made anew, not punched: whatever the old file's blocks held is no longer reachable under this name. */
int pool_disk_clear(const struct pool *pool, struct str machine_id, struct str disk_id, struct arena *arena)
{
    struct str path = local_path(pool, machine_id, disk_id, arena);
    struct stat now;

    if (!pool_name_is_safe(disk_id) || !pool_name_is_safe(machine_id) || stat(path.ptr, &now) < 0)
        return -E_NOT_FOUND;
    return make_raw(path, now.st_size, arena, NULL);
}

int pool_disk_delete(const struct pool *pool, struct str disk_id, struct arena *arena)
{
    if (!pool_name_is_safe(disk_id))
        return 0; /* no file of ours has such a name */
    if (unlink(cloud_path(pool, disk_id, arena).ptr) < 0 && errno != ENOENT)
        return pool_errno(errno);
    return 0;
}

static int raw_written(struct str path, bool *ret)
{
    int fd = open(path.ptr, O_RDONLY | O_CLOEXEC);
    off_t at;

    if (fd < 0)
        return pool_errno(errno);
    at = lseek(fd, 0, SEEK_DATA);
    *ret = at >= 0;
    (void)close(fd); /* read only */
    return 0;
}

/*
 * A qcow2 file that was never written has an empty table; whatever is written first, zeros too, puts an entry there, and QEMU
 * puts it on the disk before what it leads to. So it can be read while a machine has the file open.
 */
static int qcow2_written(struct str path, const struct qcow2 *disk, bool *ret)
{
    int fd = open(path.ptr, O_RDONLY | O_CLOEXEC);
    bool written = false;
    ssize_t n = 0;

    if (fd < 0)
        return pool_errno(errno);
    for (uint64_t at = 0; at < disk->l1_bytes && !written && n >= 0; at += (uint64_t)n) {
        uint8_t part[4096];

        n = pread(fd, part, MIN_OF(sizeof(part), (size_t)(disk->l1_bytes - at)), (off_t)(disk->l1_at + at));
        if (n == 0)
            break; /* what is not there yet reads zeros */
        for (ssize_t i = 0; i < n; i++)
            written = written || part[i] != 0;
    }
    (void)close(fd); /* read only */
    if (n < 0)
        return -E_IO;
    *ret = written;
    return 0;
}

int pool_disk_written(struct str path, bool *ret)
{
    struct qcow2 disk;

    return qcow2_read(path, &disk) ? qcow2_written(path, &disk, ret) : raw_written(path, ret);
}
