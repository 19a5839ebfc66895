/* SPDX-License-Identifier: Apache-2.0 */
/* Signed requests as the official clients make them: V1 (HMAC-SHA1 in the query) and V3 (ACS3-HMAC-SHA256 in a header). */
#pragma once

#include "base/env.h"
#include "base/str.h"

struct sign_param {
    struct str name;
    struct str value;
};

struct sign_call {
    struct str host;    /* host:port */
    struct str action;
    struct str version;
    struct str key_id;
    struct str key_secret;
    bool xml;
    struct sign_param *params; /* sorted in place */
    size_t param_count;
    struct str nonce;
    usec_t now;
};

/* The whole request, on the arena. */
struct str sign_v1(const struct sign_call *call, struct arena *arena);
struct str sign_v3(const struct sign_call *call, struct arena *arena);
