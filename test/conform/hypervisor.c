/* SPDX-License-Identifier: Apache-2.0 */
/* Included by the test program of each implementation, after unit/unit.h. */
#include "conform/hypervisor.h"

#define HOST STR("h-1")
#define VM STR("i-conform")
#define DISK STR("d-system")
#define LOCAL STR("i-conform-local-0")

static const struct conform_hv_kind *kind;

struct seen {
    int events;
    int64_t incarnation; /* the newest that was told */
};

static const struct machine_disk disks[] = {
    {.id = STR_INIT("d-system"),
     .device = STR_INIT("/dev/xvda"),
     .size_gib = 1,
     .image_id = STR_INIT("image")},
    {.id = STR_INIT("i-conform-local-0"),
     .device = STR_INIT("/dev/vdb"),
     .size_gib = 1,
     .local = true},
};

static const struct machine_spec spec = {
    .id = STR_INIT("i-conform"),
    .vcpus = 1,
    .memory_mib = 128,
    .host_name = STR_INIT("conform"),
    .mac = STR_INIT("00:16:3e:00:00:01"),
    .private_ip = STR_INIT("192.168.0.9"),
    .disks = disks,
    .disk_count = countof(disks),
};

static void pass(struct conform_hv *c, usec_t us)
{
    kind->pass(c, us);
}

static struct machine_status probe(struct conform_hv *c, struct str id)
{
    struct machine_status status = {0};

    assert_int_equal(c->hv->ops->probe(c->hv, HOST, id, &status), 0);
    assert_true(status.state < MACHINE_STATE_COUNT);
    return status;
}

/* Waits until the machine is in that state. A real guest on a busy computer without KVM takes twenty seconds to boot. */
static void await(struct conform_hv *c, enum machine_state state)
{
    const usec_t step_us = 20 * USEC_PER_MSEC;

    for (usec_t waited_us = 0; waited_us <= 10 * kind->patience_us; waited_us += step_us) {
        if (probe(c, VM).state == state)
            return;
        pass(c, step_us);
    }
    assert_int_equal(probe(c, VM).state, state);
}

static void define(struct conform_hv *c)
{
    assert_int_equal(c->hv->ops->define(c->hv, HOST, &spec, NULL), 0);
}

static void start(struct conform_hv *c, int64_t incarnation)
{
    assert_int_equal(c->hv->ops->start(c->hv, HOST, VM, incarnation, NULL), 0);
}

static int press(struct conform_hv *c, int64_t incarnation)
{
    return c->hv->ops->press(c->hv, HOST, VM, incarnation);
}

static int cut(struct conform_hv *c, int64_t incarnation, enum machine_cut how)
{
    return c->hv->ops->cut(c->hv, HOST, VM, incarnation, how);
}

static bool written(struct conform_hv *c, struct str disk)
{
    bool is_written = false;

    assert_int_equal(c->hv->ops->disk_written(c->hv, HOST, VM, disk, &is_written), 0);
    return is_written;
}

static void run(struct conform_hv *c, int64_t incarnation)
{
    define(c);
    start(c, incarnation);
    await(c, MACHINE_RUNNING);
}

/* A press that comes while the system is coming up may be lost: as the engine does, press until it
 * is off. */
static void shut_down(struct conform_hv *c, int64_t incarnation)
{
    for (int i = 0; i < 20 && probe(c, VM).state != MACHINE_OFF; i++) {
        assert_int_equal(press(c, incarnation), 0);
        pass(c, kind->patience_us / 5);
    }
    await(c, MACHINE_OFF);
}

static int setup(void **state)
{
    struct conform_hv *c = test_calloc(1, sizeof(*c));

    kind->open(c);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct conform_hv *c = *state;

    kind->close(c);
    test_free(c);
    return 0;
}

/* ── life ── */

