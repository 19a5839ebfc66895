/* SPDX-License-Identifier: Apache-2.0 */
/* Key pairs: made, imported, listed, given to instances and taken away, and by whom. */
#include "unit/actions_world.h"

#include "base/limits.h"

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
#define FINGERPRINT "65962dfce8d5a911640c0fea006e5bbd"

static int import(struct acts *acts, const char *name, const char *body, const struct tag_pair *tag)
{
    struct import_key_pair_reply reply;
    int r;

    REQUEST(import_key_pair, req);
    req.region_id = STR(REGION);
    req.key_pair_name = str_from(name);
    req.public_key_body = str_from(body);
    if (tag)
        req.tag = (struct tag_pair_list){(struct tag_pair *)tag, 1};
    r = ACT(acts, IMPORT_KEY_PAIR, &req, &reply);
    if (r == 0) {
        assert_str(reply.key_pair_name, name);
        assert_str(reply.key_pair_finger_print, FINGERPRINT);
    }
    return r;
}

static struct describe_key_pairs_request list_request(void)
{
    REQUEST(describe_key_pairs, req);
    req.region_id = STR(REGION);
    return req;
}

static struct describe_key_pairs_reply list(struct acts *acts, const struct describe_key_pairs_request *req)
{
    struct describe_key_pairs_reply reply;

    assert_ok(ACT(acts, DESCRIBE_KEY_PAIRS, req, &reply));
    return reply;
}

static int64_t total(struct acts *acts)
{
    struct describe_key_pairs_request req = list_request();

    return list(acts, &req).total_count;
}

static int delete(struct acts *acts, struct str *names, size_t count)
{
    struct delete_key_pairs_reply reply;

    REQUEST(delete_key_pairs, req);
    req.region_id = STR(REGION);
    req.key_pair_names = (struct str_list){names, count};
    return ACT(acts, DELETE_KEY_PAIRS, &req, &reply);
}

static int attach(struct acts *acts, const char *name, struct str *ids, size_t count)
{
    struct attach_key_pair_reply reply;
    int r;

    REQUEST(attach_key_pair, req);
    req.region_id = STR(REGION);
    req.key_pair_name = str_from(name);
    req.instance_ids = (struct str_list){ids, count};
    r = ACT(acts, ATTACH_KEY_PAIR, &req, &reply);
    if (r == 0) {
        assert_str(reply.fail_count, "0");
        assert_int_equal(reply.results.count, count);
        assert_str(reply.results.items[0].code, "200");
        assert_str(reply.results.items[0].success, "true");
    }
    return r;
}

static int detach(struct acts *acts, const char *name, struct str *ids, size_t count, struct detach_key_pair_reply *ret)
{
    REQUEST(detach_key_pair, req);
    req.region_id = STR(REGION);
    req.key_pair_name = str_from(name);
    req.instance_ids = (struct str_list){ids, count};
    return ACT(acts, DETACH_KEY_PAIR, &req, ret);
}

static void a_private_key_is_given_once(void **state)
{
    struct acts *acts = acts_open();
    struct describe_key_pairs_request ask = list_request();
    struct describe_key_pairs_reply listed;
    struct create_key_pair_reply made;

    (void)state;
    REQUEST(create_key_pair, req);
    req.region_id = STR(REGION);
    req.key_pair_name = STR("my-key");
    assert_ok(ACT(acts, CREATE_KEY_PAIR, &req, &made));
    assert_str(made.key_pair_name, "my-key");
    assert_true(str_starts(made.key_pair_id, STR("ssh-")));
    assert_int_equal(made.key_pair_finger_print.len, 32);
    assert_true(str_starts(made.private_key_body, STR("-----BEGIN RSA PRIVATE KEY-----\n")));
    ask.include_public_key = true;
    listed = list(acts, &ask);
    assert_int_equal(listed.total_count, 1);
    assert_true(str_eq(listed.key_pairs.items[0].key_pair_finger_print, made.key_pair_finger_print));
    assert_true(str_starts(listed.key_pairs.items[0].public_key, STR("ssh-rsa AAAA")));
    assert_refused(ACT(acts, CREATE_KEY_PAIR, &req, &made), E_KEY_PAIR_EXISTS);
    req.region_id = STR("cn-beijing"); /* names are of a region */
    assert_ok(ACT(acts, CREATE_KEY_PAIR, &req, &made));
    req.region_id = STR("cn-none");
    assert_refused(ACT(acts, CREATE_KEY_PAIR, &req, &made), E_REGION_NOT_FOUND);
    acts_close(acts);
}

