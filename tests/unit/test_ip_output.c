/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IPv4 output: headers, routes, what a transport may not do, loopback.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "test_ip_kit.h"

static void
expect_mac(const struct kit *k, unsigned i, uint32_t owner)
{
    uint8_t mac[6];
    uint32_t len;
    peer_mac(mac, owner);
    cr_assert(mac_eq(kit_nic(k, i, &len), mac));
}

/* The packet goes nowhere, for this reason; its frame comes back at once. */
static void
expect_refused(struct kit *k, enum ip_up from, const struct pkt *p, unsigned n,
               enum stat_id why, const char *what)
{
    kit_mark(k);
    cr_expect_eq(kit_out(k, from, p, n), n, "%s: not taken", what);
    cr_expect_eq(kit_stat(k, why), 1, "%s: not counted", what);
    cr_expect_eq(kit_drops(k), 1, "%s: counted twice", what);
    cr_expect_eq(k->out.n_nic, 0, "%s: sent", what);
    cr_expect_eq(kit_away(k), 0, "%s: frame kept", what);
    kit_clear(k);
}

/* Ethernet and IP header of a TCP segment, in front of the bytes that tcp wrote. */
Test(ip_output, headers)
{
    struct kit *k = kit_ready();
    const uint8_t *l4;
    struct pkt p = kit_pkt(k, IP_UP_TCP, PEER, 100, 0x5a);
    p.flags = PKT_DF;
    p.tos = 0x12;
    p.proto = WIRE_PROTO_UDP; /* a lie: tcp sends TCP */
    cr_assert_eq(kit_out(k, IP_UP_TCP, &p, 1), 1);
    struct ip4_hdr h = kit_nic_ip(k, 0, &l4);
    expect_mac(k, 0, PEER);
    cr_assert_eq(k->nic[0].addr, p.addr - L2L3);
    cr_assert_eq(h.proto, WIRE_PROTO_TCP);
    cr_assert_eq(h.total_len, 120);
    cr_assert_eq(h.tos, 0x12);
    cr_assert_eq(h.ttl, 64);
    cr_assert(h.df && !h.mf && h.frag_off == 0);
    cr_assert_eq(ipaddr_to_u32(&h.src), OUR_IP);
    cr_assert_eq(ipaddr_to_u32(&h.dst), PEER);
    cr_assert_eq(be16(l4), 7);
    cr_assert_eq(l4[99], 0x5a);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);

    p = kit_pkt(k, IP_UP_UDP, PEER, 8, 0);
    p.ttl = 3;
    kit_out(k, IP_UP_UDP, &p, 1);
    h = kit_nic_ip(k, 0, &l4);
    cr_assert_eq(h.ttl, 3);
    cr_assert(!h.df);
    cr_assert_eq(h.proto, WIRE_PROTO_UDP);
    kit_free(k);
}

