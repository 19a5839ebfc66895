/* SPDX-License-Identifier: Apache-2.0 */
/* The course of a run: steps by chance, and calm in between. */
#include "sim/run.h"

#include "base/metric.h"
#include "hypervisor/sim.h"

#define CALM_EVERY 400 /* steps */
#define RECONCILED_US (130 * USEC_PER_SEC) /* two comparisons of rows and hosts */

int64_t run_operations(const struct run *run)
{
    return run->counts.calls + run->counts.engine_steps + run->counts.commits - run->world.looks;
}

/* ── what may be done next ── */

static bool commit(struct run *run)
{
    if (store_queue_length(run->world.store) == 0)
        return false;
    (void)store_run_once(run->world.store);
    run->counts.commits++;
    return true;
}

static bool work(struct run *run, int limit)
{
    usec_t next;
    bool any = false;

    (void)nodes_tick(run);
    while (limit-- > 0 && world_work(&run->world, &next)) {
        run->counts.engine_steps++;
        any = true;
    }
    return any;
}

static bool call(struct run *run)
{
    for (int i = 1 + dice_below(&run->dice, 8); i > 0 && client_waiting(run) < FLIGHTS; i--)
        client_call(run);
    return false; /* nothing of the store or the hosts has changed yet */
}

/* Everything that is due happens; returns when the next thing is. */
static usec_t settle(struct run *run)
{
    usec_t next, sim, node;

    do {
        node = nodes_tick(run);
        sim = sim_advance(run->world.sim);
        (void)work(run, 1000);
        (void)world_work(&run->world, &next);
    } while (commit(run));
    return MIN_OF(MIN_OF(next, sim), node);
}

/* Several nodes look for work twenty times a second: where nothing came of it, the laws need no look every time. */
static void check(struct run *run)
{
    int64_t changes = run->counts.commits + run->world.changes;

    if (world_is_shared(&run->world) && changes == run->checked_changes &&
        world_now(&run->world) < run->checked_us + USEC_PER_SEC)
        return;
    run->checked_changes = changes;
    run->checked_us = world_now(&run->world);
    laws_check(run);
}

/* Lets time pass, each thing at its time. */
static void pass(struct run *run, usec_t by_us)
{
    usec_t end = world_now(&run->world) + by_us;

    for (;;) {
        usec_t next = settle(run);
        usec_t now = world_now(&run->world);

        check(run);
        if (now >= end)
            return;
        next = MIN_OF(MAX_OF(next, now + 1), end);
        world_pass(&run->world, next - now);
    }
}

/* A little, or to what comes next, without waiting for what is due. */
static bool tick(struct run *run)
{
    usec_t now = world_now(&run->world);
    usec_t by = dice_below(&run->dice, 400) * USEC_PER_MSEC;

    if (dice_permille(&run->dice, 300)) {
        usec_t next = sim_advance(run->world.sim);

        if (next != USEC_NEVER && next > now)
            by = MIN_OF(next - now, 5 * USEC_PER_SEC);
    }
    world_pass(&run->world, by);
    return false;
}

static bool step(struct run *run)
{
    int at = dice_below(&run->dice, 1000);

    if (dice_permille(&run->dice, run->profile.crash_permille)) {
        faults_crash(run);
        return true;
    }
    if (dice_permille(&run->dice, run->profile.fault_permille)) {
        faults_strike(run);
        return true;
    }
    if (run->profile.nodes > 1 && dice_permille(&run->dice, run->profile.node_permille)) {
        nodes_strike(run);
        return true;
    }
    if (at < 350)
        return call(run);
    if (at < 600)
        return work(run, 1 + dice_below(&run->dice, 6));
    if (at < 780)
        return commit(run);
    if (at < 880) {
        (void)sim_advance(run->world.sim);
        return true;
    }
    if (at < 995)
        return tick(run);
    pass(run, dice_below(&run->dice, 30) * USEC_PER_SEC);
    return false;
}

