/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a simulated machine, and how they come and go while it lives. */
#include "hypervisor/sim_record.h"

bool sim_disk_is_good(const struct machine_disk *disk)
{
    return disk->id.len > 0 && disk->id.len <= SIM_TEXT_MAX && disk->device.len <= SIM_TEXT_MAX &&
           disk->image_id.len <= SIM_TEXT_MAX;
}

/* ── what applied records do ── */

void sim_set_disks(struct sim *sim, struct sim_machine *machine, const struct machine_disk *disks, size_t count)
{
    struct guest old = machine->guest;

    old.disks = guest_set_disks(&machine->guest, disks, count);
    sim_kept_fill(sim, &machine->guest);
    sim_disks_move(sim, machine, &old, &machine->guest);
    sim_disks_open(sim, machine);
    guest_done(&old);
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

void sim_drop_disk(struct sim *sim, struct sim_machine *machine, int64_t index)
{
    struct machine_disk disks[SIM_DISKS_MAX + 1];
    size_t count = disks_of(&machine->guest, index, disks);

    sim_set_disks(sim, machine, disks, count);
}

void sim_add_disk(struct sim *sim, struct sim_machine *machine, const struct machine_disk *disk)
{
    struct machine_disk disks[SIM_DISKS_MAX + 1];
    size_t count = disks_of(&machine->guest, -1, disks);

    assert(count < SIM_DISKS_MAX);
    disks[count++] = *disk;
    sim_set_disks(sim, machine, disks, count);
}

/* ── the calls ── */

/* -E_BUSY: it lives. One that is off will have to let go of the disk, whatever its definition says. */
static int add_holder(struct sim *sim, struct sim_machine *machine, struct sim_attach *attach)
{
    if (guest_find_disk(&machine->guest, attach->disk.id) < 0)
        return 0;
    sim_settle(sim, machine, sim_now(sim));
    if (guest_state(&machine->guest) != MACHINE_OFF)
        return -E_BUSY;
    if (attach->holder_count == SIM_HOLDERS_MAX)
        return -E_LIMIT;
    attach->holders[attach->holder_count++] = machine->number;
    return 0;
}

/* Of all other machines of all hosts: a cloud disk is one machine's. */
static int find_holders(struct sim *sim, const struct sim_machine *machine, struct sim_attach *attach)
{
    int r = 0;

    for (uint32_t i = 0; i < sim->host_count && r == 0; i++) {
        size_t cursor = 0;
        struct str id;
        void *value;

        while (r == 0 && map_next(&sim->hosts[i]->machines, &cursor, &id, &value))
            if (value != machine)
                r = add_holder(sim, value, attach);
    }
    return r;
}

static int add_disk(struct sim *sim, struct sim_machine *machine, int64_t incarnation, const struct machine_disk *disk)
{
    struct sim_attach attach = {.disk = *disk};
    int r;

    if (machine->guest.disk_count >= SIM_DISKS_MAX)
        return -E_LIMIT;
    r = find_holders(sim, machine, &attach);
    return r < 0 ? r : sim_commit_attach(sim, machine, incarnation, &attach);
}

static int take_disk_out(struct sim *sim, struct sim_machine *machine, int64_t incarnation, struct str disk_id)
{
    struct journal_record record = {.kind = RECORD_DETACH, .number = machine->number, .value = incarnation};

    return sim_commit(sim, record, disk_id);
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
        r = add_disk(sim, machine, incarnation, disk);
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
        r = take_disk_out(sim, machine, incarnation, disk_id);
    sim_unlock(sim);
    if (r == -E_BUSY)
        return fail_text(fail, E_BUSY, "machine %.*s hasn't let go of disk %.*s", STR_ARG(id),
                         STR_ARG(disk_id));
    return r;
}
