/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was acknowledged is there, whatever happens: kill -9 at any moment, any call of the driver
 * failing, a full disk.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "unit/store_steps.h"

/* ── kill -9 ── */

#define KILL_ROUNDS 30
#define KILL_WRITERS 8

static int pipe_fd;

/* Two rows that belong together, and the acknowledgement. */
struct pair {
    struct write write;
    struct store *store;
    int64_t number;
    int64_t step;
};

static int pair_run(struct tx *tx, struct write *write)
{
    struct pair *pair = container_of(write, struct pair, write);
    struct event event = {.time_us = tx_now(tx), .instance_id = name_of(tx, "e", pair->number)};
    int r = store_number_set(tx, name_of(tx, "left", pair->number), pair->number);

    if (r == 0)
        r = store_event_add(tx, &event);
    return r < 0 ? r : store_number_set(tx, name_of(tx, "right", pair->number), pair->number);
}

static int write_number(int fd, int64_t number)
{
    return write(fd, &number, sizeof(number)) == (ssize_t)sizeof(number) ? 0 : -1;
}

static void pair_done(struct write *write, int result)
{
    struct pair *pair = container_of(write, struct pair, write);

    if (result != 0 || write_number(pipe_fd, pair->number) < 0)
        _exit(3);
    pair->number += pair->step;
    if (store_submit(pair->store, write) != 0)
        _exit(4);
}

static void child(struct fixture *f, int64_t from)
{
    static struct pair pairs[KILL_WRITERS];

    f->env = env_new_real();
    fixture_open(f);
    for (int64_t i = 0; i < KILL_WRITERS; i++) {
        pairs[i] = (struct pair){.write = {.run = pair_run, .done = pair_done},
                                 .store = f->store,
                                 .number = from + i,
                                 .step = KILL_WRITERS};
        if (store_submit(f->store, &pairs[i].write) != 0)
            _exit(5);
    }
    if (store_start(f->store) != 0)
        _exit(6);
    for (;;)
        pause();
}

/* Reads acknowledgements until `enough` came, kills, reads what is left; returns the greatest of
 * each writer. */
static void parent(int fd, pid_t pid, int64_t enough, int64_t from, int64_t acked[KILL_WRITERS])
{
    int64_t number = 0;
    int64_t count = 0;
    bool killed = false;

    while (read(fd, &number, sizeof(number)) == (ssize_t)sizeof(number)) {
        acked[(number - from) % KILL_WRITERS] = number;
        if (++count >= enough && !killed) {
            assert_int_equal(kill(pid, SIGKILL), 0);
            killed = true;
        }
    }
    assert_true(killed);
}

static void check(struct fixture *f, int64_t from, const int64_t acked[KILL_WRITERS],
                  int64_t *ret_next)
{
    struct tx *tx = store_read_begin(f->store);
    int64_t last = from;

    for (int64_t w = 0; w < KILL_WRITERS; w++) {
        for (int64_t n = from + w;; n += KILL_WRITERS) {
            int64_t left = 0;
            int64_t right = 0;

            assert_int_equal(store_number_get(tx, name_of(tx, "left", n), &left), 0);
            assert_int_equal(store_number_get(tx, name_of(tx, "right", n), &right), 0);
            assert_int_equal(left, right); /* both or none */
            if (left == 0) {
                assert_true(n > acked[w]);
                break;
            }
            last = MAX_OF(last, n);
        }
    }
    *ret_next = last + 1 + KILL_WRITERS;
    store_read_end(tx);
}

static void test_kill(void **state)
{
    struct fixture f;
    int64_t next = 1;

    (void)state;
    fixture_init(&f);
    for (int round = 0; round < KILL_ROUNDS; round++) {
        int64_t acked[KILL_WRITERS] = {0};
        int64_t from = next;
        /* From the first acknowledgement to some checkpoints later, in uneven steps. */
        int64_t enough = 1 + (int64_t)round * round * 3;
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)close(fds[0]);
            pipe_fd = fds[1];
            child(&f, from);
        }
        assert_int_equal(close(fds[1]), 0);
        parent(fds[0], pid, enough, from, acked);
        assert_int_equal(close(fds[0]), 0);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        fixture_open(&f);
        check(&f, from, acked, &next);
        f.store = store_close(f.store);
    }
    fixture_done(&f);
}

/* ── every call of the driver fails once ── */

static bool fault_round(int64_t at, int code, bool lose)
{
    struct fixture f;
    bool done[STEPS] = {false};

    fixture_init(&f);
    fault_set(0, 0, false);
    fixture_open_with(&f, &fault_driver);
    assert_int_equal(store_write(f.store, make_instance, &f), 0);
    fault_set(at, code, lose);
    for (int64_t step = 0; step < STEPS; step++) {
        int r = store_write(f.store, step_run, &step);

        assert_true(r == 0 || r == -code);
        done[step] = r == 0;
        if (r < 0 && step % 2) { /* the caller tries again: its nonce was not used up */
            assert_int_equal(store_write(f.store, step_run, &step), 0);
            done[step] = true;
        }
    }
    bool hit = fault_get().hit;
    fault_set(0, 0, false);
    check_steps(&f, done);
    f.store = store_close(f.store);
    fixture_open_with(&f, &fault_driver);
    check_steps(&f, done);
    for (int64_t step = 0; step < STEPS; step++)
        assert_int_equal(store_write(f.store, step_run, &step), done[step] ? -E_EXISTS : 0);
    fixture_done(&f);
    return hit;
}

