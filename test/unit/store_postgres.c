/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite on PostgreSQL: test/postgres/server.py starts a server and says in ECSD_POSTGRES where it is. Each store gets a
 * schema of its own, named after the path that it would have as a file. Then what is this driver's own.
 */
#include "conform/store.c"
#include "conform/store_batch.c"
#include "conform/store_nodes.c"

#include <libpq-fe.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/hash.h"
#include "store/postgres.h"
#include "store/postgres_impl.h"

#define NAME_BYTES (2 * SHA256_BYTES + 2)

static void schema_name(const char *path, char name[NAME_BYTES])
{
    uint8_t digest[SHA256_BYTES];

    hash_sha256(str_from(path), digest);
    name[0] = 's';
    hex_encode(digest, 8, name + 1);
}

static void make_schema(const char *server, const char *name)
{
    char sql[256];
    PGconn *conn = PQconnectdb(server);

    (void)snprintf(sql, sizeof(sql), "SET client_min_messages = warning; CREATE SCHEMA IF NOT EXISTS %s", name);
    PQclear(PQexec(conn, sql));
    PQfinish(conn);
}

static void schema_url(const char *path, char *url, size_t size)
{
    const char *server = getenv("ECSD_POSTGRES");
    char name[NAME_BYTES];

    schema_name(path, name);
    make_schema(server, name);
    (void)snprintf(url, size, "%s options='-c search_path=%s' application_name='ecsd %ld'", server, name, (long)getpid());
}

static int open_schema(const char *path, int64_t cache_kib, struct fail *fail, struct db **ret)
{
    char url[1024];

    schema_url(path, url, sizeof(url));
    return postgres_driver.open(url, cache_kib, fail, ret);
}

/* ── beside the store, by hand ── */

static PGconn *by_hand(struct fixture *f)
{
    char url[1024];
    PGconn *conn;

    schema_url(f->path, url, sizeof(url));
    conn = PQconnectdb(url);
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
    return conn;
}

static void assert_sql(PGconn *conn, const char *sql, const char *expected)
{
    PGresult *result = PQexec(conn, sql);

    if (PQntuples(result) != 1)
        print_error("%s: %s\n", sql, PQresultErrorMessage(result));
    assert_int_equal(PQntuples(result), 1);
    assert_string_equal(PQgetvalue(result, 0, 0), expected);
    PQclear(result);
}

static void do_sql(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);

    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        print_error("%s: %s\n", sql, PQresultErrorMessage(result));
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
}

/* What an ecsd made that wrote alone: one row, and the lock of the schema. */
static void test_an_older_version(void **state)
{
    struct pair pair;
    struct fail fail;
    PGconn *old;

    (void)state;
    pair_init(&pair);
    old = by_hand(&pair.first);
    do_sql(old, "CREATE TABLE commit_token (one INTEGER PRIMARY KEY, token BIGINT NOT NULL)");
    do_sql(old, "INSERT INTO commit_token (one, token) VALUES (1, 41)");
    assert_sql(old, "SELECT pg_try_advisory_lock(1701016420, hashtext(current_schema()))", "t");
    assert_int_equal(node_try(&pair.first, "one", &fail, &pair.first.store), -E_BUSY);
    assert_true(str_contains(fail.message, STR("of an older version")));
    assert_sql(old, "SELECT pg_advisory_unlock(1701016420, hashtext(current_schema()))", "t");

    pair_open(&pair);
    assert_sql(old, "SELECT pg_try_advisory_lock(1701016420, hashtext(current_schema()))", "f");
    assert_sql(old, "SELECT token > 41 FROM commit_token WHERE node = 'one'", "t");
    assert_sql(old, "SELECT COUNT(*) FROM commit_token", "2");
    ok(store_write(pair.first.store, count_up, NULL));
    ok(store_write(pair.second.store, count_up, NULL));
    assert_int_equal(counter_of(&pair.first), 2);
    PQfinish(old);
    pair_done(&pair);
}

/* A newer ecsd has been here, and says who may still write. */
static void newer(PGconn *conn, const char *oldest)
{
    char sql[128];

    do_sql(conn, "INSERT INTO migration (number, applied_us) VALUES (900, 1) ON CONFLICT DO NOTHING");
    (void)snprintf(sql, sizeof(sql), "UPDATE turn SET oldest = %s", oldest);
    do_sql(conn, sql);
}

