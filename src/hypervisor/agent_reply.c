/* SPDX-License-Identifier: Apache-2.0 */
/* Replies of a guest's agent, read as those of a stranger. */
#include "hypervisor/agent_reply.h"

#include <jansson.h>

#include "base/hash.h"

/* What is in its "return", which the caller owns; NULL: there is none. */
static json_t *returned(const char *text)
{
    json_t *tree = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_t *ret = json_incref(json_object_get(tree, "return"));

    json_decref(tree);
    return ret;
}

int agent_reply_pid(const char *text, int64_t *ret)
{
    json_t *reply = returned(text);
    json_t *pid = json_object_get(reply, "pid");
    int r = json_is_integer(pid) ? 0 : -E_IO;

    if (r == 0)
        *ret = json_integer_value(pid);
    json_decref(reply);
    return r;
}

/* Base64 text as bytes, after what is there already. False: not all of it. */
static bool add_output(struct buf *out, const json_t *text)
{
    struct str encoded = str_from(json_string_value(text));
    uint8_t bytes[AGENT_OUTPUT_BYTES + 3];
    size_t room = out->limit_bytes - out->len;
    size_t most = (room + 2) / 3 * 4; /* as many letters as can be of use */
    bool whole = encoded.len <= most;
    size_t len = 0;

    if (str_empty(encoded))
        return true;
    if (base64_decode(str_slice(encoded.ptr, MIN_OF(encoded.len, most)), bytes, &len) < 0)
        return false;
    buf_add(out, bytes, MIN_OF(len, room));
    return whole && len <= room;
}

/* A number that no system knows is as good as any other. */
static int small_number(const json_t *reply, const char *name)
{
    json_int_t number = json_integer_value(json_object_get(reply, name));

    return number >= 0 && number <= INT32_MAX ? (int)number : INT32_MAX;
}

int agent_reply_status(const char *text, struct arena *arena, struct machine_exec_status *ret)
{
    json_t *reply = returned(text);
    struct buf output;
    bool whole;

    if (!json_is_object(reply)) {
        json_decref(reply);
        return -E_IO;
    }
    buf_init(&output, AGENT_OUTPUT_BYTES);
    whole = add_output(&output, json_object_get(reply, "out-data"));
    whole = add_output(&output, json_object_get(reply, "err-data")) && whole;
    *ret = (struct machine_exec_status){
        .exited = json_is_true(json_object_get(reply, "exited")),
        .exit_code = small_number(reply, "exitcode"),
        .signal = small_number(reply, "signal"),
        .truncated = !whole || json_is_true(json_object_get(reply, "out-truncated")) ||
                     json_is_true(json_object_get(reply, "err-truncated")),
        .output = arena_str(arena, buf_str(&output)),
    };
    buf_done(&output);
    json_decref(reply);
    return 0;
}
