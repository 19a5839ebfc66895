/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a batch of writes that may run twice has to do: part of store.c. A driver may tell late what became of a change; each write
 * hears of its own all the same.
 */
#define BATCH_MAX 8
#define MANY 1400 /* more than a driver leaves unanswered, twice over */

struct batch;
struct item {
    struct write write;
    struct batch *batch;
    int (*body)(struct tx *tx, struct item *item);
    int64_t n; /* the body's */
    int runs;
    int result;
};

struct batch {
    struct fixture *f;
    struct str instance_id;
    struct item items[BATCH_MAX];
    size_t count;
};

static int item_run(struct tx *tx, struct write *write)
{
    struct item *item = container_of(write, struct item, write);

    item->runs++;
    return item->body(tx, item);
}

static void item_done(struct write *write, int result)
{
    container_of(write, struct item, write)->result = result;
}

static struct item *batch_add(struct batch *batch, int (*body)(struct tx *tx, struct item *item), int64_t n)
{
    struct item *item = &batch->items[batch->count++];

    assert_true(batch->count <= BATCH_MAX);
    *item = (struct item){.batch = batch, .body = body, .n = n, .result = 1};
    item->write = (struct write){.run = item_run, .done = item_done, .repeats = true, .about = {&batch->instance_id, 1}};
    ok(store_submit(batch->f->store, &item->write));
    return item;
}

static void batch_run(struct batch *batch)
{
    assert_int_equal(store_run_once(batch->f->store), batch->count);
}

static struct event event_of(int64_t id)
{
    return (struct event){.id = id, .time_us = 1, .kind = EVENT_KIND_STATE, .to_state = STR("Stopped")};
}

static int put_event(struct tx *tx, struct item *item)
{
    struct event event = event_of(item->n);

    return store_event_add(tx, &event);
}

static size_t count_events(struct fixture *f)
{
    struct tx *tx = store_read_begin(f->store);
    struct event *events;
    size_t count;

    ok(store_event_list(tx, 0, STR_NONE, 2 * MANY, &events, &count));
    store_read_end(tx);
    return count;
}

/* ── a change that fails ── */

static void test_a_failure_finds_its_write(void **state)
{
    struct fixture f;
    struct batch batch = {.f = &f};

    (void)state;
    fixture_init(&f);
    fixture_open_with(&f, conform_driver);
    batch_add(&batch, put_event, 1);
    batch_add(&batch, put_event, 2);
    batch_add(&batch, put_event, 1); /* its row is there already */
    batch_add(&batch, put_event, 3);
    batch_run(&batch);
    for (size_t i = 0; i < batch.count; i++)
        assert_int_equal(batch.items[i].result, i == 2 ? -E_EXISTS : 0);
    assert_int_equal(count_events(&f), 3);
    fixture_done(&f);
}

static int insert_job(struct tx *tx, struct item *item)
{
    struct job job = {.id = item->n, .created_us = 1, .holder = STR("n1"), .epoch = 1};

    return store_job_insert(tx, &job);
}

/* No error for the database: no row is met. */
static int save_foreign_job(struct tx *tx, struct item *item)
{
    struct job job = {.id = item->n, .holder = STR("n1"), .epoch = 2};

    return store_job_save(tx, &job);
}

static int violate(struct tx *tx, struct item *item)
{
    static const struct query query = {
        "INSERT INTO segment (instance_id, start_us, end_us, mode, public_ip) VALUES ($1, $2, 0, 0, 0)", NULL};

    return rows_post(tx, &query, ARGS(V_STR(STR_NONE), V_I64(item->n)), -E_EXISTS);
}

static void test_a_row_that_is_not_met(void **state)
{
    struct fixture f;
    struct batch batch = {.f = &f};

    (void)state;
    fixture_init(&f);
    fixture_open_with(&f, conform_driver);
    batch_add(&batch, insert_job, 7);
    batch_add(&batch, save_foreign_job, 7);
    batch_add(&batch, put_event, 1);
    batch_run(&batch);
    assert_int_equal(batch.items[0].result, 0);
    assert_int_equal(batch.items[1].result, -E_FENCED);
    assert_int_equal(batch.items[2].result, 0);
    assert_int_equal(count_events(&f), 1);
    fixture_done(&f);
}

/* Some databases end the transaction then: all that ran hear of it, and the rest goes into the next. */
static void test_an_error_of_the_database(void **state)
{
    struct fixture f;
    struct batch batch = {.f = &f};
    size_t stored = 0;

    (void)state;
    fixture_init(&f);
    fixture_open_with(&f, conform_driver);
    batch_add(&batch, put_event, 1);
    batch_add(&batch, violate, 1); /* a text that may not be absent */
    batch_add(&batch, put_event, 2);
    while (store_run_once(f.store) > 0)
        continue;
    for (size_t i = 0; i < batch.count; i++)
        stored += batch.items[i].result == 0;
    assert_true(batch.items[1].result < 0);
    assert_int_equal(batch.items[2].result, 0);
    assert_int_equal(count_events(&f), stored);
    fixture_done(&f);
}

