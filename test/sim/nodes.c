/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/nodes.h"

#include "base/metric.h"
#include "hypervisor/fault.h"
#include "sim/run.h"

static const struct node_fault_row {
    const char *name;
    int weight;
} rows[NODE_FAULTS] = {
    [NODE_DIES] = {"node dies", 30},
    [NODE_PAUSES] = {"node is paused", 30},
    [NODE_CUT_OFF] = {"node is cut off from the store", 20},
    [NODE_HEARS_LATE] = {"node hears of its commit late", 30},
    [NODE_LEAVES] = {"node leaves in order", 15},
};

const char *nodes_fault_name(int fault)
{
    return rows[fault].name;
}

int nodes_of_seed(uint64_t seed)
{
    return seed % 3 != 0 ? 1 : seed % 2 == 0 ? 2 : 3;
}

static void untold(void *arg, void *sender)
{
    (void)arg;
    client_give_up(sender);
}

/* A worker waits for a host: meanwhile the writer goes on. */
static void begun(void *arg)
{
    struct run *run = arg;
    struct door *before;

    if (!dice_permille(&run->dice, 100) || store_queue_length(run->world.store) == 0)
        return;
    before = door_enter(NULL);
    (void)store_run_once(run->world.store);
    (void)door_enter(before);
    run->counts.commits++;
}

void nodes_init(struct run *run)
{
    run->nodes = (struct nodes){.deaf = NOBODY, .buried = metric_get(METRIC_NODES_BURIED)};
    run->world.begun = begun;
    run->world.watcher = laws_command;
    run->world.watcher_arg = run;
    run->world.untold = untold;
}

static usec_t lease_us(const struct run *run)
{
    return run->profile.lease_s * USEC_PER_SEC;
}

/* Shorter than a lease, or longer. */
static usec_t a_while(struct run *run)
{
    if (dice_permille(&run->dice, 500))
        return lease_us(run) * (1 + dice_below(&run->dice, 900)) / 1000;
    return lease_us(run) * (1000 + dice_below(&run->dice, 3000)) / 1000;
}

static void disturb(struct run *run)
{
    run->nodes.disturbed_us = world_now(&run->world);
}

/* ── strikes ── */

/* A call to a host is the last that it does. */
static void last_call(struct run *run, int node)
{
    struct fault_plan plan = {
        .nth = 1 + dice_below(&run->dice, 3), .count = INT64_MAX, .after = dice_permille(&run->dice, 500)};
    usec_t next;

    faults_disarm(run);
    fault_arm(run->world.hv, &plan);
    (void)world_node_work(&run->world, node, &next);
    fault_arm(run->world.hv, NULL);
}

static void die(struct run *run, int node)
{
    switch (dice_below(&run->dice, 3)) {
    case 0: /* between two things */
        break;
    case 1: /* after a commit, before its replies */
        run->nodes.deaf = node;
        (void)store_run_once(run->world.store);
        run->nodes.deaf = NOBODY;
        break;
    default:
        if (world_node_runs(&run->world, node))
            last_call(run, node);
    }
    world_node_kill(&run->world, node);
    client_lost_at(run, node);
}

static void leave(struct run *run, int node)
{
    world_node_leave(&run->world, node);
    client_lost_at(run, node);
}

static void strike(struct run *run, enum node_fault fault, int node)
{
    struct door *door = &run->world.nodes[node].door;
    usec_t now = world_now(&run->world);

    run->nodes.counts[fault]++;
    trace_add(&run->trace, "%lld fault: %s: %d", (long long)run->step, rows[fault].name, node + 1);
    model_fault(&run->model, NOBODY, false);
    if (fault == NODE_HEARS_LATE) {
        door->late_us = a_while(run);
        disturb(run);
        return;
    }
    run->nodes.until_us[node] = now + 1 + a_while(run);
    if (fault == NODE_DIES)
        die(run, node);
    else if (fault == NODE_LEAVES)
        leave(run, node);
    door->asleep = fault == NODE_PAUSES;
    door->closed = fault == NODE_CUT_OFF;
    disturb(run);
}

