/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The life of a session: open, named, closed, drained, given back. Order matters for a crash
 * at any point: the store record is in use before its slot is SLOT_OPEN, and the slot is not
 * SLOT_OPEN any more before the record is free. So a slot without a session cannot be left.
 */
#include <sys/socket.h>

#include "udp_int.h"

void
sess_touch(struct udp *u, uint32_t sess)
{
    if (u->soft[sess].touched)
        return;
    u->soft[sess].touched = true;
    u->touched[u->n_touched++] = sess;
}

void
sess_wake_touched(struct udp *u)
{
    for (uint32_t i = 0; i < u->n_touched; i++) {
        struct udp_soft *t = &u->soft[u->touched[i]];
        t->touched = false;
        if (state_of(&u->sess[u->touched[i]]) == US_OPEN)
            client_wake(&u->clients, &t->link, u->touched[i], udp_link_of, u);
    }
    u->n_touched = 0;
}

void
sess_error(struct udp *u, uint32_t sess, int err)
{
    struct client *c = client_of(u, sess);
    if (c == NULL)
        return;
    client_set_err(&c->v.d_slot[u->sess[sess].slot], err);
    sess_touch(u, sess);
}

static void
slot_state_add(const struct client *c, uint32_t slot, uint32_t bits)
{
    struct slot_domain *d = &c->v.d_slot[slot];
    atomic_store_explicit(&d->state,
                          atomic_load_explicit(&d->state, memory_order_relaxed) | bits,
                          memory_order_release);
}

int
sess_open(struct udp *u, uint32_t client, const struct sess_grant *g, uint32_t *sess,
          uint32_t *slot)
{
    struct client *c = clients_get(&u->clients, client);
    if (c == NULL || c->gone)
        return EINVAL;
    if (c->n_sessions >= c->limits.sessions)
        return EMFILE;
    if (!client_has_room(&u->clients, c))
        return client_deny(&u->clients, client, RULE_SESSIONS, NULL, 0, u->now, EMFILE);
    if (u->n_free == 0)
        return ENFILE;
    uint32_t at = client_slot_take(c);
    if (at == SESS_NONE)
        return EMFILE;
    uint32_t i = u->free[--u->n_free];
    u->high = max_u32(u->high, i + 1);
    struct udp_sess *s = &u->sess[i];
    struct slot_domain *d = &c->v.d_slot[at];
    uint32_t arm = atomic_load_explicit(&c->v.c_slot[at].arm, memory_order_relaxed);
    memset((void *)s, 0, sizeof *s);
    s->client = client;
    s->grant = *g;
    s->slot = at;
    s->generation = atomic_load_explicit(&d->generation, memory_order_relaxed);
    s->name[0].local = ipaddr_v4_u32(0);
    s->sndbuf = u->cfg.sndbuf;
    s->rcvbuf = u->cfg.rcvbuf;
    s->mtu_disc = 1; /* IP_PMTUDISC_WANT, as Linux */
    s->group_ttl = 1;
    s->group_loop = true;
    u->soft[i] = (struct udp_soft){
        .link = {.client = client, .slot = at, .posted = arm >> 2, .next = SESS_NONE}};
    state_set(s, US_OPEN);
    atomic_store_explicit(&d->sndbuf, s->sndbuf, memory_order_relaxed);
    atomic_store_explicit(&d->rcvbuf, s->rcvbuf, memory_order_relaxed);
    atomic_store_explicit(&d->rx_notify, s->rcvbuf / 2, memory_order_relaxed);
    atomic_store_explicit(&d->state, SLOT_OPEN | SLOT_CONNECTED, memory_order_release);
    client_count(&u->clients, c, 1, 0);
    *sess = i;
    *slot = at;
    return 0;
}

void
sess_release(struct udp *u, uint32_t sess)
{
    struct udp_sess *s = &u->sess[sess];
    struct client *c = client_of(u, sess);
    sess_move_stop(u, sess);
    tx_unqueue(u, sess);
    table_unlink(u, sess);
    if (c != NULL) {
        client_forget(&u->clients, &u->soft[sess].link, udp_link_of, u);
        client_slot_give(c, s->slot);
        client_count(&u->clients, c, -1, 0);
    }
    u->soft[sess].link.client = SESS_NONE;
    state_set(s, US_FREE);
    u->free[u->n_free++] = sess;
}

