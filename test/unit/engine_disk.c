/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks that are attached, detached and deleted: by guests that hold on to them, hosts that are lost, instances that stop or
 * go meanwhile; with the n-th call of hypervisor and store failing and the daemon killed between any two, for n = 1, 2, …
 */
#include "unit/engine_faulty.h"
#include "unit/engine_disk_kit.h"

#define TYPE "ecs.g6.large"
#define HOST STR("host-1")

static int disk_status(struct world *world, struct str id)
{
    return disk_row(world, id).status;
}

static bool machine_has(struct world *world, struct str id, struct str disk)
{
    struct sim_disk data;

    return sim_disk_state(world->sim, HOST, id, disk, &data) == 0;
}

static void await_disk(struct world *world, struct str disk, int status, usec_t limit_us)
{
    usec_t end = env_now(world->env) + limit_us;

    while (disk_status(world, disk) != status) {
        if (env_now(world->env) > end)
            fail_msg("%.*s is %d, not %d", STR_ARG(disk), disk_status(world, disk), status);
        world_pass(world, SECONDS(1) / 4);
    }
}

static struct world *open_with_extra(void)
{
    struct world *world = world_open();

    assert_int_equal(store_write(world->store, add_extra, NULL), 0);
    return world;
}

/* Something is on the disk: the guest has come up with it. */
static void write_to(struct world *world, struct str id)
{
    assert_int_equal(world->hv->ops->reset(world->hv, HOST, id, world_instance(world, id)->incarnation), 0);
    world_pass(world, SECONDS(3));
}

static void stop(struct world *world, struct str id, int mode)
{
    assert_int_equal(world_stop(world, id, (struct stop_order){.stopped_mode = mode}), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(30));
}

static int delete_instance(struct world *world, struct str id)
{
    return world_order(world, (struct ordered){.kind = ORDER_DELETE, .id = id, .stop = {.force = true}});
}

/* ── as ordered ── */

static void to_and_from_a_running_instance(void **state)
{
    struct world *world = open_with_extra();
    struct str id = world_launch(world, TYPE);
    struct disk disk;

    (void)state;
    assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), 0);
    assert_int_equal(disk_status(world, EXTRA), DISK_STATUS_ATTACHING);
    assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), -E_DISK_STATUS_ATTACH);
    assert_int_equal(order_disk(world, DISK_DETACH, EXTRA, id), -E_DISK_STATUS_NOW);
    (void)world_settle(world);
    disk = disk_row(world, EXTRA);
    assert_int_equal(disk.status, DISK_STATUS_IN_USE);
    assert_true(str_eq(disk.instance_id, id));
    assert_str(disk.device, "/dev/xvdc");
    assert_int_equal(disk.attached_us, env_now(world->env));
    assert_true(machine_has(world, id, EXTRA));
    assert_int_equal(world_machine(world, id), MACHINE_RUNNING);
    write_to(world, id);
    assert_int_equal(order_disk(world, DISK_DETACH, EXTRA, id), 0);
    assert_int_equal(disk_status(world, EXTRA), DISK_STATUS_DETACHING);
    (void)world_settle(world);
    disk = disk_row(world, EXTRA);
    assert_int_equal(disk.status, DISK_STATUS_AVAILABLE);
    assert_true(str_empty(disk.instance_id) && str_empty(disk.device));
    assert_int_equal(disk.attached_us, 0);
    assert_int_equal(disk.detached_us, env_now(world->env));
    assert_false(machine_has(world, id, EXTRA));
    assert_true(sim_disk_kept(world->sim, EXTRA));
    assert_int_equal(world_machine(world, id), MACHINE_RUNNING);
    assert_int_equal(world_jobs(world, JOB_STATE_DONE), 3); /* the start, too */
    assert_int_equal(world_events(world, id, EVENT_KIND_DISK, "disk d-extra"), 4);
    world_close(world);
}

