/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deployment sets over three hosts of one zone: made, listed, changed, deleted; where their instances come to be when they are
 * made, started anew and redeployed, and what is told when there is no host left.
 */
#include "unit/actions_world.h"

#include "model/spread.h"

static void add_hosts(struct acts *acts, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct str id = str_from(names[i]);

        assert_ok(store_write(acts->world->store, add_host, &id));
    }
    world_pass(acts->world, SECONDS(6)); /* the engine looks at the table of hosts */
}

static struct acts *open_three(void)
{
    static const char *const more[] = {"host-2", "host-3"};
    struct acts *acts = acts_open();

    add_hosts(acts, more, countof(more));
    return acts;
}

struct host_change {
    struct str id;
    int state;
};

static int change_host(struct tx *tx, void *arg)
{
    const struct host_change *change = arg;
    struct host *host;
    int r = store_host_get(tx, change->id, &host);

    if (r < 0)
        return r;
    host->state = change->state;
    return store_host_save(tx, host);
}

static void set_host(struct acts *acts, struct str id, enum host_state state)
{
    struct host_change change = {id, (int)state};

    assert_ok(store_write(acts->world->store, change_host, &change));
    world_pass(acts->world, SECONDS(6));
}

static struct str make(struct acts *acts, enum deployment_strategy strategy, enum deployment_failure failure)
{
    struct create_deployment_set_reply reply;

    REQUEST(create_deployment_set, req);
    req.region_id = STR(REGION);
    req.strategy = (int)strategy;
    req.on_unable_to_redeploy_failed_instance = (int)failure;
    assert_ok(ACT(acts, CREATE_DEPLOYMENT_SET, &req, &reply));
    assert_true(str_starts(reply.deployment_set_id, STR("ds-")));
    return reply.deployment_set_id;
}

static struct str availability(struct acts *acts)
{
    return make(acts, DEPLOYMENT_STRATEGY_AVAILABILITY, DEPLOYMENT_FAILURE_CANCEL_MEMBERSHIP_AND_START);
}

static struct run_instances_request into(struct str set_id)
{
    struct run_instances_request req = run_request();

    req.deployment_set_id = set_id;
    return req;
}

static int run(struct acts *acts, const struct run_instances_request *req)
{
    struct run_instances_reply reply;

    return ACT(acts, RUN_INSTANCES, req, &reply);
}

static struct str launch(struct acts *acts, struct str set_id)
{
    struct run_instances_request req = into(set_id);
    struct str id = acts_run_instances(acts, &req);

    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    return id;
}

static struct str host_of(struct acts *acts, struct str id)
{
    return world_instance(acts->world, id)->host_id;
}

static void stop(struct acts *acts, struct str id, enum stopped_mode mode)
{
    struct stop_instance_reply reply;

    REQUEST(stop_instance, req);
    req.instance_id = id;
    req.stopped_mode = (int)mode;
    assert_ok(ACT(acts, STOP_INSTANCE, &req, &reply));
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
}

static int start(struct acts *acts, struct str id)
{
    struct start_instance_reply reply;

    REQUEST(start_instance, req);
    req.instance_id = id;
    return ACT(acts, START_INSTANCE, &req, &reply);
}

static int delete(struct acts *acts, struct str set_id)
{
    struct delete_deployment_set_reply reply;

    REQUEST(delete_deployment_set, req);
    req.region_id = STR(REGION);
    req.deployment_set_id = set_id;
    return ACT(acts, DELETE_DEPLOYMENT_SET, &req, &reply);
}

static void delete_instance_of(struct acts *acts, struct str id)
{
    struct delete_instance_reply reply;

    REQUEST(delete_instance, req);
    req.instance_id = id;
    req.force = true;
    req.force_stop = true;
    assert_ok(ACT(acts, DELETE_INSTANCE, &req, &reply));
    world_await(acts->world, id, -1, SECONDS(60));
}

static struct describe_deployment_sets_reply list(struct acts *acts)
{
    struct describe_deployment_sets_reply reply;

    REQUEST(describe_deployment_sets, req);
    req.region_id = STR(REGION);
    assert_ok(ACT(acts, DESCRIBE_DEPLOYMENT_SETS, &req, &reply));
    return reply;
}

/* ── where they are ── */

