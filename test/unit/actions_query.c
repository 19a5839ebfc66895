/* SPDX-License-Identifier: Apache-2.0 */
/* Describe…, Modify…, tags, Location, Sts: what is shown, to whom, and how it pages. */
#include "unit/actions_world.h"

static void launch_many(struct acts *acts, int64_t amount)
{
    struct run_instances_request req = run_request();
    struct run_instances_reply reply;

    req.amount = amount;
    req.instance_name = STR("web-[1,3]");
    assert_ok(ACT(acts, RUN_INSTANCES, &req, &reply));
    assert_int_equal(reply.instance_id_sets.count, amount);
}

static bool seen_before(struct str *seen, size_t count, struct str id)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(seen[i], id))
            return true;
    return false;
}

static void tokens_page_through_all_of_them_once(void **state)
{
    struct acts *acts = acts_open();
    struct describe_instances_reply reply;
    struct str seen[64];
    size_t count = 0, pages = 0;

    (void)state;
    launch_many(acts, 25);
    REQUEST(describe_instances, req);
    req.region_id = STR(REGION);
    req.max_results = (struct opt_int){true, 10};
    do {
        assert_ok(ACT(acts, DESCRIBE_INSTANCES, &req, &reply));
        for (size_t i = 0; i < reply.instances.count; i++) {
            assert_false(seen_before(seen, count, reply.instances.items[i].instance_id));
            seen[count++] = arena_str(&acts->arena, reply.instances.items[i].instance_id);
        }
        req.next_token = arena_str(&acts->arena, reply.next_token);
        if (pages++ == 0) {
            assert_int_equal(reply.total_count, 25);
            launch_many(acts, 5); /* what is made meanwhile stands before the first page */
        }
    } while (!str_empty(req.next_token));
    assert_int_equal(count, 25);
    assert_int_equal(pages, 3);
    acts_close(acts);
}

static void a_token_for_another_query_is_refused(void **state)
{
    struct acts *acts = acts_open();
    struct describe_instances_reply reply;

    (void)state;
    launch_many(acts, 11);
    REQUEST(describe_instances, req);
    req.region_id = STR(REGION);
    req.max_results = (struct opt_int){true, 1}; /* counts as ten */
    assert_ok(ACT(acts, DESCRIBE_INSTANCES, &req, &reply));
    assert_int_equal(reply.instances.count, 10);
    req.next_token = arena_str(&acts->arena, reply.next_token);
    req.status = INSTANCE_STATE_RUNNING;
    assert_refused(ACT(acts, DESCRIBE_INSTANCES, &req, &reply), E_NEXT_TOKEN);
    req.status = -1;
    req.next_token = STR("nonsense");
    assert_refused(ACT(acts, DESCRIBE_INSTANCES, &req, &reply), E_NEXT_TOKEN);
    acts_close(acts);
}

static void pages_have_numbers(void **state)
{
    struct acts *acts = acts_open();
    struct describe_instances_reply reply;

    (void)state;
    launch_many(acts, 12);
    REQUEST(describe_instances, req);
    req.region_id = STR(REGION);
    assert_ok(ACT(acts, DESCRIBE_INSTANCES, &req, &reply));
    assert_int_equal(reply.instances.count, 10);
    assert_int_equal(reply.total_count, 12);
    assert_int_equal(reply.page_number, 1);
    assert_int_equal(reply.page_size, 10);
    assert_non_null(reply.next_token.ptr);
    req.page_number = 2;
    assert_ok(ACT(acts, DESCRIBE_INSTANCES, &req, &reply));
    assert_int_equal(reply.instances.count, 2);
    assert_null(reply.next_token.ptr);
    req.page_number = 3;
    assert_ok(ACT(acts, DESCRIBE_INSTANCES, &req, &reply));
    assert_int_equal(reply.instances.count, 0);
    req.page_number = 1;
    req.page_size = 1000;
    assert_ok(ACT(acts, DESCRIBE_INSTANCES, &req, &reply));
    assert_int_equal(reply.page_size, 100);
    acts_close(acts);
}

