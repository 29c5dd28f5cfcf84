/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a path does to segments: marks (RFC 3168), size limits that nobody tells of (RFC 4821,
 * 8899), and a rate that pacing follows.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>

#include "tcp_kit.h"

#define MSS 1460u
#define RTT (20 * NS_MS)

static struct kit k;
static bool pacing;
static uint8_t answer; /* what the SYN-ACK said of ECN */

/* A connection whose peer asked for ECN with these flags in its SYN. */
static struct conn
up(uint8_t ecn, uint8_t policy)
{
    struct conn c = conn_default();
    kit_prepare(&k);
    k.cfg.ecn = policy;
    k.cfg.pacing = pacing;
    kit_start(&k);
    cr_assert_neq(kit_listen(&k, KIT_PORT, 5, NULL), SESS_NONE);
    c.sack = c.ws = true;
    c.wscale = 4;
    const struct out_seg *o = conn_syn(&k, &c, ecn);
    cr_assert_not_null(o);
    answer = o->h.flags & (TCP_ECE | TCP_CWR);
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
    kit_step(&k, NULL, 0);
    struct tcb *b = conn_tcb(&k, &c);
    b->srtt = b->min_rtt[0] = RTT;
    b->rttvar = RTT / 2;
    return c;
}

/* So much to send, and a window that does not limit it. */
static void
write_wide(struct conn *c, uint32_t len)
{
    c->wnd = 0x7fff;
    conn_ack(&k, c, 1);
    kit_write(&k, c, len);
}

static void
arrive_marked(struct conn *c, uint8_t flags, uint8_t tos)
{
    uint8_t data[100];
    for (uint32_t i = 0; i < sizeof data; i++)
        data[i] = kit_byte(c->snd - 1 + i);
    struct in_seg s = conn_seg(c, (uint8_t)(TCP_ACK | flags), c->snd, c->rcv);
    s.data = data;
    s.len = sizeof data;
    struct pkt p[4];
    unsigned n = kit_segment(&k, &s, p);
    p[0].tos = tos;
    kit_step(&k, p, n);
    c->snd += sizeof data;
}

/* RFC 3168 6.1.1: ECE alone answers ECE and CWR together, if policy allows; nothing answers a
 * SYN that has only one of them (it may be an echo of a broken host). */
Test(tcp_path, ecn_is_negotiated)
{
    static const struct {
        uint8_t ask, policy, answer;
    } t[] = {
        {TCP_ECE | TCP_CWR, ECN_ANSWER, TCP_ECE},
        {TCP_ECE | TCP_CWR, ECN_ASK, TCP_ECE},
        {TCP_ECE | TCP_CWR, ECN_OFF, 0},
        {TCP_ECE, ECN_ANSWER, 0},
        {TCP_CWR, ECN_ANSWER, 0},
        {0, ECN_ASK, 0},
    };
    for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
        struct conn c = up(t[i].ask, t[i].policy);
        cr_assert_eq(answer, t[i].answer, "case %u", i);
        cr_assert_eq((conn_tcb(&k, &c)->h.bits & H_ECN) != 0, answer != 0);
        kit_end(&k);
    }
}

/* 6.1.1.1: who asks does so with ECE and CWR; the SYN that goes again after a timeout does not
 * ask: something on the way may drop it. */
Test(tcp_path, ecn_is_asked_for_once)
{
    struct conn c = conn_default();
    kit_prepare(&k);
    k.cfg.ecn = ECN_ASK;
    kit_start(&k);
    c.sess = kit_open(&k, 0, &c.slot);
    cr_assert_eq(kit_connect(&k, c.sess, KIT_PEER, 4000), 0);
    kit_step(&k, NULL, 0);
    const struct out_seg *o = kit_take(&k);
    cr_assert_eq(o->h.flags, TCP_SYN | TCP_ECE | TCP_CWR);
    kit_until_sent(&k, 5 * NS_S);
    o = kit_take(&k);
    cr_assert_eq(o->h.flags, TCP_SYN);
}

