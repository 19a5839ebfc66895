/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is true of jobs, hosts and the lease when somebody asks, for graphs. Ages can't be kept, only computed: one pass over a
 * table that has of each job the three numbers for it. Over the jobs themselves, each with its text in a page of its own, it
 * would hold the mutex for tens of milliseconds when there are a hundred thousand.
 */
#include "base/mem.h"
#include "engine/active.h"

#define OVERDUE_GRACE (60 * USEC_PER_SEC) /* the help of ecsd_jobs_overdue says so; the ladder of cuts takes less */

static const char *const active_state_names[] = {
    [ACTIVE_WAITING] = "waiting",
    [ACTIVE_READY] = "ready",
    [ACTIVE_RUNNING] = "running",
    [ACTIVE_RECORDING] = "recording",
};
#define ACTIVE_STATE_COUNT countof(active_state_names)

/* The operator's words (enum host_state) come first, then what we know ourselves. */
enum host_gauge { HOST_GAUGE_SILENT = HOST_STATE_COUNT, HOST_GAUGE_ARRIVING, HOST_GAUGE_LEAVING, HOST_GAUGE_COUNT };

struct gauges {
    usec_t now;
    int64_t kinds[JOB_KIND_COUNT];
    int64_t overdue[JOB_KIND_COUNT];
    int64_t oldest_us[JOB_KIND_COUNT]; /* age; 0: none */
    int64_t states[ACTIVE_STATE_COUNT];
    int64_t at_silent_hosts;
    int64_t hosts[HOST_GAUGE_COUNT];
    int64_t busy_workers;
    int64_t idle_workers;
    int64_t hints;
    int64_t epoch;
    int64_t lease_us; /* until it ends */
    bool fenced;
};

/* ── what is kept ── */

/* A clock that is set back brings deadlines forward by as much (engine_clock): counted from here, none has to be changed. */
static usec_t unmoved(const struct engine *engine, usec_t deadline_us)
{
    return deadline_us == USEC_NEVER ? USEC_NEVER : deadline_us + engine->back_us;
}

void gauge_add(struct engine *engine, struct active *active)
{
    if (engine->gauge_count == engine->gauge_capacity) {
        engine->gauge_capacity = MAX_OF(engine->gauge_capacity * 2, (size_t)64);
        engine->gauge_jobs = xrealloc(engine->gauge_jobs, engine->gauge_capacity * sizeof(engine->gauge_jobs[0]));
    }
    active->gauge_at = engine->gauge_count++;
    engine->gauge_jobs[active->gauge_at] = (struct gauge_job){
        .created_us = active->job.created_us,
        .deadline_us = unmoved(engine, active->job.deadline_us),
        .active = active,
        .kind = active->job.kind,
    };
    active->host->jobs++;
}

void gauge_drop(struct engine *engine, struct active *active)
{
    struct gauge_job *last = &engine->gauge_jobs[engine->gauge_count - 1];

    assert(engine->gauge_jobs[active->gauge_at].active == active);
    assert(active->host->jobs > 0);
    engine->gauge_jobs[active->gauge_at] = *last;
    last->active->gauge_at = active->gauge_at;
    engine->gauge_count--;
    active->host->jobs--;
}

void gauge_deadline(struct engine *engine, const struct active *active, usec_t deadline_us)
{
    struct gauge_job *job = &engine->gauge_jobs[active->gauge_at];

    assert(job->active == active);
    job->deadline_us = MIN_OF(job->deadline_us, unmoved(engine, deadline_us));
}

/* ── what is asked for ── */

static void note_job(struct gauges *gauges, const struct gauge_job *job, usec_t unmoved_now)
{
    gauges->kinds[job->kind]++;
    gauges->oldest_us[job->kind] = MAX_OF(gauges->oldest_us[job->kind], gauges->now - job->created_us);
    if (job->deadline_us < unmoved_now - OVERDUE_GRACE)
        gauges->overdue[job->kind]++;
}

/* Each state but the last has a place where its jobs are counted anyway. */
static void note_states(struct gauges *gauges, const struct engine *engine)
{
    int64_t *states = gauges->states;

    states[ACTIVE_WAITING] = (int64_t)engine->heap_count;
    states[ACTIVE_READY] = (int64_t)engine->ready_count;
    states[ACTIVE_RECORDING] =
        (int64_t)engine->gauge_count - states[ACTIVE_WAITING] - states[ACTIVE_READY] - states[ACTIVE_RUNNING];
    assert(states[ACTIVE_RECORDING] >= 0);
}

