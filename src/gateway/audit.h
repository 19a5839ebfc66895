/* SPDX-License-Identifier: Apache-2.0 */
/* One log line per call, as log.calls says, and the counters. Names and codes only: never values of
 * parameters. */
#pragma once

#include "gateway/request.h"

void audit_call(const struct request *request, int status, usec_t took_us);
