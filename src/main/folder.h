/* SPDX-License-Identifier: Apache-2.0 */
/* The data folder: made with mode 0700, its small files written whole or not at all. */
#pragma once

#include <sys/types.h>

#include "base/fail.h"

/* Makes it and its parents where they are not there. -E_IO. */
int folder_make(const char *dir, struct fail *fail) must_check;
/* DIR/name on the arena. */
const char *folder_path(struct arena *arena, const char *dir, const char *name);
/* Replaces DIR/name in one step; `durable`: it survives a power failure as well. -E_IO. */
int folder_write(const char *dir, const char *name, struct str text, mode_t mode, bool durable, struct fail *fail) must_check;
