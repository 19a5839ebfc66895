/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated hosts in a folder that several have open: that all see one world, whoever gives the orders, however late they
 * come, and whatever is torn. Under a clock of ours; processes that race are in sim_race.c.
 */
#include "unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "hypervisor/sim_record.h"
#include "unit/sim_fixture.h"

#define DATA STR("d-data")

/* Two that have the folder open, and a third that comes when it is asked for. */
struct trio {
    struct world a;
    struct world b;
    struct world late;
};

static void trio_open_late(struct trio *t)
{
    t->late.hv = hypervisor_close(t->late.hv);
    world_open(&t->late);
}

static int trio_setup(void **state)
{
    struct trio *t = xcalloc(1, sizeof(*t));

    t->a.env = env_new_seeded(42, 1000 * USEC_PER_SEC);
    t->a.boot_id = "one";
    t->a.shared = true;
    world_make_dir(&t->a);
    t->b = t->a;
    t->late = t->a;
    world_open(&t->a);
    world_open(&t->b);
    *state = t;
    return 0;
}

static void trio_close(struct trio *t)
{
    t->a.hv = hypervisor_close(t->a.hv);
    t->b.hv = hypervisor_close(t->b.hv);
    t->late.hv = hypervisor_close(t->late.hv);
}

static int trio_teardown(void **state)
{
    struct trio *t = *state;
    char path[128];

    trio_close(t);
    world_path(&t->a, path);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/sim.lock", t->a.dir);
    (void)unlink(path);
    (void)rmdir(t->a.dir);
    env_free(t->a.env);
    xfree(t);
    return 0;
}

static off_t file_size(const struct trio *t)
{
    char path[128];
    struct stat status;

    world_path(&t->a, path);
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

static void assert_all_see(struct trio *t, struct str id, enum machine_state state, int64_t incarnation)
{
    struct machine_status a = world_probe(&t->a, id);
    struct machine_status b = world_probe(&t->b, id);
    struct machine_status late;

    trio_open_late(t);
    late = world_probe(&t->late, id);
    assert_int_equal(a.state, state);
    assert_int_equal(a.incarnation, incarnation);
    assert_int_equal(b.state, a.state);
    assert_int_equal(b.incarnation, a.incarnation);
    assert_int_equal(b.end, a.end);
    assert_int_equal(b.since_us, a.since_us);
    assert_int_equal(late.state, a.state);
    assert_int_equal(late.incarnation, a.incarnation);
    assert_int_equal(late.end, a.end);
    assert_int_equal(late.since_us, a.since_us);
}

/* ── what one does, the other sees ── */

static void orders_of_one_are_seen_by_the_other(void **state)
{
    struct trio *t = *state;

    world_define(&t->a, VM);
    assert_all_see(t, VM, MACHINE_OFF, 0);
    world_start(&t->b, VM, 1);
    assert_all_see(t, VM, MACHINE_BOOTING, 1);
    env_advance(t->a.env, BOOT_MS * MS);
    assert_all_see(t, VM, MACHINE_RUNNING, 1);
    assert_int_equal(t->a.hv->ops->press(t->a.hv, HOST, VM, 1), 0);
    assert_int_equal(t->b.hv->ops->undefine(t->b.hv, HOST, VM), -E_BUSY);
    env_advance(t->a.env, SHUTDOWN_MS * MS);
    assert_all_see(t, VM, MACHINE_OFF, 1);
    assert_int_equal(world_disk(&t->a, ROOT).durable, 2);
    assert_int_equal(world_disk(&t->b, ROOT).durable, 2);
    assert_int_equal(world_disk(&t->late, ROOT).durable, 2);
    assert_int_equal(t->b.hv->ops->start(t->b.hv, HOST, VM, 1, NULL), 0); /* an incarnation lives once */
    assert_all_see(t, VM, MACHINE_OFF, 1);
    assert_int_equal(t->b.hv->ops->undefine(t->b.hv, HOST, VM), 0);
    assert_all_see(t, VM, MACHINE_ABSENT, 0);
    assert_true(sim_disk_kept(t->a.hv, ROOT));
    assert_int_equal(t->a.hv->ops->disk_delete(t->a.hv, ROOT), 0);
    assert_false(sim_disk_kept(t->b.hv, ROOT));
}

static void a_host_is_lost_for_all(void **state)
{
    struct trio *t = *state;
    struct machine_status status;

    world_run(&t->a, VM, 1);
    world_set(&t->b, STR_NONE, "state", "down");
    assert_int_equal(t->a.hv->ops->probe(t->a.hv, HOST, VM, &status), -E_UNREACHABLE);
    world_set(&t->a, STR_NONE, "crash", NULL);
    world_set(&t->a, STR_NONE, "state", "up");
    assert_all_see(t, VM, MACHINE_OFF, 1);
    assert_int_equal(world_probe(&t->b, VM).end, MACHINE_END_HOST);
}

/* A host that one has added, another one adds for itself; it is the same. */
static void hosts_are_the_same_but_each_adds_them(void **state)
{
    struct trio *t = *state;
    struct str other = STR("h-2");
    struct machine_spec spec = {.id = VM};
    struct machine_status status;

    assert_int_equal(t->a.hv->ops->host_add(t->a.hv, other, STR("sim:"), NULL), 0);
    assert_int_equal(t->b.hv->ops->host_add(t->b.hv, STR("h-3"), STR("sim:"), NULL), 0);
    assert_int_equal(t->a.hv->ops->define(t->a.hv, other, &spec, NULL), 0);
    assert_int_equal(t->b.hv->ops->probe(t->b.hv, other, VM, &status), -E_NOT_FOUND);
    assert_int_equal(t->b.hv->ops->host_add(t->b.hv, other, STR("sim:"), NULL), 0);
    assert_int_equal(t->b.hv->ops->probe(t->b.hv, other, VM, &status), 0);
    assert_int_equal(status.state, MACHINE_OFF);
}

struct told {
    int count;
    enum machine_state last;
};

static void on_event(void *arg, const struct machine_event *event)
{
    struct told *told = arg;

    told->count++;
    told->last = event->state;
}

static void what_others_do_is_told(void **state)
{
    struct trio *t = *state;
    struct told told = {0};

    world_define(&t->a, VM);
    t->b.hv->ops->watch(t->b.hv, on_event, &told);
    world_start(&t->a, VM, 1);
    assert_int_equal(told.count, 0);
    (void)sim_advance(t->b.hv);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.last, MACHINE_BOOTING);
    env_advance(t->a.env, BOOT_MS * MS);
    assert_state(&t->a, VM, MACHINE_RUNNING); /* it is a who sees first, and writes that time has come so far */
    (void)sim_advance(t->b.hv);
    assert_int_equal(told.count, 2);
    assert_int_equal(told.last, MACHINE_RUNNING);
    t->b.hv->ops->watch(t->b.hv, NULL, NULL);
}

