/* SPDX-License-Identifier: BSD-2-Clause
 *
 * reasm.c: where received bytes go. The receive FIFO is the reassembly queue: bytes out of
 * order go straight to their place ahead of rcv_nxt, and a short sorted list of ranges says
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
    if (got < len)
        stat_inc(t->stats, STAT_drop_nobuf);
    return from + got;
}

/* Write what is missing of [left, right), range by range. Returns the end of what is now there
 * without a gap from left on, or left if nothing is. */
static uint64_t
fill(struct tcp *t, struct tcb *c, const struct seg *s, uint64_t left, uint64_t right)
{
    uint64_t at = left;
    for (unsigned i = 0; i <= c->n_ooo && at < right; i++) {
        bool range = i < c->n_ooo;
        if (range && c->ooo[i].right <= at)
            continue;
        uint64_t stop = range ? min_u64(c->ooo[i].left, right) : right;
        if (at < stop) {
            uint64_t got = place(t, c, s, at, stop);
            if (got < stop)
                return got;
            at = stop;
        }
        if (range && c->ooo[i].left < right)
            at = max_u64(at, min_u64(c->ooo[i].right, right));
    }
    return at;
}

/* Note that [left, right) is there. False: the list is full and it does not touch a range. */
static bool
range_add(struct tcb *c, uint64_t left, uint64_t right)
{
    unsigned i = 0;
    while (i < c->n_ooo && c->ooo[i].right < left)
        i++;
    if (i < c->n_ooo && c->ooo[i].left <= right) { /* touches: merge, and with what follows */
        c->ooo[i].left = min_u64(c->ooo[i].left, left);
        c->ooo[i].right = max_u64(c->ooo[i].right, right);
        unsigned j = i + 1;
        while (j < c->n_ooo && c->ooo[j].left <= c->ooo[i].right) {
            c->ooo[i].right = max_u64(c->ooo[i].right, c->ooo[j].right);
            j++;
        }
        memmove(&c->ooo[i + 1], &c->ooo[j], (c->n_ooo - j) * sizeof c->ooo[0]);
        c->n_ooo = (uint8_t)(c->n_ooo - (j - i - 1));
        return true;
    }
    if (c->n_ooo == OOO_RANGES)
        return false;
    memmove(&c->ooo[i + 1], &c->ooo[i], (c->n_ooo - i) * sizeof c->ooo[0]);
    c->ooo[i] = (struct ooo){left, right};
    c->n_ooo++;
    return true;
}

/* rcv_nxt moved: ranges that it reached are part of the stream now. */
static void
advance(struct tcb *c)
{
    unsigned i = 0;
    while (i < c->n_ooo && c->ooo[i].left <= c->h.rcv_nxt) {
        c->h.rcv_nxt = max_u64(c->h.rcv_nxt, c->ooo[i].right);
        i++;
    }
    memmove(&c->ooo[0], &c->ooo[i], (c->n_ooo - i) * sizeof c->ooo[0]);
    c->n_ooo = (uint8_t)(c->n_ooo - i);
}

/* Let go of what came out of order, and of pages that a life before a crash left ahead. The
 * peer still has the bytes (RFC 9293 3.10.7.4 leaves it to us to keep them). */
static void
let_go_ahead(struct client *cl, struct tcb *c)
{
    uint64_t from = ALIGN_UP(c->h.rcv_nxt - 1, (uint64_t)FIFO_PAGE);
    uint64_t to = (c->h.rx_head / FIFO_PAGE + FIFO_DIR) * FIFO_PAGE;
    if (from < to)
        fifo_rx_free(&cl->v, c->link.slot, &cl->pages, from, to);
    c->n_ooo = 0;
}

/* The client's pool is empty, and bytes that a session waits for were refused. Its sessions may
 * hold pages that were read long ago (they tell only when the window is worth it), and if that
 * is not it, pages of bytes that came out of order. Now and then only: the peer sends what was
 * refused again, but not at once. True: there are pages now. */
static bool
find_pages(struct tcp *t, struct tcb *c)
{
    struct client *cl = tcb_client(t, c);
    if (t->now - t->swept[c->link.client] >= PAGE_SWEEP) {
        t->swept[c->link.client] = t->now;
        for (unsigned pass = 0; pass < 2 && cl->pages.n_free == 0; pass++)
            for (uint32_t i = 0; i < t->store->high; i++) {
                struct tcb *o = &t->tcb[i];
                if (!o->used || o->link.client != c->link.client || o->h.rcv_nxt == 0 ||
                    o->link.slot == SESS_NONE || (o->h.bits & H_CLOSED))
                    continue;
                if (pass == 1)
                    let_go_ahead(cl, o);
                else if (slot_take_cursors(t,
                                           o)) /* a lie is found out when it says something */
                    work_add(t, o);
            }
    }
    if (cl->pages.n_free == 0)
        let_go_ahead(cl, c);
    return cl->pages.n_free != 0;
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
    if (left >= right) /* all of it old: the peer missed our ACK */
        return false;
    if (left == c->h.rcv_nxt) {
        uint64_t got = fill(t, c, s, left, right);
        if (got == left && find_pages(t, c))
            got = fill(t, c, s, left, right);
        if (got == left)
            return false;
        c->h.rcv_nxt = got;
        advance(c);
        return true;
    }
    stat_inc(t->stats, STAT_tcp_ooo);
    bool fits = c->n_ooo < OOO_RANGES;
    for (unsigned i = 0; i < c->n_ooo && !fits; i++)
        fits = c->ooo[i].left <= right && c->ooo[i].right >= left;
    if (!fits) {
        stat_inc(t->stats, STAT_tcp_drop_window);
        return false;
    }
    uint64_t got = fill(t, c, s, left, right);
    if (got > left)
        (void)range_add(c, left, got); /* room was checked */
    return false;
}
