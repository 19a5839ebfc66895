/* SPDX-License-Identifier: Apache-2.0 */
/* The world of engine_world.h over a store whose n-th call of the driver fails (src/store/fault.c). */
#pragma once

#define fault_plan store_fault_plan /* the hypervisor's wrapper has a struct of this name too */
#include "store/db.h"
#undef fault_plan

static int open_faulty(const char *url, const struct store_settings *settings, struct fail *fail, struct store **ret)
{
    return store_open_with(&fault_driver, url + sizeof("sqlite:") - 1, settings, fail, ret);
}
#define WORLD_STORE_OPEN open_faulty

#include "unit/engine_world.h"

/* As world_settle, while the driver's call number *at from now on fails, once. What a test looks at meanwhile is spared. */
HELPER usec_t faulty_settle(struct world *world, int64_t *at, bool *hit)
{
    usec_t next;

    fault_set(*hit ? 0 : *at, E_IO, false);
    next = world_settle(world);
    *hit = *hit || fault_get().hit;
    *at -= fault_get().calls;
    fault_set(0, 0, false);
    return next;
}
