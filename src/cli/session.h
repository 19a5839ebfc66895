/* SPDX-License-Identifier: Apache-2.0 */
/* One run of ecsctl: what was asked, and the ways to ecsd. */
#pragma once

#include <jansson.h>

#include "base/env.h"
#include "cli/client.h"
#include "cli/command.h"

/* What the process ends with: part of the command's contract. */
enum session_status { STATUS_DONE = 0, STATUS_REFUSED = 1, STATUS_USAGE = 2, STATUS_SILENT = 3 };

struct session {
    struct arguments arguments;
    const char *data; /* the data folder */
    struct arena arena;   /* for the whole run */
    struct arena scratch; /* for one exchange on the operator's socket */
    struct fail fail;
    struct env *env;
};

/*
 * Asks the operator's socket. STATUS_DONE: *ret is the reply, which the caller lets go with json_decref. Otherwise the error
 * has been printed.
 */
enum session_status session_ask(struct session *session, const char *action, const struct pairs *params, json_t **ret) must_check;
/* The same, but an error that ecsd answers is returned: STATUS_REFUSED with its body in *ret. */
enum session_status session_try(struct session *session, const char *action, const struct pairs *params, json_t **ret) must_check;
/* Prints `Code: Message` of an error's body. */
void session_refused(json_t *body);
/* Prints why ecsd could not be reached, and how to start it. */
void session_silent(const struct session *session);
/* Prints the text in `fail` and how the command is used. */
enum session_status session_usage(const struct session *session);
/* What --timeout says, or its default. -E_INVALID. */
int session_timeout(struct session *session, usec_t *ret_us) must_check;
usec_t session_monotonic_us(void);
/* Rests for a moment between two looks at ecsd. */
void session_pause(usec_t pause_us);

/* The kinds of commands. */
enum session_status run_admin(struct session *session);
enum session_status run_knobs(struct session *session);
enum session_status run_events(struct session *session);
enum session_status run_call(struct session *session);
enum session_status run_wait(struct session *session);
enum session_status run_evacuate(struct session *session);
enum session_status run_image_import(struct session *session);
enum session_status run_image_remove(struct session *session);
