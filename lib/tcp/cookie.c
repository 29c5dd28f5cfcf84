/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cookie.c: SYN cookies (RFC 4987 section 3.6). When there is no room for another half-open
 * session, all that it would remember goes into the SYN-ACK, and comes back with its ACK:
 *
 *   initial sequence number   28 bits of a keyed hash, 3 of MSS, 1 of the clock's generation
 *   TSval, its low six bits   window scale (15: none), SACK permitted, ECN
 *
 * so without time stamps such a session has none of these. The hash is over
 * the tuple, the peer's number, the clock, and everything that is encoded, so that nothing of
 * it can be chosen by the peer. The clock makes a step each COOKIE_PERIOD, and the last two are
 * good. Nothing of this is soft state: the key is the configuration's, and a cookie that was
 * sent before a crash is good after it.
 *
 * What nothing is kept of cannot be told from what never was:
 *
 * - The hash holds the peer's first number, so what is known again is the segment right behind
 *   the SYN. An ACK that overtakes it is a stranger's and gets the RST of RFC 9293 3.10.7.2, as
 *   on Linux, whose cookies hold that number as well. (One with text or FIN gets none, while
 *   cookies are about: its sender repeats the first text, and that makes the session.)
 * - A copy of that segment that comes when its session is over begins another, with its text,
 *   as on Linux: for as long as the cookie is good, two periods at most after the SYN-ACK. Time
 *   stamps would not tell: the copy has those that the handshake's ACK had. If the peer
 *   knows of the end, its RST ends this one with the first thing that is sent to it; if not,
 *   since our RST was lost, the peer takes the new session for the old one.
 *
 * One guess in 2^28 makes a session for an address that is not the guesser's. Refusals are
 * counted by source, and a source (a bucket of sources) that guesses more than COOKIE_GUESSES
 * times a second is not listened to for the rest of it: 24 days on average for one address.
 */
#include "base/siphash.h"
#include "priv.h"

#define MSS_BITS 3u
#define MAC_MASK (~0u << (MSS_BITS + 1))
#define TS_BITS 6u
#define TS_MASK ((1u << TS_BITS) - 1)
#define TS_WSCALE 15u /* also: no window scaling */
#define TS_SACK 16u
#define TS_ECN 32u
#define WITH_TS 64u /* hashed, not sent */

/* What peers have: old links, 1280 (RFC 8200) and 1420 in tunnels, PPPoE, Ethernet, and
 * Ethernet with an MTU of 9000. Rounded down to one of these. */
static const uint16_t mss_table[1u << MSS_BITS] = {MSS_MIN, MSS_DEFAULT, 1024, 1220,
                                                   1380,    1440,        1460, 8960};

static uint32_t
mss_index(uint32_t mss)
{
    uint32_t i = ARRAY_LEN(mss_table) - 1;
    while (i > 0 && mss_table[i] > mss)
        i--;
    return i;
}

static uint64_t
generation(const struct tcp *t)
{
    return t->now / COOKIE_PERIOD;
}

static uint32_t
cookie_make(const struct tcp *t, const struct seg *s, uint32_t irs, uint64_t gen, uint32_t mss,
            uint32_t options)
{
    const uint64_t w[] = {s->dst.q[0],
                          s->dst.q[1],
                          s->src.q[0],
                          s->src.q[1],
                          (uint64_t)s->h.dport << 48 | (uint64_t)s->h.sport << 32 | irs,
                          gen,
                          (uint64_t)mss << 32 | options};
    uint32_t mac = (uint32_t)siphash_words(t->cfg.key, w, ARRAY_LEN(w));
    return (mac & MAC_MASK) | mss << 1 | (uint32_t)(gen & 1);
}

/* ---- the SYN ---- */

static uint32_t
options_of(const struct tcp *t, const struct tcp_hdr *h)
{
    const uint8_t asks = TCP_ECE | TCP_CWR; /* RFC 3168 6.1.1 */
    bool ecn = t->cfg.ecn != ECN_OFF && (h->flags & asks) == asks;
    if (!h->has_ts)
        return 0;
    uint32_t scale = h->has_wscale ? min_u32(h->wscale, 14) : TS_WSCALE; /* RFC 7323 2.3 */
    return WITH_TS | scale | (h->sack_ok ? TS_SACK : 0) | (ecn ? TS_ECN : 0);
}

void
cookie_send(struct tcp *t, struct tcb *l, const struct seg *s)
{
    uint32_t offered = s->h.mss != 0 ? s->h.mss : MSS_DEFAULT, options = options_of(t, &s->h);
    uint32_t mss = path_mtu(t->path, &s->src) - IP4_HEADER - TCP_HEADER;
    struct tcp_hdr h = {
        .sport = s->h.dport,
        .dport = s->h.sport,
        .seq = cookie_make(t, s, s->h.seq, generation(t), mss_index(offered), options),
        .ack = s->h.seq + 1,
        .flags = TCP_SYN | TCP_ACK,
        .wnd = (uint16_t)min_u32(l->opt.rcvbuf - WINDOW_SLACK, UINT16_MAX),
        .mss = (uint16_t)(l->opt.maxseg != 0 ? min_u32(mss, l->opt.maxseg) : mss),
    };
    if (options != 0) {
        uint32_t clock = ts_clock(t->now) + ts_offset_for(t, s);
        h.has_ts = true;
        h.has_wscale = s->h.has_wscale;
        h.wscale = WSCALE;
        h.sack_ok = s->h.sack_ok;
        h.flags |= options & TS_ECN ? TCP_ECE : 0;
        h.ts_val = (clock & ~TS_MASK) | (options & TS_MASK);
        if ((int32_t)(h.ts_val - clock) > 0)
            h.ts_val -= TS_MASK + 1; /* never ahead: the session's own must not be older */
        h.ts_ecr = s->h.ts_val;
    }
    if (!output_stateless(t, s, &h, l))
        return;
    l->cookie_at = t->now;
    stat_inc(t->stats, STAT_tcp_cookie_tx);
}

