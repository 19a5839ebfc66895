/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RedeployInstance over two hosts: the machine leaves one and starts at the other. Killed at every point and with every
 * call failing once: whatever happens, one machine at most lives, and it ends as ordered.
 */
#include "unit/engine_faulty.h"

#define ONE STR("host-1")
#define TWO STR("host-2")

static const struct stop_order graceful = {0};
static const struct stop_order forced = {.force = true};
static const struct stop_order economical = {.stopped_mode = STOPPED_MODE_STOP_CHARGING};

static struct world *open_two(void)
{
    struct world *world = world_open();
    struct str id = TWO;

    assert_int_equal(store_write(world->store, add_host, &id), 0);
    world_pass(world, SECONDS(6)); /* the engine looks at the table of hosts */
    return world;
}

static int fill(struct tx *tx, void *arg)
{
    struct str *id = arg;
    struct host *host;
    int r = store_host_get(tx, *id, &host);

    return r < 0 ? r : store_host_reserve(tx, *id, host->vcpus - host->used_vcpus, 0);
}

static void fill_host(struct world *world, struct str id)
{
    assert_int_equal(store_write(world->store, fill, &id), 0);
}

static void tell_host(struct world *world, struct str id, const char *name, const char *value)
{
    assert_int_equal(world->hv->ops->simulate(world->hv, id, STR_NONE, str_from(name), str_from(value), &world->fail), 0);
}

static int redeploy(struct world *world, struct str id, struct stop_order how)
{
    return world_order(world, (struct ordered){.kind = ORDER_REDEPLOY, .id = id, .stop = how});
}

static void stop(struct world *world, struct str id, struct stop_order how)
{
    assert_int_equal(world_stop(world, id, how), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(10));
}

static struct machine_status machine_at(struct world *world, struct str host_id, struct str id)
{
    struct machine_status status = {0};

    /* Around what a test makes fail. */
    assert_int_equal(world->sim->ops->probe(world->sim, host_id, id, &status), 0);
    return status;
}

static bool alive(const struct machine_status *status)
{
    return status->state != MACHINE_ABSENT && status->state != MACHINE_OFF;
}

static void check_one_lives(struct world *world, struct str id)
{
    struct machine_status one = machine_at(world, ONE, id);
    struct machine_status two = machine_at(world, TWO, id);

    assert_false(alive(&one) && alive(&two));
}

/* "d-sys-" before the instance's id, "-local-0" after it. */
static struct sim_disk disk_of(struct world *world, struct str host_id, struct str id, const char *before, const char *after)
{
    struct str disk_id = arena_printf(&world->arena, "%s%.*s%s", before, STR_ARG(id), after);
    struct sim_disk disk;

    assert_int_equal(sim_disk_state(world->sim, host_id, id, disk_id, &disk), 0);
    return disk;
}

/* Running at `host_id` and nowhere else, with the room charged there. */
static void check_running_at(struct world *world, struct str host_id, struct str id)
{
    struct str other = str_eq(host_id, ONE) ? TWO : ONE;
    struct instance *inst = world_instance(world, id);
    struct machine_status status = machine_at(world, host_id, id);

    assert_int_equal(inst->state, INSTANCE_STATE_RUNNING);
    assert_int_equal(inst->job_id, 0);
    assert_false(inst->reinit_local);
    assert_true(str_eq(inst->host_id, host_id));
    assert_int_equal(status.state, MACHINE_RUNNING);
    assert_int_equal(status.incarnation, inst->incarnation);
    assert_int_equal(machine_at(world, other, id).state, MACHINE_ABSENT);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    world_check_segments(world, id, BILLING_MODE_RUNNING);
}

static struct str job_error(struct world *world)
{
    struct tx *tx = store_read_begin(world->store);
    struct job_list jobs;
    struct str error;

    assert_int_equal(store_job_find(tx, JOB_STATE_ACTIVE, 0, 10, &jobs), 0);
    assert_int_equal(jobs.count, 1);
    error = arena_str(&world->arena, jobs.items[0].error);
    store_read_end(tx);
    return error;
}

