/* SPDX-License-Identifier: Apache-2.0 */
/* Throttling and nonces: what is bounded, and what is forgotten when. */
#include "unit/unit.h"

#include <stdio.h>

#include "base/limits.h"
#include "gateway/limit.h"
#include "gateway/nonce.h"

#define START (1000 * USEC_PER_SEC)

static void a_bucket_empties_and_fills(void **state)
{
    struct env *env = env_new_seeded(1, START);
    struct limiter *limiter = limiter_new(env, 10, 3);
    int64_t wait_ms;

    (void)state; /* needs none */
    for (int i = 0; i < 3; i++)
        assert_int_equal(limiter_take(limiter, STR("a"), "StopInstance", 1, START), 0);
    wait_ms = limiter_take(limiter, STR("a"), "StopInstance", 1, START);
    assert_in_range(wait_ms, 100, 101);
    /* Others are not touched. */
    assert_int_equal(limiter_take(limiter, STR("a"), "StartInstance", 1, START), 0);
    assert_int_equal(limiter_take(limiter, STR("b"), "StopInstance", 1, START), 0);
    /* What was told as waiting time is enough. */
    assert_int_equal(
        limiter_take(limiter, STR("a"), "StopInstance", 1, START + wait_ms * USEC_PER_MSEC), 0);
    assert_true(limiter_take(limiter, STR("a"), "StopInstance", 1, START + wait_ms * USEC_PER_MSEC) >
                0);
    /* It never holds more than the burst, and a clock that steps back takes nothing. */
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            limiter_take(limiter, STR("a"), "StopInstance", 1, START + 3600 * USEC_PER_SEC), 0);
    assert_true(limiter_take(limiter, STR("a"), "StopInstance", 1, START) > 0);
    assert_null(limiter_free(limiter));
    (void)env_free(env);
}

/* What one of three nodes lets through is a third; a burst that is smaller than that is still one call. */
static void nodes_share(void **state)
{
    struct env *env = env_new_seeded(1, START);
    struct limiter *limiter = limiter_new(env, 30, 9);
    struct limiter *small = limiter_new(env, 1, 1);

    (void)state; /* needs none */
    for (int i = 0; i < 3; i++)
        assert_int_equal(limiter_take(limiter, STR("a"), "StopInstance", 3, START), 0);
    assert_in_range(limiter_take(limiter, STR("a"), "StopInstance", 3, START), 100, 101);
    assert_int_equal(limiter_take(small, STR("a"), "StopInstance", 3, START), 0);
    assert_in_range(limiter_take(small, STR("a"), "StopInstance", 3, START), 1000, 1001);
    (void)limiter_free(small);
    (void)limiter_free(limiter);
    (void)env_free(env);
}

static void buckets_are_bounded(void **state)
{
    struct env *env = env_new_seeded(1, START);
    struct limiter *limiter = limiter_new(env, 1, 1);
    char account[24];

    (void)state; /* needs none */
    for (int i = 0; i < 3 * LIMIT_BUCKETS; i++) {
        (void)snprintf(account, sizeof(account), "%d", i);
        assert_int_equal(limiter_take(limiter, str_from(account), "A", 1, START), 0);
    }
    assert_int_equal(limiter_take(limiter, STR("last"), "A", 1, START), 0);
    assert_true(limiter_take(limiter, STR("last"), "A", 1, START) > 0);
    (void)limiter_free(limiter);
    (void)env_free(env);
}

static void a_nonce_counts_once_per_key(void **state)
{
    struct env *env = env_new_seeded(1, START);
    struct nonce_table *table = nonce_table_new(env, 60 * USEC_PER_SEC);

    (void)state; /* needs none */
    assert_false(nonce_seen(table, STR("ak"), STR("n"), START));
    assert_true(nonce_record(table, STR("ak"), STR("n"), START));
    assert_true(nonce_seen(table, STR("ak"), STR("n"), START));
    assert_false(nonce_record(table, STR("ak"), STR("n"), START));
    assert_false(nonce_seen(table, STR("ak2"), STR("n"), START));
    /* Key and nonce don't run into each other. */
    assert_false(nonce_seen(table, STR("a"), STR("kn"), START));
    assert_true(nonce_record(table, STR("ak"), STR(""), START));
    assert_false(nonce_record(table, STR("ak"), STR(""), START));
    assert_null(nonce_table_free(table));
    (void)env_free(env);
}

static void a_nonce_is_known_until_it_expires(void **state)
{
    struct env *env = env_new_seeded(1, START);
    struct nonce_table *table = nonce_table_new(env, 60 * USEC_PER_SEC);
    char nonce[24];

    (void)state;                      /* needs none */
    for (int i = 0; i < 20000; i++) { /* one every 10 ms: rotates three times */
        (void)snprintf(nonce, sizeof(nonce), "%d", i);
        assert_true(
            nonce_record(table, STR("ak"), str_from(nonce), START + i * 10 * USEC_PER_MSEC));
        if (i >= 5999) {
            (void)snprintf(nonce, sizeof(nonce), "%d", i - 5999);
            assert_true(
                nonce_seen(table, STR("ak"), str_from(nonce), START + i * 10 * USEC_PER_MSEC));
        }
        if (i >= 6000) {
            (void)snprintf(nonce, sizeof(nonce), "%d", i - 6000);
            assert_false(
                nonce_seen(table, STR("ak"), str_from(nonce), START + i * 10 * USEC_PER_MSEC));
        }
    }
    (void)nonce_table_free(table);
    (void)env_free(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_empties_and_fills),
        cmocka_unit_test(nodes_share),
        cmocka_unit_test(buckets_are_bounded),
        cmocka_unit_test(a_nonce_counts_once_per_key),
        cmocka_unit_test(a_nonce_is_known_until_it_expires),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
