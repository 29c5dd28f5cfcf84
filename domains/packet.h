/* SPDX-License-Identifier: BSD-2-Clause
 *
 * packet.h: AF_PACKET as a driver (driver.h). One system call moves one packet, but a packet is
 * up to 64 KiB of a stream: the kernel, or the machine at the other end of a virtual wire, does
 * the segmentation and the checksum (vnet.h).
 */
#ifndef DOMAINS_PACKET_H
#define DOMAINS_PACKET_H

#include "driver.h"
#include "nicmap.h"

/* Take up the socket. frames: receive parts mapped writable, transmit parts readable. What the
 * predecessor held according to map is empty now. NULL: no memory. Before confinement. */
must_check struct driver *packet_open(int fd, const struct frames *frames, struct nicmap *map,
                                      struct stats *stats);

#endif
