/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process gives up for good, before there are threads (capabilities belong to threads) and before a secret is read.
 * The unit in packaging/ takes away more; this holds wherever ecsd is started, by hand and as root, too.
 *
 * With machines of the embedded libvirt little can go: QEMU is our child there, root's QEMU is given its rights by libvirt,
 * and security modules (SELinux) refuse a change of domain to a process that may gain no privileges.
 */
#pragma once

#include <stdbool.h>

enum privilege_needs {
    PRIVILEGE_SIMULATED, /* files and sockets, nothing else */
    PRIVILEGE_REMOTE,    /* a client of a libvirtd: helpers (ssh, qemu-img), files that belong to others */
    PRIVILEGE_EMBEDDED,  /* QEMU is our child */
};

/*
 * No core dump, whatever the needs: it would hold the secrets of all keys. Unless EMBEDDED: no new privileges by programs
 * that we run, and no other process of our user may look into our memory. SIMULATED and root: of the capabilities stay those
 * with which root works on the files of others, and low ports. False: the system has refused something that it never should.
 */
bool privilege_drop(enum privilege_needs needs);
/* Overwrites the variable and removes it: it would stay readable in /proc/PID/environ, and programs that we run would get it. */
void privilege_forget(const char *variable);
