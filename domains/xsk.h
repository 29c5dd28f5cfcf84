/* SPDX-License-Identifier: BSD-2-Clause
 *
 * xsk.h: the four kernel rings of an AF_XDP socket, as the nic domain and the monolith use
 * them. The socket is made by the supervisor (netif.h) and outlives the domain: the next
 * one maps the same rings and goes on. What is passed is frame addresses; packet memory is
 * never touched here.
 */
#ifndef DOMAINS_XSK_H
#define DOMAINS_XSK_H

#include <stdatomic.h>

#include "base/frame.h"
#include "base/pkt.h"

/* Which receive frames the kernel holds (in the fill ring, in the receive ring, or between):
 * a region that the nic writes and ip reads. Exact across a crash at any instruction, by the
 * journal: a step writes what it is about to do, does it, and clears the entry; whoever
 * comes next finishes the step (xsk.c says why that is exact). It stands still while the link
 * between nic and ip is down. */
struct nicmap {
    _Atomic uint32_t op;    /* the journal: enum nicmap_op, NICMAP_IDLE: nothing under way */
    _Atomic uint32_t index; /* kernel ring index before the step */
    _Atomic uint32_t n;     /* descriptors in the step */
    uint32_t n_frames;
    _Alignas(CACHE_LINE) _Atomic uint8_t held[]; /* one per receive frame: 1, held */
};
enum nicmap_op { NICMAP_IDLE, NICMAP_RX, NICMAP_FILL };

struct xsk;

static inline size_t
nicmap_bytes(uint32_t n_rx_frames)
{
    return sizeof(struct nicmap) + n_rx_frames;
}

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

/* Received frames, at most max. The kernel gets the slots back at xsk_rx_done, which the
 * caller calls after it has published them (all, or the first n). */
must_check unsigned xsk_rx_peek(struct xsk *x, struct fdesc *out, unsigned max);
void xsk_rx_done(struct xsk *x, unsigned n);
/* Empty receive frames for the kernel; returns how many were dealt with, fitted or refused.
 * A frame address that is not the start of a receive frame, or is held already, is refused
 * and counted (*refused grows). */
must_check unsigned xsk_fill(struct xsk *x, const struct fdesc *f, unsigned n,
                             unsigned *refused);
unsigned xsk_fill_space(struct xsk *x);
/* Frames to send, each of which xsk_tx_ok accepts; returns how many fitted. */
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

/* Would the kernel complete this frame? One that it refuses is never seen again. It has
 * to lie inside one frame of a transmit part. f may come from a hostile peer. */
static inline bool
xsk_tx_ok(const struct frames *all, const struct fdesc *f)
{
    enum frame_part p = frames_part(all, f->addr);
    return p != PART_RX && p < PARTS_UMEM && f->len != 0 &&
           f->len <= FRAME_SIZE - f->addr % FRAME_SIZE;
}

#endif
