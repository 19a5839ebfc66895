/* SPDX-License-Identifier: Apache-2.0 */
/* CreateCommand, DeleteCommand; what a command has to be. */
#include "actions/command.h"

#include "base/hash.h"

static size_t characters(struct str text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80; /* UTF-8: all but the bytes that go on */
    return count;
}

/* The script as it runs. It becomes an argument of a program: it can hold no NUL. */
static int decode_content(struct action *act, const struct command_ask *ask, struct str *ret)
{
    struct str content = ask->content;

    if (ask->encoding == CONTENT_ENCODING_BASE64) {
        uint8_t *bytes = arena_alloc(act->arena, content.len / 4 * 3 + 1);
        size_t len = 0;

        if (base64_decode(content, bytes, &len) < 0)
            return fail(act->fail, E_CMD_CONTENT);
        content = str_slice((const char *)bytes, len);
    }
    if (content.len > COMMAND_CONTENT_BYTES)
        return fail(act->fail, E_CMD_CONTENT_LIMIT);
    if (content.len == 0 || memchr(content.ptr, '\0', content.len))
        return fail(act->fail, E_CMD_CONTENT);
    *ret = content;
    return 0;
}

int command_make(struct action *act, const struct command_ask *ask, struct command *ret)
{
    struct str_list names;
    struct str content;
    int r;

    if (characters(ask->name) > COMMAND_NAME_CHARACTERS)
        return fail(act->fail, E_CMD_NAME);
    if (characters(ask->description) > COMMAND_DESCRIPTION_CHARACTERS)
        return fail(act->fail, E_CMD_DESCRIPTION);
    if (ask->working_dir.len > COMMAND_WORKING_DIR_BYTES)
        return fail(act->fail, E_INVALID_PARAMETER, STR("WorkingDir"));
    r = decode_content(act, ask, &content);
    if (r < 0)
        return r;
    if (ask->parametric) {
        r = command_parameters(act->arena, content, &names);
        if (r < 0)
            return fail(act->fail, (enum error_code)-r);
    }
    *ret = (struct command){
        .id = env_id(act->env, act->arena, "c-"),
        .account_id = act->account->id,
        .region_id = ask->region_id,
        .name = ask->name,
        .description = ask->description,
        .type = ask->type,
        .content = content,
        .working_dir = ask->working_dir,
        .timeout_s = ask->timeout_s,
        .parametric = ask->parametric,
        .resource_group_id = ask->resource_group_id,
        .created_us = act->now,
    };
    return 0;
}

int command_put_tags(struct action *act, struct str id, struct str resource_type, const struct tag_pair_list *pairs)
{
    struct tag *tags;
    size_t count;
    int r = action_tags(act, pairs, &tags, &count);

    for (size_t i = 0; r == 0 && i < count; i++) {
        tags[i].resource_id = id;
        tags[i].resource_type = resource_type;
        r = action_failed(act, store_tag_put(act->tx, &tags[i]));
    }
    return r;
}

int command_keep(struct action *act, const struct command *command, const struct tag_pair_list *tags)
{
    int64_t count = 0;
    int r = store_command_count(act->tx, command->account_id, command->region_id, &count);

    if (r == 0 && count >= act->options->quota_commands)
        return fail(act->fail, E_CMD_COUNT);
    if (r == 0)
        r = store_command_insert(act->tx, command);
    if (r < 0)
        return action_failed(act, r);
    return command_put_tags(act, command->id, STR("command"), tags);
}

int command_get(struct action *act, struct str id, struct str region_id, enum error_code code, struct command **ret)
{
    struct command *command = NULL;
    int r = store_command_get(act->tx, id, &command);

    if (r == -E_NOT_FOUND || (r == 0 && (!str_eq(command->account_id, act->account->id) ||
                                         !str_eq(command->region_id, region_id))))
        return fail(act->fail, code);
    if (r < 0)
        return action_failed(act, r);
    *ret = command;
    return 0;
}

int create_command(struct action *act, const struct create_command_request *req, struct create_command_reply *reply)
{
    const struct command_ask ask = {
        .region_id = req->region_id,
        .name = req->name,
        .description = req->description,
        .type = req->type,
        .content = req->command_content,
        .encoding = req->content_encoding,
        .working_dir = req->working_dir,
        .timeout_s = req->timeout,
        .parametric = req->enable_parameter,
        .resource_group_id = req->resource_group_id,
    };
    struct command command;
    int r;

    if (!catalog_region_find(req->region_id))
        return fail(act->fail, E_CMD_REGION);
    r = command_make(act, &ask, &command);
    if (r == 0)
        r = command_keep(act, &command, &req->tag);
    if (r < 0)
        return r;
    reply->command_id = command.id;
    return 0;
}

/* Invocations have all of their command: they go on, and are shown as before. */
int delete_command(struct action *act, const struct delete_command_request *req, struct delete_command_reply *reply)
{
    struct command *command;
    int r;

    (void)reply;
    if (!catalog_region_find(req->region_id))
        return fail(act->fail, E_CMD_REGION);
    r = command_get(act, req->command_id, req->region_id, E_CMD_NOT_FOUND_DELETE, &command);
    if (r < 0)
        return r;
    return action_failed(act, store_command_delete(act->tx, command->id));
}
