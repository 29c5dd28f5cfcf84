/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pps.h: bulkhead-pps: datagrams a second through one UDP socket.
 */
#ifndef BENCH_PPS_H
#define BENCH_PPS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/via.h"

#define PPS_BATCH_MAX 256u
#define PPS_SIZE_MAX 1472u

struct pps {
    const struct via *via;
    const char *to, *address, *interface; /* of these one or none: transmit or generate */
    unsigned port, batch;
    size_t size; /* bytes of payload: a 64-bit number, then zeros */
    double seconds, wait, warmup;
    bool sink, gso, json;
};

/* What a run came to. On the sending side `packets` is what the stack took. */
struct pps_result {
    uint64_t packets, calls, failed;
    uint64_t span; /* receiver: numbers seen from first to last; less packets: lost */
    double seconds, cpu;
};

/* Each returns an exit code. */
int pps_transmit(const struct pps *p, struct pps_result *r);
int pps_receive(const struct pps *p, struct pps_result *r);
/* Frames straight into an interface (AF_PACKET), past the kernel's own stack. */
int pps_generate(const struct pps *p, struct pps_result *r);

#endif
