/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reply.c: answers to segments that say nothing acceptable. Anybody can make us send them, so
 * each kind is limited in rate (RFC 5961 section 7).
 */
#include "base/siphash.h"
#include "priv.h"

/* RFC 9293 3.10.7.1: a segment for which there is no session. */
void
output_reset_for(struct tcp *t, const struct seg *s)
{
    if (s->h.flags & TCP_RST)
        return;
    struct tcp_hdr h = {.sport = s->h.dport, .dport = s->h.sport, .flags = TCP_RST};
    if (s->h.flags & TCP_ACK) {
        h.seq = s->h.ack;
    } else {
        h.flags |= TCP_ACK;
        h.ack =
            s->h.seq + s->len + ((s->h.flags & TCP_SYN) != 0) + ((s->h.flags & TCP_FIN) != 0);
    }
    if (output_stateless(t, s, &h, NULL))
        stat_inc(t->stats, STAT_tcp_rst_tx);
}

/* Two budgets a second. One for all sessions together: how much of it is left must tell nobody
 * whether somebody else's session was hit (CVE-2016-5696), so its size is a keyed number that
 * does not follow from anything on the wire. And one for each session, so that one of the
 * attacker's own cannot use up what protects the others. */
static bool
challenge_allowed(struct tcp *t, struct tcb *c)
{
    if (t->now / NS_S != t->challenge_second / NS_S) {
        const uint64_t w[2] = {t->now, t->port_salt};
        t->challenge_second = t->now;
        t->challenge_n = CHALLENGES + (uint32_t)siphash_words(t->cfg.key, w, 2) % CHALLENGES;
    }
    if (t->now / NS_S != c->challenge_second / NS_S || c->challenge_second == 0) {
        c->challenge_second = t->now;
        c->challenge_n = 0;
    }
    if (t->challenge_n == 0 || c->challenge_n >= CHALLENGES_SESSION)
        return false;
    t->challenge_n--;
    c->challenge_n++;
    return true;
}

void
output_challenge(struct tcp *t, struct tcb *c)
{
    if (!challenge_allowed(t, c))
        return;
    stat_inc(t->stats, STAT_tcp_challenge_ack);
    output_control(t, c, TCP_ACK);
}

/* Two ends that disagree must not answer each other's ACKs for ever: at most one for a segment
 * without text in OOW_GAP. */
void
output_answer(struct tcp *t, struct tcb *c, const struct seg *s)
{
    if (s->len == 0 && !(s->h.flags & (TCP_SYN | TCP_FIN)) && c->last_oow_ack != 0 &&
        t->now - c->last_oow_ack < OOW_GAP)
        return;
    c->last_oow_ack = t->now;
    output_control(t, c, TCP_ACK);
}
