/* SPDX-License-Identifier: Apache-2.0 */
/* How simulated guests, hosts and events behave. */
#include "unit/unit.h"

#include <sched.h>

#include "unit/sim_fixture.h"

static int press(struct world *w)
{
    return w->hv->ops->press(w->hv, HOST, VM, 1);
}

static int resume(struct world *w)
{
    return w->hv->ops->resume(w->hv, HOST, VM, 1);
}

static int cut(struct world *w, enum machine_cut how)
{
    return w->hv->ops->cut(w->hv, HOST, VM, 1, how);
}

/* ── guests ── */

static void boots_and_shuts_down_in_its_time(void **state)
{
    struct world *w = *state;
    usec_t began_us;

    world_define(w, VM);
    began_us = env_now(w->env);
    world_start(w, VM, 1);
    assert_state(w, VM, MACHINE_BOOTING);
    assert_int_equal(world_probe(w, VM).since_us, began_us);
    assert_int_equal(sim_advance(w->hv), began_us + BOOT_MS * MS);
    world_pass(w, BOOT_MS - 1);
    assert_state(w, VM, MACHINE_BOOTING);
    world_pass(w, 5);
    assert_state(w, VM, MACHINE_RUNNING);
    assert_int_equal(world_probe(w, VM).since_us,
                     began_us + BOOT_MS * MS); /* when it was, not when we looked */
    assert_int_equal(sim_advance(w->hv), USEC_NEVER);
    assert_int_equal(press(w), 0);
    assert_state(w, VM, MACHINE_DYING);
    world_pass(w, SHUTDOWN_MS / 2);
    assert_int_equal(press(w), 0); /* pressing again neither helps nor harms */
    world_pass(w, SHUTDOWN_MS / 2);
    assert_state(w, VM, MACHINE_OFF);
    assert_int_equal(world_probe(w, VM).end, MACHINE_END_GUEST);
}

static void press_while_booting_is_lost(void **state)
{
    struct world *w = *state;

    world_define(w, VM);
    world_start(w, VM, 1);
    world_pass(w, BOOT_MS / 2);
    assert_int_equal(press(w), 0);
    world_pass(w, 10000);
    assert_state(w, VM, MACHINE_RUNNING);
    assert_int_equal(press(w), 0);
    world_pass(w, SHUTDOWN_MS);
    assert_state(w, VM, MACHINE_OFF);
}

static void press_on_paused_is_remembered(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    world_set(w, VM, "pause", NULL);
    assert_state(w, VM, MACHINE_PAUSED);
    assert_int_equal(press(w), 0);
    world_pass(w, 60000);
    assert_state(w, VM, MACHINE_PAUSED);
    assert_int_equal(resume(w), 0);
    assert_state(w, VM, MACHINE_DYING);
    world_pass(w, SHUTDOWN_MS);
    assert_state(w, VM, MACHINE_OFF);
    assert_int_equal(world_probe(w, VM).end, MACHINE_END_GUEST);
}

static void pause_stops_the_guests_clock(void **state)
{
    struct world *w = *state;

    world_define(w, VM);
    world_start(w, VM, 1);
    world_pass(w, BOOT_MS / 2);
    world_set(w, VM, "pause", NULL);
    assert_int_equal(press(w), 0);
    world_pass(w, 60000);
    assert_int_equal(resume(w), 0);
    assert_state(w, VM,
                 MACHINE_BOOTING); /* what was pressed during early boot is lost, paused or not */
    world_pass(w, BOOT_MS / 2 - 1);
    assert_state(w, VM, MACHINE_BOOTING);
    world_pass(w, 1);
    assert_state(w, VM, MACHINE_RUNNING);
}

static void paused_machine_can_be_cut(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    world_set(w, VM, "pause", NULL);
    assert_int_equal(cut(w, MACHINE_CUT_QUIT), 0);
    assert_state(w, VM, MACHINE_DYING);
    world_pass(w, 1000);
    assert_state(w, VM, MACHINE_OFF);
    assert_int_equal(resume(w), 0);
    assert_state(w, VM, MACHINE_OFF);
}

