/* SPDX-License-Identifier: Apache-2.0 */
#include "model/disk.h"

#define CLOUD_MIN_GIB 5 /* category cloud, retired */
#define CLOUD_MAX_GIB 2000
#define SIZE_MIN_GIB 20
#define SIZE_MAX_GIB 32768
#define SYSTEM_MAX_GIB 2048
#define LETTERS 26
#define PLACES (27 * LETTERS) /* names of one letter, then of two: the largest types bring 30 local disks */

#define MAY SM_MAY
/* A released instance takes its disk along or leaves it behind, whatever is being done to the disk or wrong with it. */
#define RELEASED (MAY(DISK_STATUS_AVAILABLE) | MAY(DISK_STATUS_DETACHING))

static const struct sm_state disk_states[] = {
    [DISK_STATUS_IN_USE] = {"In_use", RELEASED, SM_STABLE},
    /* Detaching: an attached one that the operator has called Available, when its instance is released. */
    [DISK_STATUS_AVAILABLE] = {"Available",
                               MAY(DISK_STATUS_ATTACHING) | MAY(DISK_STATUS_IN_USE) | MAY(DISK_STATUS_DETACHING),
                               SM_STABLE},
    [DISK_STATUS_ATTACHING] = {"Attaching", RELEASED | MAY(DISK_STATUS_IN_USE), 0},
    [DISK_STATUS_DETACHING] = {"Detaching", MAY(DISK_STATUS_AVAILABLE) | MAY(DISK_STATUS_IN_USE), 0},
    [DISK_STATUS_CREATING] = {"Creating", RELEASED | MAY(DISK_STATUS_IN_USE), 0},
    [DISK_STATUS_RE_INITING] = {"ReIniting", RELEASED | MAY(DISK_STATUS_IN_USE), 0},
};
static_assert(countof(disk_states) == DISK_STATUS_COUNT, "every status has a row");

const struct sm disk_sm = {"disk", disk_states, countof(disk_states)};

void disk_move(struct disk *disk, enum disk_status to)
{
    sm_move(&disk_sm, &disk->status, (int)to);
    assert((to == DISK_STATUS_AVAILABLE) == str_empty(disk->instance_id));
}

bool disk_is_local(const struct disk *disk)
{
    return disk->category >= DISK_CATEGORY_EPHEMERAL_SSD;
}

int64_t disk_size_min(int category)
{
    return category == DISK_CATEGORY_CLOUD ? CLOUD_MIN_GIB : SIZE_MIN_GIB;
}

int64_t disk_size_max(int category, int type)
{
    if (category == DISK_CATEGORY_CLOUD)
        return CLOUD_MAX_GIB;
    return type == DISK_TYPE_SYSTEM ? SYSTEM_MAX_GIB : SIZE_MAX_GIB;
}

/* ── devices ── */

struct str disk_device(struct arena *arena, size_t place)
{
    assert(place < PLACES);
    if (place < LETTERS)
        return arena_printf(arena, "/dev/xvd%c", (int)('a' + place));
    return arena_printf(arena, "/dev/xvd%c%c", (int)('a' + place / LETTERS - 1), (int)('a' + place % LETTERS));
}

struct str disk_free_device(struct arena *arena, const struct disk *disks, size_t count)
{
    struct str device = STR_NONE;
    bool taken = true;

    /* One of the first count + 1 is free. */
    for (size_t place = 1; taken; place++) {
        device = disk_device(arena, place);
        taken = false;
        for (size_t i = 0; i < count && !taken; i++)
            taken = str_eq(disks[i].device, device);
    }
    return device;
}

/* ── checks ── */

static bool has_lock(const struct instance *inst, enum lock_reason reason)
{
    return (inst->locks & INT64_C(1) << reason) != 0;
}

static bool in_arrears(const struct instance *inst)
{
    return has_lock(inst, LOCK_REASON_FINANCIAL) || has_lock(inst, LOCK_REASON_DEDICATEDHOSTFINANCIAL) ||
           has_lock(inst, LOCK_REASON_REFUNDED);
}

/* Neither on its way up nor down. */
static bool is_settled(const struct instance *inst)
{
    return inst->state == INSTANCE_STATE_RUNNING || inst->state == INSTANCE_STATE_STOPPED;
}

static int wrong_instance_status(const struct instance *inst, struct fail *fail)
{
    return fail(fail, E_INSTANCE_STATUS, str_from(sm_name(&instance_sm, inst->state)), STR("Running,Stopped"));
}