/* ── orders that come late: written as a process does that was stopped between its look and its write ── */

static int ignore_record(void *arg, const struct journal_record *record, struct str tail)
{
    (void)arg;
    (void)record;
    (void)tail;
    return 0;
}

static void write_late(struct trio *t, struct journal_record record, usec_t time_us, struct str tail)
{
    struct journal journal;
    char path[128];

    world_path(&t->a, path);
    record.time_us = time_us;
    assert_int_equal(journal_open_shared(path, "unused", ignore_record, NULL, NULL, &journal), 1); /* another boot's */
    assert_int_equal(journal_open_shared(path, t->a.boot_id, ignore_record, NULL, NULL, &journal), 0);
    assert_int_equal(journal_append(&journal, record, tail), 0);
    journal_close(&journal);
}

static struct journal_record command(enum guest_verb verb, int64_t incarnation)
{
    struct journal_record record = {.kind = RECORD_COMMAND, .number = 0, .value = incarnation};

    record.what = (uint8_t)verb;
    return record;
}

static void a_late_order_of_an_old_incarnation_does_nothing(void **state)
{
    struct trio *t = *state;
    usec_t then_us;

    world_run(&t->a, VM, 1);
    then_us = env_now(t->a.env);
    world_set(&t->a, VM, "crash", NULL);
    world_start(&t->b, VM, 2);
    env_advance(t->a.env, BOOT_MS * MS);
    assert_all_see(t, VM, MACHINE_RUNNING, 2);
    write_late(t, command(GUEST_CUT, 1), then_us, STR_NONE);
    write_late(t, command(GUEST_RESET, 1), then_us, STR_NONE);
    write_late(t, command(GUEST_PRESS, 1), then_us, STR_NONE);
    write_late(t, command(GUEST_START, 1), then_us, STR_NONE);
    write_late(t, (struct journal_record){.kind = RECORD_UNDEFINE}, then_us, STR_NONE);
    write_late(t, (struct journal_record){.kind = RECORD_CLEAR}, then_us, LOCAL);
    assert_all_see(t, VM, MACHINE_RUNNING, 2);
    assert_true(world_disk(&t->b, LOCAL).written);
    write_late(t, command(GUEST_CUT, 2), then_us, STR_NONE); /* what isn't refused is carried out */
    assert_all_see(t, VM, MACHINE_DYING, 2);
}

