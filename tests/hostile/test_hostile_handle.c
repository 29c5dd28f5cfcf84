/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A hostile client and its handles: what it claims, floods, and names after it is gone must
 * bring it no more than it was handed, and cost its neighbour nothing.
 */
#include <criterion/criterion.h>

#include <errno.h>

#include "tcp/priv.h"
#include "tcp_kit.h"

#define FOE 0
#define FRIEND 1

static struct kit k;

static void
setup(void)
{
    kit_init(&k);
}
static void
finish(void)
{
    kit_end(&k);
}

/* Last in each test: what must hold whatever was done. */
static void
check(void)
{
    for (unsigned i = 0; i < KIT_CLIENTS; i++)
        cr_assert(handle_table_validate(k.c[i].v.handles));
    cr_assert(tcp_validate(k.tcp));
}

TestSuite(hostile_handle, .init = setup, .fini = finish, .timeout = 30);

static int
op(unsigned client, unsigned what, uint64_t handle, uint64_t value)
{
    struct sess_evt e;
    return kit_call(&k, client,
                    (struct sess_req){.op = (uint8_t)what, .handle = handle, .value = value},
                    &e);
}

static int
mint(unsigned client, uint64_t handle, uint64_t rights, uint64_t *made)
{
    struct sess_evt e;
    int err = kit_call(
        &k, client, (struct sess_req){.op = REQ_MINT, .handle = handle, .value = rights}, &e);
    *made = e.handle;
    return err;
}

static int
mint_ports(unsigned client, uint64_t creator, int first, int last, uint64_t rights,
           uint64_t *made)
{
    struct sess_evt e;
    int err = kit_call(
        &k, client,
        (struct sess_req){
            .op = REQ_MINT, .handle = creator, .value = rights, .level = first, .name = last},
        &e);
    *made = e.handle;
    return err;
}

static int
open_from(unsigned client, uint64_t creator, uint64_t *h, uint32_t *slot)
{
    struct sess_evt e;
    int err = kit_call(&k, client, (struct sess_req){.op = REQ_SOCKET, .handle = creator}, &e);
    *h = e.handle;
    if (slot != NULL)
        *slot = e.slot;
    return err;
}

/* Wider rights are refused, not cut in silence; unknown ones are no rights. */
Test(hostile_handle, wider_rights_are_refused)
{
    uint64_t h = kit_socket(&k, FOE, NULL), less, more;
    cr_assert_eq(mint(FOE, h, RIGHT_LISTEN | RIGHT_OPTIONS, &less), 0);
    cr_assert_eq(mint(FOE, less, RIGHT_LISTEN | RIGHT_BIND, &more), EACCES);
    cr_assert_eq(mint(FOE, less, 0, &more), EINVAL);
    cr_assert_eq(mint(FOE, h, RIGHT_ALL, &more), EACCES, "only a creator opens");
    cr_assert_eq(mint(FOE, h, 1ull << 40 | RIGHT_LISTEN, &more), EINVAL);
    cr_assert_eq(mint(FOE, h, HANDLE_CREATOR | RIGHT_LISTEN, &more), EINVAL);
    cr_assert_eq(kit_bind(&k, FOE, less, 80), EACCES);
    cr_assert_eq(kit_bind(&k, FOE, h, 80), 0);
    cr_assert_eq(op(FOE, REQ_LISTEN, less, 5), 0);
    cr_assert_eq(op(FOE, REQ_SHUTDOWN, less, 2), EACCES);
    cr_assert_eq(mint(FRIEND, h, RIGHT_LISTEN, &more), EBADF, "a name in another's table");
    check();
}

/* Whatever is minted, each session of the client still gets a name; the neighbour's do anyway.
 */
