/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated world under a clock of ours, for the tests of the simulated hypervisor. Included
 * after unit/unit.h. */
#pragma once

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "hypervisor/sim.h"

#define HOST STR("h-1")
#define VM STR("i-1")
#define ROOT STR("d-1")
#define LOCAL STR("i-1-local-0")
#define MS USEC_PER_MSEC
#define BOOT_MS 200
#define SHUTDOWN_MS 100

struct world {
    struct env *env;
    struct hypervisor *hv;
    char dir[64]; /* empty: in memory */
    const char *boot_id;
    bool shared;
};

static const struct machine_disk world_disks[] = {
    {.id = STR_INIT("d-1"),
     .device = STR_INIT("/dev/xvda"),
     .size_gib = 40,
     .image_id = STR_INIT("m-1")},
    {.id = STR_INIT("i-1-local-0"), .device = STR_INIT("/dev/vdb"), .size_gib = 100, .local = true},
};

static inline int world_try_open(struct world *w)
{
    struct sim_settings settings = {
        .env = w->env,
        .dir = w->dir[0] ? w->dir : NULL,
        .boot_us = BOOT_MS * MS,
        .shutdown_us = SHUTDOWN_MS * MS,
        .seed = 7,
        .boot_id = w->boot_id,
        .shared = w->shared,
    };

    return sim_open(&settings, NULL, &w->hv);
}

static inline void world_open(struct world *w)
{
    assert_int_equal(world_try_open(w), 0);
    assert_int_equal(w->hv->ops->host_add(w->hv, HOST, STR("sim:"), NULL), 0);
}

static inline void world_make_dir(struct world *w)
{
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/ecsd-sim-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
}

static inline void world_path(const struct world *w, char path[128])
{
    (void)snprintf(path, 128, "%s/sim.journal", w->dir);
}

static inline int world_setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    w->env = env_new_seeded(42, 1000 * USEC_PER_SEC);
    world_open(w);
    *state = w;
    return 0;
}

static inline int world_setup_on_disk(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    w->env = env_new_seeded(42, 1000 * USEC_PER_SEC);
    world_make_dir(w);
    world_open(w);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;
    char path[128];

    w->hv = hypervisor_close(w->hv);
    if (w->dir[0]) {
        world_path(w, path);
        (void)unlink(path);
        (void)rmdir(w->dir);
    }
    env_free(w->env);
    xfree(w);
    return 0;
}

static inline void world_reopen(struct world *w)
{
    w->hv = hypervisor_close(w->hv);
    world_open(w);
}

static inline void world_pass(struct world *w, int64_t ms)
{
    env_advance(w->env, ms * MS);
    (void)sim_advance(w->hv);
}

static inline void world_define(struct world *w, struct str id)
{
    struct machine_spec spec = {
        .id = id, .vcpus = 2, .memory_mib = 4096, .disks = world_disks, .disk_count = 2};

    assert_int_equal(w->hv->ops->define(w->hv, HOST, &spec, NULL), 0);
}

static inline void world_start(struct world *w, struct str id, int64_t incarnation)
{
    assert_int_equal(w->hv->ops->start(w->hv, HOST, id, incarnation, NULL), 0);
}

/* Defined, started, up. */
static inline void world_run(struct world *w, struct str id, int64_t incarnation)
{
    world_define(w, id);
    world_start(w, id, incarnation);
    world_pass(w, BOOT_MS);
}

static inline struct machine_status world_probe(struct world *w, struct str id)
{
    struct machine_status status = {0};

    assert_int_equal(w->hv->ops->probe(w->hv, HOST, id, &status), 0);
    return status;
}

static inline int world_sim(struct world *w, struct str id, const char *name, const char *value)
{
    return w->hv->ops->simulate(w->hv, HOST, id, str_from(name), str_from(value), NULL);
}

static inline void world_set(struct world *w, struct str id, const char *name, const char *value)
{
    assert_int_equal(world_sim(w, id, name, value), 0);
}

static inline struct sim_disk world_disk(struct world *w, struct str disk)
{
    struct sim_disk data = {0};

    assert_int_equal(sim_disk_state(w->hv, HOST, VM, disk, &data), 0);
    return data;
}

#define assert_state(w, id, expected) assert_int_equal(world_probe((w), (id)).state, (expected))
