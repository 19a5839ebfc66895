/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of images in the data folder: images/ID/disk, and beside it, for one that is booted
 * directly, kernel, initrd and cmdline.
 *
 * Invariants
 * 1. images/ID is whole or not there: what is being made or taken away is called ID.partial.
 * 2. It is on disk before its name is.
 * 3. Who brings or drops holds the folder's lock, which goes with the process; what is partial then
 * is nobody's.
 */
#pragma once

#include <sys/types.h>

#include "base/fail.h"

struct image_folder {
    int fd;    /* of images; -1: not open */
    uid_t uid; /* the data folder's owner: what root brings has to be readable for the daemon */
    gid_t gid;
};

struct image_parts {
    const char *disk;
    const char *kernel, *initrd; /* paths; NULL: none */
    const char *cmdline;         /* a text; NULL: none */
    const char *agent;           /* "true": it has a guest agent, and its system is up when that answers */
};

/* Makes the folder where there is none, locks it, and sweeps out what died half done. -E_BUSY,
 * -E_IO with a text. */
int image_folder_open(const char *data, struct image_folder *ret, struct fail *fail) must_check;
void image_folder_close(struct image_folder *folder);
/* Copies the parts to images/ID, instead of what may be there. -E_INVALID, -E_IO with a text; then
 * nothing is there. */
int image_folder_bring(struct image_folder *folder, struct str id, const struct image_parts *parts,
                       struct fail *fail) must_check;
/* What isn't there has been dropped. -E_IO with a text. */
int image_folder_drop(struct image_folder *folder, struct str id, struct fail *fail) must_check;
