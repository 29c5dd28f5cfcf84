/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_delegate.c: sockets that pass from one program to another on the same stack, with
 * what they hold, also when the domain dies in it. Protects: not a byte is lost or changed,
 * what was handed over can be taken back, and afterwards every slot, page and handle is free
 * (pair_end).
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>

#include "pair.h"

static struct world w;
static struct world_config c;
static int fd[2];
static unsigned taker; /* a second program beside program 0 */

static void
start(void)
{
    pair_init(&w, &c);
    taker = world_program(&w, 0);
}

static void
setup(void)
{
    c = world_usual(21);
    c.arena[0].n_slots = 48; /* fewer than the stack has sessions */
    start();
}

TestSuite(sim_delegate, .init = setup);

#define FAILS(expr, err)                                                                       \
    do {                                                                                       \
        errno = 0;                                                                             \
        long fails_r = (long)(expr);                                                           \
        cr_assert(fails_r == -1 && errno == (err), #expr ": %ld, errno %d", fails_r, errno);   \
    } while (0)

static int
hand_over(unsigned from, int f, unsigned to, struct bh_token *token)
{
    world_use(&w, from);
    cr_assert_eq(bh_delegate(f, token), 0, "errno %d", errno);
    world_use(&w, to);
    int got = bh_redeem(token);
    cr_assert_geq(got, BH_FD_BASE, "errno %d", errno);
    return got;
}

/* Handles of a program's streams or datagrams, but for its creator. */
static uint32_t
handles_used(unsigned program, enum stack_up up)
{
    const struct handle_table *t = w.prog[program].v[up].handles;
    cr_assert(handle_table_validate(t));
    return t->used - 1;
}

static void
all_is_free(void)
{
    world_pass(&w, 10 * NS_S);
    for (unsigned p = 0; p < 3; p++)
        for (unsigned up = STACK_TCP; up <= STACK_UDP; up++)
            cr_assert_eq(handles_used(p, up), 0, "program %u", p);
    pair_end(&w);
}

/* A connection at rest; what is left to the giver; a token is good once. */
Test(sim_delegate, an_idle_stream)
{
    struct bh_token token, other;
    char byte;
    pair_connect(&w, fd);
    cr_assert_eq(pair_send(&w, 0, fd[0], 1, 0, 3000), 0);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, 3000), 0);
    int got = hand_over(0, fd[0], taker, &token);
    FAILS(bh_redeem(&token), ENOENT);
    world_use(&w, 0);
    FAILS(bh_redeem(&token), ENOENT);
    FAILS(bh_send(fd[0], "x", 1, 0), EACCES);
    FAILS(bh_recv(fd[0], &byte, 1, 0), EACCES);
    FAILS(bh_delegate(fd[0], &other), EACCES);
    cr_assert_eq(bh_rights(fd[0]), 0);
    cr_assert_eq(pair_send(&w, taker, got, 1, 3000, 100000), 0);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 3000, 100000), 0);
    cr_assert_eq(pair_send(&w, 1, fd[1], 2, 0, 100000), 0);
    cr_assert_eq(pair_receive(&w, taker, got, 2, 0, 100000), 0);
    pair_close(&w, 0, fd[0]); /* leaves it to the taker */
    cr_assert_eq(pair_send(&w, taker, got, 1, 103000, 5000), 0);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 103000, 5000), 0);
    pair_close(&w, taker, got);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), 0);
    pair_close(&w, 1, fd[1]);
    all_is_free();
}

/* In the middle of a transfer both ways, with full buffers: what was written and not sent, sent
 * and not acknowledged, received and not read. */
