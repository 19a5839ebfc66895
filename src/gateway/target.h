/* SPDX-License-Identifier: Apache-2.0 */
/* Request targets: "/?q", "?q", "*", and the absolute form "http://host/?q" that clients behind a
 * proxy send. */
#pragma once

#include "base/str.h"

struct target {
    struct str authority; /* absolute form only; else absent */
    struct str path;      /* "/" when it was empty */
    struct str query;     /* without '?'; absent when there is none */
};

struct target target_split(struct str raw);
/* "host:port" → "host"; "[::1]:80" → "[::1]". */
struct str host_without_port(struct str host);
