/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loss recovery with selective acknowledgments: RFC 2018, 2883, 6675, 6937, 8985, 3522.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>

#include "tcp_kit.h"

#define MSS 1460u
#define RTT (20 * NS_MS)

static struct kit k;

/* A connection of a peer that has SACK, with a round trip of RTT behind it and a window that
 * does not limit. */
static struct conn
up(bool ts)
{
    struct conn c = conn_default();
    c.sack = true;
    c.ws = true;
    c.wscale = 4;
    c.ts = ts;
    conn_up_as(&k, &c);
    struct tcb *b = conn_tcb(&k, &c);
    b->srtt = b->min_rtt[0] = RTT;
    b->rttvar = RTT / 2;
    return c;
}

/* n full segments, sent one a millisecond. Their numbers begin at 1. */
static void
send_n(struct conn *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        kit_write(&k, c, MSS);
        const struct out_seg *o = kit_take(&k);
        cr_assert_not_null(o);
        cr_assert_eq(o->len, MSS);
        k.now += NS_MS;
    }
}

#define AT(n) (1 + (n)*MSS) /* number of segment n, from 0 */

/* RFC 2018 section 2: SACK-permitted is answered when it was offered, and not otherwise. */
Test(tcp_sack, permitted)
{
    for (unsigned offer = 0; offer < 2; offer++) {
        struct conn c = conn_default();
        c.sack = offer;
        kit_init(&k);
        kit_listen(&k, KIT_PORT, 5, NULL);
        conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
        const struct out_seg *o = kit_take(&k);
        cr_assert_not_null(o);
        cr_assert_eq(o->h.sack_ok, offer);
        kit_end(&k);
    }
}

/* RFC 2018 section 4: the first block is of the segment that caused the ACK, the others are
 * those reported most recently; what is acknowledged is not in a block. */
Test(tcp_sack, blocks_in_order_of_arrival)
{
    struct conn c = up(false);
    static const uint32_t at[] = {300, 100, 500, 700, 900};
    uint8_t d[100] = {0};
    const struct out_seg *o = NULL;
    for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
        conn_raw(&k, &c, TCP_ACK, 1 + at[i], 1, d, 100);
        o = kit_take(&k);
        cr_assert_not_null(o);
        cr_assert_eq(o->h.n_sack, min_u32(i + 1, 4));
        for (unsigned j = 0; j < o->h.n_sack; j++) {
            cr_assert_eq(o->h.sack[j].left, c.iss + 1 + at[i - j]);
            cr_assert_eq(o->h.sack[j].right, c.iss + 101 + at[i - j]);
        }
    }
    conn_raw(&k, &c, TCP_ACK, 1 + 600, 1, d, 100); /* joins 500 and 700 */
    o = kit_take(&k);
    cr_assert_eq(o->h.sack[0].left, c.iss + 501);
    cr_assert_eq(o->h.sack[0].right, c.iss + 801);
    cr_assert_eq(o->h.sack[1].left, c.iss + 901);
    conn_raw(&k, &c, TCP_ACK, 1, 1, d, 100); /* 0 to 200 are there now */
    o = kit_take(&k);
    cr_assert_eq(o->h.ack, c.iss + 201);
    cr_assert_eq(o->h.n_sack, 3);
}

/* RFC 2883 section 4.1: a duplicate is reported in the first block, below the acknowledgment
 * or, with a second block around it, above; once. */
Test(tcp_sack, duplicate_is_reported)
{
    struct conn c = up(false);
    uint8_t d[200] = {0};
    conn_send(&k, &c, TCP_ACK, 100);
    kit_drop(&k);
    conn_raw(&k, &c, TCP_ACK, 51, 1, d, 50);
    const struct out_seg *o = kit_take(&k);
    cr_assert_not_null(o);
    cr_assert_eq(o->h.ack, c.iss + 101);
    cr_assert_eq(o->h.n_sack, 1);
    cr_assert_eq(o->h.sack[0].left, c.iss + 51);
    cr_assert_eq(o->h.sack[0].right, c.iss + 101);
    conn_raw(&k, &c, TCP_ACK, 301, 1, d, 100);
    o = kit_take(&k);
    cr_assert_eq(o->h.n_sack, 1);
    cr_assert_eq(o->h.sack[0].left, c.iss + 301);
    conn_raw(&k, &c, TCP_ACK, 351, 1, d, 100); /* half of it is new */
    o = kit_take(&k);
    cr_assert_eq(o->h.n_sack, 2);
    cr_assert_eq(o->h.sack[0].left, c.iss + 351);
    cr_assert_eq(o->h.sack[0].right, c.iss + 401);
    cr_assert_eq(o->h.sack[1].left, c.iss + 301);
    cr_assert_eq(o->h.sack[1].right, c.iss + 451);
}

