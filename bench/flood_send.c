/* SPDX-License-Identifier: BSD-2-Clause
 *
 * flood_send.c: bulkhead-flood, a bounded flood of Ethernet frames, for bench/flood and the
 * namespace tests. For networks of one's own.
 *
 *   bulkhead-flood IF syn|udp|fragment|arp MAC ADDRESS PORT RATE SECONDS
 *
 * RATE frames a second (0: as fast as it goes) for so long, to ADDRESS at MAC; their senders
 * are the hosts 100 to 199 of ADDRESS's /24, which should not exist. "fragment": beginnings of
 * datagrams whose rest never comes. "arp": questions for ADDRESS, and answers that nobody asked
 * for. Prints one JSON object: what was sent, and the processor time that took.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <net/ethernet.h>

#include "lib/wire/csum.h"
#include "lib/wire/wire.h"

#define SECONDS_MAX 60.0
#define UDP_PAYLOAD 64u
#define FRAGMENT 1400u
#define FRAME_MAX 1514u

struct flood {
    uint8_t mac[6], from[6];
    uint32_t addr; /* host order */
    uint16_t port;
};

static ns_t
clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (ns_t)t.tv_sec * NS_S + (ns_t)t.tv_nsec;
}

/* Ethernet and IP header in front of len bytes at p + ETH_HEADER + IP4_HEADER. */
static size_t
packet(const struct flood *f, uint8_t *p, uint32_t i, uint8_t proto, size_t len, bool mf)
{
    struct eth_hdr e = {.type = ETH_TYPE_IP4};
    struct ip4_hdr h = {.src = ipaddr_v4_u32((f->addr & 0xffffff00u) + 100 + i % 100),
                        .dst = ipaddr_v4_u32(f->addr),
                        .total_len = (uint16_t)(IP4_HEADER + len),
                        .id = (uint16_t)i,
                        .mf = mf,
                        .ttl = 64,
                        .proto = proto};
    uint8_t *l4 = p + ETH_HEADER + IP4_HEADER;
    uint32_t sum = csum_pseudo(&h.src, &h.dst, proto, (uint32_t)len);
    uint16_t csum = (uint16_t)~csum_fold(csum_add(sum, csum_bytes(l4, len)));
    if (!mf)
        memcpy(l4 + (proto == WIRE_PROTO_TCP ? 16 : 6), &csum, sizeof csum);
    memcpy(e.dst, f->mac, 6);
    memcpy(e.src, f->from, 6);
    eth_emit(p, &e);
    ip4_emit(p + ETH_HEADER, &h);
    return ETH_HEADER + IP4_HEADER + len;
}

static size_t
make_syn(const struct flood *f, uint8_t *p, uint32_t i)
{
    struct tcp_hdr h = {.sport = (uint16_t)(1024 + i / 100 % 60000),
                        .dport = f->port,
                        .seq = i * 2654435761u,
                        .flags = TCP_SYN,
                        .wnd = 64240,
                        .mss = 1460,
                        .sack_ok = true};
    size_t len = tcp_emit(p + ETH_HEADER + IP4_HEADER, &h);
    return packet(f, p, i, WIRE_PROTO_TCP, len, false);
}

static size_t
make_udp(const struct flood *f, uint8_t *p, uint32_t i)
{
    struct udp_hdr h = {.sport = (uint16_t)(1024 + i / 100 % 60000),
                        .dport = f->port,
                        .len = UDP_HEADER + UDP_PAYLOAD};
    memset(p + ETH_HEADER + IP4_HEADER, 0, UDP_HEADER + UDP_PAYLOAD);
    udp_emit(p + ETH_HEADER + IP4_HEADER, &h);
    return packet(f, p, i, WIRE_PROTO_UDP, UDP_HEADER + UDP_PAYLOAD, false);
}

static size_t
make_fragment(const struct flood *f, uint8_t *p, uint32_t i)
{
    (void)make_udp(f, p, i);
    return packet(f, p, i, WIRE_PROTO_UDP, FRAGMENT, true);
}

