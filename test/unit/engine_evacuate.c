/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stopped instances leave a host for another one and stay Stopped. Killed at every point and with every call failing once:
 * each ends at one of the two hosts, with its room charged there and nowhere else, its disks whole, and able to start.
 */
#include "model/disk.h"
#include "unit/engine_faulty.h"

#define ONE STR("host-1")
#define TWO STR("host-2")

static const struct stop_order graceful = {0};
static const struct stop_order economical = {.stopped_mode = STOPPED_MODE_STOP_CHARGING};

static int drain(struct tx *tx, void *arg)
{
    struct host *host;
    int r = store_host_get(tx, ONE, &host);

    (void)arg;
    if (r < 0)
        return r;
    host->state = HOST_STATE_DRAINING;
    return store_host_save(tx, host);
}

/* host-1, with what a test launches; host-2 is added when that is done. */
static void open_second(struct world *world)
{
    struct str id = TWO;

    assert_int_equal(store_write(world->store, drain, NULL), 0);
    assert_int_equal(store_write(world->store, add_host, &id), 0);
    world_pass(world, SECONDS(6)); /* the engine looks at the table of hosts */
}

static int fill(struct tx *tx, void *arg)
{
    struct host *host;
    int64_t *left = arg; /* vCPUs of host-2 */
    int r = store_host_get(tx, TWO, &host);

    return r < 0 ? r : store_host_reserve(tx, TWO, host->vcpus - host->used_vcpus - *left, 0);
}

static void leave_room(struct world *world, int64_t vcpus)
{
    assert_int_equal(store_write(world->store, fill, &vcpus), 0);
}

static void tell_host(struct world *world, struct str id, const char *name, const char *value)
{
    assert_int_equal(world->hv->ops->simulate(world->hv, id, STR_NONE, str_from(name), str_from(value), &world->fail), 0);
}

struct evacuating {
    struct engine *engine;
    struct str id;
    const char *why;
    int64_t job_id;
    char why_text[128];
};

static int evacuate_in(struct tx *tx, void *arg)
{
    static const struct order order = {.actor = STR_INIT("operator"), .reason = STOP_REASON_OPERATOR};
    struct evacuating *asked = arg;
    struct instance *inst;
    int r;

    r = store_instance_get_hot(tx, asked->id, &inst);
    if (r == 0)
        r = engine_order_evacuate(asked->engine, tx, inst, &order, &asked->why);
    if (r < 0)
        return r;
    if (asked->why)
        (void)snprintf(asked->why_text, sizeof(asked->why_text), "%s", asked->why);
    asked->job_id = inst->job_id;
    return 0;
}

/* The job that moves it; 0: it stays, and `ret_why` has the reason. */
static int64_t evacuate(struct world *world, struct str id, char *ret_why)
{
    struct evacuating asked = {.engine = world->engine, .id = id};

    assert_int_equal(store_write(world->store, evacuate_in, &asked), 0);
    assert_true(asked.why || asked.job_id != 0);
    if (asked.why && ret_why)
        (void)snprintf(ret_why, sizeof(asked.why_text), "%s", asked.why_text);
    return asked.why ? 0 : asked.job_id;
}

static struct str stays_since(struct world *world, struct str id)
{
    char *why = arena_alloc(&world->arena, 128);

    why[0] = '\0';
    assert_int_equal(evacuate(world, id, why), 0);
    return str_from(why);
}

/* State and error of a job. */
static int job_of(struct world *world, int64_t id, struct str *ret_error)
{
    struct tx *tx = store_read_begin(world->store);
    struct job *job;
    int state;

    assert_int_equal(store_job_get(tx, id, &job), 0);
    assert_int_equal(job->kind, JOB_KIND_EVACUATE);
    state = job->state;
    *ret_error = arena_str(&world->arena, job->error);
    store_read_end(tx);
    return state;
}

static void check_left(struct world *world, int64_t job, const char *why)
{
    struct str error;

    assert_int_equal(job_of(world, job, &error), JOB_STATE_FAILED);
    if (!str_contains(error, str_from(why)))
        fail_msg("left since %.*s", STR_ARG(error));
}

static struct str launch_stopped(struct world *world, const char *type, struct stop_order how)
{
    struct str id = world_launch(world, type);

    assert_int_equal(world_stop(world, id, how), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(10));
    return id;
}

static struct machine_status machine_at(struct world *world, struct str host_id, struct str id)
{
    struct machine_status status = {0};

