/* SPDX-License-Identifier: Apache-2.0 */
/* A part of conform/store.c: how many instances an account has. */

static int put_three(struct tx *tx, struct fixture *f)
{
    static const char *const regions[] = {"cn-hangzhou", "cn-beijing", "cn-beijing"};

    for (size_t i = 0; i < countof(regions); i++) {
        struct instance inst = fixture_instance(f);
        int64_t total = -1;

        inst.region_id = str_from(regions[i]);
        ok(store_instance_insert(tx, &inst));
        ok(store_instance_count(tx, ACCOUNT, &total)); /* what the batch has not written yet counts, too */
        assert_int_equal(total, i + 1);
    }
    return 0;
}

static int delete_one(struct tx *tx, struct fixture *f)
{
    struct instance_filter filter;
    struct instance_list list;
    struct page page = {.limit = 1};
    int64_t total = -1;

    (void)f;
    instance_filter_init(&filter);
    filter.account_id = ACCOUNT;
    ok(store_instance_find(tx, &filter, &page, false, &list));
    ok(store_instance_count(tx, ACCOUNT, &total));
    assert_int_equal(total, 3);
    ok(store_instance_delete(tx, &list.items[0]));
    ok(store_instance_count(tx, ACCOUNT, &total));
    assert_int_equal(total, 2);
    ok(store_instance_count(tx, STR("nobody"), &total));
    assert_int_equal(total, 0);
    return 0;
}

static void test_count_of_an_account(void **state)
{
    struct fixture f;
    struct body put = {&f, put_three};
    struct body take = {&f, delete_one};
    struct tx *tx;
    int64_t total = -1;

    (void)state;
    fixture_init(&f);
    fixture_open_with(&f, conform_driver);
    ok(store_write(f.store, body_run, &put));
    ok(store_write(f.store, body_run, &take));
    tx = store_read_begin(f.store);
    ok(store_instance_count(tx, ACCOUNT, &total));
    store_read_end(tx);
    assert_int_equal(total, 2);
    fixture_done(&f);
}
