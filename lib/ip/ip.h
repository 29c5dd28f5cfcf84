/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ip.h: the IP component: Ethernet, ARP (RFC 826, 5227), IPv4 (RFC 791, 1122),
 * fragments (RFC 815, 5722), ICMP (RFC 792, 1122, 1812). Pure: no system call, no
 * clock, no allocation after init; every call is bounded.
 *
 * Frames. ip reads received frames (PART_RX) and writes headers in front of what tcp
 * and udp built (PART_TCPTX, PART_UDPTX), in its own frames (PART_IPTX) and in the
 * loopback pool (PART_UP). It is told of every received frame once (ip_input), and
 * for each it says once that it is free again: in ip_out.freed, or, if the frame was
 * handed up, when the caller calls ip_up_done. For each transmit descriptor it says
 * once that the frame is no longer needed: in ip_out.done[], or, if the frame was
 * handed to the NIC, when the caller calls ip_tx_done.
 */
#ifndef IP_IP_H
#define IP_IP_H

#include "base/frame.h"
#include "base/pkt.h"
#include "base/ports.h"
#include "base/stats.h"

enum ip_up { IP_UP_TCP, IP_UP_UDP, IP_UPS };

struct ip_config {
    struct ipaddr addr;
    uint32_t prefix;       /* bits, 0 to 32 */
    struct ipaddr gateway; /* none: connected network only */
    uint8_t mac[6];
    uint16_t mtu;                   /* bytes of IP packet, 576 to FRAME_MTU_MAX here */
    bool segments;                  /* the driver takes and gives segments of up to 64 KiB, and
                                     * checksums that are not there */
    uint64_t seed;                  /* randomness: IP identification, ARP jitter, ICMP rates */
    uint32_t probes;                /* RFC 5227 probes before the address is used; 0: none */
    ns_t probe_interval;            /* between them */
    const struct port_table *ports; /* written by udp; NULL: every port is wanted */
};

/* Where a step puts its results. The caller sets pointers and capacities and zeroes
 * the counts; ip never exceeds a capacity. freed and done[] must be able to hold
 * every frame of their pools, so they cannot overflow. */
struct ip_out {
    struct fdesc *nic; /* Ethernet frames to send */
    uint32_t n_nic, cap_nic;
    struct pkt *up[IP_UPS]; /* packets and ICMP messages for tcp and udp */
    uint32_t n_up[IP_UPS], cap_up[IP_UPS];
    uint32_t *freed; /* PART_RX frames that are free again */
    uint32_t n_freed;
    uint32_t *done[IP_UPS]; /* transmit frames of tcp and udp, free again */
    uint32_t n_done[IP_UPS];
};

struct ip;

/* Bytes of memory for the component, cache-line aligned. */
size_t ip_size(const struct frames *f);

/* mem: ip_size bytes, zeroed. path: written by ip, read by the transports. */
struct ip *ip_init(void *mem, const struct ip_config *c, const struct frames *f,
                   struct path_table *path, struct stats *stats, ns_t now);

/* n (<= BATCH_MAX + FRAME_MAX_CHAIN) received Ethernet frames, of untrusted addr and len; a
 * packet of several frames (FDESC_MORE) is not cut. A descriptor that does not name bytes
 * inside one PART_RX frame is counted and ignored (the caller keeps account of frames). Outputs
 * a frame at most: FRAME_MAX_CHAIN up; to nic what has room, and the rest is kept for the next
 * call. Returns how many were taken: fewer than n only if an array of out->up has something in
 * it and less room than a chain may need; with empty arrays at least one is taken, and what
 * finds no room is dropped and counted. */
unsigned ip_input(struct ip *ip, const struct fdesc *rx, unsigned n, struct ip_out *out,
                  ns_t now);

/* Does something wait for room towards the NIC? Then ip_output takes nothing. */
bool ip_waits_nic(const struct ip *ip);

/* n descriptors from a transport (PKT_DATA chains, PKT_REJECT), untrusted: a chain is
 * one datagram; each descriptor of a chain is one fragment, so all but the last carry
 * a multiple of 8 bytes and fit the MTU. With an MTU above FRAME_MTU a fragment may be in
 * FRAME_MAX_PACKET frames, joined by PKT_JOIN. With ip_config.segments, one that is PKT_WHOLE
 * is a TCP segment to be cut later, and PKT_CSUM says that its checksum is not finished. addr
 * is the transport header, at least 64 bytes into its frame; of PKT_REJECT it is the quote, in
 * a frame of the sender's own. Source must be the stack's address, or one of 127.0.0.0/8 if
 * the destination is either. Destination the stack itself or 127.0.0.0/8: copied to PART_UP
 * frames and handed up in the same call. Neighbour unknown: queued (bounded) until ARP answers.
 * Returns how many were taken; takes no further than the nic capacity allows. */
unsigned ip_output(struct ip *ip, enum ip_up from, const struct pkt *pkt, unsigned n,
                   struct ip_out *out, ns_t now);

/* Timers that are due at now. */
void ip_timer(struct ip *ip, struct ip_out *out, ns_t now);

/* When ip_timer must run next; NS_NEVER if nothing is waiting. */
ns_t ip_deadline(const struct ip *ip);

/* A received or loopback frame that was handed up is no longer read by the
 * transport. PART_RX frames appear in out->freed, PART_UP frames return to ip. */
void ip_up_done(struct ip *ip, uint32_t addr, struct ip_out *out);

/* The NIC has sent (or dropped) a frame: ip's own go back to its pool, others appear
 * in out->done[]. Returns false if addr is no transmit frame. The caller checks that
 * the NIC held it. */
bool ip_tx_done(struct ip *ip, uint32_t addr, struct ip_out *out);

/* The transport died: its packets that wait for ARP appear in out->done[]. */
void ip_up_reset(struct ip *ip, enum ip_up up, struct ip_out *out);

/* The NIC domain died: frames of PART_IPTX that it held are free again. */
void ip_nic_reset(struct ip *ip);

enum ip_state {
    IP_PROBING, /* address not used yet */
    IP_READY,
    IP_CONFLICT, /* somebody else answers for the address: see ip_conflict_mac */
};
enum ip_state ip_state(const struct ip *ip);
const uint8_t *ip_conflict_mac(const struct ip *ip);

/* Frames of PART_IPTX and PART_UP not free right now (tests: 0 when idle), and
 * PART_RX frames held for reassembly. */
uint32_t ip_frames_held(const struct ip *ip);

#endif