static void to_and_from_a_stopped_instance(void **state)
{
    struct world *world = open_with_extra();
    struct str id = world_launch(world, TYPE);

    (void)state;
    stop(world, id, STOPPED_MODE_KEEP_CHARGING);
    assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), 0);
    assert_int_equal(disk_status(world, EXTRA), DISK_STATUS_IN_USE);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(30));
    assert_true(machine_has(world, id, EXTRA));
    assert_true(machine_has(world, id, data_of(world, id)));
    assert_true(machine_has(world, id, arena_printf(&world->arena, "d-sys-%.*s", STR_ARG(id))));
    stop(world, id, STOPPED_MODE_KEEP_CHARGING);
    assert_int_equal(order_disk(world, DISK_DETACH, EXTRA, id), 0);
    (void)world_settle(world);
    assert_int_equal(disk_status(world, EXTRA), DISK_STATUS_AVAILABLE);
    assert_false(machine_has(world, id, EXTRA));
    assert_true(sim_disk_kept(world->sim, EXTRA));
    world_close(world);
}

/* Nothing of it is at any host: nobody has to be told. */
static void from_one_that_has_left_its_host(void **state)
{
    struct world *world = open_with_extra();
    struct str id = world_launch(world, TYPE);

    (void)state;
    stop(world, id, STOPPED_MODE_STOP_CHARGING);
    assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), 0);
    assert_int_equal(order_disk(world, DISK_DETACH, data_of(world, id), id), 0);
    assert_int_equal(disk_status(world, EXTRA), DISK_STATUS_IN_USE);
    assert_int_equal(disk_status(world, data_of(world, id)), DISK_STATUS_AVAILABLE);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(30));
    assert_true(machine_has(world, id, EXTRA));
    assert_false(machine_has(world, id, data_of(world, id)));
    world_close(world);
}

static void deleted_for_good(void **state)
{
    struct world *world = open_with_extra();
    struct str id = world_launch(world, TYPE);

    (void)state;
    assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), 0);
    (void)world_settle(world);
    write_to(world, id);
    assert_int_equal(order_disk(world, DISK_DETACH, EXTRA, id), 0);
    (void)world_settle(world);
    assert_true(sim_disk_kept(world->sim, EXTRA));
    assert_int_equal(order_disk(world, DISK_DELETE, EXTRA, STR_NONE), 0);
    assert_int_equal(disk_status(world, EXTRA), GONE);
    (void)world_settle(world);
    assert_false(sim_disk_kept(world->sim, EXTRA));
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    world_close(world);
}

/* ── guests, hosts ── */

static void a_guest_that_holds_on_is_asked_again(void **state)
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    struct str data = data_of(world, id);

    (void)state;
    world_guest(world, id, "hold-disks", "on");
    assert_int_equal(order_disk(world, DISK_DETACH, data, id), 0);
    world_pass(world, SECONDS(600));
    assert_int_equal(disk_status(world, data), DISK_STATUS_DETACHING);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_RUNNING);
    assert_true(machine_has(world, id, data));
    world_guest(world, id, "hold-disks", "off");
    await_disk(world, data, DISK_STATUS_AVAILABLE, SECONDS(2));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_RUNNING);
    world_close(world);
}

static void the_detach_ends_with_the_machine(void **state)
{
    static const char *const ends[] = {"poweroff", "crash"};

    (void)state;
    for (size_t i = 0; i < countof(ends); i++) {
        struct world *world = world_open();
        struct str id = world_launch(world, TYPE);
        struct str data = data_of(world, id);

        world_guest(world, id, "hold-disks", "on");
        assert_int_equal(order_disk(world, DISK_DETACH, data, id), 0);
        world_pass(world, SECONDS(5));
        world_guest(world, id, ends[i], "");
        world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(10));
        await_disk(world, data, DISK_STATUS_AVAILABLE, SECONDS(2));
        assert_false(machine_has(world, id, data));
        assert_true(sim_disk_kept(world->sim, data));
        world_close(world);
    }
}

/* Nothing tells the engine of the end: that the host knows no such living machine is the hint. */
static void the_end_is_found_without_an_event(void **state)
{
    struct world *world = open_with_extra();
    struct str id = world_launch(world, TYPE);

    (void)state;
    world_host(world, "drop-events", "1");
    world_guest(world, id, "crash", "");
    assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(3));
    await_disk(world, EXTRA, DISK_STATUS_IN_USE, SECONDS(2));
    world_close(world);
}

