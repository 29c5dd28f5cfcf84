/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcb.c: the life of a control block: made, committed, ended, freed.
 */
#include "priv.h"

struct client_link *
tcb_link_of(void *ctx, uint32_t sess)
{
    struct tcp *t = ctx;
    return &t->tcb[sess].link;
}

struct client *
tcb_client(struct tcp *t, const struct tcb *c)
{
    return clients_get(t->clients, c->link.client);
}

struct slot_domain *
tcb_slot(struct tcp *t, const struct tcb *c)
{
    struct client *cl = tcb_client(t, c);
    return cl != NULL && c->link.slot != SESS_NONE ? &cl->v.d_slot[c->link.slot] : NULL;
}

bool
tcb_arena_away(struct tcp *t, const struct tcb *c)
{
    return c->link.slot != SESS_NONE && tcb_client(t, c) == NULL;
}

const struct slot_client *
tcb_cslot(struct tcp *t, const struct tcb *c)
{
    struct client *cl = tcb_client(t, c);
    return cl != NULL && c->link.slot != SESS_NONE ? &cl->v.c_slot[c->link.slot] : NULL;
}

struct tcb *
tcb_new(struct tcp *t)
{
    /* The oldest TIME-WAIT makes room; not the first, if its client still holds its slot. */
    for (unsigned i = 0; i < 8 && t->n_free == 0 && t->tw_head != SESS_NONE; i++)
        time_wait_leave(t, &t->tcb[t->tw_head]);
    if (t->n_free == 0)
        return NULL;
    uint32_t i = t->free[--t->n_free];
    struct tcb *c = &t->tcb[i];
    t->store->high = max_u32(t->store->high, i + 1);
    memset((void *)c, 0, sizeof *c);
    c->link = (struct client_link){.client = SESS_NONE, .slot = SESS_NONE, .next = SESS_NONE};
    c->parent = SESS_NONE;
    c->opt = (struct tcb_opts){
        .sndbuf = t->cfg.sndbuf,
        .rcvbuf = t->cfg.rcvbuf,
        .keep_idle_s = KEEP_IDLE / NS_S,
        .keep_intvl_s = KEEP_INTVL / NS_S,
        .keep_cnt = KEEP_CNT,
        .linger = UINT32_MAX,
        .rcvlowat = 1,
        .congestion = t->cfg.congestion,
        .quickack = true,
    };
    tcb_soft_reset(t, c);
    c->used = true;
    stat_add(t->stats, STAT_tcp_sessions, 1);
    return c;
}

void
tcb_soft_reset(struct tcp *t, struct tcb *c)
{
    c->sent = c->ooo = run_list_none();
    c->flight = c->gone = c->recent = run_queue_none();
    c->first_lost = RUN_NONE;
    c->hash_next = c->bound_next = c->bound_prev = SESS_NONE;
    c->work_next = c->tw_next = c->tw_prev = SESS_NONE;
    c->child = c->sib_next = c->sib_prev = SESS_NONE;
    c->hashed = c->working = c->dirty = c->on_tw = false;
    c->wheel = (struct wheel_node){0};
    c->link.queued = false;
    c->link.events = 0;
    c->link.next = SESS_NONE;
    tcb_begin(t, c);
}

void
tcb_begin(struct tcp *t, struct tcb *c)
{
    sent_forget(t, c);
    reasm_forget(t, c);
    c->ack_now = c->probing = c->sent_window_zero = false;
    for (unsigned i = 0; i < T_COUNT; i++)
        c->timer[i] = NS_NEVER;
    c->dupacks = c->backoff = c->keep_sent = c->ack_dups = c->ack_segs = 0;
    c->ca = CA_OPEN;
    c->syn_time = c->srtt = c->rttvar = c->rtt_next = 0;
    c->min_rtt[0] = c->min_rtt[1] = 0;
    c->min_rtt_since = t->now;
    c->rack = (struct rack){.mult = 1};
    c->undo = (struct undo){0};
    c->frto = (struct frto){0};
    c->tlp_end = c->dsack_l = c->dsack_r = 0;
    c->delivered = c->delivered_ce = 0;
    c->lost_beyond = c->tlp_due = c->tlp_rexmt = c->ecn_echo = c->ecn_cwr = false;
    c->ecn_until = c->pace_next = c->limited = c->round_end = c->book_at = 0;
    c->booked = 0;
    c->tune = (struct tune){.head = c->h.rx_head, .since = t->now};
    c->plp = (struct plp){.next = t->now + PLP_RAISE};
    c->deferred = c->uncork = c->ecn_seen = c->answers = false;
    if (c->chrono >= CHRONOS || c->n.chrono_at > t->now) /* else it goes on over a crash */
        c->chrono = CHRONO_IDLE;
    c->snd_up = c->rcv_up = c->snd_small = c->early_fin = 0;
    c->quick = 0;
    c->n.data_sent_ms = c->n.data_rcvd_ms = c->n.ack_rcvd_ms = ts_clock(t->now);
    c->rate = (struct rate){0};
    c->rto = RTO_INITIAL;
    c->soft_err = 0;
    c->rexmt_since = c->last_oow_ack = 0;
    c->challenge_second = c->cookie_at = 0;
    c->challenge_n = 0;
    c->last_rx = c->last_data = c->ts_recent_age = t->now;
    c->last_ack = c->h.rcv_nxt;
    c->told_adv = c->h.rcv_adv;
    c->rst_due = false;
    c->snd_nxt = c->h.snd_una;
    c->recover = c->h.snd_una;
    c->max_wnd = max_u32(c->h.snd_wnd, c->h.mss);
    c->snd_wl1 = c->snd_wl2 = 0;
    c->n_syn = c->n_accept = c->n_untold = 0;
    c->cc =
        (struct cc){.mss = c->h.mss != 0 ? c->h.mss : MSS_DEFAULT, .alg = c->opt.congestion};
    cc_ops_of(c->cc.alg)->start(&c->cc, t->now);
}

