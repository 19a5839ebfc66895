/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/faults.h"

#include "hypervisor/fault.h"
#include "hypervisor/sim_impl.h"
#include "sim/run.h"

enum kind {
    GUEST_DEAF_, GUEST_HANGS, GUEST_HOLDS, GUEST_OFF_, GUEST_CRASHES, GUEST_PAUSED_, GUEST_RESUMES, GUEST_REBOOTS, GUEST_SLOW,
    HOST_VANISHES, HOST_RETURNS, HOST_CRASHES, CALLS_FAIL, CALLS_UNHEARD, DISK_FAILS, KILL, KILL_IN_WRITE, POWER_FAILS,
    RESTART,
};
static_assert(RESTART + 1 == FAULT_KINDS, "every kind is counted");

/* Those that faults_strike chooses from; the others are faults_crash's. */
static const struct kind_row {
    const char *name;
    int weight;
    const char *knob;  /* of a guest */
    const char *value; /* NULL: on or off, by chance */
    bool goes_off;
} kinds[FAULT_KINDS] = {
    [GUEST_DEAF_] = {"guest ignores the button", 60, "ignore-power-button", NULL, false},
    [GUEST_HANGS] = {"guest hangs", 40, "hang", NULL, false},
    [GUEST_HOLDS] = {"guest holds its disks", 20, "hold-disks", NULL, false},
    [GUEST_OFF_] = {"guest powers off", 60, "poweroff", "", true},
    [GUEST_CRASHES] = {"guest crashes", 60, "crash", "", true},
    [GUEST_PAUSED_] = {"guest is paused", 20, "pause", "", false},
    [GUEST_RESUMES] = {"guest is resumed", 20, "resume", "", false},
    [GUEST_REBOOTS] = {"guest reboots", 20, "reboot", "", false},
    [GUEST_SLOW] = {"guest is slow", 60, "shutdown", "7", false},
    [HOST_VANISHES] = {"host vanishes", 60, NULL, NULL, false},
    [HOST_RETURNS] = {"host returns", 120, NULL, NULL, false},
    [HOST_CRASHES] = {"host loses its power", 25, NULL, NULL, false},
    [CALLS_FAIL] = {"calls to hosts fail", 150, NULL, NULL, false},
    [CALLS_UNHEARD] = {"answers of hosts are lost", 150, NULL, NULL, false},
    [DISK_FAILS] = {"disk fails", 0, NULL, NULL, false},
    [KILL] = {"kill -9", 0, NULL, NULL, false},
    [KILL_IN_WRITE] = {"kill -9 in a write", 0, NULL, NULL, false},
    [POWER_FAILS] = {"power failure", 0, NULL, NULL, false},
    [RESTART] = {"restart in order", 0, NULL, NULL, false},
};

const char *faults_kind_name(int kind)
{
    return kinds[kind].name;
}

static void simulate(struct run *run, struct str host, struct str machine, const char *name, const char *value)
{
    struct hypervisor *hv = run->world.hv;
    struct fail fail;

    arena_reset(&run->client.scratch);
    fail_init(&fail, &run->client.scratch);
    /* Refused where it makes no sense now: a machine that is off can't crash. */
    (void)!hv->ops->simulate(hv, host, machine, str_from(name), str_from(value), &fail);
}

static void count(struct run *run, enum kind kind, const char *whom)
{
    run->faults.counts[kind]++;
    trace_add(&run->trace, "%lld fault: %s: %s", (long long)run->step, kinds[kind].name, whom);
}

/* ── guests ── */

static struct sim_machine *pick_machine(struct run *run)
{
    struct sim *sim = sim_of(run->world.sim);
    int at = sim->machine_count ? dice_below(&run->dice, (int)sim->machine_count) : 0;

    for (uint32_t i = 0; i < sim->host_count; i++) {
        size_t cursor = 0;
        struct str id;
        void *value;

        while (map_next(&sim->hosts[i]->machines, &cursor, &id, &value))
            if (at-- == 0)
                return value;
    }
    return NULL;
}

