/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The nic domain: moves descriptors between a driver (driver.h) and the link to ip. With AF_XDP
 * it does not map packet memory at all; with AF_PACKET the kernel copies for it, so it does.
 *
 *   link to ip   ours:  0 rx (received)   1 done (sent)
 *                ip's:  0 tx (to send)    1 fill (empty frames)
 */
#include <stdlib.h>
#include <time.h>

#include "driver.h"

#define RX 0
#define DONE 1
#define TX 0
#define FILL 1

#define TURN_FRAMES (4 * BATCH_MAX) /* that a turn moves, where packets have several */

#define DRAIN_MAX (200 * NS_MS)
#define GREET_EVERY NS_MS

struct nic {
    struct driver *drv;
    unsigned batch; /* frames that a turn moves each way */
    unsigned chain; /* that a packet may have */
    struct domain_peer *ip;
    ns_t now; /* of the last turn */
    bool ip_seen;
    ns_t ack_by;         /* ip died: acknowledge when all was sent, or then; 0: it did not */
    struct fdesc *empty; /* taken from ip, and the kernel has no room for them yet */
    uint32_t n_empty, max_empty;
};

/* Towards ip: what was sent and what was received. */
static bool
turn_up(struct domain *d, struct nic *n)
{
    struct link *l = &n->ip->link;
    struct fdesc f[TURN_FRAMES];
    uint64_t bytes = 0, packets = 0;

    unsigned sent =
        n->drv->ops->complete(n->drv, f, min_u32(ring_space(&l->tx[DONE], n->batch), n->batch));
    for (unsigned i = 0; i < sent; i++)
        *fring_reserve(&l->tx[DONE], l->tx_slots[DONE]) = f[i];

    unsigned got =
        n->drv->ops->rx_peek(n->drv, f, min_u32(ring_space(&l->tx[RX], n->batch), n->batch));
    for (unsigned i = 0; i < got; i++) {
        *fring_reserve(&l->tx[RX], l->tx_slots[RX]) = f[i];
        bytes += f[i].len;
        packets += !(f[i].flags & FDESC_MORE);
    }
    if (link_submit(l))
        stat_inc(d->stats, STAT_bells_rung);
    if (got > 0) {
        n->drv->ops->rx_done(n->drv, got);
        stat_add(d->stats, STAT_nic_rx, packets);
        stat_add(d->stats, STAT_nic_rx_bytes, bytes);
    }
    return sent + got > 0;
}

/* These did not fit and will never be sent: ip has them back, like those that were. */
static void
give_back(struct nic *n, const struct fdesc *f, unsigned n_f)
{
    struct link *l = &n->ip->link;
    for (unsigned i = 0; i < n_f; i++) {
        struct fdesc *slot = fring_reserve(&l->tx[DONE], l->tx_slots[DONE]);
        if (slot != NULL)
            *slot = (struct fdesc){.addr = f[i].addr};
    }
}

/* From ip: frames to send. What the kernel would not take back is refused here. All that there
 * is fits into the kernel's ring, but for what a dead ip may have left in it. */
static unsigned
take_tx(struct domain *d, struct nic *n)
{
    struct link *l = &n->ip->link;
    struct fdesc f[TURN_FRAMES + FRAME_MAX_CHAIN];
    uint64_t bytes = 0, packets = 0;
    unsigned ok = 0;

    unsigned got = fring_take_batch(&l->rx[TX], l->rx_slots[TX], f, n->batch);
    while (got != 0 && (f[got - 1].flags & FDESC_MORE) && got < ARRAY_LEN(f) &&
           fring_take(&l->rx[TX], l->rx_slots[TX], &f[got]))
        got++;
    for (unsigned i = 0, end; i < got; i = end) {
        unsigned k;
        bool fine = driver_tx_packet(&d->frames, n->chain, &f[i], got - i, &k);
        end = i + k;
        packets += fine;
        for (; fine && i < end; i++) {
            bytes += f[i].len;
            f[ok++] = f[i];
        }
    }
    unsigned sent = n->drv->ops->tx(n->drv, f, ok);
    stat_add(d->stats, STAT_nic_tx, packets);
    stat_add(d->stats, STAT_nic_tx_bytes, bytes);
    give_back(n, &f[sent], ok - sent);
    stat_add(d->stats, STAT_nic_bad_desc, got - sent);
    return got;
}

/* From ip: empty frames. The kernel's ring has room for all, but it may have handed a frame up
 * and not yet moved the index by which it gives the slot back. What does not fit waits here,
 * not on the link, where it would keep us awake: as soon as the kernel uses a slot a packet is
 * there, and that wakes us. More than there are frames are none of an honest ip's. */
static unsigned
take_fill(struct domain *d, struct nic *n)
{
    struct link *l = &n->ip->link;
    unsigned refused = 0, got = 0;

    if (ring_avail(&l->rx[FILL], 1) != 0)
        got =
            fring_take_batch(&l->rx[FILL], l->rx_slots[FILL], n->empty + n->n_empty, n->batch);
    n->n_empty += got;
    if (n->n_empty == 0)
        return 0;
    unsigned done = n->drv->ops->fill(n->drv, n->empty, n->n_empty, &refused);
    n->n_empty -= done;
    memmove(n->empty, n->empty + done, n->n_empty * sizeof *n->empty);
    if (n->n_empty > n->max_empty) {
        refused += n->n_empty - n->max_empty;
        n->n_empty = n->max_empty;
    }
    stat_add(d->stats, STAT_refused_frames, refused);
    return got;
}

