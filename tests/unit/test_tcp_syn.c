/* SPDX-License-Identifier: BSD-2-Clause
 *
 * SYN floods: the limits of half-open sessions and of what waits to be accepted, and how SYN
 * cookies serve who is honest while they are reached. (What a cookie is: test_tcp_cookie.c.)
 */
#include <criterion/criterion.h>

#include "tcp_kit.h"

static struct kit k;

/* SYNs of strangers who never answer, each from another port. */
static void
flood(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct conn c = conn_peer(1000 + i);
        conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
        kit_drop(&k);
    }
}

/* Of the domain, of the client, of the listener (its backlog, or 64 if that is shorter): the
 * first half-open sessions are real ones, the next SYN is answered by a cookie; and half-open
 * sessions never take more than half of the sessions that there are. */
Test(tcp_syn, every_limit_leads_to_cookies)
{
    static const struct {
        uint32_t sessions, domain, client, backlog, want;
    } o[] = {{24, 4, 100, 100, 4},
             {24, 100, 3, 100, 3},
             {400, 300, 300, 1, 65},
             {400, 300, 300, 100, 101},
             {24, 100, 100, 100, 12}};
    for (unsigned i = 0; i < ARRAY_LEN(o); i++) {
        kit_prepare(&k);
        k.cfg.n_sessions = k.limits.sessions = o[i].sessions;
        k.cfg.half_open = o[i].domain;
        k.limits.half_open = o[i].client;
        kit_start(&k);
        kit_listen(&k, KIT_PORT, o[i].backlog, NULL);
        flood(300);
        cr_assert_eq(k.t->n_half_open, o[i].want, "case %u: %u", i, k.t->n_half_open);
        cr_assert_eq(kit_stat(&k, STAT_tcp_cookie_tx), 300 - o[i].want);
        cr_assert_eq(kit_stat(&k, STAT_tcp_drop_syn_backlog), 0);
        struct conn c = conn_peer(0);
        cr_assert(conn_half_open(&k, &c, 0));
        conn_ack(&k, &c, 1);
        cr_assert(conn_accepted(&k, &c), "case %u", i);
        cr_assert_eq(k.t->n_half_open, o[i].want);
        kit_wait(&k, 70 * NS_S);
        cr_assert_eq(k.t->n_half_open, 0);
        cr_assert_eq(tcp_sessions(k.t), 2);
        kit_end(&k);
    }
}

/* A flood does not choose whose handshake ends: one that was half open before it is finished
 * after it. */
Test(tcp_syn, no_eviction)
{
    struct conn c = conn_peer(0);
    kit_start_cookies(&k, TCP_COOKIES_AUTO);
    cr_assert(conn_half_open(&k, &c, 0));
    cr_assert_eq(tcp_sessions(k.t), 2);
    flood(2000);
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
    cr_assert_eq(kit_stat(&k, STAT_tcp_cookie_rx), 0);
}

/* Switched off: beyond the limit there is silence, and nothing that looks like a cookie is one.
 */
Test(tcp_syn, off)
{
    struct conn c = conn_peer(0), d = conn_peer(1);
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    cr_assert(conn_half_open(&k, &c, 0));
    k.t->cfg.cookies = TCP_COOKIES_OFF;
    conn_ack(&k, &c, 1);
    cr_assert_eq(kit_take(&k)->h.flags, TCP_RST);
    flood(20);
    cr_assert_null(conn_syn(&k, &d, 0));
    cr_assert_neq(kit_stat(&k, STAT_tcp_drop_syn_backlog), 0);
}

/* A program that does not accept: SYNs are dropped, as a cookie would promise what is not
 * there. Whose ACK comes then has shown that it is real: its session waits half open, and the
 * SYN-ACK that is repeated asks for the ACK again (a peer that only listens would not send
 * another). */
Test(tcp_syn, accept_queue_full)
{
    struct conn c = conn_peer(0), d[2] = {conn_peer(1), conn_peer(2)}, late = conn_peer(3);
    kit_prepare(&k);
    k.cfg.cookies = TCP_COOKIES_ALWAYS;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 1, NULL);
    cr_assert(conn_half_open(&k, &c, 0));
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(conn_half_open(&k, &d[i], 0));
        conn_ack(&k, &d[i], 1);
    }
    cr_assert_eq(k.t->tcb[k.listener].n_accept, 2);
    cr_assert_null(conn_syn(&k, &late, 0));
    conn_ack(&k, &c, 1);
    EXPECT_NONE(&k);
    cr_assert_eq(k.t->n_half_open, 1);
    cr_assert(conn_accepted(&k, &d[0]));
    cr_assert_not(conn_accepted(&k, &c));
    kit_wait(&k, 1100 * NS_MS);
    EXPECT_SEG(&k, &c, TCP_SYN | TCP_ACK, 0, 1, 0);
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
    conn_send(&k, &c, TCP_ACK, 10);
    cr_assert_eq(kit_readable(&k, &c), 10);
}

