/* SPDX-License-Identifier: BSD-2-Clause
 *
 * runs.h: sorted lists of runs of sequence numbers. A session has one of what it sent and what
 * became of it (the send times that RFC 8985 wants, the fates that RFC 6675 wants), and one of
 * what it received out of order. Segments that were sent in one step and share their fate are
 * one run, so a list is as long as the path is eventful, not as the window is large. A slow
 * start that overruns a long path loses every other segment of a window, and a peer may report
 * what it likes, so a list can be long: a tree over it finds a place, and queues (by time) find
 * the oldest and the newest, without a walk.
 *
 * The runs of all sessions come from one pool, so that an idle session has none. Every session
 * may have RUNS_SURE runs for what it sent; what goes beyond that comes from what is left, of
 * which no client gets more than a quarter. A session without room for a further run goes on
 * with coarser knowledge: times that are too late, data sent again that need not be.
 */
#ifndef TCP_RUNS_H
#define TCP_RUNS_H

#include "base/base.h"

#define RUN_NONE UINT32_MAX
#define RUNS_SURE 2u        /* of a session's sent list */
#define RUNS_COMMON 131072u /* usually, beyond those that are promised */
#define RUNS_SMALL 16u      /* of a sent list: pieces smaller than any segment need be */
/* At most in a list: 32 MiB of which every other segment is lost. */
#define RUNS_SESSION 32768u

#define RUN_SACKED 1u /* the peer has it; it may still change its mind (RFC 2018 section 8) */
#define RUN_LOST 2u   /* to be sent again */
#define RUN_VAGUE 8u  /* some of it was sent earlier than `at` says */
#define RUN_REXMT 4u  /* was sent more than once */

struct run {
    uint64_t left, right;  /* extended, right exclusive */
    ns_t at;               /* sent: when, the last time */
    uint32_t next, prev;   /* by sequence number */
    uint32_t low, high;    /* the tree */
    uint32_t older, newer; /* the queue that it is in, if it is in one */
    uint32_t flags;
};

struct run_list {
    uint32_t head, tail, root, n;
};

/* Some of a list's runs in the order of a time that the list's owner means. */
struct run_queue {
    uint32_t oldest, newest;
};

struct run_pool {
    struct run *run;
    uint32_t extra; /* beyond the promised ones */
    uint32_t high;  /* from here on never used: memory not touched */
    uint32_t free;  /* chain of those given back */
    uint32_t n_free;
    uint32_t sure; /* of n_free, promised to sessions that have fewer than RUNS_SURE */
};

/* memory: runs_of(n_sessions, extra) of them; what is not used is not touched. */
void runs_init(struct run_pool *p, struct run *memory, uint32_t n_sessions, uint32_t extra);
static inline uint32_t
runs_of(uint32_t n_sessions, uint32_t extra)
{
    return RUNS_SURE * n_sessions + extra;
}

static inline struct run_list
run_list_none(void)
{
    return (struct run_list){RUN_NONE, RUN_NONE, RUN_NONE, 0};
}

static inline struct run_queue
run_queue_none(void)
{
    return (struct run_queue){RUN_NONE, RUN_NONE};
}

/* NULL for RUN_NONE. */
static inline struct run *
run_at(const struct run_pool *p, uint32_t i)
{
    return i != RUN_NONE ? &p->run[i] : NULL;
}

static inline uint32_t
run_number(const struct run_pool *p, const struct run *r)
{
    return (uint32_t)(r - p->run);
}

/* Could runs_insert give one? */
bool runs_left(const struct run_pool *p, const struct run_list *l, bool sent, uint32_t used);
/* The first that ends beyond seq: the one that holds it, or the next. NULL: none does. */
struct run *runs_find(const struct run_pool *p, const struct run_list *l, uint64_t seq);
/* A new run [left, right), which overlaps none. *used counts a client's runs beyond the
 * promised ones. NULL: none to be had. Pointers to other runs stay valid. */
struct run *runs_insert(struct run_pool *p, struct run_list *l, bool sent, uint32_t *used,
                        uint64_t left, uint64_t right);
/* r is in no queue any more. */
void runs_remove(struct run_pool *p, struct run_list *l, bool sent, uint32_t *used,
                 struct run *r);
void runs_clear(struct run_pool *p, struct run_list *l, bool sent, uint32_t *used);
/* Is the tree what the list is? Looks at each. */
bool runs_valid(const struct run_pool *p, const struct run_list *l);

/* r becomes the newest / the next newer one than `old`. It was in no queue. */
void queue_push(struct run_pool *p, struct run_queue *q, struct run *r);
void queue_push_after(struct run_pool *p, struct run_queue *q, const struct run *old,
                      struct run *r);
void queue_take(struct run_pool *p, struct run_queue *q, struct run *r);
/* All of `older` in front of the oldest of q. */
void queue_splice(struct run_pool *p, struct run_queue *q, struct run_queue *older);

#endif