/* A machine that was reported dead is dead: an order that was meant for it while it lived doesn't call it back. */
static void nobody_is_called_back(void **state)
{
    struct trio *t = *state;
    struct journal_record pause = {.kind = RECORD_ORDER, .what = GUEST_PAUSE};
    usec_t then_us;

    world_run(&t->a, VM, 1);
    assert_int_equal(t->a.hv->ops->press(t->a.hv, HOST, VM, 1), 0);
    then_us = env_now(t->a.env) + SHUTDOWN_MS * MS / 2;
    env_advance(t->a.env, SHUTDOWN_MS * MS + 50 * MS);
    assert_state(&t->a, VM, MACHINE_OFF);
    write_late(t, pause, then_us, STR_NONE);
    assert_all_see(t, VM, MACHINE_OFF, 1);
    assert_int_equal(world_probe(&t->b, VM).end, MACHINE_END_GUEST);
}

/* As long as nobody has seen the end, the order was in time: also for one that looks long after. */
static void an_order_in_time_counts_for_all(void **state)
{
    struct trio *t = *state;
    struct journal_record pause = {.kind = RECORD_ORDER, .what = GUEST_PAUSE};
    usec_t then_us;

    world_run(&t->a, VM, 1);
    assert_int_equal(t->a.hv->ops->press(t->a.hv, HOST, VM, 1), 0);
    then_us = env_now(t->a.env) + SHUTDOWN_MS * MS / 2;
    env_advance(t->a.env, SHUTDOWN_MS * MS + 50 * MS);
    write_late(t, pause, then_us, STR_NONE);
    assert_all_see(t, VM, MACHINE_PAUSED, 1);
    assert_int_equal(world_probe(&t->b, VM).since_us, then_us);
}

static void what_an_older_definition_meant_is_gone(void **state)
{
    struct trio *t = *state;

    world_run(&t->a, VM, 1);
    world_set(&t->a, VM, "crash", NULL);
    assert_int_equal(t->b.hv->ops->undefine(t->b.hv, HOST, VM), 0);
    world_run(&t->b, VM, 1); /* of the same name and the same start: only its number is another one */
    write_late(t, command(GUEST_CUT, 1), env_now(t->a.env), STR_NONE);
    write_late(t, (struct journal_record){.kind = RECORD_UNDEFINE}, env_now(t->a.env), STR_NONE);
    assert_all_see(t, VM, MACHINE_RUNNING, 1);
}

static void a_lost_host_carries_nothing_out(void **state)
{
    struct trio *t = *state;

    world_run(&t->a, VM, 1);
    world_set(&t->b, STR_NONE, "state", "down");
    write_late(t, command(GUEST_CUT, 1), env_now(t->a.env), STR_NONE);
    world_set(&t->b, STR_NONE, "state", "up");
    assert_all_see(t, VM, MACHINE_RUNNING, 1);
}

/* ── one disk, one machine ── */

static int attach(struct world *w, struct str id, int64_t incarnation)
{
    const struct machine_disk disk = {.id = DATA, .device = STR("/dev/xvdb"), .size_gib = 20};

    return w->hv->ops->disk_attach(w->hv, HOST, id, incarnation, &disk, NULL);
}

static bool has(struct world *w, struct str id)
{
    struct sim_disk data;

    return sim_disk_state(w->hv, HOST, id, DATA, &data) == 0;
}

