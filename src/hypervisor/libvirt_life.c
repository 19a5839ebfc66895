/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a machine: defined, started, asked to end, ended, undefined. */
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/libvirt_impl.h"

#define AGENT_PATH "agent.sock"
#define CONSOLE_PATH "console.log"

/* ── define ── */

/* The image of the system disk says how the machine boots; a machine without one boots from its first disk. */
static int read_boot(struct lv_call *call, const struct machine_spec *spec, struct domain_spec *ret)
{
    for (size_t i = 0; i < spec->disk_count; i++) {
        struct str image_id = spec->disks[i].image_id;

        if (str_empty(image_id))
            continue;
        if (pool_boot(&call->libvirt->pool, image_id, &call->arena, &ret->boot, &ret->mark.agent) < 0)
            return fail_text(call->fail, E_NOT_FOUND, "there is no file of image %.*s; ecsctl image import brings one",
                             STR_ARG(image_id));
        return 0;
    }
    return 0;
}

/* A living machine keeps its seed: the guest has read it. */
static int make_files(struct lv_call *call, const struct machine_spec *spec)
{
    const struct pool *pool = &call->libvirt->pool;
    bool alive = call->status.state != MACHINE_ABSENT && call->status.state != MACHINE_OFF;
    int r = alive ? 0 : pool_machine_make(pool, spec, &call->arena, call->fail);

    for (size_t i = 0; r == 0 && i < spec->disk_count; i++)
        r = pool_disk_make(pool, spec->id, &spec->disks[i], &call->arena, call->fail);
    return r;
}

#define MEMORY_MIN_MIB 128 /* less and no system comes up */

static struct machine_spec scaled(const struct libvirt_settings *settings, const struct machine_spec *spec)
{
    struct machine_spec ret = *spec;

    ret.memory_mib = MAX_OF((int64_t)((double)spec->memory_mib * settings->memory_scale), (int64_t)MEMORY_MIN_MIB);
    return ret;
}

static int define_domain(struct lv_call *call, const struct machine_spec *spec)
{
    struct machine_spec machine = scaled(&call->libvirt->settings, spec);
    struct domain_disk disks[DOMAIN_DISKS_MAX];
    struct domain_spec domain = {
        .machine = &machine,
        .mark = call->mark,
        .disks = disks,
        .disk_count = libvirt_disks(call, spec, disks),
        .console_path = pool_machine_path(&call->libvirt->pool, spec->id, CONSOLE_PATH, &call->arena),
        .agent_path = pool_machine_path(&call->libvirt->pool, spec->id, AGENT_PATH, &call->arena),
        .kvm = call->host->kvm,
    };
    virDomainPtr dom;
    struct buf xml;
    int r = read_boot(call, spec, &domain);

    if (r < 0)
        return r;
    buf_init(&xml, DOMAIN_XML_BYTES);
    domain_xml(&xml, &domain);
    dom = xml.full ? NULL : lv.virDomainDefineXML(call->conn, buf_str(&xml).ptr);
    r = dom ? 0 : xml.full ? -E_LIMIT : libvirt_failed(call->conn, call->fail);
    buf_done(&xml);
    if (dom) {
        (void)lv.virDomainFree(dom); /* ours */
        libvirt_lock(call->libvirt);
        lv_machine_get(call->host, spec->id, &domain.mark)->mark = domain.mark;
        libvirt_unlock(call->libvirt);
    }
    return r;
}

int libvirt_define(struct hypervisor *hv, struct str host_id, const struct machine_spec *spec, struct fail *fail)
{
    struct lv_call call;
    int r;

    if (spec->id.len == 0 || spec->id.len > LIBVIRT_ID_MAX || spec->disk_count > DOMAIN_DISKS_MAX - 1)
        return fail_text(fail, E_INVALID, "the definition of machine %.*s passes a limit", STR_ARG(spec->id));
    r = lv_enter(&call, hv, host_id, spec->id, fail);
    if (r < 0)
        return r;
    if (call.dom && call.status.state == MACHINE_OFF)
        r = lv_settle(&call);
    if (r == 0)
        r = make_files(&call, spec);
    if (r == 0)
        r = define_domain(&call, spec);
    return lv_leave(&call, r);
}

