/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated hosts that processes and threads share and fight over, on the real clock: whatever the order was, all see the
 * same world in the end, each start has lived once, a disk was open in one machine, and who was stopped or killed held up
 * nobody.
 */
#include "unit/unit.h"

#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>

#include "unit/sim_fixture.h"

#define MACHINES 4
#define PROCESSES 4
#define ORDERS 1500
#define GUEST STR("d-guest")

static const char *const names[MACHINES] = {"i-0", "i-1", "i-2", "i-3"};

static int race_setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    w->env = env_new_real();
    w->shared = true;
    world_make_dir(w);
    *state = w;
    return 0;
}

static int race_teardown(void **state)
{
    struct world *w = *state;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/sim.lock", w->dir);
    (void)unlink(path);
    return world_teardown(state);
}

/* Guests that boot and shut down within a millisecond, so that time has its part in all that happens. */
static int quick_open(struct world *w, struct hypervisor **ret)
{
    struct sim_settings settings = {.env = w->env, .dir = w->dir, .boot_us = MS, .shutdown_us = MS, .shared = true};
    int r = sim_open(&settings, NULL, ret);

    return r < 0 ? r : (*ret)->ops->host_add(*ret, HOST, STR("sim:"), NULL);
}

static usec_t clock_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (usec_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

static uint64_t roll(uint64_t *dice)
{
    *dice = *dice * 6364136223846793005u + 1442695040888963407u;
    return *dice >> 33;
}

/* ── orders of all kinds ── */

static int define(struct hypervisor *hv, struct str id)
{
    char local[32];
    struct machine_disk disks[] = {{.id = id, .device = STR("/dev/xvda"), .size_gib = 40},
                                   {.device = STR("/dev/vdb"), .size_gib = 100, .local = true}};
    struct machine_spec spec = {.id = id, .vcpus = 2, .disks = disks, .disk_count = 2};

    (void)snprintf(local, sizeof(local), "%.*s-local-0", STR_ARG(id));
    disks[1].id = str_from(local);
    return hv->ops->define(hv, HOST, &spec, NULL);
}

static int attach(struct hypervisor *hv, struct str id, int64_t incarnation)
{
    const struct machine_disk disk = {.id = GUEST, .device = STR("/dev/xvdc"), .size_gib = 20};

    return hv->ops->disk_attach(hv, HOST, id, incarnation, &disk, NULL);
}

static int knob(struct hypervisor *hv, struct str id, uint64_t which)
{
    static const char *const knobs[][2] = {
        {"hang", "on"}, {"hang", "off"}, {"hang", "off"}, {"pause", NULL}, {"resume", NULL}, {"poweroff", NULL}, {"crash", NULL},
        {"hold-disks", "on"}, {"hold-disks", "off"}, {"reboot", NULL},
    };
    const char *const *one = knobs[which % countof(knobs)];

    return hv->ops->simulate(hv, HOST, id, str_from(one[0]), str_from(one[1]), NULL);
}

static int order(struct hypervisor *hv, uint64_t *dice)
{
    struct str id = str_from(names[roll(dice) % MACHINES]);
    struct machine_status status = {0};
    int r = hv->ops->probe(hv, HOST, id, &status);

    if (r < 0)
        return r;
    switch (roll(dice) % 12) {
    case 0:
        return hv->ops->undefine(hv, HOST, id);
    case 1:
        return define(hv, id);
    case 2:
    case 3:
    case 4:
        return hv->ops->start(hv, HOST, id, status.incarnation + 1, NULL);
    case 5:
        return hv->ops->press(hv, HOST, id, status.incarnation);
    case 6:
        return hv->ops->cut(hv, HOST, id, status.incarnation, (enum machine_cut)(roll(dice) % 3));
    case 7:
        return hv->ops->reset(hv, HOST, id, status.incarnation);
    case 8:
        return attach(hv, id, status.incarnation);
    case 9:
        return hv->ops->disk_detach(hv, HOST, id, status.incarnation, GUEST, NULL);
    case 10:
        return hv->ops->disk_delete(hv, GUEST);
    default:
        return knob(hv, id, roll(dice));
    }
}

static bool is_known(int r)
{
    return r == 0 || r == -E_NOT_FOUND || r == -E_GONE || r == -E_BUSY || r == -E_CONFLICT || r == -E_TIMEOUT;
}

static bool give_orders(struct hypervisor *hv, uint64_t seed, int count)
{
    for (int i = 0; i < count; i++)
        if (!is_known(order(hv, &seed)))
            return false;
    return true;
}

/* ── what a world is ── */

struct view {
    struct machine_status status[MACHINES];
    struct sim_disk disks[MACHINES][3]; /* -1 of durable: it has none */
    int with_guest;
    bool kept;
};

static void view_disk(struct hypervisor *hv, struct str id, struct str disk_id, struct sim_disk *ret)
{
    struct sim_disk disk;

    ret->durable = -1;
    if (sim_disk_state(hv, HOST, id, disk_id, &disk) < 0)
        return;
    ret->durable = disk.durable;
    ret->cached = disk.cached;
    ret->lost = disk.lost;
    ret->written = disk.written;
}

/* Member by member: the holes between them differ. */
static bool take_view(struct hypervisor *hv, struct view *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (int i = 0; i < MACHINES; i++) {
        struct str id = str_from(names[i]);
        struct machine_status status = {0};
        char local[32];

        if (hv->ops->probe(hv, HOST, id, &status) < 0)
            return false;
        ret->status[i].state = status.state;
        ret->status[i].incarnation = status.incarnation;
        ret->status[i].end = status.end;
        ret->status[i].since_us = status.since_us;
        (void)snprintf(local, sizeof(local), "%s-local-0", names[i]);
        view_disk(hv, id, id, &ret->disks[i][0]);
        view_disk(hv, id, str_from(local), &ret->disks[i][1]);
        view_disk(hv, id, GUEST, &ret->disks[i][2]);
        ret->with_guest += ret->disks[i][2].durable >= 0;
    }
    ret->kept = sim_disk_kept(hv, GUEST);
    return true;
}

/* Then time has nothing left to do. */
static void end_all(struct hypervisor *hv)
{
    for (int i = 0; i < MACHINES; i++) {
        struct str id = str_from(names[i]);
        struct machine_status status = {0};

        assert_int_equal(hv->ops->probe(hv, HOST, id, &status), 0);
        while (status.state != MACHINE_OFF && status.state != MACHINE_ABSENT) {
            (void)hv->ops->cut(hv, HOST, id, status.incarnation, MACHINE_CUT_KILL); /* it may have gone */
            assert_int_equal(hv->ops->probe(hv, HOST, id, &status), 0);
        }
    }
}

/* ── processes ── */

struct child {
    pid_t pid;
    int down; /* to the child: bytes that let it go on */
    int up;   /* from it */
};

struct part {
    struct world *w;
    int down;
    int up;
    uint64_t seed;
};

static struct child child_start(struct world *w, uint64_t seed, void (*body)(const struct part *part))
{
    int down[2];
    int up[2];
    struct child child;

    assert_int_equal(pipe(down), 0);
    assert_int_equal(pipe(up), 0);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        (void)close(down[1]);
        (void)close(up[0]);
        body(&(struct part){.w = w, .down = down[0], .up = up[1], .seed = seed});
        _exit(0);
    }
    assert_int_equal(close(down[0]), 0);
    assert_int_equal(close(up[1]), 0);
    child.down = down[1];
    child.up = up[0];
    return child;
}

