/* SPDX-License-Identifier: Apache-2.0 */
/* What happened: the latest events as text, and a hash of all of them and of all replies. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"
#include "base/str.h"

#define TRACE_LINES 40
#define TRACE_LINE_BYTES 240

struct trace {
    uint64_t hash;
    bool verbose;
    size_t count; /* of events so far */
    char lines[TRACE_LINES][TRACE_LINE_BYTES];
};

void trace_init(struct trace *trace, bool verbose);
void trace_add(struct trace *trace, const char *format, ...) printf_like(2, 3);
/* Goes into the hash only. */
void trace_bytes(struct trace *trace, struct str bytes);
/* The latest events, oldest first, on standard error. */
void trace_print(const struct trace *trace);