/* Applies `...` to a fresh request and counts what comes back. */
#define FINDS(expected, ...)                                                                       \
    do {                                                                                           \
        struct describe_instances_reply reply;                                                     \
        REQUEST(describe_instances, req);                                                          \
        req.region_id = STR(REGION);                                                               \
        __VA_ARGS__;                                                                               \
        assert_ok(ACT(acts, DESCRIBE_INSTANCES, &req, &reply));                                    \
        assert_int_equal(reply.instances.count, expected);                                         \
        assert_int_equal(reply.total_count, expected);                                             \
    } while (0)

static void filters_are_anded(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request run = run_request();
    struct tag_pair tag = {STR("role"), STR("db")}, any = {STR("role"), STR_NONE},
                    none = {STR("role"), STR("web")};
    struct filter_pair filter = {STR("CreationStartTime"), STR("2199-01-01T00:00Z")};
    struct str id, ip = STR("10.0.0.1"), no_ids[1];
    struct describe_instances_reply refused;

    (void)state;
    run.tag = (struct tag_pair_list){&tag, 1};
    run.instance_name = STR("db-one");
    run.resource_group_id = STR("rg-1");
    id = acts_run_instances(acts, &run);
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    launch_many(acts, 3);
    FINDS(4, (void)0);
    FINDS(1, req.instance_ids = (struct str_list){&id, 1});
    FINDS(0,
          req.instance_ids = (struct str_list){no_ids, 0}); /* [] is a filter that nothing passes */
    FINDS(3, req.instance_name = STR("web-*"));
    FINDS(1, req.status = INSTANCE_STATE_RUNNING);
    FINDS(0, req.status = INSTANCE_STATE_STOPPED);
    FINDS(1, req.tag = (struct tag_pair_list){&tag, 1});
    FINDS(1, req.tag = (struct tag_pair_list){&any, 1});
    FINDS(0, req.tag = (struct tag_pair_list){&none, 1});
    FINDS(4, req.instance_type_family = STR("ecs.g6"));
    FINDS(0, req.instance_type = STR("ecs.g6.xlarge"));
    FINDS(1, req.resource_group_id = STR("rg-1"));
    FINDS(1, req.private_ip_addresses = (struct str_list){&ip, 1});
    FINDS(4, req.zone_id = STR(ZONE); req.image_id = STR(IMAGE));
    FINDS(0, req.io_optimized = (struct opt_bool){true, false});
    FINDS(0, req.filter = (struct filter_pair_list){&filter, 1});
    FINDS(0, req.lock_reason = LOCK_REASON_SECURITY);
    FINDS(0, req.instance_charge_type = CHARGE_TYPE_PRE_PAID);
    acts_swap(acts);
    FINDS(0, req.instance_ids = (struct str_list){&id, 1});
    acts_swap(acts);
    REQUEST(describe_instances, req);
    req.region_id = STR("moon-1");
    assert_refused(ACT(acts, DESCRIBE_INSTANCES, &req, &refused), E_REGION_NOT_FOUND);
    req.region_id = STR(REGION);
    filter.key = STR("Colour");
    req.filter = (struct filter_pair_list){&filter, 1};
    assert_refused(ACT(acts, DESCRIBE_INSTANCES, &req, &refused), E_FILTER_KEY);
    filter = (struct filter_pair){STR("ExpiredEndTime"), STR("soon")};
    assert_refused(ACT(acts, DESCRIBE_INSTANCES, &req, &refused), E_FILTER_VALUE);
    any.key = STR("");
    req.filter.count = 0;
    req.tag = (struct tag_pair_list){&any, 1};
    assert_refused(ACT(acts, DESCRIBE_INSTANCES, &req, &refused), E_TAG_MISMATCH);
    req.tag.count = 0;
    req.dry_run = true;
    assert_refused(ACT(acts, DESCRIBE_INSTANCES, &req, &refused), E_DRY_RUN);
    acts_close(acts);
}

