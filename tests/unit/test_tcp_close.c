/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Closing: RFC 9293 3.6 and 3.10.4, TIME-WAIT (RFC 1122 4.2.2.13, RFC 1337, RFC 6191), and what
 * becomes of sessions without a program.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tcp_kit.h"

static struct kit k;

static void
close_it(const struct conn *c)
{
    kit_do(&k, c->sess, REQ_CLOSE, 0);
    kit_step(&k, NULL, 0);
}

/* RFC 9293 3.6 case 1: we close first. FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, CLOSED; between, the
 * peer's data still arrives (half-closed connection, RFC 1122 4.2.2.13). */
Test(tcp_close, we_first)
{
    struct conn c = conn_up(&k);
    kit_do(&k, c.sess, REQ_SHUTDOWN, SHUT_WR);
    kit_step(&k, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_FIN | TCP_ACK, 1, 1, 0);
    EXPECT_STATE(&k, &c, TCPS_FIN_WAIT_1);
    conn_ack(&k, &c, 2);
    EXPECT_STATE(&k, &c, TCPS_FIN_WAIT_2);
    conn_send(&k, &c, TCP_ACK, 100);
    cr_assert_eq(kit_readable(&k, &c), 100);
    kit_drop(&k);
    kit_wait(&k, 300 * NS_S);
    EXPECT_STATE(&k, &c, TCPS_FIN_WAIT_2); /* no limit while the program holds it */
    kit_drop(&k);
    conn_send(&k, &c, TCP_ACK | TCP_FIN, 0);
    EXPECT_STATE(&k, &c, TCPS_TIME_WAIT);
    EXPECT_ACK(&k, &c);
    cr_assert(k.arena[0].d_slot[c.slot].state & SLOT_EOF);
    kit_wait(&k, MSL2 + 10 * NS_MS);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
}

/* RFC 9293 3.6 case 2: the peer closes first. CLOSE-WAIT, in which we send, LAST-ACK, CLOSED.
 */
Test(tcp_close, peer_first)
{
    struct conn c = conn_up(&k);
    conn_send(&k, &c, TCP_ACK | TCP_FIN, 3);
    EXPECT_STATE(&k, &c, TCPS_CLOSE_WAIT);
    EXPECT_ACK(&k, &c);
    kit_write(&k, &c, 50);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 5, 50);
    conn_ack(&k, &c, 51);
    kit_do(&k, c.sess, REQ_SHUTDOWN, SHUT_WR);
    kit_step(&k, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_FIN | TCP_ACK, 51, 5, 0);
    EXPECT_STATE(&k, &c, TCPS_LAST_ACK);
    conn_ack(&k, &c, 52);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
    EXPECT_NONE(&k);
}

/* RFC 9293 3.6 figure 13: FINs cross: CLOSING, then TIME-WAIT. */
Test(tcp_close, simultaneous)
{
    struct conn c = conn_up(&k);
    conn_to(&k, &c, TCPS_FIN_WAIT_1);
    conn_send(&k, &c, TCP_ACK | TCP_FIN, 0);
    EXPECT_STATE(&k, &c, TCPS_CLOSING);
    EXPECT_SEG(&k, &c, TCP_ACK, 2, 2, 0);
    conn_ack(&k, &c, 2);
    EXPECT_STATE(&k, &c, TCPS_TIME_WAIT);
}

/* RFC 9293 3.10.7.4 eighth: a FIN that also acknowledges ours goes to TIME-WAIT at once. */
Test(tcp_close, fin_with_ack_of_fin)
{
    struct conn c = conn_up(&k);
    conn_to(&k, &c, TCPS_FIN_WAIT_1);
    c.rcv = 2;
    conn_send(&k, &c, TCP_ACK | TCP_FIN, 10);
    EXPECT_STATE(&k, &c, TCPS_TIME_WAIT);
    cr_assert_eq(kit_readable(&k, &c), 10);
}

/* RFC 9293 3.10.4: what was written goes out before the FIN, which goes with the last of it. */
Test(tcp_close, data_before_fin)
{
    struct conn c = conn_up(&k);
    kit_fill(&k, 0, c.slot, 2000);
    close_it(&c); /* not even told of the data */
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 1460);
    EXPECT_SEG(&k, &c, TCP_ACK | TCP_FIN, 1461, 1, 540);
}

