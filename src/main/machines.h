/* SPDX-License-Identifier: Apache-2.0 */
/* Which machines there are: simulated ones, or real ones behind libvirt. One of the two files that name implementations. */
#pragma once

#include "hypervisor/hypervisor.h"
#include "main/command_line.h"

/* What --hypervisor asks for. */
bool machines_are_real(const struct command_line *line);
/* Do QEMUs become orphans of this process? */
bool machines_are_embedded(const struct command_line *line);
/* Are they simulated in the data folder, so that no other process can drive them? */
bool machines_are_own(const struct command_line *line);
/* The URL of the hosts of a fresh data folder. */
struct str machines_url(const struct command_line *line);
/* Opens and starts; what is missing on this computer is said in `fail`. */
int machines_open(const struct command_line *line, struct env *env, struct arena *arena, struct fail *fail,
                  struct hypervisor **ret) must_check;
/* For people: "simulated", or "real, TCG (…)". */
struct str machines_text(const struct command_line *line, const struct hypervisor *hv, struct arena *arena);
