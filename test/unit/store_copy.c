/* SPDX-License-Identifier: Apache-2.0 */
/* A store into another one: all of it or nothing. */
#include "unit/store_fixture.h"

#define INSTANCES 3

struct two {
    struct fixture from;
    struct fixture to;
    struct str ids[INSTANCES];
    int64_t rows; /* that were told of */
};

struct filling {
    struct fixture *f;
    struct str *ids;
};

static int fill(struct tx *tx, void *arg)
{
    struct filling *filling = arg;

    for (size_t i = 0; i < INSTANCES; i++) {
        struct instance inst = fixture_instance(filling->f);
        struct tag tag = {inst.id, STR("instance"), ACCOUNT, STR("env"), STR("")};

        inst.spot_price_limit = 0.1;
        inst.user_data = i == 0 ? STR_NONE : STR("aGk=");
        filling->ids[i] = inst.id;
        assert_int_equal(store_instance_insert(tx, &inst), 0);
        assert_int_equal(store_tag_put(tx, &tag), 0);
    }
    return store_nonce_put(tx, STR("key"), STR("once"), tx_now(tx), tx_now(tx) + USEC_PER_SEC);
}

static int setup(void **state)
{
    struct two *two = test_calloc(1, sizeof(*two));
    struct filling filling = {&two->from, two->ids};

    fixture_init(&two->from);
    fixture_init(&two->to);
    fixture_open(&two->from);
    assert_int_equal(store_write(two->from.store, fill, &filling), 0);
    *state = two;
    return 0;
}

static int teardown(void **state)
{
    struct two *two = *state;

    fault_set(0, 0, false);
    fixture_done(&two->to);
    fixture_done(&two->from);
    test_free(two);
    return 0;
}

static void note_rows(void *arg, const char *table, int64_t rows)
{
    struct two *two = arg;

    assert_true(strlen(table) > 0);
    two->rows += rows;
}

static int copy(struct two *two, struct fail *fail)
{
    two->rows = 0;
    fail_init(fail, &two->to.arena);
    return store_copy(two->from.store, two->to.store, note_rows, two, fail);
}

static bool has(struct fixture *f, struct str id)
{
    struct tx *tx = store_read_begin(f->store);
    struct instance *inst;
    int r = store_instance_get(tx, id, &inst);

    if (r == 0)
        assert_true(inst->spot_price_limit == 0.1);
    store_read_end(tx);
    assert_true(r == 0 || r == -E_NOT_FOUND);
    return r == 0;
}

static void all_of_it(void **state)
{
    struct two *two = *state;
    struct fail fail;

    fixture_open(&two->to);
    assert_int_equal(copy(two, &fail), 0);
    for (size_t i = 0; i < INSTANCES; i++)
        assert_true(has(&two->to, two->ids[i]));
    assert_true(two->rows >= 3 * INSTANCES + 1); /* instance, its document, its tag; the nonce; a tally */
    assert_int_equal(copy(two, &fail), -E_EXISTS);
    assert_true(str_contains(fail.message, STR("is not empty")));
}

static void a_stranger_is_not_overwritten(void **state)
{
    struct two *two = *state;
    struct str others[INSTANCES];
    struct filling filling = {&two->to, others};
    struct fail fail;

    fixture_open(&two->to);
    assert_int_equal(store_write(two->to.store, fill, &filling), 0);
    assert_int_equal(copy(two, &fail), -E_EXISTS);
    assert_false(has(&two->to, two->ids[0]));
}

/* The n-th call to the database fails, for each n until none does: nothing is kept, and the next try works. */
static void whatever_fails_nothing_is_kept(void **state)
{
    struct two *two = *state;
    struct fail fail;
    int64_t n = 0;
    int r;

    fixture_open_with(&two->to, &fault_driver);
    do {
        n++;
        fault_set(n, E_IO, n % 2 == 0);
        r = copy(two, &fail);
        fault_set(0, 0, false);
        if (r < 0) {
            assert_true(fail.code != 0);
            assert_false(has(&two->to, two->ids[0]));
        }
    } while (r < 0);
    assert_true(n > 30);
    for (size_t i = 0; i < INSTANCES; i++)
        assert_true(has(&two->to, two->ids[i]));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(all_of_it), TEST(a_stranger_is_not_overwritten), TEST(whatever_fails_nothing_is_kept)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
