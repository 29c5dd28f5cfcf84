/* SPDX-License-Identifier: BSD-2-Clause
 *
 * handshake.c: segments for a listener, for SYN-SENT, and for nobody (RFC 9293 3.10.7.1 to .3).
 */
#include "priv.h"

void
no_session_segment(struct tcp *t, const struct seg *s)
{
    stat_inc(t->stats, STAT_drop_noport);
    output_reset_for(t, s);
}

void
syn_options(struct tcp *t, struct tcb *c, const struct tcp_hdr *h)
{
    c->h.peer_mss = h->mss != 0 ? (uint16_t)max_u32(h->mss, MSS_MIN) : MSS_DEFAULT;
    c->h.bits &= ~(H_TS | H_WS | H_SACK);
    c->h.snd_wscale = 0;
    if (h->has_wscale) {
        c->h.bits |= H_WS;
        c->h.snd_wscale = (uint8_t)min_u32(h->wscale, 14); /* RFC 7323 2.3 */
    }
    if (h->sack_ok)
        c->h.bits |= H_SACK;
    if (h->has_ts) {
        c->h.bits |= H_TS;
        c->h.ts_recent = h->ts_val;
        c->ts_recent_age = t->now;
    }
    ecn_negotiate(t, c, h->flags);
    mss_set(c, mss_limit(t, c));
    c->cc.cwnd = c->cc.ssthresh = 0;
    c->cc.alg = c->opt.congestion;
    cc_ops_of(c->cc.alg)->start(&c->cc, t->now);
}

/* No more than half of the sessions there are: a flood must leave some for those who finish. */
static uint32_t
half_open_bound(uint32_t limit, uint32_t sessions)
{
    return min_u32(limit, max_u32(sessions / 2, 1));
}

/* A burst that finds a short backlog waits half-open for its turn: its SYN-ACKs go again until
 * there is room. A cookie's ACK comes once; it is for floods. */
#define LISTENER_HALF_OPEN 64u

bool
half_open_room(const struct tcp *t, const struct client *cl)
{
    return t->n_half_open < half_open_bound(t->cfg.half_open, t->cfg.n_sessions) &&
           cl->n_half_open < half_open_bound(cl->limits.half_open, cl->limits.sessions);
}

/* Half-open sessions are not evicted to make room: the flood would choose whose handshake ends,
 * and hits those that take long, whose peers are far away. They end by their timer, and until
 * then the others are answered by cookies, which need no room. */
/* May this peer speak to who listens there? Else it is as if nobody was there at all: neither
 * a RST nor an ICMP error. */
bool
listen_admits(struct tcp *t, const struct tcb *l, const struct seg *s)
{
    const struct account *a = tcb_account(t, l);
    if (a != NULL && account_peer(a->rules.accept, a->rules.n_accept, &s->src, s->h.sport))
        return true;
    (void)tcb_deny(t, l, RULE_ACCEPT, &s->src, s->h.sport, 0);
    return false;
}

enum listen_verdict
listen_room(struct tcp *t, const struct tcb *l)
{
    const struct client *cl = tcb_client(t, l);
    if (cl == NULL || l->n_accept > l->backlog || cl->n_sessions >= cl->limits.sessions)
        return LISTEN_DROP; /* the program does not keep up: a cookie would promise too much */
    if (!client_has_room(t->clients, cl)) {
        (void)tcb_deny(t, l, RULE_SESSIONS, NULL, l->lport, 0);
        return LISTEN_DROP;
    }
    const struct account *a = client_account(t->clients, cl);
    bool few = a->n_half_open < a->rules.half_open;
    if (!few)
        (void)tcb_deny(t, l, RULE_HALF_OPEN, NULL, l->lport, 0);
    bool room =
        few && half_open_room(t, cl) && l->n_syn <= max_u32(l->backlog, LISTENER_HALF_OPEN);
    if (room)
        return LISTEN_ROOM;
    return t->cfg.cookies != TCP_COOKIES_OFF ? LISTEN_COOKIE : LISTEN_DROP;
}

struct tcb *
listen_new(struct tcp *t, struct tcb *l, const struct seg *s)
{
    struct tcb *c = tcb_new(t);
    if (c == NULL) {
        stat_inc(t->stats, STAT_tcp_drop_no_session);
        return NULL;
    }
    c->laddr = s->dst;
    c->raddr = s->src;
    c->lport = s->h.dport;
    c->rport = s->h.sport;
    c->opt = l->opt;
    c->grant = l->grant;
    child_link(t, l, c);
    c->link.client = l->link.client;
    client_count(t->clients, tcb_client(t, l), 1, 0);
    c->h.bits = H_PASSIVE;
    c->h.ts_offset = ts_offset_make(t, c);
    c->h.rcv_nxt = c->h.rcv_adv = 1;
    c->h.snd_wnd = s->h.wnd;
    return c;
}

struct tcb *
listen_begin(struct tcp *t, struct tcb *l, const struct seg *s)
{
    struct tcb *c = listen_new(t, l, s);
    if (c == NULL)
        return NULL;
    c->h.iss = isn_make(t, c);
    c->h.irs = s->h.seq;
    syn_options(t, c, &s->h);
    tcb_set_state(t, c, TCPS_SYN_RCVD);
    demux_insert(t, c);
    work_add(t, c);
    return c;
}

