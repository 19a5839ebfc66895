/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What several actions do alike. For the files of this folder only.
 * Invariant: a resource of another account is not found, with the same answer as one that never
 * was.
 */
#pragma once

#include "actions/actions.h"
#include "base/limits.h"
#include "gen/catalog.h"
#include "gen/options.h"
#include "model/page.h"

/* The account's instance, hot columns only / all columns. -E_INSTANCE_NOT_FOUND. */
int action_instance_hot(struct action *act, struct str id, struct instance **ret) must_check;
int action_instance(struct action *act, struct str id, struct instance **ret) must_check;
/* The account's disk. -E_DISK_ID_NOT_FOUND. */
int action_disk(struct action *act, struct str id, struct disk **ret) must_check;
/* The account's deployment set in the region. -E_NOT_FOUND, without a text: each page has its own. */
int action_deployment_set(struct action *act, struct str region_id, struct str id, struct deployment_set **ret) must_check;
/* -E_REGION_NOT_FOUND for a region that the catalogue doesn't have. */
int action_region(struct action *act, struct str id, const struct catalog_region **ret) must_check;
/* Who asks the engine, and for which call. */
struct order action_order(const struct action *act);
struct stop_rules action_stop_rules(const struct action *act);
/* The mode that the call asks for; -1: none (also for Not-applicable, which Terraform sends back as
 * it was told). */
int action_asked_mode(int mode);
/*
 * Gives the failure that a store or engine function returned a text, when it has none: `r` as a row
 * of api/errors.txt. A row version that changed underneath means that somebody else holds the
 * resource.
 */
int action_failed(struct action *act, int r);
/* As in base/fail.h, for the analyzer: what was negative stays so. */
#if defined(__clang_analyzer__) && !defined(ACTION_FAILED_IMPLEMENTATION)
#define action_failed(act, r) ({ int failed_ = (r); (void)action_failed((act), failed_); failed_; })
#endif

/* PageNumber and PageSize: absent or too small is the default, too large is the maximum. */
struct page_ask {
    int64_t number;
    int64_t size;
};
struct page_ask page_ask_make(int64_t number, int64_t size, int64_t size_default, int64_t size_max);
/* The part of `total` items that the page shows. */
void page_ask_window(const struct page_ask *ask, size_t total, size_t *ret_first,
                     size_t *ret_count);

/* Tag.N of a request as rows: count, keys, values, doubles. `resource_type` goes into each row. */
int action_tags(struct action *act, const struct tag_pair_list *pairs, struct tag **ret,
                size_t *ret_count) must_check;
/* Tag.N as a filter: a key alone means any value. */
int action_tag_filter(struct action *act, const struct tag_pair_list *pairs, struct tag **ret,
                      size_t *ret_count) must_check;
/* The tags that a query filters by, for its NextToken. */
void action_tag_check(struct page_check *check, const struct tag *tags, size_t count);
/* Tags as replies show them, sorted by key as the store keeps them. */
int action_tag_views(struct action *act, struct str resource_id, struct tag_view_list *ret)
    must_check;
