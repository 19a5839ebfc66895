/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's life, its threads, and the loop that does the same without threads. */
#include "engine/engine.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "engine/errand.h"
#include "engine/lease.h"

int engine_open(const struct engine_settings *settings, struct fail *fail, struct engine **ret)
{
    struct engine *engine = xcalloc(1, sizeof(*engine));

    (void)fail;
    engine->store = settings->store;
    engine->hypervisor = settings->hypervisor;
    engine->env = settings->env;
    engine->options = settings->options;
    engine->node_text = xcalloc(settings->node.len + 1, 1);
    memcpy(engine->node_text, settings->node.ptr, settings->node.len);
    engine->node = str_slice(engine->node_text, settings->node.len);
    mutex_init_brief(&engine->mutex);
    pthread_cond_init(&engine->work, NULL);
    pthread_cond_init(&engine->timer, NULL);
    pthread_cond_init(&engine->ended, NULL);
    map_init(&engine->jobs, env_random_u64(engine->env));
    map_init(&engine->hosts, env_random_u64(engine->env));
    list_init(&engine->ready_hosts);
    list_init(&engine->hints);
    /* One slow host holds half of the workers at most. */
    engine->host_limit = (size_t)MAX_OF(engine->options->engine_workers / 2, (int64_t)1);
    errands_init(engine);
    for (size_t i = 0; i < CHORE_COUNT; i++)
        engine->chores[i] = (struct chore){.engine = engine, .due_us = USEC_NEVER};
    engine->timer_until_us = USEC_NEVER;
    engine->shared = settings->shared;
    engine->own_machines = settings->own_machines;
    lease_init(engine);
    *ret = engine;
    return 0;
}

struct engine *engine_close(struct engine *engine)
{
    if (!engine)
        return NULL;
    assert(engine->thread_count == 0);
    if (engine->watching)
        engine->hypervisor->ops->watch(engine->hypervisor, NULL, NULL);
    active_free_all(engine);
    lease_free(engine);
    engine->reconcile = reconcile_free(engine->reconcile);
    pthread_cond_destroy(&engine->ended);
    pthread_cond_destroy(&engine->timer);
    pthread_cond_destroy(&engine->work);
    pthread_mutex_destroy(&engine->mutex);
    (void)xfree(engine->node_text);
    return xfree(engine);
}

struct hypervisor *engine_hypervisor(struct engine *engine)
{
    return engine->hypervisor;
}

const struct options *engine_options(const struct engine *engine)
{
    return engine->options;
}

/* ── who works ── */

/* Without a valid lease somebody else may act for this node: nothing is done until it is renewed. */
static bool may_act(const struct engine *engine, usec_t now)
{
    return !engine->stopping && !engine->fenced && (now < engine->lease_until_us || BUG(lease_ignored));
}

static void signal_worker(struct engine *engine)
{
    if (engine->called_workers >= engine->idle_workers)
        return;
    engine->called_workers++;
    pthread_cond_signal(&engine->work);
}

/* ── chores ── */

static int chore_run(struct tx *tx, struct write *write)
{
    struct chore *chore = container_of(write, struct chore, write);
    const struct chore_row *row = &chore_rows[chore - chore->engine->chores];

    return row->apply(tx, chore->engine);
}

static void chore_done(struct write *write, int result)
{
    struct chore *chore = container_of(write, struct chore, write);
    struct engine *engine = chore->engine;

    pthread_mutex_lock(&engine->mutex);
    chore->busy = false;
    pthread_mutex_unlock(&engine->mutex);
    chore_rows[chore - engine->chores].done(engine, result);
    pthread_mutex_lock(&engine->mutex);
    engine_due(engine, chore->due_us); /* somebody may have set it while it was busy */
    pthread_mutex_unlock(&engine->mutex);
}

static void chore_submit(struct engine *engine, enum chore_id id)
{
    struct chore *chore = &engine->chores[id];
    int r;

    chore->write = (struct write){.run = chore_run, .done = chore_done, .repeats = true};
    r = store_submit(engine->store, &chore->write);
    if (r < 0)
        chore_done(&chore->write, r);
}

