/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A client that rings its bell and asks for nothing. Protects: after a few rings its domain
 * does not listen to it for 20 ms, and counts that; to everybody else it does; it listens again
 * then, finds what was asked for in between, and counts from the beginning; a client that asks
 * for something with each ring is always listened to; one that closed its end costs nothing.
 *
 * The domain's loop is played here: what it watches, and what time it is.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "domains/guard.h"
#include "domains/serve_client.h"

#define FOE 3u
#define FRIEND 4u
#define RINGS_MANY 40u /* more than are let pass, each of which costs a turn */
#define RINGS_PAST 16u
#define DEAF (20 * NS_MS)

static struct serve s;
static struct stats stats;
static struct domain dom;
static struct arena_view v[2];
static struct ring_tx req[2];
static void *half[2][2];
static int to_domain[2][2], to_client[2][2];
static bool watched[1024];
static ns_t now;
static unsigned served;

/* ---- the domain's loop ---- */

ns_t
domain_now(void)
{
    return now;
}
int
domain_watch(struct domain *d, int fd, void *arg)
{
    (void)d;
    (void)arg;
    watched[fd] = true;
    return 0;
}
int
domain_watch_end(struct domain *d, int fd, void *arg)
{
    (void)d;
    (void)fd;
    (void)arg;
    return 0;
}

void
domain_unwatch(struct domain *d, int fd)
{
    (void)d;
    watched[fd] = false;
}
void
domain_notice(struct domain *d, enum ctl_notice what, const char *fmt, ...)
{
    (void)d;
    (void)what;
    (void)fmt;
}
void
domain_poisoned(struct domain *d, uint32_t who, const char *fmt, ...)
{
    (void)d;
    cr_assert_fail("client %u: %s", who, fmt);
}
void *
window_map(unsigned slot, int fd, size_t size, bool writable)
{
    (void)size;
    (void)fd;
    cr_assert(slot / 2 == FOE || slot / 2 == FRIEND);
    cr_assert_eq(writable, slot % 2 == 1);
    return half[slot / 2 - FOE][slot % 2];
}
void
window_unmap(unsigned slot)
{
    (void)slot;
}

/* ---- a transport that does nothing ---- */

static int
fake_add(struct transport *t, uint32_t client, const struct arena_view *a,
         const struct sess_limits *l)
{
    (void)t;
    (void)client;
    (void)a;
    (void)l;
    return 0;
}
static int
fake_open(struct transport *t, uint32_t client, const struct sess_grant *g, uint32_t *sess,
          uint32_t *slot)
{
    (void)t;
    (void)client;
    (void)g;
    *sess = *slot = 0;
    served++;
    return ENFILE; /* an answer as good as any */
}
static bool
fake_denial(struct transport *t, struct account_denial *out)
{
    (void)t;
    (void)out;
    return false;
}
static const struct transport_ops ops = {
    .client_add = fake_add, .open = fake_open, .denial = fake_denial};

static const uint64_t nothing_ready[CLIENTS_MAX / 64];

static void
setup(void)
{
    static const struct arena_geometry g = {
        .n_slots = 4, .n_tx_pages = 1, .n_rx_pages = 1, .n_req = 64, .n_evt = 64};
    serve_init(&s, &ops, NULL, nothing_ready, 0, &stats);
    serve_client_init(&s, &dom);
    now = NS_S;
    for (uint32_t i = 0; i < 2; i++) {
        size_t bytes[2] = {arena_client_bytes(&g), arena_domain_bytes(&g)};
        for (unsigned k = 0; k < 2; k++) {
            half[i][k] = aligned_alloc(FIFO_PAGE, ALIGN_UP(bytes[k], (size_t)FIFO_PAGE));
            cr_assert_not_null(half[i][k]);
            memset(half[i][k], 0, bytes[k]);
        }
        arena_view_init(&v[i], &g, half[i][0], half[i][1]);
        ring_tx_init(&req[i], &v[i].c_head->tail, &v[i].d_head->head, g.n_req);
        cr_assert_eq(bell_pipe(to_domain[i]), 0);
        cr_assert_eq(bell_pipe(to_client[i]), 0);
        struct ctl_msg m = {.type = CTL_CLIENT_ADD, .client = {.id = FOE + i, .g = g}};
        int fd[4] = {dup(0), dup(0), to_domain[i][0],
                     to_client[i][1]}; /* it closes the first two */
        serve_client_ctl(&s, &dom, &m, fd, now);
        cr_assert(watched[to_domain[i][0]]);
    }
}
static void
finish(void)
{
    for (uint32_t i = 0; i < 2; i++)
        for (unsigned k = 0; k < 2; k++)
            free(half[i][k]);
}

