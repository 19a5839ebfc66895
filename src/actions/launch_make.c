/* SPDX-License-Identifier: Apache-2.0 */
/* RunInstances and CreateInstance: a plan becomes rows, one instance after the other, all in one
 * transaction. */
#include <ctype.h>

#include "actions/launch.h"
#include "model/disk.h"

/* How many taken addresses the search passes before it says that the vSwitch is full: it bounds the
 * time of one write. */
#define ADDRESS_TRIES 65536

static int take_next_address(struct action *act, const struct launch_plan *plan,
                             struct str instance_id, struct str *ret)
{
    int64_t capacity = cidr_capacity(&plan->cidr);
    struct vswitch *vswitch = plan->vswitch;

    for (int64_t tries = 0; tries < MIN_OF(capacity, (int64_t)ADDRESS_TRIES); tries++) {
        int64_t place = vswitch->next_address % capacity;
        struct str text = ipv4_print(act->arena, cidr_nth(&plan->cidr, place));
        int r = store_address_take(act->tx, vswitch->id, text, instance_id);
        vswitch->next_address = (place + 1) % capacity;
        if (r == 0)
            *ret = text;
        if (r != -E_EXISTS)
            return r;
    }
    return fail(act->fail, E_PRIVATE_IP_QUOTA);
}

static int take_address(struct action *act, const struct launch_plan *plan, int64_t index,
                        struct str instance_id, struct str *ret)
{
    uint32_t first;
    int r;

    if (str_empty(plan->launch->private_ip))
        return take_next_address(act, plan, instance_id, ret);
    r = ipv4_parse(plan->launch->private_ip, &first);
    assert(r == 0);
    *ret = ipv4_print(act->arena, first + (uint32_t)index);
    r = store_address_take(act->tx, plan->vswitch->id, *ret, instance_id);
    return r == -E_EXISTS ? fail(act->fail, E_PRIVATE_IP_DUPLICATED) : r;
}

/* As the real ones: "iZ", the id, "Z"; a Windows name has room for the end of the id only. */
static struct str default_host_name(struct arena *arena, struct str id, bool windows)
{
    struct str tail = str_slice(id.ptr + 2, id.len - 2);

    assert(id.len > 14);
    if (windows)
        tail = str_slice(id.ptr + id.len - 12, 12);
    return arena_printf(arena, "iZ%.*sZ", STR_ARG(tail));
}

static void fill_names(struct action *act, const struct launch_plan *plan, int64_t index,
                       struct instance *inst)
{
    const struct launch *launch = plan->launch;
    bool windows = str_eq(inst->os_type, STR("windows"));

    inst->name = str_empty(launch->name)
                     ? inst->id
                     : name_pattern_print(act->arena, &plan->name, index, launch->unique_suffix);
    if ((size_t)index < launch->host_names.count) {
        inst->host_name = launch->host_names.items[index];
    } else if (str_empty(launch->host_name)) {
        inst->host_name = default_host_name(act->arena, inst->id, windows);
    } else {
        struct name_pattern pattern;
        name_pattern_parse(name_fill_id(act->arena, launch->host_name, inst->id), &pattern);
        inst->host_name = name_pattern_print(act->arena, &pattern, index, launch->unique_suffix);
    }
}

static struct str metadata_options(struct arena *arena, const struct launch *launch)
{
    int endpoint = MAX_OF(launch->http_endpoint, (int)HTTP_ENDPOINT_ENABLED);
    int tokens = MAX_OF(launch->http_tokens, (int)HTTP_TOKENS_OPTIONAL);

    return arena_printf(arena, "%s,%s,%lld", http_endpoint_text((enum http_endpoint)endpoint),
                        http_tokens_text((enum http_tokens)tokens), (long long)launch->hop_limit);
}

static struct str serial_number(struct env *env, struct arena *arena)
{
    char text[37];

    env_uuid(env, text);
    for (size_t i = 0; text[i]; i++)
        text[i] = (char)tolower((unsigned char)text[i]);
    return arena_str(arena, str_from(text));
}

