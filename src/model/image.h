/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of an imported image. Pure. Its file lies where the hypervisor finds it by the image's
 * id; only a row that is ready lets anybody use it.
 *
 * Invariants
 * 1. A row is ready only between the moment its file is complete and on disk and the moment before
 * its file goes.
 * 2. A row that is not ready hides the catalogue's image of the same id.
 */
#pragma once

#include "base/sm.h"
#include "model/noun.h"

#define IMAGE_ID_MAX 100         /* the catalogue's have up to 50 */
#define IMAGE_PARTIAL ".partial" /* ends the name of what is not an image yet, or not any more */

extern const struct sm image_sm;

/* Letters, digits and . _ - ; no dot or hyphen in front, and not the name of something unfinished:
 * it names a folder. */
bool image_id_valid(struct str id);