static void a_disk_is_open_in_one_machine(void **state)
{
    struct trio *t = *state;
    struct sim_attach late = {.disk = {.id = DATA, .device = STR("/dev/xvdb"), .size_gib = 20}};
    struct machine_spec spec = {.id = STR("i-2")};
    struct buf tail;

    world_run(&t->a, VM, 1);
    assert_int_equal(t->b.hv->ops->define(t->b.hv, HOST, &spec, NULL), 0);
    world_start(&t->b, STR("i-2"), 1);
    world_pass(&t->a, BOOT_MS);
    assert_int_equal(attach(&t->a, VM, 1), 0);
    assert_int_equal(attach(&t->b, STR("i-2"), 1), -E_BUSY);
    buf_init(&tail, 1024); /* one that has looked before a was given it */
    put_attach(&tail, &late);
    write_late(t, (struct journal_record){.kind = RECORD_ATTACH, .number = 1, .value = 1}, env_now(t->a.env), buf_str(&tail));
    buf_done(&tail);
    assert_all_see(t, STR("i-2"), MACHINE_RUNNING, 1);
    assert_true(has(&t->late, VM) && has(&t->b, VM));
    assert_false(has(&t->late, STR("i-2")) || has(&t->a, STR("i-2")));
    assert_int_equal(t->b.hv->ops->disk_detach(t->b.hv, HOST, VM, 1, DATA, NULL), 0);
    assert_int_equal(attach(&t->a, STR("i-2"), 1), 0);
    assert_false(has(&t->b, VM));
}

/* A start that was meant before the machine's disk went elsewhere. */
static void no_start_with_a_disk_of_another_machine(void **state)
{
    static const struct machine_disk disks[] = {{.id = STR_INIT("d-both"), .device = STR_INIT("/dev/xvda"), .size_gib = 20}};
    struct trio *t = *state;
    struct machine_spec spec = {.id = VM, .disks = disks, .disk_count = 1};

    assert_int_equal(t->a.hv->ops->define(t->a.hv, HOST, &spec, NULL), 0);
    spec.id = STR("i-2");
    assert_int_equal(t->b.hv->ops->define(t->b.hv, HOST, &spec, NULL), 0);
    world_start(&t->b, STR("i-2"), 1);
    assert_int_equal(t->a.hv->ops->start(t->a.hv, HOST, VM, 1, NULL), -E_BUSY);
    assert_all_see(t, VM, MACHINE_OFF, 0);
    world_set(&t->a, STR("i-2"), "crash", NULL);
    world_start(&t->a, VM, 1);
    assert_int_equal(t->b.hv->ops->start(t->b.hv, HOST, STR("i-2"), 2, NULL), -E_BUSY);
    assert_all_see(t, STR("i-2"), MACHINE_OFF, 1);
}

/* ── the file ── */

static void append_bytes(struct trio *t, const void *bytes, size_t len)
{
    char path[128];
    int fd;

    world_path(&t->a, path);
    fd = open(path, O_WRONLY | O_APPEND);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

/* The last record of the file: a cut of the machine's power, cut off again. Returns its length. */
static size_t take_back_cut(struct trio *t, char *bytes, size_t room)
{
    off_t before = file_size(t);
    size_t len;
    char path[128];
    int fd;

    write_late(t, command(GUEST_CUT, 1), env_now(t->a.env), STR_NONE);
    world_path(&t->a, path);
    len = (size_t)(file_size(t) - before);
    assert_true(len <= room);
    fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, bytes, len, before), (ssize_t)len);
    assert_int_equal(close(fd), 0);
    assert_int_equal(truncate(path, before), 0);
    return len;
}

static void torn_records_blind_nobody(void **state)
{
    struct trio *t = *state;
    char bytes[256];
    size_t len;

    world_run(&t->a, VM, 1);
    assert_all_see(t, VM, MACHINE_RUNNING, 1);
    len = take_back_cut(t, bytes, sizeof(bytes));
    for (size_t torn = 1; torn < len; torn++) {
        append_bytes(t, bytes, torn);
        world_set(&t->b, VM, "hang", torn % 2 ? "on" : "off"); /* behind it */
        assert_state(&t->a, VM, MACHINE_RUNNING);
        assert_int_equal(t->a.hv->ops->simulate(t->a.hv, HOST, VM, STR("pause"), STR_NONE, NULL), torn % 2 ? -E_CONFLICT : 0);
        if (torn % 2 == 0)
            world_set(&t->b, VM, "resume", NULL);
    }
    assert_all_see(t, VM, MACHINE_RUNNING, 1);
    bytes[len / 2] ^= 4; /* whole in length, but not in what it says */
    append_bytes(t, bytes, len);
    world_set(&t->b, VM, "boot", "3");
    assert_all_see(t, VM, MACHINE_RUNNING, 1);
}

