/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for a state of an instance, over the operator's socket: of any account, and without a signature per look. */
#include "cli/print.h"
#include "cli/session.h"

#define WAIT_PAUSE_US (20 * USEC_PER_MSEC)
#define STATE_BYTES 32

/* Released: the row is gone. */
static const char *const states[] = {"Pending", "Starting", "Running", "Stopping", "Stopped", "Released"};

static int read_wait(struct session *session, const char **ret_wanted, usec_t *ret_timeout_us)
{
    const struct arguments *arguments = &session->arguments;
    int r;

    if (arguments->word_count != 2)
        return fail_text(&session->fail, E_INVALID, "wait needs INSTANCE and STATE");
    r = session_timeout(session, ret_timeout_us);
    if (r < 0)
        return r;
    for (size_t i = 0; i < countof(states); i++) {
        if (str_eq_nocase(str_from(states[i]), str_from(arguments->words[1]))) {
            *ret_wanted = states[i];
            return 0;
        }
    }
    return fail_text(&session->fail, E_INVALID, "%s is no state; there are Pending, Starting, Running, Stopping, Stopped, Released",
                     arguments->words[1]);
}

/* The state that an instance has now, as text. One that was never there is an error; one that was seen before is Released. */
static enum session_status look(struct session *session, bool known, char state[STATE_BYTES])
{
    struct pair pair = {STR("InstanceId"), str_from(session->arguments.words[0])};
    const struct pairs pairs = {&pair, 1};
    const char *text = NULL;
    json_t *reply;
    enum session_status status = session_try(session, session->arguments.command->action, &pairs, &reply);

    if (status == STATUS_SILENT)
        return status;
    if (status == STATUS_DONE) {
        text = json_string_value(print_find(reply, "Instance.State"));
    } else {
        const char *code = json_string_value(json_object_get(reply, "Code"));

        if (known && code && strcmp(code, "InvalidInstanceId.NotFound") == 0) {
            text = "Released";
            status = STATUS_DONE;
        } else {
            session_refused(reply);
        }
    }
    (void)snprintf(state, STATE_BYTES, "%s", text ? text : "");
    json_decref(reply);
    return status;
}

static void print_state(struct session *session, const char *state)
{
    char now[TIME_TEXT_MAX];

    (void)time_print_micro(env_now(session->env), now);
    (void)printf("%s  %s\n", now, state);
    (void)fflush(stdout);
}

enum session_status run_wait(struct session *session)
{
    const char *wanted = NULL;
    usec_t timeout_us;
    usec_t start_us = session_monotonic_us();
    char seen[STATE_BYTES] = "";
    char state[STATE_BYTES];

    if (read_wait(session, &wanted, &timeout_us) < 0)
        return session_usage(session);
    assert(wanted);
    for (;;) {
        /* Who waits for the end is content when it has been before the first look. */
        bool known = seen[0] != '\0' || strcmp(wanted, "Released") == 0;
        enum session_status status = look(session, known, state);

        if (status != STATUS_DONE)
            return status;
        if (strcmp(state, seen) != 0)
            print_state(session, state);
        memcpy(seen, state, sizeof(seen));
        if (strcmp(state, wanted) == 0)
            return STATUS_DONE;
        if (strcmp(state, "Released") == 0) {
            (void)fprintf(stderr, "ecsctl: the instance is gone and can't become %s\n", wanted);
            return STATUS_REFUSED;
        }
        if (session_monotonic_us() - start_us >= timeout_us) {
            (void)fprintf(stderr, "ecsctl: still %s, not %s, when the time was up\n", state, wanted);
            return STATUS_REFUSED;
        }
        session_pause(WAIT_PAUSE_US);
    }
}
