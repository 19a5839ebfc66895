/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt waits for QEMU's monitor without an end. A QEMU that is stopped or stuck would take the engine's workers with it,
 * and the very one that is to kill it. So what needs the monitor runs on a thread of its own; when it doesn't come back in
 * time the caller goes on, and the thread ends with the QEMU. A machine has LIBVIRT_THREADS_MAX of them at most. Each has a
 * connection of its own.
 */
#include "hypervisor/libvirt_impl.h"

#define STACK_BYTES ((size_t)256 << 10)

/* Owned by the thread and the caller; the last one frees it. */
struct job_thread {
    struct libvirt *libvirt;
    struct lv_host *host;
    virConnectPtr conn;
    virDomainPtr dom;
    int (*fn)(virDomainPtr dom, const struct lv_order *order);
    struct lv_order order;
    char *text; /* of the order */
    int result;
    bool done;
    bool left; /* the caller doesn't wait any more */
    size_t id_len;
    char id[LIBVIRT_ID_MAX + 1];
};

/* What it has of its host, before it is counted as ended: the host may go then. */
static void job_leave(struct job_thread *job)
{
    if (job->dom)
        (void)lv.virDomainFree(steal(&job->dom)); /* ours */
    if (job->conn)
        lv_conn_give(job->host, LV_THREAD, steal(&job->conn));
}

static void job_free(struct job_thread *job)
{
    job_leave(job);
    xfree(job->text);
    xfree(job);
}

/* With the lock. False: the machine has too many already. */
static bool count_thread(struct job_thread *job, int by)
{
    struct lv_machine *machine = lv_machine_find(job->host, str_slice(job->id, job->id_len));

    if (by > 0 && machine && machine->threads >= LIBVIRT_THREADS_MAX)
        return false;
    if (machine)
        machine->threads += by;
    job->libvirt->threads += by;
    return true;
}

static void *run_job(void *arg)
{
    struct job_thread *job = arg;
    struct libvirt *libvirt = job->libvirt;
    int result = job->fn(job->dom, &job->order);
    bool left;

    job_leave(job);
    libvirt_lock(libvirt);
    job->result = result;
    job->done = true;
    left = job->left;
    (void)count_thread(job, -1); /* taking away never fails */
    (void)pthread_cond_broadcast(&libvirt->changed); /* can't fail on a valid condition */
    libvirt_unlock(libvirt);
    if (left)
        job_free(job);
    return NULL;
}

static int start_thread(struct job_thread *job)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int r;

    (void)pthread_attr_init(&attributes); /* none of these can fail with these arguments */
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    r = pthread_create(&thread, &attributes, run_job, job);
    (void)pthread_attr_destroy(&attributes);
    return r == 0 ? 0 : -E_LIMIT;
}

/* With the lock. */
static int wait_for(struct job_thread *job, usec_t wait_us)
{
    struct env *env = job->libvirt->settings.env;
    usec_t until_us = env_now(env) + wait_us;

    while (!job->done && wait_us > 0 && env_now(env) < until_us)
        libvirt_wait(job->libvirt, until_us);
    job->left = !job->done;
    return job->done ? job->result : -E_TIMEOUT;
}

int lv_thread_run(struct lv_call *call, int (*fn)(virDomainPtr dom, const struct lv_order *order), struct lv_order order,
                  usec_t wait_us)
{
    struct libvirt *libvirt = call->libvirt;
    struct job_thread *job = xcalloc(1, sizeof(*job));
    char uuid[DOMAIN_UUID_BYTES];
    bool left = false;
    int r;

    *job = (struct job_thread){.libvirt = libvirt, .host = call->host, .fn = fn, .order = order, .id_len = call->id.len};
    if (order.text)
        job->order.text = job->text = xstrdup(order.text);
    memcpy(job->id, call->id.ptr, call->id.len);
    domain_uuid(call->id, uuid);
    libvirt_lock(libvirt);
    r = lv_conn_take(job->host, LV_THREAD, &job->conn);
    libvirt_unlock(libvirt);
    if (r == 0) {
        job->dom = lv.virDomainLookupByUUIDString(job->conn, uuid);
        r = job->dom ? 0 : libvirt_failed(job->conn, call->fail);
    }
    libvirt_lock(libvirt);
    if (r == 0 && !count_thread(job, 1))
        r = -E_BUSY;
    if (r == 0) {
        r = start_thread(job);
        if (r < 0)
            (void)count_thread(job, -1); /* taking away never fails */
        else
            r = wait_for(job, wait_us);
        left = job->left;
    }
    libvirt_unlock(libvirt);
    if (left)
        return r;
    job_free(job);
    return r;
}
