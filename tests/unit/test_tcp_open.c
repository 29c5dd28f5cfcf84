/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Opening: RFC 9293 3.5 and 3.10.7.2 to .4, options (RFC 7323, 9293 3.7.1), what limits a
 * flood.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tcp_kit.h"

static struct kit k;

/* RFC 9293 3.5: SYN, SYN+ACK, ACK; the program hears of it once. */
Test(tcp_open, passive)
{
    struct conn c = conn_default();
    struct sess_evt e;
    uint32_t slot;
    kit_init(&k);
    cr_assert_neq(kit_listen(&k, KIT_PORT, 5, &slot), SESS_NONE);
    conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
    const struct out_seg *o = kit_take(&k);
    cr_assert_not_null(o);
    cr_assert_eq(o->h.flags, TCP_SYN | TCP_ACK);
    cr_assert_eq(o->h.ack, KIT_ISS + 1);
    cr_assert_not(kit_event(&k, 0, &e), "accepted before the handshake was done");
    c.irs = o->h.seq;
    c.snd = 1;
    conn_ack(&k, &c, 1);
    cr_assert(kit_event(&k, 0, &e));
    cr_assert_eq(e.kind, EVT_ACCEPT);
    cr_assert_eq(e.slot, slot);
    cr_assert_eq(e.port, KIT_RPORT);
    c.sess = e.cookie;
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    cr_assert_not(kit_event(&k, 0, &e));
    EXPECT_NONE(&k);
}

/* RFC 9293 3.5 from the other side; and that the slot says so. */
Test(tcp_open, active)
{
    struct conn c = conn_default();
    kit_init(&k);
    cr_assert(conn_connect(&k, &c));
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    cr_assert(k.arena[0].d_slot[c.slot].state & SLOT_CONNECTED);
    EXPECT_NONE(&k);
}

/* RFC 9293 3.5 figure 7: both SYNs cross. */
Test(tcp_open, simultaneous)
{
    struct conn c = conn_default();
    kit_init(&k);
    cr_assert(conn_connecting(&k, &c));
    conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
    EXPECT_STATE(&k, &c, TCPS_SYN_RCVD);
    EXPECT_SEG(&k, &c, TCP_SYN | TCP_ACK, 0, 1, 0);
    conn_raw(&k, &c, TCP_SYN | TCP_ACK, 0, 1, NULL, 0); /* theirs, as ours */
    c.snd = 1;
    conn_ack(&k, &c, 1);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    kit_drop(&k);
    conn_send(&k, &c, TCP_ACK, 10);
    cr_assert_eq(kit_readable(&k, &c), 10);
}

/* RFC 9293 3.7.1 (MSS 536 without the option), RFC 7323 1.3: nothing that was not asked for. */
Test(tcp_open, peer_without_options)
{
    struct conn c = conn_default();
    c.mss = 0;
    kit_init(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    const struct out_seg *o = conn_syn(&k, &c, 0);
    cr_assert_eq(o->h.mss, 1460);
    cr_assert(!o->h.has_ts && !o->h.has_wscale && !o->h.sack_ok);
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
    kit_drop(&k);
    kit_write(&k, &c, 2000);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 536);
}

/* RFC 7323 2.3: a shift above 14 is taken as 14; RFC 6691: the time stamp is in the segment. */
Test(tcp_open, peer_with_options)
{
    struct conn c = conn_default();
    c.ws = c.ts = true;
    c.wscale = 200;
    conn_up_as(&k, &c);
    const struct tcb *b = conn_tcb(&k, &c);
    cr_assert_eq(b->h.snd_wscale, 14);
    cr_assert_eq(b->h.snd_wnd, 65535u << 14);
    kit_write(&k, &c, 3000);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 1448);
}

/* RFC 7323 3.2: our SYN offers what we can; TSecr of it is 0; the SYN's window is not scaled.
 */
Test(tcp_open, syn_offers)
{
    kit_init(&k);
    uint32_t slot, s = kit_open(&k, 0, &slot);
    kit_connect(&k, s, KIT_PEER, KIT_RPORT);
    kit_step(&k, NULL, 0);
    const struct out_seg *o = kit_take(&k);
    cr_assert_eq(o->h.flags, TCP_SYN);
    cr_assert(o->h.has_ts && o->h.has_wscale);
    cr_assert_eq(o->h.ts_ecr, 0);
    cr_assert_eq(o->h.mss, 1460);
    cr_assert_eq(o->h.wnd, k.cfg.rcvbuf - WINDOW_SLACK);
}

