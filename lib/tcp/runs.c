/* SPDX-License-Identifier: BSD-2-Clause
 *
 * runs.c: the pool of runs, and lists of them.
 */
#include "runs.h"

void
runs_init(struct run_pool *p, struct run *memory, uint32_t n_sessions)
{
    *p = (struct run_pool){
        .run = memory,
        .extra = runs_extra(n_sessions),
        .free = RUN_NONE,
        .n_free = runs_of(n_sessions),
        .sure = RUNS_SURE * n_sessions,
    };
}

/* One of those that every session is promised? n: runs in its list without it. */
static bool
promised(bool sent, uint32_t n)
{
    return sent && n < RUNS_SURE;
}

bool
runs_left(const struct run_pool *p, const struct run_list *l, bool sent, uint32_t used)
{
    if (promised(sent, l->n))
        return true;
    uint32_t common = p->n_free - p->sure;
    return l->n < RUNS_SESSION && common != 0 && used < p->extra / 4;
}

struct run *
runs_insert(struct run_pool *p, struct run_list *l, bool sent, uint32_t *used, uint32_t prev,
            uint64_t left, uint64_t right)
{
    if (!runs_left(p, l, sent, *used))
        return NULL;
    uint32_t i = p->free;
    if (i != RUN_NONE)
        p->free = p->run[i].next;
    else
        i = p->high++;
    p->n_free--;
    if (promised(sent, l->n))
        p->sure--;
    else
        ++*used;
    l->n++;
    uint32_t next = prev == RUN_NONE ? l->head : p->run[prev].next;
    p->run[i] = (struct run){.left = left, .right = right, .next = next};
    if (prev == RUN_NONE)
        l->head = i;
    else
        p->run[prev].next = i;
    if (next == RUN_NONE)
        l->tail = i;
    return &p->run[i];
}

void
runs_remove(struct run_pool *p, struct run_list *l, bool sent, uint32_t *used, uint32_t prev)
{
    uint32_t i = prev == RUN_NONE ? l->head : p->run[prev].next;
    uint32_t next = p->run[i].next;
    if (prev == RUN_NONE)
        l->head = next;
    else
        p->run[prev].next = next;
    if (next == RUN_NONE)
        l->tail = prev;
    l->n--;
    p->run[i].next = p->free;
    p->free = i;
    p->n_free++;
    if (promised(sent, l->n))
        p->sure++;
    else
        --*used;
}

void
runs_clear(struct run_pool *p, struct run_list *l, bool sent, uint32_t *used)
{
    while (l->n != 0)
        runs_remove(p, l, sent, used, RUN_NONE);
}
