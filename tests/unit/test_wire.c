/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "wire/csum.h"
#include "wire/wire.h"

/* The bytes in a block of their own, so that a read beyond them is seen by the sanitizer. */
static uint8_t *
exact(const void *p, size_t len)
{
    uint8_t *q = malloc(len ? len : 1);
    memcpy(q, p, len);
    return q;
}

static void
ip4_fix(uint8_t *p, size_t header_len)
{
    memset(p + 10, 0, 2);
    uint16_t c = (uint16_t)~csum_fold(csum_bytes(p, header_len));
    memcpy(p + 10, &c, 2);
}

/* Protects the Ethernet layout, its length check, and the rule about source addresses. */
Test(wire, eth)
{
    struct eth_hdr h = {.dst = {1, 2, 3, 4, 5, 6}, .src = {2, 7, 8, 9, 10, 11}, .type = 0x0806};
    struct eth_hdr g;
    uint8_t p[ETH_HEADER];
    cr_assert_eq(eth_emit(p, &h), ETH_HEADER);
    cr_assert_eq(p[12], 8);
    cr_assert_eq(p[13], 6);
    cr_assert_eq(eth_parse(&g, p, sizeof p), WIRE_OK);
    cr_assert(memcmp(g.dst, h.dst, 6) == 0 && memcmp(g.src, h.src, 6) == 0);
    cr_assert_eq(g.type, h.type);
    for (size_t len = 0; len < ETH_HEADER; len++) {
        uint8_t *q = exact(p, len);
        cr_assert_eq(eth_parse(&g, q, len), WIRE_SHORT);
        free(q);
    }
    p[6] |= 1;
    cr_assert_eq(eth_parse(&g, p, sizeof p), WIRE_FIELD);
}

/* Protects the ARP layout; every fixed field wrong once. */
Test(wire, arp)
{
    struct arp_pkt a = {.op = ARP_REQUEST, .sha = {2, 1, 1, 1, 1, 1}}, b;
    a.spa = ipaddr_v4_u32(0x0a000001);
    a.tpa = ipaddr_v4_u32(0x0a000002);
    uint8_t p[ARP_BYTES];
    cr_assert_eq(arp_emit(p, &a), ARP_BYTES);
    cr_assert_eq(arp_parse(&b, p, sizeof p), WIRE_OK);
    cr_assert(a.op == b.op && ipaddr_eq(&a.spa, &b.spa) && ipaddr_eq(&a.tpa, &b.tpa));
    cr_assert(memcmp(a.sha, b.sha, 6) == 0 && memcmp(a.tha, b.tha, 6) == 0);
    for (size_t len = 0; len < ARP_BYTES; len++)
        cr_assert_eq(arp_parse(&b, p, len), WIRE_SHORT);
    for (size_t i = 0; i < 8; i++) {
        uint8_t q[ARP_BYTES];
        memcpy(q, p, sizeof q);
        q[i] ^= 0x40;
        cr_assert_eq(arp_parse(&b, q, sizeof q), WIRE_FIELD, "byte %zu", i);
    }
    p[7] = 3; /* RARP */
    cr_assert_eq(arp_parse(&b, p, sizeof p), WIRE_FIELD);
}

static const struct ip4_hdr ip_example = {.total_len = 1500,
                                          .id = 0xbeef,
                                          .frag_off = 1480,
                                          .tos = 0x12,
                                          .ttl = 63,
                                          .proto = 17,
                                          .mf = true};

/* Protects IPv4: what is emitted is parsed back, whatever fragment bits. */
Test(wire, ip4_round_trip)
{
    static uint8_t p[1600];
    struct ip4_hdr h = ip_example, g;
    h.src = ipaddr_v4_u32(0xc0a80001);
    h.dst = ipaddr_v4_u32(0xc0a800fe);
    h.header_len = 20;
    cr_assert_eq(ip4_emit(p, &h), IP4_HEADER);
    cr_assert_eq(ip4_parse(&g, p, sizeof p), WIRE_OK);
    cr_assert(ipaddr_eq(&g.src, &h.src) && ipaddr_eq(&g.dst, &h.dst) && g.header_len == 20);
    cr_assert(g.total_len == h.total_len && g.id == h.id && g.frag_off == h.frag_off);
    cr_assert(g.tos == h.tos && g.ttl == h.ttl && g.proto == h.proto && g.mf && !g.df);
    h.mf = false;
    h.df = true;
    h.frag_off = 0;
    ip4_emit(p, &h);
    cr_assert_eq(ip4_parse(&g, p, 1500), WIRE_OK);
    cr_assert(g.df && !g.mf && g.frag_off == 0);
    cr_assert_eq(ip4_parse(&g, p, 1499), WIRE_SHORT);
}