static void a_running_one_moves(void **arg)
{
    struct world *world = open_two();
    struct str id = world_launch(world, "ecs.g6.large");
    struct instance *before = world_instance(world, id);
    struct instance *after;

    (void)arg;
    assert_str(before->host_id, "host-1");
    assert_int_equal(redeploy(world, id, graceful), 0);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    world_await(world, id, INSTANCE_STATE_STARTING, SECONDS(4));
    assert_int_equal(machine_at(world, ONE, id).state, MACHINE_ABSENT);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(3));
    check_running_at(world, TWO, id);
    after = world_instance(world, id);
    assert_int_equal(after->incarnation, 2);
    assert_true(str_eq(after->public_ip, before->public_ip));
    assert_true(str_eq(after->private_ip, before->private_ip));
    assert_int_equal(world_host_row(world, ONE).used_vcpus, 0);
    assert_int_equal(world_host_row(world, ONE).used_memory_mib, 0);
    assert_int_equal(world_host_row(world, TWO).used_vcpus, 2);
    assert_int_equal(world_events(world, id, EVENT_KIND_HOST, "redeployed"), 1);
    assert_int_equal(world_system_events(world, id, "SystemFailure.Stop"), 0);
    /* and its life goes on there */
    stop(world, id, graceful);
    assert_int_equal(machine_at(world, TWO, id).state, MACHINE_OFF);
    world_close(world);
}

static void a_stopped_one_moves_and_starts(void **arg)
{
    struct world *world = open_two();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    stop(world, id, graceful);
    assert_int_equal(redeploy(world, id, graceful), 0);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STARTING);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(3));
    check_running_at(world, TWO, id);
    world_close(world);
}

/* Nothing is reserved for it: it is placed as at a start, and takes its turn at the addresses. */
static void an_economical_one_is_placed_anew(void **arg)
{
    struct world *world = open_two();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    stop(world, id, economical);
    fill_host(world, ONE);
    assert_int_equal(redeploy(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(3));
    check_running_at(world, TWO, id);
    assert_false(str_empty(world_instance(world, id)->public_ip));
    stop(world, id, economical);
    fill_host(world, TWO);
    assert_int_equal(redeploy(world, id, graceful), -E_NO_STOCK);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPED);
    assert_true(str_empty(world_instance(world, id)->host_id));
    world_check_segments(world, id, BILLING_MODE_FREE);
    world_close(world);
}

static void local_disks_are_blank_and_cloud_disks_stay(void **arg)
{
    struct world *world = open_two();
    struct str id = world_launch(world, "ecs.i2.xlarge");

    (void)arg;
    stop(world, id, graceful);
    assert_int_equal(disk_of(world, ONE, id, "", "-local-0").durable, 2); /* a boot's, and what it left in the cache */
    assert_int_equal(redeploy(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(3));
    check_running_at(world, TWO, id);
    assert_int_equal(disk_of(world, TWO, id, "", "-local-0").durable, 1);
    assert_int_equal(disk_of(world, TWO, id, "d-sys-", "").durable, 3);
    assert_int_equal(disk_of(world, TWO, id, "d-data-", "").durable, 3);
    world_close(world);
}

static void without_room_elsewhere_it_stays(void **arg)
{
    struct world *world = open_two();
    struct str id = world_launch(world, "ecs.i1.xlarge");
    struct host before = world_host_row(world, ONE);

    (void)arg;
    fill_host(world, TWO);
    assert_int_equal(redeploy(world, id, graceful), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(7));
    check_running_at(world, ONE, id);
    assert_int_equal(world_host_row(world, ONE).used_vcpus, before.used_vcpus);
    assert_int_equal(world_host_row(world, ONE).used_memory_mib, before.used_memory_mib);
    assert_int_equal(disk_of(world, ONE, id, "", "-local-0").durable, 1);
    assert_int_equal(disk_of(world, ONE, id, "d-sys-", "").durable, 3);
    world_close(world);
}

static void force_is_a_power_cut(void **arg)
{
    struct world *world = open_two();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(redeploy(world, id, forced), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(3));
    check_running_at(world, TWO, id);
    assert_true(disk_of(world, TWO, id, "d-sys-", "").lost > 0);
    assert_int_equal(world_events(world, id, EVENT_KIND_ESCALATE, ""), 0);
    world_close(world);
}

static void a_deaf_guest_is_cut_at_the_deadline(void **arg)
{
    struct world *world = open_two();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(redeploy(world, id, graceful), 0);
    world_pass(world, SECONDS(299));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(5));
    check_running_at(world, TWO, id);
    assert_int_equal(world_events(world, id, EVENT_KIND_ESCALATE, "the guest did not"), 1);
    world_close(world);
}

