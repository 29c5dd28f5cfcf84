/* SPDX-License-Identifier: BSD-2-Clause
 *
 * run.c: step by step.
 */
#include "run.h"

#include <stdarg.h>
#include <stdio.h>

bool
run_fail(struct run *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->error, sizeof r->error, fmt, ap);
    va_end(ap);
    return false;
}

void
run_note(struct run *r, const char *fmt, ...)
{
    char *to = r->recent[r->n_recent++ % RECENT];
    double s = (double)(r->l->now(r->l) - r->begin) / 1e9;
    int n = snprintf(to, SCRIPT_TEXT, "%10.6f  ", s);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(to + n, SCRIPT_TEXT - (size_t)n, fmt, ap);
    va_end(ap);
}

void
run_tell(const struct run *r, void (*line)(const char *text))
{
    unsigned n = min_u32(r->n_recent, RECENT);
    for (unsigned i = r->n_recent - n; i < r->n_recent; i++)
        line(r->recent[i % RECENT]);
}

/* ---- what the stack sends ---- */

void
run_frame(struct run *r, const uint8_t *frame, uint32_t len, ns_t at)
{
    struct eth_hdr e;
    struct got *g = &r->q[r->tail % QUEUE];
    char text[SCRIPT_TEXT];
    if (eth_parse(&e, frame, len) != WIRE_OK || r->tail - r->head == QUEUE)
        return;
    if (e.type == ETH_TYPE_ARP) {
        peer_arp(r, frame, len);
        return;
    }
    if (e.type != ETH_TYPE_IP4 || !got_parse(r, g, frame, len))
        return;
    uint16_t to = g->h.dport;
    if (to < r->l->rport || to >= r->l->rport + PEERS)
        return; /* for another script */
    g->at = at;
    peer_learn(r, g);
    got_text(r, g, text, sizeof text);
    run_note(r, "%s", text);
    r->tail++;
}

/* ---- steps ---- */

static bool
unexpected(struct run *r)
{
    char text[SCRIPT_TEXT];
    got_text(r, &r->q[r->head % QUEUE], text, sizeof text);
    return run_fail(r, "not expected: %s", text);
}

/* Nothing may come for this long. */
static bool
nothing_for(struct run *r, ns_t time)
{
    struct link *l = r->l;
    ns_t until = max_u64(r->last + time, l->now(l));
    l->pass(l, r, until, true);
    if (r->head != r->tail)
        return unexpected(r);
    r->last = l->now(l);
    return true;
}

/* Is the time at which it came right? */
static bool
in_time(struct run *r, const struct step *st, ns_t at, ns_t early, ns_t late)
{
    double from = (double)early / 1e9, to = (double)late / 1e9;
    ns_t took = at > r->last ? at - r->last : 0;
    if (took >= early && took <= late)
        return true;
    return run_fail(r, "came after %.4f s, not %s%.4f to %.4f s", (double)took / 1e9,
                    st->when == WHEN_WITHIN ? "within " : "", from, to);
}

static bool
expect_one(struct run *r, const struct step *st, uint32_t times)
{
    struct link *l = r->l;
    ns_t early = 0, late = l->now_takes;
    if (st->when == WHEN_AT && times == 0) {
        ns_t slack = st->tol != 0 && !l->real ? st->tol : l->late + st->at / 100 * l->late_part;
        ns_t ahead = st->tol != 0 && !l->real ? st->tol : l->early;
        early = st->at > ahead ? st->at - ahead : 0;
        late = st->at + max_u64(slack, st->tol);
    } else if (st->when == WHEN_WITHIN && times == 0) {
        late = st->at + (l->real ? l->late : 0);
    }
    if (r->head == r->tail)
        l->pass(l, r, r->last + late, true);
    if (r->head == r->tail)
        return run_fail(r, "nothing came within %.4f s", (double)late / 1e9);
    const struct got *g = &r->q[r->head++ % QUEUE];
    if (!match_segment(r, &st->seg, g, times))
        return false;
    if (!in_time(r, st, g->at, early, late))
        return false;
    r->last = max_u64(r->last, g->at);
    return true;
}

/* Does the next segment arrive together with this one? */
static bool
joined(const struct run *r, const struct step *st)
{
    const struct step *next = st + 1;
    return next < r->s->step + r->s->n_steps && next->together;
}

