/* SPDX-License-Identifier: BSD-2-Clause */
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#define PATTERN_PERIOD 65521u /* a prime: no page or segment size divides it */

const uint8_t *
load_pattern(uint32_t pattern, uint64_t at)
{
    static uint8_t table[PATTERN_PERIOD + 65536];
    if (table[0] == 0) {
        struct rng r = {42};
        for (uint32_t i = 0; i < PATTERN_PERIOD; i++)
            table[i] = (uint8_t)rng_next(&r);
        table[0] = 1;
        for (uint32_t i = PATTERN_PERIOD; i < sizeof table; i++)
            table[i] = table[i - PATTERN_PERIOD];
    }
    return table + (pattern + at) % PATTERN_PERIOD;
}

struct load_config
load_usual(void)
{
    return (struct load_config){
        .flows = 6,
        .bytes_max = 300000,
        .dgrams = 24,
        .dgram_max = 9000,
        .hasty = 8,
        .abort = 8,
        .start_within = NS_S,
        .limit = 8 * 3600 * NS_S, /* timeouts of two minutes, and two of five frames lost */
    };
}

/* ---- what a program does ---- */

static bool
look(struct load *l, const struct bh_event *ev)
{
    const enum thing_kind *kind = ev->arg;
    switch (*kind) {
    case THING_LISTENER:
        return flow_accept(l, ev->arg);
    case THING_END:
        return end_work(l, ev->arg, ev->revents);
    case THING_UDP:
        return dgram_receive(l, ev->arg);
    }
    return false;
}

static void
kill_program(struct load *l, struct program *p)
{
    struct load_udp *u = &l->udp[p->side];
    l->dead[p->side] = true;
    l->kill_at[p->side] = NS_NEVER;
    flow_killed(l, p->side);
    u->n_to_send = u->n_sent;
    world_kill(l->w, p->side);
}

static bool
work(struct world *w, struct program *p, void *ctx)
{
    struct load *l = ctx;
    struct bh_event ev[16];
    bool any = false;
    if (w->now >= l->kill_at[p->side]) {
        kill_program(l, p);
        return true;
    }
    p->wake = l->kill_at[p->side];
    flow_start_due(l, p);
    struct load_udp *u = &l->udp[p->side];
    any |= dgram_send_due(l, u);
    if (u->n_sent < u->n_to_send)
        p->wake = min_u64(p->wake, u->next);
    for (uint32_t i = 0; i < l->cfg.flows; i++) {
        struct end *e = &l->flow[i].e[p->side];
        any |= e->state == END_OPEN && end_resume(l, e);
    }
    int n = bh_ready_events(ev, ARRAY_LEN(ev));
    for (int i = 0; i < n; i++)
        any |= look(l, &ev[i]);
    for (uint32_t i = 0; i < l->cfg.flows; i++) {
        const struct end *e = &l->flow[i].e[p->side];
        if (e->state == END_OPEN && e->paused_until != 0)
            p->wake = min_u64(p->wake, e->paused_until);
    }
    return any;
}

/* ---- crashes ---- */

static void
plan_crash(struct load *l)
{
    uint32_t left = 0;
    for (unsigned i = 0; i < 3; i++)
        left += l->n_crashes_left[i];
    l->next_crash =
        left == 0 ? NS_NEVER : l->w->now + rng_next(&l->rng) % (l->cfg.crash_within + 1);
}

static void
tick(struct world *w, void *ctx)
{
    struct load *l = ctx;
    stall_check(l);
    if (w->now < l->next_crash)
        return;
    struct stack *s = &w->s[rng_below(&l->rng, 2)];
    unsigned who = rng_below(&l->rng, 3);
    while (l->n_crashes_left[who] == 0)
        who = (who + 1) % 3;
    l->n_crashes_left[who]--;
    l->n_crashes++;
    enum crash_point at = rng_below(&l->rng, CRASH_POINTS);
    if (w->wire[0].trace)
        fprintf(stderr, "%.6f .%u: component %u dies, point %d\n",
                (double)(w->now - w->cfg.start) / 1e9, s == &w->s[0] ? 1 : 2, who, (int)at);
    if (who == 0)
        stack_crash_ip(s, w->now);
    else if (l->cfg.serving && rng_percent(&l->rng, 50))
        stack_crash_serving(s, who == 1 ? STACK_TCP : STACK_UDP,
                            &(struct stack_death){.in = rng_range(&l->rng, 1, 8),
                                                  .after = rng_percent(&l->rng, 50)});
    else if (who == 1)
        stack_crash_tcp(s, at, w->now);
    else
        stack_crash_udp(s, w->now);
    plan_crash(l);
}

/* ---- a whole run ---- */

bool
load_overtaken(struct load *l, struct flow *f)
{
    unsigned side = !f->opener;
    if (f->overtaken)
        return true;
    f->overtaken = l->n_overtaken[side] < world_stat(l->w, side, STAT_tcp_cookie_refused);
    l->n_overtaken[side] += f->overtaken;
    return f->overtaken;
}

static bool
all_over(void *ctx)
{
    const struct load *l = ctx;
    for (unsigned i = 0; i < 2; i++)
        if (l->udp[i].n_sent < l->udp[i].n_to_send)
            return false;
    for (uint32_t i = 0; i < l->cfg.flows; i++) {
        const struct flow *f = &l->flow[i];
        const struct end *o = &f->e[f->opener], *a = &f->e[!f->opener];
        if (o->state != END_OVER)
            return false;
        /* Not accepted: the opener aborted so early that nobody heard of it, or timed out. */
        bool unheard =
            a->state == END_NONE && (o->plan != PLAN_ORDERLY || l->timeouts_ok ||
                                     (f->overtaken && o->err != 0) || l->dead[a->side]);
        if (a->state != END_OVER && !unheard)
            return false;
    }
    return true;
}

