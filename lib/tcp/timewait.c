/* SPDX-License-Identifier: BSD-2-Clause
 *
 * timewait.c: TIME-WAIT (RFC 9293 3.10.7.4, RFC 1337), and when a new connection may have the
 * addresses and ports of one that is in it: opened by the peer (RFC 6191, RFC 1122 4.2.2.13) or
 * by us.
 */
#include "priv.h"

/* Before a program may open the same pair again: the time stamps of both sides must have moved
 * on, and RFC 7323 5.4 allows a clock of one step a second. */
#define REUSE_AFTER NS_S
#define ISS_AHEAD 65536u /* how far beyond the old numbers the new ones begin */

void
time_wait_enter(struct tcp *t, struct tcb *c)
{
    tcb_set_state(t, c, TCPS_TIME_WAIT);
    stat_inc(t->stats, STAT_tcp_time_wait);
    for (unsigned i = 0; i < T_COUNT; i++)
        c->timer[i] = NS_NEVER;
    timer_set(t, c, T_WAIT, t->now + MSL2);
    if (c->on_tw)
        return;
    uint32_t i = tcb_number(t, c);
    c->on_tw = true;
    c->tw_next = SESS_NONE;
    c->tw_prev = t->tw_tail;
    if (t->tw_tail == SESS_NONE)
        t->tw_head = i;
    else
        t->tcb[t->tw_tail].tw_next = i;
    t->tw_tail = i;
}

void
time_wait_unlink(struct tcp *t, struct tcb *c)
{
    if (!c->on_tw)
        return;
    if (c->tw_prev != SESS_NONE)
        t->tcb[c->tw_prev].tw_next = c->tw_next;
    else
        t->tw_head = c->tw_next;
    if (c->tw_next != SESS_NONE)
        t->tcb[c->tw_next].tw_prev = c->tw_prev;
    else
        t->tw_tail = c->tw_prev;
    c->on_tw = false;
}

void
time_wait_leave(struct tcp *t, struct tcb *c)
{
    tcb_die(t, c, 0);
    tcb_settle(t, c);
}

/* RFC 6191 section 2: is this SYN of a later connection than c? */
static bool
syn_is_newer(const struct tcb *c, const struct seg *s)
{
    bool beyond = (int64_t)(s->seq - c->h.rcv_nxt) > 0; /* also from before the first byte */
    if (!s->h.has_ts)
        return beyond;
    if (!(c->h.bits & H_TS)) /* what is old has no stamp, and the new connection drops it */
        return true;
    int32_t later = (int32_t)(s->h.ts_val - c->h.ts_recent);
    return later > 0 || (later == 0 && beyond);
}

/* A SYN takes the place of c. False: it must not, or there is no room for it now. */
static bool
make_way(struct tcp *t, struct tcb *c, const struct seg *s)
{
    struct tcb *l = demux_listener(t, &s->dst, s->h.dport, &s->src, s->h.sport);
    /* Not for a cookie: it could not begin beyond the old numbers. The peer asks again. */
    if (l == NULL || !syn_is_newer(c, s) || !listen_admits(t, l, s) ||
        listen_room(t, l) != LISTEN_ROOM)
        return false;
    uint32_t past = c->h.iss + (uint32_t)c->h.snd_max;
    time_wait_leave(t, c);
    struct tcb *n = listen_begin(t, l, s);
    if (n != NULL && (int32_t)(n->h.iss - past) <= 0)
        n->h.iss = past + ISS_AHEAD; /* RFC 1122 4.2.2.13 (1) */
    return true;
}

void
time_wait_segment(struct tcp *t, struct tcb *c, struct seg *s)
{
    s->seq = seq_extend(c->h.rcv_nxt, c->h.irs, s->h.seq);
    if (s->h.flags & TCP_RST) /* RFC 1337: nothing ends it early */
        return;
    if ((s->h.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && make_way(t, c, s))
        return;
    bool theirs = s->seq + s->len + 1 == c->h.rcv_nxt; /* their FIN, and no other */
    if ((s->h.flags & TCP_FIN) && theirs)              /* our ACK of it was lost: wait anew */
        timer_set(t, c, T_WAIT, t->now + MSL2);
    if (s->len != 0 || (s->h.flags & (TCP_FIN | TCP_SYN)))
        output_challenge(t, c);
    else if (s->seq != c->h.rcv_nxt)
        output_answer(t, c, s); /* an ACK from where the peer cannot be now */
}

/* The peer may have forgotten the old connection, and number as it likes: only its time stamps
 * tell what is old from what is new (RFC 6191 section 3, RFC 7323 5.2). Ours go on too, as the
 * same tuple has the same offset. */
bool
time_wait_reusable(const struct tcp *t, const struct tcb *old)
{
    return old->h.state == TCPS_TIME_WAIT && (old->h.bits & H_TS) &&
           t->now - old->ts_recent_age > REUSE_AFTER;
}

void
time_wait_replace(struct tcp *t, struct tcb *old, struct tcb *c)
{
    c->h.iss = old->h.iss + (uint32_t)old->h.snd_max + ISS_AHEAD;
    time_wait_leave(t, old);
}
