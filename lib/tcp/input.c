/* SPDX-License-Identifier: BSD-2-Clause
 *
 * input.c: segments from below. Nothing in packet memory is used before it was copied and the
 * copy's checksum verified: the header is copied to the stack, the payload to its place in the
 * receive FIFO (in order) or to the bounce buffer (anything else). Then RFC 9293 3.10.7.4, one
 * function a check, in the order of the text.
 */
#include "priv.h"

#define READABLE (PART_BIT(PART_RX) | PART_BIT(PART_UP))
#define SEG_MAX 65535u

/* A segment as it lies in frames: up to FRAME_MAX_CHAIN pieces. */
struct source {
    const struct pkt *p;
    unsigned n;
    uint8_t header[TCP_HEADER_MAX];
    const uint8_t *first; /* piece 0 */
    uint32_t total;       /* transport bytes */
};

static bool
source_open(struct tcp *t, struct source *src, const struct pkt *p, unsigned n)
{
    src->p = p;
    src->n = n;
    src->total = 0;
    for (unsigned i = 0; i < n; i++) {
        if (frames_ro(&t->frames, READABLE, p[i].addr, p[i].len) == NULL)
            return false;
        src->total += p[i].len;
    }
    src->first = frames_ro(&t->frames, READABLE, p->addr, p->len);
    memcpy(src->header, src->first, min_u32(p->len, sizeof src->header));
    return src->total <= SEG_MAX;
}

/* Copy the payload to the bounce buffer, or to its place in the FIFO of cl; returns its sum, or
 * anything if nobody wants it. */
static uint32_t
source_copy(struct tcp *t, const struct source *src, uint32_t hlen, const struct client *cl,
            uint32_t slot, uint64_t pos, bool want_sum)
{
    uint32_t at = 0, sum = 0;
    for (unsigned i = 0; i < src->n; i++) {
        uint32_t skip = i == 0 ? hlen : 0, len = src->p[i].len - skip, part = 0;
        const uint8_t *from =
            frames_ro(&t->frames, READABLE, src->p[i].addr, src->p[i].len) + skip;
        if (cl == NULL)
            part = csum_copy(t->bounce + at, from, len);
        else if (want_sum)
            part = fifo_rx_write_csum(&cl->v, slot, pos + at, from, len);
        else
            fifo_rx_write(&cl->v, slot, pos + at, from, len);
        sum = at & 1 ? csum_add_odd(sum, part) : csum_add(sum, part);
        at += len;
    }
    return sum;
}

/* Can the payload go straight to its place? In order, nothing beyond it there yet, room for all
 * of it, and nothing about the segment that may make us refuse it after the copy. */
static bool
fast_path(const struct tcb *c, const struct seg *s)
{
    const uint8_t odd = TCP_SYN | TCP_RST | TCP_URG;
    return c != NULL && c->h.state >= TCPS_ESTABLISHED && c->h.state <= TCPS_FIN_WAIT_2 &&
           !(c->h.bits & (H_CLOSED | H_FIN_RCVD)) && c->link.slot != SESS_NONE &&
           (s->h.flags & (odd | TCP_ACK)) == TCP_ACK && s->seq == c->h.rcv_nxt &&
           c->ooo.n == 0 && s->len != 0 && s->len <= c->h.rcv_adv - c->h.rcv_nxt;
}

/* Copy and verify. False: bad checksum. */
static bool
take_payload(struct tcp *t, struct tcb *c, struct seg *s, const struct source *src)
{
    uint32_t hlen = s->h.header_len, sum;
    struct client *cl = c != NULL ? tcb_client(t, c) : NULL;
    /* Who passes the frame on could have made the checksum fit as well. */
    bool done = t->cfg.segments && (src->p->flags & PKT_CSUM);
    if (cl != NULL && fast_path(c, s) &&
        fifo_rx_prepare(&cl->v, c->link.slot, &cl->pages, s->seq - 1, s->len) >= s->len) {
        sum = source_copy(t, src, hlen, cl, c->link.slot, s->seq - 1, !done);
        s->placed = true;
    } else {
        sum = source_copy(t, src, hlen, NULL, 0, 0, true);
        s->text = t->bounce;
    }
    if (done)
        return true;
    uint32_t pseudo = csum_pseudo(&s->src, &s->dst, WIRE_PROTO_TCP, src->total);
    sum = csum_add(csum_add(sum, csum_bytes(src->header, hlen)), pseudo);
    if (csum_fold(sum) == 0xffff)
        return true;
    uint16_t field;
    memcpy(&field, src->header + 16, sizeof field);
    if (t->cfg.csum_partial_ok && field == csum_fold(pseudo)) {
        stat_inc(t->stats, STAT_csum_partial);
        return true;
    }
    stat_inc(t->stats, STAT_drop_checksum);
    return false;
}

