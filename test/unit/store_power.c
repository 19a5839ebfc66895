/* SPDX-License-Identifier: Apache-2.0 */
/* What was acknowledged is there after a power failure, whatever the disk refused before. */
#include "unit/store_fixture.h"

#include "base/log.h"
#include "kit/disk_fault.h"

static int set_number(struct tx *tx, void *arg)
{
    return store_number_set(tx, *(const struct str *)arg, 1);
}

static int set(struct fixture *f, const char *name)
{
    struct str text = str_from(name);

    return store_write(f->store, set_number, &text);
}

static int64_t number_of(struct fixture *f, const char *name)
{
    struct tx *tx = store_read_begin(f->store);
    int64_t value = 0;

    assert_int_equal(store_number_get(tx, str_from(name), &value), 0);
    store_read_end(tx);
    return value;
}

/* As kill -9: the last connection's closing changes no file. */
static void kill_store(struct fixture *f)
{
    struct disk_fault_plan dead = {
        .ops = DISK_OP_CHANGE, .nth = 1, .count = DISK_FAULT_FOR_EVER, .how = DISK_FAILURE_STOP};

    disk_fault_arm(&dead);
    f->store = store_close(f->store);
    disk_fault_arm(NULL);
}

static void set_up(struct fixture *f)
{
    fixture_init(f);
    f->env = env_free(f->env);
    f->env = env_new_seeded(1, 1800000000 * USEC_PER_SEC);
    fixture_open(f);
}

static void tear_down(struct fixture *f)
{
    f->store = store_close(f->store);
    disk_fault_forget(f->folder);
    fixture_done(f);
}

/*
 * Linux gives up the pages of a flush that failed: they are in memory, marked as written, and no later flush writes them. A
 * process that died after such a flush left its record of the log there; the next one reads it, and all that it writes
 * afterwards stands behind it.
 */
static void a_failed_flush_takes_nothing_along(void **state)
{
    struct disk_fault_plan plan = {.ops = DISK_OP_SYNC, .nth = 1, .how = DISK_FAILURE_IO};

    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct fixture f;

        set_up(&f);
        assert_int_equal(set(&f, "before"), 0);
        disk_fault_arm(&plan);
        assert_true(set(&f, "refused") < 0);
        kill_store(&f);
        fixture_open(&f);
        assert_int_equal(set(&f, "after"), 0);
        kill_store(&f);
        disk_fault_power_failure(f.folder, seed);
        fixture_open(&f);
        assert_int_equal(number_of(&f, "before"), 1);
        assert_int_equal(number_of(&f, "after"), 1);
        tear_down(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_flush_takes_nothing_along),
    };

    log_threshold = (enum log_level)(LOG_ERROR - 1); /* the store tells of what the tests do to it */
    disk_fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