static void a_silent_host_holds_up_its_own(void **state)
{
    struct world *world = open_with_extra();
    struct str id = world_launch(world, TYPE);
    struct str data = data_of(world, id);
    struct tx *tx;
    struct job_list jobs;

    (void)state;
    world_host(world, "state", "down");
    assert_int_equal(order_disk(world, DISK_DETACH, data, id), 0);
    world_pass(world, SECONDS(100));
    assert_int_equal(disk_status(world, data), DISK_STATUS_DETACHING);
    tx = store_read_begin(world->store);
    assert_int_equal(store_job_find(tx, JOB_STATE_ACTIVE, 0, 10, &jobs), 0);
    assert_int_equal(jobs.count, 1);
    assert_str(jobs.items[0].error, "can't detach a disk: the host does not answer");
    store_read_end(tx);
    assert_int_equal(order_disk(world, DISK_DELETE, EXTRA, STR_NONE), 0); /* no machine has it: no host is asked */
    (void)world_settle(world);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 1);
    world_host(world, "state", "up");
    await_disk(world, data, DISK_STATUS_AVAILABLE, SECONDS(10));
    world_close(world);
}

/* What waiting doesn't change ends the job, and the disk is what it was. */
static void a_refusal_takes_it_back(void **state)
{
    static const enum error_code errors[] = {E_UNSUPPORTED_OPERATION, E_LIMIT, E_INVALID};

    (void)state;
    for (size_t i = 0; i < countof(errors); i++) {
        struct fault_plan plan = {.nth = 1, .error = errors[i]};
        struct world *world = open_with_extra();
        struct str id = world_launch(world, TYPE);
        struct disk disk;

        fault_arm(world->hv, &plan);
        assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), 0);
        (void)world_settle(world);
        assert_int_equal(fault_failed(world->hv), 1);
        disk = disk_row(world, EXTRA);
        assert_int_equal(disk.status, DISK_STATUS_AVAILABLE);
        assert_true(str_empty(disk.instance_id) && str_empty(disk.device));
        fault_arm(world->hv, &plan);
        assert_int_equal(order_disk(world, DISK_DETACH, data_of(world, id), id), 0);
        (void)world_settle(world);
        assert_int_equal(fault_failed(world->hv), 1);
        assert_int_equal(disk_status(world, data_of(world, id)), DISK_STATUS_IN_USE);
        assert_int_equal(world_jobs(world, JOB_STATE_FAILED), 2);
        assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
        world_close(world);
    }
}

/* The rows are from an older copy: a machine has the disk that they don't know of (docs/OPERATIONS.md). */
static void one_that_another_machine_has(void **state)
{
    struct world *world = open_with_extra();
    struct str id = world_launch(world, TYPE);
    struct str other = world_launch(world, TYPE);
    const struct machine_disk disk = {.id = EXTRA, .device = STR("/dev/xvdc"), .size_gib = 20};

    (void)state;
    assert_int_equal(world->hv->ops->disk_attach(world->hv, HOST, other, 1, &disk, NULL), 0);
    assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), 0);
    world_pass(world, SECONDS(30));
    assert_int_equal(disk_status(world, EXTRA), DISK_STATUS_ATTACHING);
    assert_false(machine_has(world, id, EXTRA));
    assert_int_equal(order_disk(world, DISK_SET_IN_USE, EXTRA, STR_NONE), 0);
    assert_int_equal(order_disk(world, DISK_DETACH, EXTRA, id), 0);
    world_pass(world, SECONDS(30));
    assert_int_equal(disk_status(world, EXTRA), DISK_STATUS_AVAILABLE);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    world_guest(world, other, "poweroff", "");
    world_await(world, other, INSTANCE_STATE_STOPPED, SECONDS(10));
    assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), 0);
    (void)world_settle(world);
    assert_true(machine_has(world, id, EXTRA));
    assert_false(machine_has(world, other, EXTRA));
    world_close(world);
}

/* ── the instance goes meanwhile ── */