static void tell(int fd)
{
    if (write(fd, "!", 1) != 1)
        _exit(2);
}

static void hear(int fd)
{
    char byte;

    if (read(fd, &byte, 1) != 1)
        _exit(3);
}

static int child_end(struct child child)
{
    int status;

    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    assert_int_equal(close(child.down), 0);
    assert_int_equal(close(child.up), 0);
    return status;
}

static void fight(const struct part *part)
{
    struct hypervisor *hv;
    struct view view;

    if (quick_open(part->w, &hv) < 0 || sim_start(hv) < 0)
        _exit(4);
    tell(part->up);
    if (!give_orders(hv, part->seed, ORDERS))
        _exit(5);
    tell(part->up);
    hear(part->down);
    if (!take_view(hv, &view) || write(part->up, &view, sizeof(view)) != sizeof(view))
        _exit(6);
    (void)hypervisor_close(hv);
}

static void assert_heard(const struct child *child, void *bytes, size_t len)
{
    size_t have = 0;

    while (have < len) {
        ssize_t n = read(child->up, (char *)bytes + have, len - have);

        assert_true(n > 0);
        have += (size_t)n;
    }
}

static void all_processes_see_the_same(void **state)
{
    struct world *w = *state;
    struct child children[PROCESSES];
    struct hypervisor *late;
    struct view mine;
    struct view view;
    char byte;

    for (int i = 0; i < PROCESSES; i++)
        children[i] = child_start(w, (uint64_t)i + 77, fight);
    assert_int_equal(quick_open(w, &w->hv), 0); /* no thread: it looks only when it is asked */
    for (int i = 0; i < PROCESSES; i++) {
        assert_heard(&children[i], &byte, 1);
        assert_heard(&children[i], &byte, 1);
    }
    end_all(w->hv);
    assert_true(take_view(w->hv, &mine));
    assert_true(mine.with_guest <= 1 && !(mine.with_guest && mine.kept));
    for (int i = 0; i < PROCESSES; i++) {
        tell(children[i].down);
        assert_heard(&children[i], &view, sizeof(view));
        assert_memory_equal(&view, &mine, sizeof(view));
        assert_int_equal(child_end(children[i]), 0);
    }
    assert_int_equal(quick_open(w, &late), 0); /* reads all of it */
    assert_true(take_view(late, &view));
    assert_memory_equal(&view, &mine, sizeof(view));
    (void)hypervisor_close(late);
    w->hv = hypervisor_close(w->hv);
    assert_int_equal(quick_open(w, &w->hv), 0); /* alone: writes it anew */
    assert_true(take_view(w->hv, &view));
    assert_memory_equal(&view, &mine, sizeof(view));
}