Test(hostile_handle, a_mint_storm_fills_its_own_table)
{
    uint64_t h = kit_socket(&k, FOE, NULL), made = h;
    const struct arena_geometry *g = &k.c[FOE].v.g;
    unsigned n = 0;
    int err;
    while ((err = mint(FOE, n % 3 ? made : h, RIGHT_SEND, &made)) == 0)
        cr_assert_lt(n++, 1000);
    cr_assert_eq(err, EMFILE);
    cr_assert_eq(n, arena_handles(g) - g->n_slots - 1);
    for (unsigned i = 1; i < g->n_slots; i++)
        cr_assert_eq(open_from(FOE, SESS_CREATOR, &made, NULL), 0, "session %u", i);
    cr_assert_eq(open_from(FOE, SESS_CREATOR, &made, NULL), EMFILE);
    made = kit_socket(&k, FRIEND, NULL);
    cr_assert_eq(mint(FRIEND, made, RIGHT_SEND, &made), 0);
    /* It all goes with the session. */
    cr_assert_eq(op(FOE, REQ_REVOKE, h, 0), 0);
    cr_assert(kit_post(&k, FOE, (struct sess_req){.op = REQ_CLOSE, .handle = h}));
    cr_assert(kit_post(&k, FOE, (struct sess_req){.op = REQ_RELEASED, .handle = h}));
    kit_turn(&k);
    cr_assert_eq(open_from(FOE, SESS_CREATOR, &h, NULL), 0);
    cr_assert_eq(mint(FOE, h, RIGHT_SEND, &made), 0);
    check();
}

/* A session ends with its last handle, and with no other. */
Test(hostile_handle, closing_one_of_several)
{
    uint32_t slot;
    uint64_t h, a, b;
    cr_assert_eq(open_from(FOE, SESS_CREATOR, &h, &slot), 0);
    cr_assert_eq(mint(FOE, h, RIGHT_SEND, &a), 0);
    cr_assert_eq(mint(FOE, h, RIGHT_LISTEN | RIGHT_OPTIONS, &b), 0);
    cr_assert(kit_post(&k, FOE, (struct sess_req){.op = REQ_CLOSE, .handle = h}));
    cr_assert(kit_post(&k, FOE, (struct sess_req){.op = REQ_CLOSE, .handle = a}));
    cr_assert_eq(op(FOE, REQ_NAME, h, 0), EBADF);
    cr_assert_eq(op(FOE, REQ_NAME, a, 0), EBADF);
    cr_assert_eq(op(FOE, REQ_NAME, b, 0), 0);
    cr_assert_eq(op(FOE, REQ_LISTEN, b, 1), 0);
    cr_assert_eq(kit_bind(&k, FOE, b, 0), EACCES, "nobody has that right any more");
    cr_assert(kit_post(&k, FOE, (struct sess_req){.op = REQ_CLOSE, .handle = b}));
    cr_assert_eq(op(FOE, REQ_NAME, b, 0), EBADF);
    struct sess_evt e = {0};
    kit_turn(&k);
    cr_assert(kit_event(&k, FOE, &e));
    cr_assert_eq(e.kind, EVT_FREED);
    cr_assert_eq(e.slot, slot);
    check();
}

/* Ports out of a creator's range cannot be had by any way there is. */
Test(hostile_handle, ports_of_a_creator)
{
    uint64_t c, d, h;
    struct sess_evt e;
    cr_assert_eq(mint_ports(FOE, SESS_CREATOR, 0, 5, RIGHT_ALL, &c), EINVAL);
    cr_assert_eq(mint_ports(FOE, SESS_CREATOR, 7, 5, RIGHT_ALL, &c), EINVAL);
    cr_assert_eq(mint_ports(FOE, SESS_CREATOR, 1, 65536, RIGHT_ALL, &c), EINVAL);
    cr_assert_eq(mint_ports(FOE, SESS_CREATOR, -3, -1, RIGHT_ALL, &c), EINVAL);
    cr_assert_eq(mint_ports(FOE, SESS_CREATOR, 8000, 8001, RIGHT_ALL & ~RIGHT_CONNECT, &c), 0);
    cr_assert_eq(mint_ports(FOE, c, 8000, 8002, RIGHT_OPEN, &d), EACCES);
    cr_assert_eq(mint_ports(FOE, c, 8001, 8001, RIGHT_CONNECT, &d), EACCES);
    cr_assert_eq(open_from(FOE, c, &h, NULL), 0);
    cr_assert_eq(kit_bind(&k, FOE, h, 80), EACCES);
    cr_assert_eq(kit_bind(&k, FOE, h, 8002), EACCES);
    cr_assert_eq(kit_bind(&k, FOE, h, 8001), 0);
    struct sess_req connect = {.op = REQ_CONNECT, .handle = h, .addr = *kit_peer, .port = 9};
    cr_assert_eq(kit_call(&k, FOE, connect, NULL), EACCES);
    /* Ports that are chosen are of the range too, also when none of it is ephemeral. */
    cr_assert_eq(open_from(FOE, c, &h, NULL), 0);
    cr_assert_eq(kit_call(&k, FOE, (struct sess_req){.op = REQ_BIND, .handle = h}, &e), 0);
    cr_assert_eq(e.port, 8000);
    cr_assert_eq(open_from(FOE, c, &h, NULL), 0);
    cr_assert_eq(kit_bind(&k, FOE, h, 0), EADDRINUSE);
    cr_assert_eq(op(FOE, REQ_LISTEN, h, 1), EADDRINUSE);
    cr_assert_eq(mint_ports(FOE, SESS_CREATOR, 60990, 65000, RIGHT_ALL, &c), 0);
    for (unsigned i = 0; i < 10; i++) {
        cr_assert_eq(open_from(FOE, c, &h, NULL), 0);
        connect.handle = h;
        connect.port = (uint16_t)(100 + i);
        cr_assert_eq(kit_call(&k, FOE, connect, &e), 0);
        cr_assert(e.port >= 60990 && e.port <= 60999, "port %u", e.port);
    }
    /* A creator is no session, and a session no creator. */
    cr_assert_eq(kit_bind(&k, FOE, c, 61000), EBADF);
    cr_assert_eq(open_from(FOE, h, &d, NULL), EBADF);
    cr_assert_eq(mint_ports(FOE, SESS_CREATOR, 1, 2, RIGHT_LISTEN, &d), 0);
    cr_assert_eq(open_from(FOE, d, &h, NULL), EACCES);
    cr_assert_eq(open_from(FOE, 0, &h, NULL), EBADF);
    cr_assert_eq(open_from(FRIEND, c, &h, NULL), EBADF);
    check();
}