    /* Around what a test makes fail. */
    assert_int_equal(world->sim->ops->probe(world->sim, host_id, id, &status), 0);
    return status;
}

static void check_stopped_at(struct world *world, struct str host_id, struct str id)
{
    struct instance *inst = world_instance(world, id);

    assert_int_equal(inst->state, INSTANCE_STATE_STOPPED);
    assert_int_equal(inst->job_id, 0);
    if (!str_eq(inst->host_id, host_id))
        fail_msg("at %.*s", STR_ARG(inst->host_id));
    assert_int_equal(inst->stopped_mode, STOPPED_MODE_KEEP_CHARGING);
    assert_int_equal(machine_at(world, str_eq(host_id, ONE) ? TWO : ONE, id).state, MACHINE_ABSENT);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    world_check_segments(world, id, BILLING_MODE_KEPT);
}

static void start(struct world *world, struct str id, struct str host_id, int boots)
{
    struct str disk_id = arena_printf(&world->arena, "d-data-%.*s", STR_ARG(id));
    struct sim_disk disk;

    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_START, .id = id}), 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(40));
    assert_true(str_eq(world_instance(world, id)->host_id, host_id));
    assert_int_equal(machine_at(world, host_id, id).state, MACHINE_RUNNING);
    /* What earlier boots have written is there: each writes twice, the second time into its cache, which a stop flushes. */
    assert_int_equal(sim_disk_state(world->sim, host_id, id, disk_id, &disk), 0);
    assert_int_equal(disk.durable, 2 * boots - 1);
    assert_int_equal(disk.lost, 0);
}

static void a_stopped_one_moves_and_stays_stopped(void **state)
{
    struct world *world = world_open();
    struct str id = launch_stopped(world, "ecs.g6.large", graceful);
    struct instance *before = world_instance(world, id);
    struct instance *after;
    struct str error;
    int64_t job;

    (void)state;
    open_second(world);
    job = evacuate(world, id, NULL);
    assert_int_equal(world_instance(world, id)->job_id, job);
    assert_int_equal(evacuate(world, id, NULL), job); /* asked again: the same */
    (void)world_settle(world);
    assert_int_equal(job_of(world, job, &error), JOB_STATE_DONE);
    check_stopped_at(world, TWO, id);
    after = world_instance(world, id);
    assert_int_equal(machine_at(world, ONE, id).state, MACHINE_ABSENT);
    assert_int_equal(after->incarnation, before->incarnation);
    assert_int_equal(after->state_since_us, before->state_since_us);
    assert_true(str_eq(after->public_ip, before->public_ip));
    assert_true(str_eq(after->private_ip, before->private_ip));
    assert_int_equal(world_host_row(world, ONE).used_vcpus, 0);
    assert_int_equal(world_host_row(world, ONE).used_memory_mib, 0);
    assert_int_equal(world_host_row(world, TWO).used_vcpus, 2);
    assert_int_equal(world_host_row(world, TWO).used_memory_mib, 8192);
    assert_int_equal(world_events(world, id, EVENT_KIND_HOST, "evacuated"), 1);
    start(world, id, TWO, 2);
    world_close(world);
}

static int mark_busy(struct tx *tx, void *arg)
{
    struct str *id = arg;
    struct disk *disks;
    size_t count;
    int r = store_disk_of_instance(tx, *id, &disks, &count);

    if (r < 0)
        return r;
    disks[0].status = DISK_STATUS_DETACHING;
    return store_disk_save(tx, &disks[0]);
}

static void what_can_not_move_stays_with_its_reason(void **state)
{
    struct world *world = world_open();
    struct str running = world_launch(world, "ecs.g6.large");
    struct str local = launch_stopped(world, "ecs.i2.xlarge", graceful);
    struct str busy = launch_stopped(world, "ecs.g6.large", graceful);
    int64_t used = world_host_row(world, ONE).used_vcpus;

    (void)state;
    open_second(world);
    assert_int_equal(store_write(world->store, mark_busy, &busy), 0);
    assert_str(stays_since(world, running), "it is Running");
    assert_str(stays_since(world, local), "its local disks would be lost");
    assert_str(stays_since(world, busy), "one of its disks is being attached or detached");
    world_pass(world, SECONDS(1));
    assert_int_equal(world_host_row(world, ONE).used_vcpus, used);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    assert_int_equal(world_state(world, running), INSTANCE_STATE_RUNNING);
    assert_int_equal(world_stop(world, running, graceful), 0);
    assert_str(stays_since(world, running), "it is Stopping");
    world_close(world);
}

