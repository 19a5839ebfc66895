/* SPDX-License-Identifier: Apache-2.0 */
#include "model/network.h"

#include "base/hash.h"
#include "gen/errors.h"

#define RESERVED_FIRST 1 /* the network's own address */
#define RESERVED_LAST 3  /* gateway, DNS, broadcast */

int ipv4_parse(struct str text, uint32_t *ret)
{
    struct str part, rest = text;
    uint32_t address = 0;
    int64_t value;

    for (int i = 0; i < 4; i++) {
        bool more = str_split(rest, '.', &part, &rest);
        if (more != (i < 3) || part.len == 0 || part.len > 3)
            return -E_INVALID;
        if ((part.len > 1 && part.ptr[0] == '0') || part.ptr[0] == '-')
            return -E_INVALID;
        if (str_to_i64(part, &value) < 0 || value > 255)
            return -E_INVALID;
        address = address << 8 | (uint32_t)value;
    }
    *ret = address;
    return 0;
}

struct str ipv4_print(struct arena *arena, uint32_t address)
{
    return arena_printf(arena, "%u.%u.%u.%u", address >> 24, address >> 16 & 255u,
                        address >> 8 & 255u, address & 255u);
}

static uint32_t prefix_mask(int prefix)
{
    assert(prefix >= 0 && prefix <= 32);
    return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

static int64_t cidr_size(const struct cidr *cidr)
{
    return (int64_t)1 << (32 - cidr->prefix);
}

int cidr_parse(struct str text, struct cidr *ret)
{
    struct str address, bits;
    int64_t prefix;
    uint32_t base;

    if (!str_split(text, '/', &address, &bits) || ipv4_parse(address, &base) < 0)
        return -E_INVALID;
    if (bits.len == 0 || bits.len > 2 || str_to_i64(bits, &prefix) < 0 || prefix < 0 || prefix > 32)
        return -E_INVALID;
    if ((base & ~prefix_mask((int)prefix)) != 0)
        return -E_INVALID;
    *ret = (struct cidr){.base = base, .prefix = (int)prefix};
    return 0;
}

struct str cidr_print(struct arena *arena, const struct cidr *cidr)
{
    return arena_printf(arena, "%.*s/%d", STR_ARG(ipv4_print(arena, cidr->base)), cidr->prefix);
}

bool cidr_contains(const struct cidr *cidr, uint32_t address)
{
    return (address & prefix_mask(cidr->prefix)) == cidr->base;
}

bool cidr_usable(const struct cidr *cidr, uint32_t address)
{
    int64_t host;

    if (!cidr_contains(cidr, address))
        return false;
    host = (int64_t)address - (int64_t)cidr->base;
    return host >= RESERVED_FIRST && host < cidr_size(cidr) - RESERVED_LAST;
}

int64_t cidr_capacity(const struct cidr *cidr)
{
    return MAX_OF(cidr_size(cidr) - RESERVED_FIRST - RESERVED_LAST, (int64_t)0);
}

uint32_t cidr_nth(const struct cidr *cidr, int64_t n)
{
    assert(n >= 0 && n < cidr_capacity(cidr));
    return cidr->base + (uint32_t)(n + RESERVED_FIRST);
}

int64_t cidr_place(const struct cidr *cidr, uint32_t address)
{
    assert(cidr_usable(cidr, address));
    return (int64_t)address - (int64_t)cidr->base - RESERVED_FIRST;
}

struct cidr cidr_part(const struct cidr *outer, int prefix, int64_t i)
{
    assert(prefix >= outer->prefix && prefix <= 32);
    assert(i >= 0 && i < (int64_t)1 << (prefix - outer->prefix));
    return (struct cidr){.base = outer->base + (uint32_t)(i << (32 - prefix)), .prefix = prefix};
}

struct str mac_from_id(struct arena *arena, struct str id)
{
    uint8_t digest[SHA256_BYTES];

    assert(!str_empty(id));
    hash_sha256(id, digest);
    /* Bit 1 of the first byte: locally administered; bit 0 clear: one station, not a group (IEEE
     * 802). */
    return arena_printf(arena, "%02x:%02x:%02x:%02x:%02x:%02x",
                        (unsigned)((digest[0] & 0xfcu) | 0x02u), digest[1], digest[2], digest[3],
                        digest[4], digest[5]);
}
