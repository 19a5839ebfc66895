/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shared store has to do for several nodes: part of store.c, for drivers that are shared. Both nodes of a test are in this
 * process, each with a store, a connection and a clock of its own.
 */
#include <pthread.h>

#define ROUNDS 150
#define EVENTS_MAX 100

struct pair {
    struct fixture first;
    struct fixture second; /* in the first one's database */
};

static int node_try(struct fixture *f, const char *node, struct fail *fail, struct store **ret)
{
    struct store_settings settings = {.cache_mib = 1, .checkpoint_ms = 100, .env = f->env, .node = str_from(node)};

    fail_init(fail, &f->arena);
    return store_open_with(conform_driver, f->path, &settings, fail, ret);
}

static void node_open(struct fixture *f, const char *node)
{
    struct fail fail;
    int r = node_try(f, node, &fail, &f->store);

    if (r < 0)
        print_error("%s: %.*s\n", node, STR_ARG(fail.message));
    assert_int_equal(r, 0);
}

static void pair_init(struct pair *pair)
{
    fixture_init(&pair->first);
    fixture_init(&pair->second);
    memcpy(pair->second.path, pair->first.path, sizeof(pair->first.path));
}

/* Clocks that stand; the second one's is an hour behind. */
static void pair_stop_clocks(struct pair *pair)
{
    (void)env_free(pair->first.env);
    (void)env_free(pair->second.env);
    pair->first.env = env_new_virtual(10 * USEC_PER_HOUR);
    pair->second.env = env_new_virtual(9 * USEC_PER_HOUR);
}

static void pair_open(struct pair *pair)
{
    node_open(&pair->first, "one");
    node_open(&pair->second, "two");
}

static void pair_done(struct pair *pair)
{
    fixture_done(&pair->second);
    fixture_done(&pair->first);
}

/* ── a counter, as somebody would write it who is alone ── */

static int count_up(struct tx *tx, void *arg)
{
    int64_t n;
    int r = store_number_get(tx, STR("counter"), &n);

    (void)arg;
    return r < 0 ? r : store_number_set(tx, STR("counter"), n + 1);
}

static int64_t counter_of(struct fixture *f)
{
    struct tx *tx = store_read_begin(f->store);
    int64_t n = -1;

    ok(store_number_get(tx, STR("counter"), &n));
    store_read_end(tx);
    return n;
}

static void *count_often(void *arg)
{
    struct fixture *f = arg;
    intptr_t failed = 0;

    for (int i = 0; i < ROUNDS; i++)
        failed += store_write(f->store, count_up, NULL) < 0;
    return (void *)failed;
}

static void run_both(void *(*run)(void *arg), struct pair *pair)
{
    pthread_t thread;
    void *failed;

    assert_int_equal(pthread_create(&thread, NULL, run, &pair->second), 0);
    assert_null(run(&pair->first));
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
}

static void test_nothing_is_lost_between_nodes(void **state)
{
    struct store_news before;
    struct store_news after;
    struct pair pair;

    (void)state;
    pair_init(&pair);
    pair_open(&pair);
    ok(store_look(pair.first.store, &before));
    for (int i = 0; i < 10; i++) { /* each sees what the other has just written */
        ok(store_write(pair.first.store, count_up, NULL));
        ok(store_write(pair.second.store, count_up, NULL));
        assert_int_equal(counter_of(&pair.first), 2 * i + 2);
    }
    run_both(count_often, &pair);
    assert_int_equal(counter_of(&pair.first), 20 + 2 * ROUNDS);
    assert_int_equal(counter_of(&pair.second), 20 + 2 * ROUNDS);
    ok(store_look(pair.second.store, &after));
    assert_int_equal(after.number - before.number, 20 + 2 * ROUNDS);
    assert_true(store_is_shared(pair.first.store));
    pair_done(&pair);
}

/* ── starting ── */

