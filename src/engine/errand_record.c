/* SPDX-License-Identifier: Apache-2.0 */
/* What an errand writes. Each sets its own columns of the row as it is now: a stop may have been asked for meanwhile. */
#include "engine/errand.h"

static int load(struct tx *tx, const struct errand *errand, struct invocation_task **ret)
{
    int r = store_task_get(tx, errand->task.id, ret);

    if (r < 0)
        return r;
    return (*ret)->finished_us != 0 ? -E_CONFLICT : 0;
}

int errand_record_intent(struct tx *tx, struct errand *errand)
{
    struct invocation_task *row;
    int r = load(tx, errand, &row);

    if (r < 0)
        return r;
    if (row->started_us != 0)
        return -E_CONFLICT; /* another node had the host meanwhile, and gave it the script */
    row->status = TASK_STATUS_RUNNING;
    row->incarnation = errand->task.incarnation;
    row->started_us = errand->task.started_us;
    row->deadline_us = errand->task.deadline_us;
    row->updated_us = tx_now(tx);
    r = store_task_save(tx, row);
    return r < 0 ? r : store_invocation_fold(tx, row->invocation_id);
}

int errand_record_pid(struct tx *tx, struct errand *errand)
{
    struct invocation_task *row;
    int r = load(tx, errand, &row);

    if (r < 0)
        return r;
    row->pid = errand->task.pid;
    row->updated_us = tx_now(tx);
    return store_task_save(tx, row);
}

int errand_record_end(struct tx *tx, struct errand *errand)
{
    const struct invocation_task *task = &errand->task;
    struct invocation_task *row;
    int r = load(tx, errand, &row);

    if (r < 0)
        return r;
    row->status = task->status;
    row->exited = task->exited;
    row->exit_code = task->exit_code;
    row->output = task->output;
    row->dropped_bytes = task->dropped_bytes;
    row->error = task->error;
    row->error_info = task->error_info;
    row->finished_us = tx_now(tx);
    row->updated_us = tx_now(tx);
    r = store_task_save(tx, row);
    return r < 0 ? r : store_invocation_fold(tx, row->invocation_id);
}
