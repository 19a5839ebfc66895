/* SPDX-License-Identifier: Apache-2.0 */
/* The writer: batches, savepoints, what comes after COMMIT; and how many stops a second it makes
 * durable. */
#include "unit/store_fixture.h"

#include <time.h>

/* ── batches ── */

/* A write that sets a named number and then succeeds or fails as told. */
struct set {
    struct write write;
    const char *name;
    int64_t value;
    int fail_after; /* 0, or the code to fail with after the row was written */
    bool hook;
    int runs;
    int told; /* how often */
    int result;
    int order; /* of being told */
};
static int told_count;
static int hooks_run;
static int hooks_at_first_told;

static void on_hook(void *arg)
{
    hooks_run += *(int *)arg;
}

static int set_run(struct tx *tx, struct write *write)
{
    static int one = 1;
    struct set *set = container_of(write, struct set, write);

    set->runs++;
    if (set->hook)
        tx_on_commit(tx, on_hook, &one);
    int r = store_number_set(tx, str_from(set->name), set->value);
    return r < 0 ? r : set->fail_after;
}

static void set_done(struct write *write, int result)
{
    struct set *set = container_of(write, struct set, write);

    if (told_count == 0)
        hooks_at_first_told = hooks_run;
    set->order = ++told_count;
    set->told++;
    set->result = result;
}

static struct set set_of(const char *name, int64_t value, int fail_after)
{
    return (struct set){.write = {.run = set_run, .done = set_done},
                        .name = name,
                        .value = value,
                        .fail_after = fail_after,
                        .hook = true};
}

static int64_t number_of(struct fixture *f, const char *name)
{
    struct tx *tx = store_read_begin(f->store);
    int64_t value = -1;

    assert_int_equal(store_number_get(tx, str_from(name), &value), 0);
    store_read_end(tx);
    return value;
}

static void test_batch(void **state)
{
    struct fixture f;
    struct set sets[] = {set_of("a", 1, 0), set_of("b", 2, -E_CONFLICT), set_of("c", 3, 0)};

    (void)state;
    told_count = hooks_run = hooks_at_first_told = 0;
    fixture_init(&f);
    fixture_open(&f);
    for (size_t i = 0; i < countof(sets); i++)
        assert_int_equal(store_submit(f.store, &sets[i].write), 0);
    assert_int_equal(store_queue_length(f.store), 3);
    assert_int_equal(told_count, 0);
    assert_int_equal(store_run_once(f.store), 3);
    assert_int_equal(store_run_once(f.store), 0);
    assert_int_equal(store_queue_length(f.store), 0);
    for (size_t i = 0; i < countof(sets); i++) {
        assert_int_equal(sets[i].told, 1);
        assert_int_equal(sets[i].runs, 1);
        assert_int_equal(sets[i].order, (int)i + 1);
        assert_int_equal(sets[i].result, sets[i].fail_after);
    }
    assert_int_equal(number_of(&f, "a"), 1);
    assert_int_equal(number_of(&f, "b"), 0); /* only its own rows went back */
    assert_int_equal(number_of(&f, "c"), 3);
    assert_int_equal(hooks_run, 2); /* the failed write's hook is forgotten */
    assert_int_equal(hooks_at_first_told, 2);
    fixture_done(&f);
}

