/* SPDX-License-Identifier: Apache-2.0 */
/* RunInstances and CreateInstance into a deployment set: what is checked before; the engine chooses each host. */
#include "actions/launch.h"
#include "model/place.h"

static int check_group_no(struct action *act, struct launch_plan *plan)
{
    const struct deployment_set *set = plan->spread.set;
    const struct opt_int *asked = &plan->launch->deployment_group_no;

    /* Without groups the number has no meaning. */
    if (set->strategy != DEPLOYMENT_STRATEGY_AVAILABILITY_GROUP || !asked->set)
        return 0;
    if (asked->value > set->group_count)
        return fail(act->fail, E_INVALID_PARAMETER, STR("DeploymentSetGroupNo"));
    plan->deployment_group_no = asked->value;
    return 0;
}

int launch_check_set(struct action *act, struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;
    struct deployment_member *members;
    struct deployment_set *set;
    size_t count;
    int r;

    if (str_empty(launch->deployment_set_id))
        return 0;
    r = action_deployment_set(act, launch->region_id, launch->deployment_set_id, &set);
    if (r == -E_NOT_FOUND)
        return fail(act->fail, launch->no_deployment_set);
    if (r == 0)
        r = store_deployment_set_members(act->tx, set->id, STR_NONE, &members, &count);
    if (r < 0)
        return action_failed(act, r);
    plan->spread = (struct spread){set, members, count};
    return check_group_no(act, plan);
}

int launch_choose_host(struct action *act, const struct launch_plan *plan, struct host **ret)
{
    const struct launch *launch = plan->launch;
    const struct host_room room = {.region_id = launch->region_id,
                                   .zone_id = launch->zone_id,
                                   .vcpus = plan->type->vcpus,
                                   .memory_mib = plan->type->memory_mib,
                                   .each_zone = plan->spread.set ? SPREAD_HOSTS : 1};
    int64_t group_no = plan->deployment_group_no;
    struct host *hosts;
    size_t count;
    int r = store_host_roomy(act->tx, &room, &hosts, &count);

    if (r < 0)
        return action_failed(act, r);
    if (plan->spread.set)
        *ret = spread_choose(&plan->spread, hosts, count, launch->region_id, launch->zone_id, plan->type, &group_no);
    else
        *ret = place_choose(hosts, count, launch->region_id, launch->zone_id, plan->type);
    return 0;
}

int launch_no_host(struct action *act, const struct launch_plan *plan)
{
    if (!plan->spread.set)
        return fail(act->fail, E_NO_STOCK);
    for (size_t i = 0; i < plan->region->zone_count; i++) {
        struct str zone_id = str_from(plan->region->zones[i].id);
        bool asked = str_empty(plan->launch->zone_id) || str_eq(plan->launch->zone_id, zone_id);

        if (asked && spread_room(&plan->spread, zone_id, plan->deployment_group_no) > 0)
            return fail(act->fail, E_NO_STOCK);
    }
    return fail(act->fail, E_DEPLOYMENT_SET_FULL);
}

int launch_check_set_room(struct action *act, struct launch_plan *plan)
{
    if (!plan->spread.set)
        return 0;
    plan->amount = MIN_OF(plan->amount, spread_room(&plan->spread, plan->vswitch->zone_id, plan->deployment_group_no));
    return plan->amount < plan->min_amount ? fail(act->fail, E_DEPLOYMENT_SET_FULL) : 0;
}
