/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a record does. Carrying out an order is applying its record: of our own right after it was written, of other
 * processes when we come to it, of earlier lives at the start. So everybody who has read the same file has the same world.
 *
 * Whoever wrote an order had found it right, but in a shared world others may have come first. It is judged where it stands,
 * and then has its effect in every process or in none. `answer` is what the one who gave the order is told.
 */
#include "hypervisor/sim_record.h"

#include "base/mem.h"

/* The program that wrote a private file left out the numbers of records that could not be written: some, never millions, for
 * which there would have to be room here. */
#define NUMBERS_LOST_MAX (1u << 16)

/* Returns 0, or -E_IO: no program of ours writes such a record. */
typedef int (*apply_fn)(struct sim *sim, const struct journal_record *record, struct str tail, int *answer);

/* Another process was quicker. A private world has no others: whatever isn't there was never there. */
static int gone(const struct sim *sim, int why, int *answer)
{
    *answer = why;
    return sim->shared ? 0 : -E_IO;
}

/* ── numbers ── */

struct sim_machine *sim_numbered(const struct sim *sim, uint32_t number)
{
    return number < sim->numbered_room ? sim->numbered[number] : NULL;
}

void sim_number(struct sim *sim, struct sim_machine *machine, uint32_t number)
{
    uint32_t had = sim->numbered_room;

    if (number >= had) {
        sim->numbered_room = MAX_OF(number + 1, had + had / 2);
        sim->numbered = xrealloc(sim->numbered, sim->numbered_room * sizeof(struct sim_machine *));
        memset(sim->numbered + had, 0, (sim->numbered_room - had) * sizeof(struct sim_machine *));
    }
    sim->numbered[number] = machine;
    machine->number = number;
    sim->next_number = MAX_OF(sim->next_number, number + 1);
}

static struct sim_host *host_numbered(const struct sim *sim, int64_t number)
{
    return number >= 0 && number < sim->host_count ? sim->hosts[number] : NULL;
}

static bool number_is_free(const struct sim *sim, const struct sim_machine *machine, uint32_t number)
{
    const struct sim_machine *holder = sim_numbered(sim, number);

    if (machine)
        return holder == machine;
    return !holder && number < UINT32_MAX && number <= (uint64_t)sim->next_number + NUMBERS_LOST_MAX;
}

/* ── hosts ── */

/* In the order in which they stand in the file, which is their number; they are never dropped. */
static int apply_host(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    struct sim_host *host;

    *answer = 0;
    if (tail.len == 0 || tail.len > SIM_ID_MAX)
        return -E_IO;
    host = sim_host_find(sim, tail);
    if (sim->shared)
        return host || sim_host_new(sim, tail) ? 0 : -E_IO;
    if (record->number != (host ? host->number : sim->host_count))
        return -E_IO;
    if (!host)
        (void)sim_host_new(sim, tail);
    return 0;
}

static int apply_host_knob(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    struct sim_host *host = host_numbered(sim, record->number);
    bool was_down;

    *answer = 0;
    (void)tail;
    if (!host || record->what >= HOST_KNOB_COUNT || record->value < 0 || record->value > GUEST_LENGTH_MAX_US)
        return -E_IO;
    was_down = host->knobs[HOST_DOWN] != 0;
    host->knobs[record->what] = record->value;
    if (was_down && !host->knobs[HOST_DOWN])
        sim_note_unseen(sim, host);
    return 0;
}

/* Power loss: every machine of the host ends. */
static int apply_host_fail(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    struct sim_host *host = host_numbered(sim, record->number);

    *answer = 0;
    (void)tail;
    if (!host)
        return -E_IO;
    sim_host_fail(sim, host, record->time_us);
    return 0;
}

/* It is out of reach from then on, as one without power is, until it is set up again. */
static int apply_host_crash(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    struct sim_host *host = host_numbered(sim, record->number);

    if (host)
        host->knobs[HOST_DOWN] = 1;
    return apply_host_fail(sim, record, tail, answer);
}

/* ── machines ── */

/* All of one: of the programs that wrote whole machines, and of rewritten files. */
static int apply_machine(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    struct sim_host *host = host_numbered(sim, record->value);
    struct reader in = {.rest = tail};
    struct sim_machine *machine;
    struct guest before;
    struct str id = take_str(&in, SIM_ID_MAX);

    *answer = 0;
    if (!host || id.len == 0)
        return -E_IO;
    machine = sim_machine_find(host, id);
    if (!number_is_free(sim, machine, record->number))
        return -E_IO;
    if (!machine)
        machine = sim_machine_new(sim, host, id);
    sim_number(sim, machine, record->number);
    sim_settle(sim, machine, record->time_us);
    before = machine->guest;
    before.disks = take_machine(&in, machine);
    if (in.bad || in.rest.len > 0 || !guest_is_sound(&machine->guest)) {
        xfree(before.disks);
        return -E_IO;
    }
    sim_disks_move(sim, machine, &before, &machine->guest);
    sim_disks_open(sim, machine);
    guest_done(&before);
    sim_settle(sim, machine, record->time_us);
    return 0;
}

