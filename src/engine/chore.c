/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular work: the lease, taking over jobs, removing what is past its time, automatic release, the end of
 * subscriptions, the table of hosts.
 * Each is one bounded write, or one bounded piece of work, at a time.
 */
#include "base/bug.h"
#include "base/mem.h"
#include "engine/lease.h"

#define CLAIM_LIMIT 256   /* jobs taken over in one write */
#define RELEASE_LIMIT 100 /* instances released, and as many stopped, in one write */
#define PURGE_LIMIT 2048  /* rows of one kind removed in one write: some milliseconds */
#define PURGE_INVOCATIONS 64 /* each has up to a hundred results */
#define EXPIRED_KEY_KEEP (24 * USEC_PER_HOUR) /* until then who uses one hears that it has expired, not that it never was */
#define PURGE_EVERY (1 * USEC_PER_SEC)
#define PURGE_AGAIN (50 * USEC_PER_MSEC) /* while calls come by the thousand: rows must go as fast as they come */
#define PURGE_BUSY 50                    /* that many jobs since the latest purge */
#define HOSTS_EVERY (5 * USEC_PER_SEC)    /* hosts that nobody talks to are asked whether they are there */
#define CHORE_RETRY (1 * USEC_PER_SEC)   /* after the store refused */
#define PICK_UP_EVERY (50 * USEC_PER_MSEC) /* what a job waits that was ordered at another node: half of it, mostly */
#define ERRANDS_EVERY (500 * USEC_PER_MSEC) /* the same for commands */

static void next_time(struct engine *engine, enum chore_id id, usec_t in_us)
{
    usec_t now = env_now(engine->env);

    pthread_mutex_lock(&engine->mutex);
    chore_due(engine, id, now + in_us);
    pthread_mutex_unlock(&engine->mutex);
}

/* ── the lease of this node ── */


static void lease_done(struct engine *engine, int result)
{
    pthread_mutex_lock(&engine->mutex);
    if (result == -E_FENCED && !engine->fenced)
        log_error("another process has taken over this node; this one carries out nothing more",
                  LOG_STR("node", engine->node), LOG_NUM("epoch", engine->epoch));
    if (result == -E_FENCED)
        engine->fenced = true;
    engine->lease_error = result < 0 ? -result : 0;
    if (result >= 0) {
        if (engine->shared)
            lease_settle(engine);
        engine->lease_until_us = engine->lease_asked_us;
        engine->commits_failed = metric_get(METRIC_COMMITS_FAILED);
    }
    pthread_cond_broadcast(&engine->work);
    pthread_mutex_unlock(&engine->mutex);
    next_time(engine, CHORE_LEASE, result >= 0 ? lease_us(engine) / 3 : CHORE_RETRY);
}

static int take_node(struct tx *tx, void *arg)
{
    struct engine *engine = arg;

    engine->lease_asked_us = tx_now(tx) + lease_us(engine);
    return store_node_take(tx, engine->node, engine->lease_asked_us, &engine->epoch);
}

int engine_take_node(struct engine *engine, struct fail *fail)
{
    int r;

    r = store_write(engine->store, take_node, engine);
    if (r < 0)
        return fail_text(fail, (enum error_code)-r, "can't take the lease of node %.*s in the store",
                         STR_ARG(engine->node));
    engine->lease_until_us = engine->lease_asked_us;
    engine->commits_failed = metric_get(METRIC_COMMITS_FAILED);
    return 0;
}

/* ── jobs without a living holder ── */

/* A deadline that no order of now could have: the clock was set back while nobody ran. It comes no later for that. */
static int claim_deadline(struct tx *tx, const struct engine *engine, struct job *job)
{
    usec_t latest = tx_now(tx) + order_patience_us(engine, job->kind);

    if (BUG(deadline_reset) && job->kind == JOB_KIND_STOP)
        job->deadline_us = USEC_NEVER - 1;
    if (job->deadline_us == USEC_NEVER || job->deadline_us <= latest)
        return 0;
    job->deadline_us = latest;
    return store_job_save(tx, job);
}