/* Without savepoints, until one has to be undone: then all of the batch runs again with them, and so do the next ones. */
static void test_batch_without_savepoints(void **state)
{
    struct fixture f;
    struct set sets[] = {set_of("a", 1, 0), set_of("b", 2, -E_CONFLICT), set_of("c", 3, 0)};
    struct set more[] = {set_of("d", 4, -E_CONFLICT), set_of("e", 5, 0)};

    (void)state;
    told_count = hooks_run = 0;
    fixture_init(&f);
    fixture_open(&f);
    for (size_t i = 0; i < countof(sets); i++) {
        sets[i].write.repeats = true;
        assert_int_equal(store_submit(f.store, &sets[i].write), 0);
    }
    assert_int_equal(store_run_once(f.store), 3);
    assert_int_equal(sets[0].runs, 2);
    assert_int_equal(sets[1].runs, 2);
    assert_int_equal(sets[2].runs, 1); /* the first time nobody came that far */
    for (size_t i = 0; i < countof(sets); i++) {
        assert_int_equal(sets[i].told, 1);
        assert_int_equal(sets[i].result, sets[i].fail_after);
    }
    assert_int_equal(number_of(&f, "a"), 1);
    assert_int_equal(number_of(&f, "b"), 0);
    assert_int_equal(number_of(&f, "c"), 3);
    assert_int_equal(hooks_run, 2);
    for (size_t i = 0; i < countof(more); i++) {
        more[i].write.repeats = true;
        assert_int_equal(store_submit(f.store, &more[i].write), 0);
    }
    assert_int_equal(store_run_once(f.store), 2);
    assert_int_equal(more[0].runs, 1);
    assert_int_equal(more[1].runs, 1);
    assert_int_equal(number_of(&f, "d"), 0);
    assert_int_equal(number_of(&f, "e"), 5);
    fixture_done(&f);
}

/* How often a write runs that is a batch of its own. */
static int runs_of(struct fixture *f, int fail_after)
{
    struct set set = set_of("a", 1, fail_after);

    set.write.repeats = true;
    assert_int_equal(store_submit(f->store, &set.write), 0);
    assert_int_equal(store_run_once(f->store), 1);
    assert_int_equal(set.result, fail_after);
    return set.runs;
}

/* Who fails again and again gets savepoints for longer and longer; who does so once is forgotten. */
static void test_care_grows_and_goes(void **state)
{
    static const int runs[] = {2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 2};
    struct fixture f;
    int twice = 0;

    (void)state;
    fixture_init(&f);
    fixture_open(&f);
    for (size_t i = 0; i < countof(runs); i++)
        assert_int_equal(runs_of(&f, -E_CONFLICT), runs[i]);
    for (int i = 0; i < 1000; i++)
        twice += runs_of(&f, -E_CONFLICT) == 2;
    assert_in_range(twice, 1000 / 65, 1000 / 65 + 4);
    for (int i = 0; i < 200; i++)
        assert_int_equal(runs_of(&f, 0), 1);
    assert_int_equal(runs_of(&f, -E_CONFLICT), 2);
    assert_int_equal(runs_of(&f, -E_CONFLICT), 1);
    assert_int_equal(runs_of(&f, -E_CONFLICT), 2);
    fixture_done(&f);
}

/* One that must not run twice keeps its batch from being tried without savepoints. */
static void test_batch_with_one_that_does_not_repeat(void **state)
{
    struct fixture f;
    struct set sets[] = {set_of("a", 1, 0), set_of("b", 2, -E_CONFLICT), set_of("c", 3, 0)};

    (void)state;
    told_count = hooks_run = 0;
    fixture_init(&f);
    fixture_open(&f);
    sets[0].write.repeats = sets[1].write.repeats = true;
    for (size_t i = 0; i < countof(sets); i++)
        assert_int_equal(store_submit(f.store, &sets[i].write), 0);
    assert_int_equal(store_run_once(f.store), 3);
    for (size_t i = 0; i < countof(sets); i++)
        assert_int_equal(sets[i].runs, 1);
    assert_int_equal(number_of(&f, "a"), 1);
    assert_int_equal(number_of(&f, "b"), 0);
    assert_int_equal(number_of(&f, "c"), 3);
    fixture_done(&f);
}

