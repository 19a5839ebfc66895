/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State machines as tables. Only sm_move changes a state: it looks the transition up, and a move that the table does not
 * have is a bug of ours (assertion), never input: callers ask sm_may first where input decides.
 */
#pragma once

#include "base/str.h"

#define SM_MAY(state) (1u << (state))
#define SM_STABLE 1u /* the state lasts until somebody asks for another */

struct sm_state {
    const char *name;
    uint32_t may; /* SM_MAY() of each allowed next state */
    uint32_t flags;
};

struct sm {
    const char *name;
    const struct sm_state *states;
    size_t count;
};

bool sm_may(const struct sm *sm, int from, int to);
/* *state becomes `to`; asserts that the table allows it. */
void sm_move(const struct sm *sm, int *state, int to);
const char *sm_name(const struct sm *sm, int state);
/* -1: no state of that name (compared exactly). */
int sm_find(const struct sm *sm, struct str name);
