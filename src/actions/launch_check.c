/* SPDX-License-Identifier: Apache-2.0 */
/* RunInstances and CreateInstance: from what the call says to a plan, or to the first error. Writes
 * nothing. */
#include "actions/launch.h"
#include "model/disk.h"

#define AMOUNT_MAX 100
#define BANDWIDTH_MAX_MBPS 100
#define BANDWIDTH_IN_DEFAULT_MBPS 10
#define SYSTEM_DISK_MIN_GIB 20
#define SYSTEM_DISK_DEFAULT_GIB 40
#define SYSTEM_DISK_MAX_GIB 2048
#define RESOURCE_GROUP_MAX_BYTES 64

static int missing(struct action *act, struct str name)
{
    return fail(act->fail, E_MISSING_PARAMETER, name);
}

static int check_type(struct action *act, struct launch_plan *plan)
{
    if (str_empty(plan->launch->type_id))
        return missing(act, STR("InstanceType"));
    plan->type = instance_type_find(plan->launch->type_id);
    return plan->type ? 0 : fail(act->fail, E_INSTANCE_TYPE);
}

static int check_image(struct action *act, struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;
    int r;

    if (!str_empty(launch->image_id) && !str_empty(launch->image_family))
        return fail(act->fail, E_IMAGE_FAMILY_SUPPLIED);
    if (str_empty(launch->image_id) && str_empty(launch->image_family))
        return missing(act, STR("ImageId"));
    r = str_empty(launch->image_id) ? action_image_newest(act, launch->image_family, &plan->image)
                                    : action_image(act, launch->image_id, &plan->image);
    if (r < 0)
        return r;
    /* Every type of the catalogue is one of x86. */
    return str_eq(plan->image->architecture, str_from(architecture_text(ARCHITECTURE_ARM64)))
               ? fail(act->fail, E_IMAGE_INSTANCE_TYPE)
               : 0;
}

/* The zone that the system chooses when the call leaves it open: one with room. */
static int choose_zone(struct action *act, const struct launch_plan *plan, struct str *ret)
{
    struct host *host;
    int r = launch_choose_host(act, plan, &host);

    if (r < 0)
        return r;
    if (!host)
        return launch_no_host(act, plan);
    *ret = host->zone_id;
    return 0;
}

static int check_vswitch(struct action *act, struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;
    struct vswitch *vswitch = NULL;
    struct str zone_id;
    int r;

    if (str_empty(launch->vswitch_id)) {
        r = choose_zone(act, plan, &zone_id);
        if (r < 0)
            return r;
        r = store_vswitch_default(act->tx, act->account->id, launch->region_id, zone_id, &vswitch);
        if (r == -E_NOT_FOUND)
            return missing(act, STR("VSwitchId"));
    } else {
        r = store_vswitch_get(act->tx, launch->vswitch_id, &vswitch);
        if (r == -E_NOT_FOUND || (r == 0 && (!str_eq(vswitch->account_id, act->account->id) ||
                                             !catalog_zone_find(plan->region, vswitch->zone_id))))
            return fail(act->fail, E_VSWITCH_NOT_FOUND);
    }
    if (r < 0)
        return action_failed(act, r);
    if (!str_empty(launch->zone_id) && !str_eq(launch->zone_id, vswitch->zone_id))
        return fail(act->fail, E_VSWITCH_ZONE_MISMATCH);
    plan->vswitch = vswitch;
    r = cidr_parse(vswitch->cidr, &plan->cidr);
    assert(r == 0);
    return 0;
}

static int check_group(struct action *act, const struct launch_plan *plan, struct str id)
{
    struct security_group *group = NULL;
    int r = store_group_get(act->tx, id, &group);

    if (r == -E_NOT_FOUND || (r == 0 && (!str_eq(group->account_id, act->account->id) ||
                                         !str_eq(group->region_id, plan->launch->region_id))))
        return fail(act->fail, E_SECURITY_GROUP_NOT_FOUND);
    if (r < 0)
        return action_failed(act, r);
    return str_eq(group->vpc_id, plan->vswitch->vpc_id) ? 0 : fail(act->fail, E_VPC_MISMATCH);
}

