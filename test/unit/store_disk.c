/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th write and the n-th flush of the disk fail, it is full from the n-th write on, the process or the machine dies in
 * it, for n = 1, 2, … until a story of calls and checkpoints meets none. What was acknowledged is there; what was answered
 * with an error is not: at once, after the process was killed, and after the power failed.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "kit/disk_fault.h"

#include "base/log.h"
#include "unit/store_steps.h"

#define LARGE_STEP 3     /* its pages don't fit into the cache: some reach the log before the COMMIT */
#define LARGE_EVENTS 40 /* of 4000 bytes */
#define ALWAYS DISK_FAULT_FOR_EVER
#define UNKNOWN STEPS    /* every step has its answer */

enum end { END_GOES_ON, END_KILLED, END_POWER_FAILS, END_COUNT };

struct story {
    const char *name;
    struct disk_fault_plan plan;
    enum end end;
    uint64_t seeds; /* so many power failures at each point */
};

/* A store with one instance, made once: its tables take longer than a story. */
static char made[1 << 20];
static size_t made_bytes;

static void make_store(void)
{
    struct fixture f;

    fixture_init(&f);
    fixture_open(&f);
    assert_int_equal(store_write(f.store, make_instance, &f), 0);
    f.store = store_close(f.store);
    int fd = open(f.path, O_RDONLY | O_CLOEXEC);
    ssize_t got = read(fd, made, sizeof(made));
    assert_true(got > 0 && got < (ssize_t)sizeof(made));
    made_bytes = (size_t)got;
    assert_int_equal(close(fd), 0);
    fixture_done(&f);
    disk_fault_forget(f.folder);
}

static void copy_store(const struct fixture *f)
{
    int fd = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, made, made_bytes), made_bytes);
    assert_int_equal(close(fd), 0);
}

static void open_store(struct fixture *f)
{
    struct store_settings settings = {.cache_mib = 1, .checkpoint_ms = 100, .env = f->env};
    struct fail why;

    fail_init(&why, &f->arena);
    int r = store_open_with(&sqlite_driver, f->path, &settings, &why, &f->store);
    if (r < 0)
        fail_msg("store_open: %.*s", STR_ARG(why.message));
    assert_int_equal(f->store->writer.db->ops->exec(f->store->writer.db, "PRAGMA cache_size = 16"), 0);
}

static int story_step(struct tx *tx, void *arg)
{
    static const char text[4000] = "x";
    struct event event = {.time_us = 1, .reason = {text, sizeof(text)}};
    int r = step_run(tx, arg);

    for (int i = 0; r == 0 && *(int64_t *)arg == LARGE_STEP && i < LARGE_EVENTS; i++)
        r = store_event_add(tx, &event);
    return r;
}

static void checkpoint(struct fixture *f, enum db_checkpoint mode)
{
    struct db *db = f->store->writer.db;

    (void)db->ops->checkpoint(db, mode); /* may fail: nothing may come of that */
}

/* Returns the step in whose midst the process died; UNKNOWN: in none. */
static int64_t tell_story(struct fixture *f, bool stops, bool done[STEPS])
{
    for (int64_t step = 0; step < STEPS; step++) {
        int64_t failed = disk_fault_counts().failed;
        int r = store_write(f->store, story_step, &step);

        assert_true(r == 0 || r == -E_IO || r == -E_NO_SPACE);
        done[step] = r == 0;
        if (stops && failed == 0 && disk_fault_counts().failed > 0)
            return step;
        if (step == 1)
            checkpoint(f, DB_CHECKPOINT_PASSIVE);
        if (step == LARGE_STEP)
            checkpoint(f, DB_CHECKPOINT_RESTART);
        if (step == LARGE_STEP + 1)
            checkpoint(f, DB_CHECKPOINT_TRUNCATE);
        if (stops && disk_fault_counts().failed > 0)
            break;
    }
    return UNKNOWN;
}

static void check_story(struct fixture *f, int64_t unknown, bool done[STEPS])
{
    struct tx *tx = store_read_begin(f->store);
    struct event *events;
    size_t count;
    int64_t value;

    if (unknown < STEPS) {
        char name[32];

        (void)snprintf(name, sizeof(name), "step-%lld", (long long)unknown);
        assert_int_equal(store_number_get(tx, str_from(name), &value), 0);
        done[unknown] = value == 1;
    }
    assert_int_equal(store_event_list(tx, 0, STR_NONE, LARGE_EVENTS + 1, &events, &count), 0);
    assert_int_equal(count, done[LARGE_STEP] ? LARGE_EVENTS : 0);
    store_read_end(tx);
    check_steps(f, done);
}

static void end_story(struct fixture *f, enum end end, uint64_t seed)
{
    static const struct disk_fault_plan dead = {.ops = DISK_OP_CHANGE, .nth = 1, .how = DISK_FAILURE_STOP};

    disk_fault_arm(end == END_GOES_ON ? NULL : &dead);
    f->store = store_close(f->store);
    disk_fault_arm(NULL);
    if (end == END_POWER_FAILS)
        disk_fault_power_failure(f->folder, seed);
    open_store(f);
}

