/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_crash.c: a component that dies and comes back costs nobody a byte: the runs of
 * test_sim_transfer.c with ip, tcp and udp dying in the middle of them.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "seeds.h"

enum { IP, TCP, UDP };

static void
run(uint64_t seed, uint32_t ip, uint32_t tcp, uint32_t udp, uint32_t kills)
{
    struct world_config w;
    struct load_config l;
    struct rng r = {seed ^ 0xdead};
    seeds_world(seed, &w, &l);
    l.crashes[IP] = ip;
    l.crashes[TCP] = tcp;
    l.crashes[UDP] = udp;
    l.serving = rng_percent(&r, 50);
    l.kills = kills;
    l.stall = 0; /* what was on its way is lost with whoever had it */
    l.crash_within = NS_MS << rng_range(&r, 0, 12);
    seeds_run(&w, &l);
}

#define CASES(name, n, ip, tcp, udp, kills)                                                    \
    ParameterizedTestParameters(sim_crash, name)                                               \
    {                                                                                          \
        static uint64_t seeds[SEEDS_MAX];                                                      \
        unsigned count = seeds_choose(seeds, n);                                               \
        return cr_make_param_array(uint64_t, seeds, count);                                    \
    }                                                                                          \
    ParameterizedTest(uint64_t *seed, sim_crash, name)                                         \
    {                                                                                          \
        run(*seed, ip, tcp, udp, kills);                                                       \
    }

/* Sessions are crash-only: tcp dies at any point of a step. */
CASES(tcp, 60, 0, 8, 0, 0)
/* UDP sessions keep their names and their queues. */
CASES(udp, 30, 0, 0, 8, 0)
/* tcp and udp get back the frames that ip had, and go on. */
CASES(ip, 30, 8, 0, 0, 0)
/* All of them, in any order. */
CASES(all, 40, 4, 6, 4, 0)
/* Programs die in the middle: what they had committed is sent, their arenas are let go. */
CASES(programs, 40, 0, 0, 0, 60)
/* Components die while they wind up what dead programs have left. */
CASES(everything, 40, 2, 4, 2, 60)
