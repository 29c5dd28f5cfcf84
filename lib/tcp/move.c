/* SPDX-License-Identifier: BSD-2-Clause
 *
 * move.c: a session passes to another client (session/move.h). While its bytes are copied it is
 * held: its client's cursors and its peer's segments count for nothing, so what is copied stays
 * as it is.
 */
#include "priv.h"
#include "session/pace.h"

#define PENDING_MAX ARRAY_LEN(((struct client *)0)->pending)

static bool
may_go(const struct tcb *c)
{
    return c->used && !(c->h.bits & (H_CLOSED | H_REVOKED)) && c->link.slot != SESS_NONE;
}

/* A place to note that the client has a token for session sess; NULL: it has enough of them. */
static uint32_t *
pending_place(struct tcp *t, struct client *cl, uint32_t client, uint32_t sess)
{
    uint32_t *place = NULL;
    for (unsigned i = 0; i < PENDING_MAX; i++) {
        uint32_t *p = &cl->pending[i];
        const struct tcb *c = *p != 0 && *p - 1 < t->cfg.n_sessions ? &t->tcb[*p - 1] : NULL;
        if (*p == sess + 1 || c == NULL || !c->used || c->link.client != client ||
            c->mv.until <= t->now)
            place = p;
    }
    return place;
}

int
tcp_delegate(struct transport *tr, uint32_t sess, uint64_t handle, ns_t now, uint64_t token[2])
{
    struct tcp *t = (struct tcp *)(void *)tr;
    struct tcb *c = &t->tcb[sess];
    struct client *cl = tcb_client(t, c);
    t->now = now;
    if (cl == NULL || !may_go(c))
        return ECONNABORTED;
    if (get(c->mv.state) >> MOVE_GIVERS >= SESS_GIVERS)
        return ELOOP;
    uint32_t *place = pending_place(t, cl, c->link.client, sess);
    if (place == NULL)
        return ENOBUFS;
    *place = sess + 1;
    tcp_move_stop(t, c);
    move_token_new(&c->mv, t->cfg.key, (uint64_t)t->n_tokens++ << 32 | sess, handle, now);
    token[0] = c->mv.token[0];
    token[1] = c->mv.token[1];
    return 0;
}

int
tcp_token(struct transport *tr, uint32_t sess, const uint64_t token[2], uint32_t client,
          ns_t now, struct sess_redeem *out)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    if (sess >= t->store->high)
        return ENOENT;
    struct tcb *c = &t->tcb[sess];
    if (!may_go(c) || !move_token_ok(&c->mv, token, now))
        return ENOENT;
    const struct slot_domain *d = tcb_slot(t, c);
    *out = (struct sess_redeem){.client = c->link.client,
                                .handle = c->mv.handle,
                                .slot = c->link.slot,
                                .tx_tail = c->h.tx_tail,
                                .rx_head = c->h.rx_head,
                                .deny = c->mv.deny,
                                .again = (get(c->mv.state) & MOVE_DONE) != 0};
    if (d == NULL)
        return EAGAIN;
    if (out->again)
        return c->link.client == client && get(d->told) == 0 ? 0 : ENOENT;
    return c->link.client == client ? EINVAL : 0;
}

void
tcp_move_stop(struct tcp *t, struct tcb *c)
{
    if (c->mv.copying)
        move_undo(&c->mv, clients_get(t->clients, c->mv.to_client));
}

bool
tcp_move_holds(struct tcp *t, struct tcb *c)
{
    if (c->mv.copying && t->now >= c->mv.patience)
        tcp_move_stop(t, c);
    return c->mv.copying;
}

/* The counts of sessions and runs follow it to its new client. */
static void
recount(struct tcp *t, struct tcb *c, uint32_t client, uint32_t slot)
{
    struct client *from = tcb_client(t, c), *to = clients_get(t->clients, client);
    uint32_t n = c->ooo.n + (c->sent.n > RUNS_SURE ? c->sent.n - RUNS_SURE : 0);
    bool half_open = c->h.state == TCPS_SYN_RCVD;
    client_forget(t->clients, &c->link, tcb_link_of, t);
    *runs_used(t, c) -= n;
    client_count(t->clients, from, -1, half_open ? -1 : 0);
    c->link.slot = slot;
    move_in_order();
    c->link.client = client;
    c->link.posted = 0;
    c->grant.creator = 0; /* a name in the other's table */
    *runs_used(t, c) += n;
    client_count(t->clients, to, 1, half_open ? 1 : 0);
}

