/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is due when: a heap of timers that live inside their owners.
 * Invariants: 1. a timer is in the heap exactly when its index is not 0.  2. timers of the same
 * time come out in the order in which they were set, so that a run can be replayed.
 */
#pragma once

#include "base/clock.h"

struct timer {
    usec_t due_us;
    uint64_t order;
    uint32_t index; /* place in the heap, from 1; 0: not in it */
    uint32_t kind;  /* the owner's: what it is embedded in */
};

struct timers {
    struct timer **heap; /* heap[0] is unused */
    uint32_t count;
    uint32_t room;
    uint64_t next_order;
};

void timers_done(struct timers *timers);
/* Puts, moves or (USEC_NEVER) removes. */
void timers_set(struct timers *timers, struct timer *timer, usec_t due_us);
/* The earliest, still in the heap; NULL: none. */
struct timer *timers_first(const struct timers *timers);
