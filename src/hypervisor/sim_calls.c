/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of hypervisor.h: find host and machine, settle, order, answer. */
#include "base/mem.h"
#include "hypervisor/sim_record.h"

/* Only with a thread: without one, nobody but the caller could let the time pass. */
static void host_wait(struct sim *sim, const struct sim_host *host)
{
    usec_t until_us = sim_now(sim) + host->knobs[HOST_DELAY_US];

    while (sim->threaded && !sim->stopping && sim_now(sim) < until_us)
        env_wait(sim->settings.env, &sim->delayed, &sim->lock, sim_env_time(sim, until_us));
}

int sim_host_enter(struct sim *sim, struct str host_id, struct sim_host **ret)
{
    struct sim_host *host;
    int r = sim_lock_now(sim);

    host = sim_host_find(sim, host_id);
    if (r == 0 && (!host || !host->attached))
        r = -E_NOT_FOUND;
    if (r == 0 && host->knobs[HOST_DELAY_US] > 0) {
        host_wait(sim, host);
        r = sim_look(sim);
    }
    if (r == 0) {
        sim_file_maintain(sim);
        r = host->knobs[HOST_DOWN] ? -E_UNREACHABLE : 0;
    }
    if (r < 0) {
        sim_unlock(sim);
        return r;
    }
    *ret = host;
    return 0;
}

/* As host_enter, and finds the machine: -E_NOT_FOUND. */
int sim_machine_enter(struct sim *sim, struct str host_id, struct str id, struct sim_machine **ret)
{
    struct sim_host *host;
    struct sim_machine *machine;
    int r = sim_host_enter(sim, host_id, &host);

    if (r < 0)
        return r;
    machine = sim_machine_find(host, id);
    if (!machine) {
        sim_unlock(sim);
        return -E_NOT_FOUND;
    }
    *ret = machine;
    return 0;
}

static int sim_host_add(struct hypervisor *hv, struct str host_id, struct str url,
                        struct fail *fail)
{
    struct sim *sim = sim_of(hv);
    struct sim_host *host;
    int r;

    if (host_id.len == 0 || host_id.len > SIM_ID_MAX)
        return fail_text(fail, E_INVALID_PARAMETER, "a host's id has 1 to %d bytes", SIM_ID_MAX);
    if (url.len > 0 && !str_starts(url, STR("sim:")))
        return fail_text(fail, E_INVALID_PARAMETER,
                         "%.*s is not a URL of simulated machines (sim:)", STR_ARG(url));
    r = sim_lock_now(sim);
    if (r == 0 && !sim_host_find(sim, host_id))
        r = sim_commit(sim, (struct journal_record){.kind = RECORD_HOST, .number = sim->host_count}, host_id);
    host = sim_host_find(sim, host_id);
    if (r == 0 && host)
        host->attached = true;
    sim_unlock(sim);
    return r;
}

static int sim_host_remove(struct hypervisor *hv, struct str host_id)
{
    struct sim *sim = sim_of(hv);
    struct sim_host *host;

    sim_lock(sim);
    host = sim_host_find(sim, host_id);
    if (host)
        host->attached = false; /* its machines go on, as those of a real host would */
    sim_unlock(sim);
    return 0;
}

static void sim_watch(struct hypervisor *hv, machine_watch_fn fn, void *arg)
{
    struct sim *sim = sim_of(hv);

    sim_lock(sim);
    sim->watch = fn;
    sim->watch_arg = arg;
    while (sim->delivering > 0) /* so that the caller may free what the old watcher used */
        (void)pthread_cond_wait(&sim->quiet, &sim->lock);
    sim_unlock(sim);
}

static bool spec_is_good(const struct machine_spec *spec)
{
    if (spec->id.len == 0 || spec->id.len > SIM_ID_MAX || spec->disk_count > SIM_DISKS_MAX)
        return false;
    for (size_t i = 0; i < spec->disk_count; i++) {
        const struct machine_disk *disk = &spec->disks[i];

        if (!sim_disk_is_good(disk))
            return false;
    }
    return true;
}

static bool spec_is_same(const struct sim_machine *machine, const struct machine_spec *spec)
{
    const struct guest *guest = &machine->guest;

    if (machine->vcpus != spec->vcpus || machine->memory_mib != spec->memory_mib ||
        guest->disk_count != spec->disk_count)
        return false;
    for (size_t i = 0; i < spec->disk_count; i++) {
        const struct guest_disk *have = &guest->disks[i];
        const struct machine_disk *want = &spec->disks[i];

        if (!str_eq(have->id, want->id) || !str_eq(have->device, want->device) ||
            !str_eq(have->image_id, want->image_id) || have->size_gib != want->size_gib ||
            have->local != want->local)
            return false;
    }
    return true;
}