/* Connected network, gateway, broadcast, multicast. */
Test(ip_output, routes)
{
    struct kit *k = kit_ready();
    const uint8_t *l4;
    uint32_t len;
    struct pkt p = kit_pkt(k, IP_UP_UDP, FAR, 8, 0);
    kit_out(k, IP_UP_UDP, &p, 1);
    expect_mac(k, 0, GATEWAY);
    kit_clear(k);
    const uint32_t all[] = {0xffffffff, 0x0a0000ff};
    for (unsigned i = 0; i < 2; i++) {
        p = kit_pkt(k, IP_UP_UDP, all[i], 8, 0);
        kit_out(k, IP_UP_UDP, &p, 1);
        cr_assert(mac_eq(kit_nic(k, 0, &len), ALL_MAC));
        cr_assert_eq(kit_nic_ip(k, 0, &l4).ttl, 64);
        kit_clear(k);
    }
    const uint8_t group[6] = {1, 0, 0x5e, 0x7f, 0xff, 0xfa};
    p = kit_pkt(k, IP_UP_UDP, 0xeffffffa, 8, 0);
    kit_out(k, IP_UP_UDP, &p, 1);
    cr_assert(mac_eq(kit_nic(k, 0, &len), group));
    cr_assert_eq(kit_nic_ip(k, 0, &l4).ttl, 1);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* No way there: dropped, and the session that sent it is told. */
Test(ip_output, no_route)
{
    struct ip_config c = kit_config();
    c.gateway = (struct ipaddr){0};
    struct kit *k = kit_new_with(&c, KIT_RX);
    kit_pass(k, 5 * NS_S);
    kit_clear(k);
    const uint32_t dst[] = {FAR, 0, 0x7fffffff, 0xf0000001, 0xfffffffe, 0x0a000000};
    for (unsigned i = 0; i < ARRAY_LEN(dst); i++) {
        struct pkt p = kit_pkt(k, IP_UP_TCP, dst[i], 20, 0);
        put_be32(k->mem + p.addr + 4, 0xfffffff0);
        kit_mark(k);
        cr_assert_eq(kit_out(k, IP_UP_TCP, &p, 1), 1);
        cr_assert_eq(kit_stat(k, STAT_ip_drop_tx_noroute), 1);
        cr_assert_eq(k->out.n_up[IP_UP_TCP], 1);
        const struct pkt *m = &k->up[IP_UP_TCP][0];
        cr_assert_eq(m->kind, PKT_ICMP);
        cr_assert_eq(m->err, ENETUNREACH);
        cr_assert_eq(m->proto, WIRE_PROTO_TCP);
        cr_assert(ipaddr_eq(&m->src, &p.src) && ipaddr_eq(&m->dst, &p.dst));
        cr_assert_eq(m->sport, 7);
        cr_assert_eq(m->dport, 9);
        cr_assert_eq(m->seq, 0xfffffff0);
        kit_clear(k);
    }
    /* TCP has no business with groups. */
    struct pkt p = kit_pkt(k, IP_UP_TCP, 0xffffffff, 20, 0);
    expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_noroute, "TCP to broadcast");
    p = kit_pkt(k, IP_UP_TCP, 0xe0000001, 20, 0);
    expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_noroute, "TCP to multicast");
    kit_free(k);
}

/* Networks of 31 and 32 bits have no broadcast address; 0 bits make everybody a neighbour. */
Test(ip_output, prefixes)
{
    static const struct {
        uint32_t prefix, dst, asked; /* asked: whom ARP asks; 0: broadcast; 1: no route */
    } c[] = {
        {31, 0x0a000003, 0x0a000003}, {31, 0x0a000004, GATEWAY},   {32, 0x0a000003, GATEWAY},
        {30, 0x0a000003, 0},          {30, 0x0a000000, 1},         {30, 0x0a000001, 0x0a000001},
        {0, 0x08080808, 0x08080808},  {0, 0x0a0000ff, 0x0a0000ff}, {0, 0xffffffff, 0},
        {8, 0x0affffff, 0},           {8, 0x0a0000ff, 0x0a0000ff}, {99, 0x0a000003, GATEWAY},
    };
    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        struct ip_config cfg = kit_config();
        uint32_t len;
        cfg.prefix = c[i].prefix;
        struct kit *k = kit_new_with(&cfg, KIT_RX);
        kit_pass(k, 5 * NS_S);
        kit_clear(k);
        struct pkt p = kit_pkt(k, IP_UP_UDP, c[i].dst, 8, 0);
        kit_out(k, IP_UP_UDP, &p, 1);
        if (c[i].asked == 1) {
            cr_assert_eq(kit_stat(k, STAT_ip_drop_tx_noroute), 1, "%u", i);
        } else if (c[i].asked == 0) {
            cr_assert_eq(k->nic[0].addr, p.addr - L2L3, "%u", i);
            cr_assert(mac_eq(kit_nic(k, 0, &len), ALL_MAC));
        } else {
            struct eth_hdr e;
            struct arp_pkt a = kit_nic_arp(k, 0, &e);
            cr_assert_eq(ipaddr_to_u32(&a.tpa), c[i].asked, "%u", i);
        }
        kit_free(k);
    }
}

