/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 arithmetic of VPCs and vSwitches. Pure.
 * Invariant: of every vSwitch the first address and the last three belong to the system (API page
 * of CreateVSwitch) and are never given to an instance.
 */
#pragma once

#include "base/arena.h"

struct cidr {
    uint32_t base; /* host byte order, host bits zero */
    int prefix;    /* 0 to 32 */
};

/* Four decimal parts without leading zeros. -E_INVALID. */
int ipv4_parse(struct str text, uint32_t *ret) must_check;
struct str ipv4_print(struct arena *arena, uint32_t address);
/* "10.0.0.0/8"; host bits must be zero. -E_INVALID. */
int cidr_parse(struct str text, struct cidr *ret) must_check;
struct str cidr_print(struct arena *arena, const struct cidr *cidr);
bool cidr_contains(const struct cidr *cidr, uint32_t address);
/* Is it an address that an instance may have? */
bool cidr_usable(const struct cidr *cidr, uint32_t address);
/* How many addresses instances may have. */
int64_t cidr_capacity(const struct cidr *cidr);
/* The n-th usable address, 0 <= n < cidr_capacity(). */
uint32_t cidr_nth(const struct cidr *cidr, int64_t n);
/* The place of a usable address: the inverse of cidr_nth. */
int64_t cidr_place(const struct cidr *cidr, uint32_t address);
/* The i-th block of `prefix` bits inside `outer`. Asserts that it lies inside. */
struct cidr cidr_part(const struct cidr *outer, int prefix, int64_t i);

/* A locally administered MAC address made of a resource id: 46 bits of its digest, the same each
 * time. */
struct str mac_from_id(struct arena *arena, struct str id);
