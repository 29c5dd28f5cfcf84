/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Crash-only sessions ("When a domain dies" in ARCHITECTURE.md): at any point tcp_init on the
 * same store goes on with what was told to the wire and to the client. And clients that do not
 * play by the rules.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tcp_kit.h"

static struct kit k;

/* A transfer both ways, with a crash after every step: nothing is lost, doubled or reordered,
 * numbers go on where they were. */
Test(tcp_crash, after_every_step)
{
    struct conn c = conn_up(&k);
    uint64_t tx = 0, rx = 0;
    uint8_t b[4096];
    for (unsigned i = 0; i < 120; i++) {
        if (tx < 30000)
            kit_write(&k, &c, 700);
        kit_restart(&k);
        uint32_t before = c.snd;
        conn_send(&k, &c, TCP_ACK, 500);
        kit_restart(&k);
        const struct out_seg *o;
        uint32_t acked = 0;
        kit_step(&k, NULL, 0);
        while ((o = kit_take(&k)) != NULL) {
            uint32_t at = o->h.seq - c.irs - 1;
            acked = o->h.ack - c.iss;
            for (uint32_t j = 0; j < o->len; j++)
                cr_assert_eq(o->data[j], kit_byte(at + j));
            if (at <= tx && at + o->len > tx)
                tx = at + o->len;
        }
        cr_assert(acked == before || acked == c.snd, "ack %u", acked);
        c.snd = acked;
        uint32_t n = kit_read(&k, &c, b, sizeof b);
        for (uint32_t j = 0; j < n; j++)
            cr_assert_eq(b[j], kit_byte(rx + j));
        rx += n;
        kit_restart(&k);
        conn_ack(&k, &c, 1 + (uint32_t)tx);
        cr_assert(tcp_validate(k.t));
    }
    cr_assert_eq(rx, c.snd - 1);
    cr_assert_geq(tx, 30000);
}

/* The handshake, each side, survives: half-open sessions, the accept that nobody was told of,
 * a listener's binding and its counts. */
