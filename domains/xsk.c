/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The kernel's rings, and the journal that keeps nicmap exact.
 *
 * A receive frame is `held` from before the kernel may see it in the fill ring until
 * after it was handed up. Two steps change that; each may be cut off at any
 * instruction, and the successor finishes it from the journal (redo):
 *
 *   fill   journal {FILL, producer, 0}; for each frame: slot, journal.n, held = 1;
 *          producer += n; journal idle
 *          Found in the journal with the producer where it was: the first n slots are
 *          written and the kernel has not seen them; mark them and publish. Producer
 *          moved: everything was marked before; nothing is left to do.
 *
 *   rx     journal {RX, consumer, n}; the caller publishes the n frames to ip; held = 0
 *          for each; consumer += n; journal idle
 *          Found with the consumer where it was: the kernel does not overwrite the slots
 *          yet. Whether ip got the frames or not, they are no longer the kernel's: clear
 *          them, move on. (If ip did not, the packets are lost as on a wire, and ip finds the
 *          frames free.) Consumer moved: they were cleared before, and the slots may
 *          be the kernel's again, so they are not read.
 *
 * Redoing is idempotent, so a crash in the recovery is recovered from too. Only the order in
 * which the compiler emits the stores matters: what a killed process stored is seen by the
 * next.
 */
#include "xsk_priv.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "guard.h"

/* ---- ring words ---- */

static inline uint32_t
load(const _Atomic uint32_t *w)
{
    return atomic_load_explicit(w, memory_order_acquire);
}

static inline void
store(_Atomic uint32_t *w, uint32_t v)
{
    atomic_store_explicit(w, v, memory_order_release);
}

/* Entries that the kernel produced and we did not take. */
static inline uint32_t
ready(struct xsk_ring *r, uint32_t want)
{
    if (r->other - r->mine < want)
        r->other = load(r->producer);
    return r->other - r->mine;
}

/* Room in a ring that we produce into. */
static inline uint32_t
room(struct xsk_ring *r, uint32_t size, uint32_t want)
{
    if (size - (r->mine - r->other) < want)
        r->other = load(r->consumer);
    return size - (r->mine - r->other);
}

static inline struct xdp_desc *
packet_slot(const struct xsk *x, const struct xsk_ring *r, uint32_t index)
{
    return &((struct xdp_desc *)r->desc)[index & (x->size - 1)];
}

static inline uint64_t *
addr_slot(const struct xsk *x, const struct xsk_ring *r, uint32_t index)
{
    return &((uint64_t *)r->desc)[index & (x->size - 1)];
}

/* ---- the journal ---- */

/* Emit what stands before ahead of what stands behind. */
#define IN_ORDER() atomic_signal_fence(memory_order_seq_cst)

static void
journal_begin(struct nicmap *m, enum nicmap_op op, uint32_t index, uint32_t n)
{
    atomic_store_explicit(&m->index, index, memory_order_relaxed);
    atomic_store_explicit(&m->n, n, memory_order_relaxed);
    IN_ORDER();
    atomic_store_explicit(&m->op, op, memory_order_relaxed);
    IN_ORDER();
}

static void
journal_end(struct nicmap *m)
{
    IN_ORDER();
    atomic_store_explicit(&m->op, NICMAP_IDLE, memory_order_relaxed);
}

static void
set_held(struct xsk *x, uint64_t addr, uint8_t to)
{
    uint64_t frame = addr / FRAME_SIZE;
    if (frame < x->n_rx)
        atomic_store_explicit(&x->map->held[frame], to, memory_order_relaxed);
}

static bool
is_held(const struct xsk *x, uint32_t addr)
{
    return atomic_load_explicit(&x->map->held[addr / FRAME_SIZE], memory_order_relaxed) != 0;
}

/* ---- receive ---- */

#ifndef XDP_PKT_CONTD /* Linux 6.6: the packet goes on in the next descriptor */
#define XDP_PKT_CONTD (1 << 0)
#endif
_Static_assert(XDP_PKT_CONTD == FDESC_MORE, "copied as it is");

