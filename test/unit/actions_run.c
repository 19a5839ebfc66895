/* SPDX-License-Identifier: Apache-2.0 */
/* RunInstances and CreateInstance: what is made by default, and every refusal that can occur. */
#include "unit/actions_world.h"

static int run(struct acts *acts, const struct run_instances_request *req)
{
    struct run_instances_reply reply;

    return ACT(acts, RUN_INSTANCES, req, &reply);
}

static void an_image_and_a_type_are_enough(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request req = run_request();
    struct str id = acts_run_instances(acts, &req);
    struct instance_view view = acts_view(acts, id);
    struct describe_disks_reply disks;

    (void)state;
    assert_true(view.status == INSTANCE_STATE_PENDING || view.status == INSTANCE_STATE_STARTING);
    assert_true(str_eq(view.instance_name, id)); /* the name is the id */
    assert_str(view.zone_id, ZONE);
    assert_int_equal(view.cpu, 2);
    assert_int_equal(view.memory, 8192);
    assert_int_equal(view.instance_charge_type, CHARGE_TYPE_POST_PAID);
    assert_int_equal(view.internet_max_bandwidth_in, 10);
    assert_int_equal(view.internet_max_bandwidth_out, 0);
    assert_int_equal(view.public_ip_address.count, 0);
    assert_int_equal(view.security_group_ids.count, 1);
    assert_str(view.vpc_attributes.private_ip_address.items[0], "10.0.0.1");
    assert_true(str_starts(view.host_name, STR("iZ")));
    assert_str(view.os_type, "linux");
    assert_str(view.metadata_options.http_tokens, "optional");
    assert_int_equal(view.metadata_options.http_put_response_hop_limit, 1);
    assert_int_equal(view.network_interfaces.count, 1);
    REQUEST(describe_disks, ask);
    ask.region_id = STR(REGION);
    ask.instance_id = id;
    assert_ok(ACT(acts, DESCRIBE_DISKS, &ask, &disks));
    assert_int_equal(disks.disks.count, 1);
    assert_int_equal(disks.disks.items[0].type, DISK_TYPE_SYSTEM);
    assert_int_equal(disks.disks.items[0].size, 40);
    assert_str(disks.disks.items[0].device, "/dev/xvda");
    assert_int_equal(disks.disks.items[0].status, DISK_STATUS_IN_USE);
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    acts_close(acts);
}

static void names_numbers_and_tags(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request req = run_request();
    struct tag_pair tag = {STR("owner"), STR("")};
    struct run_instances_reply reply;
    struct instance_view view;

    (void)state;
    req.amount = 3;
    req.instance_name = STR("web-[7,3]");
    req.host_name = STR("host");
    req.unique_suffix = true;
    req.tag = (struct tag_pair_list){&tag, 1};
    req.private_ip_address = STR("10.0.0.50");
    assert_ok(ACT(acts, RUN_INSTANCES, &req, &reply));
    assert_int_equal(reply.instance_id_sets.count, 3);
    view = acts_view(acts, reply.instance_id_sets.items[2]);
    assert_str(view.instance_name, "web-009");
    assert_str(view.host_name, "host003");
    assert_str(view.vpc_attributes.private_ip_address.items[0], "10.0.0.52");
    assert_int_equal(view.tags.count, 1);
    assert_str(view.tags.items[0].tag_key, "owner");
    assert_str(view.tags.items[0].tag_value, "");
    req.amount = 1;
    req.private_ip_address = STR("10.0.0.51");
    assert_refused(run(acts, &req), E_PRIVATE_IP_DUPLICATED);
    assert_int_equal(acts_total(acts), 3);
    acts_close(acts);
}

