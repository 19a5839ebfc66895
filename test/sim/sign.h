/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed requests as bytes that can be sent again. Four forms: V1 as GET or as a posted form, V3 with its parameters in the
 * query or in a form.
 */
#pragma once

#include "base/buf.h"
#include "gateway/gateway.h"

#define RECIPE_HEADERS 9
#define RECIPE_TEXT_BYTES 3072

enum sign_form { SIGN_V1_GET, SIGN_V1_POST, SIGN_V3_QUERY, SIGN_V3_FORM, SIGN_FORM_COUNT };

struct recipe_header {
    char name[32];
    char value[320];
};

struct recipe {
    enum sign_form form;
    char target[RECIPE_TEXT_BYTES];
    char body[RECIPE_TEXT_BYTES];
    struct recipe_header headers[RECIPE_HEADERS];
    size_t header_count;
    usec_t stamp_us;
};

struct sign_order {
    enum sign_form form;
    const char *key_id;
    const char *secret;
    const char *action;
    const char *query; /* "Name=value&…", escaped; the action's own parameters */
    const char *nonce;
    usec_t stamp_us;
};

/* `arena` is for the work only. */
void sign_recipe(const struct sign_order *order, struct arena *arena, struct recipe *ret);
/* The call as it comes to the gateway; borrows from the recipe, headers on `arena`, which is also the call's. */
struct call recipe_call(const struct recipe *recipe, struct arena *arena);
