/* SPDX-License-Identifier: BSD-2-Clause
 *
 * link.h: the channel between two neighbouring domains: two halves, each a region
 * that one side writes and the other maps read-only; two rings in each direction; a
 * bell in each direction.
 *
 *   LINK_NIC  a = nic  rings rx (fdesc: frames received), done (fdesc: frames sent)
 *             b = ip   rings tx (fdesc: frames to send),  fill (fdesc: empty frames)
 *   LINK_UP   a = ip   rings up (pkt: packets, messages), done (fdesc: frames sent)
 *             b = tcp or udp   rings down (pkt)
 *
 * Frames are the credit: every ring but `up` has room for all the frames that could be
 * in it, so it is never full between honest sides and nobody waits for room. `up` is
 * smaller than the receive pool on purpose: a transport that does not read cannot hold
 * all receive memory; ip drops and charges it. A descriptor of `up` gives its receive
 * frame back by being released, so nothing needs to be returned and nothing forged.
 */
#ifndef IPC_LINK_H
#define IPC_LINK_H

#include "base/pkt.h"
#include "bell.h"
#include "ring.h"

enum link_kind { LINK_NIC, LINK_UP };
enum link_side { LINK_A, LINK_B };

#define LINK_RINGS 2u

/* The first bytes of each half, written by the half's owner alone. */
struct link_half {
    _Alignas(CACHE_LINE) _Atomic uint32_t want;
    struct {
        _Alignas(CACHE_LINE) ring_word tail;
    } produce[LINK_RINGS];
    struct {
        _Alignas(CACHE_LINE) ring_word head;
    } consume[LINK_RINGS];
};

struct link_sizes {
    uint32_t cap[2][LINK_RINGS]; /* [side][ring]: slots, power of two; 0: no such ring */
};

/* The sizes that fit `frames` (see above). */
struct frames;
void link_sizes_for(struct link_sizes *s, enum link_kind kind, const struct frames *f);

/* Bytes of one side's half, a page multiple. */
size_t link_half_bytes(enum link_kind kind, enum link_side side, const struct link_sizes *s);

struct link {
    struct ring_tx tx[LINK_RINGS];
    struct ring_rx rx[LINK_RINGS];
    void *tx_slots[LINK_RINGS];       /* in our half */
    const void *rx_slots[LINK_RINGS]; /* in the peer's */
    struct bell_sleeper sleeper;
    struct bell_ringer ringer;
    bool up; /* the peer is there */
};

/* Zero our half: before the peer attaches, at start and after a death on either side. */
void link_half_clear(void *own, enum link_kind kind, enum link_side side,
                     const struct link_sizes *s);

/* Both halves are cleared and both sides live: take the link up. fd_sleep: read end of
 * our bell, fd_ring: write end of the peer's. */
void link_init(struct link *l, enum link_kind kind, enum link_side side,
               const struct link_sizes *s, void *own, const void *peer, int fd_sleep,
               int fd_ring);

/* Publish everything reserved and ring the peer if it sleeps. Returns true if it rang. */
bool link_submit(struct link *l);

/* Give back everything taken. */
void link_release(struct link *l);

/* Going to sleep: arm, and look again. True: something waits, or a ring was found poisoned
 * just now; do not sleep. */
bool link_arm(struct link *l);

/* The peer wrote an index that cannot be. */
bool link_poisoned(const struct link *l);

RING_DEFINE(fring, struct fdesc)
RING_DEFINE(pring, struct pkt)

#endif