/* Sessions of a revoked creator are over; nothing brings them back, nor lets them be used, and
 * they can still be let go. Others are not touched. A crash changes nothing in this. */
Test(hostile_handle, used_after_its_creator_was_revoked)
{
    uint64_t c, d, h[3], m;
    uint32_t slot[3];
    cr_assert_eq(mint_ports(FOE, SESS_CREATOR, 1, 9000, RIGHT_ALL, &c), 0);
    cr_assert_eq(mint_ports(FOE, c, 1, 9000, RIGHT_ALL, &d), 0);
    cr_assert_eq(open_from(FOE, c, &h[0], &slot[0]), 0);
    cr_assert_eq(open_from(FOE, d, &h[1], &slot[1]), 0);
    cr_assert_eq(open_from(FOE, SESS_CREATOR, &h[2], &slot[2]), 0);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(kit_bind(&k, FOE, h[i], (uint16_t)(8000 + i)), 0);
        cr_assert_eq(op(FOE, REQ_LISTEN, h[i], 5), 0);
    }
    cr_assert_eq(op(FOE, REQ_REVOKE, c, 0), 0);
    for (unsigned life = 0; life < 2; life++) {
        for (unsigned i = 0; i < 2; i++) {
            cr_assert_eq(op(FOE, REQ_LISTEN, h[i], 5), ECONNABORTED);
            cr_assert_eq(kit_bind(&k, FOE, h[i], 8010), ECONNABORTED);
            cr_assert_eq(op(FOE, REQ_NAME, h[i], 0), ECONNABORTED);
        }
        cr_assert_eq(op(FOE, REQ_LISTEN, h[2], 5), 0);
        cr_assert_eq(open_from(FOE, c, &m, NULL), EBADF);
        cr_assert_eq(open_from(FOE, d, &m, NULL), EBADF);
        cr_assert_eq(op(FOE, REQ_REVOKE, c, 0), EBADF);
        struct tcp_hdr hdr;
        kit_segment(
            &k, &(struct tcp_hdr){
                    .sport = 5555, .dport = 8000, .seq = life, .wnd = 1000, .flags = TCP_SYN});
        cr_assert(kit_sent(&k, &hdr));
        cr_assert_eq(hdr.flags, TCP_RST | TCP_ACK);
        uint64_t port = kit_socket(&k, FRIEND, NULL);
        cr_assert_eq(kit_bind(&k, FRIEND, port, (uint16_t)(8000 + life)), 0, "it is free");
        kit_restart(&k);
        for (unsigned i = 0; i < KIT_CLIENTS; i++)
            kit_attach(&k, i, true);
        /* It is told once more: it may not have heard. */
        unsigned told = 0;
        struct sess_evt e;
        kit_turn(&k);
        while (kit_event(&k, FOE, &e))
            told += e.kind == EVT_REVOKED && e.slot == slot[told];
        cr_assert_eq(told, 2);
    }
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(kit_post(&k, FOE, (struct sess_req){.op = REQ_CLOSE, .handle = h[i]}));
        kit_turn(&k);
        cr_assert(kit_post(&k, FOE, (struct sess_req){.op = REQ_RELEASED, .handle = h[i]}));
        kit_turn(&k);
    }
    const struct handle_table *t = k.c[FOE].v.handles;
    cr_assert_eq(t->used, 1, "the first creator");
    check();
}