/* ---- RFC 9293 3.10.7.4, for synchronized states and SYN-RECEIVED ---- */

/* First: the sequence number. */
static bool
seq_acceptable(const struct tcb *c, const struct seg *s)
{
    uint64_t len = s->len + ((s->h.flags & TCP_SYN) != 0) + ((s->h.flags & TCP_FIN) != 0);
    uint64_t left = c->h.rcv_nxt, edge = c->h.rcv_adv;
    /* A FIN alone takes no room: some send it into a closed window, and would for ever. */
    if (s->seq == left && (len == 0 || (len == 1 && (s->h.flags & TCP_FIN))))
        return true;
    /* Of a peer that filled the window, ACKs; but no RST (RFC 5961, erratum 4845). */
    if (len == 0)
        return s->seq > left && s->seq <= edge - !!(s->h.flags & TCP_RST);
    return edge != left && s->seq < edge && s->seq + len > left;
}

static void
not_acceptable(struct tcp *t, struct tcb *c, const struct seg *s)
{
    c->n_drop++;
    stat_inc(t->stats, s->seq < c->h.rcv_nxt ? STAT_tcp_dup : STAT_tcp_drop_window);
    if (s->h.flags & TCP_RST)
        return;
    if ((s->h.flags & TCP_SYN) && c->h.state >= TCPS_ESTABLISHED) {
        output_challenge(t, c); /* RFC 5961 section 4.2: wherever its number is */
        return;
    }
    sack_duplicate(c, s->seq, min_u64(s->seq + s->len, c->h.rcv_nxt));
    output_answer(t, c, s);
}

/* Second: RST, with RFC 5961 section 3. */
static void
reset_received(struct tcp *t, struct tcb *c, const struct seg *s)
{
    if (s->seq != c->h.rcv_nxt) {
        output_challenge(t, c);
        return;
    }
    stat_inc(t->stats, STAT_tcp_rst_rx);
    switch ((enum tcp_state)c->h.state) {
    case TCPS_SYN_RCVD: /* passive: back to LISTEN, that is, gone */
        tcb_die(t, c, (c->h.bits & H_PASSIVE) ? 0 : ECONNREFUSED);
        return;
    case TCPS_CLOSING:
    case TCPS_LAST_ACK:
        tcb_die(t, c, 0);
        return;
    default:
        tcb_die(t, c, c->h.state == TCPS_CLOSE_WAIT ? EPIPE : ECONNRESET);
    }
}

/* Fourth: SYN. */
static void
syn_received(struct tcp *t, struct tcb *c, const struct seg *s)
{
    if (c->h.state == TCPS_SYN_RCVD && s->seq == 0) { /* theirs again: so is our answer */
        c->snd_nxt = 0;
        if ((c->h.bits & H_TS) && s->h.has_ts)
            c->h.ts_recent = s->h.ts_val; /* RFC 7323 4.3: the answer is to this one */
        work_add(t, c);
        return;
    }
    if (c->h.state == TCPS_SYN_RCVD && (c->h.bits & H_PASSIVE))
        tcb_die(t, c, 0); /* back to LISTEN: the peer begins anew, and asks again */
    else
        output_challenge(t, c); /* RFC 5961 section 4 */
}

/* What an acknowledged FIN changes. False: the session is over. */
static bool
fin_acked(struct tcp *t, struct tcb *c)
{
    if (!(c->h.bits & H_FIN_ACKED))
        return true;
    switch ((enum tcp_state)c->h.state) {
    case TCPS_FIN_WAIT_1:
        tcb_set_state(t, c, TCPS_FIN_WAIT_2);
        return !(c->h.bits & H_CLOSED) || fin_wait_arm(t, c);
    case TCPS_CLOSING:
        time_wait_enter(t, c);
        return false;
    case TCPS_LAST_ACK:
        tcb_die(t, c, 0);
        return false;
    default:
        return true;
    }
}

/* Does the peer perhaps wait for an acknowledgment before it goes on (Nagle), while nothing of
 * ours goes back that one could go with? It pushed less than a segment, to a program that has
 * read all that came before: `before` is RCV.NXT then. Not to one that lets bytes pile up,
 * which is how a long transfer looks. */
static bool
sender_waits(struct tcp *t, const struct tcb *c, const struct seg *s, uint64_t before)
{
    const struct slot_client *sc = tcb_cslot(t, c);
    return !c->answers && (s->h.flags & TCP_PSH) && s->len < c->h.mss && sc != NULL &&
           get(sc->rx_head) == before - 1;
}