/* 6.1.3: every ACK says ECE from a mark on until CWR comes. */
Test(tcp_path, mark_is_echoed_until_cwr)
{
    struct conn c = up(TCP_ECE | TCP_CWR, ECN_ANSWER);
    arrive_marked(&c, 0, ECN_ECT0);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, c.snd, 0);
    arrive_marked(&c, 0, ECN_CE);
    EXPECT_SEG(&k, &c, TCP_ACK | TCP_ECE, 1, c.snd, 0);
    arrive_marked(&c, 0, ECN_ECT0);
    EXPECT_SEG(&k, &c, TCP_ACK | TCP_ECE, 1, c.snd, 0);
    arrive_marked(&c, TCP_CWR, ECN_ECT0);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, c.snd, 0);
    arrive_marked(&c, TCP_CWR, ECN_CE); /* marked again on the way */
    EXPECT_SEG(&k, &c, TCP_ACK | TCP_ECE, 1, c.snd, 0);
}

/* 6.1.2: half the window, once a round trip, nothing is sent again, CWR on the next new data.
 * 6.1.4, 6.1.5: ECT on new data, on nothing else. */
Test(tcp_path, echo_halves_once)
{
    struct conn c = up(TCP_ECE | TCP_CWR, ECN_ANSWER);
    struct tcb *b = conn_tcb(&k, &c);
    kit_write(&k, &c, 10 * MSS);
    for (const struct out_seg *o; (o = kit_take(&k)) != NULL;) {
        cr_assert_eq(o->p.tos & ECN_MASK, ECN_ECT0);
        cr_assert_eq(o->h.flags & (TCP_CWR | TCP_ECE), 0);
    }
    k.now += RTT;
    conn_raw(&k, &c, TCP_ACK | TCP_ECE, c.snd, 1 + MSS, NULL, 0);
    uint32_t cwnd = b->cc.cwnd;
    cr_assert_leq(cwnd, 5 * MSS);
    conn_raw(&k, &c, TCP_ACK | TCP_ECE, c.snd, 1 + 2 * MSS, NULL, 0);
    cr_assert_geq(b->cc.cwnd, cwnd, "twice in a round trip");
    kit_write(&k, &c, MSS);
    conn_ack(&k, &c, 1 + 10 * MSS);
    const struct out_seg *o = kit_take(&k);
    cr_assert_not_null(o);
    cr_assert(o->h.flags & TCP_CWR);
    cr_assert_eq(k.stats.v[STAT_tcp_retransmit], 0);
    kit_drop(&k);
    while (k.stats.v[STAT_tcp_retransmit] == 0)
        kit_until_sent(&k, NS_S);
    o = kit_take(&k);
    cr_assert_eq(o->p.tos & ECN_MASK, 0, "a retransmission is not ECT");
    arrive_marked(&c, 0, 0);
    kit_wait(&k, NS_S / 2);
    while ((o = kit_take(&k)) != NULL)
        cr_assert(o->len != 0 || (o->p.tos & ECN_MASK) == 0, "an ACK is not ECT");
}

/* A path that drops what is longer than `limit` bytes of payload and says nothing. Returns how
 * much was acknowledged after the time. */
static uint32_t
black_hole(struct conn *c, uint32_t limit, uint32_t total, ns_t time)
{
    static bool there[400000];
    memset(there, 0, sizeof there);
    ns_t end = k.now + time;
    while (c->rcv <= total && k.now < end) {
        bool any = false;
        for (const struct out_seg *o; (o = kit_take(&k)) != NULL; any = true) {
            uint32_t at = o->h.seq - c->irs;
            cr_assert_leq(at + o->len, ARRAY_LEN(there));
            for (uint32_t i = 0; i < o->len && o->len <= limit; i++)
                there[at + i] = true;
        }
        uint32_t rcv = c->rcv;
        while (rcv < ARRAY_LEN(there) && there[rcv])
            rcv++;
        if (!any) {
            kit_until_sent(&k, 100 * NS_S);
            continue;
        }
        k.now += RTT;
        uint32_t blocks[1][2] = {{0, 0}};
        for (uint32_t i = rcv; i < ARRAY_LEN(there) && blocks[0][1] == 0; i++)
            if (there[i] && blocks[0][0] == 0)
                blocks[0][0] = i;
            else if (!there[i] && blocks[0][0] != 0)
                blocks[0][1] = i;
        conn_sack(&k, c, rcv, blocks[0][1] != 0, blocks);
    }
    return c->rcv - 1;
}

