/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections. Each host has a thread, the connector, which opens its connection, and another one when that breaks:
 * callbacks first, then the list of what is there, then everybody is told to look (a connection that was away has missed
 * events). A host that doesn't answer is out of reach, and nothing is said of its machines.
 */
#include <fcntl.h>
#include <unistd.h>

#include "hypervisor/libvirt_impl.h"

#define RETRY_MIN_US (200 * USEC_PER_MSEC)
#define RETRY_MAX_US (10 * USEC_PER_SEC)
#define FIRST_EMBEDDED_US (60 * USEC_PER_SEC) /* it asks QEMU what it can do when it first sees it */
#define FIRST_LOCAL_US (2 * USEC_PER_SEC)     /* a libvirtd answers at once, or it hangs */

/* ── what is there ── */

/* Takes up a domain of ours: what it was told, whether it lives, its process. */
static void learn(struct lv_host *host, virDomainPtr dom)
{
    struct str id = str_from(lv.virDomainGetName(dom));
    struct domain_mark mark;
    struct lv_machine *machine;
    char *xml = NULL;
    int state = 0;
    int reason = 0;

    if (id.len > LIBVIRT_ID_MAX || !lv_is_domain_of(dom, id) || lv.virDomainGetState(dom, &state, &reason, 0) < 0)
        return;
    if (lv_mark_read(dom, lv_is_alive(state), &mark) < 0)
        return; /* somebody else's */
    if (lv_is_alive(state))
        xml = lv.virDomainGetXMLDesc(dom, 0);
    libvirt_lock(host->libvirt);
    machine = lv_machine_get(host, id, &mark);
    machine->mark = mark;
    lv_machine_found(machine, state);
    machine->agent_up = xml && domain_agent_connected(str_from(xml));
    libvirt_unlock(host->libvirt);
    free(xml);
    if (lv_is_alive(state))
        lv_machine_track(host, id);
}

/* After the callbacks are there: what happens from now on is told, what happened before is found. */
static int learn_all(struct lv_host *host, virConnectPtr conn)
{
    virDomainPtr *domains = NULL;
    int count = lv.virConnectListAllDomains(conn, &domains, 0);

    for (int i = 0; i < count; i++) {
        learn(host, domains[i]);
        (void)lv.virDomainFree(domains[i]); /* ours */
    }
    if (count >= 0)
        free(domains);
    return count < 0 ? -E_UNREACHABLE : 0;
}

/* Every machine is looked at again by whoever cares. */
static void tell_all(struct lv_host *host)
{
    struct libvirt *libvirt = host->libvirt;
    struct arena arena;
    struct str *ids = NULL;
    size_t count = 0;
    struct str id;
    void *value;

    arena_init(&arena, (size_t)1 << 30);
    libvirt_lock(libvirt);
    for (size_t cursor = 0; map_next(&host->machines, &cursor, &id, &value);)
        arena_push(&arena, ids, count, arena_str(&arena, id));
    libvirt_unlock(libvirt);
    for (size_t i = 0; i < count; i++)
        libvirt_tell(libvirt, host, ids[i], 0, MACHINE_OFF); /* a hint: the truth is asked for */
    arena_done(&arena);
}

/* ── the connection ── */

static bool kvm_at(struct lv_host *host, virConnectPtr conn)
{
    enum libvirt_accelerator asked = host->libvirt->settings.accelerator;
    char *xml;
    bool kvm;

    if (host->local || asked != LIBVIRT_AUTO)
        return host->libvirt->kvm;
    /* Its processor can't be looked at from here; its libvirt offers KVM where /dev/kvm works. */
    xml = lv.virConnectGetCapabilities(conn);
    kvm = xml && str_contains(str_from(xml), STR("<domain type='kvm'"));
    free(xml);
    return kvm;
}

static void note_error(struct lv_host *host)
{
    virErrorPtr error = lv.virGetLastError();
    const char *text = error && error->message ? error->message : "libvirt gave no reason";
    bool news;

    libvirt_lock(host->libvirt);
    news = strcmp(host->error, text) != 0;
    (void)snprintf(host->error, sizeof(host->error), "%s", text);
    libvirt_unlock(host->libvirt);
    if (news)
        log_warning("can't reach a host; tried again until it answers", LOG_STR("host", lv_host_id(host)),
                    LOG_TEXT("uri", host->uri), LOG_TEXT("error", text));
}

static bool connect_host(struct lv_host *host)
{
    virConnectPtr conn = lv_conn_open(host);
    bool kvm;

    if (!conn || lv_events_register(host, conn) < 0 || learn_all(host, conn) < 0 || lv_conn_add(host) < 0) {
        note_error(host);
        if (conn)
            lv_events_close(host, conn);
        return false;
    }
    kvm = kvm_at(host, conn); /* a question to the host: without the lock */
    libvirt_lock(host->libvirt);
    host->kvm = kvm;
    host->conn = conn;
    host->lost = false;
    host->error[0] = '\0';
    libvirt_unlock(host->libvirt);
    log_notice("connected to a host", LOG_STR("host", lv_host_id(host)), LOG_TEXT("uri", host->uri));
    if (lv.virConnectIsAlive(conn) != 1)
        lv_events_lost(host, conn); /* it broke before it was the host's: nobody has noted that */
    tell_all(host);
    return true;
}