/* One failing COMMIT fails all of its batch, and stores nothing; the next batch works. */
static void test_failed_commit(void **state)
{
    static const int codes[] = {E_IO, E_NO_SPACE, E_BUSY};

    (void)state;
    for (size_t i = 0; i < countof(codes); i++) {
        struct fixture f;
        struct set sets[] = {set_of("a", 1, 0), set_of("b", 2, 0)};
        struct set again = set_of("a", 5, 0);

        told_count = hooks_run = 0;
        fixture_init(&f);
        fixture_open_with(&f, &fault_driver);
        assert_int_equal(store_submit(f.store, &again.write), 0);
        fault_set(0, 0, false);
        assert_int_equal(store_run_once(f.store), 1);
        int64_t commit =
            fault_get().calls; /* the last call of a batch that has all its statements prepared */
        again.value = 6;
        assert_int_equal(store_submit(f.store, &again.write), 0);
        fault_set(0, 0, false);
        assert_int_equal(store_run_once(f.store), 1);
        assert_true(fault_get().calls <= commit);
        commit = fault_get().calls + 4; /* savepoint, bind, step, release of the second write */
        hooks_run = 0;
        for (size_t k = 0; k < countof(sets); k++)
            assert_int_equal(store_submit(f.store, &sets[k].write), 0);
        fault_set(commit, codes[i], false);
        assert_int_equal(store_run_once(f.store), 2);
        assert_true(fault_get().hit);
        assert_int_equal(fault_get().calls, commit);
        for (size_t k = 0; k < countof(sets); k++)
            assert_int_equal(sets[k].result, -codes[i]);
        assert_int_equal(hooks_run, 0);
        fault_set(0, 0, false);
        assert_int_equal(number_of(&f, "a"), 6);
        assert_int_equal(number_of(&f, "b"), 0);
        assert_int_equal(store_submit(f.store, &sets[1].write), 0);
        assert_int_equal(store_run_once(f.store), 1);
        assert_int_equal(number_of(&f, "b"), 2);
        fixture_done(&f);
    }
}

/* ── savepoints of a write ── */

static int nested_run(struct tx *tx, void *arg)
{
    static int ten = 10;
    struct fixture *f = arg;
    struct instance inst = fixture_instance(f);
    int64_t value = -1;

    assert_int_equal(store_number_set(tx, STR("outer"), 1), 0);
    tx_savepoint(tx);
    assert_int_equal(store_number_set(tx, STR("outer"), 2), 0);
    assert_int_equal(store_instance_insert(tx, &inst), 0);
    assert_int_equal(store_nonce_put(tx, STR("k"), STR("n"), 1, tx_now(tx) + USEC_PER_HOUR), 0);
    tx_on_commit(tx, on_hook, &ten);
    tx_savepoint(tx);
    assert_int_equal(store_number_set(tx, STR("inner"), 3), 0);
    tx_release(tx);
    tx_rollback(tx);
    assert_int_equal(store_number_get(tx, STR("outer"), &value), 0);
    assert_int_equal(value, 1);
    assert_int_equal(store_number_get(tx, STR("inner"), &value), 0);
    assert_int_equal(value, 0);
    tx_savepoint(tx);
    assert_int_equal(store_number_set(tx, STR("kept"), 4), 0);
    tx_release(tx);
    /* The nonce went back with the part that used it. */
    return store_nonce_put(tx, STR("k"), STR("n"), 1, tx_now(tx) + USEC_PER_HOUR);
}

static void test_nested(void **state)
{
    struct fixture f;
    struct instance_filter filter;
    struct instance_list list;
    struct page page = {.limit = 10, .count = true};

    (void)state;
    hooks_run = 0;
    fixture_init(&f);
    fixture_open(&f);
    assert_int_equal(store_write(f.store, nested_run, &f), 0);
    assert_int_equal(number_of(&f, "outer"), 1);
    assert_int_equal(number_of(&f, "inner"), 0);
    assert_int_equal(number_of(&f, "kept"), 4);
    assert_int_equal(hooks_run, 0);
    struct tx *tx = store_read_begin(f.store);
    instance_filter_init(&filter);
    filter.account_id = ACCOUNT;
    filter.region_id = REGION;
    assert_int_equal(store_instance_find(tx, &filter, &page, true, &list), 0);
    assert_int_equal(list.count, 0);
    assert_int_equal(list.total, 0); /* the tally, too */
    store_read_end(tx);
    fixture_done(&f);
}

