/* SPDX-License-Identifier: Apache-2.0 */
#include "model/command.h"

#include "base/buf.h"

#define BUILTIN STR("ACS::")

/* ── {{name}} ── */

struct place {
    struct str before; /* of it */
    struct str name;
    struct str whole;  /* with its braces */
    struct str after;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct str trim(struct str s)
{
    while (s.len > 0 && is_blank(s.ptr[0]))
        s = str_slice(s.ptr + 1, s.len - 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static size_t find_pair(struct str s, size_t from, char c)
{
    for (size_t i = from; i + 1 < s.len; i++)
        if (s.ptr[i] == c && s.ptr[i + 1] == c)
            return i;
    return s.len;
}

static bool next_place(struct str text, struct place *ret)
{
    size_t open = find_pair(text, 0, '{');
    size_t close = open < text.len ? find_pair(text, open + 2, '}') : text.len;

    if (close >= text.len)
        return false;
    ret->before = str_slice(text.ptr, open);
    ret->name = trim(str_slice(text.ptr + open + 2, close - open - 2));
    ret->whole = str_slice(text.ptr + open, close + 2 - open);
    ret->after = str_slice(text.ptr + close + 2, text.len - close - 2);
    return true;
}

static int check_name(struct str name)
{
    if (name.len == 0)
        return -E_CMD_PARAM_EMPTY;
    if (name.len > COMMAND_PARAMETER_NAME_BYTES)
        return -E_CMD_PARAM_NAME_LIMIT;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return -E_CMD_PARAM_NAME;
    }
    return 0;
}

static bool is_among(const struct str_list *list, struct str name)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->items[i], name))
            return true;
    return false;
}

int command_parameters(struct arena *arena, struct str content, struct str_list *ret)
{
    struct str_list names = {arena_array(arena, struct str, COMMAND_PARAMETERS_MAX), 0};
    struct place place;
    int r;

    for (struct str rest = content; next_place(rest, &place); rest = place.after) {
        if (str_starts(place.name, BUILTIN))
            continue;
        r = check_name(place.name);
        if (r < 0)
            return r;
        if (is_among(&names, place.name))
            continue;
        if (names.count == COMMAND_PARAMETERS_MAX)
            return -E_CMD_PARAM_COUNT;
        names.items[names.count++] = place.name;
    }
    *ret = names;
    return 0;
}

/* Absent: there is none of that name. */
static struct str value_of(const struct text_pair_list *values, struct str name)
{
    for (size_t i = 0; i < values->count; i++)
        if (str_eq(values->items[i].name, name))
            return values->items[i].value;
    return STR_NONE;
}

int command_fill(struct arena *arena, struct str content, const struct text_pair_list *values, bool builtin, size_t limit_bytes,
                 struct str *ret)
{
    struct str rest = content;
    struct place place;
    struct buf out;
    int r = 0;

    buf_init(&out, limit_bytes);
    while (next_place(rest, &place)) {
        struct str value = value_of(values, place.name);
        bool ours = str_starts(place.name, BUILTIN) == builtin && (!builtin || value.ptr);

        buf_add_str(&out, place.before);
        buf_add_str(&out, ours ? value : place.whole);
        rest = place.after;
    }
    buf_add_str(&out, rest);
    if (out.full)
        r = -E_CMD_CONTENT_LIMIT;
    else
        *ret = arena_str(arena, buf_str(&out));
    buf_done(&out);
    return r;
}

/* ── states ── */

struct str task_error_info(int error)
{
    static const char *const texts[] = {
        [TASK_ERROR_INSTANCE_RELEASED] = "the instance has released when create task",
        [TASK_ERROR_INSTANCE_NOT_RUNNING] = "the instance is not running when create task",
        [TASK_ERROR_DIRECTORY_NOT_EXISTS] = "the specified directory does not exists",
        [TASK_ERROR_CLIENT_NOT_RUNNING] = "the aliyun service is not running on the instance",
        [TASK_ERROR_CLIENT_NOT_RESPONSE] = "the aliyun service in the instance does not response",
        [TASK_ERROR_EXECUTION_TIMEOUT] = "the command execution has been timeout",
        [TASK_ERROR_EXECUTION_EXCEPTION] = "the command execution got an exception",
        [TASK_ERROR_EXECUTION_INTERRUPTED] = "the command execution has been interrupted",
        [TASK_ERROR_EXIT_CODE_NONZERO] = "the command execution exit code is not zero",
        [TASK_ERROR_DELIVERY_TIMEOUT] = "the command delivery has been timeout",
    };
    static_assert(countof(texts) == TASK_ERROR_COUNT, "every error has its text");

