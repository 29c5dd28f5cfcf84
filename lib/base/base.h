/* SPDX-License-Identifier: BSD-2-Clause
 *
 * base.h: the few words that every part of Bulkhead shares: time, addresses,
 * byte order and small helpers. Pure: no system call, no allocation.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CACHE_LINE 64

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define must_check __attribute__((warn_unused_result))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define ALIGN_UP(x, a) (((x) + ((a)-1)) & ~((a)-1))

/* Time is an argument everywhere: nanoseconds of a monotonic clock. */
typedef uint64_t ns_t;
#define NS_NEVER UINT64_MAX
#define NS_US 1000ull
#define NS_MS 1000000ull
#define NS_S 1000000000ull

static inline uint32_t
min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}
static inline uint32_t
max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}
static inline uint64_t
min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
static inline uint64_t
max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Unaligned big-endian loads and stores: the only way packet bytes are read. */
static inline uint16_t
be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}
static inline uint32_t
be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}
static inline void
put_be16(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}
static inline void
put_be32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

/* An IP address of either family: 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291
 * section 2.5.5.2). The all-zero value means "none". */
struct ipaddr {
    union {
        uint8_t b[16];
        uint32_t w[4];
        uint64_t q[2];
    };
};
_Static_assert(sizeof(struct ipaddr) == 16, "an address is 16 bytes");

/* From four bytes in network order, as they stand in a packet. */
static inline struct ipaddr
ipaddr_v4(const uint8_t v4[4])
{
    struct ipaddr a = {.b = {[10] = 0xff, [11] = 0xff}};
    memcpy(a.b + 12, v4, 4);
    return a;
}
static inline struct ipaddr
ipaddr_v4_u32(uint32_t host_order)
{
    uint8_t b[4];
    put_be32(b, host_order);
    return ipaddr_v4(b);
}
static inline bool
ipaddr_eq(const struct ipaddr *a, const struct ipaddr *b)
{
    return ((a->q[0] ^ b->q[0]) | (a->q[1] ^ b->q[1])) == 0;
}
static inline bool
ipaddr_is_none(const struct ipaddr *a)
{
    return (a->q[0] | a->q[1]) == 0;
}
static inline bool
ipaddr_is_v4(const struct ipaddr *a)
{
    return a->q[0] == 0 && be32(a->b + 8) == 0xffffu;
}
/* The IPv4 address in host order; 0 if it is none. */
static inline uint32_t
ipaddr_to_u32(const struct ipaddr *a)
{
    return be32(a->b + 12);
}

#define IP_LOOPBACK 0x7f000001u /* 127.0.0.1 */

/* One of 127.0.0.0/8, which never leaves the host (RFC 1122 3.2.1.3 (g)); not its broadcast
 * address, which is nobody's. */
static inline bool
ipaddr_is_loopback(const struct ipaddr *a)
{
    uint32_t u = ipaddr_to_u32(a);
    return ipaddr_is_v4(a) && u >> 24 == 127 && u != 0x7fffffffu;
}

/* True for "none" and for 0.0.0.0: what a socket user means by INADDR_ANY. */
static inline bool
ipaddr_is_any(const struct ipaddr *a)
{
    return ipaddr_is_none(a) || (ipaddr_is_v4(a) && ipaddr_to_u32(a) == 0);
}

#endif