static void test_older_nodes_write_on_beside_a_migration_that_lets_them(void **state)
{
    struct pair pair;
    PGconn *hand;

    (void)state;
    pair_init(&pair);
    pair_open(&pair);
    hand = by_hand(&pair.first);
    newer(hand, "oldest");
    ok(store_write(pair.first.store, count_up, NULL));
    pair.second.store = store_close(pair.second.store);
    node_open(&pair.second, "two");
    ok(store_write(pair.second.store, count_up, NULL));
    assert_int_equal(counter_of(&pair.first), 2);
    PQfinish(hand);
    pair_done(&pair);
}

static void test_older_nodes_leave_tables_that_they_do_not_know(void **state)
{
    struct pair pair;
    struct fail fail;
    PGconn *hand;

    (void)state;
    pair_init(&pair);
    pair_open(&pair);
    hand = by_hand(&pair.first);
    assert_sql(hand, "SELECT oldest <= (SELECT MAX(number) FROM migration) AND oldest > 0 FROM turn", "t");
    ok(store_write(pair.first.store, count_up, NULL));
    newer(hand, "900");
    assert_int_equal(store_write(pair.first.store, count_up, NULL), -E_IO);
    assert_int_equal(counter_of(&pair.first), 1); /* what can be read is read */
    pair.second.store = store_close(pair.second.store);
    assert_int_equal(node_try(&pair.second, "two", &fail, &pair.second.store), -E_INVALID);
    assert_true(str_contains(fail.message, STR("a newer ecsd (schema 900")));
    PQfinish(hand);
    pair_done(&pair);
}

static int see_settings(struct tx *tx, void *arg)
{
    (void)arg;
    return tx_check(tx, tx->db->ops->exec(tx->db, "DO $$ BEGIN"
                                                  " ASSERT current_setting('idle_in_transaction_session_timeout') = '5s';"
                                                  " ASSERT current_setting('client_connection_check_interval') = '1s';"
                                                  " ASSERT current_setting('transaction_isolation') = 'read committed';"
                                                  " END $$"));
}

static void wait_in_turn(struct fixture *f)
{
    node_open(f, "one"); /* looks at the schema, in its turn */
    _exit(0);
}

/* A process that is killed while it waits for its turn can be started again, though the turn is still another one's. */
static void test_a_killed_node_can_come_back(void **state)
{
    struct fail fail;
    struct pair pair;
    struct db *db;
    PGconn *hand;
    pid_t pid;

    (void)state;
    pair_init(&pair);
    node_open(&pair.second, "two");
    ok(store_write(pair.second.store, see_settings, NULL));
    hand = by_hand(&pair.first);
    do_sql(hand, "BEGIN");
    assert_sql(hand, "SELECT one FROM turn FOR UPDATE", "1");
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        wait_in_turn(&pair.first);
    assert_sql(hand, "DO $$ BEGIN WHILE NOT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid') LOOP"
                     " PERFORM pg_stat_clear_snapshot(); END LOOP; END $$; SELECT 1",
               "1");
    ok(kill(pid, SIGKILL));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    fail_init(&fail, &pair.first.arena);
    ok(conform_driver->open(pair.first.path, 1024, &fail, &db));
    ok(conform_driver->lock(db, STR("one"), &fail));
    assert_null(db->ops->close(db));
    PQfinish(hand);
    ok(store_write(pair.second.store, count_up, NULL));
    pair_done(&pair);
}

/* ── lost answers ── */

static struct {
    enum { LOSE_NOTHING, LOSE_REQUEST, LOSE_ANSWER } what; /* of the next COMMIT of a turn */
    struct store *other;                                   /* writes meanwhile; NULL: nobody does */
    int others;
} plan;

/* In the place of PQexec. */
static PGresult *lose(PGconn *conn, const char *sql)
{
    int what = strstr(sql, "UPDATE turn") ? (int)plan.what : LOSE_NOTHING;
    PGresult *result;

    if (what == LOSE_NOTHING)
        return PQexec(conn, sql);
    plan.what = LOSE_NOTHING;
    if (what == LOSE_ANSWER)
        PQclear(PQexec(conn, sql));
    (void)shutdown(PQsocket(conn), SHUT_RDWR);
    result = PQexec(conn, sql); /* fails: there is nobody any more */
    if (plan.other)
        plan.others = store_write(plan.other, count_up, NULL);
    return result;
}

