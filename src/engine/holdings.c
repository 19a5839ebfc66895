/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance holds beside its row: room on a host, addresses, disks, tags, memberships. */
#include "base/bug.h"
#include "engine/lease.h"
#include "model/place.h"
#include "model/spread.h"

/*
 * The system's public addresses: the block that RFC 2544 sets aside for measurements, so that they never meet a real
 * network. The cursor goes round, so that an address that was given back is not given out again at once.
 */
#define PUBLIC_BASE ((uint32_t)198 << 24 | (uint32_t)18 << 16)
#define PUBLIC_COUNT ((1 << 17) - 2)
#define PUBLIC_CURSOR STR("public_address")
#define PUBLIC_SCOPE STR("public")
/* Taken neighbours that are skipped in one order; beyond that the block counts as sold out. */
#define PUBLIC_TRIES 4096

/* Where `full` may go: of each zone the best host, and in a deployment set as many as its members may bar besides. */
static int find_room(struct tx *tx, const struct instance *full, struct host **ret, size_t *ret_count)
{
    const struct instance_type *type = instance_type_of(full);
    const struct host_room room = {.region_id = full->region_id,
                                   .zone_id = full->zone_id,
                                   .vcpus = type->vcpus,
                                   .memory_mib = type->memory_mib,
                                   .each_zone = str_empty(full->deployment_set_id) ? 1 : SPREAD_HOSTS};

    return store_host_roomy(tx, &room, ret, ret_count);
}

int holdings_place(struct tx *tx, struct instance *inst, struct instance *full, struct fail *fail)
{
    const struct instance_type *type = instance_type_of(inst);
    struct host *hosts;
    struct host *host;
    size_t count;
    int r;

    assert(str_empty(inst->host_id));
    r = find_room(tx, full, &hosts, &count);
    if (r < 0)
        return r;
    r = membership_place(tx, full, hosts, count, &host);
    if (r < 0)
        return r;
    if (!host)
        return fail(fail, E_NO_STOCK);
    r = store_host_reserve(tx, host->id, type->vcpus, type->memory_mib);
    if (r == -E_LIMIT)
        return fail(fail, E_NO_STOCK);
    if (r < 0)
        return r;
    inst->host_id = host->id;
    return 0;
}

int holdings_unplace(struct tx *tx, struct instance *inst)
{
    const struct instance_type *type = instance_type_of(inst);
    int r;

    if (str_empty(inst->host_id))
        return 0;
    r = store_host_reserve(tx, inst->host_id, -type->vcpus, -type->memory_mib);
    if (r < 0)
        return r;
    inst->host_id = STR_NONE;
    return 0;
}

/* Of the hosts those where its disks are seen, but for the one where it is, come first; how many these are. */
static size_t sort_others(const struct engine *engine, struct host *hosts, size_t *count, const struct host *from)
{
    size_t others = 0;

    for (size_t i = 0; i < *count; i++) {
        struct host host = hosts[i];

        if (str_eq(host.id, from->id)) {
            hosts[i--] = hosts[--*count];
        } else if (lease_same_disks(engine, from, &host)) {
            hosts[i] = hosts[others];
            hosts[others++] = host;
        }
    }
    return others;
}

/* Why none of the hosts is one for `inst`: the first `others` see its disks. */
static const char *why_none(const struct instance *inst, struct host *hosts, size_t others, size_t count)
{
    const struct instance_type *type = instance_type_of(inst);

    if (place_choose(hosts, others, inst->region_id, inst->zone_id, type))
        return "its deployment set leaves no other host to it";
    if (place_choose(hosts + others, count - others, inst->region_id, inst->zone_id, type))
        return "its disks are not seen by the hosts of its zone that have room";
    return "no other host of its zone has room";
}

int holdings_find_other(const struct engine *engine, struct tx *tx, const struct instance *inst, bool has_started, struct other *ret)
{
    struct host *hosts;
    struct host *from;
    size_t count, others;
    bool cancels;
    int r;

    assert(!str_empty(inst->host_id));
    r = store_host_get(tx, inst->host_id, &from);
    if (r < 0)
        return r;
    r = store_host_list(tx, &hosts, &count);
    if (r < 0)
        return r;
    others = sort_others(engine, hosts, &count, from);
    *ret = (struct other){.why = NULL};
    r = membership_find(tx, inst->id, hosts, others, &ret->host, &cancels);
    if (r < 0 || ret->host)
        return r;
    if (has_started && cancels && from->state != HOST_STATE_UP)
        ret->host = place_choose(hosts, others, inst->region_id, inst->zone_id, instance_type_of(inst));
    ret->leaves_set = ret->host != NULL;
    if (!ret->host)
        ret->why = why_none(inst, hosts, others, count);
    return 0;
}

int holdings_move(const struct engine *engine, struct tx *tx, struct instance *inst, bool has_started, const char **ret_why)
{
    const struct instance_type *type = instance_type_of(inst);
    struct other other;
    int r;

    r = holdings_find_other(engine, tx, inst, has_started, &other);
    if (r < 0)
        return r;
    *ret_why = other.why;
    if (!other.host)
        return 0;
    if (other.leaves_set) {
        r = membership_cancel(tx, inst->id);
        if (r < 0)
            return r;
    }
    r = holdings_unplace(tx, inst);
    if (r < 0)
        return r;
    r = store_host_reserve(tx, other.host->id, type->vcpus, type->memory_mib);
    if (r < 0)
        return r;
    inst->host_id = other.host->id;
    return 0;
}

static struct str public_address(struct arena *arena, int64_t cursor)
{
    uint32_t address = PUBLIC_BASE + 1 + (uint32_t)(cursor % PUBLIC_COUNT);