/* Nothing is sent from an address that may be somebody else's. */
Test(ip_output, not_ready)
{
    struct kit *k = kit_new(3);
    const uint32_t dst[] = {PEER, OUR_IP, 0xffffffff, 0xe0000001};
    for (unsigned i = 0; i < ARRAY_LEN(dst); i++) {
        struct pkt p = kit_pkt(k, IP_UP_UDP, dst[i], 8, 0);
        expect_refused(k, IP_UP_UDP, &p, 1, STAT_ip_drop_tx_noroute, "while probing");
    }
    kit_free(k);
}

/* What a transport that is broken, or not its own master, may write. */
Test(ip_output, bad_descriptors)
{
    struct kit *k = kit_ready();
    const struct pkt good = kit_pkt(k, IP_UP_TCP, PEER, 40, 0);
    struct pkt p = good;
    p.src = v4(PEER);
    expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_bad, "foreign source");
    p.src = (struct ipaddr){0};
    expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_bad, "no source");
    p = good;
    p.dst.b[0] = 0x20;
    expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_bad, "IPv6 destination");
    const uint8_t kind[] = {0, PKT_ICMP, 4, 255};
    for (unsigned i = 0; i < ARRAY_LEN(kind); i++) {
        p = good;
        p.kind = kind[i];
        expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_bad, "kind");
    }
    p = good;
    p.len = 19;
    expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_bad, "less than a TCP header");
    p.len = 0;
    expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_bad, "empty");
    p.len = FRAME_SIZE - FRAME_L4 + 1;
    expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_bad, "beyond its frame");
    p.len = 65535;
    expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_bad, "length at its bound");
    p = good;
    p.addr = frame_of(p.addr) + TX_HEADROOM - 1;
    expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_bad, "no room for headers");

    /* Frames that are not the sender's are not even given back. */
    const uint32_t foreign[] = {k->f.off[PART_UDPTX] + FRAME_L4, FRAME_L4,
                                k->f.off[PART_IPTX] + FRAME_L4,  k->f.off[PART_UP] + FRAME_L4,
                                frames_bytes(&k->f) + FRAME_L4,  UINT32_MAX - 100};
    for (unsigned i = 0; i < ARRAY_LEN(foreign); i++) {
        p = good;
        p.addr = foreign[i];
        kit_mark(k);
        cr_assert_eq(ip_output(k->ip, IP_UP_TCP, &p, 1, &k->out, k->now), 1);
        cr_assert_eq(kit_stat(k, STAT_ip_drop_tx_bad), 1);
        cr_assert_eq(k->out.n_done[0] + k->out.n_done[1] + k->out.n_nic, 0);
    }
    p = good;
    p.kind = PKT_REJECT;
    expect_refused(k, IP_UP_TCP, &p, 1, STAT_ip_drop_tx_bad, "reject from tcp");
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* A udp or tcp that is not its own master any more: whatever it says of itself, what leaves is
 * of the protocol of its link, from the stack's address; and the one error that udp may ask for
 * is about a datagram that came to the stack, and goes to its sender. */
