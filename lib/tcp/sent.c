/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sent.c: what was sent and not yet acknowledged, as a list of runs (runs.h) that tiles
 * [snd_una, snd_nxt). Which runs are lost is decided elsewhere; here are the marks, and the
 * sums over them. Without memory for a further run, knowledge gets coarser and never wrong in a
 * way that loses data: what is not known to have arrived is sent again.
 */
#include "priv.h"

uint32_t *
runs_used(struct tcp *t, const struct tcb *c)
{
    return &t->runs_used[min_u32(c->link.client, CLIENTS_MAX)];
}

static struct run *
run_at(struct tcp *t, uint32_t i)
{
    return i != RUN_NONE ? &t->runs.run[i] : NULL;
}

static uint32_t
run_number(const struct tcp *t, const struct run *r)
{
    return (uint32_t)(r - t->runs.run);
}

static uint32_t
length(const struct run *r)
{
    return (uint32_t)(r->right - r->left);
}

/* The sums without this run; after its marks changed, with it again. */
static void
sums_without(struct tcb *c, const struct run *r)
{
    c->sacked -= r->flags & RUN_SACKED ? length(r) : 0;
    c->lost -= r->flags & RUN_LOST ? length(r) : 0;
}

static void
sums_with(struct tcb *c, const struct run *r)
{
    c->sacked += r->flags & RUN_SACKED ? length(r) : 0;
    c->lost += r->flags & RUN_LOST ? length(r) : 0;
}

static bool
alike(const struct run *a, const struct run *b)
{
    return a->flags == b->flags && (a->at == b->at || (a->flags & RUN_SACKED));
}

/* Join the run with the one after it, if there is no difference between them. */
static bool
join_next(struct tcp *t, struct tcb *c, struct run *r)
{
    struct run *next = run_at(t, r->next);
    if (next == NULL || !alike(r, next))
        return false;
    r->right = next->right;
    runs_remove(&t->runs, &c->sent, true, runs_used(t, c), run_number(t, r));
    return true;
}

/* All that is known becomes one run: lost, if anything of it is. The least that a session is
 * sure of is two runs, so there is always room after this. */
static void
squeeze(struct tcp *t, struct tcb *c)
{
    struct run *head = run_at(t, c->sent.head);
    ns_t at = head->at;
    uint32_t flags = RUN_REXMT;
    while (head->next != RUN_NONE) {
        struct run *next = run_at(t, head->next);
        at = max_u64(at, next->at);
        flags |= (head->flags | next->flags) & RUN_LOST;
        head->right = next->right;
        runs_remove(&t->runs, &c->sent, true, runs_used(t, c), c->sent.head);
    }
    head->at = at;
    head->flags = flags;
    c->sacked = c->lost = 0;
    sums_with(c, head);
}

/* Make `at` a boundary between two runs; r holds it. False: no memory. */
static bool
split(struct tcp *t, struct tcb *c, struct run *r, uint64_t at)
{
    if (at <= r->left || at >= r->right)
        return true;
    struct run *rest =
        runs_insert(&t->runs, &c->sent, true, runs_used(t, c), run_number(t, r), at, r->right);
    if (rest == NULL)
        return false;
    rest->at = r->at;
    rest->flags = r->flags;
    r->right = at;
    return true;
}

void
sent_add(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right)
{
    struct run *tail = run_at(t, c->sent.tail);
    uint32_t flags = left < c->h.snd_max ? RUN_REXMT : 0; /* before a crash, or as a probe */
    if (tail != NULL && tail->at == t->now && (tail->flags & ~RUN_VAGUE) == flags) {
        tail->right = right;
        return;
    }
    struct run *r =
        runs_insert(&t->runs, &c->sent, true, runs_used(t, c), c->sent.tail, left, right);
    if (r == NULL && tail != NULL && (tail->flags & ~RUN_VAGUE) == flags) {
        tail->at = t->now; /* as if all of it was sent only now */
        tail->flags |= RUN_VAGUE;
        tail->right = right;
        return;
    }
    if (r == NULL) {
        squeeze(t, c);
        r = runs_insert(&t->runs, &c->sent, true, runs_used(t, c), c->sent.tail, left, right);
    }
    if (r == NULL) /* never: two runs are promised */
        return;
    r->at = t->now;
    r->flags = flags;
}

/* The run that holds seq; NULL: none. *prev: the one before it. */
static struct run *
find(struct tcp *t, struct tcb *c, uint64_t seq, struct run **prev)
{
    struct run *r = run_at(t, c->sent.head);
    *prev = NULL;
    while (r != NULL && r->right <= seq) {
        *prev = r;
        r = run_at(t, r->next);
    }
    return r;
}

void
sent_again(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right)
{
    struct run *prev, *r = find(t, c, left, &prev);
    if (r == NULL)
        return;
    if (left > r->left) { /* a probe of the tail */
        if (!split(t, c, r, left))
            left = r->left;
        else
            prev = r, r = run_at(t, r->next);
    }
    if (!split(t, c, r, right)) {
        squeeze(t, c);
        r = run_at(t, c->sent.head);
        prev = NULL;
        (void)split(t, c, r, right);
    }
    sums_without(c, r);
    r->flags = (r->flags | RUN_REXMT) & ~RUN_LOST;
    r->at = t->now;
    sums_with(c, r);
    if (prev != NULL)
        (void)join_next(t, c, prev);
}

