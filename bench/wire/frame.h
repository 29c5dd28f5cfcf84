/* SPDX-License-Identifier: BSD-2-Clause
 *
 * frame.h: what the wire must know of an Ethernet frame, and what it does to one. Pure.
 */
#ifndef BENCH_WIRE_FRAME_H
#define BENCH_WIRE_FRAME_H

#include "base/base.h"

#define FRAME_ETH 14u
#define FRAME_ANSWER_MAX 128u /* bytes of the frame that frame_too_big makes */

struct frame {
    uint8_t *bytes;
    uint32_t len;
    uint8_t version;  /* 4, 6, or 0: no IP packet, or one that is not whole */
    uint32_t ip_len;  /* of the packet, header included */
    uint32_t payload; /* where what follows the IP header begins; from the frame's start */
    bool df;          /* may not be fragmented */
    bool ect;         /* says that it understands ECN (RFC 3168): ECT(0), ECT(1) or CE */
};

/* Look at a frame. Bytes behind the IP packet (padding) are no part of it. */
struct frame frame_look(uint8_t *bytes, uint32_t len);

/* Set CE, and set the IPv4 header's checksum right. Only for a frame that says ect. */
void frame_mark(const struct frame *f);

/* Turn over one bit behind the IP header, which one luck says; no checksum is changed. Returns
 * false if there is none. */
bool frame_flip(const struct frame *f, uint64_t luck);

/* May a router say something about this packet (RFC 1122 3.2.2, RFC 1812 4.3.2.7)? */
bool frame_may_answer(const struct frame *f);

/* The answer of a router whose next link takes mtu bytes: ICMP type 3 code 4 (RFC 1191), in
 * the name of who the packet was for, because a wire has no address. Returns its length. */
uint32_t frame_too_big(const struct frame *f, uint32_t mtu, uint8_t out[FRAME_ANSWER_MAX]);

/* Fill in the checksum that the sender left to its network card: over everything from start
 * on, stored at start + offset. Returns false if that lies outside of the frame. */
bool frame_checksum(uint8_t *bytes, uint32_t len, uint32_t start, uint32_t offset);

#endif
