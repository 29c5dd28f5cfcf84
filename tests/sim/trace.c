/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trace.c: a line for each frame, for whoever looks into a failed run (BH_TRACE=1).
 */
#include <stdio.h>

#include "wire.h"
#include "wire/wire.h"

static void
flags(char *to, uint8_t f)
{
    static const char names[] = "FSRPAU";
    for (unsigned i = 0; i < 6; i++)
        if (f & (1u << i))
            *to++ = names[i];
    *to = '\0';
}

void
wire_trace(const char *what, const uint8_t *frame, uint32_t len, double seconds)
{
    struct ip4_hdr ip;
    struct tcp_hdr t;
    const uint8_t *p = frame + ETH_HEADER;
    if (len < ETH_HEADER + IP4_HEADER || be16(frame + 12) != ETH_TYPE_IP4) {
        fprintf(stderr, "%.6f %s type %04x, %u bytes\n", seconds, what,
                len < ETH_HEADER ? 0 : be16(frame + 12), len);
        return;
    }
    if (ip4_parse(&ip, p, len - ETH_HEADER) != WIRE_OK) {
        fprintf(stderr, "%.6f %s bad IP header\n", seconds, what);
        return;
    }
    unsigned from = ipaddr_to_u32(&ip.src) & 0xff, to = ipaddr_to_u32(&ip.dst) & 0xff;
    p += ip.header_len;
    uint32_t n = ip.total_len - ip.header_len;
    if (ip.proto != WIRE_PROTO_TCP || tcp_parse(&t, p, n) != WIRE_OK) {
        fprintf(stderr, "%.6f %s .%u > .%u proto %u, %u bytes\n", seconds, what, from, to,
                ip.proto, n);
        return;
    }
    char f[8];
    flags(f, t.flags);
    fprintf(stderr, "%.6f %s .%u:%u > .%u:%u %s seq %u len %u ack %u win %u mss %u ts %u/%u\n",
            seconds, what, from, t.sport, to, t.dport, f, t.seq, n - t.header_len, t.ack, t.wnd,
            t.mss, t.ts_val, t.ts_ecr);
}
