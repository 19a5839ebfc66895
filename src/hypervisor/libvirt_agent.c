/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that a guest's agent runs: guest-exec and guest-exec-status of the QEMU guest agent (its protocol, qga/qapi-schema). */
#include <jansson.h>

#include "base/hash.h"
#include "hypervisor/agent_reply.h"
#include "hypervisor/libvirt_impl.h"

#define AGENT_TIMEOUT_S 5

/* Sends a command and gives the reply; the caller frees it. */
static int ask(struct lv_call *call, const char *name, json_t *arguments, char **ret)
{
    json_t *command = json_pack("{s:s,s:o}", "execute", name, "arguments", arguments);
    char *text = command ? json_dumps(command, JSON_COMPACT) : NULL;
    int r = -E_INVALID; /* text that is no UTF-8 */

    if (text) {
        *ret = lv.virDomainQemuAgentCommand(call->dom, text, AGENT_TIMEOUT_S, 0);
        r = *ret ? 0 : libvirt_failed(call->conn, call->fail);
    }
    json_decref(command);
    free(text);
    return r;
}

/* As lv_enter_living; what the agent says is kept in call->fail. */
static int enter_agent(struct lv_call *call, struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation)
{
    int r = lv_enter_living(call, hv, host_id, id, incarnation, NULL);

    if (r < 0)
        return r;
    call->fail = arena_new(&call->arena, struct fail);
    fail_init(call->fail, &call->arena);
    return 0;
}

static json_t *exec_arguments(const struct machine_exec *exec, struct arena *arena)
{
    json_t *words = json_array();
    json_t *arguments = json_object();

    for (size_t i = 0; i < exec->arg_count; i++)
        (void)json_array_append_new(words, json_stringn(exec->args[i].ptr, exec->args[i].len)); /* checked as a whole by ask */
    (void)json_object_set_new(arguments, "path", json_stringn(exec->path.ptr, exec->path.len));
    (void)json_object_set_new(arguments, "arg", words);
    (void)json_object_set_new(arguments, "capture-output", json_true());
    if (exec->input.ptr) {
        char *text = arena_alloc(arena, BASE64_MAX(exec->input.len));

        (void)base64_encode((const uint8_t *)exec->input.ptr, exec->input.len, text);
        (void)json_object_set_new(arguments, "input-data", json_string(text));
    }
    return arguments;
}

static bool is_utf8(const struct machine_exec *exec)
{
    bool is = str_is_utf8(exec->path);

    for (size_t i = 0; i < exec->arg_count; i++)
        is = is && str_is_utf8(exec->args[i]) && !memchr(exec->args[i].ptr, '\0', exec->args[i].len);
    return is;
}

/* libvirt has one code for an agent that isn't there and for one that didn't answer: only its words tell them apart. */
static bool was_not_sent(const struct fail *fail)
{
    return str_contains(fail->message, STR("not connected"));
}

int libvirt_exec_start(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                       const struct machine_exec *exec, int64_t *ret_pid)
{
    struct lv_call call;
    char *reply = NULL;
    int r = is_utf8(exec) ? enter_agent(&call, hv, host_id, id, incarnation) : -E_INVALID;

    if (r < 0)
        return r;
    r = ask(&call, "guest-exec", exec_arguments(exec, &call.arena), &reply);
    if (r == -E_BUSY && !was_not_sent(call.fail))
        r = -E_TIMEOUT;
    if (r == 0)
        r = agent_reply_pid(reply, ret_pid);
    free(reply);
    return lv_leave(&call, r);
}

/*
 * The agent's word for a number that it doesn't know, or has told the end of already ("Invalid parameter 'pid'", or "PID … does not exist"). Asked for
 * number 0, which nothing has, it shows that it is there.
 */
static bool is_unknown_pid(const struct fail *fail)
{
    return str_contains(fail->message, STR("'pid'")) || str_contains(fail->message, STR("PID "));
}

int libvirt_exec_poll(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, int64_t pid,
                      struct arena *arena, struct machine_exec_status *ret)
{
    struct lv_call call;
    char *reply = NULL;
    int r = enter_agent(&call, hv, host_id, id, incarnation);

    if (r < 0)
        return r;
    r = ask(&call, "guest-exec-status", json_pack("{s:I}", "pid", (json_int_t)pid), &reply);
    if (r < 0 && is_unknown_pid(call.fail))
        r = -E_NOT_FOUND;
    if (r == 0)
        r = agent_reply_status(reply, arena, ret);
    free(reply);
    return lv_leave(&call, r);
}

int libvirt_exec_kill(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, int64_t pid)
{
    struct lv_call call;
    char *reply = NULL;
    int r = enter_agent(&call, hv, host_id, id, incarnation);

    if (r < 0)
        return r;
    /* Its children first, as far as they are told by their parent: the agent makes no process group. */
    r = ask(&call, "guest-exec",
            json_pack("{s:s,s:[s,s]}", "path", "/bin/sh", "arg", "-c",
                      arena_printf(&call.arena, "pkill -KILL -P %lld; kill -KILL %lld", (long long)pid, (long long)pid).ptr),
            &reply);
    free(reply);
    return lv_leave(&call, r);
}
