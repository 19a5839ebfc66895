/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The laws of hypervisor/hypervisor.h as tests that any implementation passes. A test program says
 * how one is opened and what lets time pass, and calls conform_hypervisor().
 */
#pragma once

#include "hypervisor/hypervisor.h"

struct conform_hv {
    struct hypervisor *hv;
    void *impl; /* of the opener */
};

struct conform_hv_kind {
    const char *name;
    void (*open)(struct conform_hv *conform); /* an empty hypervisor with the host "h-1" added */
    void (*close)(struct conform_hv *conform);
    void (*reopen)(struct conform_hv *conform); /* as after a restart of the daemon; NULL: it keeps
                                                   nothing (in memory) */
    void (*pass)(struct conform_hv *conform,
                 usec_t us); /* lets at least so much time pass, and events be told */
    usec_t patience_us;      /* no boot and no shutdown takes longer */
};

/* Runs all laws; returns the number of tests that failed. */
int conform_hypervisor(const struct conform_hv_kind *kind);
