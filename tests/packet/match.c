/* SPDX-License-Identifier: BSD-2-Clause
 *
 * match.c: is this segment the one that the script expects?
 */
#include <stdarg.h>
#include <stdio.h>

#include "run.h"

static bool __attribute__((format(printf, 3, 4)))
wrong(struct run *r, const struct got *g, const char *fmt, ...)
{
    char what[120], text[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    got_text(r, g, text, sizeof text);
    return run_fail(r, "%s: %s", what, text);
}

/* there: is the field in the segment at all? */
static bool
fits(const struct num *n, bool there, int64_t v)
{
    switch (n->how) {
    case NUM_UNSAID:
        return true;
    case NUM_ANY:
        return there;
    case NUM_IS:
        return there && v == n->v;
    case NUM_LESS:
        return there && v < n->v;
    case NUM_MORE:
        return there && v > n->v;
    case NUM_ABSENT:
        return !there;
    }
    return false;
}

static bool
match_numbers(struct run *r, const struct seg_spec *s, const struct got *g, uint32_t times)
{
    const struct peer *p = &r->peer[r->cur];
    const struct tcp_hdr *h = &g->h;
    uint32_t irs = p->irs_known ? p->irs : 0;
    int64_t len = s->end.v - s->seq.v;
    struct num seq = s->seq;
    bool both = s->seq.how == NUM_IS && s->end.how == NUM_IS;
    if (both)
        seq.v += len * times;
    if (!fits(&seq, true, (int32_t)(h->seq - irs)))
        return wrong(r, g, "sequence number");
    if (both && g->len != len)
        return wrong(r, g, "length, %lld wanted", (long long)len);
    if (s->seq.how != NUM_IS && s->end.how == NUM_IS && g->len != s->end.v)
        return wrong(r, g, "length, %lld wanted", (long long)s->end.v);
    if (!fits(&s->ack, h->flags & TCP_ACK, (int32_t)(h->ack - p->iss)))
        return wrong(r, g, "ack");
    if (!fits(&s->win, true, h->wnd))
        return wrong(r, g, "window");
    if (!fits(&s->urg, h->flags & TCP_URG, h->urg))
        return wrong(r, g, "urgent pointer");
    if (!fits(&s->ecn, true, g->tos & 3))
        return wrong(r, g, "ECN field of IP is %d", g->tos & 3);
    return true;
}

static bool
match_sack(struct run *r, const struct seg_spec *s, const struct got *g)
{
    const struct peer *p = &r->peer[r->cur];
    if (!fits(&s->sack, g->h.n_sack != 0, g->h.n_sack))
        return wrong(r, g, "SACK blocks");
    for (unsigned i = 0; s->sack.how == NUM_IS && i < g->h.n_sack; i++)
        if (g->h.sack[i].left - p->iss != (uint32_t)s->block[i][0] ||
            g->h.sack[i].right - p->iss != (uint32_t)s->block[i][1])
            return wrong(r, g, "SACK block %u", i + 1);
    return true;
}

static bool
match_options(struct run *r, const struct seg_spec *s, const struct got *g)
{
    const struct peer *p = &r->peer[r->cur];
    const struct tcp_hdr *h = &g->h;
    uint32_t ts = p->ts_known ? p->ts_first : 0;
    if (!fits(&s->mss, h->mss != 0, h->mss))
        return wrong(r, g, "MSS option");
    if (!fits(&s->ws, h->has_wscale, h->wscale))
        return wrong(r, g, "window scale option");
    if (!fits(&s->sackok, h->sack_ok, 0))
        return wrong(r, g, "SACK-permitted option");
    /* A running stack's clock is not ours: its value is at least what it would be here. */
    struct num val = s->ts_val;
    if (r->l->real && val.how == NUM_IS)
        val = (struct num){NUM_MORE, val.v - 30};
    if (!fits(&val, h->has_ts, (int32_t)(h->ts_val - ts)))
        return wrong(r, g, "time stamp value");
    if (!fits(&s->ts_ecr, h->has_ts, (int64_t)h->ts_ecr))
        return wrong(r, g, "time stamp echo");
    return match_sack(r, s, g);
}

static bool
match_data(struct run *r, const struct got *g)
{
    uint32_t first = g->h.seq - r->peer[r->cur].irs - 1;
    for (uint32_t i = 0; i < g->len; i++)
        if (g->data[i] != stream_byte(first + i))
            return wrong(r, g, "byte %u of the data", i);
    return true;
}

bool
match_segment(struct run *r, const struct seg_spec *s, const struct got *g, uint32_t times)
{
    const uint8_t loose = TCP_PSH | TCP_ECE | TCP_CWR;
    if (g->bad_csum)
        return wrong(r, g, "bad checksum");
    if (g->h.dport != r->peer[r->cur].rport)
        return wrong(r, g, "for another peer");
    if (((g->h.flags ^ s->flags) & ~loose) != 0 || (s->flags & ~g->h.flags) != 0 ||
        (s->not &g->h.flags) != 0)
        return wrong(r, g, "flags");
    return match_numbers(r, s, g, times) && match_options(r, s, g) && match_data(r, g);
}
