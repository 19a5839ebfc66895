/* SPDX-License-Identifier: Apache-2.0 */
/* ModifyInstanceDeployment: an instance comes into a deployment set, or leaves one, where it is. */
#include "actions/common.h"
#include "model/spread.h"

static int find_set(struct action *act, const struct modify_instance_deployment_request *req, struct deployment_set **ret)
{
    int r;

    if (str_empty(req->deployment_set_id))
        return fail(act->fail, E_MISSING_PARAMETER, STR("DeploymentSetId"));
    r = action_deployment_set(act, req->region_id, req->deployment_set_id, ret);
    return r == -E_NOT_FOUND ? fail(act->fail, E_DEPLOYMENT_SET_INVALID_ID) : action_failed(act, r);
}

/* 0: the set's choice, or it has none. */
static int take_group_no(struct action *act, const struct modify_instance_deployment_request *req,
                         const struct deployment_set *set, int64_t *ret)
{
    const struct opt_int *asked = &req->deployment_set_group_no;

    *ret = 0;
    if (set->strategy != DEPLOYMENT_STRATEGY_AVAILABILITY_GROUP || !asked->set)
        return 0;
    if (asked->value > set->group_count)
        return fail(act->fail, E_INVALID_PARAMETER, STR("DeploymentSetGroupNo"));
    *ret = asked->value;
    return 0;
}

static int join(struct action *act, const struct modify_instance_deployment_request *req, struct instance *inst)
{
    struct deployment_member *members;
    struct deployment_set *set;
    struct spread spread;
    int64_t group_no;
    size_t count;
    int r = find_set(act, req, &set);

    if (r == 0)
        r = take_group_no(act, req, set, &group_no);
    if (r < 0)
        return r;
    r = store_deployment_set_members(act->tx, set->id, inst->id, &members, &count);
    if (r < 0)
        return action_failed(act, r);
    spread = (struct spread){set, members, count};
    if (spread_room(&spread, inst->zone_id, group_no) <= 0)
        return fail(act->fail, E_DEPLOYMENT_SET_LIMIT);
    if (!spread_joins(&spread, inst->zone_id, inst->host_id, &group_no))
        return fail(act->fail, E_DEPLOYMENT_SET_CHANGE);
    inst->deployment_set_id = set->id;
    inst->deployment_group_no = group_no;
    return 0;
}

/* Out of none is out already; out of another one than it is in is no order for this instance. */
static int leave(struct action *act, const struct modify_instance_deployment_request *req, struct instance *inst)
{
    struct deployment_set *set;

    if (!str_empty(req->deployment_set_id)) {
        int r = find_set(act, req, &set);

        if (r < 0)
            return r;
        if (!str_eq(set->id, inst->deployment_set_id))
            return fail(act->fail, E_DEPLOYMENT_SET_CHANGE);
    }
    inst->deployment_set_id = STR_NONE;
    inst->deployment_group_no = 0;
    return 0;
}

int modify_instance_deployment(struct action *act, const struct modify_instance_deployment_request *req,
                               struct modify_instance_deployment_reply *reply)
{
    const struct catalog_region *region;
    struct instance *inst;
    int r = action_region(act, req->region_id, &region);

    (void)reply;
    if (r < 0)
        return r;
    r = action_instance(act, req->instance_id, &inst);
    if (r < 0)
        return r;
    if (!str_eq(inst->region_id, req->region_id))
        return fail(act->fail, E_INSTANCE_NOT_FOUND);
    /* In between it may be on its way to another host. */
    if (inst->state != INSTANCE_STATE_RUNNING && inst->state != INSTANCE_STATE_STOPPED)
        return fail(act->fail, E_INSTANCE_STATUS, str_from(instance_state_text((enum instance_state)inst->state)),
                    STR("Running,Stopped"));
    r = req->remove_from_deployment_set ? leave(act, req, inst) : join(act, req, inst);
    return r < 0 ? r : action_failed(act, store_instance_save_doc(act->tx, inst));
}
