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

#define WIRE_FRAME_MAX 2048u

struct wire_profile {
    uint32_t loss, dup, corrupt; /* of a million frames */
    uint32_t late;               /* of a million: delayed by up to late_by more */
    ns_t latency, jitter, late_by;
    uint64_t bits_per_s;  /* 0: no limit */
    uint32_t queue_bytes; /* with a limit: what does not fit is lost; 0: all fits */
    bool pad;             /* short frames arrive as 60 bytes, filled with anything */
};

/* May the frame pass? For tests that lose frames of their choice. */
typedef bool wire_filter(void *ctx, const uint8_t *frame, uint32_t len);

struct wire {
    struct wire_profile p;
    struct rng rng;
    wire_filter *filter;
    void *filter_ctx;
    bool cut; /* nothing passes */
    bool trace;
    ns_t start; /* of the trace's time */
    struct wire_frame *heap;
    uint32_t n, cap;
    uint64_t order;
    ns_t free_at; /* the last bit of what was sent has left */
    uint64_t n_sent, n_lost, n_dup, n_corrupt, n_late;
};

void wire_init(struct wire *w, const struct wire_profile *p, uint64_t seed);
void wire_free(struct wire *w);

void wire_send(struct wire *w, const uint8_t *frame, uint32_t len, ns_t now);
/* When the next frame arrives; NS_NEVER: the wire is empty. */
ns_t wire_next(const struct wire *w);
/* Take a frame that has arrived by now; returns its bytes, 0: none. */
uint32_t wire_receive(struct wire *w, uint8_t frame[WIRE_FRAME_MAX], ns_t now);

/* trace.c */
void wire_trace(const char *what, const uint8_t *frame, uint32_t len, double seconds);

/* A profile drawn by chance: perfect, good, bad and terrible ones in equal shares. */
struct wire_profile wire_random(struct rng *r);

#endif