static void what_a_pair_may_be(void **state)
{
    struct acts *acts = acts_open();
    struct tag_pair tag = {STR("aliyun"), STR("x")};

    (void)state;
    assert_refused(import(acts, "1x", KEY, NULL), E_KEY_PAIR_NAME);
    assert_refused(import(acts, "x", KEY, NULL), E_KEY_PAIR_NAME);
    assert_refused(import(acts, "http://x", KEY, NULL), E_KEY_PAIR_NAME);
    assert_refused(import(acts, "one", "ssh-rsa x", NULL), E_KEY_PAIR_BODY);
    assert_refused(import(acts, "one", KEY "\n" KEY, NULL), E_KEY_PAIR_BODY);
    assert_refused(import(acts, "one", KEY, &tag), E_TAG_KEY);
    assert_ok(import(acts, "one", KEY "\n", NULL));
    assert_refused(import(acts, "one", KEY, NULL), E_KEY_PAIR_EXISTS);
    assert_ok(import(acts, "two", KEY, NULL)); /* the same key under another name */
    REQUEST(import_key_pair, req);
    struct import_key_pair_reply reply;
    req.region_id = STR(REGION);
    req.key_pair_name = STR("three");
    req.public_key_body = STR(KEY);
    req.resource_group_id = arena_str(&acts->arena, STR("rg-0123456789012345678901234567890123456789012345678901234567890123456789"));
    assert_refused(ACT(acts, IMPORT_KEY_PAIR, &req, &reply), E_RESOURCE_GROUP_NOT_FOUND);
    acts_close(acts);
}

static void lists_filter_and_page(void **state)
{
    struct acts *acts = acts_open();
    struct describe_key_pairs_request ask = list_request();
    struct tag_pair tag = {STR("env"), STR("prod")}, other = {STR("env"), STR("dev")};
    struct describe_key_pairs_reply got;

    (void)state;
    assert_ok(import(acts, "web-a", KEY, &tag));
    assert_ok(import(acts, "web-b", KEY, &other));
    assert_ok(import(acts, "db-a", KEY, NULL));
    ask.page_size = 2;
    got = list(acts, &ask);
    assert_int_equal(got.total_count, 3);
    assert_int_equal(got.key_pairs.count, 2);
    assert_str(got.key_pairs.items[0].key_pair_name, "db-a");
    assert_null(got.key_pairs.items[0].public_key.ptr);
    ask.page_number = 2;
    got = list(acts, &ask);
    assert_int_equal(got.key_pairs.count, 1);
    assert_str(got.key_pairs.items[0].key_pair_name, "web-b");
    ask = list_request();
    ask.key_pair_name = STR("web*");
    assert_int_equal(list(acts, &ask).total_count, 2);
    ask.tag = (struct tag_pair_list){&tag, 1};
    got = list(acts, &ask);
    assert_int_equal(got.total_count, 1);
    assert_str(got.key_pairs.items[0].tags.items[0].tag_value, "prod");
    ask = list_request();
    ask.key_pair_finger_print = STR(FINGERPRINT);
    assert_int_equal(list(acts, &ask).total_count, 3);
    ask.key_pair_finger_print = STR("0");
    assert_int_equal(list(acts, &ask).total_count, 0);
    acts_swap(acts); /* somebody else's are not there */
    assert_int_equal(total(acts), 0);
    assert_ok(delete(acts, (struct str[]){STR("web-a")}, 1));
    acts_swap(acts);
    assert_int_equal(total(acts), 3);
    acts_close(acts);
}

static void an_instance_keeps_its_pair_alive(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request run = run_request();
    struct str names[] = {STR("free"), STR("used"), STR("none")};
    struct describe_instances_reply found;
    struct run_instances_reply ran;
    struct str id;

    (void)state;
    assert_ok(import(acts, "free", KEY, NULL));
    assert_ok(import(acts, "used", KEY, NULL));
    run.key_pair_name = STR("none");
    assert_refused(ACT(acts, RUN_INSTANCES, &run, &ran), E_KEY_PAIR_NOT_FOUND);
    run.key_pair_name = STR("used");
    run.io_optimized = IO_OPTIMIZED_NONE;
    assert_refused(ACT(acts, RUN_INSTANCES, &run, &ran), E_KEY_PAIR_IO);
    run.io_optimized = IO_OPTIMIZED_OPTIMIZED;
    run.password = STR("Passw0rd!"); /* both is fine: the image decides what it opens */
    id = acts_run_instances(acts, &run);
    assert_str(acts_view(acts, id).key_pair_name, "used");
    REQUEST(describe_instances, ask);
    ask.region_id = STR(REGION);
    ask.key_pair_name = STR("used");
    assert_ok(ACT(acts, DESCRIBE_INSTANCES, &ask, &found));
    assert_int_equal(found.total_count, 1);
    assert_refused(delete(acts, names, 3), E_KEY_PAIR_ATTACHED);
    assert_int_equal(total(acts), 2); /* all or none */
    assert_refused(delete(acts, names, 0), E_KEY_PAIR_NAMES);
    struct detach_key_pair_reply reply;
    assert_ok(detach(acts, "used", &id, 1, &reply));
    assert_null(acts_view(acts, id).key_pair_name.ptr);
    assert_ok(delete(acts, names, 3));
    assert_int_equal(total(acts), 0);
    acts_close(acts);
}

