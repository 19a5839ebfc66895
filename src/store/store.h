/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durability. One writer thread, many readers; SQL stays inside this ring.
 *
 * Invariants
 * 1. A write is done when its transaction is committed and flushed; only then its `done` runs (law 1).
 * 2. When a write's `run` fails, only its own rows go back. Its `done` still waits for the batch.
 * 3. A failed COMMIT fails every write of the batch with -E_IO, -E_NO_SPACE or -E_BUSY; nothing of it is stored.
 * 4. `run` may be called again after a rolled-back batch: it keeps no state outside tx and its own struct. Unless all writes of
 *    a batch say that they `repeat`, each is called once; where the database asks for another try, the batch fails with -E_BUSY then.
 * 5. A reader sees one snapshot from store_read_begin to store_read_end, never a part of a batch.
 * 6. Rows that are read live on the transaction's arena.
 */
#pragma once

#include "base/env.h"
#include "base/fail.h"
#include "base/list.h"
#include "model/instance.h"
#include "model/job.h"
#include "model/noun.h"

struct store;
struct tx;

struct store_settings {
    int64_t cache_mib;      /* page cache of the writer; readers take a quarter each */
    int64_t checkpoint_ms;
    const char *folder; /* what else is in it is ours alone, too: it has the lock, wherever the store is. NULL: the store's own */
    struct env *env;
    struct str node; /* absent: "local". On a shared store each process has a name of its own */
};

/* ── the store ── */

/*
 * `url`: "sqlite:DIR/ecsd.db" (made when it isn't there, private to this process by a lock), or "postgresql://…" (libpq's; a node's
 * name is private to this process by a lock, its schema is shared). Runs the migrations.
 */
int store_open(const char *url, const struct store_settings *settings, struct fail *fail, struct store **ret) must_check;
/* Stops the threads, checkpoints, closes. NULL is fine. Returns NULL. */
struct store *store_close(struct store *store);
/* Starts the writer and the checkpointer. Without it writes run only in store_run_once (tests, simulation). */
int store_start(struct store *store) must_check;
/* Lets the queue run empty, then stops the threads; later submits are refused with -E_BUSY. */
void store_stop(struct store *store);

/*
 * Copies all that `from` has into `to`, which has to be empty and started, in one transaction that is kept only when both are the same
 * then. `each` (may be NULL) hears of every table. -E_EXISTS: it isn't empty; else what the stores say.
 */
int store_copy(struct store *from, struct store *to, void (*each)(void *arg, const char *table, int64_t rows), void *arg,
               struct fail *fail) must_check;

/* ── several processes on one store ── */

/* Others may write, too: PostgreSQL. Their transactions and ours have one order; what is remembered of rows may be old. */
bool store_is_shared(const struct store *store);
struct store_news {
    int64_t number; /* of the latest writing transaction of all nodes: as long as it stays, nothing is new */
    bool tenants;   /* an account or a key was changed elsewhere: store_tenants_version has grown */
};
/* One small query, on any thread; ours to ask, a few times a second. Not shared: 0, and nothing is new. */
int store_look(struct store *store, struct store_news *ret) must_check;

/* ── writes ── */

struct write {
    int (*run)(struct tx *tx, struct write *write);      /* 0 or -E_…: what `done` gets */
    void (*done)(struct write *write, int result);       /* in the writer's thread, after COMMIT; must not block */
    bool repeats;                                        /* `run` may be called a second time before `done` */
    struct str_list about; /* instances that `run` asks for first, if it does: all of a batch may be read at once */
    struct write *next;                                  /* the queue's */
    int result;                                          /* the queue's */
};

/* Queues. -E_BUSY when LIMIT_WRITE_QUEUE writes wait or the store stops; then `done` is not called. */
int store_submit(struct store *store, struct write *write) must_check;
/* Takes all that is queued (up to LIMIT_BATCH_OPS), one transaction, then the `done`s. Returns how many. */
size_t store_run_once(struct store *store);
/* Submits and waits; without store_start it runs the queue itself. Never from the writer's own thread. */
int store_write(struct store *store, int (*run)(struct tx *tx, void *arg), void *arg) must_check;
size_t store_queue_length(const struct store *store);

/* ── transactions ── */

