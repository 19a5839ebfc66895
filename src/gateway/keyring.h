/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access keys and their accounts, remembered: every call needs both, and they hardly ever change.
 * Invariants: 1. what the store has told of a committed change (store_tenants_version) is never
 * answered from memory again.  2. bounded in number and bytes; unknown keys are not remembered.
 * 3. thread-safe; one mutex guards all.
 */
#pragma once

#include "base/env.h"
#include "store/store.h"

struct keyring;

struct keyring *keyring_new(struct env *env, struct store *store);
struct keyring *keyring_free(struct keyring *ring);
/* Copies on `arena`. -E_NOT_FOUND: no such key; else what the store says. */
int keyring_find(struct keyring *ring, struct str key_id, struct arena *arena,
                 const struct access_key **ret_key, const struct account **ret_account) must_check;
