/* SPDX-License-Identifier: Apache-2.0 */
/* ModifyInstanceAttribute, ModifyInstanceAutoReleaseTime. */
#include "actions/launch.h"

/* In which states what may be changed (API pages of 2021 and 2026): bits of enum instance_state. */
#define IN(state) (1u << INSTANCE_STATE_##state)
#define PASSWORD_STATES (IN(PENDING) | IN(RUNNING) | IN(STOPPING) | IN(STOPPED))
#define HOST_NAME_STATES (IN(RUNNING) | IN(STOPPING) | IN(STOPPED))
#define USER_DATA_STATES (IN(RUNNING) | IN(STOPPED))
#define GROUP_STATES (IN(RUNNING) | IN(STOPPED))

static int check_state(struct action *act, const struct instance *inst, unsigned allowed,
                       struct str expected)
{
    if (allowed & 1u << inst->state)
        return 0;
    return fail(act->fail, E_INSTANCE_STATUS,
                str_from(instance_state_text((enum instance_state)inst->state)), expected);
}

static int check_texts(struct action *act, const struct modify_instance_attribute_request *req,
                       const struct instance *inst)
{
    bool windows = str_eq(inst->os_type, STR("windows"));

    if (!str_empty(req->instance_name) && !name_valid(req->instance_name))
        return fail(act->fail, E_INSTANCE_NAME);
    if (!str_empty(req->description) && !description_valid(req->description))
        return fail(act->fail, E_DESCRIPTION);
    if (!str_empty(req->host_name) && !host_name_valid(req->host_name, windows))
        return fail(act->fail, E_HOST_NAME);
    if (!str_empty(req->password) && !password_valid(req->password, windows))
        return fail(act->fail, E_PASSWORD);
    return user_data_check(act, req->user_data);
}

static int check_states(struct action *act, const struct modify_instance_attribute_request *req,
                        const struct instance *inst)
{
    int r = 0;

    if (!str_empty(req->password))
        r = check_state(act, inst, PASSWORD_STATES, STR("Running,Stopped"));
    if (r == 0 && !str_empty(req->host_name))
        r = check_state(act, inst, HOST_NAME_STATES, STR("Running,Stopped"));
    if (r == 0 && !str_empty(req->user_data))
        r = check_state(act, inst, USER_DATA_STATES, STR("Running,Stopped"));
    if (r == 0 && req->security_group_ids.count > 0)
        r = check_state(act, inst, GROUP_STATES, STR("Running,Stopped"));
    if (r < 0 || req->credit_specification < 0)
        return r;
    if (instance_type_of(inst)->baseline_percent == 0)
        return fail(act->fail, E_CREDIT_SPECIFICATION);
    return inst->state == INSTANCE_STATE_RUNNING ? 0 : fail(act->fail, E_INSTANCE_NOT_RUNNING);
}

static int check_groups(struct action *act, const struct str_list *ids, const struct instance *inst)
{
    for (size_t i = 0; i < ids->count; i++) {
        struct security_group *group = NULL;
        int r = store_group_get(act->tx, ids->items[i], &group);
        if (r == -E_NOT_FOUND || (r == 0 && !str_eq(group->account_id, act->account->id)))
            return fail(act->fail, E_SECURITY_GROUP_NOT_FOUND_MODIFY);
        if (r < 0)
            return action_failed(act, r);
        if (!str_eq(group->vpc_id, inst->vpc_id))
            return fail(act->fail, E_VPC_MISMATCH);
        for (size_t k = 0; k < i; k++)
            if (str_eq(ids->items[k], ids->items[i]))
                return fail(act->fail, E_SECURITY_GROUP_REPEATED);
    }
    return 0;
}

/* The whole set is replaced. */
static int set_groups(struct action *act, const struct str_list *ids, const struct instance *inst)
{
    int r = store_group_leave_all(act->tx, inst->id);

    for (size_t i = 0; i < ids->count && r == 0; i++)
        r = store_group_join(act->tx, inst->id, ids->items[i]);
    return r;
}

static void set_texts(struct action *act, const struct modify_instance_attribute_request *req,
                      struct instance *inst)
{
    if (!str_empty(req->instance_name))
        inst->name = req->instance_name;
    if (req->description.ptr)
        inst->description = req->description; /* empty text clears it */
    if (!str_empty(req->host_name))
        inst->host_name = req->host_name;
    if (!str_empty(req->password))
        inst->password_hash = password_hash(act->env, act->arena, req->password);
    if (!str_empty(req->user_data))
        inst->user_data = req->user_data;
    if (req->credit_specification >= 0)
        inst->credit_specification = str_from(
            credit_specification_text((enum credit_specification)req->credit_specification));
}

int modify_instance_attribute(struct action *act,
                              const struct modify_instance_attribute_request *req,
                              struct modify_instance_attribute_reply *reply)
{
    struct instance *inst;
    int r = action_instance(act, req->instance_id, &inst);

    (void)reply;
    if (r < 0)
        return r;
    if (inst->locks & (int64_t)1 << LOCK_REASON_SECURITY)
        return fail(act->fail, E_INSTANCE_LOCKED_SECURITY);
    if (req->recyclable.set && req->recyclable.value)
        return fail(act->fail, E_RECYCLE_BIN);
    if (req->deletion_protection.set && req->deletion_protection.value &&
        inst->charge_type == CHARGE_TYPE_PRE_PAID)
        return fail(act->fail, E_CHARGE_TYPE);
    r = check_texts(act, req, inst);
    if (r == 0)
        r = check_states(act, req, inst);
    if (r == 0)
        r = check_groups(act, &req->security_group_ids, inst);
    if (r < 0)
        return r;
    set_texts(act, req, inst);
    r = store_instance_save_doc(act->tx, inst);
    if (r == 0 && req->security_group_ids.count > 0)
        r = set_groups(act, &req->security_group_ids, inst);
    if (r == 0 && req->deletion_protection.set) {
        inst->deletion_protection = req->deletion_protection.value;
        r = store_instance_save(act->tx, inst);
    }
    return action_failed(act, r);
}

/* Without a time the release is called off. */
int modify_instance_auto_release_time(struct action *act,
                                      const struct modify_instance_auto_release_time_request *req,
                                      struct modify_instance_auto_release_time_reply *reply)
{
    usec_t release_us = 0;
    struct instance *inst;
    int r = action_instance_hot(act, req->instance_id, &inst);

    (void)reply;
    if (r == -E_INSTANCE_NOT_FOUND)
        return fail(act->fail, E_NO_SUCH_RESOURCE);
    if (r < 0)
        return r;
    if (inst->charge_type != CHARGE_TYPE_POST_PAID)
        return fail(act->fail, E_CHARGE_TYPE);
    if (req->auto_release_time != 0)
        r = release_time_check(act, req->auto_release_time, E_AUTO_RELEASE_TIME, &release_us);
    if (r < 0)
        return r;
    inst->release_us = release_us;
    r = store_instance_save(act->tx, inst);
    if (r < 0)
        return action_failed(act, r);
    engine_release_changed(act->engine, act->tx);
    return 0;
}
