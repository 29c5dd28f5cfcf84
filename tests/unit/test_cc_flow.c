/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Congestion controls at work: flows that always have data share one bottleneck with a queue,
 * packet by packet in virtual time. What is protected: flows of one kind share fairly, CUBIC
 * takes no more than Reno where Reno does well, Vegas keeps a few packets queued and survives a
 * path that becomes longer, and nothing leaves its bounds at any size, RTT and age.
 */
#include <criterion/criterion.h>

#include "rnd.h"
#include "tcp/cc.h"

#define FLOWS 2
#define RING 65536u /* packets in the network, all flows together */

static uint64_t seed = 88172645463325252ull;

static uint64_t
rnd(uint64_t below)
{
    return rnd_next(&seed) % below;
}

struct flow {
    struct cc cc;
    uint64_t una, nxt, recover; /* packets that came back, went out, must come back */
    uint32_t flight;            /* packets */
    ns_t srtt;
    bool recovering;
    uint64_t delivered; /* packets */
};

struct packet {
    ns_t sent, back; /* when its ACK, or the news of its loss, arrives */
    uint32_t flow;
    bool lost;
};

/* One link: a packet takes `tx` there and `prop` for all the rest; `room` packets may wait. */
static struct net {
    struct flow flow[FLOWS];
    struct packet ring[RING];
    uint32_t head, tail, flows, room;
    ns_t tx, prop, free_at, now;
    uint64_t queue_sum, queue_n; /* packets that those sent found waiting */
} net;

static void
net_init(uint32_t room, ns_t tx, ns_t prop)
{
    memset(&net, 0, sizeof net);
    net.room = room;
    net.tx = tx;
    net.prop = prop;
    net.now = 12345;
}

static struct flow *
add_flow(enum cc_alg alg, uint32_t mss)
{
    struct flow *f = &net.flow[net.flows++];
    f->cc = (struct cc){.mss = mss, .alg = alg};
    cc_ops_of(alg)->start(&f->cc, net.now);
    return f;
}

static void
send_one(uint32_t i)
{
    struct flow *f = &net.flow[i];
    struct packet *p = &net.ring[net.tail++ % RING];
    cr_assert_leq(net.tail - net.head, RING);
    ns_t wait = net.free_at > net.now ? net.free_at - net.now : 0;
    uint64_t queue = (wait + net.tx - 1) / net.tx;
    *p = (struct packet){.sent = net.now, .flow = i};
    f->nxt++;
    f->flight++;
    net.queue_sum += queue;
    net.queue_n++;
    /* Some randomness near the end of the queue, or flows lose in step with each other. */
    p->lost = queue >= net.room || (queue > net.room / 2 && rnd(4 * net.room) == 0);
    if (!p->lost)
        net.free_at = net.now + wait + net.tx;
    p->back = max_u64(net.free_at, net.now) + net.prop;
}

static void
take_ack(struct flow *f, const struct packet *p)
{
    const struct cc_ops *ops = cc_ops_of(f->cc.alg);
    uint32_t mss = f->cc.mss, flight = f->flight--;
    f->una++;
    if (p->lost && !f->recovering) {
        f->recovering = true;
        f->recover = f->nxt;
        ops->loss(&f->cc, flight * mss, net.now);
        f->cc.cwnd = f->cc.ssthresh; /* in place of prr.c */
    }
    if (f->recovering && f->una >= f->recover) {
        f->recovering = false;
        ops->recovered(&f->cc, net.now);
    }
    if (p->lost)
        return;
    f->delivered++;
    ns_t rtt = net.now - p->sent;
    f->srtt = f->srtt == 0 ? rtt : f->srtt - f->srtt / 8 + rtt / 8;
    struct cc_ack a = {.acked = mss,
                       .flight = flight * mss,
                       .limited = (flight + 1) * mss > f->cc.cwnd,
                       .in_recovery = f->recovering,
                       .rtt = rtt,
                       .srtt = f->srtt,
                       .una = f->una * mss,
                       .nxt = f->nxt * mss};
    ops->ack(&f->cc, &a, net.now);
}

static void
run(ns_t for_ns)
{
    for (ns_t end = net.now + for_ns; net.now < end;) {
        for (uint32_t i = 0; i < net.flows; i++)
            while ((net.flow[i].flight + 1) * net.flow[i].cc.mss <= net.flow[i].cc.cwnd)
                send_one(i);
        cr_assert_neq(net.head, net.tail);
        const struct packet *p = &net.ring[net.head++ % RING];
        net.now = max_u64(net.now, p->back);
        take_ack(&net.flow[p->flow], p);
    }
}

