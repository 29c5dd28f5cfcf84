/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Peers that do not play fair: they acknowledge what they did not get, keep their windows shut,
 * or never let go.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tcp_kit.h"

#define MSS 1460u

static struct kit k;

/* RFC 5681 3.1, RFC 3465: the window grows by what was acknowledged, not by how often. ACK
 * division (Savage et al., 1999) gains nothing. */
Test(tcp_unfair, ack_division)
{
    for (unsigned alg = 0; alg < CC_ALGS; alg++) {
        struct conn c = conn_up(&k);
        struct tcb *b = conn_tcb(&k, &c);
        b->opt.congestion = (uint8_t)alg;
        b->cc.alg = alg;
        cc_ops_of(alg)->start(&b->cc, k.now);
        kit_write(&k, &c, 20 * MSS);
        kit_drop(&k);
        uint32_t before = b->cc.cwnd;
        for (uint32_t i = 1; i <= MSS; i++)
            conn_ack(&k, &c, 1 + i);
        cr_assert_leq(b->cc.cwnd, before + MSS, "algorithm %u", alg);
        kit_end(&k);
    }
}

/* An ACK of what was not sent (optimistic ACKing): RFC 9293 3.10.7.4 fifth: no credit, an
 * answer that is limited, no harm. */
Test(tcp_unfair, optimistic_ack)
{
    struct conn c = conn_up(&k);
    struct tcb *b = conn_tcb(&k, &c);
    kit_write(&k, &c, 40 * MSS);
    kit_drop(&k);
    uint32_t before = b->cc.cwnd;
    uint64_t sent = b->h.snd_max;
    unsigned n = 0;
    for (uint32_t i = 1; i <= 100; i++) {
        conn_raw(&k, &c, TCP_ACK, c.snd, (uint32_t)sent + i * MSS, NULL, 0);
        n += kit_pending(&k);
        kit_drop(&k);
    }
    cr_assert_eq(b->cc.cwnd, before);
    cr_assert_eq(b->h.snd_una, 1);
    cr_assert_eq(b->h.snd_max, sent);
    cr_assert_leq(n, CHALLENGES_SESSION);
    cr_assert_eq(k.arena[0].d_slot[c.slot].tx_head, 0, "bytes were given up");
}

/* Forged duplicate ACKs (RFC 5681 3.2 has each make room for a segment). With SACK those
 * without news are worth nothing; without it each brings one segment at most, the window does
 * not grow, and what was sent is repaired once. */
Test(tcp_unfair, duplicate_ack_flood)
{
    for (unsigned sack = 0; sack < 2; sack++) {
        struct conn c = conn_default();
        c.sack = sack != 0;
        conn_up_as(&k, &c);
        kit_write(&k, &c, 40 * MSS);
        const struct tcb *b = conn_tcb(&k, &c);
        uint32_t flight = kit_pending(&k), before = b->cc.cwnd;
        kit_drop(&k);
        unsigned n = 0, again = 0;
        for (unsigned i = 0; i < 500; i++) {
            conn_raw(&k, &c, TCP_ACK, c.snd, c.rcv, NULL, 0);
            cr_assert_leq(kit_pending(&k), 1);
            for (const struct out_seg *o; (o = kit_take(&k)) != NULL; n++)
                again += o->h.seq - c.irs < 1 + flight * MSS;
            cr_assert_leq(b->cc.cwnd, before);
        }
        cr_assert_leq(again, 1);
        cr_assert_leq(n, sack ? 1 : 31);
        cr_assert(tcp_validate(k.t));
        kit_end(&k);
    }
}

/* RFC 5482: data that is not acknowledged for the user timeout ends the connection, at that
 * time and not at the next retransmission after it; so does a window that stays shut although
 * the peer answers; so does silence when keepalive asks. */
Test(tcp_unfair, user_timeout)
{
    for (unsigned how = 0; how < 3; how++) {
        struct conn c = conn_up(&k);
        kit_set(&k, c.sess, IPPROTO_TCP, TCP_USER_TIMEOUT, 20000);
        if (how == 2) {
            kit_set(&k, c.sess, SOL_SOCKET, SO_KEEPALIVE, 1);
            kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPIDLE, 5);
            kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPINTVL, 5);
            kit_set(&k, c.sess, IPPROTO_TCP, TCP_KEEPCNT, 100);
        } else if (how == 1) {
            c.wnd = 0;
            conn_ack(&k, &c, 1);
            kit_write(&k, &c, 100);
        } else {
            kit_write(&k, &c, 100);
        }
        ns_t start = k.now;
        while (conn_state(&k, &c) != TCPS_CLOSED && k.now < start + 100 * NS_S) {
            kit_wait(&k, 50 * NS_MS);
            if (how == 1 && kit_pending(&k) != 0)
                conn_ack(&k, &c, 1);
            kit_drop(&k);
        }
        ns_t took = k.now - start;
        cr_assert(took >= 19 * NS_S && took <= 21 * NS_S + 500 * NS_MS, "case %u: %llu ms", how,
                  (unsigned long long)(took / NS_MS));
        cr_assert_eq(kit_get(&k, c.sess, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
        kit_end(&k);
    }
}

