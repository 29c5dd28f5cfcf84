/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pure.c: run_pure [-v] SCRIPT...: scripts against the protocol components in virtual time.
 *
 * One simulated stack (tests/sim/stack.h) without a second one: the other end of its wire is
 * the script. The wire takes no time, so whatever has to happen at once happens at the very
 * nanosecond.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/client/hooks.h"
#include "main.h"
#include "tests/sim/stack.h"

#define OWN 0x0a090001u
#define PEER 0x0a090002u
#define POLL_AGAIN (10 * NS_US)
#define SPIN_MAX 100000u

struct pure {
    struct link l;
    struct stack s;
    struct wire wire;
    struct arena_view v;
    struct lib *lib;
    struct run *r;
    ns_t now;
    bool stuck;
};

static struct pure the; /* one script a process */

static ns_t
pure_now(struct link *l)
{
    (void)l;
    return the.now;
}

static void
pure_send(struct link *l, const uint8_t *frame, uint32_t len)
{
    (void)l;
    stack_receive(&the.s, frame, len); /* the next turn takes all that have come */
}

static void
take_frames(struct run *r)
{
    uint8_t frame[WIRE_FRAME_MAX];
    uint32_t len;
    while ((len = wire_receive(&the.wire, frame, the.now)) != 0)
        run_frame(r, frame, len, the.now);
}

/* Everything that happens at this moment. */
static void
settle(struct run *r)
{
    for (unsigned spins = 0; spins < SPIN_MAX; spins++) {
        bool any = wire_next(&the.wire) <= the.now;
        take_frames(r);
        if (stack_due(&the.s, the.now))
            any |= stack_turn(&the.s, the.now);
        if (!any)
            return;
    }
    the.stuck = true;
}

static void
move_clock(ns_t until)
{
    ns_t at = min_u64(stack_next(&the.s, the.now), until);
    the.now = at > the.now ? at : min_u64(the.now + POLL_AGAIN, until);
}

static void
pure_pass(struct link *l, struct run *r, ns_t until, bool stop)
{
    (void)l;
    the.r = r;
    for (;;) {
        settle(r);
        if ((stop && r->head != r->tail) || the.now >= until || the.stuck)
            return;
        move_clock(until);
    }
}

static const char *
pure_broken(struct link *l)
{
    (void)l;
    return the.stuck ? "the clock stands still" : stack_check(&the.s);
}

/* ---- the library ---- */

static ns_t
hook_now(void *arg)
{
    (void)arg;
    return the.now;
}

static int
hook_wait(void *arg, ns_t deadline)
{
    (void)arg;
    while (atomic_load(&the.v.d_head->tail) == atomic_load(&the.v.c_head->head)) {
        settle(the.r);
        if (atomic_load(&the.v.d_head->tail) != atomic_load(&the.v.c_head->head))
            break;
        if (the.now >= deadline || the.stuck)
            return ETIMEDOUT;
        move_clock(deadline);
    }
    return 0;
}

static void *
half(size_t bytes)
{
    void *p = aligned_alloc(CACHE_LINE, ALIGN_UP(bytes, (size_t)4096));
    if (p == NULL)
        abort();
    return memset(p, 0, bytes);
}

static void
attach(void)
{
    static const struct arena_geometry g = {
        .n_slots = 64, .n_tx_pages = 512, .n_rx_pages = 512, .n_req = 64, .n_evt = 128};
    struct bh_hooks hooks = {.now = hook_now, .wait = hook_wait};
    void *c = half(arena_client_bytes(&g)), *d = half(arena_domain_bytes(&g));
    arena_view_init(&the.v, &g, c, d);
    stack_attach(&the.s, STACK_TCP, 0, &the.v);
    the.lib = bh_test_new(&hooks);
    if (the.lib == NULL || bh_test_attach(the.lib, IPPROTO_TCP, &g, c, d, -1, -1) != 0)
        abort();
    bh_test_use(the.lib);
}

struct link *
link_open(const struct script *s, unsigned number, struct run *r)
{
    struct wire_profile perfect = {0};
    struct stack_config c = {
        .addr = OWN,
        .mtu = (uint16_t)(s->mtu != 0 ? s->mtu : 1500),
        .seed = 1,
        .frames = {[PART_RX] = 512,
                   [PART_IPTX] = 64,
                   [PART_TCPTX] = 256,
                   [PART_UDPTX] = 64,
                   [PART_UP] = 64},
        .tcp_sessions = 64,
        .udp_sessions = 4,
        .half_open = 32,
        .orphans = 32,
        .sndbuf = 262144,
        .rcvbuf = 262144,
        .udp_buf = 65536,
        .isn_fixed = s->isn != 0 ? s->isn : 0xffffff00u, /* wraps soon */
        .ecn = (uint8_t)s->ecn,                          /* the daemon answers, too */
        .batch = BATCH_MAX,
    };
    (void)number;
    the.now = 1000 * NS_S;
    the.r = r;
    the.l = (struct link){
        .own = OWN,
        .peer = PEER,
        .mac = {2, 0, 0, 9, 0, 2},
        .rport = 4000,
        .early = 2 * NS_MS,
        .late = 10 * NS_MS,
        .late_part = 2,
        .now_takes = NS_MS,
        .now = pure_now,
        .send = pure_send,
        .pass = pure_pass,
        .broken = pure_broken,
    };
    r->l = &the.l;
    wire_init(&the.wire, &perfect, 1);
    stack_init(&the.s, &c, &the.wire, the.now);
    attach();
    pure_pass(&the.l, r, the.now + 5 * NS_S, false); /* it probes for its address first */
    return &the.l;
}

void
link_close(struct link *l)
{
    (void)l;
}

bool
link_runs(const struct script *s, const char **why)
{
    (void)s;
    (void)why;
    return true;
}

int
main(int argc, char **argv)
{
    return tap_main(argc, argv);
}