static int count_at(struct tx *tx, void *arg)
{
    struct instance_list list;
    struct str next;
    int r = store_instance_at_host(tx, ONE, STR_NONE, 10, &list, &next);

    *(size_t *)arg = list.count;
    return r;
}

/* It is at no host: nothing keeps the operator from removing any. */
static void an_economical_one_has_no_place(void **state)
{
    struct world *world = world_open();
    struct str id = launch_stopped(world, "ecs.g6.large", economical);
    size_t count = 7;

    (void)state;
    open_second(world);
    assert_int_equal(store_write(world->store, count_at, &count), 0);
    assert_int_equal(count, 0);
    assert_true(str_empty(world_instance(world, id)->host_id));
    world_close(world);
}

/* The machine isn't touched where it is clear beforehand. */
static void without_room_elsewhere_it_stays(void **state)
{
    struct world *world = world_open();
    struct str id = launch_stopped(world, "ecs.g6.large", graceful);
    int64_t job;

    (void)state;
    open_second(world);
    leave_room(world, 1);
    job = evacuate(world, id, NULL);
    (void)world_settle(world);
    check_left(world, job, "no other host of its zone has room");
    check_stopped_at(world, ONE, id);
    assert_int_equal(machine_at(world, ONE, id).state, MACHINE_OFF);
    start(world, id, ONE, 2);
    world_close(world);
}

struct queued {
    struct write write;
    int64_t left;
};

static int fill_queued(struct tx *tx, struct write *write)
{
    return fill(tx, &container_of(write, struct queued, write)->left);
}

static void ignore(struct write *write, int result)
{
    (void)write;
    assert_int_equal(result, 0);
}

/* The room goes between the look and the record: it has left its host and keeps its place there. */
static void room_that_goes_meanwhile_is_not_sold_twice(void **state)
{
    struct world *world = world_open();
    struct str id = launch_stopped(world, "ecs.g6.large", graceful);
    struct queued queued = {.write = {.run = fill_queued, .done = ignore}, .left = 1};
    int64_t job;

    (void)state;
    open_second(world);
    job = evacuate(world, id, NULL);
    assert_int_equal(store_submit(world->store, &queued.write), 0);
    (void)engine_run_due(world->engine);
    assert_int_equal(machine_at(world, ONE, id).state, MACHINE_ABSENT);
    (void)world_settle(world);
    check_left(world, job, "no other host of its zone has room");
    check_stopped_at(world, ONE, id);
    assert_int_equal(world_host_row(world, ONE).used_vcpus, 2);
    assert_int_equal(world_host_row(world, TWO).used_vcpus, world_host_row(world, TWO).vcpus - 1);
    start(world, id, ONE, 2);
    world_close(world);
}

struct queued_busy {
    struct write write;
    struct str id;
};

static int mark_queued(struct tx *tx, struct write *write)
{
    return mark_busy(tx, &container_of(write, struct queued_busy, write)->id);
}

/* A DetachDisk comes between the look and the record: its job has the host that the row names, which stays the same. */
static void a_disk_that_leaves_meanwhile_keeps_it(void **state)
{
    struct world *world = world_open();
    struct str id = launch_stopped(world, "ecs.g6.large", graceful);
    struct queued_busy queued = {.write = {.run = mark_queued, .done = ignore}, .id = id};
    int64_t job;

    (void)state;
    open_second(world);
    job = evacuate(world, id, NULL);
    assert_int_equal(store_submit(world->store, &queued.write), 0);
    (void)world_settle(world);
    check_left(world, job, "one of its disks is being attached or detached");
    check_stopped_at(world, ONE, id);
    assert_int_equal(world_host_row(world, TWO).used_vcpus, 0);
    world_close(world);
}

static void no_more_move_than_have_room(void **state)
{
    struct world *world = world_open();
    struct str ids[6];
    int64_t jobs[6];
    int moved = 0;

    (void)state;
    for (size_t i = 0; i < countof(ids); i++)
        ids[i] = launch_stopped(world, "ecs.g6.large", graceful);
    open_second(world);
    leave_room(world, 7);
    for (size_t i = 0; i < countof(ids); i++)
        jobs[i] = evacuate(world, ids[i], NULL);
    (void)world_settle(world);
    for (size_t i = 0; i < countof(ids); i++) {
        struct str error;
        bool done = job_of(world, jobs[i], &error) == JOB_STATE_DONE;

        moved += done;
        check_stopped_at(world, done ? TWO : ONE, ids[i]);
    }
    assert_int_equal(moved, 3);
    assert_int_equal(world_host_row(world, ONE).used_vcpus, 6);
    assert_int_equal(world_host_row(world, TWO).used_vcpus, world_host_row(world, TWO).vcpus - 1);
    world_close(world);
}

