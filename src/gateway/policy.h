/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a key may do: its RAM policy document. Without one it may do everything in its account.
 * A statement matches by Action or NotAction and Resource or NotResource, with `*` and `?`; Deny
 * beats Allow; nothing that matches is a refusal. Conditions are not understood: a statement that
 * has one never allows, and always denies.
 */
#pragma once

#include "gateway/request.h"

enum policy_verdict { POLICY_ALLOW, POLICY_IMPLICIT_DENY, POLICY_EXPLICIT_DENY };

/* -E_INVALID when the document is not a policy. */
int policy_decide(struct str document, struct str action, struct str resource,
                  enum policy_verdict *ret) must_check;
/* Is it an object with a Statement, or several, each with Effect (Allow or Deny) and Action? */
bool policy_valid(struct str document);
/*
 * May the key call this action on what the parameters name? -E_FORBIDDEN_RAM, with
 * request->denial.
 */
int policy_check(struct request *request, struct tx *tx, struct str default_region) must_check;
