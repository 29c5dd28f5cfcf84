/* SPDX-License-Identifier: BSD-2-Clause
 *
 * driver.h: what the nic domain and the monolith want of whatever moves frames between the
 * kernel and packet memory. There are two: AF_XDP (xsk.c), which shares rings with the kernel
 * and never touches a packet, and AF_PACKET (packet.c), which asks the kernel to copy, and
 * whose segments are up to 64 KiB long. The socket of either is made by the supervisor and
 * outlives the domain.
 */
#ifndef DOMAINS_DRIVER_H
#define DOMAINS_DRIVER_H

#include "domain.h"

struct driver;

struct driver_ops {
    /* Received frames, at most max, of whole packets (max below FRAME_MAX_CHAIN may never do
     * for one); the caller publishes them and then calls rx_done with as many. */
    unsigned (*rx_peek)(struct driver *, struct fdesc *out, unsigned max);
    void (*rx_done)(struct driver *, unsigned n);
    /* Empty receive frames; returns how many were dealt with, fitted or refused. */
    unsigned (*fill)(struct driver *, const struct fdesc *f, unsigned n, unsigned *refused);
    unsigned (*fill_space)(struct driver *);
    /* Frames to send, of packets that driver_tx_packet accepts; returns how many fitted. */
    unsigned (*tx)(struct driver *, const struct fdesc *f, unsigned n);
    unsigned (*tx_space)(struct driver *);
    /* Whoever queued the last frames is gone: a packet whose end is missing gets none. */
    void (*tx_cut)(struct driver *);
    /* Frames that were sent. */
    unsigned (*complete)(struct driver *, struct fdesc *out, unsigned max);
    /* Have the kernel send. True: it took some and more is left, kick again. False with
     * frames left (the device is down, its queue full): at the deadline. */
    bool (*kick)(struct driver *);
    /* Frames queued that the kernel has not taken? */
    bool (*tx_queued)(struct driver *);
    /* Frames queued and not completed; of those, frames that the kernel may still read. */
    unsigned (*tx_outstanding)(struct driver *);
    unsigned (*tx_unsent)(struct driver *);
    /* Anything to receive? To complete? */
    bool (*rx_pending)(struct driver *);
    bool (*done_pending)(struct driver *);
    /* When to kick or to look again without being woken; NS_NEVER: not at all. */
    ns_t (*deadline)(struct driver *, ns_t now);
};

/* When to try again what the kernel did not take: sooner first, then ever later. */
#define DRIVER_RETRY_FIRST (NS_MS / 10)
#define DRIVER_RETRY_MAX (64 * NS_MS)

struct driver_retry {
    ns_t at, wait; /* at 0: the kernel took what there was last */
};

static inline ns_t
driver_retry_at(struct driver_retry *r, ns_t now)
{
    if (r->at == 0)
        r->wait = DRIVER_RETRY_FIRST;
    else if (r->at <= now)
        r->wait = min_u64(r->wait * 2, DRIVER_RETRY_MAX);
    else
        return r->at;
    return r->at = now + r->wait;
}

/* The first member of each driver's state. */
struct driver {
    const struct driver_ops *ops;
};

/* Take up the socket that d was handed, with the driver that its configuration names. Before
 * confinement. Ends the domain with a message on failure. */
struct driver *driver_open(struct domain *d);

/* The frames that one packet may have, received or sent. */
static inline unsigned
driver_chain(const struct ctl_config *c)
{
    return c->driver == DRIVER_PACKET ? FRAME_MAX_CHAIN
           : c->mtu > FRAME_MTU       ? FRAME_MAX_PACKET
                                      : 1;
}

/* Would the driver complete this frame? It has to lie inside one frame of a transmit part. f
 * may come from a hostile peer. */
static inline bool
driver_tx_ok(const struct frames *all, const struct fdesc *f)
{
    enum frame_part p = frames_part(all, f->addr);
    return p != PART_RX && p < PARTS_UMEM && f->len != 0 &&
           f->len <= FRAME_SIZE - f->addr % FRAME_SIZE;
}

/* And the packet of `*k` frames, at most n, that begins at f: all of it there, none of its
 * frames bad, no more than `chain`? The kernel would wait for the end of one that has none. */
static inline bool
driver_tx_packet(const struct frames *all, unsigned chain, const struct fdesc *f, unsigned n,
                 unsigned *k)
{
    bool ok = driver_tx_ok(all, f);
    unsigned i = 1;
    while (unlikely(f[i - 1].flags & FDESC_MORE) && i < n && i < FRAME_MAX_CHAIN)
        ok &= driver_tx_ok(all, &f[i++]);
    *k = i;
    return ok && i <= chain && !(f[i - 1].flags & FDESC_MORE);
}

#endif
