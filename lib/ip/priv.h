/* SPDX-License-Identifier: BSD-2-Clause
 *
 * priv.h: what the files of the IP component share. One file per mechanism:
 *
 *   ip.c        init, timers, frames that come back, resets
 *   addr.c      kinds of address, routes, random numbers and IP identification
 *   tx.c        the way to the NIC: frames on hand, Ethernet headers
 *   neigh.c     the neighbour cache and what waits for an answer
 *   arp.c       ARP packets, probing and defending the own address
 *   input.c     received frames
 *   reasm.c     fragments
 *   port.c      dropping what udp does not want
 *   up.c        handing packets and ICMP messages to tcp and udp
 *   output.c    what tcp and udp send
 *   loopback.c  packets to the own address and those of loopback
 *   icmp.c      ICMP received
 *   icmp_error.c  ICMP errors sent, and their limits
 */
#ifndef IP_PRIV_H
#define IP_PRIV_H

#include "ip/ip.h"
#include "wire/wire.h"

/* ---- bounds ---- */
#define NEIGH_ENTRIES 256u
#define NEIGH_BUCKETS 256u
#define NEIGH_INCOMPLETE_MAX 64u /* unanswered at once: a scan cannot take the cache */
#define NEIGH_PACKETS 16u        /* packets that wait for one neighbour */
#define NEIGH_FRAMES 64u         /* and their frames: one 64 KiB datagram and some */
#define WAIT_SLOTS 128u          /* frames that wait for any neighbour */
#define NEIGH_SHARE 4u           /* of both one client has one in so many at most */
#define HOLDERS_EACH 512u        /* clients of each transport that are told apart */
#define NONE16 0xffffu

#define NEIGH_TRIES 3u
#define NEIGH_RETRY NS_S
#define NEIGH_FRESH (60 * NS_S) /* an answer counts for so long */

#define REASM_SLOTS 64u
#define REASM_PER_SOURCE 16u
#define REASM_TIMEOUT (30 * NS_S)
#define REASM_SHARE 8u /* of the receive pool: one in so many frames at most */

#define PMTU_MIN 68u /* RFC 791: nothing less is a link */
#define PMTU_AGE (600 * NS_S)

#define ANNOUNCE_NUM 2u                  /* RFC 5227 1.1 */
#define ANNOUNCE_INTERVAL (2 * NS_S)     /* RFC 5227 1.1 */
#define DEFEND_INTERVAL (10 * NS_S)      /* RFC 5227 1.1 */
#define ICMP_ERROR_COST (10 * NS_MS)     /* of credit: 100 errors a second */
#define ICMP_ERROR_BURST 50u             /* after a quiet while */
#define ICMP_QUOTE_MAX (576u - 20u - 8u) /* RFC 1812 4.3.2.3 */

#define OWN_CHAIN_MAX 128u  /* frames of one packet of our own: 64 KiB at MTU 576 */
#define DATAGRAM_MAX 65515u /* bytes behind an IPv4 header */
#define RETRY_NIC NS_MS     /* the NIC was full: look again */
#define TX_HEADROOM 64u     /* a transport leaves at least this in its frame */
#define L2L3 (ETH_HEADER + IP4_HEADER)

#define PORT_SHED 256u /* ports with drops that udp was not told of */

/* ---- who gets a transmit frame back ---- */
enum owner { OWNER_TCP = IP_UP_TCP, OWNER_UDP = IP_UP_UDP, OWNER_IP, OWNERS };

/* Holders in ip's pools (base/frame.h). */
enum holder {
    HELD_IP = 1,  /* PART_IPTX: being built, waiting for ARP or for the NIC */
    HELD_NIC = 2, /* PART_IPTX: with the NIC */
    HELD_UP = 3,  /* PART_UP: HELD_UP + enum ip_up */
};

enum addr_kind {
    ADDR_BAD,
    ADDR_OWN,
    ADDR_LOOPBACK, /* never on the wire, either way */
    ADDR_HOST,
    ADDR_BROADCAST,
    ADDR_MULTICAST
};

enum neigh_state { NEIGH_FREE, NEIGH_INCOMPLETE, NEIGH_REACHABLE, NEIGH_STALE, NEIGH_PROBE };