/* Revoked during use: a connection is reset at its peer, its received bytes' pages are free at
 * once, and the other handles of the session are dead. */
Test(hostile_handle, used_during_revocation)
{
    uint64_t h = kit_socket(&k, FOE, NULL), m, n;
    struct sess_evt e;
    struct tcp_hdr syn, rst;
    cr_assert_eq(mint(FOE, h, RIGHT_ALL & ~RIGHT_OPEN, &m), 0);
    cr_assert_eq(kit_call(&k, FOE,
                          (struct sess_req){
                              .op = REQ_CONNECT, .handle = m, .addr = *kit_peer, .port = 9},
                          &e),
                 0);
    kit_turn(&k);
    cr_assert(kit_sent(&k, &syn));
    kit_segment(&k, &(struct tcp_hdr){.sport = 9,
                                      .dport = syn.sport,
                                      .seq = 100,
                                      .ack = syn.seq + 1,
                                      .wnd = 1000,
                                      .flags = TCP_SYN | TCP_ACK});
    cr_assert_eq(op(FOE, REQ_REVOKE, m, 0), 0, "a handle, and not the last");
    cr_assert_eq(op(FOE, REQ_NAME, m, 0), EBADF);
    cr_assert_eq(mint(FOE, m, RIGHT_SEND, &n), EBADF);
    cr_assert_eq(op(FOE, REQ_NAME, h, 0), 0);
    cr_assert_eq(mint(FOE, h, RIGHT_SEND, &m), 0);
    cr_assert_eq(op(FOE, REQ_REVOKE, h, 0), 0);
    kit_turn(&k);
    cr_assert(kit_sent(&k, &rst));
    cr_assert(rst.flags & TCP_RST);
    cr_assert_eq(op(FOE, REQ_NAME, m, 0), EBADF);
    cr_assert_eq(op(FOE, REQ_REVOKE, h, 0), 0, "again, as after a crash");
    cr_assert_eq(kit_call(&k, FOE,
                          (struct sess_req){
                              .op = REQ_CONNECT, .handle = h, .addr = *kit_peer, .port = 9},
                          &e),
                 ECONNABORTED);
    check();
}

/* A reply that was lost in a crash leaves no handle that its client does not know of; one that
 * was told and not noted stays. */
Test(hostile_handle, minted_and_not_told)
{
    uint64_t h = kit_socket(&k, FOE, NULL), m, n;
    cr_assert_eq(mint(FOE, h, RIGHT_SEND, &m), 0);
    handle_mark_untold(k.c[FOE].v.handles, m); /* as if it died before that was noted */
    kit_restart(&k);
    for (unsigned i = 0; i < KIT_CLIENTS; i++)
        kit_attach(&k, i, true);
    cr_assert_eq(op(FOE, REQ_NAME, m, 0), 0);
    struct handle_table *t = k.c[FOE].v.handles;
    n = handle_mint(t, h, RIGHT_SEND);
    handle_mark_untold(t, n);
    kit_restart(&k);
    for (unsigned i = 0; i < KIT_CLIENTS; i++)
        kit_attach(&k, i, true);
    cr_assert_eq(op(FOE, REQ_NAME, n, 0), EBADF);
    cr_assert_eq(op(FOE, REQ_NAME, m, 0), 0);
    check();
}

static int
redeem(unsigned client, const struct sess_evt *token, struct sess_evt *got)
{
    return kit_call(
        &k, client,
        (struct sess_req){.op = REQ_REDEEM, .addr = token->addr, .value = token->value}, got);
}

static void
acknowledge(const struct tcp_hdr *syn, uint32_t bytes)
{
    kit_segment(&k, &(struct tcp_hdr){.sport = 9,
                                      .dport = syn->sport,
                                      .seq = 101,
                                      .ack = syn->seq + 1 + bytes,
                                      .wnd = 60000,
                                      .flags = TCP_ACK});
}

