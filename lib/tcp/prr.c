/* SPDX-License-Identifier: BSD-2-Clause
 *
 * prr.c: Proportional Rate Reduction (RFC 6937): while losses are repaired, as much is sent as
 * arrives, in the proportion that congestion control asks for, and at the end the window is
 * ssthresh.
 */
#include "priv.h"

void
prr_begin(struct tcb *c)
{
    c->prr = (struct prr){.fs = (uint32_t)max_u64(c->snd_nxt - c->h.snd_una, 1)};
}

/* Section 3.1, on every ACK during recovery. */
void
prr_ack(struct tcb *c, const struct delivery *d)
{
    struct prr *p = &c->prr;
    uint32_t pipe = pipe_of(c), ssthresh = c->cc.ssthresh, send;
    p->delivered += d->bytes;
    if (pipe > ssthresh) {
        uint64_t share = ((uint64_t)p->delivered * ssthresh + p->fs - 1) / p->fs;
        send = share > p->out ? (uint32_t)min_u64(share - p->out, UINT32_MAX) : 0;
    } else {
        /* The slow-start bound while an ACK says that all is well, else only what arrived. */
        uint32_t limit = max_u32(p->delivered > p->out ? p->delivered - p->out : 0, d->bytes);
        if (d->advanced && d->lost == 0)
            limit += c->h.mss;
        send = min_u32(ssthresh - pipe, limit);
    }
    if (p->out == 0 || d->hole) /* the fast retransmit itself, and RFC 6582's next ones */
        send = max_u32(send, c->h.mss);
    c->cc.cwnd = max_u32(pipe + send, c->h.mss);
}
