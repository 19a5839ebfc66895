/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th call of the store's driver fails, for n = 1, 2, … until nothing fails any more: while an order is written (then
 * nothing of it may be left, and it goes through when it is given again), and while the engine writes what happened without
 * one, or what falls due (then it ends as if nothing had failed, once).
 */
#include "model/disk.h"
#include "unit/engine_faulty.h"

#define TYPE "ecs.g6.large"
#define EXTRA STR("d-extra")
#define WITHIN SECONDS(400) /* the guest's time to shut down and to boot, and retries */
#define GONE (-1)

/* ── what the store shows ── */

/* All that an order could leave behind. */
static struct str picture(struct world *world, struct str id)
{
    struct tx *tx = store_read_begin(world->store);
    struct arena *arena = &world->arena;
    struct str text = STR("");
    struct instance *inst;
    struct segment *segments;
    struct event *events;
    struct job_list jobs;
    struct host *host;
    struct disk *disks;
    struct disk *extra;
    size_t count;

    if (store_instance_get(tx, id, &inst) == 0)
        text = arena_printf(arena, "%d %lld %lld %lld %.*s %.*s %d %lld", inst->state, (long long)inst->job_id,
                            (long long)inst->incarnation, (long long)inst->version, STR_ARG(inst->host_id),
                            STR_ARG(inst->public_ip), inst->reinit_local, (long long)inst->release_us);
    assert_int_equal(store_disk_of_instance(tx, id, &disks, &count), 0);
    for (size_t i = 0; i < count; i++)
        text = arena_printf(arena, "%.*s | %.*s %d", STR_ARG(text), STR_ARG(disks[i].id), disks[i].status);
    if (store_disk_get(tx, EXTRA, &extra) == 0)
        text = arena_printf(arena, "%.*s | %d %.*s", STR_ARG(text), extra->status, STR_ARG(extra->instance_id));
    assert_int_equal(store_segment_list(tx, id, &segments, &count), 0);
    text = arena_printf(arena, "%.*s | %zu segments", STR_ARG(text), count);
    assert_int_equal(store_event_list(tx, 0, STR_NONE, 1000, &events, &count), 0);
    text = arena_printf(arena, "%.*s, %zu events", STR_ARG(text), count);
    assert_int_equal(store_job_find(tx, JOB_STATE_ACTIVE, 0, 1000, &jobs), 0);
    text = arena_printf(arena, "%.*s, %zu jobs", STR_ARG(text), jobs.count);
    for (size_t i = 0; i < jobs.count; i++)
        text = arena_printf(arena, "%.*s %lld@%lld", STR_ARG(text), (long long)jobs.items[i].step,
                            (long long)jobs.items[i].deadline_us);
    assert_int_equal(store_host_get(tx, STR("host-1"), &host), 0);
    text = arena_printf(arena, "%.*s, %lld used", STR_ARG(text), (long long)host->used_vcpus);
    store_read_end(tx);
    return text;
}

static int only_order(struct world *world, enum order_kind kind, struct str id, struct stop_order stop)
{
    return world_order(world, (struct ordered){.kind = kind, .id = id, .stop = stop, .type = TYPE, .start = true,
                                               .public_ip = true, .at_us = env_now(world->env) + SECONDS(3600)});
}

/* ── disks ── */

struct disk_ordered {
    struct world *world;
    struct str id;
    enum { DISK_ATTACH, DISK_DETACH, DISK_DELETE, DISK_INSERT } kind;
};