static void lose_one(struct pair *pair, int what, bool other_writes, int expected)
{
    int64_t before = counter_of(&pair->first);

    plan.what = what;
    plan.other = other_writes ? pair->second.store : NULL;
    plan.others = 0;
    assert_int_equal(store_write(pair->first.store, count_up, NULL), expected);
    assert_int_equal(plan.what, LOSE_NOTHING); /* it came to that */
    assert_int_equal(plan.others, 0);
    assert_int_equal(counter_of(&pair->first), before + (expected == 0) + other_writes);
}

static void test_an_outcome_is_found_out(void **state)
{
    struct pair pair;

    (void)state;
    pair_init(&pair);
    pair_open(&pair);
    pq.PQexec = lose;
    for (int other_writes = 0; other_writes < 2; other_writes++) {
        lose_one(&pair, LOSE_ANSWER, other_writes, 0);
        lose_one(&pair, LOSE_REQUEST, other_writes, -E_IO);
    }
    lose_one(&pair, LOSE_NOTHING, false, 0);
    pq.PQexec = PQexec;
    pair_done(&pair);
}

/* ── posts ── */

static int posts_until_loss; /* 0: none is lost */

/* In the place of PQsendQueryPrepared: the session ends in the middle of what is posted. */
static int lose_post(PGconn *conn, const char *name, int count, const char *const *values, const int *lengths, const int *formats,
                     int binary)
{
    if (posts_until_loss > 0 && --posts_until_loss == 0)
        (void)shutdown(PQsocket(conn), SHUT_RDWR);
    return PQsendQueryPrepared(conn, name, count, values, lengths, formats, binary);
}

/* Two statements are sent for them: one for each table. */
static void lose_at(struct fixture *f, int post)
{
    struct batch batch = {.f = f};

    posts_until_loss = post;
    for (int64_t id = 1; id <= 2; id++) {
        batch_add(&batch, put_event, id);
        batch_add(&batch, insert_job, 10 + id);
    }
    batch_run(&batch);
    for (size_t i = 0; i < batch.count; i++)
        assert_int_equal(batch.items[i].result, -E_IO);
    assert_int_equal(posts_until_loss, 0); /* it came to that */
    assert_int_equal(count_events(f), 0);
}

static void test_a_session_ends_among_posts(void **state)
{
    struct pair pair;
    struct batch batch = {.f = &pair.first};

    (void)state;
    pair_init(&pair);
    pair_open(&pair);
    batch_add(&batch, insert_job, 1); /* something that is posted */
    batch_run(&batch);
    pq.PQsendQueryPrepared = lose_post;
    for (int post = 1; post <= 2; post++)
        lose_at(&pair.first, post);
    pq.PQsendQueryPrepared = PQsendQueryPrepared;
    batch.count = 0;
    batch_add(&batch, put_event, 1); /* by itself it is well again */
    batch_run(&batch);
    assert_int_equal(batch.items[0].result, 0);
    assert_int_equal(count_events(&pair.second), 1);
    pair_done(&pair);
}

static int waits;

static int count_wait(PGconn *conn)
{
    waits++;
    return PQpipelineSync(conn);
}

static int set_many_numbers(struct tx *tx, struct item *item)
{
    item->n = 0;
    for (int64_t n = 1; n <= MANY; n++)
        ok(store_number_set(tx, arena_printf(tx_arena(tx), "n-%d", (int)n), n));
    return 0;
}

static int waits_of(struct fixture *f, int (*body)(struct tx *tx, struct item *item))
{
    struct batch batch = {.f = f};

    batch_add(&batch, body, 0);
    waits = 0;
    pq.PQpipelineSync = count_wait;
    batch_run(&batch);
    pq.PQpipelineSync = PQpipelineSync;
    assert_int_equal(batch.items[0].result, 0);
    return waits;
}

/* A batch waits a few times, however many changes it makes: that is what posts are for. */
static void test_posts_share_a_round_trip(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_open_with(&f, conform_driver);
    assert_int_equal(waits_of(&f, add_many), 1);
    assert_in_range(waits_of(&f, set_many_numbers), 2, 5); /* one by one */
    fixture_done(&f);
}