/* RFC 9293 3.10.7.4: a lost FIN is sent again; the FIN alone, when its data was acknowledged.
 */
Test(tcp_close, fin_again)
{
    struct conn c = conn_up(&k);
    kit_fill(&k, 0, c.slot, 10);
    close_it(&c);
    EXPECT_SEG(&k, &c, TCP_ACK | TCP_FIN, 1, 1, 10);
    conn_ack(&k, &c, 11);
    kit_until_sent(&k, 10 * NS_S);
    EXPECT_SEG(&k, &c, TCP_ACK | TCP_FIN, 11, 1, 0);
    conn_ack(&k, &c, 12);
    EXPECT_STATE(&k, &c, TCPS_FIN_WAIT_2);
}

/* RFC 9293 3.10.7.4 seventh: there is nothing after a FIN; what came ahead of it and claims to
 * be is forgotten. */
Test(tcp_close, data_beyond_fin)
{
    struct conn c = conn_up(&k);
    uint8_t b[10] = {0};
    conn_raw(&k, &c, TCP_ACK, c.snd + 1, c.rcv, b, 10);
    conn_raw(&k, &c, TCP_ACK, c.snd + 20, c.rcv, b, 10);
    conn_send(&k, &c, TCP_ACK | TCP_FIN, 0);
    EXPECT_STATE(&k, &c, TCPS_CLOSE_WAIT);
    cr_assert_eq(kit_readable(&k, &c), 0);
    cr_assert_eq(conn_tcb(&k, &c)->h.rcv_nxt, c.snd);
    cr_assert(tcp_validate(k.t));
}

/* RFC 2525 2.17: unread data makes a close a RST. */
Test(tcp_close, unread_data)
{
    struct conn c = conn_up(&k);
    conn_send(&k, &c, TCP_ACK, 10);
    kit_drop(&k);
    close_it(&c);
    EXPECT_SEG(&k, &c, TCP_ACK | TCP_RST, 1, 11, 0);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
}

/* SO_LINGER with zero: the ABORT call of RFC 9293 3.10.5; nothing more is sent. */
Test(tcp_close, linger_zero)
{
    struct conn c = conn_up(&k);
    cr_assert_eq(kit_set(&k, c.sess, SOL_SOCKET, SO_LINGER, LINGER_ON | 0), 0);
    kit_fill(&k, 0, c.slot, 10);
    close_it(&c);
    EXPECT_SEG(&k, &c, TCP_ACK | TCP_RST, 1, 1, 0);
    EXPECT_NONE(&k);
}

/* RFC 1122 4.2.2.13: data for a program that has closed is answered by a RST. */
Test(tcp_close, data_after_close)
{
    struct conn c = conn_up(&k);
    close_it(&c);
    kit_drop(&k);
    conn_ack(&k, &c, 2);
    conn_send(&k, &c, TCP_ACK, 10);
    EXPECT_SEG(&k, &c, TCP_RST, 2, 0u - c.iss, 0);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
}

/* ... but not for one that only shut its sending side. */
Test(tcp_close, data_after_shutdown)
{
    struct conn c = conn_up(&k);
    conn_to(&k, &c, TCPS_FIN_WAIT_2);
    conn_send(&k, &c, TCP_ACK, 10);
    EXPECT_STATE(&k, &c, TCPS_FIN_WAIT_2);
    cr_assert_eq(kit_readable(&k, &c), 10);
}

/* FIN-WAIT-2 of a session without a program ends after a while (RFC 9293 3.6 leaves it to us).
 */
Test(tcp_close, fin_wait_2_orphan)
{
    struct conn c = conn_up(&k);
    close_it(&c);
    conn_ack(&k, &c, 2);
    EXPECT_STATE(&k, &c, TCPS_FIN_WAIT_2);
    kit_wait(&k, FIN_WAIT_2_TIME + 10 * NS_MS);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
}

