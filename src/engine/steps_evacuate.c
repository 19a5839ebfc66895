/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a stopped instance leaves a host that is to be emptied, and stays Stopped:
 *
 *                       off, taken off its host             moved: row at the other host, capacity, job done
 *   ordered: row.job_id ───────────────────────▶ resettle ─┤
 *                │                                          │ no room by now
 *                └── anything in the way ───────────────────┴──────────────▶ left: row as it was, job failed with the reason
 *
 * While the row has the job, nothing else may be ordered of the instance (OperationConflict). So this job waits for nobody and
 * tries nothing twice: a host that does not answer ends it as well, and the operator repeats the command. Either step may run again
 * after a crash. Who has left its host and got no place elsewhere is as good as before: its next start defines it there anew, and
 * all that it owns is on cloud disks (law 7 of hypervisor.h).
 */
#include "engine/active.h"

static enum step_result left(struct run *run, const char *why)
{
    active_say_why(run->active, why);
    return run_record(run, record_left, AFTER_END);
}

static enum step_result left_by_host(struct run *run, int r, const char *doing)
{
    char why[JOB_ERROR_BYTES];

    metric_add(METRIC_HYPERVISOR_ERRORS, 1);
    (void)snprintf(why, sizeof(why), "can't %s: %s", doing,
                   r == -E_UNREACHABLE ? "the host does not answer" : error_rows[-r].name);
    return left(run, why);
}

/* Is there a place for it elsewhere? The record looks again: here it is to be known before the machine is touched. */
static int look_elsewhere(struct run *run, const char **ret_why)
{
    struct tx *tx = store_read_begin(run->engine->store);
    struct instance *inst;
    struct other other;
    int r;

    r = store_instance_get_hot(tx, run->job->instance_id, &inst);
    if (r >= 0 && inst->job_id == run->job->id) {
        r = holdings_find_other(run->engine, tx, inst, false, &other);
        *ret_why = r < 0 ? NULL : other.why;
    } else if (r >= 0) {
        *ret_why = "the instance has another job";
    }
    store_read_end(tx);
    if (r == -E_NOT_FOUND)
        *ret_why = "the instance is gone";
    return r == -E_NOT_FOUND ? 0 : r;
}

/*
 * A machine that lives, or is of a later start than the row, means that the row is wrong: whoever compares the two is called, and
 * puts it right when this job is over.
 */
enum step_result step_vacate(struct run *run)
{
    const char *why = NULL;
    int r;

    r = look_elsewhere(run, &why);
    if (r < 0)
        return run_failed(run, r, "read the instance");
    if (why)
        return left(run, why);
    r = run->hv->ops->probe(run->hv, run->host_id, run->job->instance_id, &run->status);
    if (r < 0)
        return left_by_host(run, r, "look at the machine");
    run->reached = true;
    if (!machine_is_dead(&run->status) || run->status.incarnation > run->job->incarnation) {
        run->active->hint_at_end = true;
        return left(run, "its host has a machine that lives, or that was started later than is known here");
    }
    r = run->hv->ops->undefine(run->hv, run->host_id, run->job->instance_id);
    return r < 0 ? left_by_host(run, r, "take the machine off its host") : STEP_NEXT;
}

enum step_result step_resettle(struct run *run)
{
    return run_record(run, record_evacuated, AFTER_END);
}
