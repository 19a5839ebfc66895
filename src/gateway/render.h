/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies: a reply struct as its shape says, a reply that was kept, an error. In the format that the
 * caller wants. */
#pragma once

#include "base/shape.h"
#include "gateway/request.h"

/* Absent when the reply would pass LIMIT_REPLY_BYTES. */
struct str render_reply(const struct request *request, const struct shape *shape,
                        const void *reply);
/* The members of a reply without braces and RequestId, as JSON: what ClientToken keeps. Absent: too
 * large. */
struct str render_members(struct arena *arena, const struct shape *shape, const void *reply);
/* A reply of members that render_members made. Absent: they can't be read. */
struct str render_kept(const struct request *request, struct str members);
/* The envelope of request->fail. */
struct str render_error(const struct request *request, struct str troubleshoot_url);