    return arena_printf(arena, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
}

int holdings_take_address(struct tx *tx, struct instance *inst, struct fail *fail)
{
    int64_t cursor;
    int r;

    assert(str_empty(inst->public_ip));
    r = store_number_get(tx, PUBLIC_CURSOR, &cursor);
    if (r < 0)
        return r;
    for (int tries = 0; tries < PUBLIC_TRIES; tries++, cursor++) {
        struct str address = public_address(tx_arena(tx), cursor);

        r = store_address_take(tx, PUBLIC_SCOPE, address, inst->id);
        if (r == -E_EXISTS)
            continue;
        if (r < 0)
            return r;
        inst->public_ip = address;
        return store_number_set(tx, PUBLIC_CURSOR, (cursor + 1) % PUBLIC_COUNT);
    }
    return fail(fail, E_PUBLIC_IP_NO_STOCK);
}

/* Remembers that there was one: `inst` has hot columns only, the memory is a cold one. */
int holdings_free_address(struct tx *tx, struct instance *inst)
{
    struct instance *full;
    int r;

    if (str_empty(inst->public_ip))
        return 0;
    r = store_address_free(tx, PUBLIC_SCOPE, inst->public_ip);
    if (r < 0)
        return r;
    inst->public_ip = STR_NONE;
    r = store_instance_get(tx, inst->id, &full);
    if (r < 0)
        return r;
    full->wants_public_ip = true;
    return store_instance_save_doc(tx, full);
}

/*
 * An instance that is locked for security takes all its disks with it (lifecycle.md §2.3). One that is on its way out was
 * asked for before: it stays.
 */
static bool disk_goes(const struct instance *inst, const struct disk *disk)
{
    if (disk->status == DISK_STATUS_DETACHING && disk->type == DISK_TYPE_DATA && !disk_is_local(disk))
        return false;
    return disk->delete_with_instance || disk->type == DISK_TYPE_SYSTEM ||
           disk_is_local(disk) ||
           (inst->locks & (INT64_C(1) << LOCK_REASON_SECURITY)) != 0;
}

int holdings_disks_that_go(struct tx *tx, const struct instance *inst, struct str *ret)
{
    struct str text = STR_NONE;
    struct disk *disks;
    size_t count;
    int r;

    r = store_disk_of_instance(tx, inst->id, &disks, &count);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        if (disk_goes(inst, &disks[i]))
            text = arena_printf(tx_arena(tx), "%.*s%.*s ", STR_ARG(text), STR_ARG(disks[i].id));
    *ret = text;
    return 0;
}

bool holdings_next_disk(struct str *text, struct str *ret)
{
    const char *end = text->len ? memchr(text->ptr, ' ', text->len) : NULL;

    if (!end)
        return false;
    *ret = str_slice(text->ptr, (size_t)(end - text->ptr));
    *text = str_slice(end + 1, text->len - ret->len - 1);
    return true;
}

static bool is_among(struct str text, struct str id)
{
    struct str next;

    while (holdings_next_disk(&text, &next))
        if (str_eq(next, id))
            return true;
    return false;
}

void holdings_release_disk(struct tx *tx, struct disk *disk)
{
    disk->instance_id = STR_NONE;
    disk->device = STR_NONE;
    disk->attached_us = 0;
    disk->detached_us = tx_now(tx);
    if (disk->status != DISK_STATUS_AVAILABLE) /* the operator's word for it */
        disk_move(disk, DISK_STATUS_AVAILABLE);
}

static int drop_disk(struct tx *tx, struct disk *disk, struct str going, bool at_host)
{
    int r;

    if (is_among(going, disk->id)) {
        r = store_tag_delete(tx, disk->id, STR_NONE);
        if (r < 0 && r != -E_NOT_FOUND)
            return r;
        return store_disk_delete(tx, disk->id);
    }
    if (!at_host)
        holdings_release_disk(tx, disk);
    else if (disk->status != DISK_STATUS_DETACHING)
        disk_move(disk, DISK_STATUS_DETACHING);
    return store_disk_save(tx, disk);
}

int holdings_drop_disks(struct tx *tx, struct str instance_id, struct str going, bool at_host)
{
    struct disk *disks;
    size_t count;
    int r;

    r = store_disk_of_instance(tx, instance_id, &disks, &count);
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = drop_disk(tx, &disks[i], going, at_host);
    return r;
}

static int drop_addresses(struct tx *tx, const struct instance *inst)
{
    int r = 0;

    if (!str_empty(inst->public_ip))
        r = store_address_free(tx, PUBLIC_SCOPE, inst->public_ip);
    if (r >= 0 && !str_empty(inst->private_ip))
        r = store_address_free(tx, inst->vswitch_id, inst->private_ip);
    return r;
}

int holdings_drop(struct tx *tx, struct instance *inst, struct str going, bool at_host)
{
    int r;

    r = holdings_drop_disks(tx, inst->id, going, at_host);
    if (r < 0)
        return r;
    r = drop_addresses(tx, inst);
    if (r < 0)
        return r;
    r = BUG(capacity_leaked) ? 0 : holdings_unplace(tx, inst);
    if (r < 0)
        return r;
    r = store_tag_delete(tx, inst->id, STR_NONE);
    if (r < 0 && r != -E_NOT_FOUND)
        return r;
    r = store_group_leave_all(tx, inst->id);
    if (r < 0)
        return r;
    r = store_segment_switch(tx, inst, -1, tx_now(tx));
    if (r < 0)
        return r;
    return store_instance_delete(tx, inst);
}

struct str local_disk_id(struct arena *arena, struct str instance_id, int64_t index)
{
    return arena_printf(arena, "%.*s-local-%d", STR_ARG(instance_id), (int)index);
}
