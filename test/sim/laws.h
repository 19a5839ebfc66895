/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The laws of docs/ARCHITECTURE.md, held against the rows of the store and the machines of the hosts, seen past hosts that
 * don't answer.
 */
#pragma once

#include "base/clock.h"
#include "sim/model.h"

#define LAWS_INSTANCES 128
#define LAWS_JOBS 256

struct run;

/* What a row was at the look before. */
struct seen_instance {
    char id[MODEL_ID_BYTES];
    int64_t version;
    int64_t incarnation;
    int state;
    bool here; /* at this look */
};

struct seen_job {
    int64_t id;
    usec_t deadline_us;
    bool here;
};

struct laws {
    struct seen_instance instances[LAWS_INSTANCES];
    int instance_count;
    struct seen_job jobs[LAWS_JOBS];
    int job_count;
};

/* After each step that may have changed something. */
void laws_check(struct run *run);
/* When every fault is taken back and nothing is under way any more. */
void laws_check_calm(struct run *run);
/* Is there an active job? Then *ret_text, if it is wanted, says of whom and why. */
bool laws_busy(struct run *run, char ret_text[256]);