/* True: the story met the failure. */
static bool play(const struct story *story, int64_t nth, uint64_t seed)
{
    struct disk_fault_plan plan = story->plan;
    struct fixture f;
    bool done[STEPS] = {false};

    fixture_init(&f);
    copy_store(&f);
    open_store(&f);
    plan.nth = nth;
    plan.seed = seed;
    disk_fault_arm(&plan);
    int64_t unknown = tell_story(&f, plan.how == DISK_FAILURE_STOP, done);
    bool met = disk_fault_counts().failed > 0;
    if (plan.how != DISK_FAILURE_STOP)
        check_story(&f, UNKNOWN, done);
    end_story(&f, story->end, seed);
    check_story(&f, unknown, done);
    for (int64_t step = 0; step < STEPS; step++)
        assert_int_equal(store_write(f.store, step_run, &step), done[step] ? -E_EXISTS : 0);
    fixture_done(&f);
    disk_fault_forget(f.folder);
    return met;
}

static void fails_everywhere(void **state)
{
    const struct story *story = *state;
    int64_t nth = 1;
    bool met = true;

    for (; met; nth += POINT_STRIDE) {
        met = false;
        for (uint64_t seed = 0; seed < MAX_OF(1, story->seeds); seed++)
            met = play(story, nth, (uint64_t)nth * 16 + seed) || met;
        assert_true(nth < 1000);
    }
    print_message("  %s: failed at %lld points\n", story->name, (long long)nth - 2);
    assert_true(nth > 6);
}

#define ALWAYS DISK_FAULT_FOR_EVER

/* ── opening ── */

static int try_open(struct fixture *f, struct fail *why)
{
    struct store_settings settings = {.cache_mib = 1, .checkpoint_ms = 100, .env = f->env};

    fail_init(why, &f->arena);
    return store_open_with(&sqlite_driver, f->path, &settings, why, &f->store);
}

/* What a start leaves that failed, or was killed, is no hindrance to the next. True: it met the failure. */
static bool open_fails_at(const struct disk_fault_plan *plan, bool fresh, bool power, uint64_t seed)
{
    struct fixture f;
    struct fail why;
    struct instance *inst;

    fixture_init(&f);
    if (!fresh)
        copy_store(&f);
    disk_fault_arm(plan);
    int r = try_open(&f, &why);
    bool met = disk_fault_counts().failed > 0;
    assert_true(r == 0 || (met && why.message.len > 0));
    if (plan->how != DISK_FAILURE_STOP)
        disk_fault_arm(NULL);
    f.store = store_close(f.store);
    disk_fault_arm(NULL);
    if (power)
        disk_fault_power_failure(f.folder, seed);
    open_store(&f);
    if (fresh)
        assert_int_equal(store_write(f.store, make_instance, &f), 0);
    struct tx *tx = store_read_begin(f.store);
    assert_int_equal(store_instance_get(tx, STR("i-fault"), &inst), 0);
    store_read_end(tx);
    fixture_done(&f);
    disk_fault_forget(f.folder);
    return met;
}

static void open_fails_everywhere(void **state)
{
    static const struct disk_fault_plan plans[] = {
        {DISK_OP_CHANGE, 0, 1, DISK_FAILURE_IO, 0},
        {DISK_OP_WRITE, 0, DISK_FAULT_FOR_EVER, DISK_FAILURE_SHORT, 0},
        {DISK_OP_READ, 0, 1, DISK_FAILURE_IO, 0},
        {DISK_OP_CHANGE, 0, 1, DISK_FAILURE_STOP, 0},
    };
    int total = 0;

    (void)state;
    for (size_t i = 0; i < 2 * countof(plans); i++) {
        struct disk_fault_plan plan = plans[i / 2];
        bool met = true;

        for (plan.nth = 1; met; plan.nth++) {
            bool power = plan.how == DISK_FAILURE_STOP && plan.nth % 3 != 0; /* else a kill */

            plan.seed = (uint64_t)plan.nth;
            met = open_fails_at(&plan, i % 2 == 0, power, (uint64_t)plan.nth);
            total += met;
        }
    }
    print_message("  opening failed at %d points\n", total);
    assert_true(total > 20);
}

/* ── what the log says ── */

