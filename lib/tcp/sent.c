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

static uint32_t
length(const struct run *r)
{
    return (uint32_t)(r->right - r->left);
}

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

/* What is under way and what is lost waits in a queue each, by the time when it was sent. */
static struct run_queue *
queue_of(struct tcb *c, const struct run *r)
{
    if (r->flags & RUN_SACKED)
        return NULL;
    return r->flags & RUN_LOST ? &c->gone : &c->flight;
}

/* The run as if it were not there; with other marks, it comes back as the newest. */
static void
leave(struct tcp *t, struct tcb *c, struct run *r)
{
    struct run_queue *q = queue_of(c, r);
    sums_without(c, r);
    if (q != NULL)
        queue_take(&t->runs, q, r);
}

static void
enter(struct tcp *t, struct tcb *c, struct run *r)
{
    struct run_queue *q = queue_of(c, r);
    sums_with(c, r);
    if (q != NULL)
        queue_push(&t->runs, q, r);
    if (r->flags & RUN_LOST) {
        const struct run *first = run_at(&t->runs, c->first_lost);
        if (first == NULL || r->left < first->left)
            c->first_lost = run_number(&t->runs, r);
    }
}

/* A run that left already. */
static void
drop(struct tcp *t, struct tcb *c, struct run *r)
{
    if (c->first_lost == run_number(&t->runs, r))
        c->first_lost = r->next;
    runs_remove(&t->runs, &c->sent, true, runs_used(t, c), r);
}

static struct run *
add(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right)
{
    return runs_insert(&t->runs, &c->sent, true, runs_used(t, c), left, right);
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
    struct run *next = run_at(&t->runs, r->next);
    if (next == NULL || !alike(r, next))
        return false;
    uint64_t right = next->right;
    if (c->first_lost == r->next)
        c->first_lost = run_number(&t->runs, r);
    leave(t, c, next);
    drop(t, c, next);
    sums_without(c, r);
    r->right = right;
    sums_with(c, r);
    return true;
}

/* All that is known becomes one run: lost, if anything of it is. The least that a session is
 * sure of is two runs, so there is always room after this. */
static void
squeeze(struct tcp *t, struct tcb *c)
{
    struct run *head = run_at(&t->runs, c->sent.head), *next;
    uint32_t flags = RUN_REXMT | (c->lost != 0 ? RUN_LOST : 0);
    leave(t, c, head);
    while ((next = run_at(&t->runs, head->next)) != NULL) {
        head->at = max_u64(head->at, next->at);
        head->right = next->right;
        leave(t, c, next);
        drop(t, c, next);
    }
    head->flags = flags;
    enter(t, c, head);
}

/* Make `at` a boundary between two runs; r holds it. False: no memory. */
static bool
split(struct tcp *t, struct tcb *c, struct run *r, uint64_t at)
{
    if (at <= r->left || at >= r->right)
        return true;
    uint64_t right = r->right;
    r->right = at;
    struct run *rest = add(t, c, at, right);
    if (rest == NULL) {
        r->right = right;
        return false;
    }
    struct run_queue *q = queue_of(c, r);
    rest->at = r->at;
    rest->flags = r->flags;
    if (q != NULL)
        queue_push_after(&t->runs, q, r, rest);
    return true;
}

void
sent_add(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right)
{
    struct run *tail = run_at(&t->runs, c->sent.tail), *r = NULL;
    uint32_t flags = left < c->h.snd_max ? RUN_REXMT : 0; /* before a crash, or as a probe */
    bool same = tail != NULL && (tail->flags & ~RUN_VAGUE) == flags;
    if (!same || tail->at != t->now)
        r = add(t, c, left, right);
    if (r == NULL && !same) {
        squeeze(t, c);
        r = add(t, c, left, right);
        if (r == NULL) /* never: two runs are promised */
            return;
    }
    if (r == NULL) { /* more of the last one; if that is older, as if all were sent only now */
        leave(t, c, tail);
        tail->flags |= tail->at != t->now ? RUN_VAGUE : 0;
        tail->right = right;
        r = tail;
    } else {
        r->flags = flags;
    }
    r->at = t->now;
    enter(t, c, r);
}

void
sent_again(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right)
{
    struct run *r = runs_find(&t->runs, &c->sent, left);
    if (r == NULL)
        return;
    if (left > r->left && split(t, c, r, left)) /* a probe of the tail */
        r = run_at(&t->runs, r->next);
    if (!split(t, c, r, right)) {
        squeeze(t, c);
        r = run_at(&t->runs, c->sent.head);
        (void)split(t, c, r, right);
    }
    leave(t, c, r);
    r->flags = (r->flags | RUN_REXMT) & ~RUN_LOST;
    r->at = t->now;
    enter(t, c, r);
    if (r->prev != RUN_NONE)
        (void)join_next(t, c, run_at(&t->runs, r->prev));
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
    while ((r = run_at(&t->runs, c->sent.head)) != NULL && r->left < ack) {
        uint64_t right = min_u64(r->right, ack);
        again |= (r->flags & (RUN_REXMT | RUN_SACKED)) == RUN_REXMT;
        if (!(r->flags & RUN_SACKED))
            delivered(t, c, r, right, d);
        if (right < r->right) {
            sums_without(c, r);
            r->left = right;
            sums_with(c, r);
            break;
        }
        leave(t, c, r);
        drop(t, c, r);
    }
    /* What a repair uncovers arrived long before this told so. */
    if (again)
        d->rtt = d->rtt_first = 0;
}

/* Is what the peer says of a part of this run worth keeping? One that reports every second byte
 * would have us keep, and send, single bytes. But small segments that were sent in one step are
 * one run, and each of them may be lost: a few boundaries may be anywhere. */
