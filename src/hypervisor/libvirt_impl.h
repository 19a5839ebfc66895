/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the libvirt hypervisor; only libvirt*.c include this.
 *
 * libvirt.c          open and close, the event thread, what the watcher is told
 * libvirt_host.c     hosts: connected, watched, connected again
 * libvirt_event.c    what libvirt tells
 * libvirt_conn.c     the connections that calls are made on, one at a time
 * libvirt_machine.c  what is known of each machine; its process; what state it is in
 * libvirt_call.c     what every call begins and ends with
 * libvirt_thread.c   calls that a stuck QEMU may block for ever, on threads of their own
 * libvirt_life.c     define, start, press, cut …: the life of a machine
 * libvirt_disk.c     its disks
 * libvirt_view.c     its console and screen
 * libvirt_agent.c    programs that its guest agent runs
 *
 * How an end is seen. libvirt tells of a dead QEMU some 200 ms late, when its own clean-up is through, and a QEMU that nobody
 * has reaped is alive to it. So, where the process is on this computer, we hold a pidfd of it: readable is dead, at once, and
 * is the proof that law 5 asks for. Where it is elsewhere, libvirt's word is the proof.
 *
 * Invariants
 * 1. `lock` guards everything here; libvirt and the watcher are called without it.
 * 2. Nothing that waits for QEMU's monitor runs on a caller's thread without a limit of time (libvirt_thread.c).
 * 3. Hosts live as long as the hypervisor; machines as long as they are defined. Who leaves the lock finds them anew.
 * 4. `dead` is set by the end of the very process that `pidfd` holds, and cleared when another one is started or held.
 */
#pragma once

#include <pthread.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "hypervisor/libvirt.h"
#include "hypervisor/libvirt_api.h"
#include "hypervisor/pool.h"

#define LIBVIRT_ID_MAX 63           /* bytes of a host's or machine's id */
#define LIBVIRT_URI_MAX 512
#define LIBVIRT_CALL_ARENA ((size_t)8 << 20) /* memory of one call */
#define LIBVIRT_THREADS_MAX 4       /* of one machine, in calls that its QEMU doesn't answer */
#define LIBVIRT_CONNECTIONS_MAX 16  /* to one host, for calls; libvirtd works on 20 calls at once */
#define LIBVIRT_CONNECTIONS_KEPT 4  /* of them: calls that a stuck QEMU may hold leave so many, and so do the others */
#define LIBVIRT_REPLY_US (2 * USEC_PER_SEC)    /* how long a monitor is waited for */
#define LIBVIRT_SETTLE_US (20 * USEC_PER_SEC)  /* libvirt cleans up after a dead process: 200 ms, 2 s where nobody reaps */

enum machine_ending { /* what was heard of its end, strongest first; end_of has what each means */
    HEARD_CUT = 1,       /* we have cut its power */
    HEARD_PANIC = 2,
    HEARD_GUEST = 4,     /* its guest has shut down */
    HEARD_OPERATOR = 8,  /* somebody else ended QEMU in order */
};

struct lv_host;

struct lv_machine {
    struct lv_host *host;
    struct domain_mark mark;
    int pidfd;           /* of its process; -1: none, or it is not on this computer */
    int watch;           /* libvirt's number of the watch on pidfd; -1 */
    int threads;         /* calls of libvirt_thread.c under way */
    int heard;           /* enum machine_ending */
    bool dead;           /* invariant 4 */
    bool begun;          /* we have started it, and libvirt's event of that has not come yet */
    bool agent_up;       /* the guest's agent has opened its port */
    bool agent_pressed;  /* the latest press went to the agent */
    usec_t booted_us;    /* since when its system has been coming up */
    usec_t starting_us;  /* since when libvirt says that it makes its process; 0: it doesn't */
    bool told_starting;  /* that it takes so long */
    usec_t since_us;
    size_t id_len;
    char id[LIBVIRT_ID_MAX + 1];
};