/* While it is copied a session is held: what its peer sends and what its client writes count
 * for nothing. A crash in the middle leaves it with the giver, one after it with the taker, and
 * the pages of both where they belong (check). */
Test(hostile_handle, held_while_it_is_copied)
{
    struct sess_evt token, got;
    struct tcp_hdr syn;
    uint64_t h = kit_connection(&k, FOE, 150000, &syn);
    cr_assert_eq(kit_call(&k, FOE, (struct sess_req){.op = REQ_DELEGATE, .handle = h}, &token),
                 0);
    const struct tcb *c = &k.tcp->tcb[token.value];
    for (unsigned life = 0; life < 2; life++) {
        cr_assert_eq(redeem(FRIEND, &token, &got), EINPROGRESS);
        uint64_t una = c->h.snd_una;
        acknowledge(&syn, 1000 + 1000 * life);
        cr_assert_eq(c->h.snd_una, una, "nothing may change meanwhile");
        atomic_store(&k.c[FOE].v.c_slot[0].tx_tail, 7);
        cr_assert(kit_post(&k, FOE, (struct sess_req){.op = REQ_SEND, .handle = h}));
        kit_turn(&k);
        atomic_store(&k.c[FOE].v.c_slot[0].tx_tail, 150000);
        cr_assert_eq(c->h.state, TCPS_ESTABLISHED);
        cr_assert(tcp_validate(k.tcp));
        if (life > 0)
            break;
        kit_restart(&k);
        for (unsigned i = 0; i < KIT_CLIENTS; i++)
            kit_attach(&k, i, true);
        cr_assert_eq(c->link.client, FOE);
        cr_assert_eq(op(FOE, REQ_NAME, h, 0), 0);
    }
    int err;
    while ((err = redeem(FRIEND, &token, &got)) == EINPROGRESS)
        ;
    cr_assert_eq(err, 0);
    cr_assert_eq(got.value, 150000);
    cr_assert_eq(c->link.client, FRIEND);
    cr_assert_eq(redeem(FRIEND, &token, &got), ENOENT);
    cr_assert_eq(redeem(FOE, &token, &got), ENOENT);
    cr_assert_eq(op(FOE, REQ_NAME, h, 0), EACCES);
    kit_restart(&k);
    for (unsigned i = 0; i < KIT_CLIENTS; i++)
        kit_attach(&k, i, true);
    cr_assert_eq(op(FOE, REQ_NAME, h, 0), EACCES);
    check();
}

/* Without room for its bytes nothing moves, and the token stays good. */
Test(hostile_handle, redeemed_with_a_full_arena)
{
    struct sess_evt token, got;
    struct tcp_hdr syn;
    uint64_t h = kit_connection(&k, FOE, 259000, &syn); /* a page more than the taker has */
    cr_assert_eq(kit_call(&k, FOE, (struct sess_req){.op = REQ_DELEGATE, .handle = h}, &token),
                 0);
    int err;
    while ((err = redeem(FRIEND, &token, &got)) == EINPROGRESS)
        ;
    cr_assert_eq(err, ENOBUFS);
    cr_assert_eq(op(FOE, REQ_NAME, h, 0), 0);
    acknowledge(&syn, 5000);
    cr_assert(tcp_validate(k.tcp));
    while ((err = redeem(FRIEND, &token, &got)) == EINPROGRESS)
        ;
    cr_assert_eq(err, 0, "error %d", err);
    check();
}

/* Tokens that are never redeemed are few, and count against who asked for them. */
Test(hostile_handle, a_storm_of_tokens)
{
    struct sess_evt token;
    uint64_t h[20];
    unsigned n = 0;
    for (unsigned i = 0; i < 20; i++)
        h[i] = kit_socket(&k, FOE, NULL);
    while (n < 20 && kit_call(&k, FOE, (struct sess_req){.op = REQ_DELEGATE, .handle = h[n]},
                              &token) == 0)
        n++;
    cr_assert_eq(n, 16);
    cr_assert_eq(op(FOE, REQ_DELEGATE, h[17], 0), ENOBUFS);
    cr_assert_eq(op(FOE, REQ_DELEGATE, h[3], 0), 0, "a new one for the same");
    cr_assert_eq(op(FRIEND, REQ_DELEGATE, kit_socket(&k, FRIEND, NULL), 0), 0);
    k.now += TOKEN_TIME;
    cr_assert_eq(op(FOE, REQ_DELEGATE, h[17], 0), 0);
    check();
}
