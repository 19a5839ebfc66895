/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "actions/tenant.h"
#include "engine/lease.h"
#include "hypervisor/fault.h"
#include "hypervisor/sim.h"
#include "kit/disk_fault.h"
#include "sim/mind.h"

#define START_US (1800000000 * USEC_PER_SEC)
#define HOST_VCPUS 12 /* tight: hosts are full now and then */
#define HOST_MEMORY_MIB (48 * 1024)

const struct world_key world_keys[WORLD_ACCOUNTS] = {
    {"LTAI5tSimulationKey001", "SecretOfTheFirstAccount0123456", true},
    {"LTAI5tSimulationKey002", "SecretOfTheSecondAccount012345", true},
    {"LTAI5tSimulationKey003", "SecretOfTheThirdAccount0123456", false},
};
const char *const world_hosts[WORLD_HOSTS] = {"host-1", "host-2", "host-3", "host-4"};
static const char *const node_names[WORLD_NODES] = {"node-1", "node-2", "node-3"};
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
    if (profile->nodes > 1)
        set(world, "engine.lease_s", profile->lease_s);
}

static int make_set(struct tx *tx, int i, const struct account *account)
{
    struct deployment_set set = {
        .id = arena_printf(tx_arena(tx), WORLD_SET, i + 1),
        .account_id = account->id,
        .region_id = STR(WORLD_REGION),
        .strategy = DEPLOYMENT_STRATEGY_AVAILABILITY,
        .on_failure = DEPLOYMENT_FAILURE_CANCEL_MEMBERSHIP_AND_START,
        .created_us = tx_now(tx),
    };

    return store_deployment_set_insert(tx, &set);
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
    if (r < 0)
        return r;
    r = make_set(tx, i, account);
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

    world->seed = seed;
    world->profile = *profile;
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

bool world_is_shared(const struct world *world)
{
    return world->profile.nodes > 1;
}

bool world_node_runs(const struct world *world, int node)
{
    return world->nodes[node].engine && !world->nodes[node].door.asleep;
}

/* Those that are paused or gone hear nothing of it. */
static void tell_nodes(void *arg, const struct machine_event *event)
{
    struct world *world = arg;

    world->changes++;
    for (int i = 0; i < world->profile.nodes; i++) {
        struct door *before;

        if (!world_node_runs(world, i))
            continue;
        before = door_enter(&world->nodes[i].door);
        spy_event(world->nodes[i].spy, event);
        (void)door_enter(before);
    }
}

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
    if (world_is_shared(world))
        world->hv->ops->watch(world->hv, tell_nodes, world);
    return 0;
}

static int open_engine(struct world *world, int at)
{
    struct world_node *node = &world->nodes[at];
    bool shared = world_is_shared(world);
    struct engine_settings engine = {.store = world->store,
                                     .hypervisor = shared ? node->spy : world->hv,
                                     .env = world->env,
                                     .options = &world->options.values,
                                     .node = shared ? str_from(node_names[at]) : STR("local"),
                                     .shared = shared};
    struct gateway_settings gateway = {.store = world->store, .env = world->env, .options = &world->options.values};
    int r = engine_open(&engine, &world->fail, &node->engine);

    if (r < 0)
        return r;
    gateway.engine = node->engine;
    r = gateway_open(&gateway, &world->fail, &node->gateway);
    return r < 0 ? r : engine_recover(node->engine, &world->fail);
}

int world_node_up(struct world *world, int at)
{
    struct world_node *node = &world->nodes[at];
    struct door *before;
    int r;

    if (!world_is_shared(world))
        return open_engine(world, at);
    door_init(&node->door, world->untold, world->watcher_arg);
    node->spy = spy_new(world->hv, at, world->begun, world->watcher, world->watcher_arg);
    before = door_enter(&node->door);
    r = open_engine(world, at);
    (void)door_enter(before);
    if (r < 0)
        world_node_kill(world, at);
    return r;
}

void world_node_kill(struct world *world, int at)
{
    struct world_node *node = &world->nodes[at];

    if (node->spy)
        door_break(&node->door);
    node->gateway = gateway_close(node->gateway);
    node->engine = engine_close(node->engine);
    node->spy = hypervisor_close(node->spy);
}

void world_node_leave(struct world *world, int at)
{
    struct world_node *node = &world->nodes[at];
    struct door *before = door_enter(&node->door);
    bool ended = engine_stop(node->engine, 0); /* it has no threads */

    assert(ended);
    lease_give_up(node->engine);
    (void)door_enter(before);
    world_node_kill(world, at);
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
    for (int i = 0; r >= 0 && i < world->profile.nodes; i++)
        r = world_node_up(world, i);
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

    for (int i = 0; i < world->profile.nodes; i++)
        world_node_kill(world, i);
    door_forget();
    world->hv = hypervisor_close(world->hv);
    world->sim = NULL;
    world->env = env_free(world->env);
    world->env = env_new_seeded(seed, now); /* nothing of the process before is known to the next */
    world->up = false;
}

void world_stop(struct world *world)
{
    for (int i = 0; i < world->profile.nodes; i++) {
        bool ended = !world->nodes[i].engine || engine_stop(world->nodes[i].engine, 0); /* it has no threads */

        assert(ended);
    }
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

void world_handle(struct world *world, int node, const struct call *call, gateway_suspend_fn suspend, gateway_done_fn done, void *arg)
{
    struct door *before = door_enter(world_is_shared(world) ? &world->nodes[node].door : NULL);

    door_sender(arg);
    gateway_handle(world->nodes[node].gateway, call, suspend, done, arg);
    door_sender(NULL);
    (void)door_enter(before);
}

static bool work_alone(struct world *world, usec_t *ret_next)
{
    *ret_next = engine_tick(world->nodes[0].engine);
    return engine_work_once(world->nodes[0].engine, &world->work);
}

bool world_node_work(struct world *world, int at, usec_t *ret_next)
{
    struct world_node *node = &world->nodes[at];
    struct door *before = door_enter(&node->door);
    usec_t answer = door_tick(&node->door, world_now(world));
    usec_t look = mind_next_look(node->engine);
    bool any;

    *ret_next = MIN_OF(answer, engine_tick(node->engine));
    any = engine_work_once(node->engine, &world->work);
    world->looks += mind_next_look(node->engine) != look;
    (void)door_enter(before);
    return any;
}

bool world_work(struct world *world, usec_t *ret_next)
{
    int count = world->profile.nodes;
    int first = world->turn;
    bool any = false;

    if (!world_is_shared(world))
        return work_alone(world, ret_next);
    *ret_next = USEC_NEVER;
    for (int i = 0; i < count && !any; i++) {
        int at = (first + i) % count;
        usec_t next = USEC_NEVER;

        if (!world_node_runs(world, at))
            continue;
        any = world_node_work(world, at, &next);
        *ret_next = MIN_OF(*ret_next, next);
        world->turn = (at + 1) % count;
    }
    return any;
}
