/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hypervisor as one of several nodes sees it: around the hosts that all share. Each command is told to somebody before it reaches
 * the host and after it was carried out; the node's watcher is kept here, since the hosts have one watcher, who tells all nodes.
 */
#pragma once

#include "hypervisor/hypervisor.h"

/* A command that a node gave. */
struct spy_command {
    const char *name;
    struct str host_id;
    struct str id;
    int64_t incarnation; /* -1: it names none */
    int result;
};

typedef void (*spy_begun_fn)(void *arg);
typedef void (*spy_fn)(void *arg, int node, const struct spy_command *command);

/* `inner` stays its owner's. */
struct hypervisor *spy_new(struct hypervisor *inner, int node, spy_begun_fn begun, spy_fn told, void *arg);
/* What the hosts tell is told to the node, too, if it listens. */
void spy_event(struct hypervisor *hv, const struct machine_event *event);
