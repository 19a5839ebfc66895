/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine shows, made fit for a reply. For this folder and its tests. */
#pragma once

#include "base/arena.h"

/*
 * The text without what only a terminal understands: escape sequences (ECMA-48) and control characters but for line feeds
 * and tabs. A sequence that is cut off at the end goes as well.
 */
struct str console_plain(struct arena *arena, struct str text);