static int claim_apply(struct tx *tx, struct engine *engine)
{
    struct job_list jobs = {0};
    int r;

    if (engine->shared)
        r = store_job_pick(tx, engine->node, engine->epoch, engine->claim_after, CLAIM_LIMIT, &jobs);
    else
        r = store_job_claim(tx, engine->node, engine->epoch, tx_now(tx), engine->claim_after, CLAIM_LIMIT, &jobs);
    if (r < 0)
        return r;
    for (size_t i = 0; i < jobs.count; i++) {
        struct str host_id = STR_NONE;
        struct instance *inst;

        r = store_instance_get_hot(tx, jobs.items[i].instance_id, &inst);
        if (r >= 0)
            host_id = inst->host_id;
        else if (r != -E_NOT_FOUND)
            return r;
        r = claim_deadline(tx, engine, &jobs.items[i]);
        if (r < 0)
            return r;
        if (!BUG(job_dropped) || i % 2 == 0)
            engine_hand_over(engine, tx, &jobs.items[i], host_id);
    }
    engine->claimed = jobs.count;
    engine->claimed_last = jobs.count > 0 ? jobs.items[jobs.count - 1].id : 0;
    return 0;
}

static void claim_done(struct engine *engine, int result)
{
    bool more = result >= 0 && engine->claimed == CLAIM_LIMIT;
    bool again = more || engine->claim_after != 0; /* once more from the start: what was poked meanwhile */

    /* The next write goes on behind those that were taken: looking at them again would cost the square of their number. */
    engine->claim_after = more ? engine->claimed_last : 0;
    if (result >= 0 && engine->claimed > 0) {
        metric_add(METRIC_JOB_TAKEOVERS, (int64_t)engine->claimed);
        log_notice("unfinished jobs taken up", LOG_NUM("count", engine->claimed));
    }
    if (result >= 0 && engine->claimed < CLAIM_LIMIT) {
        pthread_mutex_lock(&engine->mutex);
        engine->recovered = true;
        pthread_mutex_unlock(&engine->mutex);
    }
    if (result < 0)
        next_time(engine, CHORE_CLAIM, CHORE_RETRY);
    else
        next_time(engine, CHORE_CLAIM, again ? 0 : lease_us(engine));
}

/*
 * Where other nodes write, too: is there anything for us? One small question as long as nobody has written, and no write is made for
 * nothing.
 */
static void pick_up_work(struct engine *engine, struct arena *arena)
{
    struct store_news news = {0};
    bool waits = false;
    struct tx *tx;

    (void)arena;
    if (store_look(engine->store, &news) >= 0 && (news.number == 0 || news.number != engine->looked_number)) {
        tx = store_read_begin(engine->store);
        if (store_job_waits(tx, engine->node, engine->epoch, &waits) >= 0)
            engine->looked_number = news.number; /* what was read is at least as new */
        store_read_end(tx);
    }
    if (waits)
        next_time(engine, CHORE_CLAIM, 0);
    next_time(engine, CHORE_PICK_UP, PICK_UP_EVERY);
}

/* ── what is past its time ── */

static int expire_apply(struct tx *tx, struct engine *engine)
{
    const struct options *options = engine->options;
    usec_t now = tx_now(tx);
    int r;

    r = store_job_purge(tx, now - options->engine_job_keep_s * USEC_PER_SEC, PURGE_LIMIT);
    if (r >= 0)
        r = store_nonce_purge(tx, now, PURGE_LIMIT);
    if (r >= 0)
        r = store_token_purge(tx, now, PURGE_LIMIT);
    if (r >= 0)
        r = store_key_purge(tx, now - EXPIRED_KEY_KEEP, PURGE_LIMIT);
    if (r >= 0)
        r = store_event_purge(tx, now - options->event_keep_s * USEC_PER_SEC, PURGE_LIMIT);
    if (r >= 0)
        r = store_invocation_purge(tx, now - options->command_keep_s * USEC_PER_SEC, PURGE_INVOCATIONS);
    return r;
}

static void expire_done(struct engine *engine, int result)
{
    usec_t in = PURGE_EVERY;

    pthread_mutex_lock(&engine->mutex);
    if (result < 0)
        in = CHORE_RETRY;
    else if (engine->adopted - engine->adopted_before > PURGE_BUSY)
        in = PURGE_AGAIN;
    engine->adopted_before = engine->adopted;
    pthread_mutex_unlock(&engine->mutex);
    next_time(engine, CHORE_EXPIRE, in);
}

/* ── automatic release, the end of subscriptions ── */

