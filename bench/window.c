/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/window.h"

#include "base/exit_codes.h"
#include "bench/tool.h"

#define QUIET_S 1.0 /* nothing for so long is the end */

bool
window_take(struct window *w, uint64_t n, double now)
{
    if (w->until <= 0)
        w->until = now + w->wait;
    if (n > 0 && w->first <= 0)
        w->first = now;
    if (w->first <= 0)
        return now < w->until;
    if (n > 0)
        w->seen = now;
    if (window_counting(w)) {
        w->n += n;
        w->calls += n > 0;
        return now - w->begin < w->length && now - w->seen < QUIET_S;
    }
    if (now - w->first >= w->warmup) {
        w->begin = w->seen = now;
        w->cpu = tool_cpu_seconds();
    }
    return now - w->seen < QUIET_S;
}

double
window_end(const struct window *w, double *cpu)
{
    if (w->first <= 0)
        tool_die(EXIT_NETWORK, "nothing came");
    if (!window_counting(w) || w->n == 0)
        tool_die(EXIT_NETWORK, "it ended before it was warm");
    *cpu = tool_cpu_seconds() - w->cpu;
    return w->seen - w->begin;
}
