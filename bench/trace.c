/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trace.c: stands between a domain and its loop (the linker's --wrap=domain_run).
 */
#include "bench/trace.h"

#include "domains/domain.h"

_Noreturn void __real_domain_run(struct domain *d, const struct domain_ops *ops, void *self);
_Noreturn void __wrap_domain_run(struct domain *d, const struct domain_ops *ops, void *self);

static struct trace trace;
static enum turn (*real_turn)(struct domain *, ns_t now);

static enum turn
turn(struct domain *d, ns_t now)
{
    uint64_t begin = trace_now();
    enum turn did = real_turn(d, now);
    if (did != TURN_NOTHING) {
        uint64_t n = atomic_load_explicit(&trace.n, memory_order_relaxed);
        trace.turn[n % TRACE_EVENTS] = (struct trace_turn){.begin = begin, .end = trace_now()};
        atomic_store_explicit(&trace.n, n + 1, memory_order_release);
    }
    return did;
}

_Noreturn void
__wrap_domain_run(struct domain *d, const struct domain_ops *ops, void *self)
{
    static struct domain_ops traced;
    memset(&trace, 0, sizeof trace); /* the pages are there before the first turn */
    trace.magic[0] = TRACE_MAGIC_A;
    trace.magic[1] = TRACE_MAGIC_B;
    real_turn = ops->turn;
    traced = *ops;
    traced.turn = turn;
    __real_domain_run(d, &traced, self);
}
