/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ecn.c: Explicit Congestion Notification (RFC 3168): negotiated in the handshake, marks of the
 * path told to the peer, and the peer's told to congestion control.
 */
#include "priv.h"

/* 6.1.1: flags that a SYN or SYN-ACK carries. A SYN that was not answered goes without: there
 * are boxes that drop it (6.1.1.1). */
uint8_t
ecn_syn_flags(const struct tcp *t, const struct tcb *c, uint8_t flags)
{
    if (flags & TCP_ACK)
        return c->h.bits & H_ECN ? TCP_ECE : 0;
    return t->cfg.ecn == ECN_ASK && c->backoff == 0 ? TCP_ECE | TCP_CWR : 0;
}

/* What the other end's SYN or SYN-ACK says of it. */
void
ecn_negotiate(const struct tcp *t, struct tcb *c, uint8_t flags)
{
    uint8_t said = flags & (TCP_ECE | TCP_CWR);
    bool asked = !(flags & TCP_ACK) && said == (TCP_ECE | TCP_CWR) && t->cfg.ecn != ECN_OFF;
    bool answered =
        (flags & TCP_ACK) && said == TCP_ECE && t->cfg.ecn == ECN_ASK && c->backoff == 0;
    c->h.bits &= ~H_ECN;
    if (asked || answered)
        c->h.bits |= H_ECN;
}

/* 6.1.3: from a mark on the path until the peer says that it has slowed down. */
void
ecn_received(struct tcb *c, const struct seg *s)
{
    if (!(c->h.bits & H_ECN))
        return;
    if (s->h.flags & TCP_CWR)
        c->ecn_echo = false;
    c->ecn_seen |= (s->tos & ECN_MASK) != 0;
    if ((s->tos & ECN_MASK) == ECN_CE) {
        c->ecn_echo = true;
        c->ack_now = true;
    }
}

/* 6.1.2: the peer saw a mark: slow down, once a round trip, as for a loss. */
void
ecn_echoed(struct tcp *t, struct tcb *c, const struct seg *s, uint32_t flight)
{
    if (!(c->h.bits & H_ECN) || !(s->h.flags & TCP_ECE) || s->ack <= c->ecn_until)
        return;
    c->ecn_until = c->snd_nxt;
    if (c->ca != CA_OPEN) /* it has slowed down already */
        return;
    stat_inc(t->stats, STAT_tcp_ecn_reduced);
    c->undo.marker = 0; /* whatever was undone, this stands */
    cc_ops_of(c->cc.alg)->mark(&c->cc, flight, t->now);
    c->ecn_cwr = true;
}

/* What a segment on its way out carries: 6.1.2 (CWR with new data), 6.1.3 (ECE), and ECT(0) on
 * new data alone (6.1.4 to 6.1.6: not on an ACK, a retransmission, a window probe). */
void
ecn_mark(struct tcb *c, bool fresh, uint8_t *flags, uint8_t *tos)
{
    if (!(c->h.bits & H_ECN) || (*flags & (TCP_SYN | TCP_RST)))
        return;
    if (c->ecn_echo)
        *flags |= TCP_ECE;
    if (!fresh)
        return;
    *tos |= ECN_ECT0;
    if (c->ecn_cwr)
        *flags |= TCP_CWR;
    c->ecn_cwr = false;
}
