/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logfmt on stderr with the syslog priority prefix "<n>" that journald understands:
 *   <6>ts=2026-11-23T03:18:34.123456Z msg="instance stopped" instance=i-… reason=api
 * One write(2) per line. Secrets never go in. Below gateway and engine nothing logs above debug.
 */
#pragma once

#include "base/clock.h"

enum log_level { LOG_ERROR = 3, LOG_WARNING = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DEBUG = 7 };

/* A key with a value: text or number. log_info("stopped", LOG_STR("instance", id), LOG_NUM("took_ms", 12)); */
struct log_pair {
    const char *key;
    struct str text;
    int64_t number;
    bool is_number;
};
#define LOG_STR(k, v) ((struct log_pair){.key = (k), .text = (v)})
#define LOG_TEXT(k, v) ((struct log_pair){.key = (k), .text = str_from(v)})
#define LOG_NUM(k, v) ((struct log_pair){.key = (k), .number = (int64_t)(v), .is_number = true})

extern enum log_level log_threshold; /* LOG_INFO at start */

void log_line(enum log_level level, const char *message, const struct log_pair *pairs, size_t count);
#define log_at(level, message, ...)                                                              \
    do {                                                                                         \
        if ((level) <= log_threshold)                                                            \
            log_line((level), (message), (const struct log_pair[]){__VA_ARGS__ __VA_OPT__(,) {0}}, \
                     countof(((const struct log_pair[]){__VA_ARGS__ __VA_OPT__(,) {0}})) - 1);   \
    } while (0)
#define log_error(message, ...) log_at(LOG_ERROR, message __VA_OPT__(,) __VA_ARGS__)
#define log_warning(message, ...) log_at(LOG_WARNING, message __VA_OPT__(,) __VA_ARGS__)
#define log_notice(message, ...) log_at(LOG_NOTICE, message __VA_OPT__(,) __VA_ARGS__)
#define log_info(message, ...) log_at(LOG_INFO, message __VA_OPT__(,) __VA_ARGS__)
#define log_debug(message, ...) log_at(LOG_DEBUG, message __VA_OPT__(,) __VA_ARGS__)
