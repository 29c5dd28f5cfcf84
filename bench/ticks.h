/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ticks.h: a composition of one to four domains in one process: the same components, and
 * between them the same rings and the same code that the domains have, so that what separation
 * costs a packet can be counted, also by valgrind, which no confined domain can run under.
 */
#ifndef BENCH_TICKS_H
#define BENCH_TICKS_H

#include "domains/domain.h"
#include "domains/join.h"

struct ticks {
    unsigned domains; /* 1: calls; 2: nic | rest; 3: nic | ip | tcp; 4: and udp */
    uint32_t addr;    /* which of the two stacks is counted, host order */
    uint64_t packets, turns, ticks;
};

extern struct ticks ticks;

/* Everything of one turn that is counted is done in here: valgrind's --toggle-collect. */
bool ticks_measured(struct join *j, const struct fdesc *rx, unsigned n, ns_t now);

/* domains/join.c under other names (ticks_plain.c). */
void plain_join_init(struct join *j, struct ip *ip, struct tcp *tcp, struct udp *udp,
                     uint32_t *freed, uint32_t *done_tcp, uint32_t *done_udp);
void plain_join_begin(struct join *j);
bool plain_join_turn(struct join *j, const struct fdesc *rx, unsigned n, ns_t now);
bool plain_join_tx_done(struct join *j, uint32_t addr);
ns_t plain_join_deadline(const struct join *j);

/* The ip domain's own turn (ticks_ip.c includes domains/ip_main.c). peer: nic, tcp, udp. */
void ticks_ip_init(struct domain *d, struct ip *ip, const struct frames *f, struct stats *st);
enum turn ticks_ip_turn(struct domain *d, ns_t now);

/* A transport's turn as in domains/transport.c, but for its clients, who are served elsewhere.
 */
bool ticks_tcp_turn(struct tcp *t, struct link *l, ns_t now);
bool ticks_udp_turn(struct udp *u, struct link *l, ns_t now);

#endif
