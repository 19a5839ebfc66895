/* SPDX-License-Identifier: Apache-2.0 */
/* Errands in memory: who waits, who may run, who is told what. */
#include "engine/errand.h"

#include "base/bug.h"
#include "base/mem.h"
#include "engine/lease.h"

#define RECORD_RETRY (1 * USEC_PER_SEC) /* after the store refused */
#define CLAIM_PAGE 256                  /* tasks read at a time at the start */

void errands_init(struct engine *engine)
{
    map_init(&engine->errands, env_random_u64(engine->env));
    map_init(&engine->errand_instances, env_random_u64(engine->env));
    list_init(&engine->errand_hosts);
    engine->errand_timers = xcalloc(1, sizeof(*engine->errand_timers));
    engine->errand_limit = (size_t)MAX_OF(engine->options->engine_workers / 2, (int64_t)1);
}

static void errand_free(struct errand *errand)
{
    (void)xfree(errand->output);
    (void)xfree(errand);
}

void errands_free(struct engine *engine)
{
    struct str key;
    void *value;

    for (size_t cursor = 0; map_next(&engine->errands, &cursor, &key, &value);)
        errand_free(value);
    map_done(&engine->errands);
    map_done(&engine->errand_instances);
    timers_done(engine->errand_timers);
    engine->errand_timers = xfree(engine->errand_timers);
}

/* ── queues ── */

/* A host stands in the queue of hosts while it has errands and room for one. */
static void host_queue(struct engine *engine, struct host_slot *host)
{
    if (host->errands_queued || list_empty(&host->errands) || host->errand_running || !host->held || host->leaving)
        return;
    host->errands_queued = true;
    list_append(&engine->errand_hosts, &host->errand_link);
    if (errands_ready(engine))
        engine_call_worker(engine);
}

static void make_ready(struct engine *engine, struct errand *errand)
{
    timers_set(engine->errand_timers, &errand->timer, USEC_NEVER);
    errand->state = ACTIVE_READY;
    errand->woken = false;
    errand->ready_us = env_now(engine->env);
    list_append(&errand->host->errands, &errand->link);
    host_queue(engine, errand->host);
}

static void move_back(usec_t *time, usec_t by_us)
{
    if (*time != 0 && *time != USEC_NEVER)
        *time -= by_us;
}

/* The times inside an errand are its worker's: they follow when it is taken. */
static void times_back(struct engine *engine, struct errand *errand)
{
    usec_t by_us = engine->back_us - errand->back_us;

    if (by_us == 0)
        return;
    errand->back_us = engine->back_us;
    move_back(&errand->task.deliver_us, by_us);
    move_back(&errand->task.deadline_us, by_us);
    move_back(&errand->killed_us, by_us);
}

void errands_back(struct engine *engine, usec_t by_us)
{
    for (uint32_t i = 1; i <= engine->errand_timers->count; i++) /* all by the same: it stays a heap */
        move_back(&engine->errand_timers->heap[i]->due_us, by_us);
}

static void wake(struct engine *engine, struct errand *errand)
{
    if (errand->state == ACTIVE_WAITING)
        make_ready(engine, errand);
    else if (errand->state != ACTIVE_READY)
        errand->woken = true;
}

static void end(struct engine *engine, struct errand *errand);

static void wait_until(struct engine *engine, struct errand *errand, usec_t until_us)
{
    if (!errand->host->held) {
        end(engine, errand); /* another node has it */
        return;
    }
    if (errand->woken) {
        make_ready(engine, errand);
        return;
    }
    errand->state = ACTIVE_WAITING;
    move_back(&until_us, engine->back_us - errand->back_us);
    timers_set(engine->errand_timers, &errand->timer, until_us);
    engine_due(engine, until_us);
}

bool errands_ready(const struct engine *engine)
{
    return !list_empty(&engine->errand_hosts) && engine->errands_running < engine->errand_limit;
}

usec_t errands_ready_since(const struct engine *engine)
{
    const struct host_slot *host = list_item(engine->errand_hosts.next, struct host_slot, errand_link);

    return list_item(host->errands.next, struct errand, link)->ready_us;
}

