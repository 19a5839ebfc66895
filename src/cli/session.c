/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/session.h"

#include <poll.h>

#include "cli/sign.h"

#define ASK_TIMEOUT_US (60 * USEC_PER_SEC)
#define TIMEOUT_DEFAULT_US (600 * USEC_PER_SEC) /* of what waits */

void session_silent(const struct session *session)
{
    (void)fprintf(stderr, "ecsctl: %.*s\necsd does not answer in %s. Start it with: ecsd --data %s\n",
                  STR_ARG(session->fail.message), session->data, session->data);
}

void session_refused(json_t *body)
{
    const char *code = json_string_value(json_object_get(body, "Code"));
    const char *message = json_string_value(json_object_get(body, "Message"));

    (void)fprintf(stderr, "%s: %s\n", code ? code : "error", message ? message : "");
}

enum session_status session_usage(const struct session *session)
{
    (void)fprintf(stderr, "ecsctl: %.*s\n", STR_ARG(session->fail.message));
    if (session->arguments.command)
        command_print_usage(session->arguments.command, stderr);
    return STATUS_USAGE;
}

int session_timeout(struct session *session, usec_t *ret_us)
{
    const char *text = session->arguments.flags[FLAG_TIMEOUT];
    double seconds;

    *ret_us = TIMEOUT_DEFAULT_US;
    if (text && str_to_double(str_from(text), &seconds) == 0 && seconds >= 0 && seconds < 1e9)
        *ret_us = (usec_t)(seconds * (double)USEC_PER_SEC);
    else if (text && (str_to_duration(str_from(text), ret_us) < 0 || *ret_us < 0))
        return fail_text(&session->fail, E_INVALID, "--timeout %s: give seconds, or 5m, or 1h", text);
    return 0;
}

usec_t session_monotonic_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail */
    return (usec_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

void session_pause(usec_t pause_us)
{
    (void)fflush(stdout);
    (void)poll(NULL, 0, (int)(pause_us / USEC_PER_MSEC)); /* a signal ends the process, or the pause: both are fine */
}

static struct str admin_request(struct arena *arena, const char *action, const struct pairs *params)
{
    struct pair *all = arena_array(arena, struct pair, params->count + 2);
    struct str body;

    all[0] = (struct pair){STR("Action"), str_from(action)};
    all[1] = (struct pair){STR("Version"), STR("admin")};
    for (size_t i = 0; i < params->count; i++)
        all[2 + i] = params->items[i];
    body = sign_query(arena, all, params->count + 2);
    return arena_printf(arena,
                        "POST / HTTP/1.1\r\nHost: admin\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                        "Accept: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%.*s",
                        body.len, STR_ARG(body));
}

/* On the scratch arena; what went wrong outlives it in session->fail. */
static int exchange(struct session *session, const char *action, const struct pairs *params, struct client_reply *ret)
{
    struct str path = arena_printf(&session->scratch, "%s/admin.sock", session->data);
    struct fail fail;
    int fd;
    int r;

    fail_init(&fail, &session->scratch);
    r = client_connect_unix(path.ptr, &fail, &fd);
    if (r == 0)
        r = client_exchange(fd, admin_request(&session->scratch, action, params), ASK_TIMEOUT_US, &fail, ret);
    return r == 0 ? 0 : fail_text(&session->fail, fail.code, "%.*s", STR_ARG(fail.message));
}

enum session_status session_try(struct session *session, const char *action, const struct pairs *params, json_t **ret)
{
    struct client_reply reply;
    json_t *body;

    arena_reset(&session->scratch);
    if (exchange(session, action, params, &reply) < 0) {
        session_silent(session);
        return STATUS_SILENT;
    }
    body = json_loadb(reply.body.ptr, reply.body.len, 0, NULL);
    if (!json_is_object(body)) {
        json_decref(body);
        (void)fprintf(stderr, "ecsctl: status %d with a body that is no JSON object\n", reply.status);
        return STATUS_SILENT;
    }
    *ret = body;
    return reply.status >= 200 && reply.status < 300 ? STATUS_DONE : STATUS_REFUSED;
}

enum session_status session_ask(struct session *session, const char *action, const struct pairs *params, json_t **ret)
{
    json_t *body;
    enum session_status status = session_try(session, action, params, &body);

    if (status == STATUS_DONE)
        *ret = body;
    if (status == STATUS_REFUSED) {
        session_refused(body);
        json_decref(body);
    }
    return status;
}