struct neigh {
    struct ipaddr addr;
    ns_t due;        /* INCOMPLETE, PROBE: next try; REACHABLE: until then */
    ns_t last_used;  /* for sending; before that: when it was made */
    ns_t asked;      /* INCOMPLETE: since then */
    uint16_t next;   /* in its bucket */
    uint16_t holder; /* INCOMPLETE: for whom */
    uint16_t q_head, q_tail;
    uint8_t q_packets, q_frames;
    uint8_t mac[6];
    uint8_t state; /* enum neigh_state */
    uint8_t tries;
    bool used; /* something was sent to it since it was made */
};

/* A frame that waits for a neighbour. */
struct wait_slot {
    struct pkt icmp; /* what its transport is told if nobody answers */
    struct fdesc frame;
    uint16_t next;
    uint16_t holder; /* NONE16: the slot is free */
    uint8_t who;
    bool first; /* of its packet */
};

/* What a client has of what is there for neighbours that have not answered. */
struct neigh_held {
    uint8_t places; /* neighbours that are asked for because of it */
    uint8_t frames; /* that wait */
};

/* A frame that waits for room towards the NIC. */
struct txq_slot {
    struct fdesc frame;
    uint32_t who;
};

/* A token bucket, in time. */
struct limit {
    ns_t credit, at;
};

/* Datagrams dropped for a port. Another one with the same place takes it over: a few drops are
 * then counted for nobody. */
struct shed {
    uint32_t n;
    uint16_t port;
};

struct frag {
    uint32_t addr; /* of its bytes, in PART_RX */
    uint16_t off;  /* bytes, in the datagram */
    uint16_t len;
};

enum reasm_state {
    REASM_FREE,
    REASM_LIVE,
    REASM_DEAD, /* overlap seen: swallows the rest of the datagram (RFC 5722 3) */
};

struct reasm {
    struct ip4_hdr first; /* header of the fragment at 0; before that: the key only */
    ns_t deadline;
    uint32_t l3;    /* frame address of first's header */
    uint32_t total; /* bytes of the datagram; 0: last fragment not seen */
    uint32_t bytes; /* received */
    uint8_t n;
    uint8_t state;
    uint8_t ecn; /* a bit per ECN codepoint seen (RFC 3168 5.3) */
    struct frag f[FRAME_MAX_CHAIN];
};

struct ip {
    struct frames f;
    struct path_table *path;
    struct stats *stats;
    struct ip_config cfg;
    uint32_t mask; /* of the connected network, host order */
    enum ip_state state;
    ns_t next; /* the earliest timer; too early does no harm */
    uint64_t rng;
    uint64_t key[2];

    struct pool iptx, uppool;
    uint32_t up_held[IP_UPS];
    uint32_t iptx_reserve; /* frames that echo replies leave for ARP and errors */

    struct txq_slot *txq; /* a ring that holds every frame that can come to it */
    uint32_t txq_cap, txq_head, txq_n;

    /* RFC 5227 */
    uint32_t probes_left, announce_left;
    ns_t dad_due; /* next probe, end of probing, or next announcement */
    ns_t last_defence;
    bool defended;
    uint8_t conflict_mac[6];

    struct neigh neigh[NEIGH_ENTRIES];
    uint16_t bucket[NEIGH_BUCKETS];
    uint32_t n_incomplete;
    struct wait_slot wait[WAIT_SLOTS];
    uint16_t wait_free;
    uint32_t n_wait_free;
    struct neigh_held held[OWNERS * HOLDERS_EACH];
    uint32_t waits[OWNERS];    /* frames of each that wait */
    uint32_t wait_max[OWNERS]; /* and may: never more than half of its pool */

    struct reasm reasm[REASM_SLOTS];
    uint32_t reasm_frames, reasm_max;
    uint64_t *rx_held; /* a bit per PART_RX frame: held by reassembly */

    ns_t pmtu_until[PATH_PMTU_ENTRIES];
    struct limit icmp;   /* errors sent */
    struct limit nobody; /* datagrams handed on that udp will answer with an error */
    struct shed shed[PORT_SHED];
    uint16_t ident[256];

    struct pkt chain[FRAME_MAX_CHAIN]; /* the packet that ip_output looks at */
    uint8_t scratch[65536];            /* an ICMP message, in one piece */
};

