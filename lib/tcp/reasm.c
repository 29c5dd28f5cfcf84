/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reasm.c: where received bytes go. The receive FIFO is the reassembly queue: bytes out of
 * order go straight to their place ahead of rcv_nxt, and a sorted list of runs (runs.h) says
 * what is there (RFC 9293 3.10.7.4, seventh). A byte that is there is never written again.
 */
#include "priv.h"

/* Write [from, to) of the segment into the FIFO; returns how far it got. */
static uint64_t
place(struct tcp *t, struct tcb *c, const struct seg *s, uint64_t from, uint64_t to)
{
    struct client *cl = tcb_client(t, c);
    if (from >= to)
        return to;
    uint32_t len = (uint32_t)(to - from);
    uint32_t got = fifo_rx_prepare(&cl->v, c->link.slot, &cl->pages, from - 1, len);
    got = min_u32(got, len);
    if (got != 0)
        fifo_rx_write(&cl->v, c->link.slot, from - 1, s->text + (from - s->seq), got);
    if (got < len) {
        stat_inc(t->stats, STAT_drop_nobuf);
        client_stat(t->clients, c->link.client, CLIENT_STAT_drop_full, 1);
    }
    return from + got;
}

/* Write what is missing of [left, right), run by run. Returns the end of what is now there
 * without a gap from left on, or left if nothing is. */
static uint64_t
fill(struct tcp *t, struct tcb *c, const struct seg *s, uint64_t left, uint64_t right)
{
    uint64_t at = left;
    for (struct run *r = runs_find(&t->runs, &c->ooo, left); at < right;
         r = r != NULL ? run_at(&t->runs, r->next) : NULL) {
        uint64_t stop = r != NULL ? min_u64(r->left, right) : right;
        if (at < stop) {
            uint64_t got = place(t, c, s, at, stop);
            if (got < stop)
                return got;
            at = stop;
        }
        if (r != NULL && r->left < right)
            at = max_u64(at, min_u64(r->right, right));
    }
    return at;
}

/* The run that [left, right) overlaps or touches, the first; NULL: none. */
static struct run *
touched(struct tcp *t, const struct tcb *c, uint64_t left, uint64_t right)
{
    struct run *r = runs_find(&t->runs, &c->ooo, left - 1);
    return r != NULL && r->left <= right ? r : NULL;
}

static void
run_drop(struct tcp *t, struct tcb *c, struct run *r)
{
    queue_take(&t->runs, &c->recent, r);
    runs_remove(&t->runs, &c->ooo, false, runs_used(t, c), r);
}

/* Note that [left, right) is there, as what came last. */
static void
run_add(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right)
{
    struct run *r = touched(t, c, left, right), *next;
    if (r != NULL) { /* join, and with what follows */
        r->left = min_u64(r->left, left);
        r->right = max_u64(r->right, right);
        while ((next = run_at(&t->runs, r->next)) != NULL && next->left <= r->right) {
            r->right = max_u64(r->right, next->right);
            run_drop(t, c, next);
        }
        queue_take(&t->runs, &c->recent, r);
    } else {
        r = runs_insert(&t->runs, &c->ooo, false, runs_used(t, c), left, right);
        if (r == NULL) /* never: room was checked */
            return;
    }
    queue_push(&t->runs, &c->recent, r);
}

/* May a run be added that does not touch another, or does this one touch? */
static bool
run_fits(struct tcp *t, const struct tcb *c, uint64_t left, uint64_t right)
{
    return touched(t, c, left, right) != NULL ||
           runs_left(&t->runs, &c->ooo, false, *runs_used(t, c));
}

/* rcv_nxt moved: runs that it reached are part of the stream now. */
static void
advance(struct tcp *t, struct tcb *c)
{
    struct run *r;
    while ((r = run_at(&t->runs, c->ooo.head)) != NULL && r->left <= c->h.rcv_nxt) {
        c->h.rcv_nxt = max_u64(c->h.rcv_nxt, r->right);
        run_drop(t, c, r);
    }
}

void
reasm_forget(struct tcp *t, struct tcb *c)
{
    runs_clear(&t->runs, &c->ooo, false, runs_used(t, c));
    c->recent = run_queue_none();
}

