/* SPDX-License-Identifier: Apache-2.0 */
/*
 * StopInstances, StartInstances, RebootInstances, DeleteInstances: one mechanism.
 *
 * AllTogether   every instance is checked before the first one is touched; the first failure is the
 * answer of the call. SuccessFirst  each instance stands in a savepoint of its own; failures are
 * items of the reply. A dry run answers DRYRUN.SUCCESS: AllTogether after all checks, SuccessFirst
 * without any (StopInstances page).
 */
#include "actions/instance_stop.h"

struct batch {
    const struct str_list *ids;
    struct str region_id;
    int optimization;
    bool dry_run;
    bool force;
    bool force_stop; /* delete: power off instead of asking the guest */
    bool terminate;  /* delete: an expired subscription may go */
    int stopped_mode;
    struct str_list unique; /* `ids` without doubles */
};

struct batch_kind {
    int (*check)(struct action *act, const struct batch *batch, const struct instance *inst);
    int (*run)(struct action *act, const struct batch *batch, struct instance *inst);
    int shown;        /* enum instance_state: CurrentStatus of the item */
    int nobody;       /* enum error_code */
    int not_found;    /* enum error_code */
    int other_region; /* enum error_code */
};

static int check_stop(struct action *act, const struct batch *batch, const struct instance *inst)
{
    const struct stop_ask ask = {.force = batch->force, .stopped_mode = batch->stopped_mode};
    struct stop_order order;

    return stop_check(act, inst, &ask, &order);
}

static int run_stop(struct action *act, const struct batch *batch, struct instance *inst)
{
    const struct stop_ask ask = {.force = batch->force, .stopped_mode = batch->stopped_mode};
    struct order by = action_order(act);
    struct stop_order order;
    int r = stop_check(act, inst, &ask, &order);

    return r < 0 ? r : engine_order_stop(act->engine, act->tx, inst, &order, &by, act->fail);
}

static int check_start(struct action *act, const struct batch *batch, const struct instance *inst)
{
    (void)batch;
    return start_check(act, inst);
}

static int run_start(struct action *act, const struct batch *batch, struct instance *inst)
{
    struct order by = action_order(act);

    (void)batch;
    return engine_order_start(act->engine, act->tx, inst, &by, act->fail);
}

static int check_reboot(struct action *act, const struct batch *batch, const struct instance *inst)
{
    (void)batch;
    return reboot_check(act, inst);
}

static int run_reboot(struct action *act, const struct batch *batch, struct instance *inst)
{
    struct order by = action_order(act);

    return engine_order_reboot(act->engine, act->tx, inst, batch->force, &by, act->fail);
}

static int check_delete(struct action *act, const struct batch *batch, const struct instance *inst)
{
    return instance_delete_check(inst, batch->force, batch->terminate, act->now, act->fail);
}

static int run_delete(struct action *act, const struct batch *batch, struct instance *inst)
{
    struct order by = action_order(act);

    return engine_order_delete(act->engine, act->tx, inst, batch->force_stop, &by, act->fail);
}

static const struct batch_kind batch_stop = {check_stop, run_stop, INSTANCE_STATE_STOPPING,
                                             E_INSTANCE_IDS_NULL, E_INSTANCE_NOT_FOUND,
                                             E_INSTANCE_NOT_FOUND};
static const struct batch_kind batch_start = {check_start, run_start, INSTANCE_STATE_STARTING,
                                              E_INSTANCE_IDS_NULL, E_INSTANCE_NOT_FOUND,
                                              E_INSTANCE_NOT_FOUND};
/* The page of RebootInstances shows Stopping in its items, although Describe shows Starting. */
static const struct batch_kind batch_reboot = {check_reboot, run_reboot, INSTANCE_STATE_STOPPING,
                                               E_INSTANCE_IDS_NULL, E_INSTANCE_NOT_FOUND,
                                               E_INSTANCE_NOT_FOUND};
static const struct batch_kind batch_delete = {check_delete, run_delete, INSTANCE_STATE_STOPPED,
                                               E_INSTANCE_IDS_VALUE, E_INSTANCE_IDS_NOT_FOUND,
                                               E_CROSS_REGION};

static bool listed(const struct str_list *list, struct str id)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->items[i], id))
            return true;
    return false;
}

/* The shape of the call: ids there, not too many, no doubles; the region known. */
static int batch_begin(struct action *act, struct batch *batch, const struct batch_kind *kind)
{
    const struct catalog_region *region;
    int r = action_region(act, batch->region_id, &region);

    if (r < 0)
        return r;
    /* An empty list in JSON is there, but has nobody in it. */
    if (batch->ids->count == 0)
        return fail(act->fail, (enum error_code)kind->nobody);
    if (batch->ids->count > LIMIT_BATCH_INSTANCES)
        return fail(act->fail, E_TOO_MANY_INSTANCE_IDS);
    batch->unique.items = arena_array(act->arena, struct str, batch->ids->count);
    for (size_t i = 0; i < batch->ids->count; i++)
        if (!listed(&batch->unique, batch->ids->items[i]))
            batch->unique.items[batch->unique.count++] = batch->ids->items[i];
    return 0;
}

/* Loads and checks one. */
static int batch_load(struct action *act, const struct batch *batch, const struct batch_kind *kind,
                      struct str id, struct instance **ret)
{
    struct instance *inst;
    int r = action_instance_hot(act, id, &inst);

