/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines. Two implementations: sim, complete simulated hosts, and libvirt, real ones. Each passes test/conform/hypervisor.c.
 *
 * Laws of the calls
 * 1. Every call is idempotent: asked again, it ends in the same state and returns 0.
 * 2. Every command names the incarnation it means; one of another incarnation does nothing and returns -E_GONE (law 5).
 * 3. -E_UNREACHABLE means that nothing is known: neither that the command was carried out, nor that it was not.
 * 4. Events are hints: they may be lost, late, doubled, reordered. Truth is what hv_probe returns.
 * 5. A machine that hv_probe calls OFF is dead: no process of it lives (law 3).
 * 6. Machines outlive this process.
 * 7. A local disk goes with its machine. What is on a cloud disk stays when its machine goes, and the next machine that is
 *    defined with it finds it there, on whichever host; only disk_delete removes it.
 * 8. What an implementation can't do at all it answers with -E_UNSUPPORTED_OPERATION.
 * Calls may block for as long as a host takes; they come from the engine's workers, several at a time for different machines.
 */
#pragma once

#include "base/env.h"
#include "base/fail.h"

struct hypervisor;

enum machine_state {
    MACHINE_ABSENT,  /* not defined on that host */
    MACHINE_OFF,     /* defined, proven dead */
    MACHINE_BOOTING, /* alive, its system not up yet (where that can be known) */
    MACHINE_RUNNING,
    MACHINE_PAUSED,
    MACHINE_DYING,   /* told to end, not gone yet */
    MACHINE_STATE_COUNT,
};

enum machine_end { /* why it went off, as far as the host knows */
    MACHINE_END_UNKNOWN,
    MACHINE_END_GUEST,  /* its system shut down, asked or not */
    MACHINE_END_CUT,    /* we cut the power */
    MACHINE_END_CRASH,  /* panic, or its process died */
    MACHINE_END_HOST,   /* the host went down under it */
};

enum machine_cut { MACHINE_CUT_QUIT, MACHINE_CUT_TERM, MACHINE_CUT_KILL }; /* each harder than the one before */

struct machine_disk {
    struct str id;        /* disk id; local disks: instance id "-local-" index */
    struct str device;
    int64_t size_gib;
    struct str image_id;  /* system disk */
    bool local;           /* raw, of the host, dies with it */
};

struct machine_spec {
    struct str id;          /* the instance id */
    int64_t vcpus;
    int64_t memory_mib;
    struct str host_name;
    struct str user_data;
    struct str mac;
    struct str private_ip;
    struct str public_keys;  /* OpenSSH lines for the first user; absent: none */
    const struct machine_disk *disks;
    size_t disk_count;
};

/* A program that the guest's agent runs. */
struct machine_exec {
    struct str path;
    const struct str *args;  /* without the path */
    size_t arg_count;
    struct str input;        /* its standard input; absent: none */
};

struct machine_exec_status {
    bool exited;
    int exit_code;           /* when it exited by itself */
    int signal;              /* when a signal ended it; else 0 */
    struct str output;       /* standard output, then standard error: what there is once it has exited */
    bool truncated;          /* the agent kept less than there was */
};

struct machine_status {
    enum machine_state state;
    int64_t incarnation;   /* of the latest start; 0: never started */
    enum machine_end end;  /* when OFF */
    usec_t since_us;
};

struct machine_event {
    struct str host_id;
    struct str id;
    int64_t incarnation;
    enum machine_state state;
    bool more; /* the next one comes at once: no need to wake anybody for this one alone */
};

/* Called from any thread, with no lock of the hypervisor held; must not block and must not call the hypervisor. */
typedef void (*machine_watch_fn)(void *arg, const struct machine_event *event);

