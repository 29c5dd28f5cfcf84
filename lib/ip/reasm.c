/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reassembly (RFC 791, 815) without copying: the received frames are held until the
 * datagram is whole and are then handed up as one chain. Fragments that overlap take
 * the whole datagram with them (RFC 5722); one that is repeated byte for byte is only
 * a repetition. Everything is bounded: frames in all, datagrams in all and per source,
 * frames per datagram, and time.
 */
#include "priv.h"

#define ECN_MASK 3u
#define ECN_NOT_ECT 0u
#define ECN_CE 3u

bool
reasm_holds(const struct ip *ip, uint32_t addr)
{
    uint32_t i = (addr - ip->f.off[PART_RX]) / FRAME_SIZE;
    return ip->rx_held[i / 64] >> (i % 64) & 1;
}

static void
mark(struct ip *ip, uint32_t addr)
{
    uint32_t i = (addr - ip->f.off[PART_RX]) / FRAME_SIZE;
    ip->rx_held[i / 64] ^= 1ull << (i % 64);
}

/* Its frames are free; it may go on as a tombstone. */
static void
let_go(struct ip *ip, struct ip_out *out, struct reasm *r, enum reasm_state to)
{
    for (unsigned i = 0; i < r->n; i++) {
        mark(ip, r->f[i].addr);
        ip_rx_free(ip, out, r->f[i].addr);
    }
    ip->reasm_frames -= r->n;
    ip_count_frames(ip);
    r->n = 0;
    r->state = (uint8_t)to;
}

#define TALLY (2 * REASM_SLOTS) /* buckets: a power of two */
#define NO_SLOT 0xffu
_Static_assert(REASM_SLOTS < NO_SLOT, "a slot's number is a byte");

static uint32_t
bucket_of(const struct ip *ip, const struct ipaddr *a)
{
    uint64_t h = (a->q[0] ^ ip->key[0]) * 0x9e3779b97f4a7c15u + (a->q[1] ^ ip->key[1]);
    h *= 0xff51afd7ed558ccdu;
    return (uint32_t)(h >> 56) % TALLY; /* where addresses end */
}

/* For each slot, the frames that its source holds in all its datagrams. In one pass: a flood of
 * fragments comes here with each of them. */
static void
tally(const struct ip *ip, uint32_t frames[REASM_SLOTS])
{
    uint8_t first[TALLY], at[REASM_SLOTS];
    uint32_t sum[TALLY];
    memset(first, NO_SLOT, sizeof first);
    for (unsigned i = 0; i < REASM_SLOTS; i++) {
        const struct reasm *r = &ip->reasm[i];
        at[i] = 0;
        if (r->state == REASM_FREE)
            continue;
        uint32_t b = bucket_of(ip, &r->first.src);
        while (first[b] != NO_SLOT && !ipaddr_eq(&ip->reasm[first[b]].first.src, &r->first.src))
            b = (b + 1) % TALLY;
        if (first[b] == NO_SLOT) {
            first[b] = (uint8_t)i;
            sum[b] = 0;
        }
        sum[b] += r->n;
        at[i] = (uint8_t)b;
    }
    for (unsigned i = 0; i < REASM_SLOTS; i++)
        frames[i] = ip->reasm[i].state == REASM_FREE ? 0 : sum[at[i]];
}

/* Make room: a datagram that is dead already, else the oldest one of the source that
 * holds the most. */
static void
evict(struct ip *ip, struct ip_out *out, bool for_frames)
{
    struct reasm *worst = NULL;
    uint32_t most = 0, frames[REASM_SLOTS];
    tally(ip, frames);
    for (unsigned i = 0; i < REASM_SLOTS; i++) {
        struct reasm *r = &ip->reasm[i];
        if (r->state == REASM_FREE || (for_frames && r->n == 0))
            continue;
        uint32_t n = r->state == REASM_DEAD ? UINT32_MAX : frames[i];
        if (n > most || (n == most && worst != NULL && r->deadline < worst->deadline)) {
            most = n;
            worst = r;
        }
    }
    if (worst == NULL)
        return;
    if (worst->state == REASM_LIVE)
        stat_inc(ip->stats, STAT_ip_drop_frag_limit);
    let_go(ip, out, worst, REASM_FREE);
}

static struct reasm *
find(struct ip *ip, const struct ip4_hdr *h)
{
    for (unsigned i = 0; i < REASM_SLOTS; i++) {
        struct reasm *r = &ip->reasm[i];
        if (r->state != REASM_FREE && r->first.id == h->id && r->first.proto == h->proto &&
            ipaddr_eq(&r->first.src, &h->src) && ipaddr_eq(&r->first.dst, &h->dst))
            return r;
    }
    return NULL;
}