static void each_member_has_its_own_host(void **state)
{
    struct acts *acts = open_three();
    struct str set_id = availability(acts);
    struct run_instances_request req = into(set_id);
    struct run_instances_reply reply;
    struct instance_view view;

    (void)state;
    req.amount = 3;
    assert_ok(ACT(acts, RUN_INSTANCES, &req, &reply));
    for (size_t a = 0; a < 3; a++)
        for (size_t b = 0; b < a; b++)
            assert_false(str_eq(host_of(acts, reply.instance_id_sets.items[a]), host_of(acts, reply.instance_id_sets.items[b])));
    view = acts_view(acts, reply.instance_id_sets.items[0]);
    assert_true(str_eq(view.deployment_set_id, set_id));
    assert_false(view.deployment_set_group_no.set);
    acts_close(acts);
}

/* All three are taken: nothing is changed, and an instance of no set is not bound by it. */
static void without_a_host_nothing_is_made(void **state)
{
    struct acts *acts = open_three();
    struct run_instances_request req = into(availability(acts));
    struct run_instances_request free = run_request();

    (void)state;
    req.amount = 4;
    assert_refused(run(acts, &req), E_NO_STOCK);
    assert_int_equal(acts_total(acts), 0);
    req.min_amount = (struct opt_int){true, 2};
    assert_ok(run(acts, &req)); /* as many as there are hosts */
    assert_int_equal(acts_total(acts), 3);
    req.amount = 1;
    req.min_amount.set = false;
    assert_refused(run(acts, &req), E_NO_STOCK);
    assert_int_equal(acts_total(acts), 3);
    assert_ok(run(acts, &free));
    acts_close(acts);
}

static void two_sets_know_nothing_of_each_other(void **state)
{
    struct acts *acts = acts_open(); /* one host */
    struct str one = availability(acts), two = availability(acts);

    (void)state;
    assert_true(str_eq(host_of(acts, launch(acts, one)), host_of(acts, launch(acts, two))));
    acts_close(acts);
}

static void a_stopped_member_keeps_its_place(void **state)
{
    struct acts *acts = open_three();
    struct str set_id = availability(acts);
    struct run_instances_request req = into(set_id);
    struct str id = launch(acts, set_id);
    struct str host = host_of(acts, id);

    (void)state;
    stop(acts, id, STOPPED_MODE_KEEP_CHARGING);
    launch(acts, set_id);
    launch(acts, set_id);
    assert_refused(run(acts, &req), E_NO_STOCK);
    assert_ok(start(acts, id));
    assert_true(str_eq(host_of(acts, id), host));
    acts_close(acts);
}

/* What it gave back may be another member's by then. */
static void one_that_gave_its_room_back_chooses_anew(void **state)
{
    struct acts *acts = open_three();
    struct str set_id = availability(acts);
    struct str id = launch(acts, set_id), others[3];

    (void)state;
    stop(acts, id, STOPPED_MODE_STOP_CHARGING);
    for (size_t i = 0; i < countof(others); i++)
        others[i] = launch(acts, set_id);
    world_pass(acts->world, SECONDS(3600));
    assert_refused(start(acts, id), E_NO_STOCK);
    assert_int_equal(world_state(acts->world, id), INSTANCE_STATE_STOPPED);
    assert_true(str_empty(host_of(acts, id)));
    delete_instance_of(acts, others[1]);
    assert_ok(start(acts, id));
    assert_false(str_eq(host_of(acts, id), host_of(acts, others[0])));
    assert_false(str_eq(host_of(acts, id), host_of(acts, others[2])));
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    acts_close(acts);
}

static int redeploy(struct acts *acts, struct str id)
{
    struct redeploy_instance_reply reply;

    REQUEST(redeploy_instance, req);
    req.instance_id = id;
    return ACT(acts, REDEPLOY_INSTANCE, &req, &reply);
}

static void redeployed(struct acts *acts, struct str id)
{
    assert_ok(redeploy(acts, id));
    world_await(acts->world, id, INSTANCE_STATE_STARTING, SECONDS(60));
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
}

static void a_redeploy_goes_where_no_other_member_is(void **state)
{
    struct acts *acts = open_three();
    struct str set_id = availability(acts);
    struct str a = launch(acts, set_id), b = launch(acts, set_id), was = host_of(acts, a), c;

    (void)state;
    redeployed(acts, a);
    assert_false(str_eq(host_of(acts, a), was));
    assert_false(str_eq(host_of(acts, a), host_of(acts, b)));
    c = launch(acts, set_id);
    assert_true(str_eq(host_of(acts, c), was));
    redeployed(acts, a); /* all are taken: it stays, a member */
    assert_false(str_eq(host_of(acts, a), host_of(acts, b)));
    assert_false(str_eq(host_of(acts, a), was));
    assert_true(str_eq(acts_view(acts, a).deployment_set_id, set_id));
    acts_close(acts);
}

