/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lease.h"

#include "base/bug.h"
#include "base/mem.h"
#include "engine/errand.h"

#define FOUND_BYTES_MAX ((size_t)16 << 20) /* the names of a hundred thousand hosts */

void lease_init(struct engine *engine)
{
    list_init(&engine->peers);
    engine->found = xcalloc(1, sizeof(*engine->found));
    buf_init(&engine->found->held, FOUND_BYTES_MAX);
    buf_init(&engine->found->leaving, FOUND_BYTES_MAX);
    buf_init(&engine->found->taken, FOUND_BYTES_MAX);
    engine->node_count = 1;
}

void lease_free(struct engine *engine)
{
    list_for_each_safe (node, &engine->peers) {
        list_remove(node);
        (void)xfree(list_item(node, struct peer, link));
    }
    buf_done(&engine->found->held);
    buf_done(&engine->found->leaving);
    buf_done(&engine->found->taken);
    engine->found = xfree(engine->found);
}

/* ── who lives ── */

static struct peer *peer_get(struct engine *engine, struct str id)
{
    struct peer *peer;

    list_for_each (node, &engine->peers) {
        peer = list_item(node, struct peer, link);
        if (str_eq(peer->id, id))
            return peer;
    }
    peer = xcalloc(1, sizeof(*peer) + id.len);
    memcpy(peer->text, id.ptr, id.len);
    peer->id = str_slice(peer->text, id.len);
    list_append(&engine->peers, &peer->link);
    return peer;
}

/* While we could not write ourselves, silence of others says nothing. */
static void forgive(struct engine *engine, usec_t now)
{
    if (engine->looked_us != 0 && now - engine->looked_us > lease_us(engine))
        list_for_each (node, &engine->peers)
            list_item(node, struct peer, link)->since_us = now;
    engine->looked_us = now;
}

/* True: its row has not changed for a lease. */
static bool is_silent(struct engine *engine, const struct node *node, usec_t now)
{
    struct peer *peer = peer_get(engine, node->id);

    peer->present = true;
    if (peer->epoch != node->epoch || peer->until_us != node->until_us || now < peer->since_us) {
        peer->epoch = node->epoch;
        peer->until_us = node->until_us;
        peer->since_us = now;
    }
    return now - peer->since_us >= lease_us(engine) / (BUG(hosts_taken_early) ? 3 : 1);
}

static int bury(struct tx *tx, struct node *node)
{
    log_warning("a node is silent; its hosts are taken over", LOG_STR("node", node->id), LOG_NUM("epoch", node->epoch));
    metric_add(METRIC_NODES_BURIED, 1);
    node->until_us = 0;
    return store_node_end(tx, node->id, node->epoch);
}

static void forget_absent(struct engine *engine)
{
    list_for_each_safe (node, &engine->peers) {
        struct peer *peer = list_item(node, struct peer, link);

        if (!peer->present) {
            list_remove(node);
            (void)xfree(peer);
        } else {
            peer->present = false;
        }
    }
}

/* Ends those that are silent. *ret_living: how many are left, with this one. */
static int look_at_nodes(struct tx *tx, struct engine *engine, struct node *nodes, size_t count, int64_t *ret_living)
{
    int64_t living = 1;
    int r = 0;

    forgive(engine, tx_now(tx));
    for (size_t i = 0; r >= 0 && i < count; i++) {
        if (str_eq(nodes[i].id, engine->node) || nodes[i].until_us == 0)
            continue;
        if (is_silent(engine, &nodes[i], tx_now(tx)))
            r = bury(tx, &nodes[i]);
        else
            living++;
    }
    forget_absent(engine);
    *ret_living = living;
    return r;
}

/* ── who holds what ── */

static bool is_ours(const struct engine *engine, const struct host *host)
{
    return str_eq(host->holder, engine->node) && host->epoch == engine->epoch;
}

static bool is_free(const struct host *host, const struct node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(nodes[i].id, host->holder))
            return nodes[i].epoch != host->epoch || nodes[i].until_us == 0;
    return true;
}

/* It was told a third of a lease ago that it is to go, and nothing of it is under way at the host. */
static bool is_at_rest(struct engine *engine, struct str id)
{
    const struct host_slot *host;
    bool rests;

    pthread_mutex_lock(&engine->mutex);
    host = host_slot_get(engine, id, false);
    rests = !host || (host->leaving && host->running == 0 && !host->errand_running);
    pthread_mutex_unlock(&engine->mutex);
    return rests;
}

