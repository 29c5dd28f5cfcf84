/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The decisions of bulkhead-wire, in virtual time: that chance is as often as it says and the
 * same for a seed, that the rate and the queue are kept to, and what it does to a frame.
 */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>

#include "bench/wire/way.h"
#include "wire/csum.h"

#define RING 4096u
#define MANY 200000u

static struct way_waiting ring[RING];
static uint8_t packet[1514];

/* A TCP packet of an IP length, may be not fragmented, ECN as given. */
static struct frame
frame_of(uint32_t ip_len, uint8_t ecn)
{
    uint8_t *ip = packet + FRAME_ETH;
    memset(packet, 0, sizeof packet);
    memset(packet, 0x02, 6);
    memset(packet + 6, 0x04, 6);
    put_be16(packet + 12, 0x0800);
    ip[0] = 0x45;
    ip[1] = ecn;
    put_be16(ip + 2, (uint16_t)ip_len);
    put_be16(ip + 6, 0x4000);
    ip[8] = 64;
    ip[9] = 6;
    put_be32(ip + 12, 0x0a000001);
    put_be32(ip + 16, 0x0a000002);
    uint16_t sum = (uint16_t)~csum_fold(csum_bytes(ip, 20));
    memcpy(ip + 10, &sum, 2);
    struct frame f = frame_look(packet, FRAME_ETH + ip_len);
    cr_assert_eq(f.version, 4);
    return f;
}

static struct way
way_of(const struct way_conf *c, uint64_t seed)
{
    struct way w;
    way_init(&w, c, seed, 0, ring, RING);
    return w;
}

static void
near(double got, double want, double of, const char *what)
{
    cr_assert(fabs(got - want) <= of * want, "%s: %g, not about %g", what, got, want);
}

/* Protects: what is set to happen with a probability happens about as often, and each kind of
 * trouble apart from the others. */
Test(badwire, chance_is_as_often_as_it_says)
{
    struct way_conf c = way_perfect();
    c.loss = 0.01;
    c.duplicate = 0.02;
    c.corrupt = 0.03;
    c.mark = 0.04;
    c.reorder = 0.05;
    struct way w = way_of(&c, 7);
    struct frame f = frame_of(1500, 2);
    unsigned copies = 0, held = 0, twofold = 0;
    for (unsigned i = 0; i < MANY; i++) {
        struct way_verdict v = way_input(&w, &f, i);
        copies += v.fate == WAY_PASSES && v.copies == 2;
        held += v.held;
        twofold += v.held && v.mark;
    }
    double passed = (double)(MANY - w.count.lost);
    near((double)w.count.lost, 0.01 * MANY, 0.1, "lost");
    near((double)w.count.duplicated, 0.02 * passed, 0.1, "duplicated");
    near((double)w.count.corrupted, 0.03 * passed, 0.1, "corrupted");
    near((double)w.count.marked, 0.04 * passed, 0.1, "marked");
    near((double)w.count.reordered, 0.05 * passed, 0.1, "reordered");
    near(twofold, 0.04 * 0.05 * passed, 0.2, "marked and reordered");
    cr_assert_eq(copies, w.count.duplicated);
    cr_assert_eq(held, w.count.reordered);
    cr_assert_eq(w.count.packets, MANY);
}

/* Protects: the same seed loses the same packets, also when something else is set besides;
 * another seed or the other direction loses others. ARP takes no packet's luck. */
Test(badwire, the_seed_decides)
{
    enum { N = 5000 };
    static bool lost[5][N];
    struct frame ip = frame_of(1500, 0);
    uint8_t arp_bytes[60] = {[12] = 0x08, [13] = 0x06};
    struct frame arp = frame_look(arp_bytes, sizeof arp_bytes);
    for (unsigned run = 0; run < 5; run++) {
        struct way_conf c = way_perfect();
        c.loss = 0.05;
        c.duplicate = run == 1 ? 0.3 : 0;
        c.jitter = run == 1 ? NS_MS : 0;
        struct way w;
        way_init(&w, &c, run == 2 ? 8 : 7, run == 3, ring, RING);
        for (unsigned i = 0; i < N; i++) {
            if (run == 4 && i % 3 == 0)
                cr_assert_eq(way_input(&w, &arp, i).fate, WAY_PASSES);
            lost[run][i] = way_input(&w, &ip, i).fate == WAY_LOST;
        }
    }
    cr_assert_eq(memcmp(lost[0], lost[1], sizeof lost[0]), 0);
    cr_assert_neq(memcmp(lost[0], lost[2], sizeof lost[0]), 0);
    cr_assert_neq(memcmp(lost[0], lost[3], sizeof lost[0]), 0);
    cr_assert_eq(memcmp(lost[0], lost[4], sizeof lost[0]), 0);
}