/* It was asked for before the release: it stays, whatever the disk's own word is. */
static void released_while_it_is_detached(void **state)
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    struct str data = data_of(world, id);

    (void)state;
    assert_int_equal(order_disk(world, DISK_GOES_WITH_IT, data, STR_NONE), 0);
    world_guest(world, id, "hold-disks", "on");
    assert_int_equal(order_disk(world, DISK_DETACH, data, id), 0);
    world_pass(world, SECONDS(3));
    assert_int_equal(delete_instance(world, id), 0);
    world_await(world, id, -1, SECONDS(30));
    assert_int_equal(disk_status(world, data), DISK_STATUS_AVAILABLE);
    world_pass(world, SECONDS(5));
    assert_true(sim_disk_kept(world->sim, data));
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    world_close(world);
}

static void released_while_it_is_attached(void **state)
{
    (void)state;
    for (int goes = 0; goes < 2; goes++) {
        struct world *world = open_with_extra();
        struct str id = world_launch(world, TYPE);

        world_host(world, "state", "down");
        assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), 0);
        if (goes)
            assert_int_equal(order_disk(world, DISK_GOES_WITH_IT, EXTRA, STR_NONE), 0);
        world_pass(world, SECONDS(3));
        assert_int_equal(delete_instance(world, id), 0);
        world_pass(world, SECONDS(3));
        assert_int_equal(disk_status(world, EXTRA), DISK_STATUS_ATTACHING);
        world_host(world, "state", "up");
        world_await(world, id, -1, SECONDS(30));
        assert_int_equal(disk_status(world, EXTRA), goes ? GONE : DISK_STATUS_AVAILABLE);
        world_pass(world, SECONDS(5));
        assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
        world_close(world);
    }
}

/* A stopped instance goes at once; its disk is free for others only when its machine has left the host. */
static void available_means_that_no_host_has_it(void **state)
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    struct str other = world_launch(world, TYPE);
    struct str data = data_of(world, id);

    (void)state;
    stop(world, id, STOPPED_MODE_KEEP_CHARGING);
    world_host(world, "state", "down");
    assert_int_equal(delete_instance(world, id), 0);
    assert_int_equal(world_state(world, id), -1);
    world_pass(world, SECONDS(60));
    assert_int_equal(disk_status(world, data), DISK_STATUS_DETACHING);
    assert_int_equal(order_disk(world, DISK_ATTACH, data, other), -E_DISK_STATUS_ATTACH);
    assert_int_equal(order_disk(world, DISK_DELETE, data, STR_NONE), -E_DISK_STATUS_NOW);
    world_kill(world);
    world_up(world);
    assert_int_equal(disk_status(world, data), DISK_STATUS_DETACHING);
    world_host(world, "state", "up");
    await_disk(world, data, DISK_STATUS_AVAILABLE, SECONDS(20));
    assert_true(sim_disk_kept(world->sim, data));
    assert_int_equal(order_disk(world, DISK_ATTACH, data, other), 0);
    (void)world_settle(world);
    assert_true(machine_has(world, other, data));
    world_close(world);
}

/* The row's incarnation goes on by so many, as an order to start would have it. */
struct bump {
    struct write write;
    struct str id;
    int64_t by;
};

static int bump_run(struct tx *tx, struct write *write)
{
    struct bump *bump = container_of(write, struct bump, write);
    struct instance *inst;
    int r;

    r = store_instance_get_hot(tx, bump->id, &inst);
    if (r < 0)
        return r;
    inst->incarnation += bump->by;
    return store_instance_save(tx, inst);
}

static void bump_done(struct write *write, int result)
{
    (void)write;
    assert_int_equal(result, 0);
}

/* What a machine has let go of may be in the definition of the next: a restored store can start one in between. */
static void a_start_in_between_asks_again(void **state)
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    struct str data = data_of(world, id);
    struct bump bump = {.write = {.run = bump_run, .done = bump_done}, .id = id, .by = 1};

    (void)state;
    assert_int_equal(order_disk(world, DISK_DETACH, data, id), 0);
    assert_int_equal(store_submit(world->store, &bump.write), 0);
    (void)engine_run_due(world->engine); /* sees the row as it was; its record comes after the other write */
    assert_false(machine_has(world, id, data));
    (void)store_run_once(world->store);
    assert_int_equal(disk_status(world, data), DISK_STATUS_DETACHING);
    bump.by = -1;
    assert_int_equal(store_submit(world->store, &bump.write), 0);
    (void)store_run_once(world->store);
    await_disk(world, data, DISK_STATUS_AVAILABLE, SECONDS(3));
    world_close(world);
}

