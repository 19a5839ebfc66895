/* SPDX-License-Identifier: Apache-2.0 */
/* Signs calls as clients do: no fuzzer finds an HMAC. */
#pragma once

#include "base/clock.h"
#include "gateway/gateway.h"

#define SIGN_KEY STR("fuzz-key")
#define SIGN_BOUND_KEY STR("fuzz-bound-key")
#define SIGN_SECRET STR("fuzz-secret")

/* Nonces begin anew: the same input sends the same. */
void sign_reset(void);
/* The call with the common parameters and the signature in its query, instead of those that it had. */
struct call sign_v1(const struct call *call, struct str key_id, usec_t now);
/* The call with date, nonce, digest and Authorization, all of its x-acs- headers and Host under the signature. */
struct call sign_v3(const struct call *call, usec_t now);