static void strike_guest(struct run *run, enum kind kind)
{
    const struct kind_row *row = &kinds[kind];
    struct sim_machine *machine = pick_machine(run);
    const char *value = row->value ? row->value : dice_permille(&run->dice, 600) ? "on" : "off";
    int instance;

    if (!machine)
        return;
    instance = model_find(&run->model, machine_id_of(machine));
    if (instance == NOBODY) /* made by a call that nobody heard of: found when it is listed */
        return;
    count(run, kind, run->model.instances[instance].id);
    model_fault(&run->model, instance, row->goes_off);
    simulate(run, host_id_of(machine->host), machine_id_of(machine), row->knob, value);
}

/* ── hosts ── */

/* Instances that no call was told of may be there, too: so anyone is meant. */
static void strike_host(struct run *run, enum kind kind)
{
    int at = dice_below(&run->dice, WORLD_HOSTS);
    struct str host = str_from(world_hosts[at]);

    if (kind == HOST_RETURNS && !run->faults.host_down[at])
        return;
    count(run, kind, world_hosts[at]);
    model_fault(&run->model, NOBODY, kind == HOST_CRASHES);
    simulate(run, host, STR_NONE, kind == HOST_CRASHES ? "crash" : "state",
             kind == HOST_CRASHES ? "" : kind == HOST_RETURNS ? "up" : "down");
    run->faults.host_down[at] = kind != HOST_RETURNS;
    run->faults.disturbed_us = world_now(&run->world);
}

/* The next calls to hosts fail, or are carried out without an answer. */
static void strike_calls(struct run *run, enum kind kind)
{
    static const enum error_code errors[] = {E_UNREACHABLE, E_UNREACHABLE, E_TIMEOUT, E_IO};
    struct fault_plan plan = {
        .nth = 1 + dice_below(&run->dice, 5),
        .count = 1 + dice_below(&run->dice, 6),
        .after = kind == CALLS_UNHEARD,
        .error = errors[dice_below(&run->dice, (int)countof(errors))],
    };

    count(run, kind, "some");
    model_fault(&run->model, NOBODY, false);
    fault_arm(run->world.hv, &plan);
    run->faults.calls_armed = true;
    run->faults.disturbed_us = world_now(&run->world);
}

/* ── the disk ── */

static void strike_disk(struct run *run)
{
    struct faults *faults = &run->faults;
    static const unsigned ops[] = {DISK_OP_WRITE, DISK_OP_SYNC, DISK_OP_CHANGE, DISK_OP_READ};

    faults->disk = (struct disk_fault_plan){
        .ops = ops[dice_below(&run->dice, (int)countof(ops))],
        .nth = 1 + dice_below(&run->dice, 8),
        .count = 1 + dice_below(&run->dice, 4),
        .how = (enum disk_failure)dice_below(&run->dice, DISK_FAILURE_STOP),
        .seed = dice_roll(&run->dice),
    };
    count(run, DISK_FAILS, "for a while");
    model_fault(&run->model, NOBODY, false);
    faults->disk_armed = true;
    faults->disturbed_us = world_now(&run->world);
    disk_fault_arm(&faults->disk);
}

void faults_look_away(struct run *run, bool begin)
{
    struct faults *faults = &run->faults;

    if (!faults->disk_armed)
        return;
    if (begin) {
        struct disk_fault_counts seen = disk_fault_counts();
        int64_t calls = (faults->disk.ops & DISK_OP_WRITE ? seen.writes : 0) + (faults->disk.ops & DISK_OP_SYNC ? seen.syncs : 0) +
                        (faults->disk.ops & DISK_OP_READ ? seen.reads : 0);

        /* What is left of the plan goes on afterwards. */
        faults->disk.count -= MIN_OF(faults->disk.count, seen.failed);
        faults->disk.nth = MAX_OF(faults->disk.nth - calls, (int64_t)1);
        disk_fault_arm(NULL);
    } else if (faults->disk.count > 0) {
        disk_fault_arm(&faults->disk);
    }
}