enum lv_user { /* of a connection */
    LV_CALLER, /* a call of hypervisor.h */
    LV_THREAD, /* a call of libvirt_thread.c: its QEMU may hold it for ever */
    LV_USERS
};

struct lv_host {
    struct libvirt *libvirt;
    struct map machines;     /* id → struct lv_machine */
    virConnectPtr conn;      /* the connector's, for events; NULL: out of reach */
    virConnectPtr idle[LIBVIRT_CONNECTIONS_MAX]; /* for calls; none of the embedded libvirt, whose calls share conn */
    size_t idle_count;
    size_t busy[LV_USERS];   /* connections in calls */
    size_t waiting;          /* calls that wait for a connection */
    bool attached;           /* host_add was called and host_remove was not */
    bool lost;               /* the connection broke: the connector opens another */
    bool tried;              /* the connector has tried once */
    bool ended;              /* the connector has ended */
    bool local;              /* its processes are on this computer */
    bool embedded;
    bool kvm;
    int callbacks[2];
    pthread_t connector;
    char error[256];         /* why it is out of reach */
    char uri[LIBVIRT_URI_MAX];
    char run_dir[LIBVIRT_URI_MAX]; /* where libvirt keeps its processes' numbers */
    size_t id_len;
    char id[LIBVIRT_ID_MAX + 1];
};

struct libvirt {
    struct hypervisor base;
    struct libvirt_settings settings;
    struct pool pool;
    const char *why;         /* of the accelerator */
    bool kvm;
    bool rebooted;           /* this computer has, since we were here last */
    pthread_mutex_t lock;
    pthread_cond_t changed;  /* something was heard of some machine or host */
    pthread_cond_t quiet;    /* no watcher is being called */
    struct map hosts;        /* id → struct lv_host */
    machine_watch_fn watch;
    void *watch_arg;
    int delivering;
    int threads;             /* of all machines */
    pthread_t events;
    int wake_timer;
    bool closing;            /* connectors end */
    bool stopping;           /* the event thread ends */
};

static inline struct str lv_host_id(const struct lv_host *host)
{
    return str_slice(host->id, host->id_len);
}

static inline struct str lv_machine_id(const struct lv_machine *machine)
{
    return str_slice(machine->id, machine->id_len);
}

/* ── libvirt.c ── */
struct libvirt *libvirt_of(const struct hypervisor *hv);
void libvirt_lock(struct libvirt *libvirt);
void libvirt_unlock(struct libvirt *libvirt);
/* Waits for something to be heard, or until `until_us`. With the lock. */
void libvirt_wait(struct libvirt *libvirt, usec_t until_us);
/* Tells the watcher. Without the lock. */
void libvirt_tell(struct libvirt *libvirt, const struct lv_host *host, struct str id, int64_t incarnation,
                  enum machine_state state);
/* The latest error of libvirt on this thread as one of ours; `fail` gets its words. The connection tells lost from refused. */
int libvirt_failed(virConnectPtr conn, struct fail *fail);

/* ── libvirt_host.c ── */
int libvirt_host_add(struct hypervisor *hv, struct str host_id, struct str url, struct fail *fail);
int libvirt_host_remove(struct hypervisor *hv, struct str host_id);
/*
 * Ends the connections, at the end; libvirt_hosts_free follows when no event comes any more. False: a thread is still waiting
 * for a libvirt that hangs; then what it uses has to stay.
 */
bool libvirt_hosts_close(struct libvirt *libvirt);
void libvirt_hosts_free(struct libvirt *libvirt);

/* ── libvirt_event.c ── */
/* From now on events of that connection are heard. */
int lv_events_register(struct lv_host *host, virConnectPtr conn) must_check;
/* Closes it; nothing is heard of it any more. */
void lv_events_close(struct lv_host *host, virConnectPtr conn);
/* It broke: should it be the host's, the connector opens another. */
void lv_events_lost(struct lv_host *host, virConnectPtr conn);