/* RFC 8985 6.2, no reordering seen yet: three segments beyond a hole are enough, and nothing
 * goes again but the hole. RFC 6937: the window at the end is ssthresh. */
Test(tcp_sack, hole_is_repaired)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    send_n(&c, 10);
    k.now += RTT;
    uint32_t blocks[1][2] = {{AT(2), AT(3)}};
    conn_ack(&k, &c, AT(1));
    conn_sack(&k, &c, AT(1), 1, blocks);
    blocks[0][1] = AT(4);
    conn_sack(&k, &c, AT(1), 1, blocks);
    EXPECT_NONE(&k);
    blocks[0][1] = AT(5);
    conn_sack(&k, &c, AT(1), 1, blocks);
    EXPECT_SEG(&k, &c, TCP_ACK, AT(1), 1, MSS);
    EXPECT_NONE(&k);
    cr_assert_eq(b->ca, CA_RECOVERY);
    uint32_t ssthresh = b->cc.ssthresh;
    cr_assert_leq(ssthresh, 5 * MSS);
    blocks[0][1] = AT(10);
    conn_sack(&k, &c, AT(1), 1, blocks);
    EXPECT_NONE(&k);
    k.now += RTT;
    conn_ack(&k, &c, AT(10));
    cr_assert_eq(b->ca, CA_OPEN);
    cr_assert_eq(b->cc.cwnd, ssthresh);
    cr_assert_eq(k.stats.v[STAT_tcp_retransmit], 1);
    EXPECT_NONE(&k);
}

/* A loss behind a repair is a second event, but not when a timeout has come in between: that
 * has taken the window down already (RFC 5681 3.1). */
Test(tcp_sack, timeout_answers_for_all)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    send_n(&c, 10);
    k.now += RTT;
    uint32_t blocks[1][2] = {{AT(1), AT(6)}};
    conn_sack(&k, &c, 1, 1, blocks);
    cr_assert_eq(b->ca, CA_RECOVERY);
    b->lost_beyond = true;
    while (k.stats.v[STAT_tcp_rto] == 0)
        kit_until_sent(&k, NS_S);
    kit_drop(&k);
    cr_assert_eq(b->ca, CA_LOSS);
    conn_ack(&k, &c, 1 + (uint32_t)(b->h.snd_max - 1));
    cr_assert_eq(b->ca, CA_OPEN);
    cr_assert_eq(k.stats.v[STAT_tcp_fast_retransmit], 1);
}

/* RFC 8985: a retransmission that is lost too is found by time, without a timeout. */
Test(tcp_sack, lost_retransmission)
{
    struct conn c = up(false);
    send_n(&c, 10);
    k.now += RTT;
    uint32_t blocks[1][2] = {{AT(1), AT(6)}};
    conn_sack(&k, &c, 1, 1, blocks);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, MSS);
    kit_write(&k, &c, 4 * MSS); /* room made by what arrived */
    kit_drop(&k);
    k.now += NS_MS;
    blocks[0][1] = AT(10);
    conn_sack(&k, &c, 1, 1, blocks);
    kit_drop(&k);
    k.now += RTT;
    blocks[0][1] = AT(11); /* sent after the retransmission, and there */
    conn_sack(&k, &c, 1, 1, blocks);
    k.now += RTT;
    kit_wait(&k, NS_MS);
    bool again = false;
    for (const struct out_seg *o; (o = kit_take(&k)) != NULL;)
        again |= o->h.seq == c.irs + 1;
    cr_assert(again, "the hole was not sent a third time");
    cr_assert_eq(k.stats.v[STAT_tcp_rto], 0);
}

/* RFC 8985 6.2 step 4: once reordering was seen a hole gets time, a quarter of the round trip;
 * if it fills by itself nothing is sent again. */
Test(tcp_sack, reordering_gets_time)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    send_n(&c, 8);
    k.now += RTT;
    uint32_t blocks[2][2] = {{AT(1), AT(2)}, {AT(1), AT(2)}};
    conn_sack(&k, &c, 1, 1, blocks);
    conn_ack(&k, &c, AT(2)); /* the first came after the second */
    cr_assert(b->rack.reordering);
    EXPECT_NONE(&k);
    blocks[0][0] = AT(3);
    blocks[0][1] = AT(6);
    conn_sack(&k, &c, AT(2), 1, blocks);
    EXPECT_NONE(&k);
    conn_ack(&k, &c, AT(6));
    EXPECT_NONE(&k);
    cr_assert_eq(b->ca, CA_OPEN);
    cr_assert_eq(k.stats.v[STAT_tcp_retransmit], 0);
}

