/* SPDX-License-Identifier: BSD-2-Clause
 *
 * slot.c: what the domain says about a session, copied and checked, and how to be told
 * of changes. The domain is trusted with the session, but a cursor that cannot be is not
 * followed into memory.
 */
#include "private.h"

#define get(x) atomic_load_explicit(&(x), memory_order_acquire)

void
sock_look(struct sock *s, struct look *k)
{
    const struct slot_domain *d = slot_theirs(s);
    memset(k, 0, sizeof *k);
    if (s->gone)
        return;
    /* The state first: end of stream means that rx_tail, read later, is final. */
    k->state = get(d->state);
    k->err_seq = get(d->err_seq);
    if (k->err_seq != s->err_seen)
        k->err = (int)(get(d->err) & 0xfff);
    k->sndbuf = min_u32(get(d->sndbuf), FIFO_MAX - FIFO_PAGE);
    uint64_t rx_tail = get(d->rx_tail), tx_head = get(d->tx_head);
    if (rx_tail - s->rx_head <= FIFO_MAX)
        k->rx_avail = rx_tail - s->rx_head;
    s->rx_known = rx_tail;
    if (tx_head - s->tx_head <= s->tx_tail - s->tx_head)
        s->tx_head = tx_head;
    k->rcvlowat = max_u32(get(d->rcvlowat), 1);
    k->urgent = get(d->urgent);
    k->tx_max = k->sndbuf;
    uint64_t sent = max_u64(get(d->tx_sent), s->tx_head);
    uint32_t lowat = get(d->notsent);
    if (lowat != 0 && sent - s->tx_head < k->sndbuf)
        k->tx_max = (uint32_t)min_u64(sent - s->tx_head + lowat, k->sndbuf);
}

int
sock_take_err(struct sock *s, const struct look *k)
{
    if (k->err == 0)
        return 0;
    s->err_seen = k->err_seq;
    sock_owe(s, OWE_CLEAR_ERR); /* or the domain would count it as ready for ever */
    return k->err;
}

bool
sock_arm(struct sock *s, uint32_t mask)
{
    if ((s->arm_mask & mask) == mask || s->gone)
        return false;
    s->arm_mask |= mask;
    s->arm_gen = (s->arm_gen + 1) & (UINT32_MAX >> 2);
    if (s->arm_gen == 0)
        s->arm_gen = 1; /* a new session has "answered" generation 0 */
    atomic_store_explicit(&slot_ours(s)->arm, s->arm_gen << 2 | s->arm_mask,
                          memory_order_relaxed);
    /* Pairs with the domain's fence between changing the slot and reading `arm`. */
    atomic_thread_fence(memory_order_seq_cst);
    return true;
}

/* Writable: the FIFO has room, and there are pages for it. */
static short
space_conditions(struct sock *s, uint32_t state, const struct look *k)
{
    if (!slot_writable(state, 0, k->sndbuf, s->tx_tail, s->tx_head) ||
        s->tx_tail - s->tx_head >= k->tx_max)
        return 0;
    s->starved = !tx_pages_left(s);
    return s->starved ? 0 : POLLOUT | POLLWRNORM;
}

static short
stream_conditions(struct sock *s, const struct look *k)
{
    short r = k->err != 0 ? POLLERR : 0;
    if (k->state & SLOT_DEAD)
        return r | POLLIN | POLLRDNORM | POLLRDHUP | POLLOUT | POLLWRNORM | POLLHUP;
    if (k->err != 0 && (k->state & (SLOT_CONNECTED | SLOT_CONNECTING)))
        r |= POLLIN | POLLOUT;
    bool eof = (k->state & SLOT_EOF) != 0 || s->rx_shut;
    bool shut = (k->state & SLOT_NOSEND) != 0 || s->tx_shut;
    if (k->rx_avail >= k->rcvlowat)
        r |= POLLIN | POLLRDNORM;
    if (k->urgent > s->rx_head && k->urgent - s->rx_head <= k->rx_avail)
        r |= POLLPRI;
    if (eof)
        r |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (eof && shut)
        r |= POLLHUP;
    if (shut)
        return r | POLLOUT | POLLWRNORM;
    if (!(k->state & (SLOT_CONNECTED | SLOT_CONNECTING)))
        return r | POLLOUT | POLLWRNORM | POLLHUP; /* as a new kernel socket */
    return r | space_conditions(s, k->state, k);
}

static short
dgram_conditions(struct sock *s, const struct look *k)
{
    short r = 0;
    if (k->err != 0)
        r |= POLLERR | POLLIN | POLLOUT;
    if (k->rx_avail > 0)
        r |= POLLIN | POLLRDNORM;
    if (s->rx_shut)
        r |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (s->rx_shut && s->tx_shut)
        r |= POLLHUP;
    if (s->tx_shut)
        return r | POLLOUT | POLLWRNORM;
    return r | space_conditions(s, SLOT_CONNECTED, k); /* may always send */
}

short
sock_conditions(struct sock *s)
{
    struct look k;
    s->starved = false;
    if (s->att->down || s->revoked)
        return POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM;
    if (s->given && list_empty(&s->accepts))
        return POLLERR | POLLHUP;
    if (s->listening)
        return list_empty(&s->accepts) ? 0 : POLLIN | POLLRDNORM;
    sock_look(s, &k);
    if (s->gone)
        return POLLIN | POLLOUT | POLLHUP | POLLRDNORM | POLLWRNORM | POLLRDHUP;
    return sock_is_stream(s) ? stream_conditions(s, &k) : dgram_conditions(s, &k);
}
