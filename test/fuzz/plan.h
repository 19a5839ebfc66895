/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document of the input's making, for the two encoders. Each line is a word of it:
 *   =text   a value, with \xx for any byte    #12   a number, not quoted    ?1   a truth value
 *   {       an object                         [     a list                  (    a list in an object of its own
 *   }       closes the innermost of them      others are skipped
 * Names are made here: in replies they come from tables.
 */
#pragma once

#include "gateway/encode.h"

#define PLAN_DEPTH 8

enum plan_kind { PLAN_TEXT, PLAN_NUMBER, PLAN_TRUTH, PLAN_OBJECT, PLAN_LIST, PLAN_WRAPPED };

struct plan {
    enum plan_kind kind;
    const char *name; /* "m1"; items of a list have the list's */
    const char *item; /* PLAN_WRAPPED */
    struct str text;  /* of a value */
    int64_t number;
    struct plan **parts;
    size_t count;
};

struct plan *plan_read(struct arena *arena, struct str text);
/* The whole document, through the encoder. */
struct str plan_write(struct arena *arena, const struct encoder_ops *ops, const struct plan *root);
