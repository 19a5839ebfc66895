/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves the write-ahead log into the database file on a thread and a connection of its own, so that
 * commits don't wait.
 *
 * Every checkpoint_ms what can be moved is moved (PASSIVE). Under steady writes the log never gets
 * all moved that way and would grow for ever: over LOG_RESTART_PAGES the rest is moved while the
 * writer waits for some milliseconds, and the log starts over in the same file (blocks that exist
 * are flushed three times as fast as new ones: measured). The file is emptied when it has become
 * very large, and when there was no commit for IDLE_TICKS.
 */
#include <time.h>

#include "base/metric.h"
#include "store/core.h"

#define LOG_RESTART_PAGES ((int64_t)64 << 8)   /* 64 MiB of 4 KiB pages */
#define LOG_TRUNCATE_PAGES ((int64_t)256 << 8) /* 256 MiB: give the blocks back, too */
#define IDLE_TICKS 50                          /* 10 s with the default store.checkpoint_ms */

static int run(struct store *store, struct db *db, enum db_checkpoint mode)
{
    int r = db->ops->checkpoint(db, mode);

    /* -E_BUSY: somebody still reads an old part of the log; the next tick tries again. */
    metric_add(r == 0 || r == -E_BUSY ? METRIC_CHECKPOINTS_OK : METRIC_CHECKPOINTS_FAILED, 1);
    if (r == 0 && mode != DB_CHECKPOINT_PASSIVE) /* the log starts over */
        atomic_store(&store->log_pages, 0);
    metric_set(METRIC_WAL_PAGES, atomic_load(&store->log_pages));
    return r;
}

struct ticker {
    int_fast64_t commits; /* at the latest tick */
    int idle_ticks;       /* since then */
    bool moved;           /* all of the log, since the latest commit */
};

static void tick(struct store *store, struct ticker *ticker)
{
    int_fast64_t commits = atomic_load(&store->commits);
    int64_t pages = atomic_load(&store->log_pages);

    if (commits != ticker->commits)
        *ticker = (struct ticker){.commits = commits};
    else
        ticker->idle_ticks++;
    if (pages == 0)
        return;
    if (ticker->idle_ticks >= IDLE_TICKS) {
        (void)run(store, store->checkpoint_db,
                  DB_CHECKPOINT_TRUNCATE); /* counted; the next tick tries again */
        return;
    }
    if (!ticker->moved)
        ticker->moved = run(store, store->checkpoint_db, DB_CHECKPOINT_PASSIVE) == 0;
    if (pages > LOG_TRUNCATE_PAGES)
        (void)run(store, store->checkpoint_db, DB_CHECKPOINT_TRUNCATE);
    else if (pages > LOG_RESTART_PAGES)
        (void)run(store, store->checkpoint_db, DB_CHECKPOINT_RESTART);
}

/* The disk works in real time, also under a virtual clock: no env here. */
static struct timespec deadline_after(int64_t ms)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at); /* cannot fail with this clock */
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

void *checkpoint_thread(void *arg)
{
    struct store *store = arg;
    struct ticker ticker = {.commits = -1};

    (void)pthread_setname_np(pthread_self(), "checkpoint"); /* for people only */
    pthread_mutex_lock(&store->checkpoint_mutex);
    while (!store->checkpoint_stop) {
        struct timespec until = deadline_after(store->checkpoint_ms);

        while (!store->checkpoint_stop &&
               pthread_cond_timedwait(&store->checkpoint_cond, &store->checkpoint_mutex, &until) ==
                   0)
            ;
        if (store->checkpoint_stop)
            break;
        pthread_mutex_unlock(&store->checkpoint_mutex);
        tick(store, &ticker);
        pthread_mutex_lock(&store->checkpoint_mutex);
    }
    pthread_mutex_unlock(&store->checkpoint_mutex);
    return NULL;
}

/* Without the thread (simulation, tests) whoever ran a batch keeps the log short. */
void checkpoint_if_large(struct store *store)
{
    if (store->checkpointing || atomic_load(&store->log_pages) <= LOG_RESTART_PAGES)
        return;
    pthread_mutex_lock(&store->turn);
    (void)run(store, store->writer.db,
              DB_CHECKPOINT_RESTART); /* counted; the next batch tries again */
    pthread_mutex_unlock(&store->turn);
}
