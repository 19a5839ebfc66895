/* SPDX-License-Identifier: Apache-2.0 */
/* Cloud disks outlive their machines (law 7 of hypervisor.h): what is on those that no machine has. */
#include "base/mem.h"
#include "hypervisor/sim_impl.h"

void sim_keep(struct sim *sim, struct str id, const struct sim_disk *data)
{
    struct sim_kept *kept;

    sim_unkeep(sim, id);
    if (!data->written)
        return;
    kept = xcalloc(1, sizeof(*kept) + id.len);
    kept->data = *data;
    kept->id_len = id.len;
    memcpy(kept->id, id.ptr, id.len);
    map_put(&sim->kept, str_slice(kept->id, id.len), kept);
}

void sim_unkeep(struct sim *sim, struct str id)
{
    xfree(map_take(&sim->kept, id));
}

void sim_kept_fill(const struct sim *sim, struct guest *guest)
{
    for (uint32_t i = 0; i < guest->disk_count; i++) {
        struct guest_disk *disk = &guest->disks[i];
        const struct sim_kept *kept = disk->local ? NULL : map_get(&sim->kept, disk->id);

        if (kept)
            disk->data = kept->data;
    }
}

void sim_disks_move(struct sim *sim, const struct guest *before, const struct guest *now)
{
    for (uint32_t i = 0; i < before->disk_count; i++) {
        const struct guest_disk *disk = &before->disks[i];

        if (!disk->local && guest_find_disk(now, disk->id) < 0) {
            struct sim_disk data = disk->data;

            /* Who lets go of a disk has written to it what it had to write; who is off has nothing left to. */
            data.durable += data.cached;
            data.cached = 0;
            sim_keep(sim, disk->id, &data);
        }
    }
    for (uint32_t i = 0; i < now->disk_count; i++)
        if (!now->disks[i].local)
            sim_unkeep(sim, now->disks[i].id);
}

int sim_disk_delete(struct hypervisor *hv, struct str disk_id)
{
    struct sim *sim = sim_of(hv);
    int r = 0;

    sim_lock(sim);
    sim_file_maintain(sim);
    if (map_get(&sim->kept, disk_id)) {
        r = sim_write_disk_delete(sim, disk_id, sim_now(sim));
        if (r == 0)
            sim_unkeep(sim, disk_id);
    }
    sim_unlock(sim);
    return r;
}

bool sim_disk_kept(struct hypervisor *hv, struct str disk_id)
{
    struct sim *sim = sim_of(hv);
    bool kept;

    sim_lock(sim);
    kept = map_get(&sim->kept, disk_id) != NULL;
    sim_unlock(sim);
    return kept;
}

void sim_kept_free(struct sim *sim)
{
    size_t cursor = 0;
    struct str id;
    void *value;

    while (map_next(&sim->kept, &cursor, &id, &value))
        xfree(value);
    map_done(&sim->kept);
}