static void test_faults(void **state)
{
    static const int codes[] = {E_IO, E_NO_SPACE, E_BUSY};

    (void)state;
    for (size_t c = 0; c < countof(codes); c++) {
        int64_t at = 1;

        while (fault_round(at, codes[c], at % 2))
            at += POINT_STRIDE;
        print_message("  %lld calls failed with %s\n", (long long)at - 1,
                      error_rows[codes[c]].name);
        assert_true(at > 50);
    }
}

/* Opening fails cleanly at every call, and works afterwards. */
static void test_faulty_open(void **state)
{
    (void)state;
    for (int64_t at = 1;; at++) {
        struct fixture f;
        struct fail why;
        struct store_settings settings = {.cache_mib = 1, .checkpoint_ms = 100};

        fixture_init(&f);
        settings.env = f.env;
        fail_init(&why, &f.arena);
        fault_set(at, E_IO, false);
        int r = store_open_with(&fault_driver, f.path, &settings, &why, &f.store);
        bool hit = fault_get().hit;
        fault_set(0, 0, false);
        if (r < 0) {
            assert_true(hit);
            assert_true(why.message.len > 0);
            fixture_open_with(&f, &fault_driver);
        }
        assert_int_equal(store_write(f.store, make_instance, &f), 0);
        fixture_done(&f);
        if (!hit)
            break;
    }
}

/* ── a full disk ── */

static int fill(struct tx *tx, void *arg)
{
    static char text[4000];
    struct event event = {.time_us = 1, .reason = {text, sizeof(text)}};

    memset(text, 'x', sizeof(text));
    *(int64_t *)arg += 1;
    return store_event_add(tx, &event);
}

static void test_full_disk(void **state)
{
    struct fixture f;
    struct event *events = NULL;
    size_t count = 0;
    int64_t tries = 0;
    int r = 0;

    (void)state;
    fixture_init(&f);
    fixture_open(&f);
    assert_int_equal(store_write(f.store, make_instance, &f), 0);
    /* The database may not grow: SQLite says the same as when the disk is full. */
    assert_int_equal(
        f.store->writer.db->ops->exec(f.store->writer.db, "PRAGMA max_page_count = 150"), 0);
    while (r == 0 && tries < 1000)
        r = store_write(f.store, fill, &tries);
    assert_int_equal(r, -E_NO_SPACE);
    assert_int_equal(store_write(f.store, fill, &tries), -E_NO_SPACE);
    struct tx *tx = store_read_begin(f.store); /* reads go on */
    struct instance *inst = NULL;
    assert_int_equal(store_instance_get(tx, STR("i-fault"), &inst), 0);
    assert_int_equal(store_event_list(tx, 0, STR_NONE, 1000, &events, &count), 0);
    assert_int_equal(count, tries - 2); /* what was acknowledged, and nothing else */
    store_read_end(tx);
    assert_int_equal(
        f.store->writer.db->ops->exec(f.store->writer.db, "PRAGMA max_page_count = 100000"), 0);
    assert_int_equal(store_write(f.store, fill, &tries), 0); /* and writes, when there is room */
    fixture_done(&f);
}

static rlim_t file_bytes(const struct fixture *f, const char *suffix)
{
    struct stat facts;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s%s", f->path, suffix);
    assert_int_equal(stat(path, &facts), 0);
    return (rlim_t)facts.st_size;
}

/* The file can't grow in the middle of a commit: the commit fails, and later ones work. */
static void test_short_write(void **state)
{
    struct fixture f;
    struct rlimit before;
    struct event *events = NULL;
    size_t count = 0;
    int64_t tries = 0;
    int64_t failed = 0;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN); /* the write fails then, instead */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t room = 0; room < 40000; room += 1111) {
        fixture_init(&f);
        fixture_open(&f);
        tries = failed = 0;
        assert_int_equal(store_write(f.store, fill, &tries), 0);
        struct rlimit tight = {.rlim_cur = file_bytes(&f, "-wal") + room,
                               .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        for (int i = 0; i < 5; i++)
            failed += store_write(f.store, fill, &tries) != 0;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_true(failed > 0 || room > 30000);
        assert_int_equal(store_write(f.store, fill, &tries), 0);
        f.store = store_close(f.store);
        fixture_open(&f);
        struct tx *tx = store_read_begin(f.store);
        assert_int_equal(store_event_list(tx, 0, STR_NONE, 1000, &events, &count), 0);
        assert_int_equal(count, tries - failed);
        store_read_end(tx);
        fixture_done(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill),        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_faulty_open), cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_short_write),
    };

    return cmocka_run_group_tests_name("store_crash", tests, NULL, NULL);
}
