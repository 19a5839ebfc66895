/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How instances are made: RunInstances and CreateInstance fill in a struct launch, launch_check
 * turns it into a plan or the first documented error, launch_make writes the rows. For this folder
 * only.
 */
#pragma once

#include "actions/image.h"
#include "model/name.h"
#include "model/network.h"
#include "model/spread.h"

struct launch_disk {
    struct opt_int size_gib;
    int category; /* enum disk_category; -1: absent */
    struct str name;
    struct str description;
    int performance_level; /* enum performance_level; -1: absent */
    bool keep;             /* DeleteWithInstance=false */
};

/* What the call says; absent members as in base/shape.h. */
struct launch {
    struct str region_id, zone_id, image_id, image_family, type_id;
    struct str vswitch_id, security_group_id, private_ip;
    struct str_list security_group_ids;
    struct str name, description, host_name;
    struct str_list host_names;
    bool unique_suffix;
    struct str password, user_data, resource_group_id, key_pair_name;
    struct str deployment_set_id;
    struct opt_int deployment_group_no;
    enum error_code no_deployment_set; /* what the page says of one that there isn't */
    bool password_inherit;
    int io_optimized;
    int internet_charge_type;
    int64_t bandwidth_out;
    struct opt_int bandwidth_in;
    struct launch_disk system_disk;
    struct launch_disk *data_disks;
    size_t data_disk_count;
    int64_t amount;
    struct opt_int min_amount;
    usec_t release_us;
    int charge_type;
    struct opt_int period;
    int period_unit;
    int spot_strategy;
    struct opt_float spot_price_limit;
    int credit_specification;
    int http_endpoint, http_tokens;
    int64_t hop_limit;
    bool deletion_protection;
    bool hibernation;
    const struct tag_pair_list *tags;
    bool public_ip; /* give one when there is bandwidth (RunInstances; CreateInstance never does) */
    bool start;
    bool dry_run;
};

struct launch_plan {
    const struct launch *launch;
    const struct catalog_region *region;
    const struct instance_type *type;
    struct image *image;
    struct vswitch *vswitch;
    struct cidr cidr;
    struct str_list groups;
    struct name_pattern name, host_name;
    int64_t amount, min_amount;
    int64_t bandwidth_in, bandwidth_out;
    struct tag *tags;
    size_t tag_count;
    usec_t expires_us, release_us;
    struct str password_hash;
    struct launch_disk system_disk; /* defaults filled in */
    struct spread spread;           /* its set: NULL for none */
    int64_t deployment_group_no;    /* 0: the set's choice, or it has none */
};

int launch_check(struct action *act, const struct launch *launch, struct launch_plan *ret)
    must_check;
/* At least plan->min_amount instances, at most plan->amount; *ret their ids. -E_NO_STOCK. */
int launch_make(struct action *act, const struct launch_plan *plan, struct str_list *ret)
    must_check;
/* Checks and makes; a dry run ends with -E_DRY_RUN, and the caller's rollback undoes what it made. */
int launch_run(struct action *act, const struct launch *launch, struct str_list *ret) must_check;

/* ── launch_set.c: parts of launch_check; none of them reads anything without a deployment set ── */

/* The set, its members, the group. */
int launch_check_set(struct action *act, struct launch_plan *plan) must_check;
/* For the first instance. *ret NULL: there is none. */
int launch_choose_host(struct action *act, const struct launch_plan *plan, struct host **ret) must_check;
/* Why launch_choose_host found none: the set is full wherever the call lets it be, or there is no stock. Never 0. */
int launch_no_host(struct action *act, const struct launch_plan *plan) must_check;
/* What the set takes in the plan's zone bounds Amount. */
int launch_check_set_room(struct action *act, struct launch_plan *plan) must_check;

/* ── parts that ModifyInstanceAttribute shares ── */

/* "pbkdf2-sha256$rounds$salt$digest", in hex. */
struct str password_hash(struct env *env, struct arena *arena, struct str password);
int user_data_check(struct action *act, struct str user_data) must_check;
/* Between half an hour and three years from now, cut to the minute; `code`: the error otherwise. */
int release_time_check(struct action *act, usec_t asked, enum error_code code, usec_t *ret)
    must_check;