/* Everything that is stream in it: 0, EINPROGRESS, EMFILE, ENOBUFS. */
static int
copy(struct tcp *t, struct tcb *c, struct move_way *w, uint32_t client)
{
    struct sess_move *m = &c->mv;
    uint64_t acked = c->h.snd_una == 0 ? 0 : min_u64(c->h.snd_una - 1, c->h.tx_tail);
    if (c->h.state == TCPS_CLOSED)
        acked = c->h.tx_tail;
    if (!m->copying) {
        reasm_forget(t, c); /* RFC 2018 section 8: what is not in order may be forgotten */
        int err = move_begin(m, w, client, c->h.rx_head, acked, t->now);
        if (err != 0)
            return err;
    }
    m->patience = t->now + MOVE_PATIENCE;
    return move_copy(m, w, slot_rx_bytes(c), c->h.tx_tail);
}

/* May the client have another session, a half-open one if this is? */
static bool
has_room(struct tcp *t, const struct client *cl, const struct tcb *c)
{
    const struct account *a = client_account(t->clients, cl);
    return cl->n_sessions < cl->limits.sessions && client_has_room(t->clients, cl) &&
           (c->h.state != TCPS_SYN_RCVD || a->n_half_open < a->rules.half_open);
}

/* Bytes that nobody has read which come along with a listener: it is done in one step. */
#define CHILDREN_BYTES (4u << 20)
#define STEPS_OF_CHILD (PACE_DEAR / PACE_STEP) /* each is a session that is made, or ends */

/* A connection that nobody was told of goes with its listener, if the taker may have it. The
 * old slot first: if the process ends in between, the connection is reset, and no slot is lost.
 */
static void
take_child(struct tcp *t, struct tcb *l, struct tcb *c, uint64_t *left)
{
    uint64_t bytes = slot_rx_bytes(c) - c->h.rx_head;
    struct move_way w = {
        .from = tcb_client(t, c), .to = tcb_client(t, l), .from_slot = c->link.slot};
    int err = has_room(t, w.to, c) ? 0 : EMFILE;
    if (err == 0 && c->link.slot == SESS_NONE) {
        recount(t, c, l->link.client, SESS_NONE);
        return;
    }
    if (err == 0 && bytes > *left)
        err = ENOBUFS;
    *left -= min_u64(bytes, *left);
    if (err == 0)
        do
            err = copy(t, c, &w, l->link.client);
        while (err == EINPROGRESS);
    t->steps += w.copied / PACE_STEP_BYTES;
    if (err != 0) {
        abort_session(t, c, ECONNABORTED);
        return;
    }
    c->mv.copying = false;
    client_slot_give(w.from, w.from_slot);
    move_in_order();
    recount(t, c, l->link.client, c->mv.to_slot);
    set(w.to->v.d_slot[c->mv.to_slot].state, SLOT_OPEN);
    tcb_dirty(t, c);
    client_event(t->clients, &c->link, tcb_number(t, c), EVT_ACCEPT, tcb_link_of, t);
}

static void
take_children(struct tcp *t, struct tcb *l)
{
    if (l->h.state != TCPS_LISTEN || l->n_syn + l->n_accept == 0)
        return;
    uint64_t left = CHILDREN_BYTES;
    for (uint32_t i = l->child, next; i != SESS_NONE; i = next) {
        next = t->tcb[i].sib_next; /* one that cannot come ends */
        t->steps += STEPS_OF_CHILD;
        take_child(t, l, &t->tcb[i], &left);
    }
}

