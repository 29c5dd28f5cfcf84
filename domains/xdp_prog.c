/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the stack takes out of an interface that it shares with the kernel: IPv4 packets
 * to its address, ARP that asks for its address or speaks in its name (RFC 5227: somebody
 * else may have it). All the rest goes on to the kernel: broadcast, IPv6, tagged frames.
 *
 * XDP cannot duplicate a frame: what is taken here the kernel does not see.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP 0x0806

/* Written by netif.c before the program is loaded. Network order. */
const volatile __u32 stack_addr = 0;

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} sockets SEC(".maps");

struct ethernet {
    __u8 dst[6], src[6];
    __be16 type;
} __attribute__((packed));

struct ipv4 {
    __u8 version_ihl, tos;
    __be16 len, id, frag;
    __u8 ttl, proto;
    __be16 csum;
    __be32 src, dst;
} __attribute__((packed));

struct arp {
    __be16 hardware, protocol;
    __u8 hardware_len, protocol_len;
    __be16 op;
    __u8 sender_mac[6];
    __be32 sender;
    __u8 target_mac[6];
    __be32 target;
} __attribute__((packed));

static __always_inline int
is_ours(const void *at, const void *end)
{
    const struct ethernet *eth = at;
    const struct ipv4 *ip = (const void *)(eth + 1);
    const struct arp *arp = (const void *)(eth + 1);

    if ((const void *)(eth + 1) > end)
        return 0;
    if (eth->type == bpf_htons(ETHERTYPE_IPV4))
        return (const void *)(ip + 1) <= end && ip->version_ihl >> 4 == 4 &&
               ip->dst == stack_addr;
    if (eth->type == bpf_htons(ETHERTYPE_ARP))
        return (const void *)(arp + 1) <= end && arp->hardware == bpf_htons(1) &&
               arp->protocol == bpf_htons(ETHERTYPE_IPV4) && arp->hardware_len == 6 &&
               arp->protocol_len == 4 &&
               (arp->target == stack_addr || arp->sender == stack_addr);
    return 0;
}

SEC("xdp")
int
bulkhead_xdp(struct xdp_md *ctx)
{
    if (!is_ours((const void *)(long)ctx->data, (const void *)(long)ctx->data_end))
        return XDP_PASS;
    /* With no socket on this queue the frame goes to the kernel after all. */
    return (int)bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

const char program_license[] SEC("license") = "BSD";
