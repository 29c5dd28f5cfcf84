/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Datagrams that udp does not want are dropped here, before they take room in its queue and
 * its time: whose port is flooded loses, and no other session. Looked at are whole datagrams,
 * as only the first fragment has the port.
 */
#include "priv.h"

#define NOBODY_COST (ICMP_ERROR_COST / 2) /* twice as many as may be answered */

/* The port that it is for; 0, which nobody can have: it is none that udp could take. */
static uint16_t
port_of(const struct ip *ip, uint32_t readable, const struct part *part, uint32_t total)
{
    struct udp_hdr h;
    uint8_t head[UDP_HEADER];
    const uint8_t *p = frames_ro(&ip->f, readable, part->addr, UDP_HEADER);
    if (part->len < UDP_HEADER || p == NULL)
        return 0;
    memcpy(head, p, sizeof head);
    return udp_parse(&h, head, total) == WIRE_OK ? h.dport : 0;
}

static bool
full(struct ip *ip, uint16_t port)
{
    if (port_get(ip->cfg.ports, port) != PORT_FULL)
        return false;
    struct shed *s = &ip->shed[port % PORT_SHED];
    if (s->port != port)
        *s = (struct shed){.port = port};
    s->n++;
    stat_inc(ip->stats, STAT_ip_drop_port_full);
    return true;
}

/* How many were dropped for a port since it was asked last. */
static uint32_t
take_shed(struct ip *ip, uint16_t port)
{
    struct shed *s = &ip->shed[port % PORT_SHED];
    uint32_t n = s->port == port ? s->n : 0;
    if (n != 0)
        s->n = 0;
    return n;
}

enum rx_fate
port_deliver(struct ip *ip, struct ip_out *out, const struct dgram *g, ns_t now)
{
    if (ip->cfg.ports == NULL)
        return up_deliver(ip, out, IP_UP_UDP, g);
    uint16_t port = port_of(ip, PART_BIT(PART_RX), g->part, g->total);
    if (full(ip, port))
        return RX_FREE;
    if (port_get(ip->cfg.ports, port) == PORT_NOBODY &&
        (g->group || !limit_spend(ip, &ip->nobody, NOBODY_COST, now))) {
        stat_inc(ip->stats, STAT_ip_drop_port_closed);
        return RX_FREE;
    }
    uint32_t first = out->n_up[IP_UP_UDP];
    if (up_deliver(ip, out, IP_UP_UDP, g) == RX_FREE)
        return RX_FREE;
    out->up[IP_UP_UDP][first].seq = take_shed(ip, port);
    return RX_KEPT;
}

bool
port_takes_own(struct ip *ip, const struct part *part, uint32_t total)
{
    return ip->cfg.ports == NULL || !full(ip, port_of(ip, PART_BIT(PART_UDPTX), part, total));
}
