/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What tcp and udp send. A descriptor comes from a domain that may be broken: it is
 * copied, and nothing in it is believed. What is wrong costs the sender its packet.
 */
#include <errno.h>

#include "priv.h"

#define TTL_DEFAULT 64
#define TTL_GROUP 1 /* RFC 1112 6.1 */

static const struct transport {
    enum frame_part part;
    uint8_t proto;
    uint8_t header; /* bytes that a first fragment has at least */
} TRANSPORT[IP_UPS] = {
    [IP_UP_TCP] = {PART_TCPTX, WIRE_PROTO_TCP, TCP_HEADER},
    [IP_UP_UDP] = {PART_UDPTX, WIRE_PROTO_UDP, UDP_HEADER},
};

/* What was sent is not needed any more, unless the address was never the sender's. */
static void
give_back(struct ip *ip, struct ip_out *out, enum ip_up from, const struct pkt *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (frames_part(&ip->f, p[i].addr) == TRANSPORT[from].part)
            ip_tx_release(ip, out, (enum owner)from, p[i].addr);
}

/* Copies the packet that starts at in[0]: up to FRAME_MAX_CHAIN descriptors. Returns
 * their number; `whole` is false if the chain did not end within them. */
static unsigned
copy_chain(struct pkt *p, const struct pkt *in, unsigned n, bool *whole)
{
    unsigned k = 0;
    *whole = false;
    while (k < n && k < FRAME_MAX_CHAIN && !*whole) {
        p[k] = in[k];
        *whole = p[k].kind != PKT_DATA || !(p[k].flags & PKT_MORE);
        k++;
    }
    return k;
}

enum verdict { FINE, BAD, TOO_BIG };

/* May a packet on the wire be in several frames? */
static bool
packets_join(const struct ip *ip)
{
    return ip->cfg.mtu > FRAME_MTU && !ip->cfg.segments;
}

/* Every descriptor of a chain by itself, and what they make together: a fragment each, or
 * several where they are joined. */
static enum verdict
check_chain(const struct ip *ip, enum ip_up from, const struct pkt *p, unsigned n,
            struct part *part)
{
    const struct transport *t = &TRANSPORT[from];
    uint32_t total = 0, fragment = 0, joined = 0;
    bool big = false, whole = p->flags & PKT_WHOLE;
    /* Only where somebody will do what is left to do, and that is TCP. */
    if ((p->flags & (PKT_WHOLE | PKT_CSUM)) &&
        (!ip->cfg.segments || from != IP_UP_TCP || ip_is_local(ip_addr_kind(ip, &p->dst))))
        return BAD;
    for (unsigned i = 0; i < n; i++) {
        uint32_t len = p[i].len;
        if (p[i].kind != PKT_DATA || len < (i == 0 ? t->header : 1u) ||
            p[i].addr % FRAME_SIZE < TX_HEADROOM || len > FRAME_ROOM ||
            frames_rw(&ip->f, PART_BIT(t->part), p[i].addr, len) == NULL)
            return BAD;
        bool join = p[i].flags & PKT_JOIN;
        joined = join ? joined + 1 : 0;
        if (join && (i + 1 == n || whole || joined == FRAME_MAX_PACKET || !packets_join(ip)))
            return BAD;
        total += len;
        fragment += len;
        big |= fragment + IP4_HEADER > ip->cfg.mtu;
        if (i + 1 < n && !join && fragment % 8 != 0 && !whole)
            return BAD;
        if (!join)
            fragment = 0;
        part[i] = (struct part){p[i].addr, (uint16_t)len, join || (whole && i + 1 < n)};
    }
    return big || total > DATAGRAM_MAX ? TOO_BIG : FINE;
}

/* A source of our own; and one of loopback's for what stays here (RFC 1122 3.2.1.3 (g)). */
static bool
source_ok(const struct ip *ip, const struct ipaddr *src, enum addr_kind to)
{
    return ipaddr_eq(src, &ip->cfg.addr) || (ipaddr_is_loopback(src) && ip_is_local(to));
}

