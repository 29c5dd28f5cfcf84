/* SPDX-License-Identifier: BSD-2-Clause
 *
 * join.h: ip, tcp and udp joined by calls, the next with the batch in hand: the monolith and
 * the simulated stacks of the tests. No ring, no copy of a descriptor that is not needed, and
 * no system call in here.
 */
#ifndef DOMAINS_JOIN_H
#define DOMAINS_JOIN_H

#include "ip/ip.h"
#include "tcp/tcp.h"
#include "udp/udp.h"

#define JOIN_NIC 512u /* frames to send that one turn may produce */
#define JOIN_OUT 256u /* the most of them that a transport may in one step */

struct join {
    struct ip *ip;
    struct tcp *tcp;
    struct udp *udp;
    unsigned batch;    /* that it may here: BATCH_MAX, more where packets have several */
    struct ip_out out; /* nic and freed: the caller takes them after each turn */
    struct fdesc nic[JOIN_NIC];
    struct pkt up[IP_UPS][BATCH_MAX + FRAME_MAX_CHAIN];
};

/* freed, done: room for every frame of the frame space each. */
void join_init(struct join *j, struct ip *ip, struct tcp *tcp, struct udp *udp, uint32_t *freed,
               uint32_t *done_tcp, uint32_t *done_udp);

/* Forget the results of the last turn. */
void join_begin(struct join *j);

/* Received frames (n <= BATCH_MAX + FRAME_MAX_CHAIN) go up, what the transports have goes down,
 * timers run. The results are in j->out.nic and j->out.freed until join_begin. True: something
 * was done. */
bool join_turn(struct join *j, const struct fdesc *rx, unsigned n, ns_t now);

/* The NIC has sent a frame. False: it is no transmit frame. */
bool join_tx_done(struct join *j, uint32_t addr);

ns_t join_deadline(const struct join *j);

#endif
