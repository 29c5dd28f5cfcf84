/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the server of the clients calls (session/ops.h): clients come and go, requests, events.
 */
#include "udp_int.h"

static struct udp *
udp_of(struct transport *t)
{
    return (struct udp *)(void *)t;
}

struct client_link *
udp_link_of(void *ctx, uint32_t sess)
{
    struct udp *u = ctx;
    return &u->soft[sess].link;
}

/* ---- clients ---- */

/* A session from before a restart goes on with its arena. False: the slot is not its any
 * more, the arena is another client's. */
static bool
resume(struct udp *u, uint32_t sess, struct client *c)
{
    struct udp_sess *s = &u->sess[sess];
    struct udp_soft *t = &u->soft[sess];
    if (s->slot >= c->v.g.n_slots)
        return false;
    struct slot_domain *d = &c->v.d_slot[s->slot];
    if (!(atomic_load_explicit(&d->state, memory_order_relaxed) & SLOT_OPEN) ||
        atomic_load_explicit(&d->generation, memory_order_relaxed) != s->generation)
        return false;
    /* posted is no generation: whatever is armed is looked at again. */
    t->link = (struct client_link){
        .client = s->client, .slot = s->slot, .posted = UINT32_MAX, .next = SESS_NONE};
    client_count(&u->clients, c, 1, 0);
    uint64_t rx_tail = atomic_load_explicit(&d->rx_tail, memory_order_relaxed);
    if (rx_tail - s->rx_head > FIFO_MAX)
        s->rx_head = rx_tail;
    if (t->suspect) { /* its queue may be what killed us twice */
        t->suspect = false;
        atomic_store_explicit(
            &d->tx_head,
            atomic_load_explicit(&c->v.c_slot[s->slot].tx_tail, memory_order_relaxed),
            memory_order_release);
        sess_error(u, sess, ENETRESET);
    }
    sess_touch(u, sess);
    if (state_of(s) == US_OPEN && (name_of(s)->bits & UN_REVOKED))
        client_event(&u->clients, &t->link, sess, EVT_REVOKED, udp_link_of, u);
    if (state_of(s) == US_FREED)
        sess_finish(u, sess);
    else
        tx_queue(u, sess);
    return true;
}

static void
tell_net(const struct udp *u, struct half_head *h)
{
    struct ipaddr gateway = u->path->gateway;
    atomic_store_explicit(&h->net_own, ipaddr_to_u32(&u->path->addr), memory_order_relaxed);
    atomic_store_explicit(&h->net_prefix, u->path->prefix, memory_order_relaxed);
    atomic_store_explicit(&h->net_gateway, !ipaddr_is_any(&gateway), memory_order_relaxed);
    atomic_store_explicit(&h->net_mtu, u->path->mtu, memory_order_release);
}

static int
client_add(struct transport *t, uint32_t id, const struct arena_view *v,
           const struct sess_limits *limits)
{
    struct udp *u = udp_of(t);
    sess_move_settle(u, id, v);
    int err = clients_add(&u->clients, id, v, limits);
    if (err)
        return err;
    struct client *c = clients_get(&u->clients, id);
    tell_net(u, c->v.d_head);
    for (uint32_t i = 0; i < u->high; i++)
        if (state_of(&u->sess[i]) != US_FREE && u->sess[i].client == id && !resume(u, i, c))
            sess_release(u, i); /* its link names no client yet: the arena is not touched */
    sess_wake_touched(u);
    return 0;
}

static void
client_gone(struct transport *t, uint32_t id, ns_t now)
{
    struct udp *u = udp_of(t);
    struct client *c = clients_get(&u->clients, id);
    u->now = now;
    if (c != NULL) {
        c->gone = true;
        clients_hush(&u->clients, id, udp_link_of, u);
    }
    for (uint32_t i = 0; i < u->high; i++) {
        struct udp_sess *s = &u->sess[i];
        if (state_of(s) != US_FREE)
            sess_move_client_gone(u, i, id);
        if (s->client != id)
            continue;
        if (state_of(s) == US_OPEN)
            sess_close(u, i);
        else if (state_of(s) == US_FREED || (c == NULL && state_of(s) == US_CLOSING))
            sess_release(u, i);
    }
}

