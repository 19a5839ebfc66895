/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_machines: which machines lived at simulated hosts, now and at every moment before.
 *
 *   node_machines JOURNAL FOLDER PREFIXES HOST...
 *
 * The journal of the hosts is the order of all that happened there. Each of up to PREFIXES beginnings of it, spread evenly,
 * is opened in FOLDER as a world of its own, with a clock that does not run: that is the world at the time of that beginning's
 * last record. The last look is at all of it, now. Prints a line of JSON for each instance that has two live machines in one
 * of them, for each machine in the last one, and at the end what was looked at.
 *
 *   node_machines --two-lives FOLDER        makes a journal in which one instance has two: the judge is judged
 *   node_machines --two-lives-shared FOLDER the same, as processes that share it write it
 *
 * Nothing here knows the file's format: an end that is no whole record is cut off when a world opens.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "hypervisor/sim.h"

#define PATH_BYTES 512
#define FIRST_BYTES 256 /* a beginning of that size holds the file's head, and hardly anything else */
#define STANDS_AT ((usec_t)1) /* earlier than every record: then time is that of the latest one */

struct look {
    const char *folder;
    char **hosts;
    int host_count;
    char *bytes;
    size_t size;
    const char *host; /* whose machines are being listed */
    struct arena arena; /* of one beginning */
    struct map alive;   /* instance → the first host where it lives */
    size_t at;
    bool print_all;
    size_t looks;
    size_t lives; /* live machines seen, in all looks */
    size_t twice;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void seen(void *arg, struct str id, const struct machine_status *status)
{
    struct look *look = arg;
    bool lives = status->state > MACHINE_OFF;

    if (look->print_all)
        printf("{\"Machine\":\"%.*s\",\"HostId\":\"%s\",\"Lives\":%s,\"Incarnation\":%lld}\n", STR_ARG(id), look->host,
               lives ? "true" : "false", (long long)status->incarnation);
    if (!lives)
        return;
    look->lives++;
    struct str key = arena_str(&look->arena, id);
    const char *before = map_put(&look->alive, key, (void *)(uintptr_t)look->host); /* kept as it is, never written */

    if (!before)
        return;
    look->twice++;
    printf("{\"Twice\":\"%.*s\",\"HostId\":\"%s\",\"OtherHostId\":\"%s\",\"Offset\":%zu}\n", STR_ARG(id), before, look->host,
           look->at);
}

static int open_as(const char *folder, struct env *env, bool shared, struct hypervisor **ret)
{
    struct sim_settings settings = {
        .env = env, .dir = folder, .shared = shared, .boot_us = USEC_PER_SEC, .shutdown_us = USEC_PER_SEC};

    return sim_open(&settings, NULL, ret);
}

/* A journal that was shared opens as such only, and one that was not, too. */
static struct hypervisor *open_world(const char *folder, struct env *env)
{
    struct hypervisor *hv;
    int r = open_as(folder, env, false, &hv);

    if (r < 0)
        r = open_as(folder, env, true, &hv);
    if (r < 0) {
        fprintf(stderr, "the journal in %s can't be opened: error %d\n", folder, -r);
        exit(1);
    }
    return hv;
}

static void list_all(struct look *look, struct hypervisor *hv)
{
    for (int i = 0; i < look->host_count; i++) {
        struct str id = str_from(look->hosts[i]);
        int r = hv->ops->host_add(hv, id, STR("sim:"), NULL);

        look->host = look->hosts[i];
        if (r == 0)
            r = hv->ops->list(hv, id, seen, look);
        if (r < 0 && r != -E_UNREACHABLE) {
            fprintf(stderr, "host %s: error %d\n", look->host, -r);
            exit(1);
        }
    }
}

static void write_all(const char *path, const char *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        die(path);
    for (ssize_t n = 0; size > 0; bytes += n, size -= (size_t)n) {
        n = write(fd, bytes, size);
        if (n < 0)
            die(path);
    }
    if (close(fd) < 0)
        die(path);
}

/* The world as of the first `at` bytes. */
static void look_at(struct look *look, size_t at, struct env *env)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/sim.journal", look->folder); /* too long a name fails to open */
    write_all(path, look->bytes, at);
    arena_init(&look->arena, (size_t)1 << 24);
    map_init(&look->alive, 1);
    look->at = at;
    look->looks++;
    struct hypervisor *hv = open_world(look->folder, env);