/* ── libvirt_conn.c ── */
/* Opens one, and has it watched. May take for ever: the connector's thread only. NULL: libvirt has the error. */
virConnectPtr lv_conn_open(const struct lv_host *host);
/* Does somebody wait for a connection that may be opened? With the lock. */
bool lv_conn_is_wanted(const struct lv_host *host);
/* Opens one for calls. The connector's thread only; without the lock. */
int lv_conn_add(struct lv_host *host) must_check;
/*
 * One that nobody else uses, until lv_conn_give; waits for it, with the lock. -E_UNREACHABLE: the host doesn't answer, or is in as
 * many calls as it may be; -E_BUSY: too many calls are held by QEMUs that are stuck.
 */
int lv_conn_take(struct lv_host *host, enum lv_user user, virConnectPtr *ret) must_check;
/* Without the lock. A broken one is closed. */
void lv_conn_give(struct lv_host *host, enum lv_user user, virConnectPtr conn);
/* Without the lock. Those in use are closed, if broken, when they are given back. */
void lv_conn_close_idle(struct lv_host *host);

/* ── libvirt_call.c: one call's host, connection, domain, memory; for libvirt_{life,disk,view,agent}.c ── */

struct lv_call {
    struct libvirt *libvirt;
    struct lv_host *host;
    virConnectPtr conn;
    virDomainPtr dom;          /* NULL: absent, or not asked for */
    struct str id;
    struct arena arena;
    struct machine_status status;
    struct domain_mark mark;
    struct fail *fail;
};
/* 0: the host is in reach; lv_leave has to follow. -E_NOT_FOUND, -E_UNREACHABLE. */
int lv_enter_host(struct lv_call *call, struct hypervisor *hv, struct str host_id, struct fail *fail) must_check;
/* As lv_enter_host, and looks the machine up: call.dom and call.status. One that is absent is MACHINE_ABSENT, and 0. */
int lv_enter(struct lv_call *call, struct hypervisor *hv, struct str host_id, struct str id, struct fail *fail) must_check;
/* As lv_enter, for commands to a living machine. -E_GONE: absent, or another incarnation (law 2). */
int lv_enter_living(struct lv_call *call, struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                    struct fail *fail) must_check;
/* Returns `r`, so that a call can end with it. */
int lv_leave(struct lv_call *call, int r);
/* Reads state and mark again. */
int lv_look(struct lv_call *call) must_check;
/* Dead to us is not off to libvirt at once: waits until it is. -E_BUSY: the machine lives. */
int lv_settle(struct lv_call *call) must_check;

/* ── libvirt_machine.c; with the lock held unless they say otherwise ── */
struct lv_machine *lv_machine_find(const struct lv_host *host, struct str id);
/* Finds it, or makes it known with that mark. */
struct lv_machine *lv_machine_get(struct lv_host *host, struct str id, const struct domain_mark *mark);
void lv_machine_drop(struct lv_machine *machine);
/* A new life begins: nothing that was heard counts any more. */
void lv_machine_begin(struct lv_machine *machine);
/*
 * In this state at a new connection. When the event of its start was lost with the old one, what was heard since is of the life
 * before, but for a cut of ours: believed, it would make the machine look dying for ever.
 */
void lv_machine_found(struct lv_machine *machine, int state);
/* Holds its process, if it is on this computer. Without the lock: it reads files. */
void lv_machine_track(struct lv_host *host, struct str id);
/* Lets go of its process. Without the lock. */
void lv_machine_untrack(struct lv_host *host, struct str id);
/* SIGTERM or SIGKILL to its very process. -E_NOT_FOUND: we hold none. */
int lv_machine_signal(struct lv_machine *machine, int number) must_check;
struct machine_status lv_machine_status(const struct lv_machine *machine, int state, int reason);
/* Says in the log, once, when libvirt has been making its process for long. */
void lv_machine_starting(struct lv_machine *machine, int state, int reason);
/*
 * Before the embedded libvirt starts. It kills the process whose number its note of a machine has, when it can't talk to it: after
 * a reboot, a container's too, and wherever numbers are used again, that is somebody else's. Such notes are removed, as is every
 * one of a process that is not the machine's after a reboot, and every one of a process that was never made.
 */
