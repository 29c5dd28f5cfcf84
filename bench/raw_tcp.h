/* SPDX-License-Identifier: BSD-2-Clause
 *
 * raw_tcp.h: what any TCP on AF_XDP has to do to send in bulk to a real TCP, and nothing else:
 * full segments within the peer's window, its acknowledgments read. No congestion control; when
 * nothing is heard for long, all that is not acknowledged is sent again.
 */
#ifndef BENCH_RAW_TCP_H
#define BENCH_RAW_TCP_H

#include "bench/rawport.h"
#include "bench/window.h"

#define RAW_TCP_HEADERS (14u + 20u + 32u) /* Ethernet, IP, TCP with time stamps */

struct raw_tcp {
    /* from the caller, the rest is zero */
    struct rawport *port;
    struct ipaddr to;
    uint8_t mac[6]; /* whose station this is */
    uint16_t dport;
    uint32_t frame; /* bytes of one that is full; more than RAW_TCP_HEADERS */
    bool sleep;
    bool segments;        /* many frames at once, for the kernel to cut */
    struct window window; /* of acknowledged bytes; without wait */

    /* what it was */
    uint64_t bytes; /* acknowledged in all */
    /* In the window: calls to send, acknowledgments, times that some were there. */
    uint64_t kicks, acks, reads;
    unsigned rewinds; /* times that all had to be sent again */

    /* raw_tcp.c's own */
    /* Offsets in the stream: to send, ever sent, acknowledged, of the window's end, now and
     * when it was seen to move. */
    uint64_t next, sent, acked, edge, seen_edge;
    uint32_t iss, rcv_nxt, ts_ecr, constant_sum;
    uint16_t sport;
    uint8_t wscale;
    bool open, reset, ended; /* heard: SYN, RST, FIN */
    uint8_t below[14 + 20];  /* the headers below TCP of a full frame */
    double progress;         /* when something was heard last, or sent again */
    unsigned silent;         /* times in a row that it was sent again */
};

/* One connection, from SYN to FIN. Exits with a message: EXIT_NETWORK when the peer refuses or
 * ends it, EXIT_OTHER when it acknowledges nothing more. */
void raw_tcp_transmit(struct raw_tcp *t);

#endif
