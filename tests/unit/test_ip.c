/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IPv4 input: what is handed up, and every reason for which a packet is not.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "test_ip_kit.h"

/* The packet is dropped for this reason and no other, and nothing comes of it. */
static void
expect_drop(struct kit *k, const struct frame *f, enum stat_id why, const char *what)
{
    kit_mark(k);
    kit_in(k, f);
    cr_expect_eq(kit_stat(k, why), 1, "%s: not counted", what);
    cr_expect_eq(kit_drops(k), 1, "%s: %lu drops", what, (unsigned long)kit_drops(k));
    cr_expect_eq(k->out.n_up[0] + k->out.n_up[1], 0, "%s: handed up", what);
    cr_expect_eq(kit_away(k), k->out.n_nic, "%s: frame kept", what);
    kit_clear(k);
}

/* A ready stack with no probes asked for is ready at once, says so in the path table,
 * announces itself twice and then sleeps for good. */
Test(ip, ready_and_idle)
{
    struct kit *k = kit_new(0);
    struct eth_hdr e;
    cr_assert_eq(ip_state(k->ip), IP_READY);
    cr_assert_eq(k->path.ready, 1);
    cr_assert(ipaddr_eq(&k->path.addr, &k->cfg.addr));
    cr_assert_eq(k->path.mtu, 1500);
    kit_pass(k, 0);
    struct arp_pkt a = kit_nic_arp(k, 0, &e);
    cr_assert(ipaddr_eq(&a.spa, &k->cfg.addr) && ipaddr_eq(&a.tpa, &k->cfg.addr));
    cr_assert(mac_eq(e.dst, ALL_MAC));
    kit_pass(k, 10 * NS_S);
    cr_assert_eq(k->out.n_nic, 2);
    cr_assert_eq(ip_deadline(k->ip), NS_NEVER);
    kit_clear(k);
    cr_assert_eq(ip_frames_held(k->ip), 0);
    kit_free(k);
}

/* TCP and UDP come up with all that the transports need, in the received frame. */
Test(ip, demux)
{
    struct kit *k = kit_ready();
    struct frame f = mk_tcp(PEER, OUR_IP, 100);
    f.b[ETH_HEADER + 1] = 0x2e;
    f.b[ETH_HEADER + 8] = 17;
    mk_fix(&f);
    kit_in(k, &f);
    cr_assert_eq(k->out.n_up[IP_UP_TCP], 1);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 0);
    const struct pkt *p = &k->up[IP_UP_TCP][0];
    cr_assert_eq(p->kind, PKT_DATA);
    cr_assert_eq(p->proto, WIRE_PROTO_TCP);
    cr_assert_eq(p->flags, 0);
    cr_assert_eq(p->len, 120);
    cr_assert_eq(p->aux, 120);
    cr_assert_eq(p->tos, 0x2e);
    cr_assert_eq(p->ttl, 17);
    cr_assert_eq(p->l3_len, 140);
    cr_assert_eq(p->addr, p->l3 + IP4_HEADER);
    cr_assert_eq(ipaddr_to_u32(&p->src), PEER);
    cr_assert_eq(ipaddr_to_u32(&p->dst), OUR_IP);
    cr_assert_eq(memcmp(k->mem + p->addr, f.b + L2L3, 120), 0);
    kit_clear(k);

    f = mk_udp(FAR, OUR_IP, 10);
    memset(f.b + f.len, 0, 10); /* Ethernet padding is not payload */
    f.len += 10;
    kit_in(k, &f);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 1);
    cr_assert_eq(k->up[IP_UP_UDP][0].len, UDP_HEADER + 10);
    cr_assert_eq(k->up[IP_UP_UDP][0].aux, UDP_HEADER + 10);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Options are skipped, whatever they say, unless they route or do not parse. */
