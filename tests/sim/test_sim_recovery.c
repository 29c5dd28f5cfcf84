/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_recovery.c: losses are repaired as fast as the RFCs have it, measured in virtual
 * time, so that the same seed gives the same number on any machine: a transfer over a path that
 * loses, reorders or marks takes no longer than a generous bound, and hardly ever waits for the
 * retransmission timer. And flows that share a bottleneck share it fairly.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bulk.h"
#include "tcp/cc.h"

#define BYTES 2000000u
#define SEEDS 5u

static struct world w;

struct path {
    uint32_t loss, late, dup;
    ns_t latency, late_by;
    uint64_t bits_per_s;
    uint32_t queue, mark_above;
    uint8_t strip;
    bool pacing;
};

struct result {
    double seconds, rto, rexmt, lost, marks;
};

/* The mean of some runs. */
static struct result
measure(const struct path *p, uint8_t alg)
{
    struct result r = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct bulk b;
        struct world_config c = bulk_world(seed, p->latency);
        for (unsigned i = 0; i < 2; i++) {
            struct wire_profile *q = &c.wire[i];
            q->loss = p->loss;
            q->late = p->late;
            q->late_by = p->late_by;
            q->dup = p->dup;
            q->bits_per_s = p->bits_per_s;
            q->queue_bytes = p->queue;
            q->mark_above = p->mark_above;
            q->strip = p->strip;
            c.stack[i].congestion = alg;
            c.stack[i].pacing = p->pacing;
            c.stack[i].ecn = ECN_ASK;
        }
        bulk_init(&b, &w, &c, 1);
        r.seconds += bulk_transfer(&b, BYTES, 600 * NS_S) / SEEDS;
        r.rto += (double)world_stat(&w, 0, STAT_tcp_rto) / SEEDS;
        r.rexmt += (double)world_stat(&w, 0, STAT_tcp_retransmit) / SEEDS;
        r.lost += (double)w.wire[0].n_lost / SEEDS;
        r.marks += (double)world_stat(&w, 0, STAT_tcp_ecn_reduced) / SEEDS;
        bulk_end(&b);
    }
    if (getenv("BH_VERBOSE") != NULL)
        fprintf(stderr, "alg %u: %.2f s, %.1f timeouts, %.1f sent again, %.1f lost\n", alg,
                r.seconds, r.rto, r.rexmt, r.lost);
    return r;
}

/* Mathis, Semke, Mahdavi, Ott (1997): what Reno gets out of a path that loses a part p of the
 * segments, in seconds for BYTES. The other congestion controls must do no worse. */
static double
reno_seconds(double p, ns_t latency)
{
    double rate = 1448 / (2 * (double)latency / 1e9) * sqrt(1.5 / p);
    return BYTES / rate;
}

/* Bounds: generous against chance, not against a repair that waits for the timer (each time
 * 240 ms here) or sends again what was not lost. */
struct bound {
    double seconds;
    double rto;      /* retransmission timeouts, mean */
    double needless; /* segments sent again beyond those lost, as a part of those */
};

static void
check(const struct path *p, const struct bound *b)
{
    for (uint8_t alg = 0; alg < CC_ALGS; alg++) {
        struct result r = measure(p, alg);
        const char *name = cc_ops_of(alg)->name;
        cr_expect_leq(r.seconds, b->seconds, "%s: %g s, not %g", name, r.seconds, b->seconds);
        cr_expect_leq(r.rto, b->rto, "%s: %g timeouts", name, r.rto);
        cr_expect_leq(r.rexmt, r.lost * (1 + b->needless) + 5, "%s: %g sent again, %g lost",
                      name, r.rexmt, r.lost);
    }
}

/* RACK, PRR and tail probes: Reno's rate for this loss, with nearly no timeouts. */
Test(sim_recovery, three_percent_lost)
{
    static const struct path p = {.loss = 30000, .latency = 20 * NS_MS};
    struct bound b = {2 * reno_seconds(0.03, p.latency), 2, 0.2};
    check(&p, &b);
}

