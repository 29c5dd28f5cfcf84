/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_ip_kit.h: one IP component in a test, with the NIC below and tcp and udp above
 * played by the test. The kit keeps account of every frame: it fails the test as soon
 * as one is handed over that its holder did not have, or given back twice.
 */
#ifndef TEST_IP_KIT_H
#define TEST_IP_KIT_H

#include "ip/ip.h"
#include "ip/priv.h"
#include "wire/csum.h"
#include "wire/wire.h"

#define KIT_RX 1024u
#define KIT_IPTX 128u
#define KIT_TX 128u /* tcp and udp each */
#define KIT_UP 64u
#define KIT_FRAMES (KIT_RX + KIT_IPTX + 2 * KIT_TX + KIT_UP)
#define KIT_CAP 256u

enum kit_place { HOME, IN_IP, WITH_NIC, WITH_UP };

struct kit {
    struct frames f;
    struct path_table path;
    struct port_table ports;
    struct stats st, before;
    struct ip_config cfg;
    struct ip *ip;
    ns_t now;
    struct ip_out out;
    struct fdesc nic[KIT_CAP];
    struct pkt up[IP_UPS][KIT_CAP];
    uint32_t freed[KIT_RX], done[IP_UPS][KIT_TX];
    uint32_t seen_nic, seen_up[IP_UPS]; /* accounted for so far */
    uint8_t place[KIT_FRAMES];          /* enum kit_place */
    uint8_t *mem;
};

/* A packet under construction, Ethernet header first. */
struct frame {
    uint8_t b[2048];
    uint32_t len;
};

/* 10.0.0.2/24, gateway 10.0.0.1; the peers are 10.0.0.x with MAC 02:00:00:00:00:x. */
#define OUR_IP 0x0a000002u
#define GATEWAY 0x0a000001u
#define PEER 0x0a000003u
#define FAR 0xc0a80109u /* 192.168.1.9, behind the gateway */
extern const uint8_t OUR_MAC[6], ALL_MAC[6];
void peer_mac(uint8_t mac[6], uint32_t ip);

struct kit *kit_new(uint32_t probes);
struct kit *kit_new_with(const struct ip_config *cfg, uint32_t n_rx);
struct ip_config kit_config(void);
/* A kit that is ready, has announced itself and knows PEER and the gateway. */
struct kit *kit_ready(void);
void kit_free(struct kit *k);

/* Everything in out is accounted for and given back: sent, read, released. */
void kit_clear(struct kit *k);
/* Only the arrays are emptied; tcp, udp and the NIC keep what they have. */
void kit_forget(struct kit *k);

void kit_in(struct kit *k, const struct frame *f);
/* A free receive frame with these bytes in it. */
struct fdesc kit_fill(struct kit *k, const struct frame *f);
void kit_input(struct kit *k, const struct fdesc *d, unsigned n);
unsigned kit_out(struct kit *k, enum ip_up from, const struct pkt *p, unsigned n);
/* Time goes on, and timers run whenever they are due. */
void kit_pass(struct kit *k, ns_t t);
void kit_settle(struct kit *k);

/* A transport's packet of len bytes (all of value `fill` but the ports 7 -> 9). */
struct pkt kit_pkt(struct kit *k, enum ip_up from, uint32_t dst, uint16_t len, uint8_t fill);
/* All frames but those that wait in ip are HOME. */
uint32_t kit_away(const struct kit *k);

static inline struct ipaddr
v4(uint32_t a)
{
    return ipaddr_v4_u32(a);
}
uint64_t kit_stat(const struct kit *k, enum stat_id id); /* since kit_mark */
void kit_mark(struct kit *k);
/* Sum of all drop counters since kit_mark. */
uint64_t kit_drops(const struct kit *k);

/* ---- packets ---- */
struct frame mk_eth(const uint8_t dst[6], const uint8_t src[6], uint16_t type);
struct frame mk_arp(uint16_t op, uint32_t sender, uint32_t target);
/* To us from `src` at its MAC; h's src, dst, lengths are filled in by it. */
struct frame mk_ip(uint32_t src, uint32_t dst, uint8_t proto, const void *data, size_t len);
/* The same as a fragment. */
struct frame mk_frag(uint32_t src, uint8_t proto, uint16_t id, uint32_t off, bool mf,
                     const void *data, size_t len);
struct frame mk_udp(uint32_t src, uint32_t dst, size_t payload);
struct frame mk_tcp(uint32_t src, uint32_t dst, size_t payload);
struct frame mk_echo(uint32_t src, size_t payload);
/* An ICMP message: 4 bytes of `rest` and then data. */
struct frame mk_icmp(uint32_t src, uint8_t type, uint8_t code, uint32_t rest, const void *data,
                     size_t len);
/* IP options between header and data; n a multiple of 4. */
void mk_options(struct frame *f, const void *opt, size_t n);
void mk_fix(struct frame *f); /* IP header checksum again */

/* The frame that was handed to the NIC as number i. */
const uint8_t *kit_nic(const struct kit *k, unsigned i, uint32_t *len);
/* ... which is an IPv4 packet: its header and payload. */
struct ip4_hdr kit_nic_ip(const struct kit *k, unsigned i, const uint8_t **l4);
/* ... or ARP. */
struct arp_pkt kit_nic_arp(const struct kit *k, unsigned i, struct eth_hdr *e);

#endif
