/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the tails of records. */
#include "hypervisor/sim_record.h"

#include "base/mem.h"

/* ── numbers and texts ── */

static void put_int(struct buf *out, int64_t value)
{
    buf_add(out, &value, sizeof(value));
}

static void put_str(struct buf *out, struct str text)
{
    put_int(out, (int64_t)text.len);
    if (text.len)
        buf_add(out, text.ptr, text.len);
}

int64_t take_int(struct reader *in)
{
    int64_t value = 0;

    if (in->rest.len < sizeof(value)) {
        in->bad = true;
        return 0;
    }
    memcpy(&value, in->rest.ptr, sizeof(value));
    in->rest.ptr += sizeof(value);
    in->rest.len -= sizeof(value);
    return value;
}

int64_t take_bounded(struct reader *in, int64_t max)
{
    int64_t value = take_int(in);

    if (value < 0 || value > max) {
        in->bad = true;
        return 0;
    }
    return value;
}

struct str take_str(struct reader *in, int64_t max_bytes)
{
    size_t len = (size_t)take_bounded(in, max_bytes);
    struct str text = {in->rest.ptr, len};

    if (len > in->rest.len) {
        in->bad = true;
        return STR_NONE;
    }
    in->rest.ptr += len;
    in->rest.len -= len;
    return len ? text : STR_NONE;
}

/* ── a machine ── */

/* One number: files that older programs wrote have 0 or 1 there, for the first. */
enum { FLAG_HANG = 1, FLAG_HOLD = 2 };
/* Likewise. */
enum { FLAG_PAUSED = 1, FLAG_UP = 2 };

static void put_guest(struct buf *out, const struct guest *guest)
{
    put_int(out, guest->incarnation);
    put_int(out, guest->since_us);
    put_int(out, guest->due_us);
    put_int(out, guest->left_us);
    put_int(out, guest->boot_us);
    put_int(out, guest->shutdown_us);
    put_int(out, guest->phase);
    put_int(out, guest->end);
    put_int(out, (guest->paused ? FLAG_PAUSED : 0) | (guest->up ? FLAG_UP : 0));
    put_int(out, guest->pressed);
    put_int(out, guest->deaf);
    put_int(out, (guest->hang ? FLAG_HANG : 0) | (guest->hold ? FLAG_HOLD : 0));
}

static void take_guest(struct reader *in, struct guest *guest)
{
    int64_t flags;
    int64_t shared;

    guest->incarnation = take_int(in);
    guest->since_us = take_int(in);
    guest->due_us = take_int(in);
    guest->left_us = take_int(in);
    guest->boot_us = take_int(in);
    guest->shutdown_us = take_int(in);
    guest->phase = (uint8_t)take_bounded(in, GUEST_PHASE_COUNT - 1);
    guest->end = (uint8_t)take_bounded(in, MACHINE_END_HOST);
    shared = take_bounded(in, FLAG_PAUSED | FLAG_UP);
    guest->paused = (shared & FLAG_PAUSED) != 0;
    guest->up = (shared & FLAG_UP) != 0 || guest->phase == GUEST_RUNNING;
    guest->pressed = take_bounded(in, 1) != 0;
    guest->deaf = take_bounded(in, 1) != 0;
    flags = take_bounded(in, FLAG_HANG | FLAG_HOLD);
    guest->hang = (flags & FLAG_HANG) != 0;
    guest->hold = (flags & FLAG_HOLD) != 0;
}

static void put_data(struct buf *out, const struct sim_disk *data)
{
    put_int(out, data->written);
    put_int(out, data->durable);
    put_int(out, data->cached);
    put_int(out, data->lost);
}

static struct sim_disk take_data(struct reader *in)
{
    struct sim_disk data = {.written = take_bounded(in, 1) != 0};

    data.durable = take_int(in);
    data.cached = take_int(in);
    data.lost = take_int(in);
    return data;
}

void put_machine(struct buf *out, const struct sim_machine *machine)
{
    const struct guest *guest = &machine->guest;

    put_str(out, machine_id_of(machine));
    put_int(out, machine->vcpus);
    put_int(out, machine->memory_mib);
    put_guest(out, guest);
    put_int(out, guest->disk_count);
    for (uint32_t i = 0; i < guest->disk_count; i++) {
        const struct guest_disk *disk = &guest->disks[i];

        put_str(out, disk->id);
        put_str(out, disk->device);
        put_str(out, disk->image_id);
        put_int(out, disk->size_gib);
        put_int(out, disk->local);
        put_data(out, &disk->data);
    }
}