struct tx *store_read_begin(struct store *store); /* a read-only snapshot on this thread's connection; never NULL */
void store_read_end(struct tx *tx);
struct arena *tx_arena(struct tx *tx);
/* The time at which this write's transaction began: one value for all that it writes. */
usec_t tx_now(struct tx *tx);
struct env *tx_env(struct tx *tx);
bool tx_is_write(const struct tx *tx);
/* `fn(arg)` runs after COMMIT, before the `done`s, in order; forgotten when this write or the COMMIT fails. */
void tx_on_commit(struct tx *tx, void (*fn)(void *arg), void *arg);
/*
 * `fn(arg)` runs once after the `done`s of the whole batch, however many of its writes ask for it: to wake somebody when all
 * is there. It also runs when this write was undone, not when the COMMIT fails.
 */
void tx_after_batch(struct tx *tx, void (*fn)(void *arg), void *arg);
/* For batch actions: undo a part. Savepoints nest; the name is the depth. */
void tx_savepoint(struct tx *tx);
void tx_release(struct tx *tx);
void tx_rollback(struct tx *tx);

/* ── instances ── */

/* All columns / the hot columns only (cold ones zeroed). -E_NOT_FOUND. */
int store_instance_get(struct tx *tx, struct str id, struct instance **ret) must_check;
int store_instance_get_hot(struct tx *tx, struct str id, struct instance **ret) must_check;
int store_instance_insert(struct tx *tx, const struct instance *inst) must_check;
/* Writes the hot columns where id and version agree, and adds one to inst->version. -E_CONFLICT when they don't. */
int store_instance_save(struct tx *tx, struct instance *inst) must_check;
/* Writes the cold columns. */
int store_instance_save_doc(struct tx *tx, const struct instance *inst) must_check;
int store_instance_delete(struct tx *tx, const struct instance *inst) must_check;

/* Filters are ANDed; absent (zero; -1 for enums) means none. Strings are exact but for `name_glob`. */
struct instance_filter {
    struct str account_id;          /* required, but for the operator's own listing */
    struct str region_id;
    const struct str_list *ids;     /* NULL: none; an empty list matches nothing */
    struct str zone_id, vpc_id, vswitch_id, image_id, key_pair_name, type_id, family, resource_group_id, security_group_id;
    struct str name_glob;
    struct str metadata_glob;       /* of struct instance's metadata_options */
    const struct str_list *private_ips, *public_ips, *eip_addresses;
    int state;                      /* enum instance_state or -1 */
    int charge_type, network_type, internet_charge_type, lock_reason; /* or -1 */
    const struct tag *tags;         /* value absent: any value */
    size_t tag_count;
    usec_t created_from_us, created_until_us, expires_from_us, expires_until_us;
};
void instance_filter_init(struct instance_filter *filter);

/* One page, newest first. `after`: the last id of the page before (NextToken), absent: from the start; `offset` rows are skipped (PageNumber). */
struct page {
    struct str after;
    int64_t offset;
    int64_t limit;
    bool count;          /* wanted: total */
};
struct instance_list {
    struct instance *items;
    size_t count;
    bool more;           /* there is at least one row after the page */
    int64_t total;       /* when page.count */
};
/*
 * Flat in the number of rows for every indexed filter: keyset by id (ids sort by creation), totals without filters or by
 * state alone come from a tally kept in the same transactions. `hot_only` leaves the cold columns zeroed.
 */
int store_instance_find(struct tx *tx, const struct instance_filter *filter, const struct page *page, bool hot_only,
                        struct instance_list *ret) must_check;
/* How many the account has, in all regions: a tally, exact within a batch, too. */
int store_instance_count(struct tx *tx, struct str account_id, int64_t *ret) must_check;
/* Every instance with a host, for reconciling (keyset by id). */
int store_instance_placed(struct tx *tx, struct str after, int64_t limit, struct instance_list *ret) must_check;
/*
 * Those of the next STORE_STRETCH_ROWS instances behind `after` that have their place at the host; *ret_next: where to go on, STR_NONE at the
 * end. Bounded, since no index has a column that a stop writes: all rows are looked at.
 */
#define STORE_STRETCH_ROWS 20000
int store_instance_at_host(struct tx *tx, struct str host_id, struct str after, int64_t limit, struct instance_list *ret,
                           struct str *ret_next) must_check;
/* Instances whose release_us has come. */
int store_instance_release_due(struct tx *tx, usec_t now, int64_t limit, struct instance_list *ret) must_check;
/* Those whose expires_us has come and that have no financial lock. */
int store_instance_expiry_due(struct tx *tx, usec_t now, int64_t limit, struct instance_list *ret) must_check;
/* The earliest expires_us of those without a financial lock; USEC_NEVER: none. */
int store_instance_next_expiry(struct tx *tx, usec_t *ret) must_check;
/* The earliest release_us of all; USEC_NEVER: none. */
int store_instance_next_release(struct tx *tx, usec_t *ret) must_check;

