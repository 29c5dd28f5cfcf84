/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Every header parser; the first byte chooses which. What parses is emitted and parsed again:
 * it must come out the same. Checksums are made right first, or hardly anything would get past
 * them.
 */
#include <stdlib.h>

#include "fuzz.h"
#include "wire/csum.h"
#include "wire/wire.h"

static void
fuzz_eth(const uint8_t *p, size_t len)
{
    struct eth_hdr h, g;
    uint8_t out[ETH_HEADER];
    if (eth_parse(&h, p, len) != WIRE_OK)
        return;
    expect(eth_emit(out, &h) == sizeof out && memcmp(out, p, sizeof out) == 0);
    expect(eth_parse(&g, out, sizeof out) == WIRE_OK && g.type == h.type);
}

static void
fuzz_arp(const uint8_t *p, size_t len)
{
    struct arp_pkt a;
    uint8_t out[ARP_BYTES];
    if (arp_parse(&a, p, len) == WIRE_OK)
        expect(arp_emit(out, &a) == sizeof out && memcmp(out, p, sizeof out) == 0);
}

/* Make the checksum at `at` right for the first `covered` bytes. */
static void
fix(uint8_t *p, size_t covered, size_t at)
{
    memset(p + at, 0, 2);
    uint16_t c = (uint16_t)~csum_fold(csum_bytes(p, covered));
    memcpy(p + at, &c, 2);
}

static void
fuzz_ip4(uint8_t *p, size_t len)
{
    struct ip4_hdr h, g;
    uint8_t out[IP4_HEADER_MAX] = {0};
    size_t header = len >= IP4_HEADER ? (size_t)(p[0] & 0xf) * 4 : 0;
    (void)!ip4_parse(&h, p, len);
    if (header < IP4_HEADER || header > len)
        return;
    fix(p, header, 10);
    enum wire_err e = ip4_parse(&h, p, len);
    expect(e != WIRE_CHECKSUM);
    if (e != WIRE_OK)
        return;
    expect(h.header_len == header && h.total_len >= header && h.total_len <= len);
    expect(h.frag_off + (uint32_t)h.total_len <= 65535);
    expect(ip4_emit(out, &h) == IP4_HEADER);
    /* No more than a header is read, so the length may promise a packet that is not there. */
    expect(ip4_parse(&g, out, 65535) == WIRE_OK);
    expect(g.frag_off == h.frag_off && g.mf == h.mf && g.df == h.df && g.id == h.id &&
           g.ttl == h.ttl && g.proto == h.proto && ipaddr_eq(&g.src, &h.src));
}

static void
fuzz_icmp(uint8_t *p, size_t len)
{
    struct icmp_hdr h, g;
    uint8_t out[ICMP_HEADER];
    (void)!icmp_parse(&h, p, len);
    if (len < ICMP_HEADER)
        return;
    fix(p, len, 2);
    expect(icmp_parse(&h, p, len) == WIRE_OK);
    icmp_emit(out, &h, 0);
    expect(icmp_parse(&g, out, sizeof out) == WIRE_OK && g.type == h.type && g.code == h.code &&
           g.id == h.id && g.seq == h.seq && g.mtu == h.mtu);
}

static void
fuzz_quote(const uint8_t *p, size_t len)
{
    struct icmp_quote q;
    if (icmp_quote_parse(&q, p, len) == WIRE_OK)
        expect(len >= q.ip.header_len + 8u);
}

static void
fuzz_udp_header(const uint8_t *p, size_t len)
{
    struct udp_hdr h;
    uint8_t out[UDP_HEADER];
    if (udp_parse(&h, p, len) != WIRE_OK)
        return;
    expect(h.len >= UDP_HEADER && h.len <= len);
    expect(udp_emit(out, &h) == sizeof out && memcmp(out, p, sizeof out) == 0);
}

static void
fuzz_tcp(const uint8_t *p, size_t len)
{
    struct tcp_hdr h, g;
    uint8_t out[TCP_HEADER_MAX];
    if (tcp_parse(&h, p, len) != WIRE_OK)
        return;
    expect(h.header_len >= TCP_HEADER && h.header_len <= len && h.n_sack <= 4);
    size_t n = tcp_emit(out, &h);
    expect(n == tcp_header_len(&h) && n <= sizeof out && n % 4 == 0);
    expect(tcp_parse(&g, out, n) == WIRE_OK);
    expect(g.seq == h.seq && g.ack == h.ack && g.flags == h.flags && g.wnd == h.wnd &&
           g.mss == h.mss && g.has_ts == h.has_ts && g.ts_val == h.ts_val &&
           g.ts_ecr == h.ts_ecr && g.has_wscale == h.has_wscale && g.wscale == h.wscale &&
           g.sack_ok == h.sack_ok && g.n_sack <= h.n_sack);
    expect(memcmp(g.sack, h.sack, g.n_sack * sizeof g.sack[0]) == 0);
}

/* The vector code against itself, cut where the input says. */
static void
fuzz_csum(uint8_t *p, size_t len)
{
    if (len < 2)
        return;
    size_t cut = be16(p) % (len + 1);
    uint32_t a = csum_bytes(p, cut), b = csum_bytes(p + cut, len - cut);
    uint32_t s = cut % 2 ? csum_add_odd(a, b) : csum_add(a, b);
    expect(csum_fold(s) == csum_fold(csum_bytes(p, len)));
    uint8_t *to = malloc(len);
    if (to == NULL)
        return;
    expect(csum_copy(to, p, len) == csum_bytes(p, len) && memcmp(to, p, len) == 0);
    free(to);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t len = size - 1;
    uint8_t *p = malloc(len ? len : 1);
    if (p == NULL)
        return 0;
    memcpy(p, data + 1, len);
    switch (data[0] % 8) {
    case 0:
        fuzz_eth(p, len);
        break;
    case 1:
        fuzz_arp(p, len);
        break;
    case 2:
        fuzz_ip4(p, len);
        break;
    case 3:
        fuzz_icmp(p, len);
        break;
    case 4:
        fuzz_quote(p, len);
        break;
    case 5:
        fuzz_udp_header(p, len);
        break;
    case 6:
        fuzz_tcp(p, len);
        break;
    default:
        fuzz_csum(p, len);
    }
    free(p);
    return 0;
}
