/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The congestion controls by themselves: CUBIC against RFC 9438 written down once more in
 * floating point, HyStart++ round by round, what must hold at any size, RTT and age, and flows
 * that share a simulated bottleneck.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "rnd.h"
#include "tcp/cc.h"
#include "tcp/hystart.h"

static uint64_t seed = 88172645463325252ull;

static uint64_t
rnd(uint64_t below)
{
    return rnd_next(&seed) % below;
}

static struct cc
fresh(enum cc_alg alg, uint32_t mss, uint32_t cwnd, uint32_t ssthresh)
{
    struct cc cc = {.mss = mss, .alg = alg, .cwnd = cwnd, .ssthresh = ssthresh};
    memset(cc.priv, 0xa5, sizeof cc.priv); /* another algorithm's */
    cc_ops_of(alg)->start(&cc, 0);
    return cc;
}

static void
ack(struct cc *cc, uint32_t acked, ns_t rtt, ns_t now, bool limited)
{
    static uint64_t una;
    una += acked;
    struct cc_ack a = {.acked = acked,
                       .flight = cc->cwnd,
                       .limited = limited,
                       .rtt = rtt,
                       .srtt = rtt,
                       .una = una,
                       .nxt = una + cc->cwnd};
    cc_ops_of(cc->alg)->ack(cc, &a, now);
}

/* ---- CUBIC against the RFC's formulas, in segments, seconds and doubles ---- */

struct ref {
    double cwnd, w_max, k, w_est, prior, epoch;
};

static double
ref_w(const struct ref *r, double t)
{
    return 0.4 * pow(t - r->k, 3) + r->w_max;
}

static void
ref_begin(struct ref *r, double now)
{
    r->w_max = fmax(r->w_max, r->cwnd);
    r->k = cbrt((r->w_max - r->cwnd) / 0.4);
    r->w_est = r->cwnd;
    r->epoch = now;
}

static void
ref_ack(struct ref *r, double segs, double rtt, double now)
{
    double t = now - r->epoch, alpha = r->w_est >= r->prior ? 1 : 3 * 0.3 / 1.7;
    r->w_est += alpha * segs / r->cwnd;
    if (ref_w(r, t) < r->w_est) {
        r->cwnd = fmax(r->cwnd, r->w_est);
        return;
    }
    double target = fmin(fmax(ref_w(r, t + rtt), r->cwnd), 1.5 * r->cwnd);
    r->cwnd += (target - r->cwnd) / r->cwnd * segs;
}

static void
ref_loss(struct ref *r)
{
    r->w_max = r->cwnd < r->w_max ? r->cwnd * 1.7 / 2 : r->cwnd;
    r->prior = r->cwnd;
    r->cwnd = fmax(r->cwnd * 0.7, 2);
}

static void
follow(uint32_t mss, uint32_t segs, ns_t rtt, unsigned rounds)
{
    struct cc cc = fresh(CC_CUBIC, mss, segs * mss, segs * mss);
    const struct cc_ops *ops = cc_ops_of(CC_CUBIC);
    struct ref r = {.cwnd = segs};
    ns_t now = rtt;
    uint32_t before = 0;
    for (unsigned i = 0; i < rounds && cc.cwnd < CWND_MAX / 2; i++) {
        if (i % (rounds / 3) == 0 || rnd(rounds / 3) == 0) { /* a loss now and then */
            ops->loss(&cc, cc.cwnd, now);
            ops->recovered(&cc, now);
            ref_loss(&r);
            now += rtt / 4;
            ref_begin(&r, (double)now / 1e9);
            before = 0;
        }
        for (unsigned j = 0; j < 4; j++, now += rtt / 4) {
            uint32_t acked = cc.cwnd / 4;
            ack(&cc, acked, rtt, now, true);
            ref_ack(&r, (double)acked / mss, (double)rtt / 1e9, (double)now / 1e9);
            cr_assert_geq(cc.cwnd, before, "the window shrank without a cause");
            before = cc.cwnd;
            double off = fabs(cc.cwnd - r.cwnd * mss),
                   may = fmax(mss / 8.0, r.cwnd * mss / 1e3);
            cr_assert_lt(off, may, "mss %u rtt %g: cwnd %u, RFC 9438 has %g", mss,
                         (double)rtt / 1e9, cc.cwnd, r.cwnd * mss);
        }
    }
}