/* ── jobs ── (the meaning is the engine's) */

struct job_list {
    struct job *items;
    size_t count;
};
int store_job_get(struct tx *tx, int64_t id, struct job **ret) must_check;
int store_job_insert(struct tx *tx, const struct job *job) must_check;
/* Writes step, attempts, state, error, deadline, finished, force and incarnation where id, holder and epoch agree. -E_FENCED when they don't. */
int store_job_save(struct tx *tx, const struct job *job) must_check;
/*
 * Takes over, for (holder, epoch), up to `limit` active jobs above the id `after` (0: all) whose holder's lease has run out at `now` or is
 * an older epoch of this holder.
 */
int store_job_claim(struct tx *tx, struct str holder, int64_t epoch, usec_t now, int64_t after, int64_t limit,
                    struct job_list *ret) must_check;
/*
 * Where several nodes share the store: takes over, for (holder, epoch), up to `limit` active jobs of the hosts that it holds, which
 * another has, nobody has or somebody has poked, and those of no host that no living node has. `after`: as above.
 */
int store_job_pick(struct tx *tx, struct str holder, int64_t epoch, int64_t after, int64_t limit, struct job_list *ret) must_check;
/* Would store_job_pick find any? */
int store_job_waits(struct tx *tx, struct str holder, int64_t epoch, bool *ret) must_check;
/* Its row was changed by a node that does not have it: the one that has it picks it up again. */
int store_job_poke(struct tx *tx, int64_t id) must_check;
/* The same for all active jobs that are signed by (holder, epoch) while it does not hold their host: should it take that, it picks them up. */
int store_job_poke_unheld(struct tx *tx, struct str holder, int64_t epoch) must_check;
/* Newest first; state -1: all. `after`: id, 0: from the start. */
int store_job_find(struct tx *tx, int state, int64_t after, int64_t limit, struct job_list *ret) must_check;
/* Removes finished jobs that ended before `before`. */
int store_job_purge(struct tx *tx, usec_t before, int64_t limit) must_check;

/* ── nodes: leases with epochs ── */

/* This process becomes `node` with the next epoch and a lease until `until`. */
int store_node_take(struct tx *tx, struct str node, usec_t until, int64_t *ret_epoch) must_check;
/* -E_FENCED when another epoch of the node has taken over. */
int store_node_renew(struct tx *tx, struct str node, int64_t epoch, usec_t until) must_check;

/* It is over: where the epoch agrees, its lease ends now. */
int store_node_end(struct tx *tx, struct str node, int64_t epoch) must_check;
int store_node_list(struct tx *tx, struct node **ret, size_t *ret_count) must_check;
/* The host is the holder's under its epoch, from now on; absent: nobody's. -E_NOT_FOUND. */
int store_host_hold(struct tx *tx, struct str id, struct str holder, int64_t epoch) must_check;
/* -E_FENCED: it is not the holder's under this epoch. */
int store_host_check(struct tx *tx, struct str id, struct str holder, int64_t epoch) must_check;

/* ── the smaller nouns ── */

/*
 * Grows with each commit that changed an account or a key, before its `done`s: who remembers either
 * has to ask again when this has moved.
 */
uint64_t store_tenants_version(const struct store *store);
int store_account_insert(struct tx *tx, const struct account *account) must_check;
int store_account_get(struct tx *tx, struct str id, struct account **ret) must_check;
int store_account_save(struct tx *tx, const struct account *account) must_check;
int store_account_list(struct tx *tx, struct account **ret, size_t *ret_count) must_check;

int store_key_insert(struct tx *tx, const struct access_key *key) must_check;
int store_key_get(struct tx *tx, struct str id, struct access_key **ret) must_check;
int store_key_set_enabled(struct tx *tx, struct str id, bool enabled) must_check; /* -E_NOT_FOUND */
int store_key_delete(struct tx *tx, struct str id) must_check;                    /* -E_NOT_FOUND */
int store_key_list(struct tx *tx, struct str account_id, struct access_key **ret, size_t *ret_count) must_check;
int store_key_purge(struct tx *tx, usec_t now, int64_t limit) must_check;         /* expired STS keys */

