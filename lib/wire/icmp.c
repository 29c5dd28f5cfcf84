/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ICMP (RFC 792, 1191). What errors quote is parsed in ip4.c.
 */
#include "csum.h"
#include "wire.h"

#define ICMP_FRAG_NEEDED 4 /* code of ICMP_UNREACH */

enum wire_err
icmp_parse(struct icmp_hdr *h, const uint8_t *p, size_t len)
{
    if (len < ICMP_HEADER)
        return WIRE_SHORT;
    if (csum_fold(csum_bytes(p, len)) != 0xffff)
        return WIRE_CHECKSUM;
    *h = (struct icmp_hdr){.type = p[0], .code = p[1]};
    if (h->type == ICMP_ECHO || h->type == ICMP_ECHO_REPLY) {
        h->id = be16(p + 4);
        h->seq = be16(p + 6);
    } else if (h->type == ICMP_UNREACH && h->code == ICMP_FRAG_NEEDED) {
        h->mtu = be16(p + 6);
    }
    return WIRE_OK;
}

size_t
icmp_emit(uint8_t *p, const struct icmp_hdr *h, uint32_t payload_sum)
{
    memset(p, 0, ICMP_HEADER);
    p[0] = h->type;
    p[1] = h->code;
    if (h->type == ICMP_ECHO || h->type == ICMP_ECHO_REPLY) {
        put_be16(p + 4, h->id);
        put_be16(p + 6, h->seq);
    } else if (h->type == ICMP_UNREACH && h->code == ICMP_FRAG_NEEDED) {
        put_be16(p + 6, h->mtu);
    }
    uint16_t sum = (uint16_t)~csum_fold(csum_add(csum_bytes(p, ICMP_HEADER), payload_sum));
    memcpy(p + 2, &sum, 2);
    return ICMP_HEADER;
}
