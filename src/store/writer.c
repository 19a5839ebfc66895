/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer: takes all that is queued, runs it in one transaction, and tells each caller after
 * COMMIT.
 *
 * There is no artificial delay: while one batch is being flushed, the next one forms. A single
 * write is flushed at once.
 *
 * A write that fails takes back its own rows. Nearly all that fail do so before they have changed anything, and a savepoint costs
 * a copy of each page that changes under it, an eighth of a stop. So a batch runs without them first; when a write has to be
 * undone after a change, the batch is rolled back and run again with savepoints, and so are the batches after it for a while: one after
 * the first of them, twice as many after each further one, one less for each batch that went well without. Who sends such calls on purpose
 * makes every CAREFUL_BATCHES-th batch run twice. With savepoints, the database sees one at a write's first change only.
 */
#include "base/metric.h"
#include "base/mutex.h"
#include "store/core.h"

#define CAREFUL_BATCHES 64
#define CONFLICTS_MAX 5 /* a batch that loses against others begins again so often */

/* What one batch may put on its arena before the rest of the queue waits for the next. */
#define BATCH_ARENA_BYTES ((size_t)16 << 20)
/* One write alone may pass it: RunInstances of 100 with all their rows stays far below this. */
#define BATCH_ARENA_LIMIT_BYTES ((size_t)256 << 20)

/* ── savepoints ── */

int tx_check(struct tx *tx, int result)
{
    if (result < 0 && tx->is_write && !tx->lost && !tx->db->ops->in_transaction(tx->db))
        tx->lost = result;
    return result;
}

static int lose(struct tx *tx, int result)
{
    if (result < 0 && !tx->lost)
        tx->lost = result;
    return result;
}

int tx_touch(struct tx *tx)
{
    size_t first = tx->depth;

    for (size_t i = 0; tx->bare && i < tx->depth; i++)
        tx->levels[i].bare = true;
    if (tx->bare)
        return tx->lost;
    while (first > 0 && !tx->levels[first - 1].open)
        first--;
    if (first == tx->depth)
        return tx->lost;
    int r = lose(tx, tx->db->ops->savepoint(tx->db, first));
    if (r < 0)
        return r;
    for (size_t i = first; i < tx->depth; i++) {
        tx->levels[i].open = true;
        tx->levels[i].savepoint = first;
    }
    return tx->lost;
}

static void level_push(struct tx *tx)
{
    assert(tx->is_write && tx->depth < TX_DEPTH_MAX);
    tx->levels[tx->depth++] = (struct level){
        .nonces = tx->nonce_count,
        .tally_steps = tx->tally_step_count,
        .hooks = tx->hook_count,
    };
}

static void undo_memory(struct tx *tx, const struct level *level)
{
    while (tx->nonce_count > level->nonces)
        nonce_set_remove(&tx->store->nonces, tx->nonces[--tx->nonce_count].digest);
    while (tx->tally_step_count > level->tally_steps) {
        const struct tally_step *step = &tx->tally_steps[--tx->tally_step_count];

        *step->slot -= step->by;
    }
    tx->hook_count = level->hooks;
    memset(tx->shadows, 0, sizeof(tx->shadows)); /* what they know may have been undone */
}

static void level_keep(struct tx *tx)
{
    assert(tx->depth > 0);
    struct level *level = &tx->levels[--tx->depth];

    if (level->open && level->savepoint == tx->depth && !tx->lost)
        (void)lose(tx, tx->db->ops->release(tx->db, tx->depth));
}

/* The savepoint is closed: levels that shared it get another at their next change. */
static void close_savepoint(struct tx *tx, size_t number)
{
    for (size_t i = number; i < tx->depth; i++)
        tx->levels[i].open = false;
}

static void level_undo(struct tx *tx)
{
    assert(tx->depth > 0);
    struct level *level = &tx->levels[--tx->depth];

    undo_memory(tx, level);
    if (level->bare && !tx->lost) {
        tx->repeat = true;
        tx->lost = -E_CONFLICT; /* nobody is told: the batch runs again */
    }
    if (!level->open || tx->lost)
        return;
    (void)lose(tx, tx->db->ops->rollback_to(tx->db, level->savepoint));
    close_savepoint(tx, level->savepoint);
}

void tx_savepoint(struct tx *tx)
{
    level_push(tx);
}

void tx_release(struct tx *tx)
{
    assert(tx->depth > 1); /* the outermost is the writer's */
    level_keep(tx);
}