/* A host that is drained has to be left; whether the set or the host goes first is the set's word. */
static void one_that_has_to_leave_its_host(void **state)
{
    struct acts *acts = open_three();
    struct str cancels = availability(acts);
    struct str keeps = make(acts, DEPLOYMENT_STRATEGY_AVAILABILITY, DEPLOYMENT_FAILURE_KEEP_STOPPED);
    struct str sets[] = {cancels, keeps};

    (void)state;
    for (size_t i = 0; i < countof(sets); i++) {
        struct str ids[] = {launch(acts, sets[i]), launch(acts, sets[i]), launch(acts, sets[i])};
        struct str was = host_of(acts, ids[0]);
        bool moved = i == 0;

        set_host(acts, was, HOST_STATE_DRAINING);
        redeployed(acts, ids[0]);
        assert_int_equal(!str_eq(host_of(acts, ids[0]), was), moved);
        assert_int_equal(str_empty(acts_view(acts, ids[0]).deployment_set_id), moved);
        assert_int_equal(list(acts).deployment_sets.items[1 - i].instance_amount, moved ? 2 : 3);
        set_host(acts, was, HOST_STATE_UP);
    }
    acts_close(acts);
}

static void groups_are_apart(void **state)
{
    struct acts *acts = open_three();
    struct str set_id = make(acts, DEPLOYMENT_STRATEGY_AVAILABILITY_GROUP, DEPLOYMENT_FAILURE_KEEP_STOPPED);
    struct run_instances_request req = into(set_id);
    struct str hosts[4] = {{NULL, 0}};

    (void)state;
    req.deployment_set_group_no = (struct opt_int){true, 4};
    assert_refused(run(acts, &req), E_INVALID_PARAMETER); /* three, when nobody says how many */
    req.deployment_set_group_no.set = false;
    for (int i = 0; i < 6; i++) {
        struct str id = acts_run_instances(acts, &req);
        struct instance_view view = acts_view(acts, id);
        int64_t group_no = view.deployment_set_group_no.value;

        assert_int_equal(group_no, i % 3 + 1);
        if (i >= 3)
            assert_true(str_eq(host_of(acts, id), hosts[group_no])); /* each other host is another group's */
        hosts[group_no] = host_of(acts, id);
    }
    req.deployment_set_group_no = (struct opt_int){true, 2};
    assert_int_equal(acts_view(acts, acts_run_instances(acts, &req)).deployment_set_group_no.value, 2);
    assert_int_equal(list(acts).deployment_sets.items[0].group_count.value, 3);
    acts_close(acts);
}

/* `set_id` absent: out of its set. */
static int change(struct acts *acts, struct str id, struct str set_id, int64_t group_no)
{
    struct modify_instance_deployment_reply reply;

    REQUEST(modify_instance_deployment, req);
    req.region_id = STR(REGION);
    req.instance_id = id;
    req.deployment_set_id = set_id;
    req.deployment_set_group_no = (struct opt_int){group_no != 0, group_no};
    req.remove_from_deployment_set = str_empty(set_id);
    return ACT(acts, MODIFY_INSTANCE_DEPLOYMENT, &req, &reply);
}

static void in_and_out_of_a_set(void **state)
{
    struct acts *acts = open_three();
    struct str set_id = availability(acts), other = availability(acts);
    struct str a = launch(acts, set_id), free = acts_launch(acts, TYPE);

    (void)state;
    while (!str_eq(host_of(acts, free), host_of(acts, a)))
        free = acts_launch(acts, TYPE); /* at each host by turns */
    assert_refused(change(acts, free, set_id, 0), E_DEPLOYMENT_SET_CHANGE);
    assert_ok(change(acts, a, set_id, 0)); /* it is there already */
    assert_ok(change(acts, free, other, 0));
    assert_true(str_eq(acts_view(acts, free).deployment_set_id, other));
    assert_ok(change(acts, a, STR_NONE, 0));
    assert_true(str_empty(acts_view(acts, a).deployment_set_id));
    assert_ok(change(acts, a, STR_NONE, 0));
    assert_ok(change(acts, free, set_id, 0));
    assert_ok(delete(acts, other));
    assert_refused(change(acts, a, set_id, 0), E_DEPLOYMENT_SET_CHANGE);
    stop(acts, a, STOPPED_MODE_STOP_CHARGING);
    assert_ok(change(acts, a, set_id, 0)); /* it is nowhere */
    world_pass(acts->world, SECONDS(3600));
    assert_ok(start(acts, a));
    assert_false(str_eq(host_of(acts, a), host_of(acts, free)));
    assert_refused(change(acts, a, STR_NONE, 0), E_INSTANCE_STATUS); /* Starting */
    assert_refused(change(acts, free, STR("ds-none"), 0), E_DEPLOYMENT_SET_INVALID_ID);
    assert_refused(change(acts, STR("i-none"), set_id, 0), E_INSTANCE_NOT_FOUND);
    acts_close(acts);
}