static void states_by_id_and_by_page(void **state)
{
    struct acts *acts = acts_open();
    struct str ids[] = {acts_launch(acts, TYPE), STR("i-unknown"), acts_stopped(acts)};
    struct describe_instance_status_reply reply;

    (void)state;
    REQUEST(describe_instance_status, req);
    req.region_id = STR(REGION);
    req.instance_id = (struct str_list){ids, 3};
    assert_ok(ACT(acts, DESCRIBE_INSTANCE_STATUS, &req, &reply));
    assert_int_equal(reply.total_count, 2);
    assert_int_equal(reply.instance_statuses.items[0].status, INSTANCE_STATE_RUNNING);
    assert_int_equal(reply.instance_statuses.items[1].status, INSTANCE_STATE_STOPPED);
    req.page_size = 1;
    req.page_number = 2;
    assert_ok(ACT(acts, DESCRIBE_INSTANCE_STATUS, &req, &reply));
    assert_int_equal(reply.instance_statuses.count, 1);
    assert_true(str_eq(reply.instance_statuses.items[0].instance_id, ids[2]));
    req.instance_id.count = 0;
    req.page_number = 1;
    req.page_size = 1000;
    assert_ok(ACT(acts, DESCRIBE_INSTANCE_STATUS, &req, &reply));
    assert_int_equal(reply.page_size, 50);
    assert_int_equal(reply.instance_statuses.count, 2);
    req.zone_id = STR("cn-hangzhou-z");
    assert_refused(ACT(acts, DESCRIBE_INSTANCE_STATUS, &req, &reply), E_ZONE_NOT_FOUND_STATUS);
    req.zone_id = STR_NONE;
    acts_swap(acts);
    assert_ok(ACT(acts, DESCRIBE_INSTANCE_STATUS, &req, &reply));
    assert_int_equal(reply.total_count, 0);
    acts_close(acts);
}

static void attributes_change_where_the_state_allows(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE), wrong_group = STR("sg-none");
    struct describe_instance_attribute_reply shown;
    struct describe_user_data_reply data;
    struct modify_instance_attribute_reply reply;

    (void)state;
    REQUEST(modify_instance_attribute, req);
    req.instance_id = id;
    req.instance_name = STR("renamed");
    req.description = STR("what it is for");
    req.user_data = STR("aGVsbG8=");
    req.deletion_protection = (struct opt_bool){true, true};
    assert_ok(ACT(acts, MODIFY_INSTANCE_ATTRIBUTE, &req, &reply));
    REQUEST(describe_instance_attribute, ask);
    ask.instance_id = id;
    assert_ok(ACT(acts, DESCRIBE_INSTANCE_ATTRIBUTE, &ask, &shown));
    assert_str(shown.instance_name, "renamed");
    assert_str(shown.description, "what it is for");
    assert_int_equal(shown.memory, 8192);
    assert_true(acts_view(acts, id).deletion_protection);
    REQUEST(describe_user_data, user);
    user.region_id = STR(REGION);
    user.instance_id = id;
    assert_ok(ACT(acts, DESCRIBE_USER_DATA, &user, &data));
    assert_str(data.user_data, "aGVsbG8=");
    REQUEST(modify_instance_attribute, clear);
    clear.instance_id = id;
    clear.description = STR("");
    assert_ok(ACT(acts, MODIFY_INSTANCE_ATTRIBUTE, &clear, &reply));
    assert_str(acts_view(acts, id).description, "");
    assert_str(acts_view(acts, id).instance_name, "renamed"); /* absent: unchanged */
    clear.security_group_ids = (struct str_list){&wrong_group, 1};
    assert_refused(ACT(acts, MODIFY_INSTANCE_ATTRIBUTE, &clear, &reply),
                   E_SECURITY_GROUP_NOT_FOUND_MODIFY);
    clear.security_group_ids.count = 0;
    clear.credit_specification = CREDIT_SPECIFICATION_STANDARD;
    assert_refused(ACT(acts, MODIFY_INSTANCE_ATTRIBUTE, &clear, &reply), E_CREDIT_SPECIFICATION);
    clear.credit_specification = -1;
    assert_ok(acts_stop(acts, id));
    clear.user_data = STR("aGVsbG8=");
    assert_refused(ACT(acts, MODIFY_INSTANCE_ATTRIBUTE, &clear, &reply),
                   E_INSTANCE_STATUS); /* Stopping */
    acts_swap(acts);
    assert_refused(ACT(acts, MODIFY_INSTANCE_ATTRIBUTE, &req, &reply), E_INSTANCE_NOT_FOUND);
    assert_refused(ACT(acts, DESCRIBE_INSTANCE_ATTRIBUTE, &ask, &shown), E_INSTANCE_NOT_FOUND);
    assert_refused(ACT(acts, DESCRIBE_USER_DATA, &user, &data), E_INSTANCE_NOT_FOUND);
    acts_close(acts);
}

