/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/common.h"

/* The page has a sentence of its own for this. */
static int redeploy_find(struct action *act, struct str id, struct instance **ret)
{
    int r = action_instance_hot(act, id, ret);

    return r == -E_INSTANCE_NOT_FOUND ? fail(act->fail, E_INSTANCE_NOT_IN_RECORDS) : r;
}

/* Running becomes Stopping, Stopped becomes Starting; both end Running at another host. */
int redeploy_instance(struct action *act, const struct redeploy_instance_request *req,
                      struct redeploy_instance_reply *reply)
{
    struct order by = action_order(act);
    struct instance *inst;
    bool disk_busy;
    int r;

    r = redeploy_find(act, req->instance_id, &inst);
    if (r < 0)
        return r;
    r = store_disk_busy(act->tx, inst->id, &disk_busy);
    if (r < 0)
        return action_failed(act, r);
    r = instance_redeploy_check(inst, disk_busy, act->fail);
    if (r < 0)
        return r;
    r = engine_order_redeploy(act->engine, act->tx, inst, req->force_stop, &by, act->fail);
    if (r < 0)
        return action_failed(act, r);
    reply->task_id = arena_printf(act->arena, "t-%lld", (long long)inst->job_id);
    return 0;
}
