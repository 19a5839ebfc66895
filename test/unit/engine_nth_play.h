/* SPDX-License-Identifier: Apache-2.0 */
/* An operation is played with one thing in it that fails: the disk, a call of the store's driver, or one of the hypervisor. */
#pragma once

#include "kit/disk_fault.h"

#include "unit/engine_nth.h"

#define RETRIES SECONDS(5) /* what the waits after a few failures add up to */

enum culprit { CULPRIT_DISK, CULPRIT_DRIVER, CULPRIT_HYPERVISOR };

struct mode {
    const char *name;
    enum culprit culprit;
    struct disk_fault_plan disk;
    enum error_code error; /* of the driver or the hypervisor */
    bool after;            /* the hypervisor's call was carried out */
    bool dies;             /* the process, once the failure was met */
    bool power;            /* and what was not flushed is left to chance */
    uint64_t seeds;        /* so many tries at each point; 0: one */
    usec_t outage_us;
};

struct play {
    struct world *world;
    const struct operation *op;
    const struct mode *mode;
    int64_t nth;
    uint64_t seed;
    usec_t ordered_us;
    usec_t room_us;       /* the disk is full until then; 0: it is not */
    int64_t driver_calls; /* before the failing one */
    bool met;
    char before[TEXT_BYTES]; /* all tables */
};

HELPER void reborn(struct world *world, bool power, uint64_t seed)
{
    static const struct disk_fault_plan dead = {.ops = DISK_OP_CHANGE, .nth = 1, .how = DISK_FAILURE_STOP};

    disk_fault_arm(&dead); /* what closing writes would not come from a process that was killed */
    world_kill(world);
    disk_fault_arm(NULL);
    if (power)
        disk_fault_power_failure(world->dir, seed);
    world_up(world);
}

HELPER void end_world(struct world *world)
{
    char dir[sizeof(world->dir)];

    memcpy(dir, world->dir, sizeof(dir));
    world_close(world);
    disk_fault_forget(dir);
}

static void arm(struct play *play)
{
    struct disk_fault_plan disk = play->mode->disk;
    struct fault_plan calls = {.nth = play->nth, .after = play->mode->after, .error = play->mode->error};

    disk.nth = play->nth;
    disk.seed = play->seed;
    if (play->mode->culprit == CULPRIT_DISK)
        disk_fault_arm(&disk);
    if (play->mode->culprit == CULPRIT_HYPERVISOR)
        fault_arm(play->world->hv, &calls);
    play->driver_calls = play->nth;
}

static void disarm(struct play *play)
{
    disk_fault_arm(NULL);
    fault_arm(play->world->hv, NULL);
}

/* The tests look into the store as well: the driver fails only between these two. */
static void driver_begin(struct play *play)
{
    bool on = play->mode->culprit == CULPRIT_DRIVER && !play->met;

    fault_set(on ? play->driver_calls : 0, (int)play->mode->error, false);
}

/* Returns whether it has failed. */
static bool driver_end(struct play *play)
{
    bool hit = fault_get().hit;

    play->driver_calls -= fault_get().calls;
    fault_set(0, 0, false);
    return hit;
}

static bool has_failed(struct play *play)
{
    bool hit = driver_end(play);

    return hit || disk_fault_counts().failed > 0 || fault_failed(play->world->hv) > 0;
}

/* Has the failure come? True: the process died of it. */
static bool look(struct play *play)
{
    bool failed = has_failed(play);

    if (play->met || !failed)
        return false;
    play->met = true;
    if (play->mode->outage_us > 0)
        play->room_us = env_now(play->world->env) + play->mode->outage_us;
    if (play->mode->dies)
        reborn(play->world, play->mode->power, play->seed);
    return play->mode->dies;
}

/* As world_settle, but nothing is done once the process has died. */
static usec_t settle(struct play *play)
{
    struct world *world = play->world;
    usec_t next;
    size_t writes;

    do {
        next = sim_advance(world->sim);
        driver_begin(play);
        next = MIN_OF(next, engine_run_due(world->engine));
        if (look(play))
            return env_now(world->env);
        driver_begin(play);
        writes = store_run_once(world->store);
        if (look(play))
            return env_now(world->env);
    } while (writes > 0);
    return MIN_OF(next, sim_advance(world->sim));
}

static void advance(struct play *play, usec_t next)
{
    struct env *env = play->world->env;
    usec_t now = env_now(env);

    next = MAX_OF(next, now + 1);
    if (play->room_us > 0)
        next = MIN_OF(next, MAX_OF(play->room_us, now + 1));
    env_advance(env, next - now);
    if (play->room_us > 0 && env_now(env) >= play->room_us) {
        disarm(play);
        play->room_us = 0;
    }
}

static bool changed(struct play *play)
{
    static char now[TEXT_BYTES];

    tell(play->world, all, countof(all), now);
    return strcmp(play->before, now) != 0;
}

/* Until it is acknowledged, or was carried out although the process died before it could say so. */
static void order(struct play *play)
{
    bool dies_in_it = play->mode->disk.how == DISK_FAILURE_STOP;

    for (;;) {
        bool died;
        int r;

        play->ordered_us = env_now(play->world->env);
        driver_begin(play);
        r = give_order(play->world, play->op);
        died = look(play);
        if (r == 0 || (died && dies_in_it && changed(play)))
            return;
        assert_true(r == -E_IO || r == -E_NO_SPACE);
        assert_true(play->met);
        assert_false(changed(play));
        if (play->room_us > 0)
            advance(play, env_now(play->world->env) + SECONDS(1));
    }
}

static void carry_out(struct play *play, const struct expected *expected)
{
    usec_t limit = play->ordered_us + expected->took_us + RETRIES + 2 * play->mode->outage_us;

    for (;;) {
        usec_t next = settle(play);

        check_machines(play->world);
        if (is_done(play->world, play->op))
            return;
        if (env_now(play->world->env) >= limit)
            fail_msg("%s, %s, %lld: is %d", play->op->name, play->mode->name, (long long)play->nth,
                     world_state(play->world, STR(THE_ID)));
        advance(play, next);
    }
}

/* True: the operation met the failure. */
static bool fails_at(const struct operation *op, const struct mode *mode, int64_t nth, uint64_t seed)
{
    static struct play play;
    const struct expected *expected = expect(op);

    play = (struct play){.world = open_before(op, false), .op = op, .mode = mode, .nth = nth, .seed = seed};
    tell(play.world, all, countof(all), play.before);
    arm(&play);
    order(&play);
    carry_out(&play, expected);
    disarm(&play);
    world_pass(play.world, SECONDS(2));
    check_end(play.world, op, expected->text);
    end_world(play.world);
    return play.met;
}

/* For n = 1, 2, … Returns at how many points it failed. */
HELPER int fails_everywhere(const struct operation *op, const struct mode *mode)
{
    bool met = true;
    int points = -POINT_STRIDE;

    for (int64_t nth = 1; met; nth += POINT_STRIDE, points += POINT_STRIDE) {
        met = false;
        for (uint64_t seed = 0; seed < MAX_OF(1, mode->seeds); seed++)
            met = fails_at(op, mode, nth, (uint64_t)nth * 8 + seed) || met;
        assert_true(nth < 1000);
    }
    return points;
}
