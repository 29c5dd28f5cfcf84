/* SPDX-License-Identifier: BSD-2-Clause
 *
 * autotune.c: how much a session may buffer, as its path and its program show it, unless the
 * program said so itself (SO_SNDBUF, SO_RCVBUF). Receiving: what the program takes in a round
 * trip, doubled, so that a sender in slow start is never held up (dynamic right-sizing, Fisk
 * and Feng, 2001). Sending: twice the window, one in flight and one to follow. What the
 * client's pages hold still limits both (window_limit, and below).
 */
#include "priv.h"

/* A segment of data came that echoes a time stamp of ours: as long ago as our last word. */
void
autotune_rtt(struct tcp *t, struct tcb *c, const struct seg *s)
{
    if (!(c->h.bits & H_TS) || !s->h.has_ts || s->h.ts_ecr == 0 || s->len < c->h.mss)
        return;
    uint32_t ms = ts_clock(t->now) + c->h.ts_offset - s->h.ts_ecr;
    if (ms > RTO_MAX / NS_MS)
        return;
    ns_t rtt = max_u64(ms * NS_MS, NS_MS / 2);
    if (c->tune.rtt == 0 || rtt < c->tune.rtt) /* a sender that had nothing to say looks long */
        c->tune.rtt = rtt;
    else
        c->tune.rtt += (rtt - c->tune.rtt) / 8;
}

/* The program took bytes: rx_head moved. */
void
autotune_receive(struct tcp *t, struct tcb *c)
{
    ns_t rtt = max_u64(c->tune.rtt, rtt_min(c));
    if (c->opt.rcv_fixed || rtt == 0 || t->now - c->tune.since < rtt)
        return;
    uint64_t taken = c->h.rx_head - c->tune.head;
    bool whole = t->now - c->tune.since < 2 * rtt; /* not after a pause */
    c->tune.since = t->now;
    c->tune.head = c->h.rx_head;
    uint64_t want = 2 * taken + 16ull * c->h.mss;
    if (whole && want > c->opt.rcvbuf)
        c->opt.rcvbuf = (uint32_t)min_u64(want, max_u32(t->cfg.buffer_max, c->opt.rcvbuf));
}

/* An acknowledgment came: the window may have grown. */
void
autotune_send(struct tcp *t, struct tcb *c)
{
    const struct client *cl = tcb_client(t, c);
    if (c->opt.snd_fixed || cl == NULL || cl->n_sessions == 0)
        return;
    uint64_t share = 2ull * cl->v.g.n_tx_pages * FIFO_PAGE / cl->n_sessions;
    uint64_t want = min_u64(2ull * min_u32(c->cc.cwnd, c->h.snd_wnd), share);
    if (want > c->opt.sndbuf)
        c->opt.sndbuf = (uint32_t)min_u64(want, max_u32(t->cfg.buffer_max, c->opt.sndbuf));
}
