/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ip_start.h: what the ip domain and the monolith do the same way around the ip component.
 */
#ifndef DOMAINS_IP_START_H
#define DOMAINS_IP_START_H

#include "domain.h"
#include "ip/ip.h"

/* Who holds a receive frame; FRAME_FREE is not used: what is free goes to the NIC at once. */
enum { HOLD_NIC = 1, HOLD_IP = 2 };

/* Zeroed memory before confinement, and there; ends the domain if there is none. */
void *domain_need(size_t bytes);

/* The component, as the supervisor configured it. */
struct ip *ip_start(struct domain *d);

/* Tell the supervisor when the address became ours, or somebody else's. */
void ip_tell_state(struct domain *d, const struct ip *ip, enum ip_state *told);

/* The NIC handed up f: did it hold that frame, and do the bytes lie inside it? Then it is ours
 * now; else it is refused and counted. */
bool ip_rx_take(struct domain *d, uint8_t *rx_holder, const struct fdesc *f);

#endif
