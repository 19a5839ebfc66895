/* SPDX-License-Identifier: Apache-2.0 */
/* The PostgreSQL driver (or what speaks its protocol): `path` is a connection string of libpq, postgresql://… or words. */
#pragma once

#include "store/db.h"

extern const struct db_driver postgres_driver;
