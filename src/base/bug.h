/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliberate bugs, to prove that the simulation finds such: `meson configure -Dbug=NAME` builds the program with one of
 * them (test/sim/bites.py tries all). In every other build BUG() is a constant 0, and what it guards is not compiled.
 */
#pragma once

#include "gen/bug.h" /* BUG_CHOSEN */

enum bug {
    BUG_none,
    BUG_reply_before_commit,   /* gateway: a write is answered before it is durable */
    BUG_batch_half_done,       /* gateway: a call that is refused leaves behind what it did before */
    BUG_token_forgotten,       /* gateway: a ClientToken is not kept */
    BUG_nonce_forgotten,       /* store: a nonce is known in memory only */
    BUG_log_not_renewed,       /* store: appends to a log that may be in memory only */
    BUG_stranger_served,       /* actions: whose instance it is does not matter */
    BUG_deadline_reset,        /* engine: a job that is taken over gets its time anew */
    BUG_deadline_ignored,      /* engine: a guest that ignores the button is waited for */
    BUG_job_dropped,           /* engine: of the jobs that a crash left, only every second is taken over */
    BUG_command_forgotten,     /* engine: a command that was accepted is not given to its guest */
    BUG_old_event_applied,     /* engine: an event is believed, whichever start it is of */
    BUG_stopped_without_proof, /* engine: a cut that was ordered counts as death */
    BUG_second_machine,        /* engine: a redeploy starts elsewhere before the machine has left its host */
    BUG_set_ignored,           /* engine: a host is chosen as if the instance were in no deployment set */
    BUG_double_release,        /* engine: capacity is given back twice */
    BUG_capacity_leaked,       /* engine: a deleted instance keeps its capacity */
    BUG_segment_left_open,     /* engine: the bill goes on as before when an instance has stopped */
    BUG_disk_freed_early,      /* engine: a guest that holds on to its disk counts as having let go */
    BUG_lease_ignored,         /* engine: a node whose lease has run out goes on */
    BUG_hosts_taken_early,     /* engine: a node is taken for silent after a third of its lease */
    BUG_local_disks_moved,     /* engine: an evacuation takes what has local disks, too */
    BUG_left_without_word,     /* engine: an evacuation that leaves an instance in place leaves its job with it */
    BUG_lost_host_kept,        /* engine: a node goes on driving a host that it has lost */
};

#define BUG(name) (BUG_CHOSEN == BUG_##name)
