/* SPDX-License-Identifier: Apache-2.0 */
#include "model/instance.h"

#include "gen/options.h"
#include "unit/unit.h"

static const struct stop_rules seed_rules = {.local_disk_clear = COMPAT_LOCAL_DISK_CLEAR_I1};

static struct instance instance_in(enum instance_state state, const char *type)
{
    bool stable = state == INSTANCE_STATE_RUNNING || state == INSTANCE_STATE_STOPPED;

    return (struct instance){
        .id = STR("i-1"),
        .state = (int)state,
        .job_id = stable ? 0 : 7,
        .host_id = STR("host-1"),
        .type_id = str_from(type),
    };
}

static void moves_follow_the_table(void **arg)
{
    static const uint8_t may[INSTANCE_STATE_COUNT][INSTANCE_STATE_COUNT] = {
        [INSTANCE_STATE_PENDING] = {[INSTANCE_STATE_STARTING] = 1, [INSTANCE_STATE_STOPPED] = 1},
        [INSTANCE_STATE_STARTING] = {[INSTANCE_STATE_RUNNING] = 1, [INSTANCE_STATE_STOPPED] = 1},
        [INSTANCE_STATE_RUNNING] = {[INSTANCE_STATE_STARTING] = 1, [INSTANCE_STATE_STOPPING] = 1,
                                    [INSTANCE_STATE_STOPPED] = 1},
        [INSTANCE_STATE_STOPPING] = {[INSTANCE_STATE_RUNNING] = 1, [INSTANCE_STATE_STOPPED] = 1,
                                      [INSTANCE_STATE_STARTING] = 1},
        [INSTANCE_STATE_STOPPED] = {[INSTANCE_STATE_STARTING] = 1},
    };

    (void)arg;
    for (int from = 0; from < INSTANCE_STATE_COUNT; from++) {
        assert_string_equal(sm_name(&instance_sm, from), instance_state_text((enum instance_state)from));
        for (int to = 0; to < INSTANCE_STATE_COUNT; to++) {
            struct instance inst = instance_in((enum instance_state)from, "ecs.g6.large");

            assert_int_equal(sm_may(&instance_sm, from, to), may[from][to]);
            if (!may[from][to])
                continue;
            inst.job_id = to == INSTANCE_STATE_RUNNING || to == INSTANCE_STATE_STOPPED ? 0 : 9;
            instance_move(&inst, (enum instance_state)to, 1234);
            assert_int_equal(inst.state, to);
            assert_int_equal(inst.state_since_us, 1234);
        }
    }
}

static int stop_check(struct instance inst, struct stop_order order, struct stop_rules rules, bool disk_busy)
{
    return instance_stop_check(&inst, &order, &rules, disk_busy, NULL);
}

static void stop_needs_running(void **arg)
{
    struct stop_order order = {0};

    (void)arg;
    for (int state = 0; state < INSTANCE_STATE_COUNT; state++)
        assert_int_equal(stop_check(instance_in((enum instance_state)state, "ecs.g6.large"), order, seed_rules, false),
                         state == INSTANCE_STATE_RUNNING ? 0 : -E_INSTANCE_STATUS);
}

static void stop_checks_in_the_order_of_the_api(void **arg)
{
    struct instance inst = instance_in(INSTANCE_STATE_STOPPED, "ecs.i1.xlarge");
    struct stop_order order = {.hibernate = true};

    (void)arg;
    inst.locks = (1 << LOCK_REASON_SECURITY) | (1 << LOCK_REASON_FINANCIAL);
    assert_int_equal(stop_check(inst, order, seed_rules, true), -E_INSTANCE_LOCKED_SECURITY);
    inst.locks = 1 << LOCK_REASON_FINANCIAL;
    assert_int_equal(stop_check(inst, order, seed_rules, true), -E_INSTANCE_ARREARS);
    inst.locks = 1 << LOCK_REASON_RECYCLING;
    assert_int_equal(stop_check(inst, order, seed_rules, true), -E_INSTANCE_STATUS);
    inst.state = INSTANCE_STATE_RUNNING;
    assert_int_equal(stop_check(inst, order, seed_rules, true), -E_CONFIRM_STOP);
    order.confirm = true;
    assert_int_equal(stop_check(inst, order, seed_rules, true), -E_DISK_ERROR);
    assert_int_equal(stop_check(inst, order, seed_rules, false), -E_HIBERNATION_NOT_ENABLED);
    inst.hibernation = true;
    assert_int_equal(stop_check(inst, order, seed_rules, false), 0);
}

static void confirm_stop_binds_i1_only(void **arg)
{
    struct stop_rules ignored = {.confirm_ignored = true};
    struct stop_order order = {0};

    (void)arg;
    assert_int_equal(stop_check(instance_in(INSTANCE_STATE_RUNNING, "ecs.i1.xlarge"), order, seed_rules, false),
                     -E_CONFIRM_STOP);
    assert_int_equal(stop_check(instance_in(INSTANCE_STATE_RUNNING, "ecs.i1.xlarge"), order, ignored, false), 0);
    assert_int_equal(stop_check(instance_in(INSTANCE_STATE_RUNNING, "ecs.i2.xlarge"), order, seed_rules, false), 0);
    assert_int_equal(stop_check(instance_in(INSTANCE_STATE_RUNNING, "ecs.g6.large"), order, seed_rules, false), 0);
}