static void machine_lives_and_ends(void **state)
{
    struct conform_hv *c = *state;
    struct machine_status status;

    assert_int_equal(probe(c, VM).state, MACHINE_ABSENT);
    define(c);
    status = probe(c, VM);
    assert_int_equal(status.state, MACHINE_OFF);
    assert_int_equal(status.incarnation, 0);
    start(c, 1);
    status = probe(c, VM);
    assert_true(status.state == MACHINE_BOOTING || status.state == MACHINE_RUNNING);
    assert_int_equal(status.incarnation, 1);
    await(c, MACHINE_RUNNING);
    shut_down(c, 1);
    status = probe(c, VM);
    assert_int_equal(status.end, MACHINE_END_GUEST);
    assert_int_equal(status.incarnation, 1);
    assert_int_equal(c->hv->ops->undefine(c->hv, HOST, VM), 0);
    assert_int_equal(probe(c, VM).state, MACHINE_ABSENT);
}

static void each_cut_ends_it(void **state)
{
    struct conform_hv *c = *state;
    int64_t incarnation = 1;

    for (int how = MACHINE_CUT_QUIT; how <= MACHINE_CUT_KILL; how++, incarnation++) {
        run(c, incarnation);
        assert_int_equal(cut(c, incarnation, (enum machine_cut)how), 0);
        await(c, MACHINE_OFF);
        assert_int_equal(probe(c, VM).end, MACHINE_END_CUT);
    }
}

static void cut_while_booting(void **state)
{
    struct conform_hv *c = *state;

    define(c);
    start(c, 1);
    assert_int_equal(cut(c, 1, MACHINE_CUT_KILL), 0);
    await(c, MACHINE_OFF);
    assert_int_equal(probe(c, VM).end, MACHINE_END_CUT);
}

static void reset_keeps_the_incarnation(void **state)
{
    struct conform_hv *c = *state;

    run(c, 7);
    assert_int_equal(c->hv->ops->reset(c->hv, HOST, VM, 7), 0);
    assert_int_equal(probe(c, VM).incarnation, 7);
    await(c, MACHINE_RUNNING);
    assert_int_equal(probe(c, VM).incarnation, 7);
    shut_down(c, 7);
    assert_int_equal(c->hv->ops->reset(c->hv, HOST, VM, 7), -E_GONE); /* a reset wakes nobody up */
    assert_int_equal(probe(c, VM).state, MACHINE_OFF);
}

/* ── law 1 ── */

static void calls_are_idempotent(void **state)
{
    struct conform_hv *c = *state;

    define(c);
    define(c);
    start(c, 1);
    start(c, 1);
    await(c, MACHINE_RUNNING);
    start(c, 1);
    assert_int_equal(probe(c, VM).state, MACHINE_RUNNING);
    assert_int_equal(c->hv->ops->resume(c->hv, HOST, VM, 1), 0);
    assert_int_equal(probe(c, VM).state, MACHINE_RUNNING);
    define(c); /* of a living machine: it lives on */
    assert_int_equal(probe(c, VM).state, MACHINE_RUNNING);
    assert_int_equal(cut(c, 1, MACHINE_CUT_QUIT), 0);
    assert_int_equal(cut(c, 1, MACHINE_CUT_QUIT), 0);
    await(c, MACHINE_OFF);
    assert_int_equal(cut(c, 1, MACHINE_CUT_KILL), 0);
    assert_int_equal(press(c, 1), 0);
    assert_int_equal(probe(c, VM).state, MACHINE_OFF);
    assert_int_equal(c->hv->ops->undefine(c->hv, HOST, VM), 0);
    assert_int_equal(c->hv->ops->undefine(c->hv, HOST, VM), 0);
    assert_int_equal(c->hv->ops->host_add(c->hv, HOST, STR_NONE, NULL), 0);
}

static void start_again_does_not_wake_the_dead(void **state)
{
    struct conform_hv *c = *state;

    run(c, 1);
    shut_down(c, 1);
    start(c, 1);
    pass(c, kind->patience_us);
    assert_int_equal(probe(c, VM).state, MACHINE_OFF);
    start(c, 2);
    await(c, MACHINE_RUNNING);
}

/* ── law 2 ── */