/* ── calm ── */

static void ask_all(struct run *run)
{
    for (int account = 0; account < 2; account++) {
        client_ask(run, OP_LIST, account);
        client_ask(run, OP_DISKS, account);
        client_ask(run, OP_COMMANDS, account);
    }
}

/* Every fault is taken back: whatever is under way ends in its time, and then all agree. */
static void calm(struct run *run)
{
    usec_t patience = 5 * run->profile.graceful_s * USEC_PER_SEC + 300 * USEC_PER_SEC;
    char text[256] = "";
    bool busy;
    usec_t end;

    faults_heal(run);
    nodes_heal(run);
    trace_add(&run->trace, "%lld calm", (long long)run->step);
    end = world_now(&run->world) + patience;
    do {
        pass(run, 5 * USEC_PER_SEC);
        busy = laws_busy(run, text);
        if (busy && world_now(&run->world) > end)
            run_broken(run, "whatever was begun ends", "after %lld s of calm: %s", (long long)(patience / USEC_PER_SEC), text);
    } while (busy);
    pass(run, RECONCILED_US);
    while (laws_busy(run, NULL))
        pass(run, 5 * USEC_PER_SEC); /* an automatic release, or what the comparison has found */
    laws_check_calm(run);
    run->is_calm = true;
    ask_all(run);
    run->is_calm = false;
    for (int i = 0; i < run->model.instance_count; i++) {
        run->model.instances[i].may_off = false;
        run->model.instances[i].may_fail = false;
    }
}

/* ── the whole ── */

static struct profile choose_profile(struct dice *dice)
{
    static const int patience[] = {20, 60, 300};

    return (struct profile){
        .graceful_s = patience[dice_below(dice, 3)],
        .boot_ms = 100 + dice_below(dice, 3000),
        .shutdown_ms = 100 + dice_below(dice, 3000),
        .force_overtakes = dice_permille(dice, 500),
        .revert = dice_permille(dice, 250),
        .crash_permille = 1 + dice_below(dice, 12),
        .fault_permille = 5 + dice_below(dice, 25),
        .disk_permille = dice_permille(dice, 500) ? 50 + dice_below(dice, 300) : 0,
        .late_events_ms = dice_permille(dice, 600) ? dice_below(dice, 6000) : 0,
        .lost_events_permille = dice_permille(dice, 500) ? dice_below(dice, 400) : 0,
        .double_events_permille = dice_permille(dice, 500) ? dice_below(dice, 400) : 0,
    };
}

static void choose_nodes(struct run *run)
{
    static const int leases[] = {3, 6, 15};

    run->profile.nodes = run->node_count ? run->node_count : nodes_of_seed(run->seed);
    if (run->profile.nodes == 1)
        return;
    run->profile.lease_s = leases[dice_below(&run->dice, 3)];
    run->profile.node_permille = 5 + dice_below(&run->dice, 15);
    run->counts.node_seeds++;
}

static void begin(struct run *run)
{
    run->dice = (struct dice){run->seed};
    run->profile = choose_profile(&run->dice);
    choose_nodes(run);
    nodes_init(run);
    world_open(&run->world, dice_roll(&run->dice), &run->profile);
    model_init(&run->model, run);
    client_init(&run->client, run);
    run->laws = (struct laws){.job_count = 0};
    faults_init(run);
}

void run_play(struct run *run)
{
    usec_t started;

    begin(run);
    started = world_now(&run->world);
    for (run->step = 1; run->step <= run->steps; run->step++) {
        if (step(run))
            laws_check(run);
        if (run->step % CALM_EVERY == 0)
            calm(run);
    }
    calm(run);
    run->counts.takeovers += metric_get(METRIC_NODES_BURIED) - run->nodes.buried;
    run->counts.virtual_us += world_now(&run->world) - started;
    world_close(&run->world);
    client_done(&run->client);
}
