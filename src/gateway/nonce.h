/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nonces that were used lately, in memory. Mutations also have a row in the store, which is what
 * survives a crash; for reads this is all there is. Invariants: 1. bounded: when LIMIT_SEEN_NONCES
 * of one half are in, the older half is forgotten at once.  2. otherwise a nonce is known until its
 * expiry.  3. thread-safe; the mutex of a shard guards its tables.
 */
#pragma once

#include "base/env.h"

struct nonce_table;

struct nonce_table *nonce_table_new(struct env *env, usec_t keep);
struct nonce_table *nonce_table_free(struct nonce_table *table);
bool nonce_seen(struct nonce_table *table, struct str key_id, struct str nonce, usec_t now);
/* Remembers; false when it was there already (another request came first). */
bool nonce_record(struct nonce_table *table, struct str key_id, struct str nonce, usec_t now);