/* ── many, and what is read among them ── */

static int add_many(struct tx *tx, struct item *item)
{
    for (int64_t id = 1; id <= MANY; id++) {
        struct event event = event_of(id);
        int r = store_event_add(tx, &event);

        if (r < 0)
            return r;
    }
    item->n = MANY;
    return 0;
}

/* What was changed before in the batch is seen, and rows are counted. */
static int look_at_many(struct tx *tx, struct item *item)
{
    struct account account = {.id = ACCOUNT, .name = STR("first"), .created_us = 1};
    struct event event = event_of(MANY + 1);
    struct event *events;
    size_t count;

    ok(store_event_add(tx, &event));
    ok(store_event_list(tx, 0, STR_NONE, 2 * MANY, &events, &count));
    assert_int_equal(count, MANY + 1);
    event.id++;
    ok(store_event_add(tx, &event));
    ok(store_account_insert(tx, &account));
    event.id++;
    ok(store_event_add(tx, &event));
    item->n = store_account_insert(tx, &account);
    return 0;
}

static void test_many_changes(void **state)
{
    struct fixture f;
    struct batch batch = {.f = &f};

    (void)state;
    fixture_init(&f);
    fixture_open_with(&f, conform_driver);
    batch_add(&batch, add_many, 0);
    batch_add(&batch, look_at_many, 0);
    batch_run(&batch);
    assert_int_equal(batch.items[0].result, 0);
    assert_int_equal(batch.items[1].result, 0);
    assert_int_equal(batch.items[1].n, -E_EXISTS);
    assert_int_equal(batch.items[0].runs, 1);
    assert_int_equal(count_events(&f), MANY + 3);
    fixture_done(&f);
}

/* ── many rows of several tables, changed more than once ── */

#define ROWS 150 /* more than a driver sends at once, twice over */

static struct str odd_text(int64_t n)
{
    static const char *const texts[] = {NULL, "", "NULL", "{\"a\",b}", "it's a \\ 'word'", "\xc3\xbc\n\t$1 v.p1"};
    const char *text = texts[n % (int64_t)countof(texts)];

    return text ? str_from(text) : STR_NONE;
}

static struct instance row_of(int64_t n)
{
    return (struct instance){.id = n % 2 ? STR("i-odd") : STR("i-even"), .account_id = ACCOUNT, .region_id = REGION, .version = 1,
                             .host_id = odd_text(n), .name = odd_text(n + 1), .spot_price_limit = -0.1 * (double)n, .expires_us = INT64_MAX - n};
}

static struct job job_of(struct tx *tx, int64_t n)
{
    return (struct job){.id = n, .created_us = 1, .holder = n % 2 ? STR("n1") : STR_NONE, .epoch = 1, .step = n % 3,
                        .disks = arena_printf(tx_arena(tx), "d-%d ", (int)n), .error = odd_text(n)};
}

static int make_rows(struct tx *tx, struct item *item)
{
    for (int64_t n = 1; n <= ROWS; n++) {
        struct instance inst = row_of(n);
        struct job job = job_of(tx, n);

        inst.id = arena_printf(tx_arena(tx), "i-%03d", (int)n);
        ok(store_instance_insert(tx, &inst));
        ok(store_job_insert(tx, &job));
        ok(store_segment_switch(tx, &inst, BILLING_MODE_RUNNING, n));
    }
    item->n = ROWS;
    return 0;
}

/* Each job twice, the second time back; every third instance twice, which only works one after the other. */
static int change_rows(struct tx *tx, struct item *item)
{
    for (int64_t n = 1; n <= ROWS; n++) {
        struct instance inst = row_of(n);
        struct job job = job_of(tx, n);

        inst.id = arena_printf(tx_arena(tx), "i-%03d", (int)n);
        for (int i = 0; i < (n % 3 ? 1 : 2); i++) {
            inst.host_id = odd_text(n + i);
            ok(store_instance_save(tx, &inst));
        }
        for (int i = 2; i > 0; i--) {
            job.attempts = 10 * n + i;
            job.error = odd_text(n + i);
            ok(store_job_save(tx, &job));
        }
        ok(store_segment_switch(tx, &inst, BILLING_MODE_KEPT, n + 10));
    }
    item->n = ROWS;
    return 0;
}

static void assert_text(struct str is, struct str expected)
{
    assert_int_equal(is.ptr != NULL, expected.ptr != NULL);
    assert_true(str_eq(is, expected));
}

