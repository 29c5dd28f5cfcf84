/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trace.h: when a domain worked. The domains of bench/traced are the ordinary ones, linked with
 * trace.c, which takes the place of domain_run and notes the begin and end of each turn in
 * which something was done. The others hold nothing of it, so it costs them nothing.
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stdatomic.h>

#include "base/base.h"

#define TRACE_EVENTS 65536u /* the latest, power of two */
#define TRACE_MAGIC_A 0xb61f3ca47d0e9521ull
#define TRACE_MAGIC_B 0x52e9d07a4cf31b68ull

/* In the domain's own memory; whoever may read it (/proc/PID/mem) finds it by its first words.
 */
struct trace {
    _Alignas(CACHE_LINE) uint64_t magic[2];
    _Atomic uint64_t n; /* turns so far */
    struct trace_turn {
        uint64_t begin, end; /* time-stamp counter */
    } turn[TRACE_EVENTS];
};

static inline uint64_t
trace_now(void)
{
#ifdef __x86_64__
    return __builtin_ia32_rdtsc();
#else
    return 0; /* this one wants the counter that all processors share */
#endif
}

#endif
