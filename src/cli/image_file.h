/* SPDX-License-Identifier: Apache-2.0 */
/* What a disk image says of itself. */
#pragma once

#include "base/fail.h"

#define IMAGE_SIZE_MAX_GIB 2048 /* as the largest system disk */

struct image_file {
    bool qcow2;       /* else raw */
    int64_t length;   /* of the file, in bytes */
    int64_t size_gib; /* of the disk that it holds, rounded up */
};

/*
 * Reads the head of an open file. `format`: "qcow2", "raw", or NULL: as it is found to be; raw by
 * name is what keeps a file of another known format from being refused. -E_INVALID with a text for
 * the operator.
 */
int image_file_look(int fd, const char *path, const char *format, struct image_file *ret,
                    struct fail *fail) must_check;
