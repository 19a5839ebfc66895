/* SPDX-License-Identifier: Apache-2.0 */
/* What operators are told: may calls be sent here, which hosts answer, how far is a job. */
#include "engine/active.h"

/*
 * The lease is a write of ours every few seconds: while it goes through, so do others. A COMMIT that failed since the
 * latest one counts at once.
 */
const char *engine_unready(struct engine *engine)
{
    const char *why = NULL;

    pthread_mutex_lock(&engine->mutex);
    if (engine->stopping)
        why = "ecsd is stopping";
    else if (engine->fenced)
        why = "another process has taken over this node";
    else if (!engine->recovered)
        why = "unfinished jobs are still being taken up";
    else if (engine->lease_error != 0)
        why = error_rows[engine->lease_error].name;
    else if (metric_get(METRIC_COMMITS_FAILED) != engine->commits_failed)
        why = "the store refused the latest write";
    else if (env_now(engine->env) >= engine->lease_until_us)
        why = "the lease of this node has run out";
    pthread_mutex_unlock(&engine->mutex);
    return why;
}

const char *engine_step_name(int kind, int64_t step)
{
    assert(kind >= 0 && kind < JOB_KIND_COUNT);
    if (step < 0 || (size_t)step >= job_kinds[kind].count)
        return "?"; /* a row of another version */
    return job_kinds[kind].steps[step].name;
}

void engine_job_progress(struct engine *engine, struct job *job)
{
    const struct active *active;

    pthread_mutex_lock(&engine->mutex);
    active = active_find(engine, job);
    if (active) {
        bool quiet = active->state == ACTIVE_WAITING || active->state == ACTIVE_READY;

        job->step = quiet ? active->job.step : active->taken_step;
        job->attempts = quiet ? active->job.attempts : active->taken_attempts;
    }
    pthread_mutex_unlock(&engine->mutex);
}

void host_slot_heard(struct engine *engine, struct host_slot *host, bool answers)
{
    if (host->silent == !answers)
        return;
    host->silent = !answers;
    engine->silent_hosts += answers ? -1 : 1;
    metric_set(METRIC_HOSTS_UNREACHABLE, engine->silent_hosts);
    if (answers)
        log_notice("a host answers again", LOG_STR("host", host->id));
    else
        log_warning("a host does not answer; its jobs wait for it", LOG_STR("host", host->id));
}
