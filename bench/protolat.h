/* SPDX-License-Identifier: BSD-2-Clause
 *
 * protolat.h: the two halves of bulkhead-protolat: the echo server and the measuring client.
 */
#ifndef BENCH_PROTOLAT_H
#define BENCH_PROTOLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/via.h"

#define PROTOLAT_UDP_MAX 65507u

struct protolat {
    const struct via *via;
    const char *host; /* NULL: serve */
    const char *address;
    unsigned port;
    bool tcp, udp;
    size_t size;
    uint64_t count, warmup;
    uint64_t spin_ns; /* looking, and giving way to others, before it sleeps */
    bool json;
};

/* Echo until a signal ends the process; only a failure returns (it exits with a message). */
_Noreturn void protolat_serve(const struct protolat *p);

/* Measure and print. Returns an exit code. */
int protolat_measure(const struct protolat *p);

#endif
