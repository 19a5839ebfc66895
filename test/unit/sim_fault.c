/* SPDX-License-Identifier: Apache-2.0 */
/* The wrapper that fails calls: it must fail exactly those that it is told to, before or after they
 * acted. */
#include "unit/unit.h"

#include "hypervisor/fault.h"
#include "unit/sim_fixture.h"

static struct hypervisor *wrap(struct world *w)
{
    struct hypervisor *inner = w->hv;
    struct hypervisor *hv = fault_new(&inner);

    assert_null(inner);
    return hv;
}

static void fails_the_nth_call_before_it_acts(void **state)
{
    struct world *w = *state;
    struct hypervisor *hv = wrap(w);
    struct machine_status status = {.incarnation = 77};

    world_define(w, VM);
    fault_arm(hv, &(struct fault_plan){.nth = 2});
    assert_int_equal(hv->ops->probe(hv, HOST, VM, &status), 0);
    assert_int_equal(status.incarnation, 0);
    assert_int_equal(hv->ops->start(hv, HOST, VM, 1, NULL), -E_UNREACHABLE);
    assert_state(w, VM, MACHINE_OFF);
    assert_int_equal(hv->ops->start(hv, HOST, VM, 1, NULL), 0);
    assert_state(w, VM, MACHINE_BOOTING);
    assert_int_equal(fault_calls(hv), 3);
    assert_int_equal(fault_failed(hv), 1);
    fault_arm(hv, NULL);
    assert_int_equal(fault_calls(hv), 0);
    w->hv = hv; /* it owns the inner one */
}

static void loses_the_answer_of_a_call_that_acted(void **state)
{
    struct world *w = *state;
    struct hypervisor *hv = wrap(w);
    struct machine_status status = {.incarnation = 77};

    world_define(w, VM);
    fault_arm(hv, &(struct fault_plan){.nth = 1, .count = 2, .after = true, .error = E_IO});
    assert_int_equal(hv->ops->start(hv, HOST, VM, 1, NULL), -E_IO);
    assert_state(w, VM, MACHINE_BOOTING);
    assert_int_equal(hv->ops->probe(hv, HOST, VM, &status), -E_IO);
    assert_int_equal(status.incarnation, 77); /* outputs are written on success only */
    assert_int_equal(hv->ops->probe(hv, HOST, VM, &status), 0);
    assert_int_equal(status.incarnation, 1);
    w->hv = hv;
}

/* What the engine does in small: with any one call failing, before or after, repeating ends in the
 * same state. */
static int stop_once(struct hypervisor *hv, struct world *w, struct hypervisor *sim)
{
    struct machine_status status;
    int failures = 0;

    for (;;) {
        if (hv->ops->probe(hv, HOST, VM, &status) != 0)
            failures++;
        else if (status.state == MACHINE_OFF)
            return failures;
        else if (hv->ops->press(hv, HOST, VM, status.incarnation) != 0)
            failures++;
        env_advance(w->env, 40 * MS);
        (void)sim_advance(sim);
    }
}

static void repeating_overcomes_any_single_failure(void **state)
{
    struct world *w = *state;
    struct hypervisor *sim = w->hv;
    struct hypervisor *hv = wrap(w);
    bool untouched = false;

    for (int64_t nth = 1; !untouched; nth++) {
        for (int after = 0; after < 2; after++) {
            int failures;

            world_define(w, VM);
            world_start(w, VM, 2 * nth + after);
            world_pass(w, BOOT_MS);
            fault_arm(hv, &(struct fault_plan){.nth = nth, .after = after != 0});
            failures = stop_once(hv, w, sim);
            assert_state(w, VM, MACHINE_OFF);
            assert_int_equal(failures, fault_failed(hv));
            untouched = failures == 0;
        }
        assert_true(nth < 100);
    }
    w->hv = hv;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fails_the_nth_call_before_it_acts),
        TEST(loses_the_answer_of_a_call_that_acted),
        TEST(repeating_overcomes_any_single_failure),
    };

    return cmocka_run_group_tests_name("sim_fault", tests, NULL, NULL);
}
