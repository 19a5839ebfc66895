/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NextToken: where the page before ended and a check of the filters that it was made for, in hex.
 * Opaque to clients, bounded, and worth nothing to a forger: it only moves the start of a query
 * that is bound to the caller's account anyway.
 */
#pragma once

#include "base/arena.h"

#define PAGE_TOKEN_MAX                                                                             \
    2048 /* characters; an id has 22, the place of a tag up to 540: its key may be 128 characters  \
            of 4 bytes */

/* A sum over all that the query filters by. */
struct page_check {
    uint64_t sum;
};

void page_check_init(struct page_check *check);
void page_check_add(struct page_check *check, struct str text);
void page_check_add_i64(struct page_check *check, int64_t value);
/* NULL differs from a list without items. */
void page_check_add_list(struct page_check *check, const struct str_list *list);

struct str page_token_make(struct arena *arena, const struct page_check *check, struct str after);
/* -E_INVALID: not a token of ours, or one for other filters. */
int page_token_read(struct arena *arena, const struct page_check *check, struct str token,
                    struct str *ret_after) must_check;
