/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/instance_stop.h"

int stop_check(struct action *act, const struct instance *inst, const struct stop_ask *ask,
               struct stop_order *ret_order)
{
    struct stop_order order = {
        .force = ask->force, .confirm = ask->confirm, .hibernate = ask->hibernate};
    struct stop_rules rules = action_stop_rules(act);
    bool disk_busy;
    int r;

    r = store_disk_busy(act->tx, inst->id, &disk_busy);
    if (r < 0)
        return action_failed(act, r);
    order.stopped_mode = instance_stopped_mode_for(inst, action_asked_mode(ask->stopped_mode),
                                                   act->account->stopped_mode);
    r = instance_stop_check(inst, &order, &rules, disk_busy, act->fail);
    if (r < 0)
        return r;
    *ret_order = order;
    return 0;
}

/* Running becomes Stopping, and the job that ends in Stopped is durable with it. All checks come
 * before a dry run answers. */
int stop_instance(struct action *act, const struct stop_instance_request *req,
                  struct stop_instance_reply *reply)
{
    const struct stop_ask ask = {req->force_stop, req->confirm_stop, req->hibernate,
                                 req->stopped_mode};
    struct order by = action_order(act);
    struct stop_order order;
    struct instance *inst;
    int r;

    (void)reply;
    r = action_instance_hot(act, req->instance_id, &inst);
    if (r < 0)
        return r;
    r = stop_check(act, inst, &ask, &order);
    if (r < 0)
        return r;
    if (req->dry_run)
        return fail(act->fail, E_DRY_RUN);
    return action_failed(act,
                         engine_order_stop(act->engine, act->tx, inst, &order, &by, act->fail));
}
