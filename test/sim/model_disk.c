/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that were made by CreateDisk, as model.c has instances. They stay when their instance goes. */
#include "sim/run.h"

static const char *const disk_words[] = {
    [DISK_MICRO_AVAILABLE] = "Available", [DISK_MICRO_ATTACHING] = "Attaching", [DISK_MICRO_IN_USE] = "In_use",
    [DISK_MICRO_DETACHING] = "Detaching", [DISK_MICRO_GONE] = "gone",
};

int model_disk_find(const struct model *model, struct str id)
{
    for (int i = 0; i < model->disk_count; i++)
        if (str_eq(str_from(model->disks[i].id), id))
            return i;
    return NOBODY;
}

int model_disk_add(struct model *model, struct str id, int account, int zone)
{
    struct model_disk *disk = NULL;

    if (model->disk_count < MODEL_DISKS)
        disk = &model->disks[model->disk_count++];
    for (int i = 0; !disk && i < MODEL_DISKS; i++)
        if (model->disks[i].states == DISK_MICRO(GONE) && !client_means(model->run, NOBODY, i))
            disk = &model->disks[i];
    if (!disk || id.len >= sizeof(disk->id))
        return NOBODY;
    *disk = (struct model_disk){.account = account, .zone = zone, .states = DISK_MICRO(AVAILABLE), .instance = NOBODY};
    memcpy(disk->id, id.ptr, id.len);
    return (int)(disk - model->disks);
}

unsigned model_disk_states(struct model *model, int index)
{
    struct model_disk *disk = &model->disks[index];
    unsigned owner = disk->instance == NOBODY ? 0 : model_states(model, disk->instance);
    bool left = disk->unsure || (owner & (MICRO(GONE) | MICRO(LEAVING))) != 0;

    if (disk->states & DISK_MICRO(ATTACHING))
        disk->states |= DISK_MICRO(IN_USE);
    if (left && (disk->states & (DISK_MICRO(IN_USE) | DISK_MICRO(ATTACHING))))
        disk->states |= DISK_MICRO(DETACHING) | DISK_MICRO(AVAILABLE);
    if (disk->states & DISK_MICRO(DETACHING))
        disk->states |= DISK_MICRO(AVAILABLE);
    return disk->states;
}

void model_disk_was(struct model *model, int index, unsigned states, const char *why)
{
    struct model_disk *disk = &model->disks[index];
    unsigned possible = model_disk_states(model, index);

    if ((possible & states) == 0)
        run_broken(model->run, "the API agrees with what callers were told", "disk %s: %s would mean %#x, but it is %#x",
                   disk->id, why, states, possible);
    disk->states = possible & states;
}

void model_disk_attach(struct model *model, int index, int instance, bool sure)
{
    struct model_disk *disk = &model->disks[index];

    if (sure) {
        model_disk_was(model, index, DISK_MICRO(AVAILABLE), "the order to attach that was accepted");
        disk->instance = instance;
        disk->unsure = false;
        disk->states = DISK_MICRO(ATTACHING); /* In_use at once where nothing runs: that follows */
    } else if (model_disk_states(model, index) & DISK_MICRO(AVAILABLE)) {
        disk->unsure |= disk->instance != NOBODY && disk->instance != instance;
        disk->instance = instance;
        disk->states |= DISK_MICRO(ATTACHING);
    }
}

void model_disk_detach(struct model *model, int index, bool sure)
{
    struct model_disk *disk = &model->disks[index];

    if (sure) {
        model_disk_was(model, index, DISK_MICRO(IN_USE), "the order to detach that was accepted");
        disk->states = DISK_MICRO(DETACHING);
    } else if (model_disk_states(model, index) & DISK_MICRO(IN_USE)) {
        disk->states |= DISK_MICRO(DETACHING);
    }
}

void model_disk_delete(struct model *model, int index, bool sure)
{
    struct model_disk *disk = &model->disks[index];

    if (sure) {
        model_disk_was(model, index, DISK_MICRO(AVAILABLE), "the order to delete that was accepted");
        disk->states = DISK_MICRO(GONE);
    } else if (model_disk_states(model, index) & DISK_MICRO(AVAILABLE)) {
        disk->states |= DISK_MICRO(GONE);
    }
}

void model_disk_shown(struct model *model, int index, struct str status, struct str instance_id)
{
    struct model_disk *disk = &model->disks[index];
    unsigned states = 0;

    for (int i = 0; i <= DISK_MICRO_GONE; i++)
        if (status.ptr ? str_eq(status, str_from(disk_words[i])) : i == DISK_MICRO_GONE)
            states |= 1u << i;
    model_disk_was(model, index, states, status.ptr ? status.ptr : "that it is not listed");
    if (disk->states & (DISK_MICRO(AVAILABLE) | DISK_MICRO(GONE))) {
        disk->instance = NOBODY;
        disk->unsure = false;
    } else if (disk->unsure) {
        disk->instance = model_find(model, instance_id);
        disk->unsure = false;
    } else if (disk->instance == NOBODY || !str_eq(str_from(model->instances[disk->instance].id), instance_id)) {
        run_broken(model->run, "no acknowledged call is lost", "disk %s is at %.*s, and callers were told %s", disk->id,
                   STR_ARG(instance_id), disk->instance == NOBODY ? "nobody" : model->instances[disk->instance].id);
    }
}

bool model_disk_busy(struct model *model, int instance)
{
    for (int i = 0; i < model->disk_count; i++) {
        const struct model_disk *disk = &model->disks[i];

        if ((disk->instance == instance || disk->unsure) &&
            (model_disk_states(model, i) & (DISK_MICRO(ATTACHING) | DISK_MICRO(DETACHING))))
            return true;
    }
    return false;
}
