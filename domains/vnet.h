/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vnet.h: the header that an AF_PACKET socket with PACKET_VNET_HDR puts in front of a packet
 * (virtio 1.2, 5.1.6): what is still to be done to it. Pure, but for the name of the struct.
 */
#ifndef DOMAINS_VNET_H
#define DOMAINS_VNET_H

#include <linux/virtio_net.h>

#include "base/pkt.h"

/* Of a received packet: the flags of its first descriptor. False: it is several packets in
 * one of a kind that is not taken apart here. */
must_check bool vnet_received(const struct virtio_net_hdr *v, uint16_t *flags);

/* For a packet to send, of which `head` is the first frame, `first` its descriptor. False: it
 * is to be cut (FDESC_MORE) or finished (FDESC_CSUM) and is no TCP segment that can be. head
 * may be changing meanwhile. */
must_check bool vnet_to_send(struct virtio_net_hdr *v, const uint8_t *head,
                             const struct fdesc *first);

#endif
