/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeRegions, DescribeZones, DescribeInstanceTypes, DescribeInstanceTypeFamilies: the
 * catalogue as it stands. */
#include "actions/common.h"

#define TYPES_MAX 1600      /* DescribeInstanceTypes page */
#define CREDITS_PER_VCPU 30 /* what a burstable instance starts with, per vCPU */

int describe_regions(struct action *act, const struct describe_regions_request *req,
                     struct describe_regions_reply *reply)
{
    static const char *const kinds[] = {"instance", "disk", "reservedinstance", "scu", NULL};

    if (!str_empty(req->resource_type) && words_find(kinds, req->resource_type) < 0)
        return fail(act->fail, E_RESOURCE_TYPE_REGIONS);
    reply->regions.items =
        arena_array(act->arena, struct describe_regions_region, catalog_region_count);
    reply->regions.count = catalog_region_count;
    for (size_t i = 0; i < catalog_region_count; i++)
        reply->regions.items[i] = (struct describe_regions_region){
            .region_id = str_from(catalog_regions[i].id),
            .region_endpoint =
                str_empty(act->endpoint) ? str_from(catalog_regions[i].endpoint) : act->endpoint,
            .local_name = str_from(catalog_regions[i].local_name[req->accept_language]),
            .status = STR("available"),
        };
    return 0;
}

static struct str_list texts(struct arena *arena, const char *const *words, size_t count)
{
    struct str_list list = {.items = arena_array(arena, struct str, count + 1), .count = count};

    for (size_t i = 0; i < count; i++)
        list.items[i] = str_from(words[i]);
    return list;
}

/* The lists that every zone shows: all of them have everything. */
struct zone_lists {
    struct str_list resources, system_categories, data_categories, types, families, generations,
        networks;
};

static void add_once(struct str_list *list, struct str text)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->items[i], text))
            return;
    if (!str_empty(text))
        list->items[list->count++] = text;
}

static struct zone_lists make_lists(struct arena *arena)
{
    static const char *const resources[] = {"VSwitch", "IoOptimized", "Instance", "Disk"};
    struct zone_lists lists = {
        .resources = texts(arena, resources, countof(resources)),
        .system_categories = texts(arena, disk_category_words, DISK_CATEGORY_EPHEMERAL_SSD),
        .types = {.items = arena_array(arena, struct str, instance_type_count)},
        .families = {.items = arena_array(arena, struct str, instance_family_count)},
        .generations = {.items = arena_array(arena, struct str, instance_family_count)},
        .networks = texts(arena, network_type_words, 1),
    };

    lists.data_categories = lists.system_categories;
    for (size_t i = 0; i < instance_type_count; i++)
        lists.types.items[lists.types.count++] = str_from(instance_types[i].id);
    for (size_t i = 0; i < instance_family_count; i++) {
        lists.families.items[lists.families.count++] = str_from(instance_families[i].id);
        add_once(&lists.generations, str_from(instance_families[i].generation));
    }
    return lists;
}

static struct describe_zones_zone zone_view(struct arena *arena, const struct catalog_zone *zone,
                                            int language, const struct zone_lists *lists)
{
    struct describe_zones_zone_resources_info *info =
        arena_new(arena, struct describe_zones_zone_resources_info);

    *info = (struct describe_zones_zone_resources_info){
        .io_optimized = true,
        .instance_types = lists->types,
        .instance_type_families = lists->families,
        .instance_generations = lists->generations,
        .system_disk_categories = lists->system_categories,
        .data_disk_categories = lists->data_categories,
        .network_types = lists->networks,
    };
    return (struct describe_zones_zone){
        .zone_id = str_from(zone->id),
        .local_name = str_from(zone->local_name[language]),
        .zone_type = STR("AvailabilityZone"),
        .available_resource_creation = lists->resources,
        .available_disk_categories = lists->system_categories,
        .available_instance_types = lists->types,
        .available_volume_categories = lists->data_categories,
        .available_resources = {info, lists->types.count > 0 ? 1u : 0u},
    };
}

int describe_zones(struct action *act, const struct describe_zones_request *req,
                   struct describe_zones_reply *reply)
{
    const struct catalog_region *region;
    struct zone_lists lists = {0};
    int r = action_region(act, req->region_id, &region);

    if (r < 0)
        return r;
    if (req->verbose)
        lists = make_lists(act->arena);
    reply->zones.items = arena_array(act->arena, struct describe_zones_zone, region->zone_count);
    reply->zones.count = region->zone_count;
    for (size_t i = 0; i < region->zone_count; i++)
        reply->zones.items[i] =
            zone_view(act->arena, &region->zones[i], req->accept_language, &lists);
    return 0;
}

static bool listed(const struct str_list *list, struct str text)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->items[i], text))
            return true;
    return list->count == 0;
}

static bool is(struct str wanted, struct str have)
{
    return str_empty(wanted) || str_eq(wanted, have);
}

static bool at_least(struct opt_int bound, int64_t value)
{
    return !bound.set || value >= bound.value;
}

static bool at_most(struct opt_int bound, int64_t value)
{
    return !bound.set || value <= bound.value;
}

static struct str storage_category(const struct instance_type *type)
{
    return type->local_disk_category < 0
               ? STR("")
               : str_from(disk_category_text((enum disk_category)type->local_disk_category));
}

static int64_t initial_credit(const struct instance_type *type)
{
    return type->baseline_percent > 0 ? CREDITS_PER_VCPU * type->vcpus : 0;
}

