/* SPDX-License-Identifier: Apache-2.0 */
/* A hundred thousand machines: that it stays small and that no call walks over all of them. Prints
 * figures, judges memory. */
#include "unit/unit.h"

#include <malloc.h>
#include <sys/resource.h>

#include "unit/sim_fixture.h"

#define MACHINES 100000
/* With two disks, all names, and what the allocator and half-empty tables add. */
#define BYTES_PER_MACHINE 560

static struct str machine_name(int i, char text[32])
{
    (void)snprintf(text, 32, "i-bp1%015d", i);
    return str_from(text);
}

static usec_t clock_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (usec_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

static void report(const char *what, usec_t began_us, int count)
{
    double us = (double)(clock_us() - began_us);

    print_message("%s: %.2f us each, %.0f a second\n", what, us / count, count / us * 1e6);
}

static void count_off(void *arg, struct str id, const struct machine_status *status)
{
    int *off = arg;

    (void)id;
    *off += status->state == MACHINE_OFF;
}

static void hundred_thousand_machines(void **state)
{
    struct world *w = *state;
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    size_t used;
    usec_t began_us;
    char text[32];
    int off = 0;

    began_us = clock_us();
    for (int i = 0; i < MACHINES; i++)
        world_define(w, machine_name(i, text));
    report("define", began_us, MACHINES);
    began_us = clock_us();
    for (int i = 0; i < MACHINES; i++)
        world_start(w, machine_name(i, text), 1);
    report("start", began_us, MACHINES);
    used = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    print_message("memory: %zu bytes a machine\n", used / MACHINES);
    assert_true(used / MACHINES < BYTES_PER_MACHINE);
    began_us = clock_us();
    world_pass(w, BOOT_MS);
    report("boot", began_us, MACHINES);
    began_us = clock_us();
    for (int i = 0; i < MACHINES; i++)
        assert_int_equal(w->hv->ops->press(w->hv, HOST, machine_name(i, text), 1), 0);
    report("press", began_us, MACHINES);
    began_us = clock_us();
    world_reopen(w);
    report("restart", began_us, MACHINES);
    assert_state(w, machine_name(MACHINES / 2, text), MACHINE_DYING);
    world_pass(w, SHUTDOWN_MS);
    assert_int_equal(w->hv->ops->list(w->hv, HOST, count_off, &off), 0);
    assert_int_equal(off, MACHINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hundred_thousand_machines, world_setup_on_disk,
                                        world_teardown),
    };

    return cmocka_run_group_tests_name("sim_load", tests, NULL, NULL);
}
