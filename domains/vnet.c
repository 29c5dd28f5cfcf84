/* SPDX-License-Identifier: BSD-2-Clause */
#include "vnet.h"

#include "wire/wire.h"

#define L4 (ETH_HEADER + IP4_HEADER) /* ip writes no options */
#define TCP_CSUM 16u                 /* where the field is in the header */
#define TCP_DATA 12u                 /* and the header's length, in its upper half */

bool
vnet_received(const struct virtio_net_hdr *v, uint16_t *flags)
{
    const uint8_t done = VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
    uint8_t type = v->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
    *flags = v->flags & done ? FDESC_CSUM : 0;
    /* Segments of one stream are one longer segment. Datagrams are not. */
    return type == VIRTIO_NET_HDR_GSO_NONE || type == VIRTIO_NET_HDR_GSO_TCPV4;
}

bool
vnet_to_send(struct virtio_net_hdr *v, const uint8_t *head, const struct fdesc *first)
{
    *v = (struct virtio_net_hdr){0};
    if (!(first->flags & (FDESC_CSUM | FDESC_MORE)))
        return true;
    if (!(first->flags & FDESC_CSUM) || first->len < L4 + TCP_HEADER)
        return false;
    uint32_t headers = L4 + (uint32_t)(head[L4 + TCP_DATA] >> 4) * 4;
    if (headers < L4 + TCP_HEADER || headers > first->len)
        return false;
    v->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    v->csum_start = L4;
    v->csum_offset = TCP_CSUM;
    if (!(first->flags & FDESC_MORE))
        return true;
    v->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
    v->gso_size =
        (uint16_t)(first->len - headers); /* the first frame holds the first segment */
    v->hdr_len = (uint16_t)headers;
    return v->gso_size != 0;
}
