/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a request and finds its action: steps 1 to 3 of the order of checks. */
#pragma once

#include "gateway/request.h"

typedef const struct action_row *(*route_find_fn)(struct str version, struct str action);

/* Target, parameters, credentials' place and format. After it, errors can be told in the caller's
 * format. */
int route_read(struct request *request) must_check;
/* Version and action name to a row. A product whose actions are not built yet gets a row without
 * `run`. */
int route_find(struct request *request, route_find_fn find) must_check;
/* The format of errors for a call whose parameters nobody could read. */
enum reply_format route_guess_format(const struct call *call);
