/* SPDX-License-Identifier: Apache-2.0 */
/* How the simulated world becomes records, and records become the world again. */
#include "hypervisor/sim_impl.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"

#define NUMBERS_LOST_MAX (1u << 16)

/* Kinds of records. The journal holds these numbers: add at the end only. */
enum {
    RECORD_HOST = 1,  /* number: host; tail: its id */
    RECORD_HOST_KNOB, /* number: host; what: enum host_knob; value */
    RECORD_HOST_FAIL, /* number: host */
    RECORD_MACHINE,  /* number: machine; value: host; tail: all of the machine. Makes or replaces it
                      */
    RECORD_UNDEFINE, /* number: machine */
    RECORD_ORDER,    /* number: machine; what: enum guest_verb; value: its argument */
    RECORD_KEPT,     /* a cloud disk that no machine has. Tail: its id, what is on it */
    RECORD_DISK_DELETE, /* tail: its id */
};

/* ── one machine as bytes ── */

/* Integers of 8 bytes, texts after their length; in native order, since the file never leaves us.
 */
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

struct reader {
    struct str rest;
    bool bad;
};

static int64_t take_int(struct reader *in)
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

static int64_t take_bounded(struct reader *in, int64_t max)
{
    int64_t value = take_int(in);

    if (value < 0 || value > max) {
        in->bad = true;
        return 0;
    }
    return value;
}

static struct str take_str(struct reader *in, int64_t max_bytes)
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

static void put_machine(struct buf *out, const struct sim_machine *machine)
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

/* ── writing ── */

static int sim_write(struct sim *sim, struct journal_record record, struct str tail)
{
    return sim->journaled ? journal_append(&sim->journal, record, tail) : 0;
}

int sim_write_order(struct sim *sim, const struct sim_machine *machine, enum guest_verb verb,
                    int64_t arg, usec_t now_us)
{
    struct journal_record record = {
        .kind = RECORD_ORDER, .number = machine->number, .time_us = now_us, .value = arg};

    record.what = (uint8_t)verb;
    return sim_write(sim, record, STR_NONE);
}

int sim_write_machine(struct sim *sim, const struct sim_machine *machine, usec_t now_us)
{
    struct journal_record record = {
        .kind = RECORD_MACHINE, .number = machine->number, .time_us = now_us};
    struct buf tail;
    int r;

    record.value = machine->host->number;
    buf_init(&tail, JOURNAL_TAIL_MAX);
    put_machine(&tail, machine);
    assert(!tail.full);
    r = sim_write(sim, record, buf_str(&tail));
    buf_done(&tail);
    return r;
}

int sim_write_undefine(struct sim *sim, const struct sim_machine *machine, usec_t now_us)
{
    struct journal_record record = {
        .kind = RECORD_UNDEFINE, .number = machine->number, .time_us = now_us};

    return sim_write(sim, record, STR_NONE);
}

int sim_write_disk_delete(struct sim *sim, struct str disk_id, usec_t now_us)
{
    struct journal_record record = {.kind = RECORD_DISK_DELETE, .time_us = now_us};

    return sim_write(sim, record, disk_id);
}

int sim_write_host(struct sim *sim, struct sim_host *host, usec_t now_us)
{
    struct journal_record record = {.kind = RECORD_HOST, .number = host->number, .time_us = now_us};
    int r = sim_write(sim, record, host_id_of(host));

    host->written = r == 0;
    return r;
}

int sim_write_knob(struct sim *sim, const struct sim_host *host, enum host_knob knob, int64_t value,
                   usec_t now_us)
{
    struct journal_record record = {
        .kind = RECORD_HOST_KNOB, .number = host->number, .time_us = now_us, .value = value};

    record.what = (uint8_t)knob;
    return sim_write(sim, record, STR_NONE);
}

int sim_write_host_fail(struct sim *sim, const struct sim_host *host, usec_t now_us)
{
    struct journal_record record = {
        .kind = RECORD_HOST_FAIL, .number = host->number, .time_us = now_us};

    return sim_write(sim, record, STR_NONE);
}

/* ── rewriting ── */