/* RFC 9293 3.7.1: whatever the peer and the path say, a segment fits the frame. A jumbo MTU
 * must not make TCP write beyond it. */
Test(tcp_open, segment_fits_frame)
{
    struct conn c = conn_default();
    c.mss = 65535;
    kit_prepare(&k);
    k.path.mtu = 65535;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    cr_assert(conn_accept(&k, &c));
    kit_write(&k, &c, 60000);
    const struct out_seg *o;
    for (unsigned n = 0; (o = kit_take(&k)) != NULL; n++)
        cr_assert_leq(o->p.len, FRAME_ROOM);
    cr_assert_eq(k.bad, 0);
}

/* RFC 9293 3.8.3, RFC 6298: SYNs at doubling distances, then ETIMEDOUT. */
Test(tcp_open, syn_retries)
{
    kit_init(&k);
    uint32_t slot, s = kit_open(&k, 0, &slot);
    kit_connect(&k, s, KIT_PEER, KIT_RPORT);
    kit_step(&k, NULL, 0);
    for (unsigned i = 0; i < SYN_RETRIES; i++) {
        ns_t gap = kit_until_sent(&k, 100 * NS_S);
        const struct out_seg *o = kit_take(&k);
        cr_assert(o != NULL && o->h.flags == TCP_SYN, "retry %u", i);
        cr_assert(gap >= NS_S << i && gap <= (NS_S << i) + 3 * NS_MS, "retry %u", i);
    }
    kit_wait(&k, 70 * NS_S);
    cr_assert_eq(k.t->tcb[s].h.state, TCPS_CLOSED);
    cr_assert_eq(kit_get(&k, s, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
    cr_assert(k.arena[0].d_slot[slot].state & SLOT_DEAD);
}

/* RFC 9293 3.10.7.3: in SYN-SENT only a RST that acknowledges our SYN counts. */
Test(tcp_open, refused)
{
    struct conn c = conn_default();
    kit_init(&k);
    cr_assert(conn_connecting(&k, &c));
    conn_raw(&k, &c, TCP_RST, 0, 0, NULL, 0);
    EXPECT_STATE(&k, &c, TCPS_SYN_SENT);
    conn_raw(&k, &c, TCP_RST | TCP_ACK, 0, 2, NULL, 0);
    conn_raw(&k, &c, TCP_RST | TCP_ACK, 0, 0, NULL, 0);
    EXPECT_STATE(&k, &c, TCPS_SYN_SENT);
    EXPECT_NONE(&k); /* never a RST for a RST */
    conn_raw(&k, &c, TCP_RST | TCP_ACK, 0, 1, NULL, 0);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
    cr_assert_eq(kit_get(&k, c.sess, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    cr_assert_eq(kit_get(&k, c.sess, SOL_SOCKET, SO_ERROR), 0, "an error is told once");
}

/* shutdown ends an attempt to connect, as on Linux: with an error, and such that the same
 * session can try again. */
Test(tcp_open, shut_while_connecting)
{
    struct conn c = conn_default();
    kit_init(&k);
    cr_assert(conn_connecting(&k, &c));
    cr_assert_eq(kit_do(&k, c.sess, REQ_SHUTDOWN, SHUT_RD), 0);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
    cr_assert_eq(k.arena[0].d_slot[c.slot].state, SLOT_OPEN);
    cr_assert_eq(kit_get(&k, c.sess, SOL_SOCKET, SO_ERROR), ECONNRESET);
    cr_assert_eq(kit_do(&k, c.sess, REQ_SHUTDOWN, SHUT_RD), ENOTCONN);
    conn_raw(&k, &c, TCP_SYN | TCP_ACK, 0, 1, NULL, 0); /* nobody is there any more */
    EXPECT_SEG(&k, &c, TCP_RST, 1, 0u - c.iss, 0);
    cr_assert_eq(kit_connect(&k, c.sess, KIT_PEER, KIT_RPORT), 0);
    EXPECT_STATE(&k, &c, TCPS_SYN_SENT);
    cr_assert(tcp_validate(k.t));
}

/* RFC 9293 3.10.7.3 first: an ACK of something else than our SYN is answered by a RST with its
 * number, and the attempt goes on. */
Test(tcp_open, half_open_peer)
{
    struct conn c = conn_default();
    kit_init(&k);
    cr_assert(conn_connecting(&k, &c));
    conn_raw(&k, &c, TCP_ACK, 0, 77, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_RST, 77, 0u - c.iss, 0);
    EXPECT_STATE(&k, &c, TCPS_SYN_SENT);
}

/* RFC 9293 3.10.7.1: a port where nobody listens, with and without an ACK in the segment. */
Test(tcp_open, closed_port)
{
    struct conn c = conn_default();
    kit_init(&k);
    conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
    const struct out_seg *o = kit_take(&k);
    cr_assert_eq(o->h.flags, TCP_RST | TCP_ACK);
    cr_assert(o->h.seq == 0 && o->h.ack == KIT_ISS + 1);
    conn_raw(&k, &c, TCP_ACK | TCP_FIN, 5, 1234, NULL, 0);
    o = kit_take(&k);
    cr_assert_eq(o->h.flags, TCP_RST);
    cr_assert_eq(o->h.seq, 1234);
    conn_raw(&k, &c, TCP_RST, 5, 0, NULL, 0);
    EXPECT_NONE(&k);
}

/* RFC 9293 3.10.7.2: what a listener does with RST, ACK, and neither. */
Test(tcp_open, listener)
{
    struct conn c = conn_default();
    kit_init(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    conn_raw(&k, &c, TCP_RST, 0, 0, NULL, 0);
    EXPECT_NONE(&k);
    conn_raw(&k, &c, TCP_SYN | TCP_ACK, 0, 99, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_RST, 99, 0u - c.iss, 0);
    conn_raw(&k, &c, TCP_FIN, 0, 0, NULL, 0);
    EXPECT_NONE(&k);
    cr_assert_eq(tcp_sessions(k.t), 1);
}

/* RFC 9293 3.10.7.4 fifth: a wrong ACK in SYN-RECEIVED is answered by a RST, and the half-open
 * session stays for the right one. A repeated SYN repeats the answer. */
Test(tcp_open, syn_received)
{
    struct conn c = conn_default();
    kit_init(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    conn_syn(&k, &c, 0);
    conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_SYN | TCP_ACK, 0, 1, 0);
    conn_raw(&k, &c, TCP_ACK, 1, 2, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_RST, 2, 0u - c.iss, 0);
    cr_assert_eq(tcp_sessions(k.t), 2);
    conn_raw(&k, &c, TCP_RST, 1, 0, NULL, 0);
    kit_step(&k, NULL, 0);
    cr_assert_eq(tcp_sessions(k.t), 1, "a RST in SYN-RECEIVED ends it");
}

/* RFC 6298 (5.7) and RFC 5681 3.1: after a lost SYN the timeout is 3 s and the window one
 * segment when data begins. */
Test(tcp_open, lost_syn_is_remembered)
{
    struct conn c = conn_default();
    kit_init(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
    kit_wait(&k, 3100 * NS_MS); /* sent again twice */
    kit_drop(&k);
    c.irs = conn_tcb(&k, &(struct conn){.sess = 1})->h.iss;
    c.snd = 1;
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
    cr_assert_eq(conn_tcb(&k, &c)->rto, 3 * NS_S);
    kit_write(&k, &c, 5000);
    EXPECT_SEG(&k, &c, TCP_ACK, 1, 1, 1460);
    EXPECT_NONE(&k);
}

/* Half-open sessions are bounded, over all listeners together, and without cookies SYNs beyond
 * are dropped in silence; they end by themselves. */
Test(tcp_open, half_open_limit)
{
    struct conn c = conn_default();
    kit_prepare(&k);
    k.cfg.cookies = TCP_COOKIES_OFF;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 100, NULL);
    for (unsigned i = 0; i < 20; i++) {
        c.rport = (uint16_t)(KIT_RPORT + i);
        conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
    }
    cr_assert_eq(kit_pending(&k), k.cfg.half_open);
    kit_wait(&k, 70 * NS_S);
    cr_assert_eq(tcp_sessions(k.t), 1);
    cr_assert_eq(k.t->n_half_open, 0);
}

/* sess_limits.half_open is over all listeners of a client (ops.h): many listeners are no way to
 * take the half-open sessions of others. */
Test(tcp_open, half_open_limit_of_client)
{
    struct conn c = conn_default();
    kit_prepare(&k);
    k.limits.half_open = 3;
    k.cfg.cookies = TCP_COOKIES_OFF;
    kit_start(&k);
    for (uint16_t i = 0; i < 4; i++)
        kit_listen(&k, (uint16_t)(KIT_PORT + i), 100, NULL);
    for (uint16_t i = 0; i < 8; i++) {
        c.rport = (uint16_t)(KIT_RPORT + i);
        c.lport = (uint16_t)(KIT_PORT + i % 4);
        conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
    }
    cr_assert_eq(kit_pending(&k), 3);
}

/* A full accept queue leaves the peer in its handshake: the ACK is as good as lost, and is
 * taken later. */
Test(tcp_open, accept_queue_full)
{
    struct conn c[3];
    struct sess_evt e;
    kit_init(&k);
    uint32_t l = kit_listen(&k, KIT_PORT, 1, NULL);
    for (unsigned i = 0; i < 3; i++) {
        c[i] = conn_peer(i);
        if (conn_syn(&k, &c[i], 0) == NULL)
            break; /* the third SYN may find the queue full already */
        if (i < 2)
            conn_ack(&k, &c[i], 1);
    }
    cr_assert_eq(k.t->tcb[l].n_accept, 2);
    conn_raw(&k, &c[2], TCP_SYN, 0, 0, NULL, 0);
    EXPECT_NONE(&k);
    cr_assert(kit_event(&k, 0, &e));
    cr_assert_eq(kit_do(&k, l, REQ_ACCEPTED, 0), 0);
    conn_raw(&k, &c[2], TCP_SYN, 0, 0, NULL, 0);
    cr_assert_eq(kit_take(&k)->h.flags, TCP_SYN | TCP_ACK);
}

/* No slot in the client's arena: as if the ACK was lost; the SYN+ACK is repeated, and once a
 * slot is free the next ACK is taken. */
Test(tcp_open, no_slot)
{
    struct conn c = conn_default();
    uint32_t slot, s;
    kit_prepare(&k);
    k.geometry.n_slots = 2;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    s = kit_open(&k, 0, &slot);
    conn_syn(&k, &c, 0);
    conn_ack(&k, &c, 1);
    struct sess_evt e;
    cr_assert_not(kit_event(&k, 0, &e));
    kit_do(&k, s, REQ_CLOSE, 0);
    cr_assert(kit_event(&k, 0, &e) && e.kind == EVT_FREED);
    kit_do(&k, s, REQ_RELEASED, 0);
    kit_wait(&k, 1100 * NS_MS);
    EXPECT_SEG(&k, &c, TCP_SYN | TCP_ACK, 0, 1, 0);
    conn_ack(&k, &c, 1);
    cr_assert(kit_event(&k, 0, &e) && e.kind == EVT_ACCEPT);
    cr_assert(tcp_validate(k.t));
}

/* RFC 9293 3.10.4: closing a listener ends what nobody accepted: half-open sessions at once,
 * established ones with a RST; no event names a listener that is gone. */
Test(tcp_open, listener_closes)
{
    struct conn c = conn_default(), d = conn_default();
    struct sess_evt e;
    uint32_t lslot;
    kit_init(&k);
    uint32_t l = kit_listen(&k, KIT_PORT, 5, &lslot);
    conn_syn(&k, &c, 0);
    conn_ack(&k, &c, 1);
    d.rport++;
    conn_raw(&k, &d, TCP_SYN, 0, 0, NULL, 0);
    kit_drop(&k);
    kit_do(&k, l, REQ_CLOSE, 0);
    kit_step(&k, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_RST | TCP_ACK, 1, 1, 0);
    while (kit_event(&k, 0, &e)) {
        cr_assert_eq(e.kind, EVT_FREED);
        cr_assert_eq(e.slot, lslot);
    }
    kit_do(&k, l, REQ_RELEASED, 0);
    kit_step(&k, NULL, 0);
    cr_assert_eq(tcp_sessions(k.t), 0);
    cr_assert_eq(k.t->n_half_open, 0);
}
