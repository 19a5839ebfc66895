/* SPDX-License-Identifier: Apache-2.0 */
/* Replies of a guest's agent. Input: one. What was read of it says the same when it is said again. */
#include "fuzz/fuzz.h"

#include "base/hash.h"
#include "hypervisor/agent_reply.h"

static void check_pid(const char *text)
{
    int64_t pid = -7;
    int r = agent_reply_pid(text, &pid);

    assert(r == 0 || (r == -E_IO && pid == -7));
}

static struct str say(struct arena *arena, const struct machine_exec_status *status)
{
    char *output = arena_alloc(arena, BASE64_MAX(status->output.len));

    (void)base64_encode((const uint8_t *)status->output.ptr, status->output.len, output);
    return arena_printf(arena, "{\"return\":{\"exited\":%s,\"exitcode\":%d,\"signal\":%d,\"out-truncated\":%s,\"out-data\":\"%s\"}}",
                        status->exited ? "true" : "false", status->exit_code, status->signal, status->truncated ? "true" : "false",
                        output);
}

static void check_status(struct arena *arena, const char *text)
{
    struct machine_exec_status status;
    struct machine_exec_status again;

    if (agent_reply_status(text, arena, &status) < 0)
        return;
    assert(status.output.len <= AGENT_OUTPUT_BYTES && status.exit_code >= 0 && status.signal >= 0);
    assert(agent_reply_status(say(arena, &status).ptr, arena, &again) == 0);
    assert(again.exited == status.exited && again.exit_code == status.exit_code && again.signal == status.signal);
    assert(again.truncated == status.truncated && str_eq(again.output, status.output));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const char *text;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    text = arena_cstr(&arena, fuzz_input(data, size));
    check_pid(text);
    check_status(&arena, text);
    arena_done(&arena);
    return 0;
}