static bool
step_do(struct run *r, const struct step *st)
{
    struct link *l = r->l;
    switch (st->kind) {
    case STEP_IN:
        run_note(r, "%s", st->text);
        peer_send(r, &st->seg);
        if (!joined(r, st))
            l->pass(l, r, l->now(l), false);
        return true;
    case STEP_ICMP:
        run_note(r, "%s", st->text);
        peer_icmp(r, &st->icmp);
        l->pass(l, r, l->now(l), false);
        return true;
    case STEP_OUT:
        for (uint32_t i = 0; i < st->seg.times; i++)
            if (!expect_one(r, st, i))
                return false;
        return true;
    case STEP_NONE:
        return nothing_for(r, st->time != 0 ? st->time : l->quiet);
    case STEP_WAIT:
        l->pass(l, r, l->now(l) + st->time, false);
        return true;
    case STEP_IGNORE:
        l->pass(l, r, l->now(l) + max_u64(st->time, 2 * l->quiet), false);
        r->head = r->tail;
        return true;
    case STEP_PEER:
        if (st->v < 0 || st->v >= PEERS)
            return run_fail(r, "there are peers 0 to %u", PEERS - 1);
        r->cur = (unsigned)st->v;
        return true;
    case STEP_ISS:
        r->peer[r->cur] = peer_begin(r, r->cur, (uint32_t)st->v);
        return true;
    case STEP_CALL:
        run_note(r, "%s", st->text);
        return app_call(r, &st->call);
    }
    return false;
}

static bool
arrives(const struct step *st)
{
    return st->kind == STEP_IN || st->kind == STEP_ICMP;
}

/* On a running stack a call and a segment reach TCP by different ways: let one arrive before
 * the other sets out. */
static void
keep_order(struct run *r, const struct step *st, const struct step *before)
{
    bool change = before != NULL && (arrives(st) || st->kind == STEP_CALL) &&
                  (arrives(before) || before->kind == STEP_CALL) &&
                  arrives(st) != arrives(before);
    if (change && r->l->real)
        r->l->pass(r->l, r, r->l->now(r->l) + r->l->quiet, false);
}

static bool
step_run(struct run *r, const struct step *st, const struct step *before)
{
    struct link *l = r->l;
    keep_order(r, st, before);
    if (st->when == WHEN_AT && st->kind != STEP_OUT)
        l->pass(l, r, max_u64(r->last + st->at, l->now(l)), false);
    bool ok = step_do(r, st);
    if (st->kind != STEP_OUT && st->kind != STEP_PEER && st->kind != STEP_ISS)
        r->last = l->now(l);
    const char *bad = l->broken != NULL ? l->broken(l) : NULL;
    if (ok && bad != NULL)
        ok = run_fail(r, "the stack is broken: %s", bad);
    if (!ok) {
        char what[SCRIPT_ERROR];
        snprintf(what, sizeof what, "%s", r->error);
        (void)run_fail(r, "%.100s:%d: %.80s: %.180s", st->file, st->line, st->text, what);
    }
    return ok;
}

bool
run_script(struct run *r, struct link *l, const struct script *s)
{
    memset(r, 0, sizeof *r);
    r->l = l;
    r->s = s;
    r->port = 80;
    r->begin = r->last = l->now(l);
    for (unsigned i = 0; i < PEERS; i++)
        r->peer[i] = peer_begin(r, i, 0xffffffe0u);
    for (unsigned i = 0; i < ARRAY_LEN(r->sock); i++)
        r->sock[i].fd = -1;
    bool ok = peer_resolve(r);
    r->begin = r->last = l->now(l);
    const struct step *acted = NULL;
    for (const struct step *st = s->step; ok && st < s->step + s->n_steps; st++) {
        ok = step_run(r, st, acted);
        if (arrives(st) || st->kind == STEP_CALL)
            acted = st;
    }
    if (ok && !nothing_for(r, l->quiet)) {
        char what[SCRIPT_ERROR];
        snprintf(what, sizeof what, "%s", r->error);
        ok = run_fail(r, "%.100s: at the end: %.250s", s->path, what);
    }
    app_end(r);
    for (unsigned i = 0; i < PEERS && l->real; i++)
        peer_reset(r, &r->peer[i]);
    return ok;
}
