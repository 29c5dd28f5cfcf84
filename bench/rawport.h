/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rawport.h: an interface by AF_XDP alone, or by AF_PACKET with its segments of 64 KiB, without
 * a stack: the same socket, program and ring code that the nic domain uses, in a program that
 * hands out frames. What it can do is the limit of any stack over it.
 */
#ifndef BENCH_RAWPORT_H
#define BENCH_RAWPORT_H

#include "base/frame.h"
#include "base/stats.h"
#include "domains/driver.h"
#include "domains/netif.h"

#define RAWPORT_FRAMES 4096u /* of each direction */

struct rawport {
    struct netif netif;
    struct frames frames;
    struct driver *driver;
    struct stats stats; /* the driver's */
    struct nicmap *map;
    struct ipaddr addr, heard; /* who answered an ARP request last */
    uint8_t heard_mac[6];
    uint32_t free[RAWPORT_FRAMES]; /* transmit frames that the kernel does not have */
    uint32_t n_free;
    /* Shown every frame that comes, ARP's too; NULL: nobody looks into them. */
    void (*hear)(void *arg, const uint8_t *frame, size_t len);
    void *hear_arg;
};

/* Take over what comes to addr; packet: by AF_PACKET. Exits with a message when it cannot. */
void rawport_open(struct rawport *p, const char *interface, const struct ipaddr *addr,
                  bool packet);
void rawport_close(struct rawport *p);

/* Queue frames that are the last of p->free, in whatever order; returns how many fitted, which
 * are no longer free. kick: have the kernel send; true: it took some, kick again. queued: is
 * there anything to kick for? outstanding: frames that are not back; unsent: those that the
 * kernel may still read. */
unsigned rawport_send(struct rawport *p, const struct fdesc *f, unsigned n);
bool rawport_kick(struct rawport *p);
bool rawport_queued(const struct rawport *p);
unsigned rawport_outstanding(const struct rawport *p);
unsigned rawport_unsent(const struct rawport *p);

/* Take back what was sent; the frames are in p->free. */
void rawport_reclaim(struct rawport *p);
/* Up to BATCH_MAX received frames; those of ARP are answered. Each goes back by rawport_return.
 */
unsigned rawport_receive(struct rawport *p, struct fdesc *f);
void rawport_return(struct rawport *p, const struct fdesc *f, unsigned n);

/* The station that has the address; false: nobody answers for two seconds. */
bool rawport_resolve(struct rawport *p, const struct ipaddr *who, uint8_t mac[6]);

#endif
