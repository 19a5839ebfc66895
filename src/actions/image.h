/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images as callers see them: those of the catalogue and imported ones alike. For this folder only.
 * Invariant: what is found here can be launched: its row is ready (or it has none and stands in the
 * catalogue), and there are machines that can be made of it.
 */
#pragma once

#include "actions/common.h"
#include "model/image.h"

struct image_list {
    struct image *items;
    size_t count;
};

/* Of the account: its own ones and public ones. -E_IMAGE_NOT_FOUND. */
int action_image(struct action *act, struct str id, struct image **ret) must_check;
/* The newest of a family. -E_IMAGE_FAMILY_NOT_FOUND. */
int action_image_newest(struct action *act, struct str family, struct image **ret) must_check;
/* All that the account may use: the catalogue in its order, then what was imported, by id. */
int action_images(struct action *act, struct image_list *ret) must_check;

/* An image of the catalogue as a row that was never stored. */
struct image image_of_catalog(const struct catalog_image *from);
/* Can machines be made of it? */
bool image_has_file(const struct action *act, struct str id);
bool image_has_row(const struct image *rows, size_t count, struct str id);
