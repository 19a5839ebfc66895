/* SPDX-License-Identifier: Apache-2.0 */
/* Signature V3 (ACS3-HMAC-SHA256): HMAC over method, query, the headers that the client lists, and
 * the body's digest. */
#pragma once

#include "base/hash.h"
#include "gateway/gateway.h"
#include "gateway/params.h"

struct auth_v3_fields {
    struct str algorithm;
    struct str key_id;
    struct str signed_headers;
    struct str signature;
};

/* The fields of an Authorization header, in any order, blanks after commas allowed. What is not
 * there stays absent. */
struct auth_v3_fields auth_v3_parse(struct str authorization);
/*
 * The canonical request. `query` holds the parameters of the query (others are skipped), sorted;
 * `raw_names` leaves their names as they are, which is what half of the SDKs do. `payload` is the
 * hex digest of the body.
 */
struct str auth_v3_canonical(struct arena *arena, const struct call *call,
                             const struct params *query, struct str signed_headers,
                             struct str payload, bool raw_names);
/* "ACS3-HMAC-SHA256\n<hex of the canonical request's digest>" */
struct str auth_v3_string(struct arena *arena, struct str canonical);
/* Hex of the HMAC under the bare secret. */
struct str auth_v3_sign(struct arena *arena, struct str secret, struct str string);
/*
 * Does the request's signature fit? *ret_string and *ret_canonical are the regular ones on a
 * mismatch. Also false when the body does not have the digest that its header says, or a header
 * that we go by was not signed.
 */
bool auth_v3_matches(struct arena *arena, const struct call *call, const struct params *params,
                     const struct auth_v3_fields *fields, struct str secret, struct str *ret_string,
                     struct str *ret_canonical);
