/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The way out to the NIC. What a transport sends is taken only while there is room;
 * what ip sends by itself, and what waited for ARP, is kept here when there is none.
 */
#include <errno.h>

#include "priv.h"

bool
ip_nic_room(const struct ip *ip, const struct ip_out *out, uint32_t n)
{
    return ip->txq_n == 0 && out->cap_nic - out->n_nic >= n;
}

static void
nic_push(struct ip *ip, struct ip_out *out, enum owner who, struct fdesc d)
{
    out->nic[out->n_nic++] = d;
    if (who == OWNER_IP)
        pool_move(&ip->iptx, d.addr, HELD_IP, HELD_NIC);
}

void
ip_nic_send(struct ip *ip, struct ip_out *out, enum owner who, struct fdesc d, ns_t now)
{
    if (ip_nic_room(ip, out, 1)) {
        nic_push(ip, out, who, d);
    } else if (ip->txq_n < ip->txq_cap) {
        uint32_t i = (ip->txq_head + ip->txq_n++) % ip->txq_cap;
        ip->txq[i] = (struct txq_slot){.frame = d, .who = who};
        ip_wake_at(ip, now + RETRY_NIC);
    } else {
        stat_inc(ip->stats, STAT_ip_drop_tx_nobuf);
        ip_tx_release(ip, out, who, d.addr);
    }
}

void
ip_nic_drain(struct ip *ip, struct ip_out *out, ns_t now)
{
    while (ip->txq_n != 0 && out->n_nic < out->cap_nic) {
        const struct txq_slot *s = &ip->txq[ip->txq_head];
        nic_push(ip, out, (enum owner)s->who, s->frame);
        ip->txq_head = (ip->txq_head + 1) % ip->txq_cap;
        ip->txq_n--;
    }
    if (ip->txq_n != 0)
        ip_wake_at(ip, now + RETRY_NIC);
}

uint8_t *
ip_frame_take(struct ip *ip, uint32_t reserve, uint32_t *addr)
{
    if (ip->iptx.n_free <= reserve || !pool_take(&ip->iptx, HELD_IP, addr)) {
        stat_inc(ip->stats, STAT_ip_drop_tx_nobuf);
        return NULL;
    }
    uint8_t *p = frames_rw(&ip->f, PART_BIT(PART_IPTX), *addr, FRAME_SIZE);
    if (p == NULL) /* the part is not mapped here */
        pool_return(&ip->iptx, *addr, HELD_IP);
    ip_count_frames(ip);
    return p;
}

static uint32_t
part_of(enum owner who)
{
    static const uint32_t bit[] = {
        [OWNER_TCP] = PART_BIT(PART_TCPTX),
        [OWNER_UDP] = PART_BIT(PART_UDPTX),
        [OWNER_IP] = PART_BIT(PART_IPTX),
    };
    return bit[who];
}

/* Ethernet and IP header in front of one fragment, or of what has `total` bytes in this and the
 * following frames. */
static struct fdesc
put_headers(struct ip *ip, enum owner who, struct ip4_hdr *h, const struct part *part,
            uint32_t total, const uint8_t mac[6])
{
    struct fdesc d = {.addr = part->addr - L2L3, .len = (uint16_t)(part->len + L2L3)};
    uint8_t *p = frames_rw(&ip->f, part_of(who), d.addr, d.len);
    struct eth_hdr e = {.type = ETH_TYPE_IP4};
    memcpy(e.dst, mac, 6);
    memcpy(e.src, ip->cfg.mac, 6);
    h->total_len = (uint16_t)(IP4_HEADER + total);
    eth_emit(p, &e);
    ip4_emit(p + ETH_HEADER, h);
    return d;
}

static void
drop_all(struct ip *ip, struct ip_out *out, enum owner who, const struct part *part, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        ip_tx_release(ip, out, who, part[i].addr);
}

/* RFC 1112 6.4. */
static void
group_mac(uint8_t mac[6], const struct ipaddr *dst, enum addr_kind kind)
{
    memset(mac, 0xff, 6);
    if (kind == ADDR_MULTICAST) {
        const uint8_t m[6] = {0x01, 0x00, 0x5e, dst->b[13] & 0x7f, dst->b[14], dst->b[15]};
        memcpy(mac, m, 6);
    }
}

/* What the transport is told of a packet that finds no way. A copy of its first bytes,
 * for the transport may be changing them. */
