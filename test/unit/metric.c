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

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(metric_get(METRIC_JOB_RETRIES) == 40000);
    assert_true(metric_get(METRIC_COMMIT) == 40000);
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
    metric_observe(METRIC_CALL, 0);
    metric_observe(METRIC_CALL, 100); /* a bound belongs to its bucket */
    metric_observe(METRIC_CALL, 101);
    metric_observe(METRIC_CALL, 7000000);
    assert_true(metric_get(METRIC_CALL) == 4);
    assert_true(
        prints("# TYPE ecsd_call_seconds histogram\necsd_call_seconds_bucket{le=\"0.000100\"} 2\n"
               "ecsd_call_seconds_bucket{le=\"0.000250\"} 3\n"));
    assert_true(prints(
        "ecsd_call_seconds_bucket{le=\"5.000000\"} 3\necsd_call_seconds_bucket{le=\"+Inf\"} 4\n"
        "ecsd_call_seconds_sum 7.000201\necsd_call_seconds_count 4\n"));
    metric_observe(METRIC_BATCH_WRITES, 3);
    assert_true(
        prints("ecsd_batch_writes_bucket{le=\"2\"} 0\necsd_batch_writes_bucket{le=\"4\"} 1\n"));
    assert_true(prints("ecsd_batch_writes_sum 3\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_from_all_threads),
        cmocka_unit_test(prints_counters_and_gauges),
        cmocka_unit_test(prints_histograms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
