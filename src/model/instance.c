/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The laws of an instance. Transition → who makes it → what is durable with it (one transaction each):
 *
 *   PENDING  → STARTING   engine, start job         row, event
 *   PENDING  → STOPPED    order to create           row, segment `kept`, event
 *   STARTING → RUNNING    engine, start job         row, job done, event
 *   STARTING → STOPPED    engine, boot failed       row, job failed, segment `kept`, event, system event
 *   RUNNING  → STOPPING   order to stop, delete     row, job, event; to redeploy: next incarnation, too
 *   RUNNING  → STARTING   order to reboot           row, job, next incarnation, event
 *   RUNNING  → STOPPED    engine, found off         row, segment `kept`, event, system event unless the guest did it
 *   STOPPING → STOPPED    engine, proven dead       row, job done, segment `kept` or `free`, what was released, event
 *   STOPPING → RUNNING    engine, on_timeout=revert row, job failed, event
 *   STOPPING → STARTING   engine, redeploy: off     row, job, the host that it moves to, event
 *   STOPPED  → STARTING   order to start, redeploy  row, job, next incarnation, capacity, address, segment `running`, event
 *
 * An evacuation leaves STOPPED as it is: job_id with its job; then host_id, capacity, event and the end of the job.
 *
 * Billing (law 7): `kept` from creation while it doesn't run, `running` from the accepted start until it is Stopped,
 * `free` while Stopped in economical mode. One segment ends where the next begins.
 */
#include "model/instance.h"

#include "gen/options.h"

/* 2099-12-31T15:59Z: what the service shows for instances that never expire. */
#define EXPIRY_POSTPAID_US (4102415940 * USEC_PER_SEC)

#define MAY SM_MAY

static const struct sm_state instance_states[] = {
    [INSTANCE_STATE_PENDING] = {"Pending", MAY(INSTANCE_STATE_STARTING) | MAY(INSTANCE_STATE_STOPPED), 0},
    [INSTANCE_STATE_STARTING] = {"Starting", MAY(INSTANCE_STATE_RUNNING) | MAY(INSTANCE_STATE_STOPPED), 0},
    [INSTANCE_STATE_RUNNING] = {"Running",
                                MAY(INSTANCE_STATE_STOPPING) | MAY(INSTANCE_STATE_STARTING) |
                                    MAY(INSTANCE_STATE_STOPPED),
                                SM_STABLE},
    [INSTANCE_STATE_STOPPING] = {"Stopping", MAY(INSTANCE_STATE_STOPPED) | MAY(INSTANCE_STATE_RUNNING) |
                                     MAY(INSTANCE_STATE_STARTING),
                                 0},
    [INSTANCE_STATE_STOPPED] = {"Stopped", MAY(INSTANCE_STATE_STARTING), SM_STABLE},
};
static_assert(countof(instance_states) == INSTANCE_STATE_COUNT, "every state has a row");

const struct sm instance_sm = {"instance", instance_states, countof(instance_states)};

/* The family whose local disks a stop clears, so that ConfirmStop guards it (stop-instance.md §7). */
static const struct str clearing_family = STR_INIT("ecs.i1");

/* Locks for unpaid bills, in all their forms, answer alike (stop-instance.md §11). */
static const int64_t arrears_locks = (1 << LOCK_REASON_FINANCIAL) | (1 << LOCK_REASON_DEDICATEDHOSTFINANCIAL) |
                                     (1 << LOCK_REASON_REFUNDED);

void instance_move(struct instance *inst, enum instance_state to, usec_t now)
{
    sm_move(&instance_sm, &inst->state, (int)to);
    assert((inst->job_id != 0) == !(instance_states[to].flags & SM_STABLE));
    assert(inst->host_id.ptr != NULL || to == INSTANCE_STATE_STOPPED);
    assert(to != INSTANCE_STATE_STOPPED || inst->stopped_mode != STOPPED_MODE_NOT_APPLICABLE);
    inst->state_since_us = now;
}

const struct instance_type *instance_type_of(const struct instance *inst)
{
    const struct instance_type *type = instance_type_find(inst->type_id);

    assert(type);
    return type;
}

bool instance_has_local_disks(const struct instance *inst)
{
    return instance_type_of(inst)->local_disk_count > 0;
}

bool instance_may_stop_charging(const struct instance *inst)
{
    const struct instance_type *type = instance_type_of(inst);

    return inst->network_type == NETWORK_TYPE_VPC && inst->charge_type == CHARGE_TYPE_POST_PAID &&
           type->local_disk_count == 0 && type->persistent_memory_mib == 0;
}

int instance_stopped_mode_for(const struct instance *inst, int asked, int account_default)
{
    int mode = asked >= 0 ? asked : account_default;

    if (mode != STOPPED_MODE_STOP_CHARGING || !instance_may_stop_charging(inst))
        return STOPPED_MODE_KEEP_CHARGING;
    return STOPPED_MODE_STOP_CHARGING;
}

static bool is_clearing_family(const struct instance *inst)
{
    const struct instance_type *type = instance_type_of(inst);

    return type->local_disk_count > 0 && str_eq(str_from(type->family), clearing_family);
}

bool instance_clears_local_disks(const struct instance *inst, const struct stop_rules *rules)
{
    switch ((enum option_compat_local_disk_clear)rules->local_disk_clear) {
    case COMPAT_LOCAL_DISK_CLEAR_I1:
        return is_clearing_family(inst);
    case COMPAT_LOCAL_DISK_CLEAR_ALL:
        return instance_has_local_disks(inst);
    case COMPAT_LOCAL_DISK_CLEAR_NONE:
        return false;
    }
    return false;
}