/* ── any call fails, any moment is the last ── */

struct story {
    const char *name;
    struct str (*begin)(struct world *world); /* returns the instance; the order is given */
    struct str (*disk)(struct world *world, struct str id);
    int end_status;
    bool released;
};

static struct str extra_of(struct world *world, struct str id)
{
    (void)world;
    (void)id;
    return EXTRA;
}

static struct str begin_attach(struct world *world)
{
    struct str id = world_launch(world, TYPE);

    assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), 0);
    return id;
}

static struct str begin_detach(struct world *world)
{
    struct str id = world_launch(world, TYPE);

    assert_int_equal(order_disk(world, DISK_DETACH, data_of(world, id), id), 0);
    return id;
}

static struct str begin_cold_detach(struct world *world)
{
    struct str id = world_launch(world, TYPE);

    stop(world, id, STOPPED_MODE_KEEP_CHARGING);
    assert_int_equal(order_disk(world, DISK_DETACH, data_of(world, id), id), 0);
    return id;
}

static struct str begin_delete(struct world *world)
{
    struct str id = begin_attach(world);

    (void)world_settle(world);
    write_to(world, id);
    assert_int_equal(order_disk(world, DISK_DETACH, EXTRA, id), 0);
    (void)world_settle(world);
    assert_true(sim_disk_kept(world->sim, EXTRA));
    assert_int_equal(order_disk(world, DISK_DELETE, EXTRA, id), 0);
    return id;
}

static struct str begin_release(struct world *world)
{
    struct str id = begin_detach(world);

    assert_int_equal(delete_instance(world, id), 0);
    return id;
}

static struct str begin_release_stopped(struct world *world)
{
    struct str id = world_launch(world, TYPE);

    stop(world, id, STOPPED_MODE_KEEP_CHARGING);
    assert_int_equal(delete_instance(world, id), 0);
    return id;
}

static const struct story stories[] = {
    {"attach", begin_attach, extra_of, DISK_STATUS_IN_USE, false},
    {"detach", begin_detach, data_of, DISK_STATUS_AVAILABLE, false},
    {"detach from a stopped one", begin_cold_detach, data_of, DISK_STATUS_AVAILABLE, false},
    {"delete", begin_delete, extra_of, GONE, false},
    {"detach and release", begin_release, data_of, DISK_STATUS_AVAILABLE, true},
    {"release", begin_release_stopped, data_of, DISK_STATUS_AVAILABLE, true},
};

static bool is_over(struct world *world, const struct story *story, struct str id)
{
    return disk_status(world, story->disk(world, id)) == story->end_status && world_jobs(world, JOB_STATE_ACTIVE) == 0 &&
           story->released == (world_state(world, id) == -1);
}

/* The machine has the disk exactly when the row says so, and what is on it is there or gone. */
static void check_end(struct world *world, const struct story *story, struct str id)
{
    struct str disk = story->disk(world, id);

    world_pass(world, SECONDS(70)); /* leases, reconciliation: nothing of it may change the end */
    assert_true(is_over(world, story, id));
    assert_int_equal(machine_has(world, id, disk), story->end_status == DISK_STATUS_IN_USE);
    assert_int_equal(sim_disk_kept(world->sim, disk), story->end_status == DISK_STATUS_AVAILABLE);
    if (!story->released) /* a detach that finds its instance gone has nothing left to do */
        assert_int_equal(world_jobs(world, JOB_STATE_FAILED), 0);
}

#define WITHIN SECONDS(60)

/* Lets time pass until the end; store faults are armed only while engine and store work. True: one was met. */
static bool await_end(struct world *world, const struct story *story, struct str id, int64_t store_at)
{
    usec_t end = env_now(world->env) + WITHIN;
    bool hit = false;

    while (!is_over(world, story, id)) {
        usec_t next, now;

        next = faulty_settle(world, &store_at, &hit);
        now = env_now(world->env);
        if (now >= end)
            fail_msg("%s: the disk is %d", story->name, disk_status(world, story->disk(world, id)));
        env_advance(world->env, MIN_OF(MAX_OF(next, now + 1), end) - now);
    }
    return hit;
}

