/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dice.h: chance by counting: what is thrown for packet n depends on the seed, on what the
 * throw decides and on n, and on nothing that was thrown before. So the same packet meets the
 * same fate whatever else is set: one more kind of trouble does not change who meets the
 * others.
 */
#ifndef BENCH_WIRE_DICE_H
#define BENCH_WIRE_DICE_H

#include "base/base.h"

/* What a throw decides. New ones go to the end: the others keep their luck. */
enum dice_for {
    DICE_LOSS,
    DICE_BURST_ENTER,
    DICE_BURST_LEAVE,
    DICE_BURST_LOSS,
    DICE_DUPLICATE,
    DICE_CORRUPT,
    DICE_CORRUPT_BIT,
    DICE_MARK,
    DICE_REORDER,
    DICE_JITTER,
};

struct dice {
    uint64_t key;
};

/* The output function of SplitMix64 (Steele, Lea, Flood, 2014): every bit of z reaches every
 * bit of the result. */
static inline uint64_t
dice_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* stream: which of several independent sequences of one seed. */
static inline struct dice
dice_new(uint64_t seed, uint64_t stream)
{
    return (struct dice){dice_mix(dice_mix(seed + 0x9e3779b97f4a7c15ull) + stream)};
}

static inline uint64_t
dice_throw(const struct dice *d, enum dice_for what, uint64_t n)
{
    uint64_t own = dice_mix(d->key + ((uint64_t)what + 1) * 0x9e3779b97f4a7c15ull);
    return dice_mix(own + n * 0x9e3779b97f4a7c15ull);
}

/* From 0 to just under 1. */
static inline double
dice_unit(const struct dice *d, enum dice_for what, uint64_t n)
{
    return (double)(dice_throw(d, what, n) >> 11) * 0x1p-53;
}

static inline bool
dice_chance(const struct dice *d, enum dice_for what, uint64_t n, double probability)
{
    return probability > 0 && dice_unit(d, what, n) < probability;
}

#endif
