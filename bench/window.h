/* SPDX-License-Identifier: BSD-2-Clause
 *
 * window.h: how a receiver measures a rate without knowing when its sender begins or ends: it
 * waits for the first packet, lets a warm-up pass, and counts for a while.
 */
#ifndef BENCH_WINDOW_H
#define BENCH_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct window {
    double wait, warmup, length; /* seconds; set by the caller, the rest is zero */
    double until, first, begin, seen, cpu;
    uint64_t n, calls; /* in the window */
};

/* n packets came just now; 0: none did. False: it is over. To be called at least every tenth of
 * a second. */
bool window_take(struct window *w, uint64_t n, double now);

/* Is what comes counted already? */
static inline bool
window_counting(const struct window *w)
{
    return w->begin > 0;
}

/* Seconds from the beginning to the last packet, and the processor time of this process in
 * them. Exits with EXIT_NETWORK when there was nothing to count. */
double window_end(const struct window *w, double *cpu);

#endif
