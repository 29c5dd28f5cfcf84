/* SPDX-License-Identifier: BSD-2-Clause
 *
 * undo.c: a repair that was not needed is taken back: the acknowledgment's time stamp says that
 * the first transmission arrived (Eifel, RFC 3522, with the response of RFC 4015), or every
 * segment that was sent again is reported as a duplicate (RFC 2883, RFC 3708).
 */
#include "priv.h"

void
undo_begin(struct tcb *c)
{
    c->undo = (struct undo){.end = c->snd_nxt,
                            .marker = max_u64(c->h.snd_una, 1),
                            .cwnd = c->cc.cwnd,
                            .ssthresh = c->cc.ssthresh};
}

/* What was thought lost is acknowledged, and it was the first transmission: nothing else was
 * sent, or the time stamp is older than what was. */
static bool
eifel(const struct tcb *c, const struct delivery *d)
{
    if (c->ca == CA_OPEN || !d->advanced)
        return false;
    return c->undo.rexmt == 0 ||
           (d->ts && d->ts_ecr != 0 && (int32_t)(d->ts_ecr - c->undo.ts) < 0);
}

void
undo_now(struct tcp *t, struct tcb *c)
{
    stat_inc(t->stats, STAT_tcp_undo);
    c->undo.marker = 0;
    c->frto.step = 0;
    sent_unlose(t, c);
    c->ca = CA_OPEN;
    c->dupacks = 0;
    c->dup_bytes = 0;
    c->recover = c->h.snd_una;
    cc_ops_of(c->cc.alg)->undo(&c->cc, c->undo.cwnd, c->undo.ssthresh, t->now);
}

bool
undo_check(struct tcp *t, struct tcb *c, const struct delivery *d)
{
    struct undo *u = &c->undo;
    if (u->marker == 0)
        return false;
    bool all_twice = false;
    if (d->dsack && d->dsack_l >= u->marker && d->dsack_r <= u->end && u->rexmt != 0)
        all_twice = --u->rexmt == 0;
    if (!all_twice && !eifel(c, d))
        return false;
    undo_now(t, c);
    return true;
}
