/* SPDX-License-Identifier: Apache-2.0 */
/* What libvirt tells: of machines, of guests' agents, of the connection itself. All of it comes on the event thread. */
#include "hypervisor/libvirt_impl.h"

static int heard_of(int event, int detail)
{
    if (event == VIR_DOMAIN_EVENT_CRASHED)
        return HEARD_PANIC;
    if (event != VIR_DOMAIN_EVENT_SHUTDOWN)
        return 0;
    return detail == VIR_DOMAIN_EVENT_SHUTDOWN_HOST ? HEARD_OPERATOR : HEARD_GUEST;
}

/* The state that an event speaks of; a hint, nothing more. */
static enum machine_state hint_of(const struct lv_machine *machine, int event)
{
    if (event == VIR_DOMAIN_EVENT_STOPPED || event == VIR_DOMAIN_EVENT_UNDEFINED || machine->dead)
        return MACHINE_OFF;
    if (event == VIR_DOMAIN_EVENT_SHUTDOWN || event == VIR_DOMAIN_EVENT_CRASHED)
        return MACHINE_DYING;
    if (event == VIR_DOMAIN_EVENT_SUSPENDED)
        return MACHINE_PAUSED;
    return machine->mark.agent && !machine->agent_up ? MACHINE_BOOTING : MACHINE_RUNNING;
}

/*
 * What was heard before it was started is of the life before; but a cut of ours after a start of ours is of this one, though
 * libvirt's event of the start comes behind it.
 */
static void hear_start(struct lv_machine *machine)
{
    machine->heard = machine->begun ? machine->heard & HEARD_CUT : 0;
    machine->begun = false;
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event, int detail, void *arg)
{
    struct lv_host *host = arg;
    struct libvirt *libvirt = host->libvirt;
    struct str id = str_from(lv.virDomainGetName(dom));
    enum machine_state state = MACHINE_ABSENT;
    struct lv_machine *machine;
    int64_t incarnation = 0;

    (void)conn;
    if (event == VIR_DOMAIN_EVENT_STARTED && detail != VIR_DOMAIN_EVENT_STARTED_WAKEUP)
        lv_machine_track(host, id);
    libvirt_lock(libvirt);
    machine = lv_machine_find(host, id);
    if (machine) {
        if (event == VIR_DOMAIN_EVENT_STARTED)
            hear_start(machine);
        else
            machine->heard |= heard_of(event, detail);
        state = hint_of(machine, event);
        incarnation = machine->mark.incarnation;
    }
    (void)pthread_cond_broadcast(&libvirt->changed); /* can't fail on a valid condition */
    libvirt_unlock(libvirt);
    if (machine)
        libvirt_tell(libvirt, host, id, incarnation, state);
    return 0;
}

static void on_agent(virConnectPtr conn, virDomainPtr dom, int state, int reason, void *arg)
{
    struct lv_host *host = arg;
    struct libvirt *libvirt = host->libvirt;
    struct str id = str_from(lv.virDomainGetName(dom));
    bool up = state == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED;
    struct lv_machine *machine;
    int64_t incarnation = 0;

    (void)conn;
    (void)reason;
    libvirt_lock(libvirt);
    machine = lv_machine_find(host, id);
    if (machine) {
        machine->agent_up = up;
        incarnation = machine->mark.incarnation;
    }
    (void)pthread_cond_broadcast(&libvirt->changed); /* can't fail on a valid condition */
    libvirt_unlock(libvirt);
    if (machine && up)
        libvirt_tell(libvirt, host, id, incarnation, MACHINE_RUNNING);
}

void lv_events_lost(struct lv_host *host, virConnectPtr conn)
{
    libvirt_lock(host->libvirt);
    if (host->conn == conn) {
        host->lost = true;
        (void)pthread_cond_broadcast(&host->libvirt->changed); /* can't fail on a valid condition */
    }
    libvirt_unlock(host->libvirt);
}

static void on_close(virConnectPtr conn, int reason, void *arg)
{
    (void)reason;
    lv_events_lost(arg, conn);
}

int lv_events_register(struct lv_host *host, virConnectPtr conn)
{
    (void)lv.virConnectRegisterCloseCallback(conn, on_close, host, NULL); /* the embedded libvirt can't be lost, and has none */
    host->callbacks[0] = lv.virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                                             VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), host, NULL);
    host->callbacks[1] = lv.virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
                                                             VIR_DOMAIN_EVENT_CALLBACK(on_agent), host, NULL);
    return host->callbacks[0] < 0 || host->callbacks[1] < 0 ? -E_UNREACHABLE : 0;
}

void lv_events_close(struct lv_host *host, virConnectPtr conn)
{
    for (size_t i = 0; i < countof(host->callbacks); i++)
        if (host->callbacks[i] >= 0)
            (void)lv.virConnectDomainEventDeregisterAny(conn, host->callbacks[i]); /* a broken one has none left */
    (void)lv.virConnectUnregisterCloseCallback(conn, on_close);                    /* likewise */
    (void)lv.virConnectClose(conn); /* calls of the embedded libvirt under way hold it a while longer */
}
