/* SPDX-License-Identifier: Apache-2.0 */
/* Evacuation where several nodes share the store: ordered anywhere, carried out once, and never to disks that are not there. */
#include "unit/engine_nodes_kit.h"

static struct str stopped_at(struct nodes *nodes, size_t node)
{
    struct str id = launch_at(nodes, node);

    assert_int_equal(world_stop(nodes->world, id, (struct stop_order){0}), 0);
    (void)await(nodes, id, INSTANCE_STATE_STOPPED, SECONDS(10));
    return id;
}

struct evacuating {
    struct engine *engine;
    struct str id;
    int64_t job_id;
};

static int evacuate_in(struct tx *tx, void *arg)
{
    static const struct order order = {.actor = STR_INIT("operator"), .reason = STOP_REASON_OPERATOR};
    struct evacuating *asked = arg;
    struct instance *inst;
    const char *why;
    int r = store_instance_get_hot(tx, asked->id, &inst);

    if (r == 0)
        r = engine_order_evacuate(asked->engine, tx, inst, &order, &why);
    if (r == 0)
        assert_null(why);
    asked->job_id = r == 0 ? inst->job_id : 0;
    return r;
}

static int64_t evacuate(struct nodes *nodes, struct str id)
{
    struct evacuating asked = {.engine = nodes->world->engine, .id = id};

    assert_int_equal(store_write(nodes->world->store, evacuate_in, &asked), 0);
    return asked.job_id;
}

static int job_state(struct nodes *nodes, int64_t id, struct str *ret_error)
{
    struct tx *tx = store_read_begin(nodes->world->store);
    struct job *job;
    int state;

    assert_int_equal(store_job_get(tx, id, &job), 0);
    state = job->state;
    *ret_error = arena_str(&nodes->world->arena, job->error);
    store_read_end(tx);
    return state;
}

/* Ordered at any node; one that stands still amid it is followed by the next holder, and what it does late is refused. */
static void an_evacuation_is_carried_out_by_the_holder(void **state)
{
    struct nodes *nodes = begin_spread(2);
    struct str id, from, error;
    int64_t job;

    (void)state;
    for (int paused = 0; paused < 2; paused++) {
        id = stopped_at(nodes, 1);
        from = world_instance(nodes->world, id)->host_id;
        nodes->paused[1] = paused == 1;
        job = evacuate(nodes, id);
        assert_int_equal(active(nodes, 0), 0); /* the other one's */
        pass(nodes, paused ? LEASE + 2 * THIRD : SECONDS(1) / 5);
        assert_int_equal(job_state(nodes, job, &error), JOB_STATE_DONE);
        assert_false(str_eq(world_instance(nodes->world, id)->host_id, from));
        assert_int_equal(machine(nodes, from, id).state, MACHINE_ABSENT);
        nodes->paused[1] = false;
        pass(nodes, 4 * THIRD);
        assert_int_equal(active(nodes, 0) + active(nodes, 1), 0);
        assert_int_equal(world_state(nodes->world, id), INSTANCE_STATE_STOPPED);
    }
    finish(nodes);
}

/* It has taken the machine off its host when it stops; its record comes when another node has done the whole. */
static void a_late_evacuation_moves_nothing(void **state)
{
    struct nodes *nodes = begin_spread(2);
    struct str id = stopped_at(nodes, 1);
    struct str to, error;
    int64_t job;

    (void)state;
    job = evacuate(nodes, id);
    env_advance(nodes->world->env, SECONDS(1) / 10);
    (void)engine_run_due(nodes->engine[1]); /* looks for work that others have ordered */
    (void)store_run_once(nodes->world->store);
    nodes->paused[1] = true;
    assert_int_equal(active(nodes, 1), 1);
    pass(nodes, LEASE + 2 * THIRD);
    assert_int_equal(job_state(nodes, job, &error), JOB_STATE_DONE);
    to = world_instance(nodes->world, id)->host_id;
    nodes->paused[1] = false;
    pass(nodes, 4 * THIRD);
    assert_true(str_eq(world_instance(nodes->world, id)->host_id, to));
    assert_int_equal(world_events(nodes->world, id, EVENT_KIND_HOST, "evacuated"), 1);
    assert_int_equal(active(nodes, 1), 0);
    finish(nodes);
}

static int give_others_to_b(struct tx *tx, void *arg)
{
    struct host *hosts;
    size_t count;
    int r = store_host_list(tx, &hosts, &count);

    for (size_t i = 0; r == 0 && i < count; i++)
        if (!str_eq(hosts[i].id, *(struct str *)arg))
            r = store_host_hold(tx, hosts[i].id, STR("b"), 1);
    return r;
}

/* Another process has other disks under the same names: nothing moves there. */
static void disks_of_one_process_stay_with_it(void **state)
{
    struct nodes *nodes;
    struct str id, host, error;
    int64_t job;

    (void)state;
    own_machines = true;
    nodes = begin(1);
    pass(nodes, THIRD);
    id = stopped_at(nodes, 0);
    host = world_instance(nodes->world, id)->host_id;
    assert_int_equal(store_write(nodes->world->store, give_others_to_b, &host), 0);
    job = evacuate(nodes, id);
    pass(nodes, SECONDS(1));
    assert_int_equal(job_state(nodes, job, &error), JOB_STATE_FAILED);
    assert_str(error, "its disks are not seen by the hosts of its zone that have room");
    assert_true(str_eq(world_instance(nodes->world, id)->host_id, host));
    finish(nodes);
    own_machines = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_evacuation_is_carried_out_by_the_holder),
        cmocka_unit_test(a_late_evacuation_moves_nothing),
        cmocka_unit_test(disks_of_one_process_stay_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