/* This part of a run arrived, and we did not know that yet. */
static void
delivered(struct tcp *t, struct tcb *c, const struct run *r, uint64_t right, struct delivery *d)
{
    d->bytes += (uint32_t)(right - r->left);
    if (!(r->flags & (RUN_REXMT | RUN_VAGUE))) {
        ns_t rtt = max_u64(t->now - r->at, 1);
        d->rtt_first = max_u64(d->rtt_first, rtt);
        d->rtt = d->rtt == 0 ? rtt : min_u64(d->rtt, rtt);
    }
    rack_delivered(t, c, r, right, d);
}

void
sent_acked(struct tcp *t, struct tcb *c, uint64_t ack, struct delivery *d)
{
    struct run *r;
    bool again = false;
    while ((r = run_at(t, c->sent.head)) != NULL && r->left < ack) {
        uint64_t right = min_u64(r->right, ack);
        again |= (r->flags & (RUN_REXMT | RUN_SACKED)) == RUN_REXMT;
        if (!(r->flags & RUN_SACKED))
            delivered(t, c, r, right, d);
        sums_without(c, r);
        if (right < r->right) {
            r->left = right;
            sums_with(c, r);
            break;
        }
        runs_remove(&t->runs, &c->sent, true, runs_used(t, c), RUN_NONE);
    }
    /* What a repair uncovers arrived long before this told so. */
    if (again)
        d->rtt = d->rtt_first = 0;
}

/* A peer that reports every second byte would have us keep, and send, single bytes. */
static bool
worth_split(const struct run *r, uint64_t at)
{
    return at <= r->left || at >= r->right ||
           (at - r->left >= MSS_MIN && r->right - at >= MSS_MIN);
}

void
sent_sacked(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right, struct delivery *d)
{
    struct run *prev, *r = find(t, c, left, &prev);
    while (r != NULL && r->left < right) {
        bool fresh = !(r->flags & RUN_SACKED);
        if (fresh && r->left < left) {
            if (!worth_split(r, left) || !split(t, c, r, left))
                return;
            prev = r;
            r = run_at(t, r->next);
        }
        if (fresh) {
            if (!worth_split(r, right) || !split(t, c, r, right))
                return;
            delivered(t, c, r, r->right, d);
            d->sacked = true;
            sums_without(c, r);
            r->flags = (r->flags | RUN_SACKED) & ~RUN_LOST;
            sums_with(c, r);
        }
        if (prev != NULL && join_next(t, c, prev))
            r = prev;
        else
            prev = r;
        r = run_at(t, r->next);
    }
    if (prev != NULL)
        (void)join_next(t, c, prev);
}

uint32_t
sent_run_lost(struct tcp *t, struct tcb *c, uint32_t number)
{
    struct run *r = run_at(t, number);
    if (r->flags & (RUN_SACKED | RUN_LOST))
        return 0;
    r->flags |= RUN_LOST;
    sums_with(c, r);
    return length(r);
}

uint32_t
sent_lost(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right)
{
    uint32_t before = c->lost;
    struct run *prev, *r = find(t, c, left, &prev);
    for (; r != NULL && r->left < right; r = run_at(t, r->next)) {
        if (r->flags & (RUN_SACKED | RUN_LOST))
            continue;
        /* Without memory for a boundary the whole run is: sent once too often. */
        if (r->left < left && split(t, c, r, left))
            continue;
        (void)split(t, c, r, right);
        (void)sent_run_lost(t, c, run_number(t, r));
    }
    return c->lost - before;
}

static void
unmark(struct tcp *t, struct tcb *c, uint32_t flag)
{
    for (struct run *r = run_at(t, c->sent.head); r != NULL; r = run_at(t, r->next)) {
        sums_without(c, r);
        r->flags &= ~flag;
        sums_with(c, r);
    }
}

void
sent_unsack(struct tcp *t, struct tcb *c)
{
    unmark(t, c, RUN_SACKED);
}

void
sent_unlose(struct tcp *t, struct tcb *c)
{
    unmark(t, c, RUN_LOST);
}

const struct run *
sent_first_lost(const struct tcp *t, const struct tcb *c)
{
    if (c->lost == 0)
        return NULL;
    uint32_t i = c->sent.head;
    while (i != RUN_NONE && !(t->runs.run[i].flags & RUN_LOST))
        i = t->runs.run[i].next;
    return i != RUN_NONE ? &t->runs.run[i] : NULL;
}

void
sent_forget(struct tcp *t, struct tcb *c)
{
    runs_clear(&t->runs, &c->sent, true, runs_used(t, c));
    c->sacked = c->lost = c->dup_bytes = 0;
}

bool
sent_valid(const struct tcp *t, const struct tcb *c)
{
    uint64_t at = max_u64(c->h.snd_una, 1), sacked = 0, lost = 0;
    uint32_t n = 0;
    for (uint32_t i = c->sent.head; i != RUN_NONE; i = t->runs.run[i].next) {
        const struct run *r = &t->runs.run[i];
        if (r->left != at || r->right <= r->left || ++n > c->sent.n ||
            (r->flags & (RUN_SACKED | RUN_LOST)) == (RUN_SACKED | RUN_LOST))
            return false;
        sacked += r->flags & RUN_SACKED ? length(r) : 0;
        lost += r->flags & RUN_LOST ? length(r) : 0;
        at = r->right;
        if (r->next == RUN_NONE && c->sent.tail != i)
            return false;
    }
    return n == c->sent.n && sacked == c->sacked && lost == c->lost &&
           (n == 0 || at == c->snd_nxt);
}