static bool
kick(struct domain *d, struct nic *n)
{
    if (n->drv->ops->tx_queued(n->drv))
        stat_inc(d->stats, STAT_nic_kicks);
    return n->drv->ops->kick(n->drv);
}

/* Without ip: received frames stay in the kernel's ring; what was sent is nobody's. */
static void
turn_down(struct domain *d, struct nic *n, ns_t now)
{
    struct fdesc f[BATCH_MAX];
    while (n->drv->ops->complete(n->drv, f, BATCH_MAX) > 0)
        ;
    if (n->ack_by != 0 && (n->drv->ops->tx_outstanding(n->drv) == 0 || now >= n->ack_by)) {
        n->ack_by = 0;
        domain_ack_down(d, n->ip);
    }
}

/* ip looks at nicmap when the link comes up, and the map must not move under its eyes. It
 * is done once it has asked to be woken or has sent something: both are 0 before. */
static bool
ip_is_there(struct nic *n)
{
    struct link *l = &n->ip->link;
    if (unlikely(!n->ip_seen))
        n->ip_seen = atomic_load_explicit(l->ringer.want, memory_order_acquire) != 0 ||
                     ring_avail(&l->rx[TX], 1) > 0 || ring_avail(&l->rx[FILL], 1) > 0;
    return n->ip_seen;
}

static enum turn
nic_turn(struct domain *d, ns_t now)
{
    struct nic *n = d->self;
    bool busy = false;

    n->now = now;
    if (n->ip->link.up && ip_is_there(n)) {
        busy = turn_up(d, n);
        busy |= take_tx(d, n) + take_fill(d, n) > 0;
        link_release(&n->ip->link);
    }
    busy |= kick(d, n);
    if (!n->ip->link.up)
        turn_down(d, n, now);
    return busy ? TURN_PACKETS : TURN_NOTHING;
}

static ns_t
nic_deadline(struct domain *d)
{
    struct nic *n = d->self;
    ns_t again = n->drv->ops->deadline(n->drv, n->now);
    if (n->ip->link.up && !n->ip_seen)
        again = min_u64(again, n->now + GREET_EVERY);
    return n->ack_by != 0 ? min_u64(again, n->ack_by) : again;
}

/* The bell of the link is armed; the socket needs no arming, but a look. An ip that takes
 * nothing leaves no room; then there is nothing to do either, and so where it leaves less than
 * a whole packet may need: it rings when it gives frames back. */
static bool
nic_arm(struct domain *d)
{
    struct nic *n = d->self;
    struct link *l = &n->ip->link;
    if (!l->up || !n->ip_seen)
        return false;
    uint32_t most = n->chain > 1 ? FRAME_MAX_CHAIN : 1;
    return (n->drv->ops->rx_pending(n->drv) && ring_space(&l->tx[RX], most) >= most) ||
           (n->drv->ops->done_pending(n->drv) && ring_space(&l->tx[DONE], 1) > 0);
}

/* ip's successor takes every transmit frame for free once this is acknowledged. */
static bool
nic_peer_down(struct domain *d, struct domain_peer *p, ns_t now)
{
    struct nic *n = d->self;
    (void)p;
    n->ack_by = now + DRAIN_MAX;
    n->n_empty = 0; /* its successor has them by nicmap */
    n->drv->ops->tx_cut(n->drv);
    turn_down(d, n, now);
    return false; /* turn_down tells when */
}

static void
nic_peer_up(struct domain *d, struct domain_peer *p, ns_t now)
{
    struct nic *n = d->self;
    (void)p;
    (void)now;
    n->ack_by = 0;
    n->ip_seen = false;
}

/* What a predecessor left in the transmit ring goes out first, so that from READY on the
 * kernel reads no frame that ip did not give to this nic. The completions wait for ip. */
static void
send_leftovers(struct driver *x)
{
    const struct timespec pause = {.tv_nsec = 100000};
    ns_t end = domain_now() + DRAIN_MAX;

    while (x->ops->tx_unsent(x) > 0 && domain_now() < end)
        if (!x->ops->kick(x))
            nanosleep(&pause, NULL);
}

int
main(int argc, char **argv)
{
    static const struct domain_ops ops = {
        .turn = nic_turn,
        .deadline = nic_deadline,
        .arm = nic_arm,
        .peer_up = nic_peer_up,
        .peer_down = nic_peer_down,
    };
    static struct domain d;
    static struct nic n;

    domain_setup(&d, argc, argv);
    n.ip = domain_peer_of(&d, DOM_IP);
    if (n.ip == NULL || n.ip->kind != LINK_NIC || n.ip->side != LINK_A)
        domain_fatal("nic needs a link to ip");
    n.drv = driver_open(&d);
    n.chain = driver_chain(&d.cfg);
    n.batch = n.chain > 1 ? TURN_FRAMES : BATCH_MAX;
    n.max_empty = d.frames.size[PART_RX] / FRAME_SIZE;
    n.empty = calloc(n.max_empty + TURN_FRAMES, sizeof *n.empty);
    if (n.empty == NULL)
        domain_fatal("no memory");
    send_leftovers(n.drv);
    /* By edge: while ip is away, frames stay in the ring and must not keep us awake. */
    if (domain_watch_edge(&d, d.nic_fd, NULL) != 0)
        domain_fatal("cannot watch the socket");
    domain_run(&d, &ops, &n);
}
