/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/unit.h"

#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/env.h"
#include "base/map.h"

#define START (1800000000 * USEC_PER_SEC)
#define THREADS 4
#define IDS 5000

static void real_clock_runs(void **state)
{
    struct env *env = env_new_real();
    struct timespec now;

    (void)state;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    assert_false(env_is_virtual(env));
    assert_true(env_now(env) >= (usec_t)now.tv_sec * USEC_PER_SEC);
    assert_true(env_now(env) < (usec_t)now.tv_sec * USEC_PER_SEC + USEC_PER_HOUR);
    assert_null(env_free(env));
    assert_null(env_free(NULL));
}

static void virtual_clock_obeys(void **state)
{
    struct env *env = env_new_virtual(START);

    (void)state;
    assert_true(env_is_virtual(env));
    assert_true(env_now(env) == START);
    env_advance(env, 5 * USEC_PER_SEC);
    env_advance(env, 0);
    assert_true(env_now(env) == START + 5 * USEC_PER_SEC);
    (void)env_free(env);
}

static void a_seed_replays(void **state)
{
    struct env *envs[3] = {env_new_seeded(7, START), env_new_seeded(7, START),
                           env_new_seeded(8, START)};
    struct arena arena;
    struct str ids[3];
    char uuids[3][37];

    (void)state;
    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < 3; i++) {
        ids[i] = env_id(envs[i], &arena, "i-");
        env_uuid(envs[i], uuids[i]);
    }
    assert_true(str_eq(ids[0], ids[1]));
    assert_false(str_eq(ids[0], ids[2]));
    assert_string_equal(uuids[0], uuids[1]);
    assert_string_not_equal(uuids[0], uuids[2]);
    for (size_t i = 0; i < 3; i++)
        (void)env_free(envs[i]);
    arena_done(&arena);
}

static void ids_have_their_form(void **state)
{
    struct env *env = env_new_virtual(START);
    struct arena arena;
    struct str last = STR("");
    char uuid[37];

    (void)state;
    arena_init(&arena, 1 << 20);
    for (int i = 0; i < 1000; i++) { /* the clock stands still, and yet they sort */
        struct str id = env_id(env, &arena, "i-");

        assert_int_equal(id.len, 22);
        assert_true(str_starts(id, STR("i-")));
        for (size_t k = 2; k < id.len; k++)
            assert_non_null(strchr("0123456789abcdefghijklmnopqrstuvwxyz", id.ptr[k]));
        assert_true(str_cmp(last, id) < 0);
        last = id;
    }
    for (int i = 0; i < 100; i++) {
        env_uuid(env, uuid);
        assert_int_equal(strlen(uuid), 36);
        assert_int_equal(uuid[14], '4');
        assert_non_null(strchr("89AB", uuid[19]));
        assert_int_equal(strspn(uuid, "0123456789ABCDEF-"), 36);
    }
    arena_done(&arena);
    (void)env_free(env);
}

static void sequences_grow(void **state)
{
    struct env *env = env_new_virtual(START);
    int64_t last = env_sequence(env);

    (void)state;
    assert_true(last == START);
    assert_true(env_sequence(env) == START + 1);
    env_advance(env, USEC_PER_SEC);
    assert_true(env_sequence(env) == START + USEC_PER_SEC);
    (void)env_free(env);
}

/* What one process has given out, another one goes on above. */
static void sequences_are_handed_on(void **state)
{
    struct env *first = env_new_virtual(START + USEC_PER_SEC);
    struct env *second = env_new_virtual(START);

    (void)state;
    assert_true(env_sequence_last(first) == -1);
    (void)env_sequence(first);
    assert_true(env_sequence(first) == START + USEC_PER_SEC + 1);
    assert_true(env_sequence_last(first) == START + USEC_PER_SEC + 1);
    env_sequence_after(second, env_sequence_last(first));
    assert_true(env_sequence_last(second) == env_sequence_last(first));
    assert_true(env_sequence(second) == START + USEC_PER_SEC + 2); /* though its clock is behind */
    env_sequence_after(second, START); /* older than what it has given: nothing changes */
    assert_true(env_sequence_last(second) == START + USEC_PER_SEC + 2);
    (void)env_free(first);
    (void)env_free(second);
}

struct id_maker {
    struct env *env;
    struct arena arena;
    struct str ids[IDS];
    int64_t numbers[IDS];
};

static void *make_ids(void *object)
{
    struct id_maker *maker = object;

    for (size_t i = 0; i < IDS; i++) {
        maker->ids[i] = env_id(maker->env, &maker->arena, "");
        maker->numbers[i] = env_sequence(maker->env);
    }
    return NULL;
}

