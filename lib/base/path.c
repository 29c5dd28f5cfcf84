/* SPDX-License-Identifier: BSD-2-Clause */
#include "pkt.h"

static uint32_t
prefix_mask(uint32_t bits)
{
    return bits == 0 ? 0 : bits >= 32 ? UINT32_MAX : ~(UINT32_MAX >> bits);
}

bool
path_reachable(const struct path_table *t, const struct ipaddr *dst)
{
    if (!ipaddr_is_v4(dst) || ipaddr_is_any(dst))
        return false;
    if (ipaddr_is_loopback(dst))
        return true;
    uint32_t d = ipaddr_to_u32(dst), top = d >> 24;
    if (top == 0 || top == 127)
        return false;
    uint32_t mask = prefix_mask(t->prefix);
    return ((d ^ ipaddr_to_u32(&t->addr)) & mask) == 0 || !ipaddr_is_any(&t->gateway);
}

bool
path_local(const struct path_table *t, const struct ipaddr *a)
{
    return ipaddr_eq(a, &t->addr) || ipaddr_is_loopback(a);
}

struct ipaddr
path_source(const struct path_table *t, const struct ipaddr *dst)
{
    return ipaddr_is_loopback(dst) ? ipaddr_v4_u32(IP_LOOPBACK) : t->addr;
}

struct ipaddr
path_peer(const struct ipaddr *dst, const struct ipaddr *local)
{
    if (!ipaddr_is_v4(dst) || !ipaddr_is_any(dst))
        return *dst;
    return ipaddr_is_any(local) ? ipaddr_v4_u32(IP_LOOPBACK) : *local;
}

uint32_t
path_mtu(const struct path_table *t, const struct ipaddr *dst)
{
    uint32_t mtu = t->mtu;
    uint32_t h = ipaddr_to_u32(dst) * 2654435761u >> 26;
    const struct path_pmtu *e = &t->pmtu[h % PATH_PMTU_ENTRIES];
    if (ipaddr_eq(&e->dst, dst) && e->mtu != 0)
        mtu = min_u32(mtu, e->mtu);
    return max_u32(min_u32(mtu, 65535), 576);
}