/* In a process of its own: the same is said every ten seconds at most. Returns what it said. */
static void log_of(const struct disk_fault_plan *plan, int error, char *ret, size_t room)
{
    int fds[2];
    int status;
    size_t len = 0;
    ssize_t got;

    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fixture f;
        int64_t step = 0;

        (void)dup2(fds[1], STDERR_FILENO); /* if not, the parent reads nothing */
        log_threshold = LOG_ERROR;
        fixture_init(&f);
        copy_store(&f);
        open_store(&f);
        disk_fault_arm(plan);
        int failed = store_write(f.store, step_run, &step);
        disk_fault_arm(NULL);
        int later = store_write(f.store, step_run, &step);
        fixture_done(&f);
        _exit(failed == -error && later == 0 ? 0 : 1);
    }
    assert_int_equal(close(fds[1]), 0);
    while ((got = read(fds[0], ret + len, room - 1 - len)) > 0)
        len += (size_t)got;
    ret[len] = '\0';
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void log_says(const struct disk_fault_plan *plan, int error, const char *what, const char *advice)
{
    char text[2048];

    log_of(plan, error, text, sizeof(text));
    if (!strstr(text, what) || !strstr(text, advice))
        fail_msg("\"%s\" and \"%s\" are not in\n%s", what, advice, text);
}

/* What happened and what to do; the process goes on, and works when the disk does. */
static void failures_are_told(void **state)
{
    (void)state;
    log_says(&(struct disk_fault_plan){DISK_OP_WRITE, 1, ALWAYS, DISK_FAILURE_FULL, 0}, E_NO_SPACE, "the store failed",
             "make room on the disk of the data folder");
    log_says(&(struct disk_fault_plan){DISK_OP_WRITE, 1, 1, DISK_FAILURE_IO, 0}, E_IO, "the store failed",
             "look at the disk and the permissions of the data folder");
    log_says(&(struct disk_fault_plan){DISK_OP_SYNC, 1, 1, DISK_FAILURE_IO, 0}, E_IO, "the store failed",
             "look at the disk and the permissions of the data folder");
    log_says(&(struct disk_fault_plan){DISK_OP_SYNC, 1, ALWAYS, DISK_FAILURE_IO, 0}, E_IO, "could not be taken back",
             "look at the disk of the data folder");
}

/* clang-format off */
static const struct story stories[] = {
    {"write fails",                {DISK_OP_WRITE, .how = DISK_FAILURE_IO}, END_GOES_ON, 0},
    {"write fails, killed",        {DISK_OP_WRITE, .how = DISK_FAILURE_IO}, END_KILLED, 0},
    {"write fails, power fails",   {DISK_OP_WRITE, .how = DISK_FAILURE_IO}, END_POWER_FAILS, 2},
    {"short write",                {DISK_OP_WRITE, .how = DISK_FAILURE_SHORT}, END_GOES_ON, 0},
    {"short write, killed",        {DISK_OP_WRITE, .how = DISK_FAILURE_SHORT}, END_KILLED, 0},
    {"disk stays full",            {DISK_OP_WRITE, 0, ALWAYS, DISK_FAILURE_SHORT, 0}, END_GOES_ON, 0},
    {"disk stays full, killed",    {DISK_OP_WRITE, 0, ALWAYS, DISK_FAILURE_SHORT, 0}, END_KILLED, 0},
    {"disk stays full, power fails", {DISK_OP_WRITE, 0, ALWAYS, DISK_FAILURE_FULL, 0}, END_POWER_FAILS, 2},
    {"flush fails",                {DISK_OP_SYNC, .how = DISK_FAILURE_IO}, END_GOES_ON, 0},
    {"flush fails, killed",        {DISK_OP_SYNC, .how = DISK_FAILURE_IO}, END_KILLED, 0},
    {"flush fails, power fails",   {DISK_OP_SYNC, .how = DISK_FAILURE_IO}, END_POWER_FAILS, 4},
    {"flushes go on failing",      {DISK_OP_SYNC, 0, ALWAYS, DISK_FAILURE_IO, 0}, END_GOES_ON, 0},
    {"flushes go on failing, killed", {DISK_OP_SYNC, 0, ALWAYS, DISK_FAILURE_IO, 0}, END_KILLED, 0},
    {"all fails from there on",    {DISK_OP_CHANGE, 0, ALWAYS, DISK_FAILURE_IO, 0}, END_GOES_ON, 0},
    {"killed in it",               {DISK_OP_CHANGE, .how = DISK_FAILURE_STOP}, END_KILLED, 0},
    {"power fails in it",          {DISK_OP_CHANGE, .how = DISK_FAILURE_STOP}, END_POWER_FAILS, 4},
};
/* clang-format on */

int main(void)
{
    struct CMUnitTest tests[countof(stories) + 2] = {
        cmocka_unit_test(failures_are_told), /* first: nothing has failed before */
        cmocka_unit_test(open_fails_everywhere),
    };

    for (size_t i = 0; i < countof(stories); i++)
        tests[i + 2] = (struct CMUnitTest){stories[i].name, fails_everywhere, NULL, NULL,
                                       (void *)(uintptr_t)&stories[i]};
    log_threshold = (enum log_level)0; /* failures are what it is about */
    disk_fault_install();
    make_store();
    return cmocka_run_group_tests_name("store_disk", tests, NULL, NULL);
}