static struct sim_machine *machine_make(struct sim *sim, struct sim_host *host, const struct sim_spec *spec, usec_t now_us)
{
    struct sim_machine *machine = sim_machine_new(sim, host, spec->id);

    machine->guest.since_us = now_us;
    machine->guest.boot_us = spec->boot_us;
    machine->guest.shutdown_us = spec->shutdown_us;
    sim_number(sim, machine, sim->next_number);
    return machine;
}

static bool any_is_open(struct sim *sim, const struct sim_machine *machine, const struct machine_disk *disks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!disks[i].local && sim_disk_is_open(sim, machine, disks[i].id))
            return true;
    return false;
}

static int apply_define(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    struct sim_host *host = host_numbered(sim, record->number);
    struct machine_disk disks[SIM_DISKS_MAX];
    struct sim_machine *machine;
    struct sim_spec spec;

    if (!host || !take_spec(tail, disks, &spec) || sim->next_number == UINT32_MAX)
        return -E_IO;
    if (host->knobs[HOST_DOWN])
        return gone(sim, -E_UNREACHABLE, answer);
    machine = sim_machine_find(host, spec.id);
    if (!machine)
        machine = machine_make(sim, host, &spec, record->time_us);
    sim_settle(sim, machine, record->time_us);
    if (guest_state(&machine->guest) != MACHINE_OFF && any_is_open(sim, machine, spec.disks, spec.disk_count)) {
        *answer = -E_BUSY;
        return 0;
    }
    machine->vcpus = spec.vcpus;
    machine->memory_mib = spec.memory_mib;
    sim_set_disks(sim, machine, spec.disks, spec.disk_count);
    return 0;
}

static int apply_undefine(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    struct sim_machine *machine = sim_numbered(sim, record->number);

    (void)tail;
    if (!machine)
        return gone(sim, 0, answer);
    if (machine->host->knobs[HOST_DOWN])
        return gone(sim, -E_UNREACHABLE, answer);
    sim_settle(sim, machine, record->time_us);
    if (guest_state(&machine->guest) != MACHINE_OFF)
        return gone(sim, -E_BUSY, answer);
    sim_disks_move(sim, machine, &machine->guest, &(struct guest){0});
    sim_machine_drop(sim, machine);
    return 0;
}

/* ── orders to guests; they are settled to the time of the record ── */

static void carry_out(struct sim *sim, struct sim_machine *machine, enum guest_verb verb, int64_t arg, usec_t now_us,
                      int *answer)
{
    int r = guest_check(&machine->guest, verb, arg);

    if (r > 0)
        sim_carry_out(sim, machine, verb, arg, now_us);
    *answer = MIN_OF(r, 0);
}

static int apply_order(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    struct sim_machine *machine = sim_numbered(sim, record->number);
    enum guest_verb verb = record->what;

    (void)tail;
    if (!machine)
        return gone(sim, -E_NOT_FOUND, answer);
    if (!guest_arg_is_sound(&machine->guest, verb, record->value))
        return -E_IO;
    sim_settle(sim, machine, record->time_us);
    carry_out(sim, machine, verb, record->value, record->time_us, answer);
    return 0;
}

/* The machine that an order of the engine means: there, in reach, settled, and of its incarnation (-1: any). NULL: `ret` says
 * what the handler returns. */
static struct sim_machine *meant(struct sim *sim, const struct journal_record *record, int64_t incarnation, int absent,
                                 int *answer, int *ret)
{
    struct sim_machine *machine = sim_numbered(sim, record->number);

    if (!machine) {
        *ret = gone(sim, absent, answer);
        return NULL;
    }
    if (machine->host->knobs[HOST_DOWN]) {
        *ret = gone(sim, -E_UNREACHABLE, answer);
        return NULL;
    }
    sim_settle(sim, machine, record->time_us);
    if (incarnation >= 0 && machine->guest.incarnation != incarnation) {
        *ret = gone(sim, -E_GONE, answer);
        return NULL;
    }
    return machine;
}

static int apply_start(struct sim *sim, const struct journal_record *record, int *answer)
{
    int r = 0;
    struct sim_machine *machine = meant(sim, record, -1, -E_NOT_FOUND, answer, &r);

    if (!machine)
        return r;
    if (!guest_arg_is_sound(&machine->guest, GUEST_START, record->value))
        return -E_IO;
    if (guest_check(&machine->guest, GUEST_START, record->value) > 0 && sim_disks_are_open(sim, machine))
        *answer = -E_BUSY;
    else
        carry_out(sim, machine, GUEST_START, record->value, record->time_us, answer);
    sim_disks_open(sim, machine);
    return 0;
}

static int apply_command(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    enum guest_verb verb = record->what;
    struct sim_machine *machine;
    int r = 0;

    (void)tail;
    if (verb == GUEST_START)
        return apply_start(sim, record, answer);
    if (record->value < 0 || verb == GUEST_CLEAR)
        return -E_IO;
    machine = meant(sim, record, record->value, -E_GONE, answer, &r);
    if (!machine)
        return r;
    if (!guest_arg_is_sound(&machine->guest, verb, record->detail))
        return -E_IO;
    carry_out(sim, machine, verb, record->detail, record->time_us, answer);
    return 0;
}

