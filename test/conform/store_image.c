/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the conformance suite about images and key pairs; store.c includes it. */

static int image_body(struct tx *tx, struct fixture *f)
{
    struct image image = {
        .id = STR("m-2"),
        .name = STR("one's own"),
        .os_type = STR("linux"),
        .state = IMAGE_STATE_ARRIVING,
        .format = IMAGE_FORMAT_RAW,
        .size_gib = 7,
        .cloud_init = true,
        .created_us = 5,
    };
    struct disk disk = {.id = STR("d-1"), .account_id = ACCOUNT, .image_id = STR("m-2")};
    struct image *got;
    struct str holder = STR("unset");
    size_t count;

    (void)f;
    ok(store_image_list(tx, &got, &count));
    assert_int_equal(count, 0);
    ok(store_image_insert(tx, &image));
    assert_int_equal(store_image_insert(tx, &image), -E_EXISTS);
    ok(store_image_get(tx, image.id, &got));
    assert_same(got->name, image.name);
    assert_same(got->account_id, STR_NONE);
    assert_int_equal(got->format, IMAGE_FORMAT_RAW);
    assert_int_equal(got->size_gib, 7);
    assert_true(got->cloud_init && !got->direct_boot);
    got->state = IMAGE_STATE_READY;
    got->account_id = ACCOUNT;
    ok(store_image_save(tx, got));
    image.id = STR("m-1");
    assert_int_equal(store_image_save(tx, &image), -E_NOT_FOUND);
    ok(store_image_insert(tx, &image));
    ok(store_image_list(tx, &got, &count));
    assert_int_equal(count, 2);
    assert_same(got[0].id, STR("m-1"));
    assert_same(got[1].account_id, ACCOUNT);
    assert_int_equal(got[1].state, IMAGE_STATE_READY);

    ok(store_image_disk(tx, STR("m-2"), &holder));
    assert_same(holder, STR_NONE);
    ok(store_disk_insert(tx, &disk));
    ok(store_image_disk(tx, STR("m-2"), &holder));
    assert_same(holder, STR("d-1"));
    ok(store_image_disk(tx, STR("m-1"), &holder));
    assert_same(holder, STR_NONE);
    ok(store_image_delete(tx, STR("m-2")));
    assert_int_equal(store_image_delete(tx, STR("m-2")), -E_NOT_FOUND);
    assert_int_equal(store_image_get(tx, STR("m-2"), &got), -E_NOT_FOUND);
    return 0;
}

static void test_image(void **state)
{
    (void)state;
    in_write(image_body);
}

static int key_pair_body(struct tx *tx, struct fixture *f)
{
    struct key_pair pair = {.id = STR("ssh-1"),
                            .account_id = ACCOUNT,
                            .region_id = REGION,
                            .name = STR("b"),
                            .public_key = STR("ssh-rsa AAAA"),
                            .created_us = 9};
    struct key_pair *got;
    size_t count;

    (void)f;
    ok(store_key_pair_insert(tx, &pair));
    assert_int_equal(store_key_pair_insert(tx, &pair), -E_EXISTS);
    pair.name = STR("a");
    ok(store_key_pair_insert(tx, &pair));
    pair.region_id = STR("cn-beijing"); /* the same name in another region is another pair */
    ok(store_key_pair_insert(tx, &pair));
    ok(store_key_pair_get(tx, ACCOUNT, REGION, STR("b"), &got));
    assert_same(got->public_key, STR("ssh-rsa AAAA"));
    assert_same(got->fingerprint, STR_NONE);
    assert_int_equal(got->created_us, 9);
    assert_int_equal(store_key_pair_get(tx, STR("other"), REGION, STR("b"), &got), -E_NOT_FOUND);
    ok(store_key_pair_list(tx, ACCOUNT, REGION, &got, &count));
    assert_int_equal(count, 2);
    assert_same(got[0].name, STR("a"));
    ok(store_key_pair_delete(tx, ACCOUNT, REGION, STR("a")));
    assert_int_equal(store_key_pair_delete(tx, ACCOUNT, REGION, STR("a")), -E_NOT_FOUND);
    ok(store_key_pair_list(tx, ACCOUNT, STR("cn-beijing"), &got, &count));
    assert_int_equal(count, 1);
    return 0;
}

static void test_key_pair(void **state)
{
    (void)state;
    in_write(key_pair_body);
}
