/* SPDX-License-Identifier: BSD-2-Clause */
#include "seeds.h"

#include <stdio.h>
#include <stdlib.h>

static const char *
env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

unsigned
seeds_choose(uint64_t seeds[SEEDS_MAX], unsigned n)
{
    const char *one = env("BH_SEED");
    if (one != NULL)
        n = 1;
    else if (env("BH_LONG") != NULL)
        n *= 10;
    else if (env("BH_QUICK") != NULL)
        n /= 5;
    n = min_u32(n, SEEDS_MAX);
    for (unsigned i = 0; i < n; i++)
        seeds[i] = one != NULL ? strtoull(one, NULL, 0) : i;
    return n;
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
    if (rng_percent(r, 25))
        c->frames[PART_RX] = rng_range(r, 32, 256);
    if (rng_percent(r, 25))
        c->frames[PART_IPTX] = rng_range(r, 8, 32);
}

void
seeds_world(uint64_t seed, struct world_config *w, struct load_config *l)
{
    struct rng r = {seed ^ 0x5eed};
    *w = world_usual(seed);
    *l = load_usual();
    for (unsigned i = 0; i < 2; i++) {
        w->wire[i] = wire_random(&r);
        random_stack(&r, &w->stack[i]);
    }
    if (rng_percent(&r, 70)) /* the same both ways, mostly */
        w->wire[1] = w->wire[0];
    for (unsigned i = 0; i < 2; i++)
        if (rng_percent(&r, 25)) { /* rings are full at times */
            w->arena[i].n_req = 8u << rng_below(&r, 2);
            w->arena[i].n_evt = 8u << rng_below(&r, 2);
        }
    w->start += rng_next(&r) % (100000 * NS_S);
    l->flows = rng_range(&r, 1, 8);
}

void
seeds_run(const struct world_config *wc, const struct load_config *lc)
{
    static struct world w;
    static struct load l;
    world_init(&w, wc);
    load_run(&l, &w, lc);
    if (env("BH_VERBOSE") != NULL)
        fprintf(
            stderr,
            "seed %llu: loss %u, %u flows, %llu bytes, %llu datagrams, %.3f s, %llu resets, "
            "%llu timeouts, %u crashes, %llu turns, %llu of them idle\n",
            (unsigned long long)wc->seed, wc->wire[0].loss, lc->flows,
            (unsigned long long)l.n_bytes, (unsigned long long)l.n_dgrams,
            (double)(w.now - wc->start) / 1e9, (unsigned long long)l.n_resets,
            (unsigned long long)l.n_timeouts, l.n_crashes,
            (unsigned long long)(w.s[0].turns + w.s[1].turns),
            (unsigned long long)(w.s[0].idle_turns + w.s[1].idle_turns));
    world_free(&w);
}
