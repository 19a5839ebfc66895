/* SPDX-License-Identifier: Apache-2.0 */
#include "main/command_line.h"

#include <stdio.h>
#include <unistd.h>

#include "base/datadir.h"
#include "main/build.h"

#define HELP_BYTES_MAX ((size_t)1 << 20)

enum word { WORD_CONFIG, WORD_DATA, WORD_LISTEN, WORD_LISTEN_TLS, WORD_ADMIN, WORD_STORE, WORD_NODE, WORD_HYPERVISOR, WORD_CLOCK, WORD_SET,
            WORD_PRINT_CONFIG, WORD_VERSION, WORD_HELP };

static const struct word_row {
    const char *name;
    const char *value; /* NULL: takes none */
    const char *help;
} words[] = {
    [WORD_CONFIG] = {"--config", "FILE", "Read options from an INI file; --print-config prints one."},
    [WORD_DATA] = {"--data", "DIR", "The data folder. Default: $ECSD_DATA, else /var/lib/ecsd as root, else ~/.local/share/ecsd."},
    [WORD_LISTEN] = {"--listen", "HOST:PORT", "Where the API answers over HTTP. Default 127.0.0.1:8088; port 0 takes a free one."},
    [WORD_LISTEN_TLS] = {"--listen-tls", "HOST:PORT", "Where it answers over HTTPS; without http.tls_certificate with one made in DIR."},
    [WORD_ADMIN] = {"--admin", "HOST:PORT", "Where /healthz, /readyz and /metrics answer. Default: nowhere."},
    [WORD_STORE] = {"--store", "URL", "The store: sqlite:FILE or postgresql://… Default sqlite:DIR/ecsd.db."},
    [WORD_NODE] = {"--node", "NAME", "This node's name among those that share a PostgreSQL. Default local."},
    [WORD_HYPERVISOR] = {"--hypervisor", "URL", "Where machines run: sim (default, complete simulated hosts), sim:FOLDER (those that\n                            several processes share), libvirt (real ones on this computer), or a URI:\n                            qemu:///system, qemu+ssh://HOST/system."},
    [WORD_CLOCK] = {"--clock", "real|virtual", "With virtual, time moves only by `ecsctl clock advance`. Default real."},
    [WORD_SET] = {"--set", "NAME=VALUE", "Set an option; may be given many times."},
    [WORD_PRINT_CONFIG] = {"--print-config", NULL, "Print every option, what is in force and where it comes from; then end."},
    [WORD_VERSION] = {"--version", NULL, "Print the version and end."},
    [WORD_HELP] = {"--help", NULL, "Print this and end."},
};

struct reading {
    struct command_line *line;
    struct arena *arena;
    const char **settings; /* of --set, in order: applied after file and environment */
    size_t setting_count;
    bool print_config;
};

static void print_help(void)
{
    printf("ecsd %s: a compute service that speaks the Alibaba Cloud ECS API.\n\nUsage: ecsd [FLAG]...\n       ecsd migrate --from URL --to URL\n\nFlags\n", build_version);
    for (size_t i = 0; i < countof(words); i++) {
        char head[64];

        (void)snprintf(head, sizeof(head), "%s %s", words[i].name, words[i].value ? words[i].value : "");
        printf("  %-26s%s\n", head, words[i].help);
    }
    printf("\nOptions (by --set, in the file, or as an environment variable such as ECSD_STOP_PRESS_INTERVAL_S)\n");
    for (size_t i = 0; i < option_row_count; i++) {
        const struct option_row *row = &option_rows[i];

        printf("  %s = %s\n      %s\n", row->name, row->default_text, row->help);
        for (size_t j = 0; row->kind == OPTION_ENUM && row->words[j]; j++)
            printf("%s%s%s", j == 0 ? "      One of: " : ", ", row->words[j], row->words[j + 1] ? "" : "\n");
    }
    printf("\nFiles in the data folder\n"
           "  endpoint      where the API answers, written once it does\n"
           "  endpoint-tls  the same for --listen-tls\n"
           "  credentials   the first account's access key, made at the first start, or taken from\n"
           "                ECSD_ACCESS_KEY_ID and ECSD_ACCESS_KEY_SECRET (both, 8 to 128 characters)\n"
           "  admin.sock    what ecsctl talks to\n"
           "  sim.journal   the simulated machines\n"
           "  ecsd.db       the store\n"
           "Backup, while ecsd runs: copy sim.journal, then `sqlite3 ecsd.db \".backup FILE\"`. While it is stopped: copy\n"
           "sim.journal, ecsd.db and, if it is there, ecsd.db-wal.\n"
           "\nSignals: TERM and INT finish what has begun and end; a second one ends at once; HUP is noted in the log.\n"
           "Exit status: 0 stopped on request, 1 could not start or go on, 2 flags or options are wrong.\n");
}

static void print_config(const struct option_set *set)
{
    struct buf text;

    buf_init(&text, HELP_BYTES_MAX);
    option_set_print(set, &text);
    (void)fwrite(text.ptr, 1, text.len, stdout);
    buf_done(&text);
}