static void deaf_guest_needs_the_cut(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    world_set(w, VM, "ignore-power-button", "on");
    assert_int_equal(press(w), 0);
    world_pass(w, 60000);
    assert_state(w, VM, MACHINE_RUNNING);
    world_set(w, VM, "ignore-power-button", "off");
    assert_int_equal(press(w), 0);
    assert_state(w, VM, MACHINE_DYING);
}

static void hanging_machine_yields_to_kill_only(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    world_set(w, VM, "hang", "on");
    assert_int_equal(press(w), 0);
    assert_int_equal(cut(w, MACHINE_CUT_QUIT), 0);
    assert_int_equal(cut(w, MACHINE_CUT_TERM), 0);
    assert_int_equal(w->hv->ops->reset(w->hv, HOST, VM, 1), 0);
    world_pass(w, 60000);
    assert_state(w, VM, MACHINE_RUNNING);
    assert_int_equal(cut(w, MACHINE_CUT_KILL), 0);
    assert_state(w, VM, MACHINE_DYING); /* told to end is not dead */
    world_pass(w, 1000);
    assert_state(w, VM, MACHINE_OFF);
    assert_int_equal(world_probe(w, VM).end, MACHINE_END_CUT);
}

static void hang_stops_a_shutdown_half_way(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    assert_int_equal(press(w), 0);
    world_pass(w, SHUTDOWN_MS / 2);
    world_set(w, VM, "hang", "on");
    world_pass(w, 60000);
    assert_state(w, VM, MACHINE_DYING);
    world_set(w, VM, "hang", "off");
    world_pass(w, SHUTDOWN_MS / 2);
    assert_state(w, VM, MACHINE_OFF);
}

static void guest_ends_by_itself(void **state)
{
    struct world *w = *state;

    world_run(w, VM, 1);
    world_set(w, VM, "poweroff", NULL);
    world_pass(w, SHUTDOWN_MS);
    assert_int_equal(world_probe(w, VM).end, MACHINE_END_GUEST);
    assert_state(w, VM, MACHINE_OFF);
    world_start(w, VM, 2);
    world_pass(w, BOOT_MS);
    world_set(w, VM, "crash", NULL);
    assert_state(w, VM, MACHINE_OFF);
    assert_int_equal(world_probe(w, VM).end, MACHINE_END_CRASH);
    assert_int_equal(world_sim(w, VM, "crash", NULL), -E_CONFLICT);
    assert_int_equal(world_sim(w, VM, "poweroff", NULL), -E_CONFLICT);
    assert_int_equal(world_sim(w, VM, "pause", NULL), -E_CONFLICT);
}

static void knobs_change_the_times(void **state)
{
    struct world *w = *state;

    world_define(w, VM);
    world_set(w, VM, "boot", "2.5");
    world_set(w, VM, "shutdown", "0");
    world_start(w, VM, 1);
    world_pass(w, 2499);
    assert_state(w, VM, MACHINE_BOOTING);
    world_pass(w, 1);
    assert_state(w, VM, MACHINE_RUNNING);
    assert_int_equal(press(w), 0);
    assert_state(w, VM, MACHINE_OFF);
}

static void graceful_stop_flushes_and_cut_loses(void **state)
{
    struct world *w = *state;
    struct sim_disk disk;

    world_run(w, VM, 1);
    disk = world_disk(w, ROOT);
    assert_int_equal(disk.durable, 1);
    assert_int_equal(disk.cached, 1);
    assert_int_equal(press(w), 0);
    world_pass(w, SHUTDOWN_MS);
    disk = world_disk(w, ROOT);
    assert_int_equal(disk.durable, 2);
    assert_int_equal(disk.cached, 0);
    assert_int_equal(disk.lost, 0);
    world_start(w, VM, 2);
    world_pass(w, BOOT_MS);
    assert_int_equal(w->hv->ops->cut(w->hv, HOST, VM, 2, MACHINE_CUT_QUIT), 0);
    world_pass(w, 1000);
    disk = world_disk(w, ROOT);
    assert_int_equal(disk.durable, 3);
    assert_int_equal(disk.lost, 1);
    assert_true(disk.written);
    assert_int_equal(w->hv->ops->disk_clear(w->hv, HOST, VM, LOCAL), 0);
    assert_false(world_disk(w, LOCAL).written);
    assert_int_equal(world_disk(w, LOCAL).durable, 0);
}

