/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_serve.c: what shared memory looks like at the moment when the server of the clients
 * calls its transport: that is what a successor finds, and what the client sees meanwhile.
 */
#include <criterion/criterion.h>
#include <setjmp.h>
#include <stdlib.h>

#include "domains/serve.h"

#define SESSIONS 8u

/* A transport that makes sessions and notes how it was called. */
static struct {
    uint32_t n; /* sessions made; the slot has the session's number */
    struct {
        uint8_t op;
        uint32_t sess, head, tail; /* of the rings, as published */
    } call[32];
    unsigned n_calls;
    unsigned deadly; /* op that it dies of */
} tr;
static jmp_buf death;
static struct arena_view v;
static void *half[2];
static struct serve s;
static struct stats stats;
static struct ring_tx req;
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
    (void)g;
    (void)t;
    (void)client;
    *sess = *slot = tr.n++;
    return 0;
}

static uint32_t
fake_request(struct transport *t, uint32_t sess, const struct sess_req *r,
             struct sess_evt *reply, ns_t now)
{
    (void)t;
    (void)reply;
    (void)now;
    tr.call[tr.n_calls].op = r->op;
    tr.call[tr.n_calls].sess = sess;
    tr.call[tr.n_calls].head = atomic_load(&v.d_head->head);
    tr.call[tr.n_calls++].tail = atomic_load(&v.d_head->tail);
    if (r->op == tr.deadly)
        longjmp(death, 1);
    return 0;
}

static bool
fake_tell_again(struct transport *t, uint32_t sess)
{
    (void)t;
    (void)sess;
    return false;
}

static bool
fake_info(const struct transport *t, uint32_t sess, struct sess_info *i)
{
    (void)t;
    *i = (struct sess_info){.sess = sess, .slot = sess};
    return sess < tr.n;
}

static const struct transport_ops ops = {.client_add = fake_add,
                                         .open = fake_open,
                                         .request = fake_request,
                                         .tell_again = fake_tell_again,
                                         .info = fake_info};

static void
start(bool resume)
{
    static const struct sess_limits limits = {.sessions = SESSIONS};
    serve_init(&s, &ops, NULL, ready, 0, &stats);
    cr_assert_eq(serve_add(&s, 0, &v, &limits, resume, -1, -1), 0);
}

static void
setup(void)
{
    static const struct arena_geometry g = {
        .n_slots = SESSIONS, .n_tx_pages = 8, .n_rx_pages = 8, .n_req = 16, .n_evt = 16};
    size_t bytes[2] = {arena_client_bytes(&g), arena_domain_bytes(&g)};
    for (unsigned i = 0; i < 2; i++) {
        half[i] = aligned_alloc(FIFO_PAGE, bytes[i]);
        cr_assert_not_null(half[i]);
        memset(half[i], 0, bytes[i]);
    }
    arena_view_init(&v, &g, half[0], half[1]);
    ring_tx_init(&req, &v.c_head->tail, &v.d_head->head, g.n_req);
    start(false);
}

static void
finish(void)
{
    free(half[0]);
    free(half[1]);
}

TestSuite(serve, .init = setup, .fini = finish);

static void
post(unsigned op, uint64_t handle)
{
    struct sess_req *r = reqring_reserve(&req, v.req);
    cr_assert_not_null(r);
    *r = (struct sess_req){.op = (uint8_t)op, .handle = handle, .cookie = 1};
    ring_submit(&req);
}

/* One turn. True: it died in it. */
static bool
turn(void)
{
    if (setjmp(death) != 0)
        return true;
    (void)serve_requests(&s, 0);
    return false;
}

static uint64_t
open_one(void)
{
    post(REQ_SOCKET, SESS_CREATOR);
    cr_assert_not(turn());
    return v.evt[(atomic_load(&v.d_head->tail) - 1) & (v.g.n_evt - 1)].handle;
}

/* Cursors are read after the slot went back (the client's wake-up depends on it); what must
 * not be lost goes back after it was served. */