struct hypervisor_ops {
    const char *name;
    void (*close)(struct hypervisor *hv);
    int (*host_add)(struct hypervisor *hv, struct str host_id, struct str url, struct fail *fail);
    int (*host_remove)(struct hypervisor *hv, struct str host_id);
    void (*watch)(struct hypervisor *hv, machine_watch_fn fn, void *arg);
    int (*define)(struct hypervisor *hv, struct str host_id, const struct machine_spec *spec, struct fail *fail);
    int (*undefine)(struct hypervisor *hv, struct str host_id, struct str id); /* OFF only: -E_BUSY; absent: 0; law 7 */
    int (*start)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct fail *fail);
    int (*press)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation); /* agent, else power button */
    int (*resume)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation);
    int (*reset)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation); /* power cycle */
    int (*cut)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, enum machine_cut how);
    int (*probe)(struct hypervisor *hv, struct str host_id, struct str id, struct machine_status *ret);
    /* Calls `each` for every machine of the host. */
    int (*list)(struct hypervisor *hv, struct str host_id, void (*each)(void *arg, struct str id, const struct machine_status *st),
                void *arg);
    int (*disk_clear)(struct hypervisor *hv, struct str host_id, struct str id, struct str disk_id); /* OFF only; reads zeros after */
    /* A cloud disk that no machine has any more is gone for good; one that isn't there: 0. */
    int (*disk_delete)(struct hypervisor *hv, struct str disk_id);
    /* Has the disk been written since it was made or cleared? */
    int (*disk_written)(struct hypervisor *hv, struct str host_id, struct str id, struct str disk_id, bool *ret);
    /*
     * A cloud disk appears in a living machine, or leaves it; one that is OFF gets its disks by define. Attaching -E_BUSY:
     * another living machine has it. Detaching -E_BUSY: the guest has been asked and hasn't let go of it yet. Detaching from
     * one that is OFF takes the disk out of what is defined (0), or leaves that to the next define (-E_GONE).
     */
    int (*disk_attach)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                       const struct machine_disk *disk, struct fail *fail);
    int (*disk_detach)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct str disk_id,
                       struct fail *fail);
    /* The last `limit_bytes` at most of what the latest boot wrote to its serial console; also of a machine that is OFF. */
    int (*console)(struct hypervisor *hv, struct str host_id, struct str id, size_t limit_bytes, struct arena *arena,
                   struct str *ret);
    /* What is on its screen, as a PNG file. */
    int (*screenshot)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct arena *arena,
                      struct str *ret_png);
    /* From now until `until_us` a VNC client gets in with the password, once per call; where: "127.0.0.1:5900". */
    int (*vnc)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, struct str password, usec_t until_us,
               struct arena *arena, struct str *ret_address);
    /* The guest's agent starts a program: -E_BUSY while no agent answers. The number is the agent's. */
    int (*exec_start)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation,
                      const struct machine_exec *exec, int64_t *ret_pid);
    /* -E_NOT_FOUND: the agent knows nothing of it (any more). Its output is told once. */
    int (*exec_poll)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, int64_t pid,
                     struct arena *arena, struct machine_exec_status *ret);
    int (*exec_kill)(struct hypervisor *hv, struct str host_id, struct str id, int64_t incarnation, int64_t pid);
    /*
     * Can machines be made of the image? A look at what lies here, never a question to a host: it is asked inside
     * transactions, once per image of a list.
     */
    bool (*has_image)(struct hypervisor *hv, struct str image_id);
    /* Knobs of simulated hosts and guests (ecsctl sim …); real ones refuse with -E_UNSUPPORTED_OPERATION. `machine_id` absent: the host. */
    int (*simulate)(struct hypervisor *hv, struct str host_id, struct str machine_id, struct str name, struct str value,
                    struct fail *fail);
};

struct hypervisor {
    const struct hypervisor_ops *ops;
};

/* `url`: "sim:" (state in `dir`) or, where built, a libvirt URI. Implementations have their own open in sim.h, libvirt.h. */
static inline struct hypervisor *hypervisor_close(struct hypervisor *hv)
{
    if (hv)
        hv->ops->close(hv);
    return NULL;
}