static void redefined_disks_keep_their_data(void **state)
{
    struct world *w = *state;
    const struct machine_disk more[] = {
        {.id = STR("d-2"), .device = STR("/dev/xvdb"), .size_gib = 20},
        {.id = ROOT, .device = STR("/dev/xvda"), .size_gib = 80, .image_id = STR("m-1")},
    };
    struct machine_spec spec = {
        .id = VM, .vcpus = 4, .memory_mib = 8192, .disks = more, .disk_count = 2};
    struct sim_disk data;

    world_run(w, VM, 1);
    assert_int_equal(w->hv->ops->define(w->hv, HOST, &spec, NULL), 0);
    assert_state(w, VM, MACHINE_RUNNING);
    assert_true(world_disk(w, ROOT).written);
    assert_false(world_disk(w, STR("d-2")).written);
    assert_int_equal(sim_disk_state(w->hv, HOST, VM, LOCAL, &data), -E_NOT_FOUND);
}

static void refuses_what_passes_limits(void **state)
{
    struct world *w = *state;
    char text[300];
    struct machine_spec spec = {.id = STR_NONE};

    memset(text, 'x', sizeof(text));
    assert_int_equal(w->hv->ops->define(w->hv, HOST, &spec, NULL), -E_INVALID);
    spec.id = str_slice(text, 64);
    assert_int_equal(w->hv->ops->define(w->hv, HOST, &spec, NULL), -E_INVALID);
    spec.id = str_slice(text, 63);
    assert_int_equal(w->hv->ops->define(w->hv, HOST, &spec, NULL), 0);
    assert_int_equal(w->hv->ops->host_add(w->hv, str_slice(text, 64), STR_NONE, NULL),
                     -E_INVALID_PARAMETER);
    assert_int_equal(w->hv->ops->host_add(w->hv, STR("h-2"), STR("qemu:///system"), NULL),
                     -E_INVALID_PARAMETER);
}

/* ── simulate() ── */

static void bad_knobs_are_told(void **state)
{
    static const struct {
        bool guest;
        const char *name;
        const char *value;
        const char *text;
    } rows[] = {
        {true, "boot", "fast", "boot takes seconds, from 0 to 1000000, not \"fast\""},
        {true, "boot", "-1", "boot takes seconds, from 0 to 1000000, not \"-1\""},
        {true, "boot", NULL, "boot takes seconds, from 0 to 1000000, not \"\""},
        {true, "hang", "perhaps", "hang takes on or off, not \"perhaps\""},
        {true, "crash", "now", "crash takes no value, not \"now\""},
        {true, "state", "up", "state is not something to simulate here"},
        {false, "state", "sideways", "state takes up or down, not \"sideways\""},
        {false, "drop-events", "1.5", "drop-events takes a probability, from 0 to 1, not \"1.5\""},
        {false, "delay", "1e9", "delay takes milliseconds, from 0 to 3600000, not \"1e9\""},
        {false, "boot", "1", "boot is not something to simulate here"},
    };
    struct world *w = *state;
    struct arena arena;
    struct fail told;

    arena_init(&arena, 1 << 20);
    world_define(w, VM);
    for (size_t i = 0; i < countof(rows); i++) {
        fail_init(&told, &arena);
        assert_int_equal(w->hv->ops->simulate(w->hv, HOST, rows[i].guest ? VM : STR_NONE,
                                              str_from(rows[i].name), str_from(rows[i].value),
                                              &told),
                         -E_INVALID_PARAMETER);
        assert_str(told.message, rows[i].text);
    }
    assert_int_equal(world_sim(w, STR("i-other"), "crash", NULL), -E_NOT_FOUND);
    assert_int_equal(w->hv->ops->simulate(w->hv, STR("h-other"), VM, STR("crash"), STR_NONE, NULL),
                     -E_NOT_FOUND);
    arena_done(&arena);
}

/* ── hosts ── */