static void other_incarnations_are_left_alone(void **state)
{
    struct conform_hv *c = *state;
    const struct hypervisor_ops *ops = c->hv->ops;

    run(c, 5);
    for (int64_t other = 4; other <= 6; other += 2) {
        assert_int_equal(press(c, other), -E_GONE);
        assert_int_equal(ops->resume(c->hv, HOST, VM, other), -E_GONE);
        assert_int_equal(ops->reset(c->hv, HOST, VM, other), -E_GONE);
        assert_int_equal(cut(c, other, MACHINE_CUT_QUIT), -E_GONE);
        assert_int_equal(cut(c, other, MACHINE_CUT_KILL), -E_GONE);
    }
    assert_int_equal(ops->start(c->hv, HOST, VM, 4, NULL), -E_GONE);
    assert_int_equal(ops->start(c->hv, HOST, VM, 6, NULL), -E_BUSY); /* one machine at a time */
    pass(c, kind->patience_us);
    assert_int_equal(probe(c, VM).state, MACHINE_RUNNING);
    assert_int_equal(probe(c, VM).incarnation, 5);
}

static void commands_to_nobody(void **state)
{
    struct conform_hv *c = *state;
    const struct hypervisor_ops *ops = c->hv->ops;
    bool is_written;

    assert_int_equal(press(c, 1), -E_GONE);
    assert_int_equal(cut(c, 1, MACHINE_CUT_KILL), -E_GONE);
    assert_int_equal(ops->start(c->hv, HOST, VM, 1, NULL), -E_NOT_FOUND);
    assert_int_equal(ops->undefine(c->hv, HOST, VM), 0);
    assert_int_equal(ops->disk_clear(c->hv, HOST, VM, DISK), -E_NOT_FOUND);
    define(c);
    assert_int_equal(ops->disk_written(c->hv, HOST, VM, STR("d-other"), &is_written), -E_NOT_FOUND);
    assert_int_equal(ops->press(c->hv, STR("h-nowhere"), VM, 1), -E_NOT_FOUND);
}

/* ── law 5: what is alive is neither removed nor cleared ── */

static void living_machines_are_protected(void **state)
{
    struct conform_hv *c = *state;
    const struct hypervisor_ops *ops = c->hv->ops;

    run(c, 1);
    assert_int_equal(ops->undefine(c->hv, HOST, VM), -E_BUSY);
    assert_int_equal(ops->disk_clear(c->hv, HOST, VM, LOCAL), -E_BUSY);
    assert_int_equal(probe(c, VM).state, MACHINE_RUNNING);
    assert_true(written(c, LOCAL));
}

static void cleared_disks_read_blank(void **state)
{
    struct conform_hv *c = *state;

    define(c);
    assert_false(written(c, LOCAL));
    start(c, 1);
    await(c, MACHINE_RUNNING);
    assert_true(written(c, DISK));
    assert_true(written(c, LOCAL));
    shut_down(c, 1);
    assert_true(written(c, LOCAL)); /* a stop by itself clears nothing */
    assert_int_equal(c->hv->ops->disk_clear(c->hv, HOST, VM, LOCAL), 0);
    assert_int_equal(c->hv->ops->disk_clear(c->hv, HOST, VM, LOCAL), 0);
    assert_false(written(c, LOCAL));
    assert_true(written(c, DISK));
    start(c, 2);
    await(c, MACHINE_RUNNING);
    assert_true(written(c, LOCAL));
}

/* ── law 4: events are hints of what probe says ── */

static void on_event(void *arg, const struct machine_event *event)
{
    struct seen *seen = arg;

    assert(str_eq(event->host_id, HOST) && str_eq(event->id, VM));
    assert(event->state < MACHINE_STATE_COUNT);
    __atomic_add_fetch(&seen->events, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&seen->incarnation, event->incarnation, __ATOMIC_SEQ_CST);
}

static void events_are_told(void **state)
{
    struct conform_hv *c = *state;
    struct seen seen = {0};

    c->hv->ops->watch(c->hv, on_event, &seen);
    run(c, 3);
    shut_down(c, 3);
    pass(c, kind->patience_us);
    assert_true(__atomic_load_n(&seen.events, __ATOMIC_SEQ_CST) >= 2);
    assert_int_equal(__atomic_load_n(&seen.incarnation, __ATOMIC_SEQ_CST), 3);
    c->hv->ops->watch(c->hv, NULL, NULL);
    seen.events = 0;
    start(c, 4);
    await(c, MACHINE_RUNNING);
    assert_int_equal(seen.events, 0);
}

struct found {
    int count;
    struct machine_status status;
};