static struct pkt
unreachable(struct ip *ip, enum owner who, const struct ip4_hdr *h, const struct part *part,
            int err, uint8_t code)
{
    uint8_t l4[8] = {0};
    const uint8_t *p = frames_ro(&ip->f, part_of(who), part->addr, part->len);
    if (p != NULL)
        memcpy(l4, p, min_u32(part->len, sizeof l4));
    return up_icmp_about(h, l4, err, code, 0);
}

/* One packet of n frames. */
static void
put_whole(struct ip *ip, enum owner who, struct ip4_hdr *h, const struct part *part, unsigned n,
          const uint8_t mac[6], struct fdesc *frames)
{
    uint32_t total = 0;
    for (unsigned i = 0; i < n; i++) {
        frames[i] = (struct fdesc){.addr = part[i].addr, .len = (uint16_t)part[i].len};
        frames[i].flags = i + 1 < n ? FDESC_MORE : 0;
        total += part[i].len;
    }
    h->id = (uint16_t)ip_rand(ip); /* each that is cut from it gets the next one */
    uint16_t more = frames[0].flags;
    frames[0] = put_headers(ip, who, h, part, total, mac);
    frames[0].flags = more;
}

/* Fragments 0..n-1: headers written, frames[] filled in. */
static void
put_all(struct ip *ip, enum owner who, struct ip4_hdr *h, const struct part *part, unsigned n,
        const uint8_t mac[6], struct fdesc *frames)
{
    uint32_t off = 0;
    h->df = h->df && n == 1;
    h->id = h->df ? (uint16_t)ip_rand(ip) : ip_identify(ip, &h->dst, h->proto);
    for (unsigned i = 0; i < n; i++) {
        h->frag_off = (uint16_t)off;
        h->mf = i + 1 < n;
        frames[i] = put_headers(ip, who, h, &part[i], part[i].len, mac);
        off += part[i].len;
    }
}

static void
no_route(struct ip *ip, struct ip_out *out, enum owner who, const struct ip4_hdr *h,
         const struct part *part, unsigned n)
{
    stat_inc(ip->stats, STAT_ip_drop_tx_noroute);
    struct pkt msg = unreachable(ip, who, h, part, ENETUNREACH, 0);
    drop_all(ip, out, who, part, n);
    if (who != OWNER_IP)
        up_icmp(ip, out, &msg);
}

static void
no_queue(struct ip *ip, struct ip_out *out, enum owner who, const struct part *part, unsigned n)
{
    stat_inc(ip->stats, STAT_arp_drop_queue);
    drop_all(ip, out, who, part, n);
}

void
ip_transmit(struct ip *ip, struct ip_out *out, enum owner who, uint32_t client,
            struct ip4_hdr *h, const struct part *part, unsigned n, unsigned flags, ns_t now)
{
    uint16_t holder = neigh_holder(who, client);
    struct fdesc frames[OWN_CHAIN_MAX];
    uint8_t mac[6] = {0};
    struct neigh *nb = NULL;
    struct ipaddr hop;
    enum addr_kind kind = ip_addr_kind(ip, &h->dst);
    bool group = kind == ADDR_BROADCAST || kind == ADDR_MULTICAST;

    if (ip->state != IP_READY || (group ? who == OWNER_TCP : kind != ADDR_HOST) ||
        (!group && !ip_next_hop(ip, &h->dst, &hop))) {
        no_route(ip, out, who, h, part, n);
        return;
    }
    if (group) {
        group_mac(mac, &h->dst, kind);
    } else {
        nb = neigh_use(ip, out, &hop, holder, now);
        if (nb == NULL) {
            no_queue(ip, out, who, part, n);
            return;
        }
        memcpy(mac, nb->mac, 6);
    }
    if (flags & PKT_WHOLE)
        put_whole(ip, who, h, part, n, mac, frames);
    else
        put_all(ip, who, h, part, n, mac, frames);
    frames[0].flags |= flags & PKT_CSUM ? FDESC_CSUM : 0;
    if (nb == NULL || nb->state != NEIGH_INCOMPLETE) {
        for (unsigned i = 0; i < n; i++)
            ip_nic_send(ip, out, who, frames[i], now);
    } else {
        struct wait_slot w = {.icmp = unreachable(ip, who, h, part, EHOSTUNREACH, 1),
                              .holder = holder,
                              .who = (uint8_t)who};
        if (!neigh_queue(ip, out, nb, &w, frames, n)) {
            no_queue(ip, out, who, part, n);
            return;
        }
    }
    stat_inc(ip->stats, STAT_ip_tx);
    if (n > 1 && !(flags & PKT_WHOLE))
        stat_add(ip->stats, STAT_ip_frag_tx, n);
}