/* Starts those writes that are due; returns when the next chore is. Needs the mutex; `ret_submit` is a set of ids. */
static usec_t chores_due(struct engine *engine, usec_t now, unsigned *ret_submit)
{
    usec_t next = USEC_NEVER;

    for (unsigned i = 0; i < CHORE_COUNT; i++) {
        struct chore *chore = &engine->chores[i];

        if (chore->busy)
            continue;
        if (chore->due_us > now) {
            next = MIN_OF(next, chore->due_us);
        } else if (chore_rows[i].apply) {
            chore->busy = true;
            chore->due_us = USEC_NEVER;
            *ret_submit |= 1u << i;
        } else {
            signal_worker(engine);
        }
    }
    return next;
}

/*
 * One worker that is awake comes back for all the work there is, without a switch of threads for each piece. But it may be
 * held up by its host, or there may be more than it can do: whoever has waited SPREAD_US gets another. A clock that is
 * moved by hand can't be waited for: then each piece of work calls a worker.
 */
#define SPREAD_US (1 * USEC_PER_MSEC)

void engine_call_worker(struct engine *engine)
{
    bool nobody = engine->idle_workers == engine->worker_count && engine->called_workers == 0;

    if ((nobody && !engine->more_comes) || env_is_virtual(engine->env))
        signal_worker(engine);
    else
        engine_due(engine, env_now(engine->env) + SPREAD_US);
}

/* Calls another worker for what has waited too long; returns when to look again. */
static usec_t spread_work(struct engine *engine, usec_t now)
{
    usec_t oldest = USEC_NEVER;

    if (engine->worker_count == 0 || !may_act(engine, now) || env_is_virtual(engine->env))
        return USEC_NEVER;
    if (!list_empty(&engine->hints) && !engine->hint_busy)
        signal_worker(engine);
    if (!list_empty(&engine->ready_hosts)) {
        const struct host_slot *host = list_item(engine->ready_hosts.next, struct host_slot, link);

        oldest = list_item(host->ready.next, struct active, link)->ready_us;
    }
    if (errands_ready(engine))
        oldest = MIN_OF(oldest, errands_ready_since(engine));
    if (oldest == USEC_NEVER)
        return USEC_NEVER;
    if (now >= oldest + SPREAD_US || now < oldest)
        signal_worker(engine);
    return now + SPREAD_US;
}

usec_t engine_tick(struct engine *engine)
{
    unsigned submit = 0;
    usec_t now, next;

    pthread_mutex_lock(&engine->mutex);
    now = engine_clock(engine);
    next = active_tick(engine, now);
    next = MIN_OF(next, errands_tick(engine, now));
    next = MIN_OF(next, chores_due(engine, now, &submit));
    next = MIN_OF(next, spread_work(engine, now));
    engine->timer_until_us = next;
    pthread_mutex_unlock(&engine->mutex);
    for (unsigned i = 0; i < CHORE_COUNT; i++)
        if (submit & 1u << i)
            chore_submit(engine, (enum chore_id)i);
    return next;
}

/* ── work ── */

struct work {
    struct active *active;
    struct hint *hint;
    struct errand *errand;
    int chore; /* enum chore_id; -1: none */
};

static int find_chore(const struct engine *engine, usec_t now)
{
    for (int i = 0; i < CHORE_COUNT; i++)
        if (chore_rows[i].work && !engine->chores[i].busy && engine->chores[i].due_us <= now)
            return i;
    return -1;
}

static bool has_work(const struct engine *engine, usec_t now)
{
    if (!may_act(engine, now))
        return false;
    return !list_empty(&engine->ready_hosts) || errands_ready(engine) || (!engine->hint_busy && !list_empty(&engine->hints)) ||
           find_chore(engine, now) >= 0;
}

/* Of jobs and errands, where there are both, each is taken every other time. */
static void take_turn(struct engine *engine, struct work *ret)
{
    bool errand = errands_ready(engine) && (engine->errand_next || list_empty(&engine->ready_hosts));

    engine->errand_next = !errand;
    if (errand)
        ret->errand = errand_take(engine);
    else
        ret->active = active_take(engine);
    assert(ret->errand || ret->active);
}

