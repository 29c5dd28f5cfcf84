/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loss and time: congestion control (RFC 5681, 6928), NewReno (RFC 6582), the retransmission
 * timer (RFC 6298), zero windows (RFC 9293 3.8.6.1), keepalives (3.8.4) and giving up (3.8.3).
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tcp_kit.h"

#define MSS 1460u

static struct kit k;

/* Take n full segments from number seq on. */
static void
expect_burst(const struct conn *c, uint32_t seq, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        EXPECT_SEG(&k, c, TCP_ACK, seq + i * MSS, c->snd, MSS);
}

/* RFC 6928 section 2: ten segments at first. RFC 5681 3.1: in slow start a segment more for
 * each one acknowledged. */
Test(tcp_loss, slow_start)
{
    struct conn c = conn_up(&k);
    kit_write(&k, &c, 60000);
    expect_burst(&c, 1, 10);
    EXPECT_NONE(&k);
    conn_ack(&k, &c, 1 + MSS);
    expect_burst(&c, 1 + 10 * MSS, 2);
    EXPECT_NONE(&k);
    conn_ack(&k, &c, 1 + 3 * MSS);
    expect_burst(&c, 1 + 12 * MSS, 4);
    EXPECT_NONE(&k);
    cr_assert_eq(conn_tcb(&k, &c)->cc.cwnd, 13 * MSS);
}

/* RFC 5681 3.1 equation 3: above ssthresh one segment for each window acknowledged. */
Test(tcp_loss, congestion_avoidance)
{
    struct conn c = conn_up(&k);
    struct tcb *b = conn_tcb(&k, &c);
    b->cc.ssthresh = b->cc.cwnd = 4 * MSS;
    kit_write(&k, &c, 100000);
    uint32_t una = 1;
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(b->cc.cwnd, 4 * MSS);
        conn_ack(&k, &c, una += MSS);
    }
    cr_assert_eq(b->cc.cwnd, 5 * MSS);
    for (unsigned i = 0; i < 5; i++)
        conn_ack(&k, &c, una += MSS);
    cr_assert_eq(b->cc.cwnd, 6 * MSS);
}

/* RFC 5681 3.2: the third duplicate ACK, not the second, sends the first hole again; a window
 * update or data is no duplicate. RFC 6582 3.2: each partial acknowledgment the next hole; the
 * full one ends it with half the window. */
Test(tcp_loss, fast_retransmit_and_newreno)
{
    struct conn c = conn_up(&k);
    struct tcb *b = conn_tcb(&k, &c);
    kit_write(&k, &c, 10 * MSS);
    expect_burst(&c, 1, 10);
    conn_ack(&k, &c, 1);
    conn_ack(&k, &c, 1);
    c.wnd -= 100;
    conn_ack(&k, &c, 1);
    EXPECT_NONE(&k);
    conn_ack(&k, &c, 1);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, MSS);
    EXPECT_NONE(&k);
    cr_assert_eq(b->cc.ssthresh, 5 * MSS);
    /* RFC 6937: three of ten are gone; of the seven there, more than half must go first. */
    cr_assert_eq(b->cc.cwnd, 7 * MSS);
    conn_ack(&k, &c, 1);
    conn_ack(&k, &c, 1 + 4 * MSS); /* partial: the fifth is lost as well */
    EXPECT_SEG(&k, &c, TCP_ACK, 1 + 4 * MSS, 1, MSS);
    cr_assert(b->ca == CA_RECOVERY);
    conn_ack(&k, &c, 1 + 10 * MSS);
    cr_assert_not(b->ca == CA_RECOVERY);
    cr_assert_leq(b->cc.cwnd, 5 * MSS);
    EXPECT_NONE(&k);
}

/* RFC 6582 3.2 step 1: duplicates of what was out at the last timeout do not start it again. */
Test(tcp_loss, no_fast_retransmit_after_timeout)
{
    struct conn c = conn_up(&k);
    kit_write(&k, &c, 10 * MSS);
    kit_until_sent(&k, 10 * NS_S);
    kit_drop(&k);
    conn_ack(&k, &c, 1 + MSS);
    kit_drop(&k);
    for (unsigned i = 0; i < 5; i++)
        conn_ack(&k, &c, 1 + MSS);
    cr_assert_eq(k.stats.v[STAT_tcp_fast_retransmit], 0);
}

/* RFC 6298 (2.2), (2.3): the arithmetic, with the minimum of Linux. */
Test(tcp_loss, rtt_arithmetic)
{
    struct tcb b = {0};
    rtt_sample(&b, 100 * NS_MS);
    cr_assert_eq(b.srtt, 100 * NS_MS);
    cr_assert_eq(b.rttvar, 50 * NS_MS);
    cr_assert_eq(b.rto, 100 * NS_MS + RTO_MIN); /* 4 * rttvar is just as much */
    rtt_sample(&b, 180 * NS_MS);
    cr_assert_eq(b.rttvar, 57500 * NS_US); /* 3/4 * 50 + 1/4 * 80 */
    cr_assert_eq(b.srtt, 110 * NS_MS);
    cr_assert_eq(b.rto, 340 * NS_MS);
    for (unsigned i = 0; i < 200; i++)
        rtt_sample(&b, 10 * NS_US);
    cr_assert(b.rto >= RTO_MIN && b.rto < RTO_MIN + NS_MS);
    for (unsigned i = 0; i < 200; i++)
        rtt_sample(&b, 2 * RTO_MAX);
    cr_assert_eq(b.rto, RTO_MAX);
}