static void test_a_name_is_one_process(void **state)
{
    struct store *other = NULL;
    struct fail fail;
    struct pair pair;

    (void)state;
    pair_init(&pair);
    pair_open(&pair);
    assert_int_equal(node_try(&pair.second, "one", &fail, &other), -E_BUSY);
    assert_true(str_contains(fail.message, STR("\"one\"")));
    assert_true(str_contains(fail.message, arena_printf(&pair.first.arena, "%ld", (long)getpid())));
    pair.first.store = store_close(pair.first.store);
    node_open(&pair.first, "one"); /* it is free when its process has ended */
    ok(store_write(pair.first.store, count_up, NULL));
    pair_done(&pair);
}

static void *open_node(void *arg)
{
    struct fixture *f = arg;
    struct fail fail;
    int r = node_try(f, f->folder, &fail, &f->store); /* a name that the other one has not */

    if (r < 0)
        print_error("%.*s\n", STR_ARG(fail.message));
    return (void *)(intptr_t)r;
}

static void test_nodes_start_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct pair pair;

        pair_init(&pair);
        run_both(open_node, &pair);
        ok(store_write(pair.first.store, count_up, NULL));
        ok(store_write(pair.second.store, count_up, NULL));
        assert_int_equal(counter_of(&pair.first), 2);
        pair_done(&pair);
    }
}

/* ── what nodes remember ── */

static int add_event(struct tx *tx, void *arg)
{
    const struct str *actor = arg;
    struct event event = {.time_us = tx_now(tx), .actor = *actor};

    return store_event_add(tx, &event);
}

static void test_sequences_grow_over_nodes(void **state)
{
    struct str actors[] = {STR("one"), STR("two")};
    struct event *events;
    struct pair pair;
    struct tx *tx;
    size_t count;

    (void)state;
    pair_init(&pair);
    pair_stop_clocks(&pair);
    pair_open(&pair);
    for (int i = 0; i < 10; i++) {
        ok(store_write(pair.first.store, add_event, &actors[0]));
        ok(store_write(pair.second.store, add_event, &actors[1]));
    }
    tx = store_read_begin(pair.second.store);
    ok(store_event_list(tx, 0, STR_NONE, EVENTS_MAX, &events, &count)); /* by id */
    assert_int_equal(count, 20);
    for (size_t i = 0; i < count; i++)
        assert_same(events[i].actor, actors[i % 2]);
    store_read_end(tx);
    pair_done(&pair);
}

static void test_a_nonce_is_used_once_over_nodes(void **state)
{
    struct nonce purge = {.purge = 30 * USEC_PER_HOUR};
    struct pair pair;
    usec_t now;

    (void)state;
    pair_init(&pair);
    pair_stop_clocks(&pair);
    pair_open(&pair);
    now = env_now(pair.first.env);
    ok(put(&pair.first, "a", now, now + USEC_PER_HOUR));
    assert_int_equal(put(&pair.second, "a", now, now + USEC_PER_HOUR), -E_EXISTS);
    ok(put(&pair.second, "b", now, now + USEC_PER_HOUR));
    assert_int_equal(put(&pair.first, "b", now, now + USEC_PER_HOUR), -E_EXISTS);

    ok(store_write(pair.first.store, nonce_run, &purge)); /* by a clock that ran ahead */
    assert_int_equal(put(&pair.second, "a", now, now + USEC_PER_HOUR), -E_EXISTS);
    ok(put(&pair.second, "a", now + 1, now + USEC_PER_HOUR));
    ok(store_write(pair.second.store, nonce_run, &purge));
    assert_int_equal(put(&pair.first, "c", now + 1, now + USEC_PER_HOUR), -E_EXISTS);
    ok(put(&pair.first, "c", now + 2, now + USEC_PER_HOUR));
    pair_done(&pair);
}

static int add_key(struct tx *tx, void *arg)
{
    struct access_key key = {.id = STR("key"), .secret = STR("s"), .account_id = ACCOUNT, .enabled = true};

    (void)arg;
    return store_key_insert(tx, &key);
}

static int disable_key(struct tx *tx, void *arg)
{
    (void)arg;
    return store_key_set_enabled(tx, STR("key"), false);
}

