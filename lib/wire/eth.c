/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Ethernet II and ARP.
 */
#include "wire.h"

#define ARP_HTYPE_ETHERNET 1

enum wire_err
eth_parse(struct eth_hdr *h, const uint8_t *p, size_t len)
{
    if (len < ETH_HEADER)
        return WIRE_SHORT;
    memcpy(h->dst, p, 6);
    memcpy(h->src, p + 6, 6);
    h->type = be16(p + 12);
    /* A group address is never a source (IEEE 802.3 3.2.3). */
    return h->src[0] & 1 ? WIRE_FIELD : WIRE_OK;
}

size_t
eth_emit(uint8_t *p, const struct eth_hdr *h)
{
    memcpy(p, h->dst, 6);
    memcpy(p + 6, h->src, 6);
    put_be16(p + 12, h->type);
    return ETH_HEADER;
}

enum wire_err
arp_parse(struct arp_pkt *a, const uint8_t *p, size_t len)
{
    if (len < ARP_BYTES)
        return WIRE_SHORT;
    a->op = be16(p + 6);
    memcpy(a->sha, p + 8, 6);
    a->spa = ipaddr_v4(p + 14);
    memcpy(a->tha, p + 18, 6);
    a->tpa = ipaddr_v4(p + 24);
    bool known = be16(p) == ARP_HTYPE_ETHERNET && be16(p + 2) == ETH_TYPE_IP4 && p[4] == 6 &&
                 p[5] == 4 && (a->op == ARP_REQUEST || a->op == ARP_REPLY);
    /* Nobody's hardware address is a group address. */
    return known && !(a->sha[0] & 1) ? WIRE_OK : WIRE_FIELD;
}

size_t
arp_emit(uint8_t *p, const struct arp_pkt *a)
{
    put_be16(p, ARP_HTYPE_ETHERNET);
    put_be16(p + 2, ETH_TYPE_IP4);
    p[4] = 6;
    p[5] = 4;
    put_be16(p + 6, a->op);
    memcpy(p + 8, a->sha, 6);
    memcpy(p + 14, a->spa.b + 12, 4);
    memcpy(p + 18, a->tha, 6);
    memcpy(p + 24, a->tpa.b + 12, 4);
    return ARP_BYTES;
}
