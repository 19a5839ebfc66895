/* SPDX-License-Identifier: Apache-2.0 */
/* Stop, start, reboot and delete of one instance, shared by the single actions and the batches. For
 * this folder only. */
#pragma once

#include "actions/common.h"

struct stop_ask {
    bool force;
    bool confirm;
    bool hibernate;
    int stopped_mode; /* as it came; see action_asked_mode */
};

/* All checks of a stop; *ret_order is what to give to engine_order_stop. */
int stop_check(struct action *act, const struct instance *inst, const struct stop_ask *ask,
               struct stop_order *ret_order) must_check;
int start_check(struct action *act, const struct instance *inst) must_check;
int reboot_check(struct action *act, const struct instance *inst) must_check;