int libvirt_undefine(struct hypervisor *hv, struct str host_id, struct str id)
{
    struct lv_machine *machine;
    struct lv_call call;
    int r = lv_enter(&call, hv, host_id, id, NULL);

    if (r < 0)
        return r;
    if (call.dom) {
        r = call.status.state == MACHINE_OFF ? lv_settle(&call) : -E_BUSY;
        if (r == 0 && lv.virDomainUndefineFlags(call.dom, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA) < 0)
            r = libvirt_failed(call.conn, NULL);
    }
    if (r < 0)
        return lv_leave(&call, r);
    lv_machine_untrack(call.host, id);
    libvirt_lock(call.libvirt);
    machine = lv_machine_find(call.host, id);
    if (machine)
        lv_machine_drop(machine);
    libvirt_unlock(call.libvirt);
    return lv_leave(&call, pool_machine_remove(&call.libvirt->pool, id, &call.arena));
}

/* ── start ── */

static int write_mark(struct lv_call *call, bool alive, struct domain_mark mark)
{
    int r = lv_mark_write(call->dom, alive, &mark);

    if (r < 0)
        return r;
    libvirt_lock(call->libvirt);
    lv_machine_get(call->host, call->id, &mark)->mark = mark;
    libvirt_unlock(call->libvirt);
    call->mark = mark;
    return 0;
}

/*
 * A start of this incarnation was begun and not noted as done: we died in between, or it failed. Did its guest do anything? A
 * libvirt that starts again kills a QEMU whose processors had not been let go yet. What a guest says on its console goes into a
 * log that is new with each incarnation; one that said nothing is tried again.
 */
static bool has_lived(struct lv_call *call)
{
    struct stat log;

    return stat(pool_machine_path(&call->libvirt->pool, call->id, CONSOLE_PATH, &call->arena).ptr, &log) == 0 && log.st_size > 0;
}

static int create(struct lv_call *call, struct domain_mark mark)
{
    const struct pool *pool = &call->libvirt->pool;
    int r;

    lv_machine_untrack(call->host, call->id); /* of the life before, should its end not have been told yet */
    libvirt_lock(call->libvirt);
    lv_machine_begin(lv_machine_get(call->host, call->id, &mark));
    libvirt_unlock(call->libvirt);
    if (lv.virDomainCreate(call->dom) < 0) {
        r = libvirt_failed(call->conn, call->fail);
        call->fail = NULL; /* that is what the caller is told, whatever the look says */
        if (lv_look(call) == 0 && call->status.state == MACHINE_OFF) /* else the log may be a living machine's */
            (void)unlink(pool_machine_path(pool, call->id, CONSOLE_PATH, &call->arena).ptr);
        return r;
    }
    lv_machine_track(call->host, call->id);
    mark.started = true;
    return write_mark(call, true, mark);
}

/* As hypervisor/README.md's table has it: what to do with the incarnation that is there. 1: go on and start. */
static int check_start(struct lv_call *call, int64_t incarnation)
{
    struct domain_mark mark = call->mark;
    bool alive = call->status.state != MACHINE_OFF;

    if (mark.incarnation > incarnation)
        return -E_GONE;
    if (mark.incarnation == incarnation && mark.started)
        return 0;
    if (mark.incarnation < incarnation)
        return alive ? fail_text(call->fail, E_BUSY, "an earlier incarnation of the machine is still alive") : 1;
    mark.started = true;
    return alive || has_lived(call) ? write_mark(call, alive, mark) : 1;
}

int libvirt_start(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct fail *fail)
{
    struct domain_mark mark;
    struct lv_call call;
    int r = lv_enter(&call, hv, host_id, id, fail);

    if (r < 0)
        return r;
    if (!call.dom)
        return lv_leave(&call, fail_text(fail, E_NOT_FOUND, "machine %.*s is not defined on host %.*s", STR_ARG(id), STR_ARG(host_id)));
    r = check_start(&call, incarnation);
    if (r <= 0)
        return lv_leave(&call, r);
    mark = (struct domain_mark){.incarnation = incarnation, .agent = call.mark.agent};
    r = lv_settle(&call);
    if (r == 0 && call.mark.incarnation != incarnation) {
        pool_console_rotate(&call.libvirt->pool, id, &call.arena);
        r = write_mark(&call, false, mark);
    }
    if (r == 0)
        r = create(&call, mark);
    return lv_leave(&call, r);
}