Test(tcp_crash, handshake)
{
    struct conn c = conn_default();
    struct sess_evt e;
    kit_init(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    kit_restart(&k);
    const struct out_seg *o = conn_syn(&k, &c, 0);
    cr_assert(o != NULL && o->h.flags == (TCP_SYN | TCP_ACK));
    kit_restart(&k);
    cr_assert_eq(k.t->n_half_open, 1);
    conn_ack(&k, &c, 1);
    kit_restart(&k);
    cr_assert(kit_event(&k, 0, &e) && e.kind == EVT_ACCEPT);
    c.sess = e.cookie;
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    kit_restart(&k);
    while (kit_event(&k, 0, &e))
        cr_assert_neq(e.kind, EVT_ACCEPT, "told twice");
    struct conn d = conn_default();
    d.sess = kit_open(&k, 0, &d.slot);
    kit_connect(&k, d.sess, KIT_PEER, KIT_RPORT + 1);
    kit_step(&k, NULL, 0);
    kit_drop(&k);
    kit_restart(&k);
    kit_until_sent(&k, 10 * NS_S);
    o = kit_take(&k);
    cr_assert_not_null(o);
}

/* Each of the later states survives, with its timers. */
Test(tcp_crash, states)
{
    for (unsigned s = TCPS_ESTABLISHED; s < TCPS_STATES; s++) {
        struct conn c = conn_up(&k);
        conn_to(&k, &c, (enum tcp_state)s);
        kit_do(&k, c.sess, REQ_CLOSE, 0);
        kit_step(&k, NULL, 0);
        unsigned now = conn_state(&k, &c);
        kit_restart(&k);
        EXPECT_STATE(&k, &c, now);
        cr_assert_eq(k.t->n_orphans, now != TCPS_TIME_WAIT);
        kit_wait(&k, 1000 * NS_S);
        EXPECT_STATE(&k, &c, TCPS_CLOSED);
        kit_end(&k);
    }
}

/* Segments, timers and steps between the crash and the client's return: nothing reaches for its
 * memory, nothing that was acknowledged is lost. */
Test(tcp_crash, before_the_client_is_back)
{
    struct conn c = conn_up(&k);
    conn_send(&k, &c, TCP_ACK, 100);
    kit_write(&k, &c, 3000);
    kit_drop(&k);
    kit_crash(&k);
    kit_wait(&k, 3 * NS_S);
    conn_send(&k, &c, TCP_ACK, 100);
    conn_ack(&k, &c, 1 + 1460);
    conn_ack(&k, &c, 1 + 1460);
    conn_ack(&k, &c, 1 + 1460);
    const struct out_seg *o;
    while ((o = kit_take(&k)) != NULL) {
        cr_assert_eq(o->len, 0);
        cr_assert_eq(o->h.ack - c.iss, 101);
    }
    c.snd = 101;
    cr_assert_eq(kit_attach(&k, 0), 0);
    cr_assert_eq(kit_readable(&k, &c), 100);
    conn_send(&k, &c, TCP_ACK, 100);
    cr_assert_eq(kit_readable(&k, &c), 200);
    kit_drop(&k);
    kit_until_sent(&k, 100 * NS_S);
    cr_assert_eq(kit_take(&k)->h.seq - c.irs, 1 + 1460);
}

/* In work at two crashes in a row: that session is reset, its client hears of it, and no other
 * session ends. */
Test(tcp_crash, twice_in_work)
{
    struct conn c = conn_up(&k), d = conn_default();
    d.rport++;
    cr_assert(conn_accept(&k, &d));
    for (unsigned i = 0; i < 2; i++) {
        EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
        k.t->store->working = c.sess;
        kit_crash(&k);
        kit_step(&k, NULL, 0); /* a step before the clients are back */
        cr_assert(kit_attach(&k, 0) == 0 && kit_attach(&k, 1) == 0);
    }
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
    EXPECT_STATE(&k, &d, TCPS_ESTABLISHED);
    const struct slot_domain *s = &k.arena[0].d_slot[c.slot];
    cr_assert(s->state & SLOT_DEAD);
    cr_assert_eq(s->err, ECONNABORTED);
    unsigned n_rst = 0;
    const struct out_seg *o;
    while ((o = kit_take(&k)) != NULL)
        n_rst += (o->h.flags & TCP_RST) != 0;
    cr_assert_eq(n_rst, 1);
}

/* If that session is a listener, what nobody accepted ends with it as ever. */
Test(tcp_crash, listener_twice_in_work)
{
    struct conn c = conn_default(), d = conn_default();
    kit_init(&k);
    uint32_t l = kit_listen(&k, KIT_PORT, 5, NULL);
    conn_syn(&k, &c, 0);
    conn_ack(&k, &c, 1);
    d.rport++;
    conn_raw(&k, &d, TCP_SYN, 0, 0, NULL, 0);
    for (unsigned i = 0; i < 2; i++) {
        k.t->store->working = l;
        kit_restart(&k);
        cr_assert(tcp_validate(k.t));
    }
    kit_step(&k, NULL, 0);
    cr_assert_eq(k.t->n_half_open, 0);
    cr_assert_eq(tcp_sessions(k.t), 1);
    cr_assert(tcp_validate(k.t));
}

/* A hard part that cannot be true: only that session goes. */
Test(tcp_crash, damaged_session)
{
    struct conn c = conn_up(&k), d = conn_default();
    d.rport++;
    cr_assert(conn_accept(&k, &d));
    conn_tcb(&k, &c)->hard[conn_tcb(&k, &c)->sel].snd_una = 1ull << 50;
    kit_restart(&k);
    EXPECT_STATE(&k, &c, TCPS_CLOSED);
    EXPECT_STATE(&k, &d, TCPS_ESTABLISHED);
    cr_assert(tcp_validate(k.t));
}

/* The other copy is not looked at: a crash while it is written changes nothing. */
Test(tcp_crash, spare_copy_is_torn)
{
    struct conn c = conn_up(&k);
    conn_send(&k, &c, TCP_ACK, 10);
    struct tcb *b = conn_tcb(&k, &c);
    memset(&b->hard[!b->sel], 0xee, sizeof b->hard[0]);
    memset(&b->h, 0xee, sizeof b->h);
    kit_restart(&k);
    EXPECT_STATE(&k, &c, TCPS_ESTABLISHED);
    cr_assert_eq(kit_readable(&k, &c), 10);
}

/* A session that owed a RST when it crashed, and has nobody, is not kept for ever. */
Test(tcp_crash, nothing_is_left)
{
    struct conn c = conn_up(&k);
    struct transport *tr;
    k.hold = true;
    kit_write(&k, &c, 100);
    kit_do(&k, c.sess, REQ_CLOSE, 0);
    kit_step(&k, NULL, 0);
    conn_ack(&k, &c, 102);
    struct sess_evt e;
    while (kit_event(&k, 0, &e))
        kit_do(&k, c.sess, REQ_RELEASED, 0);
    k.t->pool.n_free = 0; /* no frame for the RST */
    conn_send(&k, &c, TCP_ACK, 10);
    kit_restart(&k);
    k.n_held = 0;
    tr = (struct transport *)(void *)k.t;
    tcp_ip_reset(k.t);
    tcp_ops.client_gone(tr, 0, k.now);
    kit_wait(&k, 10 * NS_S);
    cr_assert_eq(tcp_sessions(k.t), 0);
}

/* ---- hostile clients ---- */

/* Cursors that cannot be: the session is reset, nothing else happens. */
Test(tcp_crash, cursor_lies)
{
    static const uint64_t tx[] = {FIFO_MAX + 1, 1ull << 40, UINT64_MAX, 99};
    for (unsigned i = 0; i < 2 * ARRAY_LEN(tx); i++) {
        struct conn c = conn_up(&k);
        kit_write(&k, &c, 100);
        struct slot_client *s = &k.arena[0].c_slot[c.slot];
        if (i < ARRAY_LEN(tx))
            s->tx_tail = tx[i];
        else
            s->rx_head = tx[i - ARRAY_LEN(tx)];
        kit_do(&k, c.sess, i % 2 ? REQ_SEND : REQ_CONSUMED, 0);
        kit_step(&k, NULL, 0);
        EXPECT_STATE(&k, &c, TCPS_CLOSED);
        cr_assert_eq(kit_get(&k, c.sess, SOL_SOCKET, SO_ERROR), EPROTO);
        cr_assert(tcp_validate(k.t));
        kit_end(&k);
    }
}

/* More accepts said than there were: the backlog counts on, and what is not told yet still ends
 * with its listener. */
Test(tcp_crash, accepted_too_often)
{
    struct conn c = conn_default();
    kit_init(&k);
    uint32_t l = kit_listen(&k, KIT_PORT, 5, NULL);
    conn_syn(&k, &c, 0);
    conn_ack(&k, &c, 1);
    for (unsigned i = 0; i < 3; i++)
        kit_do(&k, l, REQ_ACCEPTED, 0);
    kit_do(&k, l, REQ_CLOSE, 0);
    kit_step(&k, NULL, 0);
    EXPECT_SEG(&k, &c, TCP_ACK | TCP_RST, 1, 1, 0);
    cr_assert(tcp_validate(k.t));
}

/* A second connect after one that failed leaves the session in its lists: listeners that were
 * bound before it are still found, and it is on the work list once. */
Test(tcp_crash, connect_again)
{
    struct conn c = conn_default(), d = conn_default();
    uint32_t slot;
    kit_init(&k);
    k.listener = kit_open(&k, 0, &slot);
    c.sess = kit_open(&k, 1, &c.slot); /* on the same port, in front of it */
    kit_set(&k, k.listener, SOL_SOCKET, SO_REUSEPORT, 1);
    kit_set(&k, c.sess, SOL_SOCKET, SO_REUSEPORT, 1);
    cr_assert_eq(kit_bind(&k, k.listener, 0, c.lport), 0);
    cr_assert_eq(kit_do(&k, k.listener, REQ_LISTEN, 5), 0);
    cr_assert_eq(kit_bind(&k, c.sess, 0, c.lport), 0);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(kit_connect(&k, c.sess, KIT_PEER, KIT_RPORT), 0);
        kit_step(&k, NULL, 0);
        c.irs = kit_take(&k)->h.seq;
        conn_raw(&k, &c, TCP_RST | TCP_ACK, 0, 1, NULL, 0);
        EXPECT_STATE(&k, &c, TCPS_CLOSED);
        cr_assert_eq(kit_connect(&k, c.sess, KIT_PEER, KIT_RPORT), 0); /* no step between */
        cr_assert_eq(kit_connect(&k, c.sess, KIT_PEER, KIT_RPORT), EALREADY);
        kit_step(&k, NULL, 0);
        c.irs = kit_take(&k)->h.seq;
        conn_raw(&k, &c, TCP_RST | TCP_ACK, 0, 1, NULL, 0);
    }
    d.rport++;
    cr_assert(conn_accept(&k, &d), "a listener was lost");
    cr_assert_eq(kit_bind(&k, kit_open(&k, 0, &c.slot), 0, c.lport), EADDRINUSE);
}

