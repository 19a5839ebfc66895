/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this ring share: the store, a transaction, and how the writer undoes what is
 * not in the database. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "base/map.h"
#include "store/db.h"
#include "store/nonce.h"
#include "store/rows.h"

#define TX_DEPTH_MAX                                                                               \
    8 /* savepoints inside each other; batch actions use one beside the write's own */
#define TX_SHADOWS 16        /* instances whose stored state a write remembers */
#define STORE_READERS_MAX 64 /* reading transactions at a time; more wait */

/* Counts of instances; how much this batch adds to each. */
struct tally_entry {
    struct str account_id;
    struct str region_id;
    int64_t added[INSTANCE_STATE_COUNT];
};

struct tally_step {
    int64_t *slot;
    int64_t by;
};

/* A nonce that waits for the end of the batch: rows go in sorted, and a refused call leaves none
 * behind. */
struct nonce_row {
    usec_t stamp_us;
    usec_t expires_us;
    uint8_t digest[NONCE_DIGEST_BYTES];
};

struct hook {
    void (*fn)(void *arg);
    void *arg;
};

/* What is stored of an instance that this write has read or written: the tally needs the state from
 * before. */
struct shadow {
    struct str id;
    int64_t version;
    int state;
};

/* Read at the batch's start, of an instance that one of its writes is about. */
struct ahead {
    struct instance inst;    /* the hot columns */
    usec_t segment_start_us; /* of the newest; -1: there is none */
    usec_t segment_end_us;
    bool disk_busy;
    bool knows_instance; /* nothing has changed it since */
    bool knows_segment;
};

/*
 * Where to go back to. The database gets a savepoint at the first change only, and one for all
 * levels that were waiting for it: they mean the same place. `savepoint` is its number, the outermost
 * of those levels.
 */
struct level {
    size_t nonces;
    size_t tally_steps;
    size_t hooks;
    size_t savepoint;
    bool open; /* the database has it */
    bool bare; /* changed without a savepoint: can't be undone alone */
};

struct tx {
    struct store *store;
    struct db *db;
    struct arena arena;
    usec_t now;
    bool is_write;
    bool active; /* between begin and end */
    int lost;    /* -E_…: the transaction itself is gone; all that is left is to roll back */
    bool bare;   /* this batch takes no savepoints: when a write has to be undone, all of it is run again, with them */
    bool repeat; /* that came: the batch is to be run again */
    /* writer only */
    struct level levels[TX_DEPTH_MAX];
    size_t depth;
    struct hook *hooks;
    size_t hook_count;
    struct hook *last_hooks; /* after the batch; each once */
    size_t last_hook_count;
    struct nonce_row *nonces;
    size_t nonce_count;
    struct tally_step *tally_steps;
    size_t tally_step_count;
    struct tally_entry **tally;
    size_t tally_count;
    struct map tally_map; /* account and region → struct tally_entry */
    struct tally_entry *tally_latest;
    struct shadow shadows[TX_SHADOWS];
    size_t shadow_next;
    bool tenants_changed; /* by this batch, perhaps undone */
    struct map ahead;     /* id → struct ahead */
    bool ahead_knows_disks;
    usec_t nonce_floor_us; /* the stored one; -1: not asked for in this transaction */
    struct tx *next_free; /* readers */
};

struct store {
    const struct db_driver *driver;
    struct env *env;
    char *path;
    uint64_t seed; /* of the maps in memory */
    int careful;   /* batches to come that take savepoints from the start */
    int care;      /* how many that was, the last time; less as batches go well without */
    int lock_fd;   /* -1: none */
    int64_t checkpoint_ms;
    int64_t reader_cache_kib;

    /* writer: `turn` is held by whoever runs a batch */
    pthread_mutex_t turn;
    struct tx writer;
    struct nonce_set nonces;
    usec_t nonce_floor_us; /* gate.c */

    /* queue */
    pthread_mutex_t queue_mutex;
    pthread_cond_t queue_cond;
    struct write *queue_head;
    struct write *queue_tail;
    atomic_size_t queue_length;
    bool stopping; /* no more submits */
    atomic_bool started;
    pthread_t writer_thread;

    /* readers: idle connections, latest used first */
    pthread_mutex_t reader_mutex;
    pthread_cond_t reader_cond;
    struct tx *readers_free;
    size_t reader_count;

    /* checkpointer */
    pthread_mutex_t checkpoint_mutex;
    pthread_cond_t checkpoint_cond;
    bool checkpoint_stop;
    atomic_bool checkpointing; /* the thread runs */
    pthread_t checkpoint_thread;
    struct db *checkpoint_db;
    atomic_int_fast64_t log_pages; /* of the write-ahead log, after the latest commit */
    atomic_int_fast64_t commits;
    atomic_uint_fast64_t tenants_version; /* commits that changed an account or a key */
    atomic_int_fast64_t tenants; /* the same of all nodes, as far as tenants_version knows of it */
};

/* schema.c: brings the database to the newest shape, in one transaction. */
int schema_apply(struct db *db, const struct db_driver *driver, usec_t now, struct fail *fail)
    must_check;

/* writer.c */
void writer_init(struct store *store);
void writer_done(struct store *store);
void *writer_thread(void *arg);
/* Opens the savepoints that are due; before every change. */
int tx_touch(struct tx *tx) must_check;
/* Called with the result of each driver call: notices that the transaction is gone. Returns
 * `result`. */
int tx_check(struct tx *tx, int result);

/* turn.c. Around a batch on a shared store: takes over what the others have done, and hands on what we have. */
int turn_begin(struct tx *tx, const struct write *list) must_check;
void turn_end(struct tx *tx);
/* An account or a key has changed: those who remember ask again. `to`: all nodes' number of it. */
void tenants_moved(struct store *store, int64_t to);

/* ahead.c. For a store whose answers are far away: reads what the writes will ask for; nothing of another transaction stays. */
int ahead_read(struct tx *tx, const struct write *list) must_check;
void ahead_forget(struct tx *tx);
/* false, NULL: not known, or not any more. */
bool ahead_instance(struct tx *tx, struct str id, struct instance **ret);
const struct ahead *ahead_segment(const struct tx *tx, struct str id);
const struct ahead *ahead_disks(const struct tx *tx, struct str id);
/* Called by who changes such rows. */
void ahead_changed_instance(struct tx *tx, struct str id);
void ahead_changed_segment(struct tx *tx, struct str id);
void ahead_changed_disks(struct tx *tx);

/* gate.c */
int nonce_flush(struct tx *tx) must_check;
int nonce_load(struct store *store, struct tx *tx) must_check;

/* tally.c */
void tally_add(struct tx *tx, struct str account_id, struct str region_id, int state, int64_t by);
int tally_flush(struct tx *tx) must_check;
/* `state` -1: all. */
int tally_get(struct tx *tx, struct str account_id, struct str region_id, int state, int64_t *ret)
    must_check;

/* checkpoint.c */
void *checkpoint_thread(void *arg);
void checkpoint_if_large(struct store *store);
