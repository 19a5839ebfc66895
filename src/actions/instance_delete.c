/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/common.h"

/* Releases the instance: at once when it is stopped, through a power-off when Force allows a
 * running one. */
int delete_instance(struct action *act, const struct delete_instance_request *req,
                    struct delete_instance_reply *reply)
{
    struct order by = action_order(act);
    struct instance *inst;
    int r;

    (void)reply;
    r = action_instance_hot(act, req->instance_id, &inst);
    if (r < 0)
        return r;
    r = instance_delete_check(inst, req->force, req->terminate_subscription, act->now, act->fail);
    if (r < 0)
        return r;
    if (req->dry_run)
        return fail(act->fail, E_DRY_RUN);
    return action_failed(
        act, engine_order_delete(act->engine, act->tx, inst, req->force_stop, &by, act->fail));
}
