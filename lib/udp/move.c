/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A session passes to another client (session/move.h). Datagrams that wait to be read go along,
 * those that wait to be sent are sent first; what comes in while it is copied is dropped.
 */
#include "session/pace.h"
#include "udp_int.h"

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define set(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)
#define PENDING_MAX ARRAY_LEN(((struct client *)0)->pending)

static struct udp *
udp_of(struct transport *t)
{
    return (struct udp *)(void *)t;
}

static bool
may_go(const struct udp_sess *s)
{
    return state_of(s) == US_OPEN && !(name_of(s)->bits & UN_REVOKED);
}

static uint32_t *
pending_place(struct udp *u, struct client *c, uint32_t sess)
{
    uint32_t *place = NULL;
    for (unsigned i = 0; i < PENDING_MAX; i++) {
        uint32_t *p = &c->pending[i];
        const struct udp_sess *s =
            *p != 0 && *p - 1 < u->cfg.n_sessions ? &u->sess[*p - 1] : NULL;
        if (*p == sess + 1 || s == NULL || !may_go(s) || client_of(u, *p - 1) != c ||
            s->mv.until <= u->now)
            place = p;
    }
    return place;
}

int
move_delegate(struct transport *tr, uint32_t sess, uint64_t handle, ns_t now, uint64_t token[2])
{
    struct udp *u = udp_of(tr);
    struct udp_sess *s = &u->sess[sess];
    struct client *c = client_of(u, sess);
    u->now = now;
    if (c == NULL || !may_go(s))
        return ECONNABORTED;
    if (get(s->mv.state) >> MOVE_GIVERS >= SESS_GIVERS)
        return ELOOP;
    uint32_t *place = pending_place(u, c, sess);
    if (place == NULL)
        return ENOBUFS;
    *place = sess + 1;
    sess_move_stop(u, sess);
    move_token_new(&s->mv, u->cfg.key, u->n_drawn++ << 32 | sess, handle, now);
    token[0] = s->mv.token[0];
    token[1] = s->mv.token[1];
    return 0;
}

int
move_token(struct transport *tr, uint32_t sess, const uint64_t token[2], uint32_t client,
           ns_t now, struct sess_redeem *out)
{
    struct udp *u = udp_of(tr);
    if (sess >= u->cfg.n_sessions)
        return ENOENT;
    struct udp_sess *s = &u->sess[sess];
    struct client *c = client_of(u, sess);
    if (!may_go(s) || !move_token_ok(&s->mv, token, now))
        return ENOENT;
    if (c == NULL)
        return EAGAIN;
    *out = (struct sess_redeem){.client = s->client,
                                .handle = s->mv.handle,
                                .slot = s->slot,
                                .tx_tail = get(c->v.d_slot[s->slot].tx_head),
                                .rx_head = s->rx_head,
                                .deny = s->mv.deny,
                                .again = (get(s->mv.state) & MOVE_DONE) != 0};
    if (out->again)
        return s->client == client && get(c->v.d_slot[s->slot].told) == 0 ? 0 : ENOENT;
    return s->client == client ? EINVAL : 0;
}

void
sess_move_stop(struct udp *u, uint32_t sess)
{
    struct sess_move *m = &u->sess[sess].mv;
    if (m->copying)
        move_undo(m, clients_get(&u->clients, m->to_client));
}

bool
sess_move_holds(struct udp *u, uint32_t sess)
{
    if (u->sess[sess].mv.copying && u->now >= u->sess[sess].mv.patience)
        sess_move_stop(u, sess);
    return u->sess[sess].mv.copying;
}

static int
copy(struct udp *u, uint32_t sess, struct move_way *w, uint32_t client)
{
    struct udp_sess *s = &u->sess[sess];
    const struct slot_domain *d = &w->from->v.d_slot[s->slot];
    uint64_t tx = get(d->tx_head);
    if (tx_tail(u, sess) != tx) { /* it is on its way */
        tx_queue(u, sess);
        return EINPROGRESS;
    }
    if (!s->mv.copying) {
        rx_refresh(u, sess);
        rx_reopen(u, sess); /* its reader changes: nobody may be left to tell us */
        int err = move_begin(&s->mv, w, client, s->rx_head, tx, u->now);
        if (err != 0)
            return err;
    }
    s->mv.patience = u->now + MOVE_PATIENCE;
    return move_copy(&s->mv, w, get(d->rx_tail), tx);
}

static void
slot_fill(struct udp *u, uint32_t sess, const struct slot_domain *from, struct slot_domain *to)
{
    const struct udp_sess *s = &u->sess[sess];
    set(to->rx_tail, get(from->rx_tail));
    set(to->tx_head, get(from->tx_head));
    set(to->rx_notify, s->rx_head + s->rcvbuf / 2);
    set(to->sndbuf, s->sndbuf);
    set(to->rcvbuf, s->rcvbuf);
}

