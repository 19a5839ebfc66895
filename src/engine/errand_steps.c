/* SPDX-License-Identifier: Apache-2.0 */
/* What an errand does in a guest: find its agent, give it the script, ask how it went, end it when its time is over. */
#include "engine/errand.h"

#include "base/mem.h"

#define LOOK_MIN (20 * USEC_PER_MSEC) /* the first look at a script that was just started; each further wait doubles */
#define LOOK_MAX (1 * USEC_PER_SEC)
#define SLOW_SHARE 4                    /* a guest that took a second to answer is asked again four seconds later */
#define KILL_PATIENCE (10 * USEC_PER_SEC) /* from the kill until its end is taken as given */
#define NOBODY_PID 0                    /* no program has it: asking for it shows whether an agent answers */
#define NO_DIRECTORY 125                /* exit code, with NO_DIRECTORY_TEXT as all of the output */
#define NO_DIRECTORY_TEXT "ecsd: no such directory\n"

/* $1: the folder, $2: the script. */
#define CHANGE_FOLDER "cd -- \"$1\" 2>/dev/null || { echo 'ecsd: no such directory'; exit 125; }; exec /bin/sh -c \"$2\""

/* ── how it goes on ── */

static void look_again(struct errand_run *run)
{
    struct errand *errand = run->errand;
    usec_t now = env_now(run->engine->env);
    usec_t took = SLOW_SHARE * MAX_OF(now - run->now, (usec_t)0);

    errand->pause_us = errand->pause_us == 0 ? LOOK_MIN : MIN_OF(2 * errand->pause_us, LOOK_MAX);
    run->wake_us = now + MAX_OF(errand->pause_us, took);
}

static void record(struct errand_run *run, int (*apply)(struct tx *tx, struct errand *errand), enum errand_step next)
{
    run->errand->apply = apply;
    run->errand->next = next;
}

static void finish(struct errand_run *run, enum task_status status, int error, struct str info)
{
    run->task->status = (int)status;
    run->task->error = error;
    run->task->error_info = info.ptr ? info : task_error_info(error);
    record(run, errand_record_end, run->errand->step);
}

/* Nobody can tell whether it ran to its end, or at all. */
static void lose(struct errand_run *run)
{
    finish(run, TASK_STATUS_FAILED, TASK_ERROR_EXECUTION_INTERRUPTED,
           STR("the command execution has been interrupted: the agent knows nothing of it any more, its outcome is unknown"));
}

/* ── the machine ── */

struct place {
    bool exists;
    int state;
    int64_t incarnation;
    struct str host_id;
};

static int read_place(struct errand_run *run, struct place *ret)
{
    struct tx *tx = store_read_begin(run->engine->store);
    struct instance *inst;
    int r = store_instance_get_hot(tx, run->task->instance_id, &inst);

    *ret = (struct place){.exists = r >= 0};
    if (r >= 0) {
        ret->state = inst->state;
        ret->incarnation = inst->incarnation;
        ret->host_id = arena_str(run->arena, inst->host_id);
    }
    store_read_end(tx);
    return r == -E_NOT_FOUND ? 0 : r;
}

/* A host that the hypervisor hasn't been told of yet knows no machine: that says nothing. */
static bool host_is_there(struct errand_run *run)
{
    bool added;

    pthread_mutex_lock(&run->engine->mutex);
    added = run->errand->host->added;
    pthread_mutex_unlock(&run->engine->mutex);
    return added;
}

/* The machine that has the script is no more, or it is another one. */
static void interrupt(struct errand_run *run, const struct place *place)
{
    finish(run, TASK_STATUS_FAILED,
           place->exists ? TASK_ERROR_EXECUTION_INTERRUPTED : TASK_ERROR_INSTANCE_RELEASED, STR_NONE);
}

static bool is_past(const struct place *place, const struct invocation_task *task)
{
    return !place->exists || place->incarnation != task->incarnation || place->state == INSTANCE_STATE_STOPPED;
}

/* ── deliver: until the agent answers ── */

static void move_host(struct errand_run *run, struct str host_id)
{
    struct errand *errand = run->errand;

    pthread_mutex_lock(&run->engine->mutex);
    if (!str_eq(errand->host->id, host_id))
        errand->moved = host_slot_get(run->engine, host_id, true);
    pthread_mutex_unlock(&run->engine->mutex);
    if (errand->moved)
        run->wake_us = run->now;
}

static void give_up(struct errand_run *run, int r)
{
    enum task_error error = TASK_ERROR_CLIENT_NOT_RUNNING;

    if (r == 0)
        error = TASK_ERROR_DELIVERY_TIMEOUT;
    else if (r == -E_UNREACHABLE)
        error = TASK_ERROR_CLIENT_NOT_RESPONSE;
    finish(run, TASK_STATUS_ABORTED, (int)error, STR_NONE);
}