static int run_disk_order(struct tx *tx, void *arg)
{
    struct disk_ordered *ordered = arg;
    struct order order = {STR("request-1"), STR("key-1"), STOP_REASON_API};
    struct disk fresh = {.id = EXTRA, .account_id = ACCOUNT, .region_id = STR("cn-hangzhou"), .zone_id = STR("cn-hangzhou-h"),
                         .type = DISK_TYPE_DATA, .category = DISK_CATEGORY_CLOUD_ESSD, .status = DISK_STATUS_AVAILABLE,
                         .size_gib = 20, .created_us = tx_now(tx)};
    struct engine *engine = ordered->world->engine;
    struct instance *inst;
    struct disk *disk;
    int r;

    if (ordered->kind == DISK_INSERT)
        return store_disk_insert(tx, &fresh);
    r = store_disk_get(tx, EXTRA, &disk);
    if (r < 0)
        return r;
    if (ordered->kind == DISK_DELETE)
        return engine_order_disk_delete(engine, tx, disk, &order);
    r = store_instance_get(tx, ordered->id, &inst);
    if (r < 0)
        return r;
    return ordered->kind == DISK_ATTACH ? engine_order_disk_attach(engine, tx, disk, inst, STR("/dev/xvdc"), &order)
                                        : engine_order_disk_detach(engine, tx, disk, inst, &order);
}

static int disk_order(struct world *world, struct str id, int kind)
{
    struct disk_ordered ordered = {.world = world, .id = id};

    ordered.kind = kind;
    return store_write(world->store, run_disk_order, &ordered);
}

/* ── orders ── */

static int stop_it(struct world *world, struct str id)
{
    return only_order(world, ORDER_STOP, id, (struct stop_order){0});
}

static int stop_without_charge(struct world *world, struct str id)
{
    return only_order(world, ORDER_STOP, id, (struct stop_order){.stopped_mode = STOPPED_MODE_STOP_CHARGING});
}

static int force_it(struct world *world, struct str id)
{
    return only_order(world, ORDER_STOP, id, (struct stop_order){.force = true});
}

static int start_it(struct world *world, struct str id)
{
    return only_order(world, ORDER_START, id, (struct stop_order){0});
}

static int reboot_it(struct world *world, struct str id)
{
    return only_order(world, ORDER_REBOOT, id, (struct stop_order){0});
}

static int delete_it(struct world *world, struct str id)
{
    return only_order(world, ORDER_DELETE, id, (struct stop_order){0});
}

static int redeploy_it(struct world *world, struct str id)
{
    return only_order(world, ORDER_REDEPLOY, id, (struct stop_order){0});
}

static int release_it_later(struct world *world, struct str id)
{
    return only_order(world, ORDER_RELEASE_AT, id, (struct stop_order){0});
}

static int create_another(struct world *world, struct str id)
{
    struct str other = arena_printf(&world->arena, "%.*s-2", STR_ARG(id));

    return only_order(world, ORDER_CREATE, other, (struct stop_order){0});
}

static int attach_it(struct world *world, struct str id)
{
    return disk_order(world, id, DISK_ATTACH);
}

static int detach_it(struct world *world, struct str id)
{
    return disk_order(world, id, DISK_DETACH);
}

static int delete_disk(struct world *world, struct str id)
{
    return disk_order(world, id, DISK_DELETE);
}

static void stopped(struct world *world, struct str id)
{
    assert_int_equal(stop_it(world, id), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, WITHIN);
}

static void stopped_without_charge(struct world *world, struct str id)
{
    assert_int_equal(stop_without_charge(world, id), 0);
    world_await(world, id, INSTANCE_STATE_STOPPED, WITHIN);
    world_pass(world, world->options.values.stop_reclaim_s * USEC_PER_SEC);
}

static void stopping(struct world *world, struct str id)
{
    world_set(world, "stop.force_overtakes", "true");
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(stop_it(world, id), 0);
    world_pass(world, SECONDS(1));
}

static void attached(struct world *world, struct str id)
{
    assert_int_equal(attach_it(world, id), 0);
    world_pass(world, SECONDS(2));
}

struct ordering {
    const char *name;
    void (*before)(struct world *world, struct str id); /* NULL: it runs */
    int (*order)(struct world *world, struct str id);
    int end_state;
};

