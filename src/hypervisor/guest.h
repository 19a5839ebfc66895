/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: it would fill the diagram as if it were text */
/*
 * One simulated machine as a pure function of orders and time: no clock, no lock, no file. sim.c
 * owns the rest. Only sim*.c include this.
 *
 *          START            boot_us             PRESS, POWEROFF            shutdown_us
 *   OFF ──────────▶ BOOTING ───────▶ RUNNING ──────────────────▶ LEAVING ─────────────▶ OFF (GUEST)
 *                      ▲                │                           │
 *                      └ RESET, REBOOT ─┴────────── RESET ──────────┘
 *
 *   any live phase: CUT ──▶ ENDING ── GUEST_CUT_US ──▶ OFF (CUT)
 *                   CRASH, HOST_FAIL ──▶ OFF (CRASH, HOST) at once
 *
 * Invariants
 * 1. The same orders at the same times give the same guest: replaying the journal is carrying the
 *    orders out again.
 * 2. While frozen (paused, or its monitor hangs) the phase's clock stands still; ENDING is never
 *    frozen.
 * 3. due_us is USEC_NEVER in OFF and RUNNING and while frozen.
 */
/* clang-format on */
#pragma once

#include "hypervisor/hypervisor.h"
#include "hypervisor/sim.h"

enum guest_phase {
    GUEST_OFF,
    GUEST_BOOTING,
    GUEST_RUNNING,
    GUEST_LEAVING,
    GUEST_ENDING,
    GUEST_PHASE_COUNT
};

/* The journal holds these numbers: add at the end only. */
enum guest_verb {
    GUEST_START, /* arg: incarnation */
    GUEST_PRESS,
    GUEST_RESUME,
    GUEST_RESET,
    GUEST_CUT, /* arg: enum machine_cut */
    GUEST_PAUSE,
    GUEST_POWEROFF, /* its own wish */
    GUEST_CRASH,
    GUEST_HOST_FAIL, /* power loss of the host */
    GUEST_SET_BOOT,  /* arg: µs; from the next boot on */
    GUEST_SET_SHUTDOWN,
    GUEST_SET_DEAF, /* arg: does it ignore the power button? */
    GUEST_SET_HANG, /* arg: does its monitor hang? */
    GUEST_CLEAR,    /* arg: index of the disk */
    GUEST_REBOOT,   /* its own wish: down and up again in the same machine */
    GUEST_SET_HOLD, /* arg: does it keep hold of its disks? */
    GUEST_VERB_COUNT,
};

struct guest_disk {
    struct str id; /* texts are in the same piece of memory as the array */
    struct str device;
    struct str image_id;
    int64_t size_gib;
    struct sim_disk data;
    bool local;
};

struct guest {
    int64_t incarnation;
    usec_t since_us; /* of the state that is told */
    usec_t due_us;   /* end of the phase */
    usec_t left_us;  /* of the phase, while frozen */
    usec_t boot_us;
    usec_t shutdown_us;
    struct guest_disk *disks;
    uint32_t disk_count;
    uint8_t phase; /* enum guest_phase */
    uint8_t end;   /* enum machine_end */
    bool paused;
    bool up; /* this boot has come to RUNNING, also when that is over */
    bool pressed; /* while paused: the button's latch holds it until resume */
    bool deaf;
    bool hang;
    bool hold; /* it doesn't let go of a disk that is to be detached */
};

#define GUEST_CUT_US                                                                               \
    (10 *                                                                                          \
     USEC_PER_MSEC) /* from the order to the reaped process: 4 to 17 ms were measured with QEMU */

/* The last moment of the year 9999: time in the simulated world never gets there. */
#define SIM_TIME_MAX ((usec_t)253402300799 * USEC_PER_SEC)
/* No phase is set to take longer than this (the operator's knobs allow 12 days). */
#define GUEST_LENGTH_MAX_US (1000 * 24 * USEC_PER_HOUR)

/* Do the invariants hold, and are all numbers so small that sums of them are numbers? For what comes from a file. */
bool guest_is_sound(const struct guest *guest);
bool guest_data_is_sound(const struct sim_disk *data);
/* Is it something that `verb` takes? */
bool guest_arg_is_sound(const struct guest *guest, enum guest_verb verb, int64_t arg);
enum machine_state guest_state(const struct guest *guest);
/* 1: apply would change something; 0: nothing to do (idempotence, or the machine takes no notice);
 * -E_GONE, -E_BUSY, -E_CONFLICT. */
int guest_check(const struct guest *guest, enum guest_verb verb, int64_t arg) must_check;
/* Carries out what guest_check allowed; the guest has been settled to `now_us`. */
void guest_apply(struct guest *guest, enum guest_verb verb, int64_t arg, usec_t now_us);
/* Carries out one end of a phase that is due by `now_us`, with the time at which it was due; false:
 * none. */
bool guest_settle(struct guest *guest, usec_t now_us);
/* Replaces the disks by those given; one whose id was there already keeps its data. Returns the old
 * ones, to be freed. */
struct guest_disk *guest_set_disks(struct guest *guest, const struct machine_disk *disks,
                                   size_t count) must_check;
/* A disk that comes while it lives: 0; -E_GONE: it is off or ending; -E_TIMEOUT: its monitor hangs. */
int guest_check_attach(const struct guest *guest) must_check;
/* May a disk leave it? As above, but from one that is off: 0; and -E_BUSY: its system doesn't let go of the disk (yet). */
int guest_check_detach(const struct guest *guest) must_check;
/* -1: no such disk. */
int64_t guest_find_disk(const struct guest *guest, struct str disk_id);
void guest_done(struct guest *guest);
