/* SPDX-License-Identifier: Apache-2.0 */
/* Raw HTTP bytes as a call, through the parser that the server uses. */
#pragma once

#include "fuzz/fuzz.h"

#include "gateway/gateway.h"

/* False: no complete request. Views into copies on `arena`. What stands behind the head is the body, whatever the head says
 * of its length: the server has cut and de-chunked it by then. */
bool raw_call_read(struct arena *arena, struct str raw, struct call *ret);