static const struct ordering orderings[] = {
    {"create", NULL, create_another, INSTANCE_STATE_RUNNING},
    {"stop", NULL, stop_it, INSTANCE_STATE_STOPPED},
    {"economical stop", NULL, stop_without_charge, INSTANCE_STATE_STOPPED},
    {"forced stop of a stopping one", stopping, force_it, INSTANCE_STATE_STOPPED},
    {"start", stopped, start_it, INSTANCE_STATE_RUNNING},
    {"start after an economical stop", stopped_without_charge, start_it, INSTANCE_STATE_RUNNING},
    {"reboot", NULL, reboot_it, INSTANCE_STATE_RUNNING},
    {"redeploy", NULL, redeploy_it, INSTANCE_STATE_RUNNING},
    {"redeploy of a stopped one", stopped, redeploy_it, INSTANCE_STATE_RUNNING},
    {"redeploy of one at no host", stopped_without_charge, redeploy_it, INSTANCE_STATE_RUNNING},
    {"delete", NULL, delete_it, GONE},
    {"delete of a stopped one", stopped, delete_it, GONE},
    {"delete of one at no host", stopped_without_charge, delete_it, GONE},
    {"release later", NULL, release_it_later, INSTANCE_STATE_RUNNING},
    {"attach", NULL, attach_it, INSTANCE_STATE_RUNNING},
    {"attach to a stopped one", stopped, attach_it, INSTANCE_STATE_STOPPED},
    {"detach", attached, detach_it, INSTANCE_STATE_RUNNING},
    {"delete a disk", NULL, delete_disk, INSTANCE_STATE_RUNNING},
};

static void refused_orders_leave_nothing(void **state)
{
    const struct ordering *ordering = *state;
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    int64_t at = 0;
    struct str was;
    int r;

    assert_int_equal(disk_order(world, id, DISK_INSERT), 0);
    if (ordering->before)
        ordering->before(world, id);
    was = picture(world, id);
    do {
        fault_set(++at, E_IO, false);
        r = ordering->order(world, id);
        if (fault_get().hit) {
            fault_set(0, 0, false);
            assert_int_equal(r, -E_IO);
            if (!str_eq(picture(world, id), was))
                fail_msg("%s, call %d: %.*s became %.*s", ordering->name, (int)at, STR_ARG(was), STR_ARG(picture(world, id)));
        }
        assert_true(at < 300);
    } while (r < 0);
    fault_set(0, 0, false);
    assert_int_equal(r, 0);
    assert_false(str_eq(picture(world, id), was));
    assert_true(at > 5);
    world_await(world, id, ordering->end_state, WITHIN);
    world_pass(world, SECONDS(2));
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    world_check_segments(world, id, ordering->end_state == GONE ? -1 : (int)ordering->end_state == INSTANCE_STATE_RUNNING
                                        ? (int)BILLING_MODE_RUNNING
                                        : ordering->order == stop_without_charge ? (int)BILLING_MODE_FREE : (int)BILLING_MODE_KEPT);
    world_close(world);
}

/* ── what happens without an order, and what falls due ── */

static void switch_itself_off(struct world *world, struct str id)
{
    world_guest(world, id, "poweroff", "");
}

static void crash(struct world *world, struct str id)
{
    world_guest(world, id, "crash", "");
}

static void lose_the_host(struct world *world, struct str id)
{
    (void)id;
    world_host(world, "crash", "");
    world_host(world, "state", "up");
}

static void never_boot(struct world *world, struct str id)
{
    world_set(world, "reboot.timeout_s", "5"); /* the longer it takes, the more that has nothing to do with it can fail */
    world_set(world, "start.timeout_s", "5");
    assert_int_equal(reboot_it(world, id), 0);
    world_guest(world, id, "boot", "100000");
}

static void boot_again(struct world *world, struct str id)
{
    world_guest(world, id, "boot", "2");
}

static void be_deaf(struct world *world, struct str id)
{
    world_set(world, "stop.graceful_timeout_s", "4");
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(stop_it(world, id), 0);
}

static void hear_again(struct world *world, struct str id)
{
    world_guest(world, id, "ignore-power-button", "off");
}

static void be_deaf_and_reverted(struct world *world, struct str id)
{
    world_set(world, "stop.on_timeout", "revert");
    be_deaf(world, id);
}

