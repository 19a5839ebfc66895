/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls: steps 4 to 10 of the order of checks. */
#pragma once

#include "gateway/nonce.h"
#include "gateway/request.h"

struct auth_settings {
    struct nonce_table *nonces;
    usec_t clock_window;
};

/*
 * Common parameters, key, time, nonce, format, signature, token. Reads key and account in `tx` and
 * leaves copies in the request. The nonce is remembered only when the signature fits.
 */
int auth_check(struct request *request, struct tx *tx, const struct auth_settings *settings)
    must_check;