/* It may live there: nothing of it starts elsewhere before that host has answered. */
static void a_silent_host_is_waited_for(void **arg)
{
    struct world *world = open_two();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    tell_host(world, ONE, "state", "down");
    assert_int_equal(redeploy(world, id, forced), 0);
    world_pass(world, SECONDS(2000));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    assert_int_equal(machine_at(world, TWO, id).state, MACHINE_ABSENT);
    assert_true(str_contains(job_error(world), STR("the host does not answer")));
    tell_host(world, ONE, "state", "up");
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(40)); /* late, and with all its time to boot */
    check_running_at(world, TWO, id);
    world_close(world);
}

static void a_silent_new_host_leaves_starting(void **arg)
{
    struct world *world = open_two();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    tell_host(world, TWO, "state", "down");
    assert_int_equal(redeploy(world, id, graceful), 0);
    world_pass(world, SECONDS(400));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STARTING);
    assert_str(world_instance(world, id)->host_id, "host-2");
    assert_true(str_contains(job_error(world), STR("the host does not answer")));
    world_kill(world);
    world_up(world);
    tell_host(world, TWO, "state", "up");
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(40));
    check_running_at(world, TWO, id);
    world_close(world);
}

/* The time to boot is counted from Starting, also by a daemon that came later. */
static void what_does_not_boot_there_is_stopped(void **arg)
{
    struct world *world = open_two();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    tell_host(world, TWO, "state", "down");
    assert_int_equal(redeploy(world, id, forced), 0);
    world_await(world, id, INSTANCE_STATE_STARTING, SECONDS(2));
    world_pass(world, SECONDS(300));
    world_kill(world);
    world_up(world);
    world_pass(world, SECONDS(290));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STARTING);
    world_pass(world, SECONDS(20));
    tell_host(world, TWO, "state", "up");
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(40));
    assert_str(world_instance(world, id)->host_id, "host-2");
    assert_int_equal(machine_at(world, TWO, id).state, MACHINE_ABSENT);
    assert_int_equal(world_system_events(world, id, "InstanceFailure.Reboot"), 1);
    world_check_segments(world, id, BILLING_MODE_KEPT);
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(5));
    check_running_at(world, TWO, id);
    world_close(world);
}

static void nothing_else_meanwhile(void **arg)
{
    struct world *world = open_two();
    struct str id = world_launch(world, "ecs.g6.large");

    (void)arg;
    world_set(world, "stop.force_overtakes", "true");
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(redeploy(world, id, graceful), 0);
    assert_int_equal(redeploy(world, id, forced), -E_INSTANCE_STATUS);
    assert_int_equal(world_stop(world, id, forced), -E_INSTANCE_STATUS); /* it would not end in Stopped */
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_DELETE, .id = id}), -E_INSTANCE_STATUS);
    world_pass(world, SECONDS(200));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(110));
    world_close(world);
}

/* ── killed, and with failing calls ── */

struct story {
    const char *name;
    const char *type;
    struct stop_order how;
    bool stopped; /* before the order */
    bool full;    /* the other host has no room */
};