/* Levels that wait for the same change share a savepoint; each still goes back alone. */
static int shared_run(struct tx *tx, void *arg)
{
    (void)arg;
    tx_savepoint(tx);
    tx_savepoint(tx);
    assert_int_equal(store_number_set(tx, STR("undone"), 1), 0); /* one savepoint for three levels */
    tx_rollback(tx);
    assert_int_equal(store_number_set(tx, STR("kept"), 2), 0); /* another for the two that are left */
    tx_savepoint(tx);
    assert_int_equal(store_number_set(tx, STR("undone"), 3), 0);
    tx_rollback(tx);
    tx_release(tx);
    tx_savepoint(tx);
    assert_int_equal(store_number_set(tx, STR("also kept"), 4), 0);
    tx_release(tx);
    return 0;
}

/* As the gateway does: what the outer level does is kept, whatever becomes of the inner one. */
static int shared_and_failed_run(struct tx *tx, void *arg)
{
    tx_savepoint(tx);
    assert_int_equal(store_number_set(tx, STR("undone"), 5), 0);
    tx_release(tx);
    return *(int *)arg;
}

static void test_shared_savepoints(void **state)
{
    struct fixture f;
    int code = -E_CONFLICT;

    (void)state;
    fixture_init(&f);
    fixture_open(&f);
    assert_int_equal(store_write(f.store, shared_run, NULL), 0);
    assert_int_equal(store_write(f.store, shared_and_failed_run, &code), -E_CONFLICT);
    assert_int_equal(number_of(&f, "undone"), 0);
    assert_int_equal(number_of(&f, "kept"), 2);
    assert_int_equal(number_of(&f, "also kept"), 4);
    fixture_done(&f);
}

/* ── after the batch ── */

static int told_at_last;
static int last_runs;

static void on_last(void *arg)
{
    (void)arg;
    last_runs++;
    told_at_last = told_count;
}

static int last_run(struct tx *tx, struct write *write)
{
    tx_after_batch(tx, on_last, &last_runs);
    return set_run(tx, write);
}

static void test_after_batch(void **state)
{
    struct fixture f;
    struct set sets[] = {set_of("a", 1, 0), set_of("b", 2, -E_CONFLICT), set_of("c", 3, 0)};
    struct set alone = set_of("d", 4, 0);

    (void)state;
    told_count = last_runs = 0;
    fixture_init(&f);
    fixture_open(&f);
    for (size_t i = 0; i < countof(sets); i++) {
        sets[i].write.run = last_run;
        assert_int_equal(store_submit(f.store, &sets[i].write), 0);
    }
    assert_int_equal(store_run_once(f.store), 3);
    assert_int_equal(last_runs, 1);
    assert_int_equal(told_at_last, 3);
    assert_int_equal(store_submit(f.store, &alone.write), 0); /* a batch that did not ask */
    assert_int_equal(store_run_once(f.store), 1);
    assert_int_equal(last_runs, 1);
    fixture_done(&f);
}

/* ── checkpoints ── */

/* A long read may keep the log from starting over, but not the writer from writing. */
static void test_checkpoint_waits_briefly(void **state)
{
    struct fixture f;
    struct set set = set_of("a", 1, 0);
    struct timespec before;
    struct timespec after;
    int64_t value;

    (void)state;
    fixture_init(&f);
    fixture_open(&f);
    struct tx *reader = store_read_begin(f.store);
    assert_int_equal(store_number_get(reader, STR("a"), &value), 0);
    assert_int_equal(store_submit(f.store, &set.write), 0);
    assert_int_equal(store_run_once(f.store), 1);
    struct db *db = f.store->writer.db;
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(db->ops->checkpoint(db, DB_CHECKPOINT_RESTART), -E_BUSY);
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec < 3); /* 20 ms; another process that holds the file: 5 s */
    store_read_end(reader);
    assert_int_equal(db->ops->checkpoint(db, DB_CHECKPOINT_RESTART), 0);
    fixture_done(&f);
}

/* ── the queue ── */