/* After a stream there is no connecting again: its cursors do not begin anew. */
Test(tcp_crash, connect_after_stream)
{
    struct conn c = conn_default();
    kit_init(&k);
    cr_assert(conn_connect(&k, &c));
    kit_write(&k, &c, 10);
    conn_raw(&k, &c, TCP_RST, 1, 0, NULL, 0);
    cr_assert_eq(kit_connect(&k, c.sess, KIT_PEER, KIT_RPORT), EISCONN);
}

/* Requests in the wrong order, twice, too early, in every state: an error or nothing. */
Test(tcp_crash, requests_out_of_order)
{
    for (unsigned s = 0; s <= TCPS_STATES; s++)
        for (unsigned op = REQ_BIND; op <= REQ_OPS; op++) {
            struct conn c = conn_up(&k);
            if (s == TCPS_CLOSED)
                c.sess = kit_open(&k, 0, &c.slot);
            else if (s == TCPS_LISTEN)
                c.sess = k.listener;
            else if (s == TCPS_SYN_SENT) {
                c.sess = kit_open(&k, 0, &c.slot);
                kit_connect(&k, c.sess, KIT_PEER, 99);
            } else if (s < TCPS_STATES)
                conn_to(&k, &c, (enum tcp_state)s);
            if (s == TCPS_STATES)
                kit_do(&k, c.sess, REQ_CLOSE, 0);
            for (unsigned twice = 0; twice < 2; twice++) {
                struct sess_req r = {
                    .op = (uint8_t)op, .addr = ipaddr_v4_u32(KIT_PEER), .port = 77, .value = 1};
                struct sess_evt e = {0};
                if (conn_tcb(&k, &c)->used)
                    kit_request(&k, c.sess, r, &e);
                kit_step(&k, NULL, 0);
                cr_assert(tcp_validate(k.t), "state %u op %u", s, op);
            }
            cr_assert_eq(k.bad, 0);
            kit_end(&k);
        }
}

