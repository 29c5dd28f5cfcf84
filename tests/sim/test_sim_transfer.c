/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_transfer.c: no data is lost, repeated or changed, every connection ends, and nothing
 * leaks, however bad the wire is: seeded runs of two complete stacks.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "seeds.h"

ParameterizedTestParameters(sim_transfer, seed)
{
    static uint64_t seeds[SEEDS_MAX];
    unsigned n = seeds_choose_kept(seeds, 200, 10000);
    return cr_make_param_array(uint64_t, seeds, n);
}

/* The promise of the whole stack, on random wires with random programs. */
ParameterizedTest(uint64_t *seed, sim_transfer, seed)
{
    struct world_config w;
    struct load_config l;
    seeds_world(*seed, &w, &l);
    seeds_run(&w, &l);
}