Test(ip_output, hostile_transport)
{
    struct kit *k = kit_ready();
    const uint8_t *l4;
    for (unsigned from = 0; from < IP_UPS; from++)
        for (unsigned proto = 0; proto < 256; proto++) {
            struct pkt p = kit_pkt(k, (enum ip_up)from, PEER, 40, 0x45);
            p.proto = (uint8_t)proto;
            p.flags =
                (uint8_t)(proto & ~(PKT_MORE | PKT_CSUM | PKT_WHOLE | PKT_JOIN)); /* refused */
            p.sport = p.dport = (uint16_t)proto;
            p.l3 = p.aux = 0xffff;
            p.l3_len = 0xffff;
            cr_assert_eq(kit_out(k, (enum ip_up)from, &p, 1), 1);
            cr_assert_eq(k->out.n_nic, 1, "one packet for one");
            struct ip4_hdr h = kit_nic_ip(k, 0, &l4);
            cr_assert_eq(h.proto, from == IP_UP_TCP ? WIRE_PROTO_TCP : WIRE_PROTO_UDP);
            cr_assert_eq(ipaddr_to_u32(&h.src), OUR_IP);
            cr_assert_eq(h.header_len, IP4_HEADER, "no options, no source route");
            cr_assert(!h.mf && h.frag_off == 0 && h.total_len == IP4_HEADER + 40);
            cr_assert_eq(k->nic[0].len, ETH_HEADER + IP4_HEADER + 40);
            kit_clear(k);
        }
    static const struct {
        const char *what;
        uint32_t src, dst;
        uint8_t proto;
        enum stat_id why;
    } forged[] = {
        {"about a segment", PEER, OUR_IP, WIRE_PROTO_TCP, STAT_icmp_drop_rule},
        {"about an echo", PEER, OUR_IP, WIRE_PROTO_ICMP, STAT_icmp_drop_rule},
        {"about another's datagram", PEER, GATEWAY, WIRE_PROTO_UDP, STAT_icmp_drop_rule},
        {"to a group", 0xe0000001, OUR_IP, WIRE_PROTO_UDP, STAT_icmp_drop_rule},
        {"to everybody", 0xffffffff, OUR_IP, WIRE_PROTO_UDP, STAT_icmp_drop_rule},
    };
    for (unsigned i = 0; i < ARRAY_LEN(forged); i++) {
        uint8_t data[64] = {0};
        struct frame f =
            mk_ip(forged[i].src, forged[i].dst, forged[i].proto, data, sizeof data);
        struct pkt p = kit_pkt(k, IP_UP_UDP, forged[i].src, 8, 0);
        p.kind = PKT_REJECT;
        p.len = (uint16_t)(f.len - ETH_HEADER);
        memcpy(k->mem + p.addr, f.b + ETH_HEADER, p.len);
        expect_refused(k, IP_UP_UDP, &p, 1, forged[i].why, forged[i].what);
    }
    kit_free(k);
}

/* More than the link takes is dropped, and the sender told what fits. */
Test(ip_output, too_big)
{
    struct kit *k = kit_ready();
    struct pkt p = kit_pkt(k, IP_UP_UDP, PEER, 1480, 0);
    cr_assert_eq(kit_out(k, IP_UP_UDP, &p, 1), 1);
    cr_assert_eq(k->out.n_nic, 1);
    kit_clear(k);
    p = kit_pkt(k, IP_UP_UDP, PEER, 1481, 0);
    cr_assert_eq(kit_out(k, IP_UP_UDP, &p, 1), 1);
    cr_assert_eq(k->out.n_nic, 0);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_tx_toobig), 1);
    cr_assert_eq(k->up[IP_UP_UDP][0].err, EMSGSIZE);
    cr_assert_eq(k->up[IP_UP_UDP][0].aux, 1500);
    cr_assert_eq(k->up[IP_UP_UDP][0].sport, 7);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* A chain is one datagram in fragments. */