bool
reasm_valid(const struct tcp *t, const struct tcb *c)
{
    uint64_t edge = c->h.rcv_nxt;
    uint32_t n = 0;
    if (!runs_valid(&t->runs, &c->ooo))
        return false;
    for (uint32_t i = c->ooo.head; i != RUN_NONE; i = t->runs.run[i].next) {
        if (t->runs.run[i].left <= edge)
            return false;
        edge = t->runs.run[i].right;
    }
    for (uint32_t i = c->recent.oldest; i != RUN_NONE && n <= c->ooo.n;
         i = t->runs.run[i].newer)
        n++;
    return n == c->ooo.n && (n == 0 || edge <= c->h.rcv_adv);
}

/* Let go of what came out of order, and of pages that a life before a crash left ahead. The
 * peer still has the bytes (RFC 9293 3.10.7.4 leaves it to us to keep them). */
static void
let_go_ahead(struct tcp *t, struct client *cl, struct tcb *c)
{
    uint64_t from = ALIGN_UP(c->h.rcv_nxt - 1, (uint64_t)FIFO_PAGE);
    uint64_t to = (c->h.rx_head / FIFO_PAGE + FIFO_SPAN) * FIFO_PAGE;
    if (from < to)
        fifo_rx_free(&cl->v, c->link.slot, &cl->pages, from, to);
    reasm_forget(t, c);
}

/* The client's pool is empty (or has a page, and the map for it is one too many), and bytes
 * that a session waits for were refused. Its sessions may hold pages that were read long ago
 * (they tell only when the window is worth it), and if that is not it, pages of bytes that came
 * out of order. Now and then only: the peer sends what was refused again, but not at once.
 * True: there are pages now. */
static bool
find_pages(struct tcp *t, struct tcb *c)
{
    struct client *cl = tcb_client(t, c);
    if (t->now - t->swept[c->link.client] >= PAGE_SWEEP) {
        t->swept[c->link.client] = t->now;
        for (unsigned pass = 0; pass < 2 && cl->pages.n_free < PAGES_FOR_ONE; pass++)
            for (uint32_t i = 0; i < t->store->high; i++) {
                struct tcb *o = &t->tcb[i];
                if (!o->used || o->link.client != c->link.client || o->h.rcv_nxt == 0 ||
                    o->link.slot == SESS_NONE || (o->h.bits & H_CLOSED))
                    continue;
                if (pass == 1)
                    let_go_ahead(t, cl, o);
                else if (slot_take_cursors(t,
                                           o)) /* a lie is found out when it says something */
                    work_add(t, o);
            }
    }
    if (cl->pages.n_free < PAGES_FOR_ONE)
        let_go_ahead(t, cl, c);
    return cl->pages.n_free != 0;
}

/* RFC 2883 section 4: what of [left, right) is here already; the first such piece. */
static void
report_duplicate(struct tcp *t, struct tcb *c, uint64_t left, uint64_t right)
{
    if (left < c->h.rcv_nxt) {
        sack_duplicate(c, left, min_u64(right, c->h.rcv_nxt));
        return;
    }
    const struct run *r = runs_find(&t->runs, &c->ooo, left);
    if (r != NULL && r->left < right)
        sack_duplicate(c, max_u64(left, r->left), min_u64(right, r->right));
}

bool
reasm_data(struct tcp *t, struct tcb *c, struct seg *s)
{
    uint64_t left = max_u64(s->seq, c->h.rcv_nxt);
    uint64_t right = min_u64(s->seq + s->len, c->h.rcv_adv);
    if (s->placed) {
        c->h.rcv_nxt += s->len;
        return true;
    }
    report_duplicate(t, c, s->seq, right);
    if (left >= right) /* all of it old: the peer missed our ACK */
        return false;
    if (left == c->h.rcv_nxt) {
        uint64_t got = fill(t, c, s, left, right);
        if (got == left && find_pages(t, c))
            got = fill(t, c, s, left, right);
        if (got == left)
            return false;
        c->h.rcv_nxt = got;
        advance(t, c);
        return true;
    }
    stat_inc(t->stats, STAT_tcp_ooo);
    if (!run_fits(t, c, left, right)) {
        stat_inc(t->stats, STAT_tcp_drop_window);
        return false;
    }
    uint64_t got = fill(t, c, s, left, right);
    if (got > left)
        run_add(t, c, left, got);
    return false;
}
