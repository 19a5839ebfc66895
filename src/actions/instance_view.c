/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/instance_view.h"

static struct str_list one_str(struct arena *arena, struct str s)
{
    struct str_list list = {.items = arena_new(arena, struct str)};

    if (!str_empty(s))
        list.items[list.count++] = s;
    return list;
}

int instance_groups(struct action *act, const struct instance *inst, struct str_list *ret)
{
    return action_failed(act, store_group_of_instance(act->tx, inst->id, ret));
}

struct str_list instance_lock_words(struct arena *arena, const struct instance *inst)
{
    struct str_list list = {.items = arena_array(arena, struct str, LOCK_REASON_COUNT)};

    for (int reason = 0; reason < LOCK_REASON_COUNT; reason++)
        if (inst->locks & (int64_t)1 << reason)
            list.items[list.count++] = str_from(lock_reason_text((enum lock_reason)reason));
    return list;
}

struct str_list instance_public_ips(struct arena *arena, const struct instance *inst)
{
    return one_str(arena, inst->public_ip);
}

struct vpc_attributes instance_vpc(struct arena *arena, const struct instance *inst)
{
    return (struct vpc_attributes){
        .vpc_id = inst->vpc_id,
        .vswitch_id = inst->vswitch_id,
        .private_ip_address = one_str(arena, inst->private_ip),
    };
}

static void fill_machine(const struct instance *inst, struct instance_view *view)
{
    const struct instance_type *type = instance_type_of(inst);

    view->instance_type = inst->type_id;
    view->instance_type_family = str_from(type->family);
    view->cpu = type->vcpus;
    view->memory = type->memory_mib;
    view->gpu_amount = type->gpu_count;
    view->gpu_spec = str_from(type->gpu_spec);
    view->os_name = inst->os_name;
    view->os_name_en = inst->os_name_en;
    view->os_type = inst->os_type;
    view->image_id = inst->image_id;
    view->key_pair_name = inst->key_pair_name;
    view->io_optimized = true;
    view->device_available = true;
    view->cpu_options.threads_per_core = type->vcpus % 2 == 0 ? 2 : 1;
    view->cpu_options.core_count = type->vcpus / view->cpu_options.threads_per_core;
    view->credit_specification = inst->credit_specification;
    view->hibernation_options.configured = inst->hibernation;
    if (type->local_disk_count > 0) {
        view->local_storage_amount = (struct opt_int){true, type->local_disk_count};
        view->local_storage_capacity = (struct opt_int){true, type->local_disk_gib};
    }
}

static void fill_contract(const struct instance *inst, struct instance_view *view)
{
    view->creation_time = inst->created_us;
    view->start_time = inst->started_us;
    view->expired_time = instance_shown_expiry(inst);
    view->auto_release_time = inst->release_us;
    view->instance_charge_type = inst->charge_type;
    view->sale_cycle = inst->charge_type == CHARGE_TYPE_PRE_PAID ? STR("month") : STR("");
    view->spot_strategy = inst->spot_strategy;
    view->spot_price_limit = inst->spot_price_limit;
    view->deletion_protection = inst->deletion_protection;
    view->dedicated_instance_attribute.tenancy = STR("");
}

static void fill_network(struct action *act, const struct instance *inst,
                         struct instance_view *view)
{
    struct eni_view *eni = arena_new(act->arena, struct eni_view);
    struct private_ip_view *ip = arena_new(act->arena, struct private_ip_view);

    view->instance_network_type = inst->network_type;
    view->internet_charge_type = inst->internet_charge_type;
    view->internet_max_bandwidth_in = inst->bandwidth_in_mbps;
    view->internet_max_bandwidth_out = inst->bandwidth_out_mbps;
    view->public_ip_address = instance_public_ips(act->arena, inst);
    view->eip_address =
        (struct eip_view){.allocation_id = inst->eip_id, .ip_address = inst->eip_address};
    view->vpc_attributes = instance_vpc(act->arena, inst);
    *ip = (struct private_ip_view){.private_ip_address = inst->private_ip, .primary = true};
    *eni = (struct eni_view){
        .network_interface_id = inst->eni_id,
        .mac_address = inst->mac,
        .primary_ip_address = inst->private_ip,
        .type = STR("Primary"),
        .private_ip_sets = {ip, 1},
    };
    view->network_interfaces = (struct eni_view_list){eni, 1};
}

/* The text "enabled,optional,1" that the row keeps. */
static void fill_metadata(const struct instance *inst, struct instance_view *view)
{
    struct str rest = inst->metadata_options, limit;
    int64_t hops;

    if (!str_split(rest, ',', &view->metadata_options.http_endpoint, &rest) ||
        !str_split(rest, ',', &view->metadata_options.http_tokens, &limit) ||
        str_to_i64(limit, &hops) < 0)
        return;
    view->metadata_options.http_put_response_hop_limit = hops;
}

static void fill_locks(struct action *act, const struct instance *inst, struct instance_view *view)
{
    struct str_list words = instance_lock_words(act->arena, inst);

    view->operation_locks.items = arena_array(act->arena, struct lock_view, words.count + 1);
    view->operation_locks.count = words.count;
    for (size_t i = 0; i < words.count; i++)
        view->operation_locks.items[i] = (struct lock_view){
            .lock_reason = words.items[i],
            .lock_msg =
                arena_printf(act->arena, "The specified instance is locked due to %.*s reason.",
                             STR_ARG(words.items[i])),
        };
}

int instance_view_fill(struct action *act, const struct instance *inst, struct instance_view *ret)
{
    int r;

    *ret = (struct instance_view){
        .instance_id = inst->id,
        .instance_name = inst->name,
        .host_name = inst->host_name,
        .description = inst->description,
        .status = inst->state,
        .stopped_mode = (int)instance_shown_stopped_mode(inst),
        .region_id = inst->region_id,
        .zone_id = inst->zone_id,
        .serial_number = inst->serial_number,
        .resource_group_id = inst->resource_group_id,
        .deployment_set_id = inst->deployment_set_id,
        .deployment_set_group_no = {inst->deployment_group_no > 0, inst->deployment_group_no},
    };
    fill_machine(inst, ret);
    fill_contract(inst, ret);
    fill_network(act, inst, ret);
    fill_metadata(inst, ret);
    fill_locks(act, inst, ret);
    r = instance_groups(act, inst, &ret->security_group_ids);
    return r < 0 ? r : action_tag_views(act, inst->id, &ret->tags);
}
