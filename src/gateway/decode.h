/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters to a request struct, as its shape says: names in any case, Name.N, Name.N.Field, JSON
 * arrays, defaults. */
#pragma once

#include "base/shape.h"
#include "gateway/params.h"

/*
 * Fills `ret`, which is zeroed memory of shape->size bytes on the arena. The first required
 * parameter that is missing is told (-E_MISSING_PARAMETER), then the first bad value, in the order
 * of the shape.
 */
int decode_request(struct arena *arena, const struct shape *shape, const struct params *params,
                   void *ret, struct fail *fail) must_check;
/* The values of a field of a decoded request that is a text or a list of texts; none when it is absent. Borrowed from `req`. */
struct str_list decode_texts(void *req, const struct shape_field *field);
