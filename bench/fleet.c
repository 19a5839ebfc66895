/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fleet: a store and simulated hosts of one size, and what the engine's regular work costs there. One thread on a seeded clock: the
 * engine's own functions are called, and their CPU time is read, so that neither disks nor other programs are in the figures.
 *
 *   fleet fill DIR HOSTS INSTANCES RUNNING STOPPING     INSTANCES of each host; those that neither run nor are about to stop
 *                                                       are stopped and kept there
 *   fleet measure DIR                          prints one JSON object: microseconds of CPU, MiB resident
 *
 * Instances have no disks, addresses or segments: none of what is measured reads them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/option.h"
#include "engine/lease.h"
#include "hypervisor/sim.h"

#define NOW ((usec_t)1795403920 * USEC_PER_SEC)
#define ACCOUNT STR("1000000000000001")
#define REGION STR("cn-hangzhou")
#define TYPE "ecs.t5-lc1m1.small" /* 1 vCPU, 1 GiB */
#define LARGE "ecs.g6.large"      /* 2 vCPUs, 8 GiB */
#define BATCH 2000
#define PLACEMENTS 100
#define LARGE_PLACEMENTS 10
#define ROUNDS 3

static const char *const zones[] = {"cn-hangzhou-h", "cn-hangzhou-i", "cn-hangzhou-j", "cn-hangzhou-k"};

struct fleet {
    const char *dir;
    struct arena arena;
    struct fail fail;
    struct option_set options;
    struct env *env;
    struct store *store;
    struct hypervisor *sim;
    struct engine *engine;
    int64_t host_count;
    int64_t each;    /* instances of a host */
    int64_t running; /* of these */
    int64_t stopping;
    int64_t made;
    struct str zone_id; /* of what is placed; absent: any */
    const char *type;
    double cpu_us; /* of the writes, where only their inside counts */
    struct instance placed[PLACEMENTS];
};

static void die(const struct fleet *fleet, const char *what)
{
    (void)fprintf(stderr, "fleet: %s: %.*s\n", what, STR_ARG(fleet->fail.message));
    exit(1);
}

static double cpu_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* it exists on Linux */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double resident_mib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        exit(1);
    (void)fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* ── the world ── */

static void begin(struct fleet *fleet, const char *dir)
{
    log_threshold = LOG_WARNING;
    fleet->dir = dir;
    arena_init(&fleet->arena, (size_t)1 << 30);
    fail_init(&fleet->fail, &fleet->arena);
    option_set_init(&fleet->options, &fleet->arena);
    fleet->env = env_new_seeded(1, NOW);
}

static void open_store(struct fleet *fleet)
{
    struct store_settings settings = {.cache_mib = 64, .checkpoint_ms = 200, .env = fleet->env};

    if (store_open(arena_printf(&fleet->arena, "sqlite:%s/ecsd.db", fleet->dir).ptr, &settings, &fleet->fail, &fleet->store) < 0)
        die(fleet, "no store");
}

static void open_sim(struct fleet *fleet)
{
    struct sim_settings settings = {
        .env = fleet->env, .dir = fleet->dir, .shutdown_us = USEC_PER_HOUR, .seed = 1};

    if (sim_open(&settings, &fleet->fail, &fleet->sim) < 0)
        die(fleet, "no simulated hosts");
}

static void open_engine(struct fleet *fleet, const char *node, bool shared)
{
    struct engine_settings settings = {.options = &fleet->options.values,
                                       .env = fleet->env,
                                       .store = fleet->store,
                                       .hypervisor = fleet->sim,
                                       .node = str_from(node),
                                       .shared = shared};

    if (engine_open(&settings, &fleet->fail, &fleet->engine) < 0 || engine_recover(fleet->engine, &fleet->fail) < 0)
        die(fleet, "no engine");
}

static void end(struct fleet *fleet)
{
    fleet->engine = engine_close(fleet->engine);
    fleet->sim = hypervisor_close(fleet->sim);
    fleet->store = store_close(fleet->store);
    fleet->env = env_free(fleet->env);
    arena_done(&fleet->arena);
}

/* ── filling ── */

static struct str host_id(struct arena *arena, int64_t n)
{
    return arena_printf(arena, "host-%05lld", (long long)n);
}

static struct str zone_of(int64_t host)
{
    return str_from(zones[(size_t)host % countof(zones)]);
}

