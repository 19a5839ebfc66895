/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated hypervisor under the laws of every hypervisor: in memory, on disk, behind the fault
 * wrapper, with its thread, and in a folder that somebody else has open, too. */
#include "unit/unit.h"

#include <unistd.h>

#include "conform/hypervisor.c"

#include "base/mem.h"
#include "hypervisor/fault.h"
#include "hypervisor/sim.h"

struct opened {
    struct env *env;
    struct hypervisor *sim; /* borrowed when it is wrapped */
    char dir[64];
    bool on_disk;
    bool wrapped;
    bool threaded;
    bool shared;
    struct hypervisor *other; /* shared: open as long as the folder is there, and looks on */
};

static void open_other(struct opened *o, const struct sim_settings *settings)
{
    assert_int_equal(sim_open(settings, NULL, &o->other), 0);
    if (o->threaded)
        assert_int_equal(sim_start(o->other), 0);
    assert_int_equal(o->other->ops->host_add(o->other, STR("h-1"), STR("sim:"), NULL), 0);
}

static void open_sim(struct conform_hv *c)
{
    struct opened *o = c->impl;
    struct sim_settings settings = {
        .shared = o->shared,
        .env = o->env,
        .dir = o->on_disk ? o->dir : NULL,
        .boot_us = 200 * USEC_PER_MSEC,
        .shutdown_us = 100 * USEC_PER_MSEC,
    };

    if (o->threaded) {
        settings.boot_us = 20 * USEC_PER_MSEC;
        settings.shutdown_us = 5 * USEC_PER_MSEC;
    }
    if (o->shared && !o->other)
        open_other(o, &settings);
    assert_int_equal(sim_open(&settings, NULL, &o->sim), 0);
    c->hv = o->sim;
    if (o->threaded)
        assert_int_equal(sim_start(o->sim), 0);
    if (o->wrapped) {
        struct hypervisor *inner = o->sim;

        c->hv = fault_new(&inner);
    }
    assert_int_equal(c->hv->ops->host_add(c->hv, STR("h-1"), STR("sim:"), NULL), 0);
}

static struct opened *opened_new(struct conform_hv *c)
{
    struct opened *o = xcalloc(1, sizeof(*o));

    c->impl = o;
    o->env = env_new_seeded(1, 1000 * USEC_PER_SEC);
    return o;
}

static void make_dir(struct opened *o)
{
    o->on_disk = true;
    (void)snprintf(o->dir, sizeof(o->dir), "/tmp/ecsd-conform-XXXXXX");
    assert_non_null(mkdtemp(o->dir));
}

static void open_memory(struct conform_hv *c)
{
    (void)opened_new(c);
    open_sim(c);
}

static void open_disk(struct conform_hv *c)
{
    struct opened *o = opened_new(c);

    make_dir(o);
    open_sim(c);
}

static void open_wrapped(struct conform_hv *c)
{
    struct opened *o = opened_new(c);

    o->wrapped = true;
    make_dir(o);
    open_sim(c);
}

static void open_threaded(struct conform_hv *c)
{
    struct opened *o = opened_new(c);

    env_free(o->env);
    o->env = env_new_real();
    o->threaded = true;
    make_dir(o);
    open_sim(c);
}

static void open_shared(struct conform_hv *c)
{
    struct opened *o = opened_new(c);

    o->shared = true;
    make_dir(o);
    open_sim(c);
}

static void open_shared_threaded(struct conform_hv *c)
{
    struct opened *o = opened_new(c);

    env_free(o->env);
    o->env = env_new_real();
    o->threaded = true;
    o->shared = true;
    make_dir(o);
    open_sim(c);
}

static void close_sim(struct conform_hv *c)
{
    struct opened *o = c->impl;

    c->hv = hypervisor_close(c->hv);
    o->other = hypervisor_close(o->other);
    if (o->on_disk) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/sim.journal", o->dir);
        (void)unlink(path);
        (void)snprintf(path, sizeof(path), "%s/sim.lock", o->dir);
        (void)unlink(path);
        (void)rmdir(o->dir);
    }
    env_free(o->env);
    xfree(o);
}

static void reopen_sim(struct conform_hv *c)
{
    c->hv = hypervisor_close(c->hv);
    open_sim(c);
}

static void pass_time(struct conform_hv *c, usec_t us)
{
    struct opened *o = c->impl;

    env_advance(o->env, us);
    if (o->other)
        (void)sim_advance(o->other);
    (void)sim_advance(o->sim);
}

static void pass_real_time(struct conform_hv *c, usec_t us)
{
    (void)c;
    (void)usleep((unsigned)us); /* the thread of the hypervisor works meanwhile */
}

int main(void)
{
    static const struct conform_hv_kind kinds[] = {
        {"sim_in_memory", open_memory, close_sim, NULL, pass_time, USEC_PER_SEC},
        {"sim_on_disk", open_disk, close_sim, reopen_sim, pass_time, USEC_PER_SEC},
        {"sim_behind_fault", open_wrapped, close_sim, reopen_sim, pass_time, USEC_PER_SEC},
        {"sim_with_thread", open_threaded, close_sim, reopen_sim, pass_real_time,
         200 * USEC_PER_MSEC},
        {"sim_shared", open_shared, close_sim, reopen_sim, pass_time, USEC_PER_SEC},
        {"sim_shared_with_threads", open_shared_threaded, close_sim, reopen_sim, pass_real_time,
         200 * USEC_PER_MSEC},
    };
    int failed = 0;

    for (size_t i = 0; i < countof(kinds); i++)
        failed += conform_hypervisor(&kinds[i]);
    return failed != 0;
}