unsigned
xsk_rx_peek(struct xsk *x, struct fdesc *out, unsigned max)
{
    uint32_t n = min_u32(ready(&x->rx, max), max);
    /* No half packet: the kernel publishes whole ones, so the rest of it is there next time. */
    while (n > 0 && (packet_slot(x, &x->rx, x->rx.mine + n - 1)->options & XDP_PKT_CONTD))
        n--;
    if (n == 0)
        return 0;
    journal_begin(x->map, NICMAP_RX, x->rx.mine, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct xdp_desc *d = packet_slot(x, &x->rx, x->rx.mine + i);
        out[i] = (struct fdesc){.addr = (uint32_t)d->addr,
                                .len = (uint16_t)d->len,
                                .flags = (uint16_t)(d->options & XDP_PKT_CONTD)};
    }
    return n;
}

static void
rx_redo(struct xsk *x, uint32_t index, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        set_held(x, packet_slot(x, &x->rx, index + i)->addr, 0);
    IN_ORDER();
    x->rx.mine = index + n;
    store(x->rx.consumer, x->rx.mine);
    journal_end(x->map);
}

void
xsk_rx_done(struct xsk *x, unsigned n)
{
    rx_redo(x, x->rx.mine, n);
}

unsigned
xsk_fill_space(struct xsk *x)
{
    return room(&x->fill, x->size, x->size);
}

static void
fill_redo(struct xsk *x, uint32_t index, uint32_t n)
{
    IN_ORDER();
    x->fill.mine = index + n;
    store(x->fill.producer, x->fill.mine);
    journal_end(x->map);
}

unsigned
xsk_fill(struct xsk *x, const struct fdesc *f, unsigned n, unsigned *refused)
{
    uint32_t space = room(&x->fill, x->size, n), at = x->fill.mine, put = 0, i;

    if (n == 0)
        return 0;
    journal_begin(x->map, NICMAP_FILL, at, 0);
    for (i = 0; i < n; i++) {
        uint32_t addr = f[i].addr;
        if (addr % FRAME_SIZE != 0 || addr / FRAME_SIZE >= x->n_rx || is_held(x, addr)) {
            ++*refused; /* for that there is always room */
            continue;
        }
        if (put == space)
            break;
        *addr_slot(x, &x->fill, at + put) = addr;
        IN_ORDER();
        atomic_store_explicit(&x->map->n, ++put, memory_order_relaxed);
        IN_ORDER();
        set_held(x, addr, 1);
    }
    fill_redo(x, at, put);
    return i;
}

/* ---- transmit ---- */

unsigned
xsk_tx_space(struct xsk *x)
{
    return room(&x->tx, x->size, x->size);
}

unsigned
xsk_tx(struct xsk *x, const struct fdesc *f, unsigned n)
{
    n = min_u32(n, room(&x->tx, x->size, n));
    while (n > 0 && (f[n - 1].flags & FDESC_MORE))
        n--; /* the kernel would wait for the end */
    for (uint32_t i = 0; i < n; i++)
        *packet_slot(x, &x->tx, x->tx.mine + i) = (struct xdp_desc){
            .addr = f[i].addr, .len = f[i].len, .options = f[i].flags & FDESC_MORE};
    x->tx.mine += n;
    store(x->tx.producer, x->tx.mine);
    return n;
}

unsigned
xsk_complete(struct xsk *x, struct fdesc *out, unsigned max)
{
    uint32_t n = min_u32(ready(&x->done, max), max);
    if (n == 0)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        out[i] = (struct fdesc){.addr = (uint32_t)*addr_slot(x, &x->done, x->done.mine + i)};
    x->done.mine += n;
    store(x->done.consumer, x->done.mine);
    x->retry.at = 0;
    return n;
}

bool
xsk_tx_queued(const struct xsk *x)
{
    return load(x->tx.consumer) != x->tx.mine;
}

bool
xsk_kick(struct xsk *x)
{
    /* A driver that does without interrupts on an empty fill ring wants to be told too. */
    if (unlikely(load(x->fill.flags) & XDP_RING_NEED_WAKEUP))
        (void)recvfrom(x->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
    uint32_t before = load(x->tx.consumer);
    if (before == x->tx.mine)
        return false;
    if (load(x->tx.flags) & XDP_RING_NEED_WAKEUP)
        (void)sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0); /* what it did shows below */
    uint32_t after = load(x->tx.consumer);
    if (after != before)
        x->retry.at = 0;
    return after != before && after != x->tx.mine;
}

