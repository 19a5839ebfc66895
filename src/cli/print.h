/* SPDX-License-Identifier: Apache-2.0 */
/* Replies of the operator's socket for people: aligned columns for lists, `name: value` for one thing. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* The value below `root` that "Jobs.Job" names; NULL: not there. "" is root. */
json_t *print_find(json_t *root, const char *path);
/* One line per item; `columns` are names of members, separated by a blank. Without `heading` only the lines. */
void print_table(const json_t *items, const char *columns, bool heading, FILE *out);
/* The members of `thing`, then those of `root` beside it but for RequestId. */
void print_thing(json_t *root, json_t *thing, FILE *out);
/* The whole reply as one line of JSON, the members of `thing` (or NULL) at its top too, where the names are free. */
void print_json(json_t *root, json_t *thing, FILE *out);
