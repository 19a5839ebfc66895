/* SPDX-License-Identifier: Apache-2.0 */
/* Placement: which host takes an instance. A pure function over rows. */
#pragma once

#include "model/noun.h"
#include "gen/catalog.h"

/*
 * The host in `zone_id` (absent: any of `region_id`) that is up, has room for `type` and the most memory free; ties by id.
 * NULL: no stock.
 */
struct host *place_choose(struct host *hosts, size_t count, struct str region_id, struct str zone_id,
                          const struct instance_type *type);
