/* SPDX-License-Identifier: BSD-2-Clause
 *
 * segment.c: building one segment: header, options, payload and checksum (RFC 9293 3.1), and
 * the receive window that it announces (3.8.6.2.2). Payload is copied out of the client's FIFO
 * with its checksum in one pass; the frame's header room is ip's. What a frame has no room for,
 * where the MTU is that large, goes on in others: these are the same segment (PKT_JOIN). Where
 * somebody further down cuts them, each frame behind the first is a segment more (PKT_WHOLE).
 */
#include "priv.h"

#define HELD_BY_IP 1u
#define SEGMENT_MAX                                                                            \
    (65535u - IP4_HEADER_MAX - TCP_HEADER_MAX) /* payload, in several frames                   \
                                                */
#define PACE_BURST NS_MS

/* A frame and a descriptor for a segment; NULL: none to be had now. */
static uint8_t *
segment_begin(struct tcp *t, struct pkt **desc)
{
    uint32_t addr;
    if (t->out == NULL || t->n_out == t->cap_out || !pool_take(&t->pool, HELD_BY_IP, &addr)) {
        t->starved = max_u32(t->starved, 1);
        return NULL;
    }
    *desc = &t->out[t->n_out++];
    **desc = (struct pkt){
        .addr = addr + FRAME_L4,
        .kind = PKT_DATA,
        .proto = WIRE_PROTO_TCP,
        .flags = PKT_DF,
    };
    return t->frames.base + addr + FRAME_L4;
}

/* Frames and descriptors for all of a segment? */
static bool
segment_room(struct tcp *t, uint32_t len)
{
    if (likely(len <= SEG_ONE))
        return true;
    uint32_t n = 1 + (len - SEG_ONE + FRAME_ROOM - 1) / FRAME_ROOM;
    if (n <= t->cap_out - t->n_out && n <= t->pool.n_free)
        return true;
    t->starved = n;
    return false;
}

/* Does somebody further down finish checksums, and cut what is too long? Not for what never
 * gets there. */
static bool
left_to_others(const struct tcp *t, const struct ipaddr *dst)
{
    return t->cfg.segments && !path_local(t->path, dst);
}

/* total: payload bytes, in all frames. */
static void
segment_end(struct tcp *t, struct pkt *p, uint8_t *frame, size_t hlen, uint32_t total,
            uint32_t payload_sum, const struct ipaddr *src, const struct ipaddr *dst)
{
    p->src = *src;
    p->dst = *dst;
    p->aux = (uint32_t)hlen + total;
    t->credit -= (int32_t)(p->aux + TURN_PACKET);
    uint32_t sum = csum_pseudo(src, dst, WIRE_PROTO_TCP, p->aux);
    uint16_t csum;
    if (left_to_others(t, dst)) {
        p->flags |= PKT_CSUM;
        csum = csum_fold(sum);
    } else {
        sum = csum_add(sum, csum_bytes(frame, hlen));
        csum = (uint16_t)~csum_fold(csum_add(sum, payload_sum));
    }
    memcpy(frame + 16, &csum, sizeof csum);
}

/* ---- payload ---- */

static uint32_t
read_payload(struct tcp *t, const struct tcb *c, uint64_t seq, uint8_t *to, uint32_t len)
{
    const struct client *cl = tcb_client(t, c);
    if (!left_to_others(t, &c->raddr))
        return fifo_tx_read_csum(&cl->v, c->link.slot, seq - 1, to, len);
    fifo_tx_read(&cl->v, c->link.slot, seq - 1, to, len);
    return 0;
}

/* The frames behind the first, of `cut` bytes each, an even number: output_most or segment_room
 * has made sure that there are enough. join: PKT_JOIN or nothing. Returns their sum. */
