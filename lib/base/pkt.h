/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pkt.h: what components hand each other. A batch is an array of these. The same
 * structs are the ring descriptors between processes (ipc/ring.h), so the layout
 * is fixed here and nowhere else.
 */
#ifndef BASE_PKT_H
#define BASE_PKT_H

#include "base.h"

#define BATCH_MAX 64u /* descriptors that one step takes from one neighbour */

enum fdesc_flag {
    FDESC_MORE = 1, /* the next descriptor goes on with this packet */
    FDESC_CSUM = 2, /* first of a packet. Received: the transport's checksum was looked at, or
                     * never filled in by somebody on this machine. To send: its field holds
                     * the pseudo-header's sum alone, and whoever sends has to finish it. */
};

/* Between nic and ip: one Ethernet packet, in several frames if the driver takes more than one
 * holds, or a bare frame address (fill, done). What is sent in several frames AF_XDP sends as
 * one packet; with AF_PACKET it is segmented on its way out: each frame behind the first holds
 * the payload of one segment. */
struct fdesc {
    uint32_t addr; /* frame space */
    uint16_t len;  /* bytes; 0 where only the frame counts */
    uint16_t flags;
};
_Static_assert(sizeof(struct fdesc) == 8, "shared layout");

enum pkt_kind {
    PKT_DATA = 1,   /* a packet of a transport protocol */
    PKT_ICMP = 2,   /* up only: an ICMP error for a session of the receiver */
    PKT_REJECT = 3, /* down only: send ICMP port unreachable; the bytes are the quote
                     * (the IP header and what follows it, as received) */
};

enum pkt_flag {
    PKT_MORE = 1,   /* the next descriptor of the batch goes on with this packet */
    PKT_DF = 2,     /* down: do not fragment, ICMP tells (RFC 1191) */
    PKT_LOCAL = 4,  /* up: came from the stack itself, by the loopback pool */
    PKT_BCAST = 8,  /* up: was sent to a broadcast or multicast address */
    PKT_CSUM = 16,  /* first of a packet: as FDESC_CSUM */
    PKT_WHOLE = 32, /* down: the chain is one segment, to be cut where its frames end as late as
                     * possible; not a fragment each */
    PKT_JOIN = 64,  /* down, with PKT_MORE: the next descriptor goes on with the same fragment;
                     * what a frame has no room for, where the MTU is larger than one */
};

/* Between ip and tcp or udp, either way. One cache line. */
struct pkt {
    uint32_t addr; /* first byte: of the transport header, or of a continuation */
    uint16_t len;  /* bytes at addr, in this frame */
    uint8_t kind;  /* enum pkt_kind */
    uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
    uint8_t flags; /* enum pkt_flag */
    uint8_t tos;   /* DSCP and ECN */
    uint8_t ttl;   /* down: 0 means the default */
    uint8_t err;   /* PKT_ICMP: the errno a socket user expects (RFC 1122 4.2.3.9) */
    uint32_t aux;  /* first of a chain: bytes in the whole chain; PKT_ICMP with
                    * EMSGSIZE: next-hop MTU in bytes */
    struct ipaddr src;
    struct ipaddr dst; /* PKT_ICMP: src and dst of the packet that caused it */
    uint16_t sport;    /* PKT_ICMP: its ports, host order */
    uint16_t dport;
    uint32_t seq; /* PKT_ICMP: its TCP sequence number; a datagram, up: so many for its
                   * port were dropped before it as udp had no room (ports.h) */
    union {
        uint32_t l3;     /* up: frame address of the IP header (first frame) */
        uint32_t client; /* down, of the first: number of the client that it is charged to,
                          * plus 1; 0: nobody */
    };
    uint8_t icmp_type; /* PKT_ICMP */
    uint8_t icmp_code;
    uint16_t l3_len; /* up: bytes readable from l3 on */
};
_Static_assert(sizeof(struct pkt) == CACHE_LINE, "one cache line, shared layout");

/* What the transports may read of ip's view of the network (region "path":
 * ip writes, tcp and udp read). Everything here is a hint from below: a wrong
 * value costs packets, never memory safety. */
#define PATH_PMTU_ENTRIES 64u
struct path_table {
    struct ipaddr addr;    /* the stack's own address */
    uint32_t prefix;       /* of the connected network, bits of IPv4 */
    uint32_t mtu;          /* of the interface, bytes of IP packet */
    struct ipaddr gateway; /* none: only the connected network is reachable */
    uint32_t ready;        /* address probed and announced (RFC 5227) */
    uint32_t pad;
    struct path_pmtu {
        struct ipaddr dst;
        uint32_t mtu; /* bytes of IP packet; 0: unused entry */
        uint32_t pad;
    } pmtu[PATH_PMTU_ENTRIES];
};

/* Is d the broadcast address of the network, or of all? One of 31 or 32 bits has none (RFC
 * 3021). */
static inline bool
net_broadcast(uint32_t own, uint32_t prefix, uint32_t d)
{
    uint32_t host = prefix == 0 ? UINT32_MAX : prefix >= 31 ? 0 : UINT32_MAX >> prefix;
    return d == UINT32_MAX || (host != 0 && (d & host) == host && ((d ^ own) & ~host) == 0);
}

/* Is there a way to dst at all? (connected, own, loopback, or by the gateway) */
bool path_reachable(const struct path_table *t, const struct ipaddr *dst);

/* Is it this stack: its own address, or one of loopback? */
bool path_local(const struct path_table *t, const struct ipaddr *a);

/* The source of what goes to dst, if nobody chose another one. */
struct ipaddr path_source(const struct path_table *t, const struct ipaddr *dst);

/* 0.0.0.0 as a destination is this host, as on Linux: the address of who asks, or loopback's if
 * he has none. Any other is itself. */
struct ipaddr path_peer(const struct ipaddr *dst, const struct ipaddr *local);

/* Bytes of IP packet that fit on the way to dst; never below 576. */
uint32_t path_mtu(const struct path_table *t, const struct ipaddr *dst);

#endif
