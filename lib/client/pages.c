/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pages.c: the pages of the transmit FIFOs, which are ours to give out, and copying into
 * them and out of the receive FIFOs.
 *
 * A page belongs to one socket from the time it is named in its directory until the domain
 * says that everything in it is acknowledged. A socket may hold as many pages as are still
 * free, but two always: so a few stuck connections cannot take all of them from the rest.
 */
#include "private.h"

#include <limits.h>

#define RECLAIM_SOCKS 32u
#define CORK_WORTH 4096u /* corked bytes that the domain is told of at once */

static uint64_t
page_down(uint64_t at)
{
    return at & ~(uint64_t)(FIFO_PAGE - 1);
}

static void
free_below(struct sock *s, uint64_t end)
{
    struct att *a = s->att;
    if (s->tx_lo < end) {
        dir_drop(&slot_ours(s)->tx_dir, a->v.tx_page, &a->pages, s->tx_lo / FIFO_PAGE,
                 (end - s->tx_lo) / FIFO_PAGE);
        s->tx_lo = end;
    }
    if (s->tx_lo == s->tx_hi)
        list_remove(&s->holder);
}

void
tx_free(struct sock *s)
{
    /* While nothing is unacknowledged even the page that tail points into can go: what
     * was written to it is done with, and the next write takes another for the rest. */
    bool idle = s->tx_head == s->tx_tail && s->tx_reserved == 0 && !s->tx_busy;
    if (s->tx_lo == s->tx_hi)
        return;
    free_below(s, idle ? s->tx_hi : page_down(s->tx_head));
    if (idle)
        s->tx_lo = s->tx_hi = page_down(s->tx_tail);
}

void
tx_free_all(struct sock *s)
{
    free_below(s, s->tx_hi);
    s->tx_lo = s->tx_hi = 0;
}

/* Look for acknowledged pages in other sockets: a few at a time, each in its turn. */
static void
reclaim(struct att *a)
{
    for (unsigned i = 0; i < RECLAIM_SOCKS && !list_empty(&a->holders); i++) {
        struct sock *s = list_item(a->holders.next, struct sock, holder);
        struct look k;
        list_remove(&s->holder);
        list_append(&a->holders, &s->holder);
        sock_look(s, &k);
        tx_free(s);
    }
}

static bool
may_take_page(const struct sock *s)
{
    uint64_t held = (s->tx_hi - s->tx_lo) / FIFO_PAGE;
    uint32_t n_free = s->att->pages.n_free;
    /* Who holds more than FIFO_DIR may need a map as well: there is one then. */
    _Static_assert(FIFO_DIR >= PAGES_FOR_ONE, "");
    return n_free > 0 && held < FIFO_SPAN && held < max_u32(2, n_free);
}

bool
tx_pages_left(struct sock *s)
{
    tx_free(s);
    if (s->tx_tail >= s->tx_hi && !may_take_page(s))
        reclaim(s->att);
    return s->tx_tail < s->tx_hi || may_take_page(s);
}

static void
take_pages(struct sock *s, uint64_t end)
{
    struct att *a = s->att;
    if (s->tx_lo == s->tx_hi)
        s->tx_lo = s->tx_hi = page_down(s->tx_tail);
    while (s->tx_hi < end && may_take_page(s) &&
           dir_add(&slot_ours(s)->tx_dir, a->v.tx_page, &a->pages, s->tx_hi)) {
        s->tx_hi += FIFO_PAGE;
        if (list_empty(&s->holder))
            list_append(&a->holders, &s->holder);
    }
}

/* How many of `want` bytes can be written at tx_tail now: pages for them are there.
 * Fewer than the FIFO would take means s->starved. */
uint32_t
tx_room(struct sock *s, const struct look *k, size_t want)
{
    uint64_t used = s->tx_tail - s->tx_head;
    s->starved = false;
    tx_free(s);
    if (used >= k->tx_max)
        return 0;
    uint64_t n = min_u64(k->tx_max - used, want), end = s->tx_tail + n;
    take_pages(s, end);
    if (s->tx_hi < end) {
        reclaim(s->att);
        take_pages(s, end);
    }
    if (s->tx_hi >= end)
        return (uint32_t)n;
    s->starved = true;
    return s->tx_hi > s->tx_tail ? (uint32_t)(s->tx_hi - s->tx_tail) : 0;
}

uint8_t *
tx_piece(struct sock *s, uint64_t at, size_t *n)
{
    const struct arena_view *v = &s->att->v;
    uint32_t page = fifo_find(&slot_ours(s)->tx_dir, v->tx_page, v->g.n_tx_pages, at);
    uint32_t off = (uint32_t)(at % FIFO_PAGE);
    *n = FIFO_PAGE - off;
    return page < v->g.n_tx_pages ? v->tx_page + (size_t)page * FIFO_PAGE + off : NULL;
}