static void on_listed(void *arg, struct str id, const struct machine_status *status)
{
    struct found *found = arg;

    if (str_eq(id, VM)) {
        found->count++;
        found->status = *status;
    }
}

static void list_agrees_with_probe(void **state)
{
    struct conform_hv *c = *state;
    struct found found = {0};

    assert_int_equal(c->hv->ops->list(c->hv, HOST, on_listed, &found), 0);
    assert_int_equal(found.count, 0);
    run(c, 2);
    assert_int_equal(c->hv->ops->list(c->hv, HOST, on_listed, &found), 0);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.status.state, MACHINE_RUNNING);
    assert_int_equal(found.status.incarnation, 2);
}

/* ── law 6 ── */

static void machines_outlive_the_daemon(void **state)
{
    struct conform_hv *c = *state;
    struct machine_status status;

    run(c, 9);
    kind->reopen(c);
    status = probe(c, VM);
    assert_int_equal(status.state, MACHINE_RUNNING);
    assert_int_equal(status.incarnation, 9);
    assert_int_equal(press(c, 9), 0);
    kind->reopen(c);
    await(c, MACHINE_OFF); /* it went on without us */
    assert_int_equal(probe(c, VM).incarnation, 9);
    assert_true(written(c, LOCAL));
    start(c, 10);
    kind->reopen(c);
    await(c, MACHINE_RUNNING);
}

static void host_comes_and_goes(void **state)
{
    struct conform_hv *c = *state;
    struct machine_status status;

    run(c, 1);
    assert_int_equal(c->hv->ops->host_remove(c->hv, HOST), 0);
    assert_int_equal(c->hv->ops->host_remove(c->hv, HOST), 0);
    assert_int_equal(c->hv->ops->probe(c->hv, HOST, VM, &status), -E_NOT_FOUND);
    pass(c, kind->patience_us);
    assert_int_equal(c->hv->ops->host_add(c->hv, HOST, STR_NONE, NULL), 0);
    assert_int_equal(probe(c, VM).state, MACHINE_RUNNING);
}

/* ── law 7 ── */

static void undefine(struct conform_hv *c)
{
    assert_int_equal(c->hv->ops->undefine(c->hv, HOST, VM), 0);
    assert_int_equal(probe(c, VM).state, MACHINE_ABSENT);
}

static void cloud_disks_outlive_their_machine(void **state)
{
    struct conform_hv *c = *state;

    run(c, 1);
    shut_down(c, 1);
    undefine(c);
    define(c);
    assert_true(written(c, DISK));
    assert_false(written(c, LOCAL)); /* went with the machine */
    undefine(c);
    define(c); /* one that never ran took nothing away */
    assert_true(written(c, DISK));
    start(c, 2);
    await(c, MACHINE_RUNNING);
}

static void a_deleted_disk_is_blank(void **state)
{
    struct conform_hv *c = *state;

    assert_int_equal(c->hv->ops->disk_delete(c->hv, DISK), 0);
    run(c, 1);
    shut_down(c, 1);
    undefine(c);
    assert_int_equal(c->hv->ops->disk_delete(c->hv, DISK), 0);
    assert_int_equal(c->hv->ops->disk_delete(c->hv, DISK), 0);
    define(c);
    assert_false(written(c, DISK));
}

/* Out of a machine's definition and in again: as a disk that is detached and attached. */
static void a_disk_that_leaves_a_definition_is_kept(void **state)
{
    struct conform_hv *c = *state;
    struct machine_spec without = spec;

    without.disks = disks + 1;
    without.disk_count = 1;
    run(c, 1);
    shut_down(c, 1);
    assert_int_equal(c->hv->ops->define(c->hv, HOST, &without, NULL), 0);
    assert_true(written(c, LOCAL));
    define(c);
    assert_true(written(c, DISK));
}

static void cloud_disks_outlive_the_daemon(void **state)
{
    struct conform_hv *c = *state;

    run(c, 1);
    shut_down(c, 1);
    undefine(c);
    kind->reopen(c);
    kind->reopen(c);
    define(c);
    assert_true(written(c, DISK));
    undefine(c);
    assert_int_equal(c->hv->ops->disk_delete(c->hv, DISK), 0);
    kind->reopen(c);
    define(c);
    assert_false(written(c, DISK));
}