/* RFC 6298 (5.5), (2.5): each timeout doubles, up to a minute, and one segment goes each time;
 * RFC 9293 3.8.3: after R2 it is over. (5.7): an acknowledgment ends the doubling. */
Test(tcp_loss, back_off)
{
    struct conn c = conn_up(&k);
    kit_write(&k, &c, 5 * MSS);
    ns_t rto = conn_tcb(&k, &c)->rto;
    unsigned n = 0;
    for (;; n++) {
        ns_t gap = kit_until_sent(&k, 2 * RTO_MAX);
        if (conn_state(&k, &c) == TCPS_CLOSED)
            break;
        cr_assert(gap >= rto && gap <= rto + 70 * NS_MS, "%u: %lu", n, gap);
        /* RFC 4821 7.7: from the fourth on it may have been too large; what nearly every path
         * takes, from the eighth. */
        EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, n < 3 ? MSS : n < 7 ? 1024 : 512);
        EXPECT_NONE(&k);
        rto = min_u64(2 * rto, RTO_MAX);
    }
    cr_assert_eq(n, DATA_RETRIES);
    cr_assert_eq(kit_get(&k, c.sess, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

/* RFC 6298 section 3 (Karn): a segment that was sent twice gives no sample. */
Test(tcp_loss, karn)
{
    struct conn c = conn_up(&k);
    kit_wait(&k, 10 * NS_MS);
    kit_write(&k, &c, 100);
    ns_t srtt = conn_tcb(&k, &c)->srtt;
    kit_until_sent(&k, 10 * NS_S);
    conn_ack(&k, &c, 101);
    cr_assert_eq(conn_tcb(&k, &c)->srtt, srtt);
    cr_assert_eq(conn_tcb(&k, &c)->backoff, 0);
    kit_write(&k, &c, 100);
    k.now += 80 * NS_MS;
    conn_ack(&k, &c, 201);
    cr_assert_neq(conn_tcb(&k, &c)->srtt, srtt);
}

/* RFC 7323 4.1: with time stamps it does; TSecr tells which one was answered. */
Test(tcp_loss, timestamp_sample)
{
    struct conn c = conn_default();
    c.ts = true;
    conn_up_as(&k, &c);
    kit_write(&k, &c, 100);
    kit_until_sent(&k, 10 * NS_S);
    c.ts_ecr = kit_take(&k)->h.ts_val;
    k.now += 300 * NS_MS;
    struct tcb *b = conn_tcb(&k, &c);
    b->srtt = 0;
    conn_ack(&k, &c, 101);
    cr_assert_eq(b->srtt, 300 * NS_MS);
}

/* RFC 5681 3.1: a timeout leaves a window of one segment and half the flight as ssthresh. */
Test(tcp_loss, timeout_window)
{
    struct conn c = conn_up(&k);
    kit_write(&k, &c, 10 * MSS);
    kit_until_sent(&k, 10 * NS_S);
    expect_burst(&c, 1, 1);
    EXPECT_NONE(&k);
    cr_assert_eq(conn_tcb(&k, &c)->cc.ssthresh, 5 * MSS);
    conn_ack(&k, &c, 1 + MSS);
    expect_burst(&c, 1 + MSS, 2);
    EXPECT_NONE(&k);
}

/* While old data is sent again, an ACK must carry the next number: with an older one the peer
 * takes it for a duplicate and learns nothing (RFC 9293 3.10.7.4 first). */
Test(tcp_loss, ack_number_after_timeout)
{
    struct conn c = conn_up(&k);
    kit_write(&k, &c, 5 * MSS);
    kit_until_sent(&k, 10 * NS_S);
    kit_drop(&k);
    conn_send(&k, &c, TCP_ACK, 100);
    EXPECT_SEG(&k, &c, TCP_ACK, 1 + 5 * MSS, 101, 0);
}

/* RFC 9293 3.8.6.1: a closed window is probed, at growing distances, for as long as the peer
 * answers; the window's opening is used at once. */
Test(tcp_loss, zero_window)
{
    struct conn c = conn_up(&k);
    uint16_t wnd = c.wnd;
    c.wnd = 0;
    conn_ack(&k, &c, 1);
    kit_write(&k, &c, 3000);
    EXPECT_NONE(&k);
    ns_t last = 0;
    for (unsigned i = 0; i < 40; i++) {
        ns_t gap = kit_until_sent(&k, 2 * RTO_MAX);
        cr_assert(gap >= last && gap <= RTO_MAX + NS_S, "probe %u", i);
        last = gap < 50 * NS_S ? gap : 0;
        EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 1);
        conn_ack(&k, &c, 1);
        EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    }
    c.wnd = wnd;
    conn_ack(&k, &c, 1);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, MSS);
    EXPECT_SEG(&k, &c, TCP_ACK, 1 + MSS, 1, MSS);
    conn_ack(&k, &c, 1 + 2 * MSS);
    EXPECT_SEG(&k, &c, TCP_ACK, 1 + 2 * MSS, 1, 80);
}

