/* SPDX-License-Identifier: BSD-2-Clause
 *
 * csum.h: the Internet checksum (RFC 1071). A sum here is partial: 32 bits, the one's
 * complement sum of the 16-bit words as the machine loads them (native order), the last
 * odd byte padded with a zero behind it. The sum does not depend on byte order (RFC 1071
 * section 2(B)), so the result is stored with memcpy and never swapped. Combine with
 * csum_add, end with csum_fold; a block that starts at an odd offset of the whole is added
 * with csum_add_odd. A whole with its checksum in place folds to 0xffff.
 */
#ifndef WIRE_CSUM_H
#define WIRE_CSUM_H

#include "base/base.h"

/* Sum of len bytes at any alignment. Vectorised. */
uint32_t csum_bytes(const void *p, size_t len);

/* memcpy and csum_bytes in one pass over the bytes. The sum is of what was written, also
 * while somebody changes the source. */
uint32_t csum_copy(void *dst, const void *src, size_t len);

/* Sum of two partial sums (end-around carry). */
static inline uint32_t
csum_add(uint32_t a, uint32_t b)
{
    uint32_t s = a + b;
    return s + (s < a);
}

/* Add a block that starts at an odd offset of the whole. */
static inline uint32_t
csum_add_odd(uint32_t a, uint32_t b)
{
    return csum_add(a, (b << 8) | (b >> 24));
}

/* To 16 bits, not complemented. Store ~csum_fold(sum) with memcpy: no byte swap. Zero only
 * for a sum of nothing but zeros. */
static inline uint16_t
csum_fold(uint32_t s)
{
    s = (s & 0xffff) + (s >> 16);
    return (uint16_t)(s + (s >> 16));
}

/* Pseudo-header sum of IPv4 (RFC 9293 3.1, RFC 768). len: transport bytes. */
uint32_t csum_pseudo(const struct ipaddr *src, const struct ipaddr *dst, uint8_t proto,
                     uint32_t len);

#endif
