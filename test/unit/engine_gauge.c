/* SPDX-License-Identifier: Apache-2.0 */
/* What graphs are told of jobs, hosts and the lease: true at the moment when somebody asks, through silence and fencing. */
#include "engine/active.h"
#include "unit/engine_world.h"

#define TYPE "ecs.g6.large"

/* The page as /metrics has it. */
static struct str page(struct world *world)
{
    struct buf out;
    struct str text;

    buf_init(&out, LIMIT_METRICS_BYTES);
    engine_metrics(world->engine, &out);
    metric_print(&out);
    assert_false(out.full);
    text = arena_str(&world->arena, buf_str(&out));
    buf_done(&out);
    return text;
}

/* The number behind the one line that begins with `name` and a blank. */
static double gauge(struct world *world, const char *name)
{
    struct str text = page(world);
    struct str wanted = arena_printf(&world->arena, "\n%s ", name);
    double value = 0;
    int found = 0;

    for (; text.len > wanted.len; text.ptr++, text.len--) {
        if (!str_starts(text, wanted))
            continue;
        value = strtod(text.ptr + wanted.len, NULL);
        found++;
    }
    if (found != 1)
        fail_msg("%s stands there %d times", name, found);
    return value;
}

static void assert_gauge(struct world *world, const char *name, double expected)
{
    double value = gauge(world, name);

    if (value < expected || value > expected)
        fail_msg("%s is %f, not %f", name, value, expected);
}

static double jobs_in_all(struct world *world)
{
    double sum = 0;

    for (int kind = 0; kind < JOB_KIND_COUNT; kind++)
        sum += gauge(world, arena_printf(&world->arena, "ecsd_jobs_by_kind{kind=\"%s\"}", job_kind_text((enum job_kind)kind)).ptr);
    return sum;
}

static void jobs_by_kind_state_and_age(void **arg)
{
    struct world *world = world_open();
    struct str first = world_launch(world, TYPE);
    struct str second = world_launch(world, TYPE);

    (void)arg;
    assert_gauge(world, "ecsd_job_oldest_seconds{kind=\"stop\"}", 0);
    assert_true(jobs_in_all(world) < 1);
    world_guest(world, first, "ignore-power-button", "on");
    world_guest(world, second, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, first, (struct stop_order){0}), 0);
    world_pass(world, SECONDS(20));
    assert_int_equal(world_stop(world, second, (struct stop_order){0}), 0);
    assert_gauge(world, "ecsd_jobs_by_state{state=\"ready\"}", 1); /* nobody has taken it yet */
    assert_gauge(world, "ecsd_jobs_by_state{state=\"waiting\"}", 1);
    world_pass(world, SECONDS(10));
    assert_gauge(world, "ecsd_jobs_by_kind{kind=\"stop\"}", 2);
    assert_gauge(world, "ecsd_jobs_by_kind{kind=\"start\"}", 0);
    assert_gauge(world, "ecsd_jobs_by_state{state=\"waiting\"}", 2);
    assert_gauge(world, "ecsd_jobs_active", gauge(world, "ecsd_jobs_by_state{state=\"waiting\"}"));
    assert_gauge(world, "ecsd_job_oldest_seconds{kind=\"stop\"}", 30);
    assert_gauge(world, "ecsd_job_oldest_seconds{kind=\"start\"}", 0);
    world_await(world, first, INSTANCE_STATE_STOPPED, SECONDS(400)); /* cut at its deadline: it is overdue at no time */
    assert_gauge(world, "ecsd_jobs_overdue{kind=\"stop\"}", 0);
    world_await(world, second, INSTANCE_STATE_STOPPED, SECONDS(400));
    assert_true(jobs_in_all(world) < 1);
    assert_gauge(world, "ecsd_job_oldest_seconds{kind=\"stop\"}", 0);
    world_close(world);
}

/* A stop is stuck when its deadline is a minute past: its host says nothing, and nothing else proves the machine dead. */
static void a_stop_at_a_silent_host_gets_stuck(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    usec_t deadline;

    (void)arg;
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, (struct stop_order){0}), 0);
    deadline = env_now(world->env) + world->options.values.stop_graceful_timeout_s * USEC_PER_SEC;
    world_pass(world, SECONDS(10));
    assert_gauge(world, "ecsd_jobs_at_silent_hosts", 0);
    assert_gauge(world, "ecsd_hosts{state=\"up\"}", 1);
    world_host(world, "state", "down");
    world_pass(world, SECONDS(10));
    assert_gauge(world, "ecsd_jobs_at_silent_hosts", 1);
    assert_gauge(world, "ecsd_hosts{state=\"silent\"}", 1);
    assert_gauge(world, "ecsd_hosts{state=\"up\"}", 0);
    world_pass(world, deadline + SECONDS(60) - env_now(world->env));
    assert_gauge(world, "ecsd_jobs_overdue{kind=\"stop\"}", 0);
    world_pass(world, SECONDS(1));
    assert_gauge(world, "ecsd_jobs_overdue{kind=\"stop\"}", 1);
    assert_gauge(world, "ecsd_jobs_overdue{kind=\"delete\"}", 0);
    world_host(world, "state", "up");
    world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(60));
    assert_gauge(world, "ecsd_jobs_overdue{kind=\"stop\"}", 0);
    assert_gauge(world, "ecsd_jobs_at_silent_hosts", 0);
    assert_gauge(world, "ecsd_hosts{state=\"up\"}", 1);
    world_close(world);
}