static bool is_full(const struct instance *inst, const struct disk *disks, size_t count)
{
    int64_t cloud = 0;

    for (size_t i = 0; i < count; i++)
        cloud += !disk_is_local(&disks[i]);
    return cloud >= instance_type_of(inst)->cloud_disk_count; /* the system disk counts too */
}

int disk_attach_check(const struct disk *disk, const struct instance *inst, const struct disk *disks, size_t count,
                      struct fail *fail)
{
    if (disk->type == DISK_TYPE_SYSTEM)
        return fail(fail, E_DISK_NOT_PORTABLE);
    if (disk_is_local(disk))
        return fail(fail, E_DISK_LOCAL);
    if (has_lock(inst, LOCK_REASON_SECURITY))
        return fail(fail, E_DISK_INSTANCE_LOCKED);
    if (in_arrears(inst))
        return fail(fail, E_INSTANCE_ARREARS);
    if (!is_settled(inst))
        return fail(fail, E_DISK_INSTANCE_STATUS);
    if (disk->status == DISK_STATUS_IN_USE)
        return fail(fail, E_DISK_OCCUPIED);
    if (disk->status != DISK_STATUS_AVAILABLE || !str_empty(disk->instance_id))
        return fail(fail, E_DISK_STATUS_ATTACH);
    if (!str_eq(disk->region_id, inst->region_id) || !str_eq(disk->zone_id, inst->zone_id))
        return fail(fail, E_DISK_OTHER_ZONE);
    return is_full(inst, disks, count) ? fail(fail, E_DISK_COUNT_EXCEEDED) : 0;
}

int disk_detach_check(const struct disk *disk, const struct instance *inst, struct fail *fail)
{
    if (disk->type == DISK_TYPE_SYSTEM)
        return fail(fail, E_DISK_TYPE_VIOLATION);
    if (disk_is_local(disk))
        return fail(fail, E_DISK_NOT_PORTABLE);
    if (str_empty(disk->instance_id))
        return fail(fail, E_DISK_DETACHED);
    if (!str_eq(disk->instance_id, inst->id))
        return fail(fail, E_DISK_NOT_ATTACHED);
    if (has_lock(inst, LOCK_REASON_SECURITY))
        return fail(fail, E_DISK_INSTANCE_LOCKED);
    if (!is_settled(inst))
        return wrong_instance_status(inst, fail);
    return disk->status != DISK_STATUS_IN_USE ? fail(fail, E_DISK_STATUS_NOW) : 0;
}

int disk_delete_check(const struct disk *disk, struct fail *fail)
{
    if (disk->type == DISK_TYPE_SYSTEM)
        return fail(fail, E_DISK_TYPE_VIOLATION);
    if (disk_is_local(disk))
        return fail(fail, E_DISK_NOT_PORTABLE);
    if (disk->status == DISK_STATUS_IN_USE)
        return fail(fail, E_DISK_STILL_ATTACHED);
    if (disk->status != DISK_STATUS_AVAILABLE || !str_empty(disk->instance_id))
        return fail(fail, E_DISK_STATUS_NOW);
    return 0;
}

static int resize_instance_check(const struct instance *inst, struct fail *fail)
{
    if (has_lock(inst, LOCK_REASON_SECURITY))
        return fail(fail, E_DISK_INSTANCE_LOCKED);
    if (in_arrears(inst))
        return fail(fail, E_INSTANCE_ARREARS);
    return is_settled(inst) ? 0 : wrong_instance_status(inst, fail);
}

int disk_resize_check(const struct disk *disk, const struct instance *inst, int64_t size_gib, struct fail *fail)
{
    int r;

    if (disk_is_local(disk))
        return fail(fail, E_DISK_RESIZE_DENIED);
    r = inst ? resize_instance_check(inst, fail) : 0;
    if (r < 0)
        return r;
    if (disk->status != DISK_STATUS_IN_USE && disk->status != DISK_STATUS_AVAILABLE)
        return fail(fail, E_DISK_STATUS_NOW);
    if (size_gib < disk->size_gib)
        return fail(fail, E_DISK_RESIZE_SMALL);
    if (size_gib == disk->size_gib)
        return fail(fail, E_DISK_RESIZE_SAME);
    return size_gib > disk_size_max(disk->category, disk->type) ? fail(fail, E_DISK_RESIZE_LARGE) : 0;
}