    return error >= 0 && error < TASK_ERROR_COUNT ? str_from(texts[error]) : STR_NONE;
}

enum invoke_status task_invoke_status(const struct invocation_task *task)
{
    static const enum invoke_status words[] = {
        [TASK_STATUS_PENDING] = INVOKE_STATUS_RUNNING,     [TASK_STATUS_RUNNING] = INVOKE_STATUS_RUNNING,
        [TASK_STATUS_STOPPING] = INVOKE_STATUS_STOPPING,   [TASK_STATUS_SUCCESS] = INVOKE_STATUS_FINISHED,
        [TASK_STATUS_FAILED] = INVOKE_STATUS_FAILED,       [TASK_STATUS_ERROR] = INVOKE_STATUS_FAILED,
        [TASK_STATUS_TIMEOUT] = INVOKE_STATUS_FAILED,      [TASK_STATUS_CANCELLED] = INVOKE_STATUS_STOPPED,
        [TASK_STATUS_TERMINATED] = INVOKE_STATUS_STOPPED,  [TASK_STATUS_ABORTED] = INVOKE_STATUS_FAILED,
    };
    static_assert(countof(words) == TASK_STATUS_COUNT, "every status has its older word");

    assert(task->status >= 0 && task->status < TASK_STATUS_COUNT);
    /* A script that ran to its end is Finished, whatever its exit code. */
    if (task->status == TASK_STATUS_FAILED && task->exited)
        return INVOKE_STATUS_FINISHED;
    return words[task->status];
}

static bool fold_unfinished(struct invocation *inv, const size_t by_status[])
{
    static const struct {
        enum task_status task;
        enum invocation_status status;
        enum invoke_status invoke_status;
    } rows[] = {
        {TASK_STATUS_PENDING, INVOCATION_STATUS_PENDING, INVOKE_STATUS_RUNNING},
        {TASK_STATUS_RUNNING, INVOCATION_STATUS_RUNNING, INVOKE_STATUS_RUNNING},
        {TASK_STATUS_STOPPING, INVOCATION_STATUS_STOPPING, INVOKE_STATUS_STOPPING},
    };

    for (size_t i = 0; i < countof(rows); i++) {
        if (by_status[rows[i].task] == 0)
            continue;
        inv->status = (int)rows[i].status;
        inv->invoke_status = (int)rows[i].invoke_status;
        return true;
    }
    return false;
}

void invocation_fold(struct invocation *inv, const struct invocation_task *tasks, size_t count)
{
    size_t by_status[TASK_STATUS_COUNT] = {0};
    size_t by_word[INVOKE_STATUS_COUNT] = {0};
    usec_t latest = 0;
    size_t stopped, success, failed;

    for (size_t i = 0; i < count; i++) {
        by_status[tasks[i].status]++;
        by_word[task_invoke_status(&tasks[i])]++;
        latest = MAX_OF(latest, tasks[i].finished_us);
    }
    if (fold_unfinished(inv, by_status))
        return;
    inv->finished_us = latest;
    stopped = by_word[INVOKE_STATUS_STOPPED];
    success = by_status[TASK_STATUS_SUCCESS];
    failed = count - stopped - success;
    if (failed > 0)
        inv->status = success > 0 ? INVOCATION_STATUS_PARTIAL_FAILED : INVOCATION_STATUS_FAILED;
    else
        inv->status = success > 0 ? INVOCATION_STATUS_SUCCESS : INVOCATION_STATUS_STOPPED;
    if (by_word[INVOKE_STATUS_FAILED] > 0)
        inv->invoke_status = by_word[INVOKE_STATUS_FINISHED] > 0 ? INVOKE_STATUS_PARTIAL_FAILED : INVOKE_STATUS_FAILED;
    else
        inv->invoke_status = by_word[INVOKE_STATUS_FINISHED] > 0 ? INVOKE_STATUS_FINISHED : INVOKE_STATUS_STOPPED;
}