void nodes_strike(struct run *run)
{
    int node = dice_below(&run->dice, run->profile.nodes);
    int total = 0;
    int fault = 0;
    int at;

    for (int i = 0; i < NODE_FAULTS; i++)
        total += rows[i].weight;
    at = dice_below(&run->dice, total);
    while (at >= rows[fault].weight)
        at -= rows[fault++].weight;
    /* To one with which something is wrong no more can happen than that it dies. */
    if (run->world.nodes[node].engine && (run->nodes.until_us[node] == 0 || fault == NODE_DIES))
        strike(run, (enum node_fault)fault, node);
}

/* ── and back ── */

static void come_back(struct run *run, int node)
{
    struct world_node *at = &run->world.nodes[node];
    int r = 0;

    if (!at->engine)
        r = world_node_up(&run->world, node);
    at->door.asleep = false;
    at->door.closed = false;
    run->nodes.until_us[node] = r < 0 ? world_now(&run->world) + USEC_PER_SEC : 0;
    trace_add(&run->trace, "%lld node %d is back: %s", (long long)run->step, node + 1, r < 0 ? error_rows[-r].name : "well");
    disturb(run);
}

/* The latest answer that is on its way counts as something that is wrong, too. */
static bool is_well(const struct run *run, int node)
{
    const struct door *door = &run->world.nodes[node].door;

    return run->world.nodes[node].engine && run->nodes.until_us[node] == 0 && door->late_us == 0 && list_empty(&door->answers);
}

usec_t nodes_tick(struct run *run)
{
    usec_t now = world_now(&run->world);
    usec_t next = USEC_NEVER;
    int well = 0;

    for (int i = 0; i < run->profile.nodes && world_is_shared(&run->world); i++) {
        if (run->nodes.until_us[i] != 0 && now >= run->nodes.until_us[i])
            come_back(run, i);
        if (run->nodes.until_us[i] != 0)
            next = MIN_OF(next, run->nodes.until_us[i]);
        well += is_well(run, i);
    }
    if (well < run->profile.nodes && world_is_shared(&run->world))
        model_fault(&run->model, NOBODY, false); /* what is made meanwhile may come too late, too */
    if (well == 0)
        disturb(run);
    return next;
}

void nodes_heal(struct run *run)
{
    for (int i = 0; i < run->profile.nodes && world_is_shared(&run->world); i++) {
        struct door *door = &run->world.nodes[i].door;

        door->late_us = 0;
        door->answer_us = world_now(&run->world);
        if (run->nodes.until_us[i] != 0)
            come_back(run, i);
        if (run->nodes.until_us[i] != 0)
            run_broken(run, "a node comes up while others run", "%.*s", STR_ARG(run->world.fail.message));
    }
    disturb(run);
}

void nodes_restarted(struct run *run)
{
    memset(run->nodes.until_us, 0, sizeof(run->nodes.until_us));
    disturb(run);
}

/* ── questions ── */

int nodes_pick(struct run *run)
{
    int first;

    if (!world_is_shared(&run->world))
        return 0;
    first = dice_below(&run->dice, run->profile.nodes);
    for (int i = 0; i < run->profile.nodes; i++)
        if (world_node_runs(&run->world, (first + i) % run->profile.nodes))
            return (first + i) % run->profile.nodes;
    return NOBODY;
}

bool nodes_swallow_reply(const struct run *run, int node)
{
    return run->nodes.deaf == node;
}

bool nodes_may_fail_calls(const struct run *run, int node)
{
    return run->world.nodes[node].door.closed;
}

usec_t nodes_quiet_since(struct run *run)
{
    return run->nodes.disturbed_us;
}

/* Others see the silence a third of a lease late, and a third later they act on it. */
usec_t nodes_patience(const struct run *run)
{
    return world_is_shared(&run->world) ? 2 * lease_us(run) : 0;
}
