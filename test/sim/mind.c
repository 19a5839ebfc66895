/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/mind.h"

#include "engine/active.h"

usec_t mind_next_look(const struct engine *engine)
{
    return engine->chores[CHORE_PICK_UP].due_us;
}

bool mind_may_act(const struct engine *engine, usec_t now)
{
    return !engine->stopping && !engine->fenced && now < engine->lease_until_us;
}

struct str mind_node(const struct engine *engine)
{
    return engine->node;
}

int64_t mind_epoch(const struct engine *engine)
{
    return engine->epoch;
}

/* One that is leaving is given up before the node hears of it: nothing is begun there any more. */
bool mind_next_host(const struct engine *engine, size_t *cursor, struct str *ret_id)
{
    void *value;

    while (map_next(&engine->hosts, cursor, ret_id, &value)) {
        const struct host_slot *slot = value;

        if (slot->held && !slot->leaving)
            return true;
    }
    return false;
}

/*
 * One of no host is the end of something that has no row any more, and may be done by two: a node that was taken for dead and is
 * not keeps it until its record is refused.
 */
static bool may_run(const struct active *active)
{
    return !str_empty(active->host->id) && active->host->held && !active->host->leaving && active->state != ACTIVE_RECORDING;
}

bool mind_next_job(const struct engine *engine, size_t *cursor, struct str *ret_key, struct str *ret_instance_id)
{
    void *value;

    while (map_next(&engine->jobs, cursor, ret_key, &value)) {
        const struct active *active = value;

        *ret_instance_id = active->job.instance_id;
        if (may_run(active))
            return true;
    }
    return false;
}

bool mind_has_job(const struct engine *engine, struct str key)
{
    const struct active *active = map_get(&engine->jobs, key);

    return active && may_run(active);
}