/* A peer whose window is shut answers; if it drips, it has taken the byte of the probe, and
 * opens and shuts its window in turn. */
static void
answer(struct conn *c, bool drip)
{
    const struct tcb *b = conn_tcb(&k, c);
    c->wnd = drip ? !c->wnd : 0;
    if (b->used && b->rport == c->rport)
        conn_ack(&k, c, (uint32_t)(drip ? b->h.snd_max : b->h.snd_una));
    kit_drop(&k);
}

/* Sockstress: a program is gone, and its peers shut their windows and answer every probe, for
 * ever; or take a byte now and then. Neither holds session nor memory for long. */
Test(tcp_unfair, sockstress)
{
    for (unsigned drip = 0; drip < 2; drip++) {
        struct transport *tr;
        struct conn c[5];
        kit_init(&k);
        tr = (struct transport *)(void *)k.t;
        kit_listen(&k, KIT_PORT, 8, NULL);
        for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
            c[i] = conn_peer(i);
            cr_assert(conn_accept(&k, &c[i]));
            c[i].wnd = 0;
            conn_ack(&k, &c[i], 1);
            kit_write(&k, &c[i], 8000);
        }
        tcp_ops.client_gone(tr, 0, k.now);
        ns_t start = k.now;
        while (tcp_sessions(k.t) != 0 && k.now < start + 2 * ORPHAN_TIME) {
            kit_wait(&k, 100 * NS_MS);
            kit_drop(&k);
            for (unsigned i = 0; i < ARRAY_LEN(c); i++)
                answer(&c[i], drip != 0);
        }
        cr_assert_leq(k.now - start, ORPHAN_TIME + NS_S);
        cr_assert(!drip || k.now - start > ORPHAN_TIME - NS_S, "it did not drip");
        cr_assert_eq(tcp_sessions(k.t), 0);
        cr_assert_eq(k.t->n_orphans, 0);
        cr_assert(tcp_ops.client_idle(tr, 0), "the dead program's memory is held");
        cr_assert(tcp_validate(k.t));
        kit_end(&k);
    }
}

/* The same over a crash of the domain in between: the time begins anew, and ends. */
Test(tcp_unfair, sockstress_and_crash)
{
    struct conn c = conn_up(&k);
    c.wnd = 0;
    conn_ack(&k, &c, 1);
    kit_write(&k, &c, 8000);
    kit_do(&k, c.sess, REQ_CLOSE, 0);
    kit_restart(&k);
    ns_t start = k.now;
    for (unsigned i = 0; k.t->n_orphans != 0 && k.now < start + 2 * ORPHAN_TIME; i++) {
        kit_wait(&k, 100 * NS_MS);
        answer(&c, true);
    }
    cr_assert_leq(k.now - start, ORPHAN_TIME + NS_S);
    cr_assert_eq(k.t->n_orphans, 0);
}

/* Programs that die with many connections: orphans beyond the limit end at once, with a RST,
 * and the rest is bounded (RFC 9293 3.10.4 lets a close wait; memory does not). */
Test(tcp_unfair, orphans_are_bounded)
{
    kit_prepare(&k);
    k.cfg.orphans = 3;
    kit_start(&k);
    kit_listen(&k, KIT_PORT, 8, NULL);
    for (unsigned i = 0; i < 7; i++) {
        struct conn c = conn_peer(i);
        cr_assert(conn_accept(&k, &c));
    }
    kit_drop(&k);
    tcp_ops.client_gone((struct transport *)(void *)k.t, 0, k.now);
    cr_assert_leq(k.t->n_orphans, 3);
    kit_step(&k, NULL, 0);
    unsigned rst = 0;
    for (const struct out_seg *o; (o = kit_take(&k)) != NULL;)
        rst += (o->h.flags & TCP_RST) != 0;
    cr_assert_eq(rst, 4);
    cr_assert_eq(k.stats.v[STAT_tcp_orphans_killed], 4);
}