/* ... also one that closed over what was out already: it is sent again, byte by byte. */
Test(tcp_loss, window_closed_over_data)
{
    struct conn c = conn_up(&k);
    uint16_t wnd = c.wnd;
    kit_write(&k, &c, 3000);
    kit_drop(&k);
    c.wnd = 0;
    conn_ack(&k, &c, 1);
    for (unsigned i = 0; i < 30; i++) {
        kit_until_sent(&k, 2 * RTO_MAX);
        EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 1);
        conn_ack(&k, &c, 1);
    }
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    kit_drop(&k);
    c.wnd = wnd;
    conn_ack(&k, &c, 1);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, MSS);
}

/* A window that closed just before our FIN does not keep it: there is no data to probe with. */
Test(tcp_loss, fin_before_a_closed_window)
{
    struct conn c = conn_up(&k);
    kit_write(&k, &c, 100);
    cr_assert_eq(kit_do(&k, c.sess, REQ_SHUTDOWN, SHUT_WR), 0);
    kit_step(&k, NULL, 0);
    kit_drop(&k);
    c.wnd = 0;
    conn_ack(&k, &c, 101);
    for (unsigned i = 0; i < 3; i++) {
        kit_until_sent(&k, 10 * NS_S);
        EXPECT_SEG(&k, &c, TCP_FIN | TCP_ACK, 101, c.snd, 0);
    }
    conn_ack(&k, &c, 102);
    EXPECT_STATE(&k, &c, TCPS_FIN_WAIT_2);
}

/* RFC 9293 3.8.6.1; but for a program that is gone it ends. */
Test(tcp_loss, zero_window_orphan)
{
    struct conn c = conn_up(&k);
    c.wnd = 0;
    conn_ack(&k, &c, 1);
    kit_write(&k, &c, 3000);
    kit_do(&k, c.sess, REQ_CLOSE, 0);
    for (unsigned i = 0; i < 30 && conn_state(&k, &c) != TCPS_CLOSED; i++) {
        kit_until_sent(&k, 2 * RTO_MAX);
        conn_ack(&k, &c, 1);
    }
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
}

/* RFC 9293 3.8.4: off by default; a probe carries the number before the next and wants an
 * answer; an answer starts the count anew; without one the connection ends with a RST. */
Test(tcp_loss, keepalive)
{
    struct conn c = conn_up(&k);
    cr_assert_eq(kit_until_sent(&k, 10000 * NS_S), 10000 * NS_S, "not asked for");
    kit_set(&k, c.sess, SOL_SOCKET, SO_KEEPALIVE, 1);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPIDLE, 100);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPCNT, 3);
    ns_t gap = kit_until_sent(&k, 200 * NS_S);
    cr_assert(gap >= 100 * NS_S && gap < 101 * NS_S);
    EXPECT_SEG(&k, &c, TCP_ACK, 0, 1, 0);
    conn_ack(&k, &c, 1);
    cr_assert_geq(kit_until_sent(&k, 200 * NS_S), 99 * NS_S);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_SEG(&k, &c, TCP_ACK, 0, 1, 0);
        gap = kit_until_sent(&k, 200 * NS_S);
        cr_assert(gap >= 10 * NS_S && gap < 11 * NS_S);
    }
    EXPECT_SEG(&k, &c, TCP_ACK | TCP_RST, 1, 1, 0);
    cr_assert_eq(kit_get(&k, c.sess, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

/* RFC 9293 3.8.4: none while data is out, and then none counts. */
Test(tcp_loss, keepalive_with_data_out)
{
    struct conn c = conn_up(&k);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPIDLE, 1);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPCNT, 2);
    kit_set(&k, c.sess, SOL_SOCKET, SO_KEEPALIVE, 1);
    kit_write(&k, &c, 10);
    kit_drop(&k);
    kit_wait(&k, 20 * NS_S);
    const struct out_seg *o;
    while ((o = kit_take(&k)) != NULL)
        cr_assert_eq(o->len, 10);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
}

/* RFC 9293 3.8.3, RFC 5482: TCP_USER_TIMEOUT ends it earlier. */
Test(tcp_loss, user_timeout)
{
    struct conn c = conn_up(&k);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
    kit_write(&k, &c, 10);
    kit_wait(&k, 4 * NS_S);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    kit_wait(&k, 10 * NS_S);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
    cr_assert_eq(kit_get(&k, c.sess, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

/* RFC 5681 4.1: after a pause longer than the timeout the window is the initial one again. */
Test(tcp_loss, restart_after_idle)
{
    struct conn c = conn_up(&k);
    conn_tcb(&k, &c)->cc.cwnd = 40 * MSS;
    kit_wait(&k, 10 * NS_S);
    kit_write(&k, &c, 20 * MSS);
    expect_burst(&c, 1, 10);
    EXPECT_NONE(&k);
}
