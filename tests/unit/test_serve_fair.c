/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_serve_fair.c: many clients whose request rings are always full, and one that asks now
 * and then. Protects: a turn is bounded however many ask for something, everybody's turn comes,
 * and the one that asks for little is not the one that waits longest; the same for events.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "domains/serve.h"

#define CLIENTS 40u
#define QUIET 17u /* the one that asks for little */
#define TURN_MOST 68u

static struct {
    uint64_t n[CLIENTS]; /* requests served */
    uint64_t in_turn;
    uint64_t waiting[CLIENTS]; /* events */
    uint32_t steps;            /* that a request takes */
} tr;
static struct arena_view v[CLIENTS];
static struct ring_tx req[CLIENTS];
static void *half[CLIENTS][2];
static struct serve s;
static struct stats stats;
static uint64_t ready[4];

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
    (void)g;
    *sess = *slot = client;
    return 0;
}

static uint32_t
fake_request(struct transport *t, uint32_t sess, const struct sess_req *r,
             struct sess_evt *reply, ns_t now)
{
    (void)t;
    (void)r;
    (void)reply;
    (void)now;
    tr.n[sess]++;
    tr.in_turn++;
    return tr.steps;
}

static bool
fake_event(struct transport *t, uint32_t client, struct sess_evt *e)
{
    (void)t;
    if (tr.waiting[client] == 0)
        return false;
    if (--tr.waiting[client] == 0)
        ready[client / 64] &= ~(1ull << (client % 64));
    *e = (struct sess_evt){.kind = EVT_READY};
    return true;
}

static void
fake_gone(struct transport *t, uint32_t client, ns_t now)
{
    (void)t;
    (void)client;
    (void)now;
}

static const struct transport_ops ops = {.client_add = fake_add,
                                         .open = fake_open,
                                         .request = fake_request,
                                         .next_event = fake_event};

static void
setup(void)
{
    static const struct arena_geometry g = {
        .n_slots = CLIENTS, .n_tx_pages = 1, .n_rx_pages = 1, .n_req = 64, .n_evt = 256};
    static const struct sess_limits limits = {.sessions = CLIENTS};
    serve_init(&s, &ops, NULL, ready, 0, &stats);
    size_t bytes[2] = {arena_client_bytes(&g), arena_domain_bytes(&g)};
    for (uint32_t i = 0; i < CLIENTS; i++) {
        for (unsigned k = 0; k < 2; k++) {
            half[i][k] = aligned_alloc(FIFO_PAGE, bytes[k]);
            cr_assert_not_null(half[i][k]);
            memset(half[i][k], 0, bytes[k]);
        }
        arena_view_init(&v[i], &g, half[i][0], half[i][1]);
        ring_tx_init(&req[i], &v[i].c_head->tail, &v[i].d_head->head, g.n_req);
        cr_assert_eq(serve_add(&s, i, &v[i], &limits, false, -1, -1), 0);
    }
}

static void
finish(void)
{
    for (uint32_t i = 0; i < CLIENTS; i++)
        for (unsigned k = 0; k < 2; k++)
            free(half[i][k]);
}

TestSuite(serve_fair, .init = setup, .fini = finish);

/* Requests until the ring is full or there are n. */
static void
post(uint32_t i, unsigned op, uint64_t handle, unsigned n)
{
    struct sess_req *r;
    while (n-- > 0 && (r = reqring_reserve(&req[i], v[i].req)) != NULL)
        *r = (struct sess_req){.op = (uint8_t)op, .handle = handle};
    ring_submit(&req[i]);
}

static uint64_t
open_one(uint32_t i)
{
    post(i, REQ_SOCKET, SESS_CREATOR, 1);
    (void)serve_requests(&s, 0);
    return v[i].evt[(atomic_load(&v[i].d_head->tail) - 1) & (v[i].g.n_evt - 1)].handle;
}

