/* SPDX-License-Identifier: BSD-2-Clause
 *
 * xsk.h: the four kernel rings of an AF_XDP socket, as the nic domain and the monolith use
 * them. The socket is made by the supervisor (netif.h) and outlives the domain: the next
 * one maps the same rings and goes on. What is passed is frame addresses; packet memory is
 * never touched here.
 */
#ifndef DOMAINS_XSK_H
#define DOMAINS_XSK_H

#include "driver.h"
#include "nicmap.h"

struct xsk;

/* The size of the rings: room for every frame that could be in one, as on the links, so that
 * nothing ever has to wait for room; at least `configured`. */
static inline uint32_t
xsk_ring_for(const struct frames *f, uint32_t configured)
{
    uint32_t rx = f->size[PART_RX] / FRAME_SIZE;
    uint32_t tx = f->off[PARTS_UMEM] / FRAME_SIZE - rx;
    uint32_t need = max_u32(max_u32(rx, tx), configured), size = 64;
    while (size < need)
        size *= 2;
    return size;
}

/* Map the rings of fd, each of ring_size descriptors. The caller has set map->n_frames. Exits
 * nothing: returns NULL and sets errno. Recovers from the journal in map if a
 * predecessor died in a step. Uses malloc and mmap: before confinement. */
must_check struct xsk *xsk_open(int fd, uint32_t ring_size, struct nicmap *map);

/* Received frames, at most max, of whole packets. The kernel gets the slots back at
 * xsk_rx_done, which the caller calls after it has published them (all, or the first n). */
must_check unsigned xsk_rx_peek(struct xsk *x, struct fdesc *out, unsigned max);
void xsk_rx_done(struct xsk *x, unsigned n);
/* Empty receive frames for the kernel; returns how many were dealt with, fitted or refused.
 * A frame address that is not the start of a receive frame, or is held already, is refused
 * and counted (*refused grows). */
must_check unsigned xsk_fill(struct xsk *x, const struct fdesc *f, unsigned n,
                             unsigned *refused);
unsigned xsk_fill_space(struct xsk *x);
/* Frames to send, of whole packets, each of which driver_tx_ok accepts; returns how many
 * fitted: the ring has room for all that there are. */
must_check unsigned xsk_tx(struct xsk *x, const struct fdesc *f, unsigned n);
unsigned xsk_tx_space(struct xsk *x);
/* Frames that were sent. */
must_check unsigned xsk_complete(struct xsk *x, struct fdesc *out, unsigned max);
/* Tell the kernel to send if it needs telling. True: it took some and more is left, kick
 * again. False with frames left (the device is down, its queue full): at xsk_deadline. */
bool xsk_kick(struct xsk *x);
/* Frames that the kernel has not taken out of the transmit ring yet? */
bool xsk_tx_queued(const struct xsk *x);
/* Frames given to the kernel for sending and not completed yet. */
unsigned xsk_tx_outstanding(const struct xsk *x);
/* Of those, frames that the kernel may still read. */
unsigned xsk_tx_unsent(const struct xsk *x);
/* Anything to receive? To complete? Either? */
bool xsk_rx_pending(const struct xsk *x);
bool xsk_done_pending(const struct xsk *x);
bool xsk_pending(const struct xsk *x);
/* The kernel wakes nobody when a frame was sent: when to look again while some are
 * outstanding, at growing intervals (0.1 to 64 ms) without progress; NS_NEVER: none is. */
ns_t xsk_deadline(struct xsk *x, ns_t now);

extern const struct driver_ops xsk_driver;

#endif
