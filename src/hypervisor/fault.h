/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hypervisor around a hypervisor, for tests: counts calls and fails those it is told to.
 * Watching, closing, has_image() and simulate() pass through uncounted. Thread-safe.
 */
#pragma once

#include "hypervisor/hypervisor.h"

struct fault_plan {
    int64_t nth;   /* the call from which on to fail, counted from 1 after fault_arm; 0: none */
    int64_t count; /* how many in a row; 0 means 1 */
    bool after;    /* the inner call is carried out, and then its answer is lost */
    enum error_code error; /* E_NONE means E_UNREACHABLE */
    bool hold;     /* every call waits until the next plan */
    struct str no_image;   /* has_image() says no to this one; borrowed until the next plan */
};

/* Takes the inner hypervisor and closes it with itself. */
struct hypervisor *fault_new(struct hypervisor **inner);
/* Counts from 0 again and follows `plan` from now on; NULL: fails nothing. */
void fault_arm(struct hypervisor *hv, const struct fault_plan *plan);
/* Calls since fault_arm. */
int64_t fault_calls(const struct hypervisor *hv);
/* How many of them were made to fail. */
int64_t fault_failed(const struct hypervisor *hv);
/* The public keys that the latest define brought; NULL: none. For one thread: the text lives until the next define. */
const char *fault_keys(const struct hypervisor *hv);