static void test_a_disabled_key_is_noticed(void **state)
{
    struct store_news news;
    struct pair pair;
    uint64_t version;

    (void)state;
    pair_init(&pair);
    pair_open(&pair);
    ok(store_write(pair.first.store, add_key, NULL));
    ok(store_look(pair.second.store, &news));
    assert_true(news.tenants);
    ok(store_look(pair.second.store, &news));
    assert_false(news.tenants);
    ok(store_write(pair.second.store, count_up, NULL)); /* is of no interest to who remembers keys */
    ok(store_look(pair.first.store, &news));
    assert_false(news.tenants); /* its own change was no news to it */

    version = store_tenants_version(pair.second.store);
    ok(store_write(pair.first.store, disable_key, NULL));
    assert_true(store_tenants_version(pair.second.store) == version);
    ok(store_look(pair.second.store, &news));
    assert_true(news.tenants);
    assert_true(store_tenants_version(pair.second.store) > version);
    pair_done(&pair);
}

struct noting {
    struct write write;
    struct store *store;
    uint64_t version; /* at its `done` */
};

static int noting_run(struct tx *tx, struct write *write)
{
    (void)write;
    return count_up(tx, NULL);
}

static void noting_done(struct write *write, int result)
{
    struct noting *noting = container_of(write, struct noting, write);

    assert_int_equal(result, 0);
    noting->version = store_tenants_version(noting->store);
}

static void test_a_write_tells_of_tenants(void **state)
{
    struct pair pair;
    struct noting noting = {.write = {.run = noting_run, .done = noting_done}};
    uint64_t version;

    (void)state;
    pair_init(&pair);
    pair_open(&pair);
    version = store_tenants_version(pair.second.store);
    ok(store_write(pair.first.store, add_key, NULL));
    noting.store = pair.second.store;
    ok(store_submit(pair.second.store, &noting.write));
    assert_int_equal(store_run_once(pair.second.store), 1);
    assert_true(noting.version > version);
    pair_done(&pair);
}

/* ── a node that stands still ── */

struct still {
    struct store *other;
    bool writes; /* does it write when it goes on, or only commit? */
    int others;  /* what the other one's write came to meanwhile */
};

/* It has the turn, and does nothing until another node has written: that can only be when its own transaction is gone. */
static int stand_still(struct tx *tx, void *arg)
{
    struct still *still = arg;
    int r = store_number_set(tx, STR("counter"), 1000);

    if (r == 0)
        still->others = store_write(still->other, count_up, NULL);
    return r == 0 && still->writes ? store_number_set(tx, STR("counter"), 2000) : r;
}

static void test_a_paused_node_holds_nobody_up(void **state)
{
    struct still still;
    struct pair pair;

    (void)state;
    pair_init(&pair);
    pair_open(&pair);
    still = (struct still){.other = pair.second.store, .writes = true, .others = -1};
    assert_int_equal(store_write(pair.first.store, stand_still, &still), -E_IO);
    assert_int_equal(still.others, 0);
    assert_int_equal(counter_of(&pair.first), 1);

    still = (struct still){.other = pair.second.store, .others = -1};
    assert_int_equal(store_write(pair.first.store, stand_still, &still), -E_IO);
    assert_int_equal(still.others, 0);
    assert_int_equal(counter_of(&pair.first), 2);

    ok(store_write(pair.first.store, count_up, NULL)); /* by itself it is well again */
    assert_int_equal(counter_of(&pair.second), 3);
    pair_done(&pair);
}

static int conform_nodes(const char *name, const struct db_driver *driver)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_lost_between_nodes),
        cmocka_unit_test(test_a_name_is_one_process),
        cmocka_unit_test(test_nodes_start_at_once),
        cmocka_unit_test(test_sequences_grow_over_nodes),
        cmocka_unit_test(test_a_nonce_is_used_once_over_nodes),
        cmocka_unit_test(test_a_disabled_key_is_noticed),
        cmocka_unit_test(test_a_write_tells_of_tenants),
        cmocka_unit_test(test_a_paused_node_holds_nobody_up),
    };

    conform_driver = driver;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