static bool
client_idle(const struct transport *t, uint32_t id)
{
    const struct udp *u = (const struct udp *)(const void *)t;
    return id >= CLIENTS_MAX || !u->clients.c[id].used ||
           (u->clients.c[id].gone && u->clients.c[id].n_sessions == 0);
}

static void
client_remove(struct transport *t, uint32_t id)
{
    struct udp *u = udp_of(t);
    struct client *c = clients_get(&u->clients, id);
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < u->high; i++)
        if (state_of(&u->sess[i]) != US_FREE)
            sess_move_client_gone(u, i, id);
    for (uint32_t i = 0; c->n_sessions != 0 && i < u->high; i++)
        if (state_of(&u->sess[i]) != US_FREE && u->sess[i].client == id)
            sess_release(u, i);
    clients_remove(&u->clients, id);
}

/* ---- sessions ---- */

static int
open_session(struct transport *t, uint32_t client, const struct sess_grant *g, uint32_t *sess,
             uint32_t *slot)
{
    return sess_open(udp_of(t), client, g, sess, slot);
}

static void
tell_local(const struct udp_sess *s, struct sess_evt *reply)
{
    reply->addr = name_of(s)->local;
    reply->port = name_of(s)->lport;
}

static void
tell_names(const struct udp_sess *s, struct sess_evt *reply)
{
    const struct udp_name *n = name_of(s);
    tell_local(s, reply);
    if (n->bits & UN_CONNECTED) {
        reply->peer_v4 = ipaddr_to_u32(&n->remote);
        reply->peer_port = n->rport;
    }
}

static int
serve(struct udp *u, uint32_t sess, const struct sess_req *r, struct sess_evt *reply)
{
    struct udp_sess *s = &u->sess[sess];
    int err = 0;
    if ((name_of(s)->bits & UN_REVOKED) && r->op != REQ_CLOSE && r->op != REQ_REVOKE)
        return ECONNABORTED;
    switch (r->op) {
    case REQ_BIND:
        err = sess_bind(u, sess, &r->addr, r->port);
        tell_local(s, reply);
        return err;
    case REQ_CONNECT:
        err = sess_connect(u, sess, &r->addr, r->port);
        tell_local(s, reply);
        return err;
    case REQ_SHUTDOWN:
        return sess_shutdown(u, sess, r->value);
    case REQ_CLOSE:
        sess_close(u, sess);
        return 0;
    case REQ_REVOKE:
        sess_revoke(u, sess);
        return 0;
    case REQ_SETOPT:
        return option_set(u, sess, r->level, r->name, r->value);
    case REQ_GETOPT:
        return option_get(u, sess, r->level, r->name, &reply->value);
    case REQ_NAME:
        tell_names(s, reply);
        return 0;
    case REQ_SEND:
        tx_queue(u, sess);
        return 0;
    case REQ_CONSUMED:
        rx_refresh(u, sess);
        return 0;
    default: /* LISTEN and what belongs to it */
        return EOPNOTSUPP;
    }
}

static uint32_t
request(struct transport *t, uint32_t sess, const struct sess_req *r, struct sess_evt *reply,
        ns_t now)
{
    struct udp *u = udp_of(t);
    u->now = now;
    u->steps = 0;
    uint32_t state = sess < u->cfg.n_sessions ? state_of(&u->sess[sess]) : US_FREE;
    if (state == US_OPEN && (r->op == REQ_CLOSE || r->op == REQ_REVOKE))
        sess_move_stop(u, sess);
    if (state == US_OPEN && r->op != REQ_RELEASED) {
        reply->err = serve(u, sess, r, reply);
    } else if (state == US_FREED && r->op == REQ_RELEASED) {
        sess_release(u, sess);
        reply->err = 0;
    } else {
        reply->err = EBADF;
        if (r->op != REQ_CLOSE) /* that one may come again: its server died of it, or after */
            stat_inc(u->stats, STAT_req_bad);
    }
    sess_wake_touched(u);
    return u->steps;
}

