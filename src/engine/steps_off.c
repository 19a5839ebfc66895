/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a machine is brought to its end: stop, the first half of a reboot or a redeploy, delete. Every step looks before it acts, so that
 * it may run again after a crash at any place.
 */
#include "base/bug.h"
#include "engine/active.h"

static int64_t ending_incarnation(const struct job *job)
{
    return job_makes_next(job) ? job->incarnation - 1 : job->incarnation;
}

/* Dead, or a reboot's next incarnation lives already: then the one before is dead (law 6). */
static bool is_over(const struct run *run)
{
    return machine_is_dead(&run->status) ||
           (run->job->kind == JOB_KIND_REBOOT && run->status.incarnation == run->job->incarnation);
}

/* A machine of a later incarnation than we know of is not ours to touch before we do (law 5). */
static bool is_later(const struct run *run)
{
    return run->status.incarnation > ending_incarnation(run->job);
}

enum step_result run_cut_ladder(struct run *run)
{
    struct active *active = run->active;
    int r;

    if (!run_look(run))
        return STEP_RETRY;
    if (machine_is_dead(&run->status))
        return STEP_NEXT;
    if (run->now >= active->next_cut_us) {
        r = run->hv->ops->cut(run->hv, run->host_id, run->job->instance_id, run->status.incarnation,
                              (enum machine_cut)active->cut_level);
        /* Any other failure is an answer too: a machine that doesn't obey gets the harder way next. */
        if (r == -E_UNREACHABLE)
            return run_failed(run, r, "cut the power");
        if (BUG(stopped_without_proof))
            return STEP_NEXT;
        run->looked = false;
        active->cut_level = MIN_OF(active->cut_level + 1, (int)MACHINE_CUT_KILL);
        active->next_cut_us = run->now + run->engine->options->stop_kill_wait_s * USEC_PER_SEC;
        if (!run_look(run))
            return STEP_RETRY;
        if (machine_is_dead(&run->status))
            return STEP_NEXT;
    }
    run->wake_us = active->next_cut_us;
    return STEP_WAIT;
}

static enum step_result press_deadline(struct run *run)
{
    bool revert = run->job->kind == JOB_KIND_STOP &&
                  run->engine->options->stop_on_timeout == STOP_ON_TIMEOUT_REVERT;

    if (revert)
        return run_record(run, record_revert, AFTER_END);
    return run_record(run, record_escalation, AFTER_NEXT);
}

/*
 * The button, once per interval: a slow guest needs no more than one. A booting one has lost it in all likelihood and is
 * pressed again as soon as it is up.
 */
static bool press(struct run *run)
{
    const struct hypervisor_ops *ops = run->hv->ops;
    struct str id = run->job->instance_id;
    int64_t incarnation = run->status.incarnation;

    if (run->status.state == MACHINE_PAUSED &&
        !run_did(run, ops->resume(run->hv, run->host_id, id, incarnation), "resume the machine"))
        return false;
    if (run->now < run->active->next_press_us && !(run->active->pressed_early && run->status.state == MACHINE_RUNNING))
        return true;
    run->active->pressed_early = run->status.state == MACHINE_BOOTING;
    if (!run_did(run, ops->press(run->hv, run->host_id, id, incarnation), "press the power button"))
        return false;
    run->active->next_press_us = run->now + run->engine->options->stop_press_interval_s * USEC_PER_SEC;
    return true;
}

enum step_result step_press(struct run *run)
{
    if (BUG(second_machine) && run->job->kind == JOB_KIND_REDEPLOY)
        return run_goto(run, STEP_AFTER_DEAD);
    if (run->job->force)
        return STEP_NEXT;
    if (!run_look(run))
        return STEP_RETRY;
    if (is_over(run))
        return run_goto(run, STEP_DEAD);
    if (is_later(run))
        return run_raise(run);
    if (run->now >= run->job->deadline_us && !BUG(deadline_ignored))
        return press_deadline(run);
    if (run->status.state != MACHINE_DYING && !press(run))
        return STEP_RETRY;
    run->wake_us = run->active->next_press_us;
    if (run->wake_us <= run->now)
        run->wake_us = run->now + run->engine->options->stop_press_interval_s * USEC_PER_SEC;
    run->wake_us = MIN_OF(run->job->deadline_us, run->wake_us);
    return STEP_WAIT;
}

enum step_result step_cut(struct run *run)
{
    if (!run_look(run))
        return STEP_RETRY;
    if (is_over(run))
        return STEP_NEXT;
    if (is_later(run))
        return run_raise(run);
    return run_cut_ladder(run);
}

/*
 * Only a delete comes to this: its row went when the machine was off, and with the row the knowledge of the host after a
 * crash, and what kept the operator from removing the host.
 */