/* ---- the ACK ---- */

/* The SYN that this ACK must be about, if it answers a cookie of ours. */
static bool
cookie_read(const struct tcp *t, const struct seg *s, struct tcp_hdr *syn)
{
    uint32_t iss = s->h.ack - 1, irs = s->h.seq - 1, mss = iss >> 1 & ((1u << MSS_BITS) - 1);
    uint32_t options = s->h.has_ts ? WITH_TS | (s->h.ts_ecr & TS_MASK) : 0;
    uint64_t gen = generation(t);
    if ((gen & 1) != (iss & 1))
        gen--;
    if (cookie_make(t, s, irs, gen, mss, options) != iss)
        return false;
    uint32_t scale = options & TS_WSCALE;
    *syn = (struct tcp_hdr){
        .seq = irs,
        .flags = options & TS_ECN ? TCP_SYN | TCP_ECE | TCP_CWR : TCP_SYN,
        .mss = mss_table[mss],
        .has_ts = s->h.has_ts,
        .ts_val = s->h.ts_val,
        .has_wscale = s->h.has_ts && scale != TS_WSCALE,
        .wscale = (uint8_t)scale,
        .sack_ok = (options & TS_SACK) != 0,
    };
    return true;
}

static uint16_t *
refused_of(struct tcp *t, const struct seg *s)
{
    const uint64_t w[2] = {s->src.q[0], s->src.q[1]};
    if (t->now / NS_S != t->cookie_second / NS_S) {
        t->cookie_second = t->now;
        memset(t->cookie_refused, 0, sizeof t->cookie_refused);
    }
    return &t->cookie_refused[siphash_words(t->cfg.key + 16, w, 2) % COOKIE_BUCKETS];
}

/* Can the program take one more, or if it cannot now, is there room to wait for it? If not, it
 * is as if the ACK was lost; the peer repeats it with its first text. */
static bool
ack_has_room(struct tcp *t, const struct tcb *l)
{
    const struct client *cl = tcb_client(t, l);
    if (cl == NULL || cl->n_sessions >= cl->limits.sessions || !client_has_room(t->clients, cl))
        return false;
    return (l->n_accept <= l->backlog && cl->n_slots_free != 0) || half_open_room(t, cl);
}

/* The session as it would be had it been half open all the time. */
static struct tcb *
cookie_session(struct tcp *t, struct tcb *l, const struct seg *s, const struct tcp_hdr *syn)
{
    struct tcb *c = listen_new(t, l, s);
    if (c == NULL)
        return NULL;
    c->h.iss = s->h.ack - 1;
    c->h.irs = syn->seq;
    c->h.snd_max = c->snd_nxt = 1;
    c->h.rcv_adv = 1 + min_u32(l->opt.rcvbuf - WINDOW_SLACK, UINT16_MAX);
    c->told_adv = c->h.rcv_adv;
    c->last_ack = 1;
    syn_options(t, c, syn);
    tcb_set_state(t, c, TCPS_SYN_RCVD);
    demux_insert(t, c);
    return c;
}

bool
cookie_ack(struct tcp *t, struct tcb *l, struct seg *s)
{
    if ((s->h.flags & TCP_SYN) || l->cookie_at == 0 ||
        t->now - l->cookie_at > 2 * COOKIE_PERIOD || t->cfg.cookies == TCP_COOKIES_OFF)
        return false;
    uint16_t *refused = refused_of(t, s);
    if (*refused >= COOKIE_GUESSES) {
        stat_inc(t->stats, STAT_tcp_cookie_drop);
        return true;
    }
    struct tcp_hdr syn;
    if (!cookie_read(t, s, &syn)) {
        ++*refused;
        stat_inc(t->stats, STAT_tcp_cookie_refused);
        /* Behind a lost handshake there is text with later numbers, whose sender is honest: no
         * RST, the first of it comes again. */
        return s->len != 0 || (s->h.flags & TCP_FIN);
    }
    if (!ack_has_room(t, l)) {
        listen_dropped(t, l);
        l->n_drop++;
        return true;
    }
    struct tcb *c = cookie_session(t, l, s, &syn);
    if (c == NULL)
        return true;
    stat_inc(t->stats, STAT_tcp_cookie_rx);
    set(t->store->working, tcb_number(t, c));
    synchronized_segment(t, c, s);
    if (c->h.state ==
        TCPS_SYN_RCVD) /* no room yet. The peer is real: as any that is half open */
        rexmt_arm(t, c);
    set(t->store->working, SESS_NONE);
    return true;
}
