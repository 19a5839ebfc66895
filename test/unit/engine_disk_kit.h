/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of a world: one that is free, orders about them, their rows. */
#pragma once

#include "model/disk.h"
#include "unit/engine_world.h"

#define EXTRA STR("d-extra")
#define GONE (-1)

HELPER struct str data_of(struct world *world, struct str id)
{
    return arena_printf(&world->arena, "d-data-%.*s", STR_ARG(id));
}

/* ── rows and orders ── */

HELPER int add_extra(struct tx *tx, void *arg)
{
    struct disk disk = {
        .id = EXTRA,
        .account_id = ACCOUNT,
        .region_id = STR("cn-hangzhou"),
        .zone_id = STR("cn-hangzhou-h"),
        .type = DISK_TYPE_DATA,
        .category = DISK_CATEGORY_CLOUD_ESSD,
        .status = DISK_STATUS_AVAILABLE,
        .size_gib = 20,
        .created_us = tx_now(tx),
    };

    (void)arg;
    return store_disk_insert(tx, &disk);
}

enum disk_order { DISK_ATTACH, DISK_DETACH, DISK_DELETE, DISK_GOES_WITH_IT, DISK_SET_IN_USE };

struct disk_ordered {
    struct world *world;
    enum disk_order kind;
    struct str disk;
    struct str id;
    struct fail fail;
};

static int attach_in(struct tx *tx, struct disk_ordered *ordered, struct disk *disk, const struct instance *inst,
                     const struct order *order)
{
    struct disk *disks;
    size_t count;
    int r;

    r = store_disk_of_instance(tx, inst->id, &disks, &count);
    if (r == 0)
        r = disk_attach_check(disk, inst, disks, count, &ordered->fail);
    if (r < 0)
        return r;
    return engine_order_disk_attach(ordered->world->engine, tx, disk, inst, disk_free_device(tx_arena(tx), disks, count),
                                    order);
}

static int run_disk_order(struct tx *tx, void *arg)
{
    struct disk_ordered *ordered = arg;
    struct order order = {STR("request-1"), STR("key-1"), STOP_REASON_API};
    struct engine *engine = ordered->world->engine;
    struct instance *inst = NULL;
    struct disk *disk;
    int r;

    fail_init(&ordered->fail, tx_arena(tx));
    r = store_disk_get(tx, ordered->disk, &disk);
    if (r == 0 && !str_empty(ordered->id))
        r = store_instance_get_hot(tx, ordered->id, &inst);
    if (r < 0)
        return r;
    switch (ordered->kind) {
    case DISK_ATTACH:
        return attach_in(tx, ordered, disk, inst, &order);
    case DISK_DETACH:
        r = disk_detach_check(disk, inst, &ordered->fail);
        return r < 0 ? r : engine_order_disk_detach(engine, tx, disk, inst, &order);
    case DISK_DELETE:
        r = disk_delete_check(disk, &ordered->fail);
        return r < 0 ? r : engine_order_disk_delete(engine, tx, disk, &order);
    case DISK_GOES_WITH_IT:
        disk->delete_with_instance = true;
        return store_disk_save(tx, disk);
    case DISK_SET_IN_USE: /* the operator's hand */
        disk->status = DISK_STATUS_IN_USE;
        return store_disk_save(tx, disk);
    }
    return -E_INVALID;
}

HELPER int order_disk(struct world *world, enum disk_order kind, struct str disk, struct str id)
{
    struct disk_ordered ordered = {.world = world, .kind = kind, .disk = disk, .id = id};

    return store_write(world->store, run_disk_order, &ordered);
}

/* A copy; status GONE: no row. */
HELPER struct disk disk_row(struct world *world, struct str id)
{
    struct tx *tx = store_read_begin(world->store);
    struct disk copy = {.status = GONE};
    struct disk *disk;

    if (store_disk_get(tx, id, &disk) == 0) {
        copy = *disk;
        copy.instance_id = arena_str(&world->arena, disk->instance_id);
        copy.device = arena_str(&world->arena, disk->device);
    }
    store_read_end(tx);
    return copy;
}
