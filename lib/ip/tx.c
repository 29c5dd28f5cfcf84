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

bool
ip_waits_nic(const struct ip *ip)
{
    return ip->txq_n != 0;
}

static void
nic_push(struct ip *ip, struct ip_out *out, enum owner who, struct fdesc d)
{
    out->nic[out->n_nic++] = d;
    if (who == OWNER_IP)
        pool_move(&ip->iptx, d.addr, HELD_IP, HELD_NIC);
}

void
ip_nic_send(struct ip *ip, struct ip_out *out, enum owner who, const struct fdesc *d,
            unsigned n, ns_t now)
{
    if (likely(ip_nic_room(ip, out, n))) {
        for (unsigned i = 0; i < n; i++)
            nic_push(ip, out, who, d[i]);
    } else if (ip->txq_cap - ip->txq_n >= n) {
        for (unsigned i = 0; i < n; i++)
            ip->txq[(ip->txq_head + ip->txq_n++) % ip->txq_cap] =
                (struct txq_slot){.frame = d[i], .who = who};
        ip_wake_at(ip, now + RETRY_NIC);
    } else {
        stat_inc(ip->stats, STAT_ip_drop_tx_nobuf);
        for (unsigned i = 0; i < n; i++)
            ip_tx_release(ip, out, who, d[i].addr);
    }
}

/* The frames of the packet that has waited longest; 0: none waits. */
static uint32_t
txq_packet(const struct ip *ip)
{
    uint32_t n = 0;
    bool more = true;
    for (; n < ip->txq_n && more; n++)
        more = ip->txq[(ip->txq_head + n) % ip->txq_cap].frame.flags & FDESC_MORE;
    return n;
}

void
ip_nic_drain(struct ip *ip, struct ip_out *out, ns_t now)
{
    uint32_t n;
    while ((n = txq_packet(ip)) != 0 && out->cap_nic - out->n_nic >= n)
        for (; n > 0; n--) {
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

/* Headers in front of each fragment, and frames[] filled in: those of one fragment are one
 * packet of Ethernet. Returns the number of fragments. */
static unsigned
put_all(struct ip *ip, enum owner who, struct ip4_hdr *h, const struct part *part, unsigned n,
        const uint8_t mac[6], struct fdesc *frames)
{
    uint32_t off = 0;
    unsigned fragments = 0;
    for (unsigned i = 0, next; i < n; i = next, fragments++) {
        uint32_t total = part[i].len;
        for (next = i + 1; part[next - 1].join; next++) {
            frames[next] = (struct fdesc){.addr = part[next].addr, .len = part[next].len};
            frames[next].flags = part[next].join ? FDESC_MORE : 0;
            total += part[next].len;
        }
        h->mf = next < n;
        if (i == 0) {
            h->df = h->df && !h->mf;
            /* Where it is cut further down, each gets the next one. */
            h->id = h->df ? (uint16_t)ip_rand(ip) : ip_identify(ip, &h->dst, h->proto);
        }
        h->frag_off = (uint16_t)off;
        frames[i] = put_headers(ip, who, h, &part[i], total, mac);
        frames[i].flags = part[i].join ? FDESC_MORE : 0;
        off += total;
    }
    return fragments;
}

/* The packets of a datagram, one by one. */
static void
send_all(struct ip *ip, struct ip_out *out, enum owner who, const struct fdesc *frames,
         unsigned n, ns_t now)
{
    for (unsigned i = 0, next; i < n; i = next) {
        for (next = i + 1; frames[next - 1].flags & FDESC_MORE; next++)
            ;
        ip_nic_send(ip, out, who, frames + i, next - i, now);
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
            struct ip4_hdr *h, const struct part *part, unsigned n, bool csum, ns_t now)
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
    unsigned fragments = put_all(ip, who, h, part, n, mac, frames);
    frames[0].flags |= csum ? FDESC_CSUM : 0;
    if (nb == NULL || nb->state != NEIGH_INCOMPLETE) {
        send_all(ip, out, who, frames, n, now);
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
    if (fragments > 1)
        stat_add(ip->stats, STAT_ip_frag_tx, fragments);
}