/* ── reading ahead ── */

#define PER_QUESTION 64
#define NAMED (LIMIT_BATCH_OPS + 76) /* more than a batch reads ahead */

static int questions;

static PGresult *count_question(PGconn *conn, const char *name, int count, const char *const *values, const int *lengths, const int *formats,
                                int binary)
{
    questions++;
    return PQexecPrepared(conn, name, count, values, lengths, formats, binary);
}

static int insert_named(struct tx *tx, void *arg)
{
    struct str *ids = arg;

    for (size_t i = 0; i < NAMED; i++) {
        struct instance inst = {.id = ids[i], .account_id = ACCOUNT, .region_id = REGION, .version = (int64_t)i};

        ok(store_instance_insert(tx, &inst));
    }
    return 0;
}

static int read_named(struct tx *tx, struct item *item)
{
    for (size_t i = 0; i < item->write.about.count; i++) {
        struct instance *inst;

        ok(store_instance_get_hot(tx, item->write.about.items[i], &inst));
        assert_int_equal(inst->version, i);
    }
    item->n = 0;
    return 0;
}

static int questions_of(struct fixture *f, struct str *ids, size_t count)
{
    struct batch batch = {.f = f};

    batch_add(&batch, read_named, 1)->write.about = (struct str_list){ids, count};
    questions = 0;
    pq.PQexecPrepared = count_question;
    batch_run(&batch);
    pq.PQexecPrepared = PQexecPrepared;
    assert_int_equal(batch.items[0].n, 0);
    return questions;
}

/* As many as a batch has writes; what a write names beyond is asked for one by one. */
static void test_what_a_write_names_is_read_at_once(void **state)
{
    struct str ids[NAMED];
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_open_with(&f, conform_driver);
    for (int i = 0; i < NAMED; i++)
        ids[i] = arena_printf(&f.arena, "i-%d", i);
    ok(store_write(f.store, insert_named, ids));
    assert_int_equal(questions_of(&f, ids, PER_QUESTION), 1);
    assert_int_equal(questions_of(&f, ids, PER_QUESTION + 6), 2);
    assert_int_equal(questions_of(&f, ids, LIMIT_BATCH_OPS), LIMIT_BATCH_OPS / PER_QUESTION);
    assert_int_equal(questions_of(&f, ids, NAMED), LIMIT_BATCH_OPS / PER_QUESTION + 76);
    fixture_done(&f);
}

/* ── piles ── */

/* What is sent of a statement for many rows; NULL: its rows are sent one by one. */
static void assert_pile(const char *sql, int count, const char *expected)
{
    struct postgres_stmt stmt = {.sql = xstrdup(sql), .count = count, .name = "s7"};
    const Oid types[] = {TYPE_I64, TYPE_TEXT, TYPE_BYTES, TYPE_DOUBLE};

    stmt.pile = pile_new(&stmt, types);
    assert_int_equal(stmt.pile->kind != PILE_NONE, expected != NULL);
    if (expected)
        assert_string_equal(stmt.pile->sql, expected);
    stmt.pile = pile_free(stmt.pile);
    xfree(stmt.sql);
}

static void test_statements_of_many_rows(void **state)
{
    (void)state;
    assert_pile("INSERT INTO t (a, b) VALUES ($1, $2)", 2,
                "INSERT INTO t (a, b) SELECT v.p1, v.p2 FROM unnest($1::bigint[], $2::text[]) AS v (p1, p2)");
    assert_pile("INSERT INTO t (a) VALUES ($1) ON CONFLICT DO NOTHING", 1, "INSERT INTO t (a) SELECT v.p1 FROM unnest($1::bigint[]) AS v (p1)");
    assert_pile("INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET a = 1", 1, NULL);
    assert_pile("UPDATE t SET b = $3, c = $4 WHERE a = $1 AND b <> $2", 4,
                "UPDATE t SET b = v.p3, c = v.p4 FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::double precision[])"
                " AS v (p1, p2, p3, p4) WHERE a = v.p1 AND b <> v.p2");
    assert_pile("UPDATE t SET a = 1", 0, NULL);
    assert_pile("UPDATE t SET a = $1", 1, NULL);
    assert_pile("DELETE FROM t WHERE a = $1", 1, NULL);
    assert_aborts(assert_pile("UPDATE t SET a = (SELECT b FROM u) WHERE a = $1", 1, NULL));
}