/* A source that has its share of datagrams open pays with its oldest. */
static void
limit_source(struct ip *ip, struct ip_out *out, const struct ip4_hdr *h)
{
    struct reasm *oldest = NULL;
    unsigned n = 0;
    for (unsigned i = 0; i < REASM_SLOTS; i++) {
        struct reasm *r = &ip->reasm[i];
        if (r->state == REASM_FREE || !ipaddr_eq(&r->first.src, &h->src))
            continue;
        n++;
        if (oldest == NULL || r->deadline < oldest->deadline)
            oldest = r;
    }
    if (n < REASM_PER_SOURCE)
        return;
    if (oldest->state == REASM_LIVE)
        stat_inc(ip->stats, STAT_ip_drop_frag_limit);
    let_go(ip, out, oldest, REASM_FREE);
}

static struct reasm *
open_slot(struct ip *ip, struct ip_out *out, const struct ip4_hdr *h, ns_t now)
{
    struct reasm *r = NULL;
    limit_source(ip, out, h);
    for (unsigned pass = 0; pass < 2 && r == NULL; pass++) {
        for (unsigned i = 0; i < REASM_SLOTS && r == NULL; i++)
            if (ip->reasm[i].state == REASM_FREE)
                r = &ip->reasm[i];
        if (r == NULL)
            evict(ip, out, false);
    }
    if (r != NULL) {
        *r = (struct reasm){.first = *h, .state = REASM_LIVE, .deadline = now + REASM_TIMEOUT};
        ip_wake_at(ip, r->deadline);
    }
    return r;
}

/* The fields of one fragment by itself: some data, and eights but at the end
 * (RFC 791 3.2); and the first one holds the whole of what a filter would look at
 * (RFC 1858, RFC 3128). */
static bool
frag_ok(const struct ip4_hdr *h, uint32_t len)
{
    if (len == 0 || (h->mf && len % 8 != 0))
        return false;
    bool tiny = h->proto == WIRE_PROTO_TCP && h->frag_off < TCP_HEADER &&
                h->frag_off + len < TCP_HEADER;
    return !tiny && !(h->proto == WIRE_PROTO_TCP && h->frag_off == 8);
}

enum place { PLACE_OK, PLACE_REPEATED, PLACE_OVERLAP };

/* The same bytes as the frames from r->f[i] on, which begin where it does? It comes in the same
 * pieces: who sends both fills frames in the same way. */
static bool
is_repeated(const struct ip *ip, const struct reasm *r, unsigned i, const struct dgram *g)
{
    for (unsigned k = 0; k < g->n; k++, i++) {
        uint32_t len = g->part[k].len;
        if (i == r->n || r->f[i].len != len)
            return false;
        const uint8_t *a = frames_ro(&ip->f, PART_BIT(PART_RX), r->f[i].addr, len);
        const uint8_t *b = frames_ro(&ip->f, PART_BIT(PART_RX), g->part[k].addr, len);
        if (a == NULL || b == NULL || memcmp(a, b, len) != 0)
            return false;
    }
    return true;
}

/* Where a fragment goes among the others, whose frames are in order and apart. */
static enum place
find_place(const struct ip *ip, const struct reasm *r, const struct dgram *g, unsigned *at)
{
    uint32_t off = g->h->frag_off, end = off + g->total;
    bool last = !g->h->mf;
    unsigned i = 0;
    while (i < r->n && r->f[i].off < off)
        i++;
    *at = i;
    bool was_last = r->total != 0 && end == r->total;
    if (i < r->n && r->f[i].off == off && was_last == last && is_repeated(ip, r, i, g))
        return PLACE_REPEATED;
    if (i > 0 && r->f[i - 1].off + (uint32_t)r->f[i - 1].len > off)
        return PLACE_OVERLAP;
    if (i < r->n && end > r->f[i].off)
        return PLACE_OVERLAP;
    /* The end is where the last fragment said, and nothing lies behind it. */
    if (r->total != 0 && (last || end > r->total))
        return PLACE_OVERLAP;
    return last && i < r->n ? PLACE_OVERLAP : PLACE_OK;
}

