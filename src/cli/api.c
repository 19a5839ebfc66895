/* SPDX-License-Identifier: Apache-2.0 */
/* Signed calls of the API. */
#include <errno.h>
#include <stdlib.h>

#include "cli/session.h"
#include "cli/sign.h"

#define CALL_TIMEOUT_US (60 * USEC_PER_SEC)
#define FILE_BYTES_MAX ((size_t)4096)

static const struct product {
    struct str name;
    struct str version;
} products[] = {
    {STR_INIT("Ecs"), STR_INIT("2014-05-26")},
    {STR_INIT("Vpc"), STR_INIT("2016-04-28")},
    {STR_INIT("Sts"), STR_INIT("2015-04-01")},
    {STR_INIT("Ram"), STR_INIT("2015-05-01")},
    {STR_INIT("Location"), STR_INIT("2015-06-12")},
};

/* A small file of the data folder, whole. */
static int read_file(struct session *session, const char *name, struct str *ret)
{
    struct str path = arena_printf(&session->arena, "%s/%s", session->data, name);
    char *text = arena_alloc(&session->arena, FILE_BYTES_MAX);
    FILE *file = fopen(path.ptr, "re");
    size_t len;

    if (!file)
        return fail_text(&session->fail, E_IO, "%s: %s", path.ptr, strerror(errno));
    len = fread(text, 1, FILE_BYTES_MAX, file);
    (void)fclose(file); /* nothing was written */
    *ret = str_slice(text, len);
    return 0;
}

/* access_key_id = ..., access_key_secret = ... */
static int read_credentials(struct session *session, struct sign_call *call)
{
    struct str rest;
    int r = read_file(session, "credentials", &rest);

    if (r < 0)
        return r;
    while (rest.len > 0) {
        struct str line;
        struct str name;
        struct str value;

        (void)str_split(rest, '\n', &line, &rest);
        if (!str_split(line, '=', &name, &value))
            continue;
        if (str_eq(str_trim(name), STR("access_key_id")))
            call->key_id = str_trim(value);
        else if (str_eq(str_trim(name), STR("access_key_secret")))
            call->secret = str_trim(value);
    }
    if (str_empty(call->key_id) || str_empty(call->secret))
        return fail_text(&session->fail, E_IO, "%s/credentials holds no key", session->data);
    return 0;
}

static int read_endpoint(struct session *session, struct sign_call *call)
{
    struct str text;
    int r = read_file(session, "endpoint", &text);

    if (r < 0)
        return r;
    (void)str_split(text, '\n', &text, &(struct str){0});
    text = str_trim(text);
    if (!str_starts(text, STR("http://")))
        return fail_text(&session->fail, E_IO, "%s/endpoint does not begin with http://", session->data);
    call->host = str_slice(text.ptr + strlen("http://"), text.len - strlen("http://"));
    if (str_ends(call->host, STR("/")))
        call->host.len--;
    return 0;
}

static int read_version(const struct arguments *arguments, struct sign_call *call, struct fail *fail)
{
    struct str product = arguments->flags[FLAG_PRODUCT] ? str_from(arguments->flags[FLAG_PRODUCT]) : STR("Ecs");

    if (arguments->flags[FLAG_VERSION]) {
        call->version = str_from(arguments->flags[FLAG_VERSION]);
        return 0;
    }
    for (size_t i = 0; i < countof(products); i++) {
        if (str_eq_nocase(products[i].name, product)) {
            call->version = products[i].version;
            return 0;
        }
    }
    return fail_text(fail, E_INVALID, "%.*s is no product that is known here; give its --version", STR_ARG(product));
}

/* "\r\n" in a header would be another header. */
static bool is_header_text(struct str text)
{
    return !str_empty(text) && str_is_token(text);
}

static int read_call(struct session *session, struct sign_call *call)
{
    const struct arguments *arguments = &session->arguments;
    struct pairs params = {NULL, 0};
    int r = read_version(arguments, call, &session->fail);

    if (r < 0)
        return r;
    if (arguments->word_count == 0 || strchr(arguments->words[0], '='))
        return fail_text(&session->fail, E_INVALID, "call needs the ACTION first");
    call->action = str_from(arguments->words[0]);
    if (!is_header_text(call->action) || !is_header_text(call->version))
        return fail_text(&session->fail, E_INVALID, "an action and a version are words of ASCII");
    for (size_t i = 1; i < arguments->word_count; i++) {
        struct pair pair;

        if (!str_split(str_from(arguments->words[i]), '=', &pair.name, &pair.value))
            return fail_text(&session->fail, E_INVALID, "%s: give parameters as Name=Value", arguments->words[i]);
        arena_push(&session->arena, params.items, params.count, pair);
    }
    call->params = params.items;
    call->param_count = params.count;
    call->xml = arguments->flags[FLAG_XML] != NULL;
    return 0;
}

static int send_call(struct session *session, struct sign_call *call, usec_t now, struct client_reply *ret)
{
    char *stamp = arena_alloc(&session->arena, TIME_TEXT_MAX);
    char *nonce = arena_alloc(&session->arena, 37);
    struct str request;
    int fd;
    int r;

    call->stamp = str_slice(stamp, time_print_second(now, stamp));
    env_uuid(session->env, nonce);
    call->nonce = str_from(nonce);
    request = session->arguments.flags[FLAG_V1] ? sign_v1(&session->arena, call) : sign_v3(&session->arena, call);
    r = client_connect_tcp(call->host, CALL_TIMEOUT_US, &session->fail, &fd);
    return r < 0 ? r : client_exchange(fd, request, CALL_TIMEOUT_US, &session->fail, ret);
}

/* A daemon on a virtual clock may live in another hour than we; then its clock is the one to sign by. */
static bool ask_virtual_clock(struct session *session, usec_t *ret)
{
    const struct pairs none = {NULL, 0};
    const char *kind;
    json_t *reply;
    bool is_virtual;

    if (session_ask(session, "ShowClock", &none, &reply) != STATUS_DONE)
        return false;
    kind = json_string_value(json_object_get(reply, "Kind"));
    is_virtual = kind && strcmp(kind, "virtual") == 0;
    *ret = json_integer_value(json_object_get(reply, "NowUs"));
    json_decref(reply);
    return is_virtual;
}

enum session_status run_call(struct session *session)
{
    struct sign_call call = {.xml = false};
    struct client_reply reply;
    usec_t now = env_now(session->env);
    int r = read_call(session, &call);

    if (r < 0)
        return session_usage(session);
    r = read_endpoint(session, &call);
    if (r == 0)
        r = read_credentials(session, &call);
    if (r == 0)
        r = send_call(session, &call, now, &reply);
    if (r == 0 && reply.status >= 400 && str_contains(reply.body, STR("InvalidTimeStamp")) && ask_virtual_clock(session, &now))
        r = send_call(session, &call, now, &reply);
    if (r < 0) {
        session_silent(session);
        return STATUS_SILENT;
    }
    (void)fwrite(reply.body.ptr, 1, reply.body.len, stdout);
    if (!str_ends(reply.body, STR("\n")))
        (void)fputc('\n', stdout);
    return reply.status >= 200 && reply.status < 300 ? STATUS_DONE : STATUS_REFUSED;
}
