/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include <pthread.h>

#include "base/metric.h"

static void *count_up(void *object)
{
    (void)object;
    for (int i = 0; i < 10000; i++) {
        metric_add(METRIC_JOB_RETRIES, 1);
        metric_observe(METRIC_COMMIT, 100);
    }
    return NULL;
}

static void counts_from_all_threads(void **state)
{
    pthread_t threads[4];
    int64_t before = metric_get(METRIC_COMMIT);

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(metric_get(METRIC_JOB_RETRIES) == 40000);
    assert_true(metric_get(METRIC_COMMIT) == before + 40000);
}

static bool prints(const char *part)
{
    struct buf buf;
    bool found;

    buf_init(&buf, 1 << 20);
    metric_print(&buf);
    assert_false(buf.full);
    found = str_contains(buf_str(&buf), str_from(part));
    buf_done(&buf);
    return found;
}

static void prints_counters_and_gauges(void **state)
{
    (void)state;
    metric_add(METRIC_CALLS_OK, 3);
    metric_add(METRIC_CALLS_FAILED, 1);
    metric_set(METRIC_WRITE_QUEUE, 17);
    metric_add(METRIC_CONNECTIONS, 2);
    metric_add(METRIC_CONNECTIONS, -1);
    assert_true(prints(
        "# TYPE ecsd_calls_total counter\necsd_calls_total{result=\"ok\"} 3\n"
        "ecsd_calls_total{result=\"refused\"} 0\necsd_calls_total{result=\"failed\"} 1\n# HELP"));
    assert_true(prints("# TYPE ecsd_write_queue gauge\necsd_write_queue 17\n"));
    assert_true(prints("\necsd_connections 1\n"));
}

static void prints_histograms(void **state)
{
    (void)state;
    metric_observe(METRIC_COMMIT, 0);
    metric_observe(METRIC_COMMIT, 100); /* a bound belongs to its bucket */
    metric_observe(METRIC_COMMIT, 101);
    metric_observe(METRIC_COMMIT, 7000000);
    assert_true(metric_get(METRIC_COMMIT) == 4);
    assert_true(prints("# TYPE ecsd_commit_seconds histogram\necsd_commit_seconds_bucket{le=\"0.000100\"} 2\n"
                       "ecsd_commit_seconds_bucket{le=\"0.000250\"} 3\n"));
    assert_true(prints("ecsd_commit_seconds_bucket{le=\"5.000000\"} 3\necsd_commit_seconds_bucket{le=\"+Inf\"} 4\n"
                       "ecsd_commit_seconds_sum 7.000201\necsd_commit_seconds_count 4\n"));
    metric_observe(METRIC_BATCH_WRITES, 3);
    assert_true(
        prints("ecsd_batch_writes_bucket{le=\"2\"} 0\necsd_batch_writes_bucket{le=\"4\"} 1\n"));
    assert_true(prints("ecsd_batch_writes_sum 3\n"));
}

static void prints_seconds_on_both_sides_of_zero(void **state)
{
    (void)state;
    metric_set(METRIC_LEASE, 2500000);
    assert_true(prints("# TYPE ecsd_lease_seconds gauge\necsd_lease_seconds 2.500000\n"));
    metric_set(METRIC_LEASE, -1);
    assert_true(prints("\necsd_lease_seconds -0.000001\n"));
    metric_set(METRIC_LEASE, INT64_MIN);
    assert_true(prints("\necsd_lease_seconds -9223372036854.775808\n"));
}

/* What the ring above prints: any text as a label's value, and nothing of these rows from metric_print. */
static void prints_labels_of_others(void **state)
{
    static _Atomic int64_t cells[METRIC_CALL_CELLS];
    struct str values[] = {STR("a\"b\\c\nd"), STR("é{}=,#")};
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 16);
    metric_head(&out, METRIC_ACTION_CALLS);
    metric_sample(&out, METRIC_ACTION_CALLS, values, 7);
    assert_true(str_starts(buf_str(&out), STR("# HELP ecsd_action_calls_total ")));
    assert_true(str_ends(buf_str(&out), STR("\n# TYPE ecsd_action_calls_total counter\n"
                                            "ecsd_action_calls_total{action=\"a\\\"b\\\\c\\nd\",code=\"é{}=,#\"} 7\n")));
    buf_reset(&out);
    metric_observe_in(METRIC_CALL, cells, 250);
    metric_observe_in(METRIC_CALL, cells, 5000001);
    assert_int_equal(metric_count_in(METRIC_CALL, cells), 2);
    metric_sample_in(&out, METRIC_CALL, &STR("StopInstance"), cells);
    assert_true(str_starts(buf_str(&out), STR("ecsd_call_seconds_bucket{action=\"StopInstance\",le=\"0.000100\"} 0\n"
                                              "ecsd_call_seconds_bucket{action=\"StopInstance\",le=\"0.000250\"} 1\n")));
    assert_true(str_ends(buf_str(&out), STR("ecsd_call_seconds_bucket{action=\"StopInstance\",le=\"5.000000\"} 1\n"
                                            "ecsd_call_seconds_bucket{action=\"StopInstance\",le=\"+Inf\"} 2\n"
                                            "ecsd_call_seconds_sum{action=\"StopInstance\"} 5.000251\n"
                                            "ecsd_call_seconds_count{action=\"StopInstance\"} 2\n")));
    buf_done(&out);
    assert_false(prints("ecsd_action_calls_total"));
    assert_false(prints("ecsd_call_seconds"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_counters_and_gauges),
        cmocka_unit_test(prints_histograms),
        cmocka_unit_test(prints_seconds_on_both_sides_of_zero),
        cmocka_unit_test(prints_labels_of_others),
        cmocka_unit_test(counts_from_all_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
