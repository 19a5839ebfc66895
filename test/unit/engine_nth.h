/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations whose n-th call, write or flush fails, and what has to come of each whatever fails.
 *
 * Each is first played untouched. What the store says at the end of that, without its times, is what it has to say after
 * every failure: the same state, capacity, addresses, disks, bill, and each event once.
 */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "unit/engine_faulty.h"
#include "unit/engine_disk_kit.h"

#define TEXT_BYTES 16384
#define THE_ID "i-nth"

/* What was there before the operation. */
enum start { START_EMPTY, START_RUNNING, START_STOPPED, START_RELEASED, START_WITH_DISK, START_COUNT };

enum verb { VERB_ORDER, VERB_ATTACH, VERB_DETACH, VERB_RELEASE };

struct operation {
    const char *name;
    enum start from;
    const char *type;
    enum verb verb;
    enum order_kind order;
    struct stop_order stop;
    bool starts;       /* what is created is started, too */
    const char *guest; /* a knob that is turned on first; NULL: none */
    int end_state;     /* -1: gone */
    int billing;
};

#define G6 "ecs.g6.large"
#define I1 "ecs.i1.xlarge"
#define DEAF "ignore-power-button"
#define UP INSTANCE_STATE_RUNNING, BILLING_MODE_RUNNING
#define OFF INSTANCE_STATE_STOPPED, BILLING_MODE_KEPT
#define FREE INSTANCE_STATE_STOPPED, BILLING_MODE_FREE
#define AWAY -1, -1
/* clang-format off */
static const struct operation operations[] = {
    {"create and start",        START_EMPTY,     G6, VERB_ORDER,  ORDER_CREATE,   {0}, true, NULL, UP},
    {"create",                  START_EMPTY,     G6, VERB_ORDER,  ORDER_CREATE,   {0}, false, NULL, OFF},
    {"start",                   START_STOPPED,   G6, VERB_ORDER,  ORDER_START,    {0}, false, NULL, UP},
    {"start with new capacity", START_RELEASED,  G6, VERB_ORDER,  ORDER_START,    {0}, false, NULL, UP},
    {"stop",                    START_RUNNING,   G6, VERB_ORDER,  ORDER_STOP,     {0}, false, NULL, OFF},
    {"stop of a deaf guest",    START_RUNNING,   G6, VERB_ORDER,  ORDER_STOP,     {0}, false, DEAF, OFF},
    {"forced stop",             START_RUNNING,   G6, VERB_ORDER,  ORDER_STOP,     {.force = true}, false, DEAF, OFF},
    {"economical stop",         START_RUNNING,   G6, VERB_ORDER,  ORDER_STOP,
     {.stopped_mode = STOPPED_MODE_STOP_CHARGING}, false, NULL, FREE},
    {"i1 stop",                 START_RUNNING,   I1, VERB_ORDER,  ORDER_STOP,     {.confirm = true}, false, NULL, OFF},
    {"reboot",                  START_RUNNING,   G6, VERB_ORDER,  ORDER_REBOOT,   {0}, false, NULL, UP},
    {"reboot of a deaf guest",  START_RUNNING,   G6, VERB_ORDER,  ORDER_REBOOT,   {0}, false, DEAF, UP},
    {"forced reboot",           START_RUNNING,   G6, VERB_ORDER,  ORDER_REBOOT,   {.force = true}, false, NULL, UP},
    {"redeploy",                START_RUNNING,   I1, VERB_ORDER,  ORDER_REDEPLOY, {0}, false, NULL, UP},
    {"forced redeploy",         START_RUNNING,   G6, VERB_ORDER,  ORDER_REDEPLOY, {.force = true}, false, DEAF, UP},
    {"delete",                  START_RUNNING,   G6, VERB_ORDER,  ORDER_DELETE,   {0}, false, NULL, AWAY},
    {"delete of a deaf guest",  START_RUNNING,   G6, VERB_ORDER,  ORDER_DELETE,   {0}, false, DEAF, AWAY},
    {"forced delete",           START_RUNNING,   G6, VERB_ORDER,  ORDER_DELETE,   {.force = true}, false, DEAF, AWAY},
    {"delete of a stopped one", START_STOPPED,   G6, VERB_ORDER,  ORDER_DELETE,   {0}, false, NULL, AWAY},
    {"release by time",         START_RUNNING,   G6, VERB_RELEASE, ORDER_RELEASE_AT, {0}, false, NULL, AWAY},
    {"disk attach",             START_RUNNING,   G6, VERB_ATTACH, 0, {0}, false, NULL, UP},
    {"disk detach",             START_WITH_DISK, G6, VERB_DETACH, 0, {0}, false, NULL, UP},
};
/* clang-format on */

/* ── a world that was made before ── */

struct snapshot {
    bool made;
    usec_t now;
    size_t count;
    struct {
        char name[64];
        char *ptr;
        size_t len;
    } files[4];
};