static bool
worth_split(const struct tcb *c, const struct run *r, uint64_t left, uint64_t right)
{
    uint64_t before = left > r->left ? left - r->left : 0;
    uint64_t after = right < r->right ? r->right - right : 0;
    uint64_t told = length(r) - before - after;
    if (c->sent.n < RUNS_SMALL || told == length(r))
        return true;
    return told >= MSS_MIN && (before == 0 || before >= MSS_MIN) &&
           (after == 0 || after >= MSS_MIN);
}

void
sent_sacked(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right, struct delivery *d)
{
    struct run *r = runs_find(&t->runs, &c->sent, left), *prev;
    for (; r != NULL && r->left < right; r = run_at(&t->runs, r->next)) {
        if ((r->flags & RUN_SACKED) || !worth_split(c, r, left, right))
            continue;
        if (r->left < left) {
            if (!split(t, c, r, left))
                return;
            r = run_at(&t->runs, r->next);
        }
        if (!split(t, c, r, right))
            return;
        delivered(t, c, r, r->right, d);
        d->sacked = true;
        d->sacked_to = max_u64(d->sacked_to, r->right);
        leave(t, c, r);
        r->flags = (r->flags | RUN_SACKED) & ~RUN_LOST;
        enter(t, c, r);
        if ((prev = run_at(&t->runs, r->prev)) != NULL && join_next(t, c, prev))
            r = prev;
        (void)join_next(t, c, r);
    }
}

uint32_t
sent_run_lost(struct tcp *t, struct tcb *c, struct run *r)
{
    if (r->flags & (RUN_SACKED | RUN_LOST))
        return 0;
    leave(t, c, r);
    r->flags |= RUN_LOST;
    enter(t, c, r);
    return length(r);
}

uint32_t
sent_lost(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right)
{
    uint32_t before = c->lost;
    struct run *r = runs_find(&t->runs, &c->sent, left);
    for (; r != NULL && r->left < right; r = run_at(&t->runs, r->next)) {
        if (r->flags & (RUN_SACKED | RUN_LOST))
            continue;
        /* Without memory for a boundary the whole run is: sent once too often. */
        if (r->left < left && split(t, c, r, left))
            continue;
        (void)split(t, c, r, right);
        (void)sent_run_lost(t, c, r);
    }
    return c->lost - before;
}

bool
sent_head_sacked(struct tcp *t, const struct tcb *c)
{
    const struct run *head = run_at(&t->runs, c->sent.head);
    return head != NULL && (head->flags & RUN_SACKED);
}

void
sent_renege(struct tcp *t, struct tcb *c)
{
    for (struct run *r = run_at(&t->runs, c->sent.head); r != NULL;
         r = run_at(&t->runs, r->next)) {
        if (!(r->flags & RUN_SACKED))
            continue;
        leave(t, c, r);
        r->flags = (r->flags | RUN_LOST) & ~RUN_SACKED;
        enter(t, c, r);
    }
}

void
sent_unlose(struct tcp *t, struct tcb *c)
{
    for (uint32_t i = c->gone.oldest; i != RUN_NONE; i = t->runs.run[i].newer)
        t->runs.run[i].flags &= ~RUN_LOST;
    queue_splice(&t->runs, &c->flight, &c->gone); /* what is lost is older than what is not */
    c->lost = 0;
}

const struct run *
sent_first_lost(const struct tcp *t, struct tcb *c)
{
    if (c->lost == 0)
        c->first_lost = RUN_NONE;
    while (c->first_lost != RUN_NONE && !(t->runs.run[c->first_lost].flags & RUN_LOST))
        c->first_lost = t->runs.run[c->first_lost].next;
    return run_at(&t->runs, c->first_lost);
}

void
sent_forget(struct tcp *t, struct tcb *c)
{
    runs_clear(&t->runs, &c->sent, true, runs_used(t, c));
    c->flight = c->gone = run_queue_none();
    c->first_lost = RUN_NONE;
    c->sacked = c->lost = c->dup_bytes = 0;
}

#define FATES (RUN_SACKED | RUN_LOST)

/* Does the queue hold just those n that have this fate, once each? */
static bool
queue_valid(const struct tcp *t, const struct run_queue *q, uint32_t fate, uint32_t n)
{
    uint32_t prev = RUN_NONE;
    for (uint32_t i = q->oldest; i != RUN_NONE; prev = i, i = t->runs.run[i].newer)
        if (n-- == 0 || t->runs.run[i].older != prev || (t->runs.run[i].flags & FATES) != fate)
            return false;
    return n == 0 && q->newest == prev;
}

bool
sent_valid(const struct tcp *t, const struct tcb *c)
{
    uint64_t at = max_u64(c->h.snd_una, 1), bytes[FATES + 1] = {0};
    uint32_t n[FATES + 1] = {0};
    bool hint = false;
    if (!runs_valid(&t->runs, &c->sent))
        return false;
    for (uint32_t i = c->sent.head; i != RUN_NONE; i = t->runs.run[i].next) {
        const struct run *r = &t->runs.run[i];
        hint |= i == c->first_lost;
        if (r->left != at || ((r->flags & RUN_LOST) && !hint))
            return false;
        n[r->flags & FATES]++;
        bytes[r->flags & FATES] += length(r);
        at = r->right;
    }
    return n[FATES] == 0 && bytes[RUN_SACKED] == c->sacked && bytes[RUN_LOST] == c->lost &&
           queue_valid(t, &c->flight, 0, n[0]) &&
           queue_valid(t, &c->gone, RUN_LOST, n[RUN_LOST]) &&
           (c->sent.n == 0 || at == c->snd_nxt);
}