/* Returns the disks that were there before, to be freed; NULL when the bytes are bad: then nothing has changed. */
static struct guest_disk *take_disks(struct reader *in, struct guest *guest)
{
    struct guest_disk *before = NULL;
    size_t count = (size_t)take_bounded(in, SIM_DISKS_MAX);
    struct machine_disk *disks = xcalloc(count + 1, sizeof(*disks));
    struct sim_disk *data = xcalloc(count + 1, sizeof(*data));

    for (size_t i = 0; i < count; i++) {
        disks[i].id = take_str(in, SIM_TEXT_MAX);
        disks[i].device = take_str(in, SIM_TEXT_MAX);
        disks[i].image_id = take_str(in, SIM_TEXT_MAX);
        disks[i].size_gib = take_int(in);
        disks[i].local = take_bounded(in, 1) != 0;
        data[i] = take_data(in);
    }
    if (!in->bad) {
        before = guest_set_disks(guest, disks, count);
        for (size_t i = 0; i < count; i++)
            guest->disks[i].data = data[i];
    }
    xfree(data);
    xfree(disks);
    return before;
}

struct guest_disk *take_machine(struct reader *in, struct sim_machine *machine)
{
    machine->vcpus = take_int(in);
    machine->memory_mib = take_int(in);
    take_guest(in, &machine->guest);
    return take_disks(in, &machine->guest);
}

/* ── disks that no machine has ── */

void put_kept(struct buf *out, struct str id, const struct sim_disk *data)
{
    put_str(out, id);
    put_data(out, data);
}

bool take_kept(struct str tail, struct str *ret_id, struct sim_disk *ret_data)
{
    struct reader in = {.rest = tail};

    *ret_id = take_str(&in, SIM_TEXT_MAX);
    *ret_data = take_data(&in);
    return !in.bad && in.rest.len == 0 && ret_id->len > 0 && guest_data_is_sound(ret_data);
}

/* ── orders ── */

static void put_disk(struct buf *out, const struct machine_disk *disk)
{
    put_str(out, disk->id);
    put_str(out, disk->device);
    put_str(out, disk->image_id);
    put_int(out, disk->size_gib);
    put_int(out, disk->local);
}

static struct machine_disk take_disk(struct reader *in)
{
    struct machine_disk disk = {.id = take_str(in, SIM_TEXT_MAX)};

    disk.device = take_str(in, SIM_TEXT_MAX);
    disk.image_id = take_str(in, SIM_TEXT_MAX);
    disk.size_gib = take_int(in);
    disk.local = take_bounded(in, 1) != 0;
    in->bad = in->bad || disk.id.len == 0;
    return disk;
}

void put_spec(struct buf *out, const struct sim_spec *spec)
{
    put_str(out, spec->id);
    put_int(out, spec->vcpus);
    put_int(out, spec->memory_mib);
    put_int(out, spec->boot_us);
    put_int(out, spec->shutdown_us);
    put_int(out, (int64_t)spec->disk_count);
    for (size_t i = 0; i < spec->disk_count; i++)
        put_disk(out, &spec->disks[i]);
}

bool take_spec(struct str tail, struct machine_disk *disks, struct sim_spec *ret)
{
    struct reader in = {.rest = tail};

    ret->id = take_str(&in, SIM_ID_MAX);
    ret->vcpus = take_int(&in);
    ret->memory_mib = take_int(&in);
    ret->boot_us = take_bounded(&in, GUEST_LENGTH_MAX_US);
    ret->shutdown_us = take_bounded(&in, GUEST_LENGTH_MAX_US);
    ret->disk_count = (size_t)take_bounded(&in, SIM_DISKS_MAX);
    ret->disks = disks;
    for (size_t i = 0; i < ret->disk_count; i++)
        disks[i] = take_disk(&in);
    return !in.bad && in.rest.len == 0 && ret->id.len > 0;
}

void put_attach(struct buf *out, const struct sim_attach *attach)
{
    put_disk(out, &attach->disk);
    put_int(out, (int64_t)attach->holder_count);
    for (size_t i = 0; i < attach->holder_count; i++)
        put_int(out, attach->holders[i]);
}

bool take_attach(struct str tail, struct sim_attach *ret)
{
    struct reader in = {.rest = tail};

    ret->disk = take_disk(&in);
    ret->holder_count = (size_t)take_bounded(&in, SIM_HOLDERS_MAX);
    for (size_t i = 0; i < ret->holder_count; i++)
        ret->holders[i] = (uint32_t)take_bounded(&in, UINT32_MAX);
    return !in.bad && in.rest.len == 0 && !ret->disk.local;
}
