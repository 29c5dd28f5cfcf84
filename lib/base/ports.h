/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ports.h: for each local UDP port whether its datagrams are wanted (region "ports": udp
 * writes, ip reads), so that ip drops a flood before it takes room and time from others (lazy
 * receiver processing). It is a hint: a wrong word costs UDP its datagrams, and nobody else
 * anything.
 */
#ifndef BASE_PORTS_H
#define BASE_PORTS_H

#include <stdatomic.h>

#include "base.h"

enum port_want {
    PORT_WANTED, /* zero: a table that nobody has written to yet refuses nothing */
    PORT_FULL,   /* every session that has the port has no room */
    PORT_NOBODY, /* worth only as many as are answered with ICMP port unreachable */
};

struct port_table {
    _Atomic uint8_t want[65536]; /* enum port_want; anything else is as PORT_WANTED */
};

static inline void
port_set(struct port_table *t, uint16_t port, enum port_want w)
{
    atomic_store_explicit(&t->want[port], (uint8_t)w, memory_order_relaxed);
}
static inline uint8_t
port_get(const struct port_table *t, uint16_t port)
{
    return atomic_load_explicit(&t->want[port], memory_order_relaxed);
}

#endif