Test(cubic, formulas)
{
    static const uint32_t mss[] = {88, 536, 1448, 8948, 65000};
    static const uint32_t segs[] = {4, 10, 100, 3000};
    static const ns_t rtt[] = {10 * NS_US, NS_MS, 10 * NS_MS, 100 * NS_MS, NS_S};
    for (unsigned m = 0; m < ARRAY_LEN(mss); m++)
        for (unsigned s = 0; s < ARRAY_LEN(segs); s++)
            for (unsigned t = 0; t < ARRAY_LEN(rtt); t++)
                follow(mss[m], segs[s], rtt[t], 3000);
}

/* The longest epoch that there can be: 12 million segments of 88 bytes, K over 200 s. */
Test(cubic, far_plateau)
{
    struct cc cc = fresh(CC_CUBIC, 88, CWND_MAX - 88, CWND_MAX - 88);
    const struct cc_ops *ops = cc_ops_of(CC_CUBIC);
    uint32_t w_max = cc.cwnd;
    ops->loss(&cc, cc.cwnd, 0);
    ops->recovered(&cc, 0);
    cr_assert_float_eq(cc.cwnd, w_max * 0.7, 2);
    double k = cbrt(w_max * 0.3 / 88 / 0.4), t;
    for (ns_t now = 0; (t = (double)now / 1e9) < k; now += 25 * NS_MS) {
        ack(&cc, cc.cwnd / 4, 100 * NS_MS, now, true);
        if (t > 1)
            cr_assert_float_eq(cc.cwnd, w_max + 88 * 0.4 * pow(t - k, 3), w_max / 1e3);
    }
    cr_assert_leq(cc.cwnd, CWND_MAX);
}

/* A week without data to send must not turn into a week of growth (section 4.2, MUST NOT). */
Test(cubic, time_away_does_not_count)
{
    for (unsigned how = 0; how < 3; how++) {
        struct cc busy = fresh(CC_CUBIC, 1448, 1000 * 1448, 1000 * 1448), away;
        const struct cc_ops *ops = cc_ops_of(CC_CUBIC);
        const ns_t rtt = 20 * NS_MS, gap = 7 * 86400 * NS_S;
        ops->loss(&busy, busy.cwnd, 0);
        ops->recovered(&busy, 0);
        ns_t now = 0;
        for (unsigned i = 0; i < 100; i++)
            ack(&busy, busy.cwnd, rtt, now += rtt, true);
        away = busy;
        ns_t later = now + gap;
        if (how == 1) /* a trickle */
            for (unsigned i = 0; i < 1000; i++)
                ack(&away, 100, rtt, now + i * (gap / 1000) + 1, false);
        if (how == 2) { /* with a restart: slow start, and a new epoch from ssthresh on */
            ops->idle(&away, gap, later);
            cr_assert_eq(away.cwnd, 10 * 1448);
            while (away.cwnd < away.ssthresh)
                ack(&away, away.cwnd, rtt, later += rtt, true);
            cr_assert_eq(away.cwnd, away.ssthresh);
        }
        cr_assert_leq(away.cwnd, busy.cwnd);
        for (unsigned i = 0; i < 100; i++) {
            ack(&busy, busy.cwnd, rtt, now += rtt, true);
            ack(&away, away.cwnd, rtt, later += rtt, true);
            cr_assert_lt(away.cwnd, busy.cwnd * 1.01);
        }
        cr_assert_gt(away.cwnd, busy.cwnd * 0.9);
    }
}