/* ... and if it does not, it is sent again when the time is over, not at the next ACK. */
Test(tcp_sack, reordering_window_ends)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    send_n(&c, 4);
    k.now += RTT;
    b->rack.reordering = true;
    uint32_t blocks[1][2] = {{AT(1), AT(4)}};
    conn_sack(&k, &c, 1, 1, blocks);
    ns_t gap = kit_until_sent(&k, NS_S);
    cr_assert_lt(gap, RTT / 4 + 3 * NS_MS);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, MSS);
    cr_assert_eq(b->ca, CA_RECOVERY);
}

/* RFC 8985 section 7: a tail without an answer is probed after two round trips, not after the
 * retransmission timeout; the probe's acknowledgment alone tells congestion control. */
Test(tcp_sack, tail_loss_probe)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    kit_write(&k, &c, 3 * MSS);
    kit_drop(&k);
    b->cc.cwnd = 20 * MSS;
    ns_t gap = kit_until_sent(&k, NS_S);
    cr_assert(gap >= 2 * RTT && gap < 2 * RTT + 10 * NS_MS, "%lu", gap);
    EXPECT_SEG(&k, &c, TCP_ACK, AT(2), 1, MSS);
    EXPECT_NONE(&k);
    k.now += RTT;
    kit_write(&k, &c, MSS);
    kit_drop(&k);
    conn_ack(&k, &c, AT(4));
    cr_assert_lt(b->cc.cwnd, 20 * MSS, "the loss went unseen");
}

/* 7.4: if both copies arrived nothing was lost. */
Test(tcp_sack, tail_loss_probe_unneeded)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    kit_write(&k, &c, 3 * MSS);
    kit_drop(&k);
    b->cc.cwnd = 20 * MSS;
    kit_until_sent(&k, NS_S);
    kit_drop(&k);
    conn_ack(&k, &c, AT(3));
    uint32_t blocks[1][2] = {{AT(2), AT(3)}};
    conn_sack(&k, &c, AT(3), 1, blocks);
    cr_assert_geq(b->cc.cwnd, 20 * MSS);
    cr_assert_eq(b->tlp_end, 0);
}

/* RFC 3522: the time stamp says that the first transmission was answered: the timeout was
 * spurious, the window is as before, and nothing more goes again. */
Test(tcp_sack, spurious_timeout_is_undone)
{
    struct conn c = up(true);
    struct tcb *b = conn_tcb(&k, &c);
    kit_write(&k, &c, 5 * (MSS - 12));
    c.ts_ecr = kit_take(&k)->h.ts_val;
    kit_drop(&k);
    uint32_t cwnd = b->cc.cwnd;
    while (k.stats.v[STAT_tcp_rto] == 0)
        kit_until_sent(&k, NS_S);
    kit_drop(&k);
    cr_assert_eq(b->cc.cwnd, b->h.mss);
    conn_ack(&k, &c, 1 + 2 * b->h.mss); /* echoes the first one's */
    cr_assert_geq(b->cc.cwnd, cwnd);
    cr_assert_eq(b->ca, CA_OPEN);
    cr_assert_eq(b->lost, 0);
    EXPECT_NONE(&k);
}

/* A hole that fills before anything was sent again was reordering, time stamps or not. */
Test(tcp_sack, undone_before_it_began)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    send_n(&c, 10);
    uint32_t cwnd = b->cc.cwnd;
    k.now += RTT;
    uint32_t blocks[1][2] = {{AT(1), AT(5)}};
    b->opt.max_pacing = 1000; /* the repair has to wait */
    b->pace_next = k.now + NS_S;
    conn_sack(&k, &c, 1, 1, blocks);
    cr_assert_eq(b->ca, CA_RECOVERY);
    EXPECT_NONE(&k);
    conn_ack(&k, &c, AT(10));
    cr_assert_eq(b->ca, CA_OPEN);
    cr_assert_geq(b->cc.cwnd, cwnd);
}

/* RFC 2883, 3708: everything that was sent again arrived twice: the repair was for nothing. */
Test(tcp_sack, dsack_undoes)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    send_n(&c, 10);
    uint32_t cwnd = b->cc.cwnd;
    k.now += RTT;
    uint32_t blocks[1][2] = {{AT(1), AT(5)}};
    conn_sack(&k, &c, 1, 1, blocks);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, MSS);
    conn_ack(&k, &c, AT(10));
    blocks[0][0] = AT(0);
    blocks[0][1] = AT(1);
    conn_sack(&k, &c, AT(10), 1, blocks);
    cr_assert_geq(b->cc.cwnd, cwnd);
    cr_assert_eq(b->rack.mult, 2, "the reordering window grows");
}

