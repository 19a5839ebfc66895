/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/launch.h"

/* What both requests call the same. */
#define LAUNCH_COMMON(req)                                                                         \
    .region_id = (req)->region_id, .zone_id = (req)->zone_id, .image_id = (req)->image_id,         \
    .image_family = (req)->image_family, .type_id = (req)->instance_type,                          \
    .vswitch_id = (req)->vswitch_id, .security_group_id = (req)->security_group_id,                \
    .private_ip = (req)->private_ip_address, .name = (req)->instance_name,                         \
    .description = (req)->description, .host_name = (req)->host_name, .password = (req)->password, \
    .password_inherit = (req)->password_inherit, .user_data = (req)->user_data,                    \
    .resource_group_id = (req)->resource_group_id, .key_pair_name = (req)->key_pair_name,          \
    .deployment_set_id = (req)->deployment_set_id,                                                 \
    .deployment_group_no = (req)->deployment_set_group_no,                                         \
    .io_optimized = (req)->io_optimized,                                                           \
    .internet_charge_type = (req)->internet_charge_type,                                           \
    .bandwidth_out = (req)->internet_max_bandwidth_out,                                            \
    .bandwidth_in = (req)->internet_max_bandwidth_in,                                              \
    .system_disk = {.size_gib = (req)->system_disk.size,                                           \
                    .category = (req)->system_disk.category,                                       \
                    .name = (req)->system_disk.disk_name,                                          \
                    .description = (req)->system_disk.description,                                 \
                    .performance_level = (req)->system_disk.performance_level},                    \
    .charge_type = (req)->instance_charge_type, .period = (req)->period,                           \
    .period_unit = (req)->period_unit, .spot_strategy = (req)->spot_strategy,                      \
    .spot_price_limit = (req)->spot_price_limit,                                                   \
    .credit_specification = (req)->credit_specification, .http_endpoint = (req)->http_endpoint,    \
    .http_tokens = (req)->http_tokens, .hop_limit = (req)->http_put_response_hop_limit,            \
    .deletion_protection = (req)->deletion_protection,                                             \
    .hibernation = (req)->hibernation_options.configured, .tags = &(req)->tag,                     \
    .dry_run = (req)->dry_run

#define LAUNCH_DATA_DISK(disk)                                                                     \
    ((struct launch_disk){.size_gib = (disk)->size,                                                \
                          .category = (disk)->category,                                            \
                          .name = (disk)->disk_name,                                               \
                          .description = (disk)->description,                                      \
                          .performance_level = (disk)->performance_level,                          \
                          .keep = !(disk)->delete_with_instance})

/* A subscription has an order; nothing is paid here, so its number is only a number. */
static struct str order_id(struct action *act, int charge_type)
{
    if (charge_type != CHARGE_TYPE_PRE_PAID)
        return STR_NONE;
    return arena_printf(act->arena, "%lld", (long long)env_sequence(act->env));
}

/* The primary interface may be described by itself; it must not contradict what the call says about
 * the instance. */
static int take_interface(struct action *act, const struct run_instances_request *req,
                          struct launch *launch)
{
    const struct run_instances_network_interface *eni;

    if (req->network_interface.count == 0)
        return 0;
    eni = &req->network_interface.items[0];
    if ((!str_empty(eni->vswitch_id) && !str_empty(launch->vswitch_id)) ||
        (!str_empty(eni->primary_ip_address) && !str_empty(launch->private_ip)))
        return fail(act->fail, E_INVALID_PARAMETER, STR("NetworkInterface.1"));
    if (str_empty(launch->vswitch_id))
        launch->vswitch_id = eni->vswitch_id;
    if (str_empty(launch->private_ip))
        launch->private_ip = eni->primary_ip_address;
    if (str_empty(launch->security_group_id) && launch->security_group_ids.count == 0) {
        launch->security_group_id = eni->security_group_id;
        launch->security_group_ids = eni->security_group_ids;
    } else if (!str_empty(eni->security_group_id) || eni->security_group_ids.count > 0) {
        return fail(act->fail, E_INVALID_PARAMETER, STR("NetworkInterface.1"));
    }
    return 0;
}

/* Makes and starts up to Amount instances; they show up as Pending at once. */
int run_instances(struct action *act, const struct run_instances_request *req,
                  struct run_instances_reply *reply)
{
    struct launch launch = {
        LAUNCH_COMMON(req),
        .security_group_ids = req->security_group_ids,
        .host_names = req->host_names,
        .unique_suffix = req->unique_suffix,
        .amount = req->amount,
        .min_amount = req->min_amount,
        .release_us = req->auto_release_time,
        .public_ip = true,
        .start = true,
        .no_deployment_set = E_DEPLOYMENT_SET_RUN,
    };
    int r;

    launch.data_disks = arena_array(act->arena, struct launch_disk, req->data_disk.count + 1);
    for (size_t i = 0; i < req->data_disk.count; i++)
        launch.data_disks[i] = LAUNCH_DATA_DISK(&req->data_disk.items[i]);
    launch.data_disk_count = req->data_disk.count;
    r = take_interface(act, req, &launch);
    if (r == 0)
        r = launch_run(act, &launch, &reply->instance_id_sets);
    if (r == 0)
        reply->order_id = order_id(act, launch.charge_type);
    return r;
}

/* The old way: one instance, left Stopped, without a public address. */
int create_instance(struct action *act, const struct create_instance_request *req,
                    struct create_instance_reply *reply)
{
    struct launch launch = {LAUNCH_COMMON(req), .amount = 1, .no_deployment_set = E_DEPLOYMENT_SET_NOT_FOUND};
    struct str_list ids;
    int r;

    launch.data_disks = arena_array(act->arena, struct launch_disk, req->data_disk.count + 1);
    for (size_t i = 0; i < req->data_disk.count; i++)
        launch.data_disks[i] = LAUNCH_DATA_DISK(&req->data_disk.items[i]);
    launch.data_disk_count = req->data_disk.count;
    r = launch_run(act, &launch, &ids);
    if (r < 0)
        return r;
    reply->instance_id = ids.items[0];
    reply->order_id = order_id(act, launch.charge_type);
    return 0;
}