void tx_rollback(struct tx *tx)
{
    assert(tx->depth > 1);
    level_undo(tx);
}

void tx_on_commit(struct tx *tx, void (*fn)(void *arg), void *arg)
{
    assert(tx->is_write && tx->active);
    struct hook hook = {fn, arg};

    arena_push(&tx->arena, tx->hooks, tx->hook_count, hook);
}

void tx_after_batch(struct tx *tx, void (*fn)(void *arg), void *arg)
{
    assert(tx->is_write && tx->active);
    struct hook hook = {fn, arg};

    for (size_t i = 0; i < tx->last_hook_count; i++)
        if (tx->last_hooks[i].fn == fn && tx->last_hooks[i].arg == arg)
            return;
    arena_push(&tx->arena, tx->last_hooks, tx->last_hook_count, hook);
}

/* ── a batch ── */

static void batch_begin(struct store *store)
{
    struct tx *tx = &store->writer;

    assert(!tx->active && tx->depth == 0);
    tx->active = true;
    tx->now = env_now(store->env);
    tx->lost = 0;
}

static void batch_end(struct store *store)
{
    struct tx *tx = &store->writer;

    map_done(&tx->tally_map);
    map_init(&tx->tally_map, store->seed);
    tx->hooks = NULL;
    tx->hook_count = 0;
    tx->last_hooks = NULL;
    tx->last_hook_count = 0;
    tx->nonces = NULL;
    tx->nonce_count = 0;
    tx->tally_steps = NULL;
    tx->tally_step_count = 0;
    tx->tally = NULL;
    tx->tally_count = 0;
    tx->tally_latest = NULL;
    tx->tenants_changed = false;
    ahead_forget(tx);
    memset(tx->shadows, 0, sizeof(tx->shadows));
    tx->active = false;
    arena_reset(&tx->arena);
}

static int run_one(struct tx *tx, struct write *write)
{
    level_push(tx);
    int r = write->run(tx, write);
    assert(tx->depth == 1); /* a savepoint of the write's own is still open */
    if (r < 0)
        level_undo(tx);
    else
        level_keep(tx);
    memset(tx->shadows, 0, sizeof(tx->shadows));
    return r;
}

/* Runs writes until the batch is full or lost; *ret_rest gets the first that was not run,
 * *ret_count how many were. */
static int run_all(struct tx *tx, struct write *list, struct write **ret_rest, size_t *ret_count)
{
    struct write *write = list;
    size_t count = 0;

    while (write && !tx->lost && tx->arena.used_bytes < BATCH_ARENA_BYTES) {
        write->result = run_one(tx, write);
        write = write->next;
        count++;
    }
    *ret_rest = write;
    *ret_count = count;
    return tx->lost;
}

/* Real time, whatever the clock of the daemon: it is the disk that is timed. */
static int64_t real_now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

static int finish(struct tx *tx)
{
    int r = tally_flush(tx);

    if (r == 0)
        r = nonce_flush(tx);
    if (r < 0)
        return r;
    if (tx->store->driver->shared)
        turn_end(tx);
    int64_t before = real_now_us();

    r = tx->db->ops->commit(tx->db);
    metric_observe(METRIC_COMMIT, real_now_us() - before);
    return r;
}

static void batch_undo(struct tx *tx)
{
    undo_memory(tx, &(struct level){0});
    tx->db->ops->rollback(tx->db);
}

static void batch_failed(struct tx *tx, struct write *list, const struct write *rest, int result)
{
    batch_undo(tx);
    for (struct write *write = list; write != rest; write = write->next)
        write->result = result;
    metric_add(METRIC_COMMITS_FAILED, 1);
}

static void run_hooks(const struct hook *hooks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hooks[i].fn(hooks[i].arg);
}

static void batch_stored(struct tx *tx)
{
    atomic_store(&tx->store->log_pages, tx->db->ops->log_pages(tx->db));
    atomic_fetch_add(&tx->store->commits, 1);
    if (tx->tenants_changed)
        tenants_moved(tx->store, tx->db->turn.tenants);
    metric_add(METRIC_COMMITS_OK, 1);
    run_hooks(tx->hooks, tx->hook_count);
}

static void tell(struct write *list, const struct write *rest)
{
    struct write *next;

    for (struct write *write = list; write != rest; write = next) {
        next = write->next; /* `done` may free the write, or queue it again */
        write->next = NULL;
        write->done(write, write->result);
    }
}

