/* SPDX-License-Identifier: BSD-2-Clause
 *
 * recovery.c: when a repair begins and ends. What is lost is found by time where the peer sends
 * selective acknowledgments (rack.c), else by counting duplicate ones (RFC 5681 3.2, RFC 6582);
 * it is marked in the list of what was sent, and output.c sends marked runs before anything
 * new.
 */
#include "priv.h"

static uint32_t
out_bytes(const struct tcb *c)
{
    uint64_t una = max_u64(c->h.snd_una, 1);
    return (uint32_t)min_u64(c->snd_nxt > una ? c->snd_nxt - una : 0, UINT32_MAX);
}

static void
begin(struct tcp *t, struct tcb *c)
{
    stat_inc(t->stats, STAT_tcp_fast_retransmit);
    undo_begin(c);
    c->ca = CA_RECOVERY;
    c->recover = c->snd_nxt;
    c->lost_beyond = false;
    c->tlp_end = 0;
    tlp_disarm(c);
    c->ecn_cwr = c->h.bits & H_ECN; /* RFC 3168 6.1.2: for any reduction */
    /* What limited transmit sent, and what a repair sent beyond itself, does not count. */
    cc_ops_of(c->cc.alg)->loss(&c->cc, min_u32(out_bytes(c), c->cc.cwnd), t->now);
    prr_begin(c);
    rexmt_arm(t, c);
}

static void
end(struct tcp *t, struct tcb *c)
{
    if (c->ca == CA_RECOVERY)
        cc_ops_of(c->cc.alg)->recovered(&c->cc, t->now);
    c->ca = CA_OPEN;
    c->dupacks = 0;
    c->dup_bytes = 0;
    rack_reorder_window(c, false, true);
}

/* ---- without SACK: RFC 6582 ---- */

static uint32_t
first_lost(struct tcp *t, struct tcb *c)
{
    uint64_t una = max_u64(c->h.snd_una, 1);
    return sent_lost(t, c, una, min_u64(una + c->h.mss, c->snd_nxt));
}

/* Each duplicate stands for a segment that arrived: it makes room for one more (RFC 3042, and
 * RFC 5681 3.2 step 4, both by way of the pipe). */
static void
newreno_duplicate(struct tcp *t, struct tcb *c, struct delivery *d)
{
    uint32_t room = out_bytes(c) - min_u32(out_bytes(c), c->lost + c->dup_bytes);
    uint32_t step = min_u32(room, c->h.mss);
    c->dup_bytes += step;
    d->bytes = step;
    if (c->dupacks < UINT8_MAX)
        c->dupacks++;
    /* 3.2 step 1: not again for what was out at the last recovery or timeout. */
    if (c->ca == CA_OPEN && c->dupacks == DUP_THRESH && c->h.snd_una > c->recover)
        d->lost = first_lost(t, c);
}

static void
newreno_advance(struct tcp *t, struct tcb *c, struct delivery *d)
{
    uint32_t told = min_u32(c->dup_bytes, d->bytes);
    d->bytes -= told; /* duplicates have told of these */
    if (c->ca == CA_OPEN) {
        c->dup_bytes = 0;
        c->dupacks = 0;
        return;
    }
    c->dup_bytes -= told;
    if (c->ca == CA_RECOVERY && c->h.snd_una < c->recover)
        d->hole = first_lost(t, c) != 0; /* step 3, partial acknowledgment: the next hole */
}

/* ---- both ---- */

/* Was the window in use? Then it may grow (RFC 7661). In slow start half of it is enough (4.3):
 * it is about to be twice of what it was. */
static bool
limited(const struct tcb *c, const struct delivery *d)
{
    const struct cc *cc = &c->cc;
    return d->una < c->limited || d->flight + c->h.mss > cc->cwnd ||
           (cc->cwnd < cc->ssthresh && cc->cwnd / 2 < c->round_out);
}

static void
tell(struct tcp *t, struct tcb *c, const struct delivery *d, bool in_recovery)
{
    struct cc_ack a = {
        .acked = d->bytes,
        .flight = d->flight,
        .limited = limited(c, d),
        .in_recovery = in_recovery,
        .rtt = d->rtt,
        .srtt = c->srtt,
        .una = c->h.snd_una,
        .nxt = c->snd_nxt,
        .delivered = c->delivered,
    };
    cc_ops_of(c->cc.alg)->ack(&c->cc, &a, t->now);
}

