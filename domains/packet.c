/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The AF_PACKET driver. Receiving: empty frames wait in an array of iovecs; each readv puts one
 * packet into as many of them as it is long, and those are replaced. Sending: one writev a
 * packet. readv and writev, because they can name no other interface than the one that the
 * socket is bound to, and no other descriptor is anything like it: the filter sees that.
 *
 * A receive frame is `held` from before the kernel may write to it until before ip may see it,
 * so a successor finds in nicmap which frames are empty. Killed in between, it is held by
 * nobody, and ip gives it again. Nothing is under way when a process is dead: a system call
 * is over then.
 */
#include "packet.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "vnet.h"

#define PACKET_MAX 65550u /* 64 KiB and an Ethernet header */
#define POSTED ((PACKET_MAX + FRAME_SIZE - 1) / FRAME_SIZE)
#define READ_MAX 32u /* packets that one turn reads */
#define READY (READ_MAX * POSTED)
#define SEND_MAX 64u /* packets that one kick sends */

struct packet {
    struct driver driver;
    int fd;
    const struct frames *frames;
    struct nicmap *map;
    uint32_t n_rx;
    struct stats *stats;
    /* receive: empty frames, those of them that the next packet goes to, what was read */
    uint32_t *empty;
    uint32_t n_empty, n_posted;
    bool filled; /* frames were given: for want of them nothing was lost before */
    struct virtio_net_hdr vnet;
    struct iovec iov[1 + POSTED];
    struct fdesc *ready;
    uint32_t n_ready, ready_at;
    /* send: a ring of what is queued and then of what was sent; indices run free */
    struct fdesc *tx;
    uint32_t tx_cap, queued, sent, completed;
    struct driver_retry retry;
};

static struct packet *
of(struct driver *d)
{
    return (struct packet *)(void *)d;
}

static void
set_held(struct packet *p, uint32_t addr, uint8_t to)
{
    atomic_store_explicit(&p->map->held[addr / FRAME_SIZE], to, memory_order_relaxed);
}

/* ---- receive ---- */

/* Frames for one packet, as far as there are any. */
static void
post(struct packet *p)
{
    while (p->n_posted < POSTED && p->n_empty > 0)
        p->iov[1 + p->n_posted++] =
            (struct iovec){p->frames->base + p->empty[--p->n_empty], FRAME_SIZE};
}