const uint8_t *
rx_piece(struct sock *s, uint64_t at, size_t *n)
{
    const struct arena_view *v = &s->att->v;
    uint32_t page = fifo_find(&slot_theirs(s)->rx_dir, v->rx_page, v->g.n_rx_pages, at);
    uint32_t off = (uint32_t)(at % FIFO_PAGE);
    *n = FIFO_PAGE - off;
    return page < v->g.n_rx_pages ? v->rx_page + (size_t)page * FIFO_PAGE + off : NULL;
}

/* ---- copying ---- */

int
cursor_init(struct cursor *k, const struct iovec *v, size_t n)
{
    *k = (struct cursor){.v = v, .n = n};
    if (n > IOV_MAX)
        return EMSGSIZE;
    for (size_t i = 0; i < n; i++) {
        if (v[i].iov_len > (size_t)SSIZE_MAX - k->left)
            return EINVAL;
        k->left += v[i].iov_len;
    }
    return 0;
}

/* The next run of bytes under the cursor, at most *n; moves past it. */
static uint8_t *
cursor_run(struct cursor *k, size_t *n)
{
    while (k->n > 0 && k->off == k->v->iov_len) {
        k->v++;
        k->n--;
        k->off = 0;
    }
    size_t left = k->n > 0 ? k->v->iov_len - k->off : 0;
    *n = left < *n ? left : *n;
    uint8_t *p = *n > 0 ? (uint8_t *)k->v->iov_base + k->off : NULL;
    k->off += *n;
    k->left -= *n;
    return p;
}

void
tx_write_bytes(struct sock *s, uint64_t at, const void *from, size_t n)
{
    const uint8_t *p = from;
    while (n > 0) {
        size_t m;
        uint8_t *to = tx_piece(s, at, &m);
        m = m < n ? m : n;
        if (to != NULL)
            memcpy(to, p, m);
        at += m;
        p += m;
        n -= m;
    }
}

void
tx_write(struct sock *s, uint64_t at, struct cursor *from, size_t n)
{
    while (n > 0) {
        size_t m = n;
        const uint8_t *p = cursor_run(from, &m);
        if (m == 0)
            return;
        tx_write_bytes(s, at, p, m);
        at += m;
        n -= m;
    }
}

bool
rx_read_bytes(struct sock *s, uint64_t at, void *to, size_t n)
{
    uint8_t *p = to;
    while (n > 0) {
        size_t m;
        const uint8_t *from = rx_piece(s, at, &m);
        if (from == NULL)
            return false;
        m = m < n ? m : n;
        memcpy(p, from, m);
        at += m;
        p += m;
        n -= m;
    }
    return true;
}

bool
rx_read(struct sock *s, uint64_t at, struct cursor *to, size_t n)
{
    while (n > 0) {
        size_t m = n;
        uint8_t *p = cursor_run(to, &m);
        if (m == 0)
            return true;
        if (!rx_read_bytes(s, at, p, m))
            return false;
        at += m;
        n -= m;
    }
    return true;
}

/* ---- cursors ---- */

void
tx_publish(struct sock *s, uint32_t n)
{
    s->tx_tail += n;
    atomic_store_explicit(&slot_ours(s)->tx_tail, s->tx_tail, memory_order_release);
    /* Before sock_owe looks whether an earlier REQ_SEND will do. */
    atomic_thread_fence(memory_order_seq_cst);
    struct att *a = s->att;
    bool before = a->pushed;
    sock_owe(s, OWE_SEND);
    if (likely(!s->corked) || !share_wanted || !list_empty(&a->owing))
        return;
    if (s->tx_tail - s->cork_from >= CORK_WORTH) {
        s->cork_from = s->tx_tail;
        return;
    }
    /* It would wait for more in the domain, too: it goes with what lifts the cork, with the
     * next call of another kind, or before the process sleeps. */
    a->withheld = true;
    a->pushed = before;
    att_lib(a)->keep = true;
    atomic_store_explicit(&standin_withheld, true, memory_order_relaxed);
}

void
rx_consume(struct sock *s, uint64_t n)
{
    s->rx_head += n;
    s->rx_known = s->rx_head;
    atomic_store_explicit(&slot_ours(s)->rx_head, s->rx_head, memory_order_release);
    /* Pairs with the domain's fence between setting rx_notify and reading rx_head. */
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t notify = atomic_load_explicit(&slot_theirs(s)->rx_notify, memory_order_relaxed);
    if (s->rx_head >= notify)
        sock_owe(s, OWE_CONSUMED);
}

int
sock_busy(struct lib *l, struct sock *s, bool *mark)
{
    int err;
    if (s->att->shared) /* nothing is copied without the lock, and nobody else could be woken */
        return call_err(s);
    while ((err = call_err(s)) == 0 && *mark) {
        l->idle_waiters++;
        lib_sleep(l, &l->idle);
        l->idle_waiters--;
    }
    if (err != 0)
        return err;
    *mark = true;
    return 0;
}

void
sock_idle(struct lib *l, bool *mark)
{
    *mark = false;
    if (l->idle_waiters > 0)
        pthread_cond_broadcast(&l->idle);
}