int store_host_insert(struct tx *tx, const struct host *host) must_check; /* -E_EXISTS */
int store_host_get(struct tx *tx, struct str id, struct host **ret) must_check;
int store_host_list(struct tx *tx, struct host **ret, size_t *ret_count) must_check;
struct host_room {
    struct str region_id;
    struct str zone_id; /* absent: any, for every host has one */
    int64_t vcpus;
    int64_t memory_mib;
    int64_t each_zone; /* how many of a zone at most */
};
/*
 * The hosts that are up and have that room, of each zone those with the most memory free, ties by id. An index leads to them: ten
 * thousand hosts cost what ten do, but for those with more memory free whose vCPUs, though not all taken, are too few.
 */
int store_host_roomy(struct tx *tx, const struct host_room *room, struct host **ret, size_t *ret_count) must_check;
int store_host_save(struct tx *tx, const struct host *host) must_check;   /* all but the reservations */
int store_host_delete(struct tx *tx, struct str id) must_check;
/* Adds to (or, negative, takes from) what is reserved, in one statement; -E_LIMIT when it would pass the capacity. */
int store_host_reserve(struct tx *tx, struct str id, int64_t vcpus, int64_t memory_mib) must_check;

int store_disk_insert(struct tx *tx, const struct disk *disk) must_check;
int store_disk_get(struct tx *tx, struct str id, struct disk **ret) must_check;
int store_disk_save(struct tx *tx, const struct disk *disk) must_check;
int store_disk_delete(struct tx *tx, struct str id) must_check;
int store_disk_of_instance(struct tx *tx, struct str instance_id, struct disk **ret, size_t *ret_count) must_check;
/* Is an attached disk in another status than In_use? One indexed probe, for the stop. */
int store_disk_busy(struct tx *tx, struct str instance_id, bool *ret) must_check;
/* All disks of the account, of whichever type: a tally, kept with each insert and delete. */
int store_disk_count(struct tx *tx, struct str account_id, int64_t *ret) must_check;
struct disk_filter {
    struct str account_id, region_id, zone_id, instance_id, name;
    const struct str_list *ids;
    int type, category, status; /* or -1 */
    int delete_with_instance;   /* -1, 0, 1 */
    usec_t created_from_us, created_until_us; /* 0: any */
    const struct tag *tags;
    size_t tag_count;
};
struct disk_list {
    struct disk *items;
    size_t count;
    bool more;
    int64_t total;
};
int store_disk_find(struct tx *tx, const struct disk_filter *filter, const struct page *page, struct disk_list *ret) must_check;

int store_vpc_insert(struct tx *tx, const struct vpc *vpc) must_check;
int store_vpc_get(struct tx *tx, struct str id, struct vpc **ret) must_check;
int store_vpc_default(struct tx *tx, struct str account_id, struct str region_id, struct vpc **ret) must_check;
int store_vswitch_insert(struct tx *tx, const struct vswitch *vswitch) must_check;
int store_vswitch_get(struct tx *tx, struct str id, struct vswitch **ret) must_check;
/* The default vSwitch in a zone (absent: in the first zone that has one). */
int store_vswitch_default(struct tx *tx, struct str account_id, struct str region_id, struct str zone_id, struct vswitch **ret)
    must_check;
int store_vswitch_save_cursor(struct tx *tx, struct str id, int64_t next_address) must_check;
int store_group_insert(struct tx *tx, const struct security_group *group) must_check;
int store_group_get(struct tx *tx, struct str id, struct security_group **ret) must_check;
int store_group_default(struct tx *tx, struct str account_id, struct str region_id, struct security_group **ret) must_check;
/* Membership of instances in groups. */
int store_group_join(struct tx *tx, struct str instance_id, struct str group_id) must_check;
int store_group_leave_all(struct tx *tx, struct str instance_id) must_check;
int store_group_of_instance(struct tx *tx, struct str instance_id, struct str_list *ret) must_check;

/* Addresses in use: -E_EXISTS when taken. `scope`: "public", or a vSwitch's id. */
int store_address_take(struct tx *tx, struct str scope, struct str address, struct str instance_id) must_check;
int store_address_free(struct tx *tx, struct str scope, struct str address) must_check;
/* A named number that survives: the cursor of the public addresses, and the like. 0 when never set. */
int store_number_get(struct tx *tx, struct str name, int64_t *ret) must_check;
int store_number_set(struct tx *tx, struct str name, int64_t value) must_check;