static int expire_now(struct tx *tx, void *arg)
{
    struct ordered *ordered = arg;
    struct instance *inst;
    int r = store_instance_get(tx, ordered->id, &inst);

    if (r < 0)
        return r;
    inst->locks = 0;
    inst->charge_type = CHARGE_TYPE_PRE_PAID;
    inst->expires_us = tx_now(tx);
    engine_release_changed(ordered->world->engine, tx);
    r = store_instance_save(tx, inst);
    return r < 0 ? r : store_instance_save_doc(tx, inst);
}

static void expire(struct world *world, struct str id)
{
    struct ordered ordered = {.world = world, .id = id};

    assert_int_equal(store_write(world->store, expire_now, &ordered), 0);
}

static int renew_now(struct tx *tx, void *arg)
{
    struct ordered *ordered = arg;
    struct instance *inst;
    int r = store_instance_get(tx, ordered->id, &inst);

    if (r < 0)
        return r;
    assert_int_equal(inst->locks, INT64_C(1) << LOCK_REASON_FINANCIAL);
    inst->locks = 0;
    inst->expires_us = 0;
    r = store_instance_save(tx, inst);
    return r < 0 ? r : store_instance_save_doc(tx, inst);
}

static void renew(struct world *world, struct str id)
{
    struct ordered ordered = {.world = world, .id = id};

    assert_int_equal(store_write(world->store, renew_now, &ordered), 0);
}

struct happening {
    const char *name;
    void (*happen)(struct world *world, struct str id);
    void (*undo)(struct world *world, struct str id); /* NULL: nothing to undo */
    int end_state;
    enum event_kind kind; /* of the one event more that tells of it */
    const char *reason;
};

static const struct happening happenings[] = {
    {"the guest switches itself off", switch_itself_off, NULL, INSTANCE_STATE_STOPPED, EVENT_KIND_STATE, "guest"},
    {"the guest crashes", crash, NULL, INSTANCE_STATE_STOPPED, EVENT_KIND_STATE, "crash"},
    {"the host loses its power", lose_the_host, NULL, INSTANCE_STATE_STOPPED, EVENT_KIND_STATE, "host"},
    {"the guest does not boot", never_boot, boot_again, INSTANCE_STATE_STOPPED, EVENT_KIND_STATE, "boot-failure"},
    {"the guest is deaf", be_deaf, hear_again, INSTANCE_STATE_STOPPED, EVENT_KIND_ESCALATE, "the guest"},
    {"the guest is deaf and runs on", be_deaf_and_reverted, hear_again, INSTANCE_STATE_RUNNING, EVENT_KIND_REVERT, "the guest"},
    {"the subscription ends", expire, renew, INSTANCE_STATE_STOPPED, EVENT_KIND_LOCK, "locked: financial"},
};

/* Time passes with the fault armed until the thing has been told and all is quiet. True: the failure was met. */
static bool await_told(struct world *world, struct str id, const struct happening *what, size_t told, int64_t nth)
{
    usec_t end = env_now(world->env) + WITHIN;
    int64_t at = nth;
    bool hit = false;

    for (;;) {
        usec_t next;
        usec_t now;

        next = faulty_settle(world, &at, &hit);
        now = env_now(world->env);
        if (world_events(world, id, what->kind, what->reason) == told + 1 && world_state(world, id) == what->end_state &&
            world_jobs(world, JOB_STATE_ACTIVE) == 0)
            return hit;
        if (now >= end)
            fail_msg("%s, call %d: state %d, told %zu times", what->name, (int)nth, world_state(world, id),
                     world_events(world, id, what->kind, what->reason) - told);
        env_advance(world->env, MIN_OF(MAX_OF(next, now + 1), end) - now);
    }
}

static void happenings_are_written_in_the_end(void **state)
{
    const struct happening *what = *state;
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    int64_t at = 0;
    bool hit;

    do {
        size_t told = world_events(world, id, what->kind, what->reason);

        what->happen(world, id);
        hit = await_told(world, id, what, told, ++at);
        world_pass(world, SECONDS(2));
        assert_int_equal(world_events(world, id, what->kind, what->reason), told + 1);
        world_check_segments(world, id,
                             what->end_state == INSTANCE_STATE_RUNNING ? BILLING_MODE_RUNNING : BILLING_MODE_KEPT);
        if (what->undo)
            what->undo(world, id);
        if (at % 50 == 0) { /* lists of events end at a thousand */
            world_close(world);
            world = world_open();
            id = world_launch(world, TYPE);
        } else if (what->end_state == INSTANCE_STATE_STOPPED) {
            assert_int_equal(start_it(world, id), 0);
            world_await(world, id, INSTANCE_STATE_RUNNING, WITHIN);
        }
        assert_true(at < 500);
    } while (hit);
    print_message("%s: %d failures of the store\n", what->name, (int)at - 1);
    assert_true(at > 10);
    world_close(world);
}

