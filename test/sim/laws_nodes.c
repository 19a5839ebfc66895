/* SPDX-License-Identifier: Apache-2.0 */
/* Laws that only several nodes can break: what is in the memory of each is held against the rows. */
#include "sim/mind.h"
#include "sim/nodes.h"
#include "sim/run.h"

static bool may_act(const struct engine *engine, usec_t now)
{
    return engine && mind_may_act(engine, now);
}

/* Rows as they are, whatever keeps the node that runs now from seeing them. */
static struct tx *look(struct run *run, struct door **ret_before)
{
    *ret_before = door_enter(NULL);
    faults_look_away(run, true);
    return store_read_begin(run->world.store);
}

static void look_end(struct run *run, struct tx *tx, struct door *before)
{
    store_read_end(tx);
    faults_look_away(run, false);
    (void)door_enter(before);
}

static bool holds(const struct engine *engine, const struct host *hosts, size_t count, struct str id)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(hosts[i].id, id))
            return str_eq(hosts[i].holder, mind_node(engine)) && hosts[i].epoch == mind_epoch(engine);
    return false;
}

static void read_hosts(struct run *run, struct tx *tx, struct host **ret, size_t *ret_count)
{
    if (store_host_list(tx, ret, ret_count) < 0)
        run_broken(run, "the store can be read", "hosts");
}

static void check_holder(struct run *run, const struct engine *engine, const struct host *hosts, size_t count)
{
    struct str id;

    for (size_t cursor = 0; mind_next_host(engine, &cursor, &id);)
        if (!holds(engine, hosts, count, id))
            run_broken(run, "who drives a host holds it", "%.*s drives %.*s, which is not its own by the rows",
                       STR_ARG(mind_node(engine)), STR_ARG(id));
}

static void check_jobs(struct run *run, const struct engine *one, const struct engine *other)
{
    struct str key;
    struct str id;

    for (size_t cursor = 0; mind_next_job(one, &cursor, &key, &id);)
        if (mind_has_job(other, key))
            run_broken(run, "a job is one node's", "%.*s and %.*s both carry out a job of %.*s", STR_ARG(mind_node(one)),
                       STR_ARG(mind_node(other)), STR_ARG(id));
}

void laws_check_nodes(struct run *run)
{
    usec_t now = world_now(&run->world);
    struct door *before;
    struct tx *tx = look(run, &before);
    struct host *hosts;
    size_t count;

    read_hosts(run, tx, &hosts, &count);
    for (int i = 0; i < run->profile.nodes; i++) {
        const struct engine *engine = run->world.nodes[i].engine;

        if (!may_act(engine, now))
            continue;
        check_holder(run, engine, hosts, count);
        for (int k = 0; k < i; k++)
            if (may_act(run->world.nodes[k].engine, now))
                check_jobs(run, engine, run->world.nodes[k].engine);
    }
    look_end(run, tx, before);
}

/* Of a deleted one without its row it is not known where it was: it is looked for everywhere, and never comes again. */
static bool is_gone(struct tx *tx, struct str id)
{
    struct instance *inst;

    return store_instance_get_hot(tx, id, &inst) == -E_NOT_FOUND;
}

void laws_command(void *arg, int node, const struct spy_command *command)
{
    struct run *run = arg;
    const struct engine *engine = run->world.nodes[node].engine;
    struct door *before;
    struct tx *tx;
    struct host *hosts;
    size_t count;

    run->world.changes++;
    if (command->result == -E_GONE)
        return; /* of an older start: the host has refused it */
    tx = look(run, &before);
    read_hosts(run, tx, &hosts, &count);
    if (!holds(engine, hosts, count, command->host_id) && !is_gone(tx, command->id))
        run_broken(run, "only who holds a host commands it", "%.*s: %s of %.*s (start %lld) at %.*s", STR_ARG(mind_node(engine)),
                   command->name, STR_ARG(command->id), (long long)command->incarnation, STR_ARG(command->host_id));
    look_end(run, tx, before);
}