static void wait_for_agent(struct errand_run *run, int r)
{
    run->errand->refused = r;
    if (r == -E_UNSUPPORTED_OPERATION || run->now >= run->task->deliver_us) {
        give_up(run, r);
        return;
    }
    look_again(run);
    run->wake_us = MIN_OF(run->wake_us, MAX_OF(run->task->deliver_us, run->now + LOOK_MIN));
}

static void deliver(struct errand_run *run)
{
    struct invocation_task *task = run->task;
    struct machine_exec_status status;
    struct place place;
    int r;

    if (run->errand->stopping) {
        run->ended = true; /* its row says Cancelled */
        return;
    }
    /* Also when nobody was here to try: a script doesn't come hours late, and one of an older copy of the store not again. */
    if (run->now >= task->deliver_us) {
        give_up(run, run->errand->refused);
        return;
    }
    if (read_place(run, &place) < 0 || (place.exists && !str_eq(place.host_id, run->errand->host->id))) {
        look_again(run);
        if (place.exists)
            move_host(run, place.host_id);
        return;
    }
    if (!place.exists || place.state == INSTANCE_STATE_STOPPED || place.state == INSTANCE_STATE_STOPPING) {
        finish(run, TASK_STATUS_ABORTED, place.exists ? TASK_ERROR_INSTANCE_NOT_RUNNING : TASK_ERROR_INSTANCE_RELEASED,
               STR_NONE);
        return;
    }
    r = !host_is_there(run) ? -E_UNREACHABLE
                            : run->hv->ops->exec_poll(run->hv, place.host_id, task->instance_id, place.incarnation,
                                                      NOBODY_PID, run->arena, &status);
    if (r < 0 && r != -E_NOT_FOUND) {
        wait_for_agent(run, r);
        return;
    }
    task->incarnation = place.incarnation;
    task->started_us = env_now(run->engine->env);
    task->deadline_us = task->started_us + task->timeout_s * USEC_PER_SEC;
    record(run, errand_record_intent, ERRAND_START);
}

/* ── start: once ── */

static int read_script(struct errand_run *run, struct invocation **ret_inv, struct str *ret_script)
{
    struct tx *tx = store_read_begin(run->engine->store);
    struct arena *arena = run->arena;
    struct invocation *inv = NULL;
    struct instance *inst = NULL;
    int r = store_invocation_get(tx, run->task->invocation_id, &inv);

    if (r == 0)
        r = store_instance_get(tx, run->task->instance_id, &inst);
    if (r == 0) {
        struct text_pair builtins[] = {
            {STR("ACS::RegionId"), inv->region_id},   {STR("ACS::AccountId"), inv->account_id},
            {STR("ACS::InstanceId"), inst->id},       {STR("ACS::InstanceName"), inst->name},
            {STR("ACS::InvokeId"), inv->id},          {STR("ACS::CommandId"), inv->command_id},
        };
        const struct text_pair_list list = {builtins, inv->parametric ? countof(builtins) : 0};

        r = command_fill(arena, inv->script, &list, true, LIMIT_SCRIPT_BYTES, ret_script);
        *ret_inv = arena_new(arena, struct invocation);
        (*ret_inv)->working_dir = arena_str(arena, inv->working_dir);
    }
    store_read_end(tx);
    return r;
}

static int give(struct errand_run *run, struct str script, struct str working_dir)
{
    const struct str plain[] = {STR("-c"), script};
    const struct str in_folder[] = {STR("-c"), STR(CHANGE_FOLDER), STR("sh"), working_dir, script};
    struct machine_exec exec = {.path = STR("/bin/sh"), .args = plain, .arg_count = countof(plain)};

    if (!str_empty(working_dir)) {
        exec.args = in_folder;
        exec.arg_count = countof(in_folder);
    }
    return run->hv->ops->exec_start(run->hv, run->errand->host->id, run->task->instance_id, run->task->incarnation, &exec,
                                    &run->task->pid);
}

static void start(struct errand_run *run)
{
    struct invocation *inv = NULL;
    struct str script;
    int r;

    if (run->errand->stopping) {
        finish(run, TASK_STATUS_TERMINATED, -1, STR_NONE);
        return;
    }
    r = read_script(run, &inv, &script);
    if ((r == -E_IO || r == -E_BUSY) && run->now < run->task->deadline_us) {
        look_again(run); /* the store's failure, and nothing was started */
        return;
    }
    if (r == 0)
        r = give(run, script, inv->working_dir);
    if (r == 0) {
        run->errand->pause_us = 0;
        record(run, errand_record_pid, ERRAND_POLL);
    } else if (r == -E_BUSY) {
        wait_for_agent(run, r); /* it went away again; nothing was started */
    } else if (r == -E_UNREACHABLE || r == -E_TIMEOUT) {
        lose(run); /* perhaps it was started (law 3) */
    } else if (r == -E_GONE) {
        finish(run, TASK_STATUS_FAILED, TASK_ERROR_EXECUTION_INTERRUPTED, STR_NONE);
    } else {
        finish(run, TASK_STATUS_ERROR, TASK_ERROR_EXECUTION_EXCEPTION, STR_NONE);
    }
}