/* RFC 9293 3.10.7.4: a FIN again in TIME-WAIT is acknowledged and the 2 MSL begin anew;
 * anything else does not make it last. RFC 1337: a RST does not end it. */
Test(tcp_close, time_wait)
{
    struct conn c = conn_up(&k);
    conn_to(&k, &c, TCPS_TIME_WAIT);
    kit_wait(&k, MSL2 / 2);
    conn_raw(&k, &c, TCP_RST, c.snd, 0, NULL, 0);
    EXPECT_STATE(&k, &c, TCPS_TIME_WAIT);
    EXPECT_NONE(&k);
    conn_raw(&k, &c, TCP_FIN | TCP_ACK, c.snd - 1, c.rcv, NULL, 0);
    EXPECT_ACK(&k, &c);
    kit_wait(&k, MSL2 - NS_S);
    EXPECT_STATE(&k, &c, TCPS_TIME_WAIT);
    conn_raw(&k, &c, TCP_FIN | TCP_ACK, c.snd + 5000, c.rcv, NULL, 0); /* not theirs */
    kit_wait(&k, 2 * NS_S);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
}

/* RFC 1122 4.2.2.13: a SYN beyond the old connection's numbers may open a new one, whose own
 * numbers begin beyond ours. */
Test(tcp_close, time_wait_syn)
{
    struct conn c = conn_up(&k);
    conn_to(&k, &c, TCPS_TIME_WAIT);
    uint32_t before = conn_tcb(&k, &c)->h.iss + (uint32_t)conn_tcb(&k, &c)->h.snd_max;
    conn_raw(&k, &c, TCP_SYN, c.snd + 1, 0, NULL, 0);
    const struct out_seg *o = kit_take(&k);
    cr_assert_not_null(o);
    cr_assert_eq(o->h.flags, TCP_SYN | TCP_ACK);
    cr_assert_gt((int32_t)(o->h.seq - before), 0);
}

/* ... and an older one does not, not even one from before its first byte. */
Test(tcp_close, time_wait_old_syn)
{
    struct conn c = conn_up(&k);
    conn_to(&k, &c, TCPS_TIME_WAIT);
    conn_raw(&k, &c, TCP_SYN, c.snd - 1, 0, NULL, 0);
    EXPECT_ACK(&k, &c);
    conn_raw(&k, &c, TCP_SYN, 0u - 100, 0, NULL, 0);
    EXPECT_ACK(&k, &c);
    EXPECT_STATE(&k, &c, TCPS_TIME_WAIT);
}

/* RFC 6191 section 2: with time stamps, a later one decides; between equal ones the number. */
Test(tcp_close, time_wait_syn_with_timestamp)
{
    struct conn c = conn_default();
    c.ts = true;
    conn_up_as(&k, &c);
    conn_to(&k, &c, TCPS_TIME_WAIT);
    conn_raw(&k, &c, TCP_SYN, c.snd - 5, 0, NULL, 0); /* same stamp: not newer */
    EXPECT_STATE(&k, &c, TCPS_TIME_WAIT);
    kit_drop(&k);
    c.ts_val += 50; /* over the wrap */
    conn_raw(&k, &c, TCP_SYN, c.snd - 50, 0, NULL, 0);
    cr_assert_eq(kit_take(&k)->h.flags, TCP_SYN | TCP_ACK);
}

/* TIME-WAIT sessions make room when the store is full; also behind one whose slot is held. */
Test(tcp_close, time_wait_makes_room)
{
    struct conn c[2], d = conn_default();
    kit_prepare(&k);
    k.cfg.n_sessions = 3;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    for (unsigned i = 0; i < 2; i++) {
        c[i] = conn_peer(i);
        cr_assert(conn_accept(&k, &c[i]));
        conn_to(&k, &c[i], TCPS_TIME_WAIT);
    }
    kit_do(&k, c[1].sess, REQ_CLOSE, 0);
    struct sess_evt e;
    cr_assert(kit_event(&k, 0, &e) && e.kind == EVT_FREED);
    kit_do(&k, c[1].sess, REQ_RELEASED, 0);
    d.rport = KIT_RPORT + 9;
    cr_assert(conn_accept(&k, &d));
    cr_assert(tcp_validate(k.t));
}