static uint32_t
segment_rest(struct tcp *t, const struct tcb *c, struct pkt *last, uint64_t seq, uint32_t len,
             uint32_t cut, uint8_t join)
{
    uint32_t sum = 0;
    for (uint32_t at = 0; at < len; at += cut) {
        struct pkt *p;
        uint8_t *frame = segment_begin(t, &p);
        if (frame == NULL) /* never */
            break;
        p->len = (uint16_t)min_u32(cut, len - at);
        sum = csum_add(sum, read_payload(t, c, seq + at, frame, p->len));
        last->flags |= PKT_MORE | join;
        last = p;
    }
    return sum;
}

/* All of the payload: of n segments, or of one that may be longer than a frame. */
static uint32_t
segment_text(struct tcp *t, const struct tcb *c, struct pkt *p, uint8_t *frame, uint64_t seq,
             uint32_t len, uint32_t cut, uint32_t n)
{
    uint32_t hlen = p->len;
    uint32_t first = n > 1 ? cut : min_u32(len, FRAME_ROOM - hlen);
    uint32_t sum = read_payload(t, c, seq, frame + hlen, first);
    p->len = (uint16_t)(hlen + first);
    if (n > 1) {
        p->flags |= PKT_WHOLE;
        t->credit -= (int32_t)((n - 1) * TURN_PACKET);
        (void)segment_rest(t, c, p, seq + first, len - first, cut, 0);
    } else if (first < len) {
        sum = csum_add(sum,
                       segment_rest(t, c, p, seq + first, len - first, FRAME_ROOM, PKT_JOIN));
    }
    return sum;
}

/* The header is repeated in front of each of them: what is said once goes alone. */
static bool
says_once(const struct tcb *c)
{
    return c->ecn_cwr || c->snd_up > c->snd_nxt || c->dsack_l < c->dsack_r;
}

uint32_t
output_most(struct tcp *t, const struct tcb *c, uint32_t mss)
{
    const struct account *a = tcb_account(t, c);
    if (!left_to_others(t, &c->raddr) || says_once(c) || t->credit <= 0 || mss > SEG_ONE ||
        (a != NULL && account_is_paced(a)))
        return mss;
    uint32_t n = min_u32(FRAME_MAX_CHAIN, SEGMENT_MAX / mss);
    n = min_u32(n, min_u32(t->cap_out - t->n_out, t->pool.n_free));
    /* Others wait for their turn; and a burst is no longer than the pace makes it. */
    n = min_u32(n, 1 + (uint32_t)t->credit / (mss + TURN_PACKET));
    uint64_t rate = pace_rate(t, c);
    if (rate != 0)
        n = (uint32_t)min_u64(n, rate / (NS_S / PACE_BURST) / mss);
    return max_u32(n, 1) * mss;
}

/* Bytes that the session may promise to take: its buffer, but no more than twice its share of
 * the client's pages, and never more than all of them hold, so that neither many sessions nor
 * one promise what is not there. */
uint32_t
window_limit(struct tcp *t, const struct tcb *c)
{
    const struct client *cl = tcb_client(t, c);
    uint32_t buf = c->opt.rcvbuf - WINDOW_SLACK;
    if (cl == NULL || cl->n_sessions == 0)
        return buf;
    if (c->opt.window_clamp != 0)
        buf = min_u32(buf, c->opt.window_clamp);
    uint64_t share =
        min_u64(2ull * cl->pages.n * FIFO_PAGE / cl->n_sessions, pages_hold(cl->pages.n));
    return min_u32(buf, (uint32_t)min_u64(max_u64(share, UINT16_MAX), UINT32_MAX));
}

/* RFC 9293 3.8.6.2.2: the right edge moves only if that is worth a segment to the sender, and
 * never back. Returns the limit that it went by. */