/* 4.8: the first stage after a timeout has its plateau where it begins. */
Test(cubic, timeout)
{
    struct cc cc = fresh(CC_CUBIC, 1000, 1000000, 1000000);
    const struct cc_ops *ops = cc_ops_of(CC_CUBIC);
    const ns_t rtt = 100 * NS_MS;
    ops->timeout(&cc, 800000, 0);
    cr_assert_eq(cc.cwnd, 1000);
    cr_assert_eq(cc.ssthresh, 700000);
    ns_t now = 0;
    while (cc.cwnd < cc.ssthresh)
        ack(&cc, cc.cwnd, rtt, now += rtt, true);
    cr_assert_eq(cc.cwnd, 700000);
    ns_t start = now + rtt;
    for (unsigned i = 0; i < 50; i++)
        ack(&cc, cc.cwnd, rtt, now += rtt, true);
    cr_assert_float_eq(cc.cwnd, 700000 + 400 * pow((double)(now + rtt - start) / 1e9, 3), 2000);
}

/* The two go on alike, to the byte. */
static void
alike(struct cc a, struct cc b, ns_t rtt, ns_t now)
{
    for (unsigned i = 0; i < 200; i++) {
        cr_assert_eq(a.cwnd, b.cwnd, "%u and %u after %u ACKs", a.cwnd, b.cwnd, i);
        cr_assert_eq(a.ssthresh, b.ssthresh);
        now += rtt / 2;
        ack(&a, a.cwnd / 2, 0, now, true);
        ack(&b, b.cwnd / 2, 0, now, true);
    }
}

/* 4.9: after an undo the session goes on as if there had been no loss. */
Test(cubic, undo)
{
    const struct cc_ops *ops = cc_ops_of(CC_CUBIC);
    for (unsigned how = 0; how < 3; how++) {
        struct cc cc = fresh(CC_CUBIC, 1448, how == 2 ? 0 : 90000, how == 2 ? 0 : 90000), was;
        ns_t now = 0, rtt = 30 * NS_MS;
        if (how != 2) {
            ops->loss(&cc, cc.cwnd, 0);
            ops->recovered(&cc, 0);
            for (unsigned i = 0; i < 40; i++)
                ack(&cc, cc.cwnd / 2 + 1, rtt, now += rtt / 2, true);
            ops->mark(&cc, cc.cwnd, now); /* itself never undone */
            for (unsigned i = 0; i < 40; i++)
                ack(&cc, cc.cwnd / 2 + 1, rtt, now += rtt / 2, true);
        }
        was = cc;
        ops->undo(&cc, cc.cwnd * 2, cc.ssthresh, now);
        cr_assert_eq(memcmp(&cc, &was, sizeof cc), 0, "nothing to undo");
        if (how == 0) {
            ops->loss(&cc, cc.cwnd, now);
            ops->recovered(&cc, now);
            ack(&cc, cc.cwnd, rtt, now + rtt, false);
        } else {
            ops->timeout(&cc, cc.cwnd, now);
        }
        cr_assert_lt(cc.cwnd, was.cwnd);
        ops->undo(&cc, was.cwnd, was.ssthresh, now);
        alike(cc, was, rtt, now);
        ops->loss(&cc, cc.cwnd, now); /* so late that the window is larger already: it stays */
        cc.cwnd = 2 * was.cwnd;
        ops->undo(&cc, was.cwnd, was.ssthresh, now);
        cr_assert_eq(cc.cwnd, 2 * was.cwnd);
    }
}

/* RFC 8511: 0.85 in congestion avoidance; RFC 9438 4.6: down to one segment. */
Test(cubic, mark)
{
    struct cc cc = fresh(CC_CUBIC, 1000, 100000, 50000);
    const struct cc_ops *ops = cc_ops_of(CC_CUBIC);
    ops->mark(&cc, 100000, 0);
    cr_assert_eq(cc.cwnd, 85000);
    cr_assert_eq(cc.ssthresh, 85000);
    cc.cwnd = cc.ssthresh = 2000;
    ops->mark(&cc, 2000, 0);
    cr_assert_eq(cc.cwnd, 1700);
    cc.cwnd = 1000;
    ops->mark(&cc, 1000, 0);
    cr_assert_eq(cc.cwnd, 1000);
    cr_assert_eq(cc.ssthresh, 2000);
    cc = fresh(CC_CUBIC, 1000, 100000, 0);
    ops->mark(&cc, 100000, 0);
    cr_assert_eq(cc.cwnd, 70000, "in slow start as for a loss");
}