static void lost_host_answers_nothing_but_goes_on(void **state)
{
    struct world *w = *state;
    struct machine_spec spec = {.id = STR("i-2")};
    struct machine_status status;

    world_run(w, VM, 1);
    assert_int_equal(press(w), 0);
    world_set(w, STR_NONE, "state", "down");
    assert_int_equal(w->hv->ops->probe(w->hv, HOST, VM, &status), -E_UNREACHABLE);
    assert_int_equal(press(w), -E_UNREACHABLE);
    assert_int_equal(cut(w, MACHINE_CUT_KILL), -E_UNREACHABLE);
    assert_int_equal(w->hv->ops->define(w->hv, HOST, &spec, NULL), -E_UNREACHABLE);
    assert_int_equal(w->hv->ops->undefine(w->hv, HOST, VM), -E_UNREACHABLE);
    assert_int_equal(w->hv->ops->list(w->hv, HOST, NULL, NULL), -E_UNREACHABLE);
    world_pass(w, SHUTDOWN_MS);
    world_set(w, STR_NONE, "state", "up");
    assert_state(w, VM, MACHINE_OFF);
    assert_int_equal(world_probe(w, VM).end,
                     MACHINE_END_GUEST); /* the shutdown went on behind the broken network */
}

static void host_crash_ends_its_machines(void **state)
{
    struct world *w = *state;
    struct machine_status status;

    world_run(w, VM, 1);
    world_run(w, STR("i-2"), 1);
    world_set(w, STR_NONE, "crash", NULL);
    assert_int_equal(w->hv->ops->probe(w->hv, HOST, VM, &status), -E_UNREACHABLE);
    world_pass(w, 1000);
    world_set(w, STR_NONE, "state", "up");
    assert_state(w, VM, MACHINE_OFF);
    assert_state(w, STR("i-2"), MACHINE_OFF);
    assert_int_equal(world_probe(w, VM).end, MACHINE_END_HOST);
    assert_int_equal(world_disk(w, ROOT).lost, 1);
}

/* ── events ── */

struct told {
    int count;
    struct machine_event last;
    enum machine_state states[64];
};

static void on_event(void *arg, const struct machine_event *event)
{
    struct told *told = arg;

    assert(str_eq(event->host_id, HOST));
    told->last = *event;
    told->states[told->count++ % 64] = event->state;
}

static void events_follow_a_life(void **state)
{
    static const enum machine_state life[] = {MACHINE_BOOTING, MACHINE_RUNNING, MACHINE_PAUSED,
                                              MACHINE_DYING, MACHINE_OFF};
    struct world *w = *state;
    struct told told = {0};

    w->hv->ops->watch(w->hv, on_event, &told);
    world_run(w, VM, 1);
    world_set(w, VM, "pause", NULL);
    assert_int_equal(press(w), 0);
    assert_int_equal(resume(w), 0);
    world_pass(w, SHUTDOWN_MS);
    assert_int_equal(told.count, countof(life));
    assert_memory_equal(told.states, life, sizeof(life));
    assert_int_equal(told.last.incarnation, 1);
    w->hv->ops->watch(w->hv, NULL, NULL);
}

/* No call of the hypervisor calls the watcher from within: a caller may hold locks that the watcher
 * wants. */
static void events_come_with_time_only(void **state)
{
    struct world *w = *state;
    struct told told = {0};

    w->hv->ops->watch(w->hv, on_event, &told);
    world_define(w, VM);
    world_start(w, VM, 1);
    assert_state(w, VM, MACHINE_BOOTING);
    assert_int_equal(told.count, 0);
    (void)sim_advance(w->hv);
    assert_int_equal(told.count, 1);
    w->hv->ops->watch(w->hv, NULL, NULL);
}

static void events_get_lost_doubled_and_late(void **state)
{
    struct world *w = *state;
    struct told told = {0};

    w->hv->ops->watch(w->hv, on_event, &told);
    world_set(w, STR_NONE, "drop-events", "1");
    world_run(w, VM, 1);
    assert_int_equal(told.count, 0);
    world_set(w, STR_NONE, "drop-events", "0");
    world_set(w, STR_NONE, "duplicate-events", "1");
    world_set(w, VM, "poweroff", NULL);
    world_pass(w, SHUTDOWN_MS);
    assert_int_equal(told.count, 4); /* dying and off, twice each */
    world_set(w, STR_NONE, "duplicate-events", "0");
    world_set(w, STR_NONE, "late-events", "1000");
    told.count = 0;
    for (int64_t incarnation = 2; incarnation < 10; incarnation++) {
        world_start(w, VM, incarnation);
        world_pass(w, BOOT_MS);
        world_set(w, VM, "crash", NULL);
    }
    assert_true(told.count < 24);
    world_pass(w, 1000);
    assert_int_equal(told.count, 24);
    w->hv->ops->watch(w->hv, NULL, NULL);
}