static void rewrite_host(struct journal_rewrite *rewrite, const struct sim_host *host,
                         usec_t now_us)
{
    struct journal_record record = {.kind = RECORD_HOST, .number = host->number, .time_us = now_us};

    journal_rewrite_add(rewrite, record, host_id_of(host));
    record.kind = RECORD_HOST_KNOB;
    for (int knob = 0; knob < HOST_KNOB_COUNT; knob++) {
        record.what = (uint8_t)knob;
        record.value = host->knobs[knob];
        if (record.value != 0)
            journal_rewrite_add(rewrite, record, STR_NONE);
    }
}

static void rewrite_machine(struct journal_rewrite *rewrite, const struct sim_machine *machine,
                            uint32_t number, struct buf *tail, usec_t now_us)
{
    struct journal_record record = {.kind = RECORD_MACHINE, .number = number, .time_us = now_us};

    record.value = machine->host->number;
    buf_reset(tail);
    put_machine(tail, machine);
    assert(!tail->full);
    journal_rewrite_add(rewrite, record, buf_str(tail));
}

/* Walks all machines in an order that holds as long as none is added; numbers them (rewrite NULL),
 * or writes them so numbered. */
static uint32_t number_machines(struct sim *sim, struct journal_rewrite *rewrite, struct buf *tail)
{
    uint32_t number = 0;

    for (uint32_t i = 0; i < sim->host_count; i++) {
        size_t cursor = 0;
        struct str id;
        void *value;

        while (map_next(&sim->hosts[i]->machines, &cursor, &id, &value)) {
            struct sim_machine *machine = value;

            if (rewrite)
                rewrite_machine(rewrite, machine, number, tail, sim->last_us);
            else
                machine->number = number;
            number++;
        }
    }
    return number;
}

static void rewrite_kept(struct sim *sim, struct journal_rewrite *rewrite, struct buf *tail)
{
    struct journal_record record = {.kind = RECORD_KEPT, .time_us = sim->last_us};
    size_t cursor = 0;
    struct str id;
    void *value;

    while (map_next(&sim->kept, &cursor, &id, &value)) {
        buf_reset(tail);
        put_str(tail, id);
        put_data(tail, &((struct sim_kept *)value)->data);
        assert(!tail->full);
        journal_rewrite_add(rewrite, record, buf_str(tail));
    }
}

static int sim_rewrite(struct sim *sim)
{
    struct journal_rewrite rewrite;
    struct buf tail;
    int r;

    journal_rewrite_begin(&sim->journal, sim->boot_id, &rewrite);
    buf_init(&tail, JOURNAL_TAIL_MAX);
    for (uint32_t i = 0; i < sim->host_count; i++)
        if (sim->hosts[i]->written)
            rewrite_host(&rewrite, sim->hosts[i], sim->last_us);
    (void)number_machines(sim, &rewrite,
                          &tail); /* the numbers hold only if the file takes its place */
    rewrite_kept(sim, &rewrite, &tail);
    r = journal_rewrite_end(&rewrite);
    if (r == 0)
        sim->next_number = number_machines(sim, NULL, NULL);
    buf_done(&tail);
    return r;
}

void sim_file_maintain(struct sim *sim)
{
    if (sim->journaled && journal_is_large(&sim->journal))
        (void)sim_rewrite(
            sim); /* when it fails, the old file goes on and it is tried again later */
}

/* ── reading ── */

struct replay {
    struct sim *sim;
    struct sim_machine **machines; /* by number */
    struct sim_host **hosts;       /* by number in the file */
    uint32_t machine_room;
    uint32_t host_room;
};

/* Room for `number` in an array of pointers. */
static void *make_room(void *array, uint32_t *room, uint32_t number)
{
    uint32_t had = *room;
    char *grown;

    if (number < had)
        return array;
    *room = MAX_OF(number + 1, had * 2);
    grown = xrealloc(array, *room * sizeof(void *));
    memset(grown + had * sizeof(void *), 0, (*room - had) * sizeof(void *));
    return grown;
}