static const struct story stories[] = {
    {"running", "ecs.i2.xlarge", {0}, false, false},
    {"forced", "ecs.g6.large", {.force = true}, false, false},
    {"stopped", "ecs.i2.xlarge", {0}, true, false},
    {"stays", "ecs.i2.xlarge", {0}, false, true},
};

/* With failing calls, too: the calls of the others are among those of these two. */
static const size_t failing[] = {0, 2};

static struct world *begin_story(const struct story *story, struct str *ret_id)
{
    struct world *world = open_two();
    struct str id = world_launch(world, story->type);

    if (story->stopped)
        stop(world, id, graceful);
    if (story->full)
        fill_host(world, TWO);
    assert_int_equal(redeploy(world, id, story->how), 0);
    *ret_id = id;
    return world;
}

static void end_story(const struct story *story, struct world *world, struct str id)
{
    bool local = strcmp(story->type, "ecs.i2.xlarge") == 0;
    struct str host_id = story->full ? ONE : TWO;

    world_pass(world, SECONDS(70)); /* leases, reconciliation: nothing of it may change the end */
    check_running_at(world, host_id, id);
    if (!story->full)
        assert_int_equal(world_host_row(world, ONE).used_vcpus, 0);
    assert_true(world_host_row(world, host_id).used_vcpus > 0);
    assert_int_equal(world_events(world, id, EVENT_KIND_HOST, "redeployed"), 1);
    assert_int_equal(world_events(world, id, EVENT_KIND_STATE, ""), story->stopped ? 7 : 6);
    if (local)
        assert_int_equal(disk_of(world, host_id, id, "", "-local-0").durable, 1);
}

/* Odd half rounds kill between an act and its record. True: the story was over before. */
static bool run_halves(struct world *world, struct str id, int halves)
{
    for (int i = 0; i < halves; i++) {
        usec_t now = env_now(world->env);
        usec_t next = sim_advance(world->sim);

        if (i % 2 == 0) {
            next = MIN_OF(next, engine_run_due(world->engine));
            if (store_queue_length(world->store) == 0 && next > now)
                env_advance(world->env, MIN_OF(next, now + SECONDS(1)) - now);
        } else {
            (void)store_run_once(world->store);
        }
        check_one_lives(world, id);
        if (world_state(world, id) == INSTANCE_STATE_RUNNING)
            return true;
    }
    return false;
}

static void killed_everywhere(void **state)
{
    const struct story *story = *state;
    bool over = false;
    int halves;

    for (halves = 0; !over; halves++) {
        struct str id;
        struct world *world = begin_story(story, &id);

        over = run_halves(world, id, halves);
        world_kill(world);
        world_up(world);
        check_one_lives(world, id);
        world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
        end_story(story, world, id);
        world_close(world);
        assert_true(halves < 500);
    }
    print_message("%s: killed at %d points\n", story->name, halves);
    assert_true(halves > 8);
}

static void killed_repeatedly(void **state)
{
    const struct story *story = *state;
    struct str id;
    struct world *world = begin_story(story, &id);
    bool over = false;

    for (int kills = 0; kills < 15 && !over; kills++) {
        over = run_halves(world, id, (int)(env_random_u64(world->env) % 12));
        world_kill(world);
        world_up(world);
    }
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(120));
    end_story(story, world, id);
    world_close(world);
}

/* True: the failure was met. */
static bool play(const struct story *story, const struct fault_plan *plan, int64_t store_at)
{
    struct str id;
    struct world *world = begin_story(story, &id);
    usec_t end = env_now(world->env) + SECONDS(60);
    bool hit = false;

    fault_arm(world->hv, plan);
    while (world_state(world, id) != INSTANCE_STATE_RUNNING || world_jobs(world, JOB_STATE_ACTIVE) > 0) {
        usec_t next;
        usec_t now;

        next = faulty_settle(world, &store_at, &hit);
        check_one_lives(world, id);
        now = env_now(world->env);
        assert_true(now < end);
        env_advance(world->env, MIN_OF(MAX_OF(next, now + 1), end) - now);
    }
    hit = hit || fault_failed(world->hv) > 0;
    fault_arm(world->hv, NULL);
    end_story(story, world, id);
    world_close(world);
    return hit;
}