/* ── in between ── */

struct refused_order {
    struct ordered ordered;
    int code;
};

/* The engine itself refuses what does not fit the state, whatever its caller has checked. */
static int run_unchecked(struct tx *tx, void *arg)
{
    struct refused_order *refused = arg;
    struct engine *engine = refused->ordered.world->engine;
    struct order order = {STR("request-1"), STR("key-1"), STOP_REASON_API};
    struct stop_order stop = {0};
    struct instance *inst;
    struct fail fail;

    fail_init(&fail, tx_arena(tx));
    refused->code = store_instance_get_hot(tx, refused->ordered.id, &inst);
    if (refused->code < 0)
        return refused->code;
    switch (refused->ordered.kind) {
    case ORDER_START:
        refused->code = engine_order_start(engine, tx, inst, &order, &fail);
        break;
    case ORDER_STOP:
        refused->code = engine_order_stop(engine, tx, inst, &stop, &order, &fail);
        break;
    case ORDER_REBOOT:
        refused->code = engine_order_reboot(engine, tx, inst, false, &order, &fail);
        break;
    case ORDER_REDEPLOY:
        refused->code = engine_order_redeploy(engine, tx, inst, false, &order, &fail);
        break;
    case ORDER_DELETE:
    case ORDER_CREATE:
    case ORDER_RELEASE_AT:
        refused->code = engine_order_delete(engine, tx, inst, false, &order, &fail);
        break;
    }
    return refused->code;
}

static void orders_that_do_not_fit_the_state(void **state)
{
    static const enum order_kind while_stopping[] = {ORDER_START, ORDER_STOP, ORDER_REBOOT, ORDER_REDEPLOY, ORDER_DELETE};
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    struct str was;

    (void)state;
    stopping(world, id);
    was = picture(world, id);
    for (size_t i = 0; i < countof(while_stopping); i++) {
        struct refused_order refused = {.ordered = {.world = world, .id = id, .kind = while_stopping[i]}};

        assert_int_equal(store_write(world->store, run_unchecked, &refused), -E_INSTANCE_STATUS);
        assert_true(str_eq(picture(world, id), was));
    }
    world_close(world);
}

static int release_now(struct tx *tx, void *arg)
{
    struct ordered *ordered = arg;
    struct instance *inst;
    int r = store_instance_get(tx, ordered->id, &inst);

    if (r < 0)
        return r;
    inst->release_us = tx_now(tx);
    engine_release_changed(ordered->world->engine, tx);
    r = store_instance_save(tx, inst);
    return r < 0 ? r : store_instance_save_doc(tx, inst);
}

/* What falls due while an instance is on its way to another state is carried out when it has arrived. */
static void due_while_it_is_on_its_way(void **state)
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    struct ordered ordered = {.world = world, .id = id};

    (void)state;
    stopped(world, id);
    expire(world, id); /* of one that is off: it is locked, and stays */
    world_pass(world, SECONDS(2));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STOPPED);
    assert_int_equal(world_events(world, id, EVENT_KIND_LOCK, "locked: financial"), 1);
    renew(world, id);
    assert_int_equal(start_it(world, id), 0);
    expire(world, id);
    world_pass(world, SECONDS(1));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STARTING);
    world_await(world, id, INSTANCE_STATE_STOPPED, WITHIN);
    assert_int_equal(world_events(world, id, EVENT_KIND_LOCK, "locked: financial"), 2);
    renew(world, id);
    assert_int_equal(start_it(world, id), 0);
    assert_int_equal(store_write(world->store, release_now, &ordered), 0);
    world_pass(world, SECONDS(1));
    assert_int_equal(world_state(world, id), INSTANCE_STATE_STARTING);
    world_await(world, id, GONE, WITHIN);
    world_close(world);
}