    if (r == -E_INSTANCE_NOT_FOUND)
        return fail(act->fail, (enum error_code)kind->not_found);
    if (r < 0)
        return r;
    if (!str_eq(inst->region_id, batch->region_id))
        return fail(act->fail, (enum error_code)kind->other_region);
    r = kind->check(act, batch, inst);
    if (r < 0)
        return r;
    *ret = inst;
    return 0;
}

static int batch_failed(struct action *act, int r)
{
    return r == -E_CONFLICT || r == -E_OPERATION_CONFLICT ? fail(act->fail, E_BATCH_CONFLICT)
                                                          : action_failed(act, r);
}

static struct batch_item success_item(const struct batch_kind *kind, struct str id, int previous)
{
    return (struct batch_item){
        .code = STR("200"), /* text: some decoders are strict about the model's type, none about a
                               number in quotes */
        .message = STR("success"),
        .instance_id = id,
        .current_status = str_from(instance_state_text((enum instance_state)kind->shown)),
        .previous_status = str_from(instance_state_text((enum instance_state)previous)),
    };
}

static int batch_all(struct action *act, const struct batch *batch, const struct batch_kind *kind,
                     struct batch_item *items)
{
    struct instance **instances = arena_array(act->arena, struct instance *, batch->unique.count);
    int r;

    for (size_t i = 0; i < batch->unique.count; i++) {
        r = batch_load(act, batch, kind, batch->unique.items[i], &instances[i]);
        if (r < 0)
            return batch_failed(act, r);
    }
    if (batch->dry_run)
        return fail(act->fail, E_DRY_RUN_BATCH);
    for (size_t i = 0; i < batch->unique.count; i++) {
        int previous = instances[i]->state;
        r = kind->run(act, batch, instances[i]);
        if (r < 0)
            return batch_failed(act, r);
        items[i] = success_item(kind, batch->unique.items[i], previous);
    }
    return 0;
}

/* One item of SuccessFirst. What only the server can be blamed for (disk full, …) fails the call. */
static int batch_one(struct action *act, const struct batch *batch, const struct batch_kind *kind,
                     struct str id, struct batch_item *ret_item)
{
    struct instance *inst;
    int previous, r;

    tx_savepoint(act->tx);
    r = batch_load(act, batch, kind, id, &inst);
    if (r == 0) {
        previous = inst->state;
        r = kind->run(act, batch, inst);
    }
    if (r == 0) {
        tx_release(act->tx);
        *ret_item = success_item(kind, id, previous);
        return 0;
    }
    tx_rollback(act->tx);
    r = batch_failed(act, r);
    if (error_status(act->fail->code) >= 500)
        return r;
    *ret_item = (struct batch_item){.code = str_from(error_code_text(act->fail->code)),
                                    .message = act->fail->message,
                                    .instance_id = id,
                                    .current_status = STR(""),
                                    .previous_status = STR("")};
    fail_init(act->fail, act->arena);
    return 0;
}

static int batch_run(struct action *act, struct batch *batch, const struct batch_kind *kind,
                     struct batch_item_list *ret)
{
    struct batch_item *items;
    int r = batch_begin(act, batch, kind);

    if (r < 0)
        return r;
    items = arena_array(act->arena, struct batch_item, batch->unique.count);
    if (batch->optimization == BATCH_OPTIMIZATION_SUCCESS_FIRST) {
        if (batch->dry_run)
            return fail(act->fail, E_DRY_RUN_BATCH);
        for (size_t i = 0; i < batch->unique.count && r == 0; i++)
            r = batch_one(act, batch, kind, batch->unique.items[i], &items[i]);
    } else {
        r = batch_all(act, batch, kind, items);
    }
    if (r < 0)
        return r;
    ret->items = items;
    ret->count = batch->unique.count;
    return 0;
}

int stop_instances(struct action *act, const struct stop_instances_request *req,
                   struct stop_instances_reply *reply)
{
    struct batch batch = {.ids = &req->instance_id,
                          .region_id = req->region_id,
                          .optimization = req->batch_optimization,
                          .dry_run = req->dry_run,
                          .force = req->force_stop,
                          .stopped_mode = req->stopped_mode};

    return batch_run(act, &batch, &batch_stop, &reply->instance_responses);
}

int start_instances(struct action *act, const struct start_instances_request *req,
                    struct start_instances_reply *reply)
{
    struct batch batch = {.ids = &req->instance_id,
                          .region_id = req->region_id,
                          .optimization = req->batch_optimization,
                          .dry_run = req->dry_run};

    return batch_run(act, &batch, &batch_start, &reply->instance_responses);
}

int reboot_instances(struct action *act, const struct reboot_instances_request *req,
                     struct reboot_instances_reply *reply)
{
    struct batch batch = {.ids = &req->instance_id,
                          .region_id = req->region_id,
                          .optimization = req->batch_optimization,
                          .dry_run = req->dry_run,
                          .force = req->force_reboot};

    return batch_run(act, &batch, &batch_reboot, &reply->instance_responses);
}

/* All or nothing, and no items in the reply. */
int delete_instances(struct action *act, const struct delete_instances_request *req,
                     struct delete_instances_reply *reply)
{
    struct batch batch = {.ids = &req->instance_id,
                          .region_id = req->region_id,
                          .optimization = BATCH_OPTIMIZATION_ALL_TOGETHER,
                          .dry_run = req->dry_run,
                          .force = req->force,
                          .force_stop = req->force_stop,
                          .terminate = req->terminate_subscription};
    struct batch_item_list items;

    (void)reply;
    return batch_run(act, &batch, &batch_delete, &items);
}
