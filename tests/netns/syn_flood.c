/* SPDX-License-Identifier: BSD-2-Clause
 *
 * syn_flood DST PORT NET SYNS RATE: SYNS segments with SYN from a raw socket, RATE a second,
 * each from another port and one of 100 addresses NET.100 to NET.199 that nobody has (so that
 * nobody answers the answer). For a namespace of the test's own, and bounded.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "wire/csum.h"
#include "wire/wire.h"

#define SYNS_MAX 100000ul

static size_t
make_syn(uint8_t *p, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, uint32_t seq)
{
    struct tcp_hdr h = {.sport = sport,
                        .dport = dport,
                        .seq = seq,
                        .flags = TCP_SYN,
                        .wnd = 64240,
                        .mss = 1460,
                        .has_ts = true,
                        .ts_val = seq,
                        .has_wscale = true,
                        .wscale = 7,
                        .sack_ok = true};
    size_t len = tcp_emit(p + IP4_HEADER, &h);
    struct ipaddr s = ipaddr_v4_u32(src), d = ipaddr_v4_u32(dst);
    uint32_t sum = csum_pseudo(&s, &d, WIRE_PROTO_TCP, (uint32_t)len);
    uint16_t csum = (uint16_t)~csum_fold(csum_add(sum, csum_bytes(p + IP4_HEADER, len)));
    memcpy(p + IP4_HEADER + 16, &csum, sizeof csum);
    memset(p, 0, IP4_HEADER);
    p[0] = 0x45;
    put_be16(p + 2, (uint16_t)(IP4_HEADER + len));
    p[8] = 64;
    p[9] = IPPROTO_TCP;
    put_be32(p + 12, src);
    put_be32(p + 16, dst);
    return IP4_HEADER + len; /* the kernel fills in the checksum */
}

int
main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct in_addr net;
    char text[32];
    if (argc != 6 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 ||
        snprintf(text, sizeof text, "%s.0", argv[3]) >= (int)sizeof text ||
        inet_pton(AF_INET, text, &net) != 1) {
        fprintf(stderr, "usage: syn_flood DST PORT NET SYNS RATE\n");
        return 2;
    }
    unsigned long port = strtoul(argv[2], NULL, 10), syns = strtoul(argv[4], NULL, 10),
                  rate = strtoul(argv[5], NULL, 10);
    int s = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (s < 0 || rate == 0 || syns > SYNS_MAX) {
        perror("syn_flood");
        return 1;
    }
    unsigned long lost = 0;
    const struct timespec pause = {.tv_nsec = 10000000};
    for (unsigned long i = 0; i < syns; i++) {
        uint8_t p[IP4_HEADER + TCP_HEADER_MAX];
        uint32_t src = ntohl(net.s_addr) + 100 + (uint32_t)(i % 100);
        size_t len = make_syn(p, src, ntohl(to.sin_addr.s_addr), (uint16_t)(1024 + i / 100),
                              (uint16_t)port, (uint32_t)i * 2654435761u);
        if (sendto(s, p, len, 0, (struct sockaddr *)&to, sizeof to) < 0)
            lost++;
        if (i % (rate / 100 + 1) == 0)
            nanosleep(&pause, NULL);
    }
    printf("%lu sent, %lu failed: %s\n", syns - lost, lost, lost ? strerror(errno) : "");
    return lost == syns;
}
