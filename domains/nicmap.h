/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nicmap.h: which receive frames are on the kernel's side of the nic, for who comes after a
 * crash.
 */
#ifndef DOMAINS_NICMAP_H
#define DOMAINS_NICMAP_H

#include <stdatomic.h>

#include "base/base.h"

/* Which receive frames the kernel holds (in the fill ring, in the receive ring, or between), or
 * the nic for it: a region that the nic writes and ip reads. Exact across a crash at any
 * instruction, by the journal: a step writes what it is about to do, does it, and clears the
 * entry; whoever comes next finishes the step (xsk.c says why that is exact). It stands still
 * while the link between nic and ip is down. */
struct nicmap {
    _Atomic uint32_t op;    /* the journal: enum nicmap_op, NICMAP_IDLE: nothing under way */
    _Atomic uint32_t index; /* kernel ring index before the step */
    _Atomic uint32_t n;     /* descriptors in the step */
    uint32_t n_frames;
    _Alignas(CACHE_LINE) _Atomic uint8_t held[]; /* one per receive frame: 1, held */
};
enum nicmap_op { NICMAP_IDLE, NICMAP_RX, NICMAP_FILL };

static inline size_t
nicmap_bytes(uint32_t n_rx_frames)
{
    return sizeof(struct nicmap) + n_rx_frames;
}

#endif