Test(ip, options)
{
    struct kit *k = kit_ready();
    const uint8_t nops[40] = {[0 ... 39] = 1}, record[8] = {7, 7, 4, 0, 0, 0, 0, 0};
    for (size_t n = 4; n <= 40; n += 4) {
        struct frame f = mk_udp(PEER, OUR_IP, 4);
        mk_options(&f, nops, n);
        kit_in(k, &f);
        cr_assert_eq(k->out.n_up[IP_UP_UDP], 1);
        const struct pkt *p = &k->up[IP_UP_UDP][0];
        cr_assert_eq(p->addr, p->l3 + 20 + n);
        cr_assert_eq(p->l3_len, 20 + n + 12);
        cr_assert_eq(p->len, 12);
        kit_clear(k);
    }
    struct frame f = mk_udp(PEER, OUR_IP, 4);
    mk_options(&f, record, 8);
    kit_in(k, &f);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 1);
    kit_clear(k);

    const uint8_t lsrr[8] = {131, 7, 4, 1, 2, 3, 4, 0}, ssrr[8] = {137, 7, 4, 1, 2, 3, 4, 0};
    f = mk_udp(PEER, OUR_IP, 4);
    mk_options(&f, lsrr, 8);
    expect_drop(k, &f, STAT_ip_drop_options, "loose source route");
    f = mk_udp(PEER, OUR_IP, 4);
    mk_options(&f, ssrr, 8);
    expect_drop(k, &f, STAT_ip_drop_options, "strict source route");
    const uint8_t bad[][4] = {{7, 0, 0, 0}, {7, 1, 0, 0}, {7, 5, 0, 0}, {1, 1, 1, 7}};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        f = mk_udp(PEER, OUR_IP, 4);
        mk_options(&f, bad[i], 4);
        expect_drop(k, &f, STAT_ip_drop_header, "option of impossible length");
    }
    kit_free(k);
}

/* Header fields at and past their bounds. */
Test(ip, header_fields)
{
    struct kit *k = kit_ready();
    uint8_t *h;
    struct frame f;
    for (unsigned v = 0; v < 16; v++) {
        f = mk_udp(PEER, OUR_IP, 64);
        h = f.b + ETH_HEADER;
        h[0] = (uint8_t)(v << 4 | 5);
        mk_fix(&f);
        if (v != 4)
            expect_drop(k, &f, STAT_ip_drop_header, "version");
    }
    for (uint8_t hl = 0; hl < 5; hl++) {
        f = mk_udp(PEER, OUR_IP, 64);
        f.b[ETH_HEADER] = 0x40 | hl;
        expect_drop(k, &f, STAT_ip_drop_header, "header length below 20");
    }
    f = mk_udp(PEER, OUR_IP, 64);
    put_be16(f.b + ETH_HEADER + 2, 19);
    mk_fix(&f);
    expect_drop(k, &f, STAT_ip_drop_header, "total length below header length");
    f = mk_udp(PEER, OUR_IP, 64);
    put_be16(f.b + ETH_HEADER + 2, (uint16_t)(f.len - ETH_HEADER + 1));
    mk_fix(&f);
    expect_drop(k, &f, STAT_ip_drop_short, "total length beyond the frame");
    f = mk_udp(PEER, OUR_IP, 64);
    put_be16(f.b + ETH_HEADER + 2, 65535);
    mk_fix(&f);
    expect_drop(k, &f, STAT_ip_drop_short, "total length at its bound");
    for (unsigned bit = 0; bit < 160; bit++) {
        f = mk_udp(PEER, OUR_IP, 64);
        f.b[ETH_HEADER + bit / 8] ^= (uint8_t)(1u << bit % 8);
        kit_mark(k);
        kit_in(k, &f);
        cr_assert_eq(k->out.n_up[0] + k->out.n_up[1], 0, "bit %u", bit);
        cr_assert_eq(kit_drops(k), 1, "bit %u", bit);
        kit_clear(k);
    }
    /* TTL is no business of the last host (RFC 1122 3.2.1.7). */
    for (unsigned ttl = 0; ttl < 2; ttl++) {
        f = mk_udp(PEER, OUR_IP, 1);
        f.b[ETH_HEADER + 8] = (uint8_t)ttl;
        mk_fix(&f);
        kit_in(k, &f);
        cr_assert_eq(k->out.n_up[IP_UP_UDP], 1);
        kit_clear(k);
    }
    kit_free(k);
}