/* It would keep the instance from being started for as long as the host is away. */
static void a_silent_host_is_not_waited_for(void **state)
{
    struct world *world = world_open();
    struct str id = launch_stopped(world, "ecs.g6.large", graceful);
    int64_t job;

    (void)state;
    open_second(world);
    tell_host(world, ONE, "state", "down");
    job = evacuate(world, id, NULL);
    (void)world_settle(world);
    check_left(world, job, "the host does not answer");
    assert_int_equal(world_instance(world, id)->job_id, 0);
    tell_host(world, ONE, "state", "up");
    job = evacuate(world, id, NULL);
    world_pass(world, SECONDS(1));
    check_stopped_at(world, TWO, id);
    assert_true(job != 0);
    world_close(world);
}

static int order(struct world *world, enum order_kind kind, struct str id)
{
    return world_order(world, (struct ordered){.kind = kind, .id = id, .stop = graceful});
}

static void nothing_else_begins_meanwhile(void **state)
{
    struct world *world = world_open();
    struct str id = launch_stopped(world, "ecs.g6.large", graceful);

    (void)state;
    open_second(world);
    assert_true(evacuate(world, id, NULL) != 0);
    assert_int_equal(order(world, ORDER_START, id), -E_OPERATION_CONFLICT);
    assert_int_equal(order(world, ORDER_REDEPLOY, id), -E_OPERATION_CONFLICT);
    assert_int_equal(order(world, ORDER_DELETE, id), -E_OPERATION_CONFLICT);
    assert_int_equal(world_stop(world, id, graceful), -E_INSTANCE_STATUS);
    (void)world_settle(world);
    check_stopped_at(world, TWO, id);
    assert_int_equal(order(world, ORDER_DELETE, id), 0);
    world_pass(world, SECONDS(1));
    assert_null(world_instance(world, id));
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    assert_int_equal(world_host_row(world, TWO).used_vcpus, 0);
    world_close(world);
}

/* An automatic release that falls due meanwhile comes a look later. */
static void a_release_comes_after_it(void **state)
{
    struct world *world = world_open();
    struct str id = launch_stopped(world, "ecs.g6.large", graceful);

    (void)state;
    open_second(world);
    assert_true(evacuate(world, id, NULL) != 0);
    assert_int_equal(world_order(world, (struct ordered){.kind = ORDER_RELEASE_AT, .id = id, .at_us = env_now(world->env)}), 0);
    world_pass(world, SECONDS(5));
    assert_null(world_instance(world, id));
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    assert_int_equal(world_host_row(world, ONE).used_vcpus, 0);
    assert_int_equal(world_host_row(world, TWO).used_vcpus, 0);
    world_close(world);
}

/* The store is an older copy: the host has a machine that was started since. It is put right, and nothing is taken away. */
static void a_machine_that_lives_is_not_touched(void **state)
{
    struct world *world = world_open();
    struct str id = launch_stopped(world, "ecs.g6.large", graceful);
    int64_t job;

    (void)state;
    open_second(world);
    job = evacuate(world, id, NULL);
    assert_int_equal(world->sim->ops->start(world->sim, ONE, id, 2, &world->fail), 0);
    (void)world_settle(world);
    check_left(world, job, "a machine that lives");
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(5)); /* the look that the job has asked for */
    assert_int_equal(machine_at(world, ONE, id).state, MACHINE_RUNNING);
    assert_int_equal(world_instance(world, id)->incarnation, 2);
    world_close(world);
}

/* ── killed, and with failing calls ── */

struct story {
    const char *name;
    bool full; /* the other host has no room */
};

static const struct story stories[] = {{"moves", false}, {"stays", true}};

static struct world *begin_story(const struct story *story, struct str *ret_id, int64_t *ret_job)
{
    struct world *world = world_open();

    *ret_id = launch_stopped(world, "ecs.g6.large", graceful);
    open_second(world);
    if (story->full)
        leave_room(world, 1);
    *ret_job = evacuate(world, *ret_id, NULL);
    return world;
}