/* One slot, one page: data is taken as far as the page goes, and flows when it is read. */
Test(tcp_crash, smallest_arena)
{
    struct conn c = conn_default();
    uint8_t b[FIFO_PAGE];
    kit_prepare(&k);
    k.geometry.n_slots = 2; /* the listener has one */
    k.geometry.n_rx_pages = 1;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    cr_assert(conn_accept(&k, &c));
    uint64_t rx = 0;
    for (unsigned i = 0; i < 50; i++) {
        conn_send(&k, &c, TCP_ACK, 1400);
        c.snd = (uint32_t)conn_tcb(&k, &c)->h.rcv_nxt; /* the peer sends the rest again */
        if (i % 5 == 4) {
            uint32_t n = kit_read(&k, &c, b, sizeof b);
            for (uint32_t j = 0; j < n; j++)
                cr_assert_eq(b[j], kit_byte(rx + j));
            rx += n;
        }
        cr_assert(tcp_validate(k.t));
    }
    cr_assert_geq(rx, 9u * FIFO_PAGE);
}

/* ---- memory ---- */

_Static_assert(sizeof(struct tcb) < 2048, "a session's block is small");

/* 50,000 sessions must fit: what an idle one costs. */
Test(tcp_crash, session_bytes)
{
    cr_log_info("struct tcb: %zu bytes, a session: %zu", sizeof(struct tcb),
                tcp_session_bytes());
    cr_assert_lt(tcp_session_bytes(), 2048);
    kit_prepare(&k);
    struct tcp_config big = k.cfg, bigger = k.cfg;
    big.n_sessions = 32768;
    bigger.n_sessions = 65536;
    size_t more = tcp_store_size(&bigger, &k.frames) - tcp_store_size(&big, &k.frames) +
                  tcp_soft_size(&bigger, &k.frames) - tcp_soft_size(&big, &k.frames);
    cr_assert_leq(more / 32768, tcp_session_bytes());
}