Test(serve, slots_go_back_in_time)
{
    static const uint8_t op[] = {REQ_SEND, REQ_CONSUMED, REQ_CLOSE,   REQ_SEND,
                                 REQ_NAME, REQ_RELEASED, REQ_CONSUMED};
    uint64_t h = open_one();
    uint32_t first = atomic_load(&v.d_head->head);
    for (unsigned i = 0; i < ARRAY_LEN(op); i++)
        post(op[i], h);
    cr_assert_not(turn()); /* the last one comes too late for its handle: it is not served */
    cr_assert_eq(tr.n_calls, ARRAY_LEN(op) - 1);
    for (unsigned i = 0; i < tr.n_calls; i++) {
        bool stays = op[i] == REQ_CLOSE || op[i] == REQ_RELEASED;
        cr_assert_eq(tr.call[i].op, op[i]);
        cr_assert_eq((int32_t)(tr.call[i].head - (first + i)) > 0, !stays, "request %u", i);
    }
    cr_assert_eq(atomic_load(&v.d_head->head), first + ARRAY_LEN(op));
}

/* A request that must not be lost is begun twice at most, and each of those behind it is served
 * in the end. */
Test(serve, begun_twice_at_most)
{
    uint64_t h[3];
    for (unsigned i = 0; i < 3; i++)
        h[i] = open_one();
    for (unsigned i = 0; i < 3; i++)
        post(REQ_CLOSE, h[i]);
    tr.deadly = REQ_CLOSE;
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(turn());
        start(true);
    }
    tr.deadly = 0;
    cr_assert_not(turn());
    static const uint32_t sess[] = {0, 0, 1, 2};
    cr_assert_eq(tr.n_calls, ARRAY_LEN(sess));
    for (unsigned i = 0; i < tr.n_calls; i++)
        cr_assert_eq(tr.call[i].sess, sess[i]);
}

/* What a former life began says nothing about requests that came long after. */
Test(serve, begun_is_forgotten)
{
    uint64_t h = open_one();
    post(REQ_CLOSE, h);
    cr_assert_not(turn());
    for (unsigned i = 0; i < 40; i++) {
        post(REQ_NAME, h);
        cr_assert_not(turn());
        struct half_head *c = v.c_head;
        atomic_store(&c->head, atomic_load(&v.d_head->tail));
        tr.n_calls = 0;
        if (i % 10 == 0)
            start(true);
    }
    post(REQ_CLOSE, h);
    tr.deadly = REQ_CLOSE;
    cr_assert(turn());
    start(true);
    tr.deadly = 0;
    cr_assert_not(turn());
    cr_assert_eq(tr.n_calls, 2);
}

/* A new session is published before anything else is done: a crash in the same batch finds it
 * told, or not made. */
Test(serve, new_sessions_are_told_at_once)
{
    uint64_t h = open_one();
    uint32_t tail = atomic_load(&v.d_head->tail);
    post(REQ_SOCKET, SESS_CREATOR);
    post(REQ_CLOSE, h);
    tr.deadly = REQ_CLOSE;
    cr_assert(turn());
    cr_assert_eq(atomic_load(&v.d_head->tail), tail + 1);
    const struct sess_evt *e = &v.evt[tail & (v.g.n_evt - 1)];
    cr_assert_eq(atomic_load(&v.d_slot[e->slot].told), 1);
    start(true);
    uint32_t sess;
    cr_assert_eq(handle_get(v.handles, e->handle, 0, &sess), 0);
}

/* What a client asks is counted for it, and what makes no sense besides. */
Test(serve, requests_are_counted)
{
    uint64_t was = stats.client[0][CLIENT_STAT_requests];
    uint64_t bad = stats.client[0][CLIENT_STAT_requests_bad];
    uint64_t handle = open_one();
    post(REQ_GETOPT, handle);
    post(REQ_GETOPT, handle + 77);
    post(REQ_OPS, handle);
    cr_assert_not(turn());
    cr_assert_eq(stats.client[0][CLIENT_STAT_requests], was + 4);
    cr_assert_eq(stats.client[0][CLIENT_STAT_requests_bad], bad + 2);
}
