/* SPDX-License-Identifier: Apache-2.0 */
/* ecsctl: what an operator types. */
#include <signal.h>

#include "base/datadir.h"
#include "base/limits.h"
#include "cli/session.h"

static enum session_status run(struct session *session)
{
    switch (session->arguments.command->kind) {
    case COMMAND_ADMIN:
        return run_admin(session);
    case COMMAND_KNOBS:
        return run_knobs(session);
    case COMMAND_EVENTS:
        return run_events(session);
    case COMMAND_CALL:
        return run_call(session);
    case COMMAND_WAIT:
        return run_wait(session);
    case COMMAND_EVACUATE:
        return run_evacuate(session);
    case COMMAND_IMAGE_IMPORT:
        return run_image_import(session);
    case COMMAND_IMAGE_REMOVE:
        return run_image_remove(session);
    default:
        assert(false); /* every kind of the table stands above */
        return STATUS_USAGE;
    }
}

static enum session_status start(struct session *session, int argc, char **argv)
{
    struct arguments *arguments = &session->arguments;

    if (arguments_read(argc, argv, arguments, &session->fail) < 0)
        return session_usage(session);
    if (arguments->flags[FLAG_HELP]) {
        if (arguments->command)
            command_print_help(arguments->command, stdout);
        else
            command_print_all(stdout);
        return STATUS_DONE;
    }
    if (!arguments->command) {
        (void)printf("ecsctl %s\n", ECSD_VERSION);
        return STATUS_DONE;
    }
    session->data = arguments->flags[FLAG_DATA] ? arguments->flags[FLAG_DATA] : datadir_default(&session->arena);
    return run(session);
}

int main(int argc, char **argv)
{
    struct session session = {.data = NULL};
    enum session_status status;

    (void)signal(SIGPIPE, SIG_IGN); /* a pipe that ends is seen where output is flushed */
    arena_init(&session.arena, LIMIT_CALL_ARENA_BYTES);
    arena_init(&session.scratch, LIMIT_CALL_ARENA_BYTES);
    fail_init(&session.fail, &session.arena);
    session.env = env_new_real();
    status = start(&session, argc, argv);
    if (fflush(stdout) != 0 && status == STATUS_DONE)
        status = STATUS_REFUSED;
    session.env = env_free(session.env);
    arena_done(&session.scratch);
    arena_done(&session.arena);
    return (int)status;
}