usec_t errands_tick(struct engine *engine, usec_t now)
{
    const struct timer *first;

    while ((first = timers_first(engine->errand_timers)) != NULL && first->due_us <= now)
        make_ready(engine, container_of(first, struct errand, timer));
    return first ? first->due_us : USEC_NEVER;
}

struct errand *errand_take(struct engine *engine)
{
    struct host_slot *host;
    struct errand *errand;

    if (!errands_ready(engine))
        return NULL;
    host = list_item(engine->errand_hosts.next, struct host_slot, errand_link);
    list_remove(&host->errand_link);
    host->errands_queued = false;
    assert(!list_empty(&host->errands) && !host->errand_running);
    errand = list_item(host->errands.next, struct errand, link);
    list_remove(&errand->link);
    host->errand_running = true;
    engine->errands_running++;
    assert(errand->state == ACTIVE_READY);
    errand->state = ACTIVE_RUNNING;
    errand->woken = false;
    errand->stopping = errand->stop_asked;
    times_back(engine, errand);
    return errand;
}

static void leave(struct engine *engine, struct errand *errand)
{
    struct host_slot *host = errand->host;

    assert(host->errand_running && engine->errands_running > 0);
    host->errand_running = false;
    engine->errands_running--;
    host_queue(engine, host);
    if (errand->moved)
        errand->host = errand->moved;
    errand->moved = NULL;
    if (errands_ready(engine))
        engine_call_worker(engine);
}

/* ── the table ── */

static void mates_add(struct engine *engine, struct errand *errand)
{
    struct errand *first = map_get(&engine->errand_instances, errand->task.instance_id);

    list_init(&errand->mates);
    if (first)
        list_append(&first->mates, &errand->mates);
    else
        (void)map_put(&engine->errand_instances, errand->task.instance_id, errand);
}

/* The key of the table is the text of the one that stands in it. */
static void mates_remove(struct engine *engine, struct errand *errand)
{
    struct errand *next = list_empty(&errand->mates) ? NULL : list_item(errand->mates.next, struct errand, mates);
    bool stands = map_get(&engine->errand_instances, errand->task.instance_id) == errand;

    list_remove(&errand->mates);
    if (!stands)
        return;
    (void)map_take(&engine->errand_instances, errand->task.instance_id);
    if (next)
        (void)map_put(&engine->errand_instances, next->task.instance_id, next);
}

static void end(struct engine *engine, struct errand *errand)
{
    timers_set(engine->errand_timers, &errand->timer, USEC_NEVER);
    list_remove(&errand->link);
    mates_remove(engine, errand);
    (void)map_take(&engine->errands, errand->task.id);
    metric_add(METRIC_COMMANDS_ACTIVE, -1);
    errand_free(errand);
}

static struct str text_take(char **next, struct str s)
{
    struct str copy = {*next, s.len};

    if (s.len)
        memcpy(*next, s.ptr, s.len);
    *next += s.len + 1;
    return copy;
}

static struct errand *errand_new(struct engine *engine, const struct invocation_task *task)
{
    size_t text_bytes = task->id.len + task->invocation_id.len + task->instance_id.len + 3;
    struct errand *errand = xcalloc(1, sizeof(*errand) + text_bytes);
    char *next = errand->text;

    errand->engine = engine;
    errand->task = *task;
    errand->task.id = text_take(&next, task->id);
    errand->task.invocation_id = text_take(&next, task->invocation_id);
    errand->task.instance_id = text_take(&next, task->instance_id);
    /* The others are read from the row where they are needed. */
    errand->task.command_id = STR_NONE;
    errand->task.account_id = STR_NONE;
    errand->task.region_id = STR_NONE;
    errand->task.output = STR_NONE;
    errand->task.error_info = STR_NONE;
    if (task->started_us == 0)
        errand->step = ERRAND_DELIVER;
    else
        errand->step = task->pid != 0 ? ERRAND_POLL : ERRAND_LOST;
    errand->stop_asked = task->stopped_us != 0;
    list_init(&errand->link);
    return errand;
}