static void fight_without_end(const struct part *part)
{
    struct hypervisor *hv;
    uint64_t dice = part->seed;

    if (quick_open(part->w, &hv) < 0 || sim_start(hv) < 0)
        _exit(4);
    tell(part->up);
    while (is_known(order(hv, &dice)))
        continue;
    _exit(5);
}

/* Stopped anywhere: in a look, between look and write, in its thread. The others work on, each order in its time. */
static void who_is_stopped_holds_up_nobody(void **state)
{
    struct world *w = *state;
    struct child child = child_start(w, 5, fight_without_end);
    struct hypervisor *late;
    usec_t longest_us = 0;
    uint64_t dice = 6;
    struct view mine;
    struct view view;
    char byte;

    assert_heard(&child, &byte, 1);
    assert_int_equal(quick_open(w, &w->hv), 0);
    for (int round = 0; round < 150; round++) {
        int status;

        assert_int_equal(kill(child.pid, SIGSTOP), 0);
        assert_int_equal(waitpid(child.pid, &status, WUNTRACED), child.pid);
        assert_true(WIFSTOPPED(status));
        for (int i = 0; i < 20; i++) {
            usec_t began_us = clock_us();

            assert_true(is_known(order(w->hv, &dice)));
            longest_us = MAX_OF(longest_us, clock_us() - began_us);
        }
        if (round % 50 == 0) { /* neither who comes while it is stopped */
            assert_int_equal(quick_open(w, &late), 0);
            (void)hypervisor_close(late);
        }
        assert_int_equal(kill(child.pid, SIGCONT), 0);
        for (int i = 0; i < 1 + round % 5; i++)
            assert_true(is_known(order(w->hv, &dice)));
    }
    print_message("the longest order took %lld us\n", (long long)longest_us);
    assert_true(longest_us < 5 * USEC_PER_SEC);
    assert_int_equal(kill(child.pid, SIGKILL), 0);
    (void)child_end(child);
    end_all(w->hv);
    assert_true(take_view(w->hv, &mine));
    assert_int_equal(quick_open(w, &late), 0);
    assert_true(take_view(late, &view));
    assert_memory_equal(&view, &mine, sizeof(view));
    (void)hypervisor_close(late);
}