/* Every packet of every kind, cut at every length: counted, freed, nothing else. The
 * frame behind the cut is full of other bytes, which must not be read as its end. */
Test(ip, truncation)
{
    struct kit *k = kit_ready();
    uint8_t quote[28], data[64] = {0};
    struct frame q = mk_udp(OUR_IP, PEER, 0);
    memcpy(quote, q.b + ETH_HEADER, 28);
    const struct frame whole[] = {
        mk_udp(PEER, OUR_IP, 40),
        mk_tcp(PEER, OUR_IP, 40),
        mk_echo(PEER, 40),
        mk_icmp(PEER, ICMP_UNREACH, 3, 0, quote, 28),
        mk_frag(PEER, WIRE_PROTO_UDP, 5, 0, true, data, 64),
        mk_arp(ARP_REQUEST, PEER, OUR_IP),
        mk_arp(ARP_REPLY, PEER, OUR_IP),
    };
    for (unsigned i = 0; i < ARRAY_LEN(whole); i++)
        for (uint32_t len = 0; len < whole[i].len; len++) {
            struct frame f = whole[i];
            f.len = len;
            kit_mark(k);
            kit_in(k, &f);
            cr_assert_eq(k->out.n_nic + k->out.n_up[0] + k->out.n_up[1], 0, "%u at %u", i, len);
            cr_assert_eq(kit_drops(k), 1, "%u at %u: %lu drops", i, len,
                         (unsigned long)kit_drops(k));
            cr_assert_eq(kit_away(k), 0);
        }
    /* The IP packet itself cut short, its length field true: the transport's matter, but
     * ICMP is ip's. */
    for (uint16_t len = 20; len < 20 + 8 + 40; len++) {
        struct frame f = mk_echo(PEER, 40);
        put_be16(f.b + ETH_HEADER + 2, len);
        mk_fix(&f);
        expect_drop(k, &f, STAT_icmp_drop_bad, "ICMP checksum over too few bytes");
    }
    kit_free(k);
}

/* Sources that cannot be one other host. */
Test(ip, martians)
{
    struct kit *k = kit_ready();
    const uint32_t bad[] = {0,          1,          0x7f000001, 0x7f010203, 0x7fffffff,
                            0xe0000001, 0xefffffff, 0xf0000001, 0xfffffffe, 0xffffffff,
                            OUR_IP,     0x0a0000ff, 0x0a000000};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct frame f = mk_udp(bad[i], OUR_IP, 10);
        expect_drop(k, &f, STAT_ip_drop_source, "source");
    }
    struct frame f = mk_udp(PEER, OUR_IP, 10);
    f.b[6] |= 1;
    expect_drop(k, &f, STAT_ip_drop_source, "group MAC as source");
    kit_free(k);
}

/* Loopback's addresses are not believed from the wire, whatever carries them, as a source or
 * as a destination (RFC 1122 3.2.1.3 (g)): a session at one of them is spoken to by this stack
 * alone. */
Test(ip, loopback_from_the_wire)
{
    static const uint32_t lo[] = {0x7f000000, 0x7f000001, 0x7f010203, 0x7fffffff};
    struct kit *k = kit_ready();
    for (unsigned i = 0; i < ARRAY_LEN(lo); i++) {
        for (unsigned j = 0; j < 3; j++) {
            struct frame f = mk_tcp(j == 0 ? PEER : lo[i], j == 1 ? OUR_IP : lo[i], 20);
            expect_drop(k, &f, j == 1 ? STAT_ip_drop_source : STAT_ip_drop_not_ours, "TCP");
            f = mk_udp(j == 0 ? PEER : lo[i], j == 1 ? OUR_IP : lo[i], 20);
            expect_drop(k, &f, j == 1 ? STAT_ip_drop_source : STAT_ip_drop_not_ours, "UDP");
        }
        struct frame f = mk_frag(lo[i], WIRE_PROTO_UDP, 1, 0, true, "12345678", 8);
        expect_drop(k, &f, STAT_ip_drop_source, "a fragment");
        f = mk_echo(lo[i], 20);
        expect_drop(k, &f, STAT_ip_drop_source, "an echo");
        f = mk_udp(lo[i], 0xffffffff, 20);
        expect_drop(k, &f, STAT_ip_drop_source, "to all");
    }
    kit_free(k);
}

