/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics by action: counted per code on the wire, printed where there is something, bounded whatever comes. */
#include "unit/unit.h"

#include "base/fail.h"
#include "base/limits.h"
#include "gateway/tally.h"

static int run_nothing(struct action *act, const void *req, void *reply)
{
    (void)act;
    (void)req;
    (void)reply;
    return 0;
}

static const struct action_row stop = {
    .action = "StopInstance", .product = "Ecs", .id = ACTION_STOP_INSTANCE, .run = run_nothing};
static const struct action_row show_clock = {
    .action = "ShowClock", .product = "Admin", .id = ACTION_ADMIN_SHOW_CLOCK, .run = run_nothing};
static const struct action_row unbuilt = {.action = "CreateCommand", .product = "Ecs", .id = ACTION_CREATE_COMMAND};

static size_t times_in(struct str text, struct str part)
{
    size_t count = 0;

    for (; text.len >= part.len; text.ptr++, text.len--)
        count += str_starts(text, part);
    return count;
}

/* How often `part` stands in what is printed. */
static size_t printed(const char *part)
{
    struct buf out;
    size_t count;

    buf_init(&out, LIMIT_METRICS_BYTES);
    gateway_metrics(&out);
    assert_false(out.full);
    count = times_in(buf_str(&out), str_from(part));
    buf_done(&out);
    return count;
}

static void nothing_came_and_only_heads_are_printed(void **state)
{
    (void)state;
    assert_int_equal(printed("# TYPE ecsd_action_calls_total counter\n"), 1);
    assert_int_equal(printed("# TYPE ecsd_call_seconds histogram\n"), 1);
    assert_int_equal(printed("{"), 0);
}

static void counts_by_action_and_code(void **state)
{
    (void)state;
    tally_call(&stop, E_NONE, 100);
    tally_call(&stop, E_NONE, 300);
    tally_call(&stop, E_INSTANCE_STATUS, 50);
    tally_call(&show_clock, E_NONE, 7);
    assert_int_equal(printed("\necsd_action_calls_total{action=\"StopInstance\",code=\"ok\"} 2\n"), 1);
    assert_int_equal(printed("\necsd_action_calls_total{action=\"StopInstance\",code=\"IncorrectInstanceStatus\"} 1\n"), 1);
    assert_int_equal(printed("\necsd_action_calls_total{action=\"Admin.ShowClock\",code=\"ok\"} 1\n"), 1);
    assert_int_equal(printed("\necsd_call_seconds_bucket{action=\"StopInstance\",le=\"0.000100\"} 2\n"), 1);
    assert_int_equal(printed("\necsd_call_seconds_sum{action=\"StopInstance\"} 0.000450\n"), 1);
    assert_int_equal(printed("\necsd_call_seconds_count{action=\"StopInstance\"} 3\n"), 1);
    assert_int_equal(printed("\necsd_action_calls_total{"), 3); /* and nothing that is zero */
}

/* Two samples with the same labels would make Prometheus refuse the whole page. */
static void rows_with_one_code_are_one_sample(void **state)
{
    (void)state;
    assert_string_equal(error_rows[E_INVALID].code, error_rows[E_NOT_FOUND].code);
    tally_call(&stop, E_INVALID, 1);
    tally_call(&stop, E_NOT_FOUND, 1);
    tally_call(&stop, E_LIMIT, 1);
    assert_int_equal(printed("{action=\"StopInstance\",code=\"InternalError\"} 3\n"), 1);
    assert_int_equal(printed("{action=\"StopInstance\",code=\"InternalError\"}"), 1);
    for (int code = 0; code < E_COUNT; code++) {
        enum error_code first = error_rows[code].first;

        assert_true(first <= (enum error_code)code && error_rows[first].first == first);
        assert_string_equal(error_rows[first].code, error_rows[code].code);
        for (int before = 0; before < (int)first; before++)
            assert_string_not_equal(error_rows[before].code, error_rows[code].code);
    }
}

static void what_is_not_built_or_not_told_is_other(void **state)
{
    (void)state;
    assert_int_equal(printed("action=\"other\""), 0);
    tally_call(NULL, E_BAD_REQUEST, 0);
    tally_call(&unbuilt, E_UNSUPPORTED_OPERATION, 10);
    assert_int_equal(printed("{action=\"other\",code=\"InvalidRequest\"} 1\n"), 1);
    assert_int_equal(printed("{action=\"other\",code=\"UnsupportedOperation\"} 1\n"), 1);
    assert_int_equal(printed("ecsd_call_seconds_count{action=\"other\"} 2\n"), 1);
    assert_int_equal(printed("CreateCommand"), 0);
}

/* More actions than are built, with longer names than there are, each with every code there is. */
static void the_worst_that_can_be_fits(void **state)
{
    static struct action_row rows[128];

    (void)state;
    assert_true(countof(rows) < ACTION_COUNT);
    for (size_t i = 0; i < countof(rows); i++) {
        rows[i] = (struct action_row){
            .action = "ModifyInstanceAutoReleaseTimeAndThenSome", .product = "Admin", .id = (enum action_id)i, .run = run_nothing};
        for (int code = 0; code < E_COUNT; code++)
            tally_call(&rows[i], (enum error_code)code, 6000000);
    }
    assert_true(printed("\necsd_call_seconds_count{action=\"Admin.ModifyInstanceAutoReleaseTimeAndThenSome\"}") >= countof(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_came_and_only_heads_are_printed),
        cmocka_unit_test(counts_by_action_and_code),
        cmocka_unit_test(rows_with_one_code_are_one_sample),
        cmocka_unit_test(what_is_not_built_or_not_told_is_other),
        cmocka_unit_test(the_worst_that_can_be_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
