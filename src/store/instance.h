/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of instances, shared by instance.c and instance_find.c. */
#pragma once

#include "store/rows.h"

extern const struct table instance_hot_table; /* the narrow table */
extern const struct table instance_all_table; /* both */

/* By id: all columns, the narrow ones. */
extern const struct query instance_query_all;
extern const struct query instance_query_hot;

/* Remembers what is stored of an instance that a write read. */
void instance_remember(struct tx *tx, const struct instance *inst);
/* The family of a type ("ecs.g6"), absent when the catalogue has no such type. */
struct str instance_family_of(struct str type_id);
