/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of each kind of job, and what carries them out. What a step does stands in steps_*.c. */
#include "engine/active.h"

#define STEPS(table) .steps = (table), .count = countof(table)

static const struct step stop_steps[] = {
    [STEP_PRESS] = {"press", step_press}, /* asks the guest, again and again, until it is off or the deadline has come */
    [STEP_CUT] = {"cut", step_cut},       /* quit, SIGTERM, SIGKILL; at once when forced */
    [STEP_DEAD] = {"dead", step_dead},    /* the host says so */
    {"clear", step_clear},                /* local disks, where the family demands it */
    {"release", step_release},            /* the machine leaves its host, when StopCharging */
    {"stopped", step_stopped},            /* row, what is released, billing, event, job: one transaction */
};

static const struct step start_steps[] = {
    {"define", step_define},     /* the machine at its host, with its disks; local disks that are to be blank are made so */
    {"announce", step_announce}, /* Pending → Starting, for a new instance */
    {"start", step_start},       /* with this incarnation */
    {"booted", step_booted},     /* until its system is up */
    {"running", step_running},   /* row, event, job: one transaction */
};

static const struct step reboot_steps[] = {
    [STEP_PRESS] = {"press", step_press}, /* these three mean the incarnation before */
    [STEP_CUT] = {"cut", step_cut},
    [STEP_DEAD] = {"dead", step_dead},
    [STEP_AFTER_DEAD] = {"define", step_define},
    {"announce", step_announce},
    {"start", step_start},
    {"booted", step_booted},
    {"running", step_running},
};

static const struct step delete_steps[] = {
    [STEP_PRESS] = {"press", step_press},
    [STEP_CUT] = {"cut", step_cut},
    [STEP_DEAD] = {"dead", step_dead},
    {"undefine", step_undefine}, /* nothing of it is left at any host, and of the disks that go with it nothing anywhere */
    {"gone", step_gone},         /* all rows of it, event, job: one transaction */
};

static const struct step redeploy_steps[] = {
    [STEP_PRESS] = {"press", step_press}, /* these four mean the host before, the first three the incarnation before */
    [STEP_CUT] = {"cut", step_cut},
    [STEP_DEAD] = {"dead", step_dead},
    [STEP_AFTER_DEAD] = {"leave", step_leave}, /* nothing of it is left at that host: its local disks are gone */
    {"move", step_move},                       /* row, capacity, event, job: one transaction. From here on the new host */
    [STEP_REDEFINE] = {"define", step_define},
    {"announce", step_announce},
    {"start", step_start},
    {"booted", step_booted},
    {"running", step_running},
};

/* Of a Stopped instance. What is in the way ends the job: nothing is waited for while nobody may start it. */
static const struct step evacuate_steps[] = {
    {"leave", step_vacate},  /* off, and with a place elsewhere: nothing of it is left at its host. All its disks are cloud disks */
    {"move", step_resettle}, /* row, capacity, event, job: one transaction */
};

/* What a row says is what has come to pass: a disk is attached when the machine has it, Available when none has. */
static const struct step attach_steps[] = {{"attach", step_disk_attach}};
static const struct step detach_steps[] = {{"detach", step_disk_detach}};
static const struct step delete_disk_steps[] = {{"delete", step_disk_delete}}; /* no row has it any more */

const struct job_kind_row job_kinds[] = {
    [JOB_KIND_START] = {"start", STEPS(start_steps), .define = 0},
    [JOB_KIND_STOP] = {"stop", STEPS(stop_steps), .define = -1},
    [JOB_KIND_REBOOT] = {"reboot", STEPS(reboot_steps), .define = STEP_AFTER_DEAD},
    [JOB_KIND_DELETE] = {"delete", STEPS(delete_steps), .define = -1},
    [JOB_KIND_ATTACH_DISK] = {"attach-disk", STEPS(attach_steps), .define = -1, .of_disk = true},
    [JOB_KIND_DETACH_DISK] = {"detach-disk", STEPS(detach_steps), .define = -1, .of_disk = true},
    [JOB_KIND_DELETE_DISK] = {"delete-disk", STEPS(delete_disk_steps), .define = -1, .of_disk = true},
    [JOB_KIND_REDEPLOY] = {"redeploy", STEPS(redeploy_steps), .define = STEP_REDEFINE},
    [JOB_KIND_EVACUATE] = {"evacuate", STEPS(evacuate_steps), .define = -1},
};
static_assert(countof(job_kinds) == JOB_KIND_COUNT, "every kind has its steps");

