/* SPDX-License-Identifier: Apache-2.0 */
#include "store/nonce.h"

#include "base/fail.h"
#include "base/mem.h"

#define CAPACITY_MIN 1024

static uint64_t mark_of(const uint8_t *digest)
{
    uint64_t mark;

    memcpy(&mark, digest, sizeof(mark));
    return mark ? mark : 1; /* 0 means a free slot */
}

/* Whole seconds, rounded up: an entry may live up to a second too long, never too short. */
static uint32_t expiry_of(usec_t expires)
{
    usec_t s = expires / USEC_PER_SEC + (expires % USEC_PER_SEC != 0);

    return s < 1 ? 1 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

static bool is_live(uint32_t expiry_s, usec_t now)
{
    return (usec_t)expiry_s * USEC_PER_SEC > now;
}

/* The slot of `mark`, or the free one where it would go. There is always a free one: the load stays
 * under 3/4. */
static size_t find_slot(const struct nonce_set *set, uint64_t mark)
{
    size_t mask = set->capacity - 1;
    size_t slot = (size_t)((mark * set->multiplier) >> 24) & mask;

    while (set->marks[slot] != 0 && set->marks[slot] != mark)
        slot = (slot + 1) & mask;
    return slot;
}

static size_t live_count(const struct nonce_set *set, usec_t now)
{
    size_t live = 0;

    for (size_t i = 0; i < set->capacity; i++)
        live += set->marks[i] != 0 && is_live(set->expiry_s[i], now);
    return live;
}

/* Drops the expired ones and makes room: after it the table is less than half full. */
static int rebuild(struct nonce_set *set, usec_t now)
{
    struct nonce_set old = *set;
    size_t live = live_count(set, now);
    size_t capacity = CAPACITY_MIN;

    if (live >= STORE_NONCES_MAX)
        return -E_LIMIT;
    while (capacity < live * 2 + 1)
        capacity *= 2;
    set->capacity = capacity;
    set->marks = xcalloc(capacity, sizeof(*set->marks));
    set->expiry_s = xcalloc(capacity, sizeof(*set->expiry_s));
    set->used = 0;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.marks[i] == 0 || !is_live(old.expiry_s[i], now))
            continue;
        size_t slot = find_slot(set, old.marks[i]);

        set->marks[slot] = old.marks[i];
        set->expiry_s[slot] = old.expiry_s[i];
        set->used++;
    }
    xfree(old.marks);
    xfree(old.expiry_s);
    return 0;
}

void nonce_set_init(struct nonce_set *set, uint64_t seed)
{
    *set = (struct nonce_set){.multiplier = seed | 1};
}

void nonce_set_done(struct nonce_set *set)
{
    xfree(set->marks);
    xfree(set->expiry_s);
    *set = (struct nonce_set){0};
}

int nonce_set_add(struct nonce_set *set, const uint8_t digest[NONCE_DIGEST_BYTES], usec_t expires,
                  usec_t now)
{
    uint64_t mark = mark_of(digest);
    size_t slot;

    if (set->used + 1 > set->capacity / 4 * 3) {
        int r = rebuild(set, now);
        if (r < 0)
            return r;
    }
    slot = find_slot(set, mark);
    if (set->marks[slot] != 0 && is_live(set->expiry_s[slot], now))
        return -E_EXISTS;
    set->used += set->marks[slot] == 0;
    set->marks[slot] = mark;
    set->expiry_s[slot] = expiry_of(expires);
    return 0;
}

void nonce_set_remove(struct nonce_set *set, const uint8_t digest[NONCE_DIGEST_BYTES])
{
    assert(set->capacity > 0);
    size_t slot = find_slot(set, mark_of(digest));

    assert(set->marks[slot] != 0);
    set->expiry_s[slot] = 0; /* the slot stays, so that probes past it still work */
}
