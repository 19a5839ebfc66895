/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job carries an instance from one state to another, step by step, through any crash.
 * Invariants: 1. at most one active job per instance (instance.job_id).  2. deadline_us never moves later (law 4).
 * 3. steps only go forward, except that `stop.on_timeout = revert` ends a job as failed.  4. only the holder whose epoch is in the row
 * may write it (fencing).
 */
#pragma once

#include "base/clock.h"
#include "gen/types.h"

struct job {
    int64_t id;             /* env_sequence: grows with time */
    int kind;               /* enum job_kind */
    int state;              /* enum job_state */
    struct str instance_id;
    struct str account_id;
    int64_t incarnation;    /* of the instance, that the job acts on */
    int64_t step;           /* index in the table of its kind (engine/steps.h) */
    int64_t attempts;       /* failed tries of the current step */
    bool force;             /* stop: power failure; reboot: power cycle; delete: as stop */
    bool clear_local;       /* stop: local disks end blank */
    bool release_capacity;  /* stop: StopCharging */
    int stopped_mode;       /* enum stopped_mode, to be shown when Stopped */
    int reason;             /* enum stop_reason: who asked */
    struct str request_id;  /* of the API call; absent: our own doing */
    struct str disks;       /* delete: ids of the disks that go with the instance, a space after each */
    struct str error;       /* latest failure, for `ecsctl job show`; absent: none */
    struct str holder;      /* node that runs it */
    int64_t epoch;          /* of the holder's lease */
    usec_t created_us;
    usec_t deadline_us;     /* absolute; USEC_NEVER: none */
    usec_t finished_us;     /* 0: active */
};
