/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to one of several nodes: it dies, is paused, is cut off from the store, hears of its writes late, leaves in order.
 * Each comes back by itself after a while. A run with one node has nothing of this.
 */
#pragma once

#include "sim/world.h"

struct run;

enum node_fault { NODE_DIES, NODE_PAUSES, NODE_CUT_OFF, NODE_HEARS_LATE, NODE_LEAVES, NODE_FAULTS };

struct nodes {
    int64_t counts[NODE_FAULTS];
    usec_t until_us[WORLD_NODES]; /* when what is wrong with it ends; 0: nothing is */
    usec_t disturbed_us;          /* the latest time at which somebody's work had to become another's */
    int deaf;                     /* nobody hears the replies of this one any more; NOBODY: of none */
    int64_t buried;               /* nodes that others found dead, before this run */
};

/* How many nodes a seed has, where nobody has said it. */
int nodes_of_seed(uint64_t seed);
/* Before the world is opened. */
void nodes_init(struct run *run);
/* Something happens to one. */
void nodes_strike(struct run *run);
/* What has lasted long enough ends. Returns when the next does. */
usec_t nodes_tick(struct run *run);
void nodes_heal(struct run *run);
/* All were started anew. */
void nodes_restarted(struct run *run);
/* One that takes calls; NOBODY: there is none. */
int nodes_pick(struct run *run);
bool nodes_swallow_reply(const struct run *run, int node);
/* May a call to that one be answered with 5xx? */
bool nodes_may_fail_calls(const struct run *run, int node);
/* Since when it can be expected that whatever was under way is some node's. */
usec_t nodes_quiet_since(struct run *run);
/* How long after that a host may have no living node. */
usec_t nodes_patience(const struct run *run);
const char *nodes_fault_name(int fault);

/* ── laws_nodes.c ── */

/* Who drives by its memory, with a lease, holds by the rows; no job is two nodes'. */
void laws_check_nodes(struct run *run);
/* A node has given a command: only who holds the host may. */
void laws_command(void *arg, int node, const struct spy_command *command);
