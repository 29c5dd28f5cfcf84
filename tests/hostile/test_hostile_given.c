/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What passes with a TCP session that is handed on, and what does not. Protects:
 *
 * - what it is it stays (a port, a listener, a connection), though the taker's account could
 * not have made it so; what is done with it from then on is the taker's account's: its peers,
 * its ports, its sessions and handshakes;
 * - a right that the handle had not is not had by writing into the arena;
 * - a token is worth nothing when the handle is dead that it was made with;
 * - what it costs to take it is charged to the taker.
 */
#include <criterion/criterion.h>

#include <errno.h>

#include "tcp/priv.h"
#include "tcp_kit.h"

#define GIVER 0
#define TAKER 1
#define PEERS_PORT 4000u

static struct kit k;
static struct sess_limits poor; /* the taker's account: nothing but what a test adds */

static void
setup(void)
{
    kit_init(&k);
    account_rules_any(&poor.rules);
    poor.sessions = poor.half_open = 8;
    poor.account = 1;
    poor.rules.n_ports = poor.rules.n_listen = poor.rules.n_peers = 0;
}
static void
finish(void)
{
    for (unsigned i = 0; i < KIT_CLIENTS; i++)
        cr_assert(handle_table_validate(k.c[i].v.handles));
    cr_assert(tcp_validate(k.tcp));
    kit_end(&k);
}

TestSuite(hostile_given, .init = setup, .fini = finish, .timeout = 30);

static void
rules(void)
{
    tcp_ops.client_limits((struct transport *)(void *)k.tcp, TAKER, &poor);
}
static unsigned
denied(enum account_rule rule)
{
    return (unsigned)k.stats.account[1][rule];
}

static int
op(unsigned client, unsigned what, uint64_t handle, uint64_t value)
{
    struct sess_req r = {.op = (uint8_t)what, .handle = handle, .value = value};
    return kit_call(&k, client, r, NULL);
}

static int
redeem(uint64_t handle, struct sess_evt *got)
{
    struct sess_evt token;
    struct sess_req r = {.op = REQ_DELEGATE, .handle = handle};
    cr_assert_eq(kit_call(&k, GIVER, r, &token), 0);
    r = (struct sess_req){.op = REQ_REDEEM, .addr = token.addr, .value = token.value};
    return kit_call(&k, TAKER, r, got);
}

static uint64_t
listener(uint16_t port)
{
    uint64_t h = kit_socket(&k, GIVER, NULL);
    cr_assert_eq(kit_bind(&k, GIVER, h, port), 0);
    cr_assert_eq(op(GIVER, REQ_LISTEN, h, 20), 0);
    return h;
}

/* A SYN from the peer; true: it was answered. */
static bool
knock(uint16_t sport, uint16_t port, struct tcp_hdr *answer)
{
    kit_segment(&k,
                &(struct tcp_hdr){
                    .sport = sport, .dport = port, .seq = 7, .wnd = 60000, .flags = TCP_SYN});
    return kit_sent(&k, answer) && answer->flags == (TCP_SYN | TCP_ACK);
}
static void
come_in(uint16_t sport, uint16_t port)
{
    struct tcp_hdr h;
    cr_assert(knock(sport, port, &h));
    kit_segment(&k, &(struct tcp_hdr){.sport = sport,
                                      .dport = port,
                                      .seq = 8,
                                      .ack = h.seq + 1,
                                      .wnd = 60000,
                                      .flags = TCP_ACK});
}

Test(hostile_given, what_it_is_it_stays)
{
    struct sess_evt got;
    struct tcp_hdr h;
    uint64_t l = listener(80);
    rules();
    cr_assert_eq(redeem(l, &got), 0);
    cr_assert(knock(PEERS_PORT, 80, &h), "it listens");
    cr_assert_eq(denied(RULE_PORTS) + denied(RULE_LISTEN), 0);
    uint64_t own = kit_socket(&k, TAKER, NULL);
    cr_assert_eq(kit_bind(&k, TAKER, own, 81), EACCES, "of its own it has none");
    cr_assert_eq(denied(RULE_PORTS), 1);
}

Test(hostile_given, what_is_done_with_it_is_the_takers)
{
    struct sess_evt got;
    struct tcp_hdr h;
    uint64_t l = listener(80), bound = kit_socket(&k, GIVER, NULL),
             fresh = kit_socket(&k, GIVER, NULL);
    cr_assert_eq(kit_bind(&k, GIVER, bound, 90), 0);
    poor.rules.n_accept = 0;
    rules();
    cr_assert_eq(redeem(fresh, &got), 0);
    cr_assert_eq(kit_bind(&k, TAKER, got.handle, 91), EACCES, "a port");
    struct sess_req connect = {
        .op = REQ_CONNECT, .handle = got.handle, .addr = *kit_peer, .port = 9};
    cr_assert_eq(kit_call(&k, TAKER, connect, NULL), EPERM, "a peer");
    cr_assert_eq(redeem(bound, &got), 0);
    cr_assert_eq(op(TAKER, REQ_LISTEN, got.handle, 5), EACCES, "listening");
    cr_assert_eq(redeem(l, &got), 0);
    cr_assert_not(knock(PEERS_PORT, 80, &h), "who may come");
    cr_assert_eq(denied(RULE_ACCEPT), 1);
}

