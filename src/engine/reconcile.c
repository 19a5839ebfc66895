/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares the rows with the hosts, at start and regularly: what events told too late or never. One pass lists every host
 * once into a compact, sorted table (32 bytes a machine), then walks the placed rows page by page, so that jobs get their
 * turn between two pages. Only what differs is looked at more closely, by engine_observe.
 */
#include "base/mem.h"
#include "engine/active.h"

#define PAGE_ROWS 1000
#define PAGE_PAUSE (1 * USEC_PER_MSEC)

struct entry {
    uint64_t hash; /* of the id: two that collide are looked at more closely, nothing worse */
    int64_t incarnation;
    struct host_slot *host;
    bool dead;
    bool matched;
};

struct reconcile {
    struct entry *entries;
    size_t count;
    size_t capacity;
    struct host_slot *listing;      /* the host being listed */
    struct host_slot **hosts;       /* those that answered, by id */
    size_t host_count;
    char after[ID_TEXT_MAX + 1];    /* the last id of the page before */
    size_t after_len;
    /* of the second listing, which finds the ids of what no row matched */
    struct arena *arena;
    struct str *strays;
    size_t stray_count;
};

static uint64_t hash_of(struct str id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a: ids are ours, nobody can choose them to collide */

    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ (uint8_t)id.ptr[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;

    return left->hash < right->hash ? -1 : left->hash > right->hash;
}

static int compare_hosts(const void *a, const void *b)
{
    return str_cmp((*(struct host_slot *const *)a)->id, (*(struct host_slot *const *)b)->id);
}

static void add_entry(void *arg, struct str id, const struct machine_status *status)
{
    struct reconcile *pass = arg;

    if (pass->count == pass->capacity) {
        pass->capacity = MAX_OF(pass->capacity * 2, (size_t)256);
        pass->entries = xrealloc(pass->entries, pass->capacity * sizeof(pass->entries[0]));
    }
    pass->entries[pass->count++] = (struct entry){
        .hash = hash_of(id),
        .incarnation = status->incarnation,
        .host = pass->listing,
        .dead = machine_is_dead(status),
    };
}

struct reconcile *reconcile_free(struct reconcile *pass)
{
    if (!pass)
        return NULL;
    (void)xfree(pass->entries);
    (void)xfree(pass->hosts);
    return xfree(pass);
}

static struct reconcile *reconcile_begin(struct engine *engine, struct arena *arena)
{
    struct reconcile *pass = xcalloc(1, sizeof(*pass));
    struct host_slot **hosts = NULL;
    size_t count = 0;
    struct str key;
    void *value;

    pthread_mutex_lock(&engine->mutex);
    for (size_t cursor = 0; map_next(&engine->hosts, &cursor, &key, &value);)
        if (((struct host_slot *)value)->added && ((struct host_slot *)value)->held)
            arena_push(arena, hosts, count, (struct host_slot *)value);
    pthread_mutex_unlock(&engine->mutex);
    pass->hosts = xcalloc(count + 1, sizeof(pass->hosts[0]));
    for (size_t i = 0; i < count; i++) {
        size_t before = pass->count;

        pass->listing = hosts[i];
        if (engine->hypervisor->ops->list(engine->hypervisor, hosts[i]->id, add_entry, pass) >= 0)
            pass->hosts[pass->host_count++] = hosts[i];
        else
            pass->count = before; /* half a list says nothing */
    }
    if (pass->count > 0)
        qsort(pass->entries, pass->count, sizeof(pass->entries[0]), compare_entries);
    if (pass->host_count > 0)
        qsort(pass->hosts, pass->host_count, sizeof(pass->hosts[0]), compare_hosts);
    return pass;
}

/* The machine of the row at the row's host, now matched; NULL: there is none. */
static struct entry *match(struct reconcile *pass, struct str id, const struct host_slot *host)
{
    uint64_t hash = hash_of(id);
    size_t low = 0;
    size_t high = pass->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (pass->entries[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < pass->count && pass->entries[low].hash == hash; low++)
        if (pass->entries[low].host == host) {
            pass->entries[low].matched = true;
            return &pass->entries[low];
        }
    return NULL;
}

static struct host_slot *answered(const struct reconcile *pass, struct str host_id)
{
    const struct host_slot key = {.id = host_id};
    const struct host_slot *wanted = &key;
    struct host_slot **found;

    if (pass->host_count == 0)
        return NULL;
    found = bsearch(&wanted, pass->hosts, pass->host_count, sizeof(pass->hosts[0]), compare_hosts);
    return found ? *found : NULL;
}

static bool differs(const struct instance *inst, const struct entry *entry)
{
    bool dead = !entry || entry->dead;

    if (inst->job_id != 0)
        return false; /* its job looks for itself */
    if (entry && entry->incarnation > inst->incarnation)
        return true;
    if (inst->state == INSTANCE_STATE_RUNNING)
        return dead || entry->incarnation < inst->incarnation;
    return inst->state == INSTANCE_STATE_STOPPED && !dead;
}

struct suspect {
    struct host_slot *host;
    struct str id;
};

/* True: there are more pages. */
static bool reconcile_page(struct engine *engine, struct reconcile *pass, struct arena *arena)
{
    struct tx *tx = store_read_begin(engine->store);
    struct instance_list list = {0};
    struct suspect *suspects = NULL;
    size_t count = 0;
    int r;

    r = store_instance_placed(tx, pass->after_len ? str_slice(pass->after, pass->after_len) : STR_NONE, PAGE_ROWS, &list);
    for (size_t i = 0; r >= 0 && i < list.count; i++) {
        const struct instance *inst = &list.items[i];
        struct host_slot *host = answered(pass, inst->host_id);

        if (host && differs(inst, match(pass, inst->id, host)))
            arena_push(arena, suspects, count, ((struct suspect){host, arena_str(arena, inst->id)}));
    }
    if (r >= 0 && list.count > 0) {
        struct str last = list.items[list.count - 1].id;

        pass->after_len = MIN_OF(last.len, sizeof(pass->after));
        memcpy(pass->after, last.ptr, pass->after_len);
    }
    store_read_end(tx);
    for (size_t i = 0; i < count; i++)
        engine_observe(engine, arena, suspects[i].host->id, suspects[i].id);
    return r >= 0 && list.more;
}

static void add_stray(void *arg, struct str id, const struct machine_status *status)
{
    struct reconcile *pass = arg;
    uint64_t hash = hash_of(id);
    struct entry key = {.hash = hash};
    struct entry *entry = bsearch(&key, pass->entries, pass->count, sizeof(pass->entries[0]), compare_entries);

    (void)status;
    if (entry && !entry->matched)
        arena_push(pass->arena, pass->strays, pass->stray_count, arena_str(pass->arena, id));
}

/* Machines that no row claims: left behind at a host that the instance has left, or not ours. */
static void reconcile_strays(struct engine *engine, struct reconcile *pass, struct arena *arena)
{
    size_t unmatched = 0;

    for (size_t i = 0; i < pass->count; i++)
        unmatched += !pass->entries[i].matched;
    if (unmatched == 0)
        return;
    pass->arena = arena;
    for (size_t i = 0; i < pass->host_count; i++) {
        pass->strays = NULL;
        pass->stray_count = 0;
        if (engine->hypervisor->ops->list(engine->hypervisor, pass->hosts[i]->id, add_stray, pass) < 0)
            continue;
        for (size_t k = 0; k < pass->stray_count; k++)
            engine_observe(engine, arena, pass->hosts[i]->id, pass->strays[k]);
        arena_reset(arena); /* a store that was lost makes strays of all machines there are: more than fit at once */
    }
}

void reconcile_work(struct engine *engine, struct arena *arena)
{
    usec_t next = env_now(engine->env) + PAGE_PAUSE;

    if (!engine->reconcile)
        engine->reconcile = reconcile_begin(engine, arena);
    if (!reconcile_page(engine, engine->reconcile, arena)) {
        reconcile_strays(engine, engine->reconcile, arena);
        engine->reconcile = reconcile_free(engine->reconcile);
        next += engine->options->engine_reconcile_s * USEC_PER_SEC;
    }
    pthread_mutex_lock(&engine->mutex);
    chore_due(engine, CHORE_RECONCILE, next);
    pthread_mutex_unlock(&engine->mutex);
}
