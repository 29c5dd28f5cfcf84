/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sack.c: selective acknowledgments on the wire (RFC 2018, RFC 2883), both directions.
 */
#include "priv.h"

/* ---- ours ---- */

void
sack_duplicate(struct tcb *c, uint64_t left, uint64_t right)
{
    if (!(c->h.bits & H_SACK) || left >= right)
        return;
    c->dsack_l = left;
    c->dsack_r = right;
}

static struct tcp_sack
wire_block(const struct tcb *c, uint64_t left, uint64_t right)
{
    return (struct tcp_sack){c->h.irs + (uint32_t)left, c->h.irs + (uint32_t)right};
}

/* RFC 2018 section 4: the block of the segment that came last is first, then those that were
 * reported most recently; RFC 2883 section 4: before all of them what came twice. */
void
sack_emit(struct tcp *t, struct tcb *c, struct tcp_hdr *h)
{
    unsigned room = h->has_ts ? 3 : 4, n = 0;
    if (!(c->h.bits & H_SACK))
        return;
    if (c->dsack_l < c->dsack_r) {
        h->sack[n++] = wire_block(c, c->dsack_l, c->dsack_r);
        c->dsack_l = c->dsack_r = 0;
    }
    for (uint32_t i = c->recent.newest; i != RUN_NONE && n < room; i = t->runs.run[i].older)
        h->sack[n++] = wire_block(c, t->runs.run[i].left, t->runs.run[i].right);
    h->n_sack = (uint8_t)n;
}

uint32_t
sack_mss(const struct tcb *c)
{
    unsigned room = c->h.bits & H_TS ? 3 : 4, n = c->ooo.n + (c->dsack_l < c->dsack_r);
    if (!(c->h.bits & H_SACK) || n == 0)
        return c->h.mss;
    return c->h.mss - (4 + 8 * min_u32(n, room));
}

/* ---- the peer's ---- */

/* RFC 2883 section 4: the first block tells of a duplicate if it lies below the acknowledgment,
 * or inside the second block. */
static bool
is_dsack(const struct seg *s, const uint64_t left[], const uint64_t right[])
{
    if (right[0] <= s->ack)
        return true;
    return s->h.n_sack > 1 && left[0] >= left[1] && right[0] <= right[1];
}

void
sack_take(struct tcp *t, struct tcb *c, const struct seg *s, uint64_t una_before,
          struct delivery *d)
{
    uint64_t left[4], right[4];
    unsigned n = s->h.n_sack;
    if (n == 0 || !(c->h.bits & H_SACK))
        return;
    for (unsigned i = 0; i < n; i++) {
        left[i] = seq_extend(s->ack, c->h.iss, s->h.sack[i].left);
        right[i] = seq_extend(s->ack, c->h.iss, s->h.sack[i].right);
    }
    unsigned first = 0;
    if (is_dsack(s, left, right)) {
        /* Of what we sent, and not so old that it may be anything (a block's number extends to
         * beyond our highest if it is from before our first). */
        uint64_t oldest = una_before > c->max_wnd ? una_before - c->max_wnd : 1;
        d->dsack = left[0] < right[0] && left[0] >= oldest && right[0] <= c->h.snd_max;
        d->dsack_l = left[0];
        d->dsack_r = right[0];
        first = 1;
    }
    for (unsigned i = first; i < n; i++) {
        uint64_t from = max_u64(left[i], max_u64(s->ack, c->h.snd_una));
        if (left[i] < right[i] && right[i] <= c->snd_nxt && from < right[i])
            sent_sacked(t, c, from, right[i], d);
    }
}
