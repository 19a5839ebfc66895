/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine has in mind: its lease, the hosts that it drives, the jobs that it may carry on. For laws_nodes.c. */
#pragma once

#include "engine/engine.h"

/* When it looks next for jobs that others have ordered. */
usec_t mind_next_look(const struct engine *engine);
/* It has a lease. */
bool mind_may_act(const struct engine *engine, usec_t now);
struct str mind_node(const struct engine *engine);
int64_t mind_epoch(const struct engine *engine);
/* The next host that it drives and has not been told to let go of; false: that was all. `cursor` starts with 0. */
bool mind_next_host(const struct engine *engine, size_t *cursor, struct str *ret_id);
/* The next job of a host that a worker may take, or has: not one that waits for the answer to its record. */
bool mind_next_job(const struct engine *engine, size_t *cursor, struct str *ret_key, struct str *ret_instance_id);
/* Is there such a one of that name? */
bool mind_has_job(const struct engine *engine, struct str key);