/* The same when the path has marked a segment since then: the window was wanted smaller, the
 * repair was for nothing or not (RFC 3168 6.1.2). */
Test(tcp_sack, mark_is_not_undone)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    b->h.bits |= H_ECN;
    send_n(&c, 10);
    k.now += RTT;
    conn_sack(&k, &c, 1, 1, (uint32_t[][2]){{AT(1), AT(5)}});
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, MSS);
    conn_ack(&k, &c, AT(10));
    send_n(&c, 2);
    conn_raw(&k, &c, TCP_ACK | TCP_ECE, c.snd, AT(11), NULL, 0);
    uint32_t cwnd = b->cc.cwnd;
    conn_sack(&k, &c, AT(11), 1, (uint32_t[][2]){{AT(0), AT(1)}});
    cr_assert_leq(b->cc.cwnd, cwnd);
}

/* RFC 2018 section 8: the peer may drop what it had SACKed: after a timeout with the first of
 * it still missing, all goes again. */
Test(tcp_sack, reneging)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    send_n(&c, 4);
    uint32_t blocks[1][2] = {{AT(1), AT(4)}};
    conn_sack(&k, &c, 1, 1, blocks);
    conn_ack(&k, &c, AT(1)); /* the hole is filled: the rest should be acknowledged too */
    kit_drop(&k);
    bool seen[4] = {0};
    for (unsigned i = 0; i < 8; i++) {
        kit_until_sent(&k, 10 * NS_S);
        for (const struct out_seg *o; (o = kit_take(&k)) != NULL;)
            seen[(o->h.seq - c.irs - 1) / MSS] = true;
        conn_ack(&k, &c, AT(i < 3 ? 1 + i : 4));
    }
    cr_assert(seen[1] && seen[2] && seen[3]);
    cr_assert_eq(b->h.snd_una, AT(4));
}

/* Blocks that say nothing sensible (never sent, reversed, overlapping, of the future) change
 * nothing; the sums over the list stay right (tcp_validate). */
Test(tcp_sack, hostile_blocks)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    send_n(&c, 6);
    uint32_t n = 12345;
    for (unsigned i = 0; i < 3000; i++) {
        uint32_t blocks[4][2];
        for (unsigned j = 0; j < 4; j++)
            for (unsigned e = 0; e < 2; e++) {
                n = n * 1664525u + 1013904223u;
                blocks[j][e] = n & 1 ? n >> 8 : (n >> 8) % (7 * MSS);
            }
        conn_sack(&k, &c, 1, 1 + (n >> 20) % 4, blocks);
        kit_drop(&k);
        cr_assert(tcp_validate(k.t), "round %u", i);
        k.now += NS_MS;
        if (i % 100 == 0)
            kit_wait(&k, 50 * NS_MS);
        kit_drop(&k);
    }
    cr_assert_leq(b->sacked, 6 * MSS);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    conn_ack(&k, &c, AT(6));
    cr_assert_eq(b->sent.n, 0);
    cr_assert_eq(b->sacked + b->lost, 0);
}

/* A list that may not grow gets coarser and stays right: no session takes more than its share
 * of the runs, and with the promised two every byte still gets there. */
Test(tcp_sack, runs_run_out)
{
    struct conn c = up(false);
    struct tcb *b = conn_tcb(&k, &c);
    k.t->runs_used[c.client] = k.t->runs.extra; /* as if its other sessions held them */
    b->cc.cwnd = 40 * MSS;
    send_n(&c, 30);
    cr_assert_leq(b->sent.n, RUNS_SURE);
    k.now += RTT;
    uint32_t blocks[3][2] = {{AT(20), AT(30)}, {AT(10), AT(15)}, {AT(2), AT(4)}};
    conn_sack(&k, &c, AT(1), 3, blocks);
    cr_assert(sent_valid(k.t, b));
    bool seen[30] = {0};
    for (unsigned i = 0; i < 200 && b->h.snd_una < AT(30); i++) {
        kit_until_sent(&k, 10 * NS_S);
        uint32_t first = 30;
        for (const struct out_seg *o; (o = kit_take(&k)) != NULL;)
            seen[(o->h.seq - c.irs - 1) / MSS] = true;
        for (uint32_t s = 30; s-- > 1;)
            first = seen[s] || (s >= 20) ? first : s;
        conn_ack(&k, &c, max_u32(c.rcv, AT(first)));
        cr_assert(sent_valid(k.t, b));
    }
    cr_assert_eq(b->h.snd_una, AT(30));
    k.t->runs_used[c.client] = 0;
}