/* Protects: bursts (Gilbert-Elliott) have the length and the share that the chances give. */
Test(badwire, losses_come_in_bursts)
{
    struct way_conf c = way_perfect();
    c.burst_enter = 0.005;
    c.burst_leave = 0.2;
    struct way w = way_of(&c, 3);
    struct frame f = frame_of(1500, 0);
    unsigned bursts = 0;
    bool before = false;
    for (unsigned i = 0; i < MANY; i++) {
        bool lost = way_input(&w, &f, i).fate == WAY_LOST;
        bursts += lost && !before;
        before = lost;
    }
    near((double)w.count.lost / bursts, 1 / 0.2, 0.1, "length of a burst");
    near((double)w.count.lost, 0.005 / 0.205 * MANY, 0.1, "lost");
    cr_assert_eq(w.count.lost, w.count.lost_in_bursts);
}

/* Protects: at a limited rate packets arrive as far apart as the rate says, the first one delay
 * and its own time after it came; none earlier than the delay. */
Test(badwire, the_rate_spaces_packets)
{
    struct way_conf c = way_perfect();
    c.rate = 100000000;
    c.delay = 10 * NS_MS;
    struct way w = way_of(&c, 1);
    struct frame f = frame_of(1500, 0);
    ns_t each = (1514 + 24) * 8 * 10; /* 10 ns a bit */
    for (unsigned i = 0; i < 50; i++) {
        struct way_verdict v = way_input(&w, &f, NS_S);
        cr_assert_eq(v.fate, WAY_PASSES);
        cr_assert_eq(v.due, NS_S + 10 * NS_MS + (i + 1) * each);
    }
    /* After a pause nothing is left of the queue. */
    cr_assert_eq(way_input(&w, &f, 2 * NS_S).due, 2 * NS_S + 10 * NS_MS + each);
}

/* Protects: the queue holds what it may and drops the rest, in bytes and in packets, and takes
 * again what has left makes room for. */
Test(badwire, the_queue_is_bounded)
{
    struct way_conf c = way_perfect();
    c.rate = 10000000;
    c.queue_bytes = 15140;
    struct frame f = frame_of(1500, 0);
    for (unsigned packets = 0; packets < 2; packets++) {
        if (packets) {
            c.queue_bytes = 0;
            c.queue_packets = 10;
        }
        struct way w = way_of(&c, 1);
        for (unsigned i = 0; i < 30; i++)
            cr_assert_eq(way_input(&w, &f, 0).fate, i < 10 ? WAY_PASSES : WAY_QUEUE_FULL);
        cr_assert_eq(w.count.queue_drops, 20);
        cr_assert_eq(w.count.max_queue_packets, 10);
        cr_assert_eq(w.count.max_queue_bytes, 15140);
        ns_t two = 2ull * (1514 + 24) * 8 * 100;
        for (unsigned i = 0; i < 3; i++)
            cr_assert_eq(way_input(&w, &f, two).fate, i < 2 ? WAY_PASSES : WAY_QUEUE_FULL);
    }
}

/* Protects: above the threshold ECN is marked where it is understood, and only there. */
Test(badwire, a_long_queue_marks)
{
    struct way_conf c = way_perfect();
    c.rate = 10000000;
    c.queue_packets = 100;
    c.mark_above = 5 * 1514;
    for (uint8_t ecn = 0; ecn < 4; ecn++) {
        struct way w = way_of(&c, 1);
        struct frame f = frame_of(1500, ecn);
        for (unsigned i = 0; i < 20; i++)
            cr_assert_eq(way_input(&w, &f, 0).mark, ecn != 0 && i >= 5);
        cr_assert_eq(w.count.marked, ecn != 0 ? 15 : 0);
    }
}