static int check_groups(struct action *act, struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;
    struct security_group *group;
    int r = 0;

    if (!str_empty(launch->security_group_id) && launch->security_group_ids.count > 0)
        return fail(act->fail, E_SECURITY_GROUP_BOTH);
    plan->groups = launch->security_group_ids;
    if (plan->groups.count == 0) {
        struct str *one = arena_new(act->arena, struct str);
        *one = launch->security_group_id;
        if (str_empty(*one)) {
            r = store_group_default(act->tx, act->account->id, launch->region_id, &group);
            if (r == -E_NOT_FOUND)
                return missing(act, STR("SecurityGroupId"));
            if (r < 0)
                return action_failed(act, r);
            *one = group->id;
        }
        plan->groups = (struct str_list){one, 1};
    }
    for (size_t i = 0; i < plan->groups.count && r == 0; i++) {
        for (size_t k = 0; k < i; k++)
            if (str_eq(plan->groups.items[k], plan->groups.items[i]))
                return fail(act->fail, E_SECURITY_GROUP_REPEATED);
        r = check_group(act, plan, plan->groups.items[i]);
    }
    return r;
}

static int check_private_ip(struct action *act, const struct launch_plan *plan)
{
    uint32_t address;

    if (str_empty(plan->launch->private_ip))
        return 0;
    if (ipv4_parse(plan->launch->private_ip, &address) < 0)
        return fail(act->fail, E_PRIVATE_IP_MALFORMED);
    if (!cidr_usable(&plan->cidr, address))
        return fail(act->fail, E_PRIVATE_IP);
    /* Several instances take the addresses that follow. */
    return address + (uint64_t)plan->amount - 1 <= UINT32_MAX &&
                   cidr_usable(&plan->cidr, address + (uint32_t)plan->amount - 1)
               ? 0
               : fail(act->fail, E_PRIVATE_IP);
}

static int check_network(struct action *act, struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;
    int64_t out = launch->bandwidth_out;
    int64_t in = launch->bandwidth_in.set ? launch->bandwidth_in.value
                                          : MAX_OF(out, (int64_t)BANDWIDTH_IN_DEFAULT_MBPS);
    int r;

    if (!str_empty(launch->zone_id) && !catalog_zone_find(plan->region, launch->zone_id))
        return fail(act->fail, E_ZONE_NOT_FOUND);
    r = check_vswitch(act, plan);
    if (r == 0)
        r = check_groups(act, plan);
    if (r == 0)
        r = check_private_ip(act, plan);
    if (r < 0)
        return r;
    if (out < 0 || out > BANDWIDTH_MAX_MBPS)
        return fail(act->fail, E_BANDWIDTH_OUT);
    if (in < 1 || in > MAX_OF(out, (int64_t)BANDWIDTH_IN_DEFAULT_MBPS))
        return fail(act->fail, E_BANDWIDTH_IN);
    plan->bandwidth_in = in;
    plan->bandwidth_out = out;
    return 0;
}

static int check_amount(struct action *act, struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;

    plan->amount = launch->amount;
    if (plan->amount < 1 || plan->amount > AMOUNT_MAX)
        return fail(act->fail, E_AMOUNT);
    plan->min_amount = launch->min_amount.set ? launch->min_amount.value : plan->amount;
    if (plan->min_amount < 1 || plan->min_amount > plan->amount)
        return fail(act->fail, E_MIN_AMOUNT);
    return 0;
}

static bool is_windows(const struct launch_plan *plan)
{
    return str_eq(plan->image->os_type, str_from(os_type_text(OS_TYPE_WINDOWS)));
}

/* Names are tried as they come out for the first and the last instance: the number is longest
 * there. */
