/* SPDX-License-Identifier: Apache-2.0 */
/* Imported images: from which moment to which they count, for whom, and what is made of them. */
#include "unit/actions_world.h"

#include "base/limits.h"

static struct admin_import_image_request import_request(const char *id)
{
    REQUEST(admin_import_image, req);
    req.image_id = str_from(id);
    req.file_format = IMAGE_FORMAT_QCOW2;
    req.size_gib = 3;
    return req;
}

static int import(struct acts *acts, const struct admin_import_image_request *req, struct image_admin *ret)
{
    struct admin_import_image_reply reply;
    int r = ACT(acts, ADMIN_IMPORT_IMAGE, req, &reply);

    if (r == 0 && ret)
        *ret = reply.image;
    return r;
}

static int adopt(struct acts *acts, struct str id)
{
    struct admin_adopt_image_reply reply;

    REQUEST(admin_adopt_image, req);
    req.image_id = id;
    return ACT(acts, ADMIN_ADOPT_IMAGE, &req, &reply);
}

static int retire(struct acts *acts, struct str id)
{
    struct admin_retire_image_reply reply;

    REQUEST(admin_retire_image, req);
    req.image_id = id;
    return ACT(acts, ADMIN_RETIRE_IMAGE, &req, &reply);
}

static int forget(struct acts *acts, struct str id)
{
    struct admin_remove_image_reply reply;

    REQUEST(admin_remove_image, req);
    req.image_id = id;
    return ACT(acts, ADMIN_REMOVE_IMAGE, &req, &reply);
}

static void import_whole(struct acts *acts, const struct admin_import_image_request *req)
{
    struct image_admin image = {.usable = true};

    assert_ok(import(acts, req, &image));
    assert_int_equal(image.state, IMAGE_STATE_ARRIVING);
    assert_false(image.usable);
    assert_ok(adopt(acts, image.image_id));
}

static int launch(struct acts *acts, const char *image_id, int64_t gib)
{
    struct run_instances_request req = run_request();
    struct run_instances_reply reply;

    req.image_id = str_from(image_id);
    if (gib > 0)
        req.system_disk.size = (struct opt_int){true, gib};
    return ACT(acts, RUN_INSTANCES, &req, &reply);
}

/* What DescribeImages shows of one id: how many, and the first. */
static int64_t listed(struct acts *acts, const char *id, int owner, struct describe_images_image *ret)
{
    struct describe_images_reply reply;

    REQUEST(describe_images, req);
    req.region_id = STR(REGION);
    req.image_id = str_from(id);
    req.image_owner_alias = owner;
    assert_ok(ACT(acts, DESCRIBE_IMAGES, &req, &reply));
    assert_int_equal(reply.images.count, reply.total_count);
    if (ret && reply.images.count > 0)
        *ret = reply.images.items[0];
    return reply.total_count;
}

static void an_image_counts_from_its_file_on(void **state)
{
    struct acts *acts = acts_open();
    struct admin_import_image_request req = import_request("m-new");
    struct describe_images_image shown;
    struct image_admin image = {.usable = true};

    (void)state;
    assert_refused(launch(acts, "m-new", 0), E_IMAGE_NOT_FOUND);
    req.name = STR("my-linux");
    assert_ok(import(acts, &req, &image));
    assert_int_equal(image.state, IMAGE_STATE_ARRIVING);
    assert_refused(launch(acts, "m-new", 0), E_IMAGE_NOT_FOUND);
    assert_int_equal(listed(acts, "m-new", -1, NULL), 0);
    assert_refused(forget(acts, STR("m-new")), E_ADMIN_IMAGE_STATE); /* its file may be on its way */
    fault_arm(acts->world->hv, &(struct fault_plan){.no_image = STR("m-new")});
    assert_refused(adopt(acts, STR("m-new")), E_ADMIN_IMAGE_NO_FILE);
    fault_arm(acts->world->hv, NULL);
    assert_ok(adopt(acts, STR("m-new")));
    assert_ok(adopt(acts, STR("m-new"))); /* asked again: done */
    assert_int_equal(listed(acts, "m-new", -1, &shown), 1);
    assert_str(shown.image_name, "my-linux");
    assert_str(shown.image_owner_alias, "system");
    assert_str(shown.os_type, "linux");
    assert_str(shown.architecture, "x86_64");
    assert_str(shown.boot_mode, "BIOS");
    assert_int_equal(shown.size, 3);
    assert_true(shown.is_public && shown.is_support_cloudinit && !shown.image_owner_id.set);
    assert_ok(launch(acts, "m-new", 0));
    acts_swap(acts);
    assert_int_equal(listed(acts, "m-new", IMAGE_OWNER_SYSTEM, NULL), 1);
    assert_int_equal(listed(acts, "m-new", IMAGE_OWNER_SELF, NULL), 0);
    acts_close(acts);
}