/* ── disks that come and go while a machine lives ── */

#define EXTRA STR("d-extra")
#define OTHER STR("i-conform-other")

static const struct machine_disk extra = {
    .id = STR_INIT("d-extra"), .device = STR_INIT("/dev/xvdb"), .size_gib = 1};

static int attach(struct conform_hv *c, struct str id, int64_t incarnation)
{
    return c->hv->ops->disk_attach(c->hv, HOST, id, incarnation, &extra, NULL);
}

/* Until the guest has let go of it. */
static void detach(struct conform_hv *c, struct str id, int64_t incarnation)
{
    const usec_t step_us = 20 * USEC_PER_MSEC;
    int r = -E_BUSY;

    for (usec_t waited_us = 0; r == -E_BUSY && waited_us <= 4 * kind->patience_us;
         waited_us += step_us) {
        r = c->hv->ops->disk_detach(c->hv, HOST, id, incarnation, EXTRA, NULL);
        if (r == -E_BUSY)
            pass(c, step_us);
    }
    assert_int_equal(r, 0);
}

static void disks_come_and_go_while_it_runs(void **state)
{
    struct conform_hv *c = *state;
    struct machine_disk all[countof(disks) + 1] = {disks[0], disks[1], extra};
    struct machine_spec with = spec;

    run(c, 1);
    assert_int_equal(attach(c, VM, 1), 0);
    assert_int_equal(attach(c, VM, 1), 0);
    assert_int_equal(probe(c, VM).state, MACHINE_RUNNING);
    assert_int_equal(c->hv->ops->reset(c->hv, HOST, VM, 1), 0);
    await(c, MACHINE_RUNNING); /* a system that comes up writes to each of its disks */
    assert_true(written(c, EXTRA));
    detach(c, VM, 1);
    assert_int_equal(c->hv->ops->disk_detach(c->hv, HOST, VM, 1, EXTRA, NULL), 0);
    assert_int_equal(probe(c, VM).state, MACHINE_RUNNING);
    shut_down(c, 1);
    undefine(c);
    with.disks = all;
    with.disk_count = countof(all);
    assert_int_equal(c->hv->ops->define(c->hv, HOST, &with, NULL), 0);
    assert_true(written(c, EXTRA)); /* what is on it was kept */
}

/* One that is attached stays with its machine when that goes off, and comes to it again in its next definition only. */
static void a_disk_stays_when_its_machine_goes(void **state)
{
    struct conform_hv *c = *state;

    run(c, 1);
    assert_int_equal(attach(c, VM, 1), 0);
    assert_int_equal(c->hv->ops->reset(c->hv, HOST, VM, 1), 0);
    await(c, MACHINE_RUNNING);
    assert_int_equal(cut(c, 1, MACHINE_CUT_KILL), 0);
    await(c, MACHINE_OFF);
    undefine(c);
    run(c, 2);
    assert_int_equal(attach(c, VM, 2), 0);
    assert_true(written(c, EXTRA));
    assert_int_equal(cut(c, 2, MACHINE_CUT_KILL), 0);
    await(c, MACHINE_OFF);
    undefine(c);
    assert_int_equal(c->hv->ops->disk_delete(c->hv, EXTRA), 0);
    run(c, 3);
    assert_int_equal(attach(c, VM, 3), 0);
    assert_false(written(c, EXTRA));
}

static void disks_come_to_the_living_only(void **state)
{
    struct conform_hv *c = *state;

    assert_int_equal(attach(c, VM, 1), -E_GONE);
    assert_int_equal(c->hv->ops->disk_detach(c->hv, HOST, VM, 1, EXTRA, NULL), -E_GONE);
    run(c, 5);
    assert_int_equal(attach(c, VM, 4), -E_GONE);
    assert_int_equal(attach(c, VM, 6), -E_GONE);
    assert_int_equal(attach(c, VM, 5), 0);
    assert_int_equal(c->hv->ops->disk_detach(c->hv, HOST, VM, 4, EXTRA, NULL), -E_GONE);
    assert_int_equal(cut(c, 5, MACHINE_CUT_KILL), 0);
    await(c, MACHINE_OFF);
    assert_int_equal(attach(c, VM, 5), -E_GONE);
    assert_int_equal(c->hv->ops->disk_attach(c->hv, STR("h-nowhere"), VM, 5, &extra, NULL),
                     -E_NOT_FOUND);
}