static void
full_stream(const struct stack_death *death)
{
    struct bh_token token;
    pair_connect(&w, fd);
    uint64_t out = pair_fill(&w, 0, fd[0], 1, 0), in = pair_fill(&w, 1, fd[1], 2, 0),
             got_in = 0;
    world_pass(&w, 3 * NS_MS);
    out += pair_fill(&w, 0, fd[0], 1, out);
    in += pair_fill(&w, 1, fd[1], 2, in);
    cr_assert_gt(out, 100000);
    cr_assert_eq(pair_receive(&w, 0, fd[0], 2, 0, 12345), 0);
    got_in = 12345;
    if (death != NULL)
        stack_crash_serving(&w.s[0], STACK_TCP, death);
    int got = hand_over(0, fd[0], taker, &token);
    if (death != NULL)
        cr_assert_eq(w.s[0].n_died, 1 + death->again);
    pair_close(&w, 0, fd[0]);
    world_kill(&w, 0); /* nothing of it is needed any more */
    world_pass(&w, NS_S);
    cr_assert(stack_left(&w.s[0], w.prog[0].id), "its memory is in use");
    cr_assert_eq(pair_receive(&w, taker, got, 2, got_in, in - got_in), 0);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, out), 0);
    cr_assert_eq(pair_send(&w, taker, got, 1, out, 60000), 0);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, out, 60000), 0);
    pair_close(&w, taker, got);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), 0);
    pair_close(&w, 1, fd[1]);
    world_pass(&w, 10 * NS_S);
    cr_assert_eq(handles_used(taker, STACK_TCP), 0);
    pair_end(&w);
}

Test(sim_delegate, a_full_stream)
{
    full_stream(NULL);
}

/* The domain dies at each step of the copying, before and after it. */
Test(sim_delegate, dies_in_a_full_stream)
{
    for (unsigned k = 0; k < 12; k++) {
        struct stack_death d = {.in = 1 + k / 2, .call = REQ_REDEEM, .after = (k & 1) != 0};
        if (k > 0)
            start();
        full_stream(&d);
        if (w.s[0].n_died == 0)
            break;
    }
}