static void
output_one(struct ip *ip, struct ip_out *out, enum ip_up from, const struct pkt *p, unsigned n,
           ns_t now)
{
    struct part part[FRAME_MAX_CHAIN];
    enum addr_kind to = ip_addr_kind(ip, &p->dst);
    enum verdict v = check_chain(ip, from, p, n, part);
    if (v == BAD || !source_ok(ip, &p->src, to) || !ipaddr_is_v4(&p->dst)) {
        stat_inc(ip->stats, STAT_ip_drop_tx_bad);
        give_back(ip, out, from, p, n);
        return;
    }
    struct ip4_hdr h = {
        .src = p->src,
        .dst = p->dst,
        .tos = p->tos,
        .ttl = p->ttl != 0            ? p->ttl
               : to == ADDR_MULTICAST ? TTL_GROUP
                                      : TTL_DEFAULT,
        .proto = TRANSPORT[from].proto,
        .df = p->flags & PKT_DF,
    };
    if (v == TOO_BIG) {
        /* Whoever built it did not know the MTU: tell. */
        uint8_t l4[8];
        memcpy(l4, ip->f.base + p->addr, sizeof l4);
        struct pkt msg = up_icmp_about(&h, l4, EMSGSIZE, 4, ip->cfg.mtu);
        stat_inc(ip->stats, STAT_ip_drop_tx_toobig);
        give_back(ip, out, from, p, n);
        up_icmp(ip, out, &msg);
    } else if (ip_is_local(to) && ip->state == IP_READY) {
        loopback_output(ip, out, from, &h, part, n);
        give_back(ip, out, from, p, n);
    } else {
        ip_transmit(ip, out, (enum owner)from, p->client, &h, part, n, p->flags & PKT_CSUM,
                    now);
    }
}

/* Nobody listens there, says udp: the quote is in a frame of its own. */
static void
reject(struct ip *ip, struct ip_out *out, enum ip_up from, const struct pkt *p, ns_t now)
{
    const uint8_t *q = frames_ro(&ip->f, PART_BIT(TRANSPORT[from].part), p->addr, p->len);
    struct icmp_quote quote;
    uint8_t copy[ICMP_QUOTE_MAX];
    size_t len = min_u32(p->len, sizeof copy);

    if (q != NULL)
        memcpy(copy, q, len);
    give_back(ip, out, from, p, 1);
    if (q == NULL || from != IP_UP_UDP) {
        stat_inc(ip->stats, STAT_ip_drop_tx_bad);
        return;
    }
    bool whole = icmp_quote_parse(&quote, copy, len) == WIRE_OK;
    /* About datagrams alone: an error that quotes a segment would end somebody's connection. */
    if (whole && quote.ip.proto != WIRE_PROTO_UDP) {
        stat_inc(ip->stats, STAT_icmp_drop_rule);
        return;
    }
    /* A socket of our own is told without a packet. */
    if (whole && quote.ip.frag_off == 0 && ip_is_local(ip_addr_kind(ip, &quote.ip.src)) &&
        ip_is_local(ip_addr_kind(ip, &quote.ip.dst))) {
        struct pkt msg =
            up_icmp_about(&quote.ip, copy + quote.ip.header_len, ECONNREFUSED, 3, 0);
        up_icmp(ip, out, &msg);
        return;
    }
    icmp_error(ip, out, ICMP_UNREACH, 3, copy, len, now);
}

unsigned
ip_output(struct ip *ip, enum ip_up from, const struct pkt *pkt, unsigned n, struct ip_out *out,
          ns_t now)
{
    unsigned i = 0;
    ip_nic_drain(ip, out, now);
    while (i < n) {
        bool whole;
        unsigned k = copy_chain(ip->chain, pkt + i, n - i, &whole);
        /* The rest of it may be in the next batch, unless this is one already. */
        if (!whole && i > 0 && k < FRAME_MAX_CHAIN)
            break;
        if (!ip_nic_room(ip, out, k))
            break;
        if (!whole) {
            stat_inc(ip->stats, STAT_ip_drop_tx_bad);
            give_back(ip, out, from, ip->chain, k);
        } else if (ip->chain[0].kind == PKT_REJECT) {
            reject(ip, out, from, ip->chain, now);
        } else {
            output_one(ip, out, from, ip->chain, k, now);
        }
        i += k;
    }
    return i;
}