static void a_disk_is_one_machines(void **state)
{
    struct conform_hv *c = *state;
    const struct machine_disk system = {.id = STR("d-other"),
                                        .device = STR("/dev/xvda"),
                                        .size_gib = 1,
                                        .image_id = STR("image")};
    struct machine_spec other = spec;

    other.id = OTHER;
    other.mac = STR("00:16:3e:00:00:02");
    other.private_ip = STR("192.168.0.10");
    other.disks = &system;
    other.disk_count = 1;
    run(c, 1);
    assert_int_equal(c->hv->ops->define(c->hv, HOST, &other, NULL), 0);
    assert_int_equal(c->hv->ops->start(c->hv, HOST, OTHER, 1, NULL), 0);
    assert_int_equal(attach(c, VM, 1), 0);
    assert_int_equal(attach(c, OTHER, 1), -E_BUSY);
    detach(c, VM, 1);
    assert_int_equal(attach(c, OTHER, 1), 0);
    assert_int_equal(attach(c, VM, 1), -E_BUSY);
    assert_int_equal(c->hv->ops->cut(c->hv, HOST, OTHER, 1, MACHINE_CUT_KILL), 0);
    for (int i = 0; i < 200 && probe(c, OTHER).state != MACHINE_OFF; i++)
        pass(c, 20 * USEC_PER_MSEC);
    assert_int_equal(c->hv->ops->undefine(c->hv, HOST, OTHER), 0);
    assert_int_equal(attach(c, VM, 1), 0);
}

static void attached_disks_outlive_the_daemon(void **state)
{
    struct conform_hv *c = *state;

    run(c, 1);
    assert_int_equal(attach(c, VM, 1), 0);
    kind->reopen(c);
    assert_int_equal(probe(c, VM).state, MACHINE_RUNNING);
    assert_int_equal(c->hv->ops->reset(c->hv, HOST, VM, 1), 0);
    await(c, MACHINE_RUNNING);
    assert_true(written(c, EXTRA));
    detach(c, VM, 1);
    kind->reopen(c);
    assert_int_equal(attach(c, VM, 1), 0);
    assert_true(written(c, EXTRA));
}

/* ── what can be seen from outside; what an implementation can't show at all it says so (law 8) ── */

static void console_is_of_the_latest_boot(void **state)
{
    struct conform_hv *c = *state;
    const struct hypervisor_ops *ops = c->hv->ops;
    struct arena arena;
    struct str text;
    int r;

    arena_init(&arena, 4u << 20);
    r = ops->console(c->hv, HOST, VM, 65536, &arena, &text);
    assert_true(r == -E_NOT_FOUND || r == -E_UNSUPPORTED_OPERATION);
    run(c, 1);
    r = ops->console(c->hv, HOST, VM, 65536, &arena, &text);
    if (r != -E_UNSUPPORTED_OPERATION) {
        assert_int_equal(r, 0);
        assert_true(text.len > 16 && text.len <= 65536);
        assert_int_equal(ops->console(c->hv, HOST, VM, 16, &arena, &text), 0);
        assert_int_equal(text.len, 16);
        shut_down(c, 1);
        assert_int_equal(ops->console(c->hv, HOST, VM, 65536, &arena, &text), 0);
        assert_true(text.len > 16); /* the last words of one that is off */
    }
    arena_done(&arena);
}

