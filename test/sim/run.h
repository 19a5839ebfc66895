/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of the simulation: everything that happens follows from `seed`, in one thread.
 *
 * Invariants
 * 1. What is decided by chance is decided by `dice` or by the world's seeded env; nothing asks the system.
 * 2. Each event and each reply goes through `trace`: two runs of a seed have the same hash.
 * 3. The model is told what clients saw, and which faults were done to whom; nothing of the store or the hosts.
 */
#pragma once

#include "sim/client.h"
#include "sim/dice.h"
#include "sim/faults.h"
#include "sim/laws.h"
#include "sim/model.h"
#include "sim/nodes.h"
#include "sim/trace.h"
#include "sim/world.h"

struct counts {
    int64_t calls;
    int64_t reads;
    int64_t acknowledged;
    int64_t refused;
    int64_t failed;   /* 5xx */
    int64_t unheard;  /* the caller never got a reply */
    int64_t replayed;
    int64_t engine_steps;
    int64_t commits;
    int64_t laws;     /* passes over store, hosts and model */
    int64_t crashes;
    int64_t recoveries_failed;
    int64_t node_seeds; /* runs with several nodes */
    int64_t takeovers;  /* nodes that others found silent */
    int64_t moves;      /* evacuations of an instance that were ordered */
    int64_t conflicts;  /* orders that met one */
    usec_t virtual_us;
};

struct run {
    uint64_t seed;
    int node_count; /* asked for; 0: the seed decides */
    int64_t steps;
    int64_t step;
    int64_t checked_changes; /* at the latest look at the laws while time passed */
    usec_t checked_us;
    bool is_calm; /* whatever was begun has had its time */
    struct dice dice;
    struct profile profile;
    struct trace trace;
    struct counts counts;
    struct world world;
    struct model model;
    struct client client;
    struct laws laws;
    struct faults faults;
    struct nodes nodes;
};

/* From a fresh data folder to the end; a law that is broken ends the process. */
void run_play(struct run *run);
/* Tells which law, how to see it again and what came before, and ends the process with 1. */
void run_broken(struct run *run, const char *law, const char *format, ...) printf_like(3, 4) __attribute__((noreturn));
/* What an operation is, to be held against the million: a call, a piece of the engine's work, a commit. */
int64_t run_operations(const struct run *run);
