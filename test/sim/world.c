/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "actions/tenant.h"
#include "engine/active.h"
#include "hypervisor/fault.h"
#include "hypervisor/sim.h"
#include "kit/disk_fault.h"

#define START_US (1800000000 * USEC_PER_SEC)
#define HOST_VCPUS 12 /* tight: hosts are full now and then */
#define HOST_MEMORY_MIB (48 * 1024)

const struct world_key world_keys[WORLD_ACCOUNTS] = {
    {"LTAI5tSimulationKey001", "SecretOfTheFirstAccount0123456", true},
    {"LTAI5tSimulationKey002", "SecretOfTheSecondAccount012345", true},
    {"LTAI5tSimulationKey003", "SecretOfTheThirdAccount0123456", false},
};
const char *const world_hosts[WORLD_HOSTS] = {"host-1", "host-2", "host-3", "host-4"};
const char *const world_zones[2] = {"cn-hangzhou-h", "cn-hangzhou-i"};

/* ── a fresh folder ── */

static void must(struct world *world, int r, const char *what)
{
    if (r >= 0)
        return;
    (void)fprintf(stderr, "%s: %s %.*s\n", what, error_rows[-r].name, STR_ARG(world->fail.message));
    abort();
}

static void set(struct world *world, const char *name, int64_t value)
{
    char text[I64_TEXT_MAX];
    struct str number = str_print_i64(value, text);

    must(world, option_set_one(&world->options, str_from(name), number, OPTION_COMMAND_LINE, &world->fail), name);
}

static void set_word(struct world *world, const char *name, const char *word)
{
    must(world, option_set_one(&world->options, str_from(name), str_from(word), OPTION_COMMAND_LINE, &world->fail), name);
}

static void set_options(struct world *world)
{
    const struct profile *profile = &world->profile;

    set_word(world, "log.calls", "none");
    set(world, "stop.graceful_timeout_s", profile->graceful_s);
    set(world, "reboot.timeout_s", profile->graceful_s);
    set(world, "start.timeout_s", 2 * profile->graceful_s);
    set_word(world, "stop.force_overtakes", profile->force_overtakes ? "true" : "false");
    set_word(world, "stop.on_timeout", profile->revert ? "revert" : "escalate");
    set(world, "stop.kill_wait_s", 5);
    set(world, "engine.retry_max_s", 5);
    set(world, "engine.job_keep_s", 120);
    set(world, "event.keep_s", 600);
}

static int make_tenant(struct tx *tx, int i, struct fail *fail)
{
    char name[32];
    struct tenant_order order = {
        .stopped_mode = i == 1 ? STOPPED_MODE_STOP_CHARGING : STOPPED_MODE_KEEP_CHARGING,
        .access_key_id = str_from(world_keys[i].id),
        .access_key_secret = str_from(world_keys[i].secret),
    };
    struct account *account;
    struct access_key *key;
    int r;

    (void)snprintf(name, sizeof(name), "account-%d", i + 1);
    order.name = str_from(name);
    r = tenant_create(tx, &order, &account, &key, fail);
    return r < 0 || world_keys[i].enabled ? r : store_key_set_enabled(tx, key->id, false);
}

static int furnish(struct tx *tx, void *arg)
{
    struct world *world = arg;
    int r = 0;

    for (int i = 0; i < WORLD_ACCOUNTS && r >= 0; i++)
        r = make_tenant(tx, i, &world->fail);
    for (int i = 0; i < WORLD_HOSTS && r >= 0; i++) {
        struct host host = {
            .id = str_from(world_hosts[i]),
            .url = STR("sim:"),
            .region_id = STR(WORLD_REGION),
            .zone_id = str_from(world_zones[i / 2]),
            .state = HOST_STATE_UP,
            .vcpus = HOST_VCPUS,
            .memory_mib = HOST_MEMORY_MIB,
            .created_us = tx_now(tx),
        };

        r = store_host_insert(tx, &host);
    }
    return r;
}

static int open_store(struct world *world)
{
    struct store_settings settings = {.cache_mib = 8, .checkpoint_ms = 200, .env = world->env};
    char url[96];

    (void)snprintf(url, sizeof(url), "sqlite:%s/ecsd.db", world->dir);
    return store_open(url, &settings, &world->fail, &world->store);
}