/* More moves than this in one pass means that steps send each other round in circles: wait instead. */
#define MOVES_PER_PASS 32

bool run_look(struct run *run)
{
    int r;

    if (run->looked)
        return true;
    r = run->hv->ops->probe(run->hv, run->host_id, run->job->instance_id, &run->status);
    if (r < 0) {
        (void)run_failed(run, r, "look at the machine");
        return false;
    }
    run->looked = true;
    run->reached = true;
    return true;
}

bool run_did(struct run *run, int r, const char *doing)
{
    run->looked = false;
    if (r >= 0) {
        run->reached = true;
        return true;
    }
    (void)run_failed(run, r, doing);
    return false;
}

bool run_did_or_why(struct run *run, int r, const char *doing, const struct fail *fail)
{
    if (r < 0)
        run->why = fail->message;
    return run_did(run, r, doing);
}

enum step_result run_failed(struct run *run, int r, const char *doing)
{
    assert(r < 0);
    metric_add(METRIC_HYPERVISOR_ERRORS, 1);
    run->error = -r;
    run->doing = doing;
    return STEP_RETRY;
}

enum step_result run_raise(struct run *run)
{
    bool adopts = run->job->kind == JOB_KIND_START && !machine_is_dead(&run->status);
    bool ends = run->job->kind == JOB_KIND_STOP || run->job->kind == JOB_KIND_DELETE;

    assert(run->looked);
    assert(run->status.incarnation > run->job->incarnation ||
           (run->job->kind == JOB_KIND_REDEPLOY && run->status.incarnation == run->job->incarnation));
    log_warning("a host has a machine of a later start than the store knows; its number is taken over",
                LOG_STR("instance", run->job->instance_id), LOG_STR("host", run->host_id),
                LOG_NUM("incarnation", run->status.incarnation), LOG_NUM("known", run->job->incarnation));
    /* A start that finds it alive has what it wants; the next one has to be later than it. */
    run->active->raised = run->status.incarnation + (adopts || ends ? 0 : 1);
    run->active->wake_us = run->now;
    return run_record(run, record_raise, AFTER_RETRY);
}

enum step_result run_goto(struct run *run, int64_t step)
{
    assert(step >= 0 && (size_t)step < job_kinds[run->job->kind].count);
    run->job->step = step;
    return STEP_AGAIN;
}

enum step_result run_record(struct run *run, int (*apply)(struct tx *tx, struct active *active), enum after_record after)
{
    run->active->apply = apply;
    run->active->after = after;
    return STEP_RECORD;
}

static usec_t backoff_us(const struct engine *engine, int64_t attempts)
{
    usec_t wait = engine->options->engine_retry_min_ms * USEC_PER_MSEC;
    usec_t most = engine->options->engine_retry_max_s * USEC_PER_SEC;

    while (attempts-- > 1 && wait < most)
        wait *= 2;
    return MIN_OF(wait, most);
}

/* One line of text: words of others may hold anything. A character that was cut in two at the end goes. */
static void tidy(char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20)
            text[i] = ' ';
    while (len > 0 && !str_is_utf8(str_slice(text, len)))
        text[--len] = '\0';
}

/* Says in job.error what failed. True: that is news. */
static bool note_error(struct run *run)
{
    struct active *active = run->active;
    char text[JOB_ERROR_BYTES];

    (void)snprintf(text, sizeof(text), "can't %s: %s%s%.*s", run->doing,
                   run->error == E_UNREACHABLE ? "the host does not answer" : error_rows[run->error].name,
                   str_empty(run->why) ? "" : ": ", STR_ARG(run->why));
    tidy(text);
    if (active->error_saved && str_eq(str_from(text), active->job.error))
        return false;
    memcpy(active->error, text, sizeof(text));
    active->job.error = str_from(active->error);
    active->error_saved = false;
    log_warning("job step failed, will be repeated", LOG_STR("instance", active->job.instance_id),
                LOG_TEXT("job", job_kinds[active->job.kind].name), LOG_STR("host", run->host_id),
                LOG_STR("error", active->job.error));
    return true;
}

static void count_record(const struct active *active, usec_t now)
{
    if (active->apply == record_escalation)
        metric_add(METRIC_ESCALATIONS_CUT, 1);
    if (active->apply == record_revert)
        metric_add(METRIC_ESCALATIONS_REVERT, 1);
    if (active->apply == record_raise)
        metric_add(METRIC_RECONCILE_REPAIRS, 1);
    if (active->apply == record_stopped)
        metric_observe(METRIC_STOP, now - active->job.created_us);
    if (active->after != AFTER_END)
        return;
    if (active->apply == record_revert || active->apply == record_start_failed || active->apply == record_disk_refused ||
        active->apply == record_disk_over || active->apply == record_left)
        metric_add(METRIC_JOBS_FAILED, 1);
    else
        metric_add(METRIC_JOBS_DONE, 1);
}