/* The same bytes, with nothing behind them: they may still become a record. */
static void what_is_on_its_way_is_waited_for(void **state)
{
    struct trio *t = *state;
    char bytes[256];
    size_t len;

    world_run(&t->a, VM, 1);
    len = take_back_cut(t, bytes, sizeof(bytes));
    for (size_t i = 0; i + 1 < len; i++) {
        append_bytes(t, bytes + i, 1);
        assert_state(&t->b, VM, MACHINE_RUNNING);
    }
    assert_all_see(t, VM, MACHINE_RUNNING, 1);
    append_bytes(t, bytes + len - 1, 1);
    assert_all_see(t, VM, MACHINE_DYING, 1);
}

/* More than is read at a time, and then an order. */
static void much_that_is_torn_is_passed_over(void **state)
{
    struct trio *t = *state;
    size_t len = 5 * 1024 * 1024 + 7;
    char *bytes = xcalloc(1, len);

    world_run(&t->a, VM, 1);
    memset(bytes, 'x', len);
    append_bytes(t, bytes, len);
    xfree(bytes);
    assert_state(&t->b, VM, MACHINE_RUNNING);
    assert_int_equal(t->b.hv->ops->press(t->b.hv, HOST, VM, 1), 0);
    assert_all_see(t, VM, MACHINE_DYING, 1);
}

/* A full disk tears records and refuses orders, and has an effect nowhere; time stands. With room again, all goes on. */
static void full_disk_refuses_orders(void **state)
{
    struct trio *t = *state;
    struct rlimit before;
    struct rlimit tight;

    world_run(&t->a, VM, 1);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t room = 0; room < 40; room += 13) {
        tight = before;
        tight.rlim_cur = (rlim_t)file_size(t) + room; /* less than a record */
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        assert_int_equal(t->a.hv->ops->press(t->a.hv, HOST, VM, 1), -E_NO_SPACE);
        assert_int_equal(t->b.hv->ops->host_add(t->b.hv, STR("h-2"), STR_NONE, NULL), -E_NO_SPACE);
        assert_state(&t->b, VM, MACHINE_RUNNING);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    }
    assert_int_equal(t->b.hv->ops->press(t->b.hv, HOST, VM, 1), 0);
    tight.rlim_cur = (rlim_t)file_size(t);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    env_advance(t->a.env, SHUTDOWN_MS * MS);
    assert_state(&t->a, VM, MACHINE_DYING);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    env_advance(t->a.env, 1000 * MS); /* it is tried again then */
    assert_all_see(t, VM, MACHINE_OFF, 1);
}

static void who_is_alone_makes_the_file_small(void **state)
{
    struct trio *t = *state;
    off_t size;

    world_run(&t->a, VM, 1);
    for (int i = 0; i < 500; i++)
        world_set(&t->b, VM, "hold-disks", i % 2 ? "off" : "on");
    append_bytes(t, "torn", 4);
    size = file_size(t);
    trio_open_late(t);
    assert_int_equal(file_size(t), size); /* the others have it open */
    trio_close(t);
    world_open(&t->a);
    assert_true(file_size(t) < size / 10);
    world_open(&t->b);
    assert_all_see(t, VM, MACHINE_RUNNING, 1);
    assert_int_equal(t->b.hv->ops->press(t->b.hv, HOST, VM, 1), 0);
    assert_all_see(t, VM, MACHINE_DYING, 1);
}

static void power_failure_is_one_for_all(void **state)
{
    struct trio *t = *state;

    world_run(&t->a, VM, 1);
    trio_close(t);
    t->a.boot_id = t->b.boot_id = t->late.boot_id = "another one";
    world_open(&t->a);
    assert_state(&t->a, VM, MACHINE_OFF);
    assert_int_equal(world_probe(&t->a, VM).end, MACHINE_END_HOST);
    world_start(&t->a, VM, 2);
    world_open(&t->b); /* the same boot: it lives */
    assert_all_see(t, VM, MACHINE_BOOTING, 2);
}

static void a_private_world_becomes_a_shared_one(void **state)
{
    struct trio *t = *state;
    char path[128];

    trio_close(t);
    world_path(&t->a, path);
    assert_int_equal(unlink(path), 0);
    t->a.shared = false;
    world_open(&t->a);
    world_run(&t->a, VM, 1);
    assert_int_equal(world_try_open(&t->b), -E_BUSY);
    t->a.hv = hypervisor_close(t->a.hv);
    world_open(&t->b);
    assert_state(&t->b, VM, MACHINE_RUNNING);
    assert_int_equal(world_try_open(&t->a), -E_IO); /* there is no way back, while it is open or later */
    t->b.hv = hypervisor_close(t->b.hv);
    assert_int_equal(world_try_open(&t->a), -E_IO);
}