static bool play(const struct story *story, const struct fault_plan *plan, int64_t store_at)
{
    struct world *world = open_with_extra();
    struct str id = story->begin(world);
    bool hit;

    fault_arm(world->hv, plan);
    hit = await_end(world, story, id, store_at);
    hit = hit || fault_failed(world->hv) > 0;
    fault_arm(world->hv, NULL);
    check_end(world, story, id);
    world_close(world);
    return hit;
}

static void hypervisor_fails(void **state)
{
    static const enum error_code errors[] = {E_UNREACHABLE, E_TIMEOUT};
    const struct story *story = *state;
    int points = 0;

    for (size_t e = 0; e < countof(errors); e++) {
        for (int after = 0; after < 2; after++) {
            struct fault_plan plan = {.nth = 1, .after = after == 1, .error = errors[e]};

            for (; play(story, &plan, 0); plan.nth += POINT_STRIDE, points += POINT_STRIDE)
                assert_true(plan.nth < 200);
        }
    }
    print_message("%s: %d failures of the hypervisor\n", story->name, points);
    assert_true(points >= 4);
}

static void store_fails(void **state)
{
    const struct story *story = *state;
    int64_t at = 1;

    while (play(story, NULL, at)) {
        at += POINT_STRIDE;
        assert_true(at < 2000);
    }
    print_message("%s: %d failures of the store\n", story->name, (int)at - 1);
    assert_true(at > 4);
}

/* As many half rounds: the engine acts and hands its writes over; the store commits them. */
static bool run_halves(struct world *world, const struct story *story, struct str id, int halves)
{
    for (int i = 0; i < halves; i++) {
        usec_t now = env_now(world->env);
        usec_t next = sim_advance(world->sim);

        if (i % 2 == 0) {
            next = MIN_OF(next, engine_run_due(world->engine));
            if (store_queue_length(world->store) == 0 && next > now)
                env_advance(world->env, MIN_OF(next, now + SECONDS(1)) - now);
        } else if (store_run_once(world->store) > 0 && is_over(world, story, id)) {
            return true;
        }
    }
    return false;
}

static void killed_everywhere(void **state)
{
    const struct story *story = *state;
    bool over = false;
    int halves = 0;

    for (; !over; halves++) {
        struct world *world = open_with_extra();
        struct str id = story->begin(world);

        over = run_halves(world, story, id, halves);
        world_kill(world);
        world_up(world);
        (void)await_end(world, story, id, 0);
        check_end(world, story, id);
        world_close(world);
        assert_true(halves < 1000);
    }
    print_message("%s: killed at %d points\n", story->name, halves);
}

int main(void)
{
    static const struct CMUnitTest singles[] = {
        cmocka_unit_test(to_and_from_a_running_instance),
        cmocka_unit_test(to_and_from_a_stopped_instance),
        cmocka_unit_test(from_one_that_has_left_its_host),
        cmocka_unit_test(deleted_for_good),
        cmocka_unit_test(a_guest_that_holds_on_is_asked_again),
        cmocka_unit_test(the_detach_ends_with_the_machine),
        cmocka_unit_test(the_end_is_found_without_an_event),
        cmocka_unit_test(a_silent_host_holds_up_its_own),
        cmocka_unit_test(a_refusal_takes_it_back),
        cmocka_unit_test(one_that_another_machine_has),
        cmocka_unit_test(released_while_it_is_detached),
        cmocka_unit_test(released_while_it_is_attached),
        cmocka_unit_test(available_means_that_no_host_has_it),
        cmocka_unit_test(a_start_in_between_asks_again),
    };
    struct CMUnitTest tests[3 * countof(stories)];
    int failed;

    for (size_t i = 0; i < countof(stories); i++) {
        void *story = (void *)(uintptr_t)&stories[i];

        tests[3 * i] = (struct CMUnitTest){stories[i].name, hypervisor_fails, NULL, NULL, story};
        tests[3 * i + 1] = (struct CMUnitTest){stories[i].name, store_fails, NULL, NULL, story};
        tests[3 * i + 2] = (struct CMUnitTest){stories[i].name, killed_everywhere, NULL, NULL, story};
    }
    log_threshold = (enum log_level)0; /* failures are what it is about */
    failed = cmocka_run_group_tests(singles, NULL, NULL);
    return failed + cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