static void snapshot_file(struct snapshot *to, const char *dir, const char *name)
{
    char path[512];
    struct stat facts;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && to->count < countof(to->files));
    assert_int_equal(fstat(fd, &facts), 0);
    (void)snprintf(to->files[to->count].name, sizeof(to->files[0].name), "%s", name);
    to->files[to->count].len = (size_t)facts.st_size;
    to->files[to->count].ptr = xcalloc(1, (size_t)facts.st_size + 1);
    assert_int_equal(read(fd, to->files[to->count].ptr, to->files[to->count].len), facts.st_size);
    assert_int_equal(close(fd), 0);
    to->count++;
}

static void snapshot_take(struct snapshot *to, struct world *world)
{
    DIR *dir;
    struct dirent *entry;

    world_kill(world);
    dir = opendir(world->dir);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            snapshot_file(to, world->dir, entry->d_name);
    assert_int_equal(closedir(dir), 0);
    to->now = env_now(world->env);
    to->made = true;
}

static struct world *snapshot_open(const struct snapshot *from)
{
    struct world *world = world_new(43, from->now);

    for (size_t i = 0; i < from->count; i++) {
        char path[512];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", world->dir, from->files[i].name);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, from->files[i].ptr, from->files[i].len), from->files[i].len);
        assert_int_equal(close(fd), 0);
    }
    return world;
}

static void make_instance(struct world *world, const char *type, enum start start)
{
    struct str id = STR(THE_ID);
    bool released = start == START_RELEASED;
    struct stop_order stop = {0};
    int r = world_order(world, (struct ordered){
                                   .kind = ORDER_CREATE, .id = id, .type = type, .start = true, .public_ip = true});

    assert_int_equal(r, 0);
    world_await(world, id, INSTANCE_STATE_RUNNING, SECONDS(30));
    if (released)
        stop.stopped_mode = STOPPED_MODE_STOP_CHARGING;
    if (start == START_STOPPED || released) {
        assert_int_equal(world_stop(world, id, stop), 0);
        world_await(world, id, INSTANCE_STATE_STOPPED, SECONDS(30));
    }
    if (start == START_WITH_DISK) {
        assert_int_equal(order_disk(world, DISK_ATTACH, EXTRA, id), 0);
        world_pass(world, SECONDS(5));
        assert_int_equal(disk_row(world, EXTRA).status, DISK_STATUS_IN_USE);
    }
}

/* Two hosts, a free disk, and the instance as the operation finds it: made once. */
static const struct snapshot *snapshot_of(const struct operation *op)
{
    static struct snapshot made[START_COUNT][2];
    struct snapshot *snapshot = &made[op->from][strcmp(op->type, I1) == 0];
    struct str second = STR("host-2");
    struct world *world;

    if (snapshot->made)
        return snapshot;
    world = world_open();
    assert_int_equal(store_write(world->store, add_extra, NULL), 0);
    if (op->from != START_EMPTY)
        make_instance(world, op->type, op->from);
    assert_int_equal(store_write(world->store, add_host, &second), 0);
    world_pass(world, SECONDS(6)); /* the engine looks at the table of hosts */
    snapshot_take(snapshot, world);
    world_close(world);
    return snapshot;
}

/* ── what the store says ── */

/* All that an operation may change, without the times. */
static const char *const told[] = {
    "SELECT id, state, host_id, incarnation, job_id <> 0, stopped_mode, reinit_local, public_ip, release_us > 0 FROM instance",
    "SELECT kind, from_state, to_state, reason, request_id, actor FROM event ORDER BY id",
    "SELECT type, cycle_status, reason FROM system_event ORDER BY published_us",
    "SELECT kind, state, force, incarnation, error FROM job ORDER BY id",
    "SELECT instance_id, mode, end_us = 0, public_ip FROM segment ORDER BY start_us",
    "SELECT id, status, instance_id, device FROM disk ORDER BY id",
    "SELECT id, used_vcpus, used_memory_mib FROM host ORDER BY id",
    "SELECT scope, address, instance_id FROM address ORDER BY scope, address",
    "SELECT account_id, region_id, state, n FROM tally WHERE n <> 0 ORDER BY account_id, region_id, state",
    "SELECT account_id, n FROM disk_tally ORDER BY account_id",
};
/* Everything of the tables that a call writes to. */
static const char *const all[] = {
    "SELECT * FROM instance", "SELECT * FROM instance_doc", "SELECT * FROM job",     "SELECT * FROM segment",
    "SELECT * FROM event",    "SELECT * FROM system_event", "SELECT * FROM disk",    "SELECT * FROM host",
    "SELECT * FROM address",  "SELECT * FROM tally",        "SELECT * FROM number", "SELECT * FROM disk_tally",
};

static size_t tell_rows(sqlite3 *db, const char *sql, char *to, size_t room)
{
    sqlite3_stmt *stmt;
    size_t len = 0;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const char *text = (const char *)sqlite3_column_text(stmt, i);

            len += (size_t)snprintf(to + len, room - len, "%s|", text ? text : "-");
            assert_true(len < room);
        }
        len += (size_t)snprintf(to + len, room - len, "\n");
    }
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    return len;
}

