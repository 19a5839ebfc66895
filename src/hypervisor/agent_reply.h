/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest's agent answers (its protocol: qga/qapi-schema). Whoever owns the guest chooses every byte of it, up to the 10 MiB
 * that libvirt lets through.
 */
#pragma once

#include "hypervisor/hypervisor.h"

#define AGENT_OUTPUT_BYTES ((size_t)64 << 10) /* of a program, standard error included; what is more is cut off */

/* Of guest-exec: the number of the process. -E_IO: that is no such reply. */
int agent_reply_pid(const char *text, int64_t *ret);
/*
 * Of guest-exec-status. The output is cut at AGENT_OUTPUT_BYTES before it is decoded, and lives as long as `arena`. -E_IO: that is
 * no such reply.
 */
int agent_reply_status(const char *text, struct arena *arena, struct machine_exec_status *ret);
