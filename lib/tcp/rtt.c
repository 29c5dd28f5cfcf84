/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rtt.c: the round-trip time and the retransmission timeout (RFC 6298, RFC 7323 section 4).
 */
#include "priv.h"

/* As Linux has it, the minimum goes on top of the round trip: a path as long as the minimum
 * must not time out for a late acknowledgment. RFC 6298 (2.4) would have a whole second. */
static void
rto_compute(struct tcb *c)
{
    c->rto = min_u64(c->srtt + max_u64(4 * c->rttvar, RTO_MIN), RTO_MAX);
}

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
    rto_compute(c);
}

/* The least of the last one to two windows of time: a path that got longer is believed after
 * a while (RFC 8985 6.2 step 1 wants a windowed minimum). */
static void
min_rtt_update(struct tcp *t, struct tcb *c, ns_t rtt)
{
    if (t->now - c->min_rtt_since >= MIN_RTT_WINDOW) {
        c->min_rtt[1] = c->min_rtt[0];
        c->min_rtt[0] = 0;
        c->min_rtt_since = t->now;
    }
    if (c->min_rtt[0] == 0 || rtt < c->min_rtt[0])
        c->min_rtt[0] = rtt;
}

ns_t
rtt_min(const struct tcb *c)
{
    if (c->min_rtt[0] == 0 || c->min_rtt[1] == 0)
        return max_u64(c->min_rtt[0], c->min_rtt[1]);
    return min_u64(c->min_rtt[0], c->min_rtt[1]);
}

void
rtt_of_syn(struct tcp *t, struct tcb *c)
{
    if (c->syn_time == 0) /* sent more than once: Karn */
        return;
    ns_t rtt = max_u64(t->now - c->syn_time, 1);
    rtt_sample(c, rtt);
    min_rtt_update(t, c, rtt);
    c->syn_time = 0;
}

void
rtt_measure(struct tcp *t, struct tcb *c, const struct seg *s, const struct delivery *d)
{
    if (d->rtt != 0)
        min_rtt_update(t, c, d->rtt);
    if (d->advanced && c->backoff != 0) /* RFC 6298 (5.7): without the back-off */
        rto_compute(c);
    ns_t rtt = d->rtt_first;
    /* After a retransmission only the time stamp tells which one was answered. Not if this
     * answers a duplicate: the first answer was lost then, and the stamp is that of the segment
     * it was for (RFC 7323 4.3), however long ago. Taken for a round trip, such a time makes
     * the timeout grow with each answer that is lost, until the session all but stands still.
     */
    if (rtt == 0 && d->advanced && !d->dsack && d->ts && s->h.ts_ecr != 0) {
        uint32_t ms = ts_clock(t->now) + c->h.ts_offset - s->h.ts_ecr;
        if (ms < RTO_MAX / NS_MS)
            rtt = ms == 0 ? NS_MS / 2 : ms * NS_MS;
    }
    /* One sample a round trip, as the constants of RFC 6298 want it. */
    if (rtt == 0 || (c->srtt != 0 && c->h.snd_una < c->rtt_next))
        return;
    if (c->rtt_next != 0 && t->now > c->rate.at)
        c->rate.bytes_s = (c->delivered - c->rate.delivered) * NS_S / (t->now - c->rate.at);
    c->rate.app_limited = c->rate.starved;
    c->rate.starved = false;
    c->rate.at = t->now;
    c->rate.delivered = c->delivered;
    c->rtt_next = c->snd_nxt + 1;
    rtt_sample(c, rtt);
}
