/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host of an instance that may be in a deployment set. The set's other members are read in the transaction that charges
 * the host: such transactions have one order, on several nodes too, so that no two of them take the same host for one set.
 */
#include "base/bug.h"
#include "engine/active.h"
#include "model/place.h"
#include "model/spread.h"

/* The set of `inst`, and who is in it besides. */
static int load(struct tx *tx, const struct instance *inst, struct spread *ret)
{
    struct deployment_member *members;
    struct deployment_set *set;
    size_t count;
    int r;

    r = store_deployment_set_get(tx, inst->deployment_set_id, &set);
    if (r < 0)
        return r;
    r = store_deployment_set_members(tx, set->id, inst->id, &members, &count);
    if (r < 0)
        return r;
    *ret = (struct spread){set, members, count};
    return 0;
}

static struct host *choose(const struct spread *spread, struct instance *inst, struct host *hosts, size_t count)
{
    return spread_choose(spread, hosts, count, inst->region_id, inst->zone_id, instance_type_of(inst), &inst->deployment_group_no);
}

int membership_place(struct tx *tx, struct instance *inst, struct host *hosts, size_t count, struct host **ret)
{
    struct spread spread;
    int r;

    if (str_empty(inst->deployment_set_id) || BUG(set_ignored)) {
        *ret = place_choose(hosts, count, inst->region_id, inst->zone_id, instance_type_of(inst));
        return 0;
    }
    r = load(tx, inst, &spread);
    if (r < 0)
        return r;
    *ret = choose(&spread, inst, hosts, count);
    return 0;
}

int membership_find(struct tx *tx, struct str instance_id, struct host *hosts, size_t count, struct host **ret, bool *ret_cancels)
{
    struct instance *inst;
    struct spread spread;
    int r;

    *ret_cancels = false;
    r = store_instance_get(tx, instance_id, &inst);
    if (r < 0)
        return r;
    if (str_empty(inst->deployment_set_id))
        return membership_place(tx, inst, hosts, count, ret);
    r = load(tx, inst, &spread);
    if (r < 0)
        return r;
    *ret_cancels = spread.set->on_failure == DEPLOYMENT_FAILURE_CANCEL_MEMBERSHIP_AND_START;
    *ret = choose(&spread, inst, hosts, count);
    return 0;
}

int membership_cancel(struct tx *tx, struct str instance_id)
{
    struct instance *inst;
    struct change change;
    int r;

    r = store_instance_get(tx, instance_id, &inst);
    if (r < 0)
        return r;
    change = (struct change){inst->deployment_set_id, STR_NONE, STR("left its deployment set: no other host was left to it"),
                             STR_NONE, STR("engine")};
    inst->deployment_set_id = STR_NONE;
    inst->deployment_group_no = 0;
    r = store_instance_save_doc(tx, inst);
    return r < 0 ? r : record_event(tx, EVENT_KIND_HOST, inst->account_id, inst->id, &change);
}