int
tcp_redeem(struct transport *tr, uint32_t sess, uint32_t client, uint64_t root, uint32_t deny,
           ns_t now, struct sess_redeem *out)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    struct tcb *c = &t->tcb[sess];
    struct sess_move *m = &c->mv;
    t->now = now;
    t->out = NULL;
    t->steps = 0;
    struct move_way w = {.from = tcb_client(t, c),
                         .to = clients_get(t->clients, client),
                         .from_slot = c->link.slot};
    if (w.from == NULL || w.to == NULL || w.to->gone)
        return EAGAIN;
    if (tcp_move_holds(t, c) && m->to_client != client)
        return EBUSY;
    if (!m->copying && !has_room(t, w.to, c))
        return EMFILE;
    set(t->store->working, sess);
    bool lies = !m->copying && !slot_take_cursors(t, c);
    if (lies)
        abort_session(t, c, EPROTO);
    int err = lies ? ENOENT : copy(t, c, &w, client);
    if (err == 0) {
        uint32_t n = get(m->state) >> MOVE_GIVERS, from = c->link.client;
        m->giver[n] = (struct sess_giver){.handle = root, .client = from, .slot = w.from_slot};
        m->deny |= deny;
        m->copying = false;
        move_in_order();
        set(m->state, (n + 1) << MOVE_GIVERS | MOVE_DONE | MOVE_GIVER_DUE | MOVE_TAKER_DUE);
        move_in_order();
        recount(t, c, client, m->to_slot);
        move_slot_given(w.from, w.from_slot, sess, root);
        set(w.to->v.d_slot[m->to_slot].state, SLOT_OPEN);
        move_in_order();
        set(m->state, (n + 1) << MOVE_GIVERS | MOVE_DONE);
        take_children(t, c);
        tcb_dirty(t, c);
        if (c->h.state >= TCPS_ESTABLISHED && c->h.state != TCPS_TIME_WAIT) {
            c->ack_now = true; /* the peer sent what was dropped meanwhile */
            work_add(t, c);
        }
        *out = (struct sess_redeem){.client = from,
                                    .giver_slot = w.from_slot,
                                    .slot = m->to_slot,
                                    .tx_tail = c->h.tx_tail,
                                    .rx_head = c->h.rx_head,
                                    .deny = m->deny};
    }
    out->steps = t->steps + w.copied / PACE_STEP_BYTES;
    tcp_flush(t);
    set(t->store->working, SESS_NONE);
    return err;
}

int
tcp_take_back(struct transport *tr, uint32_t sess, uint32_t client, uint64_t handle, ns_t now)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    struct sess_req r = {.op = REQ_REVOKE};
    struct sess_evt none = {0};
    if (sess >= t->store->high || !t->tcb[sess].used)
        return 0; /* it is over already */
    const struct sess_move *m = &t->tcb[sess].mv;
    for (uint32_t i = 0; i < get(m->state) >> MOVE_GIVERS && i < SESS_GIVERS; i++)
        if (m->giver[i].client == client && m->giver[i].handle == handle) {
            (void)tcp_request(tr, sess, &r, &none, now);
            break;
        }
    return 0;
}

void
tcp_slot_release(struct transport *tr, uint32_t client, uint32_t slot)
{
    struct tcp *t = (struct tcp *)(void *)tr;
    struct client *cl = clients_get(t->clients, client);
    if (cl != NULL)
        move_slot_release(cl, slot);
}

/* ---- clients that come back after a crash, or die ---- */

void
tcp_move_resume(struct tcp *t, struct tcb *c)
{
    (void)t;
    c->mv.copying = false;
    if (!(get(c->mv.state) & MOVE_TAKER_DUE))
        return;
    c->link.slot = c->mv.to_slot;
    move_in_order();
    c->link.client = c->mv.to_client;
    c->grant.creator = 0;
}

/* What a move still owes to this arena, before it is looked at. */
void
tcp_move_settle(struct tcp *t, uint32_t client, const struct arena_view *v)
{
    for (uint32_t i = 0; i < t->store->high; i++) {
        struct tcb *c = &t->tcb[i];
        uint32_t state = get(c->mv.state), n = state >> MOVE_GIVERS;
        if (!c->used || !(state & (MOVE_GIVER_DUE | MOVE_TAKER_DUE)) || n == 0 ||
            n > SESS_GIVERS)
            continue;
        const struct sess_giver *g = &c->mv.giver[n - 1];
        if ((state & MOVE_TAKER_DUE) && c->link.client == client &&
            c->link.slot < v->g.n_slots) {
            set(v->d_slot[c->link.slot].state, SLOT_OPEN);
            state &= ~MOVE_TAKER_DUE;
        }
        if ((state & MOVE_GIVER_DUE) && g->client == client && g->slot < v->g.n_slots) {
            move_slot_settle(v, g->slot, i, g->handle);
            state &= ~MOVE_GIVER_DUE;
        }
        move_in_order();
        set(c->mv.state, state);
    }
}

void
tcp_move_client_gone(struct tcp *t, struct tcb *c, uint32_t client)
{
    if (c->mv.copying && c->mv.to_client == client)
        tcp_move_stop(t, c);
    uint32_t state = get(c->mv.state), n = min_u32(state >> MOVE_GIVERS, SESS_GIVERS);
    for (uint32_t i = 0; i < n; i++)
        if (c->mv.giver[i].client == client) {
            c->mv.giver[i].client = SESS_NONE; /* the number will be another's */
            if (i == n - 1)
                set(c->mv.state, state & ~MOVE_GIVER_DUE);
        }
}