static void force_overtakes_only_when_told_to(void **arg)
{
    struct instance inst = instance_in(INSTANCE_STATE_STOPPING, "ecs.g6.large");
    struct stop_rules overtakes = {.force_overtakes = true};
    struct stop_order forced = {.force = true};
    struct stop_order graceful = {0};

    (void)arg;
    assert_int_equal(stop_check(inst, forced, seed_rules, false), -E_INSTANCE_STATUS);
    assert_int_equal(stop_check(inst, forced, overtakes, false), 0);
    assert_int_equal(stop_check(inst, graceful, overtakes, false), -E_INSTANCE_STATUS);
}

static void local_disks_are_cleared_by_family(void **arg)
{
    struct stop_rules all = {.local_disk_clear = COMPAT_LOCAL_DISK_CLEAR_ALL};
    struct stop_rules none = {.local_disk_clear = COMPAT_LOCAL_DISK_CLEAR_NONE};
    struct instance i1 = instance_in(INSTANCE_STATE_RUNNING, "ecs.i1.xlarge");
    struct instance i2 = instance_in(INSTANCE_STATE_RUNNING, "ecs.i2.xlarge");
    struct instance g6 = instance_in(INSTANCE_STATE_RUNNING, "ecs.g6.large");

    (void)arg;
    assert_true(instance_clears_local_disks(&i1, &seed_rules));
    assert_false(instance_clears_local_disks(&i2, &seed_rules));
    assert_true(instance_clears_local_disks(&i2, &all));
    assert_false(instance_clears_local_disks(&g6, &all));
    assert_false(instance_clears_local_disks(&i1, &none));
}

static void stopped_mode_of_those_that_qualify(void **arg)
{
    struct instance g6 = instance_in(INSTANCE_STATE_STOPPED, "ecs.g6.large");
    struct instance prepaid = instance_in(INSTANCE_STATE_STOPPED, "ecs.g6.large");
    struct instance classic = instance_in(INSTANCE_STATE_STOPPED, "ecs.g6.large");
    struct instance local = instance_in(INSTANCE_STATE_STOPPED, "ecs.i2.xlarge");

    (void)arg;
    prepaid.charge_type = CHARGE_TYPE_PRE_PAID;
    classic.network_type = NETWORK_TYPE_CLASSIC;
    assert_true(instance_may_stop_charging(&g6));
    assert_false(instance_may_stop_charging(&prepaid));
    assert_false(instance_may_stop_charging(&classic));
    assert_false(instance_may_stop_charging(&local));
    assert_int_equal(instance_stopped_mode_for(&g6, -1, STOPPED_MODE_KEEP_CHARGING), STOPPED_MODE_KEEP_CHARGING);
    assert_int_equal(instance_stopped_mode_for(&g6, -1, STOPPED_MODE_STOP_CHARGING), STOPPED_MODE_STOP_CHARGING);
    assert_int_equal(instance_stopped_mode_for(&g6, STOPPED_MODE_KEEP_CHARGING, STOPPED_MODE_STOP_CHARGING),
                     STOPPED_MODE_KEEP_CHARGING);
    assert_int_equal(instance_stopped_mode_for(&local, STOPPED_MODE_STOP_CHARGING, STOPPED_MODE_STOP_CHARGING),
                     STOPPED_MODE_KEEP_CHARGING);
    assert_int_equal(instance_shown_stopped_mode(&g6), STOPPED_MODE_KEEP_CHARGING);
    assert_int_equal(instance_shown_stopped_mode(&prepaid), STOPPED_MODE_NOT_APPLICABLE);
    g6.state = INSTANCE_STATE_RUNNING;
    assert_int_equal(instance_shown_stopped_mode(&g6), STOPPED_MODE_NOT_APPLICABLE);
}

static void start_and_reboot_checks(void **arg)
{
    struct instance stopped = instance_in(INSTANCE_STATE_STOPPED, "ecs.g6.large");
    struct instance running = instance_in(INSTANCE_STATE_RUNNING, "ecs.g6.large");

    (void)arg;
    assert_int_equal(instance_start_check(&stopped, false, NULL), 0);
    assert_int_equal(instance_start_check(&stopped, true, NULL), -E_DISK_ERROR_START);
    assert_int_equal(instance_start_check(&running, false, NULL), -E_INSTANCE_STATUS);
    assert_int_equal(instance_reboot_check(&running, false, NULL), 0);
    assert_int_equal(instance_reboot_check(&stopped, false, NULL), -E_INSTANCE_STATUS);
    stopped.locks = running.locks = 1 << LOCK_REASON_SECURITY;
    assert_int_equal(instance_start_check(&stopped, false, NULL), -E_INSTANCE_LOCKED_SECURITY);
    assert_int_equal(instance_reboot_check(&running, false, NULL), -E_INSTANCE_LOCKED_SECURITY);
    stopped.locks = running.locks = 1 << LOCK_REASON_FINANCIAL;
    assert_int_equal(instance_start_check(&stopped, false, NULL), -E_INSTANCE_EXPIRED_POSTPAID);
    assert_int_equal(instance_reboot_check(&running, false, NULL), -E_INSTANCE_ARREARS);
}