/* One frame's share of a datagram: bytes at addr. */
struct part {
    uint32_t addr;
    uint16_t len;
    bool join; /* to send: the next one goes out in the same packet */
};

/* A received datagram, whole: n parts in PART_RX. */
struct dgram {
    const struct ip4_hdr *h;
    const struct part *part;
    unsigned n;
    uint32_t total; /* bytes of all parts */
    uint32_t l3;    /* frame address of the IP header; part[0] follows it */
    bool group;     /* sent to a broadcast or multicast address */
    bool csum_done; /* by the driver: FDESC_CSUM */
};

/* Where a received frame ends up: the one who decides says so, one place frees it. */
enum rx_fate { RX_FREE, RX_KEPT };

/* ---- addr.c ---- */
enum addr_kind ip_addr_kind(const struct ip *ip, const struct ipaddr *a);
/* Of this stack: what goes from one to the other goes by loopback.c, and nowhere else. */
static inline bool
ip_is_local(enum addr_kind k)
{
    return k == ADDR_OWN || k == ADDR_LOOPBACK;
}
/* The neighbour that takes packets for dst (a host); false: no route. */
must_check bool ip_next_hop(const struct ip *ip, const struct ipaddr *dst, struct ipaddr *hop);
/* On the connected network? */
bool ip_on_link(const struct ip *ip, const struct ipaddr *a);
uint64_t ip_rand(struct ip *ip);
/* SipHash-2-4 of the address and one word more. */
uint64_t ip_hash(const struct ip *ip, const struct ipaddr *a, uint64_t salt);
/* An identification that cannot be guessed from those that other hosts see. */
uint16_t ip_identify(struct ip *ip, const struct ipaddr *dst, uint8_t proto);

/* ---- ip.c ---- */
static inline void
ip_wake_at(struct ip *ip, ns_t t)
{
    ip->next = min_u64(ip->next, t);
}
/* After ip took a frame, or let one go. */
static inline void
ip_count_frames(struct ip *ip)
{
    stat_set(ip->stats, STAT_ip_frames_out, ip_frames_held(ip));
}
static inline bool
mac_eq(const uint8_t a[6], const uint8_t b[6])
{
    return memcmp(a, b, 6) == 0;
}
static inline uint32_t
frame_of(uint32_t addr)
{
    return addr & ~(FRAME_SIZE - 1);
}
/* A received frame is free again. */
void ip_rx_free(struct ip *ip, struct ip_out *out, uint32_t addr);
/* A transmit frame is not needed any more. */
void ip_tx_release(struct ip *ip, struct ip_out *out, enum owner who, uint32_t addr);

/* ---- tx.c ---- */
/* Room towards the NIC for n frames right now, nothing waiting before them? */
bool ip_nic_room(const struct ip *ip, const struct ip_out *out, uint32_t n);
/* Send an Ethernet packet of n frames, or keep it until there is room: it is never cut. */
void ip_nic_send(struct ip *ip, struct ip_out *out, enum owner who, const struct fdesc *d,
                 unsigned n, ns_t now);
/* Send what was kept. */
void ip_nic_drain(struct ip *ip, struct ip_out *out, ns_t now);
/* A frame of our own; NULL if there is none but `reserve`. addr: its first byte. */
uint8_t *ip_frame_take(struct ip *ip, uint32_t reserve, uint32_t *addr);
/* Send the datagram h (src, dst, tos, ttl, proto, df are used) that stands in n parts, one
 * fragment each unless they are joined, with L2L3 bytes writable in front. csum: its
 * transport's checksum is not finished. client: as in struct pkt, and as little to be believed.
 * Every frame is accounted for: sent, waiting, or released. */
void ip_transmit(struct ip *ip, struct ip_out *out, enum owner who, uint32_t client,
                 struct ip4_hdr *h, const struct part *part, unsigned n, bool csum, ns_t now);

/* ---- neigh.c ---- */
void neigh_init(struct ip *ip);
struct neigh *neigh_find(struct ip *ip, const struct ipaddr *a);
/* Who a packet is charged to, whatever number its transport says: not another's client. */
static inline uint16_t
neigh_holder(enum owner who, uint32_t client)
{
    return (uint16_t)((uint32_t)who * HOLDERS_EACH + min_u32(client, HOLDERS_EACH - 1));
}
/* To send to hop: its entry, made and asked for if need be. NULL: no room for one. */
struct neigh *neigh_use(struct ip *ip, struct ip_out *out, const struct ipaddr *hop,
                        uint16_t holder, ns_t now);
