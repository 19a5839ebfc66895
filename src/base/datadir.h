/* SPDX-License-Identifier: Apache-2.0 */
/* Where the data folder is when nobody says: one rule for the daemon and for who talks to it. */
#pragma once

#include "base/arena.h"

/* $ECSD_DATA, else /var/lib/ecsd as root (or without a home), else ~/.local/share/ecsd. On the arena, or the environment's. */
const char *datadir_default(struct arena *arena);