static int check_names(struct action *act, struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;
    const struct str id_like = STR("i-00000000000000000000");

    if (!str_empty(launch->name)) {
        name_pattern_parse(launch->name, &plan->name);
        if (!name_valid(name_pattern_print(act->arena, &plan->name, plan->amount - 1, false)))
            return fail(act->fail, E_INSTANCE_NAME);
        if (!name_valid(name_pattern_print(act->arena, &plan->name, plan->amount - 1,
                                           launch->unique_suffix)))
            return fail(act->fail, E_INSTANCE_NAME_EXCEED);
    }
    if (!str_empty(launch->description) && !description_valid(launch->description))
        return fail(act->fail, E_DESCRIPTION);
    if (launch->host_names.count > 0 &&
        (!str_empty(launch->host_name) || launch->host_names.count > (size_t)plan->amount))
        return fail(act->fail, E_HOST_NAME);
    for (size_t i = 0; i < launch->host_names.count; i++)
        if (!host_name_valid(launch->host_names.items[i], is_windows(plan)))
            return fail(act->fail, E_HOST_NAME);
    if (str_empty(launch->host_name))
        return 0;
    name_pattern_parse(name_fill_id(act->arena, launch->host_name, id_like), &plan->host_name);
    if (!host_name_valid(name_pattern_print(act->arena, &plan->host_name, plan->amount - 1, false),
                         is_windows(plan)))
        return fail(act->fail, E_HOST_NAME);
    if (!host_name_valid(name_pattern_print(act->arena, &plan->host_name, plan->amount - 1,
                                            launch->unique_suffix),
                         is_windows(plan)))
        return fail(act->fail, E_HOST_NAME_EXCEED);
    return 0;
}

/* Windows has no use for one: the name is ignored there, whatever it says. */
static int check_key_pair(struct action *act, const struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;
    struct key_pair *pair;
    int r;

    if (str_empty(launch->key_pair_name) || is_windows(plan))
        return 0;
    if (launch->io_optimized == IO_OPTIMIZED_NONE)
        return fail(act->fail, E_KEY_PAIR_IO);
    r = store_key_pair_get(act->tx, act->account->id, launch->region_id, launch->key_pair_name,
                           &pair);
    return r == -E_NOT_FOUND ? fail(act->fail, E_KEY_PAIR_NOT_FOUND) : action_failed(act, r);
}

static int check_login(struct action *act, struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;
    int r;

    if (launch->password_inherit && !str_empty(launch->password))
        return fail(act->fail, E_PASSWORD_INHERIT);
    if (!str_empty(launch->password) && !password_valid(launch->password, is_windows(plan)))
        return fail(act->fail, E_PASSWORD);
    r = check_key_pair(act, plan);
    if (r < 0)
        return r;
    if (!str_empty(launch->user_data) && !plan->image->cloud_init)
        return fail(act->fail, E_IMAGE_CLOUD_INIT);
    if (!str_empty(launch->password) && !launch->dry_run)
        plan->password_hash = password_hash(act->env, act->arena, launch->password);
    return user_data_check(act, launch->user_data);
}

static bool is_cloud(int category)
{
    return category >= DISK_CATEGORY_CLOUD && category <= DISK_CATEGORY_CLOUD_ESSD_ENTRY;
}

static int check_disk_texts(struct action *act, const struct launch_disk *disk, struct str name,
                            struct str description)
{
    if (!str_empty(disk->name) && !name_valid(disk->name))
        return fail(act->fail, E_DISK_NAME, name);
    if (!str_empty(disk->description) && !description_valid(disk->description))
        return fail(act->fail, E_DISK_DESCRIPTION, description);
    return 0;
}

/* Levels exist for cloud_essd only; it gets PL1 when the call names none. */
static void choose_level(struct launch_disk *disk)
{
    if (disk->category != DISK_CATEGORY_CLOUD_ESSD)
        disk->performance_level = -1;
    else if (disk->performance_level < 0)
        disk->performance_level = PERFORMANCE_LEVEL_PL1;
}

