/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a machine: its seed disk, the logs of its console. Its local disks are pool.c's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/spawn.h"
#include "hypervisor/pool.h"

#define SEED_BYTES (64u * 1024) /* of one file of it: the API takes 32 KiB of user data */

static struct str folder_of(const struct pool *pool, struct str machine_id, struct arena *arena)
{
    return arena_printf(arena, "%s/machines/%.*s", pool->dir, STR_ARG(machine_id));
}

struct str pool_machine_path(const struct pool *pool, struct str machine_id, const char *name, struct arena *arena)
{
    return arena_printf(arena, "%s/machines/%.*s/%s", pool->dir, STR_ARG(machine_id), name);
}

/* ── the NoCloud seed: what cloud-init and the like read at the first boot ── */

static int write_file(struct str path, struct str text)
{
    int fd = open(path.ptr, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n;
    int r;

    if (fd < 0)
        return pool_errno(errno);
    n = text.len ? write(fd, text.ptr, text.len) : 0;
    r = n == (ssize_t)text.len ? 0 : n < 0 ? pool_errno(errno) : -E_NO_SPACE;
    (void)close(fd); /* read back by the tool that is run next, then removed */
    return r;
}

/* YAML in double quotes: what those would not take is left out. */
static void add_quoted(struct buf *out, struct str text)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if ((uint8_t)text.ptr[i] < 0x20)
            continue;
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, text.ptr[i]);
    }
    buf_add_cstr(out, "\"\n");
}

static int write_meta_data(struct str path, const struct machine_spec *spec)
{
    struct str rest = spec->public_keys;
    struct str line;
    struct buf text;
    int r;

    buf_init(&text, SEED_BYTES);
    buf_add_cstr(&text, "instance-id: ");
    add_quoted(&text, spec->id);
    if (!str_empty(spec->host_name)) {
        buf_add_cstr(&text, "local-hostname: ");
        add_quoted(&text, spec->host_name);
    }
    if (!str_empty(rest))
        buf_add_cstr(&text, "public-keys:\n");
    while (rest.len > 0) {
        (void)str_split(rest, '\n', &line, &rest);
        if (str_empty(line))
            continue;
        buf_add_cstr(&text, "  - ");
        add_quoted(&text, line);
    }
    r = text.full ? -E_LIMIT : write_file(path, buf_str(&text));
    buf_done(&text);
    return r;
}

/* As it was given; nothing given is a configuration that asks for nothing. */
static int write_user_data(struct str path, const struct machine_spec *spec, struct arena *arena)
{
    struct str encoded = spec->user_data;
    uint8_t *bytes;
    size_t len;
    int r;

    if (str_empty(encoded))
        return write_file(path, STR("#cloud-config\n"));
    if (encoded.len > SEED_BYTES)
        return -E_LIMIT;
    bytes = arena_alloc(arena, encoded.len);
    r = base64_decode(encoded, bytes, &len);
    return r < 0 ? r : write_file(path, str_slice((const char *)bytes, len));
}

static int make_seed(const struct pool *pool, const struct machine_spec *spec, struct arena *arena, struct fail *fail)
{
    struct str meta_data = pool_machine_path(pool, spec->id, "meta-data", arena);
    struct str user_data = pool_machine_path(pool, spec->id, "user-data", arena);
    struct str partial = pool_machine_path(pool, spec->id, "seed.partial", arena);
    const char *argv[] = {"genisoimage",  "-quiet", "-output",     partial.ptr,   "-volid", "cidata",
                          "-joliet", "-rock",  meta_data.ptr, user_data.ptr, NULL};
    struct spawn_result result;
    int r = write_meta_data(meta_data, spec);

    if (r == 0)
        r = write_user_data(user_data, spec, arena);
    if (r < 0)
        return fail_text(fail, (enum error_code) - r, "can't write the seed of %.*s", STR_ARG(spec->id));
    r = pool_tool(argv, arena, &result, fail);
    (void)unlink(meta_data.ptr); /* user data may hold secrets: one copy is enough */
    (void)unlink(user_data.ptr);
    return r < 0 ? r : pool_put_in_place(partial, pool_machine_path(pool, spec->id, "seed.iso", arena), fail);
}

