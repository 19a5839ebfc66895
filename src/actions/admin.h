/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's calls: no account stands behind them, so rows of all accounts are found. For this
 * folder only. */
#pragma once

#include "actions/common.h"

/* -E_INSTANCE_NOT_FOUND, -E_ADMIN_HOST_NOT_FOUND, -E_ADMIN_ACCOUNT_NOT_FOUND. */
int admin_instance(struct action *act, struct str id, struct instance **ret) must_check;
int admin_host(struct action *act, struct str id, struct host **ret) must_check;
int admin_account(struct action *act, struct str id, struct account **ret) must_check;
/* A row in the operator's log; `reason` says what was done. */
int admin_event(struct action *act, enum event_kind kind, struct str account_id,
                struct str instance_id, struct str reason) must_check;