static void test_queue_is_bounded(void **state)
{
    struct fixture f;
    struct set *sets = test_calloc(LIMIT_WRITE_QUEUE + 1, sizeof(*sets));

    (void)state;
    told_count = 0;
    fixture_init(&f);
    fixture_open(&f);
    for (size_t i = 0; i < LIMIT_WRITE_QUEUE; i++) {
        sets[i] = set_of("n", (int64_t)i, 0);
        assert_int_equal(store_submit(f.store, &sets[i].write), 0);
    }
    sets[LIMIT_WRITE_QUEUE] = set_of("n", -1, 0);
    assert_int_equal(store_submit(f.store, &sets[LIMIT_WRITE_QUEUE].write), -E_BUSY);
    assert_int_equal(store_run_once(f.store), LIMIT_BATCH_OPS);
    assert_int_equal(told_count, LIMIT_BATCH_OPS);
    store_stop(f.store); /* lets the queue run empty */
    assert_int_equal(told_count, LIMIT_WRITE_QUEUE);
    assert_int_equal(sets[LIMIT_WRITE_QUEUE].told, 0);
    assert_int_equal(number_of(&f, "n"), LIMIT_WRITE_QUEUE - 1);
    assert_int_equal(store_submit(f.store, &sets[0].write), -E_BUSY);
    test_free(sets);
    fixture_done(&f);
}

#define THREADS 4
#define THREAD_WRITES 200

static int count_up(struct tx *tx, void *arg)
{
    int64_t value = 0;
    int r = store_number_get(tx, str_from(arg), &value);

    return r < 0 ? r : store_number_set(tx, str_from(arg), value + 1);
}

static void *count_many(void *arg)
{
    struct fixture *f = arg;

    for (int i = 0; i < THREAD_WRITES; i++)
        if (store_write(f->store, count_up, (void *)(uintptr_t) "together") != 0)
            return arg;
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    for (int started = 0; started < 2; started++) {
        struct fixture f;
        pthread_t threads[THREADS];

        fixture_init(&f);
        fixture_open(&f);
        if (started)
            assert_int_equal(store_start(f.store), 0);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, count_many, &f), 0);
        for (int i = 0; i < THREADS; i++) {
            void *failed = NULL;

            assert_int_equal(pthread_join(threads[i], &failed), 0);
            assert_null(failed);
        }
        assert_int_equal(number_of(&f, "together"), THREADS * THREAD_WRITES);
        fixture_done(&f);
    }
}

/* A reader stays at its snapshot while batches go by. */
static void test_snapshot(void **state)
{
    struct fixture f;
    int64_t value = -1;

    (void)state;
    fixture_init(&f);
    fixture_open(&f);
    assert_int_equal(store_write(f.store, count_up, (void *)(uintptr_t) "n"), 0);
    struct tx *tx = store_read_begin(f.store);
    assert_false(tx_is_write(tx));
    assert_int_equal(store_write(f.store, count_up, (void *)(uintptr_t) "n"), 0);
    assert_int_equal(store_number_get(tx, STR("n"), &value), 0);
    int64_t first = value;
    assert_int_equal(store_write(f.store, count_up, (void *)(uintptr_t) "n"), 0);
    assert_int_equal(store_number_get(tx, STR("n"), &value), 0);
    assert_int_equal(value, first);
    store_read_end(tx);
    assert_int_equal(number_of(&f, "n"), 3);
    fixture_done(&f);
}

/* ── how fast ── */

#ifdef __SANITIZE_THREAD__ /* which makes everything ten times as slow */
#define BENCH_INSTANCES 1000
#else
#define BENCH_INSTANCES 20000
#endif
#define BENCH_BATCH 64

struct stop {
    struct write write;
    struct env *env;
    struct str id;
    int64_t number; /* in: makes the nonce; then the job's id */
};

