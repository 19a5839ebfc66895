/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of real machines, below one folder that every host of this process sees under the same path:
 *
 *   images/IMAGE/disk            what system disks are overlays of: qcow2 or raw
 *   images/IMAGE/kernel, initrd, cmdline      where the image is booted without a boot loader
 *   images/IMAGE/agent           the image has a guest agent
 *   disks/DISK.qcow2             cloud disks; they outlive their machines (law 7 of hypervisor.h)
 *   machines/ID/                 what goes with the machine: local disks, seed, console logs, sockets
 *
 * Invariants
 * 1. A file that is found under its name is complete: it was made under another one, flushed and renamed.
 * 2. No name from outside leaves its folder: ids have letters, digits, '-', '_' and '.', and don't begin with '.'.
 * Calls block as long as the disk does; they may come from several threads for different machines and disks.
 */
#pragma once

#include "hypervisor/domain_xml.h"

struct pool {
    const char *dir;
    double local_scale; /* of local disks' size: 1 is what the catalogue says */
};

/* Makes the folders. */
int pool_make(const struct pool *pool, struct fail *fail) must_check;

bool pool_has_image(const struct pool *pool, struct str image_id);
/* How the image is booted, and whether it has an agent. -E_NOT_FOUND: there is no such image. */
int pool_boot(const struct pool *pool, struct str image_id, struct arena *arena, struct domain_boot *ret, bool *ret_agent)
    must_check;

/* Makes the disk's file, or makes it larger, unless it is so already. */
int pool_disk_make(const struct pool *pool, struct str machine_id, const struct machine_disk *disk, struct arena *arena,
                   struct fail *fail) must_check;
struct str pool_disk_path(const struct pool *pool, struct str machine_id, const struct machine_disk *disk, struct arena *arena);
/* The file of a disk with that id, of the machine or of the cloud. -E_NOT_FOUND. */
int pool_disk_find(const struct pool *pool, struct str machine_id, struct str disk_id, struct arena *arena, struct str *ret)
    must_check;
/* A local disk reads zeros afterwards. -E_NOT_FOUND: the machine has no such local disk. */
int pool_disk_clear(const struct pool *pool, struct str machine_id, struct str disk_id, struct arena *arena) must_check;
/* A cloud disk is gone; one that isn't there: 0. */
int pool_disk_delete(const struct pool *pool, struct str disk_id, struct arena *arena) must_check;
/* Has anything been written to it since it was made? */
int pool_disk_written(struct str path, bool *ret) must_check;

/* The folder of a machine, with its NoCloud seed disk: host name, keys, user data. */
int pool_machine_make(const struct pool *pool, const struct machine_spec *spec, struct arena *arena, struct fail *fail) must_check;
/* A file of the machine's folder. */
struct str pool_machine_path(const struct pool *pool, struct str machine_id, const char *name, struct arena *arena);
/* With all that is in it; one that isn't there: 0. */
int pool_machine_remove(const struct pool *pool, struct str machine_id, struct arena *arena) must_check;

/* Puts the log of the latest boot aside for the next one; POOL_CONSOLES_KEPT boots are kept. */
void pool_console_rotate(const struct pool *pool, struct str machine_id, struct arena *arena);
/* The last bytes of the latest boot's log; none: an empty text. */
int pool_console_read(const struct pool *pool, struct str machine_id, size_t limit_bytes, struct arena *arena, struct str *ret)
    must_check;
/* A guest that talks without end: what is older than POOL_CONSOLE_KEEP_BYTES gives its room back. */
void pool_console_trim(const struct pool *pool, struct str machine_id, struct arena *arena);
#define POOL_CONSOLES_KEPT 3
#define POOL_CONSOLE_KEEP_BYTES (16u * 1024 * 1024)

/* ── between pool.c and pool_machine.c ── */
struct spawn_result;
bool pool_name_is_safe(struct str name);
int pool_errno(int number);
/* Runs a tool to its success, or says what it said. */
int pool_tool(const char *const *argv, struct arena *arena, struct spawn_result *result, struct fail *fail) must_check;
/* The file is complete: it is flushed, and its name is given to it last (invariant 1). */
int pool_put_in_place(struct str partial, struct str path, struct fail *fail) must_check;
