/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded libvirt leaves its QEMUs without a parent, so that they outlive us. Whoever takes such orphans in has to collect
 * them when they end: to libvirt one that was not collected is alive, for seconds. The init system does that, where there is
 * one; elsewhere (containers, test machines) it may be slow or missing. A thread of ours can't: libvirt collects its helpers
 * itself. So the daemon becomes the child of a process that does nothing else.
 */
#pragma once

/* Is an init system there that collects orphans? */
int reaper_is_needed(void);
/*
 * Returns in the child, which is the daemon from now on. The parent passes TERM, INT and HUP on (a terminal's INT the daemon has
 * itself), collects orphans, and ends as the daemon ends; if it is killed, so is the daemon. Before there are threads, with the
 * signals blocked. -1: it can't be done, and everything is as before.
 */
int reaper_start(void);