/* A job that waits has the times of the clock before it was set back; what is told goes by the one of now. */
static void a_clock_set_back_makes_nothing_overdue_later(void **arg)
{
    struct world *world = world_open();
    struct str id = world_launch(world, TYPE);
    struct env *back = env_new_seeded(44, env_now(world->env) - SECONDS(3600));

    (void)arg;
    world_guest(world, id, "ignore-power-button", "on");
    assert_int_equal(world_stop(world, id, (struct stop_order){0}), 0);
    world_pass(world, SECONDS(10));
    world->engine->env = back;
    assert_gauge(world, "ecsd_job_oldest_seconds{kind=\"stop\"}", 0); /* it was ordered in what is the future now */
    assert_gauge(world, "ecsd_jobs_overdue{kind=\"stop\"}", 0);
    env_advance(back, world->options.values.stop_graceful_timeout_s * USEC_PER_SEC + SECONDS(49)); /* 10 had passed, or less */
    assert_gauge(world, "ecsd_jobs_overdue{kind=\"stop\"}", 0);
    env_advance(back, SECONDS(12));
    assert_gauge(world, "ecsd_jobs_overdue{kind=\"stop\"}", 1);
    world_close(world);
    back = env_free(back);
}

static int take_over(struct tx *tx, void *arg)
{
    int64_t *epoch = arg;

    return store_node_take(tx, STR("local"), tx_now(tx) + SECONDS(3600), epoch);
}

static void the_lease_runs_out_and_is_lost(void **arg)
{
    struct world *world = world_open();
    int64_t lease_s = world->options.values.engine_lease_s;
    double epoch = gauge(world, "ecsd_node_epoch{node=\"local\"}");
    int64_t other = 0;

    (void)arg;
    world_pass(world, lease_s * USEC_PER_SEC); /* it was renewed at a third, two thirds, now */
    assert_gauge(world, "ecsd_lease_seconds", (double)lease_s);
    assert_gauge(world, "ecsd_fenced", 0);
    env_advance(world->env, 2 * lease_s * USEC_PER_SEC);
    assert_gauge(world, "ecsd_lease_seconds", (double)-lease_s);
    world_pass(world, SECONDS(1));
    assert_true(gauge(world, "ecsd_lease_seconds") > 0);
    assert_int_equal(store_write(world->store, take_over, &other), 0);
    assert_true((double)other > epoch);
    world_pass(world, lease_s * USEC_PER_SEC);
    assert_gauge(world, "ecsd_fenced", 1);
    world_close(world);
}

static int change_host(struct tx *tx, void *arg)
{
    struct host *row;
    int r = store_host_get(tx, STR("host-1"), &row);

    if (r < 0)
        return r;
    row->state = *(int *)arg;
    return store_host_save(tx, row);
}

static int remove_host(struct tx *tx, void *arg)
{
    (void)arg;
    return store_host_delete(tx, STR("host-1"));
}

static void hosts_are_as_the_operator_says(void **arg)
{
    struct world *world = world_open();
    int state = HOST_STATE_DRAINING;

    (void)arg;
    assert_gauge(world, "ecsd_hosts{state=\"up\"}", 1);
    assert_int_equal(store_write(world->store, change_host, &state), 0);
    world_pass(world, SECONDS(6)); /* the table is read every five seconds */
    assert_gauge(world, "ecsd_hosts{state=\"up\"}", 0);
    assert_gauge(world, "ecsd_hosts{state=\"draining\"}", 1);
    assert_int_equal(store_write(world->store, remove_host, NULL), 0);
    world_pass(world, SECONDS(6));
    assert_gauge(world, "ecsd_hosts{state=\"draining\"}", 0);
    assert_gauge(world, "ecsd_hosts{state=\"leaving\"}", 0); /* it has been let go */
    assert_gauge(world, "ecsd_hosts{state=\"silent\"}", 0);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_by_kind_state_and_age),
        cmocka_unit_test(a_stop_at_a_silent_host_gets_stuck),
        cmocka_unit_test(a_clock_set_back_makes_nothing_overdue_later),
        cmocka_unit_test(the_lease_runs_out_and_is_lost),
        cmocka_unit_test(hosts_are_as_the_operator_says),
    };

    log_threshold = (enum log_level)0; /* failures are what it is about */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
