/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_jumbo.c: the promises of the whole stack where a packet is in several frames: bad
 * wires, paths that are narrower than the link, few frames, and crashes. Nothing is lost,
 * repeated or changed, no packet is cut, and no frame leaks.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "seeds.h"

/* A world of the usual kind, with links of an MTU of 9000, and about frames of 9216 or little
 * more than one. */
static void
jumbo(uint64_t seed, struct world_config *w, struct load_config *l)
{
    static const uint16_t mtus[] = {9000, 9000, 9216, 1941, 4000};
    struct rng r = {seed ^ 0x1b0};
    seeds_world(seed, w, l);
    uint16_t mtu = mtus[rng_below(&r, ARRAY_LEN(mtus))];
    for (unsigned i = 0; i < 2; i++) {
        uint32_t *frames = w->stack[i].frames;
        w->stack[i].mtu = mtu;
        /* As the configuration has it, a segment fits into what there is. */
        frames[PART_TCPTX] = max_u32(frames[PART_TCPTX], 6);
        frames[PART_RX] = max_u32(frames[PART_RX], 128);
    }
}

ParameterizedTestParameters(sim_jumbo, transfer)
{
    static uint64_t seeds[SEEDS_MAX];
    unsigned n = seeds_choose(seeds, 60);
    return cr_make_param_array(uint64_t, seeds, n);
}

ParameterizedTest(uint64_t *seed, sim_jumbo, transfer)
{
    struct world_config w;
    struct load_config l;
    jumbo(*seed, &w, &l);
    seeds_run(&w, &l);
}

ParameterizedTestParameters(sim_jumbo, crash)
{
    static uint64_t seeds[SEEDS_MAX];
    unsigned n = seeds_choose(seeds, 30);
    return cr_make_param_array(uint64_t, seeds, n);
}

ParameterizedTest(uint64_t *seed, sim_jumbo, crash)
{
    struct world_config w;
    struct load_config l;
    jumbo(*seed, &w, &l);
    struct rng r = {*seed ^ 0xc7a54};
    for (unsigned i = 0; i < ARRAY_LEN(l.crashes); i++)
        l.crashes[i] = rng_range(&r, 1, 3);
    l.crash_within = NS_MS << rng_range(&r, 0, 12);
    l.stall = 0; /* what was on its way is lost with whoever had it */
    seeds_run(&w, &l);
}