/* ── strikes ── */

void faults_strike(struct run *run)
{
    int total = 0;
    int at;
    int kind = 0;

    faults_disarm(run);
    if (dice_permille(&run->dice, run->profile.disk_permille)) {
        strike_disk(run);
        return;
    }
    for (int i = 0; i < FAULT_KINDS; i++)
        total += kinds[i].weight;
    at = dice_below(&run->dice, total);
    while (at >= kinds[kind].weight)
        at -= kinds[kind++].weight;
    if (kind <= GUEST_SLOW)
        strike_guest(run, (enum kind)kind);
    else if (kind <= HOST_CRASHES)
        strike_host(run, (enum kind)kind);
    else
        strike_calls(run, (enum kind)kind);
}

void faults_disarm(struct run *run)
{
    if (run->faults.calls_armed || run->faults.disk_armed)
        run->faults.disturbed_us = world_now(&run->world);
    fault_arm(run->world.hv, NULL);
    disk_fault_arm(NULL);
    run->faults.calls_armed = false;
    run->faults.disk_armed = false;
}

static void set_events(struct run *run, bool well)
{
    const struct profile *profile = &run->profile;
    char late[16], lost[16], doubled[16];

    (void)snprintf(late, sizeof(late), "%d", well ? 0 : profile->late_events_ms);
    (void)snprintf(lost, sizeof(lost), "0.%03d", well ? 0 : profile->lost_events_permille);
    (void)snprintf(doubled, sizeof(doubled), "0.%03d", well ? 0 : profile->double_events_permille);
    for (int i = 0; i < WORLD_HOSTS; i++) {
        struct str host = str_from(world_hosts[i]);

        simulate(run, host, STR_NONE, "late-events", late);
        simulate(run, host, STR_NONE, "drop-events", lost);
        simulate(run, host, STR_NONE, "duplicate-events", doubled);
    }
}

void faults_init(struct run *run)
{
    run->faults = (struct faults){.hear = -1, .disturbed_us = world_now(&run->world)};
    set_events(run, false);
}

void faults_heal(struct run *run)
{
    struct sim *sim = sim_of(run->world.sim);

    faults_disarm(run);
    for (int i = 0; i < WORLD_HOSTS; i++) {
        simulate(run, str_from(world_hosts[i]), STR_NONE, "state", "up");
        run->faults.host_down[i] = false;
    }
    run->faults.disturbed_us = world_now(&run->world);
    for (uint32_t i = 0; i < sim->host_count; i++) {
        size_t cursor = 0;
        struct str id;
        void *value;

        while (map_next(&sim->hosts[i]->machines, &cursor, &id, &value)) {
            simulate(run, host_id_of(sim->hosts[i]), id, "hold-disks", "off");
            simulate(run, host_id_of(sim->hosts[i]), id, "hang", "off");
            simulate(run, host_id_of(sim->hosts[i]), id, "resume", "");
        }
    }
}

usec_t faults_quiet_since(struct run *run)
{
    struct faults *faults = &run->faults;

    for (int i = 0; i < WORLD_HOSTS; i++)
        if (faults->host_down[i])
            faults->disturbed_us = world_now(&run->world);
    if (faults->calls_armed || faults->disk_armed)
        faults->disturbed_us = world_now(&run->world);
    return faults->disturbed_us;
}

bool faults_may_fail_calls(const struct run *run)
{
    return run->faults.disk_armed;
}

/* ── the daemon dies ── */

bool faults_swallow_reply(struct run *run)
{
    struct faults *faults = &run->faults;

    if (faults->hear < 0)
        return faults->disk_armed && faults->disk.how == DISK_FAILURE_STOP && disk_fault_counts().failed > 0;
    if (faults->hear == 0)
        return true;
    faults->hear--;
    return false;
}

