/* SPDX-License-Identifier: BSD-2-Clause */
#include "world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "session/dir.h"

#define POLL_AGAIN (10 * NS_US) /* a stack that says "now" and does nothing is asked again */
#define SPIN_MAX 200000u        /* turns at one moment */

static void
list_sessions(struct world *w)
{
    struct sess_info s;
    for (unsigned i = 0; i < 2; i++) {
        const struct transport *t = stack_transport(&w->s[i], STACK_TCP);
        for (uint32_t k = 0; tcp_ops.info(t, k, &s); k = s.sess + 1)
            fprintf(stderr,
                    "stack %u: session %u, client %d, state %u, port %u to %u, rx %llu "
                    "(%u queued), tx %llu (%u queued), cwnd %u, srtt %.6f, rto %.6f\n",
                    i, s.sess, (int)s.client, s.state, s.lport, s.rport,
                    (unsigned long long)s.rx_bytes, s.rx_queued, (unsigned long long)s.tx_bytes,
                    s.tx_queued, s.cwnd, s.srtt_us / 1e6, s.rto_us / 1e6);
    }
}

void
world_fail(struct world *w, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (w->wire[0].trace) {
        list_sessions(w);
        for (unsigned i = 0; i < 2; i++)
            inspect_tcp_tell(w->s[i].join.tcp, w->cfg.start);
        if (w->tell != NULL)
            w->tell(w->ctx);
    }
    cr_assert_fail("seed %llu, at %.6f s: %s\n"
                   "(the same run again: BH_SEED=%llu)",
                   (unsigned long long)w->cfg.seed, (double)(w->now - w->cfg.start) / 1e9, text,
                   (unsigned long long)w->cfg.seed);
    abort();
}

uint64_t
world_stat(const struct world *w, unsigned side, enum stat_id id)
{
    return stat_get(&w->s[side].stats, id);
}

/* ---- set-up ---- */

struct world_config
world_usual(uint64_t seed)
{
    struct world_config c = {.seed = seed, .start = 1000 * NS_S};
    for (unsigned i = 0; i < 2; i++) {
        c.stack[i] = (struct stack_config){
            .addr = WORLD_ADDR(i),
            .mtu = 1500,
            .seed = seed * 2 + i,
            .frames = {[PART_RX] = 512,
                       [PART_IPTX] = 64,
                       [PART_TCPTX] = 128,
                       [PART_UDPTX] = 64,
                       [PART_UP] = 64},
            .tcp_sessions = 64,
            .udp_sessions = 32,
            .half_open = 64,
            .orphans = 64,
            .sndbuf = 65536,
            .rcvbuf = 65536,
            .runs = 4096,
            .udp_buf = 131072,
            .batch = BATCH_MAX,
        };
        c.wire[i].latency = 100 * NS_US;
        c.arena[i] = (struct arena_geometry){
            .n_slots = 64, .n_tx_pages = 256, .n_rx_pages = 256, .n_req = 64, .n_evt = 128};
    }
    return c;
}

struct sockaddr_in
world_sin(unsigned side, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(WORLD_ADDR(side))};
}

void
world_init(struct world *w, const struct world_config *c)
{
    memset(w, 0, sizeof *w);
    w->cfg = *c;
    w->now = c->start;
    w->rng = (struct rng){c->seed};
    for (unsigned i = 0; i < 2; i++) {
        wire_init(&w->wire[i], &c->wire[i], rng_next(&w->rng));
        w->wire[i].trace = getenv("BH_TRACE") != NULL;
        w->wire[i].start = w->now;
        w->wire[i].back = &w->wire[!i];
        stack_init(&w->s[i], &c->stack[i], &w->wire[i], w->now);
    }
}

static void
program_free(struct program *p)
{
    bh_test_free(p->lib);
    p->lib = NULL;
}

void
world_free(struct world *w)
{
    for (unsigned i = 0; i < w->n_prog; i++) {
        program_free(&w->prog[i]);
        for (unsigned k = 0; k < 4; k++)
            free(w->prog[i].half[k / 2][k % 2]);
    }
    for (unsigned i = 0; i < 2; i++) {
        stack_free(&w->s[i]);
        wire_free(&w->wire[i]);
    }
}

/* ---- the clock ---- */

static ns_t
hook_now(void *arg)
{
    return ((struct program *)arg)->w->now;
}

/* Everything that happens at `now` in wires and stacks. True: something did. */
static bool
settle(struct world *w)
{
    uint8_t frame[WIRE_FRAME_MAX];
    bool any = false;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t len;
        while ((len = wire_receive(&w->wire[i], frame, w->now)) != 0) {
            stack_receive(&w->s[!i], frame, len);
            any = true;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        if (stack_due(&w->s[i], w->now))
            any |= stack_turn(&w->s[i], w->now);
        if (w->s[i].broken != NULL)
            world_fail(w, "stack %u: %s", i, w->s[i].broken);
    }
    return any;
}

static ns_t
next_moment(struct world *w)
{
    ns_t at = NS_NEVER;
    for (unsigned i = 0; i < 2; i++) {
        at = min_u64(at, wire_next(&w->wire[i]));
        at = min_u64(at, stack_next(&w->s[i], w->now));
    }
    return at;
}

