/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_transfer.c: no data is lost, repeated or changed, every connection ends, and nothing
 * leaks, however bad the wire is: seeded runs of two complete stacks.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

static unsigned
runs(void)
{
    if (getenv("BH_SEED") != NULL)
        return 1;
    if (getenv("BH_LONG") != NULL)
        return 1000;
    return getenv("BH_QUICK") != NULL ? 20 : 100;
}

static void
random_stack(struct rng *r, struct stack_config *c)
{
    static const uint16_t mtus[] = {576, 1280, 1500, 1500, 1500, 1900};
    c->mtu = mtus[rng_below(r, ARRAY_LEN(mtus))];
    c->sndbuf = 4096 + rng_size(r, 196608);
    c->rcvbuf = 4096 + rng_size(r, 196608);
    c->batch = rng_range(r, 1, BATCH_MAX);
    c->tx_time = rng_percent(r, 50) ? 0 : NS_US << rng_below(r, 12);
    if (rng_percent(r, 50)) /* the numbers wrap within the first bytes */
        c->isn_fixed = UINT32_MAX - rng_size(r, 100000);
    if (rng_percent(r, 25)) /* frames run out */
        c->frames[PART_TCPTX] = rng_range(r, 4, 32);
}

static void
run(uint64_t seed)
{
    static struct world w;
    static struct load l;
    struct world_config c = world_usual(seed);
    struct load_config lc = load_usual();
    struct rng r = {seed ^ 0x5eed};
    for (unsigned i = 0; i < 2; i++) {
        c.wire[i] = wire_random(&r);
        random_stack(&r, &c.stack[i]);
    }
    if (rng_percent(&r, 70)) /* the same both ways, mostly */
        c.wire[1] = c.wire[0];
    c.start += rng_next(&r) % (100000 * NS_S);
    lc.flows = rng_range(&r, 1, 8);
    world_init(&w, &c);
    load_run(&l, &w, &lc);
    uint64_t turns = w.s[0].turns + w.s[1].turns, idle = w.s[0].idle_turns + w.s[1].idle_turns;
    world_free(&w);
    if (getenv("BH_VERBOSE") != NULL)
        fprintf(stderr,
                "seed %llu: %u flows, %llu bytes, %llu datagrams, %.3f s, resets %llu, "
                "timeouts %llu, turns %llu, idle %llu, loss %u\n",
                (unsigned long long)seed, lc.flows, (unsigned long long)l.n_bytes,
                (unsigned long long)l.n_dgrams, (double)(w.now - c.start) / 1e9,
                (unsigned long long)l.n_resets, (unsigned long long)l.n_timeouts,
                (unsigned long long)turns, (unsigned long long)idle, c.wire[0].loss);
}

ParameterizedTestParameters(sim_transfer, seed)
{
    static uint64_t seeds[1000];
    const char *one = getenv("BH_SEED");
    unsigned n = runs();
    for (unsigned i = 0; i < n; i++)
        seeds[i] = one != NULL ? strtoull(one, NULL, 0) : i;
    return cr_make_param_array(uint64_t, seeds, n);
}

/* The promise of the whole stack, on random wires with random programs. */
ParameterizedTest(uint64_t *seed, sim_transfer, seed)
{
    run(*seed);
}