static void fill_machine(struct action *act, const struct launch_plan *plan, struct instance *inst)
{
    const struct launch *launch = plan->launch;

    inst->type_id = str_from(plan->type->id);
    inst->image_id = plan->image->id;
    inst->os_name = plan->image->os_name;
    inst->os_name_en = plan->image->os_name_en;
    inst->os_type = plan->image->os_type;
    inst->user_data = launch->user_data;
    if (!str_empty(launch->key_pair_name) && !str_eq(inst->os_type, STR("windows")))
        inst->key_pair_name = launch->key_pair_name;
    inst->password_hash = plan->password_hash;
    inst->serial_number = serial_number(act->env, act->arena);
    inst->metadata_options = metadata_options(act->arena, launch);
    inst->hibernation = launch->hibernation;
    if (plan->type->baseline_percent > 0)
        inst->credit_specification =
            str_from(credit_specification_text((enum credit_specification)MAX_OF(
                launch->credit_specification, (int)CREDIT_SPECIFICATION_STANDARD)));
}

static void fill_network(struct action *act, const struct launch_plan *plan, struct instance *inst)
{
    inst->network_type = NETWORK_TYPE_VPC;
    inst->vpc_id = plan->vswitch->vpc_id;
    inst->vswitch_id = plan->vswitch->id;
    inst->eni_id = env_id(act->env, act->arena, "eni-");
    inst->mac = mac_from_id(act->arena, inst->eni_id);
    inst->internet_charge_type =
        MAX_OF(plan->launch->internet_charge_type, (int)INTERNET_CHARGE_TYPE_PAY_BY_TRAFFIC);
    inst->bandwidth_in_mbps = plan->bandwidth_in;
    inst->bandwidth_out_mbps = plan->bandwidth_out;
    inst->wants_public_ip = plan->launch->public_ip && plan->bandwidth_out > 0;
}

static void fill_contract(struct action *act, const struct launch_plan *plan, struct instance *inst)
{
    const struct launch *launch = plan->launch;

    inst->charge_type = MAX_OF(launch->charge_type, (int)CHARGE_TYPE_POST_PAID);
    inst->expires_us = plan->expires_us;
    inst->release_us = plan->release_us;
    inst->deletion_protection = launch->deletion_protection;
    inst->spot_strategy = MAX_OF(launch->spot_strategy, (int)SPOT_STRATEGY_NO_SPOT);
    inst->spot_price_limit = launch->spot_price_limit.set ? launch->spot_price_limit.value : 0;
    inst->description = launch->description;
    inst->resource_group_id = launch->resource_group_id;
    inst->deployment_set_id = launch->deployment_set_id;
    inst->deployment_group_no = plan->deployment_group_no;
    inst->created_us = act->now;
    inst->state_since_us = act->now;
}

static struct disk disk_of(struct action *act, const struct instance *inst, size_t place)
{
    return (struct disk){
        .id = env_id(act->env, act->arena, "d-"),
        .account_id = inst->account_id,
        .region_id = inst->region_id,
        .zone_id = inst->zone_id,
        .instance_id = inst->id,
        .type = DISK_TYPE_DATA,
        .status = DISK_STATUS_IN_USE,
        .device = disk_device(act->arena, place),
        .delete_with_instance = true,
        .created_us = act->now,
        .attached_us = act->now,
    };
}

static int put_tags(struct action *act, const struct launch_plan *plan, struct str resource_id,
                    struct str resource_type)
{
    int r = 0;

    for (size_t i = 0; i < plan->tag_count && r == 0; i++) {
        struct tag tag = plan->tags[i];
        tag.resource_id = resource_id;
        tag.resource_type = resource_type;
        r = store_tag_put(act->tx, &tag);
    }
    return r;
}