/* The clock may have been set back since the task was made: nothing of it comes later than it could from now. */
static void bound_times(const struct engine *engine, struct invocation_task *task, usec_t now)
{
    task->deliver_us = MIN_OF(task->deliver_us, now + engine->options->command_delivery_s * USEC_PER_SEC);
    task->deadline_us = MIN_OF(task->deadline_us, now + task->timeout_s * USEC_PER_SEC);
}

void errand_adopt(struct engine *engine, const struct invocation_task *task, struct str host_id)
{
    struct errand *errand;

    pthread_mutex_lock(&engine->mutex);
    errand = map_get(&engine->errands, task->id);
    if (errand && task->stopped_us != 0 && !errand->stop_asked) { /* at another node */
        errand->stop_asked = true;
        wake(engine, errand);
    }
    if (!errand && host_slot_get(engine, host_id, true)->held) {
        errand = errand_new(engine, task);
        bound_times(engine, &errand->task, engine_clock(engine));
        errand->back_us = engine->back_us;
        errand->host = host_slot_get(engine, host_id, true);
        if (!errand->host->present && !str_empty(host_id))
            chore_due(engine, CHORE_HOSTS, 0); /* a host of whose arrival nobody has told us */
        (void)map_put(&engine->errands, errand->task.id, errand);
        mates_add(engine, errand);
        metric_add(METRIC_COMMANDS_ACTIVE, 1);
        make_ready(engine, errand);
    }
    pthread_mutex_unlock(&engine->mutex);
}

void errand_wake_instance(struct engine *engine, struct str instance_id)
{
    struct errand *first = map_get(&engine->errand_instances, instance_id);

    if (!first)
        return;
    wake(engine, first);
    list_for_each (node, &first->mates)
        wake(engine, list_item(node, struct errand, mates));
}

void errands_drop(struct engine *engine)
{
    struct errand **idle = xcalloc(engine->errands.count + 1, sizeof(struct errand *));
    size_t count = 0;
    struct str key;
    void *value;

    for (size_t cursor = 0; map_next(&engine->errands, &cursor, &key, &value);) {
        struct errand *errand = value;

        if (errand->host->dropped && (errand->state == ACTIVE_WAITING || errand->state == ACTIVE_READY))
            idle[count++] = errand;
    }
    for (size_t i = 0; i < count; i++)
        end(engine, idle[i]);
    (void)xfree(idle);
}

void errands_requeue(struct engine *engine, struct host_slot *host)
{
    list_remove(&host->errand_link);
    host->errands_queued = false;
    host_queue(engine, host);
}

/* ── records ── */

static int record_run(struct tx *tx, struct write *write)
{
    struct errand *errand = container_of(write, struct errand, write);

    int r = lease_check(tx, errand->engine, errand->host->id);

    if (r < 0)
        return r == -E_FENCED ? -E_CONFLICT : r; /* another node has it, and what became of it is its to say */
    return errand->apply(tx, errand);
}

static void record_done(struct write *write, int result)
{
    struct errand *errand = container_of(write, struct errand, write);
    struct engine *engine = errand->engine;

    pthread_mutex_lock(&engine->mutex);
    assert(errand->state == ACTIVE_RECORDING);
    if (result == -E_CONFLICT || result == -E_NOT_FOUND || (result >= 0 && errand->apply == errand_record_end)) {
        end(engine, errand);
    } else if (result < 0) {
        wait_until(engine, errand, env_now(engine->env) + RECORD_RETRY); /* and the same record again */
    } else if (!errand->host->held) {
        end(engine, errand);
    } else {
        errand->apply = NULL;
        errand->step = errand->next;
        make_ready(engine, errand);
    }
    pthread_mutex_unlock(&engine->mutex);
}

