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
