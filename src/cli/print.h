/* SPDX-License-Identifier: Apache-2.0 */
/* JSON replies as a person reads them. The only file of this folder that knows jansson is print.c. */
#pragma once

#include <stdio.h>

#include "base/fail.h"

/*
 * A reply with a list is a table of `columns` (comma-separated members; NULL: all that are plain), others are lines of
 * name and value. `heading`: also the column names. -E_INVALID: no JSON object.
 */
int print_reply(FILE *out, struct str body, const char *columns, bool heading) must_check;
/* A member by its path ("Instance.State"), on the arena; absent when it isn't there. */
struct str reply_member(struct str body, const char *path, struct arena *arena);
/* As a member of the last item of the reply's list. */
struct str reply_last_item(struct str body, const char *member, struct arena *arena);