/* The same with no room for half-open sessions either: the ACK is as good as lost, no RST, and
 * the peer's first text brings it again. */
Test(tcp_syn, accept_queue_full_under_flood)
{
    struct conn c = conn_peer(0), d = conn_peer(1);
    kit_start_cookies(&k, TCP_COOKIES_AUTO);
    cr_assert(conn_half_open(&k, &d, 0));
    conn_ack(&k, &d, 1); /* waits to be accepted */
    k.t->tcb[k.listener].backlog = 100;
    flood(100);
    cr_assert_eq(k.t->n_half_open, 8);
    cr_assert(conn_half_open(&k, &c, 0));
    k.t->tcb[k.listener].backlog = 0;
    conn_ack(&k, &c, 1);
    EXPECT_NONE(&k);
    cr_assert_eq(k.t->n_half_open, 8);
    k.t->tcb[k.listener].backlog = 100;
    conn_send(&k, &c, TCP_ACK, 10);
    cr_assert(conn_accepted(&k, &c));
    cr_assert_eq(kit_readable(&k, &c), 10);
}

/* No slot in the client's arena: the session waits half open. */
Test(tcp_syn, no_slot)
{
    struct conn c = conn_peer(0);
    uint32_t slot, s;
    struct sess_evt e;
    kit_prepare(&k);
    k.geometry.n_slots = 2;
    k.cfg.cookies = TCP_COOKIES_ALWAYS;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    s = kit_open(&k, 0, &slot);
    cr_assert(conn_half_open(&k, &c, 0));
    conn_ack(&k, &c, 1);
    EXPECT_NONE(&k);
    cr_assert_eq(k.t->n_half_open, 1);
    kit_do(&k, s, REQ_CLOSE, 0);
    cr_assert(kit_event(&k, 0, &e) && e.kind == EVT_FREED);
    kit_do(&k, s, REQ_RELEASED, 0);
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
}

/* No session left for the client: nothing is made, and nothing said. */
Test(tcp_syn, no_session)
{
    struct conn c = conn_peer(0);
    uint32_t slot;
    kit_prepare(&k);
    k.limits.sessions = 3;
    k.cfg.cookies = TCP_COOKIES_ALWAYS;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 5, NULL);
    cr_assert(conn_half_open(&k, &c, 0));
    cr_assert(kit_open(&k, 0, &slot) != SESS_NONE && kit_open(&k, 0, &slot) != SESS_NONE);
    conn_ack(&k, &c, 1);
    EXPECT_NONE(&k);
    cr_assert_eq(tcp_sessions(k.t), 3);
}

/* The room is used up, and a SYN wants the place of a connection in TIME-WAIT: a cookie could
 * not begin beyond the old numbers (RFC 1122 4.2.2.13), so TIME-WAIT stays and answers. */
Test(tcp_syn, time_wait_is_not_left_for_a_cookie)
{
    struct conn c = conn_peer(0);
    kit_start_cookies(&k, TCP_COOKIES_AUTO);
    cr_assert(conn_accept(&k, &c));
    conn_to(&k, &c, TCPS_TIME_WAIT);
    flood(100);
    conn_raw(&k, &c, TCP_SYN, c.snd + 1000, 0, NULL, 0);
    EXPECT_ACK(&k, &c);
    EXPECT_STATE(&k, &c, TCPS_TIME_WAIT);
}

/* Out of transmit frames no cookie is sent, and none is thought to be. */
Test(tcp_syn, no_frames)
{
    struct conn c = conn_peer(0);
    kit_start_cookies(&k, TCP_COOKIES_ALWAYS);
    k.hold = true;
    for (unsigned i = 0; i < KIT_FRAMES + 10; i++) {
        c.rport++;
        conn_raw(&k, &c, TCP_SYN, 0, 0, NULL, 0);
    }
    cr_assert_eq(kit_stat(&k, STAT_tcp_cookie_tx), KIT_FRAMES);
    kit_drop(&k);
    cr_assert(kit_done(&k));
    k.hold = false;
    cr_assert(conn_half_open(&k, &c, 0));
    cr_assert(tcp_validate(k.t));
}

/* The first connection under a flood that does not end: SYNs before, between and after each of
 * its segments. */
Test(tcp_syn, served_under_flood)
{
    struct conn c = conn_peer(0);
    c.ts = c.sack = c.ws = true;
    kit_start_cookies(&k, TCP_COOKIES_AUTO);
    flood(1000);
    cr_assert(conn_half_open(&k, &c, 0));
    flood(1000);
    conn_ack(&k, &c, 1);
    cr_assert(conn_accepted(&k, &c));
    flood(1000);
    conn_send(&k, &c, TCP_ACK, 100);
    cr_assert_eq(kit_readable(&k, &c), 100);
    cr_assert_leq(tcp_sessions(k.t), 2 + k.cfg.half_open);
    cr_assert(tcp_validate(k.t));
}
