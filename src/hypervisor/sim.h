/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated hosts: a product, not a mock. Machines boot, run, react to the power button, hang,
 * crash and outlive the daemon: their state is a journal on disk plus time, so that a restart finds
 * what went on meanwhile. A reboot of the real machine is a power failure of every simulated one,
 * as it would be for real ones.
 */
#pragma once

#include "hypervisor/hypervisor.h"

struct sim_settings {
    struct env *env;
    const char *dir; /* of the journal; NULL: in memory */
    usec_t boot_us;  /* defaults of new guests */
    usec_t shutdown_us;
    uint64_t seed;       /* of delays and lost events */
    const char *boot_id; /* changes when the real machine restarts; NULL: ask the system */
    bool shared;         /* other processes of this computer open `dir`, too: one world for all */
};

/* What a guest has written to a disk: a system that comes up writes one durable and one cached
 * piece to each of its disks. */
struct sim_disk {
    int64_t durable; /* on the medium */
    int64_t cached;  /* in the guest's memory: a graceful shutdown makes it durable, a power cut
                        loses it */
    int64_t lost;
    bool written; /* since it was made or cleared */
};

int sim_open(const struct sim_settings *settings, struct fail *fail, struct hypervisor **ret)
    must_check;
/* Starts the thread that lets time act (boots end, shutdowns end). Without it, sim_advance does. */
int sim_start(struct hypervisor *hv) must_check;
/* Carries out everything that is due by now; returns when the next thing is due (USEC_NEVER:
 * nothing). */
usec_t sim_advance(struct hypervisor *hv);
/* Is there something on a cloud disk that no machine has? */
bool sim_disk_kept(struct hypervisor *hv, struct str disk_id);
/* -E_NOT_FOUND: no such host, machine or disk. Looks past a host that is down: for tests and the
 * operator. */
int sim_disk_state(struct hypervisor *hv, struct str host_id, struct str id, struct str disk_id,
                   struct sim_disk *ret) must_check;
