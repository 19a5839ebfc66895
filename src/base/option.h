/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of the daemon: rows of api/config.json (gen/options.h: struct options, OPTION_ROWS). Order of precedence:
 * default < INI file < environment (ECSD_STOP_PRESS_INTERVAL_S) < command line (--set stop.press_interval_s=5).
 * A value that is unknown, of the wrong type or out of bounds is refused with a text that says what would be right.
 */
#pragma once

#include "base/buf.h"
#include "base/fail.h"
#include "gen/options.h"

enum option_kind { OPTION_BOOL, OPTION_INT, OPTION_FLOAT, OPTION_TEXT, OPTION_ENUM };
enum option_source { OPTION_DEFAULT, OPTION_FILE, OPTION_ENVIRONMENT, OPTION_COMMAND_LINE };

struct option_row {
    const char *name; /* "stop.press_interval_s" */
    enum option_kind kind;
    size_t offset;    /* in struct options: bool, int64_t, double, struct str, or int for an enum's index */
    double min;
    double max;
    const char *const *words; /* OPTION_ENUM, NULL-terminated */
    const char *default_text;
    const char *help; /* one line */
};
extern const struct option_row option_rows[];
extern const size_t option_row_count;

struct option_set {
    struct options values;
    enum option_source *sources; /* one per row */
    struct arena *arena;
};

/* All defaults. Text values live on `arena`, which outlives the set. */
void option_set_init(struct option_set *set, struct arena *arena);
int option_set_one(struct option_set *set, struct str name, struct str value, enum option_source source, struct fail *fail)
    must_check;
int option_set_file(struct option_set *set, const char *path, struct fail *fail) must_check;
int option_set_environment(struct option_set *set, char *const *environ_list, struct fail *fail) must_check;
/* One line per option: name = value   ; source, bounds, help (--print-config). The text is a valid INI file. */
void option_set_print(const struct option_set *set, struct buf *out);
