/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ecsctl copies, not the daemon: the file is where the operator stands and may be open to him
 * alone, and gigabytes through a socket would keep a thread of the daemon from others. The two
 * share the data folder in any case.
 */
#include "cli/image_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define PARTIAL ".partial"
#define COPY_BYTES ((size_t)1 << 20)
#define HOLE_BYTES                                                                                 \
    ((size_t)64 << 10) /* so much of nothing stays a hole: as large as qcow2's clusters */
#define PART_MAX_BYTES ((int64_t)1 << 30) /* kernel and initrd */

static void close_cleanup(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static void close_dir_cleanup(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

/* ── what is partial ── */

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Folders of ours hold files only. */
static int remove_partial(int folder_fd, const char *name, struct fail *fail)
{
    int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_(close_dir_cleanup) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        if (fd < 0 && errno == ENOENT)
            return 0;
        return fail_text(fail, E_IO, "can't open images/%s: %s", name, strerror(errno));
    }
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (!is_dots(entry->d_name) && unlinkat(fd, entry->d_name, 0) < 0)
            return fail_text(fail, E_IO, "can't remove images/%s/%s: %s", name, entry->d_name,
                             strerror(errno));
    if (unlinkat(folder_fd, name, AT_REMOVEDIR) < 0)
        return fail_text(fail, E_IO, "can't remove images/%s: %s", name, strerror(errno));
    return 0;
}

static int sweep(int folder_fd, struct fail *fail)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(close_dir_cleanup) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return fail_text(fail, E_IO, "can't read images: %s", strerror(errno));
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        int r = str_ends(str_from(entry->d_name), STR(PARTIAL))
                    ? remove_partial(folder_fd, entry->d_name, fail)
                    : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

/* ── the folder ── */

static void give(const struct image_folder *folder, int fd)
{
    if (geteuid() == 0)
        (void)fchown(
            fd, folder->uid,
            folder->gid); /* a daemon that can't read it says so: AdoptImage finds no file */
}

static int open_images(const char *data, struct image_folder *folder)
{
    _cleanup_(close_cleanup) int data_fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (data_fd < 0 || fstat(data_fd, &st) < 0)
        return -1;
    folder->uid = st.st_uid;
    folder->gid = st.st_gid;
    if (mkdirat(data_fd, "images", 0700) < 0 && errno != EEXIST)
        return -1;
    folder->fd = openat(data_fd, "images", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0)
        return -1;
    give(folder, folder->fd);
    return fsync(data_fd);
}

int image_folder_open(const char *data, struct image_folder *ret, struct fail *fail)
{
    struct image_folder folder = {.fd = -1};
    int r;

    if (open_images(data, &folder) < 0) {
        r = fail_text(fail, E_IO, "can't make or open %s/images: %s", data, strerror(errno));
    } else if (flock(folder.fd, LOCK_EX | LOCK_NB) < 0) {
        r = fail_text(fail, E_BUSY,
                      "another ecsctl imports or removes an image; wait until it is done");
    } else {
        r = sweep(folder.fd, fail);
    }
    if (r < 0)
        image_folder_close(&folder);
    else
        *ret = folder;
    return r;
}

void image_folder_close(struct image_folder *folder)
{
    if (folder->fd >= 0)
        (void)close(folder->fd); /* and the lock is gone */
    folder->fd = -1;
}

/* ── bring ── */

static bool is_zero(const char *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static int write_all(int fd, const char *bytes, size_t len, off_t at)
{
    while (len > 0) {
        ssize_t written = pwrite(fd, bytes, len, at);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        bytes += written;
        len -= (size_t)written;
        at += written;
    }
    return 0;
}

/* Leaves holes where there is nothing but zeros. */
static int write_sparse(int fd, const char *bytes, size_t len, off_t at)
{
    for (size_t done = 0; done < len; done += HOLE_BYTES) {
        size_t piece = MIN_OF(HOLE_BYTES, len - done);

        if (!is_zero(bytes + done, piece) &&
            write_all(fd, bytes + done, piece, at + (off_t)done) < 0)
            return -1;
    }
    return 0;
}

/* -1 with errno; 0 as its value means that the file became shorter meanwhile. */
static int copy_bytes(int from, int to, off_t length)
{
    _cleanup_(xfree_cleanup) char *bytes = xcalloc(1, COPY_BYTES);
    off_t at = 0;

    while (at < length) {
        ssize_t got = pread(from, bytes, MIN_OF(COPY_BYTES, (size_t)(length - at)), at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = 0;
        if (got <= 0 || write_sparse(to, bytes, (size_t)got, at) < 0)
            return -1;
        at += got;
    }
    return ftruncate(to, length) < 0 || fsync(to) < 0 ? -1 : 0;
}

static bool same_file(const struct stat *before, const struct stat *after)
{
    return before->st_size == after->st_size && before->st_mtim.tv_sec == after->st_mtim.tv_sec &&
           before->st_mtim.tv_nsec == after->st_mtim.tv_nsec;
}

static int create(const struct image_folder *folder, int partial_fd, const char *name)
{
    int fd = openat(partial_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0)
        give(folder, fd);
    return fd;
}

/* `max_bytes` 0: any length. */
static int copy_part(const struct image_folder *folder, int partial_fd, const char *name,
                     const char *path, int64_t max_bytes, struct fail *fail)
{
    _cleanup_(close_cleanup) int from = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_(close_cleanup) int to = -1;
    struct stat before;
    struct stat after;

    if (from < 0 || fstat(from, &before) < 0)
        return fail_text(fail, E_INVALID, "can't read %s: %s", path, strerror(errno));
    if (!S_ISREG(before.st_mode) || before.st_size == 0 ||
        (max_bytes > 0 && before.st_size > max_bytes))
        return fail_text(fail, E_INVALID, "%s is not a file, is empty, or is too large for a %s",
                         path, name);
    to = create(folder, partial_fd, name);
    if (to < 0 || copy_bytes(from, to, before.st_size) < 0)
        return fail_text(fail, E_IO, "can't copy %s into the data folder: %s", path,
                         errno ? strerror(errno) : "it became shorter");
    if (fstat(from, &after) < 0 || !same_file(&before, &after))
        return fail_text(fail, E_INVALID,
                         "%s changed while it was copied; try again when nobody writes to it",
                         path);
    return 0;
}

static int write_part(const struct image_folder *folder, int partial_fd, const char *name,
                      const char *text, struct fail *fail)
{
    _cleanup_(close_cleanup) int to = create(folder, partial_fd, name);

    if (to < 0 || write_all(to, text, strlen(text), 0) < 0 || fsync(to) < 0)
        return fail_text(fail, E_IO, "can't write %s into the data folder: %s", name,
                         strerror(errno));
    return 0;
}

static int fill(const struct image_folder *folder, int partial_fd, const struct image_parts *parts,
                struct fail *fail)
{
    int r = copy_part(folder, partial_fd, "disk", parts->disk, 0, fail);

    if (r == 0 && parts->kernel)
        r = copy_part(folder, partial_fd, "kernel", parts->kernel, PART_MAX_BYTES, fail);
    if (r == 0 && parts->initrd)
        r = copy_part(folder, partial_fd, "initrd", parts->initrd, PART_MAX_BYTES, fail);
    if (r == 0 && parts->cmdline)
        r = write_part(folder, partial_fd, "cmdline", parts->cmdline, fail);
    if (r == 0 && parts->agent && strcmp(parts->agent, "true") == 0)
        r = write_part(folder, partial_fd, "agent", "", fail);
    if (r == 0 && fsync(partial_fd) < 0)
        r = fail_text(fail, E_IO, "can't sync the data folder: %s", strerror(errno));
    return r;
}

static struct str partial_name(struct fail *fail, struct str id)
{
    return arena_printf(fail->arena, "%.*s" PARTIAL, STR_ARG(id));
}

/* images/ID becomes ID.partial in one step, and is removed then. */
static int take_away(struct image_folder *folder, struct str id, struct fail *fail)
{
    const char *name = arena_cstr(fail->arena, id);
    const char *partial = partial_name(fail, id).ptr;

    if (renameat(folder->fd, name, folder->fd, partial) < 0)
        return errno == ENOENT
                   ? 0
                   : fail_text(fail, E_IO, "can't take images/%s away: %s", name, strerror(errno));
    if (fsync(folder->fd) < 0)
        return fail_text(fail, E_IO, "can't sync the data folder: %s", strerror(errno));
    return remove_partial(folder->fd, partial, fail);
}

int image_folder_drop(struct image_folder *folder, struct str id, struct fail *fail)
{
    return take_away(folder, id, fail);
}

int image_folder_bring(struct image_folder *folder, struct str id, const struct image_parts *parts,
                       struct fail *fail)
{
    const char *name = arena_cstr(fail->arena, id);
    const char *partial = partial_name(fail, id).ptr;
    _cleanup_(close_cleanup) int fd = -1;
    struct fail ignored;
    int r = take_away(folder, id, fail);

    if (r < 0)
        return r;
    if (mkdirat(folder->fd, partial, 0700) < 0 ||
        (fd = openat(folder->fd, partial, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return fail_text(fail, E_IO, "can't make images/%s: %s", partial, strerror(errno));
    give(folder, fd);
    r = fill(folder, fd, parts, fail);
    if (r == 0 && (renameat(folder->fd, partial, folder->fd, name) < 0 || fsync(folder->fd) < 0))
        r = fail_text(fail, E_IO, "can't put images/%s in its place: %s", name, strerror(errno));
    if (r < 0) { /* the first error is told; what can't be removed now the next import sweeps out */
        fail_init(&ignored, fail->arena);
        (void)remove_partial(folder->fd, partial, &ignored);
        (void)take_away(folder, id, &ignored);
    }
    return r;
}
