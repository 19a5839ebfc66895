/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated machines outlive the daemon: the journal under restarts, kills, torn writes, full disks
 * and power failures. */
#include "unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "hypervisor/journal.h"
#include "unit/sim_fixture.h"

static off_t file_size(const struct world *w)
{
    char path[128];
    struct stat status;

    world_path(w, path);
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

static void time_goes_on_while_the_daemon_is_away(void **state)
{
    struct world *w = *state;
    usec_t began_us;

    world_define(w, VM);
    began_us = env_now(w->env);
    world_start(w, VM, 3);
    w->hv = hypervisor_close(w->hv);
    env_advance(w->env, BOOT_MS * MS + 5000 * MS);
    world_open(w);
    assert_state(w, VM, MACHINE_RUNNING);
    assert_int_equal(world_probe(w, VM).incarnation, 3);
    assert_int_equal(world_probe(w, VM).since_us, began_us + BOOT_MS * MS);
    assert_true(world_disk(w, LOCAL).written);
    assert_int_equal(w->hv->ops->press(w->hv, HOST, VM, 3), 0);
    world_reopen(w);
    assert_state(w, VM, MACHINE_DYING);
    env_advance(w->env, SHUTDOWN_MS * MS);
    world_reopen(w);
    assert_state(w, VM, MACHINE_OFF);
    assert_int_equal(world_probe(w, VM).end, MACHINE_END_GUEST);
    assert_int_equal(world_disk(w, ROOT).durable, 2);
    assert_int_equal(w->hv->ops->undefine(w->hv, HOST, VM), 0);
    world_reopen(w);
    assert_state(w, VM, MACHINE_ABSENT);
}

static void knobs_are_kept(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    world_set(w, VM, "hang", "on");
    world_set(w, VM, "shutdown", "7");
    world_set(w, STR_NONE, "state", "down");
    world_reopen(w);
    assert_int_equal(w->hv->ops->press(w->hv, HOST, VM, 1), -E_UNREACHABLE);
    world_set(w, STR_NONE, "state", "up");
    assert_int_equal(w->hv->ops->press(w->hv, HOST, VM, 1), 0);
    assert_state(w, VM, MACHINE_RUNNING);
    world_set(w, VM, "hang", "off");
    assert_int_equal(w->hv->ops->press(w->hv, HOST, VM, 1), 0);
    world_pass(w, 6999);
    assert_state(w, VM, MACHINE_DYING);
    world_pass(w, 1);
    assert_state(w, VM, MACHINE_OFF);
}

static void power_failure_ends_all_machines(void **state)
{
    struct world *w = *state;

    w->boot_id = "before";
    world_reopen(w);
    world_run(w, VM, 1);
    world_set(w, VM, "boot", "9");
    world_define(w, STR("i-2"));
    world_start(w, STR("i-2"), 1);
    w->boot_id = "after";
    world_reopen(w);
    assert_state(w, VM, MACHINE_OFF);
    assert_int_equal(world_probe(w, VM).end, MACHINE_END_HOST);
    assert_int_equal(world_disk(w, ROOT).lost, 1);
    assert_int_equal(world_probe(w, STR("i-2")).end, MACHINE_END_HOST);
    world_start(w, VM, 2);
    world_reopen(w); /* the same boot: it lives */
    assert_state(w, VM, MACHINE_BOOTING);
}

static void one_process_at_a_time(void **state)
{
    struct world *w = *state;
    struct world other = *w;

    assert_int_equal(world_try_open(&other), -E_BUSY);
    world_define(w, VM);
    world_reopen(w);
    assert_state(w, VM, MACHINE_OFF);
}

static void write_file(const struct world *w, const void *bytes, size_t len)
{
    char path[128];
    int fd;

    world_path(w, path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

static void foreign_files_are_refused(void **state)
{
    struct world *w = *state;
    char bytes[200];

    w->hv = hypervisor_close(w->hv);
    memset(bytes, 'x', sizeof(bytes));
    write_file(w, bytes, sizeof(bytes));
    assert_int_equal(world_try_open(w), -E_IO);
    assert_null(w->hv);
    assert_int_equal(file_size(w), sizeof(bytes)); /* and left as they are */
    memset(bytes, 0, sizeof(bytes));               /* what a power failure leaves */
    write_file(w, bytes, sizeof(bytes));
    world_open(w);
    assert_state(w, VM, MACHINE_ABSENT);
}

/* Cut off at any byte, the journal opens and tells of a moment that was. */
static int take_record(void *arg, const struct journal_record *record, struct str tail)
{
    (void)record;
    (void)tail;
    ++*(int *)arg;
    return 0;
}

/* Records with right checksums that no program of ours wrote: numbers that nobody has room for, time and lengths that
 * overflow, knobs out of bounds. */
static void senseless_records_are_refused(void **state)
{
    static const struct journal_record records[] = {
        {.kind = 1, .number = 0xfffffff0},                                   /* a host */
        {.kind = 4, .number = 0xfffffff0},                                   /* a machine */
        {.kind = 4, .number = 0, .time_us = INT64_MAX},
        {.kind = 2, .number = 0, .what = 1, .value = INT64_MAX},             /* a host's knob */
        {.kind = 2, .number = 0, .what = 1, .value = -1},
        {.kind = 6, .number = 0, .what = 9, .value = INT64_MAX},             /* GUEST_SET_BOOT */
        {.kind = 6, .number = 0, .what = 0, .value = INT64_MAX},             /* GUEST_START */
    };
    struct world *w = *state;
    char path[128];

    world_path(w, path);
    world_define(w, VM);
    for (size_t i = 0; i < countof(records); i++) {
        struct journal_record record = records[i];
        struct journal journal;
        off_t size;
        int count = 0;

        w->hv = hypervisor_close(w->hv);
        size = file_size(w);
        assert_int_equal(journal_open(path, "boot", take_record, &count, NULL, &journal), 0);
        record.time_us = MAX_OF(record.time_us, env_now(w->env));
        assert_int_equal(journal_append(&journal, record, STR("\1\0\0\0\0\0\0\0z")), 0);
        journal_close(&journal);
        assert_int_equal(world_try_open(w), -E_IO);
        assert_int_equal(truncate(path, size), 0);
        world_open(w);
        assert_state(w, VM, MACHINE_OFF);
    }
}

static void torn_at_every_byte(void **state)
{
    struct world *w = *state;
    char path[128];
    char bytes[4096];
    ssize_t size;
    int alive = 0;
    int fd;

    world_run(w, VM, 1);
    assert_int_equal(w->hv->ops->press(w->hv, HOST, VM, 1), 0);
    w->hv = hypervisor_close(w->hv);
    world_path(w, path);
    fd = open(path, O_RDONLY);
    size = read(fd, bytes, sizeof(bytes));
    assert_int_equal(close(fd), 0);
    assert_true(size > 64 && size < (ssize_t)sizeof(bytes));
    for (ssize_t cut = 0; cut <= size; cut++) {
        enum machine_state now;

        write_file(w, bytes, (size_t)cut);
        world_open(w);
        now = world_probe(w, VM).state;
        assert_true(now == MACHINE_ABSENT || now == MACHINE_OFF || now == MACHINE_RUNNING ||
                    now == MACHINE_DYING);
        alive += now == MACHINE_DYING;
        if (now == MACHINE_ABSENT)
            world_define(w, VM); /* and it can be written on */
        world_reopen(w);
        assert_int_not_equal(world_probe(w, VM).state, MACHINE_ABSENT);
        w->hv = hypervisor_close(w->hv);
    }
    assert_int_equal(alive, 1); /* the last order counts when it is there to its last byte */
    for (ssize_t flip = 64; flip < size; flip++) { /* and a flipped bit never passes for a record */
        bytes[flip] ^= 4;
        write_file(w, bytes, (size_t)size);
        assert_int_equal(world_try_open(w), 0);
        assert_true(file_size(w) <= flip);
        w->hv = hypervisor_close(w->hv);
        bytes[flip] ^= 4;
    }
    world_open(w);
}

/* A full disk refuses orders and changes nothing; with room again, all goes on. */
static void full_disk_refuses_orders(void **state)
{
    struct world *w = *state;
    struct rlimit before;
    struct rlimit tight;
    struct machine_spec spec = {.id = STR("i-2")};

    world_run(w, VM, 1);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)file_size(w) + 20; /* half a record */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(w->hv->ops->press(w->hv, HOST, VM, 1), -E_NO_SPACE);
    assert_int_equal(w->hv->ops->define(w->hv, HOST, &spec, NULL), -E_NO_SPACE);
    assert_int_equal(w->hv->ops->host_add(w->hv, STR("h-2"), STR_NONE, NULL), -E_NO_SPACE);
    assert_state(w, VM, MACHINE_RUNNING);
    assert_state(w, STR("i-2"), MACHINE_ABSENT);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    world_reopen(w);
    assert_state(w, VM, MACHINE_RUNNING);
    /* A host that was refused took no number: the one after it is the journal's next. */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(w->hv->ops->host_add(w->hv, STR("h-2"), STR_NONE, NULL), -E_NO_SPACE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(w->hv->ops->host_add(w->hv, STR("h-3"), STR_NONE, NULL), 0);
    world_reopen(w);
    assert_int_equal(w->hv->ops->host_add(w->hv, STR("h-2"), STR_NONE, NULL), 0);
    assert_int_equal(w->hv->ops->define(w->hv, STR("h-2"), &spec, NULL), 0);
    assert_int_equal(w->hv->ops->press(w->hv, HOST, VM, 1), 0);
    world_reopen(w);
    assert_state(w, VM, MACHINE_DYING);
}

/* ── anything, in any order: after a restart the world is what it was ── */

#define MACHINES 6

static struct str machine_name(int i, char text[16])
{
    (void)snprintf(text, 16, "i-%d", i);
    return str_from(text);
}

struct one {
    struct world *w;
    struct str id;
    int64_t *incarnation;
    uint64_t dice;
};

static int do_define(const struct one *one)
{
    world_define(one->w, one->id);
    return 0;
}

static int do_undefine(const struct one *one)
{
    int r = one->w->hv->ops->undefine(one->w->hv, HOST, one->id);

    if (r == 0)
        *one->incarnation = 0;
    return r;
}

static int do_start(const struct one *one)
{
    int r = one->w->hv->ops->start(one->w->hv, HOST, one->id, *one->incarnation + 1, NULL);

    if (r == 0)
        ++*one->incarnation;
    return r;
}

static int do_press(const struct one *one)
{
    return one->w->hv->ops->press(one->w->hv, HOST, one->id, *one->incarnation);
}

static int do_cut(const struct one *one)
{
    enum machine_cut how = (enum machine_cut)(one->dice % 3);

    return one->w->hv->ops->cut(one->w->hv, HOST, one->id, *one->incarnation, how);
}

static int do_reset(const struct one *one)
{
    return one->w->hv->ops->reset(one->w->hv, HOST, one->id, *one->incarnation);
}

static int do_clear(const struct one *one)
{
    return one->w->hv->ops->disk_clear(one->w->hv, HOST, one->id, LOCAL);
}

static int do_delete_disk(const struct one *one)
{
    return one->w->hv->ops->disk_delete(one->w->hv, ROOT);
}

/* One disk that all of them may have, one after the other. */
static int do_attach(const struct one *one)
{
    const struct machine_disk disk = {.id = STR("d-guest"), .device = STR("/dev/xvdc"), .size_gib = 20};

    return one->w->hv->ops->disk_attach(one->w->hv, HOST, one->id, *one->incarnation, &disk, NULL);
}

static int do_detach(const struct one *one)
{
    return one->w->hv->ops->disk_detach(one->w->hv, HOST, one->id, *one->incarnation, STR("d-guest"), NULL);
}

static int do_host_crash(const struct one *one)
{
    if (one->dice % 8 != 0) /* it ends all of them: not so often */
        return 0;
    world_set(one->w, STR_NONE, "crash", NULL);
    world_set(one->w, STR_NONE, "state", "up");
    return 0;
}

static int do_knob(const struct one *one)
{
    static const char *const knobs[][2] = {
        {"boot", "0.3"},
        {"boot", "0"},
        {"shutdown", "1"},
        {"shutdown", "0"},
        {"hang", "on"},
        {"hang", "off"},
        {"ignore-power-button", "on"},
        {"ignore-power-button", "off"},
        {"poweroff", NULL},
        {"crash", NULL},
        {"pause", NULL},
        {"resume", NULL},
        {"hold-disks", "on"},
        {"hold-disks", "off"},
    };
    const char *const *knob = knobs[one->dice % countof(knobs)];

    return world_sim(one->w, one->id, knob[0], knob[1]);
}

static void do_something(struct world *w, int64_t *incarnations)
{
    static int (*const deeds[])(const struct one *one) = {
        do_define, do_undefine, do_start,      do_start, do_press, do_press,
        do_cut,    do_reset,    do_host_crash, do_clear, do_knob,  do_knob,
        do_delete_disk, do_attach, do_attach,  do_detach,
    };
    int which = (int)(env_random_u64(w->env) % MACHINES);
    uint64_t dice = env_random_u64(w->env);
    char text[16];
    struct one one = {
        .w = w,
        .id = machine_name(which, text),
        .incarnation = &incarnations[which],
        .dice = dice / countof(deeds),
    };
    int r = deeds[dice % countof(deeds)](&one);

    assert_true(r == 0 || r == -E_NOT_FOUND || r == -E_GONE || r == -E_BUSY || r == -E_CONFLICT ||
                r == -E_TIMEOUT);
    env_advance(w->env, (usec_t)(env_random_u64(w->env) % 400) * MS);
}

struct snapshot {
    struct machine_status status[MACHINES];
    struct sim_disk local[MACHINES];
    struct sim_disk root[MACHINES];
    struct sim_disk guest; /* of the one that has it */
    int guest_of;          /* 0: nobody */
    bool kept;
    bool guest_kept;
};

/* Member by member: the holes between them differ. */
static void copy_disk(struct world *w, struct str id, struct str disk_id, struct sim_disk *ret)
{
    struct sim_disk disk;

    assert_int_equal(sim_disk_state(w->hv, HOST, id, disk_id, &disk), 0);
    ret->durable = disk.durable;
    ret->cached = disk.cached;
    ret->lost = disk.lost;
    ret->written = disk.written;
}

static void take_snapshot(struct world *w, struct snapshot *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (int i = 0; i < MACHINES; i++) {
        char text[16];
        struct str id = machine_name(i, text);
        struct machine_status status = world_probe(w, id);

        ret->status[i].state = status.state;
        ret->status[i].incarnation = status.incarnation;
        ret->status[i].end = status.end;
        ret->status[i].since_us = status.since_us;
        if (status.state != MACHINE_ABSENT) {
            copy_disk(w, id, LOCAL, &ret->local[i]);
            copy_disk(w, id, ROOT, &ret->root[i]);
        }
        if (sim_disk_state(w->hv, HOST, id, STR("d-guest"), &(struct sim_disk){0}) == 0) {
            assert_int_equal(ret->guest_of, 0);
            copy_disk(w, id, STR("d-guest"), &ret->guest);
            ret->guest_of = i + 1;
        }
    }
    ret->kept = sim_disk_kept(w->hv, ROOT);
    ret->guest_kept = sim_disk_kept(w->hv, STR("d-guest"));
    assert_false(ret->guest_of > 0 && ret->guest_kept);
}

static void any_history_replays_to_the_same_world(void **state)
{
    struct world *w = *state;
    int64_t incarnations[MACHINES] = {0};
    struct snapshot before;
    struct snapshot after;

    for (int round = 0; round < 400; round++) {
        for (int i = 0; i < 25; i++)
            do_something(w, incarnations);
        take_snapshot(w, &before);
        world_reopen(w);
        take_snapshot(w, &after);
        assert_memory_equal(&before, &after, sizeof(before));
    }
}

/* A long life does not fill the disk: the journal is rewritten, and says the same after. */
static void grows_only_so_far(void **state)
{
    struct world *w = *state;
    struct snapshot before;
    struct snapshot after;
    off_t size = 0;
    bool shrank = false;

    for (int i = 0; i < MACHINES; i++) {
        char text[16];

        world_run(w, machine_name(i, text), 1);
    }
    assert_int_equal(w->hv->ops->undefine(w->hv, HOST, STR("i-none")), 0);
    world_set(w, STR("i-3"), "crash", NULL);
    assert_int_equal(w->hv->ops->undefine(w->hv, HOST, STR("i-3")),
                     0); /* leaves a hole in the numbers */
    for (int i = 0; i < 400000 && !shrank; i++) {
        world_set(w, STR("i-4"), "hang", i % 2 ? "off" : "on");
        if (i % 1000 == 0) {
            shrank = file_size(w) < size;
            size = file_size(w);
        }
    }
    assert_true(shrank);
    world_set(w, STR("i-4"), "hang", "off");
    assert_int_equal(w->hv->ops->press(w->hv, HOST, STR("i-5"), 1), 0);
    take_snapshot(w, &before);
    world_reopen(w);
    take_snapshot(w, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_state(w, STR("i-5"), MACHINE_DYING);
    assert_state(w, STR("i-3"), MACHINE_ABSENT);
}

/* ── kill -9 ── */

/* In the child: starts incarnation after incarnation, and says of each that it was acknowledged. */
static void live_until_killed(struct world *w, int64_t incarnation, int out)
{
    world_define(w, VM);
    (void)w->hv->ops->cut(w->hv, HOST, VM, incarnation,
                          MACHINE_CUT_KILL); /* what the last child left */
    world_pass(w, 1000);
    for (;;) {
        world_start(w, VM, ++incarnation);
        if (write(out, &incarnation, sizeof(incarnation)) != sizeof(incarnation))
            _exit(1);
        if (w->hv->ops->cut(w->hv, HOST, VM, incarnation, MACHINE_CUT_KILL) != 0)
            _exit(1);
        world_pass(w, 1000);
    }
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
    struct world *w = *state;
    int64_t last = 0;

    for (int round = 0; round < 30; round++) {
        int pipes[2];
        pid_t child;
        int64_t told;
        struct machine_status status;
        int left = (int)(env_random_u64(w->env) % 300) + 1;

        w->hv = hypervisor_close(w->hv);
        assert_int_equal(pipe(pipes), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(pipes[0]);
            world_open(w);
            live_until_killed(w, last, pipes[1]);
        }
        assert_int_equal(close(pipes[1]), 0);
        while (read(pipes[0], &told, sizeof(told)) == sizeof(told)) {
            last = told;
            if (--left == 0)
                assert_int_equal(kill(child, SIGKILL), 0);
        }
        assert_true(left <= 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(close(pipes[0]), 0);
        world_open(w);
        status = world_probe(w, VM);
        assert_true(status.incarnation == last ||
                    status.incarnation == last + 1); /* the last may have been cut off unheard */
        last = status.incarnation;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup_on_disk, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(time_goes_on_while_the_daemon_is_away),
        TEST(knobs_are_kept),
        TEST(power_failure_ends_all_machines),
        TEST(one_process_at_a_time),
        TEST(foreign_files_are_refused),
        TEST(senseless_records_are_refused),
        TEST(torn_at_every_byte),
        TEST(full_disk_refuses_orders),
        TEST(any_history_replays_to_the_same_world),
        TEST(grows_only_so_far),
        TEST(what_was_acknowledged_survives_kill_9),
    };

    return cmocka_run_group_tests_name("sim_file", tests, NULL, NULL);
}
