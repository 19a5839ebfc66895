/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls: steps 4 to 10 of the order of checks. */
#pragma once

#include "gateway/keyring.h"
#include "gateway/nonce.h"
#include "gateway/request.h"

struct auth_settings {
    struct keyring *keys;
    struct nonce_table *nonces;
    usec_t clock_window;
};

/*
 * Common parameters, key, time, nonce, format, signature, token. Leaves key and account in the
 * request. The nonce is remembered only when the signature fits.
 */
int auth_check(struct request *request, const struct auth_settings *settings) must_check;