/* Seventh: the text. */
static void
take_text(struct tcp *t, struct tcb *c, struct seg *s)
{
    uint64_t before = c->h.rcv_nxt;
    bool gap = c->ooo.n != 0;
    c->n.data_in++;
    c->n.data_rcvd_ms = ts_clock(t->now);
    c->n.ooo += s->seq > before;
    bool moved = reasm_data(t, c, s);
    if (moved) {
        uint64_t n = c->h.rcv_nxt - before;
        c->n_rx += n;
        stat_add(t->stats, STAT_bytes_rx, n);
        c->ack_dups = 0; /* the gap is closed: sent now they would all say what is new */
        /* What came as several segments in one piece counts as such. */
        c->ack_segs = (uint8_t)min_u32(c->ack_segs + (s->len > c->h.mss ? 2u : 1u), 255);
        /* RFC 5681 4.2: at once when it fills a gap, and every second segment; and the first
         * few, so that the peer's slow start is not held up, until there are answers to go
         * with; and what the peer may wait for. */
        bool first = c->n.data_in <= QUICK_ACKS && !c->answers;
        bool early =
            c->opt.quickack && (c->quick != 0 || first || sender_waits(t, c, s, before));
        c->quick = c->quick != 0 ? c->quick - 1 : 0;
        if (gap || c->ack_segs >= 2 || early || (s->h.flags & TCP_FIN))
            c->ack_now = true;
        else if (c->timer[T_DELACK] == NS_NEVER)
            timer_set(t, c, T_DELACK, t->now + DELACK_TIME);
    } else {
        if (s->seq + s->len <= before)
            stat_inc(t->stats, STAT_tcp_dup);
        c->ack_now = true;
        c->ack_dups = (uint8_t)min_u32(c->ack_dups + 1u, 32);
    }
    tcb_dirty(t, c);
    work_add(t, c);
}

/* Eighth: the FIN, whose number is end, once everything before it is here. */
static void
take_fin(struct tcp *t, struct tcb *c, uint64_t end)
{
    if (c->h.rcv_nxt != end || (c->h.bits & H_FIN_RCVD)) {
        c->ack_now = true; /* a gap before it: RFC 5681 4.2 */
        if (end > c->h.rcv_nxt && end <= c->h.rcv_adv)
            c->early_fin = end;
        work_add(t, c);
        return;
    }
    c->h.rcv_nxt++;
    c->h.rcv_adv = max_u64(c->h.rcv_adv, c->h.rcv_nxt);
    c->h.bits |= H_FIN_RCVD;
    reasm_forget(t, c); /* there is nothing beyond a FIN, whatever came before it */
    c->ack_now = true;
    work_add(t, c);
    switch ((enum tcp_state)c->h.state) {
    case TCPS_ESTABLISHED:
        tcb_set_state(t, c, TCPS_CLOSE_WAIT);
        break;
    case TCPS_FIN_WAIT_1:
        tcb_set_state(t, c, TCPS_CLOSING);
        break;
    case TCPS_FIN_WAIT_2:
        time_wait_enter(t, c);
        break;
    default:
        tcb_dirty(t, c);
    }
}

static bool
may_have_text(uint8_t state)
{
    return state == TCPS_ESTABLISHED || state == TCPS_FIN_WAIT_1 || state == TCPS_FIN_WAIT_2;
}

/* RFC 1122 4.2.2.13: data for a program that has closed. One that has shut down both directions
 * can as little be given it, as Linux has it. */
static bool
data_after_close(struct tcp *t, struct tcb *c, const struct seg *s)
{
    bool closed = c->h.bits & H_CLOSED;
    bool deaf = closed || ((c->h.bits & H_SHUT_RD) && c->h.state != TCPS_ESTABLISHED);
    if (!deaf || !may_have_text(c->h.state) || s->len == 0 || s->seq + s->len <= c->h.rcv_nxt)
        return false;
    /* Not from SND.NXT: a peer that misses something of ours expects a lower number, and to
     * any other it would answer with a challenge (RFC 5961 section 3). */
    struct seg answer = *s;
    answer.h.ack = c->h.iss + (uint32_t)c->h.snd_una;
    output_reset_for(t, &answer);
    tcb_die(t, c, closed ? 0 : ECONNRESET);
    return true;
}

void
rest_of_segment(struct tcp *t, struct tcb *c, struct seg *s)
{
    if ((s->h.flags & TCP_URG) && s->h.urg != 0 && may_have_text(c->h.state))
        c->rcv_up = max_u64(c->rcv_up, s->seq + s->h.urg); /* sixth: RFC 6093 */
    if (s->len != 0 && may_have_text(c->h.state) && tcb_slot(t, c) != NULL)
        take_text(t, c, s);
    else if (s->len != 0 && may_have_text(c->h.state))
        c->ack_now = true; /* it cannot be taken now; after their FIN it is ignored */
    if (s->h.flags & TCP_FIN)
        take_fin(t, c, s->seq + s->len);
    else if (c->early_fin != 0 && c->early_fin == c->h.rcv_nxt && may_have_text(c->h.state))
        take_fin(t, c, c->early_fin);
}