static void a_release_time_ends_the_instance(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    usec_t now = env_now(acts->world->env);
    struct modify_instance_auto_release_time_reply reply;

    (void)state;
    REQUEST(modify_instance_auto_release_time, req);
    req.instance_id = STR("i-unknown");
    assert_refused(ACT(acts, MODIFY_INSTANCE_AUTO_RELEASE_TIME, &req, &reply), E_NO_SUCH_RESOURCE);
    req.instance_id = id;
    req.auto_release_time = now + 29 * USEC_PER_MINUTE;
    assert_refused(ACT(acts, MODIFY_INSTANCE_AUTO_RELEASE_TIME, &req, &reply), E_AUTO_RELEASE_TIME);
    req.auto_release_time = now + 4 * 365 * 24 * USEC_PER_HOUR;
    assert_refused(ACT(acts, MODIFY_INSTANCE_AUTO_RELEASE_TIME, &req, &reply), E_AUTO_RELEASE_TIME);
    req.auto_release_time = now + 31 * USEC_PER_MINUTE;
    assert_ok(ACT(acts, MODIFY_INSTANCE_AUTO_RELEASE_TIME, &req, &reply));
    assert_int_equal(acts_view(acts, id).auto_release_time % USEC_PER_MINUTE, 0);
    req.auto_release_time = 0;
    assert_ok(ACT(acts, MODIFY_INSTANCE_AUTO_RELEASE_TIME, &req, &reply));
    assert_int_equal(acts_view(acts, id).auto_release_time, 0);
    req.auto_release_time = now + 40 * USEC_PER_MINUTE;
    assert_ok(ACT(acts, MODIFY_INSTANCE_AUTO_RELEASE_TIME, &req, &reply));
    world_await(acts->world, id, -1, 41 * USEC_PER_MINUTE);
    acts_close(acts);
}

static void tags_come_and_go(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE), key = STR("a");
    struct tag_pair pairs[] = {{STR("a"), STR("1")}, {STR("b"), STR("2")}};
    struct list_tag_resources_reply listed;
    struct untag_resources_reply untagged;
    struct tag_resources_reply tagged;

    (void)state;
    REQUEST(tag_resources, put);
    put.region_id = STR(REGION);
    put.resource_type = STR("instance");
    put.resource_id = (struct str_list){&id, 1};
    assert_refused(ACT(acts, TAG_RESOURCES, &put, &tagged), E_TAG_MISSING);
    put.tag = (struct tag_pair_list){pairs, 2};
    assert_ok(ACT(acts, TAG_RESOURCES, &put, &tagged));
    pairs[0].value = STR("9");
    assert_ok(ACT(acts, TAG_RESOURCES, &put, &tagged)); /* replaces the value */
    REQUEST(list_tag_resources, list);
    list.region_id = STR(REGION);
    list.resource_type = STR("instance");
    assert_ok(ACT(acts, LIST_TAG_RESOURCES, &list, &listed));
    assert_int_equal(listed.tag_resources.count, 2);
    assert_str(listed.tag_resources.items[0].tag_key, "a");
    assert_str(listed.tag_resources.items[0].tag_value, "9");
    REQUEST(untag_resources, drop);
    drop.region_id = STR(REGION);
    drop.resource_type = STR("instance");
    drop.resource_id = put.resource_id;
    assert_refused(ACT(acts, UNTAG_RESOURCES, &drop, &untagged), E_TAG_MISSING);
    drop.tag_key = (struct str_list){&key, 1};
    assert_ok(ACT(acts, UNTAG_RESOURCES, &drop, &untagged));
    assert_int_equal(acts_view(acts, id).tags.count, 1);
    drop.tag_key.count = 0;
    drop.all = true;
    assert_ok(ACT(acts, UNTAG_RESOURCES, &drop, &untagged));
    assert_int_equal(acts_view(acts, id).tags.count, 0);
    put.resource_type = STR("spoon");
    assert_refused(ACT(acts, TAG_RESOURCES, &put, &tagged), E_RESOURCE_TYPE);
    put.resource_type = STR("instance");
    acts_swap(acts);
    assert_refused(ACT(acts, TAG_RESOURCES, &put, &tagged), E_RESOURCE_NOT_FOUND);
    acts_close(acts);
}

