/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a caller sent, as one flat list of names and values: query, form body, members of a JSON
 * body. Invariants: 1. names and values are decoded, valid UTF-8 without NUL.  2. the list is
 * sorted by name (bytes), equal names in order of precedence: form, query, JSON; within one source
 * the first that came wins.  3. all but the winner of an equal name are `shadowed` and never looked
 * up.  4. bounded by LIMIT_PARAMS and LIMIT_NAME_BYTES.
 */
#pragma once

#include "base/fail.h"
#include "base/limits.h"
#include "model/command.h"

enum param_source { PARAM_FORM, PARAM_QUERY, PARAM_JSON };

struct param {
    struct str name;
    struct str value;
    enum param_source source;
    unsigned order; /* of arrival */
    bool shadowed;
};

struct params {
    struct param *items;
    size_t count;
};

/*
 * Adds what a query or a form body holds. Text without escapes is borrowed: `text` lives as long as
 * `params`. -E_INVALID_PARAMETER (not UTF-8, NUL, name too long), -E_REQUEST_TOO_LARGE (too many).
 */
int params_add(struct params *params, struct arena *arena, struct str text,
               enum param_source source, struct fail *fail) must_check;
/* Adds the members of a JSON object: lists and objects flattened to Name.N and Name.Field. As
 * above; -E_BAD_REQUEST. */
int params_add_json(struct params *params, struct arena *arena, struct str body, struct fail *fail)
    must_check;
/*
 * The members of a JSON object whose values are texts, numbers or truth values, in the order in which they stand.
 * -E_INVALID: it is no such object, or too large a one; -E_EXISTS: a name stands twice.
 */
int params_read_map(struct arena *arena, struct str text, struct text_pair_list *ret) must_check;
/* Adds one decoded pair, with the same checks. */
int params_add_pair(struct params *params, struct arena *arena, struct param param,
                    struct fail *fail) must_check;
/* Sorts and marks what is shadowed: once, after the last add. */
void params_sort(struct params *params);
/* For a name that both query and form have: lets the query win (true) or the form (false). False
 * when nothing is doubled. */
bool params_prefer_query(struct params *params, bool query);

/* The value under a name in any case, the exact spelling first; absent when there is none. */
struct str params_get(const struct params *params, struct str name);