/* Without a frame a packet is lost: the socket must not stay readable for want of one. */
static bool
discard(struct packet *p)
{
    uint8_t head[1];
    struct iovec iov[] = {{&p->vnet, sizeof p->vnet}, {head, sizeof head}};
    if (readv(p->fd, iov, 2) < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    stat_inc(p->stats, STAT_nic_drop_rx);
    return true;
}

/* What was read went to the first posted frames: they are ready, others take their places. */
static void
take(struct packet *p, uint32_t len, uint16_t flags)
{
    uint32_t n = 0;
    for (; len > 0; n++) {
        uint32_t here = min_u32(len, FRAME_SIZE);
        struct iovec *v = &p->iov[1 + n];
        len -= here;
        p->ready[p->n_ready++] = (struct fdesc){
            .addr = (uint32_t)((uint8_t *)v->iov_base - p->frames->base),
            .len = (uint16_t)here,
            .flags = (uint16_t)(flags | (len > 0 ? FDESC_MORE : 0)),
        };
        flags = 0;
        if (p->n_empty > 0)
            v->iov_base = p->frames->base + p->empty[--p->n_empty];
        else
            *v = p->iov[p->n_posted--];
    }
}

/* False: there is no more. */
static bool
read_one(struct packet *p)
{
    uint16_t flags;
    post(p);
    if (unlikely(p->n_posted == 0))
        return p->filled && discard(p);
    ssize_t n = readv(p->fd, p->iov, 1 + (int)p->n_posted);
    if (n < 0)
        return errno != EAGAIN && errno != EINTR && errno != ENETDOWN;
    if ((size_t)n <= sizeof p->vnet || !vnet_received(&p->vnet, &flags)) {
        stat_inc(p->stats, STAT_nic_drop_rx);
        return true;
    }
    take(p, (uint32_t)n - (uint32_t)sizeof p->vnet, flags);
    return true;
}

/* True: there may be more. */
static bool
read_some(struct packet *p)
{
    p->n_ready = p->ready_at = 0;
    for (unsigned i = 0; i < READ_MAX && p->n_ready < BATCH_MAX; i++)
        if (!read_one(p))
            return false;
    return true;
}

static unsigned
rx_peek(struct driver *d, struct fdesc *out, unsigned max)
{
    struct packet *p = of(d);
    if (max == 0)
        return 0;
    if (p->ready_at == p->n_ready)
        (void)read_some(p);
    uint32_t n = min_u32(max, p->n_ready - p->ready_at);
    while (n > 0 && (p->ready[p->ready_at + n - 1].flags & FDESC_MORE))
        n--;
    for (uint32_t i = 0; i < n; i++) {
        out[i] = p->ready[p->ready_at++];
        set_held(p, out[i].addr, 0);
    }
    return n;
}

static void
rx_done(struct driver *d, unsigned n)
{
    (void)d;
    (void)n;
}

static bool
rx_pending(struct driver *d)
{
    struct packet *p = of(d);
    if (p->ready_at != p->n_ready)
        return true;
    /* There is no other way to know. Where all that was read was dropped, what is behind it
     * wakes nobody: the socket was readable before. */
    return read_some(p) || p->n_ready != 0;
}

static unsigned
fill_space(struct driver *d)
{
    return of(d)->n_rx; /* there are no more frames than that */
}

static unsigned
fill(struct driver *d, const struct fdesc *f, unsigned n, unsigned *refused)
{
    struct packet *p = of(d);
    for (unsigned i = 0; i < n; i++) {
        uint32_t addr = f[i].addr, frame = addr / FRAME_SIZE;
        if (addr % FRAME_SIZE != 0 || frame >= p->n_rx ||
            atomic_load_explicit(&p->map->held[frame], memory_order_relaxed) != 0) {
            ++*refused;
            continue;
        }
        set_held(p, addr, 1);
        p->empty[p->n_empty++] = addr;
        p->filled = true;
    }
    return n;
}

/* ---- transmit ---- */

static struct fdesc *
tx_at(const struct packet *p, uint32_t i)
{
    return &p->tx[i & (p->tx_cap - 1)];
}

static unsigned
tx_space(struct driver *d)
{
    const struct packet *p = of(d);
    return p->tx_cap - (p->queued - p->completed);
}

static unsigned
tx(struct driver *d, const struct fdesc *f, unsigned n)
{
    struct packet *p = of(d);
    n = min_u32(n, tx_space(d));
    for (unsigned i = 0; i < n; i++)
        *tx_at(p, p->queued++) = f[i];
    return n;
}

/* The frames of the packet that is due; 0: its end was not queued yet. Whoever queued more than
 * any packet has gets them sent as they are, and the kernel refuses them. */
static uint32_t
next_packet(const struct packet *p)
{
    uint32_t most = p->queued - p->sent;
    for (uint32_t n = 1; n <= most; n++)
        if (!(tx_at(p, p->sent + n - 1)->flags & FDESC_MORE) || n == FRAME_MAX_CHAIN)
            return n;
    return 0;
}

/* False: the kernel has no room now. What it does not want at all is gone, as on a wire. */
static bool
send_one(struct packet *p, uint32_t n)
{
    struct virtio_net_hdr v;
    struct iovec iov[1 + FRAME_MAX_CHAIN] = {{&v, sizeof v}};
    for (uint32_t i = 0; i < n; i++) {
        const struct fdesc *f = tx_at(p, p->sent + i);
        iov[1 + i] = (struct iovec){p->frames->base + f->addr, f->len};
    }
    bool ok = vnet_to_send(&v, iov[1].iov_base, tx_at(p, p->sent));
    /* No more segments than frames, whatever a tcp that lies has written into the header. */
    for (uint32_t i = 1; i < n; i++)
        ok = ok && tx_at(p, p->sent + i)->len <= v.gso_size;
    if (ok && writev(p->fd, iov, 1 + (int)n) < 0) {
        if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
            return false;
        ok = false;
    }
    if (!ok)
        stat_inc(p->stats, STAT_nic_drop_tx);
    p->sent += n;
    return true;
}

static bool
kick(struct driver *d)
{
    struct packet *p = of(d);
    uint32_t before = p->sent, n;
    for (unsigned i = 0; i < SEND_MAX; i++) {
        if ((n = next_packet(p)) == 0)
            return false;
        if (!send_one(p, n))
            break;
    }
    if (p->sent == before)
        return false;
    p->retry.at = 0;
    return next_packet(p) != 0;
}

static void
tx_cut(struct driver *d)
{
    struct packet *p = of(d);
    for (uint32_t n; (n = next_packet(p)) != 0;)
        p->sent += n;
    p->sent = p->queued;
}

static unsigned
complete(struct driver *d, struct fdesc *out, unsigned max)
{
    struct packet *p = of(d);
    uint32_t n = min_u32(max, p->sent - p->completed);
    for (uint32_t i = 0; i < n; i++)
        out[i] = (struct fdesc){.addr = tx_at(p, p->completed++)->addr};
    return n;
}

static bool
tx_queued(struct driver *d)
{
    return next_packet(of(d)) != 0;
}

static unsigned
tx_outstanding(struct driver *d)
{
    const struct packet *p = of(d);
    return p->queued - p->completed;
}

static unsigned
tx_unsent(struct driver *d)
{
    const struct packet *p = of(d);
    return p->queued - p->sent;
}

static bool
done_pending(struct driver *d)
{
    const struct packet *p = of(d);
    return p->sent != p->completed;
}

/* Nobody says when the device has room again. */
static ns_t
deadline(struct driver *d, ns_t now)
{
    struct packet *p = of(d);
    if (p->queued == p->sent)
        return NS_NEVER;
    return driver_retry_at(&p->retry, now);
}

/* ---- opening ---- */

static const struct driver_ops packet_driver = {
    .rx_peek = rx_peek,
    .rx_done = rx_done,
    .fill = fill,
    .fill_space = fill_space,
    .tx = tx,
    .tx_space = tx_space,
    .tx_cut = tx_cut,
    .complete = complete,
    .kick = kick,
    .tx_queued = tx_queued,
    .tx_outstanding = tx_outstanding,
    .tx_unsent = tx_unsent,
    .rx_pending = rx_pending,
    .done_pending = done_pending,
    .deadline = deadline,
};

struct driver *
packet_open(int fd, const struct frames *frames, struct nicmap *map, struct stats *stats)
{
    uint32_t n_tx = (frames->off[PARTS_UMEM] - frames->size[PART_RX]) / FRAME_SIZE;
    struct packet *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    *p = (struct packet){.driver.ops = &packet_driver,
                         .fd = fd,
                         .frames = frames,
                         .map = map,
                         .n_rx = map->n_frames,
                         .stats = stats,
                         .tx_cap = 64};
    while (p->tx_cap < n_tx)
        p->tx_cap *= 2;
    p->empty = calloc(p->n_rx, sizeof *p->empty);
    p->ready = calloc(READY, sizeof *p->ready);
    p->tx = calloc(p->tx_cap, sizeof *p->tx);
    if (p->empty == NULL || p->ready == NULL || p->tx == NULL) {
        free(p->empty);
        free(p->ready);
        free(p->tx);
        free(p);
        return NULL;
    }
    p->iov[0] = (struct iovec){&p->vnet, sizeof p->vnet};
    for (uint32_t i = p->n_rx; i-- > 0;)
        if (atomic_load_explicit(&map->held[i], memory_order_relaxed))
            p->empty[p->n_empty++] = i * FRAME_SIZE;
    return &p->driver;
}