static void who_is_killed_leaves_a_world(void **state)
{
    struct world *w = *state;
    struct child children[2];
    struct hypervisor *late;
    uint64_t dice = 9;
    struct view mine;
    struct view view;
    char byte;

    assert_int_equal(quick_open(w, &w->hv), 0);
    for (int round = 0; round < 25; round++) {
        for (int i = 0; i < 2; i++)
            children[i] = child_start(w, (uint64_t)(round * 2 + i), fight_without_end);
        for (int i = 0; i < 2; i++)
            assert_heard(&children[i], &byte, 1);
        for (int i = 0; i < 20 + 7 * round; i++)
            assert_true(is_known(order(w->hv, &dice)));
        for (int i = 0; i < 2; i++) {
            assert_int_equal(kill(children[i].pid, SIGKILL), 0);
            assert_true(WIFSIGNALED(child_end(children[i])));
        }
    }
    end_all(w->hv);
    assert_true(take_view(w->hv, &mine));
    assert_int_equal(quick_open(w, &late), 0);
    assert_true(take_view(late, &view));
    assert_memory_equal(&view, &mine, sizeof(view));
    (void)hypervisor_close(late);
}

/* ── opening ── */

static void come_and_go(const struct part *part)
{
    for (int i = 0; i < 40; i++) {
        struct hypervisor *hv;
        struct machine_status status = {0};

        if (quick_open(part->w, &hv) < 0)
            _exit(4);
        if (hv->ops->probe(hv, HOST, VM, &status) < 0 || status.incarnation < (int64_t)i)
            _exit(5);
        (void)hv->ops->simulate(hv, HOST, VM, STR("crash"), STR_NONE, NULL); /* it may be off */
        /* Whichever of them comes first; each has seen it or an even later one. */
        if (!is_known(hv->ops->start(hv, HOST, VM, i + 1, NULL)))
            _exit(6);
        if (hv->ops->probe(hv, HOST, VM, &status) < 0 || status.incarnation < (int64_t)i)
            _exit(7);
        (void)hypervisor_close(hv);
    }
}

/* Files are made anew all the while by whoever happens to be alone: nothing gets lost on the way. */
static void nothing_is_lost_between_open_and_close(void **state)
{
    struct world *w = *state;
    struct child children[PROCESSES];
    struct machine_status status = {0};
    struct sim_disk disk = {0};

    assert_int_equal(quick_open(w, &w->hv), 0);
    assert_int_equal(define(w->hv, VM), 0);
    assert_int_equal(w->hv->ops->simulate(w->hv, HOST, VM, STR("boot"), STR("0"), NULL), 0);
    w->hv = hypervisor_close(w->hv);
    for (int i = 0; i < PROCESSES; i++)
        children[i] = child_start(w, 0, come_and_go);
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(child_end(children[i]), 0);
    assert_int_equal(quick_open(w, &w->hv), 0);
    assert_int_equal(w->hv->ops->probe(w->hv, HOST, VM, &status), 0);
    assert_true(status.incarnation > 0 && status.incarnation <= 40);
    assert_int_equal(sim_disk_state(w->hv, HOST, VM, VM, &disk), 0);
    assert_true(disk.durable > 0 && disk.durable <= status.incarnation); /* each start wrote once, if it came to pass */
}

/* All come at once after the real machine has restarted: it is one power failure, and what starts after it lives. */
static void open_after_restart(const struct part *part)
{
    struct machine_status status = {0};

    hear(part->down);
    part->w->boot_id = "after";
    if (world_try_open(part->w) < 0 || part->w->hv->ops->host_add(part->w->hv, HOST, STR("sim:"), NULL) < 0)
        _exit(4);
    (void)part->w->hv->ops->start(part->w->hv, HOST, VM, 2, NULL); /* all of them: one is the first */
    if (part->w->hv->ops->probe(part->w->hv, HOST, VM, &status) < 0)
        _exit(5);
    if (status.incarnation != 2 || status.state == MACHINE_OFF)
        _exit(6);
    tell(part->up);
    hear(part->down);
    if (part->w->hv->ops->probe(part->w->hv, HOST, VM, &status) < 0 || status.incarnation != 2 || status.state == MACHINE_OFF)
        _exit(7);
    (void)hypervisor_close(part->w->hv);
}

