/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th call of the hypervisor fails, before or after it was carried out, and the n-th call of the store's driver, for
 * n = 1, 2, … until a story ends without meeting the failure. It ends as ordered every time, once.
 */
#include "unit/engine_faulty.h"

struct story {
    const char *name;
    const char *type;
    struct stop_order stop;
    enum order_kind order;
    int end_state; /* -1: gone */
    int billing;
};

#define WITHIN SECONDS(60) /* retries wait 0.1 s first; none of the stories needs an escalation */

/* The time comes when nothing has happened for it; store faults are armed only while the engine and the store work. */
static bool await_armed(struct world *world, struct str id, const struct story *story, int64_t store_at)
{
    usec_t end = env_now(world->env) + WITHIN;
    bool hit = false;

    for (;;) {
        usec_t next;
        usec_t now;

        next = faulty_settle(world, &store_at, &hit);
        now = env_now(world->env);
        if (world_state(world, id) == story->end_state && world_jobs(world, JOB_STATE_ACTIVE) == 0)
            return hit;
        if (now >= end)
            fail_msg("%s: %.*s is %d", story->name, STR_ARG(id), world_state(world, id));
        env_advance(world->env, MIN_OF(MAX_OF(next, now + 1), end) - now);
    }
}

static void check_end(struct world *world, struct str id, const struct story *story)
{
    struct machine_status status;

    world_check_segments(world, id, story->billing);
    assert_int_equal(world->hv->ops->probe(world->hv, STR("host-1"), id, &status), 0);
    if (story->end_state == INSTANCE_STATE_RUNNING)
        assert_int_equal(status.incarnation, world_instance(world, id)->incarnation);
    else
        assert_true(status.state == MACHINE_OFF || status.state == MACHINE_ABSENT);
    assert_int_equal(world_host_row(world, STR("host-1")).used_vcpus == 0,
                     story->end_state == -1 || story->billing == BILLING_MODE_FREE);
}

/* True: the failure was met. `plan` is the hypervisor's; store_at 0: the store does not fail. */
static bool play(const struct story *story, const struct fault_plan *plan, int64_t store_at)
{
    struct world *world = world_open();
    struct str id = world_launch(world, story->type);
    bool hit;

    fault_arm(world->hv, plan);
    assert_int_equal(world_order(world, (struct ordered){.kind = story->order, .id = id, .stop = story->stop}), 0);
    hit = await_armed(world, id, story, store_at);
    hit = hit || fault_failed(world->hv) > 0;
    fault_arm(world->hv, NULL);
    world_pass(world, SECONDS(2));
    check_end(world, id, story);
    world_close(world);
    return hit;
}

static void hypervisor_fails(void **state)
{
    static const enum error_code errors[] = {E_UNREACHABLE, E_TIMEOUT};
    const struct story *story = *state;
    int64_t points = 0;

    for (size_t e = 0; e < countof(errors); e++) {
        for (int after = 0; after < 2; after++) {
            struct fault_plan plan = {.nth = 1, .after = after == 1, .error = errors[e]};

            for (; play(story, &plan, 0); plan.nth += POINT_STRIDE, points += POINT_STRIDE)
                assert_true(plan.nth < 200);
        }
    }
    print_message("%s: %d failures of the hypervisor\n", story->name, (int)points);
    assert_true(points > 4);
}

static void store_fails(void **state)
{
    const struct story *story = *state;
    int64_t at = 1;

    while (play(story, NULL, at)) {
        at += POINT_STRIDE;
        assert_true(at < 2000);
    }
    print_message("%s: %d failures of the store\n", story->name, (int)at - 1);
    assert_true(at > 10);
}

static const struct story stories[] = {
    {"stop", "ecs.g6.large", {0}, ORDER_STOP, INSTANCE_STATE_STOPPED, BILLING_MODE_KEPT},
    {"forced stop", "ecs.g6.large", {.force = true}, ORDER_STOP, INSTANCE_STATE_STOPPED, BILLING_MODE_KEPT},
    {"economical stop", "ecs.g6.large", {.stopped_mode = STOPPED_MODE_STOP_CHARGING}, ORDER_STOP,
     INSTANCE_STATE_STOPPED, BILLING_MODE_FREE},
    {"i1 stop", "ecs.i1.xlarge", {.confirm = true}, ORDER_STOP, INSTANCE_STATE_STOPPED, BILLING_MODE_KEPT},
    {"reboot", "ecs.g6.large", {0}, ORDER_REBOOT, INSTANCE_STATE_RUNNING, BILLING_MODE_RUNNING},
    {"redeploy", "ecs.i1.xlarge", {0}, ORDER_REDEPLOY, INSTANCE_STATE_RUNNING, BILLING_MODE_RUNNING},
    {"delete", "ecs.g6.large", {0}, ORDER_DELETE, -1, -1},
};

int main(void)
{
    struct CMUnitTest tests[2 * countof(stories)];

    for (size_t i = 0; i < countof(stories); i++) {
        void *story = (void *)(uintptr_t)&stories[i];

        tests[2 * i] = (struct CMUnitTest){stories[i].name, hypervisor_fails, NULL, NULL, story};
        tests[2 * i + 1] = (struct CMUnitTest){stories[i].name, store_fails, NULL, NULL, story};
    }
    log_threshold = (enum log_level)0; /* failures are what it is about */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
