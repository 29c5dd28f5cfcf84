/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire.h: packets as typed values. *_parse checks length and fields and fills a
 * struct in host byte order; nothing else in the project reads header bytes. *_emit
 * writes a header and returns its length. No function reads beyond `len`.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include "base/base.h"

#define WIRE_PROTO_ICMP 1
#define WIRE_PROTO_TCP 6
#define WIRE_PROTO_UDP 17

/* Why a parse failed; WIRE_OK is 0. */
enum wire_err {
    WIRE_OK,
    WIRE_SHORT, /* fewer bytes than the header says or needs */
    WIRE_FIELD, /* a field that no valid packet has */
    WIRE_CHECKSUM,
};

/* ---- Ethernet II ---- */
#define ETH_HEADER 14u
#define ETH_TYPE_IP4 0x0800
#define ETH_TYPE_ARP 0x0806
struct eth_hdr {
    uint8_t dst[6], src[6];
    uint16_t type;
};
must_check enum wire_err eth_parse(struct eth_hdr *h, const uint8_t *p, size_t len);
size_t eth_emit(uint8_t *p, const struct eth_hdr *h);

/* ---- ARP over Ethernet for IPv4 (RFC 826) ---- */
#define ARP_BYTES 28u
#define ARP_REQUEST 1
#define ARP_REPLY 2
struct arp_pkt {
    uint16_t op;
    uint8_t sha[6], tha[6];
    struct ipaddr spa, tpa;
};
must_check enum wire_err arp_parse(struct arp_pkt *a, const uint8_t *p, size_t len);
size_t arp_emit(uint8_t *p, const struct arp_pkt *a);

/* ---- IPv4 (RFC 791) ---- */
#define IP4_HEADER 20u
#define IP4_HEADER_MAX 60u
struct ip4_hdr {
    struct ipaddr src, dst;
    uint16_t total_len; /* bytes, header included */
    uint16_t id;
    uint16_t frag_off;  /* bytes */
    uint8_t header_len; /* bytes */
    uint8_t tos, ttl, proto;
    bool df, mf;
    bool source_routed; /* LSRR or SSRR present (RFC 791 3.1) */
};
/* len: bytes available, may exceed total_len (Ethernet padding). Checks version,
 * lengths, header checksum and that options parse; WIRE_FIELD also for a fragment
 * that would end beyond 65535 bytes. Never reads more than 60 bytes. */
must_check enum wire_err ip4_parse(struct ip4_hdr *h, const uint8_t *p, size_t len);
/* 20 bytes, checksum filled in. header_len is ignored. */
size_t ip4_emit(uint8_t *p, const struct ip4_hdr *h);

/* ---- ICMP (RFC 792) ---- */
#define ICMP_HEADER 8u
#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACH 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_REDIRECT 5
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAM_PROBLEM 12
struct icmp_hdr {
    uint8_t type, code;
    uint16_t id, seq; /* echo */
    uint16_t mtu;     /* unreachable, code 4 (RFC 1191) */
};
/* Checks the length and the checksum over all len bytes. */
must_check enum wire_err icmp_parse(struct icmp_hdr *h, const uint8_t *p, size_t len);
/* Writes the 8 header bytes; the checksum covers them and payload_sum (csum_bytes of
 * what follows). */
size_t icmp_emit(uint8_t *p, const struct icmp_hdr *h, uint32_t payload_sum);

/* What an ICMP error quotes: an IPv4 header, perhaps cut, and at least 8 bytes. The
 * quoted header's checksum and total length are not checked (routers change them). */
struct icmp_quote {
    struct ip4_hdr ip;
    uint16_t sport, dport; /* TCP and UDP */
    uint32_t seq;          /* TCP */
};
must_check enum wire_err icmp_quote_parse(struct icmp_quote *q, const uint8_t *p, size_t len);

/* ---- UDP (RFC 768) ---- */
#define UDP_HEADER 8u
struct udp_hdr {
    uint16_t sport, dport;
    uint16_t len;  /* bytes, header included */
    uint16_t csum; /* as it lies in memory; 0: none was computed */
};
/* avail: transport bytes that IP delivered. Checks 8 <= len <= avail. */
must_check enum wire_err udp_parse(struct udp_hdr *h, const uint8_t *p, size_t avail);
size_t udp_emit(uint8_t *p, const struct udp_hdr *h);

/* ---- TCP (RFC 9293 3.1) ---- */
#define TCP_HEADER 20u
#define TCP_HEADER_MAX 60u
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20
#define TCP_ECE 0x40
#define TCP_CWR 0x80
struct tcp_hdr {
    uint32_t seq, ack;
    uint32_t ts_val, ts_ecr;
    uint16_t sport, dport, wnd, urg;
    uint16_t mss; /* 0: no option */
    uint8_t flags;
    uint8_t header_len; /* bytes, options included */
    uint8_t wscale;     /* valid if has_wscale; as received, not yet capped to 14 */
    uint8_t n_sack;     /* blocks, 0 to 4 */
    bool has_ts, has_wscale, sack_ok;
    struct tcp_sack {
        uint32_t left, right;
    } sack[4];
};
/* len: bytes available from the header on. Options of bad length end the parse of
 * options quietly (what was before counts), as RFC 9293 3.1 leaves to us; an unknown
 * option is skipped. Never reads more than 60 bytes. Does not look at the checksum. */
must_check enum wire_err tcp_parse(struct tcp_hdr *h, const uint8_t *p, size_t len);
/* Writes header and the options that are set (mss, wscale, sack_ok, ts, sack), padded
 * with NOPs; the checksum field is 0. Returns the header's length, at most 60. */
size_t tcp_emit(uint8_t *p, const struct tcp_hdr *h);
/* What tcp_emit would return. */
size_t tcp_header_len(const struct tcp_hdr *h);

#endif
