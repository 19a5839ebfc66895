/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that go to the operator's socket. */
#include "cli/print.h"
#include "cli/session.h"

#define EVENTS_PAGE 1000
#define EVENTS_PAGE_TEXT "1000"
#define FOLLOW_PAUSE_US (100 * USEC_PER_MSEC)

static void add(struct session *session, struct pairs *pairs, struct str name, struct str value)
{
    arena_push(&session->arena, pairs->items, pairs->count, ((struct pair){name, value}));
}

static bool has(const struct pairs *pairs, struct str name)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (str_eq(pairs->items[i].name, name))
            return true;
    return false;
}

static void show(const struct session *session, json_t *reply, bool first)
{
    const struct command *command = session->arguments.command;
    json_t *found = command->path ? print_find(reply, command->path) : NULL;

    if (session->arguments.flags[FLAG_JSON])
        print_json(reply, command->columns ? NULL : found, stdout);
    else if (command->columns)
        print_table(found, command->columns, first, stdout);
    else if (command->path)
        print_thing(reply, found, stdout);
}

/* People get all pages, unless they asked for one; JSON is one page, with its NextToken. */
enum session_status run_admin(struct session *session)
{
    const struct command *command = session->arguments.command;
    struct pairs pairs;
    bool first = true;

    if (arguments_pairs(&session->arguments, &pairs, &session->fail) < 0)
        return session_usage(session);
    for (;;) {
        bool one = session->arguments.flags[FLAG_JSON] || has(&pairs, STR("Limit")) || (first && has(&pairs, STR("NextToken")));
        enum session_status status;
        struct pairs page = pairs;
        struct str token;
        json_t *reply;

        status = session_ask(session, command->action, &page, &reply);
        if (status != STATUS_DONE)
            return status;
        show(session, reply, first);
        token = arena_str(&session->arena, str_from(json_string_value(json_object_get(reply, "NextToken"))));
        json_decref(reply);
        if (one || str_empty(token))
            return STATUS_DONE;
        if (first)
            add(session, &pairs, STR("NextToken"), token);
        else
            pairs.items[pairs.count - 1].value = token;
        first = false;
    }
}

/* A knob or a deed, as the request that says it. */
static const char *knob_request(struct session *session, struct str word, const struct setting *setting, struct pairs *pairs)
{
    const struct command *command = session->arguments.command;
    struct str name;
    struct str value;

    if (str_split(word, '=', &name, &value)) {
        add(session, pairs, STR("Name"), name);
        add(session, pairs, STR("Value"), value);
    } else if (setting->wire) { /* down is state=down */
        add(session, pairs, STR("Name"), str_from(setting->wire));
        add(session, pairs, STR("Value"), word);
    } else if (command->word_action) {
        add(session, pairs, STR("What"), word);
        return command->word_action;
    } else {
        add(session, pairs, STR("Name"), word);
    }
    return command->action;
}

/* All words are checked before the first is sent. */
static int check_knobs(struct session *session)
{
    const struct arguments *arguments = &session->arguments;

    if (arguments->word_count < 2)
        return fail_text(&session->fail, E_INVALID, "%s needs %s and what it shall do", arguments->command->words,
                         arguments->command->operands[0].name);
    for (size_t i = 1; i < arguments->word_count; i++) {
        const struct setting *setting;
        struct str name;
        struct str value;

        (void)str_split(str_from(arguments->words[i]), '=', &name, &value);
        setting = command_setting(arguments->command, name);
        if (!setting)
            return fail_text(&session->fail, E_INVALID, "%s does not take %.*s", arguments->command->words, STR_ARG(name));
        if ((setting->value != NULL) != (value.ptr != NULL))
            return fail_text(&session->fail, E_INVALID, "%s %s", setting->name,
                             setting->value ? "needs a value" : "takes no value");
    }
    return 0;
}

enum session_status run_knobs(struct session *session)
{
    const struct arguments *arguments = &session->arguments;
    enum session_status status = STATUS_DONE;

    if (check_knobs(session) < 0)
        return session_usage(session);
    for (size_t i = 1; i < arguments->word_count && status == STATUS_DONE; i++) {
        struct str word = str_from(arguments->words[i]);
        struct pairs pairs = {NULL, 0};
        struct str name;
        struct str value;
        const char *action;
        json_t *reply;

        (void)str_split(word, '=', &name, &value);
        add(session, &pairs, str_from(arguments->command->operands[0].wire), str_from(arguments->words[0]));
        action = knob_request(session, word, command_setting(arguments->command, name), &pairs);
        status = session_ask(session, action, &pairs, &reply);
        if (status == STATUS_DONE)
            json_decref(reply);
    }
    return status;
}

/* One page of events. *ret_after becomes the last one's id, *ret_count how many there were. */
static enum session_status events_page(struct session *session, const struct pairs *pairs, bool heading, int64_t *ret_after,
                                       size_t *ret_count)
{
    json_t *reply;
    json_t *events;
    enum session_status status = session_ask(session, "ListEvents", pairs, &reply);

    if (status != STATUS_DONE)
        return status;
    events = print_find(reply, session->arguments.command->path);
    *ret_count = json_array_size(events);
    if (*ret_count > 0)
        *ret_after = json_integer_value(json_object_get(json_array_get(events, *ret_count - 1), "EventId"));
    if (!session->arguments.flags[FLAG_FOLLOW] || !session->arguments.flags[FLAG_JSON])
        show(session, reply, heading);
    for (size_t i = 0; session->arguments.flags[FLAG_FOLLOW] && session->arguments.flags[FLAG_JSON] && i < *ret_count; i++)
        print_json(json_array_get(events, i), NULL, stdout); /* a line each, for programs that follow */
    json_decref(reply);
    return STATUS_DONE;
}

/* What was asked, with the place to go on from; `after` is NULL: as asked. */
static struct pairs events_pairs(const struct pairs *asked, const char *after, struct pair *items)
{
    struct pairs pairs = {items, 0};

    for (size_t i = 0; i < asked->count; i++)
        if (!after || !str_eq(asked->items[i].name, STR("After")))
            items[pairs.count++] = asked->items[i];
    if (!has(asked, STR("Limit")))
        items[pairs.count++] = (struct pair){STR("Limit"), STR(EVENTS_PAGE_TEXT)};
    if (after)
        items[pairs.count++] = (struct pair){STR("After"), str_from(after)};
    return pairs;
}

/* From After on, page by page. A limit, or JSON that is not followed, means one page. Goes on for days: no memory is kept. */
enum session_status run_events(struct session *session)
{
    bool follow = session->arguments.flags[FLAG_FOLLOW] != NULL;
    struct pair items[COMMAND_OPERANDS + COMMAND_SETTINGS + 2];
    char after_text[24];
    struct pairs asked;
    bool one;
    bool heading = true;
    int64_t after = -1;

    if (arguments_pairs(&session->arguments, &asked, &session->fail) < 0)
        return session_usage(session);
    one = !follow && (session->arguments.flags[FLAG_JSON] || has(&asked, STR("Limit")));
    for (;;) {
        struct pairs pairs;
        enum session_status status;
        size_t count;

        (void)snprintf(after_text, sizeof(after_text), "%lld", (long long)after);
        pairs = events_pairs(&asked, after < 0 ? NULL : after_text, items);
        status = events_page(session, &pairs, heading, &after, &count);
        if (status != STATUS_DONE || one || (!follow && count < EVENTS_PAGE))
            return status;
        heading = false;
        if (count == 0)
            session_pause(FOLLOW_PAUSE_US);
    }
}