static void assert_row(struct tx *tx, int64_t n)
{
    struct str id = arena_printf(tx_arena(tx), "i-%03d", (int)n);
    struct instance expected = row_of(n);
    struct segment *segments;
    struct instance *inst;
    struct job *job;
    size_t count;

    ok(store_instance_get(tx, id, &inst));
    assert_int_equal(inst->version, n % 3 ? 2 : 3);
    assert_text(inst->host_id, odd_text(n % 3 ? n : n + 1));
    assert_text(inst->name, expected.name);
    assert_true(inst->spot_price_limit == expected.spot_price_limit);
    assert_int_equal(inst->expires_us, expected.expires_us);
    ok(store_job_get(tx, n, &job));
    assert_int_equal(job->attempts, 10 * n + 1);
    assert_int_equal(job->step, n % 3);
    assert_text(job->error, odd_text(n + 1));
    assert_text(job->disks, arena_printf(tx_arena(tx), "d-%d ", (int)n));
    ok(store_segment_list(tx, id, &segments, &count));
    assert_int_equal(count, 2);
    assert_int_equal(segments[0].end_us, n + 10);
    assert_int_equal(segments[1].start_us, n + 10);
}

static void test_rows_changed_in_one_batch(void **state)
{
    struct fixture f;
    struct batch batch = {.f = &f};
    struct tx *tx;

    (void)state;
    fixture_init(&f);
    fixture_open_with(&f, conform_driver);
    batch_add(&batch, make_rows, 0);
    batch_add(&batch, change_rows, 0);
    batch_run(&batch);
    for (size_t i = 0; i < batch.count; i++) {
        assert_int_equal(batch.items[i].result, 0);
        assert_int_equal(batch.items[i].runs, 1); /* nothing had to be done again */
    }
    tx = store_read_begin(f.store);
    for (int64_t n = 1; n <= ROWS; n++)
        assert_row(tx, n);
    store_read_end(tx);
    fixture_done(&f);
}

/* ── an instance that several writes of a batch are about ── */

static int insert_instance(struct tx *tx, void *arg)
{
    struct batch *batch = arg;
    struct instance inst = fixture_instance(batch->f);

    batch->instance_id = inst.id;
    ok(store_instance_insert(tx, &inst));
    return store_segment_switch(tx, &inst, BILLING_MODE_RUNNING, 100);
}

/* Each finds the row, the segment and the disks as the one before it left them. */
static int step_instance(struct tx *tx, struct item *item)
{
    struct disk disk = {.id = STR("d-1"), .account_id = ACCOUNT, .instance_id = item->batch->instance_id, .status = 1};
    struct instance *inst;
    bool busy;

    ok(store_instance_get_hot(tx, item->batch->instance_id, &inst));
    assert_int_equal(inst->version, item->n);
    assert_int_equal(inst->job_id, item->n == 1 ? 0 : item->n - 1);
    ok(store_disk_busy(tx, inst->id, &busy));
    assert_int_equal(busy, item->n > 1);
    if (!busy)
        ok(store_disk_insert(tx, &disk));
    inst->job_id = item->n;
    ok(store_instance_save(tx, inst));
    return store_segment_switch(tx, inst, BILLING_MODE_KEPT, 100 * (item->n + 1));
}

static int read_segments(struct tx *tx, struct item *item)
{
    static const struct query open = {"SELECT start_us FROM segment WHERE end_us = 0", NULL};
    static const struct query all = {"SELECT COUNT(*) FROM segment", NULL};
    int64_t count;

    ok(rows_number(tx, &all, NO_ARGS, 0, &count));
    assert_int_equal(count, 4);
    return rows_number(tx, &open, NO_ARGS, 0, &item->n);
}

static void test_an_instance_in_one_batch(void **state)
{
    struct fixture f;
    struct batch batch = {.f = &f};

    (void)state;
    fixture_init(&f);
    fixture_open_with(&f, conform_driver);
    ok(store_write(f.store, insert_instance, &batch));
    for (int64_t n = 1; n <= 3; n++)
        batch_add(&batch, step_instance, n);
    batch_add(&batch, read_segments, 0);
    batch_run(&batch);
    for (size_t i = 0; i < batch.count; i++)
        assert_int_equal(batch.items[i].result, 0);
    assert_int_equal(batch.items[3].n, 400);
    fixture_done(&f);
}

static int conform_batch(const char *name, const struct db_driver *driver)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failure_finds_its_write), cmocka_unit_test(test_a_row_that_is_not_met),
        cmocka_unit_test(test_an_error_of_the_database),  cmocka_unit_test(test_many_changes),
        cmocka_unit_test(test_rows_changed_in_one_batch), cmocka_unit_test(test_an_instance_in_one_batch),
    };

    conform_driver = driver;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