    list_all(look, hv);
    (void)hypervisor_close(hv); /* it is NULL */
    map_done(&look->alive);
    arena_done(&look->arena);
    (void)env_free(env); /* likewise */
}

static void read_all(struct look *look, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        die(path);
    look->bytes = xcalloc(1, (size_t)status.st_size + 1);
    while (look->size < (size_t)status.st_size) {
        ssize_t n = read(fd, look->bytes + look->size, (size_t)status.st_size - look->size);

        if (n <= 0)
            die(path);
        look->size += (size_t)n;
    }
    (void)close(fd); /* only read */
}

static void look_at_all(struct look *look, size_t prefixes)
{
    for (size_t i = 1; i < prefixes; i++) {
        size_t at = look->size / prefixes * i;

        if (at >= FIRST_BYTES)
            look_at(look, at, env_new_virtual(STANDS_AT));
    }
    look->print_all = true;
    look_at(look, look->size, env_new_real());
}

static void check(int r, const char *what)
{
    if (r == 0)
        return;
    fprintf(stderr, "%s: error %d\n", what, -r);
    exit(1);
}

/* One instance lives at a host, and then at another one, too, for a while. */
static int make_two_lives(const char *folder, bool shared)
{
    static const char *hosts[] = {"h-1", "h-2"};
    struct machine_spec spec = {.id = STR("i-1"), .vcpus = 1, .memory_mib = 512, .host_name = STR("i-1")};
    struct env *env = env_new_virtual(USEC_PER_SEC);
    struct hypervisor *hv = NULL;

    check(open_as(folder, env, shared, &hv), folder);
    for (size_t i = 0; i < countof(hosts); i++) {
        check(hv->ops->host_add(hv, str_from(hosts[i]), STR("sim:"), NULL), "host_add");
        check(hv->ops->define(hv, str_from(hosts[i]), &spec, NULL), "define");
    }
    check(hv->ops->start(hv, STR("h-1"), spec.id, 1, NULL), "start");
    env_advance(env, USEC_PER_SEC);
    check(hv->ops->start(hv, STR("h-2"), spec.id, 2, NULL), "start");
    env_advance(env, USEC_PER_SEC);
    check(hv->ops->cut(hv, STR("h-1"), spec.id, 1, MACHINE_CUT_KILL), "cut");
    env_advance(env, USEC_PER_SEC);
    check(hv->ops->press(hv, STR("h-2"), spec.id, 2), "press");
    (void)hypervisor_close(hv); /* it is NULL */
    (void)env_free(env); /* likewise */
    return 0;
}

int main(int argc, char **argv)
{
    struct look look = {0};

    if (argc == 3 && strcmp(argv[1], "--two-lives") == 0)
        return make_two_lives(argv[2], false);
    if (argc == 3 && strcmp(argv[1], "--two-lives-shared") == 0)
        return make_two_lives(argv[2], true);
    if (argc < 5) {
        fprintf(stderr, "usage: node_machines JOURNAL FOLDER PREFIXES HOST...\n       node_machines --two-lives[-shared] FOLDER\n");
        return 2;
    }
    look.folder = argv[2];
    look.hosts = argv + 4;
    look.host_count = argc - 4;
    read_all(&look, argv[1]);
    look_at_all(&look, strtoul(argv[3], NULL, 10));
    printf("{\"Looks\":%zu,\"Lives\":%zu,\"Twice\":%zu,\"Bytes\":%zu}\n", look.looks, look.lives, look.twice, look.size);
    xfree(look.bytes);
    return 0;
}
