/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and replies as their shapes say (base/shape.h), walked by a hand that is not the gateway's. */
#pragma once

#include "fuzz/fuzz.h"

#include "base/shape.h"

/* Layout of every list in a request or reply struct. */
struct list_any {
    char *items;
    size_t count;
};

size_t shape_item_size(const struct shape_field *field);
/* A value, its opt_ layer taken off, as a caller would send it; absent: it isn't there. */
struct str shape_scalar_text(struct arena *arena, const struct shape_field *field, const char *place);
/* Where the value of the opt_ form stands; NULL: it is not set. */
const char *shape_opt_value(const struct shape_field *field, const char *place);
/* Every value of a request is what its field allows. */
void shape_check_bounds(const struct shape *shape, const char *base);
bool shape_same(const struct shape *shape, const char *a, const char *b);

/* Where a filled struct takes its values from; behind its end all is zero. */
struct shape_bytes {
    struct arena *arena;
    struct str rest;
};
/* A reply as a handler could leave it; `base` is zeroed. */
void shape_fill(struct shape_bytes *bytes, const struct shape *shape, char *base);
