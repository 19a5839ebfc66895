/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/door.h"

#include "base/mem.h"
#include "store/core.h"
#include "store/store.h"

#define LATE_ARENA_BYTES ((size_t)64 << 20)

/* A node's write on its way. */
struct envelope {
    struct write write;
    struct list all;
    struct list link;
    struct door *door; /* NULL: the node has died */
    struct store *store;
    struct write *inner;
    void *sender;
    bool held;           /* it came back without having been run */
    bool late;           /* its hooks and its answer wait */
    int result;
    struct list hooks;   /* late_hook.link, in order */
    struct arena arena;  /* instead of the transaction's, which is gone when a late one is told */
};

struct late_hook {
    struct list link;
    struct envelope *envelope;
    void (*fn)(void *arg);
    void *arg;
};

static struct door *here;        /* whose code runs */
static struct envelope *opened;  /* whose write runs */
static void *sending;
static struct list orphans = {&orphans, &orphans}; /* the store still has them, their nodes have died */

/* What the linker calls by these names. */
int door_submit(struct store *store, struct write *write) __asm__("__wrap_store_submit");
int door_write(struct store *store, int (*run)(struct tx *tx, void *arg), void *arg) __asm__("__wrap_store_write");
struct tx *door_read(struct store *store) __asm__("__wrap_store_read_begin");
struct arena *door_arena(struct tx *tx) __asm__("__wrap_tx_arena");
void door_on_commit(struct tx *tx, void (*fn)(void *arg), void *arg) __asm__("__wrap_tx_on_commit");
void door_after_batch(struct tx *tx, void (*fn)(void *arg), void *arg) __asm__("__wrap_tx_after_batch");

int real_submit(struct store *store, struct write *write) __asm__("__real_store_submit");
int real_write(struct store *store, int (*run)(struct tx *tx, void *arg), void *arg) __asm__("__real_store_write");
struct tx *real_read(struct store *store) __asm__("__real_store_read_begin");
struct arena *real_arena(struct tx *tx) __asm__("__real_tx_arena");
void real_on_commit(struct tx *tx, void (*fn)(void *arg), void *arg) __asm__("__real_tx_on_commit");
void real_after_batch(struct tx *tx, void (*fn)(void *arg), void *arg) __asm__("__real_tx_after_batch");

/* ── whose ── */

void door_init(struct door *door, void (*untold)(void *arg, void *sender), void *arg)
{
    *door = (struct door){.untold = untold, .arg = arg};
    list_init(&door->all);
    list_init(&door->waiting);
    list_init(&door->answers);
}

struct door *door_enter(struct door *door)
{
    struct door *before = here;

    here = door;
    return before;
}

void door_sender(void *sender)
{
    sending = sender;
}

static void envelope_free(struct envelope *envelope)
{
    list_remove(&envelope->all);
    list_remove(&envelope->link);
    arena_done(&envelope->arena);
    (void)xfree(envelope);
}

void door_break(struct door *door)
{
    list_for_each_safe (node, &door->answers)
        envelope_free(list_item(node, struct envelope, link));
    list_for_each_safe (node, &door->waiting)
        envelope_free(list_item(node, struct envelope, link));
    list_for_each_safe (node, &door->all) { /* the store has them, and gives them back */
        list_item(node, struct envelope, all)->door = NULL;
        list_remove(node);
        list_append(&orphans, node);
    }
    door->closed = door->asleep = false;
    door->late_us = 0;
}

void door_forget(void)
{
    list_for_each_safe (node, &orphans)
        envelope_free(list_item(node, struct envelope, all));
}

/* ── writes ── */

/* Everything of it is the node's while it runs, and the node's calls come from it. */
static int run_inner(struct tx *tx, struct envelope *envelope)
{
    struct door *before = door_enter(envelope->door);
    int r;

    list_init(&envelope->hooks);
    arena_reset(&envelope->arena);
    opened = envelope;
    r = envelope->inner->run(tx, envelope->inner);
    opened = NULL;
    (void)door_enter(before);
    return r;
}

static int envelope_run(struct tx *tx, struct write *write)
{
    struct envelope *envelope = container_of(write, struct envelope, write);
    struct door *door = envelope->door;

    if (!door)
        return -E_BUSY;
    envelope->held = door->asleep || !list_empty(&door->answers);
    if (envelope->held)
        return -E_AGAIN;
    if (door->closed)
        return -E_IO;
    envelope->late = door->late_us > 0;
    return run_inner(tx, envelope);
}

