/* SPDX-License-Identifier: Apache-2.0 */
/* Cloud disks outlive their machines (law 7 of hypervisor.h): what is on those that no machine has. */
#include "base/mem.h"
#include "hypervisor/sim_record.h"

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

/* ── in which machine a disk is open ── */

static void forget_open(struct sim *sim, const struct sim_machine *machine, struct str id)
{
    const struct sim_open_disk *open = map_get(&sim->open, id);

    if (open && open->machine == machine)
        xfree(map_take(&sim->open, id));
}

bool sim_disk_is_open(struct sim *sim, const struct sim_machine *machine, struct str id)
{
    const struct sim_open_disk *open = map_get(&sim->open, id);

    if (!open || open->machine == machine)
        return false;
    sim_settle(sim, open->machine, sim->file_us);
    return guest_state(&open->machine->guest) != MACHINE_OFF && guest_find_disk(&open->machine->guest, id) >= 0;
}

bool sim_disks_are_open(struct sim *sim, const struct sim_machine *machine)
{
    for (uint32_t i = 0; i < machine->guest.disk_count; i++)
        if (!machine->guest.disks[i].local && sim_disk_is_open(sim, machine, machine->guest.disks[i].id))
            return true;
    return false;
}

void sim_disks_open(struct sim *sim, struct sim_machine *machine)
{
    if (!sim->shared || guest_state(&machine->guest) == MACHINE_OFF)
        return;
    for (uint32_t i = 0; i < machine->guest.disk_count; i++) {
        const struct guest_disk *disk = &machine->guest.disks[i];
        struct sim_open_disk *open = map_get(&sim->open, disk->id);

        if (disk->local)
            continue;
        if (!open) {
            open = xcalloc(1, sizeof(*open) + disk->id.len);
            open->id_len = disk->id.len;
            memcpy(open->id, disk->id.ptr, disk->id.len);
            map_put(&sim->open, str_slice(open->id, open->id_len), open);
        }
        open->machine = machine;
    }
}

/* ── how disks come and go ── */

void sim_disks_move(struct sim *sim, const struct sim_machine *machine, const struct guest *before,
                    const struct guest *now)
{
    for (uint32_t i = 0; i < before->disk_count; i++) {
        const struct guest_disk *disk = &before->disks[i];

        if (!disk->local && guest_find_disk(now, disk->id) < 0) {
            struct sim_disk data = disk->data;

            /* Who lets go of a disk has written to it what it had to write; who is off has nothing left to. */
            data.durable += data.cached;
            data.cached = 0;
            sim_keep(sim, disk->id, &data);
            forget_open(sim, machine, disk->id);
        }
    }
    for (uint32_t i = 0; i < now->disk_count; i++)
        if (!now->disks[i].local)
            sim_unkeep(sim, now->disks[i].id);
}

int sim_disk_delete(struct hypervisor *hv, struct str disk_id)
{
    struct sim *sim = sim_of(hv);
    int r = sim_lock_now(sim);

    sim_file_maintain(sim);
    if (r == 0 && map_get(&sim->kept, disk_id))
        r = sim_commit(sim, (struct journal_record){.kind = RECORD_DISK_DELETE}, disk_id);
    sim_unlock(sim);
    return r;
}

bool sim_disk_kept(struct hypervisor *hv, struct str disk_id)
{
    struct sim *sim = sim_of(hv);
    bool kept;

    (void)sim_lock_now(sim); /* for tests, that have it in memory or on a good disk */
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
    cursor = 0;
    while (map_next(&sim->open, &cursor, &id, &value))
        xfree(value);
    map_done(&sim->open);
}
