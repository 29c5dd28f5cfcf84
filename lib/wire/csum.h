/* SPDX-License-Identifier: BSD-2-Clause
 *
 * csum.h: the Internet checksum (RFC 1071). Sums are partial: 32 bits, one's
 * complement, in host byte order of big-endian words swapped as they lie in memory;
 * combine with csum_add, end with csum_fold. A block may be added at an odd offset
 * with csum_add_odd.
 */
#ifndef WIRE_CSUM_H
#define WIRE_CSUM_H

#include "base/base.h"

/* Sum of len bytes. Vectorised. */
uint32_t csum_bytes(const void *p, size_t len);

/* memcpy and csum_bytes in one pass over the bytes. The sum is of what was written. */
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

/* To 16 bits, not complemented. Store ~csum_fold(sum) with memcpy: no byte swap. */
static inline uint16_t
csum_fold(uint32_t s)
{
    s = (s & 0xffff) + (s >> 16);
    return (uint16_t)(s + (s >> 16));
}

struct ipaddr;
/* Pseudo-header sum of IPv4 (RFC 9293 3.1, RFC 768). len: transport bytes. */
uint32_t csum_pseudo(const struct ipaddr *src, const struct ipaddr *dst, uint8_t proto,
                     uint32_t len);

#endif
