/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Received frames. Receive memory can change while it is looked at: header bytes are
 * copied once, the copy is checked, and nothing but the copy is used.
 */
#include "priv.h"

/* One received packet: its place, and a copy of its first bytes. */
struct rx {
    const struct fdesc *frame;
    unsigned n;
    uint32_t addr, len; /* of the first frame; of all */
    bool link_group;    /* sent to a group of stations */
    uint8_t head[ETH_HEADER + IP4_HEADER_MAX];
};

static enum rx_fate
drop(struct ip *ip, enum stat_id why)
{
    stat_inc(ip->stats, why);
    return RX_FREE;
}

/* RFC 1122 3.2.2.1: no such protocol here. */
static enum rx_fate
no_protocol(struct ip *ip, struct ip_out *out, const struct dgram *g, ns_t now)
{
    if (!g->group)
        icmp_error_about(ip, out, ICMP_UNREACH, 2, g->l3, g->h->header_len + g->part[0].len,
                         now);
    return drop(ip, STAT_ip_drop_proto);
}

enum rx_fate
ip_deliver(struct ip *ip, struct ip_out *out, const struct dgram *g, ns_t now)
{
    switch (g->h->proto) {
    case WIRE_PROTO_TCP:
        return up_deliver(ip, out, IP_UP_TCP, g);
    case WIRE_PROTO_UDP:
        return port_deliver(ip, out, g, now);
    case WIRE_PROTO_ICMP:
        icmp_input(ip, out, g, now);
        return RX_FREE;
    default:
        return no_protocol(ip, out, g, now);
    }
}

static enum stat_id
parse_drop(enum wire_err e)
{
    return e == WIRE_SHORT      ? STAT_ip_drop_short
           : e == WIRE_CHECKSUM ? STAT_ip_drop_checksum
                                : STAT_ip_drop_header;
}

/* Where the bytes behind the IP header are. Returns the number of parts; 0: the first frame is
 * too short for its header. */
static unsigned
split_parts(struct part *part, const struct rx *rx, const struct ip4_hdr *h)
{
    uint32_t skip = ETH_HEADER + h->header_len, left = (uint32_t)h->total_len - h->header_len;
    unsigned n = 0;
    if (rx->frame[0].len < skip)
        return 0;
    do {
        uint32_t here = min_u32(rx->frame[n].len - skip, left);
        part[n] = (struct part){.addr = rx->frame[n].addr + skip, .len = (uint16_t)here};
        left -= here;
        skip = 0;
    } while (++n < rx->n && left > 0);
    return n;
}

static enum rx_fate
ip4_input(struct ip *ip, struct ip_out *out, const struct rx *rx, ns_t now)
{
    struct ip4_hdr h;
    if (ip->state != IP_READY)
        return drop(ip, STAT_ip_drop_not_ours);
    enum wire_err e = ip4_parse(&h, rx->head + ETH_HEADER, rx->len - ETH_HEADER);
    if (unlikely(e != WIRE_OK))
        return drop(ip, parse_drop(e));
    enum addr_kind to = ip_addr_kind(ip, &h.dst);
    bool group = to == ADDR_BROADCAST || to == ADDR_MULTICAST;
    if (to != ADDR_OWN && !group)
        return drop(ip, STAT_ip_drop_not_ours);
    /* To one host, but shouted at all of them (RFC 1122 3.3.6); or to a group, where
     * only UDP has listeners. */
    if (group ? h.proto != WIRE_PROTO_UDP : rx->link_group)
        return drop(ip, STAT_ip_drop_not_ours);
    if (unlikely(ip_addr_kind(ip, &h.src) != ADDR_HOST))
        return drop(ip, STAT_ip_drop_source);
    if (unlikely(h.source_routed))
        return drop(ip, STAT_ip_drop_options);
    struct part part[FRAME_MAX_CHAIN];
    struct dgram g = {
        .h = &h,
        .part = part,
        .n = split_parts(part, rx, &h),
        .total = (uint32_t)h.total_len - h.header_len,
        .l3 = rx->addr + ETH_HEADER,
        .group = group,
        .csum_done = ip->cfg.segments && (rx->frame[0].flags & FDESC_CSUM),
    };
    if (g.n == 0)
        return drop(ip, STAT_ip_drop_short);
    bool fragment = h.mf || h.frag_off != 0;
    enum rx_fate fate =
        unlikely(fragment) ? reasm_input(ip, out, &g, now) : ip_deliver(ip, out, &g, now);
    for (unsigned i = g.n; i < rx->n && fate == RX_KEPT; i++)
        ip_rx_free(ip, out, rx->frame[i].addr); /* nothing but padding in there */
    return fate;
}