static bool take_work(struct engine *engine, usec_t now, struct work *ret)
{
    *ret = (struct work){.chore = -1};
    if (!has_work(engine, now))
        return false;
    ret->chore = find_chore(engine, now);
    if (ret->chore >= 0) {
        engine->chores[ret->chore].busy = true;
        engine->chores[ret->chore].due_us = USEC_NEVER;
    } else if (!engine->hint_busy && !list_empty(&engine->hints)) {
        ret->hint = list_item(engine->hints.next, struct hint, link);
        list_remove(&ret->hint->link);
        engine->hint_count--;
        engine->hint_busy = true;
    } else {
        take_turn(engine, ret);
    }
    return true;
}

static void do_work(struct engine *engine, struct work *work, struct arena *arena)
{
    if (work->active)
        active_run(engine, work->active, arena);
    else if (work->errand)
        errand_run(engine, work->errand, arena);
    else if (work->hint)
        engine_observe(engine, arena, work->hint->host_id, work->hint->id);
    else
        chore_rows[work->chore].work(engine, arena);
    arena_reset(arena);
    if (work->active || work->errand)
        return;
    pthread_mutex_lock(&engine->mutex);
    if (work->hint)
        engine->hint_busy = false;
    if (work->chore >= 0) {
        engine->chores[work->chore].busy = false;
        engine_due(engine, engine->chores[work->chore].due_us);
    }
    pthread_mutex_unlock(&engine->mutex);
    (void)xfree(work->hint);
}

bool engine_work_once(struct engine *engine, struct arena *arena)
{
    usec_t now = env_now(engine->env);
    struct work work;
    bool taken;

    pthread_mutex_lock(&engine->mutex);
    taken = take_work(engine, now, &work);
    pthread_mutex_unlock(&engine->mutex);
    if (taken)
        do_work(engine, &work, arena);
    return taken;
}

usec_t engine_run_due(struct engine *engine)
{
    struct arena arena;
    usec_t next;

    assert(engine->thread_count == 0);
    arena_init(&arena, LIMIT_STEP_ARENA_BYTES);
    do {
        next = engine_tick(engine);
    } while (engine_work_once(engine, &arena));
    arena_done(&arena);
    return next;
}

/* ── threads ── */

/* Until there is work; false: the engine stops. */
static bool wait_for_work(struct engine *engine, struct work *ret)
{
    bool taken = false;

    pthread_mutex_lock(&engine->mutex);
    while (!engine->stopping && !(taken = take_work(engine, env_now(engine->env), ret))) {
        engine->idle_workers++;
        pthread_cond_wait(&engine->work, &engine->mutex);
        engine->idle_workers--;
        if (engine->called_workers > 0)
            engine->called_workers--;
    }
    pthread_mutex_unlock(&engine->mutex);
    return taken;
}

static void note_end(struct engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    engine->ended_count++;
    pthread_cond_broadcast(&engine->ended);
    pthread_mutex_unlock(&engine->mutex);
}

static void *worker_main(void *arg)
{
    struct engine *engine = arg;
    struct arena arena;
    struct work work;

    (void)pthread_setname_np(pthread_self(), "worker"); /* for people only */
    arena_init(&arena, LIMIT_STEP_ARENA_BYTES);
    while (wait_for_work(engine, &work))
        do_work(engine, &work, &arena);
    arena_done(&arena);
    note_end(engine);
    return NULL;
}

static void *timer_main(void *arg)
{
    struct engine *engine = arg;
    bool stopping = false;

    (void)pthread_setname_np(pthread_self(), "engine-timer"); /* for people only */
    while (!stopping) {
        (void)engine_tick(engine);
        pthread_mutex_lock(&engine->mutex);
        if (!engine->stopping && engine->timer_until_us > env_now(engine->env))
            env_wait(engine->env, &engine->timer, &engine->mutex, engine->timer_until_us);
        stopping = engine->stopping;
        pthread_mutex_unlock(&engine->mutex);
    }
    note_end(engine);
    return NULL;
}