static void changes_behind_a_lost_host_are_told_later(void **state)
{
    struct world *w = *state;
    struct told told = {0};

    world_run(w, VM, 1);
    w->hv->ops->watch(w->hv, on_event, &told);
    world_set(w, STR_NONE, "state", "down");
    world_set(w, VM, "crash", NULL);
    world_pass(w, 1000);
    assert_int_equal(told.count, 0);
    world_set(w, STR_NONE, "state", "up");
    world_pass(w, 0);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.last.state, MACHINE_OFF);
    w->hv->ops->watch(w->hv, NULL, NULL);
}

/* ── time ── */

static void clock_that_is_set_back_stops_nobody(void **state)
{
    struct world *w = *state;
    struct env *earlier = env_new_seeded(1, 500 * USEC_PER_SEC);
    struct env *env = w->env;

    world_define(w, VM);
    world_start(w, VM, 1);
    w->hv = hypervisor_close(w->hv);
    w->env = earlier;
    world_open(w);
    assert_state(w, VM, MACHINE_BOOTING);
    world_pass(w, BOOT_MS);
    assert_state(w, VM, MACHINE_RUNNING);
    w->hv = hypervisor_close(w->hv);
    env_free(env);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool off;
};

static void on_off(void *arg, const struct machine_event *event)
{
    struct waiter *waiter = arg;

    if (event->state != MACHINE_OFF)
        return;
    (void)pthread_mutex_lock(&waiter->lock);
    waiter->off = true;
    (void)pthread_cond_signal(&waiter->cond);
    (void)pthread_mutex_unlock(&waiter->lock);
}

/* The thread acts on the real clock, and a slow host slows its callers down. */
static void thread_lets_time_act(void **state)
{
    struct world w = {.env = env_new_real()};
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    usec_t began_us;

    (void)state;
    world_open(&w);
    assert_int_equal(sim_start(w.hv), 0);
    w.hv->ops->watch(w.hv, on_off, &waiter);
    world_define(&w, VM);
    world_set(&w, VM, "boot", "0");
    world_set(&w, VM, "shutdown", "0.01");
    world_start(&w, VM, 1);
    world_set(&w, STR_NONE, "delay", "30");
    began_us = env_now(w.env);
    assert_int_equal(press(&w), 0);
    assert_true(env_now(w.env) - began_us >= 30 * MS);
    (void)pthread_mutex_lock(&waiter.lock);
    while (!waiter.off)
        (void)pthread_cond_wait(&waiter.cond, &waiter.lock);
    (void)pthread_mutex_unlock(&waiter.lock);
    assert_state(&w, VM, MACHINE_OFF);
    w.hv = hypervisor_close(w.hv);
    env_free(w.env);
}

#define CALLERS 4
#define LIVES 200

struct caller {
    pthread_t thread;
    struct world *w;
    char id[16];
    bool good;
};

/* The watcher is slow: 20 ms by the clock, so that who comes meanwhile finds it at work. */
static void on_event_slowly(void *arg, const struct machine_event *event)
{
    struct caller *caller = arg;
    usec_t until_us = env_now(caller->w->env) + 20 * MS;

    (void)event;
    __atomic_store_n(&caller->good, true, __ATOMIC_SEQ_CST);
    while (env_now(caller->w->env) < until_us)
        continue;
    __atomic_store_n(&caller->good, false, __ATOMIC_SEQ_CST);
}

/* Whoever takes his watcher back may free what it used: it is not called any more, nor still at
 * work. */