Test(ip_output, fragments)
{
    struct kit *k = kit_ready();
    struct pkt p[FRAME_MAX_CHAIN];
    const uint8_t *l4;
    uint16_t id = 0;
    unsigned n = 45;
    for (unsigned i = 0; i < n; i++) {
        p[i] = kit_pkt(k, IP_UP_UDP, PEER, i + 1 < n ? 1480 : 395, (uint8_t)i);
        p[i].flags = i + 1 < n ? PKT_MORE | PKT_DF : 0; /* DF makes no sense here */
    }
    cr_assert_eq(kit_out(k, IP_UP_UDP, p, n), n);
    cr_assert_eq(k->out.n_nic, n);
    for (unsigned i = 0; i < n; i++) {
        struct ip4_hdr h = kit_nic_ip(k, i, &l4);
        id = i == 0 ? h.id : id;
        cr_assert_eq(h.id, id);
        cr_assert_eq(h.frag_off, i * 1480);
        cr_assert_eq(h.mf, i + 1 < n);
        cr_assert(!h.df);
        cr_assert_eq(l4[10], i);
    }
    cr_assert_eq(kit_stat(k, STAT_ip_tx), 1);
    cr_assert_eq(kit_stat(k, STAT_ip_frag_tx), n);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);

    p[0] = kit_pkt(k, IP_UP_UDP, PEER, 1001, 0);
    p[0].flags = PKT_MORE;
    p[1] = kit_pkt(k, IP_UP_UDP, PEER, 100, 0);
    expect_refused(k, IP_UP_UDP, p, 2, STAT_ip_drop_tx_bad, "odd length in the middle");
    for (unsigned i = 0; i < 48; i++) {
        p[i] = kit_pkt(k, IP_UP_UDP, PEER, 1480, 0);
        p[i].flags = i < 47 ? PKT_MORE : 0;
    }
    kit_mark(k);
    cr_assert_eq(kit_out(k, IP_UP_UDP, p, 48), 48);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_tx_toobig), 1, "beyond 65515 bytes");
    cr_assert_eq(kit_away(k), 0);
    p[47].flags = PKT_MORE;
    expect_refused(k, IP_UP_UDP, p, 48, STAT_ip_drop_tx_bad, "endless chain");
    expect_refused(k, IP_UP_UDP, p, 1, STAT_ip_drop_tx_bad, "chain without an end");
    kit_free(k);
}

