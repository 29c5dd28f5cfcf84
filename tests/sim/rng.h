/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rng.h: the one source of chance of a simulation: the same seed gives the same run.
 */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include "base/base.h"

struct rng {
    uint64_t s;
};

/* SplitMix64 (Steele, Lea, Flood, 2014). */
static inline uint64_t
rng_next(struct rng *r)
{
    uint64_t z = (r->s += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* 0 to n - 1; n 0 counts as 1. */
static inline uint32_t
rng_below(struct rng *r, uint32_t n)
{
    return n == 0 ? 0 : (uint32_t)(rng_next(r) % n);
}

/* lo to hi, both included. */
static inline uint32_t
rng_range(struct rng *r, uint32_t lo, uint32_t hi)
{
    return lo + rng_below(r, hi - lo + 1);
}

/* True in so many cases of a million. */
static inline bool
rng_ppm(struct rng *r, uint32_t ppm)
{
    return rng_below(r, 1000000) < ppm;
}

static inline bool
rng_percent(struct rng *r, uint32_t percent)
{
    return rng_below(r, 100) < percent;
}

/* A size from 0 to max, small ones as likely as large ones. */
static inline uint32_t
rng_size(struct rng *r, uint32_t max)
{
    uint32_t bits = 0;
    while (bits < 31 && max >> bits != 0)
        bits++;
    return min_u32((uint32_t)(rng_next(r) & ((1ull << rng_range(r, 0, bits)) - 1)), max);
}

#endif
