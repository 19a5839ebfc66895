/* SPDX-License-Identifier: Apache-2.0 */
/* The console and the screen of a simulated machine, which follow from its state and its times. */
#include "unit/unit.h"

#include "hypervisor/png.h"
#include "unit/sim_fixture.h"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, 16u << 20);
    return world_setup_on_disk(state);
}

static int teardown(void **state)
{
    arena_done(&arena);
    return world_teardown(state);
}

static struct str console(struct world *w)
{
    struct str text;

    assert_int_equal(w->hv->ops->console(w->hv, HOST, VM, 65536, &arena, &text), 0);
    return text;
}

#define SAYS(w, words) assert_true(str_contains(console(w), STR(words)))
#define SAYS_NOT(w, words) assert_false(str_contains(console(w), STR(words)))

static void a_life_in_order(void **state)
{
    struct world *w = *state;

    world_define(w, VM);
    assert_int_equal(console(w).len, 0); /* it has never started */
    world_start(w, VM, 4);
    SAYS(w, "Simulated machine i-1, start 4\r\n");
    SAYS(w, "/dev/xvda: 40 GiB\r\n");
    SAYS(w, "/dev/vdb: 100 GiB, local\r\n");
    SAYS_NOT(w, "login:");
    world_pass(w, BOOT_MS);
    SAYS(w, "i-1 login: ");
    SAYS_NOT(w, "Shutdown");
    assert_int_equal(w->hv->ops->press(w->hv, HOST, VM, 4), 0);
    SAYS(w, "Reached target System Shutdown.");
    SAYS_NOT(w, "Power down");
    world_pass(w, SHUTDOWN_MS);
    SAYS(w, "i-1 login: ");
    SAYS(w, "[1970-01-01T00:16:40Z] reboot: Power down\r\n"); /* the clock of these tests begins a second 1000 */
    world_start(w, VM, 5);
    SAYS(w, "start 5");
    SAYS_NOT(w, "start 4");
    SAYS_NOT(w, "login:");
}

static void other_ends(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    world_set(w, VM, "pause", "");
    SAYS(w, "login:");
    assert_int_equal(w->hv->ops->cut(w->hv, HOST, VM, 1, MACHINE_CUT_KILL), 0);
    world_pass(w, 100);
    assert_state(w, VM, MACHINE_OFF);
    SAYS(w, "login:");
    SAYS_NOT(w, "down"); /* a power cut leaves no word */
    world_start(w, VM, 2);
    world_set(w, VM, "crash", "");
    SAYS_NOT(w, "login:");
    SAYS(w, "Kernel panic");
    world_start(w, VM, 3);
    world_pass(w, BOOT_MS);
    world_set(w, VM, "reboot", "");
    SAYS_NOT(w, "login:"); /* the latest boot is another by now */
}

static void the_last_bytes(void **state)
{
    struct world *w = *state;
    struct str text;

    world_run(w, VM, 1);
    assert_int_equal(w->hv->ops->console(w->hv, HOST, VM, 11, &arena, &text), 0);
    assert_str(text, "i-1 login: ");
}

/* The same words after the machine was written down as a whole, and read again. */
static void it_is_as_durable_as_the_machine(void **state)
{
    struct world *w = *state;
    struct machine_spec spec = {.id = VM, .vcpus = 4, .memory_mib = 4096, .disks = world_disks, .disk_count = 2};
    struct str before;

    world_run(w, VM, 1);
    assert_int_equal(w->hv->ops->cut(w->hv, HOST, VM, 1, MACHINE_CUT_KILL), 0);
    world_pass(w, 100);
    assert_int_equal(w->hv->ops->define(w->hv, HOST, &spec, NULL), 0);
    before = console(w);
    assert_true(str_contains(before, STR("login:")));
    world_reopen(w);
    assert_true(str_eq(console(w), before));
}

static void nobody_and_out_of_reach(void **state)
{
    struct world *w = *state;
    struct str text;

    assert_int_equal(w->hv->ops->console(w->hv, HOST, VM, 64, &arena, &text), -E_NOT_FOUND);
    assert_int_equal(w->hv->ops->screenshot(w->hv, HOST, VM, 1, &arena, &text), -E_GONE);
    world_run(w, VM, 1);
    world_set(w, STR_NONE, "state", "down");
    assert_int_equal(w->hv->ops->console(w->hv, HOST, VM, 64, &arena, &text), -E_UNREACHABLE);
    assert_int_equal(w->hv->ops->screenshot(w->hv, HOST, VM, 1, &arena, &text), -E_UNREACHABLE);
}

static struct str screenshot(struct world *w, int64_t incarnation)
{
    struct str png;

    assert_int_equal(w->hv->ops->screenshot(w->hv, HOST, VM, incarnation, &arena, &png), 0);
    assert_true(str_starts(png, STR(PNG_SIGNATURE)));
    return png;
}

static void the_screen_shows_the_state(void **state)
{
    struct world *w = *state;
    struct str booting, running, paused, dying;

    world_define(w, VM);
    world_start(w, VM, 1);
    booting = screenshot(w, 1);
    world_pass(w, BOOT_MS);
    running = screenshot(w, 1);
    world_set(w, VM, "pause", "");
    paused = screenshot(w, 1);
    world_set(w, VM, "resume", "");
    assert_true(str_eq(screenshot(w, 1), running));
    assert_int_equal(w->hv->ops->press(w->hv, HOST, VM, 1), 0);
    dying = screenshot(w, 1);
    assert_false(str_eq(booting, running));
    assert_false(str_eq(running, paused));
    assert_false(str_eq(running, dying));
}

#define TEST_OF(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(a_life_in_order),
        TEST_OF(other_ends),
        TEST_OF(the_last_bytes),
        TEST_OF(it_is_as_durable_as_the_machine),
        TEST_OF(nobody_and_out_of_reach),
        TEST_OF(the_screen_shows_the_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