static void tell(struct world *world, const char *const *queries, size_t count, char ret[TEXT_BYTES])
{
    char path[96];
    sqlite3 *db;
    size_t len = 0;

    (void)snprintf(path, sizeof(path), "%s/ecsd.db", world->dir);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    for (size_t i = 0; i < count; i++)
        len += tell_rows(db, queries[i], ret + len, TEXT_BYTES - len);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* ── an operation and its end ── */

static int give_order(struct world *world, const struct operation *op)
{
    struct str id = STR(THE_ID);

    switch (op->verb) {
    case VERB_ATTACH:
        return order_disk(world, DISK_ATTACH, EXTRA, id);
    case VERB_DETACH:
        return order_disk(world, DISK_DETACH, EXTRA, id);
    case VERB_RELEASE:
    case VERB_ORDER:
        break;
    }
    return world_order(world, (struct ordered){.kind = op->order,
                                               .id = id,
                                               .type = op->type,
                                               .start = op->starts,
                                               .public_ip = true,
                                               .stop = op->stop,
                                               .at_us = env_now(world->env) + SECONDS(4)});
}

/* Law 3 and 6, at any moment: one machine at most, none where the row says Stopped or there is none. */
static void check_machines(struct world *world)
{
    static const struct str hosts[] = {STR_INIT("host-1"), STR_INIT("host-2")};
    int alive = 0;

    for (size_t i = 0; i < countof(hosts); i++) {
        struct machine_status status = {0};

        assert_int_equal(world->sim->ops->probe(world->sim, hosts[i], STR(THE_ID), &status), 0);
        alive += status.state != MACHINE_ABSENT && status.state != MACHINE_OFF;
    }
    assert_true(alive <= 1);
    if (alive == 1) {
        int state = world_state(world, STR(THE_ID));

        assert_true(state != INSTANCE_STATE_STOPPED && state != -1);
    }
}

static bool is_done(struct world *world, const struct operation *op)
{
    return world_state(world, STR(THE_ID)) == op->end_state && world_jobs(world, JOB_STATE_ACTIVE) == 0;
}

static void check_end(struct world *world, const struct operation *op, const char *expected)
{
    static char text[TEXT_BYTES];
    struct machine_status status = {0};
    struct instance *inst = world_instance(world, STR(THE_ID));

    tell(world, told, countof(told), text);
    if (strcmp(text, expected) != 0)
        fail_msg("%s: the store says\n%s\nand after nothing failed\n%s", op->name, text, expected);
    world_check_segments(world, STR(THE_ID), op->billing);
    check_machines(world);
    if (inst && inst->state == INSTANCE_STATE_RUNNING) {
        assert_int_equal(world->sim->ops->probe(world->sim, inst->host_id, inst->id, &status), 0);
        assert_int_equal(status.state, MACHINE_RUNNING);
        assert_int_equal(status.incarnation, inst->incarnation);
    }
    if (op->verb == VERB_ATTACH || op->verb == VERB_DETACH) {
        struct sim_disk data;
        int r = sim_disk_state(world->sim, STR("host-1"), STR(THE_ID), EXTRA, &data);

        assert_int_equal(r, op->verb == VERB_ATTACH ? 0 : -E_NOT_FOUND);
    }
}

/* The world before the order. Leases are long where every batch shall be one of the operation's own. */
static struct world *open_before(const struct operation *op, bool long_lease)
{
    struct world *world = snapshot_open(snapshot_of(op));

    world_set(world, "stop.graceful_timeout_s", "12");
    world_set(world, "reboot.timeout_s", "12");
    if (long_lease)
        world_set(world, "engine.lease_s", "3600");
    world_up(world);
    if (op->guest)
        world_guest(world, STR(THE_ID), op->guest, "on");
    (void)world_settle(world);
    return world;
}

/* Played untouched, once: what the store says then, and how long it took. */
struct expected {
    bool known;
    usec_t took_us;
    char text[TEXT_BYTES];
};

static const struct expected *expect(const struct operation *op)
{
    static struct expected known[countof(operations)];
    struct expected *expected = &known[op - operations];
    struct world *world;
    usec_t from;

    if (expected->known)
        return expected;
    world = open_before(op, true);
    from = env_now(world->env);
    assert_int_equal(give_order(world, op), 0);
    while (!is_done(world, op)) {
        usec_t next = world_settle(world);

        check_machines(world);
        assert_true(env_now(world->env) < from + SECONDS(60));
        if (!is_done(world, op))
            env_advance(world->env, MAX_OF(next, env_now(world->env) + 1) - env_now(world->env));
    }
    expected->took_us = env_now(world->env) - from;
    world_pass(world, SECONDS(2));
    tell(world, told, countof(told), expected->text);
    expected->known = true;
    check_end(world, op, expected->text);
    world_close(world);
    return expected;
}