static void watcher_is_gone_when_taken_back(void **state)
{
    struct world w = {.env = env_new_real()};
    struct caller caller = {.w = &w};

    (void)state;
    world_open(&w);
    w.hv->ops->watch(w.hv, on_event_slowly, &caller);
    assert_int_equal(sim_start(w.hv), 0);
    world_define(&w, VM);
    world_start(&w, VM, 1);
    while (!__atomic_load_n(&caller.good, __ATOMIC_SEQ_CST))
        (void)sched_yield();
    w.hv->ops->watch(w.hv, NULL, NULL);
    assert_false(__atomic_load_n(&caller.good, __ATOMIC_SEQ_CST));
    w.hv = hypervisor_close(w.hv);
    env_free(w.env);
}

/* One machine per caller, as the engine's workers have it: start, cut, wait for the proof, again.
 */
static void *live_and_die(void *arg)
{
    struct caller *caller = arg;
    struct hypervisor *hv = caller->w->hv;
    struct str id = str_from(caller->id);
    struct machine_status status = {0};
    bool good = true;

    for (int64_t incarnation = 1; incarnation <= LIVES && good; incarnation++) {
        good = hv->ops->start(hv, HOST, id, incarnation, NULL) == 0;
        good = good && hv->ops->press(hv, HOST, id, incarnation) == 0;
        good = good && hv->ops->simulate(hv, HOST, id, STR("crash"), STR_NONE, NULL) == 0;
        good = good && hv->ops->probe(hv, HOST, id, &status) == 0 && status.state == MACHINE_OFF;
    }
    caller->good = good;
    return NULL;
}

static void on_any(void *arg, const struct machine_event *event)
{
    (void)event;
    __atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
}

static void many_callers_at_once(void **state)
{
    struct world w = {.env = env_new_real()};
    struct caller callers[CALLERS] = {0};
    int events = 0;

    (void)state;
    world_open(&w);
    w.hv->ops->watch(w.hv, on_any, &events);
    assert_int_equal(sim_start(w.hv), 0);
    for (int i = 0; i < CALLERS; i++) {
        callers[i].w = &w;
        (void)snprintf(callers[i].id, sizeof(callers[i].id), "i-%d", i);
        world_define(&w, str_from(callers[i].id));
        assert_int_equal(pthread_create(&callers[i].thread, NULL, live_and_die, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_true(callers[i].good);
    }
    (void)sim_advance(w.hv); /* beside the thread: what is left is told by one of the two */
    w.hv->ops->watch(w.hv, NULL, NULL);
    assert_int_equal(events, CALLERS * LIVES * 2); /* booting and off, none lost, none doubled */
    w.hv = hypervisor_close(w.hv);
    env_free(w.env);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

static void a_simulated_machine_needs_no_file(void **state)
{
    struct world *w = *state;

    assert_true(w->hv->ops->has_image(w->hv, STR("m-1")));
    assert_false(w->hv->ops->has_image(w->hv, STR_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(boots_and_shuts_down_in_its_time),
        TEST(press_while_booting_is_lost),
        TEST(press_on_paused_is_remembered),
        TEST(pause_stops_the_guests_clock),
        TEST(paused_machine_can_be_cut),
        TEST(deaf_guest_needs_the_cut),
        TEST(hanging_machine_yields_to_kill_only),
        TEST(hang_stops_a_shutdown_half_way),
        TEST(guest_ends_by_itself),
        TEST(knobs_change_the_times),
        TEST(graceful_stop_flushes_and_cut_loses),
        TEST(redefined_disks_keep_their_data),
        TEST(a_simulated_machine_needs_no_file),
        TEST(refuses_what_passes_limits),
        TEST(bad_knobs_are_told),
        TEST(lost_host_answers_nothing_but_goes_on),
        TEST(host_crash_ends_its_machines),
        TEST(events_follow_a_life),
        TEST(events_come_with_time_only),
        TEST(events_get_lost_doubled_and_late),
        TEST(changes_behind_a_lost_host_are_told_later),
        cmocka_unit_test_setup_teardown(clock_that_is_set_back_stops_nobody, world_setup_on_disk,
                                        world_teardown),
        cmocka_unit_test(thread_lets_time_act),
        cmocka_unit_test(many_callers_at_once),
        cmocka_unit_test(watcher_is_gone_when_taken_back),
    };

    return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