void errand_after(struct errand_run *run)
{
    struct engine *engine = run->engine;
    struct errand *errand = run->errand;
    bool records = errand->apply != NULL;
    int r;

    pthread_mutex_lock(&engine->mutex);
    leave(engine, errand);
    if (records)
        errand->state = ACTIVE_RECORDING;
    else if (run->ended)
        end(engine, errand);
    else
        wait_until(engine, errand, run->wake_us);
    pthread_mutex_unlock(&engine->mutex);
    if (!records)
        return;
    errand->write = (struct write){.run = record_run, .done = record_done, .repeats = true};
    r = store_submit(engine->store, &errand->write);
    if (r < 0)
        record_done(&errand->write, r);
}

/* ── orders: from actions, inside their transactions ── */

struct errand_order {
    struct engine *engine;
    struct invocation_task task;
    struct str host_id;
};

static void order_committed(void *arg)
{
    struct errand_order *order = arg;

    errand_adopt(order->engine, &order->task, order->host_id);
}

static void stop_committed(void *arg)
{
    struct errand_order *order = arg;
    struct engine *engine = order->engine;
    struct errand *errand;

    pthread_mutex_lock(&engine->mutex);
    errand = map_get(&engine->errands, order->task.id);
    if (errand) {
        errand->stop_asked = true;
        wake(engine, errand);
    }
    pthread_mutex_unlock(&engine->mutex);
}

static struct errand_order *order_new(struct engine *engine, struct tx *tx, const struct invocation_task *task)
{
    struct errand_order *order = arena_new(tx_arena(tx), struct errand_order);

    *order = (struct errand_order){.engine = engine, .task = *task};
    /* What the caller gave may live shorter than the transaction. */
    order->task.id = arena_str(tx_arena(tx), task->id);
    order->task.invocation_id = arena_str(tx_arena(tx), task->invocation_id);
    order->task.instance_id = arena_str(tx_arena(tx), task->instance_id);
    return order;
}

void engine_order_task(struct engine *engine, struct tx *tx, const struct invocation_task *task, struct str host_id)
{
    struct errand_order *order = order_new(engine, tx, task);

    order->host_id = arena_str(tx_arena(tx), host_id);
    if (!BUG(command_forgotten))
        tx_on_commit(tx, order_committed, order);
}

int engine_order_task_stop(struct engine *engine, struct tx *tx, struct invocation_task *task)
{
    int r;

    if (task_is_finished(task->status) || task->status == TASK_STATUS_STOPPING)
        return 0;
    task->stopped_us = tx_now(tx);
    task->updated_us = tx_now(tx);
    task->status = task->started_us != 0 ? TASK_STATUS_STOPPING : TASK_STATUS_CANCELLED;
    if (task->started_us == 0)
        task->finished_us = tx_now(tx);
    r = store_task_save(tx, task);
    if (r < 0)
        return r;
    tx_on_commit(tx, stop_committed, order_new(engine, tx, task));
    return 0;
}

/* ── at the start: tasks that a run before this one left ── */

static int claim_page(struct tx *tx, struct engine *engine, struct str after, struct task_list *ret)
{
    struct instance *inst;
    int r = store_task_unfinished(tx, after, CLAIM_PAGE, ret);

    for (size_t i = 0; r >= 0 && i < ret->count; i++) {
        struct str host_id = STR_NONE;

        r = store_instance_get_hot(tx, ret->items[i].instance_id, &inst);
        if (r >= 0)
            host_id = inst->host_id;
        else if (r == -E_NOT_FOUND)
            r = 0; /* the errand finds that out by itself */
        if (r >= 0)
            errand_adopt(engine, &ret->items[i], host_id);
    }
    return r;
}

int errands_claim(struct engine *engine, struct arena *arena)
{
    struct task_list page = {.count = CLAIM_PAGE};
    struct str after = STR_NONE;
    int r = 0;

    while (r >= 0 && page.count == CLAIM_PAGE) {
        struct tx *tx = store_read_begin(engine->store);

        r = claim_page(tx, engine, after, &page);
        if (r >= 0 && page.count > 0)
            after = arena_str(arena, page.items[page.count - 1].id);
        store_read_end(tx);
    }
    return r;
}