static void a_resource_takes_twenty_tags(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE);
    struct tag_pair pairs[20];
    struct tag_resources_reply tagged;
    struct list_tag_resources_reply listed;
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < countof(pairs); i++)
        pairs[i] = (struct tag_pair){arena_printf(&acts->arena, "key-%02zu", i), STR("v")};
    REQUEST(tag_resources, put);
    put.region_id = STR(REGION);
    put.resource_type = STR("instance");
    put.resource_id = (struct str_list){&id, 1};
    put.tag = (struct tag_pair_list){pairs, 20};
    assert_ok(ACT(acts, TAG_RESOURCES, &put, &tagged));
    assert_ok(ACT(acts, TAG_RESOURCES, &put, &tagged));
    pairs[0].key = STR("one-more");
    assert_refused(ACT(acts, TAG_RESOURCES, &put, &tagged), E_TAG_QUOTA);
    REQUEST(list_tag_resources, list);
    list.region_id = STR(REGION);
    list.resource_type = STR("instance");
    do {
        assert_ok(ACT(acts, LIST_TAG_RESOURCES, &list, &listed));
        count += listed.tag_resources.count;
        list.next_token = arena_str(&acts->arena, listed.next_token);
    } while (!str_empty(list.next_token));
    assert_int_equal(count, 20);
    acts_close(acts);
}

static void the_catalogue_is_shown(void **state)
{
    struct acts *acts = acts_open();
    struct describe_regions_reply regions;
    struct describe_zones_reply zones;
    struct describe_instance_types_reply types;
    struct describe_instance_type_families_reply families;
    struct describe_images_reply images;
    size_t seen = 0;

    (void)state;
    REQUEST(describe_regions, ask_regions);
    assert_ok(ACT(acts, DESCRIBE_REGIONS, &ask_regions, &regions));
    assert_int_equal(regions.regions.count, catalog_region_count);
    assert_str(regions.regions.items[0].region_endpoint, "127.0.0.1:8080");
    ask_regions.resource_type = STR("spoon");
    assert_refused(ACT(acts, DESCRIBE_REGIONS, &ask_regions, &regions), E_RESOURCE_TYPE_REGIONS);
    REQUEST(describe_zones, ask_zones);
    ask_zones.region_id = STR(REGION);
    assert_ok(ACT(acts, DESCRIBE_ZONES, &ask_zones, &zones));
    assert_str(zones.zones.items[0].zone_id, ZONE);
    assert_int_equal(zones.zones.items[0].available_instance_types.count, instance_type_count);
    ask_zones.verbose = false;
    assert_ok(ACT(acts, DESCRIBE_ZONES, &ask_zones, &zones));
    assert_int_equal(zones.zones.items[0].available_resources.count, 0);
    REQUEST(describe_instance_types, ask_types);
    ask_types.max_results = (struct opt_int){true, 100};
    do {
        assert_ok(ACT(acts, DESCRIBE_INSTANCE_TYPES, &ask_types, &types));
        seen += types.instance_types.count;
        ask_types.next_token = arena_str(&acts->arena, types.next_token);
    } while (!str_empty(ask_types.next_token));
    assert_int_equal(seen, 517);
    ask_types.max_results.set = false;
    ask_types.instance_type_family = STR("ecs.g6");
    ask_types.minimum_cpu_core_count = (struct opt_int){true, 8};
    assert_ok(ACT(acts, DESCRIBE_INSTANCE_TYPES, &ask_types, &types));
    assert_true(types.instance_types.count > 0);
    for (size_t i = 0; i < types.instance_types.count; i++)
        assert_true(types.instance_types.items[i].cpu_core_count >= 8);
    REQUEST(describe_instance_type_families, ask_families);
    ask_families.region_id = STR(REGION);
    assert_ok(ACT(acts, DESCRIBE_INSTANCE_TYPE_FAMILIES, &ask_families, &families));
    assert_int_equal(families.instance_type_families.count, instance_family_count);
    REQUEST(describe_images, ask_images);
    ask_images.region_id = STR(REGION);
    ask_images.image_id = STR(IMAGE);
    assert_ok(ACT(acts, DESCRIBE_IMAGES, &ask_images, &images));
    assert_int_equal(images.total_count, 1);
    ask_images.image_id = STR_NONE;
    ask_images.image_owner_alias = IMAGE_OWNER_SELF;
    assert_ok(ACT(acts, DESCRIBE_IMAGES, &ask_images, &images));
    assert_int_equal(images.total_count, 0);
    ask_images.instance_type = STR("ecs.none");
    assert_refused(ACT(acts, DESCRIBE_IMAGES, &ask_images, &images), E_INSTANCE_TYPE);
    acts_close(acts);
}