/* Only our address; a broadcast or multicast only for UDP, and marked. */
Test(ip, destinations)
{
    struct kit *k = kit_ready();
    const uint32_t group[] = {0xffffffff, 0x0a0000ff, 0xe0000001, 0xefffffff};
    for (unsigned i = 0; i < ARRAY_LEN(group); i++)
        for (unsigned mac = 0; mac < 2; mac++) {
            struct frame f = mk_udp(PEER, group[i], 10);
            if (mac)
                memcpy(f.b, ALL_MAC, 6);
            kit_in(k, &f);
            cr_assert_eq(k->out.n_up[IP_UP_UDP], 1);
            cr_assert_eq(k->up[IP_UP_UDP][0].flags, PKT_BCAST);
            cr_assert_eq(ipaddr_to_u32(&k->up[IP_UP_UDP][0].dst), group[i]);
            kit_clear(k);
            f = mk_tcp(PEER, group[i], 10);
            expect_drop(k, &f, STAT_ip_drop_not_ours, "TCP to a group");
            f = mk_ip(PEER, group[i], 99, "12345678", 8);
            expect_drop(k, &f, STAT_ip_drop_not_ours, "unknown protocol to a group");
            f = mk_echo(PEER, 10);
            put_be32(f.b + ETH_HEADER + 16, group[i]);
            mk_fix(&f);
            expect_drop(k, &f, STAT_ip_drop_not_ours, "echo to a group");
        }
    const uint32_t other[] = {0, PEER, 0x0a000000, 0x7f000001, FAR, 0xf0000000, 0xfffffffe};
    for (unsigned i = 0; i < ARRAY_LEN(other); i++) {
        struct frame f = mk_udp(PEER, other[i], 10);
        expect_drop(k, &f, STAT_ip_drop_not_ours, "other destination");
    }
    struct frame f = mk_udp(PEER, OUR_IP, 10);
    memcpy(f.b, ALL_MAC, 6);
    expect_drop(k, &f, STAT_ip_drop_not_ours, "unicast in a broadcast frame");
    f = mk_udp(PEER, OUR_IP, 10);
    f.b[5] ^= 1;
    expect_drop(k, &f, STAT_ip_drop_not_ours, "another station's frame");
    kit_free(k);
}

/* Everything but IPv4 and ARP. */
Test(ip, ethertypes)
{
    struct kit *k = kit_ready();
    const uint16_t type[] = {0, 46, 0x0801, 0x07ff, 0x8100, 0x86dd, 0xffff};
    for (unsigned i = 0; i < ARRAY_LEN(type); i++) {
        struct frame f = mk_udp(PEER, OUR_IP, 10);
        put_be16(f.b + 12, type[i]);
        expect_drop(k, &f, STAT_ip_drop_ethertype, "ethertype");
    }
    kit_free(k);
}