static void note(struct buf *names, struct str id)
{
    buf_add(names, id.ptr, id.len);
    buf_add_char(names, '\0');
}

/* Only the process that has it can drive it: libvirt within the daemon, simulated hosts in its own folder. */
static bool is_bound(const struct engine *engine, const struct host *host)
{
    return str_starts(host->url, STR("qemu:///embed")) || (engine->own_machines && str_starts(host->url, STR("sim:")));
}

bool lease_is_foreign(const struct engine *engine, const struct host *host)
{
    return engine->shared && is_bound(engine, host) && !str_empty(host->holder) && !str_eq(host->holder, engine->node);
}

bool lease_same_disks(const struct engine *engine, const struct host *a, const struct host *b)
{
    if (!engine->shared || (!is_bound(engine, a) && !is_bound(engine, b)))
        return true;
    return is_bound(engine, a) && is_bound(engine, b) && !str_empty(a->holder) && str_eq(a->holder, b->holder);
}

/* The next of the names; false: there is none. */
static bool next_name(const struct buf *names, size_t *at, struct str *ret)
{
    if (*at >= names->len)
        return false;
    *ret = str_from(names->ptr + *at);
    *at += ret->len + 1;
    return true;
}

struct balance {
    struct host *hosts;
    size_t host_count;
    struct node *nodes;
    size_t node_count;
    size_t held;
    size_t share; /* the nodes' shares cover all hosts */
};

static int take_free(struct tx *tx, struct engine *engine, struct balance *b)
{
    bool poked = false;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < b->host_count; i++) {
        struct host *host = &b->hosts[i];

        if (is_ours(engine, host) || lease_is_foreign(engine, host) || !is_free(host, b->nodes, b->node_count))
            continue;
        if (b->held >= b->share && !is_bound(engine, host))
            continue;
        host->holder = engine->node;
        host->epoch = engine->epoch;
        b->held++;
        note(&engine->found->taken, host->id);
        if (!poked) /* jobs that nobody has picked up since we had their host are still signed by us; once for all of them */
            r = store_job_poke_unheld(tx, engine->node, engine->epoch);
        poked = true;
        if (r >= 0)
            r = store_host_hold(tx, host->id, host->holder, host->epoch);
    }
    return r;
}

static int give_surplus(struct tx *tx, struct engine *engine, struct balance *b)
{
    int r = 0;

    for (size_t i = b->host_count; r >= 0 && i > 0 && b->held > b->share; i--) {
        struct host *host = &b->hosts[i - 1];

        if (!is_ours(engine, host) || is_bound(engine, host))
            continue;
        b->held--;
        if (!is_at_rest(engine, host->id)) {
            note(&engine->found->leaving, host->id);
            continue;
        }
        host->holder = STR_NONE;
        host->epoch = 0;
        r = store_host_hold(tx, host->id, host->holder, host->epoch);
    }
    return r;
}

static int balance(struct tx *tx, struct engine *engine)
{
    struct balance b = {0};
    int r;

    buf_reset(&engine->found->held);
    buf_reset(&engine->found->leaving);
    buf_reset(&engine->found->taken);
    r = store_node_list(tx, &b.nodes, &b.node_count);
    if (r >= 0)
        r = store_host_list(tx, &b.hosts, &b.host_count);
    if (r >= 0)
        r = look_at_nodes(tx, engine, b.nodes, b.node_count, &engine->found->nodes);
    if (r < 0)
        return r;
    for (size_t i = 0; i < b.host_count; i++)
        b.held += is_ours(engine, &b.hosts[i]);
    b.share = (b.host_count + (size_t)engine->found->nodes - 1) / (size_t)engine->found->nodes;
    r = take_free(tx, engine, &b);
    if (r >= 0)
        r = give_surplus(tx, engine, &b);
    for (size_t i = 0; i < b.host_count; i++)
        if (is_ours(engine, &b.hosts[i]))
            note(&engine->found->held, b.hosts[i].id);
    assert(!engine->found->held.full); /* else a host would be nobody's, silently */
    return r;
}