Test(serve_fair, requests)
{
    uint64_t h[CLIENTS], longest = 0, asked = 0;
    for (uint32_t i = 0; i < CLIENTS; i++)
        h[i] = open_one(i);
    uint64_t since = 0;
    for (unsigned turn = 0; turn < 1000; turn++) {
        for (uint32_t i = 0; i < CLIENTS; i++)
            if (i != QUIET)
                post(i, REQ_SEND, h[i], 64);
        if (tr.n[QUIET] == asked) {
            post(QUIET, REQ_SEND, h[QUIET], 1);
            asked++;
            since = turn;
        }
        tr.in_turn = 0;
        cr_assert(serve_requests(&s, turn * NS_MS));
        cr_assert_leq(tr.in_turn, TURN_MOST, "%llu in a turn", (unsigned long long)tr.in_turn);
        if (tr.n[QUIET] == asked && turn - since > longest)
            longest = turn - since;
    }
    cr_assert_geq(asked, 300u, "served %llu times", (unsigned long long)asked);
    cr_assert_leq(longest, 3u, "it waited for %llu turns", (unsigned long long)longest);
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (i == QUIET)
            continue;
        least = least < tr.n[i] ? least : tr.n[i];
        most = most > tr.n[i] ? most : tr.n[i];
    }
    cr_assert_geq(least * 100, most * 95, "%llu to %llu", (unsigned long long)least,
                  (unsigned long long)most);
}

/* One client alone is not held back for the sake of those who want nothing. */
Test(serve_fair, alone)
{
    uint64_t h = open_one(3);
    for (unsigned i = 0; i < 200; i++) /* the others are quiet for long enough */
        (void)serve_requests(&s, 0);
    post(3, REQ_SEND, h, 64);
    serve_wake(&s, 3);
    (void)serve_requests(&s, 0);
    cr_assert_eq(tr.n[3], 32u);
}

Test(serve_fair, events)
{
    uint64_t got[CLIENTS] = {0}, longest = 0;
    for (unsigned turn = 0, last = 0; turn < 300; turn++) {
        for (uint32_t i = 0; i < CLIENTS; i++) {
            if (i == QUIET && tr.waiting[i] != 0)
                continue;
            tr.waiting[i] = i == QUIET ? 1 : 1000;
            ready[0] |= 1ull << i;
        }
        serve_events(&s);
        cr_assert_eq(serve_deadline(&s, 5), 5u, "the rest waits");
        uint64_t all = 0;
        for (uint32_t i = 0; i < CLIENTS; i++) {
            uint32_t tail = atomic_load(&v[i].d_head->tail);
            all += tail - got[i];
            if (i == QUIET && tail != got[i]) {
                longest = turn - last > longest ? turn - last : longest;
                last = turn;
            }
            got[i] = tail;
            atomic_store(&((struct half_head *)v[i].c_head)->head, tail);
        }
        cr_assert_leq(all, 192u, "%llu in a turn", (unsigned long long)all);
    }
    cr_assert_gt(got[QUIET], 0u);
    cr_assert_leq(longest, CLIENTS / 2, "it waited for %llu turns",
                  (unsigned long long)longest);
    memset(tr.waiting, 0, sizeof tr.waiting);
    ready[0] = 0;
    serve_events(&s);
    cr_assert_eq(serve_deadline(&s, 5), NS_NEVER);
}

/* So long client 1 asks without end, and QUIET once in 100 us; `events` in every turn with
 * work are news for client 1. Returns how many turns the domain woke up for. */
static unsigned
flood(ns_t *now, ns_t until, const uint64_t h[2], unsigned events)
{
    unsigned turns = 0;
    for (ns_t asks = *now; *now < until; turns++) {
        post(1, REQ_SEND, h[0], 64);
        if (*now >= asks) {
            uint64_t before = tr.n[QUIET];
            post(QUIET, REQ_SEND, h[1], 1);
            serve_wake(&s, QUIET);
            (void)serve_requests(&s, *now);
            cr_assert_eq(tr.n[QUIET], before + 1, "it waits for the one that asks too much");
            asks += 100 * NS_US;
            if (events != 0) {
                tr.waiting[1] = events;
                ready[0] |= 2;
                serve_events(&s);
                atomic_store(&((struct half_head *)v[1].c_head)->head,
                             atomic_load(&v[1].d_head->tail));
            }
        } else if (!serve_requests(&s, *now)) {
            *now = min_u64(asks, serve_deadline(&s, *now));
        } else {
            *now += NS_US;
        }
    }
    return turns;
}

/* Who asks without end gets a twentieth of the time, and the domain sleeps in between; who has
 * news from the network gets more; and when it stops it is soon served at once again. */
