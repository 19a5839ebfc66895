/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of ecsctl as data, and the reading of a command line by that data. --help is printed from the same rows.
 */
#pragma once

#include <stdio.h>

#include "base/fail.h"

#define COMMAND_OPERANDS 2
#define COMMAND_SETTINGS 16
#define COMMAND_WORDS 256 /* after the flags, of one command line */

enum command_kind {
    COMMAND_ADMIN,  /* one request on the operator's socket */
    COMMAND_KNOBS,  /* one request per word: name=value, or a bare word */
    COMMAND_EVENTS, /* pages of events, and then what follows */
    COMMAND_CALL,   /* a signed call of the API */
    COMMAND_WAIT,
    COMMAND_EVACUATE,
    COMMAND_IMAGE_IMPORT,
    COMMAND_IMAGE_REMOVE,
};

enum flag { FLAG_DATA, FLAG_JSON, FLAG_FOLLOW, FLAG_TIMEOUT, FLAG_V1, FLAG_XML, FLAG_PRODUCT, FLAG_VERSION, FLAG_HELP, FLAG_COUNT };

#define FLAG_BIT(flag) (1u << (flag))

struct flag_row {
    const char *name;
    const char *value; /* NULL: takes none */
    const char *help;
};
extern const struct flag_row flag_rows[FLAG_COUNT];

struct operand {
    const char *name; /* "ACCOUNT" */
    const char *wire; /* "AccountId" */
    bool optional;
};

struct setting {
    const char *name; /* "stopped-mode" */
    const char *wire; /* "StoppedMode"; a knob: NULL */
    const char *value; /* "KeepCharging|StopCharging"; NULL: a bare word */
    const char *fallback; /* what is sent when it is not given */
    bool required;
};

struct command {
    const char *words; /* "account create" */
    const char *help;
    enum command_kind kind;
    unsigned flags; /* besides --data and --help */
    const char *action;
    const char *word_action; /* COMMAND_KNOBS: for bare words, that goes into What; NULL: Name without Value */
    struct operand operands[COMMAND_OPERANDS];
    struct setting settings[COMMAND_SETTINGS];
    const char *path;    /* of the list or object in the reply, "Accounts.Account"; NULL: nothing to show */
    const char *columns; /* of a list; NULL: it is one object */
};
extern const struct command commands[];
extern const size_t command_count;

struct pair {
    struct str name;
    struct str value;
};

struct pairs {
    struct pair *items;
    size_t count;
};

struct arguments {
    const struct command *command; /* NULL: none was named */
    const char *flags[FLAG_COUNT]; /* value, or "" of a flag without; NULL: not given */
    const char *words[COMMAND_WORDS]; /* behind the command's own */
    size_t word_count;
};

/* -E_INVALID with a text for the operator. What it points to lives as long as argv. */
int arguments_read(int argc, char **argv, struct arguments *ret, struct fail *fail) must_check;
/* Operands and settings to the parameters of the request, on the arena of `fail`. -E_INVALID. */
int arguments_pairs(const struct arguments *arguments, struct pairs *ret, struct fail *fail) must_check;
/* The setting of that name; NULL when the command has none. */
const struct setting *command_setting(const struct command *command, struct str name);
/* The command that these words begin with, and how many of them name it; NULL: none. */
const struct command *command_find(const char *const *words, size_t count, size_t *ret_used);

void command_print_usage(const struct command *command, FILE *out);
void command_print_help(const struct command *command, FILE *out);
void command_print_all(FILE *out);
