/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole data centre in one thread: a real store in a temporary folder, simulated hosts whose journal is in it too, the
 * engine, a seeded clock. Time passes only where a test lets it.
 */
#pragma once

#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/option.h"
#include "engine/engine.h"
#include "hypervisor/fault.h"
#include "hypervisor/sim.h"

#include "unit/unit.h"

#ifndef WORLD_STORE_OPEN
#define WORLD_STORE_OPEN store_open
#endif
#ifndef WORLD_FOLDER
#define WORLD_FOLDER "/tmp"
#endif
#define HELPER static __attribute__((unused))
#define ACCOUNT STR("1000000000000001")
#define SECONDS(n) ((n) * USEC_PER_SEC)

struct world {
    char dir[64];
    struct arena arena;
    struct option_set options;
    struct env *env;
    struct store *store;
    struct hypervisor *sim;
    struct hypervisor *hv; /* around sim: fails the calls that a test wants to fail */
    struct engine *engine;
    struct fail fail;
};

HELPER void world_set(struct world *world, const char *name, const char *value)
{
    int r = option_set_one(&world->options, str_from(name), str_from(value), OPTION_COMMAND_LINE, &world->fail);

    if (r < 0)
        fail_msg("%s=%s: %.*s", name, value, STR_ARG(world->fail.message));
}

/* As after exec: everything that is not on the disk is new. */
HELPER int world_try_up(struct world *world)
{
    struct store_settings store = {.cache_mib = 2, .checkpoint_ms = 200, .env = world->env};
    struct sim_settings sim = {
        .env = world->env,
        .dir = world->dir,
        .boot_us = SECONDS(2),
        .shutdown_us = SECONDS(3),
        .seed = 7,
        .boot_id = "one",
    };
    struct engine_settings engine = {.env = world->env, .options = &world->options.values, .node = STR("local")};
    struct hypervisor *inner;
    char url[96];
    int r;

    (void)snprintf(url, sizeof(url), "sqlite:%s/ecsd.db", world->dir);
    r = WORLD_STORE_OPEN(url, &store, &world->fail, &world->store);
    if (r < 0)
        return r;
    r = sim_open(&sim, &world->fail, &inner);
    if (r < 0)
        return r;
    world->sim = inner;
    world->hv = fault_new(&inner);
    engine.store = world->store;
    engine.hypervisor = world->hv;
    r = engine_open(&engine, &world->fail, &world->engine);
    return r < 0 ? r : engine_recover(world->engine, &world->fail);
}

HELPER void world_up(struct world *world)
{
    int r = world_try_up(world);

    if (r < 0)
        fail_msg("the world does not come up: %.*s", STR_ARG(world->fail.message));
}

/* As kill -9: nothing is told to stop. */
HELPER void world_kill(struct world *world)
{
    world->store = store_close(world->store);
    world->engine = engine_close(world->engine);
    world->hv = hypervisor_close(world->hv);
}

static int add_host(struct tx *tx, void *arg)
{
    struct str *id = arg;
    struct host host = {
        .id = *id,
        .url = STR("sim:"),
        .region_id = STR("cn-hangzhou"),
        .zone_id = STR("cn-hangzhou-h"),
        .state = HOST_STATE_UP,
        .vcpus = 8000,
        .memory_mib = 64 * 1024 * 1000,
        .created_us = tx_now(tx),
    };

    return store_host_insert(tx, &host);
}