/* ── poll: until it has ended ── */

static void keep_output(struct errand_run *run, struct str output)
{
    struct errand *errand = run->errand;
    size_t kept = MIN_OF(output.len, (size_t)COMMAND_OUTPUT_BYTES);

    errand->output = xcalloc(kept + 1, 1);
    if (kept > 0)
        memcpy(errand->output, output.ptr, kept);
    run->task->output = str_slice(errand->output, kept);
    run->task->dropped_bytes = (int64_t)(output.len - kept);
}

static void take_end(struct errand_run *run, const struct machine_exec_status *status)
{
    struct errand *errand = run->errand;

    if (status->signal == 0 && status->exit_code == NO_DIRECTORY && str_eq(status->output, STR(NO_DIRECTORY_TEXT))) {
        finish(run, TASK_STATUS_FAILED, TASK_ERROR_DIRECTORY_NOT_EXISTS, STR_NONE);
        return;
    }
    keep_output(run, status->output);
    if (status->signal != 0 && errand->killed_us != 0) {
        if (errand->stopping)
            finish(run, TASK_STATUS_TERMINATED, -1, STR_NONE);
        else
            finish(run, TASK_STATUS_TIMEOUT, TASK_ERROR_EXECUTION_TIMEOUT, STR_NONE);
        return;
    }
    run->task->exited = true;
    run->task->exit_code = status->signal != 0 ? 128 + status->signal : status->exit_code; /* as shells tell it */
    if (run->task->exit_code == 0)
        finish(run, TASK_STATUS_SUCCESS, -1, STR_NONE);
    else
        finish(run, TASK_STATUS_FAILED, TASK_ERROR_EXIT_CODE_NONZERO, STR_NONE);
}

/* Its time is over: what becomes of it now is not waited for any longer. */
static void end_by_force(struct errand_run *run)
{
    if (run->errand->stopping)
        finish(run, TASK_STATUS_TERMINATED, -1, STR_NONE);
    else
        finish(run, TASK_STATUS_TIMEOUT, TASK_ERROR_EXECUTION_TIMEOUT, STR_NONE);
}

static bool has_to_end(const struct errand_run *run)
{
    return run->errand->stopping || run->now >= run->task->deadline_us;
}

/* It runs, or nobody answers. */
static void poll_on(struct errand_run *run, bool answers)
{
    struct errand *errand = run->errand;
    struct invocation_task *task = run->task;

    if (!has_to_end(run)) {
        look_again(run);
        run->wake_us = MIN_OF(run->wake_us, MAX_OF(task->deadline_us, run->now + 1));
        return;
    }
    if (errand->killed_us == 0) {
        errand->killed_us = run->now;
        errand->pause_us = 0;
    } else if (run->now >= errand->killed_us + KILL_PATIENCE) {
        end_by_force(run);
        return;
    }
    /* Again and again: a kill that got lost is not told from one that takes its time. */
    if (answers)
        (void)run->hv->ops->exec_kill(run->hv, errand->host->id, task->instance_id, task->incarnation, task->pid);
    look_again(run);
    run->wake_us = MIN_OF(run->wake_us, MAX_OF(errand->killed_us + KILL_PATIENCE, run->now + 1));
}

static void poll(struct errand_run *run)
{
    struct errand *errand = run->errand;
    struct invocation_task *task = run->task;
    struct machine_exec_status status = {0};
    struct place place;
    int r = -E_UNREACHABLE;

    if (host_is_there(run))
        r = run->hv->ops->exec_poll(run->hv, errand->host->id, task->instance_id, task->incarnation, task->pid, run->arena,
                                    &status);
    if (r == 0 && status.exited) {
        take_end(run, &status);
        return;
    }
    if (r == -E_NOT_FOUND) {
        if (errand->killed_us != 0)
            end_by_force(run);
        else
            lose(run);
        return;
    }
    if (r < 0 && read_place(run, &place) >= 0 && (r == -E_GONE || is_past(&place, task)))
        interrupt(run, &place);
    else
        poll_on(run, r == 0);
}

void errand_run(struct engine *engine, struct errand *errand, struct arena *arena)
{
    static void (*const steps[])(struct errand_run *run) = {
        [ERRAND_DELIVER] = deliver, [ERRAND_START] = start, [ERRAND_POLL] = poll, [ERRAND_LOST] = lose};
    struct errand_run run = {
        .engine = engine,
        .errand = errand,
        .task = &errand->task,
        .hv = engine->hypervisor,
        .arena = arena,
        .now = env_now(engine->env),
    };

    if (!errand->apply) /* else the store has refused it before */
        steps[errand->step](&run);
    errand_after(&run);
}
