/* SPDX-License-Identifier: BSD-2-Clause
 *
 * port.h: one end of the wire: all frames of one interface, in and out, past the kernel's own
 * stack (AF_PACKET).
 */
#ifndef BENCH_WIRE_PORT_H
#define BENCH_WIRE_PORT_H

#include "base/base.h"

#define PORT_BATCH 64u
#define PORT_PREFIX 10u /* bytes before a frame: the kernel's struct virtio_net_hdr */

struct port {
    const char *name;
    int fd;
    unsigned mtu;
};

/* A received frame. */
struct port_frame {
    uint8_t *bytes; /* PORT_PREFIX bytes before it are ours too */
    uint32_t len;
    ns_t at;     /* when the kernel had it */
    bool filled; /* its sender had left the checksum to the card; it is filled in now */
};

/* Open the interface: offloads off, promiscuous. Says why and exits when it cannot be had:
 * EXIT_NO_INTERFACE, EXIT_PRIVILEGE or EXIT_OTHER. */
void port_open(struct port *p, const char *name);

/* Receive what there is into `into`, of which each has room for `size` bytes, prefix included;
 * at most PORT_BATCH. out[i] is what came in into[i]; len 0: it is none, because it is longer
 * than a frame can be. Returns how many; 0: nothing more; -1 with errno: the port is gone. */
int port_receive(struct port *p, uint8_t *const into[PORT_BATCH], uint32_t size,
                 struct port_frame out[PORT_BATCH]);

/* Send n frames, at most PORT_BATCH. Returns how many the interface took. */
unsigned port_send(struct port *p, const struct port_frame *frames, unsigned n);

/* What the kernel dropped since the last call because we were late. */
uint64_t port_missed(struct port *p);

#endif
