/* SPDX-License-Identifier: Apache-2.0 */
/* What every call begins and ends with: the host's connection, the machine's domain, memory. */
#include "hypervisor/libvirt_impl.h"

int lv_enter_host(struct lv_call *call, struct hypervisor *hv, struct str host_id, struct fail *fail)
{
    struct libvirt *libvirt = libvirt_of(hv);
    struct lv_host *host;
    int r = -E_NOT_FOUND;

    *call = (struct lv_call){.libvirt = libvirt, .fail = fail};
    libvirt_lock(libvirt);
    host = map_get(&libvirt->hosts, host_id);
    if (host && host->attached) {
        call->host = host;
        r = lv_conn_take(host, LV_CALLER, &call->conn);
        if (r < 0)
            (void)fail_text(fail, E_UNREACHABLE, "%s", host->error[0] ? host->error : "its libvirt does not answer");
    }
    libvirt_unlock(libvirt);
    if (r == 0)
        arena_init(&call->arena, LIBVIRT_CALL_ARENA);
    return r;
}

int lv_leave(struct lv_call *call, int r)
{
    if (call->dom)
        (void)lv.virDomainFree(call->dom); /* ours */
    if (call->conn)
        lv_conn_give(call->host, LV_CALLER, call->conn);
    arena_done(&call->arena);
    return r;
}

/* The mark of a machine that was not known yet: made by another process, or before the connection was there. */
static int learn_mark(struct lv_call *call, bool alive)
{
    struct domain_mark mark = {0};

    if (!lv_is_domain_of(call->dom, call->id))
        return 0; /* a list shows those of others too */
    if (lv_mark_read(call->dom, alive, &mark) < 0)
        return libvirt_failed(call->conn, call->fail) == -E_UNREACHABLE ? -E_UNREACHABLE : 0;
    libvirt_lock(call->libvirt);
    (void)lv_machine_get(call->host, call->id, &mark);
    libvirt_unlock(call->libvirt);
    if (alive)
        lv_machine_track(call->host, call->id);
    return 0;
}

static bool is_known(struct lv_call *call)
{
    bool known;

    libvirt_lock(call->libvirt);
    known = lv_machine_find(call->host, call->id) != NULL;
    libvirt_unlock(call->libvirt);
    return known;
}

int lv_look(struct lv_call *call)
{
    struct lv_machine *machine;
    int state;
    int reason;
    int r = 0;

    if (lv.virDomainGetState(call->dom, &state, &reason, 0) < 0)
        return libvirt_failed(call->conn, call->fail);
    if (!is_known(call))
        r = learn_mark(call, lv_is_alive(state));
    if (r < 0)
        return r;
    libvirt_lock(call->libvirt);
    machine = lv_machine_find(call->host, call->id);
    if (machine)
        lv_machine_starting(machine, state, reason);
    call->status = machine ? lv_machine_status(machine, state, reason) : (struct machine_status){.state = MACHINE_ABSENT};
    call->mark = machine ? machine->mark : (struct domain_mark){0};
    libvirt_unlock(call->libvirt);
    return 0;
}

int lv_enter(struct lv_call *call, struct hypervisor *hv, struct str host_id, struct str id, struct fail *fail)
{
    char uuid[DOMAIN_UUID_BYTES];
    int r = lv_enter_host(call, hv, host_id, fail);

    if (r < 0)
        return r;
    call->id = id;
    call->status.state = MACHINE_ABSENT;
    domain_uuid(id, uuid);
    call->dom = lv.virDomainLookupByUUIDString(call->conn, uuid);
    r = call->dom ? lv_look(call) : libvirt_failed(call->conn, fail);
    if (r == -E_NOT_FOUND) { /* perhaps only now */
        if (call->dom)
            (void)lv.virDomainFree(steal(&call->dom)); /* ours */
        call->status = (struct machine_status){.state = MACHINE_ABSENT};
        r = 0;
    }
    return r < 0 ? lv_leave(call, r) : 0;
}

int lv_enter_living(struct lv_call *call, struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                    struct fail *fail)
{
    int r = lv_enter(call, hv, host_id, id, fail);

    if (r < 0)
        return r;
    if (call->status.state == MACHINE_ABSENT || call->status.state == MACHINE_OFF || call->status.incarnation != incarnation)
        return lv_leave(call, fail_text(fail, E_GONE, "the machine is off, or another one by now"));
    return 0;
}

int lv_settle(struct lv_call *call)
{
    struct libvirt *libvirt = call->libvirt;
    usec_t until_us = env_now(libvirt->settings.env) + LIBVIRT_SETTLE_US;
    int state;
    int reason;
    int r;

    for (;;) {
        r = lv_look(call);
        if (r < 0)
            return r;
        if (call->status.state != MACHINE_OFF)
            return -E_BUSY;
        if (lv.virDomainGetState(call->dom, &state, &reason, 0) < 0)
            return libvirt_failed(call->conn, call->fail);
        if (!lv_is_alive(state))
            return 0;
        if (env_now(libvirt->settings.env) >= until_us)
            return fail_text(call->fail, E_BUSY, "libvirt has not cleaned up after the machine's process yet");
        libvirt_lock(libvirt);
        /* Its own event ends the wait; should that have come just before, the next look sees it. */
        libvirt_wait(libvirt, MIN_OF(until_us, env_now(libvirt->settings.env) + 50 * USEC_PER_MSEC));
        libvirt_unlock(libvirt);
    }
}