static void attached_and_detached(void **state)
{
    struct acts *acts = acts_open();
    struct str ids[3] = {acts_launch(acts, TYPE), acts_launch(acts, TYPE), STR("i-none")};
    struct detach_key_pair_reply reply;

    (void)state;
    assert_ok(import(acts, "one", KEY, NULL));
    assert_ok(import(acts, "two", KEY, NULL));
    assert_refused(attach(acts, "none", ids, 2), E_KEY_PAIR_ATTACH);
    assert_refused(detach(acts, "none", ids, 2, &reply), E_KEY_PAIR_DETACH);
    assert_refused(attach(acts, "one", ids, 3), E_KEY_PAIR_INSTANCES);
    assert_refused(attach(acts, "one", ids, 0), E_KEY_PAIR_INSTANCES);
    assert_null(acts_view(acts, ids[0]).key_pair_name.ptr); /* a call that fails has done nothing */
    assert_ok(attach(acts, "one", ids, 2));
    assert_str(acts_view(acts, ids[1]).key_pair_name, "one");
    assert_ok(attach(acts, "two", ids, 1)); /* instead of the one that it has */
    assert_str(acts_view(acts, ids[0]).key_pair_name, "two");
    assert_ok(detach(acts, "two", ids, 2, &reply));
    assert_str(reply.total_count, "2");
    assert_str(reply.fail_count, "1");
    assert_str(reply.results.items[0].success, "true");
    assert_str(reply.results.items[1].success, "false");
    assert_str(reply.results.items[1].code, "InvalidKeyPairName.NotFound");
    assert_null(acts_view(acts, ids[0]).key_pair_name.ptr);
    assert_str(acts_view(acts, ids[1]).key_pair_name, "one");
    assert_ok(detach(acts, "two", ids, 1, &reply)); /* has none any more: done */
    assert_str(reply.fail_count, "0");
    acts_swap(acts);
    assert_ok(import(acts, "one", KEY, NULL));
    assert_refused(attach(acts, "one", ids, 1), E_KEY_PAIR_INSTANCES);
    acts_close(acts);
}

static void start_again(struct acts *acts, struct str id)
{
    struct start_instance_reply reply;

    assert_ok(acts_stop(acts, id));
    world_await(acts->world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    REQUEST(start_instance, req);
    req.instance_id = id;
    assert_ok(ACT(acts, START_INSTANCE, &req, &reply));
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
}

/* What the page promises of AttachKeyPair and DetachKeyPair: from the next start on. */
static void the_machine_is_told_at_each_start(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request run = run_request();
    struct detach_key_pair_reply reply;
    struct str id;

    (void)state;
    id = acts_launch(acts, TYPE);
    assert_null(fault_keys(acts->world->hv));
    assert_ok(import(acts, "one", KEY " me", NULL));
    assert_ok(attach(acts, "one", &id, 1));
    assert_null(fault_keys(acts->world->hv));
    start_again(acts, id);
    assert_string_equal(fault_keys(acts->world->hv), KEY " me\n");
    assert_ok(detach(acts, "one", &id, 1, &reply));
    start_again(acts, id);
    assert_null(fault_keys(acts->world->hv));
    run.key_pair_name = STR("one");
    id = acts_run_instances(acts, &run);
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    assert_string_equal(fault_keys(acts->world->hv), KEY " me\n");
    acts_close(acts);
}

static void windows_has_no_use_for_one(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request run = run_request();
    struct str id;

    (void)state;
    for (size_t i = 0; i < catalog_image_count; i++)
        if (strcmp(catalog_images[i].os_type, "windows") == 0)
            run.image_id = str_from(catalog_images[i].id);
    run.key_pair_name = STR("whatever");
    id = acts_run_instances(acts, &run);
    assert_null(acts_view(acts, id).key_pair_name.ptr);
    assert_ok(import(acts, "one", KEY, NULL));
    assert_refused(attach(acts, "one", &id, 1), E_KEY_PAIR_WINDOWS);
    acts_close(acts);
}

static void there_are_only_so_many(void **state)
{
    struct acts *acts = acts_open();
    char name[16];

    (void)state;
    for (int i = 0; i < LIMIT_KEY_PAIRS; i++) {
        (void)snprintf(name, sizeof(name), "k-%d", i);
        assert_ok(import(acts, name, KEY, NULL));
    }
    assert_refused(import(acts, "more", KEY, NULL), E_KEY_PAIR_QUOTA);
    assert_ok(delete(acts, (struct str[]){STR("k-7")}, 1));
    assert_ok(import(acts, "more", KEY, NULL));
    acts_close(acts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_private_key_is_given_once),
        cmocka_unit_test(what_a_pair_may_be),
        cmocka_unit_test(lists_filter_and_page),
        cmocka_unit_test(an_instance_keeps_its_pair_alive),
        cmocka_unit_test(attached_and_detached),
        cmocka_unit_test(the_machine_is_told_at_each_start),
        cmocka_unit_test(windows_has_no_use_for_one),
        cmocka_unit_test(there_are_only_so_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