static void disks_follow_the_call_and_the_type(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request req = run_request();
    struct run_instances_data_disk disks[2];
    struct describe_disks_reply reply;
    struct str id;

    (void)state;
    memset(disks, 0, sizeof(disks));
    request_defaults(&run_instances_data_disk_shape, &disks[0]);
    disks[0].size = (struct opt_int){true, 100};
    disks[0].category = DISK_CATEGORY_CLOUD_ESSD;
    disks[0].delete_with_instance = false;
    disks[1] = disks[0];
    disks[1].disk_name = STR("data-two");
    disks[1].delete_with_instance = true;
    req.instance_type = STR("ecs.i1.xlarge"); /* two local disks */
    req.data_disk = (struct run_instances_data_disk_list){disks, 2};
    id = acts_run_instances(acts, &req);
    REQUEST(describe_disks, ask);
    ask.region_id = STR(REGION);
    ask.instance_id = id;
    assert_ok(ACT(acts, DESCRIBE_DISKS, &ask, &reply));
    assert_int_equal(reply.total_count, 5);
    ask.category = DISK_CATEGORY_ASKED_CLOUD_ESSD;
    assert_ok(ACT(acts, DESCRIBE_DISKS, &ask, &reply));
    assert_int_equal(reply.total_count, 2);
    assert_str(reply.disks.items[0].performance_level, "PL1");
    assert_int_equal(reply.disks.items[0].attachments.count, 1);
    ask.category = DISK_CATEGORY_ASKED_ALL;
    ask.disk_type = DISK_TYPE_ASKED_SYSTEM;
    assert_ok(ACT(acts, DESCRIBE_DISKS, &ask, &reply));
    assert_int_equal(reply.total_count, 1);
    acts_swap(acts);
    assert_ok(ACT(acts, DESCRIBE_DISKS, &ask, &reply));
    assert_int_equal(reply.total_count, 0);
    acts_close(acts);
}