static enum command_result take_clock(struct command_line *line, const char *value)
{
    line->virtual_clock = strcmp(value, "virtual") == 0;
    if (line->virtual_clock || strcmp(value, "real") == 0)
        return COMMAND_RUN;
    (void)fprintf(stderr, "ecsd: --clock is real or virtual, not %s\n", value);
    return COMMAND_BAD;
}

#define NODE_BYTES_MAX 63

static enum command_result take_node(struct command_line *line, const char *value)
{
    line->node = str_from(value);
    if (str_is_token(line->node) && line->node.len <= NODE_BYTES_MAX)
        return COMMAND_RUN;
    (void)fprintf(stderr, "ecsd: --node is a name of 1 to %d printable ASCII characters without blanks, not \"%s\"\n", NODE_BYTES_MAX, value);
    return COMMAND_BAD;
}

static enum command_result take_word(struct reading *reading, enum word word, const char *value)
{
    struct command_line *line = reading->line;

    switch (word) {
    case WORD_CONFIG:
        line->config = value;
        break;
    case WORD_DATA:
        line->data = value;
        break;
    case WORD_LISTEN:
        line->listen = str_from(value);
        break;
    case WORD_LISTEN_TLS:
        line->listen_tls = str_from(value);
        break;
    case WORD_ADMIN:
        line->listen_admin = str_from(value);
        break;
    case WORD_STORE:
        line->store = value;
        break;
    case WORD_NODE:
        return take_node(line, value);
    case WORD_HYPERVISOR:
        line->hypervisor = str_from(value);
        break;
    case WORD_CLOCK:
        return take_clock(line, value);
    case WORD_SET:
        arena_push(reading->arena, reading->settings, reading->setting_count, value);
        break;
    case WORD_PRINT_CONFIG:
        reading->print_config = true;
        break;
    case WORD_VERSION:
        printf("ecsd %s\n", build_version);
        return COMMAND_DONE;
    case WORD_HELP:
        print_help();
        return COMMAND_DONE;
    }
    return COMMAND_RUN;
}

/* "--name value" and "--name=value". */
static enum command_result take_argument(struct reading *reading, int argc, char **argv, int *at)
{
    struct str name = str_from(argv[*at]);
    struct str inline_value = STR_NONE;

    (void)str_split(str_from(argv[*at]), '=', &name, &inline_value); /* without '=' the whole is the name */
    for (size_t i = 0; i < countof(words); i++) {
        const char *value = inline_value.ptr;

        if (!str_eq(name, str_from(words[i].name)))
            continue;
        if (!words[i].value && value) {
            (void)fprintf(stderr, "ecsd: %s takes no value\n", words[i].name);
            return COMMAND_BAD;
        }
        if (words[i].value && !value) {
            if (*at + 1 >= argc) {
                (void)fprintf(stderr, "ecsd: %s needs %s\n", words[i].name, words[i].value);
                return COMMAND_BAD;
            }
            value = argv[++*at];
        }
        return take_word(reading, (enum word)i, value);
    }
    (void)fprintf(stderr, "ecsd: %s is not known; see ecsd --help\n", argv[*at]);
    return COMMAND_BAD;
}

/* File, then environment, then --set: the later wins. */
static int apply_options(struct reading *reading, struct fail *fail)
{
    struct option_set *set = &reading->line->options;
    int r = reading->line->config ? option_set_file(set, reading->line->config, fail) : 0;

    if (r == 0)
        r = option_set_environment(set, environ, fail);
    for (size_t i = 0; i < reading->setting_count && r == 0; i++) {
        struct str name;
        struct str value;

        if (!str_split(str_from(reading->settings[i]), '=', &name, &value))
            return fail_text(fail, E_INVALID, "--set %s: give it as NAME=VALUE", reading->settings[i]);
        r = option_set_one(set, str_trim(name), str_trim(value), OPTION_COMMAND_LINE, fail);
    }
    return r;
}

enum command_result command_line_read(int argc, char **argv, struct arena *arena, struct command_line *ret)
{
    struct reading reading = {.line = ret, .arena = arena};
    struct fail fail;

    *ret = (struct command_line){.listen = STR("127.0.0.1:8088"), .hypervisor = STR("sim"), .node = STR("local")};
    option_set_init(&ret->options, arena);
    for (int i = 1; i < argc; i++) {
        enum command_result result = take_argument(&reading, argc, argv, &i);

        if (result != COMMAND_RUN)
            return result;
    }
    if (!ret->data)
        ret->data = datadir_default(arena);
    fail_init(&fail, arena);
    if (apply_options(&reading, &fail) < 0) {
        (void)fprintf(stderr, "ecsd: %.*s\n", STR_ARG(fail.message));
        return COMMAND_BAD;
    }
    if (!reading.print_config)
        return COMMAND_RUN;
    print_config(&ret->options);
    return COMMAND_DONE;
}