static void screenshot_is_a_png_of_the_living(void **state)
{
    static const char signature[] = "\x89PNG\r\n\x1a\n";
    struct conform_hv *c = *state;
    const struct hypervisor_ops *ops = c->hv->ops;
    struct arena arena;
    struct str png;
    int r;

    arena_init(&arena, 32u << 20);
    run(c, 3);
    r = ops->screenshot(c->hv, HOST, VM, 3, &arena, &png);
    if (r != -E_UNSUPPORTED_OPERATION) {
        assert_int_equal(r, 0);
        assert_true(png.len > sizeof(signature) && memcmp(png.ptr, signature, sizeof(signature) - 1) == 0);
        assert_int_equal(ops->screenshot(c->hv, HOST, VM, 2, &arena, &png), -E_GONE);
        assert_int_equal(ops->screenshot(c->hv, HOST, VM, 4, &arena, &png), -E_GONE);
        assert_int_equal(cut(c, 3, MACHINE_CUT_KILL), 0);
        await(c, MACHINE_OFF);
        assert_int_equal(ops->screenshot(c->hv, HOST, VM, 3, &arena, &png), -E_GONE);
    }
    arena_done(&arena);
}

static void vnc_is_at_an_address(void **state)
{
    struct conform_hv *c = *state;
    const struct hypervisor_ops *ops = c->hv->ops;
    struct arena arena;
    struct str address;
    int r;

    arena_init(&arena, 1u << 20);
    run(c, 3);
    r = ops->vnc(c->hv, HOST, VM, 3, STR("aZ09aZ09"), INT64_C(4102444800) * USEC_PER_SEC, &arena, &address);
    if (r != -E_UNSUPPORTED_OPERATION) {
        assert_int_equal(r, 0);
        assert_true(str_contains(address, STR(":")));
        assert_int_equal(ops->vnc(c->hv, HOST, VM, 2, STR("aZ09aZ09"), 1, &arena, &address), -E_GONE);
    }
    arena_done(&arena);
}

#define LAW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* ── the guest's agent ── */

static int exec_start(struct conform_hv *c, int64_t incarnation, struct str script, int64_t *ret_pid)
{
    struct str args[] = {STR("-c"), script};
    struct machine_exec exec = {.path = STR("/bin/sh"), .args = args, .arg_count = countof(args)};

    return c->hv->ops->exec_start(c->hv, HOST, VM, incarnation, &exec, ret_pid);
}

/* A system that has come up may still be starting its agent. */
static int64_t exec_patiently(struct conform_hv *c, int64_t incarnation, struct str script)
{
    const usec_t step_us = 20 * USEC_PER_MSEC;
    int64_t pid = 0;
    int r = -E_BUSY;

    for (usec_t waited_us = 0; r == -E_BUSY && waited_us <= 4 * kind->patience_us; waited_us += step_us) {
        r = exec_start(c, incarnation, script, &pid);
        if (r == -E_BUSY)
            pass(c, step_us);
    }
    assert_int_equal(r, 0);
    return pid;
}

static struct machine_exec_status exec_end(struct conform_hv *c, int64_t incarnation, int64_t pid, struct arena *arena)
{
    const usec_t step_us = 20 * USEC_PER_MSEC;
    struct machine_exec_status status = {0};

    for (usec_t waited_us = 0; !status.exited && waited_us <= 4 * kind->patience_us; waited_us += step_us) {
        assert_int_equal(c->hv->ops->exec_poll(c->hv, HOST, VM, incarnation, pid, arena, &status), 0);
        if (!status.exited)
            pass(c, step_us);
    }
    assert_true(status.exited);
    return status;
}

static void programs_tell_output_and_exit_code_once(void **state)
{
    struct conform_hv *c = *state;
    struct machine_exec_status status;
    struct arena arena;
    int64_t pid;

    arena_init(&arena, 1u << 20);
    run(c, 1);
    pid = exec_patiently(c, 1, STR("echo hello; exit 3"));
    status = exec_end(c, 1, pid, &arena);
    assert_int_equal(status.exit_code, 3);
    assert_int_equal(status.signal, 0);
    assert_true(str_eq(status.output, STR("hello\n")));
    assert_int_equal(c->hv->ops->exec_poll(c->hv, HOST, VM, 1, pid, &arena, &status), -E_NOT_FOUND);
    status = exec_end(c, 1, exec_patiently(c, 1, STR("echo 'one; two'\necho three")), &arena);
    assert_int_equal(status.exit_code, 0);
    assert_true(str_eq(status.output, STR("one; two\nthree\n")));
    arena_done(&arena);
}

