/* SPDX-License-Identifier: Apache-2.0 */
#include "main/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

int folder_make(const char *dir, struct fail *fail)
{
    char *path = arena_cstr(fail->arena, str_from(dir));
    struct stat st;

    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* a parent that is there or can't be made shows below */
        *slash = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return fail_text(fail, E_IO, "can't make the data folder %s: %s; choose another with --data", dir, strerror(errno));
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return fail_text(fail, E_IO, "%s is not a folder; choose another with --data", dir);
    if (access(path, R_OK | W_OK | X_OK) < 0)
        return fail_text(fail, E_IO, "the data folder %s may not be written: %s", dir, strerror(errno));
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        log_warning("others may write into the data folder: whoever can put files there owns this service; chmod 700",
                    LOG_TEXT("data", dir));
    return 0;
}

const char *folder_path(struct arena *arena, const char *dir, const char *name)
{
    return arena_printf(arena, "%s/%s", dir, name).ptr;
}

static bool write_all(int fd, struct str text)
{
    while (text.len > 0) {
        ssize_t written = write(fd, text.ptr, text.len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        text = str_slice(text.ptr + written, text.len - (size_t)written);
    }
    return true;
}

int folder_write(const char *dir, const char *name, struct str text, mode_t mode, bool durable, struct fail *fail)
{
    const char *path = folder_path(fail->arena, dir, name);
    const char *next = arena_printf(fail->arena, "%s.new", path).ptr;
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool ok = fd >= 0 && fchmod(fd, mode) == 0 && write_all(fd, text) && (!durable || fsync(fd) == 0);
    int error = errno;

    if (fd >= 0)
        (void)close(fd);
    if (ok && rename(next, path) == 0)
        return 0;
    return fail_text(fail, E_IO, "can't write %s: %s", path, strerror(ok ? errno : error));
}