static enum rx_fate
finish(struct ip *ip, struct ip_out *out, struct reasm *r, bool group, ns_t now)
{
    struct part part[FRAME_MAX_CHAIN];
    struct ip4_hdr h = r->first;
    enum rx_fate fate = RX_FREE;
    unsigned n = r->n;
    /* Congestion seen by one fragment was seen by the datagram (RFC 3168 5.3). */
    bool ce = r->ecn >> ECN_CE & 1, mixed = ce && (r->ecn >> ECN_NOT_ECT & 1);
    if (ce)
        h.tos |= ECN_CE;
    for (unsigned i = 0; i < n; i++) {
        part[i] = (struct part){.addr = r->f[i].addr, .len = r->f[i].len};
        mark(ip, r->f[i].addr);
    }
    ip->reasm_frames -= n;
    ip_count_frames(ip);
    r->n = 0;
    r->state = REASM_FREE;
    if (mixed || h.header_len + r->total > 65535) {
        stat_inc(ip->stats, STAT_ip_drop_frag_bad);
    } else {
        struct dgram g = {
            .h = &h, .part = part, .n = n, .total = r->total, .l3 = r->l3, .group = group};
        h.mf = false;
        stat_inc(ip->stats, STAT_ip_frag_ok);
        fate = ip_deliver(ip, out, &g, now);
    }
    if (fate == RX_FREE)
        for (unsigned i = 0; i < n; i++)
            ip_rx_free(ip, out, part[i].addr);
    return RX_KEPT; /* dealt with here, all of them */
}

static void
insert(struct ip *ip, struct reasm *r, unsigned at, const struct dgram *g)
{
    uint32_t off = g->h->frag_off;
    memmove(&r->f[at + g->n], &r->f[at], (r->n - at) * sizeof r->f[0]);
    for (unsigned i = 0; i < g->n; i++) {
        const struct part *q = &g->part[i];
        r->f[at + i] = (struct frag){.addr = q->addr, .off = (uint16_t)off, .len = q->len};
        off += q->len;
        mark(ip, q->addr);
    }
    r->n = (uint8_t)(r->n + g->n);
    r->bytes += g->total;
    ip->reasm_frames += g->n;
    ip_count_frames(ip);
}

static enum rx_fate
drop(struct ip *ip, enum stat_id why)
{
    stat_inc(ip->stats, why);
    return RX_FREE;
}

enum rx_fate
reasm_input(struct ip *ip, struct ip_out *out, const struct dgram *g, ns_t now)
{
    const struct ip4_hdr *h = g->h;
    unsigned at;
    stat_inc(ip->stats, STAT_ip_frag_rx);
    if (!frag_ok(h, g->total))
        return drop(ip, STAT_ip_drop_frag_bad);
    for (unsigned i = 0; i < g->n && ip->reasm_frames + g->n > ip->reasm_max; i++)
        evict(ip, out, true);
    if (ip->reasm_frames + g->n > ip->reasm_max)
        return drop(ip, STAT_ip_drop_frag_limit);
    struct reasm *r = find(ip, h);
    if (r == NULL && (r = open_slot(ip, out, h, now)) == NULL)
        return drop(ip, STAT_ip_drop_frag_limit);
    if (r->state == REASM_DEAD)
        return drop(ip, STAT_ip_drop_frag_overlap);
    switch (find_place(ip, r, g, &at)) {
    case PLACE_REPEATED:
        return RX_FREE;
    case PLACE_OVERLAP:
        let_go(ip, out, r, REASM_DEAD);
        return drop(ip, STAT_ip_drop_frag_overlap);
    case PLACE_OK:
        break;
    }
    if (r->n + g->n > FRAME_MAX_CHAIN) {
        let_go(ip, out, r, REASM_DEAD);
        return drop(ip, STAT_ip_drop_frag_limit);
    }
    insert(ip, r, at, g);
    r->ecn |= (uint8_t)(1u << (h->tos & ECN_MASK));
    if (h->frag_off == 0) {
        r->first = *h;
        r->l3 = g->l3;
    }
    if (!h->mf)
        r->total = h->frag_off + g->total;
    if (r->total != 0 && r->bytes == r->total)
        return finish(ip, out, r, g->group, now);
    return RX_KEPT;
}

/* RFC 1122 3.3.2: time exceeded, code 1, if the first fragment came. */
static void
expire(struct ip *ip, struct ip_out *out, struct reasm *r, ns_t now)
{
    if (r->state == REASM_LIVE) {
        stat_inc(ip->stats, STAT_ip_drop_frag_timeout);
        if (r->n != 0 && r->f[0].off == 0)
            icmp_error_about(ip, out, ICMP_TIME_EXCEEDED, 1, r->l3,
                             r->first.header_len + (uint32_t)r->f[0].len, now);
    }
    let_go(ip, out, r, REASM_FREE);
}

void
reasm_timer(struct ip *ip, struct ip_out *out, ns_t now)
{
    for (unsigned i = 0; i < REASM_SLOTS; i++) {
        struct reasm *r = &ip->reasm[i];
        if (r->state == REASM_FREE)
            continue;
        if (now >= r->deadline)
            expire(ip, out, r, now);
        else
            ip_wake_at(ip, r->deadline);
    }
}