static bool
no_session(void *ctx)
{
    const struct load *l = ctx;
    if (!all_over(ctx))
        return false;
    for (unsigned i = 0; i < 2; i++)
        if (tcp_sessions(l->w->s[i].join.tcp) != 0 || udp_sessions(l->w->s[i].join.udp) != 0)
            return false;
    return true;
}

/* Frames that ip keeps for reassembly or resolution. */
static bool
at_rest(void *ctx)
{
    const struct load *l = ctx;
    return stack_check_rest(&l->w->s[0]) == NULL && stack_check_rest(&l->w->s[1]) == NULL;
}

static void
open_all(struct load *l)
{
    for (unsigned i = 0; i < 2; i++) {
        struct program *p = &l->w->prog[world_program(l->w, i)];
        world_use(l->w, i);
        flow_listen(l, p);
        if (l->cfg.dgrams != 0)
            dgram_open(l, p);
    }
}

static void
close_all(struct load *l)
{
    for (unsigned i = 0; i < 2; i++) {
        if (l->dead[i])
            continue;
        world_use(l->w, i);
        if (bh_close(l->listener[i].fd) != 0)
            world_fail(l->w, "closing a listener: errno %d", errno);
        if (l->cfg.dgrams != 0 && bh_close(l->udp[i].fd) != 0)
            world_fail(l->w, "closing a UDP socket: errno %d", errno);
    }
}

/* What is not over, for whoever looks into a failure. */
static void
tell(void *ctx)
{
    const struct load *l = ctx;
    static const char *const state[] = {"none", "connecting", "open", "over"};
    for (unsigned i = 0; i < 2; i++)
        fprintf(stderr, "# side %u: %u of %u datagrams sent, %u errors, next at %.6f\n", i,
                l->udp[i].n_sent, l->udp[i].n_to_send, l->udp[i].n_errors,
                (double)(l->udp[i].next - l->w->cfg.start) / 1e9);
    for (uint32_t i = 0; i < 2 * l->cfg.flows; i++) {
        const struct end *e = &l->flow[i / 2].e[i % 2];
        if (l->flow[i / 2].e[0].state != END_OVER || l->flow[i / 2].e[1].state != END_OVER)
            fprintf(stderr,
                    "# flow %u (port %u) side %u %s: plan %d, %s, err %d, sent %llu of %llu, "
                    "got %llu%s%s%s\n",
                    i / 2, l->flow[i / 2].lport, e->side,
                    e->side == l->flow[i / 2].opener ? "opens" : "accepts", (int)e->plan,
                    state[e->state], e->err, (unsigned long long)e->sent,
                    (unsigned long long)e->to_send, (unsigned long long)e->got,
                    e->shut ? ", shut" : "", e->eof ? ", eof" : "",
                    e->paused_until != 0 ? ", pauses" : "");
    }
}

void
load_run(struct load *l, struct world *w, const struct load_config *c)
{
    memset(l, 0, sizeof *l);
    l->cfg = *c;
    l->w = w;
    l->rng = (struct rng){rng_next(&w->rng)};
    l->next_crash = NS_NEVER;
    for (unsigned i = 0; i < 2; i++) {
        l->timeouts_ok |= w->cfg.wire[i].loss > 80000 || w->cfg.wire[i].corrupt > 80000;
        l->dup_ok |= w->cfg.wire[i].dup != 0;
    }
    open_all(l);
    flow_setup(l);
    w->work = work;
    w->tick = tick;
    w->tell = tell;
    w->ctx = l;
    for (unsigned i = 0; i < 3; i++) {
        l->n_crashes_left[i] = c->crashes[i];
        l->broken_ok |= c->crashes[i] != 0;
    }
    plan_crash(l);
    for (unsigned i = 0; i < 2; i++)
        l->kill_at[i] = rng_percent(&l->rng, c->kills)
                            ? w->now + rng_next(&l->rng) % (c->start_within + NS_S)
                            : NS_NEVER;
    if (!world_run(w, w->now + c->limit, all_over, l))
        world_fail(w, "a connection does not end");
    world_pass(w, NS_S);
    close_all(l);
    w->tick = NULL;
    /* FIN-WAIT-2, TIME-WAIT, and what retransmission takes on a bad wire. */
    if (!world_run(w, w->now + 1800 * NS_S, no_session, l))
        world_fail(w, "a session is left: %u and %u of TCP, %u and %u of UDP",
                   tcp_sessions(w->s[0].join.tcp), tcp_sessions(w->s[1].join.tcp),
                   udp_sessions(w->s[0].join.udp), udp_sessions(w->s[1].join.udp));
    (void)world_run(w, w->now + 300 * NS_S, at_rest, l);
    world_check_rest(w);
    for (unsigned i = 0; i < 2; i++)
        if (l->dead[i] && !stack_left(&w->s[i], w->prog[i].id))
            world_fail(w, "the arena of a dead program is still in use");
    for (uint32_t i = 0; i < c->flows; i++)
        flow_check(l, &l->flow[i]);
    if (c->dgrams != 0)
        dgram_check(l);
}
