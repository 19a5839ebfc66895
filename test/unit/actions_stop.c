/* SPDX-License-Identifier: Apache-2.0 */
/* StopInstance and its family as the API pages tell them: who may, when, and what stands in the
 * rows afterwards. */
#include "unit/actions_world.h"

static void lock(struct acts *acts, struct str id, int reason)
{
    struct admin_lock_instance_reply reply;

    REQUEST(admin_lock_instance, req);
    req.instance_id = id;
    req.reason = reason;
    assert_ok(ACT(acts, ADMIN_LOCK_INSTANCE, &req, &reply));
}

static void unlock(struct acts *acts, struct str id)
{
    struct admin_unlock_instance_reply reply;

    REQUEST(admin_unlock_instance, req);
    req.instance_id = id;
    assert_ok(ACT(acts, ADMIN_UNLOCK_INSTANCE, &req, &reply));
}

static void set_disk(struct acts *acts, struct str instance_id, int status)
{
    struct admin_set_disk_reply reply;
    struct tx *tx = store_read_begin(acts->world->store);
    struct disk *disks;
    size_t count;
    struct str id;

    assert_ok(store_disk_of_instance(tx, instance_id, &disks, &count));
    assert_true(count > 0);
    id = arena_str(&acts->arena, disks[0].id);
    store_read_end(tx);
    REQUEST(admin_set_disk, req);
    req.disk_id = id;
    req.status = status;
    assert_ok(ACT(acts, ADMIN_SET_DISK, &req, &reply));
}

static void stop_passes_through_stopping(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);

    (void)state;
    assert_ok(acts_stop(acts, id));
    assert_int_equal(acts_view(acts, id).status, INSTANCE_STATE_STOPPING);
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_int_equal(acts_view(acts, id).stopped_mode, STOPPED_MODE_KEEP_CHARGING);
    acts_close(acts);
}

static void stop_needs_a_running_instance_of_the_account(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);

    (void)state;
    assert_refused(acts_stop(acts, STR("blah")), E_INSTANCE_NOT_FOUND);
    assert_str(acts->fail.message, "The specified InstanceId does not exist.");
    acts_swap(acts);
    assert_refused(acts_stop(acts, id), E_INSTANCE_NOT_FOUND);
    acts_swap(acts);
    assert_ok(acts_stop(acts, id));
    assert_refused(acts_stop(acts, id), E_INSTANCE_STATUS); /* not idempotent */
    assert_str(acts->fail.message,
               "The current status of the resource does not support this operation.");
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_refused(acts_stop(acts, id), E_INSTANCE_STATUS);
    acts_close(acts);
}

static void locks_come_before_the_state(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_stopped(acts);
    static const int arrears[] = {LOCK_REASON_FINANCIAL, LOCK_REASON_DEDICATEDHOSTFINANCIAL,
                                  LOCK_REASON_REFUNDED};
    struct instance_view view;

    (void)state;
    lock(acts, id, LOCK_REASON_SECURITY);
    assert_refused(acts_stop(acts, id), E_INSTANCE_LOCKED_SECURITY);
    view = acts_view(acts, id);
    assert_int_equal(view.operation_locks.count, 1);
    assert_str(view.operation_locks.items[0].lock_reason, "security");
    assert_str(view.operation_locks.items[0].lock_msg,
               "The specified instance is locked due to security reason.");
    unlock(acts, id);
    for (size_t i = 0; i < countof(arrears); i++) {
        lock(acts, id, arrears[i]);
        assert_refused(acts_stop(acts, id), E_INSTANCE_ARREARS);
        unlock(acts, id);
    }
    lock(acts, id, LOCK_REASON_RECYCLING);
    assert_refused(acts_stop(acts, id), E_INSTANCE_STATUS);
    acts_close(acts);
}