static void tell(struct envelope *envelope)
{
    struct door *before = door_enter(envelope->door);
    struct write *inner = envelope->inner;
    int result = envelope->result;

    envelope_free(envelope);
    inner->next = NULL;
    inner->done(inner, result);
    (void)door_enter(before);
}

static void put_off(struct envelope *envelope, usec_t now)
{
    struct door *door = envelope->door;

    if (door->late_us > 0)
        door->answer_us = now + door->late_us;
    door->late_us = 0; /* what belongs to this batch has run */
    list_append(&door->answers, &envelope->link);
    if (envelope->sender)
        door->untold(door->arg, envelope->sender);
}

static void envelope_done(struct write *write, int result)
{
    struct envelope *envelope = container_of(write, struct envelope, write);

    envelope->result = result;
    if (!envelope->door)
        envelope_free(envelope);
    else if (envelope->held)
        list_append(&envelope->door->waiting, &envelope->link);
    else if (envelope->late)
        put_off(envelope, env_now(envelope->store->env));
    else
        tell(envelope);
}

static void post(struct envelope *envelope)
{
    list_remove(&envelope->link);
    envelope->result = real_submit(envelope->store, &envelope->write);
    if (envelope->result < 0)
        tell(envelope);
}

int door_submit(struct store *store, struct write *write)
{
    struct envelope *envelope;

    if (!here)
        return real_submit(store, write);
    envelope = xcalloc(1, sizeof(*envelope));
    *envelope = (struct envelope){.door = here, .store = store, .inner = write, .sender = sending};
    envelope->write = (struct write){.run = envelope_run, .done = envelope_done, .repeats = write->repeats};
    arena_init(&envelope->arena, LATE_ARENA_BYTES);
    list_init(&envelope->link);
    list_init(&envelope->hooks);
    list_append(&here->all, &envelope->all);
    if (list_empty(&here->waiting) && list_empty(&here->answers) && !here->asleep)
        post(envelope);
    else
        list_append(&here->waiting, &envelope->link);
    return 0;
}

/* One that waits for its answer: where that is not to be had now, it is taken for a failure before anything was done. */
int door_write(struct store *store, int (*run)(struct tx *tx, void *arg), void *arg)
{
    struct door *door = here;

    if (door && (door->closed || door->asleep || !list_empty(&door->waiting) || !list_empty(&door->answers)))
        return -E_IO;
    return real_write(store, run, arg);
}

struct tx *door_read(struct store *store)
{
    struct tx *tx = real_read(store);

    if (here && here->closed)
        tx->lost = -E_IO;
    return tx;
}

/* ── what a write leaves for after its commit ── */

struct arena *door_arena(struct tx *tx)
{
    return opened && opened->late ? &opened->arena : real_arena(tx);
}

static void hook_stored(void *arg)
{
    struct late_hook *hook = arg;

    list_append(&hook->envelope->hooks, &hook->link);
}

void door_on_commit(struct tx *tx, void (*fn)(void *arg), void *arg)
{
    struct late_hook *hook;

    if (!opened || !opened->late) {
        real_on_commit(tx, fn, arg);
        return;
    }
    hook = arena_new(&opened->arena, struct late_hook);
    *hook = (struct late_hook){.envelope = opened, .fn = fn, .arg = arg};
    real_on_commit(tx, hook_stored, hook); /* so that it is undone with the rest */
}

/* Wakes threads, of which there are none. */
void door_after_batch(struct tx *tx, void (*fn)(void *arg), void *arg)
{
    if (!opened || !opened->late)
        real_after_batch(tx, fn, arg);
}

/* ── time ── */

static void tell_all(struct door *door)
{
    struct door *before = door_enter(door);

    list_for_each (node, &door->answers) {
        struct envelope *envelope = list_item(node, struct envelope, link);

        list_for_each_safe (entry, &envelope->hooks)
            list_item(entry, struct late_hook, link)->fn(list_item(entry, struct late_hook, link)->arg);
        list_init(&envelope->hooks);
    }
    while (!list_empty(&door->answers))
        tell(list_item(door->answers.next, struct envelope, link));
    (void)door_enter(before);
}

usec_t door_tick(struct door *door, usec_t now)
{
    if (door->asleep)
        return USEC_NEVER;
    if (!list_empty(&door->answers) && now < door->answer_us)
        return door->answer_us;
    tell_all(door);
    while (!list_empty(&door->waiting))
        post(list_item(door->waiting.next, struct envelope, link));
    return USEC_NEVER;
}