static void crashes_show_up_in_the_history(void **state)
{
    struct acts *acts = acts_open();
    struct str id = acts_launch(acts, TYPE), both[2];
    struct describe_instance_history_events_reply reply;

    (void)state;
    world_guest(acts->world, id, "crash", "");
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    REQUEST(describe_instance_history_events, req);
    req.region_id = STR(REGION);
    req.instance_id = id;
    assert_ok(ACT(acts, DESCRIBE_INSTANCE_HISTORY_EVENTS, &req, &reply));
    assert_true(reply.total_count > 0);
    assert_true(str_eq(reply.instance_system_event_set.items[0].instance_id, id));
    assert_str(reply.instance_system_event_set.items[0].event_cycle_status.name, "Executed");
    both[0] = id;
    both[1] = STR("i-unknown");
    req.instance_id = STR_NONE;
    req.resource_id = (struct str_list){both, 2};
    assert_ok(ACT(acts, DESCRIBE_INSTANCE_HISTORY_EVENTS, &req, &reply));
    assert_true(reply.total_count > 0);
    req.event_type = STR("Nonsense");
    assert_refused(ACT(acts, DESCRIBE_INSTANCE_HISTORY_EVENTS, &req, &reply), E_EVENT_PARAMETER);
    req.event_type = STR_NONE;
    req.not_before.start = 2 * USEC_PER_SEC;
    req.not_before.end = USEC_PER_SEC;
    assert_refused(ACT(acts, DESCRIBE_INSTANCE_HISTORY_EVENTS, &req, &reply), E_EVENT_TIME_ORDER);
    req.not_before.start = req.not_before.end = 0;
    acts_swap(acts);
    assert_ok(ACT(acts, DESCRIBE_INSTANCE_HISTORY_EVENTS, &req, &reply));
    assert_int_equal(reply.total_count, 0);
    acts_close(acts);
}

static void endpoints_are_where_the_caller_is(void **state)
{
    struct acts *acts = acts_open();
    struct location_describe_endpoints_reply reply;

    (void)state;
    REQUEST(location_describe_endpoints, req);
    req.id = STR(REGION);
    req.service_code = STR("ecs");
    assert_ok(ACT(acts, LOCATION_DESCRIBE_ENDPOINTS, &req, &reply));
    assert_true(reply.success);
    assert_str(reply.endpoints.items[0].endpoint, "127.0.0.1:8080");
    assert_str(reply.endpoints.items[0].type, "openAPI");
    req.service_code = STR("oss");
    assert_ok(ACT(acts, LOCATION_DESCRIBE_ENDPOINTS, &req, &reply));
    assert_int_equal(reply.endpoints.count, 0);
    req.id = STR("moon-1");
    assert_refused(ACT(acts, LOCATION_DESCRIBE_ENDPOINTS, &req, &reply), E_LOCATION_REGION);
    acts_close(acts);
}