/* A segment with nothing new in it may still acknowledge: the peer sent it again because our
 * acknowledgment was lost, and if it did not hear us we have not heard it either. Its sequence
 * number must be one that the peer may have used lately, so that a guess gets no easier. */
static bool
old_ack(const struct tcb *c, const struct seg *s)
{
    return c->h.state >= TCPS_ESTABLISHED && s->seq < c->h.rcv_nxt &&
           c->h.rcv_nxt - s->seq <= c->opt.rcvbuf &&
           (s->h.flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK && s->ack > c->h.snd_una &&
           s->ack <= c->h.snd_max;
}

void
synchronized_segment(struct tcp *t, struct tcb *c, struct seg *s)
{
    s->seq = seq_extend(c->h.rcv_nxt, c->h.irs, s->h.seq);
    s->ack = seq_extend(c->h.snd_una, c->h.iss, s->h.ack);
    /* A number before the first extends to one that is far ahead: not acceptable either way. */
    if (!paws_ok(t, c, s))
        return;
    simultaneous_open(c, s);
    if (!seq_acceptable(c, s)) {
        /* Their SYN again. One with an ACK is the other half of a simultaneous open: that gets
         * an ACK, or two ends would answer each other's SYN-ACK with theirs for ever. */
        const uint8_t kind = s->h.flags & (TCP_SYN | TCP_RST | TCP_ACK);
        if (c->h.state == TCPS_SYN_RCVD && kind == TCP_SYN && s->h.seq == c->h.irs)
            syn_received(t, c, s);
        else
            not_acceptable(t, c, s);
        if (old_ack(c, s)) {
            ack_process(t, c, s);
            (void)fin_acked(t, c);
        }
        return;
    }
    if (s->h.flags & TCP_RST) {
        reset_received(t, c, s);
        return;
    }
    if (s->h.flags & TCP_SYN) {
        syn_received(t, c, s);
        return;
    }
    if (!(s->h.flags & TCP_ACK))
        return;
    if (c->h.state == TCPS_SYN_RCVD && !handshake_ack(t, c, s))
        return;
    if (!ack_acceptable(t, c, s))
        return;
    c->last_rx = t->now;
    c->n.ack_rcvd_ms = ts_clock(t->now);
    c->keep_sent = 0;
    ts_update(t, c, s); /* not before: a forged number would lock the real peer out */
    ecn_received(c, s);
    autotune_rtt(t, c, s);
    ack_process(t, c, s);
    if (!fin_acked(t, c))
        return;
    if (data_after_close(t, c, s))
        return;
    rest_of_segment(t, c, s);
}

void
input_packet(struct tcp *t, const struct pkt *p, unsigned n)
{
    struct source src;
    struct seg s = {.src = p->src, .dst = p->dst, .tos = p->tos};
    stat_inc(t->stats, STAT_seg_rx);
    if (!source_open(t, &src, p, n)) {
        stat_inc(t->stats, STAT_drop_short);
        return;
    }
    enum wire_err err = tcp_parse(&s.h, src.header, p->len);
    if (err != WIRE_OK) {
        stat_inc(t->stats, err == WIRE_SHORT ? STAT_drop_short : STAT_drop_header);
        return;
    }
    s.len = src.total - s.h.header_len;
    if (p->flags & PKT_BCAST || s.h.sport == 0 || s.h.dport == 0) {
        stat_inc(t->stats, STAT_drop_header);
        return;
    }
    struct tcb *c = demux_find(t, &s.dst, s.h.dport, &s.src, s.h.sport);
    if (c != NULL && tcp_move_holds(t, c)) { /* the peer sends it again */
        c->n_drop++;
        return;
    }
    if (c != NULL)
        s.seq = seq_extend(c->h.rcv_nxt, c->h.irs, s.h.seq);
    if (!take_payload(t, c, &s, &src)) {
        if (c != NULL)
            c->n_drop++;
        return;
    }
    if (c == NULL) {
        struct tcb *l = demux_listener(t, &s.dst, s.h.dport, &s.src, s.h.sport);
        if (l == NULL) {
            no_session_segment(t, &s);
            return;
        }
        client_received(t->clients, l->link.client, src.total + IP4_HEADER);
        listen_segment(t, l, &s);
        return;
    }
    client_received(t->clients, c->link.client, src.total + IP4_HEADER);
    set(t->store->working, tcb_number(t, c));
    c->n.segs_in++;
    if (c->h.state == TCPS_SYN_SENT)
        syn_sent_segment(t, c, &s);
    else if (c->h.state == TCPS_TIME_WAIT)
        time_wait_segment(t, c, &s);
    else
        synchronized_segment(t, c, &s);
    set(t->store->working, SESS_NONE);
}