void lv_notes_clean(const char *run_dir, bool rebooted);
/* Before the embedded libvirt starts. Ends the QEMUs that the one before had asked what they can do, and did not live to end. */
void lv_probes_end(const char *lib_dir);
/* Does its command line have that word? Numbers of processes are used again. */
bool lv_process_has(int pid, const char *word);
/* Is it QEMU, and of this machine? */
bool lv_process_is(int pid, struct str id);
/* Is that domain the machine's, by its UUID? Without the lock. */
bool lv_is_domain_of(virDomainPtr dom, struct str id);
/* Of a domain that has one of ours; -E_INVALID: it has none. Without the lock. */
int lv_mark_read(virDomainPtr dom, bool alive, struct domain_mark *ret) must_check;
int lv_mark_write(virDomainPtr dom, bool alive, const struct domain_mark *mark) must_check;
bool lv_is_alive(int state);

/* ── libvirt_thread.c ── */
struct lv_order { /* what the call is to do; copied */
    int64_t number;
    const char *text; /* NULL: none */
};
/* Runs fn(call's domain, order) on a thread of its own; after `wait_us` it is left to itself: -E_TIMEOUT. -E_BUSY: too many. */
int lv_thread_run(struct lv_call *call, int (*fn)(virDomainPtr dom, const struct lv_order *order), struct lv_order order,
                  usec_t wait_us) must_check;

/* ── the calls of hypervisor.h ── */
int libvirt_define(struct hypervisor *hv, struct str host_id, const struct machine_spec *spec, struct fail *fail);
int libvirt_undefine(struct hypervisor *hv, struct str host_id, struct str id);
int libvirt_start(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct fail *fail);
int libvirt_press(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation);
int libvirt_resume(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation);
int libvirt_reset(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation);
int libvirt_cut(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, enum machine_cut how);
int libvirt_probe(struct hypervisor *hv, struct str host_id, struct str id, struct machine_status *ret);
int libvirt_list(struct hypervisor *hv, struct str host_id,
                 void (*each)(void *arg, struct str id, const struct machine_status *st), void *arg);
int libvirt_disk_clear(struct hypervisor *hv, struct str host_id, struct str id, struct str disk_id);
int libvirt_disk_delete(struct hypervisor *hv, struct str disk_id);
int libvirt_disk_written(struct hypervisor *hv, struct str host_id, struct str id, struct str disk_id, bool *ret);
int libvirt_disk_attach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                        const struct machine_disk *disk, struct fail *fail);
int libvirt_disk_detach(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct str disk_id,
                        struct fail *fail);
int libvirt_console(struct hypervisor *hv, struct str host_id, struct str id, size_t limit_bytes, struct arena *arena,
                    struct str *ret);
int libvirt_screenshot(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct arena *arena,
                       struct str *ret_png);
int libvirt_vnc(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct str password,
                usec_t until_us, struct arena *arena, struct str *ret_address);
int libvirt_exec_start(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                       const struct machine_exec *exec, int64_t *ret_pid);
int libvirt_exec_poll(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, int64_t pid,
                      struct arena *arena, struct machine_exec_status *ret);
int libvirt_exec_kill(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, int64_t pid);
/* The disks of a definition in the guest's order, with their files. For libvirt_life.c. */
size_t libvirt_disks(struct lv_call *call, const struct machine_spec *spec, struct domain_disk ret[DOMAIN_DISKS_MAX]);