static int machine_define(struct sim *sim, const struct sim_host *host, const struct machine_spec *spec)
{
    const struct sim_spec order = {
        .id = spec->id,
        .vcpus = spec->vcpus,
        .memory_mib = spec->memory_mib,
        .boot_us = sim->settings.boot_us,
        .shutdown_us = sim->settings.shutdown_us,
        .disks = spec->disks,
        .disk_count = spec->disk_count,
    };

    return sim_commit_define(sim, host, &order);
}

static int sim_define(struct hypervisor *hv, struct str host_id, const struct machine_spec *spec,
                      struct fail *fail)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    struct sim_host *host;
    int r;

    if (!spec_is_good(spec))
        return fail_text(fail, E_INVALID, "the definition of machine %.*s passes a limit",
                         STR_ARG(spec->id));
    r = sim_host_enter(sim, host_id, &host);
    if (r < 0)
        return r;
    machine = sim_machine_find(host, spec->id);
    if (!machine || !spec_is_same(machine, spec))
        r = machine_define(sim, host, spec);
    sim_unlock(sim);
    return r;
}

static int sim_undefine(struct hypervisor *hv, struct str host_id, struct str id)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    struct sim_host *host;
    int r = sim_host_enter(sim, host_id, &host);

    if (r < 0)
        return r;
    machine = sim_machine_find(host, id);
    if (machine) {
        sim_settle(sim, machine, sim_now(sim));
        if (guest_state(&machine->guest) != MACHINE_OFF)
            r = -E_BUSY;
        else
            r = sim_commit(sim, (struct journal_record){.kind = RECORD_UNDEFINE, .number = machine->number}, STR_NONE);
    }
    sim_unlock(sim);
    return r;
}

/* Checks, writes and carries out. */
static int sim_command(struct sim *sim, struct sim_machine *machine, enum guest_verb verb, int64_t incarnation, int64_t arg)
{
    int r;

    sim_settle(sim, machine, sim_now(sim));
    r = guest_check(&machine->guest, verb, arg);
    return r <= 0 ? r : sim_commit_command(sim, machine, verb, incarnation, arg);
}

static int sim_start_machine(struct hypervisor *hv, struct str host_id, struct str id,
                             int64_t incarnation, struct fail *fail)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    int r = sim_machine_enter(sim, host_id, id, &machine);

    if (r == 0) {
        r = sim_command(sim, machine, GUEST_START, incarnation, incarnation);
        sim_unlock(sim);
    }
    if (r == -E_NOT_FOUND)
        return fail_text(fail, E_NOT_FOUND, "machine %.*s is not defined on host %.*s", STR_ARG(id),
                         STR_ARG(host_id));
    if (r == -E_BUSY)
        return fail_text(fail, E_BUSY, "an earlier incarnation of machine %.*s is still alive, or another machine has its disks",
                         STR_ARG(id));
    return r;
}

/* Orders to a living incarnation. */
static int machine_command(struct hypervisor *hv, struct str host_id, struct str id,
                           int64_t incarnation, enum guest_verb verb, int64_t arg)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    struct sim_host *host;
    int r = sim_host_enter(sim, host_id, &host);

    if (r < 0)
        return r;
    machine = sim_machine_find(host, id);
    if (!machine || machine->guest.incarnation != incarnation)
        r = -E_GONE;
    else
        r = sim_command(sim, machine, verb, incarnation, arg);
    sim_unlock(sim);
    return r;
}

static int sim_press(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation)
{
    return machine_command(hv, host_id, id, incarnation, GUEST_PRESS, 0);
}

static int sim_resume(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation)
{
    return machine_command(hv, host_id, id, incarnation, GUEST_RESUME, 0);
}

static int sim_reset(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation)
{
    return machine_command(hv, host_id, id, incarnation, GUEST_RESET, 0);
}

static int sim_cut(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                   enum machine_cut how)
{
    return machine_command(hv, host_id, id, incarnation, GUEST_CUT, (int64_t)how);
}

static struct machine_status status_of(const struct sim_machine *machine)
{
    const struct guest *guest = &machine->guest;

    return (struct machine_status){
        .state = guest_state(guest),
        .incarnation = guest->incarnation,
        .end = guest->phase == GUEST_OFF ? (enum machine_end)guest->end : MACHINE_END_UNKNOWN,
        .since_us = guest->since_us,
    };
}

static int sim_probe(struct hypervisor *hv, struct str host_id, struct str id,
                     struct machine_status *ret)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    struct sim_host *host;
    int r = sim_host_enter(sim, host_id, &host);

    if (r < 0)
        return r;
    machine = sim_machine_find(host, id);
    if (machine) {
        sim_settle(sim, machine, sim_now(sim));
        *ret = status_of(machine);
    } else {
        *ret = (struct machine_status){.state = MACHINE_ABSENT};
    }
    sim_unlock(sim);
    return 0;
}

