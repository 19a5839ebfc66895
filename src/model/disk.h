/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The laws of a cloud disk: its statuses, and what may be done to it in each. Pure: no I/O, no clock.
 *
 *              attach                  it is in the machine
 *   AVAILABLE ────────▶ ATTACHING ─────────────────────────▶ IN_USE        (attached to a stopped instance: at once)
 *       ▲                   │ the machine can't take it          │ detach, or its instance is released
 *       ├───────────────────┘                                    ▼
 *       └───────────────────────────────────────────────── DETACHING
 *                              no machine has it
 *
 * Invariants: 1. status changes only through disk_move, but for the operator's hand, which stands for faults.
 * 2. AVAILABLE exactly while instance_id is absent: no machine of any host has the disk.
 * 3. A disk is ATTACHING, IN_USE and DETACHING for one instance only (law 6).
 */
#pragma once

#include "base/fail.h"
#include "base/sm.h"
#include "model/instance.h"
#include "model/noun.h"

extern const struct sm disk_sm;

/* Its status becomes `to`; asserts the table. */
void disk_move(struct disk *disk, enum disk_status to);
/* Of the host, not of the cloud: it comes and goes with its instance. */
bool disk_is_local(const struct disk *disk);
/* The sizes that a category has, GiB; a system disk's end earlier. */
int64_t disk_size_min(int category);
int64_t disk_size_max(int category, int type);

/* "/dev/xvda", "/dev/xvdb", … "/dev/xvdz", "/dev/xvdaa": the name of the place-th device. */
struct str disk_device(struct arena *arena, size_t place);
/* The name of the first device after the system disk that none of `disks` has. */
struct str disk_free_device(struct arena *arena, const struct disk *disks, size_t count);

/*
 * Checks of the API, in its order; the first that fails is the answer. `disks`: those of the instance. 0 or -E_…, with the text
 * in `fail`.
 */
int disk_attach_check(const struct disk *disk, const struct instance *inst, const struct disk *disks, size_t count,
                      struct fail *fail) must_check;
int disk_detach_check(const struct disk *disk, const struct instance *inst, struct fail *fail) must_check;
int disk_delete_check(const struct disk *disk, struct fail *fail) must_check;
/* `inst`: whose the disk is; NULL: nobody's. `size_gib`: the size that it is to have. */
int disk_resize_check(const struct disk *disk, const struct instance *inst, int64_t size_gib, struct fail *fail) must_check;