/* An INCOMPLETE neighbour: keep a packet of k frames, all as w says. False: full. */
must_check bool neigh_queue(struct ip *ip, struct ip_out *out, struct neigh *n,
                            struct wait_slot *w, const struct fdesc *frames, unsigned k);
/* ARP told where `a` is. create: make an entry if there is none. */
void neigh_learn(struct ip *ip, struct ip_out *out, const struct ipaddr *a,
                 const uint8_t mac[6], bool solicited, bool create, ns_t now);
void neigh_timer(struct ip *ip, struct ip_out *out, ns_t now);
/* Frames of a dead transport leave the queues. */
void neigh_forget(struct ip *ip, enum owner who, struct ip_out *out);

/* ---- arp.c ---- */
void arp_start(struct ip *ip, ns_t now);
void arp_input(struct ip *ip, struct ip_out *out, const uint8_t *p, size_t len, ns_t now);
void arp_timer(struct ip *ip, struct ip_out *out, ns_t now);
/* to: NULL for broadcast. */
void arp_request(struct ip *ip, struct ip_out *out, const struct ipaddr *target,
                 const uint8_t *to, ns_t now);

/* ---- reasm.c ---- */
/* A fragment: g as if it were a datagram of its own. */
enum rx_fate reasm_input(struct ip *ip, struct ip_out *out, const struct dgram *g, ns_t now);
void reasm_timer(struct ip *ip, struct ip_out *out, ns_t now);
bool reasm_holds(const struct ip *ip, uint32_t addr);

/* ---- input.c ---- */
/* A whole datagram. RX_KEPT: all its frames were handed up. */
enum rx_fate ip_deliver(struct ip *ip, struct ip_out *out, const struct dgram *g, ns_t now);

/* ---- up.c ---- */
/* Hand n descriptors up; false (and counted): no room. */
must_check bool up_room(struct ip *ip, const struct ip_out *out, enum ip_up up, uint32_t n);
enum rx_fate up_deliver(struct ip *ip, struct ip_out *out, enum ip_up up,
                        const struct dgram *g);
/* ---- port.c ---- */
/* To udp, unless it does not want it. */
enum rx_fate port_deliver(struct ip *ip, struct ip_out *out, const struct dgram *g, ns_t now);
/* Does udp want what it sends to itself? An own socket is always told that nobody is there. */
must_check bool port_takes_own(struct ip *ip, const struct part *part, uint32_t total);

/* An ICMP message for the sender of the quoted packet. */
void up_icmp(struct ip *ip, struct ip_out *out, const struct pkt *msg);
/* The message about a packet of a transport itself: h, and 8 bytes behind it. */
struct pkt up_icmp_about(const struct ip4_hdr *h, const uint8_t l4[8], int err, uint8_t code,
                         uint32_t aux);

/* ---- loopback.c ---- */
void loopback_output(struct ip *ip, struct ip_out *out, enum ip_up up, const struct ip4_hdr *h,
                     const struct part *part, unsigned n);

/* ---- icmp.c ---- */
void icmp_input(struct ip *ip, struct ip_out *out, const struct dgram *g, ns_t now);
/* The errno that a socket user expects for an error of this type and code; 0: none. */
int icmp_errno(uint8_t type, uint8_t code);
void pmtu_timer(struct ip *ip, ns_t now);

/* ---- icmp_error.c ---- */
/* Is there credit for something of this cost? ICMP_ERROR_BURST errors' worth at most. */
void limit_init(struct limit *l, ns_t now);
must_check bool limit_spend(struct ip *ip, struct limit *l, ns_t cost, ns_t now);
/* Send an error about the packet quoted at q (a copy, len bytes of it at hand, from its
 * IP header on), if the rules and the rate allow. */
void icmp_error(struct ip *ip, struct ip_out *out, uint8_t type, uint8_t code, const uint8_t *q,
                size_t len, ns_t now);
/* The same about a received frame: len bytes from frame address l3 on. */
void icmp_error_about(struct ip *ip, struct ip_out *out, uint8_t type, uint8_t code,
                      uint32_t l3, uint32_t len, ns_t now);

#endif