static void hypervisor_fails(void **state)
{
    static const enum error_code errors[] = {E_UNREACHABLE, E_TIMEOUT};
    const struct story *story = *state;
    int64_t points = 0;

    for (size_t e = 0; e < countof(errors); e++) {
        for (int after = 0; after < 2; after++) {
            struct fault_plan plan = {.nth = 1, .after = after == 1, .error = errors[e]};

            for (; play(story, &plan, 0); plan.nth += POINT_STRIDE, points += POINT_STRIDE)
                assert_true(plan.nth < 200);
        }
    }
    print_message("%s: %d failures of the hypervisor\n", story->name, (int)points);
    assert_true(points > 4);
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
    assert_true(at > 10);
}

/* ── an older copy of the store ── */

/* The copy is from the middle of a redeploy that had ended when it was put back; `full`: at the same host. */
static void put_back(bool full, bool off)
{
    struct story story = {"put back", "ecs.g6.large", {0}, false, full};
    struct str id;
    struct world *world = begin_story(&story, &id);
    struct str host_id = full ? ONE : TWO;

    world_kill(world);
    world_copy_file(world, "ecsd.db", "backup");
    world_up(world);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(10));
    if (off)
        stop(world, id, graceful);
    world_kill(world);
    world_copy_file(world, "backup", "ecsd.db");
    world_up(world);
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPING);
    for (int i = 0; i < 100; i++) {
        world_pass(world, SECONDS(1));
        check_one_lives(world, id);
    }
    check_running_at(world, host_id, id);
    assert_true(machine_at(world, host_id, id).incarnation >= 2);
    world_close(world);
}

static void an_older_store_is_put_back(void **arg)
{
    (void)arg;
    put_back(false, false);
    put_back(true, false);
    put_back(true, true);
}

int main(void)
{
    const struct CMUnitTest once[] = {
        cmocka_unit_test(a_running_one_moves),
        cmocka_unit_test(a_stopped_one_moves_and_starts),
        cmocka_unit_test(an_economical_one_is_placed_anew),
        cmocka_unit_test(local_disks_are_blank_and_cloud_disks_stay),
        cmocka_unit_test(without_room_elsewhere_it_stays),
        cmocka_unit_test(force_is_a_power_cut),
        cmocka_unit_test(a_deaf_guest_is_cut_at_the_deadline),
        cmocka_unit_test(a_silent_host_is_waited_for),
        cmocka_unit_test(a_silent_new_host_leaves_starting),
        cmocka_unit_test(what_does_not_boot_there_is_stopped),
        cmocka_unit_test(nothing_else_meanwhile),
        cmocka_unit_test(an_older_store_is_put_back),
    };
    struct CMUnitTest kills[2 * countof(stories)];
    struct CMUnitTest failures[2 * countof(failing)];
    int failed;

    for (size_t i = 0; i < countof(stories); i++) {
        void *story = (void *)(uintptr_t)&stories[i];

        kills[2 * i] = (struct CMUnitTest){stories[i].name, killed_everywhere, NULL, NULL, story};
        kills[2 * i + 1] = (struct CMUnitTest){stories[i].name, killed_repeatedly, NULL, NULL, story};
    }
    for (size_t i = 0; i < countof(failing); i++) {
        void *story = (void *)(uintptr_t)&stories[failing[i]];

        failures[2 * i] = (struct CMUnitTest){stories[failing[i]].name, hypervisor_fails, NULL, NULL, story};
        failures[2 * i + 1] = (struct CMUnitTest){stories[failing[i]].name, store_fails, NULL, NULL, story};
    }
    log_threshold = (enum log_level)0; /* failures are what it is about */
    failed = cmocka_run_group_tests(once, NULL, NULL);
    failed += cmocka_run_group_tests(kills, NULL, NULL);
    return failed + cmocka_run_group_tests(failures, NULL, NULL);
}