static struct sim_machine *replay_machine(const struct replay *replay, uint32_t number)
{
    return number < replay->machine_room ? replay->machines[number] : NULL;
}

static struct sim_host *replay_host(const struct replay *replay, int64_t number)
{
    return number >= 0 && number < replay->host_room ? replay->hosts[number] : NULL;
}

static int replay_new_host(struct replay *replay, const struct journal_record *record,
                           struct str tail)
{
    struct sim_host *host;

    /* The file's numbers are the program's: hosts are written in their order and never dropped. */
    if (tail.len == 0 || tail.len > SIM_ID_MAX || record->number > replay->sim->host_count)
        return -E_IO;
    host = sim_host_find(replay->sim, tail);
    if (!host)
        host = sim_host_new(replay->sim, tail);
    host->written = true;
    replay->hosts = make_room(replay->hosts, &replay->host_room, record->number);
    replay->hosts[record->number] = host;
    return host->number == record->number ? 0 : -E_IO;
}

static int replay_host_knob(struct replay *replay, const struct journal_record *record)
{
    struct sim_host *host = replay_host(replay, record->number);

    if (!host || record->what >= HOST_KNOB_COUNT || record->value < 0 || record->value > GUEST_LENGTH_MAX_US)
        return -E_IO;
    host->knobs[record->what] = record->value;
    return 0;
}

static int replay_host_fail(struct replay *replay, const struct journal_record *record)
{
    struct sim_host *host = replay_host(replay, record->number);

    if (!host)
        return -E_IO;
    sim_host_fail(replay->sim, host, record->time_us);
    return 0;
}

/* What ended by itself before the record was written. */
static void replay_settle(struct sim_machine *machine, usec_t time_us)
{
    while (guest_settle(&machine->guest, time_us))
        continue;
}

/*
 * Numbers are given out one after the other, and a machine keeps its own. The program that wrote the file left out those
 * whose record could not be written: some, never millions, for which there would have to be room here.
 */
static bool number_is_free(const struct replay *replay, const struct sim_machine *machine, uint32_t number)
{
    const struct sim_machine *holder = replay_machine(replay, number);

    if (machine)
        return holder == machine;
    return !holder && number < UINT32_MAX && number <= (uint64_t)replay->sim->next_number + NUMBERS_LOST_MAX;
}

static int replay_define(struct replay *replay, const struct journal_record *record,
                         struct str tail)
{
    struct sim_host *host = replay_host(replay, record->value);
    struct reader in = {.rest = tail};
    struct sim_machine *machine;
    struct guest before;
    struct str id = take_str(&in, SIM_ID_MAX);

    if (!host || id.len == 0)
        return -E_IO;
    machine = sim_machine_find(host, id);
    if (!number_is_free(replay, machine, record->number))
        return -E_IO;
    if (!machine)
        machine = sim_machine_new(replay->sim, host, id);
    replay->machines = make_room(replay->machines, &replay->machine_room, record->number);
    replay->machines[record->number] = machine;
    machine->number = record->number;
    replay->sim->next_number = MAX_OF(replay->sim->next_number, record->number + 1);
    machine->vcpus = take_int(&in);
    machine->memory_mib = take_int(&in);
    replay_settle(machine, record->time_us);
    before = machine->guest;
    take_guest(&in, &machine->guest);
    before.disks = take_disks(&in, &machine->guest);
    if (in.bad || in.rest.len > 0 || !guest_is_sound(&machine->guest)) {
        xfree(before.disks);
        return -E_IO;
    }
    sim_disks_move(replay->sim, &before, &machine->guest);
    guest_done(&before);
    return 0;
}

static int replay_undefine(struct replay *replay, const struct journal_record *record)
{
    struct sim_machine *machine = replay_machine(replay, record->number);

    if (!machine)
        return -E_IO;
    replay->machines[record->number] = NULL;
    replay_settle(machine, record->time_us);
    sim_disks_move(replay->sim, &machine->guest, &(struct guest){0});
    sim_machine_drop(replay->sim, machine);
    return 0;
}