/* `sure`: nothing failed, so that it ends as the story says. */
static void end_story(const struct story *story, struct world *world, struct str id, int64_t job, bool sure)
{
    struct str error;
    bool moved;

    world_pass(world, SECONDS(70)); /* leases, reconciliation: nothing of it may change the end */
    moved = job_of(world, job, &error) == JOB_STATE_DONE;
    if (sure || story->full)
        assert_int_equal(moved, !story->full);
    check_stopped_at(world, moved ? TWO : ONE, id);
    assert_int_equal(world_host_row(world, ONE).used_vcpus, moved ? 0 : 2);
    assert_int_equal(world_events(world, id, EVENT_KIND_HOST, "evacuated"), moved);
    start(world, id, moved ? TWO : ONE, 2);
}

/* Odd half rounds kill between an act and its record. True: the story was over before. */
static bool run_halves(struct world *world, struct str id, int halves)
{
    for (int i = 0; i < halves; i++) {
        (void)sim_advance(world->sim);
        if (i % 2 == 0)
            (void)engine_run_due(world->engine);
        else
            (void)store_run_once(world->store);
        if (world_instance(world, id)->job_id == 0)
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
        int64_t job;
        struct world *world = begin_story(story, &id, &job);

        over = run_halves(world, id, halves);
        world_kill(world);
        world_up(world);
        end_story(story, world, id, job, true);
        world_close(world);
        assert_true(halves < 100);
    }
    print_message("%s: killed at %d points\n", story->name, halves);
    assert_true(halves > 2);
}

/* True: the failure was met. */
static bool play(const struct story *story, const struct fault_plan *plan, int64_t store_at)
{
    struct str id;
    int64_t job;
    struct world *world = begin_story(story, &id, &job);
    usec_t end = env_now(world->env) + SECONDS(60);
    bool hit = false;

    fault_arm(world->hv, plan);
    while (world_jobs(world, JOB_STATE_ACTIVE) > 0) {
        usec_t next = faulty_settle(world, &store_at, &hit);
        usec_t now = env_now(world->env);

        assert_true(now < end);
        env_advance(world->env, MIN_OF(MAX_OF(next, now + 1), end) - now);
    }
    hit = hit || fault_failed(world->hv) > 0;
    fault_arm(world->hv, NULL);
    end_story(story, world, id, job, plan == NULL);
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

            for (; play(story, &plan, 0); plan.nth++, points++)
                assert_true(plan.nth < 100);
        }
    }
    print_message("%s: %d failures of the hypervisor\n", story->name, (int)points);
    assert_true(points >= (story->full ? 0 : 8));
}

static void store_fails(void **state)
{
    const struct story *story = *state;
    int64_t at = 1;

    while (play(story, NULL, at)) {
        at++;
        assert_true(at < 2000);
    }
    print_message("%s: %d failures of the store\n", story->name, (int)at - 1);
    assert_true(at > 5);
}

int main(void)
{
    const struct CMUnitTest once[] = {
        cmocka_unit_test(a_stopped_one_moves_and_stays_stopped),
        cmocka_unit_test(what_can_not_move_stays_with_its_reason),
        cmocka_unit_test(an_economical_one_has_no_place),
        cmocka_unit_test(without_room_elsewhere_it_stays),
        cmocka_unit_test(room_that_goes_meanwhile_is_not_sold_twice),
        cmocka_unit_test(a_disk_that_leaves_meanwhile_keeps_it),
        cmocka_unit_test(no_more_move_than_have_room),
        cmocka_unit_test(a_silent_host_is_not_waited_for),
        cmocka_unit_test(nothing_else_begins_meanwhile),
        cmocka_unit_test(a_release_comes_after_it),
        cmocka_unit_test(a_machine_that_lives_is_not_touched),
    };
    struct CMUnitTest broken[3 * countof(stories)];
    int failed;

    for (size_t i = 0; i < countof(stories); i++) {
        void *story = (void *)(uintptr_t)&stories[i];

        broken[3 * i] = (struct CMUnitTest){stories[i].name, killed_everywhere, NULL, NULL, story};
        broken[3 * i + 1] = (struct CMUnitTest){stories[i].name, hypervisor_fails, NULL, NULL, story};
        broken[3 * i + 2] = (struct CMUnitTest){stories[i].name, store_fails, NULL, NULL, story};
    }
    log_threshold = (enum log_level)0; /* failures are what it is about */
    failed = cmocka_run_group_tests(once, NULL, NULL);
    return failed + cmocka_run_group_tests(broken, NULL, NULL);
}
