/* SPDX-License-Identifier: BSD-2-Clause
 *
 * runs.c: the pool of runs, and lists of them. The tree over a list is a treap (Seidel and
 * Aragon, 1996): a search tree by sequence number, and a heap by a rank that is drawn from the
 * run's place in memory, so that nobody who chooses sequence numbers chooses its shape.
 */
#include "runs.h"

void
runs_init(struct run_pool *p, struct run *memory, uint32_t n_sessions, uint32_t extra)
{
    *p = (struct run_pool){
        .run = memory,
        .extra = extra,
        .free = RUN_NONE,
        .n_free = runs_of(n_sessions, extra),
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

/* ---- the tree ---- */

static uint32_t
rank_of(uint32_t i)
{
    i = (i ^ i >> 16) * 0x7feb352du;
    i = (i ^ i >> 15) * 0x846ca68bu;
    return i ^ i >> 16;
}

static void
tree_insert(struct run_pool *p, struct run_list *l, uint32_t n)
{
    struct run *r = &p->run[n];
    uint32_t *at = &l->root;
    while (*at != RUN_NONE && rank_of(*at) > rank_of(n))
        at = r->left < p->run[*at].left ? &p->run[*at].low : &p->run[*at].high;
    uint32_t rest = *at, *low = &r->low, *high = &r->high;
    *at = n;
    while (rest != RUN_NONE) { /* what was here parts into what is below and above */
        struct run *o = &p->run[rest];
        if (o->left < r->left) {
            *low = rest;
            low = &o->high;
            rest = *low;
        } else {
            *high = rest;
            high = &o->low;
            rest = *high;
        }
    }
    *low = *high = RUN_NONE;
}

static void
tree_remove(struct run_pool *p, struct run_list *l, uint32_t n)
{
    struct run *r = &p->run[n];
    uint32_t *at = &l->root, low = r->low, high = r->high;
    while (*at != n)
        at = r->left < p->run[*at].left ? &p->run[*at].low : &p->run[*at].high;
    while (low != RUN_NONE && high != RUN_NONE) {
        if (rank_of(low) > rank_of(high)) {
            *at = low;
            at = &p->run[low].high;
            low = *at;
        } else {
            *at = high;
            at = &p->run[high].low;
            high = *at;
        }
    }
    *at = low != RUN_NONE ? low : high;
}

struct run *
runs_find(const struct run_pool *p, const struct run_list *l, uint64_t seq)
{
    struct run *best = NULL;
    for (uint32_t i = l->root; i != RUN_NONE;) {
        struct run *r = &p->run[i];
        if (r->right > seq) {
            best = r;
            i = r->low;
        } else {
            i = r->high;
        }
    }
    return best;
}

/* ---- the list ---- */

struct run *
runs_insert(struct run_pool *p, struct run_list *l, bool sent, uint32_t *used, uint64_t left,
            uint64_t right)
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
    struct run *r = &p->run[i];
    const struct run *behind = runs_find(p, l, left);
    *r = (struct run){
        .left = left,
        .right = right,
        .next = behind != NULL ? run_number(p, behind) : RUN_NONE,
        .prev = behind != NULL ? behind->prev : l->tail,
        .older = RUN_NONE,
        .newer = RUN_NONE,
    };
    *(r->prev != RUN_NONE ? &p->run[r->prev].next : &l->head) = i;
    *(r->next != RUN_NONE ? &p->run[r->next].prev : &l->tail) = i;
    tree_insert(p, l, i);
    return r;
}

void
runs_remove(struct run_pool *p, struct run_list *l, bool sent, uint32_t *used, struct run *r)
{
    uint32_t i = run_number(p, r);
    tree_remove(p, l, i);
    *(r->prev != RUN_NONE ? &p->run[r->prev].next : &l->head) = r->next;
    *(r->next != RUN_NONE ? &p->run[r->next].prev : &l->tail) = r->prev;
    l->n--;
    r->next = p->free;
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
        runs_remove(p, l, sent, used, &p->run[l->head]);
}

bool
runs_valid(const struct run_pool *p, const struct run_list *l)
{
    uint32_t n = 0, prev = RUN_NONE;
    for (uint32_t i = l->head; i != RUN_NONE; prev = i, i = p->run[i].next) {
        const struct run *r = &p->run[i];
        if (++n > l->n || r->prev != prev || r->right <= r->left ||
            runs_find(p, l, r->left) != r)
            return false;
    }
    return n == l->n && l->tail == prev && (n != 0) == (l->root != RUN_NONE);
}

/* ---- queues ---- */

void
queue_push(struct run_pool *p, struct run_queue *q, struct run *r)
{
    uint32_t i = run_number(p, r);
    r->older = q->newest;
    r->newer = RUN_NONE;
    *(r->older != RUN_NONE ? &p->run[r->older].newer : &q->oldest) = i;
    q->newest = i;
}

void
queue_push_after(struct run_pool *p, struct run_queue *q, const struct run *old, struct run *r)
{
    uint32_t i = run_number(p, r);
    r->older = run_number(p, old);
    r->newer = old->newer;
    p->run[r->older].newer = i;
    *(r->newer != RUN_NONE ? &p->run[r->newer].older : &q->newest) = i;
}

void
queue_take(struct run_pool *p, struct run_queue *q, struct run *r)
{
    *(r->older != RUN_NONE ? &p->run[r->older].newer : &q->oldest) = r->newer;
    *(r->newer != RUN_NONE ? &p->run[r->newer].older : &q->newest) = r->older;
    r->older = r->newer = RUN_NONE;
}

void
queue_splice(struct run_pool *p, struct run_queue *q, struct run_queue *older)
{
    if (older->oldest == RUN_NONE)
        return;
    p->run[older->newest].newer = q->oldest;
    *(q->oldest != RUN_NONE ? &p->run[q->oldest].older : &q->newest) = older->newest;
    q->oldest = older->oldest;
    *older = run_queue_none();
}
