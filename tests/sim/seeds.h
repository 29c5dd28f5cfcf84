/* SPDX-License-Identifier: BSD-2-Clause
 *
 * seeds.h: how many seeded runs, and worlds drawn by chance.
 */
#ifndef SIM_SEEDS_H
#define SIM_SEEDS_H

#include "load.h"

#define SEEDS_MAX 12000u

/* The seeds of a property test that usually has n runs: ten times as many with BH_LONG, a fifth
 * with BH_QUICK, the one of BH_SEED if that is set. Returns how many. */
unsigned seeds_choose(uint64_t seeds[SEEDS_MAX], unsigned n);
/* The same with n_long of them with BH_LONG; those that once failed (seeds_kept.c) come first.
 */
unsigned seeds_choose_kept(uint64_t seeds[SEEDS_MAX], unsigned n, unsigned n_long);

/* seeds_kept.c */
extern const uint64_t seeds_kept[];
extern const unsigned seeds_n_kept;

/* A bad wire, strange buffers and sizes. */
void seeds_world(uint64_t seed, struct world_config *w, struct load_config *l);

/* Make the world, run the load, check everything. A line about it with BH_VERBOSE. */
void seeds_run(const struct world_config *w, const struct load_config *l);

#endif