/* A listener: what waits goes along, what was told stays, and what comes is the taker's. */
static void
listener(const struct stack_death *death)
{
    struct sockaddr_in sin = world_sin(0, PAIR_PORT);
    struct bh_token token;
    int l = pair_listen(&w, 0, PAIR_PORT, 8), peer[3], s[3];
    for (unsigned i = 0; i < 3; i++)
        peer[i] = pair_socket(&w, 1, SOCK_STREAM);
    world_use(&w, 1);
    cr_assert_eq(bh_connect(peer[0], (struct sockaddr *)&sin, sizeof sin), 0);
    world_use(&w, 0);
    cr_assert_geq(s[0] = bh_accept(l, NULL, NULL), 0);
    if (death != NULL)
        stack_crash_serving(&w.s[0], STACK_TCP, death);
    int got = hand_over(0, l, taker, &token);
    if (death != NULL)
        cr_assert_eq(w.s[0].n_died, 1);
    world_use(&w, 0);
    FAILS(bh_accept(l, NULL, NULL), EACCES);
    for (unsigned i = 1; i < 3; i++) {
        world_use(&w, 1);
        cr_assert_eq(bh_connect(peer[i], (struct sockaddr *)&sin, sizeof sin), 0);
        world_use(&w, taker);
        cr_assert_geq(s[i] = bh_accept(got, NULL, NULL), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(pair_send(&w, 1, peer[i], 1, 0, 10000), 0);
        cr_assert_eq(pair_receive(&w, i == 0 ? 0 : taker, s[i], 1, 0, 10000), 0);
    }
    /* Taken back: the one who sleeps in accept wakes; what it has accepted is its own. */
    world_use(&w, 0);
    cr_assert_eq(bh_revoke(l), 0);
    world_use(&w, taker);
    FAILS(bh_accept(got, NULL, NULL), ECONNABORTED);
    int again = pair_socket(&w, 1, SOCK_STREAM);
    FAILS(bh_connect(again, (struct sockaddr *)&sin, sizeof sin), ECONNREFUSED);
    cr_assert_eq(pair_send(&w, 1, peer[2], 1, 10000, 10000), 0);
    cr_assert_eq(pair_receive(&w, taker, s[2], 1, 10000, 10000), 0);
    for (unsigned i = 0; i < 3; i++) {
        pair_close(&w, i == 0 ? 0 : taker, s[i]);
        pair_close(&w, 1, peer[i]);
    }
    pair_close(&w, 1, again);
    pair_close(&w, 0, l);
    pair_close(&w, taker, got);
    all_is_free();
}

Test(sim_delegate, a_listener)
{
    listener(NULL);
}

Test(sim_delegate, dies_handing_over_a_listener)
{
    for (unsigned k = 0; k < 2; k++) {
        struct stack_death d = {.in = 1, .call = REQ_REDEEM, .after = k != 0};
        if (k > 0)
            start();
        listener(&d);
    }
}

/* Connections that a listener has and its program was not told of go along with it, half-open
 * ones too, and so does what they received. */
Test(sim_delegate, a_listener_with_a_queue)
{
    struct sockaddr_in sin = world_sin(0, PAIR_PORT);
    struct bh_token token;
    int l = pair_listen(&w, 0, PAIR_PORT, 64), peer[12], n = 0, s;
    world_use(&w, 0);
    cr_assert_eq(bh_delegate(l, &token), 0);
    for (unsigned i = 0; i < 12; i++) {
        peer[i] = pair_socket(&w, 1, SOCK_STREAM | SOCK_NONBLOCK);
        (void)bh_connect(peer[i], (struct sockaddr *)&sin, sizeof sin);
    }
    world_pass(&w, 100 * NS_US); /* some have got further than others */
    world_use(&w, taker);
    int got = bh_redeem(&token);
    cr_assert_geq(got, 0, "errno %d", errno);
    world_pass(&w, NS_S);
    world_use(&w, taker);
    cr_assert_eq(bh_set_nonblocking(got, 1), 0);
    while ((s = bh_accept(got, NULL, NULL)) >= 0) {
        pair_close(&w, taker, s);
        world_use(&w, taker);
        n++;
    }
    cr_assert_gt(n, 0);
    for (unsigned i = 0; i < 12; i++)
        pair_close(&w, 1, peer[i]);
    pair_close(&w, 0, l);
    pair_close(&w, taker, got);
    all_is_free();
}

/* Datagrams that were not read go along; the port stays. */
static void
datagrams(const struct stack_death *death)
{
    struct sockaddr_in sin = world_sin(0, 6000), from;
    socklen_t len = sizeof from;
    struct bh_token token;
    char buf[1000];
    int u = pair_socket(&w, 0, SOCK_DGRAM), peer = pair_socket(&w, 1, SOCK_DGRAM);
    world_use(&w, 0);
    cr_assert_eq(bh_bind(u, (struct sockaddr *)&sin, sizeof sin), 0);
    for (char i = 0; i < 9; i++) {
        memset(buf, 'a' + i, sizeof buf);
        world_use(&w, 1);
        cr_assert_eq(bh_sendto(peer, buf, sizeof buf, 0, (struct sockaddr *)&sin, sizeof sin),
                     sizeof buf);
        world_pass(&w, 100 * NS_MS); /* what waits for ARP is bounded */
    }
    world_use(&w, 0);
    cr_assert_eq(bh_recv(u, buf, sizeof buf, 0), sizeof buf);
    if (death != NULL)
        stack_crash_serving(&w.s[0], STACK_UDP, death);
    int got = hand_over(0, u, taker, &token);
    pair_close(&w, 0, u);
    for (char i = 1; i < 9; i++) {
        world_use(&w, taker);
        cr_assert_eq(bh_recvfrom(got, buf, sizeof buf, 0, (struct sockaddr *)&from, &len),
                     sizeof buf);
        cr_assert(buf[0] == 'a' + i && buf[sizeof buf - 1] == 'a' + i, "datagram %d", i);
    }
    cr_assert_eq(bh_sendto(got, "answer", 6, 0, (struct sockaddr *)&from, sizeof from), 6);
    world_use(&w, 1);
    cr_assert_eq(bh_recvfrom(peer, buf, sizeof buf, 0, (struct sockaddr *)&from, &len), 6);
    cr_assert_eq(ntohs(from.sin_port), 6000);
    pair_close(&w, taker, got);
    pair_close(&w, 1, peer);
    all_is_free();
}

Test(sim_delegate, datagrams)
{
    datagrams(NULL);
}

Test(sim_delegate, dies_handing_over_datagrams)
{
    for (unsigned k = 0; k < 2; k++) {
        struct stack_death d = {.in = 1, .call = REQ_REDEEM, .after = k != 0};
        if (k > 0)
            start();
        datagrams(&d);
    }
}

/* Rights go no further than the descriptor's; the taker's domain keeps to them whatever it
 * writes. */
Test(sim_delegate, narrow)
{
    struct bh_token token;
    char byte;
    pair_connect(&w, fd);
    world_use(&w, 0);
    int rx = bh_mint(fd[0], BH_RIGHT_RECEIVE | BH_RIGHT_DELEGATE), no = bh_mint(fd[0], 1);
    FAILS(bh_delegate(no, &token), EACCES);
    int got = hand_over(0, rx, taker, &token);
    cr_assert_eq(bh_rights(got), (int)(BH_RIGHT_RECEIVE | BH_RIGHT_DELEGATE));
    FAILS(bh_send(got, "x", 1, 0), EACCES);
    world_use(&w, 0);
    FAILS(bh_send(fd[0], "x", 1, 0), ECONNABORTED);
    FAILS(bh_recv(no, &byte, 1, 0), ECONNABORTED);
    cr_assert_eq(pair_send(&w, 1, fd[1], 1, 0, 100000), 0);
    cr_assert_eq(pair_receive(&w, taker, got, 1, 0, 100000), 0);
    /* It writes all the same. */
    struct arena_view *v = &w.prog[taker].v[STACK_TCP];
    for (uint32_t i = 0; i < v->g.n_slots; i++)
        if (atomic_load(&v->d_slot[i].state) & SLOT_OPEN)
            atomic_store(&v->c_slot[i].tx_tail, 1000);
    cr_assert_eq(pair_send(&w, 1, fd[1], 1, 100000, 1000), 0);
    cr_assert_eq(pair_receive(&w, taker, got, 1, 100000, 1000), 0);
    pair_nonblocking(&w, 1, fd[1]);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), -EAGAIN);
    for (uint32_t i = 0; i < v->g.n_slots; i++)
        if (atomic_load(&v->d_slot[i].state) & SLOT_OPEN)
            atomic_store(&v->c_slot[i].tx_tail, 0);
    pair_close(&w, taker, got);
    pair_close(&w, 1, fd[1]);
    const int open[] = {fd[0], rx, no};
    for (unsigned i = 0; i < 3; i++)
        pair_close(&w, 0, open[i]);
    all_is_free();
}

