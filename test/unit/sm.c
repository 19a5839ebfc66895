/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include "base/sm.h"

enum { OFF, ON, BROKEN };

static const struct sm_state states[] = {
    [OFF] = {"Off", SM_MAY(ON), SM_STABLE},
    [ON] = {"On", SM_MAY(OFF) | SM_MAY(BROKEN), SM_STABLE},
    [BROKEN] = {"Broken", 0, SM_STABLE},
};
static const struct sm lamp = {"lamp", states, countof(states)};

static void moves_by_the_table(void **state)
{
    int lamp_state = OFF;

    (void)state;
    assert_true(sm_may(&lamp, OFF, ON));
    assert_false(sm_may(&lamp, OFF, BROKEN));
    assert_false(sm_may(&lamp, ON, ON));
    assert_false(sm_may(&lamp, BROKEN, OFF));
    sm_move(&lamp, &lamp_state, ON);
    assert_int_equal(lamp_state, ON);
    sm_move(&lamp, &lamp_state, BROKEN);
    assert_string_equal(sm_name(&lamp, lamp_state), "Broken");
}

static void finds_names_exactly(void **state)
{
    (void)state;
    assert_int_equal(sm_find(&lamp, STR("On")), ON);
    assert_int_equal(sm_find(&lamp, STR("on")), -1);
    assert_int_equal(sm_find(&lamp, STR_NONE), -1);
}

static void a_move_off_the_table_is_a_bug(void **state)
{
    int lamp_state = OFF;

    (void)state;
    assert_aborts(sm_move(&lamp, &lamp_state, BROKEN));
    assert_aborts((void)sm_name(&lamp, 3));
    assert_aborts((void)sm_may(&lamp, -1, ON));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_move_off_the_table_is_a_bug),
                                       cmocka_unit_test(moves_by_the_table),
                                       cmocka_unit_test(finds_names_exactly)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