int store_tag_put(struct tx *tx, const struct tag *tag) must_check; /* replaces the value */
int store_tag_delete(struct tx *tx, struct str resource_id, struct str key) must_check; /* key absent: all of the resource */
int store_tag_of_resource(struct tx *tx, struct str resource_id, struct tag **ret, size_t *ret_count) must_check;
/* Tags of an account: by type, ids (NULL: any), and keys/values that a resource must all have; keyset by (resource, key). */
int store_tag_find(struct tx *tx, struct str account_id, struct str resource_type, const struct str_list *ids,
                   const struct tag *filter, size_t filter_count, struct str after, int64_t limit, struct tag **ret,
                   size_t *ret_count, struct str *ret_next) must_check;

/*
 * Closes the open segment of the instance at `at` and opens one of `mode` there; mode -1: closes only. A segment of no length gives
 * way to the one that follows it.
 */
int store_segment_switch(struct tx *tx, const struct instance *inst, int mode, usec_t at) must_check;
int store_segment_list(struct tx *tx, struct str instance_id, struct segment **ret, size_t *ret_count) must_check;
/* Of all instances, also gone ones: the newest instance's first, of each the newest first. After (id, start); id absent: from the start. */
int store_segment_latest(struct tx *tx, struct str after_id, usec_t after_start_us, int64_t limit, struct segment **ret,
                         size_t *ret_count) must_check;

int store_event_add(struct tx *tx, const struct event *event) must_check; /* event.id 0: the next */
/* Oldest first after `after`; instance_id absent: all. */
int store_event_list(struct tx *tx, int64_t after, struct str instance_id, int64_t limit, struct event **ret, size_t *ret_count)
    must_check;
int store_event_purge(struct tx *tx, usec_t before, int64_t limit) must_check;

int store_system_event_add(struct tx *tx, const struct system_event *event) must_check;
struct system_event_filter {
    struct str account_id, region_id, instance_id;
    const struct str_list *ids, *types, *cycle_statuses; /* NULL: any */
    usec_t published_from_us, published_until_us, not_before_from_us, not_before_until_us;
};
struct system_event_list {
    struct system_event *items;
    size_t count;
    bool more;
    int64_t total;
};
int store_system_event_find(struct tx *tx, const struct system_event_filter *filter, const struct page *page,
                            struct system_event_list *ret) must_check;

/* ── commands, invocations, tasks ── */

int store_command_insert(struct tx *tx, const struct command *command) must_check;
int store_command_get(struct tx *tx, struct str id, struct command **ret) must_check;
int store_command_invoked(struct tx *tx, struct str id) must_check; /* adds one to invoke_times */
int store_command_delete(struct tx *tx, struct str id) must_check;  /* with its tags; -E_NOT_FOUND */
int store_command_count(struct tx *tx, struct str account_id, struct str region_id, int64_t *ret) must_check;
struct command_filter {
    struct str account_id, region_id; /* both required */
    struct str id, name_glob, description_glob, resource_group_id;
    int type; /* enum command_type or -1 */
    const struct tag *tags;
    size_t tag_count;
};
struct command_list {
    struct command *items;
    size_t count;
    bool more;
    int64_t total;
};
int store_command_find(struct tx *tx, const struct command_filter *filter, const struct page *page, struct command_list *ret)
    must_check;

/* An invocation with its `task_count` tasks. */
int store_invocation_insert(struct tx *tx, const struct invocation *inv, const struct invocation_task *tasks) must_check;
int store_invocation_get(struct tx *tx, struct str id, struct invocation **ret) must_check;
/* Makes the invocation's status follow its tasks'. */
int store_invocation_fold(struct tx *tx, struct str id) must_check;
struct invocation_filter {
    struct str account_id, region_id; /* both required */
    struct str id, command_id, instance_id, name_glob, resource_group_id;
    int command_type, invoke_status; /* or -1 */
    const struct tag *tags;
    size_t tag_count;
};
struct invocation_list {
    struct invocation *items;
    size_t count;
    bool more;
    int64_t total;
};
int store_invocation_find(struct tx *tx, const struct invocation_filter *filter, const struct page *page,
                          struct invocation_list *ret) must_check;
/* Removes invocations that ended before `before`, with their tasks and tags. */
int store_invocation_purge(struct tx *tx, usec_t before, int64_t limit) must_check;
/* Removes the account's finished invocations that ended first. */
int store_invocation_drop_oldest(struct tx *tx, struct str account_id, int64_t limit) must_check;