static void redeploy_checks(void **arg)
{
    struct instance stopped = instance_in(INSTANCE_STATE_STOPPED, "ecs.g6.large");
    struct instance running = instance_in(INSTANCE_STATE_RUNNING, "ecs.i1.xlarge");
    struct instance starting = instance_in(INSTANCE_STATE_STARTING, "ecs.g6.large");
    struct instance pending = instance_in(INSTANCE_STATE_PENDING, "ecs.g6.large");

    (void)arg;
    assert_int_equal(instance_redeploy_check(&stopped, false, NULL), 0);
    assert_int_equal(instance_redeploy_check(&running, false, NULL), 0);
    assert_int_equal(instance_redeploy_check(&starting, false, NULL), -E_INSTANCE_STATUS);
    assert_int_equal(instance_redeploy_check(&pending, false, NULL), -E_INSTANCE_STATUS);
    assert_int_equal(instance_redeploy_check(&running, true, NULL), -E_DISK_ERROR_START);
    assert_int_equal(instance_redeploy_check(&starting, true, NULL), -E_INSTANCE_STATUS);
    stopped.locks = 1 << LOCK_REASON_FINANCIAL;
    assert_int_equal(instance_redeploy_check(&stopped, true, NULL), -E_INSTANCE_ARREARS);
    starting.locks = 1 << LOCK_REASON_SECURITY | 1 << LOCK_REASON_FINANCIAL;
    assert_int_equal(instance_redeploy_check(&starting, true, NULL), -E_INSTANCE_LOCKED_SECURITY);
}

static void delete_checks(void **arg)
{
    struct instance inst = instance_in(INSTANCE_STATE_PENDING, "ecs.g6.large");

    (void)arg;
    assert_int_equal(instance_delete_check(&inst, true, false, 100, NULL), -E_INSTANCE_STATUS_INITIALIZING);
    inst.state = INSTANCE_STATE_RUNNING;
    assert_int_equal(instance_delete_check(&inst, false, false, 100, NULL), -E_INSTANCE_STATUS);
    assert_int_equal(instance_delete_check(&inst, true, false, 100, NULL), 0);
    inst.state = INSTANCE_STATE_STOPPING;
    assert_int_equal(instance_delete_check(&inst, true, false, 100, NULL), -E_INSTANCE_STATUS);
    inst.state = INSTANCE_STATE_STOPPED;
    inst.job_id = 0;
    assert_int_equal(instance_delete_check(&inst, false, false, 100, NULL), 0);
    inst.deletion_protection = true;
    assert_int_equal(instance_delete_check(&inst, true, false, 100, NULL), -E_DELETION_PROTECTION);
    inst.deletion_protection = false;
    inst.charge_type = CHARGE_TYPE_PRE_PAID;
    inst.expires_us = 100;
    assert_int_equal(instance_delete_check(&inst, true, true, 99, NULL), -E_CHARGE_TYPE);
    assert_int_equal(instance_delete_check(&inst, true, false, 100, NULL), -E_CHARGE_TYPE);
    assert_int_equal(instance_delete_check(&inst, true, true, 100, NULL), 0);
}

/* What else would be refused is refused as ever; what would be right has to wait. */
static void nothing_begins_while_it_is_evacuated(void **arg)
{
    static const struct stop_order order = {.confirm = true};
    static const struct stop_rules rules = {0};
    struct instance inst = instance_in(INSTANCE_STATE_STOPPED, "ecs.g6.large");

    (void)arg;
    inst.job_id = 7;
    assert_int_equal(instance_start_check(&inst, false, NULL), -E_OPERATION_CONFLICT);
    assert_int_equal(instance_redeploy_check(&inst, false, NULL), -E_OPERATION_CONFLICT);
    assert_int_equal(instance_delete_check(&inst, true, false, 100, NULL), -E_OPERATION_CONFLICT);
    assert_int_equal(instance_start_check(&inst, true, NULL), -E_DISK_ERROR_START);
    assert_int_equal(instance_stop_check(&inst, &order, &rules, false, NULL), -E_INSTANCE_STATUS);
    assert_int_equal(instance_reboot_check(&inst, false, NULL), -E_INSTANCE_STATUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_follow_the_table),
        cmocka_unit_test(stop_needs_running),
        cmocka_unit_test(stop_checks_in_the_order_of_the_api),
        cmocka_unit_test(confirm_stop_binds_i1_only),
        cmocka_unit_test(force_overtakes_only_when_told_to),
        cmocka_unit_test(local_disks_are_cleared_by_family),
        cmocka_unit_test(stopped_mode_of_those_that_qualify),
        cmocka_unit_test(start_and_reboot_checks),
        cmocka_unit_test(redeploy_checks),
        cmocka_unit_test(delete_checks),
        cmocka_unit_test(nothing_begins_while_it_is_evacuated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
