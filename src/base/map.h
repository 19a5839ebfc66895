/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to pointer: open addressing, linear probing, SipHash-1-3 with a per-map random key (keys come from clients).
 * Keys are borrowed: they must outlive their entry. Not thread-safe.
 */
#pragma once

#include "base/str.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t count;
    size_t capacity; /* a power of two, or 0 */
    uint64_t key[2];
};

void map_init(struct map *map, uint64_t seed);
void map_done(struct map *map);
void *map_get(const struct map *map, struct str key); /* NULL: not there */
/* Puts or replaces; returns the value that was there before, or NULL. `value` is not NULL. */
void *map_put(struct map *map, struct str key, void *value);
/* Removes and returns the value, or NULL. */
void *map_take(struct map *map, struct str key);
/* Iteration in no order: start with *cursor = 0; false at the end. The map must not change meanwhile. */
bool map_next(const struct map *map, size_t *cursor, struct str *ret_key, void **ret_value);