/* The same for one who takes it and may have no more sessions. */
Test(hostile_given, sessions_are_counted)
{
    struct sess_evt got;
    uint64_t a = kit_socket(&k, GIVER, NULL), b = kit_socket(&k, GIVER, NULL);
    poor.rules.sessions = 1;
    rules();
    cr_assert_eq(redeem(a, &got), 0);
    cr_assert_eq(redeem(b, &got), EMFILE);
    cr_assert_eq(op(GIVER, REQ_NAME, b, 0), 0, "it stays where it was");
}

/* A listener brings along no more connections than its taker may have. */
Test(hostile_given, connections_are_counted)
{
    struct sess_evt got;
    struct tcp_hdr h;
    uint64_t l = listener(80);
    unsigned told = k.c[GIVER].v.g.n_evt; /* which stay the giver's */
    for (uint16_t i = 0; i < told + 6; i++)
        come_in((uint16_t)(PEERS_PORT + i), 80);
    for (uint16_t i = 20; i < 24; i++)
        cr_assert(knock((uint16_t)(PEERS_PORT + i), 80, &h));
    poor.rules.sessions = 5;
    poor.rules.half_open = 1;
    rules();
    cr_assert_eq(redeem(l, &got), 0);
    const struct account *a = &k.tcp->clients->account[1];
    cr_assert_leq(a->n_sessions, 5, "%u sessions", a->n_sessions);
    cr_assert_leq(a->n_half_open, 1, "%u handshakes", a->n_half_open);
    cr_assert_geq(a->n_sessions, 2, "none came along");
    kit_turn(&k);
    cr_assert_leq(k.tcp->clients->account[0].n_sessions, told + 1, "who is left has them?");
}

/* The taker's slot and handle, and what it may not do with them. */
static uint32_t
taken(uint64_t rights, struct tcp_hdr *syn, uint64_t *handle)
{
    struct sess_evt got;
    uint64_t h = kit_connection(&k, GIVER, 0, syn);
    kit_data(&k,
             &(struct tcp_hdr){.sport = 9,
                               .dport = syn->sport,
                               .seq = 101,
                               .ack = syn->seq + 1,
                               .wnd = 60000,
                               .flags = TCP_ACK | TCP_PSH},
             500);
    struct sess_evt less;
    struct sess_req mint = {.op = REQ_MINT, .handle = h, .value = rights | RIGHT_DELEGATE};
    cr_assert_eq(kit_call(&k, GIVER, mint, &less), 0);
    cr_assert_eq(redeem(less.handle, &got), 0);
    kit_turn(&k);
    *handle = got.handle;
    return got.slot;
}

Test(hostile_given, what_may_not_be_read_is_not_taken_for_read)
{
    struct tcp_hdr syn;
    uint64_t h;
    uint32_t slot = taken(RIGHT_SEND, &syn, &h);
    uint32_t pages = k.tcp->clients->c[TAKER].pages.n_free;
    cr_assert_eq(atomic_load(&k.c[TAKER].v.d_slot[slot].rx_tail), 500);
    atomic_store(&k.c[TAKER].v.c_slot[slot].rx_head, 500);
    /* It may send, and so have its words looked at: but not these. */
    cr_assert(kit_post(&k, TAKER, (struct sess_req){.op = REQ_SEND, .handle = h}));
    serve_wake(&k.serve, TAKER);
    kit_turn(&k);
    cr_assert_eq(k.tcp->clients->c[TAKER].pages.n_free, pages);
    kit_data(&k,
             &(struct tcp_hdr){.sport = 9,
                               .dport = syn.sport,
                               .seq = 601,
                               .ack = syn.seq + 1,
                               .wnd = 60000,
                               .flags = TCP_ACK | TCP_PSH},
             1);
    cr_assert_eq(k.tcp->clients->c[TAKER].pages.n_free, pages, "its page went back");
    cr_assert_eq(atomic_load(&k.c[TAKER].v.d_slot[slot].state) & SLOT_DEAD, 0);
}

