/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/mem.h"

#define FIRST_CAPACITY ((size_t)16)

struct map_slot {
    struct str key;
    void *value; /* NULL: free */
    uint64_t hash;
};

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3: who doesn't know the key can't choose names that collide. */
static uint64_t sip_hash(const uint64_t key[2], struct str s)
{
    uint64_t v[4] = {
        key[0] ^ 0x736f6d6570736575u,
        key[1] ^ 0x646f72616e646f6du,
        key[0] ^ 0x6c7967656e657261u,
        key[1] ^ 0x7465646279746573u,
    };
    uint64_t word;
    size_t at = 0;

    for (; at + 8 <= s.len; at += 8) {
        memcpy(&word, s.ptr + at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)s.len << 56;
    for (size_t i = 0; at + i < s.len; i++)
        word |= (uint64_t)(unsigned char)s.ptr[at + i] << (8 * i);
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void map_init(struct map *map, uint64_t seed)
{
    *map =
        (struct map){.key = {mix(seed + 0x9E3779B97F4A7C15u), mix(seed + 2 * 0x9E3779B97F4A7C15u)}};
}

void map_done(struct map *map)
{
    (void)xfree(map->slots);
    map->slots = NULL;
    map->count = 0;
    map->capacity = 0;
}

/* The slot of the key, or the free one where it belongs. There is always a free one. */
static struct map_slot *find(const struct map *map, struct str key, uint64_t hash)
{
    size_t mask = map->capacity - 1;
    size_t i = hash & mask;

    assert(map->count < map->capacity);
    while (map->slots[i].value && !(map->slots[i].hash == hash && str_eq(map->slots[i].key, key)))
        i = (i + 1) & mask;
    return &map->slots[i];
}

/* Three quarters at most are taken: probing stays short. */
static void make_room(struct map *map)
{
    struct map_slot *old = map->slots;
    size_t old_capacity = map->capacity;

    if (map->count + 1 <= old_capacity / 4 * 3)
        return;
    map->capacity = old_capacity ? old_capacity * 2 : FIRST_CAPACITY;
    map->slots = xcalloc(map->capacity, sizeof(*map->slots));
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].value)
            *find(map, old[i].key, old[i].hash) = old[i];
    }
    (void)xfree(old);
}

void *map_get(const struct map *map, struct str key)
{
    return map->count > 0 ? find(map, key, sip_hash(map->key, key))->value : NULL;
}

void *map_put(struct map *map, struct str key, void *value)
{
    uint64_t hash = sip_hash(map->key, key);
    struct map_slot *slot;
    void *before;

    assert(value);
    make_room(map);
    slot = find(map, key, hash);
    before = slot->value;
    map->count += before ? 0 : 1;
    /* The new key too: the old one may die with the old value. */
    *slot = (struct map_slot){.key = key, .value = value, .hash = hash};
    return before;
}

/* What follows moves up, so that no grave has to mark the place. */
static void close_gap(struct map *map, size_t gap)
{
    size_t mask = map->capacity - 1;

    for (size_t i = (gap + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
        size_t home = map->slots[i].hash & mask;

        if (((i - home) & mask) >= ((i - gap) & mask)) {
            map->slots[gap] = map->slots[i];
            gap = i;
        }
    }
    map->slots[gap] = (struct map_slot){0};
}

void *map_take(struct map *map, struct str key)
{
    struct map_slot *slot;
    void *value;

    if (map->count == 0)
        return NULL;
    slot = find(map, key, sip_hash(map->key, key));
    value = slot->value;
    if (!value)
        return NULL;
    map->count--;
    close_gap(map, (size_t)(slot - map->slots));
    return value;
}

bool map_next(const struct map *map, size_t *cursor, struct str *ret_key, void **ret_value)
{
    for (; *cursor < map->capacity; (*cursor)++) {
        const struct map_slot *slot = &map->slots[*cursor];

        if (slot->value) {
            *ret_key = slot->key;
            *ret_value = slot->value;
            (*cursor)++;
            return true;
        }
    }
    return false;
}
