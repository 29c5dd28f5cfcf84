/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bell.h: how a process that found its rings empty goes to sleep, and how its
 * neighbour wakes it. Written once; the model is tests/model/bell.pml.
 *
 * A bell is a pipe and a word `want` in memory that only the sleeper writes. The
 * word is a counter: odd means "ring once". A ringer remembers the last value it
 * rang for, so one arming costs at most one write() however much is published.
 *
 *   sleeper: drain; bell_arm; look again -> if not empty bell_disarm, go on;
 *            else wait until the pipe is readable; bell_drain; bell_disarm; drain
 *   ringer:  publish; bell_due -> bell_ring
 *
 * The fence in bell_arm pairs with the one in bell_due: either the sleeper's
 * second look sees what was published, or the ringer sees the word odd.
 */
#ifndef IPC_BELL_H
#define IPC_BELL_H

#include <stdatomic.h>

#include "base/base.h"

struct bell_sleeper {
    _Atomic uint32_t *want; /* shared, ours */
    uint32_t value;         /* what we wrote last */
    int fd;                 /* read end, non-blocking */
};

struct bell_ringer {
    const _Atomic uint32_t *want; /* shared, the sleeper's */
    uint32_t rung;                /* the value that we rang for last */
    int fd;                       /* write end, non-blocking */
};

static inline void
bell_sleeper_init(struct bell_sleeper *b, _Atomic uint32_t *want, int fd)
{
    uint32_t v = atomic_load_explicit(want, memory_order_relaxed);
    *b = (struct bell_sleeper){.want = want, .value = v, .fd = fd};
    if (v & 1) { /* we go on for one that died asleep */
        b->value = v + 1;
        atomic_store_explicit(want, b->value, memory_order_relaxed);
    }
}

static inline void
bell_ringer_init(struct bell_ringer *b, const _Atomic uint32_t *want, int fd)
{
    *b = (struct bell_ringer){.want = want, .fd = fd};
}

/* Sleeper: ask to be woken. The caller must look at its rings again after this. */
static inline void
bell_arm(struct bell_sleeper *b)
{
    if (!(b->value & 1)) {
        b->value++;
        atomic_store_explicit(b->want, b->value, memory_order_relaxed);
    }
    atomic_thread_fence(memory_order_seq_cst);
}

static inline bool
bell_armed(const struct bell_sleeper *b)
{
    return b->value & 1;
}

/* Sleeper: awake; publishing costs the neighbour no system call from here on. */
static inline void
bell_disarm(struct bell_sleeper *b)
{
    if (b->value & 1) {
        b->value++;
        atomic_store_explicit(b->want, b->value, memory_order_relaxed);
    }
}

/* Ringer, after publishing: must the sleeper be woken? */
static inline bool
bell_due(struct bell_ringer *b)
{
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t w = atomic_load_explicit(b->want, memory_order_relaxed);
    if (!(w & 1) || w == b->rung)
        return false;
    b->rung = w;
    return true;
}

/* Write one byte; a full pipe means that a wake-up is pending already. */
void bell_ring(const struct bell_ringer *b);

#define BELL_READ 256u /* bytes taken out at once, at most */

/* Take the pending wake-ups out of the pipe. Bounded: a ringer that writes without being
 * asked to leaves the pipe readable and costs us turns, not a loop in here. Returns false
 * if the ringer's end is closed or its pipe is broken: then the descriptor stays readable
 * for good, and whoever waits on it must stop doing so. */
bool bell_drain(const struct bell_sleeper *b);

/* A pipe with both ends non-blocking and close-on-exec: fd[0] to the sleeper, fd[1]
 * to the ringer. Returns 0, or -errno. */
must_check int bell_pipe(int fd[2]);

/* A second open file description of a pipe's read end, for the ringer to hold so that
 * ringing a dead sleeper never raises SIGPIPE. The sleeper's own must not be handed to the
 * ringer for this: who holds the same description can clear O_NONBLOCK, and a read of the
 * sleeper would wait. Needs /proc. Returns the descriptor (close-on-exec), or -errno. */
must_check int bell_reader_copy(int fd_sleep);

#endif