/* NewReno repairs one hole a round trip, and a small window with several not at all. */
Test(sim_recovery, three_percent_lost_without_sack)
{
    static const struct path p = {.loss = 30000, .latency = 20 * NS_MS, .strip = WIRE_NO_SACK};
    struct bound b = {3 * reno_seconds(0.03, p.latency), 20, 1.5};
    check(&p, &b);
}

/* The same over a long path and with pacing. */
Test(sim_recovery, one_percent_lost_far)
{
    static const struct path p = {.loss = 10000, .latency = 100 * NS_MS, .pacing = true};
    struct bound b = {2 * reno_seconds(0.01, p.latency), 2, 0.3};
    check(&p, &b);
}

/* Order is not loss: the reordering window grows until nothing is sent for nothing, and what
 * was taken for congestion is undone. Without any loss this takes 0.4 s. */
Test(sim_recovery, five_percent_reordered)
{
    static const struct path p = {.late = 50000, .late_by = 20 * NS_MS, .latency = 20 * NS_MS};
    check(&p, &(struct bound){1.5, 0, 0});
}

Test(sim_recovery, twentieth_comes_twice)
{
    static const struct path p = {.dup = 50000, .latency = 20 * NS_MS};
    check(&p, &(struct bound){0.6, 0, 0});
}

/* A queue that overflows at the end of slow start, and later once in a while. The link alone
 * takes 1.7 s. */
Test(sim_recovery, short_queue)
{
    static const struct path p = {
        .latency = 20 * NS_MS, .bits_per_s = 10000000, .queue = 30000};
    check(&p, &(struct bound){3, 1, 0.2});
}

/* A router that marks keeps its queue short, and nothing is lost (RFC 3168). */
Test(sim_recovery, marked_not_lost)
{
    static const struct path p = {
        .latency = 20 * NS_MS, .bits_per_s = 10000000, .queue = 100000, .mark_above = 15000};
    for (uint8_t alg = 0; alg < CC_ALGS; alg++) {
        struct result r = measure(&p, alg);
        const char *name = cc_ops_of(alg)->name;
        cr_expect_leq(r.seconds, 3, "%s: %g s", name, r.seconds);
        cr_expect_eq(r.lost + r.rto + r.rexmt, 0, "%s: %g lost", name, r.lost);
        cr_expect_gt(r.marks, 0, "%s: nobody slowed down", name);
    }
}

/* Two flows of a kind share a bottleneck within 20 %, and use all of it. */
Test(sim_recovery, fair)
{
    const double link = 10000000;
    for (uint8_t alg = 0; alg < CC_ALGS; alg++) {
        double got[2] = {0, 0};
        for (uint64_t seed = 1; seed <= 3; seed++) {
            struct bulk b;
            struct world_config c = bulk_world(seed, 20 * NS_MS);
            for (unsigned i = 0; i < 2; i++) {
                c.wire[i].bits_per_s = (uint64_t)link;
                c.wire[i].queue_bytes = 60000;
                c.wire[i].jitter = 200 * NS_US; /* or the flows lose in step with each other */
                c.stack[i].congestion = alg;
            }
            bulk_init(&b, &w, &c, 2);
            bulk_run(&b, 20 * NS_S);
            uint64_t was[2] = {b.got[0], b.got[1]};
            bulk_run(&b, 40 * NS_S);
            for (unsigned f = 0; f < 2; f++)
                got[f] += (double)(b.got[f] - was[f]);
            bulk_end(&b);
        }
        const char *name = cc_ops_of(alg)->name;
        double part = got[0] / got[1], used = (got[0] + got[1]) * 8 / (link * 120);
        if (getenv("BH_VERBOSE") != NULL)
            fprintf(stderr, "%s: share %g, link used to %g\n", name, part, used);
        cr_expect(part > 0.8 && part < 1.25, "%s: %g to one", name, part);
        cr_expect_gt(used, 0.9, "%s: link used to %g", name, used);
    }
}
