/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IPv4 (RFC 791).
 */
#include "csum.h"
#include "wire.h"

#define IP4_DF 0x4000
#define IP4_MF 0x2000
#define IP4_OFF 0x1fff

#define OPT_END 0
#define OPT_NOP 1
#define OPT_LSRR 131
#define OPT_SSRR 137

/* Every option but END and NOP has a length that covers at least itself and stays inside
 * the header. */
static bool
options_ok(struct ip4_hdr *h, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len && p[i] != OPT_END;) {
        if (p[i] == OPT_NOP) {
            i++;
            continue;
        }
        if (len - i < 2 || p[i + 1] < 2 || p[i + 1] > len - i)
            return false;
        h->source_routed |= p[i] == OPT_LSRR || p[i] == OPT_SSRR;
        i += p[i + 1];
    }
    return true;
}

/* The fields that need no check. At least 20 bytes at p. */
static void
read_fixed(struct ip4_hdr *h, const uint8_t *p)
{
    uint16_t frag = be16(p + 6);
    *h = (struct ip4_hdr){
        .src = ipaddr_v4(p + 12),
        .dst = ipaddr_v4(p + 16),
        .total_len = be16(p + 2),
        .id = be16(p + 4),
        .frag_off = (uint16_t)((frag & IP4_OFF) * 8),
        .header_len = (uint8_t)((p[0] & 0xf) * 4),
        .tos = p[1],
        .ttl = p[8],
        .proto = p[9],
        .df = (frag & IP4_DF) != 0,
        .mf = (frag & IP4_MF) != 0,
    };
}

enum wire_err
ip4_parse(struct ip4_hdr *h, const uint8_t *p, size_t len)
{
    if (len < IP4_HEADER)
        return WIRE_SHORT;
    uint8_t copy[IP4_HEADER_MAX];
    size_t have = len < sizeof copy ? len : sizeof copy;
    memcpy(copy, p, have);
    read_fixed(h, copy);
    if (copy[0] >> 4 != 4 || h->header_len < IP4_HEADER || h->total_len < h->header_len)
        return WIRE_FIELD;
    if (h->total_len > len)
        return WIRE_SHORT;
    if (csum_fold(csum_bytes(copy, h->header_len)) != 0xffff)
        return WIRE_CHECKSUM;
    if (!options_ok(h, copy + IP4_HEADER, h->header_len - IP4_HEADER))
        return WIRE_FIELD;
    return h->frag_off + (uint32_t)h->total_len > 65535 ? WIRE_FIELD : WIRE_OK;
}

size_t
ip4_emit(uint8_t *p, const struct ip4_hdr *h)
{
    p[0] = 0x45;
    p[1] = h->tos;
    put_be16(p + 2, h->total_len);
    put_be16(p + 4, h->id);
    put_be16(p + 6, (uint16_t)((h->df ? IP4_DF : 0) | (h->mf ? IP4_MF : 0) | h->frag_off / 8));
    p[8] = h->ttl;
    p[9] = h->proto;
    memset(p + 10, 0, 2);
    memcpy(p + 12, h->src.b + 12, 4);
    memcpy(p + 16, h->dst.b + 12, 4);
    uint16_t sum = (uint16_t)~csum_fold(csum_bytes(p, IP4_HEADER));
    memcpy(p + 10, &sum, 2);
    return IP4_HEADER;
}

enum wire_err
icmp_quote_parse(struct icmp_quote *q, const uint8_t *p, size_t len)
{
    if (len < IP4_HEADER)
        return WIRE_SHORT;
    memset(q, 0, sizeof *q);
    read_fixed(&q->ip, p);
    if (p[0] >> 4 != 4 || q->ip.header_len < IP4_HEADER)
        return WIRE_FIELD;
    if (len - IP4_HEADER < q->ip.header_len - IP4_HEADER + 8u)
        return WIRE_SHORT;
    const uint8_t *l4 = p + q->ip.header_len;
    bool ports = q->ip.proto == WIRE_PROTO_TCP || q->ip.proto == WIRE_PROTO_UDP;
    /* A later fragment begins with payload: its ports stay 0, which names no session. */
    if (ports && q->ip.frag_off == 0) {
        q->sport = be16(l4);
        q->dport = be16(l4 + 2);
        q->seq = q->ip.proto == WIRE_PROTO_TCP ? be32(l4 + 4) : 0;
    }
    return WIRE_OK;
}