Test(serve_fair, asks_too_much)
{
    uint64_t h[2] = {open_one(1), open_one(QUIET)};
    ns_t now = NS_S, all = 200 * NS_MS;
    unsigned turns = flood(&now, now + all, h, 0);
    ns_t took = tr.n[1] * PACE_CHEAP;
    cr_assert_leq(took, all / PACE_SHARE + NS_MS, "%llu ns", (unsigned long long)took);
    cr_assert_geq(took, all / PACE_SHARE / 2, "%llu ns", (unsigned long long)took);
    cr_assert_leq(turns, 12000u, "%u turns", turns); /* of 200000 that there is time for */
    cr_assert_gt(atomic_load(&stats.v[STAT_clients_held]), 100u);
    cr_assert_eq(stats.client[1][CLIENT_STAT_requests_held], stats.v[STAT_clients_held],
                 "and it is the one who did");

    uint64_t before = tr.n[1];
    (void)flood(&now, now + all, h, 4);
    took = (tr.n[1] - before) * PACE_CHEAP;
    cr_assert_geq(took, all / 9, "%llu ns, with news", (unsigned long long)took);

    now += 20 * NS_MS;
    for (unsigned i = 0; i < 4; i++) /* what is left in its ring */
        (void)serve_requests(&s, now);
    before = tr.n[1];
    post(1, REQ_SEND, h[0], 1);
    serve_wake(&s, 1);
    (void)serve_requests(&s, now);
    cr_assert_eq(tr.n[1], before + 1, "it is not held for ever");
    cr_assert_eq(serve_deadline(&s, now), NS_NEVER);
}

/* The same for few requests that each take long: they are charged by what they took. */
Test(serve_fair, asks_dearly)
{
    const ns_t took = 1000 * PACE_STEP, all = 200 * NS_MS;
    uint64_t h = open_one(1);
    tr.steps = 1000;
    for (ns_t now = NS_S; now < NS_S + all;) {
        post(1, REQ_BIND, h, 64);
        atomic_store(&((struct half_head *)v[1].c_head)->head, atomic_load(&v[1].d_head->tail));
        uint64_t before = tr.n[1];
        if (!serve_requests(&s, now))
            now = min_u64(now + NS_MS, serve_deadline(&s, now));
        now += (tr.n[1] - before) * took;
    }
    cr_assert_leq(tr.n[1] * took, all / PACE_SHARE + 2 * NS_MS, "%lu requests",
                  (unsigned long)tr.n[1]);
    cr_assert_geq(tr.n[1] * took, all / PACE_SHARE / 2);
}

/* What it asked for before it died is served, also if it had asked too much. */
Test(serve_fair, asks_too_much_and_dies)
{
    static struct transport_ops mortal;
    uint64_t h = open_one(1);
    mortal = ops;
    mortal.client_gone = fake_gone;
    s.ops = &mortal;
    while (!serve_is_held(&s, 1)) {
        post(1, REQ_SEND, h, 64);
        (void)serve_requests(&s, NS_S);
    }
    uint64_t before = tr.n[1];
    post(1, REQ_SEND, h, 64);
    serve_gone(&s, 1, NS_S);
    cr_assert_geq(tr.n[1] - before, 32u);
    cr_assert(!serve_is_held(&s, 1));
}

/* A debt is paid back with the client's share of the time, however often anybody looks: a large
 * one is no reason to be shut out for hours. */
Test(serve_fair, a_debt_is_paid_back)
{
    for (unsigned looks = 1; looks <= 1000; looks *= 10) {
        struct pace p = {.left = -(int64_t)(10 * NS_MS), .at = NS_S};
        ns_t back = pace_back(&p), wait = back - NS_S;
        cr_assert_leq(wait, 10 * NS_MS * PACE_SHARE + (ns_t)PACE_BACK * PACE_SHARE);
        for (unsigned i = 1; i <= looks; i++)
            pace_refill(&p, NS_S + wait * i / looks);
        cr_assert_geq(p.left, PACE_BACK - (int64_t)looks, "after %u looks", looks);
        pace_refill(&p, NS_S + 3600 * NS_S);
        cr_assert_eq(p.left, PACE_SAVED, "and no more is saved than that");
    }
}
