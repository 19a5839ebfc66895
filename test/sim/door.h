/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door between one node and the store that it shares: what the node asks of the store goes through it, as over a network.
 * The linker leads the calls of the program here (meson.build, --wrap); nothing of the program knows of it.
 *
 * Invariants
 * 1. What a node has heard of its writes is true: an answer may be late, or never come because the node dies, but it is never
 *    wrong. That is the store's promise, too (store/README.md, 9): a lost answer to COMMIT is looked up before anybody is told.
 * 2. A node has one writer: while an answer is awaited, its next writes wait.
 * 3. After its node has died a write is never run, and nothing of the node is touched.
 */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "base/list.h"

struct door {
    bool closed;         /* cut off: writes and reads fail */
    bool asleep;         /* the node is paused: it runs no write and hears no answer */
    usec_t late_us;      /* the answers of its next batch come so much later; 0: at once */
    usec_t answer_us;    /* when those come that are awaited */
    void (*untold)(void *arg, void *sender); /* the answer to the sender's write is not told now: it is late */
    void *arg;
    struct list all;     /* envelope.all: everything that is under way */
    struct list waiting; /* envelope.link: not given to the store yet */
    struct list answers; /* stored or refused, not told */
};

void door_init(struct door *door, void (*untold)(void *arg, void *sender), void *arg);
/* The node dies: its writes are forgotten, wherever they are. */
void door_break(struct door *door);
/* The store was closed: what it had of nodes that died is freed. */
void door_forget(void);
/* Whose calls of the store come from now on; NULL: nobody's, they go straight. Returns whose they were. */
struct door *door_enter(struct door *door);
/* For whom writes are submitted from now on; NULL: for nobody outside. */
void door_sender(void *sender);
/* Tells what is due, and gives the store what waits. Returns when the next answer is due. */
usec_t door_tick(struct door *door, usec_t now);