void world_open(struct world *world, uint64_t seed, const struct profile *profile)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    *world = (struct world){.seed = seed, .profile = *profile};
    (void)snprintf(world->dir, sizeof(world->dir), "%s/ecsd-sim-XXXXXX", base);
    if (!mkdtemp(world->dir))
        abort();
    arena_init(&world->arena, 1u << 20);
    arena_init(&world->text, 1u << 20);
    arena_init(&world->work, LIMIT_STEP_ARENA_BYTES);
    fail_init(&world->fail, &world->text);
    option_set_init(&world->options, &world->arena);
    set_options(world);
    world->env = env_new_seeded(seed, START_US);
    must(world, open_store(world), "a fresh store");
    must(world, store_write(world->store, furnish, world), "accounts and hosts");
    world->store = store_close(world->store);
    must(world, world_up(world), "the first start");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void world_remove(const struct world *world)
{
    (void)nftw(world->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS); /* what stays is in memory, and small */
}

void world_close(struct world *world)
{
    if (world->up)
        world_kill(world);
    disk_fault_forget(world->dir);
    world_remove(world);
    world->env = env_free(world->env);
    arena_done(&world->work);
    arena_done(&world->text);
    arena_done(&world->arena);
}

/* ── lives of the daemon ── */

static int open_hosts(struct world *world)
{
    struct sim_settings settings = {
        .env = world->env,
        .dir = world->dir,
        .boot_us = world->profile.boot_ms * USEC_PER_MSEC,
        .shutdown_us = world->profile.shutdown_ms * USEC_PER_MSEC,
        .seed = env_random_u64(world->env),
    };
    char boot_id[32];
    struct hypervisor *inner;
    int r;

    (void)snprintf(boot_id, sizeof(boot_id), "boot-%d", world->machine_boots);
    settings.boot_id = boot_id;
    r = sim_open(&settings, &world->fail, &inner);
    if (r < 0)
        return r;
    world->sim = inner;
    world->hv = fault_new(&inner);
    return 0;
}

static int open_engine(struct world *world)
{
    struct engine_settings engine = {.store = world->store,
                                     .hypervisor = world->hv,
                                     .env = world->env,
                                     .options = &world->options.values,
                                     .node = STR("local")};
    struct gateway_settings gateway = {.store = world->store, .env = world->env, .options = &world->options.values};
    int r = engine_open(&engine, &world->fail, &world->engine);

    if (r < 0)
        return r;
    gateway.engine = world->engine;
    r = gateway_open(&gateway, &world->fail, &world->gateway);
    return r < 0 ? r : engine_recover(world->engine, &world->fail);
}

int world_up(struct world *world)
{
    int r;

    arena_reset(&world->text);
    fail_init(&world->fail, &world->text);
    world->up = true;
    r = open_store(world);
    if (r >= 0)
        r = open_hosts(world);
    if (r >= 0)
        r = open_engine(world);
    if (r < 0)
        world_kill(world);
    return r;
}

/* The database's last connection would move its log into its file: a process that was killed does not. */
static void close_store(struct world *world)
{
    struct disk_fault_plan dead = {.ops = DISK_OP_CHANGE, .nth = 1, .how = DISK_FAILURE_STOP, .count = DISK_FAULT_FOR_EVER};

    disk_fault_arm(&dead);
    world->store = store_close(world->store);
    disk_fault_arm(NULL);
}

static void close_rest(struct world *world)
{
    usec_t now = env_now(world->env);
    uint64_t seed = env_random_u64(world->env);

    world->gateway = gateway_close(world->gateway);
    world->engine = engine_close(world->engine);
    world->hv = hypervisor_close(world->hv);
    world->sim = NULL;
    world->env = env_free(world->env);
    world->env = env_new_seeded(seed, now); /* nothing of the process before is known to the next */
    world->up = false;
}

void world_stop(struct world *world)
{
    engine_stop(world->engine);
    store_stop(world->store);
    world->store = store_close(world->store);
    close_rest(world);
}

void world_kill(struct world *world)
{
    close_store(world);
    close_rest(world);
}

void world_power_failure(struct world *world, uint64_t seed)
{
    world_kill(world);
    disk_fault_power_failure(world->dir, seed);
    world->machine_boots++;
}

/* ── time and work ── */

usec_t world_now(const struct world *world)
{
    return env_now(world->env);
}

void world_pass(struct world *world, usec_t by_us)
{
    env_advance(world->env, by_us);
}

bool world_work(struct world *world, usec_t *ret_next)
{
    *ret_next = engine_tick(world->engine);
    return engine_work_once(world->engine, &world->work);
}