static void one_power_failure_for_all_who_come_at_once(void **state)
{
    struct world *w = *state;
    struct child children[PROCESSES];
    char byte;

    w->boot_id = "before";
    world_open(w);
    world_define(w, VM);
    world_start(w, VM, 1);
    w->hv = hypervisor_close(w->hv);
    for (int i = 0; i < PROCESSES; i++)
        children[i] = child_start(w, 0, open_after_restart);
    for (int i = 0; i < PROCESSES; i++)
        tell(children[i].down);
    for (int i = 0; i < PROCESSES; i++)
        assert_heard(&children[i], &byte, 1);
    for (int i = 0; i < PROCESSES; i++)
        tell(children[i].down);
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(child_end(children[i]), 0);
}

/* ── threads, with a world each ── */

#define LIVES 300

struct racer {
    pthread_t thread;
    struct hypervisor *hv;
    struct str id;
    int won;
    bool good;
};

static void race(struct world *w, struct racer *racers, int count, void *(*run)(void *arg))
{
    for (int i = 0; i < count; i++) {
        if (i % 2 == 1) {
            racers[i].hv = racers[i - 1].hv; /* two threads to a world */
            continue;
        }
        assert_int_equal(quick_open(w, &racers[i].hv), 0);
        assert_int_equal(sim_start(racers[i].hv), 0);
    }
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
        assert_true(racers[i].good);
    }
    for (int i = 0; i < count; i += 2)
        (void)hypervisor_close(racers[i].hv);
}

/* All try all starts: each is one boot, whoever gave the order. */
static void *start_all(void *arg)
{
    struct racer *racer = arg;
    struct hypervisor *hv = racer->hv;

    racer->good = true;
    for (int64_t incarnation = 1; incarnation <= LIVES && racer->good; incarnation++) {
        int r = hv->ops->start(hv, HOST, VM, incarnation, NULL);

        while (r == -E_BUSY) {
            (void)hv->ops->simulate(hv, HOST, VM, STR("crash"), STR_NONE, NULL); /* another one may have done it */
            r = hv->ops->start(hv, HOST, VM, incarnation, NULL);
        }
        racer->good = r == 0 || r == -E_GONE;
    }
    return NULL;
}

static void each_incarnation_lives_once(void **state)
{
    struct world *w = *state;
    struct racer racers[6] = {0};
    struct sim_disk disk = {0};
    struct machine_status status = {0};

    assert_int_equal(quick_open(w, &w->hv), 0);
    assert_int_equal(define(w->hv, VM), 0);
    assert_int_equal(w->hv->ops->simulate(w->hv, HOST, VM, STR("boot"), STR("0"), NULL), 0); /* to start is to have written */
    race(w, racers, countof(racers), start_all);
    assert_int_equal(w->hv->ops->probe(w->hv, HOST, VM, &status), 0);
    assert_int_equal(status.incarnation, LIVES);
    assert_int_equal(sim_disk_state(w->hv, HOST, VM, VM, &disk), 0);
    assert_int_equal(disk.durable, LIVES);
}

/* Each has a machine that wants the one disk: who is told that it has it, has it alone until it gives it back. */
static int disk_owners;

static void *want_disk(void *arg)
{
    struct racer *racer = arg;
    struct hypervisor *hv = racer->hv;

    racer->good = true;
    for (int i = 0; i < 400 && racer->good; i++) {
        int r = attach(hv, racer->id, 1);

        if (r == 0) {
            racer->won++;
            racer->good = __atomic_add_fetch(&disk_owners, 1, __ATOMIC_SEQ_CST) == 1;
            (void)__atomic_sub_fetch(&disk_owners, 1, __ATOMIC_SEQ_CST);
            racer->good = racer->good && hv->ops->disk_detach(hv, HOST, racer->id, 1, GUEST, NULL) == 0;
        } else {
            racer->good = r == -E_BUSY;
        }
    }
    return NULL;
}

