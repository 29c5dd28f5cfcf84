/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Vegas by itself, round trip by round trip: slow start in every other round, the window
 * between alpha and beta queued segments, Reno's growth where there are too few samples. Its
 * behaviour on a path is in test_cc_flow.c.
 */
#include <criterion/criterion.h>

#include "tcp/cc.h"

static struct cc
fresh(uint32_t mss, uint32_t cwnd, uint32_t ssthresh)
{
    struct cc cc = {.mss = mss, .alg = CC_VEGAS, .cwnd = cwnd, .ssthresh = ssthresh};
    cc_ops_of(CC_VEGAS)->start(&cc, 0);
    return cc;
}

/* A round trip of `n` ACKs that cover the window. */
static void
vegas_round(struct cc *cc, unsigned n, ns_t rtt, uint64_t *una, ns_t *now)
{
    uint32_t window = cc->cwnd;
    uint64_t nxt = *una + window;
    for (unsigned i = 0; i < n; i++) {
        uint32_t acked = i < n - 1 ? window / n : (uint32_t)(nxt - *una);
        *una += acked;
        *now += rtt / n;
        struct cc_ack a = {.acked = acked,
                           .flight = window,
                           .limited = true,
                           .rtt = rtt,
                           .srtt = rtt,
                           .una = *una,
                           .nxt = nxt};
        if (i == n - 1) /* what the growth let out */
            a.nxt = *una + cc->cwnd;
        cc_ops_of(cc->alg)->ack(cc, &a, *now);
    }
}

/* The window doubles in every other round only, and one queued segment ends that. */
Test(vegas, slow_start)
{
    struct cc cc = fresh(1000, 10000, 0);
    uint64_t una = 0;
    ns_t now = 0;
    vegas_round(&cc, 10, 20 * NS_US, &una, &now);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t was = cc.cwnd;
        vegas_round(&cc, 10, 20 * NS_US, &una, &now);
        vegas_round(&cc, 10, 20 * NS_US, &una, &now);
        cr_assert_float_eq(cc.cwnd, 2.0 * was, was / 4.0, "from %u to %u", was, cc.cwnd);
    }
    cr_assert_eq(cc.ssthresh, SSTHRESH_NONE);
    uint32_t was = cc.cwnd;
    vegas_round(&cc, 10, 24 * NS_US, &una, &now);
    vegas_round(&cc, 10, 24 * NS_US, &una, &now);
    vegas_round(&cc, 10, 24 * NS_US, &una, &now);
    cr_assert_lt(cc.ssthresh, SSTHRESH_NONE);
    cr_assert_leq(cc.cwnd, 2 * was);
}

/* alpha and beta, 2 and 4 of 100 segments: an RTT of 98 us grown to 100 and to 102.083. */
Test(vegas, between_alpha_and_beta)
{
    static const struct {
        unsigned samples;
        ns_t rtt;
        int segs;
    } at[] = {{10, 98000, 1},   {10, 99999, 1},   {10, 100001, 0}, {10, 102083, 0},
              {10, 102110, -1}, {10, 400000, -1}, {2, 400000, 1}}; /* too few: as Reno */
    for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
        struct cc cc = fresh(1000, 100000, 50000);
        uint64_t una = 0;
        ns_t now = 0;
        vegas_round(&cc, 10, 98000, &una, &now);
        cc.cwnd = 100000;
        vegas_round(&cc, at[i].samples, at[i].rtt, &una, &now);
        cr_assert_eq((int)cc.cwnd, 100000 + at[i].segs * 1000, "case %u: %u", i, cc.cwnd);
        cr_assert_leq(cc.ssthresh, cc.cwnd);
    }
}

/* A second's base and 2^34 ns more: times a window of 2^30 that is 2^64, which must not look
 * like an empty queue. The base is old by then, so the queue is let run dry. */
Test(vegas, no_overflow)
{
    struct cc cc = fresh(65000, CWND_MAX, CWND_MAX);
    uint64_t una = 0;
    ns_t now = 0;
    vegas_round(&cc, 10, NS_S, &una, &now);
    cr_assert_eq(cc.cwnd, CWND_MAX);
    vegas_round(&cc, 10, NS_S + (1ull << 34), &una, &now);
    cr_assert_float_eq(cc.cwnd, CWND_MAX / (1 + 17.179869184), 1000);
}

/* Losses, marks and timeouts are answered as Reno does, and taken back. */
Test(vegas, loss)
{
    struct cc cc = fresh(1000, 100000, 50000);
    const struct cc_ops *ops = cc_ops_of(CC_VEGAS);
    ops->loss(&cc, 80000, 0);
    cr_assert_eq(cc.cwnd, 100000);
    cr_assert_eq(cc.ssthresh, 40000);
    ops->recovered(&cc, 0);
    cr_assert_eq(cc.cwnd, 40000);
    ops->undo(&cc, 100000, 50000, 0);
    cr_assert_eq(cc.cwnd, 100000);
    cr_assert_eq(cc.ssthresh, 50000);
    ops->mark(&cc, 90000, 0);
    cr_assert_eq(cc.cwnd, 45000);
    ops->timeout(&cc, 2500, 0);
    cr_assert_eq(cc.cwnd, 1000);
    cr_assert_eq(cc.ssthresh, 2000);
}
