/* SPDX-License-Identifier: BSD-2-Clause
 *
 * xsk_priv.h: what xsk.c keeps; here so that the unit test can put rings in plain memory
 * where the kernel's would be.
 */
#ifndef DOMAINS_XSK_PRIV_H
#define DOMAINS_XSK_PRIV_H

#include "xsk.h"

/* One ring: one side is the kernel's. Indices run free over 32 bits. */
struct xsk_ring {
    _Atomic uint32_t *producer;
    _Atomic uint32_t *consumer;
    const _Atomic uint32_t *flags;
    void *desc;     /* struct xdp_desc (rx, tx) or uint64_t (fill, completion) */
    uint32_t mine;  /* our index, as published */
    uint32_t other; /* the kernel's index when we last looked */
};

struct xsk {
    struct driver driver;
    struct xsk_ring rx, tx, fill, done;
    uint32_t size; /* descriptors of each ring, power of two */
    uint32_t n_rx; /* receive frames */
    struct nicmap *map;
    int fd;
    struct driver_retry retry;
};

/* Finish the step that the predecessor died in, if any, and take up the indices. */
void xsk_recover(struct xsk *x);

#endif