static int apply_clear(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    int r = 0;
    struct sim_machine *machine = meant(sim, record, -1, -E_NOT_FOUND, answer, &r);
    int64_t index;

    if (!machine)
        return r;
    index = guest_find_disk(&machine->guest, tail);
    if (index < 0)
        return gone(sim, -E_NOT_FOUND, answer);
    carry_out(sim, machine, GUEST_CLEAR, index, record->time_us, answer);
    return 0;
}

/* ── disks ── */

/* Machines that are off let go of a disk, whatever their definitions say. */
static int let_go(struct sim *sim, const struct sim_machine *machine, const struct sim_attach *attach, usec_t now_us)
{
    for (size_t i = 0; i < attach->holder_count; i++) {
        struct sim_machine *holder = sim_numbered(sim, attach->holders[i]);

        if (!holder || holder == machine || guest_find_disk(&holder->guest, attach->disk.id) < 0)
            continue;
        sim_settle(sim, holder, now_us);
        if (guest_state(&holder->guest) != MACHINE_OFF)
            return -E_BUSY;
        sim_drop_disk(sim, holder, guest_find_disk(&holder->guest, attach->disk.id));
    }
    return 0;
}

static int apply_attach(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    struct sim_attach attach;
    struct sim_machine *machine;
    int r = 0;

    if (record->value < 0 || !take_attach(tail, &attach))
        return -E_IO;
    machine = meant(sim, record, record->value, -E_GONE, answer, &r);
    if (!machine)
        return r;
    *answer = guest_check_attach(&machine->guest);
    if (*answer < 0 || guest_find_disk(&machine->guest, attach.disk.id) >= 0)
        return 0;
    if (machine->guest.disk_count >= SIM_DISKS_MAX)
        *answer = -E_LIMIT;
    else if (sim_disk_is_open(sim, machine, attach.disk.id))
        *answer = -E_BUSY;
    else
        *answer = let_go(sim, machine, &attach, record->time_us);
    if (*answer == 0)
        sim_add_disk(sim, machine, &attach.disk);
    return 0;
}

static int apply_detach(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    struct sim_machine *machine;
    int64_t index;
    int r = 0;

    if (record->value < 0)
        return -E_IO;
    machine = meant(sim, record, record->value, -E_GONE, answer, &r);
    if (!machine)
        return r;
    index = guest_find_disk(&machine->guest, tail);
    if (index < 0)
        return 0;
    *answer = guest_check_detach(&machine->guest);
    if (*answer == 0)
        sim_drop_disk(sim, machine, index);
    return 0;
}

static int apply_kept(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    struct sim_disk data;
    struct str id;

    *answer = 0;
    (void)record;
    if (!take_kept(tail, &id, &data))
        return -E_IO;
    sim_keep(sim, id, &data);
    return 0;
}

static int apply_disk_delete(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    *answer = 0;
    (void)record;
    sim_unkeep(sim, tail);
    return 0;
}

static int apply_time(struct sim *sim, const struct journal_record *record, struct str tail, int *answer)
{
    *answer = 0;
    (void)sim;
    (void)record; /* sim_apply has looked at its time: that is all */
    (void)tail;
    return 0;
}

static const apply_fn appliers[] = {
    [RECORD_HOST] = apply_host,
    [RECORD_HOST_KNOB] = apply_host_knob,
    [RECORD_HOST_FAIL] = apply_host_fail,
    [RECORD_MACHINE] = apply_machine,
    [RECORD_UNDEFINE] = apply_undefine,
    [RECORD_ORDER] = apply_order,
    [RECORD_KEPT] = apply_kept,
    [RECORD_DISK_DELETE] = apply_disk_delete,
    [RECORD_DEFINE] = apply_define,
    [RECORD_COMMAND] = apply_command,
    [RECORD_ATTACH] = apply_attach,
    [RECORD_DETACH] = apply_detach,
    [RECORD_CLEAR] = apply_clear,
    [RECORD_HOST_CRASH] = apply_host_crash,
    [RECORD_TIME] = apply_time,
};
static_assert(countof(appliers) == RECORD_KIND_COUNT, "a row per kind");

/* Between taking the time and writing the record a process may have slept: simulated time doesn't run back for that. */
int sim_apply(struct sim *sim, const struct journal_record *record, struct str tail, int *ret_answer)
{
    struct journal_record timed = *record;

    *ret_answer = 0;
    if (record->time_us < 0 || record->time_us > SIM_TIME_MAX || record->kind == 0 || record->kind >= RECORD_KIND_COUNT)
        return -E_IO;
    if (record->time_us < sim->file_us && !sim->shared)
        return -E_IO;
    sim->file_us = MAX_OF(sim->file_us, record->time_us);
    sim->last_us = MAX_OF(sim->last_us, sim->file_us);
    timed.time_us = sim->file_us;
    return appliers[record->kind](sim, &timed, tail, ret_answer);
}
