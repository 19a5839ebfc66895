/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real machines: QEMU behind libvirt. For main and tests; everybody else sees hypervisor.h.
 *
 * A host is a libvirt URI. `qemu:///embed` is libvirt inside this process, without a daemon: its state is below
 * `dir`/libvirt, and this process must be the only one with it. `qemu:///system`, `qemu+ssh://…` and `qemu+tls://…` are daemons.
 * Every host has to see `dir` under the same path: the machines' files are made by this process (pool.h).
 */
#pragma once

#include "hypervisor/hypervisor.h"

enum libvirt_accelerator { LIBVIRT_AUTO, LIBVIRT_KVM, LIBVIRT_TCG };

struct libvirt_settings {
    struct env *env;           /* a real clock: guests live in real time */
    const char *dir;           /* absolute */
    double local_scale;        /* of the size of local disks */
    double memory_scale;       /* of the guests' memory */
    enum libvirt_accelerator accelerator;
    usec_t boot_grace_us;      /* a guest whose agent does not come up within this counts as running */
};

/* -E_NOT_FOUND: libvirt or a part of it is not installed; the text says what to do. -E_IO: the folder can't be used. */
int libvirt_open(const struct libvirt_settings *settings, struct fail *fail, struct hypervisor **ret) must_check;
/* Which accelerator machines on this computer get, and why: two words and a clause. A constant text. */
const char *libvirt_accelerator_why(const struct hypervisor *hv);
