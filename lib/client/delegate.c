/* SPDX-License-Identifier: BSD-2-Clause
 *
 * delegate.c: sockets that pass from one process to another.
 */
#include "private.h"

#include <stdatomic.h>

#define REDEEM_TIME (5 * NS_S) /* the domain goes on with the copying for so long */

static int
do_delegate(struct lib *l, struct sock *s, struct bh_token *token)
{
    struct sess_req r = {.op = REQ_DELEGATE};
    struct sess_evt e;
    struct desc *d = call_via;
    int err = sock_request(l, s, &r, &e);
    if (err != 0)
        return -err;
    d->delegated = true;
    *token = (struct bh_token){.word = {e.addr.q[0], e.addr.q[1], e.value},
                               .type = sock_is_stream(s) ? SOCK_STREAM : SOCK_DGRAM};
    return 0;
}

int
bh_delegate(int fd, struct bh_token *token)
{
    if (token == NULL)
        return (int)ret_errno(-EFAULT);
    WITH_SOCK(int, fd, RIGHT_DELEGATE, do_delegate(l, s, token));
}

/* The domain's word that the session is ours: from this reply on there may be events for it. */
struct sock *
sock_redeemed(struct att *a, const struct sess_evt *e)
{
    struct sock *s = sock_adopt(a, e->slot, e->handle);
    if (s == NULL)
        return NULL;
    uint32_t state = atomic_load_explicit(&slot_theirs(s)->state, memory_order_acquire);
    s->rights = e->peer_v4 & RIGHT_ALL;
    s->broadcast = true;
    s->listening = (state & SLOT_LISTEN) != 0;
    s->connecting = (state & SLOT_CONNECTING) != 0;
    s->connected = sock_is_stream(s) && (state & SLOT_CONNECTED) != 0;
    /* The stream does not begin anew. */
    s->tx_tail = e->value;
    s->tx_head = atomic_load_explicit(&slot_theirs(s)->tx_head, memory_order_acquire);
    if (s->tx_tail - s->tx_head > FIFO_MAX)
        s->tx_head = s->tx_tail;
    s->rx_head = e->addr.q[0];
    atomic_store_explicit(&slot_ours(s)->tx_tail, s->tx_tail, memory_order_release);
    atomic_store_explicit(&slot_ours(s)->rx_head, s->rx_head, memory_order_release);
    return s;
}

/* Has a datagram socket a peer? */
static void
learn_peer(struct lib *l, struct att *a, struct sock *s)
{
    struct sess_req r = {.op = REQ_NAME, .handle = s->handle};
    struct sess_evt e;
    if (sock_is_stream(s) || request(l, a, &r, &e) != 0 || e.peer_v4 == 0)
        return;
    s->connected = true;
    s->peer = ipaddr_v4_u32(e.peer_v4);
    s->peer_port = e.peer_port;
}

static int
redeem(struct lib *l, struct att *a, const struct bh_token *token)
{
    struct sess_req r = {
        .op = REQ_REDEEM, .addr.q = {token->word[0], token->word[1]}, .value = token->word[2]};
    struct sess_evt e;
    ns_t end = lib_now(l) + REDEEM_TIME;
    int err;
    lib_drain(l); /* slots that are free meanwhile are given back first */
    for (;;) {
        err = request(l, a, &r, &e);
        if ((err != EINPROGRESS && err != EAGAIN && err != EBUSY) || lib_now(l) >= end)
            break;
        if (err != EINPROGRESS || !(token->type == SOCK_STREAM)) {
            struct waiter w = {0};
            (void)lib_wait(l, &w, lib_now(l) + SHORT_WAIT, NULL, 0);
        }
    }
    if (err != 0)
        return -(err == EINPROGRESS || err == EBUSY ? EAGAIN : err);
    struct sock *s = e.slot < a->v.g.n_slots ? &a->sock[e.slot] : NULL;
    if (s == NULL || s->life != SOCK_QUEUED || s->handle != e.handle)
        return -EPROTO;
    learn_peer(l, a, s);
    int fd = table_add(l, s);
    if (fd < 0)
        sock_end(l, s);
    return fd;
}

int
bh_redeem(const struct bh_token *token)
{
    if (token == NULL)
        return (int)ret_errno(-EFAULT);
    if (token->type != SOCK_STREAM && token->type != SOCK_DGRAM)
        return (int)ret_errno(-ENOENT);
    struct lib *l = lib_lock();
    struct att *a = att_get(l, token->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
    int r = -errno;
    if (a != NULL) {
        own_of(a)->users++;
        r = redeem(l, a, token);
        own_of(a)->users--;
        att_free_if_unused(a);
    }
    lib_unlock(l);
    return (int)ret_errno(r);
}

/* The session is another process's. One descriptor stays, to take it back by. */
void
sock_given(struct lib *l, struct sock *s, uint64_t handle)
{
    struct desc *keep = NULL;
    if (s->life == SOCK_CLOSING && !s->given) { /* it was closed at the same time */
        s->given = true;
        s->handle = handle;
        sock_freed(s);
    }
    if (s->life != SOCK_OPEN || s->given)
        return;
    for (struct list *p = s->descs.next; p != &s->descs; p = p->next) {
        struct desc *d = list_item(p, struct desc, of);
        d->parent = NULL;
        if (keep == NULL || (d->delegated && !keep->delegated))
            keep = d;
    }
    for (struct list *p = s->descs.next, *next; p != &s->descs; p = next) {
        struct desc *d = list_item(p, struct desc, of);
        next = p->next;
        if (d != keep)
            desc_kill(l, &s->descs, d);
    }
    s->given = true;
    s->handle = handle;
    if (keep != NULL) {
        keep->handle = handle;
        keep->rights = list_empty(&s->accepts) ? 0 : RIGHT_ACCEPT; /* those are still ours */
    }
    if (!s->tx_busy)
        tx_free_all(s);
    lib_wake_sock(l, s);
    pthread_cond_broadcast(&l->idle);
}