/* An unknown protocol is answered with protocol unreachable (RFC 1122 3.2.2.1). */
Test(ip, protocols)
{
    struct kit *k = kit_ready();
    const uint8_t *l4;
    for (unsigned proto = 0; proto < 256; proto++) {
        if (proto == WIRE_PROTO_TCP || proto == WIRE_PROTO_UDP || proto == WIRE_PROTO_ICMP)
            continue;
        struct frame f = mk_ip(PEER, OUR_IP, (uint8_t)proto, "abcdefghij", 10);
        kit_pass(k, NS_S);
        kit_mark(k);
        kit_in(k, &f);
        cr_assert_eq(kit_stat(k, STAT_ip_drop_proto), 1);
        /* the first needs no ARP; later the neighbour may be probed besides */
        struct ip4_hdr h = kit_nic_ip(k, k->out.n_nic - 1, &l4);
        cr_assert_eq(h.proto, WIRE_PROTO_ICMP);
        cr_assert_eq(ipaddr_to_u32(&h.dst), PEER);
        cr_assert_eq(l4[0], ICMP_UNREACH);
        cr_assert_eq(l4[1], 2);
        cr_assert_eq(memcmp(l4 + 8, f.b + ETH_HEADER, 30), 0);
        kit_clear(k);
        f = mk_arp(ARP_REPLY, PEER, OUR_IP);
        kit_in(k, &f);
    }
    kit_free(k);
}

/* A transport that does not keep up loses its packets, and only it. */
Test(ip, full_queue)
{
    struct kit *k = kit_ready();
    struct frame t = mk_tcp(PEER, OUR_IP, 10), u = mk_udp(PEER, OUR_IP, 10);
    k->out.cap_up[IP_UP_TCP] = 0;
    for (unsigned i = 0; i < 5; i++) {
        kit_in(k, &t);
        kit_in(k, &u);
    }
    cr_assert_eq(k->out.n_up[IP_UP_TCP], 0);
    cr_assert_eq(k->out.n_up[IP_UP_UDP], 5);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_queue_tcp), 5);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_queue_udp), 0);
    cr_assert_eq(kit_drops(k), 5);
    kit_clear(k);
    k->out.cap_up[IP_UP_UDP] = 0;
    kit_in(k, &u);
    cr_assert_eq(kit_stat(k, STAT_ip_drop_queue_udp), 1);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Frames are left for the next call while what is in the array would be in their way, and
 * taken once it is handed on, however little room there is then. */