/* Protects: jitter delays from nothing to all of it, and never changes the order. */
Test(badwire, jitter_keeps_the_order)
{
    struct way_conf c = way_perfect();
    c.delay = 5 * NS_MS;
    c.jitter = 2 * NS_MS;
    struct way w = way_of(&c, 1);
    struct frame f = frame_of(100, 0);
    ns_t last = 0, least = NS_NEVER, most = 0;
    for (unsigned i = 0; i < 10000; i++) {
        ns_t now = i * 300 * NS_US;
        struct way_verdict v = way_input(&w, &f, now);
        cr_assert_geq(v.due, last);
        last = v.due;
        least = min_u64(least, v.due - now);
        most = max_u64(most, v.due - now);
    }
    cr_assert_geq(least, 5 * NS_MS);
    cr_assert_leq(most, 7 * NS_MS);
    cr_assert_gt(most - least, 19 * NS_MS / 10);
}

/* Protects: what does not fit the MTU is dropped only if it may not be fragmented, and answered
 * unless the wire is a black hole. */
Test(badwire, the_mtu_is_kept)
{
    struct way_conf c = way_perfect();
    c.mtu = 1400;
    struct way w = way_of(&c, 1);
    struct frame fits = frame_of(1400, 0);
    cr_assert_eq(way_input(&w, &fits, 0).fate, WAY_PASSES);
    struct frame f = frame_of(1401, 0);
    struct way_verdict v = way_input(&w, &f, 0);
    cr_assert_eq(v.fate, WAY_TOO_LONG);
    cr_assert(v.answer);
    w.conf.mtu_silent = 1;
    cr_assert_not(way_input(&w, &f, 0).answer);
    f.df = false;
    cr_assert_eq(way_input(&w, &f, 0).fate, WAY_PASSES);
    cr_assert_eq(w.count.too_long, 2);
    cr_assert_eq(w.count.answered, 1);
}

/* Protects: the ICMP message is whole, comes from whom it was sent to, and says the MTU; errors
 * are not answered with errors. */
Test(badwire, the_answer_is_a_routers)
{
    uint8_t out[FRAME_ANSWER_MAX];
    struct frame f = frame_of(1401, 0);
    uint32_t len = frame_too_big(&f, 1400, out);
    cr_assert_eq(len, 14 + 20 + 8 + 28);
    cr_assert_eq(csum_fold(csum_bytes(out + 14, 20)), 0xffff);
    cr_assert_eq(csum_fold(csum_bytes(out + 34, 36)), 0xffff);
    cr_assert_eq(memcmp(out, packet + 6, 6), 0);
    cr_assert_eq(be32(out + 26), 0x0a000002);
    cr_assert_eq(be32(out + 30), 0x0a000001);
    cr_assert_eq(be16(out + 34), 0x0304);
    cr_assert_eq(be16(out + 40), 1400);
    cr_assert_eq(memcmp(out + 42, packet + 14, 28), 0);

    cr_assert(frame_may_answer(&f));
    packet[14 + 9] = 1;
    packet[34] = 8;
    cr_assert(frame_may_answer(&f));
    packet[34] = 3;
    cr_assert_not(frame_may_answer(&f));
}

/* Protects: a mark leaves the header's checksum right, and a flip is one bit behind the header
 * that leaves every checksum alone. */
Test(badwire, marks_are_sound_and_flips_are_not)
{
    struct frame f = frame_of(1000, 2);
    uint8_t was[1514];
    frame_mark(&f);
    cr_assert_eq(packet[15], 3);
    cr_assert_eq(csum_fold(csum_bytes(packet + 14, 20)), 0xffff);
    memcpy(was, packet, sizeof was);
    for (uint64_t luck = 0; luck < 9000; luck += 7) {
        unsigned bits = 0;
        cr_assert(frame_flip(&f, luck));
        for (unsigned i = 0; i < sizeof was; i++) {
            cr_assert(was[i] == packet[i] || (i >= 34 && i < 1014));
            bits += (unsigned)__builtin_popcount(was[i] ^ packet[i]);
        }
        cr_assert_eq(bits, 1);
        memcpy(packet, was, sizeof was);
    }
    f = frame_of(20, 0);
    cr_assert_not(frame_flip(&f, 5));
}

/* Protects: a frame that says more than it holds is no IP packet, and is not read past its end
 * (with sanitizers). */
Test(badwire, short_frames_are_not_looked_into)
{
    frame_of(1500, 0);
    for (uint32_t len = 0; len < 1514; len++) {
        uint8_t *exact = malloc(len > 0 ? len : 1);
        memcpy(exact, packet, len);
        cr_assert_eq(frame_look(exact, len).version, 0);
        free(exact);
    }
}
