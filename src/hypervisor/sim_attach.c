/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a simulated machine, and how they come and go while it lives. */
#include "hypervisor/sim_impl.h"

bool sim_disk_is_good(const struct machine_disk *disk)
{
    return disk->id.len > 0 && disk->id.len <= SIM_TEXT_MAX && disk->device.len <= SIM_TEXT_MAX &&
           disk->image_id.len <= SIM_TEXT_MAX;
}

/* The record is made of the new definition; the old one is kept until it is written, and comes back
 * if it can't be. */
int sim_machine_set_disks(struct sim *sim, struct sim_machine *machine,
                          const struct machine_disk *disks, size_t count, usec_t now_us)
{
    struct guest old = machine->guest;
    int r;

    old.disks = guest_set_disks(&machine->guest, disks, count);
    sim_kept_fill(sim, &machine->guest);
    r = sim_write_machine(sim, machine, now_us);
    if (r < 0) {
        guest_done(&machine->guest);
        machine->guest = old;
        return r;
    }
    sim_disks_move(sim, &old, &machine->guest);
    guest_done(&old);
    return 0;
}

/* The machine's disks but that of index `without` (-1: all), with room for one more. */
static size_t disks_of(const struct guest *guest, int64_t without,
                       struct machine_disk ret[SIM_DISKS_MAX + 1])
{
    size_t count = 0;

    assert(guest->disk_count <= SIM_DISKS_MAX);
    for (uint32_t i = 0; i < guest->disk_count; i++) {
        const struct guest_disk *disk = &guest->disks[i];

        if (i != without)
            ret[count++] = (struct machine_disk){
                .id = disk->id,
                .device = disk->device,
                .size_gib = disk->size_gib,
                .image_id = disk->image_id,
                .local = disk->local,
            };
    }
    return count;
}

static int drop_disk(struct sim *sim, struct sim_machine *machine, int64_t index, usec_t now_us)
{
    struct machine_disk disks[SIM_DISKS_MAX + 1];
    size_t count = disks_of(&machine->guest, index, disks);

    return sim_machine_set_disks(sim, machine, disks, count, now_us);
}

/* -E_BUSY: it lives. One that is off lets go of the disk, whatever its definition says. */
static int take_from(struct sim *sim, struct sim_machine *machine, struct str disk_id, usec_t now_us)
{
    int64_t index = guest_find_disk(&machine->guest, disk_id);

    if (index < 0)
        return 0;
    sim_settle(sim, machine, now_us);
    if (guest_state(&machine->guest) != MACHINE_OFF)
        return -E_BUSY;
    return drop_disk(sim, machine, index, now_us);
}

/* From all other machines of all hosts: a cloud disk is one machine's. */
static int take_from_others(struct sim *sim, const struct sim_machine *machine, struct str disk_id,
                            usec_t now_us)
{
    int r = 0;

    for (uint32_t i = 0; i < sim->host_count && r == 0; i++) {
        size_t cursor = 0;
        struct str id;
        void *value;

        while (r == 0 && map_next(&sim->hosts[i]->machines, &cursor, &id, &value))
            if (value != machine)
                r = take_from(sim, value, disk_id, now_us);
    }
    return r;
}

static int add_disk(struct sim *sim, struct sim_machine *machine, const struct machine_disk *disk,
                    usec_t now_us)
{
    struct machine_disk disks[SIM_DISKS_MAX + 1];
    size_t count = disks_of(&machine->guest, -1, disks);
    int r;

    if (count >= SIM_DISKS_MAX)
        return -E_LIMIT;
    r = take_from_others(sim, machine, disk->id, now_us);
    if (r < 0)
        return r;
    disks[count++] = *disk;
    return sim_machine_set_disks(sim, machine, disks, count, now_us);
}

/* As sim_host_enter, and finds the machine of that incarnation: -E_GONE. Settled. */
static int enter(struct sim *sim, struct str host_id, struct str id, int64_t incarnation,
                 struct sim_machine **ret)
{
    struct sim_machine *machine;
    struct sim_host *host;
    int r = sim_host_enter(sim, host_id, &host);

    if (r < 0)
        return r;
    machine = sim_machine_find(host, id);
    if (!machine || machine->guest.incarnation != incarnation) {
        sim_unlock(sim);
        return -E_GONE;
    }
    sim_settle(sim, machine, sim_now(sim));
    *ret = machine;
    return 0;
}

int sim_disk_attach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                    const struct machine_disk *disk, struct fail *fail)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    int r;

    if (disk->local || !sim_disk_is_good(disk))
        return fail_text(fail, E_INVALID, "disk %.*s passes a limit, or is none of the cloud",
                         STR_ARG(disk->id));
    r = enter(sim, host_id, id, incarnation, &machine);
    if (r < 0)
        return r;
    r = guest_check_attach(&machine->guest);
    if (r == 0 && guest_find_disk(&machine->guest, disk->id) < 0)
        r = add_disk(sim, machine, disk, sim_now(sim));
    sim_unlock(sim);
    if (r == -E_BUSY)
        return fail_text(fail, E_BUSY, "another machine has disk %.*s", STR_ARG(disk->id));
    return r;
}

int sim_disk_detach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                    struct str disk_id, struct fail *fail)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    int64_t index;
    int r = enter(sim, host_id, id, incarnation, &machine);

    if (r < 0)
        return r;
    index = guest_find_disk(&machine->guest, disk_id);
    if (index >= 0)
        r = guest_check_detach(&machine->guest);
    if (index >= 0 && r == 0)
        r = drop_disk(sim, machine, index, sim_now(sim));
    sim_unlock(sim);
    if (r == -E_BUSY)
        return fail_text(fail, E_BUSY, "machine %.*s hasn't let go of disk %.*s", STR_ARG(id),
                         STR_ARG(disk_id));
    return r;
}