static int replay_kept(struct replay *replay, struct str tail)
{
    struct reader in = {.rest = tail};
    struct str id = take_str(&in, SIM_TEXT_MAX);
    struct sim_disk data = take_data(&in);

    if (in.bad || in.rest.len > 0 || id.len == 0 || !guest_data_is_sound(&data))
        return -E_IO;
    sim_keep(replay->sim, id, &data);
    return 0;
}

static int replay_disk_delete(struct replay *replay, struct str tail)
{
    sim_unkeep(replay->sim, tail);
    return 0;
}

static int replay_order(struct replay *replay, const struct journal_record *record)
{
    struct sim_machine *machine = replay_machine(replay, record->number);
    enum guest_verb verb = record->what;

    if (!machine)
        return -E_IO;
    replay_settle(machine, record->time_us);
    /* Only orders that acted were written, and they act again: anything else is another program's
     * file. */
    if (!guest_arg_is_sound(&machine->guest, verb, record->value) ||
        guest_check(&machine->guest, verb, record->value) <= 0)
        return -E_IO;
    guest_apply(&machine->guest, verb, record->value, record->time_us);
    return 0;
}

static int replay_record(void *arg, const struct journal_record *record, struct str tail)
{
    struct replay *replay = arg;

    if (record->time_us < replay->sim->last_us || record->time_us > SIM_TIME_MAX)
        return -E_IO;
    replay->sim->last_us = record->time_us;
    switch (record->kind) {
    case RECORD_HOST:
        return replay_new_host(replay, record, tail);
    case RECORD_HOST_KNOB:
        return replay_host_knob(replay, record);
    case RECORD_HOST_FAIL:
        return replay_host_fail(replay, record);
    case RECORD_MACHINE:
        return replay_define(replay, record, tail);
    case RECORD_UNDEFINE:
        return replay_undefine(replay, record);
    case RECORD_ORDER:
        return replay_order(replay, record);
    case RECORD_KEPT:
        return replay_kept(replay, tail);
    case RECORD_DISK_DELETE:
        return replay_disk_delete(replay, tail);
    default:
        return -E_IO;
    }
}

/* What a guest was about to do when the real machine lost its power, it did not do: time ends at
 * the last record. */
static int power_failure(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->host_count; i++)
        sim_host_fail(sim, sim->hosts[i], sim->last_us);
    return sim_rewrite(sim);
}

static void settle_all(struct sim *sim)
{
    usec_t now_us = sim_now(sim);

    for (uint32_t i = 0; i < sim->host_count; i++) {
        size_t cursor = 0;
        struct str id;
        void *value;

        while (map_next(&sim->hosts[i]->machines, &cursor, &id, &value))
            sim_settle(sim, value, now_us);
    }
}

static char *boot_id_read(const char *given)
{
    char text[64] = "unknown";
    ssize_t n = -1;
    int fd;

    if (given)
        return xstrdup(given);
    fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, sizeof(text) - 1);
        (void)close(fd); /* only read */
    }
    if (n > 0)
        text[n - 1] = '\0'; /* the line's end */
    return xstrdup(text);
}

int sim_file_open(struct sim *sim, struct fail *fail)
{
    struct replay replay = {.sim = sim};
    char *path = NULL;
    int r;

    sim->boot_id = boot_id_read(sim->settings.boot_id);
    if (sim->settings.dir) {
        size_t path_bytes = strlen(sim->settings.dir) + sizeof("/sim.journal");

        path = xcalloc(1, path_bytes);
        (void)snprintf(path, path_bytes, "%s/sim.journal", sim->settings.dir); /* it fits */
    }
    r = journal_open(path, sim->boot_id, replay_record, &replay, fail, &sim->journal);
    xfree(path);
    xfree(replay.machines);
    xfree(replay.hosts);
    if (r < 0)
        return r;
    sim->journaled = sim->journal.fd >= 0;
    if (!sim->journal.same_boot) {
        r = power_failure(sim);
        if (r < 0)
            return fail_text(fail, (enum error_code) - r,
                             "the journal of simulated machines in %s can't be written",
                             sim->settings.dir);
    }
    settle_all(sim);
    sim_file_maintain(sim);
    return 0;
}