static enum rx_fate
ether_input(struct ip *ip, struct ip_out *out, struct rx *rx, ns_t now)
{
    struct eth_hdr e;
    switch (eth_parse(&e, rx->head, rx->len)) {
    case WIRE_OK:
        break;
    case WIRE_SHORT:
        return drop(ip, STAT_ip_drop_short);
    default:
        return drop(ip, STAT_ip_drop_source);
    }
    rx->link_group = e.dst[0] & 1;
    if (!rx->link_group && !mac_eq(e.dst, ip->cfg.mac))
        return drop(ip, STAT_ip_drop_not_ours);
    switch (e.type) {
    case ETH_TYPE_IP4:
        return ip4_input(ip, out, rx, now);
    case ETH_TYPE_ARP:
        arp_input(ip, out, rx->head + ETH_HEADER,
                  min_u32(rx->len, sizeof rx->head) - ETH_HEADER, now);
        return RX_FREE;
    default:
        return drop(ip, STAT_ip_drop_ethertype);
    }
}

/* A copy of fixed size is several times faster: what lies behind a short packet in its
 * frame comes along, and nobody looks at it. */
static void
copy_head(struct rx *r, const uint8_t *p)
{
    if (likely(FRAME_SIZE - r->addr % FRAME_SIZE >= sizeof r->head))
        memcpy(r->head, p, sizeof r->head);
    else
        memcpy(r->head, p, min_u32(r->frame[0].len, sizeof r->head));
}

/* Could the next frame complete a chain that a transport has room for, but not before the
 * caller hands on what is in its array? With nothing in it there is no use in waiting. */
static bool
up_nearly_full(const struct ip_out *out)
{
    for (unsigned u = 0; u < IP_UPS; u++)
        if (out->n_up[u] != 0 && out->cap_up[u] - out->n_up[u] < FRAME_MAX_CHAIN)
            return true;
    return false;
}

/* The packet that begins at rx[0]: how many of n descriptors it has. A nic is not believed that
 * it has several where no packet is larger than a frame. */
static unsigned
packet_frames(const struct ip *ip, const struct fdesc *rx, unsigned n)
{
    bool several = ip->cfg.segments || ip->cfg.mtu > FRAME_MTU;
    unsigned k = 1;
    while ((rx[k - 1].flags & FDESC_MORE) && several && k < n && k < FRAME_MAX_CHAIN)
        k++;
    return k;
}

/* A frame that is held already was not the NIC's to report. */
static bool
frame_ok(const struct ip *ip, const struct fdesc *f)
{
    return frames_ro(&ip->f, PART_BIT(PART_RX), f->addr, f->len) != NULL &&
           !reasm_holds(ip, f->addr);
}

static bool
packet_open(struct ip *ip, struct ip_out *out, struct rx *r)
{
    unsigned good = 0;
    r->len = 0;
    for (unsigned i = 0; i < r->n; i++) {
        good += frame_ok(ip, &r->frame[i]);
        r->len += r->frame[i].len;
    }
    if (likely(good == r->n))
        return true;
    for (unsigned i = 0; i < r->n; i++)
        if (frame_ok(ip, &r->frame[i]))
            ip_rx_free(ip, out, r->frame[i].addr);
    stat_add(ip->stats, STAT_refused_frames, r->n - good);
    return false;
}

/* Headers up to TCP's options are in two lines. */
#define AHEAD 3
#define HEAD_LINES 2

unsigned
ip_input(struct ip *ip, const struct fdesc *rx, unsigned n, struct ip_out *out, ns_t now)
{
    unsigned i = 0;
    ip_nic_drain(ip, out, now);
    for (unsigned k = 0; k < min_u32(n, AHEAD); k++)
        frames_prefetch(&ip->f, rx[k].addr, HEAD_LINES);
    while (i < n && !up_nearly_full(out)) {
        struct rx r;
        if (i + AHEAD < n)
            frames_prefetch(&ip->f, rx[i + AHEAD].addr, HEAD_LINES);
        r.frame = &rx[i];
        r.n = packet_frames(ip, &rx[i], n - i);
        r.addr = rx[i].addr;
        i += r.n;
        if (unlikely(!packet_open(ip, out, &r)))
            continue;
        copy_head(&r, ip->f.base + r.addr);
        stat_inc(ip->stats, STAT_ip_rx);
        if (ether_input(ip, out, &r, now) == RX_FREE)
            for (unsigned k = 0; k < r.n; k++)
                ip_rx_free(ip, out, r.frame[k].addr);
    }
    return i;
}
