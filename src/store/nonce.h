/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nonces that are in use, in memory: the answer to "was it used?" costs no page of the
 * database.
 *
 * Invariants: 1. only the writer touches it.  2. an entry is 64 bits of a SHA-256 and an expiry:
 * that two different ones of a hundred million agree has odds of 1 to 10^11, and its only effect is
 * a refusal.  3. expired entries stay until the table is rebuilt, but count as absent.
 */
#pragma once

#include "base/clock.h"

#define NONCE_DIGEST_BYTES 16
/* Law 9: 20,000 mutations a second for half an hour are 37 million; more are refused. 12 bytes a
 * slot. */
#define STORE_NONCES_MAX ((size_t)64 << 20)

struct nonce_set {
    uint64_t *marks;     /* 0: a free slot */
    uint32_t *expiry_s;  /* 0: taken back */
    size_t capacity;     /* a power of two, or 0 */
    size_t used;         /* slots that aren't free, expired ones too */
    uint64_t multiplier; /* odd and secret: nobody can aim at one slot */
};

void nonce_set_init(struct nonce_set *set, uint64_t seed);
void nonce_set_done(struct nonce_set *set);
/* -E_EXISTS when there and unexpired at `now`; -E_LIMIT when STORE_NONCES_MAX are unexpired. */
int nonce_set_add(struct nonce_set *set, const uint8_t digest[NONCE_DIGEST_BYTES], usec_t expires,
                  usec_t now) must_check;
/* Takes back what nonce_set_add added. */
void nonce_set_remove(struct nonce_set *set, const uint8_t digest[NONCE_DIGEST_BYTES]);