uint32_t
window_choose(struct tcp *t, struct tcb *c)
{
    struct tcb_hard *h = &c->h;
    uint64_t bytes = h->rcv_nxt == 0 ? 0 : h->rcv_nxt - 1 - ((h->bits & H_FIN_RCVD) != 0);
    uint64_t used = bytes - h->rx_head;
    uint32_t buf = window_limit(t, c);
    uint64_t edge = h->rcv_nxt + (used < buf ? buf - used : 0);
    uint64_t most = (uint64_t)UINT16_MAX << (h->bits & H_WS ? WSCALE : 0); /* the field holds */
    edge = min_u64(edge, h->rcv_nxt + most);
    uint32_t worth = min_u32(buf / 2, h->mss != 0 ? h->mss : MSS_DEFAULT);
    bool all = edge == h->rcv_nxt + most; /* there is more than can be told */
    if (edge > h->rcv_adv && (edge - h->rcv_adv >= worth || h->rcv_adv < h->rcv_nxt || all))
        h->rcv_adv = edge;
    if (h->rcv_adv < h->rcv_nxt)
        h->rcv_adv = h->rcv_nxt;
    return buf;
}

/* The window field for a segment that is no SYN. Rounds up so that the edge does not move back,
 * but not beyond the buffer: each segment would round again. The edge then seems to move back
 * by less than the scale's unit, as RFC 7323 2.4 foresees; what was promised is still taken. */
static uint16_t
window_field(struct tcb *c, uint32_t limit)
{
    uint64_t most = c->h.rx_head + limit + WINDOW_SLACK;
    uint32_t scale = (c->h.bits & H_WS) ? WSCALE : 0;
    uint64_t wnd = c->h.rcv_adv - c->h.rcv_nxt;
    uint64_t field = (wnd + (1u << scale) - 1) >> scale;
    if (c->h.rcv_nxt + (field << scale) > max_u64(most, c->h.rcv_adv))
        field = wnd >> scale;
    if (field > UINT16_MAX)
        field = UINT16_MAX;
    uint64_t edge = c->h.rcv_nxt + (field << scale);
    if (edge > c->h.rcv_adv)
        c->h.rcv_adv = edge;
    c->sent_window_zero = field == 0;
    return (uint16_t)field;
}

static void
syn_fields(struct tcp *t, struct tcb *c, struct tcp_hdr *h)
{
    bool answer = h->flags & TCP_ACK;
    uint32_t mss = path_mtu(t->path, &c->raddr) - IP4_HEADER - TCP_HEADER;
    uint32_t most = c->opt.window_clamp != 0 ? c->opt.window_clamp : UINT16_MAX;
    h->flags |= ecn_syn_flags(t, c, h->flags);
    h->mss = (uint16_t)(c->opt.maxseg != 0 ? min_u32(mss, c->opt.maxseg) : mss);
    h->has_wscale = !answer || (c->h.bits & H_WS);
    h->wscale = WSCALE;
    h->has_ts = !answer || (c->h.bits & H_TS);
    h->sack_ok = !answer || (c->h.bits & H_SACK);
    h->wnd = (uint16_t)min_u32(min_u32(c->opt.rcvbuf - WINDOW_SLACK, most), UINT16_MAX);
    c->h.rcv_adv = max_u64(c->h.rcv_adv, c->h.rcv_nxt + h->wnd);
}

/* RFC 6093 section 4: the pointer is one past the last urgent byte. */
static void
urgent_fields(const struct tcb *c, uint64_t seq, struct tcp_hdr *h)
{
    if (c->snd_up <= seq || c->snd_up - seq > UINT16_MAX || (h->flags & TCP_RST))
        return;
    h->flags |= TCP_URG;
    h->urg = (uint16_t)(c->snd_up - seq);
}

bool
output_segment(struct tcp *t, struct tcb *c, uint64_t seq, uint32_t len, uint8_t flags)
{
    return output_text(t, c, seq, len, max_u32(len, 1), flags);
}