/* Their sizes differ, so that the choice between them is one. */
static int put_hosts(struct tx *tx, void *arg)
{
    const struct fleet *fleet = arg;
    int r = 0;

    for (int64_t n = 0; r == 0 && n < fleet->host_count; n++) {
        struct host host = {
            .id = host_id(tx_arena(tx), n),
            .url = STR("sim:"),
            .region_id = REGION,
            .zone_id = zone_of(n),
            .state = HOST_STATE_UP,
            .vcpus = fleet->each + 64,
            .memory_mib = (fleet->each + 128 + n % 61) * 1024,
            .used_vcpus = fleet->each,
            .used_memory_mib = fleet->each * 1024,
            .created_us = tx_now(tx),
        };

        r = store_host_insert(tx, &host);
    }
    return r;
}

static int state_of(const struct fleet *fleet, int64_t n)
{
    if (n % fleet->each < fleet->running)
        return INSTANCE_STATE_RUNNING;
    return n % fleet->each < fleet->running + fleet->stopping ? INSTANCE_STATE_STOPPING : INSTANCE_STATE_STOPPED;
}

static bool is_alive(const struct fleet *fleet, int64_t n)
{
    return state_of(fleet, n) != INSTANCE_STATE_STOPPED;
}

static struct str instance_id(struct arena *arena, int64_t n)
{
    return arena_printf(arena, "i-bench%014lld", (long long)n);
}

static void fill_row(const struct fleet *fleet, struct tx *tx, int64_t n, struct instance *inst)
{
    inst->id = instance_id(tx_arena(tx), n);
    inst->account_id = ACCOUNT;
    inst->region_id = REGION;
    inst->host_id = host_id(tx_arena(tx), n / fleet->each);
    inst->zone_id = zone_of(n / fleet->each);
    inst->state = state_of(fleet, n);
    inst->job_id = inst->state == INSTANCE_STATE_STOPPING ? n + 1 : 0;
    inst->stopped_mode = STOPPED_MODE_KEEP_CHARGING;
    inst->type_id = STR(TYPE);
    inst->incarnation = is_alive(fleet, n);
    inst->state_since_us = inst->started_us = inst->created_us = tx_now(tx);
    inst->name = inst->host_name = inst->serial_number = inst->id;
    inst->image_id = STR("debian_12_6_x64_20G_alibase_20240711.vhd");
    inst->os_name = inst->os_name_en = STR("Debian 12 64 bit");
    inst->os_type = STR("linux");
}

/* As a process leaves it that was killed. */
static int put_job(const struct fleet *fleet, struct tx *tx, const struct instance *inst)
{
    struct job job = {
        .id = inst->job_id,
        .kind = JOB_KIND_STOP,
        .state = JOB_STATE_ACTIVE,
        .instance_id = inst->id,
        .account_id = inst->account_id,
        .incarnation = inst->incarnation,
        .stopped_mode = inst->stopped_mode,
        .holder = STR("local"),
        .created_us = tx_now(tx),
        .deadline_us = tx_now(tx) + fleet->options.values.stop_graceful_timeout_s * USEC_PER_SEC,
    };

    return store_job_insert(tx, &job);
}

static int put_instances(struct tx *tx, void *arg)
{
    struct fleet *fleet = arg;
    int r = 0;

    for (int n = 0; r == 0 && n < BATCH && fleet->made < fleet->host_count * fleet->each; n++) {
        struct instance *inst = arena_new(tx_arena(tx), struct instance);

        fill_row(fleet, tx, fleet->made++, inst);
        r = store_instance_insert(tx, inst);
        if (r == 0 && inst->job_id != 0)
            r = put_job(fleet, tx, inst);
    }
    return r;
}

static void put_machines(struct fleet *fleet)
{
    struct hypervisor *hv = fleet->sim;
    struct arena arena;
    int r = 0;

    arena_init(&arena, 1 << 20);
    for (int64_t n = 0; r == 0 && n < fleet->host_count; n++) {
        r = hv->ops->host_add(hv, host_id(&arena, n), STR("sim:"), &fleet->fail);
        arena_reset(&arena);
    }
    for (int64_t n = 0; r == 0 && n < fleet->host_count * fleet->each; n++) {
        struct machine_spec spec = {.id = instance_id(&arena, n), .vcpus = 1, .memory_mib = 1024};
        struct str host = host_id(&arena, n / fleet->each);

        r = hv->ops->define(hv, host, &spec, &fleet->fail);
        if (r == 0 && is_alive(fleet, n))
            r = hv->ops->start(hv, host, spec.id, 1, &fleet->fail);
        arena_reset(&arena);
    }
    (void)sim_advance(hv);
    arena_done(&arena);
    if (r < 0)
        die(fleet, "no machines");
}

