/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client.c: the component as its clients' server sees it: clients that come and go, events that
 * they are told, what there is to show of a session; and the table of all these calls.
 */
#include "priv.h"

static void
tcp_client_gone(struct transport *tr, uint32_t client, ns_t now)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    struct client *cl = clients_get(t->clients, client);
    if (cl == NULL || cl->gone)
        return;
    t->now = now;
    t->out = NULL;
    for (uint32_t i = 0; i < t->store->high; i++) {
        struct tcb *c = &t->tcb[i];
        if (c->used)
            tcp_move_client_gone(t, c, client);
        if (!c->used || c->link.client != client)
            continue;
        close_session(t, c);
        tcb_dirty(t, c);
    }
    cl->gone = true; /* after the closing: slots are settled with this in view */
    clients_hush(t->clients, client, tcb_link_of, t);
    tcp_flush(t);
}

static bool
tcp_client_idle(const struct transport *tr, uint32_t client)
{
    const struct tcp *t = (const struct tcp *)(const void *)tr;
    const struct client *cl = clients_get(t->clients, client);
    return cl == NULL || (cl->gone && cl->n_sessions == 0);
}

static void
tcp_client_remove(struct transport *tr, uint32_t client)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    t->out = NULL;
    /* None is left after an orderly end; after a restart that could not map its arena again,
     * what it had must not pass to the next client of this number. */
    for (uint32_t i = 0; i < t->store->high; i++) {
        struct tcb *c = &t->tcb[i];
        if (c->used)
            tcp_move_client_gone(t, c, client);
        if (!c->used || c->link.client != client)
            continue;
        client_forget(t->clients, &c->link, tcb_link_of, t);
        tcb_disown(t, c);
        c->rst_due = c->h.state >= TCPS_SYN_RCVD && c->h.state != TCPS_TIME_WAIT;
        tcb_die(t, c, ECONNABORTED);
        work_add(t, c);
    }
    clients_remove(t->clients, client);
    tcp_flush(t);
}

static bool
tcp_next_event(struct transport *tr, uint32_t client, struct sess_evt *e)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    uint32_t i = client_next(t->clients, client, tcb_link_of, t);
    if (i == SESS_NONE)
        return false;
    struct tcb *c = &t->tcb[i];
    static const uint8_t order[] = {EVT_ACCEPT, EVT_REVOKED, EVT_READY, EVT_FREED};
    *e = (struct sess_evt){0};
    for (unsigned k = 0; k < ARRAY_LEN(order) && e->kind == 0; k++)
        if (c->link.events & (1u << order[k]))
            e->kind = order[k];
    uint8_t rest = c->link.events & (uint8_t) ~(1u << e->kind);
    c->link.events = 0;
    e->slot = c->link.slot;
    e->cookie = i;
    if (e->kind == EVT_READY)
        e->value = client_fresh(&c->link);
    if (e->kind == EVT_ACCEPT) {
        e->value = c->link.slot;
        e->handle = c->grant.creator;
        e->slot = c->parent != SESS_NONE ? t->tcb[c->parent].link.slot : SESS_NONE;
        e->addr = c->raddr;
        e->port = c->rport;
        if (c->parent != SESS_NONE)
            t->tcb[c->parent].n_untold--;
        child_unlink(t, c);
        c->h.bits |= H_ANNOUNCED;
        tcb_dirty(t, c);
    }
    for (unsigned k = EVT_READY; k <= EVT_REVOKED; k++)
        if (rest & (1u << k))
            client_event(t->clients, &c->link, i, (enum evt_kind)k, tcb_link_of, t);
    tcp_flush(t);
    return e->kind != 0;
}

/* A session that next_event gave out, and the crash came before the client heard of it. Its
 * listener is the one of its client that has its port now; of several, any. */
static bool
tcp_tell_again(struct transport *tr, uint32_t sess)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    struct tcb *c = &t->tcb[sess];
    if (get(c->mv.state) & MOVE_DONE) /* who redeemed it asks again */
        return c->h.state != TCPS_CLOSED || !(c->h.bits & H_CLOSED);
    if (!(c->h.bits & H_ANNOUNCED))
        return c->parent != SESS_NONE; /* it waits for its handshake, or is queued already */
    if (c->h.state == TCPS_CLOSED || (c->h.bits & H_CLOSED))
        return false;
    if (c->parent == SESS_NONE) {
        struct tcb *l = demux_listener_of(t, c);
        if (l == NULL)
            return false;
        child_link(t, l, c);
        l->n_untold++;
        l->n_accept++;
    }
    c->h.bits &= ~H_ANNOUNCED;
    tcb_dirty(t, c);
    client_event(t->clients, &c->link, sess, EVT_ACCEPT, tcb_link_of, t);
    tcp_flush(t);
    return true;
}

static bool
tcp_info(const struct transport *tr, uint32_t from, struct sess_info *s)
{
    const struct tcp *t = (const struct tcp *)(const void *)tr;
    for (uint32_t i = from; i < t->store->high; i++) {
        const struct tcb *c = &t->tcb[i];
        if (!c->used)
            continue;
        uint64_t rx =
            c->h.rcv_nxt == 0 ? 0 : c->h.rcv_nxt - 1 - ((c->h.bits & H_FIN_RCVD) != 0);
        uint64_t acked = c->h.snd_una == 0 ? 0 : min_u64(c->h.snd_una - 1, c->h.tx_tail);
        *s = (struct sess_info){
            .sess = i,
            .client = c->link.client,
            .proto = WIRE_PROTO_TCP,
            .state = c->h.state,
            .lport = c->lport,
            .rport = c->rport,
            .local = c->laddr,
            .remote = c->raddr,
            .rx_bytes = rx,
            .tx_bytes = acked,
            .drops = c->n_drop,
            .retransmits = c->n_rexmt,
            .rx_queued = (uint32_t)(rx - c->h.rx_head),
            .tx_queued = (uint32_t)(c->h.tx_tail - acked),
            .srtt_us = (uint32_t)(c->srtt / NS_US),
            .cwnd = c->cc.cwnd,
            .rto_us = (uint32_t)(c->rto / NS_US),
            .slot = c->link.slot,
        };
        return true;
    }
    return false;
}

static void
tcp_client_limits(struct transport *tr, uint32_t client, const struct sess_limits *limits)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    clients_limits(t->clients, client, limits);
    for (uint32_t i = 0; i < t->store->high; i++) {
        struct tcb *c = &t->tcb[i];
        if (!c->used || c->link.client != client || c->booked == 0)
            continue;
        c->booked = 0; /* who waits asks again: the rate may be another one */
        c->book_at = 0;
        work_add(t, c);
    }
}

static bool
tcp_denial(struct transport *tr, struct account_denial *d)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    if (!clients_denial(t->clients, d))
        return false;
    d->proto = WIRE_PROTO_TCP;
    return true;
}

const struct transport_ops tcp_ops = {
    .client_add = tcp_client_add,
    .client_gone = tcp_client_gone,
    .client_idle = tcp_client_idle,
    .client_remove = tcp_client_remove,
    .open = tcp_open,
    .request = tcp_request,
    .next_event = tcp_next_event,
    .delegate = tcp_delegate,
    .token = tcp_token,
    .redeem = tcp_redeem,
    .take_back = tcp_take_back,
    .slot_release = tcp_slot_release,
    .tell_again = tcp_tell_again,
    .client_limits = tcp_client_limits,
    .denial = tcp_denial,
    .info = tcp_info,
};
