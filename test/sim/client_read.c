/* SPDX-License-Identifier: Apache-2.0 */
/* What Describe… shows is held against the model. */
#include "sim/client.h"

#include <jansson.h>

#include "sim/run.h"

static struct str text(json_t *item, const char *name)
{
    return str_from(json_string_value(json_object_get(item, name)));
}

static int64_t name_number(struct str name)
{
    int64_t number = 0;

    if (str_starts(name, STR("n-")))
        (void)!str_to_i64(str_slice(name.ptr + 2, name.len - 2), &number); /* none of ours: 0 */
    return number;
}

static void stranger(struct flight *flight, struct str id)
{
    run_broken(flight->run, "the API agrees with what callers were told", "%s shows %.*s, which no call of account %d made",
               client_op_name(flight->op), STR_ARG(id), flight->account + 1);
}

/* The model's instance that the item shows, checked against it. */
static int check_item(struct flight *flight, json_t *item)
{
    struct model *model = &flight->run->model;
    struct str id = text(item, "InstanceId");
    json_t *guard = json_object_get(item, "DeletionProtection");
    int instance = model_find(model, id);
    struct model_instance *inst;

    if (instance == NOBODY)
        instance = model_adopt(model, id, name_number(text(item, "InstanceName")), flight->account);
    if (instance == NOBODY || model->instances[instance].account != flight->account)
        stranger(flight, id);
    inst = &model->instances[instance];
    model_shown(model, instance, text(item, "Status"));
    if (flight->op == OP_STATUS)
        return instance;
    model_is(model, &inst->name, name_number(text(item, "InstanceName")), "the name", inst->id);
    model_is(model, &inst->guard, json_is_true(guard), "deletion protection", inst->id);
    if (!str_eq(text(item, "InstanceType"), str_from(model_types[inst->type].id)) ||
        !str_eq(text(item, "ZoneId"), str_from(world_zones[inst->zone])))
        run_broken(flight->run, "no acknowledged call is lost", "%s has another type or zone", inst->id);
    return instance;
}

static void read_instances(struct flight *flight, json_t *items)
{
    struct model *model = &flight->run->model;
    bool seen[MODEL_INSTANCES] = {false};

    for (size_t i = 0; i < json_array_size(items); i++)
        seen[check_item(flight, json_array_get(items, i))] = true;
    for (int i = 0; i < model->instance_count; i++) {
        bool asked = flight->op == OP_LIST || (flight->target_count && flight->targets[0] == i);

        if (asked && !seen[i] && model->instances[i].account == flight->account)
            model_shown(model, i, STR_NONE);
    }
    /* A write of a call that waits may be in it or not: only when none does, the listing settles them. */
    if (flight->op == OP_LIST)
        model_runs_settled(model, flight->account);
}

static void read_disks(struct flight *flight, json_t *items)
{
    struct model *model = &flight->run->model;
    bool seen[MODEL_DISKS] = {false};

    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *item = json_array_get(items, i);
        int disk = model_disk_find(model, text(item, "DiskId"));

        if (disk == NOBODY || model->disks[disk].account != flight->account)
            stranger(flight, text(item, "DiskId"));
        seen[disk] = true;
        model_disk_shown(model, disk, text(item, "Status"), text(item, "InstanceId"));
    }
    for (int i = 0; i < model->disk_count; i++)
        if (!seen[i] && model->disks[i].account == flight->account)
            model_disk_shown(model, i, STR_NONE, STR_NONE);
}

/* Newest first. One that no reply named may be of a call that went unheard. */
static void read_commands(struct flight *flight, json_t *items)
{
    struct model *model = &flight->run->model;
    size_t known = 0;
    size_t seen = 0;

    for (int i = 0; i < MODEL_COMMANDS; i++)
        known += model->commands[i].id[0] && model->commands[i].account == flight->account;
    for (size_t i = 0; i < json_array_size(items); i++) {
        json_t *item = json_array_get(items, i);
        struct model_command *command = model_command_find(model, text(item, "InvokeId"));

        if (!command)
            continue;
        if (command->account != flight->account)
            stranger(flight, text(item, "InvokeId"));
        model_command_shown(model, command, text(item, "InvokeStatus"));
        seen++;
    }
    if (seen < known && json_array_size(items) < INVOCATIONS_LISTED)
        run_broken(flight->run, "no acknowledged call is lost", "%zu invocations of %zu are listed", seen, known);
}

void client_read(struct flight *flight, struct str body)
{
    json_t *root = json_loadb(body.ptr, body.len, 0, NULL);

    if (!root)
        run_broken(flight->run, "replies are JSON", "%.*s", STR_ARG(body));
    if (flight->op == OP_DISKS)
        read_disks(flight, json_object_get(json_object_get(root, "Disks"), "Disk"));
    else if (flight->op == OP_COMMANDS)
        read_commands(flight, json_object_get(json_object_get(root, "Invocations"), "Invocation"));
    else if (flight->op == OP_STATUS)
        read_instances(flight, json_object_get(json_object_get(root, "InstanceStatuses"), "InstanceStatus"));
    else
        read_instances(flight, json_object_get(json_object_get(root, "Instances"), "Instance"));
    json_decref(root);
}