struct listed {
    struct machine_status status;
    size_t id_len;
    char id[SIM_ID_MAX];
};

static size_t list_copy(struct sim *sim, const struct sim_host *host, struct listed *items)
{
    usec_t now_us = sim_now(sim);
    size_t count = 0;
    size_t cursor = 0;
    struct str id;
    void *value;

    while (map_next(&host->machines, &cursor, &id, &value)) {
        sim_settle(sim, value, now_us);
        items[count].status = status_of(value);
        items[count].id_len = id.len;
        memcpy(items[count].id, id.ptr, id.len);
        count++;
    }
    return count;
}

/* `each` gets a copy of one moment, without the lock: it may take locks of its own. */
static int sim_list(struct hypervisor *hv, struct str host_id,
                    void (*each)(void *arg, struct str id, const struct machine_status *st),
                    void *arg)
{
    struct sim *sim = sim_of(hv);
    struct listed *items;
    struct sim_host *host;
    size_t count;
    int r = sim_host_enter(sim, host_id, &host);

    if (r < 0)
        return r;
    items = xcalloc(host->machines.count + 1, sizeof(*items));
    count = list_copy(sim, host, items);
    sim_unlock(sim);
    for (size_t i = 0; i < count; i++)
        each(arg, str_slice(items[i].id, items[i].id_len), &items[i].status);
    xfree(items);
    return 0;
}

static int sim_disk_clear(struct hypervisor *hv, struct str host_id, struct str id,
                          struct str disk_id)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    int64_t index;
    int r = sim_machine_enter(sim, host_id, id, &machine);

    if (r < 0)
        return r;
    index = guest_find_disk(&machine->guest, disk_id);
    sim_settle(sim, machine, sim_now(sim));
    r = index < 0 ? -E_NOT_FOUND : guest_check(&machine->guest, GUEST_CLEAR, index);
    if (r > 0)
        r = sim_commit(sim, (struct journal_record){.kind = RECORD_CLEAR, .number = machine->number}, disk_id);
    sim_unlock(sim);
    return r;
}

static int sim_disk_written(struct hypervisor *hv, struct str host_id, struct str id,
                            struct str disk_id, bool *ret)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine;
    int64_t index;
    int r = sim_machine_enter(sim, host_id, id, &machine);

    if (r < 0)
        return r;
    sim_settle(sim, machine, sim_now(sim));
    index = guest_find_disk(&machine->guest, disk_id);
    if (index >= 0)
        *ret = machine->guest.disks[index].data.written;
    sim_unlock(sim);
    return index < 0 ? -E_NOT_FOUND : 0;
}

int sim_disk_state(struct hypervisor *hv, struct str host_id, struct str id, struct str disk_id,
                   struct sim_disk *ret)
{
    struct sim *sim = sim_of(hv);
    struct sim_machine *machine = NULL;
    struct sim_host *host;
    int64_t index = -1;
    int r = sim_lock_now(sim);

    host = sim_host_find(sim, host_id);
    if (r == 0 && host)
        machine = sim_machine_find(host, id);
    if (machine) {
        sim_settle(sim, machine, sim_now(sim));
        index = guest_find_disk(&machine->guest, disk_id);
    }
    if (index >= 0)
        *ret = machine->guest.disks[index].data;
    sim_unlock(sim);
    if (r < 0)
        return r;
    return index < 0 ? -E_NOT_FOUND : 0;
}

/* A simulated machine needs no file. */
static bool sim_has_image(struct hypervisor *hv, struct str image_id)
{
    (void)hv;
    return !str_empty(image_id);
}

const struct hypervisor_ops sim_ops = {
    .name = "sim",
    .close = sim_close,
    .host_add = sim_host_add,
    .host_remove = sim_host_remove,
    .watch = sim_watch,
    .define = sim_define,
    .undefine = sim_undefine,
    .start = sim_start_machine,
    .press = sim_press,
    .resume = sim_resume,
    .reset = sim_reset,
    .cut = sim_cut,
    .probe = sim_probe,
    .list = sim_list,
    .disk_clear = sim_disk_clear,
    .disk_delete = sim_disk_delete,
    .disk_written = sim_disk_written,
    .disk_attach = sim_disk_attach,
    .disk_detach = sim_disk_detach,
    .console = sim_console,
    .screenshot = sim_screenshot,
    .vnc = sim_vnc,
    .exec_start = sim_exec_start,
    .exec_poll = sim_exec_poll,
    .exec_kill = sim_exec_kill,
    .has_image = sim_has_image,
    .simulate = sim_simulate,
};