static void fill(struct fleet *fleet, char **numbers)
{
    fleet->host_count = strtoll(numbers[0], NULL, 10);
    fleet->each = strtoll(numbers[1], NULL, 10);
    fleet->running = strtoll(numbers[2], NULL, 10);
    fleet->stopping = strtoll(numbers[3], NULL, 10);
    if (fleet->host_count <= 0 || fleet->running < 0 || fleet->stopping < 0 || fleet->each < MAX_OF(fleet->running + fleet->stopping, 1))
        die(fleet, "sizes make no sense");
    open_store(fleet);
    if (store_write(fleet->store, put_hosts, fleet) < 0)
        die(fleet, "no hosts");
    while (fleet->made < fleet->host_count * fleet->each)
        if (store_write(fleet->store, put_instances, fleet) < 0)
            die(fleet, "no instances");
    open_sim(fleet);
    put_machines(fleet);
}

/* ── measuring ── */

/* Work of a worker, called as often as it has to be: one round. Returns its CPU time. */
static double work(struct fleet *fleet, enum chore_id id)
{
    struct arena arena;
    double began_us = cpu_us();

    arena_init(&arena, LIMIT_STEP_ARENA_BYTES);
    do {
        chore_rows[id].work(fleet->engine, &arena);
        arena_reset(&arena);
    } while (id == CHORE_RECONCILE && fleet->engine->reconcile);
    arena_done(&arena);
    return cpu_us() - began_us;
}

static double best_work(struct fleet *fleet, enum chore_id id)
{
    double best = work(fleet, id);

    for (int i = 1; i < ROUNDS; i++)
        best = MIN_OF(best, work(fleet, id));
    return best;
}

static int renew(struct tx *tx, void *arg)
{
    struct fleet *fleet = arg;
    double began_us = cpu_us();
    int r = chore_rows[CHORE_LEASE].apply(tx, fleet->engine);

    fleet->cpu_us = cpu_us() - began_us;
    return r;
}

/* What the write does, and what follows in memory; not the COMMIT. */
static double lease_round(struct fleet *fleet)
{
    int r = store_write(fleet->store, renew, fleet);
    double began_us = cpu_us();

    if (r < 0)
        die(fleet, "no lease");
    chore_rows[CHORE_LEASE].done(fleet->engine, r);
    return fleet->cpu_us + cpu_us() - began_us;
}

static int place(struct tx *tx, void *arg)
{
    struct fleet *fleet = arg;
    struct instance *inst = &fleet->placed[fleet->made];
    double began_us = cpu_us();
    int r;

    *inst = (struct instance){.region_id = REGION, .zone_id = fleet->zone_id, .type_id = str_from(fleet->type)};
    r = holdings_place(tx, inst, inst, &fleet->fail);
    fleet->cpu_us += cpu_us() - began_us;
    inst->host_id = arena_str(&fleet->arena, inst->host_id);
    return r;
}

static int unplace(struct tx *tx, void *arg)
{
    struct fleet *fleet = arg;
    int r = 0;

    for (int64_t n = 0; r == 0 && n < fleet->made; n++)
        r = holdings_unplace(tx, &fleet->placed[n]);
    return r;
}

/* CPU time of one placement, its COMMIT left out; all are taken back afterwards. */
static double placement(struct fleet *fleet, struct str zone_id, const char *type, int64_t count)
{
    fleet->zone_id = zone_id;
    fleet->type = type;
    fleet->cpu_us = 0;
    for (fleet->made = 0; fleet->made < count; fleet->made++)
        if (store_write(fleet->store, place, fleet) < 0)
            die(fleet, "no room");
    if (store_write(fleet->store, unplace, fleet) < 0)
        die(fleet, "can't give back what was placed");
    return fleet->cpu_us / (double)count;
}

/* All vCPUs but one of each host are taken, or given back: much memory is free, and nowhere room for two vCPUs but at the last. */
static int take_processors(struct tx *tx, void *arg)
{
    struct host *hosts;
    size_t count;
    int r = store_host_list(tx, &hosts, &count);

    (void)arg;
    for (size_t i = 0; r == 0 && i + countof(zones) < count; i++) {
        int64_t free_vcpus = hosts[i].vcpus - hosts[i].used_vcpus;

        r = store_host_reserve(tx, hosts[i].id, free_vcpus > 1 ? free_vcpus - 1 : -63, 0);
    }
    return r;
}

static double short_of_processors(struct fleet *fleet)
{
    double each;

    if (store_write(fleet->store, take_processors, fleet) < 0)
        die(fleet, "no vCPUs to take");
    each = placement(fleet, zone_of(0), LARGE, LARGE_PLACEMENTS);
    if (store_write(fleet->store, take_processors, fleet) < 0)
        die(fleet, "no vCPUs to give back");
    return each;
}