static int check_system_disk(struct action *act, struct launch_plan *plan)
{
    struct launch_disk disk = plan->launch->system_disk;
    int64_t image_gib = plan->image->size_gib;
    int r;

    if (disk.category < 0)
        disk.category = DISK_CATEGORY_CLOUD_EFFICIENCY;
    if (!is_cloud(disk.category))
        return fail(act->fail, E_SYSTEM_DISK_CATEGORY);
    /* Packer sends 0 when it has been told no size. */
    if (!disk.size_gib.set || disk.size_gib.value == 0)
        disk.size_gib = (struct opt_int){true, MAX_OF(image_gib, (int64_t)SYSTEM_DISK_DEFAULT_GIB)};
    if (disk.size_gib.value < SYSTEM_DISK_MIN_GIB)
        return fail(act->fail, E_SYSTEM_DISK_LESS_MIN);
    if (disk.size_gib.value < image_gib)
        return fail(act->fail, E_SYSTEM_DISK_LESS_IMAGE);
    if (disk.size_gib.value > SYSTEM_DISK_MAX_GIB)
        return fail(act->fail, E_SYSTEM_DISK_MORE_MAX);
    choose_level(&disk);
    r = check_disk_texts(act, &disk, STR("SystemDisk.DiskName"), STR("SystemDisk.Description"));
    plan->system_disk = disk;
    return r;
}

static int check_data_disk(struct action *act, struct launch_disk *disk)
{
    if (disk->category < 0)
        disk->category = DISK_CATEGORY_CLOUD_EFFICIENCY;
    if (!is_cloud(disk->category))
        return fail(act->fail, E_DATA_DISK_CATEGORY);
    if (!disk->size_gib.set || disk->size_gib.value < disk_size_min(disk->category) ||
        disk->size_gib.value > disk_size_max(disk->category, DISK_TYPE_DATA))
        return fail(act->fail, E_DATA_DISK_SIZE);
    choose_level(disk);
    return check_disk_texts(act, disk, STR("DataDisk.n.DiskName"), STR("DataDisk.n.Description"));
}

static int check_disks(struct action *act, struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;
    int r = check_system_disk(act, plan);

    /* The system disk counts too. */
    if (r == 0 && (int64_t)launch->data_disk_count + 1 > plan->type->cloud_disk_count)
        return fail(act->fail, E_DATA_DISK_COUNT);
    for (size_t i = 0; i < launch->data_disk_count && r == 0; i++)
        r = check_data_disk(act, &launch->data_disks[i]);
    return r;
}

static bool period_valid(int64_t period, int unit)
{
    static const int64_t long_months[] = {12, 24, 36, 48, 60};

    if (unit == PERIOD_UNIT_WEEK)
        return period >= 1 && period <= 4;
    if (unit == PERIOD_UNIT_YEAR)
        return period >= 1 && period <= 5;
    for (size_t i = 0; i < countof(long_months); i++)
        if (period == long_months[i])
            return true;
    return period >= 1 && period <= 9;
}

/* Calendar months: the same day, or the last of a shorter month. */
static usec_t months_later(usec_t from, int64_t months)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    char text[TIME_TEXT_MAX];
    int64_t year, month, day, last;
    usec_t at;
    int r;

    (void)time_print_second(from, text);
    r = str_to_i64(str_slice(text, 4), &year);
    r |= str_to_i64(str_slice(text + 5, 2), &month);
    r |= str_to_i64(str_slice(text + 8, 2), &day);
    assert(r == 0);
    year += (month - 1 + months) / 12;
    month = (month - 1 + months) % 12;
    last = days[month] + (month == 1 && ((year % 4 == 0 && year % 100 != 0) || year % 400 == 0));
    (void)snprintf(text, sizeof(text), "%04d-%02d-%02dT00:00Z", (int)year, (int)month + 1,
                   (int)MIN_OF(day, last));
    r = time_parse(str_from(text), &at);
    assert(r == 0);
    return at + from % (24 * USEC_PER_HOUR);
}