void
tcb_disown(struct tcp *t, struct tcb *c)
{
    uint32_t *from = runs_used(t, c);
    uint32_t n = c->ooo.n + (c->sent.n > RUNS_SURE ? c->sent.n - RUNS_SURE : 0);
    c->link.client = c->link.slot = SESS_NONE;
    *from -= n;
    *runs_used(t, c) += n;
}

void
tcb_free(struct tcp *t, struct tcb *c)
{
    uint32_t i = tcb_number(t, c);
    tcp_move_stop(t, c);
    demux_remove(t, c);
    port_release(t, c);
    wheel_remove(&t->wheel, i);
    client_forget(t->clients, &c->link, tcb_link_of, t);
    sent_forget(t, c);
    reasm_forget(t, c);
    struct client *cl = tcb_client(t, c);
    if (cl != NULL) {
        if (c->link.slot != SESS_NONE)
            client_slot_give(cl, c->link.slot);
        client_count(t->clients, cl, -1, 0);
    }
    if (c->dirty) {
        t->dirty[c->dirty_at] = t->dirty[--t->n_dirty];
        t->tcb[t->dirty[c->dirty_at]].dirty_at = c->dirty_at;
        c->dirty = false;
    }
    c->used = false;
    c->h.state = TCPS_CLOSED;
    c->hard[0].state = c->hard[1].state = TCPS_CLOSED;
    /* The work list skips it when it sees !used, and frees the number then. */
    if (!c->working)
        t->free[t->n_free++] = i;
    stat_add(t->stats, STAT_tcp_sessions, (uint64_t)-1);
}

void
tcb_dirty(struct tcp *t, struct tcb *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->dirty_at = t->n_dirty;
    t->dirty[t->n_dirty++] = tcb_number(t, c);
}

/* Spare copy, then the selector: a crash before the store leaves the old state whole. */
void
tcb_commit(struct tcp *t, struct tcb *c)
{
    (void)t;
    uint32_t spare = !get(c->sel);
    c->hard[spare] = c->h;
    atomic_store_explicit(&c->sel, spare, memory_order_release);
}

void
tcb_set_state(struct tcp *t, struct tcb *c, enum tcp_state s)
{
    struct client *cl = tcb_client(t, c);
    bool orphan = tcb_is_orphan(c);
    if (c->h.state == TCPS_SYN_RCVD && s != TCPS_SYN_RCVD) {
        if (t->n_half_open > 0)
            t->n_half_open--;
        if (cl != NULL && cl->n_half_open > 0)
            client_count(t->clients, cl, 0, -1);
        if (c->parent != SESS_NONE && t->tcb[c->parent].n_syn > 0)
            t->tcb[c->parent].n_syn--;
    }
    if (s == TCPS_SYN_RCVD && c->h.state != TCPS_SYN_RCVD) {
        t->n_half_open++;
        if (cl != NULL)
            client_count(t->clients, cl, 0, 1);
        if (c->parent != SESS_NONE)
            t->tcb[c->parent].n_syn++;
    }
    c->h.state = (uint8_t)s;
    t->n_orphans += (uint32_t)tcb_is_orphan(c) - (uint32_t)orphan;
    tcb_dirty(t, c);
}

void
child_link(struct tcp *t, struct tcb *l, struct tcb *c)
{
    c->parent = tcb_number(t, l);
    c->sib_prev = SESS_NONE;
    c->sib_next = l->child;
    if (l->child != SESS_NONE)
        t->tcb[l->child].sib_prev = tcb_number(t, c);
    l->child = tcb_number(t, c);
}

void
child_unlink(struct tcp *t, struct tcb *c)
{
    if (c->parent == SESS_NONE)
        return;
    if (c->sib_prev != SESS_NONE)
        t->tcb[c->sib_prev].sib_next = c->sib_next;
    else if (t->tcb[c->parent].child == tcb_number(t, c))
        t->tcb[c->parent].child = c->sib_next;
    if (c->sib_next != SESS_NONE)
        t->tcb[c->sib_next].sib_prev = c->sib_prev;
    c->parent = c->sib_next = c->sib_prev = SESS_NONE;
}