/* With the lock; gives it away meanwhile. */
static void drop_connection(struct lv_host *host)
{
    virConnectPtr conn = steal(&host->conn);

    host->lost = false;
    libvirt_unlock(host->libvirt);
    log_warning("the connection to a host is lost", LOG_STR("host", lv_host_id(host)), LOG_TEXT("uri", host->uri));
    lv_conn_close_idle(host);
    lv_events_close(host, conn);
    libvirt_lock(host->libvirt);
}

/* With the lock; gives it away meanwhile. False: it failed. */
static bool connect_now(struct lv_host *host)
{
    bool more = host->conn != NULL;
    bool done;

    libvirt_unlock(host->libvirt);
    done = more ? lv_conn_add(host) == 0 : connect_host(host);
    if (more && !done)
        note_error(host);
    libvirt_lock(host->libvirt);
    host->tried = true;
    (void)pthread_cond_broadcast(&host->libvirt->changed); /* can't fail on a valid condition */
    return done;
}

/* With the lock. */
static void pause_connector(struct lv_host *host, usec_t wait_us)
{
    struct libvirt *libvirt = host->libvirt;
    usec_t until_us = env_now(libvirt->settings.env) + wait_us;

    while (!libvirt->closing && !host->lost && env_now(libvirt->settings.env) < until_us)
        libvirt_wait(libvirt, until_us);
}

static void *run_connector(void *arg)
{
    struct lv_host *host = arg;
    struct libvirt *libvirt = host->libvirt;
    usec_t wait_us = RETRY_MIN_US;

    (void)pthread_setname_np(pthread_self(), "connector"); /* for people only */
    libvirt_lock(libvirt);
    while (!libvirt->closing) {
        if (host->conn && host->lost)
            drop_connection(host);
        if (host->conn && !lv_conn_is_wanted(host)) {
            libvirt_wait(libvirt, USEC_NEVER);
        } else if (connect_now(host)) {
            wait_us = RETRY_MIN_US;
        } else {
            wait_us = MIN_OF(2 * wait_us, RETRY_MAX_US);
            pause_connector(host, wait_us);
        }
    }
    host->ended = true;
    (void)pthread_cond_broadcast(&libvirt->changed); /* can't fail on a valid condition */
    libvirt_unlock(libvirt);
    return NULL;
}

/* ── hosts ── */

/* Is it a URI that libvirt's QEMU driver knows, and where is what it leads to? */
static int read_uri(struct lv_host *host, struct str url, struct fail *fail)
{
    const char *dir = host->libvirt->settings.dir;
    bool rooted = str_contains(url, STR("root="));

    if (url.len >= sizeof(host->uri) || !(str_starts(url, STR("qemu:///")) || str_starts(url, STR("qemu+"))) ||
        memchr(url.ptr, '\0', url.len))
        return fail_text(fail, E_INVALID_PARAMETER,
                         "%.*s is not a URI of real machines: qemu:///embed, qemu:///system, qemu+ssh://HOST/system, "
                         "qemu+tls://HOST/system",
                         STR_ARG(url));
    host->local = str_starts(url, STR("qemu:///"));
    host->embedded = str_starts(url, STR("qemu:///embed"));
    (void)snprintf(host->uri, sizeof(host->uri), "%.*s", STR_ARG(url));
    (void)snprintf(host->run_dir, sizeof(host->run_dir), "/run/libvirt/qemu");
    if (!host->embedded)
        return 0;
    if (rooted)
        return fail_text(fail, E_INVALID_PARAMETER, "leave root= out of %.*s: the embedded libvirt lives in the data folder",
                         STR_ARG(url));
    (void)snprintf(host->uri, sizeof(host->uri), "qemu:///embed?root=%s/libvirt", dir);
    (void)snprintf(host->run_dir, sizeof(host->run_dir), "%s/libvirt/run/qemu", dir);
    return 0;
}

/* Two hosts of one URI would be the same machines twice. With the lock. */
static bool uri_is_taken(const struct lv_host *host, const struct lv_host *known)
{
    struct str key;
    void *value;

    for (size_t cursor = 0; map_next(&host->libvirt->hosts, &cursor, &key, &value);) {
        const struct lv_host *other = value;

        if (other != known && other->attached && strcmp(other->uri, host->uri) == 0)
            return true;
    }
    return false;
}

static struct lv_host *make_host(struct libvirt *libvirt, struct str host_id)
{
    struct lv_host *host = xcalloc(1, sizeof(*host));

