/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rack.c: RACK-TLP (RFC 8985): a segment is lost if one that was sent sufficiently later has
 * arrived; and a probe when the tail of a flight stays without an answer. The names are the
 * RFC's.
 */
#include "priv.h"

/* RFC 8985 6.2 step 2. */
static bool
sent_after(ns_t t1, uint64_t end1, ns_t t2, uint64_t end2)
{
    return t1 > t2 || (t1 == t2 && end1 > end2);
}

/* Steps 1 to 3, for one run of what an ACK delivered. */
void
rack_delivered(struct tcp *t, struct tcb *c, const struct run *r, uint64_t right,
               const struct delivery *d)
{
    struct rack *k = &c->rack;
    bool again = r->flags & (RUN_REXMT | RUN_VAGUE);
    ns_t rtt = t->now - r->at;
    /* Was it the first transmission that arrived? Then this says nothing of the second. */
    if (again && d->ts && (int32_t)(d->ts_ecr - (ts_clock(r->at) + c->h.ts_offset)) < 0)
        return;
    if (again && rtt < rtt_min(c))
        return;
    if (right > k->fack)
        k->fack = right;
    else if (!again && right < k->fack) {
        k->reordering = true;
        c->n.reordered++;
    }
    k->rtt = rtt; /* of what was delivered last, also if something sent later was before */
    if (sent_after(r->at, right, k->at, k->end)) {
        k->at = r->at;
        k->end = right;
    }
}

/* Step 4: how much later is sufficiently later. */
void
rack_reorder_window(struct tcb *c, bool dsack, bool recovered)
{
    struct rack *k = &c->rack;
    if (k->mult == 0)
        k->mult = 1;
    if (dsack && (k->dsack_round == 0 || c->h.snd_una >= k->dsack_round)) {
        k->dsack_round = c->snd_nxt;
        k->mult = (uint8_t)min_u32(k->mult + 1u, 255);
        k->persist = 16;
    } else if (recovered && k->persist != 0 && --k->persist == 0) {
        k->mult = 1;
    }
}

static ns_t
reorder_window(const struct tcb *c)
{
    const struct rack *k = &c->rack;
    /* While no reordering was seen, three segments beyond a hole are as good as time. */
    if (!k->reordering &&
        (c->ca != CA_OPEN || c->sacked > (DUP_THRESH - 1) * (uint32_t)c->h.mss))
        return 0;
    return min_u64(max_u32(k->mult, 1) * (rtt_min(c) / 4), c->srtt);
}

/* Step 5. What was sent last is younger than all the rest of the queue, so the first that may
 * still arrive ends the search; the timer is for that one (the RFC has one timer for all). */
uint32_t
rack_detect(struct tcp *t, struct tcb *c)
{
    const struct rack *k = &c->rack;
    ns_t wait = 0, window = reorder_window(c);
    uint32_t lost = 0, next;
    for (uint32_t i = c->flight.oldest; k->end != 0 && i != RUN_NONE; i = next) {
        struct run *r = &t->runs.run[i];
        next = r->newer;
        if (r->at > k->at)
            break;
        if (!sent_after(k->at, k->end, r->at, r->right))
            continue;
        ns_t due = r->at + k->rtt + window;
        if (due > t->now) {
            wait = due - t->now;
            break;
        }
        lost += sent_run_lost(t, c, r);
        c->lost_beyond |= c->ca == CA_RECOVERY && r->left >= c->recover;
    }
    if (wait != 0) {
        c->tlp_due = false;
        timer_set(t, c, T_LOSS, t->now + wait);
    } else if (k->end != 0 && !c->tlp_due) {
        c->timer[T_LOSS] = NS_NEVER;
    }
    return lost;
}

/* 6.3: the first is lost, and what is as old as a lost one would be. */
void
rack_timeout(struct tcp *t, struct tcb *c)
{
    ns_t old = c->rack.rtt + reorder_window(c);
    struct run *r = run_at(&t->runs, c->sent.head);
    if (r != NULL)
        (void)sent_run_lost(t, c, r);
    while ((r = run_at(&t->runs, c->flight.oldest)) != NULL && r->at + old <= t->now)
        (void)sent_run_lost(t, c, r);
}

/* ---- tail loss probes, section 7 ---- */

void
tlp_disarm(struct tcb *c)
{
    if (c->tlp_due)
        c->timer[T_LOSS] = NS_NEVER;
    c->tlp_due = false;
}

/* 7.2: when to send one, after new data or an ACK that moved snd_una. */
void
tlp_arm(struct tcp *t, struct tcb *c)
{
    uint32_t flight = pipe_of(c);
    if (!(c->h.bits & H_SACK) || c->ca != CA_OPEN || c->sacked != 0 || c->lost != 0 ||
        flight == 0 || c->tlp_end != 0 || c->timer[T_REXMT] == NS_NEVER || c->h.snd_wnd == 0) {
        tlp_disarm(c);
        return;
    }
    ns_t pto = c->srtt != 0 ? 2 * c->srtt + TLP_SLACK : RTO_INITIAL;
    if (c->srtt != 0 && flight <= c->h.mss) /* the peer may hold its ACK back */
        pto += RTO_MIN;
    c->tlp_due = true; /* where the timeout would come first, in its place (rexmt_fire) */
    timer_set(t, c, T_LOSS, min_u64(t->now + pto, c->timer[T_REXMT]));
}

/* 7.3: new data if there is, or the end of what was sent. False: there was nothing to send. */
bool
tlp_fire(struct tcp *t, struct tcb *c)
{
    tlp_disarm(c);
    if (c->tlp_end != 0 || c->snd_nxt <= c->h.snd_una || c->ca != CA_OPEN || c->sacked != 0 ||
        c->lost != 0 || c->sent.n == 0 || c->h.snd_wnd == 0)
        return false;
    bool fresh = output_one_new(t, c);
    if (!fresh) {
        uint64_t left = t->runs.run[c->sent.tail].left, mss = sack_mss(c);
        left = c->snd_nxt - left > mss ? c->snd_nxt - mss : left;
        if (output_again(t, c, left, c->snd_nxt) == 0)
            return false;
    }
    stat_inc(t->stats, STAT_tcp_tail_probe);
    c->tlp_end = c->snd_nxt;
    c->tlp_rexmt = !fresh;
    rexmt_arm(t, c);
    return true;
}

/* 7.4: did the probe repair a loss that nobody else saw? Then the window has to know. */
void
tlp_acked(struct tcp *t, struct tcb *c, const struct seg *s, const struct delivery *d)
{
    if (c->tlp_end == 0 || s->ack < c->tlp_end)
        return;
    if (!c->tlp_rexmt || (d->dsack && d->dsack_r == c->tlp_end)) {
        c->tlp_end = 0;
    } else if (s->ack > c->tlp_end) {
        c->tlp_end = 0;
        if (c->ca == CA_OPEN) {
            const struct cc_ops *cc = cc_ops_of(c->cc.alg);
            c->undo.marker = 0;
            cc->loss(&c->cc, d->flight, t->now);
            cc->recovered(&c->cc, t->now);
        }
    } else if (!d->advanced && !d->sacked) { /* a duplicate: both arrived */
        c->tlp_end = 0;
    }
}