static int stop_accept(struct tx *tx, struct write *write)
{
    struct stop *stop = container_of(write, struct stop, write);
    struct instance *inst = NULL;
    char nonce[40];
    bool busy = true;

    (void)snprintf(nonce, sizeof(nonce), "nonce-%lld", (long long)stop->number);
    int r =
        store_nonce_put(tx, STR("LTAI5tExampleKeyIdFor1"), str_from(nonce),
                        tx_now(tx) / USEC_PER_SEC * USEC_PER_SEC, tx_now(tx) + 1860 * USEC_PER_SEC);
    if (r < 0)
        return r;
    r = store_instance_get_hot(tx, stop->id, &inst);
    if (r == 0)
        r = store_disk_busy(tx, stop->id, &busy);
    if (r < 0)
        return r;
    assert_false(busy);
    struct job job = {.id = env_sequence(stop->env),
                      .kind = JOB_KIND_STOP,
                      .instance_id = inst->id,
                      .account_id = inst->account_id,
                      .incarnation = inst->incarnation,
                      .holder = STR("node-1"),
                      .epoch = 1,
                      .request_id = STR("0C7C4F4E-1C7E-4B8E-9E8C-0D1F2A3B4C5D"),
                      .created_us = tx_now(tx),
                      .deadline_us = tx_now(tx) + 300 * USEC_PER_SEC};
    struct event event = {.time_us = tx_now(tx),
                          .account_id = inst->account_id,
                          .instance_id = inst->id,
                          .from_state = STR("Running"),
                          .to_state = STR("Stopping"),
                          .reason = STR("api"),
                          .request_id = job.request_id,
                          .actor = STR("LTAI5tExampleKeyIdFor1")};

    inst->state = INSTANCE_STATE_STOPPING;
    inst->job_id = job.id;
    inst->state_since_us = tx_now(tx);
    stop->number = job.id;
    r = store_instance_save(tx, inst);
    if (r == 0)
        r = store_job_insert(tx, &job);
    return r < 0 ? r : store_event_add(tx, &event);
}

static int stop_finish(struct tx *tx, struct write *write)
{
    struct stop *stop = container_of(write, struct stop, write);
    struct instance *inst = NULL;
    struct job job = {.id = stop->number,
                      .state = JOB_STATE_DONE,
                      .step = 6,
                      .holder = STR("node-1"),
                      .epoch = 1,
                      .finished_us = tx_now(tx)};
    struct event event = {.time_us = tx_now(tx),
                          .account_id = ACCOUNT,
                          .instance_id = stop->id,
                          .from_state = STR("Stopping"),
                          .to_state = STR("Stopped"),
                          .reason = STR("api"),
                          .actor = STR("engine")};
    int r = store_instance_get_hot(tx, stop->id, &inst);

    if (r < 0)
        return r;
    inst->state = INSTANCE_STATE_STOPPED;
    inst->job_id = 0;
    inst->state_since_us = tx_now(tx);
    r = store_instance_save(tx, inst);
    if (r == 0)
        r = store_job_save(tx, &job);
    if (r == 0)
        r = store_segment_switch(tx, inst, BILLING_MODE_KEPT, tx_now(tx));
    return r < 0 ? r : store_event_add(tx, &event);
}

