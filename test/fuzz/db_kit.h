/* SPDX-License-Identifier: Apache-2.0 */
/* Looks into the daemon's database from beside it. */
#pragma once

#include "base/str.h"

struct db;

struct db *db_open(const char *path);
struct db *db_close(struct db *db);
/* Another number when anybody has committed anything. */
int64_t db_version(struct db *db);
/* Over all rows but those of used nonces. */
uint64_t db_digest(struct db *db);