static void confirm_stop_binds_i1_only(void **state)
{
    struct acts *acts = acts_open();
    struct stop_instance_reply reply;
    struct str id = acts_launch(acts, "ecs.i1.xlarge");

    (void)state;
    REQUEST(stop_instance, req);
    req.instance_id = id;
    req.force_stop = true;
    assert_refused(ACT(acts, STOP_INSTANCE, &req, &reply), E_CONFIRM_STOP);
    assert_int_equal(acts_view(acts, id).status, INSTANCE_STATE_RUNNING);
    req.confirm_stop = true;
    assert_ok(ACT(acts, STOP_INSTANCE, &req, &reply));
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    req.instance_id = acts_launch(acts, TYPE);
    req.confirm_stop = false;
    assert_ok(ACT(acts, STOP_INSTANCE, &req, &reply));
    acts_close(acts);
}

static void a_busy_disk_refuses(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);

    (void)state;
    set_disk(acts, id, DISK_STATUS_ATTACHING);
    assert_refused(acts_stop(acts, id), E_DISK_ERROR);
    assert_str(acts->fail.message, "IncorrectDiskStatus");
    assert_int_equal(error_status(acts->fail.code), 403);
    set_disk(acts, id, DISK_STATUS_IN_USE);
    assert_ok(acts_stop(acts, id));
    acts_close(acts);
}

static void a_dry_run_comes_after_all_checks_and_changes_nothing(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    int64_t version = world_instance(acts->world, id)->version;
    struct stop_instance_reply reply;

    (void)state;
    REQUEST(stop_instance, req);
    req.instance_id = id;
    req.dry_run = true;
    assert_refused(ACT(acts, STOP_INSTANCE, &req, &reply), E_DRY_RUN);
    assert_int_equal(world_instance(acts->world, id)->version, version);
    assert_int_equal(world_jobs(acts->world, JOB_STATE_ACTIVE), 0);
    set_disk(acts, id, DISK_STATUS_RE_INITING);
    assert_refused(ACT(acts, STOP_INSTANCE, &req, &reply), E_DISK_ERROR);
    acts_close(acts);
}

static void hibernation_is_refused(void **state)
{
    struct acts *acts = acts_open();
    struct stop_instance_reply reply;

    (void)state;
    REQUEST(stop_instance, req);
    req.instance_id = acts_launch(acts, TYPE);
    req.hibernate = true;
    assert_refused(ACT(acts, STOP_INSTANCE, &req, &reply), E_HIBERNATION_NOT_ENABLED);
    acts_close(acts);
}

static void economical_stop_gives_the_public_address_back(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request run = run_request();
    struct stop_instance_reply reply;
    struct start_instance_reply started;
    struct instance_view before, after;
    struct str id;

    (void)state;
    run.internet_max_bandwidth_out = 5;
    id = acts_run_instances(acts, &run);
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    before = acts_view(acts, id);
    assert_int_equal(before.public_ip_address.count, 1);
    assert_int_equal(before.stopped_mode, STOPPED_MODE_NOT_APPLICABLE);
    struct str private_ip =
        arena_str(&acts->arena, before.vpc_attributes.private_ip_address.items[0]);
    struct str public_ip = arena_str(&acts->arena, before.public_ip_address.items[0]);
    REQUEST(stop_instance, req);
    req.instance_id = id;
    req.stopped_mode = STOPPED_MODE_STOP_CHARGING;
    assert_ok(ACT(acts, STOP_INSTANCE, &req, &reply));
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    after = acts_view(acts, id);
    assert_int_equal(after.stopped_mode, STOPPED_MODE_STOP_CHARGING);
    assert_int_equal(after.public_ip_address.count, 0);
    assert_int_equal(world_host_row(acts->world, STR("host-1")).used_vcpus, 0);
    REQUEST(start_instance, start);
    start.instance_id = id;
    assert_ok(ACT(acts, START_INSTANCE, &start, &started));
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    after = acts_view(acts, id);
    assert_int_equal(after.public_ip_address.count, 1);
    assert_false(str_eq(after.public_ip_address.items[0], public_ip));
    assert_true(str_eq(after.vpc_attributes.private_ip_address.items[0], private_ip));
    acts_close(acts);
}