static int disown(struct tx *tx, void *arg)
{
    struct str *id = arg;
    struct instance *inst;
    int r = store_instance_get(tx, *id, &inst);

    if (r < 0)
        return r;
    inst->job_id = 1; /* nobody's */
    return store_instance_save(tx, inst);
}

/* A job that the row doesn't name any more ends as failed, and the row stays as it is. */
static void a_job_that_the_row_does_not_name(void **state)
{
    static const struct {
        void (*before)(struct world *world, struct str id);
        int (*order)(struct world *world, struct str id);
        const char *boot;
        const char *on_timeout;
    } jobs[] = {
        {NULL, stop_it, "2", "escalate"},
        {NULL, stop_it, "2", "revert"},
        {NULL, redeploy_it, "2", "escalate"},
        {stopped, start_it, "2", "escalate"},
        {stopped, start_it, "100000", "escalate"},
    };

    (void)state;
    for (size_t i = 0; i < countof(jobs); i++) {
        struct world *world = world_open();
        struct str id = world_launch(world, TYPE);
        int was;

        world_set(world, "stop.on_timeout", jobs[i].on_timeout);
        world_set(world, "stop.graceful_timeout_s", "4");
        world_set(world, "reboot.timeout_s", "4");
        world_set(world, "start.timeout_s", "4");
        if (jobs[i].before)
            jobs[i].before(world, id);
        world_guest(world, id, "ignore-power-button", "on");
        world_guest(world, id, "boot", jobs[i].boot);
        assert_int_equal(jobs[i].order(world, id), 0);
        assert_int_equal(store_write(world->store, disown, &id), 0);
        was = world_state(world, id);
        world_pass(world, SECONDS(60));
        assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
        assert_true(world_jobs(world, JOB_STATE_FAILED) >= 1);
        assert_int_equal(world_state(world, id), was);
        world_close(world);
    }
}

static int put_host(struct tx *tx, void *arg)
{
    struct host *host = arg;
    struct host *before;
    int r = store_host_get(tx, host->id, &before);

    return r == -E_NOT_FOUND ? store_host_insert(tx, host) : store_host_save(tx, host);
}

struct changed_host {
    struct world *world;
    struct host host;
};

static int change_host(struct tx *tx, void *arg)
{
    struct changed_host *changed = arg;
    int r = put_host(tx, &changed->host);

    if (r == 0)
        engine_host_changed(changed->world->engine, tx, changed->host.id);
    return r;
}

/* One that the hypervisor refuses is tried again, and with another address it is taken. */
static void a_host_that_is_refused_at_first(void **state)
{
    struct world *world = world_open();
    struct changed_host changed = {.world = world, .host = {.id = STR("host-2"), .url = STR("nowhere:"),
                                                            .region_id = STR("cn-hangzhou"), .zone_id = STR("cn-hangzhou-h"),
                                                            .state = HOST_STATE_UP, .vcpus = 8, .memory_mib = 8192}};
    struct machine_status status;

    (void)state;
    assert_int_equal(store_write(world->store, change_host, &changed), 0);
    world_pass(world, SECONDS(5));
    assert_int_equal(world->hv->ops->probe(world->hv, changed.host.id, STR("i-x"), &status), -E_NOT_FOUND);
    changed.host.url = STR("sim:");
    assert_int_equal(store_write(world->store, change_host, &changed), 0);
    world_pass(world, SECONDS(60));
    assert_int_equal(world->hv->ops->probe(world->hv, changed.host.id, STR("i-x"), &status), 0);
    assert_int_equal(status.state, MACHINE_ABSENT);
    world_close(world);
}

/* ── an older copy of the store ── */