/* ── commands to a living machine ── */

/* Another incarnation: -E_GONE. Off, of this one: 0, and there is nothing to do. 1: it lives. */
static int enter_command(struct lv_call *call, struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation)
{
    int r = lv_enter(call, hv, host_id, id, NULL);

    if (r < 0)
        return r;
    if (call->status.state == MACHINE_ABSENT || call->status.incarnation != incarnation)
        return lv_leave(call, -E_GONE);
    return call->status.state == MACHINE_OFF ? lv_leave(call, 0) : 1;
}

/* A guest with an agent that doesn't take it gets the button as well. */
static int do_press(virDomainPtr dom, const struct lv_order *agent)
{
    if (agent->number && lv.virDomainShutdownFlags(dom, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT) == 0)
        return 0;
    return lv.virDomainShutdownFlags(dom, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
}

/* The agent and the button by turns: whichever one the guest has lost, it gets the other next. */
static bool press_agent(struct lv_call *call)
{
    struct lv_machine *machine;
    bool agent = false;

    libvirt_lock(call->libvirt);
    machine = lv_machine_find(call->host, call->id);
    if (machine) {
        agent = machine->agent_up && !machine->agent_pressed;
        machine->agent_pressed = agent;
    }
    libvirt_unlock(call->libvirt);
    return agent;
}

int libvirt_press(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation)
{
    struct lv_call call;
    int r = enter_command(&call, hv, host_id, id, incarnation);

    if (r <= 0)
        return r;
    /* Nobody waits for its result: what it does is told by events, and it is repeated anyway. */
    r = lv_thread_run(&call, do_press, (struct lv_order){.number = press_agent(&call)}, 0);
    return lv_leave(&call, r == -E_UNREACHABLE ? r : 0);
}

static int do_resume(virDomainPtr dom, const struct lv_order *unused)
{
    (void)unused;
    return lv.virDomainResume(dom) < 0 ? libvirt_failed(NULL, NULL) : 0;
}

int libvirt_resume(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation)
{
    struct lv_call call;
    int r = enter_command(&call, hv, host_id, id, incarnation);

    if (r <= 0)
        return r;
    return lv_leave(&call, call.status.state == MACHINE_PAUSED ? lv_thread_run(&call, do_resume, (struct lv_order){0}, LIBVIRT_REPLY_US) : 0);
}

static int do_reset(virDomainPtr dom, const struct lv_order *unused)
{
    (void)unused;
    return lv.virDomainReset(dom, 0) < 0 ? libvirt_failed(NULL, NULL) : 0;
}

int libvirt_reset(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation)
{
    struct lv_machine *machine;
    struct lv_call call;
    int r = lv_enter_living(&call, hv, host_id, id, incarnation, NULL);

    if (r < 0)
        return r;
    libvirt_lock(call.libvirt);
    machine = lv_machine_find(call.host, id);
    if (machine) { /* its system comes up again; its process is the same */
        machine->agent_up = false;
        machine->booted_us = env_now(call.libvirt->settings.env);
    }
    libvirt_unlock(call.libvirt);
    return lv_leave(&call, lv_thread_run(&call, do_reset, (struct lv_order){0}, LIBVIRT_REPLY_US));
}

/* virDomainDestroy would hold the domain, and everybody who asks for it, for the 15 s that it gives a QEMU that is stuck. */
static int do_quit(virDomainPtr dom, const struct lv_order *unused)
{
    char *reply = NULL;
    int r = lv.virDomainQemuMonitorCommand(dom, "{\"execute\":\"quit\"}", &reply, 0);

    (void)unused;
    free(reply);
    return r < 0 ? libvirt_failed(NULL, NULL) : 0;
}

static int do_destroy(virDomainPtr dom, const struct lv_order *flags)
{
    return lv.virDomainDestroyFlags(dom, (unsigned)flags->number) < 0 ? libvirt_failed(NULL, NULL) : 0;
}

/* Notes that the end is ours, and signals the process if it is on this computer. -E_NOT_FOUND: it isn't. */
static int cut_process(struct lv_call *call, enum machine_cut how)
{
    struct lv_machine *machine;
    int r = -E_NOT_FOUND;

    libvirt_lock(call->libvirt);
    machine = lv_machine_find(call->host, call->id);
    if (!machine || machine->mark.incarnation != call->status.incarnation) {
        r = -E_GONE; /* since we looked: what lives now is not what was meant (law 2) */
    } else {
        machine->heard |= HEARD_CUT;
        if (how != MACHINE_CUT_QUIT)
            r = lv_machine_signal(machine, how == MACHINE_CUT_KILL ? SIGKILL : SIGTERM);
    }
    libvirt_unlock(call->libvirt);
    return r;
}

/*
 * QUIT: QEMU is told to end, in order. TERM and KILL: its process is signalled where it is on this computer, elsewhere libvirt
 * is told to. None is waited for: the end is seen by its event.
 */
int libvirt_cut(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, enum machine_cut how)
{
    struct lv_order order = {0};
    struct lv_call call;
    int r = enter_command(&call, hv, host_id, id, incarnation);

    if (r <= 0)
        return r;
    r = cut_process(&call, how);
    order.number = how == MACHINE_CUT_TERM ? VIR_DOMAIN_DESTROY_GRACEFUL : 0;
    if (r == -E_NOT_FOUND)
        r = lv_thread_run(&call, how == MACHINE_CUT_QUIT ? do_quit : do_destroy, order, 0);
    return lv_leave(&call, r == -E_TIMEOUT ? 0 : r);
}

/* ── looking ── */

/*
 * A machine whose end has begun, and whose process we hold: its handle says whether it is over, and that is the proof. libvirt
 * would say so some 200 ms later, when it has cleaned up, and makes everybody wait who asks before.
 */
static bool is_seen_ending(struct libvirt *libvirt, struct str host_id, struct str id, struct machine_status *ret)
{
    struct lv_machine *machine = NULL;
    struct lv_host *host;
    bool is;

    libvirt_lock(libvirt);
    host = map_get(&libvirt->hosts, host_id);
    if (host && host->attached)
        machine = lv_machine_find(host, id);
    is = machine && machine->heard != 0 && (machine->dead || machine->pidfd >= 0);
    if (is)
        *ret = lv_machine_status(machine, machine->dead ? VIR_DOMAIN_NOSTATE : VIR_DOMAIN_SHUTDOWN, 0);
    libvirt_unlock(libvirt);
    return is;
}

int libvirt_probe(struct hypervisor *hv, struct str host_id, struct str id, struct machine_status *ret)
{
    struct lv_call call;
    int r;

    if (id.len > LIBVIRT_ID_MAX)
        return -E_INVALID;
    if (is_seen_ending(libvirt_of(hv), host_id, id, ret))
        return 0;
    r = lv_enter(&call, hv, host_id, id, NULL);
    if (r < 0)
        return r;
    *ret = call.status;
    return lv_leave(&call, 0);
}

int libvirt_list(struct hypervisor *hv, struct str host_id,
                 void (*each)(void *arg, struct str id, const struct machine_status *st), void *arg)
{
    virDomainPtr *domains = NULL;
    struct lv_call call;
    int looked;
    int count;
    int r = lv_enter_host(&call, hv, host_id, NULL);

    if (r < 0)
        return r;
    count = lv.virConnectListAllDomains(call.conn, &domains, 0);
    if (count < 0)
        return lv_leave(&call, libvirt_failed(call.conn, NULL));
    for (int i = 0; i < count; i++) {
        call.dom = domains[i];
        call.id = str_from(lv.virDomainGetName(call.dom));
        looked = r < 0 ? r : call.id.len > LIBVIRT_ID_MAX ? -E_NOT_FOUND : lv_look(&call);
        if (looked < 0 && looked != -E_NOT_FOUND)
            r = looked; /* half a list would say that the others are gone (law 3) */
        if (looked == 0 && call.status.state != MACHINE_ABSENT) {
            each(arg, call.id, &call.status);
            pool_console_trim(&call.libvirt->pool, call.id, &call.arena);
        }
        (void)lv.virDomainFree(steal(&call.dom)); /* ours */
        arena_reset(&call.arena);
    }
    free(domains);
    return lv_leave(&call, r);
}
