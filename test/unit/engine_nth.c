/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For each operation on an instance the n-th write or flush of the disk fails, the disk is full for a while from there on,
 * the process or the machine dies in it, for n = 1, 2, … until the operation meets none; and each batch of writes is made
 * twice: its first COMMIT fails, or the process dies before it. A call that was answered with an error has changed nothing
 * and is given again; one that was acknowledged ends as ordered, when it would have ended.
 */
#include "unit/engine_nth_play.h"

#define OUTAGE SECONDS(20) /* of a full disk: longer than a lease */

/* clang-format off */
static const struct mode modes[] = {
    {"write fails",         CULPRIT_DISK, {DISK_OP_WRITE, .how = DISK_FAILURE_IO}},
    {"short write",         CULPRIT_DISK, {DISK_OP_WRITE, .how = DISK_FAILURE_SHORT}},
    {"flush fails",         CULPRIT_DISK, {DISK_OP_SYNC,  .how = DISK_FAILURE_IO}},
    {"disk is full",        CULPRIT_DISK, {DISK_OP_WRITE, 0, DISK_FAULT_FOR_EVER, DISK_FAILURE_SHORT, 0}, .outage_us = OUTAGE},
    {"write fails, killed", CULPRIT_DISK, {DISK_OP_WRITE, .how = DISK_FAILURE_SHORT}, .dies = true},
    {"flush fails, killed", CULPRIT_DISK, {DISK_OP_SYNC,  .how = DISK_FAILURE_IO}, .dies = true},
    {"flush fails, power fails", CULPRIT_DISK, {DISK_OP_SYNC, .how = DISK_FAILURE_IO}, .dies = true, .power = true, .seeds = 2},
    {"killed in it",        CULPRIT_DISK, {DISK_OP_CHANGE, .how = DISK_FAILURE_STOP}, .dies = true},
    {"power fails in it",   CULPRIT_DISK, {DISK_OP_CHANGE, .how = DISK_FAILURE_STOP}, .dies = true, .power = true, .seeds = 3},
};
/* clang-format on */

static void disk_fails(void **state)
{
    const struct operation *op = *state;
    int total = 0;

    for (size_t m = 0; m < countof(modes); m++)
        total += fails_everywhere(op, &modes[m]);
    print_message("  %s: the disk failed at %d points\n", op->name, total);
    assert_true(total > 10);
}

/* ── each step twice ── */

static bool first_time_fails(struct world *world, bool killed)
{
    static const struct disk_fault_plan flush = {.ops = DISK_OP_SYNC, .nth = 1, .how = DISK_FAILURE_IO};

    if (killed) {
        reborn(world, false, 0);
        return true;
    }
    disk_fault_arm(&flush);
    (void)store_run_once(world->store); /* how many it was says nothing */
    bool met = disk_fault_counts().failed > 0;
    disk_fault_arm(NULL);
    return met;
}

/* How far the operation is. */
static void tell_progress(struct world *world, char ret[TEXT_BYTES])
{
    static const char *const progress[] = {"SELECT id, step, state FROM job", "SELECT id, state, version FROM instance",
                                           "SELECT id, status FROM disk"};

    tell(world, progress, countof(progress), ret);
}

/* What is written at a start comes first; then the step that was acted again. True: it is recorded. */
static bool second_time(struct world *world)
{
    static char before[TEXT_BYTES];
    static char after[TEXT_BYTES];

    tell_progress(world, before);
    (void)store_run_once(world->store); /* how many it was says nothing */
    tell_progress(world, after);
    return strcmp(before, after) != 0;
}

/* Acts are repeated, since what they did was not recorded the first time. Returns how many were. */
static int step_by_step(struct world *world, const struct operation *op, bool killed, usec_t limit)
{
    bool again = false;
    int steps = 0;

    while (!is_done(world, op)) {
        usec_t next = sim_advance(world->sim);

        next = MIN_OF(next, engine_run_due(world->engine));
        check_machines(world);
        if (store_queue_length(world->store) > 0 && !again) {
            again = first_time_fails(world, killed);
            steps += again;
        } else if (store_queue_length(world->store) > 0) {
            again = !second_time(world);
        } else {
            env_advance(world->env, MAX_OF(next, env_now(world->env) + 1) - env_now(world->env));
        }
        assert_true(env_now(world->env) < limit);
    }
    return steps;
}

static void each_step_twice(void **state)
{
    const struct operation *op = *state;
    const struct expected *expected = expect(op);
    int steps[2];

    for (int killed = 0; killed < 2; killed++) {
        struct world *world = open_before(op, true);
        usec_t limit = env_now(world->env) + expected->took_us + 2 * RETRIES;

        assert_int_equal(give_order(world, op), 0);
        steps[killed] = step_by_step(world, op, killed == 1, limit);
        world_pass(world, SECONDS(2));
        check_end(world, op, expected->text);
        end_world(world);
    }
    print_message("  %s: %d steps repeated after a failed COMMIT, %d after a kill\n", op->name, steps[0], steps[1]);
}

/* An argument, such as "*stop*", picks some of the operations. */
int main(int argc, char **argv)
{
    struct CMUnitTest tests[2 * countof(operations)];

    for (size_t i = 0; i < countof(operations); i++) {
        void *op = (void *)(uintptr_t)&operations[i];

        tests[2 * i] = (struct CMUnitTest){operations[i].name, disk_fails, NULL, NULL, op};
        tests[2 * i + 1] = (struct CMUnitTest){operations[i].name, each_step_twice, NULL, NULL, op};
    }
    log_threshold = (enum log_level)0; /* failures are what it is about */
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    disk_fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