static size_t
make_arp(const struct flood *f, uint8_t *p, uint32_t i)
{
    bool answer = i & 1;
    struct eth_hdr e = {.type = ETH_TYPE_ARP};
    struct arp_pkt a = {.op = answer ? ARP_REPLY : ARP_REQUEST,
                        .spa = ipaddr_v4_u32((f->addr & 0xffffff00u) + 100 + i / 2 % 100),
                        .tpa = ipaddr_v4_u32(f->addr)};
    memcpy(a.sha, f->from, 6);
    put_be32(a.sha + 2, i);
    memcpy(a.tha, f->mac, 6);
    memcpy(e.dst, f->mac, 6);
    memcpy(e.src, a.sha, 6);
    eth_emit(p, &e);
    arp_emit(p + ETH_HEADER, &a);
    return ETH_HEADER + ARP_BYTES;
}

static const struct {
    const char *name;
    size_t (*make)(const struct flood *f, uint8_t *p, uint32_t i);
} kinds[] = {
    {"syn", make_syn}, {"udp", make_udp}, {"fragment", make_fragment}, {"arp", make_arp}};

/* Once a millisecond as many as are due; what was missed by more than ten of them is lost. */
static int
flood(int s, const struct flood *f, unsigned kind, double rate, double seconds)
{
    static uint8_t p[FRAME_MAX];
    uint64_t sent = 0, failed = 0;
    ns_t start = clock_ns(CLOCK_MONOTONIC), end = start + (ns_t)(seconds * 1e9), now = start,
         before = start;
    double due = 0, most = rate / 100;
    for (uint32_t i = 0; now < end; now = clock_ns(CLOCK_MONOTONIC)) {
        ns_t next = now + NS_MS;
        double missed = (double)(now - before) / 1e9 * rate;
        before = now;
        due = rate == 0 ? 64 : due + (missed < most ? missed : most);
        unsigned burst = (unsigned)due;
        due -= burst;
        for (; burst != 0; burst--, i++) {
            size_t len = kinds[kind].make(f, p, i);
            if (send(s, p, len, 0) == (ssize_t)len)
                sent++;
            else
                failed++;
        }
        struct timespec at = {.tv_sec = (time_t)(next / NS_S), .tv_nsec = (long)(next % NS_S)};
        if (rate != 0)
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
    printf("{\"sent\": %llu, \"failed\": %llu, \"seconds\": %.3f, \"cpu_s\": %.3f}\n",
           (unsigned long long)sent, (unsigned long long)failed, (double)(now - start) / 1e9,
           (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9);
    return sent == 0;
}

int
main(int argc, char **argv)
{
    struct flood f = {.from = {2, 0, 0, 0, 0xf1, 0x0d}};
    struct in_addr addr;
    unsigned m[6], kind = 0;
    if (argc != 8 || inet_pton(AF_INET, argv[4], &addr) != 1 ||
        sscanf(argv[3], "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) {
        fputs("usage: bulkhead-flood IF syn|udp|fragment|arp MAC ADDRESS PORT RATE SECONDS\n",
              stderr);
        return 2;
    }
    while (kind < ARRAY_LEN(kinds) && strcmp(kinds[kind].name, argv[2]) != 0)
        kind++;
    double rate = strtod(argv[6], NULL), seconds = strtod(argv[7], NULL);
    if (kind == ARRAY_LEN(kinds) || rate < 0 || seconds <= 0 || seconds > SECONDS_MAX) {
        fputs("bulkhead-flood: no such flood, or none so long\n", stderr);
        return 2;
    }
    for (unsigned i = 0; i < 6; i++)
        f.mac[i] = (uint8_t)m[i];
    f.addr = ntohl(addr.s_addr);
    f.port = (uint16_t)strtoul(argv[5], NULL, 10);
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = 0, /* it receives nothing */
                             .sll_ifindex = (int)if_nametoindex(argv[1])};
    int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (s < 0 || to.sll_ifindex == 0 || bind(s, (struct sockaddr *)&to, sizeof to) != 0) {
        fprintf(stderr, "bulkhead-flood: %s\n", strerror(errno));
        return 1;
    }
    return flood(s, &f, kind, rate, seconds);
}