/* The row follows its machine, which is of a later start than it knows. True: the failure was met. */
static bool await_agreement(struct world *world, struct str id, int64_t at)
{
    usec_t end = env_now(world->env) + WITHIN;
    bool hit = false;

    for (;;) {
        struct machine_status status;
        usec_t next;
        usec_t now;

        next = faulty_settle(world, &at, &hit);
        now = env_now(world->env);
        assert_int_equal(world->hv->ops->probe(world->hv, STR("host-1"), id, &status), 0);
        if (world_state(world, id) == INSTANCE_STATE_RUNNING && world_jobs(world, JOB_STATE_ACTIVE) == 0 &&
            world_instance(world, id)->incarnation == status.incarnation && status.state == MACHINE_RUNNING)
            return hit;
        assert_true(now < end);
        env_advance(world->env, MIN_OF(MAX_OF(next, now + 1), end) - now);
    }
}

static void an_older_copy(void (*before)(struct world *world, struct str id), int (*since)(struct world *world, struct str id))
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    int64_t at = 0;
    bool hit;

    if (before)
        before(world, id);
    world_kill(world);
    world_copy_file(world, "ecsd.db", "backup");
    world_up(world);
    assert_int_equal(since(world, id), 0);
    world_pass(world, SECONDS(20));
    do {
        world_kill(world);
        world_copy_file(world, "backup", "ecsd.db");
        world_up(world);
        hit = await_agreement(world, id, ++at);
        world_check_segments(world, id, BILLING_MODE_RUNNING);
        assert_true(at < 300);
    } while (hit);
    print_message("%d failures of the store\n", (int)at - 1);
    assert_true(at > 5);
    world_close(world);
}

static void an_older_copy_says_stopped(void **state)
{
    (void)state;
    an_older_copy(stopped, start_it);
}

static void an_older_copy_knows_an_earlier_start(void **state)
{
    (void)state;
    an_older_copy(NULL, reboot_it);
}

/* ── the start ── */

/* Where the store fails while the daemon comes up, it says so or comes up later; nothing of a job is lost. */
static void the_start_tries_again(void **state)
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    int64_t at = 0;
    bool hit;

    (void)state;
    do {
        int r;

        assert_int_equal(stop_it(world, id), 0);
        world_kill(world);
        fault_set(++at, E_IO, false);
        r = world_try_up(world);
        hit = fault_get().hit;
        if (r < 0) {
            assert_true(hit);
            fault_set(0, 0, false);
            world->engine = engine_close(world->engine);
            world->hv = world->hv ? hypervisor_close(world->hv) : NULL;
            world->store = world->store ? store_close(world->store) : NULL;
            world_up(world);
        } else {
            fault_set(hit ? 0 : at - fault_get().calls, E_IO, false);
            (void)world_settle(world);
            hit = hit || fault_get().hit;
            fault_set(0, 0, false);
        }
        world_await(world, id, INSTANCE_STATE_STOPPED, WITHIN);
        world_pass(world, world->options.values.engine_lease_s * USEC_PER_SEC); /* the lease's next write shows that all is well */
        assert_null(engine_unready(world->engine));
        assert_int_equal(start_it(world, id), 0);
        world_await(world, id, INSTANCE_STATE_RUNNING, WITHIN);
        assert_true(at < 1000);
    } while (hit);
    print_message("start: %d failures of the store\n", (int)at - 1);
    assert_true(at > 20);
    world_close(world);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[countof(orderings) + countof(happenings) + 7];
    size_t count = 0;

    for (size_t i = 0; i < countof(orderings); i++)
        tests[count++] = (struct CMUnitTest){orderings[i].name, refused_orders_leave_nothing, NULL, NULL,
                                             (void *)(uintptr_t)&orderings[i]};
    for (size_t i = 0; i < countof(happenings); i++)
        tests[count++] = (struct CMUnitTest){happenings[i].name, happenings_are_written_in_the_end, NULL, NULL,
                                             (void *)(uintptr_t)&happenings[i]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(orders_that_do_not_fit_the_state);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(due_while_it_is_on_its_way);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_job_that_the_row_does_not_name);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(a_host_that_is_refused_at_first);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(an_older_copy_says_stopped);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(an_older_copy_knows_an_earlier_start);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(the_start_tries_again);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* one of them, by name */
    log_threshold = (enum log_level)0; /* failures are what it is about */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
