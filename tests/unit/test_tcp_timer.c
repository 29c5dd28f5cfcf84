/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_tcp_timer.c: a timer that is set anew hides no other one of its session.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tcp_kit.h"

static struct kit k;

/* The keepalive timer is due while data is out and only moves on, since the peer was heard of
 * not long ago: the retransmission, due before its next time, is not kept waiting for that. */
Test(tcp_timer, keepalive_hides_no_retransmission)
{
    struct conn c = conn_up(&k);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPIDLE, 10);
    kit_set(&k, c.sess, SOL_SOCKET, SO_KEEPALIVE, 1);
    kit_wait(&k, 9900 * NS_MS);
    conn_send(&k, &c, TCP_ACK, 100);
    kit_drop(&k);
    kit_write(&k, &c, 100);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, c.snd, 100);
    ns_t took = kit_until_sent(&k, 60 * NS_S);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, c.snd, 100);
    cr_assert_leq(took, 2 * RTO_INITIAL, "sent again after %g s", (double)took / 1e9);
}

/* A program may have its data tried for weeks. The timeouts stay a minute apart all that time,
 * and the session ends when it was told to. */
Test(tcp_timer, tried_for_weeks)
{
    struct conn c = conn_up(&k);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_USER_TIMEOUT, INT32_MAX);
    kit_write(&k, &c, 100);
    kit_wait(&k, 1000 * NS_S);
    for (unsigned i = 0; i < 600; i++) {
        ns_t took = kit_until_sent(&k, 2 * RTO_MAX);
        cr_assert(i == 0 || (took >= RTO_MAX && took <= RTO_MAX + 2 * NS_MS),
                  "timeout %u after %g s", i, (double)took / 1e9);
        EXPECT_SEG(&k, &c, TCP_ACK, 1, c.snd, 100);
    }
    kit_wait(&k, (ns_t)INT32_MAX * NS_MS - 2000 * NS_S - 600 * RTO_MAX);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    kit_wait(&k, 2000 * NS_S);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
}

/* Nobody says a word for longer than the time stamps' clock can count (2^32 ms), then both do.
 */
Test(tcp_timer, silent_for_two_months)
{
    uint8_t buf[300];
    struct conn c = conn_default();
    c.ts = true;
    conn_up_as(&k, &c);
    for (unsigned days = 20; days <= 60; days += 5) {
        kit_wait(&k, days * 86400 * NS_S);
        kit_drop(&k);
        c.ts_val += days * 86400u * 1000u;
        conn_send(&k, &c, TCP_ACK, 100);
        cr_assert_eq(kit_read(&k, &c, buf, sizeof buf), 100, "after %u days", days);
        kit_drop(&k);
        kit_write(&k, &c, 100);
        const struct out_seg *o = kit_take(&k);
        cr_assert(o != NULL && o->len == 100);
        c.ts_ecr = o->h.ts_val;
        kit_wait(&k, 10 * NS_MS);
        conn_ack(&k, &c, c.rcv + 100);
        cr_assert_eq(conn_tcb(&k, &c)->h.snd_una, c.rcv);
        cr_assert_leq(conn_tcb(&k, &c)->rto, NS_S);
    }
}

/* The longest keepalive that a program can ask for: half a year of probes. */
Test(tcp_timer, longest_keepalive)
{
    struct conn c = conn_up(&k);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPIDLE, 32767);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPINTVL, 32767);
    kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPCNT, 127);
    kit_set(&k, c.sess, SOL_SOCKET, SO_KEEPALIVE, 1);
    for (unsigned i = 0; i < 127; i++) {
        ns_t took = kit_until_sent(&k, 40000 * NS_S);
        cr_assert(took >= 32766 * NS_S && took <= 32768 * NS_S, "probe %u after %g s", i,
                  (double)took / 1e9);
        EXPECT_SEG(&k, &c, TCP_ACK, 0, c.snd, 0);
    }
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    kit_wait(&k, 32768 * NS_S);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
}
