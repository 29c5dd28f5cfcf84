/* SPDX-License-Identifier: BSD-2-Clause
 *
 * serve.c: clients come and go, and their requests are taken off their rings. What is told to
 * them is in serve_event.c.
 */
#include "serve.h"

#include <errno.h>
#include <stdatomic.h>

#define REQUESTS_A_TURN 32u  /* of a client */
#define REQUESTS_IN_ALL 64u  /* of all in one turn */
#define REQUESTS_AT_LEAST 4u /* of a client that is served in it */
#define GONE_DEBT                                                                              \
    ((int64_t)(20 * NS_MS)) /* that much of what a dead client asked for is served */
#define QUIET_TURNS 64u     /* turns without a request until a client is no longer polled */
#define BLOCKED_RETRY (5 * NS_MS)

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define set(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

_Static_assert(sizeof(struct handle_entry) <= ARENA_HANDLE_BYTES &&
                   sizeof(struct handle_table) <= 16,
               "the arena has room for the handle table");

/* It is not looked at any more. */
static void
forget_turns(struct serve *s, uint32_t i)
{
    serve_bit_clear(s->active, i);
    serve_bit_clear(s->blocked, i);
    serve_bit_clear(s->held, i);
}

void
serve_init(struct serve *s, const struct transport_ops *ops, struct transport *tr,
           const uint64_t *ready, uint32_t first, struct stats *stats)
{
    memset(s, 0, sizeof *s);
    s->ops = ops;
    s->tr = tr;
    s->ready = ready;
    s->first = first;
    s->life = 1;
    s->stats = stats;
    s->deaf_until = s->held_until = NS_NEVER;
    stat_set(stats, STAT_clients, 0); /* a predecessor's */
    stat_set(stats, STAT_handles, 0);
}

int
serve_add(struct serve *s, uint32_t id, const struct arena_view *v,
          const struct sess_limits *limits, bool resume, int fd_sleep, int fd_ring)
{
    uint32_t i = id - s->first;
    if (i >= SERVE_CLIENTS || s->c[i].used)
        return EINVAL;
    struct served *c = &s->c[i];
    *c = (struct served){.v = *v, .handles = v->handles, .pace.left = PACE_SAVED};
    if (resume)
        handle_table_recover(c->handles, arena_handles(&v->g));
    else
        serve_first_creator(c);
    ring_rx_init(&c->req, &v->c_head->tail, &v->d_head->head, v->g.n_req);
    ring_tx_init(&c->evt, &v->d_head->tail, &v->c_head->head, v->g.n_evt);
    bell_sleeper_init(&c->sleeper, &v->d_head->want, fd_sleep);
    bell_ringer_init(&c->ringer, &v->c_head->want, fd_ring);
    bell_ringer_init(&c->space, &v->c_head->want_space, fd_ring);
    c->evt_rung = c->evt.submitted;
    /* A note that is older than the ring's head says nothing. */
    c->begun = get(v->d_head->begun);
    if (!resume || c->begun - c->req.released > v->g.n_req)
        c->begun = c->req.released;
    set(v->d_head->begun, c->begun);
    int err = s->ops->client_add(s->tr, id, v, limits);
    if (err != 0)
        return err;
    if (resume)
        serve_take_up(s, i);
    c->used = true;
    serve_bit_set(s->active, i);
    serve_count_handles(s, i);
    stat_add(s->stats, STAT_clients, 1);
    return 0;
}

static unsigned serve_some(struct serve *s, uint32_t i, unsigned most, ns_t now);

void
serve_gone(struct serve *s, uint32_t id, ns_t now)
{
    uint32_t i = id - s->first;
    if (i >= SERVE_CLIENTS || !s->c[i].used || s->c[i].gone)
        return;
    /* What it asked for before it died counts: a close that follows data, above all. */
    serve_bit_set(s->active, i);
    unsigned rounds = s->c[i].v.g.n_req / REQUESTS_A_TURN + 1;
    while (!s->c[i].poisoned && s->c[i].pace.left > -GONE_DEBT && rounds-- > 0 &&
           serve_some(s, i, REQUESTS_A_TURN, now) != 0)
        ;
    s->c[i].gone = true;
    s->n_gone++;
    forget_turns(s, i);
    s->ops->client_gone(s->tr, id, now);
}

uint32_t
serve_idle_client(struct serve *s)
{
    for (uint32_t i = 0; i < SERVE_CLIENTS && s->n_gone != 0; i++)
        if (s->c[i].used && s->c[i].gone && s->ops->client_idle(s->tr, s->first + i))
            return s->first + i;
    return SESS_NONE;
}

void
serve_remove(struct serve *s, uint32_t id)
{
    uint32_t i = id - s->first;
    if (i >= SERVE_CLIENTS || !s->c[i].used)
        return;
    s->ops->client_remove(s->tr, id);
    s->n_gone -= s->c[i].gone;
    stat_add(s->stats, STAT_handles, -(uint64_t)s->c[i].n_handles);
    memset(&s->c[i], 0, sizeof s->c[i]);
    forget_turns(s, i);
    stat_add(s->stats, STAT_clients, (uint64_t)-1);
}

void
serve_wake(struct serve *s, uint32_t id)
{
    uint32_t i = id - s->first;
    if (i >= SERVE_CLIENTS || !s->c[i].used || s->c[i].gone || s->c[i].poisoned)
        return;
    bell_disarm(&s->c[i].sleeper);
    s->c[i].quiet_turns = 0;
    if (!serve_is_held(s, i))
        serve_bit_set(s->active, i);
}

void
serve_poison(struct serve *s, uint32_t i, const char *what)
{
    struct served *c = &s->c[i];
    if (c->poisoned)
        return;
    c->poisoned = true;
    forget_turns(s, i);
    stat_inc(s->stats, STAT_poisoned);
    if (s->report != NULL)
        s->report(s->ctx, s->first + i, what);
}

/* Would nothing remind us of the request if it were lost? Who waits for a reply asks again,
 * cursors are looked at when the session comes back, and accepted connections are counted
 * anew. The two that remain do no harm when they are served a second time: a session is
 * closed once, and one that was released has no slot to give. That its number is another
 * session's by then is found out before (serve_take_up). */
static bool
must_not_be_lost(unsigned op)
{
    return op == REQ_CLOSE || op == REQ_RELEASED;
}

/* Serve what was taken off the ring. Most slots go back before: a client that finds its last
 * request still in the ring need not send another, as cursors are read after that (the fence
 * pairs with the one in its test). A request that must not be lost stays until it was served,
 * for a successor to find; but one that two processes began is the third's no more, as it may
 * be what they died of. */
static void
serve_batch(struct serve *s, uint32_t i, const struct sess_req *r, unsigned n, ns_t now)
{
    struct served *c = &s->c[i];
    uint32_t first = c->req.my_head - n; /* index of r[0] */
    for (unsigned k = 0, back = 0; k < n; k++) {
        bool begun = c->begun - (first + k) - 1 < c->v.g.n_req; /* it lies before c->begun */
        if (must_not_be_lost(r[k].op) && !begun) {
            c->begun = first + k + 1;
            set(c->v.d_head->begun, c->begun);
            serve_in_order();
        } else if (k >= back) {
            for (back = k + 1; back < n && !must_not_be_lost(r[back].op);)
                back++;
            ring_release_to(&c->req, first + back);
            atomic_thread_fence(memory_order_seq_cst);
        }
        serve_call(s, i, &r[k], now);
    }
    ring_release(&c->req);
    pace_charge(&c->pace, PACE_TURN);
    if (bell_due(&c->space)) {
        bell_ring(&c->space);
        pace_charge(&c->pace, PACE_BELL);
    }
    serve_publish(s, i);
}

/* At most so many requests of one client (REQUESTS_A_TURN). Returns how many there were. */
static unsigned
serve_some(struct serve *s, uint32_t i, unsigned most, ns_t now)
{
    struct served *c = &s->c[i];
    struct sess_req r[REQUESTS_A_TURN];
    if (c->tell_given)
        serve_tell_given(s, i);
    uint32_t room = min_u32(ring_space(&c->evt, REQUESTS_A_TURN), most);
    if (room != 0 && !c->tell_given)
        serve_bit_clear(s->blocked, i);
    unsigned n = reqring_take_batch(&c->req, c->v.req, r, room);
    if (ring_rx_poisoned(&c->req) || ring_tx_poisoned(&c->evt)) {
        serve_poison(s, i, "impossible ring index");
        return 0;
    }
    if (n == 0) {
        if (room == 0 && ring_avail(&c->req, 1) != 0)
            serve_bit_set(s->blocked, i); /* serve_deadline brings us back, not its bell */
        if (++c->quiet_turns < QUIET_TURNS)
            return 0;
        bell_arm(&c->sleeper);
        if (ring_avail(&c->req, 1) == 0)
            serve_bit_clear(s->active, i);
        else
            bell_disarm(&c->sleeper);
        return 0;
    }
    c->quiet_turns = c->rung_for_nothing = 0;
    stat_client(s->stats, s->first + i, CLIENT_STAT_requests, n);
    serve_bit_set(s->active, i);
    serve_batch(s, i, r, n, now);
    return n;
}

/* The same, if it has not asked too much lately. */
static unsigned
serve_client(struct serve *s, uint32_t i, unsigned most, ns_t now)
{
    struct served *c = &s->c[i];
    if (serve_is_held(s, i))
        return 0;
    pace_refill(&c->pace, now);
    if (likely(c->pace.left >= 0))
        return serve_some(s, i, most, now);
    bell_disarm(&c->sleeper); /* it need not ring: we come back by ourselves */
    serve_bit_clear(s->active, i);
    serve_bit_set(s->held, i);
    s->held_until = min_u64(s->held_until, pace_back(&c->pace));
    stat_inc(s->stats, STAT_clients_held);
    stat_client(s->stats, s->first + i, CLIENT_STAT_requests_held, 1);
    return 0;
}

/* Those whose time for requests has come again. */
static void
release_held(struct serve *s, ns_t now)
{
    if (likely(now < s->held_until))
        return;
    s->held_until = NS_NEVER;
    for (unsigned w = 0; w < ARRAY_LEN(s->held); w++)
        for (uint64_t m = s->held[w]; m != 0; m &= m - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(m);
            pace_refill(&s->c[i].pace, now);
            ns_t at = pace_back(&s->c[i].pace);
            if (at <= now) {
                serve_bit_clear(s->held, i);
                serve_wake(s, s->first + i);
            } else {
                s->held_until = min_u64(s->held_until, at);
            }
        }
}

bool
serve_requests(struct serve *s, ns_t now)
{
    uint8_t order[SERVE_CLIENTS];
    unsigned n, served = 0;
    release_held(s, now);
    serve_in_turn(s->active, s->blocked, s->turn, order, &n);
    unsigned most = n <= 1 ? REQUESTS_A_TURN : max_u32(REQUESTS_IN_ALL / n, REQUESTS_AT_LEAST);
    for (unsigned k = 0; k < n && served < REQUESTS_IN_ALL; k++) {
        unsigned got = serve_client(s, order[k], min_u32(most, REQUESTS_A_TURN), now);
        if (got != 0)
            s->turn = (order[k] + 1u) % SERVE_CLIENTS;
        served += got;
    }
    return served != 0;
}

bool
serve_arm(struct serve *s)
{
    bool waits = false;
    for (unsigned w = 0; w < ARRAY_LEN(s->active); w++)
        for (uint64_t m = s->active[w]; m != 0; m &= m - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(m);
            struct served *c = &s->c[i];
            bell_arm(&c->sleeper);
            if (ring_avail(&c->req, 1) != 0 && ring_space(&c->evt, 1) != 0) {
                bell_disarm(&c->sleeper);
                waits = true;
            } else if (ring_rx_poisoned(&c->req) || ring_tx_poisoned(&c->evt)) {
                serve_poison(s, i, "impossible ring index");
            } else {
                if (ring_avail(&c->req, 1) != 0)
                    serve_bit_set(s->blocked, i);
                serve_bit_clear(s->active, i);
            }
        }
    return waits;
}

ns_t
serve_deadline(const struct serve *s, ns_t now)
{
    uint64_t any = 0;
    for (unsigned w = 0; w < ARRAY_LEN(s->blocked); w++)
        any |= s->blocked[w];
    ns_t at = s->behind ? now : any != 0 ? now + BLOCKED_RETRY : NS_NEVER;
    return min_u64(at, min_u64(s->deaf_until, s->held_until));
}