/* One field wrong each time; nothing is made. */
static void every_refusal(void **state)
{
    struct acts *acts = acts_open();
    char big[44 * 1024];
    struct tag_pair tags[2] = {{STR("a"), STR("1")}, {STR("a"), STR("2")}};

    (void)state;
    memset(big, 'A', sizeof(big));
#define REFUSES(CODE, ...)                                                                         \
    do {                                                                                           \
        struct run_instances_request req = run_request();                                          \
        __VA_ARGS__;                                                                               \
        assert_refused(run(acts, &req), CODE);                                                     \
    } while (0)
    REFUSES(E_REGION_NOT_FOUND, req.region_id = STR("moon-1"));
    REFUSES(E_MISSING_PARAMETER, req.image_id = STR_NONE);
    REFUSES(E_MISSING_PARAMETER, req.instance_type = STR_NONE);
    REFUSES(E_INSTANCE_TYPE, req.instance_type = STR("ecs.none.large"));
    REFUSES(E_IMAGE_NOT_FOUND, req.image_id = STR("m-none"));
    REFUSES(E_IMAGE_FAMILY_SUPPLIED, req.image_family = STR("acs:centos_7_9_x64"));
    REFUSES(E_IMAGE_FAMILY_NOT_FOUND, req.image_id = STR_NONE; req.image_family = STR("none"));
    REFUSES(E_ZONE_NOT_FOUND, req.zone_id = STR("cn-shanghai-b"));
    REFUSES(E_NO_STOCK, req.zone_id = STR("cn-hangzhou-i")); /* no host there */
    REFUSES(E_NO_STOCK, req.region_id = STR("cn-shanghai"));
    REFUSES(E_VSWITCH_NOT_FOUND, req.vswitch_id = STR("vsw-none"));
    REFUSES(E_SECURITY_GROUP_NOT_FOUND, req.security_group_id = STR("sg-none"));
    REFUSES(E_PRIVATE_IP_MALFORMED, req.private_ip_address = STR("10.0.0"));
    REFUSES(E_PRIVATE_IP, req.private_ip_address = STR("192.168.0.1"));
    REFUSES(E_PRIVATE_IP, req.private_ip_address = STR("10.0.0.0"));
    REFUSES(E_BANDWIDTH_OUT, req.internet_max_bandwidth_out = 101);
    REFUSES(E_BANDWIDTH_IN, req.internet_max_bandwidth_in = (struct opt_int){true, 11});
    REFUSES(E_AMOUNT, req.amount = 101);
    REFUSES(E_MIN_AMOUNT, req.min_amount = (struct opt_int){true, 2});
    REFUSES(E_INSTANCE_NAME, req.instance_name = STR("1"));
    REFUSES(E_INSTANCE_NAME_EXCEED, req.unique_suffix = true;
            req.instance_name = str_slice(big, 127));
    REFUSES(E_DESCRIPTION, req.description = STR("http://x"));
    REFUSES(E_HOST_NAME, req.host_name = STR("-"));
    REFUSES(E_PASSWORD, req.password = STR("weak"));
    REFUSES(E_PASSWORD_INHERIT, req.password = STR("Abcdefg1"); req.password_inherit = true);
    REFUSES(E_USER_DATA, req.user_data = STR("%%%"));
    REFUSES(E_USER_DATA_SIZE, req.user_data = str_slice(big, sizeof(big)));
    REFUSES(E_SYSTEM_DISK_CATEGORY, req.system_disk.category = DISK_CATEGORY_LOCAL_SSD_PRO);
    REFUSES(E_SYSTEM_DISK_LESS_MIN, req.system_disk.size = (struct opt_int){true, 19});
    REFUSES(E_SYSTEM_DISK_MORE_MAX, req.system_disk.size = (struct opt_int){true, 4096});
    REFUSES(E_PERIOD, req.instance_charge_type = CHARGE_TYPE_PRE_PAID);
    REFUSES(E_PERIOD, req.instance_charge_type = CHARGE_TYPE_PRE_PAID;
            req.period = (struct opt_int){true, 10});
    REFUSES(E_SPOT_PREPAID, req.instance_charge_type = CHARGE_TYPE_PRE_PAID;
            req.period = (struct opt_int){true, 1};
            req.spot_strategy = SPOT_STRATEGY_SPOT_AS_PRICE_GO);
    REFUSES(E_SPOT_PRICE_LIMIT, req.spot_strategy = SPOT_STRATEGY_SPOT_WITH_PRICE_LIMIT);
    REFUSES(E_SPOT_PRICE_LIMIT, req.spot_strategy = SPOT_STRATEGY_SPOT_WITH_PRICE_LIMIT;
            req.spot_price_limit = (struct opt_float){true, 0.1234});
    REFUSES(E_AUTO_RELEASE_TIME_RUN,
            req.auto_release_time = env_now(acts->world->env) + 29 * USEC_PER_MINUTE);
    REFUSES(E_CREDIT_SPECIFICATION, req.credit_specification = CREDIT_SPECIFICATION_UNLIMITED);
    REFUSES(E_TAG_DUPLICATE, req.tag = (struct tag_pair_list){tags, 2});
    REFUSES(E_TAG_KEY, tags[0].key = STR("acs:x"); req.tag = (struct tag_pair_list){tags, 1});
    REFUSES(E_DRY_RUN, req.dry_run = true);
#undef REFUSES
    assert_int_equal(acts_total(acts), 0);
    assert_int_equal(world_host_row(acts->world, STR("host-1")).used_vcpus, 0);
    acts_close(acts);
}

static void other_peoples_networks_are_not_found(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request req = run_request();
    struct instance_view view = acts_view(acts, acts_run_instances(acts, &req));

    (void)state;
    req.vswitch_id = arena_str(&acts->arena, view.vpc_attributes.vswitch_id);
    req.security_group_id = arena_str(&acts->arena, view.security_group_ids.items[0]);
    assert_ok(run(acts, &req));
    acts_swap(acts);
    assert_refused(run(acts, &req), E_VSWITCH_NOT_FOUND);
    req.vswitch_id = STR_NONE;
    assert_refused(run(acts, &req), E_SECURITY_GROUP_NOT_FOUND);
    acts_close(acts);
}

static void set_host(struct acts *acts, int64_t vcpus)
{
    struct admin_set_host_reply reply;

    REQUEST(admin_set_host, req);
    req.host_id = STR("host-1");
    req.vcpus = (struct opt_int){true, vcpus};
    assert_ok(ACT(acts, ADMIN_SET_HOST, &req, &reply));
}

