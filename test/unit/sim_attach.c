/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that come to simulated machines and leave them: when a guest lets go, and what is on the disk after. */
#include "unit/unit.h"

#include <signal.h>
#include <sys/resource.h>

#include "unit/sim_fixture.h"

#define DATA STR("d-data")

static const struct machine_disk data_disk = {
    .id = STR_INIT("d-data"), .device = STR_INIT("/dev/xvdb"), .size_gib = 20};

static int attach(struct world *w, struct str id, int64_t incarnation)
{
    return w->hv->ops->disk_attach(w->hv, HOST, id, incarnation, &data_disk, NULL);
}

static int detach(struct world *w, struct str id, int64_t incarnation)
{
    return w->hv->ops->disk_detach(w->hv, HOST, id, incarnation, DATA, NULL);
}

static bool has(struct world *w, struct str id)
{
    struct sim_disk data;

    return sim_disk_state(w->hv, HOST, id, DATA, &data) == 0;
}

static void only_a_system_that_is_up_lets_go(void **state)
{
    struct world *w = *state;

    world_define(w, VM);
    world_start(w, VM, 1);
    assert_int_equal(attach(w, VM, 1), 0); /* a disk may come while it boots */
    assert_int_equal(detach(w, VM, 1), -E_BUSY);
    world_pass(w, BOOT_MS);
    world_set(w, VM, "pause", NULL);
    assert_int_equal(detach(w, VM, 1), -E_BUSY);
    world_set(w, VM, "resume", NULL);
    world_set(w, VM, "hold-disks", "on");
    assert_int_equal(detach(w, VM, 1), -E_BUSY);
    world_set(w, VM, "hang", "on");
    assert_int_equal(detach(w, VM, 1), -E_TIMEOUT);
    world_set(w, VM, "hang", "off");
    assert_int_equal(detach(w, VM, 1), -E_BUSY);
    assert_true(has(w, VM));
    world_set(w, VM, "hold-disks", "off");
    assert_int_equal(detach(w, VM, 1), 0);
    assert_false(has(w, VM));
    assert_state(w, VM, MACHINE_RUNNING);
    world_set(w, VM, "hang", "on");
    assert_int_equal(attach(w, VM, 1), -E_TIMEOUT);
    assert_int_equal(detach(w, VM, 1), 0); /* it has none: nobody is asked */
}

static void a_guest_that_leaves_is_not_asked(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    assert_int_equal(attach(w, VM, 1), 0);
    assert_int_equal(w->hv->ops->press(w->hv, HOST, VM, 1), 0);
    assert_int_equal(detach(w, VM, 1), -E_BUSY);
    assert_int_equal(w->hv->ops->cut(w->hv, HOST, VM, 1, MACHINE_CUT_QUIT), 0);
    assert_int_equal(detach(w, VM, 1), -E_GONE);
    assert_int_equal(attach(w, VM, 1), -E_GONE);
    world_pass(w, SHUTDOWN_MS);
    assert_state(w, VM, MACHINE_OFF);
    assert_int_equal(attach(w, VM, 1), -E_GONE);
    assert_int_equal(detach(w, VM, 1), 0); /* out of what is defined */
    assert_false(has(w, VM));
}

static void who_lets_go_has_written_all(void **state)
{
    struct world *w = *state;
    struct sim_disk data;

    world_run(w, VM, 1);
    assert_int_equal(attach(w, VM, 1), 0);
    assert_int_equal(w->hv->ops->reset(w->hv, HOST, VM, 1), 0);
    world_pass(w, BOOT_MS);
    data = world_disk(w, DATA);
    assert_int_equal(data.durable, 1);
    assert_int_equal(data.cached, 1);
    assert_int_equal(detach(w, VM, 1), 0);
    assert_true(sim_disk_kept(w->hv, DATA));
    assert_int_equal(attach(w, VM, 1), 0);
    assert_false(sim_disk_kept(w->hv, DATA));
    data = world_disk(w, DATA);
    assert_int_equal(data.durable, 2);
    assert_int_equal(data.cached, 0);
    assert_int_equal(data.lost, 0);
}

