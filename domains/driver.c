/* SPDX-License-Identifier: BSD-2-Clause
 *
 * driver.c: AF_XDP as a driver, and which driver it is.
 */
#include "driver.h"

#include <errno.h>

#include "packet.h"
#include "xsk_priv.h"

static struct xsk *
of(struct driver *d)
{
    return (struct xsk *)(void *)d;
}

static unsigned
rx_peek(struct driver *d, struct fdesc *out, unsigned max)
{
    return xsk_rx_peek(of(d), out, max);
}

static void
rx_done(struct driver *d, unsigned n)
{
    xsk_rx_done(of(d), n);
}

static unsigned
fill(struct driver *d, const struct fdesc *f, unsigned n, unsigned *refused)
{
    return xsk_fill(of(d), f, n, refused);
}

static unsigned
fill_space(struct driver *d)
{
    return xsk_fill_space(of(d));
}

static unsigned
tx(struct driver *d, const struct fdesc *f, unsigned n)
{
    return xsk_tx(of(d), f, n);
}

static unsigned
tx_space(struct driver *d)
{
    return xsk_tx_space(of(d));
}

static void
tx_cut(struct driver *d)
{
    (void)d; /* a frame is a packet */
}

static unsigned
complete(struct driver *d, struct fdesc *out, unsigned max)
{
    return xsk_complete(of(d), out, max);
}

static bool
kick(struct driver *d)
{
    return xsk_kick(of(d));
}

static bool
tx_queued(struct driver *d)
{
    return xsk_tx_queued(of(d));
}

static unsigned
tx_outstanding(struct driver *d)
{
    return xsk_tx_outstanding(of(d));
}

static unsigned
tx_unsent(struct driver *d)
{
    return xsk_tx_unsent(of(d));
}

static bool
rx_pending(struct driver *d)
{
    return xsk_rx_pending(of(d));
}

static bool
done_pending(struct driver *d)
{
    return xsk_done_pending(of(d));
}

static ns_t
deadline(struct driver *d, ns_t now)
{
    return xsk_deadline(of(d), now);
}

const struct driver_ops xsk_driver = {
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
driver_open(struct domain *d)
{
    if (d->nic_fd < 0 || d->nicmap == NULL)
        domain_fatal("the interface's socket or the frame map is missing");
    d->nicmap->n_frames = d->cfg.n_frames[PART_RX];
    if (d->cfg.driver == DRIVER_PACKET) {
        struct driver *p = packet_open(d->nic_fd, &d->frames, d->nicmap, d->stats);
        if (p == NULL)
            domain_fatal("out of memory");
        return p;
    }
    struct xsk *x = xsk_open(d->nic_fd, d->cfg.xsk_ring, d->nicmap);
    if (x == NULL)
        domain_fatal("AF_XDP rings: %s", strerror(errno));
    x->driver.ops = &xsk_driver;
    return &x->driver;
}
