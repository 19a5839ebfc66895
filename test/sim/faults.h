/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong: guests, hosts, calls to hosts, the disk, the daemon itself. Everything is told to the model where callers
 * could see it, and counted by kind.
 */
#pragma once

#include "base/clock.h"
#include "kit/disk_fault.h"

struct run;

#define FAULT_KINDS 19

struct faults {
    int64_t counts[FAULT_KINDS];
    bool host_down[4];
    bool calls_armed;      /* to the hosts */
    bool disk_armed;
    bool looking_away;
    struct disk_fault_plan disk;
    usec_t disturbed_us;   /* the latest time at which something could keep a stop waiting */
    int hear;              /* so many replies are still heard: the daemon dies before the next; -1: all */
};

void faults_init(struct run *run);
/* One, by chance. */
void faults_strike(struct run *run);
/* The daemon dies, somehow, and is started again. */
void faults_crash(struct run *run);
/* All that can be taken back is. */
void faults_heal(struct run *run);
/* Calls to hosts and disk that were to fail fail no more. */
void faults_disarm(struct run *run);
/* May a call be answered with 5xx? */
bool faults_may_fail_calls(const struct run *run);
/* The daemon has died before it could send this reply. */
bool faults_swallow_reply(struct run *run);
/* Since when every host has answered, and the daemon has run. */
usec_t faults_quiet_since(struct run *run);
/* While the laws look at the store, its disk is well. */
void faults_look_away(struct run *run, bool begin);
const char *faults_kind_name(int kind);