/* An empty folder and a clock; nothing is up. */
HELPER struct world *world_new(uint64_t seed, usec_t now)
{
    struct world *world = xcalloc(1, sizeof(*world));

    arena_init(&world->arena, 256u << 20);
    fail_init(&world->fail, &world->arena);
    option_set_init(&world->options, &world->arena);
    (void)snprintf(world->dir, sizeof(world->dir), WORLD_FOLDER "/engine-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    world->env = env_new_seeded(seed, now);
    return world;
}

HELPER struct world *world_open(void)
{
    struct world *world = world_new(42, SECONDS(1800000000));
    struct str host = STR("host-1");
    struct store_settings store = {.cache_mib = 2, .checkpoint_ms = 200, .env = world->env};
    char url[96];

    (void)snprintf(url, sizeof(url), "sqlite:%s/ecsd.db", world->dir);
    assert_int_equal(store_open(url, &store, &world->fail, &world->store), 0);
    assert_int_equal(store_write(world->store, add_host, &host), 0);
    world->store = store_close(world->store);
    world_up(world);
    return world;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

HELPER void world_close(struct world *world)
{
    world_kill(world);
    (void)nftw(world->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    world->env = env_free(world->env);
    arena_done(&world->arena);
    (void)xfree(world);
}

/* Everything that is due now happens. Returns when the next thing is due. */
HELPER usec_t world_settle(struct world *world)
{
    usec_t next;
    usec_t sim;
    size_t writes;

    do {
        sim = sim_advance(world->sim);
        next = engine_run_due(world->engine);
        writes = store_run_once(world->store);
    } while (writes > 0);
    sim = MIN_OF(sim, sim_advance(world->sim));
    return MIN_OF(next, sim);
}

/* Lets `by_us` pass, each thing at its time. */
HELPER void world_pass(struct world *world, usec_t by_us)
{
    usec_t end = env_now(world->env) + by_us;

    for (;;) {
        usec_t next = world_settle(world);
        usec_t now = env_now(world->env);

        if (now >= end)
            return;
        next = MIN_OF(MAX_OF(next, now + 1), end);
        env_advance(world->env, next - now);
    }
}

/* Of a world that is down: store_close leaves one whole file behind. */
HELPER void world_copy_file(const struct world *world, const char *from, const char *to)
{
    char source[96];
    char target[96];
    char bytes[4096];
    size_t got;
    FILE *in;
    FILE *out;

    (void)snprintf(source, sizeof(source), "%s/%s", world->dir, from);
    (void)snprintf(target, sizeof(target), "%s/%s", world->dir, to);
    in = fopen(source, "re");
    assert_non_null(in);
    out = fopen(target, "we");
    assert_non_null(out);
    while ((got = fread(bytes, 1, sizeof(bytes), in)) > 0)
        assert_int_equal(fwrite(bytes, 1, got, out), got);
    (void)fclose(in);
    assert_int_equal(fclose(out), 0);
}

HELPER struct instance *world_instance(struct world *world, struct str id)
{
    struct tx *tx = store_read_begin(world->store);
    struct instance *inst = NULL;
    struct instance *copy = NULL;

    if (store_instance_get(tx, id, &inst) == 0) {
        copy = arena_new(&world->arena, struct instance);
        *copy = *inst;
        copy->id = arena_str(&world->arena, inst->id);
        copy->account_id = arena_str(&world->arena, inst->account_id);
        copy->host_id = arena_str(&world->arena, inst->host_id);
        copy->public_ip = arena_str(&world->arena, inst->public_ip);
        copy->private_ip = arena_str(&world->arena, inst->private_ip);
        copy->type_id = arena_str(&world->arena, inst->type_id);
        copy->region_id = arena_str(&world->arena, inst->region_id);
        copy->zone_id = arena_str(&world->arena, inst->zone_id);
    }
    store_read_end(tx);
    return copy;
}

HELPER int world_state(struct world *world, struct str id)
{
    struct instance *inst = world_instance(world, id);

    return inst ? inst->state : -1;
}

/* Lets time pass until the instance is in `state` (-1: gone); the time at the latest is `limit_us` from now. */
HELPER void world_await(struct world *world, struct str id, int state, usec_t limit_us)
{
    usec_t end = env_now(world->env) + limit_us;

    for (;;) {
        usec_t next = world_settle(world);
        usec_t now = env_now(world->env);

        if (world_state(world, id) == state)
            return;
        if (now >= end)
            fail_msg("%.*s is %d, not %d, after %lld s", STR_ARG(id), world_state(world, id), state,
                     (long long)(limit_us / USEC_PER_SEC));
        next = MIN_OF(MAX_OF(next, now + 1), end);
        env_advance(world->env, next - now);
    }
}

/* ── orders ── */

enum order_kind { ORDER_CREATE, ORDER_START, ORDER_STOP, ORDER_REBOOT, ORDER_DELETE, ORDER_RELEASE_AT, ORDER_REDEPLOY };

struct ordered {
    struct world *world;
    enum order_kind kind;
    struct str id;
    /* create */
    const char *type;
    int charge_type;
    bool start;
    bool public_ip;
    /* stop and others */
    struct stop_order stop;
    bool disk_busy;
    usec_t at_us;
    struct fail fail;
};

static int order_create(struct tx *tx, struct ordered *ordered, const struct order *order)
{
    struct instance inst = {
        .id = ordered->id,
        .account_id = ACCOUNT,
        .region_id = STR("cn-hangzhou"),
        .zone_id = STR("cn-hangzhou-h"),
        .type_id = str_from(ordered->type),
        .charge_type = ordered->charge_type,
        .vpc_id = STR("vpc-1"),
        .vswitch_id = STR("vsw-1"),
        .private_ip = arena_printf(tx_arena(tx), "10.%.*s", STR_ARG(ordered->id)),
        .wants_public_ip = ordered->public_ip,
        .created_us = tx_now(tx),
    };
    struct disk disk = {
        .id = arena_printf(tx_arena(tx), "d-sys-%.*s", STR_ARG(inst.id)),
        .account_id = ACCOUNT,
        .region_id = inst.region_id,
        .zone_id = inst.zone_id,
        .instance_id = inst.id,
        .type = DISK_TYPE_SYSTEM,
        .category = DISK_CATEGORY_CLOUD_ESSD,
        .status = DISK_STATUS_IN_USE,
        .size_gib = 40,
        .device = STR("/dev/xvda"),
        .delete_with_instance = true,
    };
    int r;

    r = store_address_take(tx, inst.vswitch_id, inst.private_ip, inst.id);
    if (r >= 0)
        r = store_disk_insert(tx, &disk);
    disk.id = arena_printf(tx_arena(tx), "d-data-%.*s", STR_ARG(inst.id));
    disk.type = DISK_TYPE_DATA;
    disk.device = STR("/dev/xvdb");
    disk.delete_with_instance = false;
    if (r >= 0)
        r = store_disk_insert(tx, &disk);
    if (r >= 0)
        r = engine_order_create(ordered->world->engine, tx, &inst, ordered->start, order, &ordered->fail);
    return r;
}

static int order_existing(struct tx *tx, struct ordered *ordered, const struct order *order)
{
    const struct options *options = &ordered->world->options.values;
    struct stop_rules rules = {
        .confirm_ignored = options->compat_confirm_stop == COMPAT_CONFIRM_STOP_IGNORE,
        .force_overtakes = options->stop_force_overtakes,
        .local_disk_clear = options->compat_local_disk_clear,
    };
    struct engine *engine = ordered->world->engine;
    struct instance *inst;
    int r;

    r = store_instance_get_hot(tx, ordered->id, &inst);
    if (r < 0)
        return r;
    switch (ordered->kind) {
    case ORDER_STOP:
        r = instance_stop_check(inst, &ordered->stop, &rules, ordered->disk_busy, &ordered->fail);
        return r < 0 ? r : engine_order_stop(engine, tx, inst, &ordered->stop, order, &ordered->fail);
    case ORDER_START:
        r = instance_start_check(inst, ordered->disk_busy, &ordered->fail);
        return r < 0 ? r : engine_order_start(engine, tx, inst, order, &ordered->fail);
    case ORDER_REBOOT:
        r = instance_reboot_check(inst, false, &ordered->fail);
        return r < 0 ? r : engine_order_reboot(engine, tx, inst, ordered->stop.force, order, &ordered->fail);
    case ORDER_DELETE:
        r = instance_delete_check(inst, true, false, tx_now(tx), &ordered->fail);
        return r < 0 ? r : engine_order_delete(engine, tx, inst, ordered->stop.force, order, &ordered->fail);
    case ORDER_REDEPLOY:
        r = instance_redeploy_check(inst, ordered->disk_busy, &ordered->fail);
        return r < 0 ? r : engine_order_redeploy(engine, tx, inst, ordered->stop.force, order, &ordered->fail);
    case ORDER_RELEASE_AT:
        inst->release_us = ordered->at_us;
        engine_release_changed(engine, tx);
        return store_instance_save(tx, inst);
    case ORDER_CREATE:
        break;
    }
    return -E_INVALID;
}

static int order_run(struct tx *tx, void *arg)
{
    struct ordered *ordered = arg;
    struct order order = {STR("request-1"), STR("key-1"), STOP_REASON_API};

    fail_init(&ordered->fail, tx_arena(tx));
    return ordered->kind == ORDER_CREATE ? order_create(tx, ordered, &order) : order_existing(tx, ordered, &order);
}

HELPER int world_order(struct world *world, struct ordered ordered)
{
    ordered.world = world;
    return store_write(world->store, order_run, &ordered);
}

/* A running instance, with a cloud disk that stays and one that goes with it. */
HELPER struct str world_launch(struct world *world, const char *type)
{
    struct str id = env_id(world->env, &world->arena, "i-");
    int r = world_order(world, (struct ordered){.kind = ORDER_CREATE, .id = id, .type = type, .start = true, .public_ip = true});

    assert_int_equal(r, 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(30));
    return id;
}

HELPER int world_stop(struct world *world, struct str id, struct stop_order stop)
{
    return world_order(world, (struct ordered){.kind = ORDER_STOP, .id = id, .stop = stop});
}

HELPER void world_guest(struct world *world, struct str id, const char *name, const char *value)
{
    int r = world->hv->ops->simulate(world->hv, STR("host-1"), id, str_from(name), str_from(value), &world->fail);

    if (r < 0)
        fail_msg("simulate %s %s: %.*s", name, value, STR_ARG(world->fail.message));
}

HELPER void world_host(struct world *world, const char *name, const char *value)
{
    world_guest(world, STR_NONE, name, value);
}

HELPER enum machine_state world_machine(struct world *world, struct str id)
{
    struct machine_status status;

    assert_int_equal(world->hv->ops->probe(world->hv, STR("host-1"), id, &status), 0);
    return status.state;
}

/* Law 7: one after the other without a hole; closed ones but the last, unless the instance is gone. */
HELPER void world_check_segments(struct world *world, struct str id, int last_mode)
{
    struct tx *tx = store_read_begin(world->store);
    struct segment *segments;
    size_t count;

    assert_int_equal(store_segment_list(tx, id, &segments, &count), 0);
    assert_true(count > 0);
    for (size_t i = 0; i + 1 < count; i++)
        assert_int_equal(segments[i].end_us, segments[i + 1].start_us);
    if (last_mode >= 0) {
        assert_int_equal(segments[count - 1].mode, last_mode);
        assert_int_equal(segments[count - 1].end_us, 0);
    } else {
        assert_true(segments[count - 1].end_us != 0);
    }
    store_read_end(tx);
}

/* How many events of the kind whose reason begins with `reason` the instance has. */
HELPER size_t world_events(struct world *world, struct str id, enum event_kind kind, const char *reason)
{
    struct tx *tx = store_read_begin(world->store);
    struct event *events;
    size_t count;
    size_t found = 0;

    assert_int_equal(store_event_list(tx, 0, id, 1000, &events, &count), 0);
    for (size_t i = 0; i < count; i++)
        found += events[i].kind == (int)kind && str_starts(events[i].reason, str_from(reason));
    store_read_end(tx);
    return found;
}

HELPER size_t world_system_events(struct world *world, struct str id, const char *type)
{
    struct tx *tx = store_read_begin(world->store);
    struct system_event_filter filter = {.account_id = ACCOUNT, .instance_id = id};
    struct page page = {.limit = 100};
    struct system_event_list list;
    size_t found = 0;

    assert_int_equal(store_system_event_find(tx, &filter, &page, &list), 0);
    for (size_t i = 0; i < list.count; i++)
        found += str_eq(list.items[i].type, str_from(type));
    store_read_end(tx);
    return found;
}

HELPER size_t world_jobs(struct world *world, int state)
{
    struct tx *tx = store_read_begin(world->store);
    struct job_list jobs;

    assert_int_equal(store_job_find(tx, state, 0, 10000, &jobs), 0);
    store_read_end(tx);
    return jobs.count;
}

HELPER struct host world_host_row(struct world *world, struct str id)
{
    struct tx *tx = store_read_begin(world->store);
    struct host *host;
    struct host copy;

    assert_int_equal(store_host_get(tx, id, &host), 0);
    copy = *host;
    store_read_end(tx);
    return copy;
}