static void a_disk_has_one_owner(void **state)
{
    struct world *w = *state;
    struct racer racers[MACHINES] = {0};
    struct view view;
    int won = 0;

    assert_int_equal(quick_open(w, &w->hv), 0);
    for (int i = 0; i < MACHINES; i++) {
        racers[i].id = str_from(names[i]);
        assert_int_equal(define(w->hv, racers[i].id), 0);
        assert_int_equal(w->hv->ops->simulate(w->hv, HOST, racers[i].id, STR("boot"), STR("0"), NULL), 0);
        assert_int_equal(w->hv->ops->start(w->hv, HOST, racers[i].id, 1, NULL), 0);
    }
    race(w, racers, MACHINES, want_disk);
    for (int i = 0; i < MACHINES; i++)
        won += racers[i].won;
    print_message("the disk was given %d times\n", won);
    assert_true(won > 0);
    assert_true(take_view(w->hv, &view));
    assert_int_equal(view.with_guest, 0);
}

/* ── how soon it is told ── */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int64_t incarnation;
    usec_t heard_us;
};

static void on_boot(void *arg, const struct machine_event *event)
{
    struct waiter *waiter = arg;

    (void)pthread_mutex_lock(&waiter->lock);
    if (event->state == MACHINE_BOOTING && event->incarnation > waiter->incarnation) {
        waiter->incarnation = event->incarnation;
        waiter->heard_us = clock_us();
        (void)pthread_cond_signal(&waiter->cond);
    }
    (void)pthread_mutex_unlock(&waiter->lock);
}

static int compare_us(const void *a, const void *b)
{
    usec_t x = *(const usec_t *)a;
    usec_t y = *(const usec_t *)b;

    return (x > y) - (x < y);
}

static void what_others_do_is_told_soon(void **state)
{
    struct world *w = *state;
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    struct hypervisor *other;
    usec_t took_us[51];

    assert_int_equal(quick_open(w, &w->hv), 0);
    assert_int_equal(quick_open(w, &other), 0);
    assert_int_equal(define(other, VM), 0);
    w->hv->ops->watch(w->hv, on_boot, &waiter);
    assert_int_equal(sim_start(w->hv), 0);
    for (size_t i = 0; i < countof(took_us); i++) {
        usec_t began_us = clock_us();

        assert_int_equal(other->ops->start(other, HOST, VM, (int64_t)i + 1, NULL), 0);
        (void)pthread_mutex_lock(&waiter.lock);
        while (waiter.incarnation <= (int64_t)i)
            (void)pthread_cond_wait(&waiter.cond, &waiter.lock);
        took_us[i] = waiter.heard_us - began_us;
        (void)pthread_mutex_unlock(&waiter.lock);
        assert_int_equal(other->ops->simulate(other, HOST, VM, STR("crash"), STR_NONE, NULL), 0);
    }
    qsort(took_us, countof(took_us), sizeof(took_us[0]), compare_us);
    print_message("told after %lld us, at most %lld us\n", (long long)took_us[countof(took_us) / 2],
                  (long long)took_us[countof(took_us) - 1]);
    assert_true(took_us[countof(took_us) / 2] <= 20 * MS);
    w->hv->ops->watch(w->hv, NULL, NULL);
    (void)hypervisor_close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, race_setup, race_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_processes_see_the_same),
        TEST(who_is_stopped_holds_up_nobody),
        TEST(who_is_killed_leaves_a_world),
        TEST(nothing_is_lost_between_open_and_close),
        TEST(one_power_failure_for_all_who_come_at_once),
        TEST(each_incarnation_lives_once),
        TEST(a_disk_has_one_owner),
        TEST(what_others_do_is_told_soon),
    };

    return cmocka_run_group_tests_name("sim_race", tests, NULL, NULL);
}