TestSuite(hostile_bell, .init = setup, .fini = finish, .timeout = 30);

static void
ask(uint32_t i)
{
    struct sess_req *r = reqring_reserve(&req[i], v[i].req);
    cr_assert_not_null(r);
    *r = (struct sess_req){.op = REQ_SOCKET, .handle = SESS_CREATOR};
    ring_submit(&req[i]);
}
static void
ring(uint32_t i)
{
    cr_assert_eq(write(to_domain[i][1], "", 1), 1);
}
/* A turn of the loop. True: the bell of i woke it. */
static bool
turn(uint32_t i)
{
    uint8_t byte;
    bool woken = watched[to_domain[i][0]] && read(to_domain[i][0], &byte, 1) >= 0;
    if (woken) { /* put back: the domain drains it itself */
        ring(i);
        cr_assert(serve_client_ready(&s, &dom, &s.c[FOE + i]));
    }
    serve_client_reap(&s, &dom);
    while (serve_requests(&s, now))
        (void)serve_arm(&s);
    return woken;
}
static unsigned
storm(uint32_t i)
{
    unsigned woken = 0;
    for (unsigned n = 0; n < RINGS_MANY; n++) {
        ring(i);
        woken += turn(i);
    }
    return woken;
}

Test(hostile_bell, a_storm_is_not_listened_to)
{
    unsigned woken = storm(0);
    cr_assert_leq(woken, RINGS_PAST + 1, "woken %u times", woken);
    cr_assert_eq(stats.v[STAT_bells_ignored], 1);
    cr_assert_not(watched[to_domain[0][0]]);
    cr_assert(watched[to_domain[1][0]], "nor is its neighbour");
    cr_assert_eq(serve_deadline(&s, now), now + DEAF, "nothing wakes the domain in time");

    ask(1); /* the other one is served as always */
    ring(1);
    cr_assert(turn(1));
    cr_assert_eq(served, 1);

    ask(0); /* found later, without another ring */
    now += DEAF - 1;
    turn(0);
    cr_assert_not(watched[to_domain[0][0]]);
    now += 1;
    turn(0);
    cr_assert(watched[to_domain[0][0]], "nobody listens ever again");
    cr_assert_eq(served, 2, "what it asked for in the meantime is lost");
    cr_assert_eq(serve_deadline(&s, now), NS_NEVER);

    storm(0);
    cr_assert_eq(stats.v[STAT_bells_ignored], 2);
}

/* What it does in the time that it is not listened to costs nothing at all, so that a storm
 * without an end costs so many turns in 20 ms. */
Test(hostile_bell, so_many_turns_in_so_long)
{
    unsigned woken = 0;
    for (unsigned ms = 0; ms < 1000; ms++, now += NS_MS)
        woken += storm(0);
    cr_assert_leq(woken, (RINGS_PAST + 1) * (1000 / 20 + 1), "woken %u times", woken);
    cr_assert_geq(stats.v[STAT_bells_ignored], 45);
}

Test(hostile_bell, who_asks_is_heard)
{
    for (unsigned n = 0; n < 10 * RINGS_MANY; n++) {
        ask(1);
        ring(1);
        cr_assert(turn(1));
        struct sess_evt e;
        struct ring_rx evt;
        ring_rx_init(&evt, &v[1].d_head->tail, &v[1].c_head->head, v[1].g.n_evt);
        while (evtring_take(&evt, v[1].evt, &e))
            ring_release(&evt);
    }
    cr_assert_eq(served, 10 * RINGS_MANY);
    cr_assert_eq(stats.v[STAT_bells_ignored], 0);
}

/* A bell that stays readable for good. */
Test(hostile_bell, a_closed_one_is_not_looked_at_again)
{
    storm(0);
    close(to_domain[0][1]);
    now += DEAF;
    serve_client_reap(&s, &dom);
    uint8_t some[256];
    while (read(to_domain[0][0], some, sizeof some) > 0)
        ;
    cr_assert(serve_client_ready(&s, &dom, &s.c[FOE]));
    cr_assert_not(watched[to_domain[0][0]]);
    now += NS_S;
    serve_client_reap(&s, &dom);
    cr_assert_not(watched[to_domain[0][0]]);
}