/* A chain that the batch cuts is left for the next one. */
Test(ip_output, chain_across_batches)
{
    struct kit *k = kit_ready();
    struct pkt p[4];
    for (unsigned i = 0; i < 4; i++)
        p[i] = kit_pkt(k, IP_UP_UDP, PEER, 800, 0);
    p[1].flags = p[2].flags = PKT_MORE;
    cr_assert_eq(kit_out(k, IP_UP_UDP, p, 2), 1);
    cr_assert_eq(kit_out(k, IP_UP_UDP, p + 1, 3), 3);
    cr_assert_eq(k->out.n_nic, 4);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Only as much is taken as the NIC has room for; what ip itself sends then waits and
 * goes first as soon as there is room. */
Test(ip_output, back_pressure)
{
    struct kit *k = kit_ready();
    struct pkt p[5];
    const uint8_t *l4;
    for (unsigned i = 0; i < 5; i++)
        p[i] = kit_pkt(k, IP_UP_UDP, PEER, 800, 0);
    p[2].flags = p[3].flags = PKT_MORE;
    k->out.cap_nic = 4;
    cr_assert_eq(kit_out(k, IP_UP_UDP, p, 5), 2);
    struct frame f = mk_echo(PEER, 10);
    for (unsigned i = 0; i < 4; i++)
        kit_in(k, &f);
    cr_assert_eq(k->out.n_nic, 4);
    cr_assert_eq(ip_frames_held(k->ip), 4);
    cr_assert_eq(kit_out(k, IP_UP_UDP, p + 2, 3), 0);
    cr_assert_leq(ip_deadline(k->ip), k->now + NS_MS);
    kit_clear(k);
    k->out.cap_nic = KIT_CAP;
    cr_assert_eq(kit_out(k, IP_UP_UDP, p + 2, 3), 3);
    cr_assert_eq(k->out.n_nic, 5);
    cr_assert_eq(kit_nic_ip(k, 0, &l4).proto, WIRE_PROTO_ICMP);
    cr_assert_eq(kit_nic_ip(k, 1, &l4).proto, WIRE_PROTO_ICMP);
    cr_assert_eq(kit_nic_ip(k, 2, &l4).proto, WIRE_PROTO_UDP);
    kit_clear(k);
    kit_pass(k, NS_S);
    cr_assert_eq(ip_deadline(k->ip), NS_NEVER);
    cr_assert_eq(ip_frames_held(k->ip), 0);
    cr_assert_eq(kit_drops(k), 0);
    kit_free(k);
}

/* Identification: never the same twice in a row of datagrams to one host, and not one
 * counter that other hosts can follow. */
Test(ip_output, identification)
{
    struct kit *k = kit_ready();
    static uint8_t seen[65536];
    const uint8_t *l4;
    unsigned followed = 0;
    uint16_t last_far = 0;
    for (unsigned i = 0; i < 2000; i++) {
        struct pkt p = kit_pkt(k, IP_UP_UDP, PEER, 8, 0);
        kit_out(k, IP_UP_UDP, &p, 1);
        uint16_t id = kit_nic_ip(k, 0, &l4).id;
        cr_assert(!seen[id], "repeated after %u", i);
        seen[id] = 1;
        kit_clear(k);
        p = kit_pkt(k, IP_UP_UDP, FAR + i, 8, 0);
        kit_out(k, IP_UP_UDP, &p, 1);
        uint16_t far = kit_nic_ip(k, 0, &l4).id;
        followed += (uint16_t)(far - last_far) < 16 || (uint16_t)(far - id) < 16;
        last_far = far;
        kit_clear(k);
    }
    cr_assert_lt(followed, 20, "%u of 2000 guessed", followed);
    kit_free(k);
}

/* To our own address: up again in the same call, through the loopback pool. */
Test(ip_output, loopback)
{
    struct kit *k = kit_ready();
    struct pkt p = kit_pkt(k, IP_UP_TCP, OUR_IP, 500, 0x77);
    p.tos = 4;
    cr_assert_eq(kit_out(k, IP_UP_TCP, &p, 1), 1);
    cr_assert_eq(k->out.n_nic, 0);
    cr_assert_eq(k->out.n_up[IP_UP_TCP], 1);
    const struct pkt *u = &k->up[IP_UP_TCP][0];
    cr_assert_eq(frames_part(&k->f, u->addr), PART_UP);
    cr_assert_eq(u->flags, PKT_LOCAL);
    cr_assert_eq(u->kind, PKT_DATA);
    cr_assert_eq(u->proto, WIRE_PROTO_TCP);
    cr_assert_eq(u->len, 500);
    cr_assert_eq(u->aux, 500);
    cr_assert_eq(u->tos, 4);
    cr_assert_eq(u->ttl, 64);
    cr_assert_eq(u->l3_len, 520);
    cr_assert(ipaddr_eq(&u->src, &k->cfg.addr) && ipaddr_eq(&u->dst, &k->cfg.addr));
    cr_assert_eq(memcmp(k->mem + u->addr, k->mem + p.addr, 500), 0);
    struct ip4_hdr h;
    cr_assert_eq(ip4_parse(&h, k->mem + u->l3, u->l3_len), WIRE_OK);
    cr_assert_eq(kit_stat(k, STAT_ip_loopback), 1);
    cr_assert_eq(ip_frames_held(k->ip), 1);
    kit_clear(k);
    cr_assert_eq(ip_frames_held(k->ip), 0);

    struct pkt c[3];
    for (unsigned i = 0; i < 3; i++) {
        c[i] = kit_pkt(k, IP_UP_UDP, OUR_IP, 1480, (uint8_t)i);
        c[i].flags = i < 2 ? PKT_MORE : 0;
    }
    cr_assert_eq(kit_out(k, IP_UP_UDP, c, 3), 3);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 3);
    for (unsigned i = 0; i < 3; i++) {
        u = &k->up[IP_UP_UDP][i];
        cr_assert_eq(u->flags, PKT_LOCAL | (i < 2 ? PKT_MORE : 0));
        cr_assert_eq(k->mem[u->addr + 1000], i);
    }
    cr_assert_eq(k->up[IP_UP_UDP][0].aux, 3 * 1480);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* All of 127.0.0.0/8 is this stack: what goes there, or to our own address from there, comes
 * up again and says the addresses that it was sent with. */
Test(ip_output, loopback_addresses)
{
    static const uint32_t local[] = {OUR_IP, 0x7f000000, 0x7f000001, 0x7f010203, 0x7ffffffe};
    struct kit *k = kit_ready();
    for (unsigned from = 0; from < ARRAY_LEN(local); from++)
        for (unsigned to = 0; to < ARRAY_LEN(local); to++)
            for (unsigned up = 0; up < IP_UPS; up++) {
                struct pkt p = kit_pkt(k, (enum ip_up)up, local[to], 40, 0);
                p.src = v4(local[from]);
                cr_assert_eq(kit_out(k, (enum ip_up)up, &p, 1), 1);
                cr_assert_eq(k->out.n_nic, 0);
                cr_assert_eq(k->out.n_up[up], 1);
                const struct pkt *u = &k->up[up][0];
                cr_assert(u->kind == PKT_DATA && u->flags == PKT_LOCAL);
                cr_assert(ipaddr_eq(&u->src, &p.src) && ipaddr_eq(&u->dst, &p.dst));
                struct ip4_hdr h;
                cr_assert_eq(ip4_parse(&h, k->mem + u->l3, u->l3_len), WIRE_OK);
                cr_assert(ipaddr_eq(&h.src, &p.src) && ipaddr_eq(&h.dst, &p.dst));
                kit_clear(k);
            }
    cr_assert_eq(kit_drops(k), 0);
    kit_free(k);
}

/* Nothing with an address of 127.0.0.0/8 goes onto the wire, whatever a transport asks for. */
Test(ip_output, loopback_stays)
{
    static const uint32_t away[] = {PEER,       FAR,        GATEWAY,    0xffffffff,
                                    0x0a0000ff, 0xe0000001, 0x7fffffff, 0};
    struct kit *k = kit_ready();
    for (unsigned i = 0; i < ARRAY_LEN(away); i++)
        for (unsigned up = 0; up < IP_UPS; up++) {
            struct pkt p = kit_pkt(k, (enum ip_up)up, away[i], 40, 0);
            p.src = v4(0x7f000001);
            expect_refused(k, (enum ip_up)up, &p, 1, STAT_ip_drop_tx_bad, "from loopback");
            cr_assert_eq(k->out.n_up[IP_UP_TCP] + k->out.n_up[IP_UP_UDP], 0);
        }
    struct pkt p = kit_pkt(k, IP_UP_UDP, 0x7fffffff, 40, 0);
    expect_refused(k, IP_UP_UDP, &p, 1, STAT_ip_drop_tx_noroute, "to its broadcast address");
    kit_free(k);
}

/* Loopback drops when there is no room or no frame, and a transport that keeps its
 * frames leaves some to the other. */
Test(ip_output, loopback_bounds)
{
    struct kit *k = kit_ready();
    k->out.cap_up[IP_UP_TCP] = 1;
    for (unsigned i = 0; i < 2; i++) {
        struct pkt p = kit_pkt(k, IP_UP_TCP, OUR_IP, 20, 0);
        cr_assert_eq(kit_out(k, IP_UP_TCP, &p, 1), 1);
    }
    cr_assert_eq(kit_stat(k, STAT_ip_drop_queue_tcp), 1);
    kit_clear(k);
    for (unsigned i = 0; i < KIT_UP; i++) {
        struct pkt p = kit_pkt(k, IP_UP_UDP, OUR_IP, 20, 0);
        cr_assert_eq(kit_out(k, IP_UP_UDP, &p, 1), 1);
    }
    cr_assert_eq(k->out.n_up[IP_UP_UDP], KIT_UP * 3 / 4);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_tx_nobuf), KIT_UP / 4);
    struct pkt p = kit_pkt(k, IP_UP_TCP, OUR_IP, 20, 0);
    cr_assert_eq(kit_out(k, IP_UP_TCP, &p, 1), 1);
    cr_assert_eq(k->out.n_up[IP_UP_TCP], 1);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    cr_assert_eq(ip_frames_held(k->ip), 0);
    kit_free(k);
}
