/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 at every point of a story: after the n-th batch of writes that the store has committed, and between an act of
 * the engine and its record, for n = 1, 2, … until the story ends untouched. Whatever was accepted ends as ordered, by its
 * original deadline, with one machine at most and a gapless bill.
 */
#include "unit/engine_world.h"

struct story {
    const char *name;
    const char *type;
    struct stop_order stop;
    enum order_kind order; /* given to a running instance */
    const char *guest;     /* a knob that is turned on first; NULL: none */
    usec_t within_us;      /* it ends that long after the order */
    int end_state;         /* -1: gone */
    int billing;
};

/*
 * Lets the world go on for `halves` half rounds: the engine acts and hands its writes over; the store commits them. An odd
 * number therefore kills between an act and its record. True: the story was over before.
 */
static bool run_halves(struct world *world, struct str id, const struct story *story, int halves)
{
    for (int i = 0; i < halves; i++) {
        usec_t now = env_now(world->env);
        usec_t next = sim_advance(world->sim);

        if (i % 2 == 0) {
            next = MIN_OF(next, engine_run_due(world->engine));
            if (store_queue_length(world->store) == 0 && next > now)
                env_advance(world->env, MIN_OF(next, now + SECONDS(1)) - now);
        } else if (store_run_once(world->store) > 0 && world_state(world, id) == story->end_state) {
            return true;
        }
    }
    return false;
}

static void check_end(struct world *world, struct str id, const struct story *story)
{
    struct machine_status status;

    world_pass(world, SECONDS(70)); /* leases, reconciliation: nothing of it may change the end */
    assert_int_equal(world_state(world, id), story->end_state);
    assert_int_equal(world_jobs(world, JOB_STATE_ACTIVE), 0);
    world_check_segments(world, id, story->billing);
    assert_int_equal(world->hv->ops->probe(world->hv, STR("host-1"), id, &status), 0);
    if (story->end_state == INSTANCE_STATE_RUNNING) {
        assert_int_equal(status.state, MACHINE_RUNNING);
        assert_int_equal(status.incarnation, world_instance(world, id)->incarnation);
    } else {
        assert_true(status.state == MACHINE_OFF || status.state == MACHINE_ABSENT);
    }
}

/* True: the story ended before the kill. */
static bool play(const struct story *story, int halves)
{
    struct world *world = world_open();
    struct str id = world_launch(world, story->type);
    usec_t ordered_us;
    bool over;

    if (story->guest)
        world_guest(world, id, story->guest, "on");
    ordered_us = env_now(world->env);
    assert_int_equal(world_order(world, (struct ordered){.kind = story->order, .id = id, .stop = story->stop}), 0);
    over = run_halves(world, id, story, halves);
    world_kill(world);
    world_up(world);
    world_await(world, id, story->end_state, ordered_us + story->within_us - env_now(world->env));
    check_end(world, id, story);
    world_close(world);
    return over;
}

static void killed_everywhere(void **state)
{
    const struct story *story = *state;
    int halves = 0;
    int kills = 1;

    for (; !play(story, halves); kills++) {
        halves += halves < 60 ? 1 : 1 + halves / 8; /* every point at the start, then wider */
        assert_true(halves < 20000);
    }
    print_message("%s: killed at %d points\n", story->name, kills);
}

/* And killed again and again, at random points, while it recovers. */
static void killed_repeatedly(void **state)
{
    const struct story *story = *state;
    struct world *world = world_open();
    struct str id = world_launch(world, story->type);
    usec_t ordered_us;
    bool over = false;

    if (story->guest)
        world_guest(world, id, story->guest, "on");
    ordered_us = env_now(world->env);
    assert_int_equal(world_order(world, (struct ordered){.kind = story->order, .id = id, .stop = story->stop}), 0);
    for (int kills = 0; kills < 15 && !over; kills++) {
        over = run_halves(world, id, story, (int)(env_random_u64(world->env) % 40));
        world_kill(world);
        world_up(world);
    }
    world_await(world, id, story->end_state, ordered_us + story->within_us + SECONDS(30) - env_now(world->env));
    check_end(world, id, story);
    world_close(world);
}

static const struct story stories[] = {
    {"stop", "ecs.g6.large", {0}, ORDER_STOP, NULL, SECONDS(300), INSTANCE_STATE_STOPPED, BILLING_MODE_KEPT},
    {"forced stop", "ecs.g6.large", {.force = true}, ORDER_STOP, NULL, SECONDS(10), INSTANCE_STATE_STOPPED,
     BILLING_MODE_KEPT},
    {"economical stop", "ecs.g6.large", {.stopped_mode = STOPPED_MODE_STOP_CHARGING}, ORDER_STOP, NULL, SECONDS(300),
     INSTANCE_STATE_STOPPED, BILLING_MODE_FREE},
    {"i1 stop", "ecs.i1.xlarge", {.confirm = true}, ORDER_STOP, NULL, SECONDS(300), INSTANCE_STATE_STOPPED,
     BILLING_MODE_KEPT},
    {"escalated stop", "ecs.g6.large", {0}, ORDER_STOP, "ignore-power-button", SECONDS(302), INSTANCE_STATE_STOPPED,
     BILLING_MODE_KEPT},
    {"reboot", "ecs.g6.large", {0}, ORDER_REBOOT, NULL, SECONDS(300), INSTANCE_STATE_RUNNING, BILLING_MODE_RUNNING},
    {"forced reboot", "ecs.g6.large", {.force = true}, ORDER_REBOOT, NULL, SECONDS(300), INSTANCE_STATE_RUNNING,
     BILLING_MODE_RUNNING},
    {"redeploy", "ecs.g6.large", {0}, ORDER_REDEPLOY, NULL, SECONDS(300), INSTANCE_STATE_RUNNING, BILLING_MODE_RUNNING},
    {"delete", "ecs.g6.large", {0}, ORDER_DELETE, NULL, SECONDS(300), -1, -1},
    {"forced delete", "ecs.g6.large", {.force = true}, ORDER_DELETE, NULL, SECONDS(10), -1, -1},
};

int main(void)
{
    struct CMUnitTest tests[2 * countof(stories)];

    for (size_t i = 0; i < countof(stories); i++) {
        void *story = (void *)(uintptr_t)&stories[i];

        tests[2 * i] = (struct CMUnitTest){stories[i].name, killed_everywhere, NULL, NULL, story};
        tests[2 * i + 1] = (struct CMUnitTest){stories[i].name, killed_repeatedly, NULL, NULL, story};
    }
    log_threshold = LOG_ERROR;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