/* What nobody was told of ends with its listener: its peer gets a RST, now or when it sends. */
static void
children_die(struct tcp *t, struct tcb *l)
{
    for (uint32_t i; (i = l->child) != SESS_NONE; t->steps++) {
        struct tcb *c = &t->tcb[i];
        if (c->h.state == TCPS_CLOSED) {
            child_unlink(t, c);
            continue;
        }
        c->rst_due = c->h.state >= TCPS_ESTABLISHED && c->h.state != TCPS_TIME_WAIT;
        if (c->rst_due)
            work_add(t, c);
        tcb_die(t, c, ECONNABORTED);
    }
}

void
tcb_die(struct tcp *t, struct tcb *c, int err)
{
    if (c->h.state == TCPS_LISTEN)
        children_die(t, c);
    tcp_move_stop(t, c);
    /* As on Linux: a port that was chosen for it is free when the connection is over. */
    bool chosen = c->h.state != TCPS_LISTEN && !(c->h.bits & H_PORT);
    struct slot_domain *d = tcb_slot(t, c);
    if (d != NULL && err != 0)
        client_set_err(d, err);
    else if (err != 0)
        c->died_of = err;
    bool counted = c->parent != SESS_NONE && c->h.state >= TCPS_ESTABLISHED;
    if (counted) {
        t->tcb[c->parent].n_untold--;
        t->tcb[c->parent].n_accept--;
    }
    tcb_set_state(t, c, TCPS_CLOSED);
    if (c->link.events & (1u << EVT_ACCEPT)) { /* nobody was told of it: nobody will be */
        client_forget(t->clients, &c->link, tcb_link_of, t);
        struct client *cl = tcb_client(t, c);
        if (cl != NULL && c->link.slot != SESS_NONE)
            client_slot_give(cl, c->link.slot);
        c->link.slot = SESS_NONE;
    }
    child_unlink(t, c);
    sent_forget(t, c);
    reasm_forget(t, c);
    demux_remove(t, c);
    if (chosen || (c->h.bits & H_CLOSED))
        port_release(t, c);
    time_wait_unlink(t, c);
    for (unsigned i = 0; i < T_COUNT; i++)
        c->timer[i] = NS_NEVER;
    wheel_remove(&t->wheel, tcb_number(t, c));
    tcb_dirty(t, c);
}

/* Called for every changed session at the end of a step, after its commit. */
void
tcb_settle(struct tcp *t, struct tcb *c)
{
    bool over = c->h.state == TCPS_CLOSED || c->h.state == TCPS_TIME_WAIT;
    bool all_sent = c->h.snd_una >= 1 + c->h.tx_tail; /* every byte acknowledged */
    if ((c->h.bits & H_CLOSED) && !(c->h.bits & H_FREED) && (over || all_sent)) {
        c->h.bits |= H_FREED;
        tcb_commit(t, c);
        client_event(t->clients, &c->link, tcb_number(t, c), EVT_FREED, tcb_link_of, t);
    }
    struct client *cl = tcb_client(t, c);
    bool gone = cl != NULL && cl->gone && (c->h.bits & H_FREED);
    /* TIME-WAIT without a slot is nobody's: it makes room for whoever needs a session, so it
     * need not be kept off by a limit, and a busy client is not stopped by its own past. */
    bool past = cl != NULL && c->h.state == TCPS_TIME_WAIT && c->link.slot == SESS_NONE;
    if (gone || past) {
        client_forget(t->clients, &c->link, tcb_link_of, t);
        if (c->link.slot != SESS_NONE) /* the dead client's memory is not needed any more */
            client_slot_give(cl, c->link.slot);
        client_count(t->clients, cl, -1, 0);
        tcb_disown(t, c);
        cl = NULL;
    }
    if (c->h.state != TCPS_CLOSED || c->rst_due || tcb_arena_away(t, c))
        return;
    /* A slot is the client's until it says REQ_RELEASED, or is dead. */
    if (c->link.slot != SESS_NONE && cl != NULL && !cl->gone)
        return;
    tcb_free(t, c);
}

bool
tcb_validate(const struct tcp *t, const struct tcb *c)
{
    const struct tcb_hard *h = &c->h;
    if (h->state >= TCPS_STATES || h->snd_una > h->snd_max || h->rcv_adv < h->rcv_nxt)
        return false;
    if (h->snd_max > snd_end(c) || h->snd_wscale > 14)
        return false;
    uint64_t rx = h->rcv_nxt > 0 ? h->rcv_nxt - 1 - ((h->bits & H_FIN_RCVD) != 0) : 0;
    if (h->rx_head > rx || rx - h->rx_head > FIFO_MAX)
        return false;
    if (h->mss > SEG_PAYLOAD || (h->state >= TCPS_ESTABLISHED && h->mss == 0))
        return false;
    if (!sent_valid(t, c) || !reasm_valid(t, c))
        return false;
    return c->link.client == SESS_NONE || c->link.client < CLIENTS_MAX;
}
