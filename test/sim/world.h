/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon without its threads and its sockets, over a folder and simulated hosts that outlive it: gateway, actions,
 * engine, store, hypervisor, all real. Crashing drops what is in memory; the folder stays.
 *
 * Or several of them, nodes that share one store and the hosts: each has an engine and a gateway of its own, a door to the store
 * (door.h) and its own view of the hosts (spy.h). One alone has neither, and is what it was before there were nodes.
 */
#pragma once

#include "base/option.h"
#include "engine/engine.h"
#include "gateway/gateway.h"
#include "sim/dice.h"
#include "sim/door.h"
#include "sim/spy.h"

#define WORLD_ACCOUNTS 3
#define WORLD_HOSTS 4
#define WORLD_NODES 3
#define WORLD_REGION "cn-hangzhou"
#define WORLD_SET "ds-%d" /* the deployment set of an account: the n-th, from 1 */

/* What differs from seed to seed. */
struct profile {
    int graceful_s;       /* stop.graceful_timeout_s and what is like it */
    int boot_ms;
    int shutdown_ms;
    bool force_overtakes;
    bool revert;          /* stop.on_timeout */
    int crash_permille;   /* of the steps */
    int fault_permille;
    int disk_permille;
    int late_events_ms;
    int lost_events_permille;
    int double_events_permille;
    int nodes;
    int lease_s;          /* of several nodes */
    int node_permille;    /* of the steps: something happens to a node */
};

struct world_node {
    struct engine *engine; /* NULL: it is down */
    struct gateway *gateway;
    struct hypervisor *spy;
    struct door door;
};

struct world {
    char dir[64];
    struct arena arena; /* of the options; as long as the world */
    struct option_set options;
    struct profile profile;
    uint64_t seed;
    int machine_boots;  /* of the real machine: each power failure is one */
    /* of one life of the daemon */
    struct env *env;
    struct store *store;
    struct hypervisor *sim;
    struct hypervisor *hv; /* around sim: fails calls */
    struct world_node nodes[WORLD_NODES];
    int turn;           /* whose piece of work is next */
    int64_t changes;    /* commands and events of hosts, where there are several nodes */
    int64_t looks;      /* of nodes for jobs that others have ordered: twenty a second each, which is no work to speak of */
    spy_begun_fn begun; /* hear of the nodes' commands */
    spy_fn watcher;
    void *watcher_arg;
    void (*untold)(void *arg, void *sender); /* of each door */
    struct arena work; /* of the engine's steps */
    struct arena text; /* of the failure to start */
    struct fail fail;
    bool up;
};

struct world_key {
    const char *id;
    const char *secret;
    bool enabled;
};
extern const struct world_key world_keys[WORLD_ACCOUNTS];
extern const char *const world_hosts[WORLD_HOSTS];
extern const char *const world_zones[2]; /* hosts 0 and 1, hosts 2 and 3 */

/*
 * A fresh folder with accounts and hosts, and the daemon over it. Aborts when that fails. `watcher` and `untold` (door.h) hear of
 * several nodes' commands and late answers.
 */
void world_open(struct world *world, uint64_t seed, const struct profile *profile);
void world_close(struct world *world);
/* The folder is removed, whatever has it open: at the end of a run that failed. */
void world_remove(const struct world *world);

/* As SIGTERM: what is queued is written, then all is closed in order. */
void world_stop(struct world *world);
/* As kill -9. The clock stands. */
void world_kill(struct world *world);
/* And then the machine loses its power: what was not flushed may be gone, and every guest ends. The daemon is down. */
void world_power_failure(struct world *world, uint64_t seed);
/* Starts it over what is there. -E_…, with the text in world->fail; then it is down. */
int world_up(struct world *world) must_check;

/* ── one of several nodes ── */

bool world_is_shared(const struct world *world);
/* It is there, and not paused. */
bool world_node_runs(const struct world *world, int node);
/* -E_…, with the text in world->fail; then it is down. */
int world_node_up(struct world *world, int node) must_check;
/* As world_work, of that node alone. */
bool world_node_work(struct world *world, int node, usec_t *ret_next);
/* As kill -9 of one node: its memory is gone. */
void world_node_kill(struct world *world, int node);
/* As SIGTERM: what is queued is written, the hosts are given back, then it is closed. */
void world_node_leave(struct world *world, int node);
void world_handle(struct world *world, int node, const struct call *call, gateway_suspend_fn suspend, gateway_done_fn done, void *arg);

usec_t world_now(const struct world *world);
void world_pass(struct world *world, usec_t by_us);
/* One piece of an engine's work, after what is due was queued; false: there is none. *ret_next: when there will be. */
bool world_work(struct world *world, usec_t *ret_next);