static void
move_clock(struct world *w, ns_t to)
{
    w->now = to > w->now ? to : w->now + POLL_AGAIN;
    if (w->tick != NULL)
        w->tick(w, w->ctx);
}

static bool
told(const struct program *p)
{
    for (unsigned k = 0; k < 2; k++)
        if (atomic_load(&p->v[k].d_head->tail) != atomic_load(&p->v[k].c_head->head))
            return true;
    return false;
}

static int
hook_wait(void *arg, ns_t deadline)
{
    struct program *p = arg;
    struct world *w = p->w;
    for (unsigned spins = 0; !told(p);) {
        if (settle(w)) {
            if (++spins > SPIN_MAX)
                world_fail(w, "the clock stands still");
            continue;
        }
        if (w->now >= deadline)
            return ETIMEDOUT;
        ns_t at = next_moment(w);
        if (at == NS_NEVER && deadline == NS_NEVER)
            return ETIMEDOUT; /* nothing can happen any more */
        move_clock(w, min_u64(at, deadline));
    }
    return 0;
}

static bool
run_programs(struct world *w)
{
    bool any = false;
    for (unsigned i = 0; i < w->n_prog && w->work != NULL; i++) {
        if (w->prog[i].lib == NULL)
            continue;
        world_use(w, i);
        any |= w->work(w, &w->prog[i], w->ctx);
    }
    return any;
}

bool
world_run(struct world *w, ns_t until, bool (*done)(void *ctx), void *ctx)
{
    unsigned spins = 0;
    for (;;) {
        if (settle(w) || run_programs(w)) {
            if (++spins > SPIN_MAX)
                world_fail(w, "the clock stands still");
            continue;
        }
        spins = 0;
        if (done != NULL && done(ctx))
            return true;
        if (w->now >= until)
            return done == NULL;
        ns_t at = next_moment(w);
        for (unsigned i = 0; i < w->n_prog; i++)
            if (w->prog[i].lib != NULL)
                at = min_u64(at, w->prog[i].wake);
        move_clock(w, min_u64(at, until));
    }
}

void
world_pass(struct world *w, ns_t time)
{
    (void)world_run(w, w->now + time, NULL, NULL);
}

/* ---- programs ---- */

unsigned
world_program(struct world *w, unsigned side)
{
    unsigned n = w->n_prog++;
    struct program *p = &w->prog[n];
    *p = (struct program){.w = w, .side = side, .wake = NS_NEVER};
    for (unsigned i = 0; i < n; i++)
        p->id += w->prog[i].side == side;
    struct bh_hooks hooks = {.now = hook_now, .wait = hook_wait, .arg = p};
    p->lib = bh_test_new(&hooks);
    world_assert(w, p->lib != NULL && n < WORLD_PROGRAMS && p->id < STACK_CLIENTS);
    for (unsigned k = 0; k < 2; k++) {
        const struct arena_geometry *g = &w->cfg.arena[k];
        size_t bytes[2] = {arena_client_bytes(g), arena_domain_bytes(g)};
        for (unsigned h = 0; h < 2; h++) {
            p->half[k][h] = aligned_alloc(FIFO_PAGE, bytes[h]);
            world_assert(w, p->half[k][h] != NULL);
            memset(p->half[k][h], 0, bytes[h]);
        }
        arena_view_init(&p->v[k], g, p->half[k][0], p->half[k][1]);
        /* Close to where 32-bit ring indices wrap. */
        for (unsigned h = 0; h < 2; h++) {
            struct half_head *head = p->half[k][h];
            atomic_store(&head->tail, 0xfffffff0u);
            atomic_store(&head->head, 0xfffffff0u);
        }
        stack_attach(&w->s[side], k, p->id, &p->v[k]);
        world_assert(w, bh_test_attach(p->lib, k == 0 ? IPPROTO_TCP : IPPROTO_UDP, g,
                                       p->half[k][0], p->half[k][1], -1, -1) == 0);
    }
    return n;
}

void
world_kill(struct world *w, unsigned n)
{
    struct program *p = &w->prog[n];
    program_free(p);
    stack_gone(&w->s[p->side], p->id, w->now);
}

void
world_use(struct world *w, unsigned n)
{
    bh_test_use(w->prog[n].lib);
}

/* ---- the end ---- */

static void
check_client_half(struct world *w, const struct program *p, unsigned k)
{
    const struct arena_view *v = &p->v[k];
    for (uint32_t i = 0; i < v->g.n_slots; i++) {
        if (atomic_load(&v->c_slot[i].tx_tail) != 0 || atomic_load(&v->c_slot[i].rx_head) != 0)
            world_fail(w, "a cursor of a slot that is free is not zero");
        if (dir_count(&v->c_slot[i].tx_dir, v->tx_page, v->g.n_tx_pages) != 0)
            world_fail(w, "a transmit page of a slot that is free is lost");
    }
}

void
world_check_rest(struct world *w)
{
    for (unsigned i = 0; i < 2; i++) {
        const char *bad = stack_check_rest(&w->s[i]);
        if (bad != NULL)
            world_fail(w, "at rest, stack %u: %s", i, bad);
    }
    for (unsigned i = 0; i < w->n_prog; i++)
        for (unsigned k = 0; k < 2 && w->prog[i].lib != NULL; k++)
            check_client_half(w, &w->prog[i], k);
}