static bool kind_matches(const struct instance_type *type,
                         const struct describe_instance_types_request *req)
{
    return listed(&req->instance_types, str_from(type->id)) &&
           is(req->instance_type_family, str_from(type->family)) &&
           listed(&req->instance_type_families, str_from(type->family)) &&
           is(req->instance_family_level, str_from(type->level)) &&
           is(req->local_storage_category, storage_category(type)) &&
           listed(&req->local_storage_categories, storage_category(type)) &&
           is(req->gpu_spec, str_from(type->gpu_spec)) &&
           listed(&req->gpu_specs, str_from(type->gpu_spec));
}

static bool size_matches(const struct instance_type *type,
                         const struct describe_instance_types_request *req)
{
    double memory_gib = (double)type->memory_mib / 1024;

    return at_least(req->minimum_cpu_core_count, type->vcpus) &&
           at_most(req->maximum_cpu_core_count, type->vcpus) &&
           (!req->minimum_memory_size.set || memory_gib >= req->minimum_memory_size.value) &&
           (!req->maximum_memory_size.set || memory_gib <= req->maximum_memory_size.value) &&
           at_least(req->minimum_gpu_amount, type->gpu_count) &&
           at_most(req->maximum_gpu_amount, type->gpu_count) &&
           at_least(req->minimum_local_storage_amount, type->local_disk_count) &&
           at_least(req->minimum_local_storage_capacity, type->local_disk_gib);
}

static bool rate_matches(const struct instance_type *type,
                         const struct describe_instance_types_request *req)
{
    return at_least(req->minimum_eni_quantity, type->eni_count) &&
           at_least(req->minimum_eni_private_ip_address_quantity, type->ips_per_eni) &&
           at_least(req->minimum_instance_bandwidth_rx, type->bandwidth_kbps) &&
           at_least(req->minimum_instance_bandwidth_tx, type->bandwidth_kbps) &&
           at_least(req->minimum_instance_pps_rx, type->pps) &&
           at_least(req->minimum_instance_pps_tx, type->pps) &&
           at_least(req->minimum_disk_quantity, type->cloud_disk_count) &&
           at_least(req->minimum_baseline_credit, type->baseline_percent) &&
           at_least(req->minimum_initial_credit, initial_credit(type)) &&
           at_least(req->minimum_primary_eni_queue_number, type->nic_queues) &&
           at_least(req->minimum_secondary_eni_queue_number, type->nic_queues);
}

static struct describe_instance_types_instance_type type_view(const struct instance_type *type)
{
    struct describe_instance_types_instance_type view = {
        .instance_type_id = str_from(type->id),
        .instance_type_family = str_from(type->family),
        .instance_family_level = str_from(type->level),
        .cpu_core_count = type->vcpus,
        .memory_size = (double)type->memory_mib / 1024,
        .local_storage_category = storage_category(type),
        .gpu_amount = type->gpu_count,
        .gpu_spec = str_from(type->gpu_spec),
        .eni_quantity = type->eni_count,
        .eni_total_quantity = type->eni_count,
        .eni_private_ip_address_quantity = type->ips_per_eni,
        .instance_bandwidth_rx = type->bandwidth_kbps,
        .instance_bandwidth_tx = type->bandwidth_kbps,
        .instance_pps_rx = type->pps,
        .instance_pps_tx = type->pps,
        .baseline_credit = type->baseline_percent,
        .initial_credit = initial_credit(type),
        .disk_quantity = type->cloud_disk_count,
        .primary_eni_queue_number = type->nic_queues,
        .secondary_eni_queue_number = type->nic_queues,
        .maximum_queue_number_per_eni = type->nic_queues,
        .total_eni_queue_quantity = type->nic_queues * type->eni_count,
    };

    if (type->local_disk_count > 0) {
        view.local_storage_amount = (struct opt_int){true, type->local_disk_count};
        view.local_storage_capacity = (struct opt_int){true, type->local_disk_gib};
    }
    return view;
}

/* Where a page ends does not depend on the filters: a token holds the id of the last type shown. */
int describe_instance_types(struct action *act, const struct describe_instance_types_request *req,
                            struct describe_instance_types_reply *reply)
{
    size_t limit = req->max_results.set ? (size_t)req->max_results.value : TYPES_MAX;
    struct page_check check;
    struct str after = STR("");

    page_check_init(&check);
    if (!str_empty(req->next_token) &&
        page_token_read(act->arena, &check, req->next_token, &after) < 0)
        return fail(act->fail, E_NEXT_TOKEN);
    reply->instance_types.items =
        arena_array(act->arena, struct describe_instance_types_instance_type, instance_type_count);
    for (size_t i = 0; i < instance_type_count; i++) {
        const struct instance_type *type = &instance_types[i];
        if (str_cmp(str_from(type->id), after) <= 0 || !kind_matches(type, req) ||
            !size_matches(type, req) || !rate_matches(type, req))
            continue;
        if (reply->instance_types.count == limit) {
            reply->next_token = page_token_make(
                act->arena, &check, reply->instance_types.items[limit - 1].instance_type_id);
            break;
        }
        reply->instance_types.items[reply->instance_types.count++] = type_view(type);
    }
    return 0;
}

int describe_instance_type_families(struct action *act,
                                    const struct describe_instance_type_families_request *req,
                                    struct describe_instance_type_families_reply *reply)
{
    const struct catalog_region *region;
    int r = action_region(act, req->region_id, &region);

    if (r < 0)
        return r;
    reply->instance_type_families.items =
        arena_array(act->arena, struct describe_instance_type_families_instance_type_family,
                    instance_family_count);
    for (size_t i = 0; i < instance_family_count; i++)
        if (is(req->generation, str_from(instance_families[i].generation)))
            reply->instance_type_families.items[reply->instance_type_families.count++] =
                (struct describe_instance_type_families_instance_type_family){
                    str_from(instance_families[i].id), str_from(instance_families[i].generation)};
    return 0;
}