static int put_cloud_disk(struct action *act, const struct launch_plan *plan, struct disk *disk,
                          const struct launch_disk *ask)
{
    int r;

    disk->category = ask->category;
    disk->size_gib = ask->size_gib.value;
    disk->name = ask->name;
    disk->description = ask->description;
    if (ask->performance_level >= 0)
        disk->performance_level =
            str_from(performance_level_text((enum performance_level)ask->performance_level));
    disk->delete_with_instance = !ask->keep;
    r = store_disk_insert(act->tx, disk);
    return r < 0 ? r : put_tags(act, plan, disk->id, STR("disk"));
}

/* The system disk is the first device; the type's local disks follow, then the data disks in the
 * order of the call. */
static int put_disks(struct action *act, const struct launch_plan *plan,
                     const struct instance *inst)
{
    const struct launch *launch = plan->launch;
    size_t place = 0;
    struct disk disk = disk_of(act, inst, place++);
    int r;

    disk.type = DISK_TYPE_SYSTEM;
    disk.image_id = inst->image_id;
    r = put_cloud_disk(act, plan, &disk, &plan->system_disk);
    for (int64_t i = 0; i < plan->type->local_disk_count && r == 0; i++) {
        disk = disk_of(act, inst, place++);
        disk.category = plan->type->local_disk_category;
        disk.size_gib = plan->type->local_disk_gib;
        r = store_disk_insert(act->tx, &disk);
    }
    for (size_t i = 0; i < launch->data_disk_count && r == 0; i++) {
        disk = disk_of(act, inst, place++);
        r = put_cloud_disk(act, plan, &disk, &launch->data_disks[i]);
    }
    return r;
}

static int make_one(struct action *act, const struct launch_plan *plan, int64_t index,
                    struct str *ret_id)
{
    struct order by = action_order(act);
    struct instance inst = {
        .id = env_id(act->env, act->arena, "i-"),
        .account_id = act->account->id,
        .region_id = str_from(plan->region->id),
        .zone_id = plan->vswitch->zone_id,
        .state = INSTANCE_STATE_PENDING,
    };
    int r;

    fill_machine(act, plan, &inst);
    fill_network(act, plan, &inst);
    fill_contract(act, plan, &inst);
    fill_names(act, plan, index, &inst);
    r = take_address(act, plan, index, inst.id, &inst.private_ip);
    for (size_t i = 0; i < plan->groups.count && r == 0; i++)
        r = store_group_join(act->tx, inst.id, plan->groups.items[i]);
    if (r == 0)
        r = put_disks(act, plan, &inst);
    if (r == 0)
        r = put_tags(act, plan, inst.id, STR("instance"));
    if (r == 0)
        r = engine_order_create(act->engine, act->tx, &inst, plan->launch->start, &by, act->fail);
    if (r == 0)
        *ret_id = inst.id;
    return r;
}

int launch_make(struct action *act, const struct launch_plan *plan, struct str_list *ret)
{
    struct str *ids = arena_array(act->arena, struct str, (size_t)plan->amount);
    int64_t made = 0;
    int r = 0;

    while (made < plan->amount) {
        tx_savepoint(act->tx);
        r = make_one(act, plan, made, &ids[made]);
        if (r < 0) {
            tx_rollback(act->tx);
            break;
        }
        tx_release(act->tx);
        made++;
    }
    if (r == -E_NO_STOCK && made >= plan->min_amount) {
        fail_init(act->fail, act->arena);
        r = 0;
    }
    if (r == 0)
        r = store_vswitch_save_cursor(act->tx, plan->vswitch->id, plan->vswitch->next_address);
    if (r < 0)
        return action_failed(act, r);
    if (plan->release_us != 0)
        engine_release_changed(act->engine, act->tx);
    *ret = (struct str_list){ids, (size_t)made};
    return 0;
}

int launch_run(struct action *act, const struct launch *launch, struct str_list *ret)
{
    struct launch_plan plan;
    int r = launch_check(act, launch, &plan);

    if (r == 0)
        r = launch_make(act, &plan, ret);
    /* A dry run does everything, so that it meets the same stock and addresses; the refusal takes it
     * all back. */
    return r == 0 && launch->dry_run ? fail(act->fail, E_DRY_RUN) : r;
}