static void the_accounts_default_mode_counts_where_the_call_is_silent(void **state)
{
    struct acts *acts = acts_open();
    struct stop_instance_reply reply;
    struct str silent = acts_launch(acts, TYPE), explicit_keep = acts_launch(acts, TYPE);

    (void)state;
    acts->account.stopped_mode = STOPPED_MODE_STOP_CHARGING;
    REQUEST(stop_instance, req);
    req.instance_id = silent;
    req.stopped_mode = STOPPED_MODE_NOT_APPLICABLE; /* what Terraform sends back: no wish */
    assert_ok(ACT(acts, STOP_INSTANCE, &req, &reply));
    req.instance_id = explicit_keep;
    req.stopped_mode = STOPPED_MODE_KEEP_CHARGING;
    assert_ok(ACT(acts, STOP_INSTANCE, &req, &reply));
    world_await(acts->world, silent, INSTANCE_STATE_STOPPED, SECONDS(60));
    world_await(acts->world, explicit_keep, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_int_equal(acts_view(acts, silent).stopped_mode, STOPPED_MODE_STOP_CHARGING);
    assert_int_equal(acts_view(acts, explicit_keep).stopped_mode, STOPPED_MODE_KEEP_CHARGING);
    acts_close(acts);
}

static void start_and_reboot_have_their_states(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_stopped(acts);
    struct start_instance_reply started;
    struct reboot_instance_reply rebooted;

    (void)state;
    REQUEST(start_instance, start);
    REQUEST(reboot_instance, reboot);
    start.instance_id = reboot.instance_id = id;
    assert_refused(ACT(acts, REBOOT_INSTANCE, &reboot, &rebooted), E_INSTANCE_STATUS);
    start.dry_run = true;
    assert_refused(ACT(acts, START_INSTANCE, &start, &started), E_DRY_RUN);
    start.dry_run = false;
    assert_ok(ACT(acts, START_INSTANCE, &start, &started));
    assert_int_equal(acts_view(acts, id).status, INSTANCE_STATE_STARTING);
    assert_refused(ACT(acts, START_INSTANCE, &start, &started), E_INSTANCE_STATUS);
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    assert_ok(ACT(acts, REBOOT_INSTANCE, &reboot, &rebooted));
    assert_int_equal(acts_view(acts, id).status, INSTANCE_STATE_STARTING);
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    acts_swap(acts);
    assert_refused(ACT(acts, START_INSTANCE, &start, &started), E_INSTANCE_NOT_FOUND);
    assert_refused(ACT(acts, REBOOT_INSTANCE, &reboot, &rebooted), E_INSTANCE_NOT_FOUND);
    acts_close(acts);
}

static void delete_has_its_conditions(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request run = run_request();
    struct str id = acts_launch(acts, TYPE), guarded;
    struct delete_instance_reply reply;

    (void)state;
    REQUEST(delete_instance, req);
    req.instance_id = id;
    assert_true(req.force_stop);
    assert_refused(ACT(acts, DELETE_INSTANCE, &req, &reply), E_INSTANCE_STATUS);
    req.force = true;
    req.dry_run = true;
    assert_refused(ACT(acts, DELETE_INSTANCE, &req, &reply), E_DRY_RUN);
    req.dry_run = false;
    acts_swap(acts);
    assert_refused(ACT(acts, DELETE_INSTANCE, &req, &reply), E_INSTANCE_NOT_FOUND);
    acts_swap(acts);
    assert_ok(ACT(acts, DELETE_INSTANCE, &req, &reply));
    world_await(acts->world, id, -1, SECONDS(60));
    run.deletion_protection = true;
    guarded = acts_run_instances(acts, &run);
    req.instance_id = guarded;
    assert_refused(ACT(acts, DELETE_INSTANCE, &req, &reply), E_INSTANCE_STATUS_INITIALIZING);
    world_await(acts->world, guarded, INSTANCE_STATE_RUNNING, SECONDS(60));
    assert_refused(ACT(acts, DELETE_INSTANCE, &req, &reply), E_DELETION_PROTECTION);
    acts_close(acts);
}

/* ── batches ── */

static struct stop_instances_request batch_of(struct str *ids, size_t count, int optimization)
{
    REQUEST(stop_instances, req);
    req.region_id = STR(REGION);
    req.instance_id = (struct str_list){ids, count};
    req.batch_optimization = optimization;
    return req;
}

static void all_together_stops_all_or_none(void **state)
{
    struct acts *acts = acts_open();
    struct str ids[] = {acts_launch(acts, TYPE), acts_launch(acts, TYPE), STR("i-unknown")};
    struct stop_instances_request req = batch_of(ids, 3, BATCH_OPTIMIZATION_ALL_TOGETHER);
    struct stop_instances_reply reply;

    (void)state;
    assert_refused(ACT(acts, STOP_INSTANCES, &req, &reply), E_INSTANCE_NOT_FOUND);
    assert_int_equal(acts_view(acts, ids[0]).status, INSTANCE_STATE_RUNNING);
    ids[2] = ids[0]; /* a double counts once */
    req.dry_run = true;
    assert_refused(ACT(acts, STOP_INSTANCES, &req, &reply), E_DRY_RUN_BATCH);
    assert_int_equal(acts_view(acts, ids[0]).status, INSTANCE_STATE_RUNNING);
    req.dry_run = false;
    assert_ok(ACT(acts, STOP_INSTANCES, &req, &reply));
    assert_int_equal(reply.instance_responses.count, 2);
    assert_str(reply.instance_responses.items[0].code, "200");
    assert_str(reply.instance_responses.items[0].message, "success");
    assert_str(reply.instance_responses.items[0].previous_status, "Running");
    assert_str(reply.instance_responses.items[0].current_status, "Stopping");
    assert_int_equal(acts_view(acts, ids[1]).status, INSTANCE_STATE_STOPPING);
    acts_close(acts);
}

static void success_first_stops_what_it_can(void **state)
{
    struct acts *acts = acts_open();
    struct str ids[] = {acts_launch(acts, TYPE), STR("i-unknown"), acts_stopped(acts),
                        acts_launch(acts, TYPE)};
    struct stop_instances_request req = batch_of(ids, 4, BATCH_OPTIMIZATION_SUCCESS_FIRST);
    struct stop_instances_reply reply;
    const struct batch_item *items;

    (void)state;
    req.dry_run = true;
    assert_refused(ACT(acts, STOP_INSTANCES, &req, &reply),
                   E_DRY_RUN_BATCH); /* whatever the checks would say */
    req.dry_run = false;
    assert_ok(ACT(acts, STOP_INSTANCES, &req, &reply));
    items = reply.instance_responses.items;
    assert_int_equal(reply.instance_responses.count, 4);
    assert_str(items[0].code, "200");
    assert_str(items[1].code, "InvalidInstanceId.NotFound");
    assert_str(items[1].message, "The specified InstanceId does not exist.");
    assert_str(items[1].instance_id, "i-unknown");
    assert_str(items[1].current_status, "");
    assert_str(items[2].code, "IncorrectInstanceStatus");
    assert_str(items[3].code, "200");
    assert_int_equal(acts_view(acts, ids[0]).status, INSTANCE_STATE_STOPPING);
    assert_int_equal(acts_view(acts, ids[2]).status, INSTANCE_STATE_STOPPED);
    assert_int_equal(acts_view(acts, ids[3]).status, INSTANCE_STATE_STOPPING);
    acts_close(acts);
}

static void batches_have_bounds(void **state)
{
    struct acts *acts = acts_open();
    struct str ids[101];
    struct stop_instances_request req = batch_of(ids, 101, BATCH_OPTIMIZATION_ALL_TOGETHER);
    struct stop_instances_reply reply;

    (void)state;
    for (size_t i = 0; i < countof(ids); i++)
        ids[i] = arena_printf(&acts->arena, "i-%zu", i);
    assert_refused(ACT(acts, STOP_INSTANCES, &req, &reply), E_TOO_MANY_INSTANCE_IDS);
    req.instance_id.count = 0;
    assert_refused(ACT(acts, STOP_INSTANCES, &req, &reply), E_INSTANCE_IDS_NULL);
    ids[0] = acts_launch(acts, TYPE);
    req.instance_id.count = 1;
    req.region_id = STR("cn-shanghai");
    assert_refused(ACT(acts, STOP_INSTANCES, &req, &reply), E_INSTANCE_NOT_FOUND);
    req.region_id = STR("moon-1");
    assert_refused(ACT(acts, STOP_INSTANCES, &req, &reply), E_REGION_NOT_FOUND);
    acts_close(acts);
}

static void the_other_batches(void **state)
{
    struct acts *acts = acts_open();
    struct str ids[] = {acts_stopped(acts), acts_stopped(acts)};
    struct start_instances_reply started;
    struct reboot_instances_reply rebooted;
    struct delete_instances_reply deleted;

    (void)state;
    REQUEST(start_instances, start);
    start.region_id = STR(REGION);
    start.instance_id = (struct str_list){ids, 2};
    assert_ok(ACT(acts, START_INSTANCES, &start, &started));
    assert_str(started.instance_responses.items[1].previous_status, "Stopped");
    assert_str(started.instance_responses.items[1].current_status, "Starting");
    world_await(acts->world, ids[0], INSTANCE_STATE_RUNNING, SECONDS(60));
    world_await(acts->world, ids[1], INSTANCE_STATE_RUNNING, SECONDS(60));
    REQUEST(reboot_instances, reboot);
    reboot.region_id = STR(REGION);
    reboot.instance_id = (struct str_list){ids, 2};
    reboot.force_reboot = true;
    assert_ok(ACT(acts, REBOOT_INSTANCES, &reboot, &rebooted));
    assert_str(rebooted.instance_responses.items[0].current_status, "Stopping");
    world_await(acts->world, ids[0], INSTANCE_STATE_RUNNING, SECONDS(60));
    world_await(acts->world, ids[1], INSTANCE_STATE_RUNNING, SECONDS(60));
    REQUEST(delete_instances, del);
    del.region_id = STR(REGION);
    del.instance_id = (struct str_list){ids, 2};
    assert_refused(ACT(acts, DELETE_INSTANCES, &del, &deleted), E_INSTANCE_STATUS);
    del.force = true;
    del.region_id = STR("cn-shanghai");
    assert_refused(ACT(acts, DELETE_INSTANCES, &del, &deleted), E_CROSS_REGION);
    del.region_id = STR(REGION);
    assert_ok(ACT(acts, DELETE_INSTANCES, &del, &deleted));
    world_await(acts->world, ids[0], -1, SECONDS(60));
    world_await(acts->world, ids[1], -1, SECONDS(60));
    assert_refused(ACT(acts, DELETE_INSTANCES, &del, &deleted), E_INSTANCE_IDS_NOT_FOUND);
    acts_close(acts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_passes_through_stopping),
        cmocka_unit_test(stop_needs_a_running_instance_of_the_account),
        cmocka_unit_test(locks_come_before_the_state),
        cmocka_unit_test(confirm_stop_binds_i1_only),
        cmocka_unit_test(a_busy_disk_refuses),
        cmocka_unit_test(a_dry_run_comes_after_all_checks_and_changes_nothing),
        cmocka_unit_test(hibernation_is_refused),
        cmocka_unit_test(economical_stop_gives_the_public_address_back),
        cmocka_unit_test(the_accounts_default_mode_counts_where_the_call_is_silent),
        cmocka_unit_test(start_and_reboot_have_their_states),
        cmocka_unit_test(delete_has_its_conditions),
        cmocka_unit_test(all_together_stops_all_or_none),
        cmocka_unit_test(success_first_stops_what_it_can),
        cmocka_unit_test(batches_have_bounds),
        cmocka_unit_test(the_other_batches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
