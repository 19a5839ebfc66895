/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections that calls are made on. To a libvirt in another process each carries one call at a time, for two reasons.
 * libvirt's client lets the first of several callers do the others' reading and writing, and up to 10.3 that hand-over can be
 * missed, or reach into the stack of a thread that has left (CVE-2024-4418): the program dies. And libvirtd serves five calls of a
 * connection at once: five that wait for a stuck QEMU would keep everybody out.
 *
 * The connector opens them, since opening has no limit of time, and another one when somebody waits. The embedded libvirt has
 * no wire and one connection for all.
 */
#include "hypervisor/libvirt_impl.h"

#define KEEPALIVE_S 5
#define KEEPALIVE_MISSES 3

virConnectPtr lv_conn_open(const struct lv_host *host)
{
    virConnectPtr conn = lv.virConnectOpenAuth(host->uri, NULL, 0);

    if (conn)
        (void)lv.virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_MISSES); /* the embedded libvirt has none */
    return conn;
}

static bool is_in_reach(const struct lv_host *host)
{
    return host->conn && !host->lost;
}

static size_t count_open(const struct lv_host *host)
{
    return host->idle_count + host->busy[LV_CALLER] + host->busy[LV_THREAD];
}

bool lv_conn_is_wanted(const struct lv_host *host)
{
    return !host->embedded && host->waiting > 0 && host->idle_count == 0 && count_open(host) < LIBVIRT_CONNECTIONS_MAX;
}

int lv_conn_add(struct lv_host *host)
{
    virConnectPtr conn;
    bool room;

    libvirt_lock(host->libvirt);
    room = !host->embedded && count_open(host) < LIBVIRT_CONNECTIONS_MAX; /* only the connector makes more of them */
    libvirt_unlock(host->libvirt);
    if (!room)
        return 0;
    conn = lv_conn_open(host);
    if (!conn)
        return -E_UNREACHABLE;
    libvirt_lock(host->libvirt);
    host->idle[host->idle_count++] = conn;
    host->error[0] = '\0';
    (void)pthread_cond_broadcast(&host->libvirt->changed); /* can't fail on a valid condition */
    libvirt_unlock(host->libvirt);
    return 0;
}

/* Neither may have all: a call holds its own while its thread asks for another. */
static bool is_at_limit(const struct lv_host *host, enum lv_user user)
{
    return host->busy[user] >= LIBVIRT_CONNECTIONS_MAX - LIBVIRT_CONNECTIONS_KEPT;
}

static bool is_free(const struct lv_host *host, enum lv_user user)
{
    return host->idle_count > 0 && !is_at_limit(host, user);
}

/* Threads may be held for ever: nobody waits until there are fewer. */
static bool is_hopeless(const struct lv_host *host, enum lv_user user)
{
    return user == LV_THREAD && is_at_limit(host, user);
}

/* With the lock. Waits for one that is free for that user; the connector opens it if it has to. */
static int await_free(struct lv_host *host, enum lv_user user)
{
    struct libvirt *libvirt = host->libvirt;
    usec_t until_us = env_now(libvirt->settings.env) + LIBVIRT_REPLY_US;

    host->waiting++;
    (void)pthread_cond_broadcast(&libvirt->changed); /* can't fail on a valid condition */
    while (is_in_reach(host) && !is_free(host, user) && !is_hopeless(host, user) && env_now(libvirt->settings.env) < until_us)
        libvirt_wait(libvirt, until_us);
    host->waiting--;
    if (is_in_reach(host) && is_hopeless(host, user))
        return -E_BUSY;
    return is_in_reach(host) && is_free(host, user) ? 0 : -E_UNREACHABLE;
}

int lv_conn_take(struct lv_host *host, enum lv_user user, virConnectPtr *ret)
{
    int r;

    if (!is_in_reach(host))
        return -E_UNREACHABLE;
    if (host->embedded) {
        *ret = host->conn;
        (void)lv.virConnectRef(*ret); /* it is open */
        return 0;
    }
    r = is_free(host, user) ? 0 : await_free(host, user);
    if (r < 0)
        return r;
    *ret = host->idle[--host->idle_count];
    host->busy[user]++;
    return 0;
}

void lv_conn_give(struct lv_host *host, enum lv_user user, virConnectPtr conn)
{
    bool keep = !host->embedded && lv.virConnectIsAlive(conn) == 1;

    libvirt_lock(host->libvirt);
    if (!host->embedded)
        host->busy[user]--;
    if (keep)
        host->idle[host->idle_count++] = conn;
    (void)pthread_cond_broadcast(&host->libvirt->changed); /* can't fail on a valid condition */
    libvirt_unlock(host->libvirt);
    if (!keep)
        (void)lv.virConnectClose(conn); /* our reference */
}

void lv_conn_close_idle(struct lv_host *host)
{
    virConnectPtr idle[LIBVIRT_CONNECTIONS_MAX];
    size_t count;

    libvirt_lock(host->libvirt);
    count = host->idle_count;
    memcpy(idle, host->idle, sizeof(idle));
    host->idle_count = 0;
    libvirt_unlock(host->libvirt);
    for (size_t i = 0; i < count; i++)
        (void)lv.virConnectClose(idle[i]); /* nobody else has it */
}
