/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: the laws of their texts and of their states. Pure.
 *
 *            agent answers          exited                               exit code 0: Success, else Failed
 *   PENDING ───────────────▶ RUNNING ──────▶ the end: Success, Failed …  deadline:    Timeout
 *      │                        │  StopInvocation                        machine gone, outcome unknown: Failed
 *      │ StopInvocation         ▼
 *      ├──▶ Cancelled        STOPPING ──────▶ Terminated, or its own end if that came first
 *      └──▶ Aborted: the instance doesn't run, or no agent answers
 *
 * A task that is RUNNING without a pid was perhaps given to the agent; it is never given again.
 */
#pragma once

#include "base/fail.h"
#include "model/noun.h"

#define COMMAND_CONTENT_BYTES (18u * 1024) /* of a script: 24 KB as Base64 (CreateCommand page) */
#define COMMAND_OUTPUT_BYTES (24u * 1024)  /* of an output (DescribeInvocationResults page: Dropped) */
#define COMMAND_NAME_CHARACTERS 128
#define COMMAND_DESCRIPTION_CHARACTERS 512
#define COMMAND_WORKING_DIR_BYTES 200
#define COMMAND_PARAMETERS_MAX 20
#define COMMAND_PARAMETER_NAME_BYTES 64
#define COMMAND_USERNAME_BYTES 255

struct text_pair {
    struct str name;
    struct str value;
};

struct text_pair_list {
    struct text_pair *items;
    size_t count;
};

/*
 * The names of {{name}} in the content, each once; blanks around a name don't count. Those of the service, {{ACS::…}}, are
 * not among them. -E_CMD_PARAM_EMPTY, -E_CMD_PARAM_NAME, -E_CMD_PARAM_NAME_LIMIT, -E_CMD_PARAM_COUNT.
 */
int command_parameters(struct arena *arena, struct str content, struct str_list *ret) must_check;
/*
 * The content with values in place of {{name}}. Only ACS:: names (`builtin`) or only the others; one that has no value becomes
 * empty, a builtin that isn't known stays. -E_CMD_CONTENT_LIMIT: longer than `limit_bytes`.
 */
int command_fill(struct arena *arena, struct str content, const struct text_pair_list *values, bool builtin, size_t limit_bytes,
                 struct str *ret) must_check;

static inline bool task_is_finished(int status)
{
    return status > TASK_STATUS_STOPPING;
}
/* What the page says of an error. */
struct str task_error_info(int error);
/* InvokeRecordStatus: the older words of a task's status. */
enum invoke_status task_invoke_status(const struct invocation_task *task);
/* Statuses of an invocation from those of its tasks; one of each kind, with the latest end, says as much as all. */
void invocation_fold(struct invocation *inv, const struct invocation_task *tasks, size_t count);
