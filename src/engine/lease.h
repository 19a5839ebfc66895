/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may act: this node's lease, and, where several nodes share the store, the hosts that it holds by it.
 *
 * A node renews its row every third of `engine.lease_s`; a host names its holder and the epoch under which it was taken. In the
 * same write the node takes hosts that nobody holds, up to its share, and gives up what is above it:
 *
 *            taken                 above the share             at rest, a third later
 *   FREE ─────────────▶ HELD ─────────────────────▶ LEAVING ────────────────────────▶ FREE
 *    ▲                    │                            │
 *    └────────────────────┴──── the holder is over ────┘
 *
 * Invariants
 * 1. Clocks of different nodes are never compared. A node is over when it says so, when it has started anew (a later epoch), or
 *    when its row has not changed for a whole lease of the one who looks, while that one could write.
 * 2. Who holds a host is decided by rows, one write after the other. A node learns that it has lost a host in the write that would
 *    have renewed its lease: until then its lease has run out, and it does nothing.
 * 3. What a node that wakes up late still has under way is fenced: records by the job's (holder, epoch), what it saw at a host by
 *    the host's, what it orders at a host by the incarnation.
 * 4. Jobs of a host are in the memory of its holder only. Who takes a host begins with what the rows say, also when it has held it
 *    before and still has the jobs of then in mind.
 * 5. A host that only one process can drive (libvirt within the daemon, simulated hosts in the daemon's own folder) stays with the
 *    node that took it first: what another saw under that name would be another computer.
 */
#pragma once

#include "engine/active.h"

/* What the row of a node that is not over said, and when it last said something new. Only the store's writer touches it. */
struct peer {
    struct list link; /* in engine.peers */
    int64_t epoch;
    usec_t until_us;
    usec_t since_us;
    bool present;
    struct str id;
    char text[];
};

/* What the latest renewal found, until it is committed: each name ends with a NUL. */
struct lease_found {
    struct buf held;    /* hosts that are ours */
    struct buf leaving; /* those among them that are to go */
    struct buf taken;   /* and those that were not, or not any more */
    int64_t nodes;      /* living ones, with this one */
};

static inline usec_t lease_us(const struct engine *engine)
{
    return engine->options->engine_lease_s * USEC_PER_SEC;
}
void lease_init(struct engine *engine);
void lease_free(struct engine *engine);
/* The write that renews; lease_settle follows with its result, once that is known. */
int lease_renew(struct tx *tx, struct engine *engine) must_check;
/* Hosts that are ours now get their work, those that no longer are lose it. With the mutex. */
void lease_settle(struct engine *engine);
/* Only another node can drive it, whether that one lives or not: this one must not even look. */
bool lease_is_foreign(const struct engine *engine, const struct host *host);
/* What is on a cloud disk of a machine at one of them is found at the other: they are driven from one data folder, or share it. */
bool lease_same_disks(const struct engine *engine, const struct host *a, const struct host *b);
/* This node is leaving in order: others may take its hosts at once. */
void lease_give_up(struct engine *engine);
/* A job's first holder: this node, if it drives the host or there is none; else nobody, and the host's holder picks it up. */
void lease_sign(struct engine *engine, struct job *job, struct str host_id);
/* -E_FENCED: another node drives the host by now, and what was seen there is its matter. */
int lease_check(struct tx *tx, const struct engine *engine, struct str host_id) must_check;