static void a_role_gives_a_key_for_a_while(void **state)
{
    struct acts *acts = acts_open();
    struct sts_assume_role_reply reply;
    struct sts_get_caller_identity_reply who;
    struct access_key *key;
    struct tx *tx;

    (void)state;
    REQUEST(sts_get_caller_identity, me);
    assert_ok(ACT(acts, STS_GET_CALLER_IDENTITY, &me, &who));
    assert_str(who.identity_type, "Account");
    assert_true(str_eq(who.account_id, acts->account.id));
    REQUEST(sts_assume_role, req);
    req.role_arn =
        arena_printf(&acts->arena, "acs:ram::%.*s:role/admin", STR_ARG(acts->account.id));
    req.role_session_name = STR("tester");
    assert_int_equal(req.duration_seconds, 3600);
    assert_ok(ACT(acts, STS_ASSUME_ROLE, &req, &reply));
    assert_true(str_starts(reply.credentials.access_key_id, STR("STS.")));
    tx = store_read_begin(acts->world->store);
    assert_ok(store_key_get(tx, reply.credentials.access_key_id, &key));
    assert_true(str_eq(key->token, reply.credentials.security_token));
    assert_int_equal(key->expires_us, env_now(acts->world->env) + 3600 * USEC_PER_SEC);
    acts->key = *key;
    assert_ok(ACT(acts, STS_GET_CALLER_IDENTITY, &me, &who));
    assert_str(who.identity_type, "AssumedRoleUser");
    assert_true(str_ends(who.arn, STR("assumed-role/admin/tester")));
    assert_true(str_ends(who.principal_id, STR(":tester")));
    store_read_end(tx);
    acts->key = (struct access_key){.id = STR("k"), .policy = STR("{}")};
    req.policy = STR("{}");
    assert_refused(ACT(acts, STS_ASSUME_ROLE, &req, &reply), E_NO_PERMISSION_ASSUME);
    acts->key.policy = STR_NONE;
    req.policy = STR("[]");
    assert_refused(ACT(acts, STS_ASSUME_ROLE, &req, &reply), E_ROLE_POLICY);
    req.policy = STR_NONE;
    req.role_session_name = STR("a b");
    assert_refused(ACT(acts, STS_ASSUME_ROLE, &req, &reply), E_ROLE_SESSION_NAME);
    req.role_arn = STR("role/admin");
    assert_refused(ACT(acts, STS_ASSUME_ROLE, &req, &reply), E_ROLE_ARN);
    req.role_arn = arena_printf(&acts->arena, "acs:ram::%.*s:role/admin", STR_ARG(acts->other.id));
    assert_refused(ACT(acts, STS_ASSUME_ROLE, &req, &reply), E_NO_PERMISSION_ASSUME);
    acts_close(acts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_page_through_all_of_them_once),
        cmocka_unit_test(a_token_for_another_query_is_refused),
        cmocka_unit_test(pages_have_numbers),
        cmocka_unit_test(filters_are_anded),
        cmocka_unit_test(states_by_id_and_by_page),
        cmocka_unit_test(attributes_change_where_the_state_allows),
        cmocka_unit_test(a_release_time_ends_the_instance),
        cmocka_unit_test(tags_come_and_go),
        cmocka_unit_test(a_resource_takes_twenty_tags),
        cmocka_unit_test(the_catalogue_is_shown),
        cmocka_unit_test(crashes_show_up_in_the_history),
        cmocka_unit_test(endpoints_are_where_the_caller_is),
        cmocka_unit_test(a_role_gives_a_key_for_a_while),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
