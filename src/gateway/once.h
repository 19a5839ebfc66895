/* SPDX-License-Identifier: Apache-2.0 */
/* ClientToken: the same call again gets the reply that the first one got, and nothing is done
 * twice. */
#pragma once

#include "gateway/request.h"

/* Reads and checks the token, if the action has one. -E_CLIENT_TOKEN_VALUE. */
int once_read(struct request *request) must_check;
/*
 * In the write's transaction, before the handler: the members of the first reply, as JSON, when
 * there was one; absent: carry on. -E_CLIENT_TOKEN_MISMATCH when the parameters differ.
 */
int once_look(struct request *request, struct tx *tx, struct str *ret_members) must_check;
/* After the handler: keeps its reply's members with the token. */
int once_keep(struct request *request, struct tx *tx, struct str members, usec_t keep) must_check;
