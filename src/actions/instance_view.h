/* SPDX-License-Identifier: Apache-2.0 */
/* Instances as replies show them. For this folder only. */
#pragma once

#include "actions/common.h"

int instance_view_fill(struct action *act, const struct instance *inst, struct instance_view *ret)
    must_check;
/* Groups of the instance, as a list of ids. */
int instance_groups(struct action *act, const struct instance *inst, struct str_list *ret)
    must_check;
/* The words of its locks. */
struct str_list instance_lock_words(struct arena *arena, const struct instance *inst);
struct str_list instance_public_ips(struct arena *arena, const struct instance *inst);
struct vpc_attributes instance_vpc(struct arena *arena, const struct instance *inst);