static void what_has_no_file_is_not_there(void **state)
{
    struct acts *acts = acts_open();
    struct run_instances_request req = run_request();
    struct run_instances_reply reply;

    (void)state;
    assert_int_equal(listed(acts, IMAGE, -1, NULL), 1);
    fault_arm(acts->world->hv, &(struct fault_plan){.no_image = STR(IMAGE)});
    assert_int_equal(listed(acts, IMAGE, -1, NULL), 0);
    assert_refused(launch(acts, IMAGE, 0), E_IMAGE_NOT_FOUND);
    req.image_id = STR_NONE;
    req.image_family = STR("acs:alibaba_cloud_linux_3_2104_lts_x64"); /* that image is its only one */
    assert_refused(ACT(acts, RUN_INSTANCES, &req, &reply), E_IMAGE_FAMILY_NOT_FOUND);
    fault_arm(acts->world->hv, NULL);
    assert_ok(ACT(acts, RUN_INSTANCES, &req, &reply));
    acts_close(acts);
}

static void ones_own_is_nobody_elses(void **state)
{
    struct acts *acts = acts_open();
    struct admin_import_image_request req = import_request("m-mine");
    struct describe_images_image shown;
    struct describe_images_reply reply;
    struct str id;

    (void)state;
    req.account_id = acts->account.id;
    req.family = STR("mine");
    import_whole(acts, &req);
    assert_int_equal(listed(acts, "m-mine", IMAGE_OWNER_SELF, &shown), 1);
    assert_str(shown.image_owner_alias, "self");
    assert_str(shown.usage, "none");
    assert_true(shown.image_owner_id.set && !shown.is_public);
    assert_int_equal(listed(acts, "m-mine", IMAGE_OWNER_SYSTEM, NULL), 0);
    REQUEST(describe_images, ask);
    ask.region_id = STR(REGION);
    ask.image_owner_id = shown.image_owner_id;
    assert_ok(ACT(acts, DESCRIBE_IMAGES, &ask, &reply));
    assert_int_equal(reply.total_count, 1);
    ask.image_owner_id = (struct opt_int){false, 0};
    ask.is_public = (struct opt_bool){true, false};
    assert_ok(ACT(acts, DESCRIBE_IMAGES, &ask, &reply));
    assert_int_equal(reply.total_count, 1);
    struct run_instances_request run = run_request();
    run.image_id = STR_NONE;
    run.image_family = STR("mine");
    id = acts_run_instances(acts, &run);
    assert_str(acts_view(acts, id).image_id, "m-mine");
    assert_int_equal(listed(acts, "m-mine", -1, &shown), 1);
    assert_str(shown.usage, "instance");
    acts_swap(acts);
    assert_int_equal(listed(acts, "m-mine", -1, NULL), 0);
    assert_refused(launch(acts, "m-mine", 0), E_IMAGE_NOT_FOUND);
    acts_close(acts);
}