/* Packets of each flow in the next `for_ns`. */
static void
count(ns_t for_ns, double got[FLOWS])
{
    net.queue_sum = net.queue_n = 0;
    for (uint32_t i = 0; i < net.flows; i++)
        net.flow[i].delivered = 0;
    run(for_ns);
    for (uint32_t i = 0; i < net.flows; i++)
        got[i] = (double)net.flow[i].delivered;
}

/* Two flows, the second begins later. */
static double
shares(enum cc_alg first, enum cc_alg second, ns_t tx, ns_t prop, ns_t for_ns)
{
    double got[FLOWS];
    net_init((uint32_t)(prop / tx), tx, prop);
    add_flow(first, 1448);
    run(for_ns / 8);
    add_flow(second, 1448);
    run(for_ns);
    count(for_ns, got);
    double all = (double)for_ns / (double)tx;
    cr_assert_gt(got[0] + got[1], 0.85 * all, "the link was used to %g",
                 (got[0] + got[1]) / all);
    return got[1] / got[0];
}

Test(flow, fair_among_themselves)
{
    for (unsigned alg = 0; alg < CC_ALGS; alg++) {
        double r = shares(alg, alg, 120 * NS_US, 20 * NS_MS, 300 * NS_S); /* 100 Mbit/s */
        cr_assert(r > 0.8 && r < 1.25, "%s: %g", cc_ops_of(alg)->name, r);
        r = shares(alg, alg, 12 * NS_US, 2 * NS_MS, 60 * NS_S); /* 1 Gbit/s */
        cr_assert(r > 0.8 && r < 1.25, "%s: %g", cc_ops_of(alg)->name, r);
    }
}

/* HyStart++ ends slow start long before a deep queue runs over: the path holds 1000 packets,
 * the queue 20000. Five rounds of a quarter more are 3 times of what it was when the RTT rose.
 */
Test(flow, cubic_starts_without_loss)
{
    net_init(20000, 100 * NS_US, 100 * NS_MS);
    struct flow *f = add_flow(CC_CUBIC, 1448);
    while (f->cc.ssthresh == SSTHRESH_NONE)
        run(NS_MS);
    cr_assert_not(f->recovering);
    cr_assert_eq(f->una, f->delivered);
    cr_assert_geq(f->cc.cwnd, 1000 * 1448);
    cr_assert_leq(f->cc.cwnd, 7000 * 1448);
}

/* Section 4.3 of RFC 9438: at short RTTs CUBIC gets what Reno gets. */
Test(flow, cubic_is_reno_friendly)
{
    double r = shares(CC_RENO, CC_CUBIC, 120 * NS_US, 10 * NS_MS, 300 * NS_S);
    cr_assert(r > 0.6 && r < 1.7, "%g", r);
}

Test(flow, vegas_keeps_few_packets_queued)
{
    static const struct {
        ns_t tx, prop;
    } path[] = {{1200, 30 * NS_US},
                {1200, 250 * NS_US},
                {12 * NS_US, 5 * NS_MS},
                {120 * NS_US, 80 * NS_MS}};
    for (unsigned i = 0; i < ARRAY_LEN(path); i++) {
        double got[FLOWS];
        net_init(1000, path[i].tx, path[i].prop);
        add_flow(CC_VEGAS, 1448);
        ns_t step = 2000 * (path[i].prop + 4 * path[i].tx);
        run(step);
        count(step, got);
        double mean = (double)net.queue_sum / (double)net.queue_n;
        cr_assert(mean >= 1 && mean <= 4.5, "path %u: %g packets wait", i, mean);
        cr_assert_gt(got[0] * (double)path[i].tx, 0.95 * (double)step, "path %u not full", i);
    }
}

/* A base RTT that no longer exists must not hold the window down for good, and measuring it
 * anew must not make the queue creep up. */
Test(flow, vegas_believes_a_longer_path)
{
    double got[FLOWS];
    net_init(1000, 12 * NS_US, NS_MS);
    add_flow(CC_VEGAS, 1448);
    run(2 * NS_S);
    net.prop = 10 * NS_MS;
    run(NS_S);
    count(NS_S, got);
    cr_assert_lt(got[0] * 12e-6, 0.5, "the path is not yet believed");
    run(40 * NS_S);
    count(20 * NS_S, got);
    cr_assert_gt(got[0] * 12e-6, 20 * 0.95);
    cr_assert_leq((double)net.queue_sum / (double)net.queue_n, 4.5);
}

