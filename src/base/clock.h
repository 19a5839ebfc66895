/* SPDX-License-Identifier: Apache-2.0 */
/* One time type inside: usec_t, microseconds since 1970 UTC. Text is ISO 8601, without locale and time zone tables. */
#pragma once

#include "base/buf.h"

typedef int64_t usec_t;

#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_NEVER INT64_MAX

#define TIME_TEXT_MAX 40

/* Each writes NUL-terminated text and returns its length. 2017-12-10T04:04Z · 2017-12-10T04:04:05Z · ...05.123456Z */
size_t time_print_minute(usec_t t, char text[TIME_TEXT_MAX]);
size_t time_print_second(usec_t t, char text[TIME_TEXT_MAX]);
size_t time_print_micro(usec_t t, char text[TIME_TEXT_MAX]);
/* RFC 9110 IMF-fixdate, for Date headers. */
size_t time_print_http(usec_t t, char text[TIME_TEXT_MAX]);
/* yyyy-MM-ddTHH:mmZ, yyyy-MM-ddTHH:mm:ssZ, the latter also with a fraction. Strict; years 1970 to 9999. -E_INVALID. */
int time_parse(struct str text, usec_t *ret) must_check;