int engine_recover(struct engine *engine, struct fail *fail)
{
    struct arena arena;
    usec_t now;
    int r;

    r = engine_take_node(engine, fail);
    if (r < 0)
        return r;
    arena_init(&arena, LIMIT_STEP_ARENA_BYTES);
    chore_rows[CHORE_HOSTS].work(engine, &arena);
    arena_done(&arena);
    engine->hypervisor->ops->watch(engine->hypervisor, engine_watch, engine);
    engine->watching = true;
    now = env_now(engine->env);
    pthread_mutex_lock(&engine->mutex);
    chore_due(engine, CHORE_LEASE, engine->shared ? now : now + lease_us(engine) / 3);
    if (engine->shared)
        chore_due(engine, CHORE_PICK_UP, now);
    chore_due(engine, CHORE_CLAIM, now);
    chore_due(engine, CHORE_EXPIRE, now);
    chore_due(engine, CHORE_RELEASE, now);
    chore_due(engine, CHORE_RECONCILE, now);
    chore_due(engine, CHORE_ERRANDS, now);
    pthread_mutex_unlock(&engine->mutex);
    return 0;
}

int engine_start(struct engine *engine, struct fail *fail)
{
    size_t count = 1 + (size_t)engine->options->engine_workers;
    bool ended;
    int r;

    r = engine_recover(engine, fail);
    if (r < 0)
        return r;
    engine->threads = xcalloc(count, sizeof(engine->threads[0]));
    pthread_mutex_lock(&engine->mutex);
    engine->worker_count = count - 1; /* one that has not begun looks for work when it does */
    pthread_mutex_unlock(&engine->mutex);
    for (size_t i = 0; i < count; i++) {
        r = pthread_create(&engine->threads[i], NULL, i == 0 ? timer_main : worker_main, engine);
        if (r != 0) {
            ended = engine_stop(engine, USEC_NEVER);
            assert(ended);
            return fail_text(fail, E_IO, "can't start thread %zu of %zu of the engine: %s", i + 1, count, strerror(r));
        }
        engine->thread_count++;
    }
    return 0;
}

/* One that a job is at; none: what hangs is a comparison, a command in a guest, or the database. With the mutex. */
static struct str busy_host(const struct engine *engine)
{
    struct str id;
    void *value;

    for (size_t cursor = 0; map_next(&engine->hosts, &cursor, &id, &value);)
        if (((const struct host_slot *)value)->running > 0)
            return id;
    return STR_NONE;
}

/* Tells all threads to end. False: after that long some have not. */
static bool end_threads(struct engine *engine, usec_t patience_us)
{
    usec_t now = env_now(engine->env);
    usec_t until = patience_us > USEC_NEVER - now ? USEC_NEVER : now + patience_us;
    bool ended;

    pthread_mutex_lock(&engine->mutex);
    engine->stopping = true;
    pthread_cond_broadcast(&engine->work);
    pthread_cond_broadcast(&engine->timer);
    while (engine->ended_count < engine->thread_count && env_now(engine->env) < until)
        env_wait(engine->env, &engine->ended, &engine->mutex, until);
    ended = engine->ended_count == engine->thread_count;
    if (!ended)
        log_warning("calls to hosts or the database have not come back: ecsd ends without them, and goes on with them at the next start",
                    LOG_NUM("calls", engine->thread_count - engine->ended_count), LOG_STR("host", busy_host(engine)));
    pthread_mutex_unlock(&engine->mutex);
    return ended;
}

bool engine_stop(struct engine *engine, usec_t patience_us)
{
    if (!end_threads(engine, patience_us))
        return false;
    for (size_t i = 0; i < engine->thread_count; i++)
        pthread_join(engine->threads[i], NULL);
    if (engine->thread_count > 0)
        lease_give_up(engine);
    engine->thread_count = 0;
    engine->ended_count = 0;
    engine->threads = xfree(engine->threads);
    return true;
}