/* Through a second pair of hands: both who gave can take back; a third pair is refused. */
Test(sim_delegate, through_several_hands)
{
    for (unsigned k = 0; k < 2; k++) {
        struct bh_token token;
        char byte;
        if (k > 0)
            start();
        unsigned third = world_program(&w, 0);
        pair_connect(&w, fd);
        int second = hand_over(0, fd[0], taker, &token);
        int last = hand_over(taker, second, third, &token);
        FAILS(bh_delegate(last, &token), ELOOP);
        cr_assert_eq(pair_send(&w, third, last, 1, 0, 50000), 0);
        cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, 50000), 0);
        world_use(&w, k == 0 ? 0 : taker);
        cr_assert_eq(bh_revoke(k == 0 ? fd[0] : second), 0);
        world_use(&w, third);
        FAILS(bh_recv(last, &byte, 1, 0), ECONNABORTED);
        cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), -ECONNRESET);
        pair_close(&w, third, last);
        pair_close(&w, taker, second);
        pair_close(&w, 0, fd[0]);
        pair_close(&w, 1, fd[1]);
        all_is_free();
    }
}

/* Tokens: for what is closed, revoked or too old they are nothing, nor guessed, nor for the
 * other protocol, nor for the one who made them; without room the token stays good. */
Test(sim_delegate, tokens)
{
    struct bh_token t[3], bad;
    pair_connect(&w, fd);
    int s[2];
    world_use(&w, 0);
    for (unsigned i = 0; i < 2; i++) {
        s[i] = pair_socket(&w, 0, SOCK_STREAM);
        cr_assert_eq(bh_delegate(s[i], &t[i]), 0);
    }
    cr_assert_eq(bh_delegate(fd[0], &t[2]), 0);
    FAILS(bh_redeem(&t[2]), EINVAL);
    pair_close(&w, 0, s[0]);
    cr_assert_eq(bh_revoke(s[1]), 0);
    pair_close(&w, 0, s[1]);
    world_use(&w, taker);
    FAILS(bh_redeem(&t[0]), ENOENT);
    FAILS(bh_redeem(&t[1]), ENOENT);
    for (unsigned i = 0; i < 192; i++) {
        bad = t[2];
        bad.word[i / 64] ^= 1ull << (i % 64);
        FAILS(bh_redeem(&bad), ENOENT);
    }
    bad = t[2];
    bad.type = SOCK_DGRAM;
    FAILS(bh_redeem(&bad), ENOENT);
    bad.type = 77;
    FAILS(bh_redeem(&bad), ENOENT);
    bad = (struct bh_token){.type = SOCK_STREAM, .word = {0, 0, t[2].word[2]}};
    FAILS(bh_redeem(&bad), ENOENT);
    /* Full. */
    int full[4096], n = 0;
    while ((full[n] = bh_socket(AF_INET, SOCK_STREAM, 0)) >= 0)
        n++;
    FAILS(bh_redeem(&t[2]), EMFILE);
    while (n > 0)
        pair_close(&w, taker, full[--n]);
    world_pass(&w, NS_S);
    world_use(&w, taker);
    int got = bh_redeem(&t[2]);
    cr_assert_geq(got, 0, "errno %d", errno);
    /* Too old. */
    struct bh_token late;
    cr_assert_eq(bh_delegate(got, &late), 0);
    world_pass(&w, 31 * NS_S);
    world_use(&w, 0);
    FAILS(bh_redeem(&late), ENOENT);
    world_use(&w, taker);
    cr_assert_eq(pair_send(&w, taker, got, 1, 0, 5000), 0);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, 5000), 0);
    pair_close(&w, taker, got);
    pair_close(&w, 0, fd[0]);
    pair_close(&w, 1, fd[1]);
    all_is_free();
}