/* Another node has taken the nonce: one write hears of it, the others of its batch are kept. */
static int take_nonce(struct tx *tx, struct item *item)
{
    struct str nonce = arena_printf(tx_arena(tx), "nonce-%d", (int)item->n);

    return store_nonce_put(tx, STR("key"), nonce, 1000, tx_now(tx) + USEC_PER_HOUR);
}

static void test_a_nonce_of_another_node_in_a_batch(void **state)
{
    struct pair pair;
    struct batch there = {.f = &pair.second};
    struct batch here = {.f = &pair.first};

    (void)state;
    pair_init(&pair);
    pair_open(&pair);
    batch_add(&there, take_nonce, 2);
    batch_run(&there);
    for (int64_t n = 1; n <= 3; n++)
        batch_add(&here, take_nonce, n);
    batch_run(&here);
    assert_int_equal(there.items[0].result, 0);
    for (size_t i = 0; i < here.count; i++)
        assert_int_equal(here.items[i].result, i == 1 ? -E_EXISTS : 0);
    pair_done(&pair);
}

/* ── a database that asks for another try ── */

struct contested {
    struct write write;
    int conflicts; /* to come */
    int runs;
    int result;
};

static int contested_run(struct tx *tx, struct write *write)
{
    struct contested *c = container_of(write, struct contested, write);
    int r = count_up(tx, NULL);

    c->runs++;
    if (r == 0 && c->conflicts-- > 0)
        r = tx_check(tx, tx->db->ops->exec(tx->db, "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$"));
    return r;
}

static void contested_done(struct write *write, int result)
{
    container_of(write, struct contested, write)->result = result;
}

static void contest(struct fixture *f, struct contested *c, bool repeats, int conflicts)
{
    *c = (struct contested){.write = {.run = contested_run, .done = contested_done, .repeats = repeats}, .conflicts = conflicts};
    ok(store_submit(f->store, &c->write));
    assert_int_equal(store_run_once(f->store), 1);
}

static void test_a_conflict_is_tried_again(void **state)
{
    struct contested c;
    struct pair pair;

    (void)state;
    pair_init(&pair);
    pair_open(&pair);
    contest(&pair.first, &c, true, 3);
    assert_int_equal(c.result, 0);
    assert_int_equal(c.runs, 4);
    contest(&pair.first, &c, true, 1000); /* but not for ever */
    assert_int_equal(c.result, -E_BUSY);
    assert_in_range(c.runs, 2, 20);
    contest(&pair.first, &c, false, 3);
    assert_int_equal(c.result, -E_BUSY);
    assert_int_equal(c.runs, 1);
    assert_int_equal(counter_of(&pair.second), 1);
    pair_done(&pair);
}

static int own_tests(const struct db_driver *driver)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_older_version),
        cmocka_unit_test(test_older_nodes_write_on_beside_a_migration_that_lets_them),
        cmocka_unit_test(test_older_nodes_leave_tables_that_they_do_not_know),
        cmocka_unit_test(test_a_killed_node_can_come_back),
        cmocka_unit_test(test_an_outcome_is_found_out),
        cmocka_unit_test(test_a_conflict_is_tried_again),
        cmocka_unit_test(test_a_session_ends_among_posts),
        cmocka_unit_test(test_posts_share_a_round_trip),
        cmocka_unit_test(test_what_a_write_names_is_read_at_once),
        cmocka_unit_test(test_statements_of_many_rows),
        cmocka_unit_test(test_a_nonce_of_another_node_in_a_batch),
    };

    conform_driver = driver;
    return cmocka_run_group_tests_name("postgresql's own", tests, NULL, NULL);
}

int main(void)
{
    struct db_driver driver = postgres_driver;
    int failed;

    if (!getenv("ECSD_POSTGRES")) {
        (void)puts("skipped: run it by test/postgres/server.py");
        return 77;
    }
    driver.open = open_schema;
    failed = conform_store("store on postgresql", &driver);
    failed += conform_batch("batches on postgresql", &driver);
    failed += conform_nodes("nodes on postgresql", &driver);
    return failed + own_tests(&driver);
}
