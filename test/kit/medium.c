/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/medium.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/mem.h"

#define SECTOR_BYTES 512

static struct medium *media;

/* For what the tests' own folder can't refuse. */
static void must(bool ok)
{
    if (!ok)
        abort();
}

/* splitmix64 */
uint64_t chance(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ── bytes ── */

/* Up to `end`; what is new is zeros. */
static void bytes_grow(struct bytes *bytes, int64_t end)
{
    if (end > bytes->room) {
        bytes->room = MAX_OF(end, 2 * bytes->room);
        bytes->ptr = xrealloc(bytes->ptr, (size_t)bytes->room);
    }
    if (end > bytes->len) {
        memset(bytes->ptr + bytes->len, 0, (size_t)(end - bytes->len));
        bytes->len = end;
    }
}

static void bytes_put(struct bytes *bytes, const char *ptr, int64_t len, int64_t offset)
{
    bytes_grow(bytes, offset + len);
    if (len > 0)
        memcpy(bytes->ptr + offset, ptr, (size_t)len);
}

static void bytes_done(struct bytes *bytes)
{
    (void)xfree(bytes->ptr);
    *bytes = (struct bytes){0};
}

static void file_read(const char *path, struct bytes *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat facts;

    must(fd >= 0 && fstat(fd, &facts) == 0);
    bytes_grow(ret, facts.st_size);
    must(facts.st_size == 0 || pread(fd, ret->ptr, (size_t)facts.st_size, 0) == facts.st_size);
    must(close(fd) == 0);
}

static void file_write(const char *path, const struct bytes *bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    must(fd >= 0);
    must(bytes->len == 0 || pwrite(fd, bytes->ptr, (size_t)bytes->len, 0) == bytes->len);
    must(close(fd) == 0);
}

/* ── changes ── */

static struct change *change_add(struct medium *medium, int64_t offset)
{
    size_t count = medium->change_count;

    if ((count & (count - 1)) == 0) /* full at each power of two */
        medium->changes = xrealloc(medium->changes, MAX_OF(1, 2 * count) * sizeof(struct change));
    medium->changes[count] = (struct change){.offset = offset};
    medium->change_count++;
    return &medium->changes[count];
}

static void changes_drop(struct medium *medium, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes_done(&medium->changes[i].data);
    medium->change_count -= count;
    if (medium->change_count > 0)
        memmove(medium->changes, medium->changes + count, medium->change_count * sizeof(struct change));
    else
        medium->changes = xfree(medium->changes); /* what is full at a power of two starts over */
}

static void change_apply(const struct change *change, struct bytes *to)
{
    if (change->truncates)
        to->len = MIN_OF(to->len, change->offset);
    else
        bytes_put(to, change->data.ptr, change->data.len, change->offset);
}

/* ── files ── */

static bool is_below(const struct medium *medium, const char *dir, size_t len)
{
    return strncmp(medium->path, dir, len) == 0 && medium->path[len] == '/';
}

static void medium_clear(struct medium *medium)
{
    bytes_done(&medium->before);
    bytes_done(&medium->durable);
    changes_drop(medium, medium->change_count);
}

/* As it is found: all of it is on the medium. */
static void medium_find(struct medium *medium, bool here)
{
    medium_clear(medium);
    medium->here = here;
    medium->named = true;
    medium->flushes_folder = false;
    if (here)
        file_read(medium->path, &medium->durable);
}

struct medium *medium_get(const char *path)
{
    struct medium *medium = media;
    bool here = access(path, F_OK) == 0;

    while (medium && strcmp(medium->path, path) != 0)
        medium = medium->next;
    if (!medium) {
        medium = xcalloc(1, sizeof(*medium));
        medium->path = xstrdup(path);
        medium->next = media;
        media = medium;
        medium_find(medium, here);
    } else if (medium->here != here) { /* somebody else made or removed it */
        assert(medium->open == 0);
        medium_find(medium, here);
    }
    return medium;
}

/* The name stands for another file, or none: until the folder is flushed, the medium has what it had. */
static void medium_rename(struct medium *medium, bool here)
{
    if (medium->named) {
        medium->before_here = medium->here;
        medium->before = medium->durable;
        medium->durable = (struct bytes){0};
    }
    changes_drop(medium, medium->change_count);
    bytes_done(&medium->durable);
    medium->named = false;
    medium->here = here;
}

static void folder_flushed(const char *path)
{
    size_t len = (size_t)(strrchr(path, '/') - path);

    for (struct medium *medium = media; medium; medium = medium->next) {
        if (!is_below(medium, path, len))
            continue;
        medium->named = true;
        bytes_done(&medium->before);
    }
}

void medium_made(struct medium *medium, bool flushes_folder)
{
    assert(!medium->here);
    medium_rename(medium, true);
    medium->flushes_folder = flushes_folder;
}

void medium_removed(struct medium *medium, bool flush_folder)
{
    medium_rename(medium, false);
    if (flush_folder)
        folder_flushed(medium->path);
}

void medium_wrote(struct medium *medium, const void *ptr, int64_t len, int64_t offset)
{
    if (len > 0)
        bytes_put(&change_add(medium, offset)->data, ptr, len, 0);
}

void medium_cut(struct medium *medium, int64_t size)
{
    change_add(medium, size)->truncates = true;
}

void medium_flushed(struct medium *medium)
{
    size_t folded = 0;

    for (size_t i = 0; i < medium->change_count; i++)
        medium->changes[i].flushed |= !medium->changes[i].doubtful;
    while (folded < medium->change_count && medium->changes[folded].flushed)
        change_apply(&medium->changes[folded++], &medium->durable);
    changes_drop(medium, folded);
    if (medium->flushes_folder)
        folder_flushed(medium->path);
    medium->flushes_folder = false;
}

void medium_flush_failed(struct medium *medium)
{
    for (size_t i = 0; i < medium->change_count; i++)
        medium->changes[i].doubtful |= !medium->changes[i].flushed;
}

/* ── the power fails ── */

enum luck { LUCK_NONE, LUCK_ALL, LUCK_EVEN, LUCK_COUNT }; /* of what was not flushed: nothing survives, all, each by a coin */

static bool survives(enum luck luck, uint64_t *seed)
{
    return luck == LUCK_ALL || (luck == LUCK_EVEN && (chance(seed) & 1) != 0);
}

/* Sector by sector; one that got lost behind the end may leave zeros, when the size came through and the data did not. */
static void change_survive(const struct change *change, enum luck luck, uint64_t *seed, struct bytes *to)
{
    int64_t end = change->offset + change->data.len;

    if (change->flushed || (change->truncates && survives(luck, seed))) {
        change_apply(change, to);
        return;
    }
    for (int64_t at = change->offset, next; at < end; at = next) {
        next = MIN_OF(end, (at / SECTOR_BYTES + 1) * SECTOR_BYTES);
        if (survives(luck, seed))
            bytes_put(to, change->data.ptr + (at - change->offset), next - at, at);
        else if (luck == LUCK_EVEN && (chance(seed) & 7) == 0)
            bytes_grow(to, next);
    }
}

static void medium_power_failure(struct medium *medium, enum luck luck, uint64_t *seed)
{
    assert(medium->open == 0);
    if (!medium->named && !survives(luck, seed)) {
        medium->here = medium->before_here;
        changes_drop(medium, medium->change_count);
        bytes_done(&medium->durable);
        medium->durable = medium->before;
        medium->before = (struct bytes){0};
    }
    for (size_t i = 0; i < medium->change_count; i++)
        change_survive(&medium->changes[i], luck, seed, &medium->durable);
    changes_drop(medium, medium->change_count);
    bytes_done(&medium->before);
    medium->named = true;
    medium->flushes_folder = false;
    if (medium->here)
        file_write(medium->path, &medium->durable);
    else
        (void)unlink(medium->path); /* may be gone already */
}

void media_power_failure(const char *dir, uint64_t seed)
{
    enum luck luck = (enum luck)(chance(&seed) % LUCK_COUNT);
    size_t len = strlen(dir);

    for (struct medium *medium = media; medium; medium = medium->next)
        if (is_below(medium, dir, len))
            medium_power_failure(medium, luck, &seed);
}

void media_forget(const char *dir)
{
    struct medium **link = &media;
    size_t len = strlen(dir);

    while (*link) {
        struct medium *medium = *link;

        if (!is_below(medium, dir, len)) {
            link = &medium->next;
            continue;
        }
        assert(medium->open == 0);
        *link = medium->next;
        medium_clear(medium);
        (void)xfree(medium->path);
        (void)xfree(medium);
    }
}

int64_t media_unsynced(const char *dir)
{
    size_t len = strlen(dir);
    int64_t total = 0;

    for (const struct medium *medium = media; medium; medium = medium->next)
        for (size_t i = 0; is_below(medium, dir, len) && i < medium->change_count; i++)
            total += medium->changes[i].flushed ? 0 : medium->changes[i].data.len;
    return total;
}
