/* SPDX-License-Identifier: Apache-2.0 */
/* A command line, read by the table of commands. */
#include "cli/command.h"

const struct setting *command_setting(const struct command *command, struct str name)
{
    for (size_t i = 0; i < COMMAND_SETTINGS && command->settings[i].name; i++)
        if (str_eq(str_from(command->settings[i].name), name))
            return &command->settings[i];
    return NULL;
}

const struct command *command_find(const char *const *words, size_t count, size_t *ret_used)
{
    for (size_t i = 0; i < command_count; i++) {
        struct str first;
        struct str second;

        (void)str_split(str_from(commands[i].words), ' ', &first, &second);
        if (count < (second.ptr ? 2u : 1u) || !str_eq(str_from(words[0]), first))
            continue;
        if (second.ptr && !str_eq(str_from(words[1]), second))
            continue;
        *ret_used = second.ptr ? 2 : 1;
        return &commands[i];
    }
    return NULL;
}

static int flag_find(struct str name)
{
    for (int i = 0; i < FLAG_COUNT; i++)
        if (str_eq(str_from(flag_rows[i].name), name))
            return i;
    return -1;
}

/* Takes the flag at argv[*at], and its value. */
static int take_flag(int argc, char **argv, int *at, struct arguments *arguments, struct fail *fail)
{
    struct str name;
    struct str value;
    int flag;

    (void)str_split(str_from(argv[*at]), '=', &name, &value);
    flag = flag_find(name);
    if (flag < 0)
        return fail_text(fail, E_INVALID, "%s is not a flag; see ecsctl --help", argv[*at]);
    if (!flag_rows[flag].value && value.ptr)
        return fail_text(fail, E_INVALID, "%s takes no value", flag_rows[flag].name);
    if (flag == FLAG_VERSION && arguments->word_count == 0) {
        arguments->flags[flag] = ""; /* ours, not the API's */
        return 0;
    }
    if (!flag_rows[flag].value) {
        arguments->flags[flag] = "";
        return 0;
    }
    if (!value.ptr && *at + 1 >= argc)
        return fail_text(fail, E_INVALID, "%s needs a value: %s", flag_rows[flag].name, flag_rows[flag].value);
    arguments->flags[flag] = value.ptr ? value.ptr : argv[++*at];
    return 0;
}

/* Which command, and may it have these flags? */
static int settle(struct arguments *arguments, struct fail *fail)
{
    size_t used;

    arguments->command = command_find(arguments->words, arguments->word_count, &used);
    if (!arguments->command)
        return fail_text(fail, E_INVALID, "%s%s%s is not a command; see ecsctl --help", arguments->words[0],
                         arguments->word_count > 1 ? " " : "", arguments->word_count > 1 ? arguments->words[1] : "");
    for (size_t i = used; i < arguments->word_count; i++)
        arguments->words[i - used] = arguments->words[i];
    arguments->word_count -= used;
    for (unsigned i = 0; i < FLAG_COUNT; i++) {
        unsigned allowed = arguments->command->flags | FLAG_BIT(FLAG_DATA) | FLAG_BIT(FLAG_HELP);

        if (arguments->flags[i] && !(allowed & FLAG_BIT(i)))
            return fail_text(fail, E_INVALID, "%s does not take %s", arguments->command->words, flag_rows[i].name);
    }
    return 0;
}

int arguments_read(int argc, char **argv, struct arguments *ret, struct fail *fail)
{
    *ret = (struct arguments){.command = NULL};
    for (int i = 1; i < argc; i++) {
        int r = 0;

        if (str_starts(str_from(argv[i]), STR("--")))
            r = take_flag(argc, argv, &i, ret, fail);
        else if (ret->word_count == COMMAND_WORDS)
            r = fail_text(fail, E_INVALID, "more than %d words", COMMAND_WORDS);
        else
            ret->words[ret->word_count++] = argv[i];
        if (r < 0)
            return r;
    }
    if (ret->word_count > 0 && str_eq(str_from(ret->words[0]), STR("help"))) {
        ret->flags[FLAG_HELP] = "";
        for (size_t i = 1; i < ret->word_count; i++)
            ret->words[i - 1] = ret->words[i];
        ret->word_count--;
    }
    if (ret->word_count == 0)
        return ret->flags[FLAG_HELP] || ret->flags[FLAG_VERSION] ? 0 : fail_text(fail, E_INVALID, "no command; see ecsctl --help");
    return settle(ret, fail);
}

static int take_setting(const struct command *command, struct str word, bool *given, struct pairs *pairs, struct fail *fail)
{
    const struct setting *setting;
    struct str name;
    struct str value;

    (void)str_split(word, '=', &name, &value);
    setting = command_setting(command, name);
    if (!setting)
        return fail_text(fail, E_INVALID, "%s does not take %.*s", command->words, STR_ARG(name));
    if (given[setting - command->settings])
        return fail_text(fail, E_INVALID, "%.*s is given twice", STR_ARG(name));
    given[setting - command->settings] = true;
    arena_push(fail->arena, pairs->items, pairs->count, ((struct pair){str_from(setting->wire), value}));
    return 0;
}

static int add_fallbacks(const struct command *command, const bool *given, struct pairs *pairs, struct fail *fail)
{
    for (size_t i = 0; i < COMMAND_SETTINGS && command->settings[i].name; i++) {
        const struct setting *setting = &command->settings[i];

        if (given[i])
            continue;
        if (setting->required)
            return fail_text(fail, E_INVALID, "%s needs %s=%s", command->words, setting->name, setting->value);
        if (setting->fallback)
            arena_push(fail->arena, pairs->items, pairs->count,
                       ((struct pair){str_from(setting->wire), str_from(setting->fallback)}));
    }
    return 0;
}

int arguments_pairs(const struct arguments *arguments, struct pairs *ret, struct fail *fail)
{
    const struct command *command = arguments->command;
    bool given[COMMAND_SETTINGS] = {false};
    struct pairs pairs = {NULL, 0};
    size_t operand = 0;
    int r = 0;

    for (size_t i = 0; i < arguments->word_count && r == 0; i++) {
        struct str word = str_from(arguments->words[i]);

        assert(word.ptr); /* main has counted them */
        if (memchr(word.ptr, '=', word.len)) {
            r = take_setting(command, word, given, &pairs, fail);
        } else if (operand == COMMAND_OPERANDS || !command->operands[operand].name) {
            r = fail_text(fail, E_INVALID, "%s: %s is too much", command->words, arguments->words[i]);
        } else {
            arena_push(fail->arena, pairs.items, pairs.count, ((struct pair){str_from(command->operands[operand].wire), word}));
            operand++;
        }
    }
    if (r < 0)
        return r;
    if (operand < COMMAND_OPERANDS && command->operands[operand].name && !command->operands[operand].optional)
        return fail_text(fail, E_INVALID, "%s needs %s", command->words, command->operands[operand].name);
    r = add_fallbacks(command, given, &pairs, fail);
    if (r < 0)
        return r;
    *ret = pairs;
    return 0;
}
