/* SPDX-License-Identifier: Apache-2.0 */
/* What a fresh data folder and a new account contain. */
#pragma once

#include "actions/actions.h"

struct tenant_order {
    struct str name;
    int stopped_mode;             /* enum stopped_mode */
    struct str access_key_id;     /* absent: made */
    struct str access_key_secret; /* absent: made */
};

/* An account with a key and, in every region, a default VPC, a vSwitch per zone and a security
 * group. In a write transaction. */
int tenant_create(struct tx *tx, const struct tenant_order *order, struct account **ret_account,
                  struct access_key **ret_key, struct fail *fail) must_check;
/*
 * The first start: one account and, with "sim" or "sim:…", a simulated host in every zone (any
 * other URL: this computer as one host). *ret_made: the account was made now, and only then
 * *ret_key is written.
 */
int tenant_bootstrap(struct tx *tx, const struct options *options, struct str hypervisor_url,
                     const struct tenant_order *order, bool *ret_made, struct access_key **ret_key,
                     struct fail *fail) must_check;
/* `count` letters and digits, each as likely as any other. */
struct str random_letters(struct env *env, struct arena *arena, size_t count);
/* A key of an account; id and secret are made when absent. -E_ADMIN_KEY_EXISTS. */
int tenant_key_create(struct tx *tx, struct str account_id, struct str id, struct str secret,
                      struct str policy, struct access_key **ret, struct fail *fail) must_check;