bool
output_text(struct tcp *t, struct tcb *c, uint64_t seq, uint32_t len, uint32_t cut,
            uint8_t flags)
{
    uint32_t n = max_u32((len + cut - 1) / cut, 1);
    struct pkt *p;
    uint8_t *frame = n > 1 || segment_room(t, len) ? segment_begin(t, &p) : NULL;
    if (frame == NULL)
        return false;
    struct tcp_hdr h = {
        .sport = c->lport,
        .dport = c->rport,
        .seq = c->h.iss + (uint32_t)seq,
        .flags = flags,
    };
    p->tos = c->opt.tos;
    ecn_mark(c, len != 0 && seq >= c->h.snd_max && !c->probing, &h.flags, &p->tos);
    uint32_t limit = window_choose(t, c);
    if (flags & TCP_ACK)
        h.ack = c->h.irs + (uint32_t)c->h.rcv_nxt;
    if (flags & TCP_SYN) {
        syn_fields(t, c, &h);
    } else {
        h.has_ts = (c->h.bits & H_TS) != 0;
        h.wnd = window_field(c, limit);
        urgent_fields(c, seq, &h);
        if ((flags & (TCP_ACK | TCP_RST)) == TCP_ACK)
            sack_emit(t, c, &h);
    }
    if (h.has_ts) {
        h.ts_val = ts_clock(t->now) + c->h.ts_offset;
        h.ts_ecr = flags & TCP_ACK ? c->h.ts_recent : 0;
    }
    size_t hlen = tcp_emit(frame, &h);
    p->len = (uint16_t)hlen;
    uint32_t sum = len != 0 ? segment_text(t, c, p, frame, seq, len, cut, n) : 0;
    p->ttl = c->opt.ttl;
    p->client = c->link.client + 1;
    segment_end(t, p, frame, hlen, len, sum, &c->laddr, &c->raddr);
    stat_add(t->stats, STAT_seg_tx, n);
    stat_add(t->stats, STAT_bytes_tx, len);
    rate_sent(t, c, n, len, n * ((uint32_t)hlen + IP4_HEADER) + len);
    c->n_tx += len;
    c->n.segs_out += n;
    if (len != 0) {
        c->n.data_out += n;
        c->n.data_sent_ms = ts_clock(t->now);
        if (!c->probing) /* a probe of a closed window tells nothing of the path's room */
            c->last_data = t->now;
    }
    if (flags & TCP_ACK) {
        c->answers |= len != 0 && c->n.data_in != 0 &&
                      ts_clock(t->now) - c->n.data_rcvd_ms < DELACK_TIME / NS_MS;
        c->ack_now = false;
        c->ack_segs = 0;
        c->timer[T_DELACK] = NS_NEVER;
        c->last_ack = c->h.rcv_nxt;
        c->told_adv = c->h.rcv_adv;
    }
    tcb_dirty(t, c);
    return true;
}

/* The number of a segment without data: the next one, also while older data is sent again, or
 * the peer takes it for old and does not look at it; but not beyond the peer's window. */
uint64_t
control_seq(const struct tcb *c)
{
    bool opening = c->h.state == TCPS_SYN_SENT || c->h.state == TCPS_SYN_RCVD;
    return opening ? c->h.snd_max : min_u64(c->h.snd_max, c->h.snd_una + c->h.snd_wnd);
}

void
output_control(struct tcp *t, struct tcb *c, uint8_t flags)
{
    uint64_t seq = control_seq(c);
    if (flags & TCP_RST)
        stat_inc(t->stats, STAT_tcp_rst_tx);
    (void)output_segment(t, c, seq, 0, flags); /* may be dropped: the peer will ask again */
}

bool
output_stateless(struct tcp *t, const struct seg *s, const struct tcp_hdr *h,
                 const struct tcb *c)
{
    struct pkt *p;
    uint8_t *frame = segment_begin(t, &p);
    if (frame == NULL)
        return false;
    if (c != NULL) {
        p->tos = c->opt.tos;
        p->ttl = c->opt.ttl;
        p->client = c->link.client + 1;
    }
    size_t hlen = tcp_emit(frame, h);
    p->len = (uint16_t)hlen;
    segment_end(t, p, frame, hlen, 0, 0, &s->dst, &s->src);
    stat_inc(t->stats, STAT_seg_tx);
    return true;
}