    host->libvirt = libvirt;
    host->callbacks[0] = -1;
    host->callbacks[1] = -1;
    host->id_len = host_id.len;
    memcpy(host->id, host_id.ptr, host_id.len);
    map_init(&host->machines, env_random_u64(libvirt->settings.env));
    return host;
}

static void free_host(struct lv_host *host)
{
    struct str id;
    void *value;

    for (size_t cursor = 0; map_next(&host->machines, &cursor, &id, &value);)
        xfree(value);
    map_done(&host->machines);
    xfree(host);
}

/* With the lock. What is on this computer is waited for, once, so that the first calls find it. */
static int start_connector(struct lv_host *host, struct fail *fail)
{
    struct libvirt *libvirt = host->libvirt;
    usec_t until_us = env_now(libvirt->settings.env) + (host->embedded ? FIRST_EMBEDDED_US : FIRST_LOCAL_US);

    if (pthread_create(&host->connector, NULL, run_connector, host) != 0)
        return fail_text(fail, E_LIMIT, "no thread can be made for host %.*s", STR_ARG(lv_host_id(host)));
    map_put(&libvirt->hosts, lv_host_id(host), host);
    host->attached = true;
    while (host->local && !host->tried && env_now(libvirt->settings.env) < until_us)
        libvirt_wait(libvirt, until_us);
    return 0;
}

int libvirt_host_add(struct hypervisor *hv, struct str host_id, struct str url, struct fail *fail)
{
    struct libvirt *libvirt = libvirt_of(hv);
    struct lv_host *known;
    struct lv_host *host;
    int r = 0;

    if (host_id.len == 0 || host_id.len > LIBVIRT_ID_MAX)
        return fail_text(fail, E_INVALID_PARAMETER, "a host's id has 1 to %d bytes", LIBVIRT_ID_MAX);
    libvirt_lock(libvirt);
    known = map_get(&libvirt->hosts, host_id);
    host = make_host(libvirt, host_id);
    r = read_uri(host, str_empty(url) ? STR("qemu:///embed") : url, fail);
    if (r == 0 && known && strcmp(known->uri, host->uri) != 0)
        r = fail_text(fail, E_EXISTS, "host %.*s was %s until now: give the new one another id, or restart ecsd", STR_ARG(host_id),
                      known->uri);
    if (r == 0 && uri_is_taken(host, known))
        r = fail_text(fail, E_EXISTS, "%s is another host already", host->uri);
    if (r == 0 && known)
        known->attached = true;
    else if (r == 0)
        r = start_connector(host, fail);
    if (r < 0 || known)
        free_host(host);
    libvirt_unlock(libvirt);
    return r;
}

int libvirt_host_remove(struct hypervisor *hv, struct str host_id)
{
    struct libvirt *libvirt = libvirt_of(hv);
    struct lv_host *host;

    libvirt_lock(libvirt);
    host = map_get(&libvirt->hosts, host_id);
    if (host)
        host->attached = false; /* its machines go on, and so does the connection: it may be added again */
    libvirt_unlock(libvirt);
    return 0;
}

static void untrack_all(struct lv_host *host)
{
    struct str id;
    void *value;

    /* Nobody adds or drops machines any more: the map can be walked without the lock. */
    for (size_t cursor = 0; map_next(&host->machines, &cursor, &id, &value);)
        lv_machine_untrack(host, id);
}

/* Opening a connection to a libvirt that hangs has no end, and can't be broken off: then the thread is left to itself. */
static bool connector_ended(struct lv_host *host)
{
    struct libvirt *libvirt = host->libvirt;
    usec_t until_us = env_now(libvirt->settings.env) + LIBVIRT_REPLY_US;
    bool ended;

    libvirt_lock(libvirt);
    while (!host->ended && env_now(libvirt->settings.env) < until_us)
        libvirt_wait(libvirt, until_us);
    ended = host->ended;
    libvirt_unlock(libvirt);
    /* It is ours and was not joined. */
    (void)(ended ? pthread_join(host->connector, NULL) : pthread_detach(host->connector));
    return ended;
}

bool libvirt_hosts_close(struct libvirt *libvirt)
{
    bool ended = true;
    struct str key;
    void *value;

    libvirt_lock(libvirt);
    libvirt->closing = true;
    (void)pthread_cond_broadcast(&libvirt->changed); /* can't fail on a valid condition */
    libvirt_unlock(libvirt);
    for (size_t cursor = 0; map_next(&libvirt->hosts, &cursor, &key, &value);) {
        struct lv_host *host = value;

        if (!connector_ended(host)) {
            ended = false;
            continue;
        }
        untrack_all(host);
        lv_conn_close_idle(host);
        if (host->conn)
            lv_events_close(host, steal(&host->conn));
    }
    return ended;
}

void libvirt_hosts_free(struct libvirt *libvirt)
{
    struct str key;
    void *value;

    for (size_t cursor = 0; map_next(&libvirt->hosts, &cursor, &key, &value);)
        free_host(value);
    map_done(&libvirt->hosts);
}
