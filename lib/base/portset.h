/* SPDX-License-Identifier: BSD-2-Clause
 *
 * portset.h: a set of local ports, a bit each, in which a port that is not there is found in
 * the same short time however many are. Pure.
 */
#ifndef BASE_PORTSET_H
#define BASE_PORTSET_H

#include "base.h"

/* So many sessions may be bound to one port (SO_REUSEPORT, SO_REUSEADDR): whoever looks among
 * them, for a bind or for what arrives, has looked at them all soon. */
#define PORT_SHARED_MAX 256u

struct portset {
    uint64_t w[65536 / 64];
};

static inline bool
portset_has(const struct portset *s, uint32_t port)
{
    return (s->w[port / 64] >> port % 64 & 1) != 0;
}
static inline void
portset_put(struct portset *s, uint32_t port, bool in)
{
    s->w[port / 64] &= ~(1ull << port % 64);
    s->w[port / 64] |= (uint64_t)in << port % 64;
}

/* The first of [from, to] that is not in the set; 0: there is none. */
static inline uint16_t
portset_gap(const struct portset *s, uint32_t from, uint32_t to)
{
    uint64_t first = ~0ull << from % 64;
    for (uint32_t w = from / 64; w <= to / 64; w++, first = ~0ull) {
        uint64_t m = ~s->w[w] & first;
        uint32_t port = m != 0 ? w * 64 + (uint32_t)__builtin_ctzll(m) : 0;
        if (m != 0)
            return port <= to ? (uint16_t)port : 0;
    }
    return 0;
}

/* The same in [first, last], beginning at `start` and going round. */
static inline uint16_t
portset_free(const struct portset *s, uint32_t first, uint32_t last, uint32_t start)
{
    uint16_t port = portset_gap(s, start, last);
    return port == 0 && start > first ? portset_gap(s, first, start - 1) : port;
}

#endif
