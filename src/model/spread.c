/* SPDX-License-Identifier: Apache-2.0 */
#include "model/spread.h"

#include "model/place.h"

static bool has_groups(const struct deployment_set *set)
{
    return set->strategy == DEPLOYMENT_STRATEGY_AVAILABILITY_GROUP;
}

int64_t spread_limit(const struct deployment_set *set)
{
    assert(!has_groups(set) || (set->group_count >= 1 && set->group_count <= SPREAD_GROUPS_MAX));
    return has_groups(set) ? set->group_count * SPREAD_GROUP_MEMBERS : SPREAD_GROUP_MEMBERS;
}

/* `zone_id` absent: in all of them; `group_no` 0: of any group. */
static int64_t count_members(const struct spread *spread, struct str zone_id, int64_t group_no)
{
    int64_t count = 0;

    for (size_t i = 0; i < spread->count; i++) {
        const struct deployment_member *member = &spread->members[i];

        count += (str_empty(zone_id) || str_eq(member->zone_id, zone_id)) && (group_no == 0 || member->group_no == group_no);
    }
    return count;
}

int64_t spread_used(const struct spread *spread, struct str zone_id)
{
    assert(!str_empty(zone_id));
    return count_members(spread, zone_id, 0);
}

int64_t spread_room(const struct spread *spread, struct str zone_id, int64_t group_no)
{
    int64_t limit = group_no == 0 ? spread_limit(spread->set) : SPREAD_GROUP_MEMBERS;

    return limit - count_members(spread, zone_id, group_no);
}

/* ── which hosts are barred ── */

static bool zone_barred(const struct spread *spread, struct str zone_id, int64_t group_no)
{
    if (spread_room(spread, zone_id, group_no) <= 0)
        return true;
    return spread->set->strategy == DEPLOYMENT_STRATEGY_LOW_LATENCY && spread->count > 0 && spread_used(spread, zone_id) == 0;
}

static bool host_barred(const struct spread *spread, struct str host_id, int64_t group_no)
{
    if (spread->set->strategy == DEPLOYMENT_STRATEGY_LOW_LATENCY)
        return false;
    for (size_t i = 0; i < spread->count; i++)
        if (str_eq(spread->members[i].host_id, host_id) && (group_no == 0 || spread->members[i].group_no != group_no))
            return true;
    return false;
}

static void swap(struct host *a, struct host *b)
{
    struct host was = *a;

    *a = *b;
    *b = was;
}

/* Moves what is barred together with `host` behind the others; returns how many are left. */
static size_t set_aside(struct host *hosts, size_t count, const struct host *host, bool whole_zone)
{
    struct str host_id = host->id, zone_id = host->zone_id;
    size_t i = 0;

    while (i < count) {
        if (whole_zone ? str_eq(hosts[i].zone_id, zone_id) : str_eq(hosts[i].id, host_id))
            swap(&hosts[i], &hosts[--count]);
        else
            i++;
    }
    return count;
}

/* The best host is tried first, so that few of many are looked at; members and zones bound the rounds. */
static struct host *choose_for_group(const struct spread *spread, struct host *hosts, size_t count, struct str region_id,
                                     struct str zone_id, const struct instance_type *type, int64_t group_no)
{
    struct host *host;

    while ((host = place_choose(hosts, count, region_id, zone_id, type)) != NULL) {
        bool full = zone_barred(spread, host->zone_id, group_no);

        if (!full && !host_barred(spread, host->id, group_no))
            break;
        count = set_aside(hosts, count, host, full);
    }
    return host;
}

/* The group with the fewest members that has not been tried; the first of several. */
static int64_t next_group(const struct spread *spread, struct str zone_id, unsigned tried)
{
    int64_t best = 0, fewest = 0;

    for (int64_t group_no = 1; group_no <= spread->set->group_count; group_no++) {
        int64_t members = count_members(spread, zone_id, group_no);

        if ((tried >> group_no & 1) != 0 || (best != 0 && members >= fewest))
            continue;
        best = group_no;
        fewest = members;
    }
    return best;
}

static bool joins_group(const struct spread *spread, struct str zone_id, struct str host_id, int64_t group_no)
{
    return !zone_barred(spread, zone_id, group_no) && (str_empty(host_id) || !host_barred(spread, host_id, group_no));
}

bool spread_joins(const struct spread *spread, struct str zone_id, struct str host_id, int64_t *group_no)
{
    unsigned tried = 0;

    assert(has_groups(spread->set) || *group_no == 0);
    if (!has_groups(spread->set) || *group_no != 0)
        return joins_group(spread, zone_id, host_id, *group_no);
    for (int64_t i = 0; i < spread->set->group_count; i++) {
        int64_t next = next_group(spread, zone_id, tried);

        if (joins_group(spread, zone_id, host_id, next)) {
            *group_no = next;
            return true;
        }
        tried |= 1u << next;
    }
    return false;
}

struct host *spread_choose(const struct spread *spread, struct host *hosts, size_t count, struct str region_id, struct str zone_id,
                           const struct instance_type *type, int64_t *group_no)
{
    struct host *host = NULL;
    unsigned tried = 0;

    assert(has_groups(spread->set) || *group_no == 0);
    if (!has_groups(spread->set) || *group_no != 0)
        return choose_for_group(spread, hosts, count, region_id, zone_id, type, *group_no);
    for (int64_t i = 0; i < spread->set->group_count && !host; i++) {
        int64_t next = next_group(spread, zone_id, tried);

        host = choose_for_group(spread, hosts, count, region_id, zone_id, type, next);
        tried |= 1u << next;
        if (host)
            *group_no = next;
    }
    return host;
}
