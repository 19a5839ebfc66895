/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that were given to guests: an invocation that was accepted stays on the list, ends, and then changes no more. */
#include "sim/run.h"

static bool is_final(struct str status)
{
    static const struct str finals[] = {STR_INIT("Finished"), STR_INIT("Failed"), STR_INIT("PartialFailed"), STR_INIT("Stopped")};

    for (size_t i = 0; i < countof(finals); i++)
        if (str_eq(status, finals[i]))
            return true;
    return false;
}

void model_command_add(struct model *model, struct str id, int account)
{
    struct model_command *command = &model->commands[model->command_next++ % MODEL_COMMANDS];

    *command = (struct model_command){.account = account};
    (void)snprintf(command->id, sizeof(command->id), "%.*s", STR_ARG(id));
}

struct model_command *model_command_find(struct model *model, struct str id)
{
    for (int i = 0; i < MODEL_COMMANDS; i++)
        if (model->commands[i].id[0] && str_eq(str_from(model->commands[i].id), id))
            return &model->commands[i];
    return NULL;
}

void model_command_shown(struct model *model, struct model_command *command, struct str status)
{
    if (command->status[0] && !str_eq(status, str_from(command->status)))
        run_broken(model->run, "what has ended stays as it is", "invocation %s is %.*s, and was %s", command->id,
                   STR_ARG(status), command->status);
    if (model->run->is_calm && !is_final(status))
        run_broken(model->run, "whatever was begun ends", "invocation %s is still %.*s", command->id, STR_ARG(status));
    if (is_final(status))
        (void)snprintf(command->status, sizeof(command->status), "%.*s", STR_ARG(status));
}