int
move_redeem(struct transport *tr, uint32_t sess, uint32_t client, uint64_t root, uint32_t deny,
            ns_t now, struct sess_redeem *out)
{
    struct udp *u = udp_of(tr);
    struct udp_sess *s = &u->sess[sess];
    struct sess_move *m = &s->mv;
    struct client_link *l = &u->soft[sess].link;
    u->now = now;
    struct move_way w = {.from = client_of(u, sess),
                         .to = clients_get(&u->clients, client),
                         .from_slot = s->slot};
    if (w.from == NULL || w.to == NULL || w.to->gone)
        return EAGAIN;
    if (sess_move_holds(u, sess) && m->to_client != client)
        return EBUSY;
    if (!m->copying &&
        (w.to->n_sessions >= w.to->limits.sessions || !client_has_room(&u->clients, w.to)))
        return EMFILE;
    int err = copy(u, sess, &w, client);
    out->steps = w.copied / PACE_STEP_BYTES;
    if (err != 0)
        return err;
    uint32_t n = get(m->state) >> MOVE_GIVERS, from = s->client;
    struct slot_domain *d = &w.to->v.d_slot[m->to_slot];
    const struct slot_domain *old = &w.from->v.d_slot[s->slot];
    uint32_t bits = get(old->state) & (SLOT_CONNECTED | SLOT_EOF | SLOT_NOSEND);
    slot_fill(u, sess, old, d);
    m->giver[n] = (struct sess_giver){.handle = root, .client = from, .slot = s->slot};
    m->deny |= deny;
    m->copying = false;
    move_in_order();
    set(m->state, (n + 1) << MOVE_GIVERS | MOVE_DONE | MOVE_GIVER_DUE | MOVE_TAKER_DUE);
    move_in_order();
    tx_unqueue(u, sess);
    client_forget(&u->clients, l, udp_link_of, u);
    sess_move_resume(u, sess);
    s->generation = get(d->generation);
    *l = (struct client_link){
        .client = client, .slot = s->slot, .posted = UINT32_MAX, .next = SESS_NONE};
    client_count(&u->clients, w.from, -1, 0);
    client_count(&u->clients, w.to, 1, 0);
    move_slot_given(w.from, w.from_slot, sess, root);
    set(d->state, SLOT_OPEN | bits);
    move_in_order();
    set(m->state, (n + 1) << MOVE_GIVERS | MOVE_DONE);
    *out = (struct sess_redeem){.client = from,
                                .giver_slot = w.from_slot,
                                .slot = s->slot,
                                .tx_tail = get(d->tx_head),
                                .rx_head = s->rx_head,
                                .deny = m->deny,
                                .steps = w.copied / PACE_STEP_BYTES};
    sess_touch(u, sess);
    sess_wake_touched(u);
    return 0;
}

int
move_take_back(struct transport *tr, uint32_t sess, uint32_t client, uint64_t handle, ns_t now)
{
    struct udp *u = udp_of(tr);
    if (sess >= u->cfg.n_sessions || state_of(&u->sess[sess]) != US_OPEN)
        return 0; /* it is over already */
    const struct sess_move *m = &u->sess[sess].mv;
    u->now = now;
    for (uint32_t i = 0; i < get(m->state) >> MOVE_GIVERS && i < SESS_GIVERS; i++)
        if (m->giver[i].client == client && m->giver[i].handle == handle) {
            sess_move_stop(u, sess);
            sess_revoke(u, sess);
            break;
        }
    sess_wake_touched(u);
    return 0;
}

void
move_slot_let_go(struct transport *tr, uint32_t client, uint32_t slot)
{
    struct client *c = clients_get(&udp_of(tr)->clients, client);
    if (c != NULL)
        move_slot_release(c, slot);
}

/* ---- after a crash, and when a client dies ---- */

void
sess_move_resume(struct udp *u, uint32_t sess)
{
    struct udp_sess *s = &u->sess[sess];
    s->mv.copying = false;
    if (!(get(s->mv.state) & MOVE_TAKER_DUE))
        return;
    s->slot = s->mv.to_slot;
    s->client = s->mv.to_client;
    s->grant.creator = 0;
}

void
sess_move_settle(struct udp *u, uint32_t client, const struct arena_view *v)
{
    for (uint32_t i = 0; i < u->high; i++) {
        struct udp_sess *s = &u->sess[i];
        uint32_t state = get(s->mv.state), n = state >> MOVE_GIVERS;
        if (state_of(s) == US_FREE || !(state & (MOVE_GIVER_DUE | MOVE_TAKER_DUE)) || n == 0 ||
            n > SESS_GIVERS)
            continue;
        const struct sess_giver *g = &s->mv.giver[n - 1];
        if ((state & MOVE_TAKER_DUE) && s->client == client && s->slot < v->g.n_slots) {
            s->generation = get(v->d_slot[s->slot].generation);
            set(v->d_slot[s->slot].state, SLOT_OPEN | SLOT_CONNECTED);
            state &= ~MOVE_TAKER_DUE;
        }
        if ((state & MOVE_GIVER_DUE) && g->client == client && g->slot < v->g.n_slots) {
            move_slot_settle(v, g->slot, i, g->handle);
            state &= ~MOVE_GIVER_DUE;
        }
        move_in_order();
        set(s->mv.state, state);
    }
}

void
sess_move_client_gone(struct udp *u, uint32_t sess, uint32_t client)
{
    struct sess_move *m = &u->sess[sess].mv;
    if (m->copying && m->to_client == client)
        sess_move_stop(u, sess);
    uint32_t state = get(m->state), n = min_u32(state >> MOVE_GIVERS, SESS_GIVERS);
    for (uint32_t i = 0; i < n; i++)
        if (m->giver[i].client == client) {
            m->giver[i].client = SESS_NONE; /* the number will be another's */
            if (i == n - 1)
                set(m->state, state & ~MOVE_GIVER_DUE);
        }
}