/* The job goes on at the host that the row names now. */
static void follow_move(struct engine *engine, struct active *active)
{
    active->host->jobs--;
    active->host = active->moved_to;
    active->host->jobs++;
    active->term = active->host->term;
    active->next_cut_us = 0;
    active->cut_level = 0;
    if (!active->host->present)
        chore_due(engine, CHORE_HOSTS, 0); /* one of whose arrival nobody has told us */
}

static void record_done(struct write *write, int result)
{
    struct active *active = container_of(write, struct active, write);
    struct engine *engine = active->engine;
    usec_t now = env_now(engine->env);

    pthread_mutex_lock(&engine->mutex);
    assert(active->state == ACTIVE_RECORDING);
    if (result >= 0)
        count_record(active, now);
    if (result >= 0 && active->apply == record_raise)
        active->job.incarnation = active->raised;
    if (result == -E_FENCED) {
        log_error("another process runs this job now", LOG_STR("instance", active->job.instance_id));
        active_end(engine, active);
    } else if (result < 0) {
        active->job.attempts++;
        active_wait(engine, active, now + backoff_us(engine, active->job.attempts));
    } else if (active->after == AFTER_END) {
        /* What happened while the end was being written is told to nobody else. */
        if ((active->woken || active->hint_at_end) && !str_empty(active->host->id))
            engine_hint(engine, active->host->id, active->job.instance_id);
        active_end(engine, active);
    } else if (active->after == AFTER_NEXT) {
        if (active->apply == record_moved)
            follow_move(engine, active);
        active->job.step++;
        active->woken = true;
        active_wait(engine, active, now);
    } else {
        active->error_saved = true;
        active_wait(engine, active, active->wake_us);
    }
    pthread_mutex_unlock(&engine->mutex);
}

static int record_run(struct tx *tx, struct write *write)
{
    struct active *active = container_of(write, struct active, write);

    return active->apply(tx, active);
}

static void submit_record(struct engine *engine, struct active *active)
{
    int r;

    active->write = (struct write){.run = record_run, .done = record_done, .repeats = true, .about = {&active->job.instance_id, 1}};
    r = store_submit(engine->store, &active->write);
    if (r < 0)
        record_done(&active->write, r);
}

/* The step failed: again after a while, and at once when its host answers somebody. */
static enum step_result plan_retry(struct run *run)
{
    struct active *active = run->active;

    run->job->attempts++;
    metric_add(METRIC_JOB_RETRIES, 1);
    run->wake_us = run->now + backoff_us(run->engine, run->job->attempts);
    if (!note_error(run))
        return STEP_WAIT;
    active->wake_us = run->wake_us;
    return run_record(run, record_error, AFTER_RETRY);
}

static enum step_result run_steps(struct run *run)
{
    const struct job_kind_row *kind = &job_kinds[run->job->kind];
    enum step_result result;

    for (int moves = 0; moves < MOVES_PER_PASS; moves++) {
        assert(run->job->step >= 0 && (size_t)run->job->step < kind->count);
        result = kind->steps[run->job->step].run(run);
        if (result == STEP_NEXT)
            run->job->step++;
        else if (result != STEP_AGAIN)
            return result;
    }
    return run_failed(run, -E_AGAIN, kind->steps[run->job->step].name);
}

void active_run(struct engine *engine, struct active *active, struct arena *arena)
{
    struct run run = {
        .engine = engine,
        .active = active,
        .job = &active->job,
        .hv = engine->hypervisor,
        .host_id = active->host->id,
        .arena = arena,
        .now = env_now(engine->env),
    };
    enum step_result result = run_steps(&run);

    if (result == STEP_RETRY)
        result = plan_retry(&run);
    else
        run.job->attempts = 0;

    pthread_mutex_lock(&engine->mutex);
    active_leave(engine, active);
    if (run.reached)
        host_slot_unblock(engine, active->host);
    if (run.error == E_UNREACHABLE) {
        host_slot_heard(engine, active->host, false);
        list_append(&active->host->blocked, &active->blocked);
    }
    if (result == STEP_WAIT)
        active_wait(engine, active, run.wake_us);
    else
        active->state = ACTIVE_RECORDING;
    pthread_mutex_unlock(&engine->mutex);

    if (result == STEP_RECORD)
        submit_record(engine, active);
}
