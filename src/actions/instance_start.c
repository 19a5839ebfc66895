/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/instance_stop.h"

int start_check(struct action *act, const struct instance *inst)
{
    bool disk_busy;
    int r = store_disk_busy(act->tx, inst->id, &disk_busy);

    if (r < 0)
        return action_failed(act, r);
    return instance_start_check(inst, disk_busy, act->fail);
}

int reboot_check(struct action *act, const struct instance *inst)
{
    bool disk_busy;
    int r = store_disk_busy(act->tx, inst->id, &disk_busy);

    if (r < 0)
        return action_failed(act, r);
    return instance_reboot_check(inst, disk_busy, act->fail);
}

/* Stopped becomes Starting. InitLocalDisk gives local disks back empty, as if they had been
 * replaced. */
int start_instance(struct action *act, const struct start_instance_request *req,
                   struct start_instance_reply *reply)
{
    struct order by = action_order(act);
    struct instance *inst;
    int r;

    (void)reply;
    r = action_instance_hot(act, req->instance_id, &inst);
    if (r < 0)
        return r;
    r = start_check(act, inst);
    if (r < 0)
        return r;
    if (req->dry_run)
        return fail(act->fail, E_DRY_RUN);
    if (req->init_local_disk && instance_has_local_disks(inst))
        inst->reinit_local = true;
    return action_failed(act, engine_order_start(act->engine, act->tx, inst, &by, act->fail));
}

/* Running becomes Starting: the guest is asked to end, or its power is cycled, and it boots again.
 */
int reboot_instance(struct action *act, const struct reboot_instance_request *req,
                    struct reboot_instance_reply *reply)
{
    struct order by = action_order(act);
    struct instance *inst;
    int r;

    (void)reply;
    r = action_instance_hot(act, req->instance_id, &inst);
    if (r < 0)
        return r;
    r = reboot_check(act, inst);
    if (r < 0)
        return r;
    if (req->dry_run)
        return fail(act->fail, E_DRY_RUN);
    return action_failed(
        act, engine_order_reboot(act->engine, act->tx, inst, req->force_stop, &by, act->fail));
}