static bool
next_event(struct transport *t, uint32_t client, struct sess_evt *e)
{
    struct udp *u = udp_of(t);
    uint32_t sess;
    while ((sess = client_next(&u->clients, client, udp_link_of, u)) != SESS_NONE) {
        struct client_link *l = &u->soft[sess].link;
        unsigned told = l->events;
        l->events = 0;
        /* A session that is over has nothing more to say than that. */
        uint8_t kind = told & (1u << EVT_FREED)     ? EVT_FREED
                       : told & (1u << EVT_REVOKED) ? EVT_REVOKED
                       : told & (1u << EVT_READY)   ? EVT_READY
                                                    : 0;
        if (kind == 0)
            continue;
        *e = (struct sess_evt){.kind = kind, .cookie = sess, .slot = l->slot};
        if (kind == EVT_READY)
            e->value = client_fresh(l);
        return true;
    }
    return false;
}

/* Nothing but a request makes a session: its client asks again, for another one. */
static bool
tell_again(struct transport *t, uint32_t sess)
{
    const struct udp_sess *s = &udp_of(t)->sess[sess];
    /* ... but who redeemed a token asks again for the same one. */
    return state_of(s) == US_OPEN &&
           (atomic_load_explicit(&s->mv.state, memory_order_relaxed) & MOVE_DONE) != 0;
}

static void
queued(const struct udp *u, const struct udp_sess *s, struct sess_info *i)
{
    const struct client *c = &u->clients.c[s->client];
    if (!c->used)
        return;
    const struct slot_domain *d = &c->v.d_slot[s->slot];
    uint64_t rx_tail = atomic_load_explicit(&d->rx_tail, memory_order_relaxed);
    uint64_t tx_head = atomic_load_explicit(&d->tx_head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&c->v.c_slot[s->slot].tx_tail, memory_order_relaxed);
    i->rx_queued = (uint32_t)(rx_tail - s->rx_head);
    i->tx_queued = (uint32_t)min_u64(tail - tx_head, FIFO_MAX);
}

static bool
info(const struct transport *t, uint32_t sess, struct sess_info *i)
{
    const struct udp *u = (const struct udp *)(const void *)t;
    while (sess < u->cfg.n_sessions && state_of(&u->sess[sess]) == US_FREE)
        sess++;
    if (sess >= u->cfg.n_sessions)
        return false;
    const struct udp_sess *s = &u->sess[sess];
    const struct udp_name *n = name_of(s);
    *i = (struct sess_info){
        .sess = sess,
        .client = s->client,
        .proto = WIRE_PROTO_UDP,
        .lport = n->lport,
        .rport = n->rport,
        .local = n->local,
        .remote = n->remote,
        .rx_bytes = s->n_rx,
        .tx_bytes = s->n_tx,
        .drops = s->n_drop,
        .slot = s->slot,
    };
    queued(u, s, i);
    return true;
}

/* Who waits for a rate waits in the list of an account that may be another one now. */
static void
client_limits(struct transport *t, uint32_t id, const struct sess_limits *limits)
{
    struct udp *u = udp_of(t);
    tx_release(u);
    clients_limits(&u->clients, id, limits);
}

static bool
denial(struct transport *t, struct account_denial *d)
{
    if (!clients_denial(&udp_of(t)->clients, d))
        return false;
    d->proto = WIRE_PROTO_UDP;
    return true;
}

const struct transport_ops udp_ops = {
    .client_add = client_add,
    .client_gone = client_gone,
    .client_idle = client_idle,
    .client_remove = client_remove,
    .open = open_session,
    .request = request,
    .next_event = next_event,
    .delegate = move_delegate,
    .token = move_token,
    .redeem = move_redeem,
    .take_back = move_take_back,
    .slot_release = move_slot_let_go,
    .tell_again = tell_again,
    .client_limits = client_limits,
    .denial = denial,
    .info = info,
};