/* On a path so short that a few packets are a third of its RTT, the base is out of sight for as
 * long as Vegas is at work. It is measured anew, with an empty queue: else every time would
 * take the queue for part of the path and add another one. */
Test(flow, vegas_does_not_creep)
{
    double got[FLOWS];
    net_init(1000, 12 * NS_US, 100 * NS_US);
    add_flow(CC_VEGAS, 1448);
    run(60 * NS_S);
    count(12 * NS_S, got);
    cr_assert_gt(got[0] * 12e-6, 12 * 0.95);
    cr_assert_leq((double)net.queue_sum / (double)net.queue_n, 4.5);
}

/* Anything in any order at the ends of every range: the windows stay within bounds, and an ACK
 * adds no more than it may. */
Test(extremes, anything)
{
    static const uint32_t mss_of[] = {88, 1448, 65000};
    static const ns_t rtt_of[] = {NS_US, 50 * NS_US, 10 * NS_MS, 60 * NS_S, 4000 * NS_S};
    for (unsigned i = 0; i < 3000; i++) {
        uint32_t mss = mss_of[rnd(3)];
        struct cc cc = {.mss = mss, .alg = (uint32_t)rnd(CC_ALGS)}, old;
        const struct cc_ops *ops = cc_ops_of(cc.alg);
        if (rnd(2)) {
            cc.cwnd = rnd(3) ? CWND_MAX - (uint32_t)rnd(2) : mss;
            cc.ssthresh = rnd(3) ? cc.cwnd / 2 + 2 * mss : 0;
        }
        ns_t now = rnd(2) * 30 * 86400 * NS_S, rtt = rtt_of[rnd(5)];
        uint64_t una = rnd(2) << 62;
        ops->start(&cc, now);
        old = cc;
        for (unsigned j = 0; j < 300; j++) {
            uint32_t flight = (uint32_t)rnd((uint64_t)cc.cwnd + 1), before = cc.cwnd;
            now += rnd(50) == 0 ? 30 * 86400 * NS_S : rnd(3) == 0 ? 0 : rtt;
            switch (rnd(40)) {
            case 0:
                old = cc;
                ops->loss(&cc, flight, now);
                cr_assert_eq(cc.cwnd, before, "cwnd is prr.c's");
                break;
            case 1:
                ops->recovered(&cc, now);
                cr_assert_eq(cc.cwnd, cc.ssthresh);
                break;
            case 2:
                ops->mark(&cc, flight, now);
                break;
            case 3:
                old = cc;
                ops->timeout(&cc, flight, now);
                cr_assert_eq(cc.cwnd, mss);
                break;
            case 4:
                ops->undo(&cc, old.cwnd, old.ssthresh, now);
                break;
            case 5:
                ops->idle(&cc, rtt, now);
                break;
            default: {
                uint32_t acked = rnd(3) ? flight : (uint32_t)rnd(mss);
                struct cc_ack a = {.acked = acked,
                                   .flight = flight,
                                   .limited = rnd(8) != 0,
                                   .in_recovery = rnd(20) == 0,
                                   .rtt = rnd(4) ? rtt + rnd(rtt / 4 + 1) : 0,
                                   .srtt = rtt,
                                   .una = una += acked};
                a.nxt = una + flight;
                ops->ack(&cc, &a, now);
                if (a.in_recovery)
                    cr_assert_eq(cc.cwnd, before);
                if (cc.alg != CC_VEGAS) {
                    cr_assert_geq(cc.cwnd, before);
                    cr_assert_leq(cc.cwnd, before + max_u32(acked, 2 * mss),
                                  "%s mss %u: from %u to %u by %u", ops->name, mss, before,
                                  cc.cwnd, acked);
                    cr_assert(a.limited || cc.cwnd == before);
                }
            }
            }
            cr_assert(cc.cwnd >= mss && cc.cwnd <= CWND_MAX, "%s: cwnd %u", ops->name, cc.cwnd);
            cr_assert(cc.ssthresh >= 2 * mss, "%s: ssthresh %u", ops->name, cc.ssthresh);
        }
    }
}
