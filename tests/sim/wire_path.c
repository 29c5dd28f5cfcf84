/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire_path.c: what the routers of a path do to packets that they do not lose by chance: they
 * drop what is too large, and say so or not; they mark instead of dropping (RFC 3168); and some
 * boxes take options out of SYNs, so that both ends believe the other does not know them.
 */
#include "wire.h"
#include "wire/csum.h"
#include "wire/wire.h"

#define QUOTE (IP4_HEADER + 8u)
#define ROUTER 0x0a0900feu /* 10.9.0.254 */

static bool
packet(struct ip4_hdr *ip, const uint8_t *frame, uint32_t len)
{
    return len >= ETH_HEADER && be16(frame + 12) == ETH_TYPE_IP4 &&
           ip4_parse(ip, frame + ETH_HEADER, len - ETH_HEADER) == WIRE_OK;
}

/* RFC 1191 section 4: the next hop's MTU, and the head of the packet that did not fit. */
static void
frag_needed(struct wire *w, const uint8_t *frame, const struct ip4_hdr *cause, ns_t now)
{
    uint8_t f[ETH_HEADER + IP4_HEADER + ICMP_HEADER + QUOTE];
    uint8_t *ip = f + ETH_HEADER, *icmp = ip + IP4_HEADER;
    memcpy(f, frame + 6, 6);
    memcpy(f + 6, frame, 6);
    put_be16(f + 12, ETH_TYPE_IP4);
    struct ip4_hdr h = {.src = ipaddr_v4_u32(ROUTER),
                        .dst = cause->src,
                        .total_len = sizeof f - ETH_HEADER,
                        .ttl = 64,
                        .proto = WIRE_PROTO_ICMP};
    (void)ip4_emit(ip, &h);
    memcpy(icmp + ICMP_HEADER, frame + ETH_HEADER, QUOTE);
    struct icmp_hdr ih = {.type = ICMP_UNREACH, .code = 4, .mtu = w->p.mtu};
    (void)icmp_emit(icmp, &ih, csum_bytes(icmp + ICMP_HEADER, QUOTE));
    wire_send(w->back, f, sizeof f, now);
}

/* Does the packet not fit where the path is narrow now? */
bool
wire_too_large(struct wire *w, const uint8_t *frame, uint32_t len, ns_t now)
{
    struct ip4_hdr ip;
    if (w->p.mtu == 0 || now < w->start + w->p.mtu_from || now >= w->start + w->p.mtu_until ||
        !packet(&ip, frame, len) || ip.total_len <= w->p.mtu || !ip.df)
        return false;
    w->n_too_large++;
    if (!w->p.mtu_silent && w->back != NULL)
        frag_needed(w, frame, &ip, now);
    return true;
}

/* Overwrite a SYN's options of these kinds with NOPs. */
static void
strip(uint8_t *tcp, uint32_t header_len, uint32_t kinds)
{
    static const uint8_t bit_of[] = {
        [2] = WIRE_NO_MSS, [3] = WIRE_NO_WS, [4] = WIRE_NO_SACK, [8] = WIRE_NO_TS};
    for (uint32_t i = TCP_HEADER; i < header_len && tcp[i] != 0;) {
        uint32_t n = tcp[i] == 1 ? 1 : tcp[i + 1];
        if (tcp[i] < sizeof bit_of && (bit_of[tcp[i]] & kinds))
            memset(tcp + i, 1, n);
        i += n;
    }
}

static void
strip_syn(const struct wire *w, uint8_t *tcp, const struct ip4_hdr *ip)
{
    struct tcp_hdr t;
    uint32_t n = ip->total_len - ip->header_len;
    if (w->p.strip == 0 || ip->proto != WIRE_PROTO_TCP || ip->frag_off != 0 ||
        tcp_parse(&t, tcp, n) != WIRE_OK || !(t.flags & TCP_SYN))
        return;
    strip(tcp, t.header_len, w->p.strip);
    memset(tcp + 16, 0, 2);
    uint32_t sum =
        csum_add(csum_pseudo(&ip->src, &ip->dst, WIRE_PROTO_TCP, n), csum_bytes(tcp, n));
    uint16_t csum = (uint16_t)~csum_fold(sum);
    memcpy(tcp + 16, &csum, sizeof csum);
}

/* A packet on its way, in a copy that may be changed; queued: bytes that wait before it. */
void
wire_touch(struct wire *w, uint8_t *frame, uint32_t len, uint32_t queued)
{
    struct ip4_hdr ip;
    if ((w->p.mark | w->p.mark_above | w->p.strip) == 0 || !packet(&ip, frame, len))
        return;
    strip_syn(w, frame + ETH_HEADER + ip.header_len, &ip);
    bool capable = (ip.tos & 3) == 1 || (ip.tos & 3) == 2;
    bool full = w->p.mark_above != 0 && queued > w->p.mark_above;
    if (ip.header_len != IP4_HEADER || !capable || !(full || rng_ppm(&w->rng, w->p.mark)))
        return;
    ip.tos |= 3;
    (void)ip4_emit(frame + ETH_HEADER, &ip);
    w->n_marked++;
}
