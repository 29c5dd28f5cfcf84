/* SPDX-License-Identifier: BSD-2-Clause
 *
 * plpmtud.c: the size of a segment: what the path's messages say (RFC 1191), and what is found
 * out without them where they do not come through (RFC 4821, RFC 8899). Segments that time
 * out again and again may be too large for a path that does not say so: a small size is used
 * instead, and larger ones are tried with single segments until the limit is known.
 */
#include "priv.h"

#define PLP_BASE 1024u  /* payload that nearly every path takes */
#define PLP_FLOOR 512u  /* RFC 1122's 576 bytes, headers off */
#define PLP_TIMEOUTS 4u /* in a row, before a black hole is suspected: R1 of RFC 9293 3.8.3 */
#define PLP_PATIENCE 8u /* likewise, of segments that nearly every path takes */
#define PLP_CLOSE 32u   /* a limit known this well is known */
#define PLP_FOLLOW 4u   /* segments that must follow a probe, to find its loss soon */

/* The largest payload that path and peer allow, as far as they said. */
uint32_t
mss_limit(const struct tcp *t, const struct tcb *c)
{
    uint32_t path = path_mtu(t->path, &c->raddr) - IP4_HEADER - TCP_HEADER;
    /* What is cut further down is cut where frames end. */
    uint32_t mss =
        min_u32(min_u32(c->h.peer_mss, path), t->cfg.segments ? SEG_ONE : SEG_PAYLOAD);
    if (c->opt.maxseg != 0)
        mss = min_u32(mss, c->opt.maxseg);
    return c->h.bits & H_TS ? mss - 12 : mss; /* RFC 6691: options take room in each segment */
}

void
mss_set(struct tcb *c, uint32_t mss)
{
    c->h.mss = (uint16_t)mss;
    c->cc.mss = mss;
}

static void
probe_failed(struct plp *p)
{
    p->fails = p->size;
    p->guess = false;
    p->right = 0;
}

/* The segment that the timeout is about, bytes. */
static uint64_t
run_length(const struct tcp *t, const struct tcb *c)
{
    const struct run *r = &t->runs.run[c->sent.head];
    return r->right - r->left;
}

/* In a retransmission timeout, before anything is sent again. */
void
plp_timeout(struct tcp *t, struct tcb *c)
{
    struct plp *p = &c->plp;
    if (p->right != 0)
        probe_failed(p);
    /* What does not get through: a full segment, or one that is short but not small. */
    uint32_t size = c->sent.n != 0 ? (uint32_t)min_u64(run_length(t, c), c->h.mss) : 0;
    unsigned enough = size > PLP_BASE ? PLP_TIMEOUTS : PLP_PATIENCE;
    if (c->backoff + 1u < enough || size <= PLP_FLOOR)
        return;
    stat_inc(t->stats, STAT_tcp_mtu_reduced);
    p->fails = (uint16_t)size;
    p->guess = true;
    mss_set(c, size > PLP_BASE ? PLP_BASE : max_u32(size / 2, PLP_FLOOR));
    p->next = t->now;
}

/* The payload to try next, larger than what is used; 0: the limit is known. */
static uint32_t
next_size(struct plp *p, uint32_t mss, uint32_t limit)
{
    uint32_t size = min_u32((mss + p->fails) / 2, limit);
    if (p->fails != 0 && p->fails <= limit && size >= mss + PLP_CLOSE)
        return size;
    /* Nothing is known to fail, or it was only thought so because nothing got through at all:
     * the whole of it at once. */
    if ((p->fails == 0 || p->fails > limit || p->guess) && mss + PLP_CLOSE <= limit) {
        p->fails = (uint16_t)(limit + 1);
        p->guess = false;
        return limit;
    }
    return 0;
}

/* The payload of a probe that may go now; 0: none. queued: bytes that wait; room: what the
 * windows take. */
uint32_t
plp_probe(struct tcp *t, struct tcb *c, uint64_t queued, uint64_t room)
{
    struct plp *p = &c->plp;
    if (sack_mss(c) != c->h.mss || t->now < p->next || c->ca != CA_OPEN || p->right != 0 ||
        c->lost != 0 || c->backoff != 0)
        return 0;
    uint32_t size = next_size(p, c->h.mss, mss_limit(t, c));
    if (size == 0) {
        p->fails = 0;
        p->next = t->now + PLP_RAISE; /* it is doubted once in a while */
        return 0;
    }
    uint32_t want = size + PLP_FOLLOW * c->h.mss;
    if (queued < want || room < want)
        return 0;
    p->left = c->snd_nxt;
    p->right = c->snd_nxt + size;
    p->size = (uint16_t)size;
    return size;
}

/* A probe's bytes that go in any other way (there was no frame for all of it, or they are
 * repaired with others) prove nothing when they arrive. */
void
plp_sent(struct tcp *t, struct tcb *c, uint64_t seq, uint64_t end, bool fresh)
{
    struct plp *p = &c->plp;
    if (p->right == 0 || seq >= p->right || end <= p->left)
        return;
    if (fresh && seq == p->left && end == p->right)
        return;
    p->right = 0;
    p->next = t->now + NS_S;
}

/* After an ACK: did a probe arrive, or was it lost? True: what was lost is the probe alone,
 * which says nothing about congestion (RFC 4821 7.7). */
bool
plp_acked(struct tcp *t, struct tcb *c, uint32_t lost)
{
    struct plp *p = &c->plp;
    if (p->right == 0)
        return false;
    if (c->h.snd_una >= p->right) {
        mss_set(c, p->size);
        stat_inc(t->stats, STAT_tcp_mtu_raised);
        p->right = 0;
        return false;
    }
    const struct run *r = sent_first_lost(t, c);
    if (r == NULL || r->left > p->left || r->right <= p->left)
        return false;
    bool alone = lost == p->size && r->left == p->left && r->right == p->right;
    probe_failed(p);
    return alone;
}