static void a_file_for_an_image_of_the_catalogue(void **state)
{
    struct acts *acts = acts_open();
    struct admin_import_image_request req = import_request(IMAGE);
    struct describe_images_image before, shown;
    struct admin_list_images_reply all;
    size_t seen = 0;

    (void)state;
    assert_int_equal(listed(acts, IMAGE, -1, &before), 1);
    req.size_gib = 50; /* more than the catalogue says */
    req.account_id = acts->account.id;
    assert_refused(import(acts, &req, NULL), E_ADMIN_IMAGE_PUBLIC);
    req.account_id = STR_NONE;
    assert_ok(import(acts, &req, NULL));
    assert_int_equal(listed(acts, IMAGE, -1, NULL), 0); /* not the old one either: nobody knows which file it would be */
    assert_ok(adopt(acts, STR(IMAGE)));
    assert_int_equal(listed(acts, IMAGE, -1, &shown), 1);
    assert_true(str_eq(shown.image_family, before.image_family));
    assert_true(str_eq(shown.os_name, before.os_name));
    assert_int_equal(shown.creation_time, before.creation_time);
    assert_int_equal(shown.size, 50);
    assert_refused(launch(acts, IMAGE, 49), E_SYSTEM_DISK_LESS_IMAGE);
    assert_refused(import(acts, &req, NULL), E_ADMIN_IMAGE_EXISTS);
    REQUEST(admin_list_images, list);
    assert_ok(ACT(acts, ADMIN_LIST_IMAGES, &list, &all));
    for (size_t i = 0; i < all.images.count; i++)
        if (str_eq(all.images.items[i].image_id, STR(IMAGE)) && all.images.items[i].imported)
            seen++;
    assert_int_equal(seen, 1);
    assert_int_equal(all.images.count, catalog_image_count);
    assert_ok(retire(acts, STR(IMAGE)));
    assert_int_equal(listed(acts, IMAGE, -1, NULL), 0);
    assert_ok(forget(acts, STR(IMAGE)));
    assert_int_equal(listed(acts, IMAGE, -1, &shown), 1); /* the catalogue's again */
    assert_int_equal(shown.size, before.size);
    acts_close(acts);
}

static void no_file_goes_from_under_a_disk(void **state)
{
    struct acts *acts = acts_open();
    struct admin_import_image_request req = import_request("m-1");
    struct run_instances_request run = run_request();
    struct delete_instance_reply deleted;
    struct str id;

    (void)state;
    import_whole(acts, &req);
    run.image_id = STR("m-1");
    id = acts_run_instances(acts, &run);
    world_await(acts->world, id, INSTANCE_STATE_RUNNING, SECONDS(60));
    assert_refused(retire(acts, STR("m-1")), E_ADMIN_IMAGE_IN_USE);
    assert_refused(forget(acts, STR("m-1")), E_ADMIN_IMAGE_STATE);
    assert_int_equal(listed(acts, "m-1", -1, NULL), 1);
    REQUEST(delete_instance, gone);
    gone.instance_id = id;
    gone.force = true;
    assert_ok(ACT(acts, DELETE_INSTANCE, &gone, &deleted));
    world_pass(acts->world, SECONDS(60));
    assert_ok(retire(acts, STR("m-1")));
    assert_ok(retire(acts, STR("m-1")));
    assert_refused(launch(acts, "m-1", 0), E_IMAGE_NOT_FOUND);
    assert_refused(adopt(acts, STR("m-1")), E_ADMIN_IMAGE_STATE); /* no way back */
    assert_refused(import(acts, &req, NULL), E_ADMIN_IMAGE_EXISTS);
    assert_ok(forget(acts, STR("m-1")));
    assert_refused(forget(acts, STR("m-1")), E_ADMIN_IMAGE_NOT_FOUND);
    import_whole(acts, &req);
    acts_close(acts);
}

/* Nor comes one under a disk that was made of the id before. */
static void no_file_comes_under_a_disk(void **state)
{
    struct acts *acts = acts_open();
    struct admin_import_image_request req = import_request(IMAGE);

    (void)state;
    assert_ok(launch(acts, IMAGE, 0));
    assert_refused(import(acts, &req, NULL), E_ADMIN_IMAGE_IN_USE);
    assert_int_equal(listed(acts, IMAGE, -1, NULL), 1);
    acts_close(acts);
}

