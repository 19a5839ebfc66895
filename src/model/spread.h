/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deployment sets: which hosts are left to one more member. Pure functions over rows.
 *
 * Invariants, of a set's members that hold a host
 * 1. Availability: no two at one host.
 * 2. AvailabilityGroup: no two of different groups at one host.
 * 3. LowLatency: all in one zone.
 * 4. Of each zone at most spread_limit, and of each of its groups SPREAD_GROUP_MEMBERS; members that hold none count, too.
 */
#pragma once

#include "model/noun.h"
#include "gen/catalog.h"

#define SPREAD_GROUPS_MAX 7
#define SPREAD_GROUP_MEMBERS 20
/* Of a zone's hosts, the best first, so many have one among them that no member bars. */
#define SPREAD_HOSTS (SPREAD_GROUPS_MAX * SPREAD_GROUP_MEMBERS + 1)

struct spread {
    const struct deployment_set *set;
    const struct deployment_member *members; /* but for the one that is to be placed */
    size_t count;
};

/* How many members of the set may be in a zone. */
int64_t spread_limit(const struct deployment_set *set);
/* How many are there. */
int64_t spread_used(const struct spread *spread, struct str zone_id);
/* How many more may come there, into the group (0: into any). */
int64_t spread_room(const struct spread *spread, struct str zone_id, int64_t group_no);
/*
 * May one that holds room at `host_id` (absent: nowhere) become a member? `*group_no` as in spread_choose: 0 becomes the group with
 * the fewest members of those that let it.
 */
bool spread_joins(const struct spread *spread, struct str zone_id, struct str host_id, int64_t *group_no);
/*
 * As place_choose, of the hosts that the set leaves to a new member. `*group_no` is its group; 0 in a set with groups: the one
 * with the fewest members that finds a host, and `*group_no` becomes it. Hosts change their places in the array.
 */
struct host *spread_choose(const struct spread *spread, struct host *hosts, size_t count, struct str region_id, struct str zone_id,
                           const struct instance_type *type, int64_t *group_no);