static void ids_are_unique_across_threads(void **state)
{
    static struct id_maker makers[THREADS];
    struct env *env =
        env_new_virtual(START); /* standing still: only the counters tell them apart */
    pthread_t threads[THREADS];
    struct map seen;

    (void)state;
    map_init(&seen, 1);
    for (size_t t = 0; t < THREADS; t++) {
        makers[t].env = env;
        arena_init(&makers[t].arena, 1 << 20);
        assert_int_equal(pthread_create(&threads[t], NULL, make_ids, &makers[t]), 0);
    }
    for (size_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    for (size_t t = 0; t < THREADS; t++) {
        for (size_t i = 0; i < IDS; i++) {
            /* Unique by their time alone. */
            assert_null(map_put(&seen, str_slice(makers[t].ids[i].ptr, 10), &makers[t]));
            assert_true(i == 0 || str_cmp(makers[t].ids[i - 1], makers[t].ids[i]) < 0);
            assert_true(i == 0 || makers[t].numbers[i - 1] < makers[t].numbers[i]);
        }
    }
    assert_int_equal(seen.count, THREADS * IDS);
    assert_true(env_sequence(env) == START + THREADS * IDS);
    for (size_t t = 0; t < THREADS; t++)
        arena_done(&makers[t].arena);
    map_done(&seen);
    (void)env_free(env);
}

static void randomness_is_not_shared_with_a_child(void **state)
{
    struct env *env = env_new_real();
    uint64_t child_value = 0;
    uint64_t value;
    int fds[2];
    pid_t pid;
    int status;

    (void)state;
    (void)env_random_u64(env); /* the pool is full now */
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        value = env_random_u64(env);
        _exit(write(fds[1], &value, sizeof(value)) == (ssize_t)sizeof(value) ? 0 : 1);
    }
    value = env_random_u64(env);
    assert_int_equal(read(fds[0], &child_value, sizeof(child_value)), sizeof(child_value));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(value != child_value);
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)env_free(env);
}

static void randomness_fills_all(void **state)
{
    struct env *env = env_new_real();
    unsigned char bytes[1000];
    unsigned char merged[1000] = {0};

    (void)state;
    for (int i = 0; i < 20; i++) {
        env_random(env, bytes, i % 2 ? sizeof(bytes) : 100);
        for (size_t k = 0; k < sizeof(bytes); k++)
            merged[k] |= bytes[k];
    }
    for (size_t k = 0; k < sizeof(merged); k++)
        assert_int_not_equal(merged[k], 0);
    (void)env_free(env);
}

/* A thread that waits for a time, and says when it sleeps and when it is through. */
struct sleeper {
    struct env *env;
    usec_t until;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool ready;
    bool done;
    bool told; /* set by who signals */
};

static void *sleep_until(void *object)
{
    struct sleeper *sleeper = object;

    (void)pthread_mutex_lock(&sleeper->mutex);
    sleeper->ready = true;
    while (!sleeper->told && env_now(sleeper->env) < sleeper->until)
        env_wait(sleeper->env, &sleeper->cond, &sleeper->mutex, sleeper->until);
    sleeper->done = true;
    (void)pthread_mutex_unlock(&sleeper->mutex);
    return NULL;
}

static void sleeper_start(struct sleeper *sleeper, struct env *env, usec_t until,
                          pthread_t *ret_thread)
{
    *sleeper = (struct sleeper){.env = env, .until = until};
    (void)pthread_mutex_init(&sleeper->mutex, NULL);
    (void)pthread_cond_init(&sleeper->cond, NULL);
    assert_int_equal(pthread_create(ret_thread, NULL, sleep_until, sleeper), 0);
}

static bool sleeper_is(struct sleeper *sleeper, const bool *what)
{
    bool value;

    (void)pthread_mutex_lock(&sleeper->mutex);
    value = *what;
    (void)pthread_mutex_unlock(&sleeper->mutex);
    return value;
}

static void sleeper_end(struct sleeper *sleeper, pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(sleeper->done);
    (void)pthread_cond_destroy(&sleeper->cond);
    (void)pthread_mutex_destroy(&sleeper->mutex);
}