void
listen_segment(struct tcp *t, struct tcb *l, struct seg *s)
{
    if (s->h.flags & TCP_RST)
        return;
    if (!listen_admits(t, l, s)) {
        stat_inc(t->stats, STAT_drop_denied);
        l->n_drop++;
        return;
    }
    if (s->h.flags & TCP_ACK) {
        if (!cookie_ack(t, l, s))
            output_reset_for(t, s);
        return;
    }
    if (!(s->h.flags & TCP_SYN))
        return;
    enum listen_verdict v = listen_room(t, l);
    if (v == LISTEN_DROP) {
        listen_dropped(t, l);
        l->n_drop++;
    } else if (v == LISTEN_COOKIE || t->cfg.cookies == TCP_COOKIES_ALWAYS) {
        cookie_send(t, l, s);
    } else {
        (void)listen_begin(t, l, s);
    }
}

void
tcb_established(struct tcp *t, struct tcb *c)
{
    tcb_set_state(t, c, TCPS_ESTABLISHED);
    c->timer[T_REXMT] = NS_NEVER;
    if (c->backoff != 0 && !c->deferred) { /* the SYN was lost: RFC 6298 (5.7) */
        c->rto = max_u64(c->rto, RTO_AFTER_LOST_SYN);
        if (c->backoff > 1) /* RFC 5681 3.1; once may be a slow path: RFC 6928 2 */
            c->cc.cwnd = c->h.mss;
    }
    c->backoff = 0;
    c->recover = 0;
    c->rtt_next = 0;
    keep_arm(t, c);
    if (c->parent != SESS_NONE) {
        t->tcb[c->parent].n_untold++;
        t->tcb[c->parent].n_accept++;
        client_event(t->clients, &c->link, tcb_number(t, c), EVT_ACCEPT, tcb_link_of, t);
        stat_inc(t->stats, STAT_tcp_accepted);
    } else {
        stat_inc(t->stats, STAT_tcp_connected);
    }
    work_add(t, c);
}

void
syn_sent_segment(struct tcp *t, struct tcb *c, struct seg *s)
{
    bool ack = s->h.flags & TCP_ACK;
    s->ack = seq_extend(c->h.snd_una, c->h.iss, s->h.ack);
    if (ack && (s->ack == 0 || s->ack > c->h.snd_max || c->h.snd_max == 0)) {
        output_reset_for(t, s); /* an old duplicate, or a guess */
        return;
    }
    if (s->h.flags & TCP_RST) {
        stat_inc(t->stats, STAT_tcp_rst_rx);
        if (ack)
            tcb_die(t, c, ECONNREFUSED);
        return;
    }
    if (!(s->h.flags & TCP_SYN))
        return;
    c->h.irs = s->h.seq;
    c->h.rcv_nxt = 1;
    c->h.rcv_adv = max_u64(c->h.rcv_adv, 1);
    c->last_rx = t->now;
    syn_options(t, c, &s->h);
    s->seq = 0;
    c->snd_wl1 = c->snd_wl2 = 0;
    window_update(c, s);
    if (ack) {
        rtt_of_syn(t, c);
        c->h.snd_una = s->ack;
        c->snd_nxt = max_u64(c->snd_nxt, s->ack);
        c->ack_now = true;
        tcb_established(t, c);
        s->seq = 1; /* "continue processing at the sixth step": text behind the SYN */
        rest_of_segment(t, c, s);
        return;
    }
    /* Simultaneous open: our SYN again, with an ACK of theirs. */
    tcb_set_state(t, c, TCPS_SYN_RCVD);
    c->snd_nxt = 0;
    work_add(t, c);
}

/* RFC 9293 figure 7: their SYN comes again, and acknowledges ours. It has no number that is
 * new, but says all that an ACK would. The peer gets an ACK, which 3.10.7.4 has for any old
 * number: our SYN-ACK may have been lost. */
void
simultaneous_open(struct tcb *c, struct seg *s)
{
    const uint8_t kind = TCP_SYN | TCP_ACK;
    if (c->h.state != TCPS_SYN_RCVD || (s->h.flags & (kind | TCP_RST)) != kind || s->seq != 0 ||
        s->ack != 1 || c->h.rcv_nxt != 1 || c->h.snd_max != 1)
        return;
    s->h.flags &= (uint8_t)~TCP_SYN;
    s->seq = 1;
    s->unscaled = true;
    c->ack_now = true;
}

/* RFC 9293 3.10.7.4, fifth, in SYN-RECEIVED. */
bool
handshake_ack(struct tcp *t, struct tcb *c, const struct seg *s)
{
    if (s->ack == 0 || s->ack > c->h.snd_max || c->h.snd_max == 0) {
        output_reset_for(t, s);
        return false;
    }
    /* TCP_DEFER_ACCEPT: not before there is something to read, or it took too long. */
    if (c->opt.defer > c->backoff && (c->h.bits & H_PASSIVE) && s->len == 0 &&
        !(s->h.flags & TCP_FIN)) {
        c->deferred = true;
        return false;
    }
    struct client *cl = tcb_client(t, c);
    if (c->link.slot == SESS_NONE) {
        /* The program's queue is full, or it has no slot left: as if the ACK was lost. */
        const struct tcb *l = c->parent != SESS_NONE ? &t->tcb[c->parent] : NULL;
        if (cl == NULL || l == NULL || l->n_accept > l->backlog || !slot_attach(t, c, cl)) {
            listen_dropped(t, c);
            return false;
        }
    }
    rtt_of_syn(t, c);
    c->h.snd_una = max_u64(c->h.snd_una, 1);
    c->snd_nxt = max_u64(c->snd_nxt, 1);
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
    c->h.snd_wnd = (uint32_t)s->h.wnd << (s->unscaled ? 0 : c->h.snd_wscale);
    c->max_wnd = max_u32(c->max_wnd, c->h.snd_wnd);
    tcb_established(t, c);
    return true;
}
