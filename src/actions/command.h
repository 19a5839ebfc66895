/* SPDX-License-Identifier: Apache-2.0 */
/* What the actions of Cloud Assistant share. For this folder only. */
#pragma once

#include "actions/common.h"
#include "model/command.h"

/* A script as a caller describes it. */
struct command_ask {
    struct str region_id;
    struct str name;
    struct str description;
    int type;
    struct str content;
    int encoding; /* enum content_encoding */
    struct str working_dir;
    int64_t timeout_s;
    bool parametric;
    struct str resource_group_id;
};

/* Checks all of it, in the order of the page, and decodes the content. The id is new. */
int command_make(struct action *act, const struct command_ask *ask, struct command *ret) must_check;
/* Inserts it with its tags: -E_CMD_COUNT. */
int command_keep(struct action *act, const struct command *command, const struct tag_pair_list *tags) must_check;
/* Tags of a new command or invocation. */
int command_put_tags(struct action *act, struct str id, struct str resource_type, const struct tag_pair_list *pairs) must_check;
/* The account's command in that region; `code` when there is none. */
int command_get(struct action *act, struct str id, struct str region_id, enum error_code code, struct command **ret) must_check;
