/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of a world: engines in one process, over one store and one set of simulated hosts. */
#pragma once

#include "engine/lease.h"
#include "unit/engine_world.h"

#define NODES 3
#define HOSTS 6
#define LEASE SECONDS(15)
#define THIRD SECONDS(5)

struct nodes {
    struct world *world; /* world->engine: the node that takes orders */
    struct engine *engine[NODES];
    bool paused[NODES];
};

/* The hosts have one watcher: it tells all nodes. A node that is paused hears it later, or never: it is a hint only. */
HELPER void tell_all(void *arg, const struct machine_event *event)
{
    struct nodes *nodes = arg;

    for (size_t i = 0; i < NODES; i++)
        if (nodes->engine[i] && !nodes->paused[i])
            engine_watch(nodes->engine[i], event);
}

HELPER void watch(struct nodes *nodes)
{
    nodes->world->hv->ops->watch(nodes->world->hv, tell_all, nodes);
}

/* ── nodes ── */

static const char *const names[NODES] = {"a", "b", "c"};

static bool own_machines; /* of the nodes that are made */

HELPER void up(struct nodes *nodes, size_t i)
{
    struct world *world = nodes->world;
    struct engine_settings settings = {
        .store = world->store,
        .hypervisor = world->hv,
        .env = world->env,
        .options = &world->options.values,
        .node = str_from(names[i]),
        .shared = true,
        .own_machines = own_machines,
    };

    assert_int_equal(engine_open(&settings, &world->fail, &nodes->engine[i]), 0);
    assert_int_equal(engine_recover(nodes->engine[i], &world->fail), 0);
    watch(nodes); /* the node has put itself there */
}

/* As kill -9. */
HELPER void down(struct nodes *nodes, size_t i)
{
    nodes->engine[i] = engine_close(nodes->engine[i]);
    watch(nodes);
}

HELPER int add_hosts(struct tx *tx, void *arg)
{
    int r = store_node_end(tx, STR("local"), 1); /* the world's own engine: it is gone */

    (void)arg;
    for (int i = 1; r == 0 && i <= HOSTS; i++) {
        struct str id = arena_printf(tx_arena(tx), "host-%d", i);

        r = add_host(tx, &id);
    }
    return r;
}

HELPER void at(struct nodes *nodes, size_t i)
{
    nodes->world->engine = nodes->engine[i];
}

HELPER struct nodes *begin(size_t count)
{
    static struct nodes nodes;
    struct world *world = world_new(42, SECONDS(1800000000));

    nodes = (struct nodes){.world = world};
    world_up(world); /* for its store and its hosts: its engine is none of the nodes */
    world->engine = engine_close(world->engine);
    assert_int_equal(store_write(world->store, add_hosts, NULL), 0);
    for (size_t i = 0; i < count; i++)
        up(&nodes, i);
    at(&nodes, 0);
    return &nodes;
}

HELPER void finish(struct nodes *nodes)
{
    for (size_t i = 0; i < NODES; i++) {
        assert_true(!nodes->engine[i] || nodes->engine[i]->ready_count <= nodes->engine[i]->jobs.count);
        down(nodes, i);
    }
    nodes->world->engine = NULL;
    world_close(nodes->world);
}

HELPER usec_t settle(struct nodes *nodes)
{
    struct world *world = nodes->world;
    usec_t next;
    size_t writes;

    do {
        next = sim_advance(world->sim);
        for (size_t i = 0; i < NODES; i++)
            if (nodes->engine[i] && !nodes->paused[i])
                next = MIN_OF(next, engine_run_due(nodes->engine[i]));
        writes = store_run_once(world->store);
    } while (writes > 0);
    return MIN_OF(next, sim_advance(world->sim));
}

HELPER void step(struct nodes *nodes, usec_t end)
{
    struct env *env = nodes->world->env;
    usec_t next = settle(nodes);
    usec_t now = env_now(env);

    if (now < end)
        env_advance(env, MIN_OF(MAX_OF(next, now + 1), end) - now);
}

HELPER void pass(struct nodes *nodes, usec_t by_us)
{
    usec_t end = env_now(nodes->world->env) + by_us;

    while (env_now(nodes->world->env) < end)
        step(nodes, end);
    (void)settle(nodes);
}

/* Each of them has its share of the hosts. */
HELPER struct nodes *begin_spread(size_t count)
{
    struct nodes *nodes = begin(count);

    pass(nodes, 4 * THIRD);
    return nodes;
}

HELPER usec_t await(struct nodes *nodes, struct str id, int state, usec_t limit_us)
{
    usec_t start = env_now(nodes->world->env);

    while (world_state(nodes->world, id) != state) {
        if (env_now(nodes->world->env) >= start + limit_us)
            fail_msg("%.*s is %d, not %d", STR_ARG(id), world_state(nodes->world, id), state);
        step(nodes, start + limit_us);
    }
    return env_now(nodes->world->env) - start;
}

/* How many hosts the node has, by the rows and in its own memory. */
HELPER size_t held(struct nodes *nodes, size_t node)
{
    struct tx *tx = store_read_begin(nodes->world->store);
    struct host *hosts;
    size_t count;
    size_t found = 0;

    assert_int_equal(store_host_list(tx, &hosts, &count), 0);
    for (size_t i = 0; i < count; i++) {
        bool row = str_eq(hosts[i].holder, str_from(names[node]));
        struct host_slot *slot = nodes->engine[node] ? map_get(&nodes->engine[node]->hosts, hosts[i].id) : NULL;

        if (nodes->engine[node] && !nodes->paused[node])
            assert_int_equal(row, slot && slot->held);
        found += row;
    }
    store_read_end(tx);
    return found;
}

HELPER struct str launch(struct nodes *nodes)
{
    struct world *world = nodes->world;
    struct str id = env_id(world->env, &world->arena, "i-");

    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_CREATE, .id = id, .type = "ecs.g7.large", .start = true}), 0);
    (void)await(nodes, id, INSTANCE_STATE_RUNNING, SECONDS(30));
    return id;
}

/* One on a host of the node. */
HELPER struct str launch_at(struct nodes *nodes, size_t node)
{
    for (int tries = 0; tries < 4 * HOSTS; tries++) {
        struct str id = launch(nodes);
        struct instance *inst = world_instance(nodes->world, id);
        struct host_slot *slot = map_get(&nodes->engine[node]->hosts, inst->host_id);

        if (slot && slot->held)
            return id;
    }
    fail_msg("no host of node %s takes one", names[node]);
    return STR_NONE;
}

HELPER void guest(struct nodes *nodes, struct str id, const char *name, const char *value)
{
    struct world *world = nodes->world;
    struct instance *inst = world_instance(world, id);

    assert_int_equal(
        world->hv->ops->simulate(world->hv, inst->host_id, id, str_from(name), str_from(value), &world->fail), 0);
}

HELPER struct machine_status machine(struct nodes *nodes, struct str host_id, struct str id)
{
    struct world *world = nodes->world;
    struct machine_status status;

    assert_int_equal(world->hv->ops->probe(world->hv, host_id, id, &status), 0);
    return status;
}

HELPER size_t active(struct nodes *nodes, size_t node)
{
    return nodes->engine[node]->jobs.count;
}