/* A stop that was told goes on to its finish; a finished one makes way for the next that waits. */
struct bench {
    struct store *store;
    struct stop *stops;
    size_t next;
    size_t finished; /* these three are the writer thread's, until `over` */
    size_t failed;
    bool over; /* under the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t cond;
};
static struct bench bench;

static void finish_told(struct write *write, int result);

static void submit(struct stop *stop, int (*run)(struct tx *, struct write *),
                   void (*done)(struct write *, int))
{
    stop->write.run = run;
    stop->write.done = done;
    assert_int_equal(store_submit(bench.store, &stop->write), 0);
}

static void accept_told(struct write *write, int result)
{
    bench.failed += result < 0;
    submit(container_of(write, struct stop, write), stop_finish, finish_told);
}

static void finish_told(struct write *write, int result)
{
    (void)write;
    bench.failed += result < 0;
    if (bench.next < BENCH_INSTANCES)
        submit(&bench.stops[bench.next++], stop_accept, accept_told);
    if (++bench.finished < BENCH_INSTANCES)
        return;
    pthread_mutex_lock(&bench.mutex);
    bench.over = true;
    pthread_cond_signal(&bench.cond);
    pthread_mutex_unlock(&bench.mutex);
}

struct seed {
    struct fixture *f;
    struct stop *stops;
    size_t count;
};

static int insert_many(struct tx *tx, void *arg)
{
    struct seed *seed = arg;

    for (size_t i = 0; i < seed->count; i++) {
        struct instance inst = fixture_instance(seed->f);
        int r = store_instance_insert(tx, &inst);

        if (r == 0)
            r = store_segment_switch(tx, &inst, BILLING_MODE_RUNNING, tx_now(tx) - USEC_PER_HOUR);
        if (r < 0)
            return r;
        seed->stops[i].id = inst.id;
        seed->stops[i].env = seed->f->env;
    }
    return 0;
}

static double real_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* BENCH_BATCH calls and as many finishing jobs under way at any time, as with as many connections.
 */
static double run_stops(struct fixture *f, struct stop *stops)
{
    bench = (struct bench){.store = f->store, .stops = stops, .next = 2 * BENCH_BATCH};
    pthread_mutex_init(&bench.mutex, NULL);
    pthread_cond_init(&bench.cond, NULL);
    double start = real_s();
    for (size_t i = 0; i < 2 * BENCH_BATCH; i++)
        submit(&stops[i], stop_accept, accept_told);
    assert_int_equal(store_start(f->store), 0);
    pthread_mutex_lock(&bench.mutex);
    while (!bench.over)
        pthread_cond_wait(&bench.cond, &bench.mutex);
    pthread_mutex_unlock(&bench.mutex);
    double took = real_s() - start;
    store_stop(f->store);
    assert_int_equal(bench.failed, 0);
    return BENCH_INSTANCES / took;
}

/* Fisher-Yates with a fixed rule: stops come in no order. */
static void shuffle(struct stop *stops)
{
    uint64_t x = 88172645463325252u;

    for (size_t i = BENCH_INSTANCES - 1; i > 0; i--) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        struct stop other = stops[x % (i + 1)];

        stops[x % (i + 1)] = stops[i];
        stops[i] = other;
    }
}

static void check_all_stopped(struct fixture *f, const struct stop *stops)
{
    struct instance_filter filter;
    struct instance_list list;
    struct page page = {.limit = 1, .count = true};
    struct segment *segments = NULL;
    size_t count = 0;
    struct tx *tx = store_read_begin(f->store);

    instance_filter_init(&filter);
    filter.account_id = ACCOUNT;
    filter.region_id = REGION;
    filter.state = INSTANCE_STATE_STOPPED;
    assert_int_equal(store_instance_find(tx, &filter, &page, true, &list), 0);
    assert_int_equal(list.total, BENCH_INSTANCES);
    assert_int_equal(store_segment_list(tx, stops[0].id, &segments, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(segments[0].end_us, segments[1].start_us);
    store_read_end(tx);
}

static void test_speed(void **state)
{
    struct fixture f;
    struct stop *stops = test_calloc(BENCH_INSTANCES, sizeof(*stops));
    struct seed seed = {.f = &f, .stops = stops, .count = BENCH_INSTANCES};

    (void)state;
    fixture_init(&f);
    fixture_open(&f);
    double start = real_s();
    assert_int_equal(store_write(f.store, insert_many, &seed), 0);
    print_message("  %.0f instances inserted a second\n", BENCH_INSTANCES / (real_s() - start));
    shuffle(stops);
    for (size_t i = 0; i < BENCH_INSTANCES; i++)
        stops[i].number = (int64_t)i;
    print_message(
        "  %.0f whole stops a second (accepted, then finished: two durable writes each)\n",
        run_stops(&f, stops));
    check_all_stopped(&f, stops);
    test_free(stops);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch),   cmocka_unit_test(test_failed_commit),
        cmocka_unit_test(test_batch_without_savepoints),
        cmocka_unit_test(test_care_grows_and_goes),
        cmocka_unit_test(test_batch_with_one_that_does_not_repeat),
        cmocka_unit_test(test_nested),  cmocka_unit_test(test_queue_is_bounded),
        cmocka_unit_test(test_threads), cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_shared_savepoints),
        cmocka_unit_test(test_after_batch),
        cmocka_unit_test(test_checkpoint_waits_briefly),
        cmocka_unit_test(test_speed),
    };

    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
