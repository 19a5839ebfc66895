/* SPDX-License-Identifier: Apache-2.0 */
#include "model/place.h"

static bool fits(const struct host *host, struct str region_id, struct str zone_id,
                 const struct instance_type *type)
{
    if (host->state != HOST_STATE_UP || !str_eq(host->region_id, region_id))
        return false;
    if (!str_empty(zone_id) && !str_eq(host->zone_id, zone_id))
        return false;
    return host->vcpus - host->used_vcpus >= type->vcpus &&
           host->memory_mib - host->used_memory_mib >= type->memory_mib;
}

/* Most memory free first, so that load spreads; the id decides between equals, so that a replay
 * chooses the same. */
static bool better(const struct host *a, const struct host *b)
{
    int64_t free_a = a->memory_mib - a->used_memory_mib;
    int64_t free_b = b->memory_mib - b->used_memory_mib;

    return free_a != free_b ? free_a > free_b : str_cmp(a->id, b->id) < 0;
}

struct host *place_choose(struct host *hosts, size_t count, struct str region_id,
                          struct str zone_id, const struct instance_type *type)
{
    struct host *best = NULL;

    assert(type);
    for (size_t i = 0; i < count; i++)
        if (fits(&hosts[i], region_id, zone_id, type) && (!best || better(&hosts[i], best)))
            best = &hosts[i];
    return best;
}
