/* SPDX-License-Identifier: BSD-2-Clause */
#include "seeds.h"
#include "tcp/cc.h"

#include <stdio.h>
#include <stdlib.h>

static const char *
env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static unsigned
choose(uint64_t *seeds, unsigned n, unsigned n_long)
{
    const char *one = env("BH_SEED");
    if (one != NULL)
        n = 1;
    else if (env("BH_LONG") != NULL)
        n = n_long;
    else if (env("BH_QUICK") != NULL)
        n /= 5;
    n = min_u32(n, SEEDS_MAX);
    for (unsigned i = 0; i < n; i++)
        seeds[i] = one != NULL ? strtoull(one, NULL, 0) : i;
    return n;
}

unsigned
seeds_choose(uint64_t seeds[SEEDS_MAX], unsigned n)
{
    return choose(seeds, n, 10 * n);
}

unsigned
seeds_choose_kept(uint64_t seeds[SEEDS_MAX], unsigned n, unsigned n_long)
{
    unsigned kept = env("BH_SEED") != NULL ? 0 : seeds_n_kept;
    memcpy(seeds, seeds_kept, kept * sizeof *seeds);
    return kept + choose(seeds + kept, n, min_u32(n_long, SEEDS_MAX - kept));
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
    c->ecn = (uint8_t)rng_below(r, ECN_ASK + 1);
    c->pacing = rng_percent(r, 25);
    c->congestion = (uint8_t)rng_below(r, CC_ALGS);
}

/* The path becomes narrow for a while, or for good; routers may be silent about it. */
static void
random_mtu(struct rng *r, struct wire_profile *p)
{
    static const uint16_t mtus[] = {576, 800, 1280, 1400};
    p->mtu = mtus[rng_below(r, ARRAY_LEN(mtus))];
    p->mtu_silent = rng_percent(r, 50);
    p->mtu_from = rng_next(r) % (2 * NS_S);
    p->mtu_until = rng_percent(r, 50) ? NS_NEVER : p->mtu_from + rng_next(r) % (100 * NS_S);
}

/* How long a connection that nobody pauses may stand still: a few timeouts, each twice the one
 * before, as many in a row as chance may lose in thousands of runs. It grows with the round
 * trip and what may be queued, and with what is lost. */
static ns_t
stall_bound(const struct world_config *w, uint32_t flows)
{
    ns_t rtt = 0, extra = 0;
    uint32_t worst = 0;
    if (env("BH_STALL") != NULL) /* seconds, for whoever looks for the place */
        return strtoull(env("BH_STALL"), NULL, 0) * NS_S;
    for (unsigned i = 0; i < 2; i++) {
        const struct wire_profile *p = &w->wire[i];
        rtt += p->latency + p->jitter + (p->late != 0 ? p->late_by : 0);
        if (p->bits_per_s != 0)
            rtt += (uint64_t)flows * max_u32(w->stack[i].sndbuf, w->stack[i].buffer_max) * 8 *
                   NS_S / p->bits_per_s;
        worst = max_u32(worst, p->loss + p->corrupt);
        extra += p->burst != 0 ? 30 * NS_S : 0;
        extra += p->mtu_silent ? 300 * NS_S : 0; /* eight timeouts, plpmtud.c */
    }
    ns_t most = worst == 0       ? 5 * NS_S
                : worst <= 20000 ? 20 * NS_S
                : worst <= 80000 ? 120 * NS_S
                                 : 1200 * NS_S;
    return most + extra + 8 * rtt;
}

/* What came later: drawn by itself, so that seeds keep their meaning. */
static void
random_more(uint64_t seed, struct world_config *w)
{
    struct rng r = {seed ^ 0x400d};
    for (unsigned i = 0; i < 2; i++) {
        struct stack_config *c = &w->stack[i];
        c->cookies = rng_percent(&r, 15) ? TCP_COOKIES_ALWAYS : TCP_COOKIES_AUTO;
        if (rng_percent(&r, 15)) /* SYNs are answered by cookie when this is used up */
            c->half_open = rng_below(&r, 4);
        if (rng_percent(&r, 25))
            c->buffer_max = max_u32(c->sndbuf, c->rcvbuf) << rng_below(&r, 6);
    }
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
        if (rng_percent(&r, 20))
            random_mtu(&r, &w->wire[i]);
    if (rng_percent(&r, 40)) /* ends that know little */
        w->wire[0].strip = w->wire[1].strip = (uint8_t)rng_below(&r, 16);
    for (unsigned i = 0; i < 2; i++)
        if (rng_percent(&r, 25)) { /* rings are full at times */
            w->arena[i].n_req = 8u << rng_below(&r, 2);
            w->arena[i].n_evt = 8u << rng_below(&r, 2);
        }
    w->start += rng_next(&r) % (100000 * NS_S);
    l->flows = rng_range(&r, 1, 8);
    random_more(seed, w);
    l->stall = stall_bound(w, l->flows);
}

static void
describe(const struct world *w, const struct load *l)
{
    const struct wire_profile *p = &w->cfg.wire[0], *q = &w->cfg.wire[1];
    const struct stack_config *s = w->cfg.stack;
    fprintf(stderr,
            "seed %llu: loss %u %u, corrupt %u %u, late %u, burst %u %u, latency %.6f, strip "
            "%u, mtu %u%s, "
            "cc %u %u, pacing %u %u, ",
            (unsigned long long)w->cfg.seed, p->loss, q->loss, p->corrupt, q->corrupt, p->late,
            p->burst, q->burst, (double)p->latency / 1e9, p->strip, p->mtu,
            p->mtu_silent ? " silent" : "", s[0].congestion, s[1].congestion, s[0].pacing,
            s[1].pacing);
    fprintf(stderr,
            "%u flows, %llu bytes, %llu datagrams, %.3f s, stall %.3f s, %llu resets, "
            "%llu timeouts, %u crashes, %llu turns, %llu of them idle\n",
            l->cfg.flows, (unsigned long long)l->n_bytes, (unsigned long long)l->n_dgrams,
            (double)(w->now - w->cfg.start) / 1e9, (double)l->worst_stall / 1e9,
            (unsigned long long)l->n_resets, (unsigned long long)l->n_timeouts, l->n_crashes,
            (unsigned long long)(w->s[0].turns + w->s[1].turns),
            (unsigned long long)(w->s[0].idle_turns + w->s[1].idle_turns));
}

/* Also before the run, for whoever wants to know of one that fails. */
void
seeds_run(const struct world_config *wc, const struct load_config *lc)
{
    static struct world w;
    static struct load l;
    world_init(&w, wc);
    if (env("BH_TRACE") != NULL)
        describe(&w, &l);
    load_run(&l, &w, lc);
    if (env("BH_VERBOSE") != NULL)
        describe(&w, &l);
    world_free(&w);
}