Test(hostile_given, what_may_not_be_sent_is_not)
{
    struct tcp_hdr syn;
    uint64_t h;
    uint32_t slot = taken(RIGHT_RECEIVE, &syn, &h);
    atomic_store(&k.c[TAKER].v.c_slot[slot].tx_tail, 100);
    for (unsigned i = 0; i < 5; i++) {
        kit_turn(&k);
        for (unsigned n = 0; n < k.n_out; n++)
            cr_assert_leq(k.out[n].len, 60u, "bytes left");
    }
    cr_assert_eq(atomic_load(&k.c[TAKER].v.d_slot[slot].tx_sent), 0);
}

/* Closed, revoked, or with its parent: who made the token has nothing to give any more. */
Test(hostile_given, a_token_of_a_dead_handle)
{
    static const struct {
        uint8_t op;
        bool parent;
    } ends[] = {{REQ_CLOSE, false}, {REQ_REVOKE, false}, {REQ_REVOKE, true}};
    for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
        struct sess_evt less, below, token, got;
        uint64_t h = kit_socket(&k, GIVER, NULL);
        struct sess_req r = {.op = REQ_MINT, .handle = h, .value = RIGHT_SEND | RIGHT_DELEGATE};
        cr_assert_eq(kit_call(&k, GIVER, r, &less), 0);
        r.handle = less.handle;
        cr_assert_eq(kit_call(&k, GIVER, r, &below), 0);
        r = (struct sess_req){.op = REQ_DELEGATE, .handle = below.handle};
        cr_assert_eq(kit_call(&k, GIVER, r, &token), 0);
        r = (struct sess_req){.op = ends[i].op,
                              .handle = ends[i].parent ? less.handle : below.handle};
        cr_assert(kit_post(&k, GIVER, r));
        kit_turn(&k);
        r = (struct sess_req){.op = REQ_REDEEM, .addr = token.addr, .value = token.value};
        cr_assert_eq(kit_call(&k, TAKER, r, &got), ENOENT, "%u", i);
        cr_assert_eq(op(GIVER, REQ_NAME, h, 0), 0);
    }
}

/* What is left to the giver is for taking it back alone. */
Test(hostile_given, nothing_is_minted_from_what_was_given)
{
    struct sess_evt got;
    uint64_t h = kit_socket(&k, GIVER, NULL);
    cr_assert_eq(redeem(h, &got), 0);
    cr_assert_eq(op(GIVER, REQ_MINT, h, RIGHT_SEND), EACCES);
    cr_assert_eq(op(GIVER, REQ_MINT, h, RIGHT_DELEGATE), EACCES);
    cr_assert_eq(op(GIVER, REQ_DELEGATE, h, 0), EACCES);
    cr_assert_eq(kit_bind(&k, GIVER, h, 82), EACCES);
    cr_assert_eq(op(GIVER, REQ_REVOKE, h, 0), 0);
    cr_assert_neq(op(TAKER, REQ_NAME, got.handle, 0), EACCES);
}

/* What the taker pays in its time to redeem this. */
static int64_t
price(uint64_t handle)
{
    struct sess_evt got;
    struct pace *p = &k.serve.c[TAKER].pace;
    *p = (struct pace){.left = PACE_SAVED, .at = k.now};
    cr_assert_eq(redeem(handle, &got), 0);
    return PACE_SAVED - p->left;
}

/* With a listener come the connections of its queue, with all that they have received, in one
 * step: whoever takes it pays for each of them and for every byte, as for any other session. */
Test(hostile_given, what_comes_along_is_paid_for)
{
    struct tcp_hdr h;
    int64_t alone = price(listener(80));
    uint64_t l = listener(81);
    for (uint16_t i = 0; i < 6; i++)
        cr_assert(knock((uint16_t)(PEERS_PORT + i), 81, &h));
    cr_assert_geq(price(l) - alone, 6 * (int64_t)PACE_DEAR);
    l = listener(82);
    unsigned told = k.c[GIVER].v.g.n_evt; /* which stay the giver's */
    for (uint16_t i = 0; i < told; i++)
        come_in((uint16_t)(PEERS_PORT + i), 82);
    for (uint16_t i = 20; i < 25; i++) {
        h = (struct tcp_hdr){.seq = 0};
        cr_assert(knock((uint16_t)(PEERS_PORT + i), 82, &h));
        kit_data(&k,
                 &(struct tcp_hdr){.sport = (uint16_t)(PEERS_PORT + i),
                                   .dport = 82,
                                   .seq = 8,
                                   .ack = h.seq + 1,
                                   .wnd = 60000,
                                   .flags = TCP_ACK | TCP_PSH},
                 1400);
    }
    int64_t each = PACE_DEAR + PACE_STEP * (1400 / PACE_STEP_BYTES);
    int64_t paid = price(l) - alone;
    cr_assert_geq(paid, 5 * each, "%lld", (long long)paid);
    cr_assert_leq(paid, 6 * each, "%lld", (long long)paid);
}