static void an_import_that_died_is_begun_anew(void **state)
{
    struct acts *acts = acts_open();
    struct admin_import_image_request req = import_request("m-1");
    struct describe_images_image shown;

    (void)state;
    assert_ok(import(acts, &req, NULL));
    req.size_gib = 30;
    import_whole(acts, &req);
    assert_int_equal(listed(acts, "m-1", -1, &shown), 1);
    assert_int_equal(shown.size, 30);
    assert_refused(launch(acts, "m-1", 29), E_SYSTEM_DISK_LESS_IMAGE);
    assert_ok(launch(acts, "m-1", 30));
    req = import_request("m-2"); /* or it is given up */
    assert_ok(import(acts, &req, NULL));
    assert_ok(retire(acts, STR("m-2")));
    assert_ok(forget(acts, STR("m-2")));
    acts_close(acts);
}

static void what_an_import_may_say(void **state)
{
    struct acts *acts = acts_open();
    struct describe_images_image shown;
    struct admin_import_image_request req;
    struct image_admin image = {.usable = true};

    (void)state;
#define REFUSES(CODE, change)                                                                      \
    req = import_request("m-1");                                                                   \
    change;                                                                                        \
    assert_refused(import(acts, &req, NULL), CODE)
    REFUSES(E_INVALID_PARAMETER, req.image_id = STR("../x"));
    REFUSES(E_INVALID_PARAMETER, req.image_id = STR("x.partial"));
    REFUSES(E_IMAGE_NAME, req.name = STR("x"));
    REFUSES(E_DESCRIPTION, req.description = STR("http://x"));
    REFUSES(E_ADMIN_ACCOUNT_NOT_FOUND, req.account_id = STR("1"));
    assert_refused(adopt(acts, STR("m-1")), E_ADMIN_IMAGE_NOT_FOUND);
    assert_refused(retire(acts, STR("m-1")), E_ADMIN_IMAGE_NOT_FOUND);

    req = import_request(NULL); /* without an id: a new one */
    req.os_type = OS_TYPE_WINDOWS;
    req.cloud_init = (struct opt_bool){true, false};
    req.boot_mode = BOOT_MODE_UEFI;
    req.file_format = IMAGE_FORMAT_RAW;
    req.direct_boot = true;
    assert_ok(import(acts, &req, &image));
    assert_true(str_starts(image.image_id, STR("m-")) && image.image_id.len == 22);
    assert_true(image.direct_boot);
    assert_int_equal(image.format, IMAGE_FORMAT_RAW);
    assert_ok(adopt(acts, image.image_id));
    assert_int_equal(listed(acts, arena_cstr(&acts->arena, image.image_id), -1, &shown), 1);
    assert_str(shown.os_type, "windows");
    assert_str(shown.boot_mode, "UEFI");
    assert_false(shown.is_support_cloudinit);
    struct run_instances_request run = run_request();
    struct run_instances_reply ran;
    run.image_id = image.image_id;
    run.user_data = STR("aGk=");
    assert_refused(ACT(acts, RUN_INSTANCES, &run, &ran), E_IMAGE_CLOUD_INIT);
    acts_close(acts);
}

static void there_are_only_so_many(void **state)
{
    struct acts *acts = acts_open();
    struct admin_import_image_request req;
    char id[16];

    (void)state;
    for (int i = 0; i < LIMIT_IMAGES; i++) {
        (void)snprintf(id, sizeof(id), "m-%d", i);
        req = import_request(id);
        assert_ok(import(acts, &req, NULL));
    }
    req = import_request("m-more");
    assert_refused(import(acts, &req, NULL), E_ADMIN_IMAGE_QUOTA);
    req = import_request("m-7"); /* one that is there can still be begun anew */
    assert_ok(import(acts, &req, NULL));
    acts_close(acts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_counts_from_its_file_on),
        cmocka_unit_test(what_has_no_file_is_not_there),
        cmocka_unit_test(ones_own_is_nobody_elses),
        cmocka_unit_test(a_file_for_an_image_of_the_catalogue),
        cmocka_unit_test(no_file_goes_from_under_a_disk),
        cmocka_unit_test(no_file_comes_under_a_disk),
        cmocka_unit_test(an_import_that_died_is_begun_anew),
        cmocka_unit_test(what_an_import_may_say),
        cmocka_unit_test(there_are_only_so_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