/* Of a restored store, or of somebody else's doing: the definition of a machine that is off binds nobody. */
static void one_that_is_off_lets_go_of_all(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    assert_int_equal(attach(w, VM, 1), 0);
    assert_int_equal(w->hv->ops->reset(w->hv, HOST, VM, 1), 0);
    world_pass(w, BOOT_MS);
    world_set(w, VM, "crash", NULL);
    assert_true(has(w, VM));
    world_run(w, STR("i-2"), 1);
    assert_int_equal(attach(w, STR("i-2"), 1), 0);
    assert_true(has(w, STR("i-2")));
    assert_false(has(w, VM));
    world_start(w, VM, 2);
    assert_int_equal(attach(w, VM, 2), -E_BUSY);
    if (!w->dir[0])
        return;
    world_reopen(w);
    assert_true(has(w, STR("i-2")));
    assert_false(has(w, VM));
}

static void limits(void **state)
{
    struct world *w = *state;
    struct machine_disk disk = data_disk;
    char text[300];
    int r = 0;

    memset(text, 'x', sizeof(text));
    world_run(w, VM, 1);
    disk.id = str_slice(text, 256);
    assert_int_equal(w->hv->ops->disk_attach(w->hv, HOST, VM, 1, &disk, NULL), -E_INVALID);
    disk = data_disk;
    disk.local = true;
    assert_int_equal(w->hv->ops->disk_attach(w->hv, HOST, VM, 1, &disk, NULL), -E_INVALID);
    disk = data_disk;
    for (size_t i = 1; r == 0; i++) {
        disk.id = str_slice(text, i);
        r = w->hv->ops->disk_attach(w->hv, HOST, VM, 1, &disk, NULL);
        assert_true(i < 100);
    }
    assert_int_equal(r, -E_LIMIT);
    assert_state(w, VM, MACHINE_RUNNING);
}

static void a_full_disk_changes_nothing(void **state)
{
    struct world *w = *state;
    struct rlimit before, tight;
    char path[128];

    world_run(w, VM, 1);
    world_path(w, path);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 1;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(attach(w, VM, 1), -E_NO_SPACE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(has(w, VM));
    assert_int_equal(attach(w, VM, 1), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(detach(w, VM, 1), -E_NO_SPACE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(has(w, VM));
    world_reopen(w);
    assert_true(has(w, VM));
}

static void a_host_that_is_lost_says_nothing(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    world_set(w, STR_NONE, "state", "down");
    assert_int_equal(attach(w, VM, 1), -E_UNREACHABLE);
    assert_int_equal(detach(w, VM, 1), -E_UNREACHABLE);
}

static void hold_is_kept(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    world_set(w, VM, "hold-disks", "on");
    assert_int_equal(attach(w, VM, 1), 0); /* the whole machine is written here, the knob with it */
    world_reopen(w);
    assert_int_equal(detach(w, VM, 1), -E_BUSY);
    assert_int_equal(w->hv->ops->press(w->hv, HOST, VM, 1), 0); /* it is the disks only */
    world_pass(w, SHUTDOWN_MS);
    assert_state(w, VM, MACHINE_OFF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
#define TEST_ON_DISK(name) cmocka_unit_test_setup_teardown(name, world_setup_on_disk, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_a_system_that_is_up_lets_go),
        TEST(a_guest_that_leaves_is_not_asked),
        TEST(who_lets_go_has_written_all),
        TEST(one_that_is_off_lets_go_of_all),
        TEST(limits),
        TEST(a_host_that_is_lost_says_nothing),
        TEST_ON_DISK(one_that_is_off_lets_go_of_all),
        TEST_ON_DISK(a_full_disk_changes_nothing),
        TEST_ON_DISK(hold_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
