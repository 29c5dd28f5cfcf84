/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pps_generate.c: datagrams as finished frames, straight into an interface: no route, no
 * socket, no queue of the kernel is in the way, so one processor fills what a receiver can
 * take.
 */
#include "bench/pps.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/base.h"
#include "base/exit_codes.h"
#include "bench/tool.h"
#include "lib/wire/csum.h"
#include "lib/wire/wire.h"

#define L4_AT (ETH_HEADER + IP4_HEADER)
#define DATA_AT (L4_AT + UDP_HEADER)
#define FRAME_BYTES (DATA_AT + PPS_SIZE_MAX)
#define FROM_PORT 40000u

struct generator {
    uint8_t mac[6], from_mac[6];
    struct in_addr to, from;
    uint8_t frame[PPS_BATCH_MAX][FRAME_BYTES];
    size_t len;
    uint32_t sum; /* of pseudo-header, header and payload, without the number */
};

/* The station that has the address: a datagram to it makes the kernel ask, if it does not know.
 */
static void
find_station(const struct pps *p, struct generator *g, const struct sockaddr_in *to)
{
    struct arpreq a = {0};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(&a.arp_pa, to, sizeof *to);
    snprintf(a.arp_dev, sizeof a.arp_dev, "%s", p->interface);
    for (unsigned i = 0; i < 40; i++) {
        const struct timespec nap = {.tv_nsec = 50000000};
        if (ioctl(s, SIOCGARP, &a) == 0 && a.arp_flags & ATF_COM) {
            memcpy(g->mac, a.arp_ha.sa_data, 6);
            close(s);
            return;
        }
        if (i % 10 == 0)
            (void)sendto(s, &a, 1, 0, (const struct sockaddr *)to, sizeof *to);
        nanosleep(&nap, NULL);
    }
    tool_die(EXIT_NETWORK, "%s answers no ARP on %s", p->to, p->interface);
}

static void
find_self(const struct pps *p, struct generator *g, unsigned *index)
{
    struct ifreq r = {0};
    struct sockaddr_in a;
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *index = strlen(p->interface) < IFNAMSIZ ? if_nametoindex(p->interface) : 0;
    if (*index == 0)
        tool_die(EXIT_NO_INTERFACE, "no interface %s", p->interface);
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", p->interface);
    if (s < 0 || ioctl(s, SIOCGIFHWADDR, &r) != 0)
        tool_die(EXIT_OTHER, "%s: %s", p->interface, strerror(errno));
    memcpy(g->from_mac, r.ifr_hwaddr.sa_data, 6);
    if (p->address)
        a = tool_address(p->address, 0);
    else if (ioctl(s, SIOCGIFADDR, &r) == 0)
        memcpy(&a, &r.ifr_addr, sizeof a);
    else
        tool_die(EXIT_USAGE, "%s has no address; name one: --address", p->interface);
    g->from = a.sin_addr;
    close(s);
}

static void
build(const struct pps *p, struct generator *g)
{
    struct eth_hdr e = {.type = ETH_TYPE_IP4};
    struct ip4_hdr h = {.src = ipaddr_v4_u32(ntohl(g->from.s_addr)),
                        .dst = ipaddr_v4_u32(ntohl(g->to.s_addr)),
                        .total_len = (uint16_t)(IP4_HEADER + UDP_HEADER + p->size),
                        .ttl = 64,
                        .proto = WIRE_PROTO_UDP};
    struct udp_hdr u = {.sport = FROM_PORT,
                        .dport = (uint16_t)p->port,
                        .len = (uint16_t)(UDP_HEADER + p->size)};
    uint8_t *f = g->frame[0];
    memcpy(e.dst, g->mac, 6);
    memcpy(e.src, g->from_mac, 6);
    eth_emit(f, &e);
    ip4_emit(f + ETH_HEADER, &h);
    udp_emit(f + L4_AT, &u);
    memset(f + L4_AT + 6, 0, 2);
    g->sum = csum_add(csum_pseudo(&h.src, &h.dst, WIRE_PROTO_UDP, u.len),
                      csum_bytes(f + L4_AT, UDP_HEADER + p->size));
    g->len = DATA_AT + p->size;
    for (unsigned i = 1; i < p->batch; i++)
        memcpy(g->frame[i], f, g->len);
}

static void
number(struct generator *g, uint8_t *frame, uint64_t n)
{
    memcpy(frame + DATA_AT, &n, sizeof n);
    uint16_t csum = (uint16_t)~csum_fold(csum_add(g->sum, csum_bytes(&n, sizeof n)));
    memcpy(frame + L4_AT + 6, &csum, sizeof csum);
}

static int
packet_socket(unsigned index)
{
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)index};
    int on = 1, s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* receives nothing */
    if (s < 0 || bind(s, (struct sockaddr *)&at, sizeof at) != 0)
        tool_die(errno == EPERM ? EXIT_PRIVILEGE : EXIT_OTHER, "AF_PACKET: %s",
                 strerror(errno));
    if (setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0)
        tool_die(EXIT_OTHER, "PACKET_QDISC_BYPASS: %s", strerror(errno));
    return s;
}

int
pps_generate(const struct pps *p, struct pps_result *r)
{
    static struct generator g;
    static struct mmsghdr msg[PPS_BATCH_MAX];
    static struct iovec iov[PPS_BATCH_MAX];
    struct sockaddr_in to = tool_address(p->to, p->port);
    unsigned index;

    g.to = to.sin_addr;
    find_self(p, &g, &index);
    find_station(p, &g, &to);
    build(p, &g);
    for (unsigned i = 0; i < p->batch; i++) {
        iov[i] = (struct iovec){.iov_base = g.frame[i], .iov_len = g.len};
        msg[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    int s = packet_socket(index);
    double cpu = tool_cpu_seconds(), start = tool_seconds(), end = start + p->seconds, now;
    while ((now = tool_seconds()) < end) {
        for (unsigned i = 0; i < p->batch; i++)
            number(&g, g.frame[i], r->packets + i);
        int n = sendmmsg(s, msg, p->batch, 0);
        r->calls++;
        if (n > 0)
            r->packets += (unsigned)n;
        else if (errno == ENOBUFS || errno == EAGAIN || errno == EINTR)
            r->failed++; /* the receiver's queue is full */
        else
            tool_die(EXIT_NETWORK, "%s: %s", p->interface, strerror(errno));
    }
    r->seconds = now - start;
    r->cpu = tool_cpu_seconds() - cpu;
    close(s);
    return r->packets ? EXIT_OK : EXIT_NETWORK;
}
