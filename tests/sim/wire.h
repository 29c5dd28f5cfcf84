/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire.h: one direction of a bad wire in virtual time: it loses, repeats, delays, reorders and
 * corrupts frames as a seed says.
 *
 * A corrupted frame has one burst of at most 15 bits changed, which the Internet checksum
 * always detects, whether the burst lies in a header or in the payload. ARP has no checksum
 * (Ethernet's protects it, and there is none here), so ARP frames are never corrupted.
 */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include "rng.h"

#define WIRE_FRAME_MAX 9300u

struct wire_profile {
    uint32_t loss, dup, corrupt; /* of a million frames */
    uint32_t late;               /* of a million: delayed by up to late_by more */
    ns_t latency, jitter, late_by;
    uint64_t bits_per_s;  /* 0: no limit */
    uint32_t queue_bytes; /* with a limit: what does not fit is lost; 0: all fits */
    bool pad;             /* short frames arrive as 60 bytes, filled with anything */
    uint32_t burst;       /* of a million frames: with it begins a time when all are lost */
    ns_t burst_time;      /* up to so long */
    uint32_t mark;        /* of a million ECN-capable packets: marked CE (RFC 3168) */
    uint32_t mark_above;  /* with a limit: bytes queued from which on all are marked; 0: none */
    uint16_t mtu;         /* bytes of IP packet that pass from mtu_from on; 0: all */
    bool mtu_silent;      /* what is larger is lost without a word: a black hole */
    ns_t mtu_from, mtu_until; /* since the start */
    uint8_t strip; /* WIRE_NO_*: options taken out of SYNs, of both directions or none */
};
enum { WIRE_NO_MSS = 1, WIRE_NO_WS = 2, WIRE_NO_SACK = 4, WIRE_NO_TS = 8 };

/* May the frame pass? For tests that lose frames of their choice. */
typedef bool wire_filter(void *ctx, const uint8_t *frame, uint32_t len);

struct wire {
    struct wire_profile p;
    struct rng rng;
    wire_filter *filter;
    void *filter_ctx;
    bool cut; /* nothing passes */
    bool trace;
    ns_t start;        /* of the trace's time, and the MTU's */
    struct wire *back; /* the other direction, for ICMP; NULL: none is sent */
    ns_t burst_until;
    struct wire_frame *heap;
    uint32_t n, cap;
    uint64_t order;
    ns_t free_at; /* the last bit of what was sent has left */
    uint64_t n_sent, n_lost, n_dup, n_corrupt, n_late, n_marked, n_too_large;
};

void wire_init(struct wire *w, const struct wire_profile *p, uint64_t seed);
void wire_free(struct wire *w);

void wire_send(struct wire *w, const uint8_t *frame, uint32_t len, ns_t now);
/* When the next frame arrives; NS_NEVER: the wire is empty. */
ns_t wire_next(const struct wire *w);
/* Take a frame that has arrived by now; returns its bytes, 0: none. */
uint32_t wire_receive(struct wire *w, uint8_t frame[WIRE_FRAME_MAX], ns_t now);

/* wire_path.c */
bool wire_too_large(struct wire *w, const uint8_t *frame, uint32_t len, ns_t now);
void wire_touch(struct wire *w, uint8_t *frame, uint32_t len, uint32_t queued);

/* trace.c */
void wire_trace(const char *what, const uint8_t *frame, uint32_t len, double seconds);

/* A profile drawn by chance: perfect, good, bad and terrible ones in equal shares. */
struct wire_profile wire_random(struct rng *r);

#endif
