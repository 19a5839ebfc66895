/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trace.h"

#include <stdarg.h>
#include <stdio.h>

void trace_init(struct trace *trace, bool verbose)
{
    *trace = (struct trace){.hash = UINT64_C(0xcbf29ce484222325), .verbose = verbose};
}

/* FNV-1a over words of eight bytes: nobody attacks it, and bodies are long. */
void trace_bytes(struct trace *trace, struct str bytes)
{
    uint64_t hash = trace->hash ^ bytes.len;
    size_t i = 0;

    for (; i + 8 <= bytes.len; i += 8) {
        uint64_t word;

        memcpy(&word, bytes.ptr + i, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x100000001b3);
        hash ^= hash >> 29;
    }
    for (; i < bytes.len; i++)
        hash = (hash ^ (uint8_t)bytes.ptr[i]) * UINT64_C(0x100000001b3);
    trace->hash = hash;
}

void trace_add(struct trace *trace, const char *format, ...)
{
    char *line = trace->lines[trace->count++ % TRACE_LINES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, TRACE_LINE_BYTES, format, args); /* what is longer is cut */
    va_end(args);
    trace_bytes(trace, str_from(line));
    if (trace->verbose)
        (void)puts(line);
}

void trace_print(const struct trace *trace)
{
    size_t first = trace->count > TRACE_LINES ? trace->count - TRACE_LINES : 0;

    for (size_t i = first; i < trace->count; i++)
        (void)fprintf(stderr, "  %s\n", trace->lines[i % TRACE_LINES]);
}