int pool_machine_make(const struct pool *pool, const struct machine_spec *spec, struct arena *arena, struct fail *fail)
{
    struct str folder = folder_of(pool, spec->id, arena);

    if (!pool_name_is_safe(spec->id))
        return fail_text(fail, E_INVALID, "%.*s is no name of a machine", STR_ARG(spec->id));
    if (mkdir(folder.ptr, 0700) < 0 && errno != EEXIST)
        return fail_text(fail, (enum error_code) - pool_errno(errno), "can't make %s: %s", folder.ptr, strerror(errno));
    return make_seed(pool, spec, arena, fail);
}

int pool_machine_remove(const struct pool *pool, struct str machine_id, struct arena *arena)
{
    struct str folder = folder_of(pool, machine_id, arena);
    struct dirent *entry;
    DIR *dir;

    if (!pool_name_is_safe(machine_id))
        return 0; /* no folder of ours has such a name */
    dir = opendir(folder.ptr);
    if (!dir)
        return errno == ENOENT ? 0 : pool_errno(errno);
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(dirfd(dir), entry->d_name, 0); /* what stays makes rmdir fail */
    (void)closedir(dir); /* read only */
    return rmdir(folder.ptr) < 0 && errno != ENOENT ? pool_errno(errno) : 0;
}

/* ── the console ── */

/* console.log is the latest boot, console-1.log the one before, and so on. */
static struct str console_path(const struct pool *pool, struct str machine_id, int age, struct arena *arena)
{
    if (age == 0)
        return pool_machine_path(pool, machine_id, "console.log", arena);
    return arena_printf(arena, "%s/machines/%.*s/console-%d.log", pool->dir, STR_ARG(machine_id), age);
}

void pool_console_rotate(const struct pool *pool, struct str machine_id, struct arena *arena)
{
    for (int age = POOL_CONSOLES_KEPT - 1; age > 0; age--)
        /* One that isn't there has nothing to move. */
        (void)rename(console_path(pool, machine_id, age - 1, arena).ptr, console_path(pool, machine_id, age, arena).ptr);
}

int pool_console_read(const struct pool *pool, struct str machine_id, size_t limit_bytes, struct arena *arena, struct str *ret)
{
    int fd = open(console_path(pool, machine_id, 0, arena).ptr, O_RDONLY | O_CLOEXEC);
    struct stat now;
    size_t len;
    char *text;
    ssize_t n;

    *ret = STR("");
    if (fd < 0)
        return errno == ENOENT ? 0 : pool_errno(errno);
    if (fstat(fd, &now) < 0) {
        (void)close(fd); /* read only */
        return -E_IO;
    }
    len = MIN_OF((size_t)now.st_size, limit_bytes);
    text = arena_alloc(arena, len + 1);
    n = pread(fd, text, len, now.st_size - (off_t)len);
    (void)close(fd); /* read only */
    if (n < 0)
        return -E_IO;
    *ret = str_slice(text, (size_t)n);
    return 0;
}

void pool_console_trim(const struct pool *pool, struct str machine_id, struct arena *arena)
{
    int fd = open(console_path(pool, machine_id, 0, arena).ptr, O_WRONLY | O_CLOEXEC);
    struct stat now;

    if (fd < 0)
        return;
    /* A hole: the guest goes on writing behind it, nobody has to stop. */
    if (fstat(fd, &now) == 0 && now.st_blocks * 512 > 2 * (off_t)POOL_CONSOLE_KEEP_BYTES)
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, now.st_size - (off_t)POOL_CONSOLE_KEEP_BYTES);
    (void)close(fd); /* nothing was written */
}