static bool all_repeat(const struct write *list)
{
    while (list && list->repeats)
        list = list->next;
    return !list;
}

/* A batch without savepoints is over. */
static void learn_care(struct store *store, bool repeated)
{
    if (repeated)
        store->careful = store->care = MIN_OF(MAX_OF(2 * store->care, 1), CAREFUL_BATCHES);
    else if (store->care > 0)
        store->care--;
}

/* May it be tried without savepoints? */
static bool is_bare(struct store *store, const struct write *list)
{
    if (store->careful > 0) {
        store->careful--;
        return false;
    }
    return all_repeat(list);
}

static int try_batch(struct tx *tx, struct write *list, struct write **ret_rest, size_t *ret_count)
{
    int r = tx->db->ops->begin(tx->db, true);

    *ret_rest = NULL;
    if (r == 0 && tx->store->driver->shared)
        r = turn_begin(tx, list);
    if (r == 0)
        r = run_all(tx, list, ret_rest, ret_count);
    return r < 0 ? r : finish(tx);
}

/* With savepoints: a write had to be undone, and could not be alone. */
static int repeat_batch(struct store *store, struct write *list, struct write **ret_rest, size_t *ret_count)
{
    struct tx *tx = &store->writer;

    batch_undo(tx);
    learn_care(store, true);
    tx->bare = false;
    tx->repeat = false;
    tx->lost = 0;
    return try_batch(tx, list, ret_rest, ret_count);
}

/* As often as the database asks for it: some let two transactions run at once, and one of them win. */
static int settle_batch(struct store *store, struct write *list, struct write **ret_rest, size_t *ret_count)
{
    struct tx *tx = &store->writer;
    int r = -E_AGAIN;

    for (int i = 0; r == -E_AGAIN && i <= CONFLICTS_MAX && (i == 0 || all_repeat(list)); i++) {
        if (i > 0)
            batch_undo(tx);
        tx->lost = 0;
        r = try_batch(tx, list, ret_rest, ret_count);
        if (tx->repeat || tx->db->doubt)
            r = repeat_batch(store, list, ret_rest, ret_count);
    }
    return r == -E_AGAIN ? -E_BUSY : r;
}

/* One transaction over the head of the list; returns what was left over. */
static struct write *run_batch(struct store *store, struct write *list, size_t *ret_count)
{
    struct tx *tx = &store->writer;
    struct write *rest;
    int r;

    batch_begin(store);
    tx->bare = is_bare(store, list);
    r = settle_batch(store, list, &rest, ret_count);
    if (tx->bare)
        learn_care(store, false);
    if (r < 0)
        batch_failed(tx, list, rest, r);
    else
        batch_stored(tx);
    metric_observe(METRIC_BATCH_WRITES, (int64_t)*ret_count);
    tell(list, rest);
    if (r == 0)
        run_hooks(tx->last_hooks, tx->last_hook_count);
    batch_end(store);
    return rest;
}

/* ── the queue ── */

int store_submit(struct store *store, struct write *write)
{
    int r = 0;

    assert(write->run && write->done);
    write->next = NULL;
    write->result = 0;
    pthread_mutex_lock(&store->queue_mutex);
    if (store->stopping || atomic_load(&store->queue_length) >= LIMIT_WRITE_QUEUE) {
        r = -E_BUSY;
    } else {
        if (store->queue_tail)
            store->queue_tail->next = write;
        else
            store->queue_head = write;
        store->queue_tail = write;
        if (atomic_fetch_add(&store->queue_length, 1) == 0)
            pthread_cond_signal(&store->queue_cond);
    }
    pthread_mutex_unlock(&store->queue_mutex);
    if (r < 0)
        metric_add(METRIC_WRITE_QUEUE_REFUSED, 1);
    return r;
}

size_t store_queue_length(const struct store *store)
{
    return atomic_load(&store->queue_length);
}

/* Takes the first LIMIT_BATCH_OPS; the caller holds queue_mutex. */
static struct write *take(struct store *store, size_t *ret_count)
{
    struct write *list = store->queue_head;
    struct write *last = list;
    size_t count = 1;

    if (!list)
        return NULL;
    for (; count < LIMIT_BATCH_OPS && last->next; count++)
        last = last->next;
    store->queue_head = last->next;
    if (!store->queue_head)
        store->queue_tail = NULL;
    last->next = NULL;
    metric_set(METRIC_WRITE_QUEUE,
               (int64_t)(atomic_fetch_sub(&store->queue_length, count) - count));
    *ret_count = count;
    return list;
}