/*
 * Hosts that are taken were another's before, perhaps without our having noticed: what we have in mind of them is outdated. A hook
 * and not lease_settle, since jobs that are picked up in the same batch come between the two.
 */
static void begin_anew(void *arg)
{
    struct engine *engine = arg;
    struct str name;

    pthread_mutex_lock(&engine->mutex);
    for (size_t at = 0; next_name(&engine->found->taken, &at, &name);) {
        struct host_slot *host = host_slot_get(engine, name, true);

        host->term++;
        if (host->held)
            host_slot_drop(engine, host);
        host->held = false;
    }
    host_slots_dropped(engine);
    for (size_t at = 0; next_name(&engine->found->taken, &at, &name);)
        host_slot_requeue(engine, host_slot_get(engine, name, true));
    pthread_mutex_unlock(&engine->mutex);
}

int lease_renew(struct tx *tx, struct engine *engine)
{
    int r;

    engine->lease_asked_us = tx_now(tx) + lease_us(engine);
    r = store_node_renew(tx, engine->node, engine->epoch, engine->lease_asked_us);
    if (r < 0 || !engine->shared)
        return r;
    tx_on_commit(tx, begin_anew, engine);
    return balance(tx, engine);
}

/* ── what follows in memory ── */

void lease_settle(struct engine *engine)
{
    struct host_slot *host;
    struct str name;
    void *value;
    size_t held = 0;

    for (size_t cursor = 0; map_next(&engine->hosts, &cursor, &name, &value);) {
        host = value;
        host->was_held = host->held;
        host->held = BUG(lost_host_kept) && host->held;
        host->leaving = false;
    }
    for (size_t at = 0; next_name(&engine->found->held, &at, &name); held++)
        host_slot_get(engine, name, true)->held = true;
    for (size_t at = 0; next_name(&engine->found->leaving, &at, &name);)
        host_slot_get(engine, name, true)->leaving = true;
    for (size_t cursor = 0; map_next(&engine->hosts, &cursor, &name, &value);) {
        host = value;
        if (host->held && !host->was_held)
            chore_due(engine, CHORE_RECONCILE, env_now(engine->env)); /* what became of it under another */
        if (host->was_held && !host->held)
            host_slot_drop(engine, host);
    }
    host_slots_dropped(engine);
    for (size_t cursor = 0; map_next(&engine->hosts, &cursor, &name, &value);)
        host_slot_requeue(engine, value);
    metric_set(METRIC_HOSTS_HELD, (int64_t)held);
    engine->node_count = engine->found->nodes;
}

void lease_sign(struct engine *engine, struct job *job, struct str host_id)
{
    const struct host_slot *host;
    bool here = true;

    if (engine->shared && !str_empty(host_id)) {
        pthread_mutex_lock(&engine->mutex);
        host = host_slot_get(engine, host_id, false);
        here = host && host->held;
        pthread_mutex_unlock(&engine->mutex);
    }
    job->holder = here ? engine->node : STR_NONE;
    job->epoch = here ? engine->epoch : 0;
}

int64_t engine_nodes(const struct engine *engine)
{
    return atomic_load_explicit(&engine->node_count, memory_order_relaxed);
}

int lease_check(struct tx *tx, const struct engine *engine, struct str host_id)
{
    return engine->shared && !str_empty(host_id) ? store_host_check(tx, host_id, engine->node, engine->epoch) : 0;
}

/* ── the end ── */

static int give_up(struct tx *tx, void *arg)
{
    const struct engine *engine = arg;
    struct host *hosts;
    size_t count;
    int r = store_host_list(tx, &hosts, &count);

    for (size_t i = 0; r >= 0 && i < count; i++)
        if (is_ours(engine, &hosts[i]))
            r = store_host_hold(tx, hosts[i].id, is_bound(engine, &hosts[i]) ? engine->node : STR_NONE, 0);
    return r < 0 ? r : store_node_end(tx, engine->node, engine->epoch);
}

void lease_give_up(struct engine *engine)
{
    if (!engine->shared || engine->fenced || engine->epoch == 0)
        return;
    if (store_write(engine->store, give_up, engine) < 0)
        log_warning("can't give back this node's hosts; others take them when its lease has run out", LOG_STR("node", engine->node));
}