static void note_host(struct gauges *gauges, const struct host_slot *host)
{
    gauges->states[ACTIVE_RUNNING] += (int64_t)host->running;
    if (host->silent)
        gauges->at_silent_hosts += (int64_t)host->jobs;
    if (!host->present && !host->added)
        return; /* gone: the slot is kept for who still has a pointer to it */
    if (host->silent)
        gauges->hosts[HOST_GAUGE_SILENT]++;
    else if (!host->present)
        gauges->hosts[HOST_GAUGE_LEAVING]++;
    else if (!host->added)
        gauges->hosts[HOST_GAUGE_ARRIVING]++;
    else
        gauges->hosts[host->state]++;
}

static void take_gauges(struct gauges *gauges, struct engine *engine)
{
    struct str key;
    void *value;

    pthread_mutex_lock(&engine->mutex);
    gauges->now = engine_clock(engine);
    for (size_t i = 0; i < engine->gauge_count; i++)
        note_job(gauges, &engine->gauge_jobs[i], gauges->now + engine->back_us);
    note_host(gauges, &engine->nowhere);
    for (size_t cursor = 0; map_next(&engine->hosts, &cursor, &key, &value);)
        note_host(gauges, value);
    note_states(gauges, engine);
    gauges->idle_workers = (int64_t)engine->idle_workers;
    gauges->busy_workers = (int64_t)(engine->worker_count - engine->idle_workers);
    gauges->hints = (int64_t)engine->hint_count;
    gauges->epoch = engine->epoch;
    gauges->lease_us = engine->lease_until_us - gauges->now;
    gauges->fenced = engine->fenced;
    pthread_mutex_unlock(&engine->mutex);
}

static void print_kinds(struct buf *out, enum metric_id id, const int64_t *values)
{
    metric_head(out, id);
    for (int kind = 0; kind < JOB_KIND_COUNT; kind++) {
        struct str name = str_from(job_kind_text((enum job_kind)kind));

        metric_sample(out, id, &name, values[kind]);
    }
}

static void print_states(struct buf *out, const struct gauges *gauges)
{
    metric_head(out, METRIC_JOBS_BY_STATE);
    for (size_t state = 0; state < ACTIVE_STATE_COUNT; state++) {
        struct str name = str_from(active_state_names[state]);

        metric_sample(out, METRIC_JOBS_BY_STATE, &name, gauges->states[state]);
    }
    metric_head(out, METRIC_WORKERS);
    metric_sample(out, METRIC_WORKERS, &STR("busy"), gauges->busy_workers);
    metric_sample(out, METRIC_WORKERS, &STR("idle"), gauges->idle_workers);
}

static void print_hosts(struct buf *out, const struct gauges *gauges)
{
    static const char *const ours[] = {"silent", "arriving", "leaving"};

    static_assert(HOST_STATE_COUNT + countof(ours) == HOST_GAUGE_COUNT, "every state has a word");
    metric_head(out, METRIC_HOSTS);
    for (int state = 0; state < HOST_GAUGE_COUNT; state++) {
        struct str name = str_from(state < HOST_STATE_COUNT ? host_state_text((enum host_state)state) : ours[state - HOST_STATE_COUNT]);

        metric_sample(out, METRIC_HOSTS, &name, gauges->hosts[state]);
    }
}

void engine_metrics(struct engine *engine, struct buf *out)
{
    struct gauges gauges = {.now = 0};

    take_gauges(&gauges, engine);
    print_kinds(out, METRIC_JOBS_BY_KIND, gauges.kinds);
    print_kinds(out, METRIC_JOB_OLDEST, gauges.oldest_us);
    print_kinds(out, METRIC_JOBS_OVERDUE, gauges.overdue);
    print_states(out, &gauges);
    print_hosts(out, &gauges);
    metric_head(out, METRIC_NODE_EPOCH);
    metric_sample(out, METRIC_NODE_EPOCH, &engine->node, gauges.epoch);
    metric_set(METRIC_JOBS_AT_SILENT_HOSTS, gauges.at_silent_hosts);
    metric_set(METRIC_HINTS, gauges.hints);
    metric_set(METRIC_LEASE, gauges.lease_us);
    metric_set(METRIC_FENCED, gauges.fenced);
}