/* What is going on goes on for a moment; somewhere in it the process dies. */
static void last_moments(struct run *run, int rounds)
{
    usec_t next;

    for (int i = 0; i < rounds; i++) {
        switch (dice_below(&run->dice, 3)) {
        case 0:
            client_call(run);
            break;
        case 1:
            (void)world_work(&run->world, &next);
            break;
        default:
            (void)store_run_once(run->world.store);
        }
    }
}

static void die_in_write(struct run *run)
{
    struct faults *faults = &run->faults;

    count(run, KILL_IN_WRITE, "the daemon");
    faults->disk = (struct disk_fault_plan){
        .ops = DISK_OP_CHANGE, .nth = 1 + dice_below(&run->dice, 12), .how = DISK_FAILURE_STOP, .seed = dice_roll(&run->dice)};
    faults->disk_armed = true;
    disk_fault_arm(&faults->disk);
    last_moments(run, 2 + dice_below(&run->dice, 6));
}

/* A call to a host is the last that it does. */
static void die_in_call(struct run *run)
{
    struct fault_plan plan = {
        .nth = 1 + dice_below(&run->dice, 3), .count = INT64_MAX, .after = dice_permille(&run->dice, 500)};
    usec_t next;

    count(run, KILL, "the daemon, in a call to a host");
    fault_arm(run->world.hv, &plan);
    (void)world_work(&run->world, &next);
}

static void die(struct run *run)
{
    bool power = dice_permille(&run->dice, 150);

    switch (dice_below(&run->dice, 4)) {
    case 0: /* between two things */
        count(run, KILL, "the daemon");
        break;
    case 1: /* after a commit, before its replies */
        count(run, KILL, "the daemon, before its replies");
        run->faults.hear = dice_below(&run->dice, 3);
        (void)store_run_once(run->world.store);
        break;
    case 2:
        die_in_write(run);
        break;
    default:
        die_in_call(run);
    }
    run->faults.hear = 0;
    run->faults.disk_armed = false;
    run->faults.calls_armed = false;
    if (power) {
        count(run, POWER_FAILS, "the computer");
        model_fault(&run->model, NOBODY, true);
        world_power_failure(&run->world, dice_roll(&run->dice));
    } else {
        world_kill(&run->world);
    }
    client_lost(run);
    run->faults.hear = -1;
}

/* The first tries may be killed in turn, at any write; one that is left alone has to come up. */
static void start_again(struct run *run)
{
    for (int tries = dice_permille(&run->dice, 300) ? 1 + dice_below(&run->dice, 3) : 0; tries > 0; tries--) {
        struct disk_fault_plan plan = {.ops = DISK_OP_CHANGE,
                                       .nth = 1 + dice_below(&run->dice, 6),
                                       .how = (enum disk_failure)dice_below(&run->dice, DISK_FAILURE_STOP + 1),
                                       .seed = dice_roll(&run->dice)};
        int r;

        disk_fault_arm(&plan);
        r = world_up(&run->world);
        disk_fault_arm(NULL);
        run->counts.recoveries_failed++;
        trace_add(&run->trace, "%lld a start that is disturbed: %s", (long long)run->step, r < 0 ? error_rows[-r].name : "up");
        if (r >= 0)
            world_kill(&run->world);
    }
    if (world_up(&run->world) < 0)
        run_broken(run, "the daemon comes up over what a crash left", "%.*s", STR_ARG(run->world.fail.message));
}

void faults_crash(struct run *run)
{
    faults_disarm(run);
    if (dice_permille(&run->dice, 150)) {
        count(run, RESTART, "the daemon");
        world_stop(&run->world);
        if (world_is_shared(&run->world))
            client_lost(run); /* those that a paused or a waiting node has taken with it */
    } else {
        die(run);
        run->counts.crashes++;
    }
    if (dice_permille(&run->dice, 300))
        world_pass(&run->world, dice_below(&run->dice, 20000) * USEC_PER_MSEC);
    start_again(run);
    nodes_restarted(run);
    run->faults.disturbed_us = world_now(&run->world);
}
