/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/active.h"

#include "base/mem.h"
#include "engine/errand.h"

#define NOT_IN_HEAP SIZE_MAX

/* ── the heap of those that wait, earliest first ── */

static void heap_set(struct engine *engine, size_t at, struct active *active)
{
    engine->heap[at] = active;
    active->heap_at = at;
}

static void heap_up(struct engine *engine, size_t at)
{
    struct active *active = engine->heap[at];

    while (at > 0 && engine->heap[(at - 1) / 2]->wake_us > active->wake_us) {
        heap_set(engine, at, engine->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(engine, at, active);
}

static void heap_down(struct engine *engine, size_t at)
{
    struct active *active = engine->heap[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= engine->heap_count)
            break;
        if (child + 1 < engine->heap_count && engine->heap[child + 1]->wake_us < engine->heap[child]->wake_us)
            child++;
        if (engine->heap[child]->wake_us >= active->wake_us)
            break;
        heap_set(engine, at, engine->heap[child]);
        at = child;
    }
    heap_set(engine, at, active);
}

static void heap_add(struct engine *engine, struct active *active)
{
    assert(active->heap_at == NOT_IN_HEAP);
    if (engine->heap_count == engine->heap_capacity) {
        engine->heap_capacity = MAX_OF(engine->heap_capacity * 2, (size_t)64);
        engine->heap = xrealloc(engine->heap, engine->heap_capacity * sizeof(engine->heap[0]));
    }
    heap_set(engine, engine->heap_count++, active);
    heap_up(engine, active->heap_at);
}

static void heap_remove(struct engine *engine, struct active *active)
{
    size_t at = active->heap_at;
    struct active *last;

    if (at == NOT_IN_HEAP)
        return;
    assert(engine->heap[at] == active);
    active->heap_at = NOT_IN_HEAP;
    last = engine->heap[--engine->heap_count];
    if (last == active)
        return;
    heap_set(engine, at, last);
    heap_up(engine, at);
    heap_down(engine, last->heap_at);
}

/* ── hosts ── */

static void host_slot_init(struct host_slot *host)
{
    list_init(&host->link);
    list_init(&host->ready);
    list_init(&host->blocked);
    list_init(&host->errands);
    list_init(&host->errand_link);
}

struct host_slot *host_slot_get(struct engine *engine, struct str id, bool make)
{
    struct host_slot *host;

    if (str_empty(id)) {
        if (!engine->nowhere.ready.next)
            host_slot_init(&engine->nowhere);
        engine->nowhere.held = true;
        return &engine->nowhere;
    }
    host = map_get(&engine->hosts, id);
    if (host || !make)
        return host;
    host = xcalloc(1, sizeof(*host));
    host_slot_init(host);
    host->held = !engine->shared;
    host->id_text = xcalloc(id.len + 1, 1);
    memcpy(host->id_text, id.ptr, id.len);
    host->id = str_slice(host->id_text, id.len);
    (void)map_put(&engine->hosts, host->id, host);
    return host;
}

/* A host stands in the queue of hosts while it has work and room for it. */
static void host_slot_queue(struct engine *engine, struct host_slot *host)
{
    if (host->queued || list_empty(&host->ready) || host->running >= engine->host_limit || !host->held || host->leaving)
        return;
    host->queued = true;
    list_append(&engine->ready_hosts, &host->link);
    engine_call_worker(engine);
}

void host_slot_unblock(struct engine *engine, struct host_slot *host)
{
    host_slot_heard(engine, host, true);
    list_for_each_safe (node, &host->blocked) {
        struct active *active = list_item(node, struct active, blocked);

        list_remove(node);
        active_wake(engine, active);
    }
}

/* ── active jobs ── */

static struct str text_take(char **next, struct str s)
{
    struct str copy = s;

    if (!s.ptr)
        return STR_NONE;
    if (s.len)
        memcpy(*next, s.ptr, s.len);
    copy.ptr = *next;
    *next += s.len + 1;
    return copy;
}

/* `room` holds a number. */
static struct str key_of(const struct job *job, char *room, size_t room_bytes)
{
    if (!job_kinds[job->kind].of_disk)
        return job->instance_id;
    (void)snprintf(room, room_bytes, "#%lld", (long long)job->id); /* it fits */
    return str_from(room);
}

static struct active *active_new(struct engine *engine, const struct job *job)
{
    size_t text_bytes = job->instance_id.len + job->account_id.len + job->request_id.len + job->disks.len + 4;
    struct active *active = xcalloc(1, sizeof(*active) + text_bytes);
    char *next = active->text;

    active->engine = engine;
    active->heap_at = NOT_IN_HEAP;
    active->overtaken_us = USEC_NEVER;
    active->job = *job;
    active->job.instance_id = text_take(&next, job->instance_id);
    active->job.account_id = text_take(&next, job->account_id);
    active->job.request_id = text_take(&next, job->request_id);
    active->job.disks = text_take(&next, job->disks);
    active->job.holder = engine->node;
    active->job.error = STR_NONE;
    active->key = key_of(&active->job, active->key_text, sizeof(active->key_text));
    list_init(&active->link);
    list_init(&active->blocked);
    return active;
}

/* ── a clock that was set back ── */

static void move_back(usec_t *time, usec_t by_us)
{
    if (*time != USEC_NEVER)
        *time -= by_us;
}

/* The times inside a job are its worker's: they follow when the job is taken. */
static void job_back(struct engine *engine, struct active *active)
{
    usec_t by_us = engine->back_us - active->back_us;

    if (by_us == 0)
        return;
    active->back_us = engine->back_us;
    move_back(&active->job.deadline_us, by_us);
    move_back(&active->overtaken_us, by_us);
    move_back(&active->next_press_us, by_us);
    move_back(&active->next_cut_us, by_us);
    if (active->starting_us != 0)
        move_back(&active->starting_us, by_us);
}

usec_t engine_clock(struct engine *engine)
{
    usec_t now = env_now(engine->env);
    usec_t by_us = engine->clock_us - now;

    engine->clock_us = now;
    if (by_us <= 0)
        return now;
    log_warning("the clock was set back; what waits goes on as if it had not been", LOG_NUM("us", by_us));
    engine->back_us += by_us;
    move_back(&engine->lease_until_us, by_us);
    for (size_t i = 0; i < CHORE_COUNT; i++)
        move_back(&engine->chores[i].due_us, by_us);
    for (size_t i = 0; i < engine->heap_count; i++) /* all by the same: it stays a heap */
        move_back(&engine->heap[i]->wake_us, by_us);
    errands_back(engine, by_us);
    return now;
}

static void make_ready(struct engine *engine, struct active *active)
{
    heap_remove(engine, active);
    list_remove(&active->blocked);
    active->state = ACTIVE_READY;
    active->woken = false;
    engine->ready_count++;
    active->ready_us = env_now(engine->env);
    list_append(&active->host->ready, &active->link);
    host_slot_queue(engine, active->host);
}

/* It is here already: a node that doesn't have it has changed its row, or its host has come back. */
static bool active_poke(struct engine *engine, const struct job *job)
{
    struct active *active = active_find(engine, job);
    bool ends = job->kind == JOB_KIND_STOP || job->kind == JOB_KIND_DELETE;

    if (!active || active->term != active->host->term)
        return false;
    if (ends && job->step >= STEP_CUT) /* a forced order: nothing else moves the row of a job that is ours */
        active->overtaken_us = MIN_OF(active->overtaken_us, job->deadline_us);
    gauge_deadline(engine, active, job->deadline_us);
    active_wake(engine, active);
    return true;
}

void active_adopt(struct engine *engine, const struct job *job, struct str host_id, bool is_rest)
{
    struct active *active = active_new(engine, job);
    struct active *before;
    usec_t latest;

    pthread_mutex_lock(&engine->mutex);
    if (engine->shared && active_poke(engine, job)) {
        pthread_mutex_unlock(&engine->mutex);
        (void)xfree(active);
        return;
    }
    latest = engine_clock(engine) + order_patience_us(engine, job->kind);
    active->back_us = engine->back_us;
    if (job->deadline_us != USEC_NEVER) /* the clock may have been set back since it was ordered */
        active->job.deadline_us = MIN_OF(job->deadline_us, latest);
    /*
     * The job before may have ended in the same transaction in which this one was ordered: its record is committed, but
     * its `done` comes only after this. It stays its own, out of the table. So does one that a worker has and another node has
     * ended; where none has it, all of it ends here.
     */
    before = map_take(&engine->jobs, active->key);
    assert(!before || before->state == ACTIVE_RECORDING || engine->shared);
    if (before && before->state != ACTIVE_RECORDING && before->state != ACTIVE_RUNNING)
        active_end(engine, before);
    active->is_rest = is_rest;
    active->host = host_slot_get(engine, host_id, true);
    active->term = active->host->term;
    if (!active->host->present && !str_empty(host_id))
        chore_due(engine, CHORE_HOSTS, 0); /* a host of whose arrival nobody has told us */
    (void)map_put(&engine->jobs, active->key, active);
    gauge_add(engine, active);
    metric_add(METRIC_JOBS_ACTIVE, 1);
    engine->adopted++;
    engine->more_comes = true; /* engine_hand_over calls when the whole batch is here */
    make_ready(engine, active);
    engine->more_comes = false;
    pthread_mutex_unlock(&engine->mutex);
}

struct active *active_find(struct engine *engine, const struct job *job)
{
    struct active *active;
    char room[sizeof(active->key_text)];

    active = map_get(&engine->jobs, key_of(job, room, sizeof(room)));
    return active && active->job.id == job->id ? active : NULL;
}

void active_wake(struct engine *engine, struct active *active)
{
    if (active->state == ACTIVE_WAITING)
        make_ready(engine, active);
    else if (active->state != ACTIVE_READY)
        active->woken = true;
}

/* This node drives it, and has done so since the job came here. */
static bool is_host_ours(const struct active *active)
{
    return active->host->held && active->term == active->host->term;
}

static void be_nowhere(struct engine *engine, struct active *active)
{
    active->host->jobs--;
    active->host = host_slot_get(engine, STR_NONE, false);
    active->host->jobs++;
    active->term = active->host->term;
}

void active_wait(struct engine *engine, struct active *active, usec_t until_us)
{
    assert(active->state == ACTIVE_RUNNING || active->state == ACTIVE_RECORDING);
    if (!is_host_ours(active) && active->is_rest)
        be_nowhere(engine, active);
    if (!is_host_ours(active)) {
        active_end(engine, active);
        return;
    }
    if (active->woken) {
        make_ready(engine, active);
        return;
    }
    active->state = ACTIVE_WAITING;
    move_back(&until_us, engine->back_us - active->back_us);
    active->wake_us = until_us;
    heap_add(engine, active);
    engine_due(engine, until_us);
}

void active_end(struct engine *engine, struct active *active)
{
    heap_remove(engine, active);
    list_remove(&active->link);
    list_remove(&active->blocked);
    if (map_get(&engine->jobs, active->key) == active)
        (void)map_take(&engine->jobs, active->key);
    gauge_drop(engine, active);
    if (active->state == ACTIVE_READY) /* its host is another node's */
        engine->ready_count--;
    metric_add(METRIC_JOBS_ACTIVE, -1);
    (void)xfree(active);
}

/* Wherever it is: it is looked for at every host. */
static void forget_host(struct engine *engine, struct active *active)
{
    if (active->state == ACTIVE_READY)
        engine->ready_count--;
    list_remove(&active->link);
    be_nowhere(engine, active);
    make_ready(engine, active);
}

void host_slot_drop(struct engine *engine, struct host_slot *host)
{
    host->dropped = true;
    engine->dropping++;
    log_debug("a host is another node's to drive", LOG_STR("host", host->id), LOG_NUM("jobs", host->jobs));
}

void host_slots_dropped(struct engine *engine)
{
    struct active **idle;
    size_t count = 0;
    struct str key;
    void *value;

    if (engine->dropping == 0)
        return;
    idle = xcalloc(engine->jobs.count + 1, sizeof(struct active *));
    for (size_t cursor = 0; map_next(&engine->jobs, &cursor, &key, &value);) {
        struct active *active = value;

        if (active->host->dropped && (active->state == ACTIVE_WAITING || active->state == ACTIVE_READY))
            idle[count++] = active;
    }
    for (size_t i = 0; i < count; i++)
        if (idle[i]->is_rest)
            forget_host(engine, idle[i]);
        else
            active_end(engine, idle[i]);
    (void)xfree(idle);
    errands_drop(engine);
    for (size_t cursor = 0; map_next(&engine->hosts, &cursor, &key, &value);)
        ((struct host_slot *)value)->dropped = false;
    log_notice("hosts are other nodes' to drive", LOG_NUM("hosts", engine->dropping), LOG_NUM("jobs", count));
    engine->dropping = 0;
}

void host_slot_requeue(struct engine *engine, struct host_slot *host)
{
    list_remove(&host->link);
    host->queued = false;
    host_slot_queue(engine, host);
    errands_requeue(engine, host);
}

struct active *active_take(struct engine *engine)
{
    struct host_slot *host;
    struct active *active;

    if (list_empty(&engine->ready_hosts))
        return NULL;
    host = list_item(engine->ready_hosts.next, struct host_slot, link);
    list_remove(&host->link);
    host->queued = false;
    assert(!list_empty(&host->ready) && host->running < engine->host_limit);
    active = list_item(host->ready.next, struct active, link);
    list_remove(&active->link);
    host->running++;
    /* At the end of the queue again: hosts take turns. */
    host_slot_queue(engine, host);
    assert(active->state == ACTIVE_READY);
    active->state = ACTIVE_RUNNING;
    engine->ready_count--;
    active->woken = false;
    job_back(engine, active);
    active->taken_step = active->job.step;
    active->taken_attempts = active->job.attempts;
    if (active->overtaken_us != USEC_NEVER) {
        active->job.deadline_us = MIN_OF(active->job.deadline_us, active->overtaken_us);
        active->job.step = MAX_OF(active->job.step, (int64_t)STEP_CUT);
    }
    return active;
}

void active_leave(struct engine *engine, struct active *active)
{
    assert(active->host->running > 0);
    active->host->running--;
    host_slot_queue(engine, active->host);
}

usec_t active_tick(struct engine *engine, usec_t now)
{
    while (engine->heap_count > 0 && engine->heap[0]->wake_us <= now)
        make_ready(engine, engine->heap[0]);
    return engine->heap_count > 0 ? engine->heap[0]->wake_us : USEC_NEVER;
}

void active_free_all(struct engine *engine)
{
    struct str key;
    void *value;

    for (size_t cursor = 0; map_next(&engine->jobs, &cursor, &key, &value);)
        (void)xfree(value);
    map_done(&engine->jobs);
    errands_free(engine);
    for (size_t cursor = 0; map_next(&engine->hosts, &cursor, &key, &value);) {
        struct host_slot *host = value;

        (void)xfree(host->id_text);
        (void)xfree(host->url_text);
        (void)xfree(host);
    }
    map_done(&engine->hosts);
    list_for_each_safe (node, &engine->hints)
        (void)xfree(list_item(node, struct hint, link));
    engine->heap = xfree(engine->heap);
    engine->gauge_jobs = xfree(engine->gauge_jobs);
}

void engine_due(struct engine *engine, usec_t due_us)
{
    if (due_us >= engine->timer_until_us)
        return;
    engine->timer_until_us = due_us;
    pthread_cond_signal(&engine->timer);
}

void chore_due(struct engine *engine, enum chore_id id, usec_t due_us)
{
    struct chore *chore = &engine->chores[id];

    chore->due_us = MIN_OF(chore->due_us, due_us);
    engine_due(engine, chore->due_us);
}