/* RFC 4821: a black hole for large segments is survived, and the largest size that fits is
 * found by probes whose loss does not slow down. */
Test(tcp_path, black_hole_is_survived)
{
    struct conn c = up(0, ECN_OFF);
    struct tcb *b = conn_tcb(&k, &c);
    const uint32_t total = 100 * MSS;
    write_wide(&c, total);
    cr_assert_eq(black_hole(&c, 1300, total, 60 * NS_S), total);
    cr_assert(b->h.mss <= 1300 && b->h.mss > 1300 - 100, "mss %u", b->h.mss);
    cr_assert_geq(k.stats.v[STAT_tcp_mtu_reduced], 1);
    cr_assert_geq(k.stats.v[STAT_tcp_mtu_raised], 1);
    cr_assert(tcp_validate(k.t));
}

/* A path that lost everything for a while was no black hole: the size comes back at once. */
Test(tcp_path, outage_does_not_keep_segments_small)
{
    struct conn c = up(0, ECN_OFF);
    struct tcb *b = conn_tcb(&k, &c);
    const uint32_t total = 100 * MSS;
    write_wide(&c, total);
    for (unsigned i = 0; i < 12 && b->h.mss == MSS; i++) {
        kit_until_sent(&k, 100 * NS_S);
        kit_drop(&k);
    }
    cr_assert_lt(b->h.mss, MSS);
    cr_assert_eq(black_hole(&c, 9000, total, 60 * NS_S), total);
    cr_assert_geq(b->h.mss, MSS - 40, "mss %u", b->h.mss);
}

/* No probe while a SACK block (here of a duplicate) takes room from the segment: with it the
 * size tried would be beyond what the path is thought to take. */
Test(tcp_path, no_probe_beside_sack_blocks)
{
    struct conn c = up(0, ECN_OFF);
    struct tcb *b = conn_tcb(&k, &c);
    mss_set(b, 1024);
    b->plp.next = k.now;
    sack_duplicate(b, 1, 2);
    kit_write(&k, &c, 5 * 1024 + MSS); /* enough for a probe and what must follow it */
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 1024 - 12);
    EXPECT_SEG(&k, &c, TCP_ACK, 1 + 1024 - 12, 1, MSS); /* the block is told */
}

/* There was no frame for a probe, and its bytes go in pieces: that these arrive says nothing of
 * the size. */
Test(tcp_path, pieces_of_a_probe_prove_nothing)
{
    struct conn c = up(0, ECN_OFF);
    struct tcb *b = conn_tcb(&k, &c);
    uint32_t n_free = k.t->pool.n_free;
    mss_set(b, 1024);
    b->plp.next = k.now;
    k.t->pool.n_free = 0;
    kit_write(&k, &c, 10 * 1024);
    cr_assert_eq(kit_pending(&k), 0);
    cr_assert_eq(b->plp.right - b->plp.left, MSS);
    k.t->pool.n_free = n_free;
    kit_step(&k, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 1024);
    kit_drop(&k);
    conn_ack(&k, &c, (uint32_t)b->snd_nxt);
    cr_assert_eq(b->h.mss, 1024);
    cr_assert_eq(k.stats.v[STAT_tcp_mtu_raised], 0);
}

/* A window leaves spread over the round trip, not in one burst; and all of it leaves. */
Test(tcp_path, paced)
{
    pacing = true;
    struct conn c = up(0, ECN_OFF);
    struct tcb *b = conn_tcb(&k, &c);
    b->cc.cwnd = 60 * MSS;
    b->cc.ssthresh = 30 * MSS;
    write_wide(&c, 60 * MSS);
    unsigned burst = kit_pending(&k), n = burst;
    kit_drop(&k);
    cr_assert_lt(burst, 20);
    for (unsigned ms = 0; ms < 19; ms++) {
        kit_wait(&k, NS_MS);
        cr_assert_leq(kit_pending(&k), 15, "in one millisecond");
        n += kit_pending(&k);
        kit_drop(&k);
    }
    cr_assert_eq(n, 60);
}