static void advancing_wakes_waiters(void **state)
{
    struct env *env = env_new_virtual(START);
    struct sleeper sleepers[3];
    pthread_t threads[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        sleeper_start(&sleepers[i], env, START + (usec_t)(i + 1) * USEC_PER_HOUR, &threads[i]);
    for (size_t i = 0; i < 3; i++) {
        while (!sleeper_is(&sleepers[i], &sleepers[i].ready))
            (void)sched_yield();
    }
    env_advance(env, USEC_PER_HOUR - 1);
    for (size_t i = 0; i < 3; i++)
        assert_false(sleeper_is(&sleepers[i], &sleepers[i].done));
    env_advance(env, 1);
    sleeper_end(&sleepers[0], threads[0]);
    assert_false(sleeper_is(&sleepers[1], &sleepers[1].done));
    env_advance(env, 10 * USEC_PER_HOUR);
    sleeper_end(&sleepers[1], threads[1]);
    sleeper_end(&sleepers[2], threads[2]);
    (void)env_free(env);
}

static void signals_wake_waiters(void **state)
{
    struct env *envs[2] = {env_new_virtual(START), env_new_real()};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct sleeper sleeper;
        pthread_t thread;

        sleeper_start(&sleeper, envs[i], USEC_NEVER, &thread);
        (void)pthread_mutex_lock(&sleeper.mutex);
        sleeper.told = true;
        (void)pthread_cond_signal(&sleeper.cond);
        (void)pthread_mutex_unlock(&sleeper.mutex);
        sleeper_end(&sleeper, thread);
        (void)env_free(envs[i]);
    }
}

static void real_waits_end_in_time(void **state)
{
    struct env *env = env_new_real();
    struct sleeper sleeper;
    pthread_t thread;

    (void)state;
    sleeper_start(&sleeper, env, env_now(env) + 20 * USEC_PER_MSEC, &thread);
    sleeper_end(&sleeper, thread);
    assert_true(env_now(env) >= sleeper.until);
    sleeper_start(&sleeper, env, env_now(env) - 1, &thread); /* already past */
    sleeper_end(&sleeper, thread);
    (void)env_free(env);
}

/*
 * Waiters come and go, each with a mutex and a condition of its own that it destroys at once, while
 * two threads move the clock: neither a lost wake-up (it would hang) nor a use after the end (the
 * sanitizers would tell).
 */
struct race {
    struct env *env;
    int rounds;
};

static void *short_waits(void *object)
{
    struct race *race = object;

    for (int i = 0; i < race->rounds; i++) {
        pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
        usec_t until = env_now(race->env) + 1 + i % 3;

        (void)pthread_mutex_lock(&mutex);
        while (env_now(race->env) < until)
            env_wait(race->env, &cond, &mutex, until);
        (void)pthread_mutex_unlock(&mutex);
        (void)pthread_cond_destroy(&cond);
        (void)pthread_mutex_destroy(&mutex);
    }
    return NULL;
}

static _Atomic bool race_over;

static void *advance_again_and_again(void *object)
{
    struct race *race = object;

    while (!race_over) {
        env_advance(race->env, 1);
        (void)sched_yield();
    }
    return NULL;
}

static void waiters_may_go_while_the_clock_moves(void **state)
{
    struct env *env = env_new_virtual(START);
    struct race race = {.env = env, .rounds = 2000};
    pthread_t waiting[3];
    pthread_t moving[2];

    (void)state;
    race_over = false;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&waiting[i], NULL, short_waits, &race), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&moving[i], NULL, advance_again_and_again, &race), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(waiting[i], NULL), 0);
    race_over = true;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(moving[i], NULL), 0);
    (void)env_free(env);
}

static void clocks_never_go_back(void **state)
{
    struct env *real = env_new_real();
    struct env *virtual = env_new_virtual(START);

    (void)state;
    assert_aborts(env_advance(real, 1));
    assert_aborts(env_advance(virtual, -1));
    assert_aborts(env_advance(virtual, INT64_MAX));
    (void)env_free(real);
    (void)env_free(virtual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_never_go_back),
        cmocka_unit_test(real_clock_runs),
        cmocka_unit_test(virtual_clock_obeys),
        cmocka_unit_test(a_seed_replays),
        cmocka_unit_test(ids_have_their_form),
        cmocka_unit_test(sequences_grow),
        cmocka_unit_test(sequences_are_handed_on),
        cmocka_unit_test(ids_are_unique_across_threads),
        cmocka_unit_test(randomness_is_not_shared_with_a_child),
        cmocka_unit_test(randomness_fills_all),
        cmocka_unit_test(advancing_wakes_waiters),
        cmocka_unit_test(signals_wake_waiters),
        cmocka_unit_test(real_waits_end_in_time),
        cmocka_unit_test(waiters_may_go_while_the_clock_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