static void into_a_group(void **state)
{
    struct acts *acts = open_three();
    struct str set_id = make(acts, DEPLOYMENT_STRATEGY_AVAILABILITY_GROUP, DEPLOYMENT_FAILURE_KEEP_STOPPED);
    struct str a = acts_launch(acts, TYPE), b = acts_launch(acts, TYPE);

    (void)state;
    assert_refused(change(acts, a, set_id, 4), E_INVALID_PARAMETER);
    assert_ok(change(acts, a, set_id, 2));
    assert_int_equal(acts_view(acts, a).deployment_set_group_no.value, 2);
    assert_ok(change(acts, b, set_id, 0));
    assert_int_equal(acts_view(acts, b).deployment_set_group_no.value, 1);
    assert_refused(change(acts, b, set_id, 5), E_INVALID_PARAMETER);
    assert_ok(change(acts, b, set_id, 2)); /* the groups of two hosts are one now */
    assert_ok(change(acts, a, set_id, 3));
    assert_int_equal(acts_view(acts, a).deployment_set_group_no.value, 3);
    acts_close(acts);
}

static void a_full_group_takes_no_more(void **state)
{
    struct acts *acts = acts_open();
    struct str set_id = make(acts, DEPLOYMENT_STRATEGY_AVAILABILITY_GROUP, DEPLOYMENT_FAILURE_KEEP_STOPPED);
    struct run_instances_request req = into(set_id);
    struct str late = acts_launch(acts, TYPE);

    (void)state;
    req.deployment_set_group_no = (struct opt_int){true, 1};
    req.amount = SPREAD_GROUP_MEMBERS;
    assert_ok(run(acts, &req));
    assert_refused(change(acts, late, set_id, 1), E_DEPLOYMENT_SET_LIMIT);
    assert_refused(change(acts, late, set_id, 2), E_DEPLOYMENT_SET_CHANGE); /* one host, and it is the first group's */
    acts_close(acts);
}

static void a_zone_takes_twenty(void **state)
{
    static const char *const more[] = {"h-1", "h-2", "h-3", "h-4", "h-5", "h-6", "h-7", "h-8", "h-9", "h-10",
                                       "h-11", "h-12", "h-13", "h-14", "h-15", "h-16", "h-17", "h-18", "h-19", "h-20"};
    struct acts *acts = acts_open();
    struct run_instances_request req = into(availability(acts));
    struct str id;

    (void)state;
    add_hosts(acts, more, countof(more));
    req.amount = SPREAD_GROUP_MEMBERS + 1;
    assert_refused(run(acts, &req), E_DEPLOYMENT_SET_FULL);
    req.min_amount = (struct opt_int){true, 1};
    id = acts_run_instances(acts, &req);
    assert_int_equal(acts_total(acts), SPREAD_GROUP_MEMBERS);
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    stop(acts, id, STOPPED_MODE_STOP_CHARGING);
    world_pass(acts->world, SECONDS(3600));
    assert_ok(start(acts, id)); /* it is one of the twenty */
    req.amount = 1;
    assert_refused(run(acts, &req), E_NO_STOCK); /* the other zones would take it, but have no hosts */
    req.zone_id = STR(ZONE);
    assert_refused(run(acts, &req), E_DEPLOYMENT_SET_FULL);
    acts_close(acts);
}

/* ── the sets themselves ── */

