/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed requests, written from the rules and not from the gateway's code: the two check each other. POST, whole requests,
 * which end their connection unless told otherwise.
 */
#pragma once

#include "base/arena.h"
#include "cli/command.h"

struct sign_call {
    struct str host; /* as in the Host header */
    struct str action;
    struct str version;
    struct str key_id;
    struct str secret;
    struct str stamp; /* ISO 8601, seconds */
    struct str nonce;
    bool xml;
    bool keep_alive; /* V3: another request follows on the connection */
    const struct pair *params; /* of the action */
    size_t param_count;
};

/* Percent-encoded name=value pairs, sorted by name, joined with &. */
struct str sign_query(struct arena *arena, const struct pair *params, size_t count);
/* ACS3-HMAC-SHA256: parameters in the query. */
struct str sign_v3(struct arena *arena, const struct sign_call *call);
/* Version 1.0, HMAC-SHA1: parameters in the form. */
struct str sign_v1(struct arena *arena, const struct sign_call *call);