/* 4.2: half as much again in a round trip at most, and no less where the cubic function leaves
 * its range: 2^64 / 2^20 ns and 2^30 units of time are where a product would wrap to nothing.
 */
Test(cubic, longest_rtts)
{
    static const ns_t rtt[] = {60 * NS_S, 1024 * NS_S, 1ull << 44, 30 * 86400 * NS_S};
    for (unsigned i = 0; i < ARRAY_LEN(rtt); i++) {
        struct cc cc = fresh(CC_CUBIC, 88, 88000, 88000);
        ack(&cc, cc.cwnd, rtt[i], 0, true);
        cr_assert_eq(cc.cwnd, 88088, "the epoch begins: as Reno");
        ack(&cc, cc.cwnd, rtt[i], rtt[i], true);
        cr_assert_eq(cc.cwnd, 88088 * 3 / 2);
    }
}

/* ---- HyStart++ (RFC 9406) ---- */

/* One round of `n` ACKs; true: slow start is over. */
static bool
round_of(struct hystart *h, unsigned n, ns_t rtt)
{
    static uint64_t una;
    bool over = false;
    uint64_t end = h->window_end > una ? h->window_end : una + n;
    for (unsigned i = 0; i < n; i++) {
        una = i == n - 1 ? end : una;
        over |= hystart_ack(h, rtt + i * NS_US, una, una + 1000 * n);
    }
    return over;
}

Test(hystart, rounds)
{
    struct hystart h = {0};
    cr_assert_not(round_of(&h, 1, 40 * NS_MS));
    cr_assert_not(round_of(&h, 10, 40 * NS_MS));
    cr_assert_not(round_of(&h, 10, 44999 * NS_US));
    cr_assert_not(h.conservative, "an eighth is what it takes");
    cr_assert_not(round_of(&h, 7, 90 * NS_MS));
    cr_assert_not(h.conservative, "eight samples is what it takes");
    cr_assert_not(round_of(&h, 10, 40 * NS_MS));
    cr_assert_not(round_of(&h, 10, 45 * NS_MS));
    cr_assert(h.conservative);
    cr_assert_eq(hystart_growth(&h, 4000), 1000);
    cr_assert_not(round_of(&h, 10, 46 * NS_MS));
    cr_assert_not(round_of(&h, 10, 44 * NS_MS)); /* a false alarm */
    cr_assert_not(h.conservative);
    cr_assert_eq(hystart_growth(&h, 100000), 100000);
    cr_assert_not(round_of(&h, 10, 60 * NS_MS)); /* the first of five */
    for (unsigned i = 2; i < HYSTART_CSS_ROUNDS; i++)
        cr_assert_not(round_of(&h, 10, 60 * NS_MS));
    cr_assert(round_of(&h, 10, 60 * NS_MS));
}

/* The limits of RttThresh: 4 ms on a short path, 16 ms on a long one. */
Test(hystart, thresholds)
{
    static const struct {
        ns_t rtt, by;
    } at[] = {{20 * NS_US, 4 * NS_MS},
              {64 * NS_MS, 8 * NS_MS},
              {NS_S, 16 * NS_MS},
              {60 * NS_S, 16 * NS_MS}};
    for (unsigned i = 0; i < ARRAY_LEN(at); i++)
        for (unsigned less = 0; less < 2; less++) {
            struct hystart h = {0};
            (void)round_of(&h, 8, at[i].rtt);
            (void)round_of(&h, 8, at[i].rtt);
            (void)round_of(&h, 8, at[i].rtt + at[i].by - less);
            cr_assert_eq(h.conservative, !less);
        }
}