static int check_charge(struct action *act, struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;
    int unit = launch->period_unit < 0 ? PERIOD_UNIT_MONTH : launch->period_unit;

    if (launch->charge_type != CHARGE_TYPE_PRE_PAID)
        return 0;
    if (!launch->period.set || !period_valid(launch->period.value, unit))
        return fail(act->fail, E_PERIOD);
    if (launch->release_us != 0 || launch->deletion_protection)
        return fail(act->fail, E_CHARGE_TYPE);
    if (unit == PERIOD_UNIT_WEEK)
        plan->expires_us = act->now + launch->period.value * 7 * 24 * USEC_PER_HOUR;
    else
        plan->expires_us =
            months_later(act->now, launch->period.value * (unit == PERIOD_UNIT_YEAR ? 12 : 1));
    return 0;
}

static int check_spot(struct action *act, const struct launch *launch)
{
    double thousandths = launch->spot_price_limit.value * 1000;

    if (launch->spot_strategy <= SPOT_STRATEGY_NO_SPOT)
        return 0;
    if (launch->charge_type == CHARGE_TYPE_PRE_PAID)
        return fail(act->fail, E_SPOT_PREPAID);
    if (launch->spot_strategy != SPOT_STRATEGY_SPOT_WITH_PRICE_LIMIT)
        return 0;
    /* At most three decimals; a double holds 0.165 * 1000 only nearly. */
    if (!launch->spot_price_limit.set || launch->spot_price_limit.value <= 0 || thousandths > 1e9 ||
        thousandths - (double)(int64_t)(thousandths + 0.5) > 1e-6 ||
        thousandths - (double)(int64_t)(thousandths + 0.5) < -1e-6)
        return fail(act->fail, E_SPOT_PRICE_LIMIT);
    return 0;
}

static int check_rest(struct action *act, struct launch_plan *plan)
{
    const struct launch *launch = plan->launch;
    int r = 0;

    /* There is no service that makes groups: any id is taken as a label to filter by. */
    if (launch->resource_group_id.len > RESOURCE_GROUP_MAX_BYTES)
        return fail(act->fail, E_RESOURCE_GROUP_NOT_FOUND);
    if (launch->credit_specification >= 0 && plan->type->baseline_percent == 0)
        return fail(act->fail, E_CREDIT_SPECIFICATION);
    if (launch->release_us != 0)
        r = release_time_check(act, launch->release_us, E_AUTO_RELEASE_TIME_RUN, &plan->release_us);
    return r < 0 ? r : action_tags(act, launch->tags, &plan->tags, &plan->tag_count);
}

/* What the account may still make bounds Amount. */
static int check_quota(struct action *act, struct launch_plan *plan)
{
    int64_t total;
    int r = store_instance_count(act->tx, act->account->id, &total);

    if (r < 0)
        return action_failed(act, r);
    plan->amount = MIN_OF(plan->amount, act->options->quota_instances - total);
    return plan->amount < plan->min_amount ? fail(act->fail, E_QUOTA_ELASTIC) : 0;
}

int launch_check(struct action *act, const struct launch *launch, struct launch_plan *ret)
{
    static int (*const checks[])(struct action *, struct launch_plan *) = {
        check_amount, check_type,  check_image,  launch_check_set, check_network, check_names,
        check_login,  check_disks, check_charge, check_rest,
    };
    struct launch_plan plan = {.launch = launch};
    int r = action_region(act, launch->region_id, &plan.region);

    for (size_t i = 0; i < countof(checks) && r == 0; i++)
        r = checks[i](act, &plan);
    if (r == 0)
        r = check_spot(act, launch);
    if (r == 0)
        r = check_quota(act, &plan);
    if (r == 0)
        r = launch_check_set_room(act, &plan);
    if (r < 0)
        return r;
    *ret = plan;
    return 0;
}