enum stopped_mode instance_shown_stopped_mode(const struct instance *inst)
{
    if (inst->state != INSTANCE_STATE_STOPPED || !instance_may_stop_charging(inst))
        return STOPPED_MODE_NOT_APPLICABLE;
    return (enum stopped_mode)inst->stopped_mode;
}

usec_t instance_shown_expiry(const struct instance *inst)
{
    return inst->expires_us != 0 ? inst->expires_us : EXPIRY_POSTPAID_US;
}

static bool is_locked(const struct instance *inst, enum lock_reason reason)
{
    return (inst->locks & (INT64_C(1) << reason)) != 0;
}

/* Stopped, and on its way to another host (invariant 2): for a moment nothing may begin from there. */
static bool is_evacuated(const struct instance *inst)
{
    return inst->state == INSTANCE_STATE_STOPPED && inst->job_id != 0;
}

static int wrong_state(const struct instance *inst, struct str expected, struct fail *fail)
{
    return fail(fail, E_INSTANCE_STATUS, str_from(sm_name(&instance_sm, inst->state)), expected);
}

int instance_stop_check(const struct instance *inst, const struct stop_order *order, const struct stop_rules *rules,
                        bool disk_busy, struct fail *fail)
{
    bool overtakes = inst->state == INSTANCE_STATE_STOPPING && order->force && rules->force_overtakes;

    if (is_locked(inst, LOCK_REASON_SECURITY))
        return fail(fail, E_INSTANCE_LOCKED_SECURITY);
    if (inst->locks & arrears_locks)
        return fail(fail, E_INSTANCE_ARREARS);
    if (inst->state != INSTANCE_STATE_RUNNING && !overtakes)
        return wrong_state(inst, STR("Running"), fail);
    if (!order->confirm && !rules->confirm_ignored && is_clearing_family(inst))
        return fail(fail, E_CONFIRM_STOP);
    if (disk_busy)
        return fail(fail, E_DISK_ERROR);
    if (order->hibernate && !inst->hibernation)
        return fail(fail, E_HIBERNATION_NOT_ENABLED);
    return 0;
}

int instance_start_check(const struct instance *inst, bool disk_busy, struct fail *fail)
{
    if (is_locked(inst, LOCK_REASON_SECURITY))
        return fail(fail, E_INSTANCE_LOCKED_SECURITY);
    if (inst->locks & arrears_locks)
        return fail(fail, inst->charge_type == CHARGE_TYPE_PRE_PAID ? E_INSTANCE_EXPIRED_PREPAID
                                                                    : E_INSTANCE_EXPIRED_POSTPAID);
    if (inst->state != INSTANCE_STATE_STOPPED)
        return wrong_state(inst, STR("Stopped"), fail);
    if (disk_busy)
        return fail(fail, E_DISK_ERROR_START);
    if (is_evacuated(inst))
        return fail(fail, E_OPERATION_CONFLICT);
    return 0;
}

int instance_reboot_check(const struct instance *inst, bool disk_busy, struct fail *fail)
{
    if (is_locked(inst, LOCK_REASON_SECURITY))
        return fail(fail, E_INSTANCE_LOCKED_SECURITY);
    if (inst->locks & arrears_locks)
        return fail(fail, E_INSTANCE_ARREARS);
    if (inst->state != INSTANCE_STATE_RUNNING)
        return wrong_state(inst, STR("Running"), fail);
    if (disk_busy)
        return fail(fail, E_DISK_ERROR_START);
    return 0;
}

int instance_redeploy_check(const struct instance *inst, bool disk_busy, struct fail *fail)
{
    if (is_locked(inst, LOCK_REASON_SECURITY))
        return fail(fail, E_INSTANCE_LOCKED_SECURITY);
    if (inst->locks & arrears_locks)
        return fail(fail, E_INSTANCE_ARREARS);
    if (inst->state != INSTANCE_STATE_RUNNING && inst->state != INSTANCE_STATE_STOPPED)
        return wrong_state(inst, STR("Running,Stopped"), fail);
    if (disk_busy)
        return fail(fail, E_DISK_ERROR_START);
    if (is_evacuated(inst))
        return fail(fail, E_OPERATION_CONFLICT);
    return 0;
}

int instance_delete_check(const struct instance *inst, bool force, bool terminate_subscription, usec_t now,
                          struct fail *fail)
{
    bool expired = inst->expires_us != 0 && inst->expires_us <= now;

    /* Clients repeat the call on this code until the instance has been made. */
    if (inst->state == INSTANCE_STATE_PENDING)
        return fail(fail, E_INSTANCE_STATUS_INITIALIZING);
    if (inst->deletion_protection)
        return fail(fail, E_DELETION_PROTECTION);
    if (inst->charge_type == CHARGE_TYPE_PRE_PAID && !(expired && terminate_subscription))
        return fail(fail, E_CHARGE_TYPE);
    if (inst->state != INSTANCE_STATE_STOPPED && !(force && inst->state == INSTANCE_STATE_RUNNING))
        return wrong_state(inst, force ? STR("Running,Stopped") : STR("Stopped"), fail);
    if (is_evacuated(inst))
        return fail(fail, E_OPERATION_CONFLICT);
    return 0;
}
