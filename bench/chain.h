/* SPDX-License-Identifier: BSD-2-Clause
 *
 * chain.h: dummy stages in a row, each a process that takes descriptors out of one ring and
 * puts them into the next, with the rings, bells and the loop that the domains have. Or all of
 * them in one process, called one after the other. The first link begins and the last one ends
 * with the caller, so frames go round and are never lost.
 */
#ifndef BENCH_CHAIN_H
#define BENCH_CHAIN_H

#include <sys/types.h>

#include "base/pkt.h"
#include "ipc/link.h"

#define CHAIN_STAGES_MAX 16u
#define CHAIN_CPUS_MAX 16u

enum chain_split {
    CHAIN_SEPARATE, /* a process for each stage */
    CHAIN_ONE,      /* one for all of them */
    CHAIN_NONE,     /* none: the caller's */
};

/* Counts of one process, which it alone writes. */
struct chain_count {
    _Alignas(CACHE_LINE) _Atomic uint64_t packets, batches, sleeps, rung, cpu_ns;
};

struct chain_opt {
    enum chain_split split;
    unsigned stages, frames, n_cpus;
    int cpu[CHAIN_CPUS_MAX]; /* bound to these in turn, the caller first; none: to nothing */
    unsigned spin_us;
    bool wide; /* struct pkt, as above ip; else struct fdesc, as below it */
    bool touch;
    uint8_t *memory; /* where descriptors' addresses point to, for touch */
};

struct chain {
    struct chain_opt opt;
    unsigned n; /* processes besides the caller's */
    pid_t pid[CHAIN_STAGES_MAX];
    struct link_sizes sizes;
    enum link_kind kind;
    uint8_t *half[CHAIN_STAGES_MAX + 1][2];
    int bell[CHAIN_STAGES_MAX + 1][2];
    struct chain_shared *shared;
    struct link first, last;      /* the caller's ends */
    struct fdesc held[BATCH_MAX]; /* CHAIN_NONE: what chain_put left for chain_take */
    unsigned n_held;
};

/* Start the processes; the calling one is bound too. Exits with a message when it cannot. */
void chain_start(struct chain *c, const struct chain_opt *opt);
/* End them, and take their counts; [c->n] is the caller's bells and sleeps. */
void chain_stop(struct chain *c, struct chain_count count[CHAIN_STAGES_MAX + 1]);

/* n <= BATCH_MAX descriptors into the first stage: there is room, as the caller has opt.frames
 * in all. */
void chain_put(struct chain *c, const struct fdesc *f, unsigned n);
/* What came out of the last one, at most BATCH_MAX. */
unsigned chain_take(struct chain *c, struct fdesc *f);

/* Nothing to do: sleep until the chain has something, fd is readable (-1: none), or 100 ms are
 * over; the caller has spun before. */
void chain_sleep(struct chain *c, int fd);

#endif
