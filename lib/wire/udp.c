/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The UDP header (RFC 768).
 */
#include "wire.h"

enum wire_err
udp_parse(struct udp_hdr *h, const uint8_t *p, size_t avail)
{
    if (avail < UDP_HEADER)
        return WIRE_SHORT;
    h->sport = be16(p);
    h->dport = be16(p + 2);
    h->len = be16(p + 4);
    memcpy(&h->csum, p + 6, 2);
    if (h->len < UDP_HEADER)
        return WIRE_FIELD;
    return h->len > avail ? WIRE_SHORT : WIRE_OK;
}

size_t
udp_emit(uint8_t *p, const struct udp_hdr *h)
{
    put_be16(p, h->sport);
    put_be16(p + 2, h->dport);
    put_be16(p + 4, h->len);
    memcpy(p + 6, &h->csum, 2);
    return UDP_HEADER;
}
