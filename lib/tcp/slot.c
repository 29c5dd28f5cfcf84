/* SPDX-License-Identifier: BSD-2-Clause
 *
 * slot.c: the words that a session shares with its client: publish ours, believe its cursors
 * only as far as they are possible.
 */
#include "priv.h"

uint64_t
slot_rx_bytes(const struct tcb *c)
{
    return c->h.rcv_nxt == 0 ? 0 : c->h.rcv_nxt - 1 - ((c->h.bits & H_FIN_RCVD) != 0);
}

static uint32_t
slot_state(const struct tcb *c)
{
    uint32_t s = SLOT_OPEN;
    switch ((enum tcp_state)c->h.state) {
    case TCPS_CLOSED:
        s |= c->lport != 0 && !(c->h.bits & H_BOUND && c->h.snd_max == 0) ? SLOT_DEAD : 0;
        break;
    case TCPS_LISTEN:
        s |= SLOT_LISTEN;
        break;
    case TCPS_SYN_SENT:
    case TCPS_SYN_RCVD:
        s |= SLOT_CONNECTING;
        break;
    case TCPS_TIME_WAIT:
    case TCPS_ESTABLISHED:
    case TCPS_FIN_WAIT_1:
    case TCPS_FIN_WAIT_2:
    case TCPS_CLOSE_WAIT:
    case TCPS_CLOSING:
    case TCPS_LAST_ACK:
    case TCPS_STATES:
        s |= SLOT_CONNECTED;
        break;
    }
    if (c->h.bits & (H_FIN_RCVD | H_SHUT_RD))
        s |= SLOT_EOF;
    if (c->h.bits & H_SHUT_WR)
        s |= SLOT_NOSEND;
    if (c->h.bits & H_REVOKED)
        s |= SLOT_DEAD;
    return s;
}

/* SO_RCVLOWAT, but never what the peer may not send for want of window or pages. */
static uint32_t
low_mark(struct tcp *t, const struct tcb *c)
{
    const struct client *cl = tcb_client(t, c);
    if (c->opt.rcvlowat <= 1 || cl->pages.n_free == 0)
        return 1;
    return max_u32(1, min_u32(c->opt.rcvlowat, window_limit(t, c) / 2));
}

void
slot_publish(struct tcp *t, struct tcb *c)
{
    struct slot_domain *d = tcb_slot(t, c);
    if (d == NULL)
        return;
    uint64_t acked = c->h.snd_una == 0 ? 0 : min_u64(c->h.snd_una - 1, c->h.tx_tail);
    if (c->h.state == TCPS_CLOSED)
        acked = c->h.tx_tail; /* nobody will send it any more */
    atomic_store_explicit(&d->rx_tail, slot_rx_bytes(c), memory_order_release);
    atomic_store_explicit(&d->tx_head, acked, memory_order_release);
    if (get(d->moved) != 0 && acked >= get(d->moved_end))
        fifo_moved_clear(&tcb_client(t, c)->v, c->link.slot, &tcb_client(t, c)->pages);
    /* Sent once is sent, also while it is sent again. */
    uint64_t sent = c->h.snd_max == 0 ? 0 : min_u64(c->h.snd_max - 1, c->h.tx_tail);
    set(d->tx_sent, max_u64(sent, acked));
    set(d->notsent, c->opt.notsent_lowat);
    set(d->rcvlowat, low_mark(t, c));
    if (c->rcv_up != 0)
        set(d->urgent, c->rcv_up - 1);
    info_chrono(t, c);
    set(d->sndbuf, c->opt.sndbuf);
    set(d->rcvbuf, c->opt.rcvbuf);
    atomic_store_explicit(&d->state, slot_state(c), memory_order_release);
    client_wake(t->clients, &c->link, tcb_number(t, c), tcb_link_of, t);
}

/* How far the client must read before we want to hear of it: soon if the window is small. */
static uint64_t
notify_at(struct tcp *t, const struct tcb *c)
{
    uint64_t open = c->h.rcv_adv - c->h.rcv_nxt;
    uint32_t quarter = min_u32(window_limit(t, c) / 4, FIFO_WORTH);
    return c->h.rx_head + (open < quarter ? min_u32(2u * c->h.mss, quarter) : quarter);
}

bool
slot_take_cursors(struct tcp *t, struct tcb *c)
{
    struct client *cl = tcb_client(t, c);
    const struct slot_client *s = tcb_cslot(t, c);
    if (s == NULL)
        return true;
    uint64_t tx = atomic_load_explicit(&s->tx_tail, memory_order_acquire);
    uint64_t rx = atomic_load_explicit(&s->rx_head, memory_order_acquire);
    if (tcp_move_holds(t, c))
        return true;
    /* A session that came from another client does not begin at 0, which its client has to take
     * in first. */
    bool came = (get(c->mv.state) & MOVE_DONE) != 0;
    if ((came && tx == 0) || (c->mv.deny & SESS_DENY_SEND))
        tx = c->h.tx_tail;
    if ((came && rx == 0) || (c->mv.deny & SESS_DENY_RECEIVE))
        rx = c->h.rx_head;
    if (!(c->h.bits & H_SHUT_WR) && tx != c->h.tx_tail) {
        uint64_t head = c->h.snd_una == 0 ? 0 : c->h.snd_una - 1;
        if (tx < c->h.tx_tail || tx - head > FIFO_MAX)
            return false;
        c->h.tx_tail = tx;
        tcb_dirty(t, c);
    }
    if (rx != c->h.rx_head) {
        uint64_t readable = slot_rx_bytes(c);
        if (rx < c->h.rx_head || rx > readable)
            return false;
        /* Emptied: the page that is begun goes back as well, so that an idle session holds
         * nothing. */
        bool empty = rx == readable && c->ooo.n == 0;
        fifo_rx_free(&cl->v, c->link.slot, &cl->pages, c->h.rx_head,
                     empty ? ALIGN_UP(rx, (uint64_t)FIFO_PAGE) : rx);
        c->h.rx_head = rx;
        autotune_receive(t, c);
        tcb_dirty(t, c);
    }
    atomic_store_explicit(&tcb_slot(t, c)->rx_notify, notify_at(t, c), memory_order_relaxed);
    return true;
}

bool
slot_attach(struct tcp *t, struct tcb *c, struct client *cl)
{
    uint32_t slot = client_slot_take(cl);
    if (slot == SESS_NONE)
        return false;
    c->link.slot = slot;
    set(cl->v.d_slot[slot].state, SLOT_OPEN);
    tcb_dirty(t, c);
    return true;
}
