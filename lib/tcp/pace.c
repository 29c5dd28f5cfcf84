/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pace.c: where it is asked for (by policy, the program, or the congestion control), segments
 * leave at the rate at which the path takes them, not a window at a time, so that a queue on
 * the way need not hold a window. Every segment moves the time of the next one; who is too
 * early waits in the timing wheel with everything else that waits. A wheel's tick is about a
 * millisecond: what is due within one goes at once.
 */
#include "priv.h"

#define PACE_QUANTUM (2 * NS_MS) /* sent together */
#define PACE_RTT (4 * NS_MS)     /* below it a window is gone before a tick is over */
#define PACE_SLOW_START 200u     /* percent of the window a round trip, as Linux */
#define PACE_AVOIDANCE 120u

/* Bytes a second; 0: as fast as the window allows. */
uint64_t
pace_rate(const struct tcp *t, const struct tcb *c)
{
    const struct cc_ops *cc = cc_ops_of(c->cc.alg);
    uint64_t most = c->opt.max_pacing != 0 ? c->opt.max_pacing : UINT64_MAX;
    uint64_t rate = cc->pacing != NULL ? cc->pacing(&c->cc, c->srtt) : 0;
    if (rate == 0 && t->cfg.pacing && c->srtt >= PACE_RTT) {
        unsigned percent = c->cc.cwnd < c->cc.ssthresh ? PACE_SLOW_START : PACE_AVOIDANCE;
        rate = (uint64_t)c->cc.cwnd * percent * (NS_S / NS_US / 100) / (c->srtt / NS_US);
    }
    return rate != 0 ? min_u64(rate, most) : most != UINT64_MAX ? most : 0;
}

bool
pace_wait(struct tcp *t, struct tcb *c)
{
    if (c->pace_next <= t->now + PACE_QUANTUM || pace_rate(t, c) == 0)
        return false;
    timer_set(t, c, T_PACE, c->pace_next - PACE_QUANTUM);
    return true;
}

#define SEGMENT_EXTRA (IP4_HEADER + TCP_HEADER + 12) /* around the payload, usually */

/* A session that waits has booked what it will send: its turn comes at a time of its own,
 * however many others wait for the same account. */
bool
rate_wait(struct tcp *t, struct tcb *c, uint32_t len)
{
    struct account *a = tcb_account(t, c);
    if (a == NULL || !account_is_paced(a))
        return false;
    if (len > c->booked) {
        uint32_t extra = len - c->booked + (c->booked == 0 ? SEGMENT_EXTRA : 0);
        c->book_at = account_book(a, c->booked == 0, extra, t->now);
        c->booked = len;
        if (c->book_at > t->now)
            client_held(t->clients, tcb_client(t, c));
    }
    if (c->book_at <= t->now)
        return false;
    timer_set(t, c, T_PACE, c->book_at);
    return true;
}

void
rate_sent(struct tcp *t, struct tcb *c, uint32_t packets, uint32_t payload, uint32_t bytes)
{
    const struct client *cl = tcb_client(t, c);
    if (cl == NULL)
        return;
    struct account *a = client_account(t->clients, cl);
    client_sent(t->clients, cl, packets, bytes);
    if (!account_is_paced(a))
        return;
    if (payload == 0 || c->booked == 0)
        account_charge(a, packets, bytes, t->now); /* what does not wait */
    else if (payload > c->booked)
        account_charge(a, 0, payload - c->booked, t->now);
    if (payload != 0)
        c->booked = 0;
}

void
pace_sent(struct tcp *t, struct tcb *c, uint32_t bytes)
{
    uint64_t rate = pace_rate(t, c);
    if (rate == 0)
        return;
    /* A tick that came late is made up for; a pause is saved for an initial window at most. */
    ns_t credit = PACE_QUANTUM;
    if (c->h.snd_una == c->snd_nxt)
        credit = max_u64(credit, cc_initial_window(&c->cc) * NS_S / rate);
    c->pace_next = max_u64(c->pace_next, t->now - min_u64(t->now, credit));
    c->pace_next += bytes * NS_S / rate;
}
