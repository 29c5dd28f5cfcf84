/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ack.c: what an acknowledgment means: round-trip time (RFC 6298), windows (RFC 9293 3.10.7.4),
 * loss recovery (RFC 5681 3.2, RFC 6582).
 */
#include "priv.h"

void
rtt_sample(struct tcb *c, ns_t rtt)
{
    if (c->srtt == 0) { /* RFC 6298 (2.2) */
        c->srtt = max_u64(rtt, 1);
        c->rttvar = rtt / 2;
    } else { /* (2.3) */
        ns_t diff = rtt > c->srtt ? rtt - c->srtt : c->srtt - rtt;
        c->rttvar = c->rttvar - c->rttvar / 4 + diff / 4;
        c->srtt = max_u64(c->srtt - c->srtt / 8 + rtt / 8, 1);
    }
    c->rto = min_u64(max_u64(c->srtt + max_u64(NS_MS, 4 * c->rttvar), RTO_MIN), RTO_MAX);
}

static void
measure_rtt(struct tcp *t, struct tcb *c, const struct seg *s)
{
    if (c->rtt_seq != 0 && s->ack >= c->rtt_seq) {
        rtt_sample(c, t->now - c->rtt_time);
        c->rtt_seq = 0;
    } else if (c->rtt_seq == 0 && (c->h.bits & H_TS) && s->h.has_ts && s->h.ts_ecr != 0) {
        /* After a retransmission only the time stamp tells which one was answered. */
        uint32_t ms = ts_clock(t->now) + c->h.ts_offset - s->h.ts_ecr;
        if (ms < RTO_MAX / NS_MS)
            rtt_sample(c, ms == 0 ? NS_MS / 2 : ms * NS_MS);
    }
}

static void
acked_new(struct tcp *t, struct tcb *c, const struct seg *s)
{
    uint64_t acked = s->ack - c->h.snd_una;
    uint32_t flight = (uint32_t)(c->snd_nxt > c->h.snd_una ? c->snd_nxt - c->h.snd_una : 0);
    const struct cc_ops *cc = cc_ops_of(c->cc.alg);
    measure_rtt(t, c, s);
    c->h.snd_una = s->ack;
    c->snd_nxt = max_u64(c->snd_nxt, s->ack);
    c->rexmt_since = 0;
    if (c->backoff != 0) { /* RFC 6298 (5.7): what the last sample said, without the back-off */
        c->backoff = 0;
        if (c->srtt != 0)
            c->rto =
                min_u64(max_u64(c->srtt + max_u64(NS_MS, 4 * c->rttvar), RTO_MIN), RTO_MAX);
    }
    if ((c->h.bits & H_SHUT_WR) && s->ack == snd_end(c))
        c->h.bits |= H_FIN_ACKED;
    if (c->h.snd_una == c->h.snd_max)
        c->timer[T_REXMT] = NS_NEVER; /* RFC 6298 (5.2) */
    else
        rexmt_arm(t, c); /* (5.3) */
    c->probing = false;
    if (!c->in_recovery) {
        c->dupacks = 0;
        cc->ack(&c->cc, (uint32_t)min_u64(acked, UINT32_MAX), flight + c->h.mss > c->cc.cwnd,
                c->srtt, t->now);
    } else if (s->ack >= c->recover) { /* RFC 6582 3.2 step 3, full acknowledgment */
        c->in_recovery = false;
        c->dupacks = 0;
        cc->recovered(&c->cc, (uint32_t)(c->h.snd_max - c->h.snd_una), t->now);
    } else { /* partial: the next hole; deflate by what left, inflate by what was sent */
        uint32_t less = (uint32_t)min_u64(acked, c->cc.cwnd - c->h.mss);
        c->cc.cwnd = max_u32(c->cc.cwnd - less + (acked >= c->h.mss ? c->h.mss : 0), c->h.mss);
        output_again(t, c);
    }
}

/* RFC 5681 section 2: is this a duplicate acknowledgment? */
static bool
is_duplicate(const struct tcb *c, const struct seg *s)
{
    return s->ack == c->h.snd_una && c->h.snd_max > c->h.snd_una && s->len == 0 &&
           !(s->h.flags & (TCP_SYN | TCP_FIN)) &&
           ((uint32_t)s->h.wnd << c->h.snd_wscale) == c->h.snd_wnd && !c->probing;
}

static void
duplicate(struct tcp *t, struct tcb *c)
{
    if (c->dupacks < UINT8_MAX)
        c->dupacks++;
    if (c->in_recovery) {
        c->cc.cwnd = min_u32(c->cc.cwnd + c->h.mss, CWND_MAX); /* RFC 5681 3.2 step 4 */
        return;
    }
    /* RFC 6582 3.2 step 1: not again for what was out at the last recovery or timeout. */
    if (c->dupacks != 3 || c->h.snd_una <= c->recover)
        return;
    stat_inc(t->stats, STAT_tcp_fast_retransmit);
    c->in_recovery = true;
    c->recover = c->h.snd_max;
    cc_ops_of(c->cc.alg)->loss(&c->cc, (uint32_t)(c->h.snd_max - c->h.snd_una), t->now);
    output_again(t, c);
    rexmt_arm(t, c);
}

void
window_update(struct tcb *c, const struct seg *s)
{
    if (c->snd_wl1 > s->seq || (c->snd_wl1 == s->seq && c->snd_wl2 > s->ack))
        return;
    bool syn = s->h.flags & TCP_SYN; /* never scaled (RFC 7323 2.2) */
    c->h.snd_wnd = syn ? s->h.wnd : (uint32_t)s->h.wnd << c->h.snd_wscale;
    c->max_wnd = max_u32(c->max_wnd, c->h.snd_wnd);
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
}

bool
ack_acceptable(struct tcp *t, struct tcb *c, const struct seg *s)
{
    /* RFC 9293: for something not yet sent; RFC 5961 section 5.2: older than any window. */
    if (s->ack <= c->h.snd_max && s->ack + c->max_wnd >= c->h.snd_una)
        return true;
    output_challenge(t, c);
    return false;
}

void
ack_process(struct tcp *t, struct tcb *c, const struct seg *s)
{
    uint32_t before = c->h.snd_wnd;
    if (s->ack > c->h.snd_una)
        acked_new(t, c, s);
    else if (is_duplicate(c, s))
        duplicate(t, c);
    if (s->ack == c->h.snd_una) /* RFC 9293: not from an acknowledgment of the past */
        window_update(c, s);
    if (c->h.snd_wnd > before && c->probing) {
        c->probing = false;
        c->backoff = 0;
        c->timer[T_REXMT] = NS_NEVER;
        if (c->h.snd_max > c->h.snd_una) /* a probe byte may be out */
            rexmt_arm(t, c);
    }
    tcb_dirty(t, c);
    work_add(t, c);
}