unsigned
xsk_tx_outstanding(const struct xsk *x)
{
    /* Every descriptor that we queued completes exactly once, so the indices tell. */
    return x->tx.mine - x->done.mine;
}

unsigned
xsk_tx_unsent(const struct xsk *x)
{
    return x->tx.mine - load(x->done.producer);
}

bool
xsk_rx_pending(const struct xsk *x)
{
    return load(x->rx.producer) != x->rx.mine;
}

bool
xsk_done_pending(const struct xsk *x)
{
    return load(x->done.producer) != x->done.mine;
}

bool
xsk_pending(const struct xsk *x)
{
    return xsk_rx_pending(x) || xsk_done_pending(x);
}

ns_t
xsk_deadline(struct xsk *x, ns_t now)
{
    if (xsk_tx_outstanding(x) == 0)
        return NS_NEVER;
    return driver_retry_at(&x->retry, now);
}

/* ---- opening ---- */

void
xsk_recover(struct xsk *x)
{
    struct nicmap *m = x->map;
    uint32_t op = load(&m->op), index = load(&m->index);
    uint32_t n = min_u32(load(&m->n), x->size); /* it lies in shared memory: bounded */

    x->rx.mine = x->rx.other = load(x->rx.consumer);
    x->done.mine = x->done.other = load(x->done.consumer);
    x->tx.mine = load(x->tx.producer);
    x->tx.other = load(x->tx.consumer);
    x->fill.mine = load(x->fill.producer);
    x->fill.other = load(x->fill.consumer);
    if (op == NICMAP_RX && index == x->rx.mine && n <= ready(&x->rx, n)) {
        rx_redo(x, index, n);
    } else if (op == NICMAP_FILL && index == x->fill.mine && n <= room(&x->fill, x->size, n)) {
        for (uint32_t i = 0; i < n; i++)
            set_held(x, *addr_slot(x, &x->fill, index + i), 1);
        fill_redo(x, index, n);
    }
    journal_end(m);
}

static bool
map_ring(struct xsk_ring *r, int fd, const struct xdp_ring_offset *o, size_t bytes, off_t at)
{
    uint8_t *p = guard_reserve(o->desc + bytes);
    if (p == NULL || mmap(p, o->desc + bytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, at) == MAP_FAILED)
        return false;
    *r = (struct xsk_ring){.producer = (void *)(p + o->producer),
                           .consumer = (void *)(p + o->consumer),
                           .flags = (void *)(p + o->flags),
                           .desc = p + o->desc};
    return true;
}

struct xsk *
xsk_open(int fd, uint32_t ring_size, struct nicmap *map)
{
    struct xdp_mmap_offsets o;
    socklen_t len = sizeof o;

    if (ring_size == 0 || (ring_size & (ring_size - 1)) != 0) {
        errno = EINVAL;
        return NULL;
    }
    if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &o, &len) != 0)
        return NULL;
    if (len != sizeof o) {
        errno = EPROTO;
        return NULL;
    }
    struct xsk *x = calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    *x = (struct xsk){.size = ring_size, .n_rx = map->n_frames, .map = map, .fd = fd};
    size_t packets = ring_size * sizeof(struct xdp_desc), addrs = ring_size * sizeof(uint64_t);
    if (!map_ring(&x->rx, fd, &o.rx, packets, XDP_PGOFF_RX_RING) ||
        !map_ring(&x->tx, fd, &o.tx, packets, XDP_PGOFF_TX_RING) ||
        !map_ring(&x->fill, fd, &o.fr, addrs, (off_t)XDP_UMEM_PGOFF_FILL_RING) ||
        !map_ring(&x->done, fd, &o.cr, addrs, (off_t)XDP_UMEM_PGOFF_COMPLETION_RING)) {
        free(x); /* what is mapped goes with the process, which cannot do without */
        return NULL;
    }
    xsk_recover(x);
    return x;
}