static int release_one(struct tx *tx, struct engine *engine, struct instance *inst)
{
    struct order order = {.actor = STR("engine"), .reason = STOP_REASON_RELEASE};
    struct fail fail;

    fail_init(&fail, tx_arena(tx));
    /* On its way to another state: the next look finds it again. */
    if ((inst->state != INSTANCE_STATE_STOPPED && inst->state != INSTANCE_STATE_RUNNING) || inst->job_id != 0)
        return 0;
    return engine_order_delete(engine, tx, inst, true, &order, &fail);
}

/* From now on the API refuses it, and a running one is asked to shut down. */
static int expire_one(struct tx *tx, struct engine *engine, struct instance *inst)
{
    struct order order = {.actor = STR("engine"), .reason = STOP_REASON_EXPIRED};
    struct stop_order stop = {.stopped_mode = STOPPED_MODE_KEEP_CHARGING};
    struct change change = {.reason = STR("locked: financial, the subscription has expired"), .actor = order.actor};
    bool running = inst->state == INSTANCE_STATE_RUNNING;
    struct fail fail;
    int r;

    fail_init(&fail, tx_arena(tx));
    if (!running && inst->state != INSTANCE_STATE_STOPPED)
        return 0; /* on its way: the next look finds it again */
    inst->locks |= INT64_C(1) << LOCK_REASON_FINANCIAL;
    r = running ? engine_order_stop(engine, tx, inst, &stop, &order, &fail) : store_instance_save(tx, inst);
    if (r >= 0)
        r = record_event(tx, EVENT_KIND_LOCK, inst->account_id, inst->id, &change);
    if (r >= 0 && running)
        r = record_system_event(tx, inst, "InstanceExpiration.Stop", "The subscription has expired; the instance is stopped.");
    return r;
}

static int release_apply(struct tx *tx, struct engine *engine)
{
    struct instance_list list = {0};
    usec_t next_expiry = USEC_NEVER;
    int r;

    r = store_instance_release_due(tx, tx_now(tx), RELEASE_LIMIT, &list);
    for (size_t i = 0; r >= 0 && i < list.count; i++)
        r = release_one(tx, engine, &list.items[i]);
    if (r >= 0)
        r = store_instance_expiry_due(tx, tx_now(tx), RELEASE_LIMIT, &list);
    for (size_t i = 0; r >= 0 && i < list.count; i++)
        r = expire_one(tx, engine, &list.items[i]);
    if (r >= 0)
        r = store_instance_next_expiry(tx, &next_expiry);
    if (r >= 0)
        r = store_instance_next_release(tx, &engine->release_next_us);
    if (r >= 0)
        engine->release_next_us = MIN_OF(engine->release_next_us, next_expiry);
    return r;
}

static void release_done(struct engine *engine, int result)
{
    usec_t soonest = env_now(engine->env) + CHORE_RETRY;

    if (engine->shared) /* what other nodes changed, and then died, tells nobody */
        engine->release_next_us = MIN_OF(engine->release_next_us, soonest + lease_us(engine));
    if (result >= 0 && engine->release_next_us == USEC_NEVER)
        return; /* engine_release_changed wakes it */
    pthread_mutex_lock(&engine->mutex);
    chore_due(engine, CHORE_RELEASE, result < 0 ? soonest : MAX_OF(engine->release_next_us, soonest));
    pthread_mutex_unlock(&engine->mutex);
}

static void release_changed(void *arg)
{
    next_time(arg, CHORE_RELEASE, 0);
}

void engine_release_changed(struct engine *engine, struct tx *tx)
{
    tx_on_commit(tx, release_changed, engine);
}

/* ── hosts ── */

static void note_host(struct engine *engine, const struct host *row)
{
    struct host_slot *host = host_slot_get(engine, row->id, true);

    host->present = !lease_is_foreign(engine, row);
    host->state = row->state;
    if (host->url_text && str_eq(str_from(host->url_text), row->url))
        return;
    host->url_text = xfree(host->url_text);
    host->url_text = xcalloc(row->url.len + 1, 1);
    if (row->url.len)
        memcpy(host->url_text, row->url.ptr, row->url.len);
    host->added = false;
}

