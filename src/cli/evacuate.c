/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `host evacuate`: a page of the host's instances is ordered, its jobs are waited for, then comes the next page. The jobs are
 * ecsd's: they end, too, when this process is gone, and whoever gives the command again waits for those that are under way.
 */
#include "cli/print.h"
#include "cli/session.h"

#define PAUSE_US (20 * USEC_PER_MSEC)

struct evacuation {
    struct session *session;
    usec_t end_us;
    json_t *moved; /* arrays of the reply */
    json_t *left;
};

static void say(struct evacuation *evacuation, bool moved, const char *id, const char *text)
{
    json_t *item = json_pack("{s:s,s:s}", "InstanceId", id, moved ? "HostId" : "Reason", text);

    (void)json_array_append_new(moved ? evacuation->moved : evacuation->left, item); /* fails for want of memory only */
    if (evacuation->session->arguments.flags[FLAG_JSON])
        return;
    (void)printf("%-6s  %s  %s\n", moved ? "moved" : "left", id, text);
    (void)fflush(stdout);
}

/* Where it is now. One that was deleted right after its move has gone from the host as well. */
static enum session_status say_moved(struct evacuation *evacuation, const char *id)
{
    struct pair pair = {STR("InstanceId"), str_from(id)};
    const struct pairs pairs = {&pair, 1};
    const char *host = NULL;
    json_t *reply;
    enum session_status status = session_try(evacuation->session, "ShowInstance", &pairs, &reply);

    if (status == STATUS_SILENT)
        return status;
    if (status == STATUS_DONE)
        host = json_string_value(print_find(reply, "Instance.HostId"));
    say(evacuation, true, id, host ? host : "");
    json_decref(reply);
    return STATUS_DONE;
}

/* *ret_state: of the job; its error is said when it has failed. */
static enum session_status look(struct evacuation *evacuation, const char *id, json_int_t job_id, bool *ret_over)
{
    struct pair pair = {STR("JobId"), arena_printf(&evacuation->session->arena, "%lld", (long long)job_id)};
    const struct pairs pairs = {&pair, 1};
    enum session_status status;
    const char *state;
    json_t *reply;

    status = session_ask(evacuation->session, "ShowJob", &pairs, &reply);
    if (status != STATUS_DONE)
        return status;
    state = json_string_value(print_find(reply, "Job.State"));
    *ret_over = state && strcmp(state, "active") != 0;
    if (state && strcmp(state, "done") == 0) {
        status = say_moved(evacuation, id);
    } else if (*ret_over) {
        const char *error = json_string_value(print_find(reply, "Job.Error"));

        say(evacuation, false, id, error ? error : "");
    }
    json_decref(reply);
    return status;
}

static enum session_status await(struct evacuation *evacuation, const char *id, json_int_t job_id)
{
    for (;;) {
        bool over = false;
        enum session_status status = look(evacuation, id, job_id, &over);

        if (status != STATUS_DONE || over)
            return status;
        if (session_monotonic_us() >= evacuation->end_us) {
            (void)fprintf(stderr, "ecsctl: job %lld still moves %s; it goes on when the time is up\n", (long long)job_id, id);
            return STATUS_REFUSED;
        }
        session_pause(PAUSE_US);
    }
}

static enum session_status take_page(struct evacuation *evacuation, const json_t *instances)
{
    enum session_status status = STATUS_DONE;
    const json_t *instance;
    size_t i;

    json_array_foreach(instances, i, instance) {
        const char *id = json_string_value(json_object_get(instance, "InstanceId"));
        json_int_t job_id = json_integer_value(json_object_get(instance, "JobId"));
        const char *reason = json_string_value(json_object_get(instance, "Reason"));

        if (status != STATUS_DONE || !id)
            return status;
        if (job_id == 0)
            say(evacuation, false, id, reason ? reason : "");
        else
            status = await(evacuation, id, job_id);
    }
    return status;
}

static enum session_status take_pages(struct evacuation *evacuation)
{
    struct session *session = evacuation->session;
    struct pair items[2] = {{STR("HostId"), str_from(session->arguments.words[0])}};
    struct pairs pairs = {items, 1};

    for (;;) {
        enum session_status status;
        struct str token;
        json_t *reply;

        status = session_ask(session, session->arguments.command->action, &pairs, &reply);
        if (status != STATUS_DONE)
            return status;
        token = arena_str(&session->arena, str_from(json_string_value(json_object_get(reply, "NextToken"))));
        status = take_page(evacuation, print_find(reply, "Instances.Instance"));
        json_decref(reply);
        if (status != STATUS_DONE || str_empty(token))
            return status;
        items[1] = (struct pair){STR("NextToken"), token};
        pairs.count = 2;
    }
}

static void sum_up(const struct evacuation *evacuation)
{
    const struct session *session = evacuation->session;
    size_t left = json_array_size(evacuation->left);
    json_t *reply;

    if (!session->arguments.flags[FLAG_JSON]) {
        (void)printf("%zu moved, %zu left at %s\n", json_array_size(evacuation->moved), left, session->arguments.words[0]);
        return;
    }
    reply = json_pack("{s:s,s:O,s:O}", "HostId", session->arguments.words[0], "Moved", evacuation->moved, "Left", evacuation->left);
    print_json(reply, NULL, stdout);
    json_decref(reply);
}

enum session_status run_evacuate(struct session *session)
{
    struct evacuation evacuation = {.session = session};
    enum session_status status;
    struct pairs pairs;
    usec_t timeout_us;

    if (arguments_pairs(&session->arguments, &pairs, &session->fail) < 0 || session_timeout(session, &timeout_us) < 0)
        return session_usage(session);
    evacuation.end_us = session_monotonic_us() + timeout_us;
    evacuation.moved = json_array();
    evacuation.left = json_array();
    status = take_pages(&evacuation);
    if (status == STATUS_DONE) {
        sum_up(&evacuation);
        status = json_array_size(evacuation.left) == 0 ? STATUS_DONE : STATUS_REFUSED;
    }
    json_decref(evacuation.moved);
    json_decref(evacuation.left);
    return status;
}
