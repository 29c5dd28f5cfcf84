/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Kinds of address, the two routes there are, and numbers that nobody can guess.
 */
#include "priv.h"

enum addr_kind
ip_addr_kind(const struct ip *ip, const struct ipaddr *a)
{
    if (!ipaddr_is_v4(a))
        return ADDR_BAD;
    if (ipaddr_eq(a, &ip->cfg.addr))
        return ADDR_OWN;
    if (ipaddr_is_loopback(a))
        return ADDR_LOOPBACK;
    uint32_t u = ipaddr_to_u32(a), top = u >> 24;
    if (u == UINT32_MAX)
        return ADDR_BROADCAST;
    if (top == 0 || top == 127 || top >= 240)
        return ADDR_BAD;
    if (top >= 224)
        return ADDR_MULTICAST;
    /* Networks of 31 and 32 bits have no broadcast address (RFC 3021). */
    if (ip->cfg.prefix <= 30 && ip_on_link(ip, a)) {
        if ((u | ip->mask) == UINT32_MAX)
            return ADDR_BROADCAST;
        if ((u & ~ip->mask) == 0)
            return ADDR_BAD;
    }
    return ADDR_HOST;
}

bool
ip_on_link(const struct ip *ip, const struct ipaddr *a)
{
    return ((ipaddr_to_u32(a) ^ ipaddr_to_u32(&ip->cfg.addr)) & ip->mask) == 0;
}

bool
ip_next_hop(const struct ip *ip, const struct ipaddr *dst, struct ipaddr *hop)
{
    if (ip_on_link(ip, dst))
        *hop = *dst;
    else if (!ipaddr_is_any(&ip->cfg.gateway))
        *hop = ip->cfg.gateway;
    else
        return false;
    return true;
}

/* SplitMix64: jitter, and the seed of the key below. Not for secrets. */
uint64_t
ip_rand(struct ip *ip)
{
    uint64_t z = ip->rng += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t
rotl(uint64_t x, unsigned n)
{
    return (x << n) | (x >> (64 - n));
}

static void
sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

uint64_t
ip_hash(const struct ip *ip, const struct ipaddr *a, uint64_t salt)
{
    const uint64_t m[4] = {a->q[0], a->q[1], salt, 24ull << 56};
    uint64_t v[4] = {ip->key[0] ^ 0x736f6d6570736575u, ip->key[1] ^ 0x646f72616e646f6du,
                     ip->key[0] ^ 0x6c7967656e657261u, ip->key[1] ^ 0x7465646279746573u};
    for (unsigned i = 0; i < ARRAY_LEN(m); i++) {
        v[3] ^= m[i];
        sip_round(v);
        sip_round(v);
        v[0] ^= m[i];
    }
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* RFC 7739 5.3: a counter per bucket of destinations, offset by a keyed hash of the
 * destination, so that one host's numbers say nothing of another's; and no number comes
 * again before the counter went round (RFC 6864 4.3). */
uint16_t
ip_identify(struct ip *ip, const struct ipaddr *dst, uint8_t proto)
{
    uint64_t h = ip_hash(ip, dst, 0x4944000000000000u | proto);
    return (uint16_t)(ip->ident[h & 0xff]++ + (h >> 16));
}
