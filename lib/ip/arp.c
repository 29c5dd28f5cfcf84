/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ARP packets (RFC 826) and the right to the own address (RFC 5227).
 */
#include "priv.h"

static const uint8_t BROADCAST[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void
arp_send(struct ip *ip, struct ip_out *out, const struct arp_pkt *a, const uint8_t to[6],
         ns_t now)
{
    uint32_t addr;
    uint8_t *p = ip_frame_take(ip, 0, &addr);
    if (p == NULL)
        return;
    struct eth_hdr e = {.type = ETH_TYPE_ARP};
    memcpy(e.dst, to, 6);
    memcpy(e.src, ip->cfg.mac, 6);
    struct fdesc d = {.addr = addr + FRAME_L4 - ETH_HEADER, .len = ETH_HEADER + ARP_BYTES};
    p += FRAME_L4 - ETH_HEADER;
    eth_emit(p, &e);
    arp_emit(p + ETH_HEADER, a);
    stat_inc(ip->stats, STAT_arp_tx);
    ip_nic_send(ip, out, OWNER_IP, &d, 1, now);
}

void
arp_request(struct ip *ip, struct ip_out *out, const struct ipaddr *target, const uint8_t *to,
            ns_t now)
{
    struct arp_pkt a = {.op = ARP_REQUEST, .spa = ip->cfg.addr, .tpa = *target};
    memcpy(a.sha, ip->cfg.mac, 6);
    arp_send(ip, out, &a, to != NULL ? to : BROADCAST, now);
}

static void
announce(struct ip *ip, struct ip_out *out, ns_t now)
{
    arp_request(ip, out, &ip->cfg.addr, NULL, now);
}

/* RFC 5227 2.1.1: a request that names no sender, so that nobody learns from it. */
static void
probe(struct ip *ip, struct ip_out *out, ns_t now)
{
    struct arp_pkt a = {.op = ARP_REQUEST, .spa = ipaddr_v4_u32(0), .tpa = ip->cfg.addr};
    memcpy(a.sha, ip->cfg.mac, 6);
    arp_send(ip, out, &a, BROADCAST, now);
}

static void
become_ready(struct ip *ip, ns_t now)
{
    ip->state = IP_READY;
    ip->announce_left = ANNOUNCE_NUM;
    ip->dad_due = now;
    __atomic_store_n(&ip->path->ready, 1u, __ATOMIC_RELEASE);
}

void
arp_start(struct ip *ip, ns_t now)
{
    if (ip->cfg.probe_interval == 0)
        ip->cfg.probe_interval = NS_S; /* RFC 5227 1.1: PROBE_MIN */
    ip->probes_left = ip->cfg.probes;
    if (ip->probes_left == 0) {
        become_ready(ip, now);
        ip_wake_at(ip, now); /* to announce it */
        return;
    }
    /* Hosts that are switched on together must not probe together. */
    ip->state = IP_PROBING;
    ip->dad_due = now + ip_rand(ip) % ip->cfg.probe_interval;
    ip_wake_at(ip, ip->dad_due);
}

void
arp_timer(struct ip *ip, struct ip_out *out, ns_t now)
{
    if (ip->state == IP_PROBING && now >= ip->dad_due) {
        if (ip->probes_left == 0) {
            become_ready(ip, now);
        } else {
            ip->probes_left--;
            ip->dad_due = now + ip->cfg.probe_interval;
            probe(ip, out, now);
        }
    }
    if (ip->state == IP_READY && ip->announce_left != 0 && now >= ip->dad_due) {
        ip->announce_left--;
        ip->dad_due = now + ANNOUNCE_INTERVAL;
        announce(ip, out, now);
    }
    if (ip->state == IP_PROBING || (ip->state == IP_READY && ip->announce_left != 0))
        ip_wake_at(ip, ip->dad_due);
}

/* Somebody else uses the address. While probing: it is theirs. Later it is ours, and
 * is defended, but no more than once in ten seconds (RFC 5227 2.4 (c)). */
static void
conflict(struct ip *ip, struct ip_out *out, const uint8_t mac[6], ns_t now)
{
    stat_inc(ip->stats, STAT_arp_conflict);
    if (ip->state == IP_CONFLICT)
        return;
    memcpy(ip->conflict_mac, mac, 6);
    if (ip->state == IP_PROBING) {
        ip->state = IP_CONFLICT;
        return;
    }
    if (ip->defended && now - ip->last_defence < DEFEND_INTERVAL)
        return;
    ip->defended = true;
    ip->last_defence = now;
    announce(ip, out, now);
}

static void
reply(struct ip *ip, struct ip_out *out, const struct arp_pkt *to, ns_t now)
{
    struct arp_pkt a = {.op = ARP_REPLY, .spa = ip->cfg.addr, .tpa = to->spa};
    memcpy(a.sha, ip->cfg.mac, 6);
    memcpy(a.tha, to->sha, 6);
    arp_send(ip, out, &a, to->sha, now);
}

void
arp_input(struct ip *ip, struct ip_out *out, const uint8_t *p, size_t len, ns_t now)
{
    static const uint8_t zero[6];
    struct arp_pkt a;
    stat_inc(ip->stats, STAT_arp_rx);
    if (arp_parse(&a, p, len) != WIRE_OK || mac_eq(a.sha, zero)) {
        stat_inc(ip->stats, STAT_arp_drop_bad);
        return;
    }
    if (mac_eq(a.sha, ip->cfg.mac)) /* our own, come back through a loop */
        return;
    bool ours = ipaddr_eq(&a.tpa, &ip->cfg.addr);
    bool is_probe = a.op == ARP_REQUEST && ipaddr_is_any(&a.spa);
    if (ipaddr_eq(&a.spa, &ip->cfg.addr) || (ip->state == IP_PROBING && is_probe && ours)) {
        conflict(ip, out, a.sha, now);
        return;
    }
    if (ip->state != IP_READY)
        return;
    if (is_probe) {
        if (ours)
            reply(ip, out, &a, now);
        return;
    }
    if (ip_addr_kind(ip, &a.spa) != ADDR_HOST) {
        stat_inc(ip->stats, STAT_arp_drop_bad);
        return;
    }
    bool near = ip_on_link(ip, &a.spa) || ipaddr_eq(&a.spa, &ip->cfg.gateway);
    neigh_learn(ip, out, &a.spa, a.sha, a.op == ARP_REPLY && ours,
                a.op == ARP_REQUEST && ours && near, now);
    if (a.op == ARP_REQUEST && ours)
        reply(ip, out, &a, now);
}
