/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scale.h: bulkhead-scale: very many TCP sessions at once.
 */
#ifndef BENCH_SCALE_H
#define BENCH_SCALE_H

#include <stdatomic.h>

#include "base/base.h"
#include "bench/hist.h"
#include "bench/via.h"

#define SCALE_SESSIONS_MAX 65000u
#define SCALE_SIZE_MAX 4096u

struct scale {
    const struct via *via;
    const char *host, *address; /* host NULL: serve */
    unsigned port, ports;       /* port and those after it */
    unsigned sessions, active, outstanding;
    size_t size;
    double seconds, warmup, patience;
    bool churn, reset, pause, json;
};

/* Room for so many sessions: descriptors, and BULKHEAD_SESSIONS and BULKHEAD_ARENA unless the
 * user has set them. Before the first socket. Returns how many one process may hold. */
unsigned scale_room(const struct scale *s);

/* Echo whatever comes, until a signal; in a process for each port if one cannot hold all. */
_Noreturn void scale_serve(const struct scale *s, unsigned room);
/* Open, use, close, in as many processes as it takes; prints the result. An exit code. */
int scale_connect(const struct scale *s, unsigned room);

/* ---- one process of the client, and what it shares with the one that drives it ---- */

enum scale_phase { SCALE_OPEN, SCALE_WARM, SCALE_COUNT, SCALE_HOLD, SCALE_END };

struct scale_result {
    _Atomic unsigned reached; /* SCALE_OPEN + 1: all are open; SCALE_COUNT + 1: counted */
    uint64_t requests, closed, segs_out, segs_in;
    double open_seconds, seconds, cpu;
    struct hist times;
};

/* s: this process's share. Ends when *phase says so. */
void scale_work(const struct scale *s, unsigned first_port, const _Atomic unsigned *phase,
                struct scale_result *r);

#endif