static bool has_no_host(struct run *run)
{
    bool present;

    if (str_empty(run->host_id))
        return true;
    pthread_mutex_lock(&run->engine->mutex);
    present = run->active->host->present;
    pthread_mutex_unlock(&run->engine->mutex);
    return !present && run->job->kind == JOB_KIND_DELETE;
}

enum step_result step_dead(struct run *run)
{
    if (has_no_host(run) || BUG(stopped_without_proof))
        return STEP_NEXT;
    if (!run_look(run))
        return STEP_RETRY;
    return is_over(run) ? STEP_NEXT : run_goto(run, STEP_CUT);
}

/* The instance's row as it is now, hot columns. NULL: gone, or the store can't be read. */
static const struct instance_type *type_of(struct run *run)
{
    struct tx *tx = store_read_begin(run->engine->store);
    const struct instance_type *type = NULL;
    struct instance *inst;

    if (store_instance_get_hot(tx, run->job->instance_id, &inst) == 0)
        type = instance_type_of(inst);
    store_read_end(tx);
    return type;
}

enum step_result step_clear(struct run *run)
{
    const struct instance_type *type;

    if (!run->job->clear_local)
        return STEP_NEXT;
    if (!run_look(run))
        return STEP_RETRY;
    if (run->status.state == MACHINE_ABSENT)
        return STEP_NEXT; /* its local disks went with it */
    type = type_of(run);
    if (!type)
        return run_failed(run, -E_NOT_FOUND, "read the instance");
    for (int64_t i = 0; i < type->local_disk_count; i++) {
        struct str disk_id = local_disk_id(run->arena, run->job->instance_id, i);
        int r = run->hv->ops->disk_clear(run->hv, run->host_id, run->job->instance_id, disk_id);

        if (!run_did(run, r == -E_NOT_FOUND ? 0 : r, "clear a local disk"))
            return STEP_RETRY;
    }
    return STEP_NEXT;
}

/*
 * Capacity is given to others only when the machine has left the host. Only types without local disks stop in this mode
 * (instance_may_stop_charging), so nothing that lives on the host alone is lost.
 */
enum step_result step_release(struct run *run)
{
    int r;

    if (!run->job->release_capacity)
        return STEP_NEXT;
    r = run->hv->ops->undefine(run->hv, run->host_id, run->job->instance_id);
    if (r == -E_BUSY)
        return run_goto(run, STEP_CUT);
    return run_did(run, r, "take the machine off its host") ? STEP_NEXT : STEP_RETRY;
}

/*
 * The number of a redeploy's next start is not known at this host, unless the store is an older copy: then that start has
 * been, and its number can't be given again.
 */
enum step_result step_leave(struct run *run)
{
    int r;

    if (!run_look(run))
        return STEP_RETRY;
    if (is_later(run))
        return run_raise(run);
    r = run->hv->ops->undefine(run->hv, run->host_id, run->job->instance_id);
    if (BUG(second_machine))
        return STEP_NEXT;
    if (r == -E_BUSY)
        return run_goto(run, STEP_CUT);
    return run_did(run, r, "take the machine off its host") ? STEP_NEXT : STEP_RETRY;
}

enum step_result step_move(struct run *run)
{
    return run_record(run, record_moved, AFTER_NEXT);
}

enum step_result step_stopped(struct run *run)
{
    return run_record(run, record_stopped, AFTER_END);
}

/* Every host that we know of: an order that was accepted before a crash no longer knows the one. */
static int undefine_everywhere(struct run *run)
{
    struct str_list hosts = {0};
    struct str key;
    void *value;
    int r = 0;

    pthread_mutex_lock(&run->engine->mutex);
    for (size_t cursor = 0; map_next(&run->engine->hosts, &cursor, &key, &value);)
        if (((struct host_slot *)value)->present)
            arena_push(run->arena, hosts.items, hosts.count, key);
    pthread_mutex_unlock(&run->engine->mutex);
    for (size_t i = 0; i < hosts.count && r >= 0; i++)
        r = run->hv->ops->undefine(run->hv, hosts.items[i], run->job->instance_id);
    return r;
}

/* Only when no machine has them any more. */
static bool delete_disks(struct run *run)
{
    struct str rest = run->job->disks;
    struct str disk_id;

    while (holdings_next_disk(&rest, &disk_id))
        if (!run_did(run, run->hv->ops->disk_delete(run->hv, disk_id), "delete a disk"))
            return false;
    return true;
}

enum step_result step_undefine(struct run *run)
{
    int r;

    if (has_no_host(run)) {
        r = undefine_everywhere(run);
    } else {
        r = run->hv->ops->undefine(run->hv, run->host_id, run->job->instance_id);
        if (r == -E_BUSY)
            return run_goto(run, STEP_CUT);
    }
    if (!run_did(run, r, "take the machine off its host"))
        return STEP_RETRY;
    return delete_disks(run) ? STEP_NEXT : STEP_RETRY;
}

enum step_result step_gone(struct run *run)
{
    return run_record(run, record_gone, AFTER_END);
}