static void foreign_files_are_refused(void **state)
{
    struct trio *t = *state;
    char bytes[200];
    char path[128];

    trio_close(t);
    world_path(&t->a, path);
    assert_int_equal(truncate(path, 0), 0);
    memset(bytes, 'x', sizeof(bytes));
    append_bytes(t, bytes, sizeof(bytes));
    assert_int_equal(world_try_open(&t->a), -E_IO);
    assert_int_equal(file_size(t), sizeof(bytes)); /* and left as they are */
    assert_int_equal(truncate(path, 10), 0);
    world_open(&t->a);
    assert_state(&t->a, VM, MACHINE_ABSENT);
}

/* Records that no program of ours writes have an effect nowhere. */
static void senseless_records_are_passed_over(void **state)
{
    static const struct journal_record records[] = {
        {.kind = 200},
        {.kind = RECORD_TIME, .time_us = INT64_MAX},
        {.kind = RECORD_TIME, .time_us = -1},
        {.kind = RECORD_HOST_KNOB, .number = 77},
        {.kind = RECORD_HOST_KNOB, .what = HOST_DELAY_US, .value = INT64_MAX},
        {.kind = RECORD_ORDER, .what = GUEST_SET_BOOT, .value = INT64_MAX},
        {.kind = RECORD_ORDER, .what = GUEST_CLEAR, .value = 77},
        {.kind = RECORD_COMMAND, .what = GUEST_CLEAR, .value = 1, .detail = 77},
        {.kind = RECORD_COMMAND, .what = 200, .value = 1},
        {.kind = RECORD_COMMAND, .what = GUEST_START, .value = -5},
        {.kind = RECORD_DEFINE},
        {.kind = RECORD_MACHINE, .number = 0xfffffff0},
        {.kind = RECORD_ATTACH, .value = 1},
        {.kind = RECORD_DETACH, .value = -1},
        {.kind = RECORD_KEPT},
    };
    struct trio *t = *state;

    world_run(&t->a, VM, 1);
    for (size_t i = 0; i < countof(records); i++)
        write_late(t, records[i], records[i].time_us ? records[i].time_us : env_now(t->a.env), STR("\1\0\0\0\0\0\0\0z"));
    assert_all_see(t, VM, MACHINE_RUNNING, 1);
    assert_int_equal(t->b.hv->ops->press(t->b.hv, HOST, VM, 1), 0);
    assert_all_see(t, VM, MACHINE_DYING, 1);
}

/* Unreadable is not unchanged. */
static void a_file_that_shrank_tells_nothing(void **state)
{
    struct trio *t = *state;
    struct machine_status status;
    char path[128];

    world_run(&t->a, VM, 1);
    world_path(&t->a, path);
    assert_int_equal(truncate(path, 64), 0);
    assert_int_equal(t->a.hv->ops->probe(t->a.hv, HOST, VM, &status), -E_UNREACHABLE);
    assert_int_equal(t->a.hv->ops->press(t->a.hv, HOST, VM, 1), -E_UNREACHABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, trio_setup, trio_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(orders_of_one_are_seen_by_the_other),
        TEST(a_host_is_lost_for_all),
        TEST(hosts_are_the_same_but_each_adds_them),
        TEST(what_others_do_is_told),
        TEST(a_late_order_of_an_old_incarnation_does_nothing),
        TEST(nobody_is_called_back),
        TEST(an_order_in_time_counts_for_all),
        TEST(what_an_older_definition_meant_is_gone),
        TEST(a_lost_host_carries_nothing_out),
        TEST(a_disk_is_open_in_one_machine),
        TEST(no_start_with_a_disk_of_another_machine),
        TEST(torn_records_blind_nobody),
        TEST(what_is_on_its_way_is_waited_for),
        TEST(much_that_is_torn_is_passed_over),
        TEST(full_disk_refuses_orders),
        TEST(who_is_alone_makes_the_file_small),
        TEST(power_failure_is_one_for_all),
        TEST(a_private_world_becomes_a_shared_one),
        TEST(foreign_files_are_refused),
        TEST(senseless_records_are_passed_over),
        TEST(a_file_that_shrank_tells_nothing),
    };

    return cmocka_run_group_tests_name("sim_shared", tests, NULL, NULL);
}