/* A client is not charged for TIME-WAIT after it released the slot: it can go on closing and
 * opening at its limit. Nor are those orphans. */
Test(tcp_close, time_wait_is_not_charged)
{
    struct sess_evt e;
    kit_prepare(&k);
    k.limits.sessions = 3;
    k.cfg.orphans = 1;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    for (unsigned i = 0; i < 15; i++) {
        struct conn c = conn_peer(i);
        cr_assert(conn_accept(&k, &c), "connection %u", i);
        close_it(&c);
        EXPECT_SEG(&k, &c, TCP_FIN | TCP_ACK, 1, 1, 0);
        conn_ack(&k, &c, 2);
        conn_send(&k, &c, TCP_FIN | TCP_ACK, 0);
        kit_drop(&k);
        EXPECT_STATE(&k, &c, TCPS_TIME_WAIT);
        cr_assert(kit_event(&k, 0, &e) && e.kind == EVT_FREED);
        kit_do(&k, c.sess, REQ_RELEASED, 0);
    }
    cr_assert_eq(k.t->n_orphans, 0);
    kit_wait(&k, MSL2 + NS_S);
    cr_assert_eq(tcp_sessions(k.t), 1);
}

/* Orphans are bounded: beyond the limit a close is a RST. */
Test(tcp_close, orphan_limit)
{
    struct conn c[3];
    kit_prepare(&k);
    k.cfg.orphans = 2;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    for (unsigned i = 0; i < 3; i++) {
        c[i] = conn_peer(i);
        cr_assert(conn_accept(&k, &c[i]));
        close_it(&c[i]);
        EXPECT_SEG(&k, &c[i], TCP_ACK | (i < 2 ? TCP_FIN : TCP_RST), 1, 1, 0);
    }
    cr_assert_eq(k.t->n_orphans, 2);
}

/* A dead client: its sessions end as if closed, committed bytes are sent,
 * and its arena is idle once they are acknowledged. */
Test(tcp_close, client_dies)
{
    struct conn c = conn_up(&k);
    struct transport *tr = (struct transport *)(void *)k.t;
    kit_write(&k, &c, 10);
    kit_fill(&k, 0, c.slot, 10); /* written, and no word of it */
    kit_drop(&k);
    tcp_ops.client_gone(tr, 0, k.now);
    kit_step(&k, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_FIN | TCP_ACK, 11, 1, 10);
    cr_assert_not(tcp_ops.client_idle(tr, 0));
    conn_ack(&k, &c, 22);
    kit_step(&k, NULL, 0);
    cr_assert(tcp_ops.client_idle(tr, 0));
    tcp_ops.client_remove(tr, 0);
    kit_wait(&k, 200 * NS_S);
    cr_assert_eq(tcp_sessions(k.t), 0);
    cr_assert(tcp_validate(k.t));
}

/* RFC 9293 3.10.7.4 second: what the program hears when a RST comes, by state. */
static void
rst_in(enum tcp_state s, int err)
{
    struct conn c = conn_up(&k);
    conn_to(&k, &c, s);
    EXPECT_STATE(&k, &c, s);
    conn_raw(&k, &c, TCP_RST, c.snd, 0, NULL, 0);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
    cr_assert_eq(k.arena[0].d_slot[c.slot].err, (uint32_t)err, "state %d", s);
    EXPECT_NONE(&k);
}
Test(tcp_close, rst_in_established)
{
    rst_in(TCPS_ESTABLISHED, ECONNRESET);
}
Test(tcp_close, rst_in_fin_wait_1)
{
    rst_in(TCPS_FIN_WAIT_1, ECONNRESET);
}
Test(tcp_close, rst_in_fin_wait_2)
{
    rst_in(TCPS_FIN_WAIT_2, ECONNRESET);
}
Test(tcp_close, rst_in_close_wait)
{
    rst_in(TCPS_CLOSE_WAIT, EPIPE);
}
Test(tcp_close, rst_in_closing)
{
    rst_in(TCPS_CLOSING, 0);
}
Test(tcp_close, rst_in_last_ack)
{
    rst_in(TCPS_LAST_ACK, 0);
}