static double metrics(struct fleet *fleet)
{
    struct buf out;
    double began_us;

    buf_init(&out, LIMIT_METRICS_BYTES);
    began_us = cpu_us();
    engine_metrics(fleet->engine, &out);
    began_us = cpu_us() - began_us;
    buf_done(&out);
    return began_us;
}

static void print(const char *name, double value)
{
    (void)printf(", \"%s\": %.3f", name, value);
    (void)fflush(stdout); /* who waits for the largest size sees how far it is */
}

/* One node, as with SQLite. Returns its epoch. */
static int64_t measure_alone(struct fleet *fleet)
{
    double empty_mib = resident_mib();
    double began_us = cpu_us();
    int64_t epoch;

    open_sim(fleet);
    print("start_hosts_us", cpu_us() - began_us);
    began_us = cpu_us();
    open_store(fleet);
    open_engine(fleet, "local", false);
    while (engine_unready(fleet->engine) && (engine_run_due(fleet->engine), store_run_once(fleet->store) > 0))
        continue;
    if (engine_unready(fleet->engine))
        die(fleet, engine_unready(fleet->engine));
    print("start_engine_us", cpu_us() - began_us);
    print("reconcile_us", best_work(fleet, CHORE_RECONCILE));
    print("resident_mib", resident_mib() - empty_mib);
    print("hosts_us", best_work(fleet, CHORE_HOSTS));
    print("metrics_us", metrics(fleet));
    print("place_us", placement(fleet, zone_of(0), TYPE, PLACEMENTS));
    print("place_any_zone_us", placement(fleet, STR_NONE, TYPE, PLACEMENTS));
    print("place_no_processors_us", short_of_processors(fleet));
    epoch = fleet->engine->epoch;
    fleet->engine = engine_close(fleet->engine);
    return epoch;
}

/* The node before is over; another one that lives, but does nothing. */
static int end_node(struct tx *tx, void *arg)
{
    return store_node_end(tx, STR("local"), *(const int64_t *)arg);
}

static int take_other_node(struct tx *tx, void *arg)
{
    return store_node_take(tx, STR("b"), tx_now(tx) + USEC_PER_HOUR, arg);
}

/* Takes up jobs, a bounded number in each write, until there are no more. */
static double take_up(struct fleet *fleet)
{
    double began_us = cpu_us();

    do {
        fleet->engine->chores[CHORE_CLAIM].due_us = env_now(fleet->env);
        (void)engine_tick(fleet->engine);
        (void)store_run_once(fleet->store);
    } while (fleet->engine->chores[CHORE_CLAIM].due_us <= env_now(fleet->env));
    return cpu_us() - began_us;
}

/*
 * As one of several nodes: the first round takes every host, later ones find them its own; when another node comes, one tells half
 * of the hosts to leave, and the next gives them away.
 */
static void measure_shared(struct fleet *fleet, int64_t epoch)
{
    double best = 0;

    if (store_write(fleet->store, end_node, &epoch) < 0)
        die(fleet, "the node before does not end");
    open_engine(fleet, "a", true);
    print("take_us", lease_round(fleet));
    print("pick_up_us", take_up(fleet));
    for (int i = 0; i < ROUNDS; i++) {
        double round = lease_round(fleet);

        best = i == 0 ? round : MIN_OF(best, round);
    }
    print("lease_us", best);
    if (store_write(fleet->store, take_other_node, &epoch) < 0)
        die(fleet, "no other node");
    (void)lease_round(fleet);
    print("give_us", lease_round(fleet));
}

static void measure(struct fleet *fleet)
{
    int64_t epoch;

    (void)printf("{\"version\": 1");
    epoch = measure_alone(fleet);
    measure_shared(fleet, epoch);
    (void)printf("}\n");
}

int main(int argc, char **argv)
{
    struct fleet *fleet = xcalloc(1, sizeof(*fleet));
    struct str verb = str_from(argc >= 3 ? argv[1] : "");

    if (!(argc == 7 && str_eq(verb, STR("fill"))) && !(argc == 3 && str_eq(verb, STR("measure")))) {
        (void)fprintf(stderr, "usage: fleet fill DIR HOSTS INSTANCES RUNNING STOPPING | fleet measure DIR\n");
        return 2;
    }
    begin(fleet, argv[2]);
    if (argc == 7)
        fill(fleet, argv + 3);
    else
        measure(fleet);
    end(fleet);
    (void)xfree(fleet);
    return 0;
}