static void stock_decides_between_amount_and_min_amount(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request req = run_request();
    struct run_instances_reply reply;

    (void)state;
    set_host(acts, 6); /* three of the type */
    req.amount = 5;
    assert_refused(run(acts, &req), E_NO_STOCK);
    assert_int_equal(acts_total(acts), 0);
    req.min_amount = (struct opt_int){true, 4};
    assert_refused(run(acts, &req), E_NO_STOCK);
    assert_int_equal(acts_total(acts), 0);
    req.min_amount.value = 2;
    assert_ok(ACT(acts, RUN_INSTANCES, &req, &reply));
    assert_int_equal(reply.instance_id_sets.count, 3);
    assert_int_equal(acts_total(acts), 3);
    assert_int_equal(world_host_row(acts->world, STR("host-1")).used_vcpus, 6);
    acts_close(acts);
}

static void a_quota_bounds_the_account(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request req = run_request();

    (void)state;
    world_set(acts->world, "quota.instances", "2");
    req.amount = 2;
    assert_ok(run(acts, &req));
    req.amount = 1;
    assert_refused(run(acts, &req), E_QUOTA_ELASTIC);
    acts_swap(acts);
    assert_ok(run(acts, &req));
    acts_close(acts);
}

static void a_subscription_ends_with_its_period(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request req = run_request();
    struct delete_instance_reply deleted;
    struct instance_view view;
    struct str id;

    (void)state;
    req.instance_charge_type = CHARGE_TYPE_PRE_PAID;
    req.period = (struct opt_int){true, 1};
    req.period_unit = PERIOD_UNIT_WEEK;
    id = acts_run_instances(acts, &req);
    view = acts_view(acts, id);
    assert_int_equal(view.expired_time, view.creation_time + 7 * 24 * USEC_PER_HOUR);
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    REQUEST(delete_instance, del);
    del.instance_id = id;
    del.force = true;
    assert_refused(ACT(acts, DELETE_INSTANCE, &del, &deleted), E_CHARGE_TYPE);
    acts_close(acts);
}

static void a_password_is_never_kept(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request req = run_request();
    struct tx *tx;
    struct instance *inst;
    struct str id;

    (void)state;
    req.password = STR("Secret-Word-1");
    id = acts_run_instances(acts, &req);
    tx = store_read_begin(acts->world->store);
    assert_ok(store_instance_get(tx, id, &inst));
    assert_true(str_starts(inst->password_hash, STR("pbkdf2-sha256$")));
    assert_false(str_contains(inst->password_hash, STR("Secret")));
    store_read_end(tx);
    acts_close(acts);
}

static void create_instance_ends_stopped_and_without_a_public_address(void **state)
{
    struct acts *acts = acts_open();
    struct create_instance_reply reply;
    struct start_instance_reply started;
    struct instance_view view;

    (void)state;
    REQUEST(create_instance, req);
    req.region_id = STR(REGION);
    req.image_id = STR(IMAGE);
    req.instance_type = STR(TYPE);
    req.internet_max_bandwidth_out = 5;
    assert_ok(ACT(acts, CREATE_INSTANCE, &req, &reply));
    world_await(acts->world, reply.instance_id, INSTANCE_STATE_STOPPED, SECONDS(60));
    view = acts_view(acts, reply.instance_id);
    assert_int_equal(view.public_ip_address.count, 0);
    assert_int_equal(view.internet_max_bandwidth_out, 5);
    REQUEST(start_instance, start);
    start.instance_id = reply.instance_id;
    assert_ok(ACT(acts, START_INSTANCE, &start, &started));
    world_await(acts->world, reply.instance_id, INSTANCE_STATE_RUNNING, SECONDS(60));
    acts_close(acts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_and_a_type_are_enough),
        cmocka_unit_test(names_numbers_and_tags),
        cmocka_unit_test(disks_follow_the_call_and_the_type),
        cmocka_unit_test(every_refusal),
        cmocka_unit_test(other_peoples_networks_are_not_found),
        cmocka_unit_test(stock_decides_between_amount_and_min_amount),
        cmocka_unit_test(a_quota_bounds_the_account),
        cmocka_unit_test(a_subscription_ends_with_its_period),
        cmocka_unit_test(a_password_is_never_kept),
        cmocka_unit_test(create_instance_ends_stopped_and_without_a_public_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
