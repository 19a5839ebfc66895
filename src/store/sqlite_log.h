/* SPDX-License-Identifier: Apache-2.0 */
/* A layer of SQLite's file interface that writes the log in large pieces. For sqlite.c only. */
#pragma once

#define SQLITE_LOG_VFS "ecsd-log"

/* Registers it; once, before the first connection. */
void sqlite_log_register(void);