void
sess_finish(struct udp *u, uint32_t sess)
{
    struct client *c = client_of(u, sess);
    tx_unqueue(u, sess);
    state_set(&u->sess[sess], US_FREED);
    if (c == NULL || c->gone)
        sess_release(u, sess);
    else
        client_event(&u->clients, &u->soft[sess].link, sess, EVT_FREED, udp_link_of, u);
}

void
sess_close(struct udp *u, uint32_t sess)
{
    struct udp_sess *s = &u->sess[sess];
    struct client *c = client_of(u, sess);
    sess_move_stop(u, sess);
    if (c == NULL) {
        table_unlink(u, sess);
        sess_finish(u, sess);
        return;
    }
    const struct slot_domain *d = &c->v.d_slot[s->slot];
    uint64_t head = atomic_load_explicit(&d->tx_head, memory_order_relaxed);
    s->tx_end = name_of(s)->bits & UN_REVOKED ? head : tx_tail(u, sess);
    if (head != s->tx_end)
        (void)sess_autobind(u, sess); /* what was never sent before is from some port, too */
    table_unlink(u, sess);            /* others may have the port at once */
    state_set(s, US_CLOSING);
    slot_state_add(c, s->slot, SLOT_DEAD | SLOT_EOF | SLOT_NOSEND);
    fifo_rx_clear(&c->v, s->slot, &c->pages);
    if (head == s->tx_end)
        sess_finish(u, sess);
    else
        tx_queue(u, sess);
}

/* Nothing but closing is left of it, and its memory goes back at once. */
void
sess_revoke(struct udp *u, uint32_t sess)
{
    struct udp_sess *s = &u->sess[sess];
    struct client *c = client_of(u, sess);
    struct udp_name n = {.local = ipaddr_v4_u32(0), .bits = UN_REVOKED};
    if (c == NULL || (name_of(s)->bits & UN_REVOKED))
        return;
    table_rename(u, sess, &n);
    tx_unqueue(u, sess);
    struct slot_domain *d = &c->v.d_slot[s->slot];
    atomic_store_explicit(&d->tx_head, tx_tail(u, sess), memory_order_release);
    slot_state_add(c, s->slot, SLOT_DEAD | SLOT_EOF | SLOT_NOSEND);
    fifo_rx_clear(&c->v, s->slot, &c->pages);
    sess_error(u, sess, ECONNABORTED);
    client_event(&u->clients, &u->soft[sess].link, sess, EVT_REVOKED, udp_link_of, u);
}

int
sess_autobind(struct udp *u, uint32_t sess)
{
    struct udp_name n = *name_of(&u->sess[sess]);
    if (n.lport != 0)
        return 0;
    n.lport = table_port_pick(u, &u->sess[sess]);
    if (n.lport == 0)
        return EAGAIN;
    table_rename(u, sess, &n);
    return 0;
}

int
sess_bind(struct udp *u, uint32_t sess, const struct ipaddr *addr, uint16_t port)
{
    struct udp_name n = *name_of(&u->sess[sess]);
    const struct account *a = account_of(u, sess);
    if (n.lport != 0)
        return EINVAL;
    if (port != 0 && (a == NULL || !account_port(a->rules.port, a->rules.n_ports, port)))
        return client_deny(&u->clients, u->sess[sess].client, RULE_PORTS, NULL, port, u->now,
                           EACCES);
    n.local = ipaddr_is_any(addr) ? ipaddr_v4_u32(0) : *addr;
    if (!ipaddr_is_any(&n.local)) {
        if (!path_local(u->path, &n.local))
            return EADDRNOTAVAIL;
        n.bits |= UN_ADDR;
    }
    if (port != 0 && !grant_port(&u->sess[sess].grant, port))
        return EACCES;
    n.lport = port ? port : table_port_pick(u, &u->sess[sess]);
    n.bits |= UN_PORT;
    if (n.lport == 0 || !table_port_free(u, sess, &n.local, n.lport))
        return EADDRINUSE;
    table_rename(u, sess, &n);
    return 0;
}

int
sess_may_send(struct udp *u, uint32_t sess, const struct ipaddr *dst, uint16_t port)
{
    const struct account *a = account_of(u, sess);
    if (a != NULL && account_peer(a->rules.peer, a->rules.n_peers, dst, port))
        return 0;
    return client_deny(&u->clients, u->sess[sess].client, RULE_PEERS, dst, port, u->now, EPERM);
}