/* The table of hosts as it is in the store. */
static int note_hosts(struct engine *engine)
{
    struct tx *tx = store_read_begin(engine->store);
    struct host *hosts;
    struct str key;
    size_t count;
    void *value;
    int r;

    r = store_host_list(tx, &hosts, &count);
    if (r >= 0) {
        pthread_mutex_lock(&engine->mutex);
        for (size_t cursor = 0; map_next(&engine->hosts, &cursor, &key, &value);)
            ((struct host_slot *)value)->present = false;
        for (size_t i = 0; i < count; i++)
            note_host(engine, &hosts[i]);
        pthread_mutex_unlock(&engine->mutex);
    }
    store_read_end(tx);
    return r;
}

/* Slots live as long as the engine, so that they can be used without the mutex; only this chore changes `added`. */
static bool settle_host(struct engine *engine, struct arena *arena, struct host_slot *host)
{
    struct hypervisor *hv = engine->hypervisor;
    struct fail fail;
    int r;

    if (host->present == host->added)
        return true;
    fail_init(&fail, arena);
    if (host->present)
        r = hv->ops->host_add(hv, host->id, str_from(host->url_text), &fail);
    else
        r = hv->ops->host_remove(hv, host->id);
    if (r < 0) {
        log_warning("the hypervisor refuses a host; will be tried again", LOG_STR("host", host->id),
                    LOG_TEXT("url", host->url_text), LOG_STR("error", fail.message));
        return false;
    }
    pthread_mutex_lock(&engine->mutex);
    host->added = host->present;
    pthread_mutex_unlock(&engine->mutex);
    return true;
}

/* Any question will do: the answer to this one is short. What waited for the host goes on. */
static bool answers(struct engine *engine, const struct host_slot *host)
{
    struct hypervisor *hv = engine->hypervisor;
    struct machine_status status;

    return hv->ops->probe(hv, host->id, STR("-"), &status) >= 0;
}

static void hosts_work(struct engine *engine, struct arena *arena)
{
    struct host_slot **hosts = NULL;
    size_t count = 0;
    struct str key;
    void *value;

    (void)note_hosts(engine); /* what can't be read now is read the next time */
    pthread_mutex_lock(&engine->mutex);
    for (size_t cursor = 0; map_next(&engine->hosts, &cursor, &key, &value);)
        arena_push(arena, hosts, count, (struct host_slot *)value);
    pthread_mutex_unlock(&engine->mutex);
    for (size_t i = 0; i < count; i++) {
        bool well = settle_host(engine, arena, hosts[i]) && (!hosts[i]->added || answers(engine, hosts[i]));

        pthread_mutex_lock(&engine->mutex);
        if (well)
            host_slot_unblock(engine, hosts[i]);
        else
            host_slot_heard(engine, hosts[i], false);
        pthread_mutex_unlock(&engine->mutex);
    }
    next_time(engine, CHORE_HOSTS, HOSTS_EVERY);
}

static void host_changed(void *arg)
{
    struct engine *engine = arg;

    next_time(engine, CHORE_HOSTS, 0);
    if (engine->shared)
        next_time(engine, CHORE_LEASE, 0); /* a new one is driven at once */
}

void engine_host_changed(struct engine *engine, struct tx *tx, struct str host_id)
{
    (void)host_id; /* the whole table is read again: it is short, and one row more may have changed */
    tx_on_commit(tx, host_changed, engine);
}

/* ── commands that a run before this one left, or that other nodes ordered ── */

static void errands_work(struct engine *engine, struct arena *arena)
{
    if (errands_claim(engine, arena) < 0)
        next_time(engine, CHORE_ERRANDS, CHORE_RETRY); /* those that are here already stay */
    else if (engine->shared)
        next_time(engine, CHORE_ERRANDS, ERRANDS_EVERY);
}

const struct chore_row chore_rows[CHORE_COUNT] = {
    [CHORE_LEASE] = {"lease", .apply = lease_renew, .done = lease_done},
    [CHORE_PICK_UP] = {"pick up", .work = pick_up_work},
    [CHORE_CLAIM] = {"claim", .apply = claim_apply, .done = claim_done},
    [CHORE_EXPIRE] = {"expire", .apply = expire_apply, .done = expire_done},
    [CHORE_RELEASE] = {"release", .apply = release_apply, .done = release_done},
    [CHORE_HOSTS] = {"hosts", .work = hosts_work},
    [CHORE_RECONCILE] = {"reconcile", .work = reconcile_work},
    [CHORE_ERRANDS] = {"errands", .work = errands_work},
};
