/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's words on the command line, and the options they, the file and the environment set. */
#pragma once

#include "base/option.h"

enum command_result {
    COMMAND_RUN,
    COMMAND_DONE, /* --help and the like: printed */
    COMMAND_BAD,  /* said why on stderr */
};

struct command_line {
    const char *data;       /* never NULL */
    const char *config;     /* NULL: none */
    struct str listen;
    struct str listen_tls;  /* absent: none */
    struct str listen_admin;
    struct str hypervisor;
    struct str node;        /* its name among those that share the store */
    const char *store;      /* NULL: SQLite in the data folder */
    bool virtual_clock;
    struct option_set options;
};

/* Texts live on `arena` or in argv, which outlive *ret. */
enum command_result command_line_read(int argc, char **argv, struct arena *arena, struct command_line *ret);