static void made_changed_listed_and_deleted(void **state)
{
    struct acts *acts = open_three();
    struct str set_id = availability(acts);
    struct str id = launch(acts, set_id);
    struct describe_deployment_sets_deployment_set seen;
    struct modify_deployment_set_attribute_reply modified;

    (void)state;
    REQUEST(modify_deployment_set_attribute, change);
    change.region_id = STR(REGION);
    change.deployment_set_id = set_id;
    change.deployment_set_name = STR("db");
    change.description = STR("the database's");
    assert_ok(ACT(acts, MODIFY_DEPLOYMENT_SET_ATTRIBUTE, &change, &modified));
    change.deployment_set_name = STR("db2");
    change.description = STR_NONE;
    assert_ok(ACT(acts, MODIFY_DEPLOYMENT_SET_ATTRIBUTE, &change, &modified));
    seen = list(acts).deployment_sets.items[0];
    assert_str(seen.deployment_set_name, "db2");
    assert_str(seen.deployment_set_description, "the database's");
    assert_int_equal(seen.instance_amount, 1);
    assert_true(str_eq(seen.instance_ids.items[0], id));
    for (size_t i = 0; i < seen.capacities.count; i++) {
        bool here = str_eq(seen.capacities.items[i].zone_id, STR(ZONE));

        assert_int_equal(seen.capacities.items[i].used_amount, here ? 1 : 0);
        assert_int_equal(seen.capacities.items[i].available_amount, here ? 19 : 20);
    }
    assert_refused(delete(acts, set_id), E_DEPLOYMENT_SET_NOT_EMPTY);
    delete_instance_of(acts, id);
    assert_ok(delete(acts, set_id));
    assert_refused(delete(acts, set_id), E_DEPLOYMENT_SET_NOT_FOUND);
    assert_int_equal(list(acts).total_count, 0);
    acts_close(acts);
}

static void another_accounts_set_is_not_there(void **state)
{
    struct acts *acts = open_three();
    struct str set_id = availability(acts);
    struct run_instances_request req = into(set_id);
    struct modify_deployment_set_attribute_reply modified;
    struct create_instance_reply created;

    (void)state;
    acts_swap(acts);
    assert_refused(run(acts, &req), E_DEPLOYMENT_SET_RUN);
    assert_refused(delete(acts, set_id), E_DEPLOYMENT_SET_NOT_FOUND);
    assert_int_equal(list(acts).total_count, 0);
    REQUEST(modify_deployment_set_attribute, change);
    change.region_id = STR(REGION);
    change.deployment_set_id = set_id;
    assert_refused(ACT(acts, MODIFY_DEPLOYMENT_SET_ATTRIBUTE, &change, &modified), E_DEPLOYMENT_SET_MODIFY);
    REQUEST(create_instance, create);
    create.region_id = STR(REGION);
    create.image_id = STR(IMAGE);
    create.instance_type = STR(TYPE);
    create.deployment_set_id = set_id;
    assert_refused(ACT(acts, CREATE_INSTANCE, &create, &created), E_DEPLOYMENT_SET_NOT_FOUND);
    acts_close(acts);
}

static void a_quota_bounds_them(void **state)
{
    struct acts *acts = acts_open();
    struct create_deployment_set_reply reply;

    (void)state;
    world_set(acts->world, "quota.deployment_sets", "2");
    availability(acts);
    availability(acts);
    REQUEST(create_deployment_set, req);
    req.region_id = STR(REGION);
    assert_refused(ACT(acts, CREATE_DEPLOYMENT_SET, &req, &reply), E_DEPLOYMENT_SET_QUOTA);
    req.region_id = STR("cn-shanghai");
    assert_ok(ACT(acts, CREATE_DEPLOYMENT_SET, &req, &reply));
    acts_swap(acts);
    availability(acts);
    acts_close(acts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_member_has_its_own_host),
        cmocka_unit_test(without_a_host_nothing_is_made),
        cmocka_unit_test(two_sets_know_nothing_of_each_other),
        cmocka_unit_test(a_stopped_member_keeps_its_place),
        cmocka_unit_test(one_that_gave_its_room_back_chooses_anew),
        cmocka_unit_test(a_redeploy_goes_where_no_other_member_is),
        cmocka_unit_test(one_that_has_to_leave_its_host),
        cmocka_unit_test(groups_are_apart),
        cmocka_unit_test(in_and_out_of_a_set),
        cmocka_unit_test(into_a_group),
        cmocka_unit_test(a_full_group_takes_no_more),
        cmocka_unit_test(a_zone_takes_twenty),
        cmocka_unit_test(made_changed_listed_and_deleted),
        cmocka_unit_test(another_accounts_set_is_not_there),
        cmocka_unit_test(a_quota_bounds_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
