/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sm.h"

static const struct sm_state *state_at(const struct sm *sm, int state)
{
    assert(sm->count <= 32);
    assert(state >= 0 && (size_t)state < sm->count);
    return &sm->states[state];
}

bool sm_may(const struct sm *sm, int from, int to)
{
    (void)state_at(sm, to);
    return (state_at(sm, from)->may & SM_MAY(to)) != 0;
}

void sm_move(const struct sm *sm, int *state, int to)
{
    bool allowed = sm_may(sm, *state, to);

    assert(allowed);
    *state = to;
}

const char *sm_name(const struct sm *sm, int state)
{
    return state_at(sm, state)->name;
}

int sm_find(const struct sm *sm, struct str name)
{
    for (size_t i = 0; i < sm->count; i++) {
        if (sm->states[i].name && str_eq(str_from(sm->states[i].name), name))
            return (int)i;
    }
    return -1;
}
