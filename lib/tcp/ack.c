/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ack.c: what an acknowledgment means (RFC 9293 3.10.7.4, fifth): what is acknowledged, what
 * the windows are; what follows from it is in recovery.c.
 */
#include "priv.h"

static void
acked_new(struct tcp *t, struct tcb *c, const struct seg *s, struct delivery *d)
{
    d->advanced = true;
    sent_acked(t, c, s->ack, d);
    c->h.snd_una = s->ack;
    c->snd_nxt = max_u64(c->snd_nxt, s->ack);
    c->rexmt_since = 0;
    if ((c->h.bits & H_SHUT_WR) && s->ack == snd_end(c))
        c->h.bits |= H_FIN_ACKED;
    c->probing = false;
}

/* RFC 5681 section 2: is this a duplicate acknowledgment? */
static bool
is_duplicate(const struct tcb *c, const struct seg *s)
{
    return s->ack == c->h.snd_una && c->h.snd_max > c->h.snd_una && s->len == 0 &&
           !(s->h.flags & (TCP_SYN | TCP_FIN)) &&
           ((uint32_t)s->h.wnd << c->h.snd_wscale) == c->h.snd_wnd && !c->probing;
}

void
window_update(struct tcb *c, const struct seg *s)
{
    if (c->snd_wl1 > s->seq || (c->snd_wl1 == s->seq && c->snd_wl2 > s->ack))
        return;
    bool syn = (s->h.flags & TCP_SYN) || s->unscaled; /* never scaled (RFC 7323 2.2) */
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

/* RFC 6298 (5.2) and (5.3), after an ACK that moved snd_una; sooner where it stops at what was
 * reported as received, for then that is gone (RFC 2018 section 8). If that was by a probe's
 * byte and the window stays closed, probes stay as far apart as they are. */
static void
timers_after(struct tcp *t, struct tcb *c, bool closed)
{
    if (!closed)
        c->backoff = 0;
    if (c->h.snd_una == c->h.snd_max) {
        c->timer[T_REXMT] = c->timer[T_LOSS] = NS_NEVER;
        c->tlp_due = false;
        return;
    }
    rexmt_arm(t, c);
    if (sent_head_sacked(t, c)) {
        ns_t soon = t->now + max_u64(c->srtt / 2, RENEGE_TIME);
        timer_set(t, c, T_REXMT, min_u64(soon, c->timer[T_REXMT]));
    }
    tlp_arm(t, c);
}

void
ack_process(struct tcp *t, struct tcb *c, const struct seg *s)
{
    struct delivery d = {
        .una = c->h.snd_una,
        .flight = pipe_of(c),
        .ts = (c->h.bits & H_TS) && s->h.has_ts,
        .ts_ecr = s->h.ts_ecr,
    };
    uint64_t una = d.una;
    uint32_t before = c->h.snd_wnd;
    bool duplicate = is_duplicate(c, s), closed = c->probing && s->h.wnd == 0;
    if (s->ack > una)
        acked_new(t, c, s, &d);
    /* Also where the acknowledgment came late: that something arrived stays true. */
    sack_take(t, c, s, una, &d);
    c->soft_err = 0;
    c->delivered += d.bytes;
    if ((c->h.bits & H_ECN) && (s->h.flags & TCP_ECE))
        c->delivered_ce += d.bytes;
    c->n.dsacks += d.dsack;
    rtt_measure(t, c, s, &d);
    ecn_echoed(t, c, s, d.flight);
    recovery_ack(t, c, &d, duplicate);
    tlp_acked(t, c, s, &d);
    if (d.advanced) {
        timers_after(t, c, closed);
        autotune_send(t, c);
    }
    if (s->ack == c->h.snd_una) /* RFC 9293: not from an acknowledgment of the past */
        window_update(c, s);
    if (c->h.snd_wnd > before && c->probing) {
        c->probing = false;
        c->backoff = 0;
        c->rexmt_since = 0;
        c->timer[T_REXMT] = NS_NEVER;
        if (c->h.snd_max > c->h.snd_una) /* a probe byte may be out */
            rexmt_arm(t, c);
    }
    tcb_dirty(t, c);
    work_add(t, c);
}