void
recovery_ack(struct tcp *t, struct tcb *c, struct delivery *d, bool duplicate)
{
    bool sack = c->h.bits & H_SACK, repair = c->ca == CA_RECOVERY;
    if (sack)
        rack_reorder_window(c, d->dsack, false);
    if (undo_check(t, c, d) || frto_ack(t, c, d, duplicate))
        return;
    bool next = false; /* of the flight after the one that is repaired, some is lost too */
    if (c->ca != CA_OPEN && c->h.snd_una >= c->recover) {
        next = c->lost_beyond;
        end(t, c);
    }
    if (sack)
        d->lost = d->bytes != 0 ? rack_detect(t, c) : 0;
    else if (d->advanced)
        newreno_advance(t, c, d);
    else if (duplicate)
        newreno_duplicate(t, c, d);
    bool probe = plp_acked(t, c, d->lost);
    if (c->ca == CA_OPEN && (next || (d->lost != 0 && !probe))) {
        begin(t, c);
        if (next) /* what was lost there went again before: nobody counted it, to undo this */
            c->undo.marker = 0;
    }
    if (c->ca == CA_RECOVERY)
        prr_ack(c, d);
    /* RFC 5681 3.1, RFC 3042: only what acknowledges new data opens the window; what a
     * duplicate reports has made room for one more already, by leaving the pipe. */
    if (d->bytes != 0 && d->advanced)
        tell(t, c, d, repair || c->ca == CA_RECOVERY);
    frto_window(c);
}

void
recovery_lost(struct tcp *t, struct tcb *c)
{
    struct delivery d = {.flight = pipe_of(c)};
    d.lost = rack_detect(t, c);
    if (d.lost == 0)
        return;
    bool probe = plp_acked(t, c, d.lost);
    if (c->ca == CA_OPEN && !probe)
        begin(t, c);
    if (c->ca == CA_RECOVERY)
        prr_ack(c, &d);
    work_add(t, c);
}

/* RFC 6298 (5.4) to (5.6), RFC 5681 3.1, RFC 8985 6.3. */
void
recovery_timeout(struct tcp *t, struct tcb *c)
{
    if (sent_head_sacked(t, c)) /* it is not there any more: RFC 2018 (8) */
        sent_renege(t, c);
    c->dup_bytes = 0;
    c->dupacks = 0;
    plp_timeout(t, c);
    frto_begin(c);
    /* Once for a flight: not again while what was out at the first loss is being repaired. */
    if (c->ca == CA_OPEN || c->h.snd_una >= c->recover) {
        undo_begin(c);
        c->ecn_cwr = c->h.bits & H_ECN;
        cc_ops_of(c->cc.alg)->timeout(&c->cc, out_bytes(c), t->now);
    }
    if (c->h.bits & H_SACK)
        rack_timeout(t, c);
    else
        (void)sent_lost(t, c, max_u64(c->h.snd_una, 1), c->snd_nxt);
    c->cc.cwnd = pipe_of(c) + c->h.mss; /* what is too young to be lost does not hold it up */
    c->ca = CA_LOSS;
    c->lost_beyond = false;  /* the timeout has answered for all that was out */
    c->recover = c->snd_nxt; /* RFC 6582 section 4 */
    c->tlp_end = 0;
    c->tlp_due = false;
    c->timer[T_LOSS] = NS_NEVER;
}

void
recovery_sent(struct tcp *t, struct tcb *c, uint32_t bytes, bool again)
{
    if (c->ca == CA_RECOVERY)
        c->prr.out += bytes;
    if (!again)
        return;
    stat_inc(t->stats, STAT_tcp_retransmit);
    c->n_rexmt++;
    c->n.bytes_rexmt += bytes;
    if (c->frto.again < UINT8_MAX)
        c->frto.again++;
    if (c->ca == CA_OPEN || c->undo.marker == 0)
        return;
    if (c->undo.rexmt++ == 0)
        c->undo.ts = ts_clock(t->now) + c->h.ts_offset;
}