/* The giver takes it back, or closes it, before it has heard that it was taken, by a descriptor
 * that was minted: that has another handle then. */
Test(sim_delegate, before_the_giver_hears_of_it)
{
    for (unsigned k = 0; k < 4; k++) {
        struct sockaddr_in sin = world_sin(0, PAIR_PORT);
        struct bh_token token;
        if (k > 0)
            start();
        int l = pair_listen(&w, 0, PAIR_PORT, 8);
        world_use(&w, 0);
        int lent = bh_mint(l, BH_RIGHT_ACCEPT | BH_RIGHT_DELEGATE);
        if (k & 1)
            pair_close(&w, 0, l);
        int got = hand_over(0, lent, taker, &token);
        world_use(&w, 0);
        if (k & 2)
            cr_assert_eq(bh_revoke(lent), 0);
        pair_close(&w, 0, lent);
        if (!(k & 1))
            pair_close(&w, 0, l);
        world_use(&w, taker);
        if (k & 2)
            FAILS(bh_accept(got, NULL, NULL), ECONNABORTED);
        fd[1] = pair_socket(&w, 1, SOCK_STREAM);
        int r = bh_connect(fd[1], (struct sockaddr *)&sin, sizeof sin);
        cr_assert(k & 2 ? r == -1 && errno == ECONNREFUSED : r == 0, "%u: errno %d", k, errno);
        pair_close(&w, 1, fd[1]);
        pair_close(&w, taker, got);
        all_is_free();
    }
}

/* Who took it dies: its peer is told, the giver's descriptor is good for nothing but closing.
 */
Test(sim_delegate, the_taker_dies)
{
    struct bh_token token;
    pair_connect(&w, fd);
    (void)hand_over(0, fd[0], taker, &token);
    world_kill(&w, taker);
    world_pass(&w, NS_S);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), 0);
    world_use(&w, 0);
    cr_assert_eq(bh_revoke(fd[0]), 0);
    pair_close(&w, 0, fd[0]);
    pair_close(&w, 1, fd[1]);
    world_pass(&w, 100 * NS_S);
    cr_assert_eq(handles_used(0, STACK_TCP), 0);
    pair_end(&w);
}