/* Whom it may send to may answer. */
bool
sess_admits(struct udp *u, uint32_t sess, const struct ipaddr *src, uint16_t port)
{
    const struct account *a = account_of(u, sess);
    if (a != NULL && (account_peer(a->rules.accept, a->rules.n_accept, src, port) ||
                      account_peer(a->rules.peer, a->rules.n_peers, src, port)))
        return true;
    (void)client_deny(&u->clients, u->sess[sess].client, RULE_ACCEPT, src, port, u->now, 0);
    return false;
}

static bool
is_broadcast(const struct udp *u, const struct ipaddr *a)
{
    return net_broadcast(ipaddr_to_u32(&u->path->addr), u->path->prefix, ipaddr_to_u32(a));
}

int
sess_destination(const struct udp *u, const struct udp_sess *s, struct ipaddr *dst,
                 uint16_t port)
{
    const struct ipaddr *local = &name_of(s)->local;
    *dst = path_peer(dst, local);
    if (!ipaddr_is_v4(dst))
        return EAFNOSUPPORT;
    if (port == 0)
        return EINVAL;
    if (is_broadcast(u, dst))
        return !s->broadcast ? EACCES : ipaddr_is_loopback(local) ? EINVAL : 0;
    /* A group has no route of its own: somebody names the interface, or there is one for all.
     */
    bool way = is_group(dst) && (s->group_from_own || !ipaddr_is_any(local));
    if (!way && !path_reachable(u->path, dst))
        return ENETUNREACH;
    /* Loopback's addresses do not leave the host, also not as a source. */
    return ipaddr_is_loopback(local) && !path_local(u->path, dst) ? EINVAL : 0;
}

int
sess_connect(struct udp *u, uint32_t sess, const struct ipaddr *addr, uint16_t port)
{
    struct udp_name n;
    if (ipaddr_is_none(addr)) {
        n = *name_of(&u->sess[sess]);
        n.bits &= ~UN_CONNECTED;
        n.remote = (struct ipaddr){0};
        n.rport = 0;
        if (!(n.bits & UN_ADDR))
            n.local = ipaddr_v4_u32(0);
        if (!(n.bits & UN_PORT))
            n.lport = 0;
        table_rename(u, sess, &n);
        return 0;
    }
    struct ipaddr peer = *addr;
    int err = sess_destination(u, &u->sess[sess], &peer, port);
    if (err == 0)
        err = sess_may_send(u, sess, &peer, port);
    if (err == 0)
        err = sess_autobind(u, sess);
    if (err)
        return err;
    n = *name_of(&u->sess[sess]);
    if (ipaddr_is_any(&n.local))
        n.local = path_source(u->path, &peer);
    n.remote = peer;
    n.rport = port;
    n.bits |= UN_CONNECTED;
    table_rename(u, sess, &n);
    return 0;
}

int
sess_shutdown(struct udp *u, uint32_t sess, uint64_t how)
{
    struct udp_sess *s = &u->sess[sess];
    struct client *c = client_of(u, sess);
    if (how > SHUT_RDWR || c == NULL)
        return EINVAL;
    /* What comes can still be read: shutting that direction is about who waits for it. */
    slot_state_add(c, s->slot,
                   (how != SHUT_WR ? SLOT_EOF : 0) | (how != SHUT_RD ? SLOT_NOSEND : 0));
    sess_touch(u, sess);
    /* Without a peer it takes effect and is an error, as with the kernel's sockets. */
    return name_of(s)->bits & UN_CONNECTED ? 0 : ENOTCONN;
}

bool
sess_check(const struct udp *u, uint32_t sess)
{
    const struct udp_sess *s = &u->sess[sess];
    const struct udp_name *n = name_of(s);
    bool named =
        ipaddr_is_v4(&n->local) &&
        (!(n->bits & UN_CONNECTED) || (n->lport && n->rport && ipaddr_is_v4(&n->remote)));
    return state_of(s) < US_STATES && s->client < CLIENTS_MAX && named &&
           s->sndbuf <= UDP_BUF_MAX && s->rcvbuf <= UDP_BUF_MAX && s->mtu_disc <= 3 &&
           s->priority <= UDP_PRIORITY_MAX;
}