static void killed_programs_end_by_the_signal(void **state)
{
    struct conform_hv *c = *state;
    struct machine_exec_status status = {0};
    struct arena arena;
    int64_t pid;

    arena_init(&arena, 1u << 20);
    run(c, 1);
    pid = exec_patiently(c, 1, STR("sleep 100000"));
    assert_int_equal(c->hv->ops->exec_poll(c->hv, HOST, VM, 1, pid, &arena, &status), 0);
    assert_false(status.exited);
    assert_int_equal(c->hv->ops->exec_kill(c->hv, HOST, VM, 1, pid), 0);
    status = exec_end(c, 1, pid, &arena);
    assert_int_equal(status.signal, 9);
    assert_int_equal(c->hv->ops->exec_kill(c->hv, HOST, VM, 1, pid), 0); /* law 1 */
    arena_done(&arena);
}

static void programs_belong_to_an_incarnation(void **state)
{
    struct conform_hv *c = *state;
    struct machine_exec_status status;
    struct arena arena;
    int64_t pid;
    int64_t other;

    arena_init(&arena, 1u << 20);
    define(c);
    assert_int_equal(exec_start(c, 1, STR("echo no"), &other), -E_GONE); /* it never ran */
    run(c, 1);
    pid = exec_patiently(c, 1, STR("sleep 100000"));
    assert_int_equal(c->hv->ops->exec_poll(c->hv, HOST, VM, 1, 0, &arena, &status), -E_NOT_FOUND);
    assert_int_equal(exec_start(c, 2, STR("echo no"), &other), -E_GONE);
    assert_int_equal(c->hv->ops->exec_poll(c->hv, HOST, VM, 2, pid, &arena, &status), -E_GONE);
    assert_int_equal(c->hv->ops->exec_kill(c->hv, HOST, VM, 2, pid), -E_GONE);
    assert_int_equal(cut(c, 1, MACHINE_CUT_KILL), 0);
    await(c, MACHINE_OFF);
    assert_int_equal(c->hv->ops->exec_poll(c->hv, HOST, VM, 1, pid, &arena, &status), -E_GONE);
    run(c, 2); /* the agent's numbers may come again: only the incarnation tells its programs from those before */
    assert_int_equal(c->hv->ops->exec_poll(c->hv, HOST, VM, 1, pid, &arena, &status), -E_GONE);
    assert_int_equal(c->hv->ops->exec_kill(c->hv, HOST, VM, 1, pid), -E_GONE);
    arena_done(&arena);
}

int conform_hypervisor(const struct conform_hv_kind *of)
{
    const struct CMUnitTest laws[] = {
        LAW(machine_lives_and_ends),
        LAW(each_cut_ends_it),
        LAW(cut_while_booting),
        LAW(reset_keeps_the_incarnation),
        LAW(calls_are_idempotent),
        LAW(start_again_does_not_wake_the_dead),
        LAW(other_incarnations_are_left_alone),
        LAW(commands_to_nobody),
        LAW(living_machines_are_protected),
        LAW(cleared_disks_read_blank),
        LAW(events_are_told),
        LAW(list_agrees_with_probe),
        LAW(host_comes_and_goes),
        LAW(cloud_disks_outlive_their_machine),
        LAW(a_deleted_disk_is_blank),
        LAW(a_disk_that_leaves_a_definition_is_kept),
        LAW(programs_tell_output_and_exit_code_once),
        LAW(killed_programs_end_by_the_signal),
        LAW(programs_belong_to_an_incarnation),
        LAW(disks_come_and_go_while_it_runs),
        LAW(a_disk_stays_when_its_machine_goes),
        LAW(disks_come_to_the_living_only),
        LAW(a_disk_is_one_machines),
        LAW(console_is_of_the_latest_boot),
        LAW(screenshot_is_a_png_of_the_living),
        LAW(vnc_is_at_an_address),
    };
    const struct CMUnitTest law_of_durable_ones[] = {
        LAW(machines_outlive_the_daemon),
        LAW(cloud_disks_outlive_the_daemon),
        LAW(attached_disks_outlive_the_daemon),
    };
    int failed;

    kind = of;
    failed = cmocka_run_group_tests_name(of->name, laws, NULL, NULL);
    if (of->reopen)
        failed += cmocka_run_group_tests_name(of->name, law_of_durable_ones, NULL, NULL);
    return failed;
}