static void put_back(struct store *store, struct write *list)
{
    struct write *last = list;
    size_t count = 1;

    for (; last->next; last = last->next)
        count++;
    pthread_mutex_lock(&store->queue_mutex);
    last->next = store->queue_head;
    store->queue_head = list;
    if (!store->queue_tail)
        store->queue_tail = last;
    atomic_fetch_add(&store->queue_length, count);
    pthread_mutex_unlock(&store->queue_mutex);
}

size_t store_run_once(struct store *store)
{
    struct write *rest = NULL;
    size_t count = 0;

    pthread_mutex_lock(&store->turn);
    pthread_mutex_lock(&store->queue_mutex);
    struct write *list = take(store, &count);
    pthread_mutex_unlock(&store->queue_mutex);
    if (list)
        rest = run_batch(store, list, &count);
    if (rest)
        put_back(store, rest);
    pthread_mutex_unlock(&store->turn);
    if (list)
        checkpoint_if_large(store);
    return count;
}

void *writer_thread(void *arg)
{
    struct store *store = arg;
    bool more = true;

    (void)pthread_setname_np(pthread_self(), "writer"); /* for people only */
    while (more) {
        pthread_mutex_lock(&store->queue_mutex);
        while (!store->queue_head && !store->stopping)
            pthread_cond_wait(&store->queue_cond, &store->queue_mutex);
        more = store->queue_head != NULL;
        pthread_mutex_unlock(&store->queue_mutex);
        if (more)
            (void)store_run_once(store); /* how many it was matters to tests only */
    }
    return NULL;
}

/* ── submit and wait ── */

struct waiting {
    struct write write;
    int (*run)(struct tx *tx, void *arg);
    void *arg;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool finished;
    int result;
};

static int waiting_run(struct tx *tx, struct write *write)
{
    struct waiting *w = container_of(write, struct waiting, write);

    return w->run(tx, w->arg);
}

static void waiting_done(struct write *write, int result)
{
    struct waiting *w = container_of(write, struct waiting, write);

    pthread_mutex_lock(&w->mutex);
    w->result = result;
    w->finished = true;
    pthread_cond_signal(
        &w->cond); /* under the mutex: the waiter's stack goes away when it sees `finished` */
    pthread_mutex_unlock(&w->mutex);
}

static bool is_finished(struct waiting *w)
{
    pthread_mutex_lock(&w->mutex);
    bool finished = w->finished;
    pthread_mutex_unlock(&w->mutex);
    return finished;
}

int store_write(struct store *store, int (*run)(struct tx *tx, void *arg), void *arg)
{
    struct waiting w = {
        .write = {.run = waiting_run, .done = waiting_done}, .run = run, .arg = arg};

    assert(!store->started || !pthread_equal(pthread_self(), store->writer_thread));
    pthread_mutex_init(&w.mutex, NULL);
    pthread_cond_init(&w.cond, NULL);
    int r = store_submit(store, &w.write);
    if (r == 0) {
        while (!store->started && !is_finished(&w))
            (void)store_run_once(
                store); /* another thread may have taken ours: then it is finished already */
        pthread_mutex_lock(&w.mutex);
        while (!w.finished)
            pthread_cond_wait(&w.cond, &w.mutex);
        pthread_mutex_unlock(&w.mutex);
        r = w.result;
    }
    pthread_cond_destroy(&w.cond);
    pthread_mutex_destroy(&w.mutex);
    return r;
}

/* ── set-up ── */

void writer_init(struct store *store)
{
    pthread_mutex_init(&store->turn, NULL);
    mutex_init_brief(&store->queue_mutex);
    pthread_cond_init(&store->queue_cond, NULL);
    arena_init(&store->writer.arena, BATCH_ARENA_LIMIT_BYTES);
    map_init(&store->writer.tally_map, store->seed);
    map_init(&store->writer.ahead, store->seed);
    nonce_set_init(&store->nonces, store->seed);
    store->writer.store = store;
    store->writer.is_write = true;
}

void writer_done(struct store *store)
{
    if (store->writer.db)
        store->writer.db = store->writer.db->ops->close(store->writer.db);
    map_done(&store->writer.tally_map);
    map_done(&store->writer.ahead);
    nonce_set_done(&store->nonces);
    arena_done(&store->writer.arena);
    pthread_cond_destroy(&store->queue_cond);
    pthread_mutex_destroy(&store->queue_mutex);
    pthread_mutex_destroy(&store->turn);
}