Test(ip, taken_in_parts)
{
    struct kit *k = kit_ready();
    struct frame u = mk_udp(PEER, OUR_IP, 10);
    struct fdesc d[10];
    for (unsigned i = 0; i < 10; i++)
        d[i] = kit_fill(k, &u);
    k->out.cap_up[IP_UP_UDP] = FRAME_MAX_CHAIN + 3;
    unsigned taken = ip_input(k->ip, d, 10, &k->out, k->now);
    cr_assert_eq(taken, 4);
    kit_settle(k);
    cr_assert_eq(ip_input(k->ip, d + taken, 6, &k->out, k->now), 0);
    kit_clear(k);
    k->out.cap_up[IP_UP_UDP] = 2;
    for (; taken < 10; kit_clear(k)) {
        unsigned n = ip_input(k->ip, d + taken, 10 - taken, &k->out, k->now);
        cr_assert_eq(n, 1);
        cr_assert_eq(k->out.n_up[IP_UP_UDP], 1);
        kit_settle(k);
        taken += n;
    }
    cr_assert_eq(kit_drops(k), 0);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* Descriptors that do not name bytes of one receive frame are counted, and not touched. */
Test(ip, forged_rx)
{
    struct kit *k = kit_ready();
    const uint32_t n_rx = k->f.size[PART_RX];
    const struct fdesc bad[] = {
        {0, FRAME_SIZE + 1, 0},      {1, FRAME_SIZE, 0},
        {FRAME_SIZE - 1, 2, 0},      {n_rx, 60, 0},
        {UINT32_MAX, 1, 0},          {UINT32_MAX, UINT16_MAX, 0},
        {0, UINT16_MAX, 0},          {n_rx - 1, 2, 0},
        {k->f.off[PART_UP], 60, 0},  {k->f.off[PART_TCPTX], 60, 0},
        {frames_bytes(&k->f), 0, 0},
    };
    kit_input(k, bad, ARRAY_LEN(bad));
    cr_assert_eq(kit_stat(k, STAT_refused_frames), ARRAY_LEN(bad));
    cr_assert_eq(k->out.n_up[0] + k->out.n_up[1] + k->out.n_nic, 0);
    kit_free(k);
}

/* A frame that reassembly holds, reported again by the NIC or given back by a transport
 * that never had it: refused, or it would be freed twice. */
Test(ip, forged_while_held)
{
    struct kit *k = kit_ready();
    uint8_t data[64] = {0};
    struct frame f = mk_frag(PEER, WIRE_PROTO_UDP, 9, 0, true, data, 64);
    struct fdesc d = kit_fill(k, &f);
    kit_input(k, &d, 1);
    cr_assert_eq(ip_frames_held(k->ip), 1);
    kit_mark(k);
    ip_input(k->ip, &d, 1, &k->out, k->now);
    d.addr += 100;
    d.len = 10;
    ip_input(k->ip, &d, 1, &k->out, k->now);
    ip_up_done(k->ip, d.addr, &k->out);
    cr_assert_eq(kit_stat(k, STAT_refused_frames), 3);
    cr_assert_eq(k->out.n_freed, 0);
    kit_pass(k, 31 * NS_S);
    kit_clear(k);
    cr_assert_eq(kit_away(k), 0);
    kit_free(k);
}

/* A packet may end where its frame ends. */
Test(ip, end_of_frame)
{
    struct kit *k = kit_ready();
    for (uint32_t data = 0; data < 40; data++) {
        struct frame f = mk_udp(PEER, OUR_IP, data);
        struct fdesc d = kit_fill(k, &f);
        d.addr += FRAME_SIZE - f.len;
        memcpy(k->mem + d.addr, f.b, f.len);
        kit_input(k, &d, 1);
        cr_assert_eq(k->out.n_up[IP_UP_UDP], 1);
        cr_assert_eq(k->up[IP_UP_UDP][0].len, UDP_HEADER + data);
        kit_clear(k);
        cr_assert_eq(kit_away(k), 0);
    }
    kit_free(k);
}

/* The same address many times in one batch must not overflow anything: the account is
 * the caller's, the memory is safe. */
Test(ip, duplicated_rx)
{
    struct ip_config c = kit_config();
    struct kit *k = kit_new_with(&c, 16);
    struct fdesc d[BATCH_MAX];
    struct frame f = mk_udp(PEER, OUR_IP, 4);
    put_be16(f.b + 12, 0x1234);
    memcpy(k->mem, f.b, f.len);
    for (unsigned i = 0; i < BATCH_MAX; i++)
        d[i] = (struct fdesc){0, (uint16_t)f.len, 0};
    cr_assert_eq(ip_input(k->ip, d, BATCH_MAX, &k->out, k->now), BATCH_MAX);
    cr_assert_eq(k->out.n_freed, 16);
    kit_free(k);
}

/* Anything may be given back, by anybody, at any time. */
Test(ip, forged_up_done)
{
    struct kit *k = kit_ready();
    const uint32_t at[] = {k->f.off[PART_UP],    k->f.off[PART_UP] + 5000, k->f.off[PART_IPTX],
                           k->f.off[PART_TCPTX], frames_bytes(&k->f),      UINT32_MAX};
    for (unsigned i = 0; i < ARRAY_LEN(at); i++)
        ip_up_done(k->ip, at[i], &k->out);
    cr_assert_eq(kit_stat(k, STAT_refused_frames), ARRAY_LEN(at));
    cr_assert_eq(k->out.n_freed, 0);
    ip_up_done(k->ip, 3 * FRAME_SIZE + 77, &k->out);
    cr_assert_eq(k->out.n_freed, 1);
    cr_assert_eq(k->freed[0], 3 * FRAME_SIZE);
    kit_free(k);
}

/* While another host may own the address nothing is received at it. */
Test(ip, nothing_before_ready)
{
    struct kit *k = kit_new(3);
    struct frame f = mk_udp(PEER, OUR_IP, 4), e = mk_echo(PEER, 4);
    cr_assert_eq(k->path.ready, 0);
    expect_drop(k, &f, STAT_ip_drop_not_ours, "UDP while probing");
    expect_drop(k, &e, STAT_ip_drop_not_ours, "echo while probing");
    kit_free(k);
}
