/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages over a stream of ids, newest first. One index gives the ids (the stream); every other
 * filter is looked at row by row, in C. So the statements are few and constant, whatever filters a
 * client combines.
 */
#pragma once

#include "store/rows.h"

#define FIND_ARGS_MAX 5

struct find {
    const struct query
        *stream; /* "SELECT id … AND id < $n ORDER BY id DESC"; $n comes after the args */
    struct value args[FIND_ARGS_MAX];
    size_t arg_count;
    const struct str_list *ids; /* instead of a stream: in any order, with repeats */
    bool exact; /* all that the stream gives matches: rows need not be looked at to be counted */
    bool total_known;
    int64_t total;
    /* 1: matches, 0: doesn't, -E_…. When it matches and is wanted, *item gets the row, kept on the
     * arena. */
    int (*match)(struct tx *tx, const void *filter, struct str id, bool wanted, void *item);
    const void *filter;
    size_t item_bytes;
};

struct find_result {
    void *items;
    size_t count;
    bool more;
    int64_t total; /* when page.count */
};

void find_arg(struct find *find, struct str value);
void find_arg_i64(struct find *find, int64_t value);
int find_page(struct tx *tx, const struct find *find, const struct page *page,
              struct find_result *ret) must_check;

/* A `match` for one table: the row of `id`, if `matches` says so. */
int find_row(struct tx *tx, const struct query *query, struct str id,
             bool (*matches)(const void *filter, const void *row), const void *filter, bool wanted,
             void *item) must_check;
/* Has the resource all these tags? 1, 0, -E_…. */
int find_tags(struct tx *tx, struct str resource_id, const struct tag *tags, size_t count)
    must_check;
/* Makes the tag that finds least the stream of resources of `type`. */
void find_by_tag(struct find *find, struct str account_id, struct str type, const struct tag *tags,
                 size_t count);

/* True when the filter is absent, or is met. */
bool find_text(struct str filter, struct str value);
bool find_in(const struct str_list *filter, struct str value);
bool find_int(int filter, int value);
bool find_between(usec_t value, usec_t from, usec_t until);