/* Protects the checks on every field, at and past its bounds. */
Test(wire, ip4_fields)
{
    uint8_t p[100] = {0};
    struct ip4_hdr h = {.total_len = 100, .ttl = 1, .proto = 6}, g;
    h.src = h.dst = ipaddr_v4_u32(0x01020304);
    ip4_emit(p, &h);
    for (size_t len = 0; len < sizeof p; len++) {
        uint8_t *q = exact(p, len);
        cr_assert_eq(ip4_parse(&g, q, len), WIRE_SHORT, "%zu", len);
        free(q);
    }
    for (unsigned v = 0; v < 256; v++) { /* version and header length */
        p[0] = (uint8_t)v;
        bool good = v >= 0x45 && v <= 0x4f;
        ip4_fix(p, good ? (v & 0xf) * 4 : 20);
        cr_assert_eq(ip4_parse(&g, p, sizeof p), good ? WIRE_OK : WIRE_FIELD, "%x", v);
    }
    p[0] = 0x46; /* total length below the header's */
    for (uint16_t total = 0; total < 30; total++) {
        put_be16(p + 2, total);
        ip4_fix(p, 24);
        cr_assert_eq(ip4_parse(&g, p, sizeof p), total < 24 ? WIRE_FIELD : WIRE_OK);
    }
    for (unsigned bit = 0; bit < 24 * 8; bit++) { /* any single bit breaks the checksum */
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_neq(ip4_parse(&g, p, sizeof p), WIRE_OK, "bit %u", bit);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* Protects against the fragment that would end beyond 65535 bytes. */
Test(wire, ip4_ping_of_death)
{
    uint8_t p[64] = {0};
    struct ip4_hdr h = {.total_len = 20 + 8, .frag_off = 65535 - 28 - 3, .ttl = 1}, g;
    h.src = h.dst = ipaddr_v4_u32(1);
    cr_assert_eq(h.frag_off % 8, 0);
    ip4_emit(p, &h);
    cr_assert_eq(ip4_parse(&g, p, sizeof p), WIRE_OK);
    h.total_len = 20 + 12;
    ip4_emit(p, &h);
    cr_assert_eq(ip4_parse(&g, p, sizeof p), WIRE_FIELD);
    h.frag_off = 65528;
    h.total_len = 20;
    ip4_emit(p, &h);
    cr_assert_eq(ip4_parse(&g, p, sizeof p), WIRE_FIELD);
}

/* Protects the option walk: lengths 0, 1 and too long; source routes are seen. */
Test(wire, ip4_options)
{
    static const struct {
        uint8_t opt[8];
        enum wire_err want;
        bool routed;
    } t[] = {
        {{1, 1, 1, 1, 1, 1, 1, 1}, WIRE_OK, false},
        {{0, 9, 9, 9, 9, 9, 9, 9}, WIRE_OK, false}, /* after the end nothing counts */
        {{131, 7, 4, 1, 2, 3, 4, 0}, WIRE_OK, true},
        {{1, 137, 7, 4, 1, 2, 3, 4}, WIRE_OK, true},
        {{68, 8, 5, 0, 0, 0, 0, 0}, WIRE_OK, false},
        {{68, 9, 5, 0, 0, 0, 0, 0}, WIRE_FIELD, false},
        {{68, 0, 5, 0, 0, 0, 0, 0}, WIRE_FIELD, false},
        {{68, 1, 5, 0, 0, 0, 0, 0}, WIRE_FIELD, false},
        {{1, 1, 1, 1, 1, 1, 1, 68}, WIRE_FIELD, false},
        {{131, 255, 0, 0, 0, 0, 0, 0}, WIRE_FIELD, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        uint8_t p[28] = {0x47};
        struct ip4_hdr g;
        put_be16(p + 2, 28);
        memcpy(p + 20, t[i].opt, 8);
        ip4_fix(p, 28);
        cr_assert_eq(ip4_parse(&g, p, sizeof p), t[i].want, "%zu", i);
        cr_assert(t[i].want != WIRE_OK || g.source_routed == t[i].routed, "%zu", i);
    }
}

/* Protects ICMP: checksum over all bytes, the fields that depend on the type. */
Test(wire, icmp)
{
    static uint8_t p[64];
    struct icmp_hdr h = {.type = ICMP_ECHO, .id = 7, .seq = 9}, g;
    memset(p + 8, 0xa5, sizeof p - 8);
    cr_assert_eq(icmp_emit(p, &h, csum_bytes(p + 8, sizeof p - 8)), ICMP_HEADER);
    cr_assert_eq(icmp_parse(&g, p, sizeof p), WIRE_OK);
    cr_assert(g.type == ICMP_ECHO && g.id == 7 && g.seq == 9 && g.mtu == 0);
    cr_assert_eq(icmp_parse(&g, p, sizeof p - 1), WIRE_CHECKSUM);
    for (size_t len = 0; len < ICMP_HEADER; len++)
        cr_assert_eq(icmp_parse(&g, p, len), WIRE_SHORT);
    h = (struct icmp_hdr){.type = ICMP_UNREACH, .code = 4, .mtu = 1400};
    icmp_emit(p, &h, 0);
    cr_assert_eq(icmp_parse(&g, p, ICMP_HEADER), WIRE_OK);
    cr_assert(g.code == 4 && g.mtu == 1400 && g.id == 0);
}

/* Protects what is read of a quoted packet, which a stranger wrote: cut at every length. */
Test(wire, icmp_quote)
{
    uint8_t p[28] = {0};
    struct ip4_hdr h = {.total_len = 1500, .ttl = 1, .proto = WIRE_PROTO_TCP};
    struct icmp_quote q;
    h.src = ipaddr_v4_u32(0x0a000001);
    h.dst = ipaddr_v4_u32(0x0a000002);
    ip4_emit(p, &h);
    put_be16(p + 20, 1234);
    put_be16(p + 22, 80);
    put_be32(p + 24, 0xfffffff0);
    p[11] ^= 1; /* routers change it */
    cr_assert_eq(icmp_quote_parse(&q, p, sizeof p), WIRE_OK);
    cr_assert(q.sport == 1234 && q.dport == 80 && q.seq == 0xfffffff0);
    cr_assert(ipaddr_eq(&q.ip.dst, &h.dst));
    for (size_t len = 0; len < sizeof p; len++) {
        uint8_t *c = exact(p, len);
        cr_assert_eq(icmp_quote_parse(&q, c, len), WIRE_SHORT);
        free(c);
    }
    p[0] = 0x4f;
    cr_assert_eq(icmp_quote_parse(&q, p, sizeof p), WIRE_SHORT);
    p[0] = 0x44;
    cr_assert_eq(icmp_quote_parse(&q, p, sizeof p), WIRE_FIELD);
    p[0] = 0x45;
    p[7] = 1; /* a later fragment has no ports */
    cr_assert_eq(icmp_quote_parse(&q, p, sizeof p), WIRE_OK);
    cr_assert(q.sport == 0 && q.dport == 0 && q.seq == 0);
}

/* Protects the UDP length rules. */
Test(wire, udp)
{
    uint8_t p[UDP_HEADER];
    struct udp_hdr h = {.sport = 53, .dport = 65535, .len = 20, .csum = 0x1234}, g;
    cr_assert_eq(udp_emit(p, &h), UDP_HEADER);
    cr_assert_eq(udp_parse(&g, p, 20), WIRE_OK);
    cr_assert(g.sport == 53 && g.dport == 65535 && g.len == 20 && g.csum == 0x1234);
    cr_assert_eq(udp_parse(&g, p, 19), WIRE_SHORT);
    for (size_t len = 0; len < UDP_HEADER; len++)
        cr_assert_eq(udp_parse(&g, p, len), WIRE_SHORT);
    for (uint16_t len = 0; len < 10; len++) {
        put_be16(p + 4, len);
        cr_assert_eq(udp_parse(&g, p, 20), len < 8 ? WIRE_FIELD : WIRE_OK);
    }
}

/* Protects that every combination of options comes back, within 60 bytes. */
Test(wire, tcp_round_trip)
{
    for (unsigned mask = 0; mask < 16; mask++)
        for (uint8_t n_sack = 0; n_sack <= 6; n_sack++) {
            struct tcp_hdr h = {.sport = 1,
                                .dport = 2,
                                .seq = 0xfffffff0,
                                .ack = 0x10,
                                .wnd = 500,
                                .urg = 3,
                                .flags = TCP_ACK | TCP_CWR,
                                .n_sack = n_sack};
            struct tcp_hdr g;
            uint8_t p[TCP_HEADER_MAX + 1];
            memset(p, 0xee, sizeof p);
            h.mss = mask & 1 ? 1460 : 0;
            h.has_wscale = (mask & 2) != 0;
            h.wscale = mask & 2 ? 7 : 0;
            h.sack_ok = (mask & 4) != 0;
            h.has_ts = (mask & 8) != 0;
            h.ts_val = mask & 8 ? 0xfffffffe : 0;
            h.ts_ecr = mask & 8 ? 5 : 0;
            for (uint32_t i = 0; i < 4; i++)
                h.sack[i] = (struct tcp_sack){0xfffffff0u + i, i};
            size_t len = tcp_emit(p, &h);
            cr_assert_eq(len, tcp_header_len(&h));
            cr_assert(len <= TCP_HEADER_MAX && len % 4 == 0 && p[len] == 0xee);
            cr_assert_eq(tcp_parse(&g, p, len), WIRE_OK);
            cr_assert(g.n_sack <= min_u32(n_sack, 4));
            cr_assert(n_sack == 0 || mask & 7 || g.n_sack >= min_u32(n_sack, 3));
            cr_assert_eq(memcmp(g.sack, h.sack, g.n_sack * sizeof h.sack[0]), 0);
            cr_assert(g.mss == h.mss && g.wscale == h.wscale && g.has_wscale == h.has_wscale);
            cr_assert(g.sack_ok == h.sack_ok && g.has_ts == h.has_ts);
            cr_assert(g.ts_val == h.ts_val && g.ts_ecr == h.ts_ecr && g.header_len == len);
            cr_assert(g.seq == h.seq && g.ack == h.ack && g.wnd == h.wnd && g.urg == h.urg);
            cr_assert(g.flags == h.flags && g.sport == 1 && g.dport == 2);
        }
}

/* Protects the bounds of the data offset and of the bytes that are there. */
Test(wire, tcp_lengths)
{
    uint8_t p[TCP_HEADER_MAX] = {0};
    struct tcp_hdr g;
    for (unsigned off = 0; off < 16; off++)
        for (size_t len = 0; len <= sizeof p; len++) {
            p[12] = (uint8_t)(off << 4);
            uint8_t *q = exact(p, len);
            enum wire_err want = len < 20        ? WIRE_SHORT
                                 : off < 5       ? WIRE_FIELD
                                 : off * 4 > len ? WIRE_SHORT
                                                 : WIRE_OK;
            cr_assert_eq(tcp_parse(&g, q, len), want);
            free(q);
        }
}

/* Protects the option walk: a bad length ends it, what stood before counts, strangers are
 * skipped. */
Test(wire, tcp_options)
{
    static const struct {
        uint8_t opt[12];
        uint16_t mss;
        bool ts, sack_ok;
    } t[] = {
        {{2, 4, 5, 0xb4, 4, 2, 0}, 1460, false, true},
        {{2, 3, 5, 0xb4, 4, 2, 0}, 0, false, false},
        {{4, 2, 2, 4, 5, 0xb4, 1, 1, 1, 1, 1, 2}, 1460, false, true}, /* kind without length */
        {{4, 2, 99, 0, 2, 4, 5, 0xb4}, 0, false, true},
        {{4, 2, 99, 1, 2, 4, 5, 0xb4}, 0, false, true},
        {{99, 6, 0, 0, 0, 0, 2, 4, 5, 0xb4, 4, 2}, 1460, false, true},
        {{99, 13, 0, 0, 0, 0, 2, 4, 5, 0xb4, 4, 2}, 0, false, false},
        {{8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 4, 2}, 0, true, true},
        {{1, 1, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0}, 0, false, false}, /* beyond the header */
        {{8, 11, 0, 0, 0, 1, 0, 0, 0, 2, 0, 4}, 0, false, false},
        {{1, 1, 0, 4, 2, 2, 4, 5, 0xb4}, 0, false, false},
        {{5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 4, 2}, 0, false, true},
        {{5, 2, 2, 4, 5, 0xb4}, 0, false, false}, /* no blocks */
        {{5, 11, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1}, 0, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        uint8_t p[32] = {[12] = 0x80};
        struct tcp_hdr g;
        memcpy(p + 20, t[i].opt, 12);
        cr_assert_eq(tcp_parse(&g, p, sizeof p), WIRE_OK);
        cr_assert_eq(g.mss, t[i].mss, "%zu", i);
        cr_assert_eq(g.has_ts, t[i].ts, "%zu", i);
        cr_assert_eq(g.sack_ok, t[i].sack_ok, "%zu", i);
    }
}
