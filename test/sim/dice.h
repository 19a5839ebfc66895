/* SPDX-License-Identifier: Apache-2.0 */
/* Chance, by a seed: splitmix64, which gives good numbers also for seeds that follow each other. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

static inline uint64_t dice_roll(struct dice *dice)
{
    uint64_t z = (dice->state += 0x9E3779B97F4A7C15u);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* 0 … n - 1 */
static inline int dice_below(struct dice *dice, int n)
{
    return (int)(dice_roll(dice) % (uint64_t)n);
}

static inline bool dice_permille(struct dice *dice, int permille)
{
    return dice_below(dice, 1000) < permille;
}
