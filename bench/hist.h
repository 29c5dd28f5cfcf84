/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hist.h: a histogram of times whose buckets are 3 % wide, so that quantiles of any number of
 * samples take no more memory than this.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_FINE 5u /* 32 buckets for each power of two */
#define HIST_BUCKETS ((65u - HIST_FINE) << HIST_FINE)

struct hist {
    uint64_t n[HIST_BUCKETS];
    uint64_t total;
};

static inline void
hist_add(struct hist *h, uint64_t v)
{
    unsigned high = 63u - (unsigned)__builtin_clzll(v | 1);
    unsigned shift = high > HIST_FINE ? high - HIST_FINE : 0;
    h->n[(shift << HIST_FINE) + (v >> shift)]++;
    h->total++;
}

/* The lower end of the bucket that holds the sample at q (0 to 1); 0: there is none. */
static inline uint64_t
hist_quantile(const struct hist *h, double q)
{
    uint64_t before = (uint64_t)(q * (double)h->total), sum = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        sum += h->n[i];
        if (sum > before || (sum == h->total && sum != 0)) {
            unsigned shift = i >> HIST_FINE;
            if (shift <= 1)
                return i;
            shift--;
            return (uint64_t)(i - (shift << HIST_FINE)) << shift;
        }
    }
    return 0;
}

#endif