struct task_list {
    struct invocation_task *items;
    size_t count;
    bool more;
    int64_t total;
};
int store_task_get(struct tx *tx, struct str id, struct invocation_task **ret) must_check;
int store_task_save(struct tx *tx, const struct invocation_task *task) must_check; /* -E_NOT_FOUND */
/* Those under way, oldest first, after that id. */
int store_task_unfinished(struct tx *tx, struct str after, int64_t limit, struct task_list *ret) must_check;
/* Without their outputs, which an unfinished one has not. */
int store_task_of_invocation(struct tx *tx, struct str invocation_id, struct task_list *ret) must_check;
/* How many tasks the account has: kept beside them. */
int store_task_count(struct tx *tx, struct str account_id, int64_t *ret) must_check;
struct task_summary {
    int64_t count;
    int64_t active;
    const struct invocation_task *latest; /* NULL: none */
};
int store_task_summary(struct tx *tx, struct str instance_id, struct task_summary *ret) must_check;
struct task_filter {
    struct str account_id, region_id; /* both required */
    struct str invocation_id, command_id, instance_id;
    int invoke_status; /* of the task, or -1 */
    const struct tag *tags; /* of its invocation */
    size_t tag_count;
};
int store_task_find(struct tx *tx, const struct task_filter *filter, const struct page *page, struct task_list *ret) must_check;

/* ── gateway rows ── */

/* A used nonce of a mutation, until `expires_us`; -E_EXISTS when (key, nonce) is there, or so old
 * that it may have been forgotten. `stamp_us` is the request's own time stamp. */
int store_nonce_put(struct tx *tx, struct str key_id, struct str nonce, usec_t stamp_us, usec_t expires_us) must_check;
int store_nonce_purge(struct tx *tx, usec_t now, int64_t limit) must_check;

int store_token_get(struct tx *tx, struct str account_id, struct str action, struct str token, struct client_token **ret) must_check;
int store_token_put(struct tx *tx, const struct client_token *token) must_check;
int store_token_purge(struct tx *tx, usec_t now, int64_t limit) must_check;

/* ── deployment sets ── */

int store_deployment_set_insert(struct tx *tx, const struct deployment_set *set) must_check; /* -E_EXISTS */
int store_deployment_set_get(struct tx *tx, struct str id, struct deployment_set **ret) must_check;
int store_deployment_set_save(struct tx *tx, const struct deployment_set *set) must_check; /* name and description; -E_NOT_FOUND */
int store_deployment_set_delete(struct tx *tx, struct str id) must_check;                  /* -E_NOT_FOUND */
int store_deployment_set_count(struct tx *tx, struct str account_id, struct str region_id, int64_t *ret) must_check;
struct deployment_set_filter {
    struct str account_id, region_id; /* both required */
    const struct str_list *ids;       /* NULL: none; an empty list matches nothing */
    struct str name;
    int strategy; /* or -1 */
};
struct deployment_set_list {
    struct deployment_set *items;
    size_t count;
    int64_t total;
};
/* Newest first. */
int store_deployment_set_find(struct tx *tx, const struct deployment_set_filter *filter, const struct page *page,
                              struct deployment_set_list *ret) must_check;
/* The instances that are in it, by id, without `but` (absent: all of them); what bounds a set bounds them. */
int store_deployment_set_members(struct tx *tx, struct str id, struct str but, struct deployment_member **ret, size_t *ret_count)
    must_check;

/* ── images and key pairs ── */

/* Imported images; those that only the catalogue knows have no row. */
int store_image_insert(struct tx *tx, const struct image *image) must_check; /* -E_EXISTS */
int store_image_get(struct tx *tx, struct str id, struct image **ret) must_check;
int store_image_save(struct tx *tx, const struct image *image) must_check;   /* -E_NOT_FOUND */
int store_image_delete(struct tx *tx, struct str id) must_check;             /* -E_NOT_FOUND */
/* All, by id: LIMIT_IMAGES bounds them. */
int store_image_list(struct tx *tx, struct image **ret, size_t *ret_count) must_check;
/* A disk that was made of the image; absent: there is none. */
int store_image_disk(struct tx *tx, struct str id, struct str *ret) must_check;

int store_key_pair_insert(struct tx *tx, const struct key_pair *pair) must_check; /* -E_EXISTS */
int store_key_pair_get(struct tx *tx, struct str account_id, struct str region_id, struct str name, struct key_pair **ret) must_check;
int store_key_pair_delete(struct tx *tx, struct str account_id, struct str region_id, struct str name) must_check; /* -E_NOT_FOUND */
/* All of an account in a region, by name: LIMIT_KEY_PAIRS bounds them. */
int store_key_pair_list(struct tx *tx, struct str account_id, struct str region_id, struct key_pair **ret, size_t *ret_count) must_check;
