/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_death.c: programs and components that die at a chosen moment.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>

#include "pair.h"
#include "tcp/priv.h"

static struct world w;
static struct world_config c;
static int fd[2];

static void
setup(void)
{
    c = world_usual(3);
}

TestSuite(sim_death, .init = setup);

/* What a program has committed is sent after its death, then FIN. */
Test(sim_death, committed_bytes_are_sent)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    size_t sent = pair_fill(&w, 0, fd[0], 1, 0);
    world_pass(&w, 100 * NS_MS);
    sent += pair_fill(&w, 0, fd[0], 1, sent);
    world_kill(&w, 0);
    world_pass(&w, 10 * NS_S);
    cr_assert_not(stack_left(&w.s[0], 0), "its memory is needed until all is sent");
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, sent), 0);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), 0);
    pair_close(&w, 1, fd[1]);
    world_pass(&w, NS_S);
    cr_assert(stack_left(&w.s[0], 0));
    pair_end(&w);
}

/* ... and RST if there was something that it had not read. */
Test(sim_death, unread_bytes_reset)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    cr_assert_eq(pair_send(&w, 1, fd[1], 1, 0, 1000), 0);
    world_pass(&w, NS_S);
    world_kill(&w, 0);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), -ECONNRESET);
    pair_close(&w, 1, fd[1]);
    world_pass(&w, NS_S);
    cr_assert(stack_left(&w.s[0], 0));
    pair_end(&w);
}

/* A peer that never reads does not keep a dead program's memory for ever. */
Test(sim_death, orphan_is_bounded)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    size_t sent = pair_fill(&w, 0, fd[0], 1, 0);
    world_pass(&w, NS_S);
    sent += pair_fill(&w, 0, fd[0], 1, sent);
    world_kill(&w, 0);
    world_pass(&w, 1800 * NS_S);
    cr_assert(stack_left(&w.s[0], 0));
    pair_close(&w, 1, fd[1]);
    pair_end(&w);
}

/* A program dies with a listener, connections that it has not accepted, half-open ones, and a
 * UDP socket. */
Test(sim_death, everything_goes)
{
    pair_init(&w, &c);
    struct sockaddr_in sin = world_sin(1, PAIR_PORT);
    (void)pair_listen(&w, 1, PAIR_PORT, 8);
    int u = pair_socket(&w, 1, SOCK_DGRAM), s[4];
    cr_assert_eq(bh_bind(u, (struct sockaddr *)&sin, sizeof sin), 0);
    for (unsigned i = 0; i < 4; i++) {
        s[i] = pair_socket(&w, 0, SOCK_STREAM | SOCK_NONBLOCK);
        (void)bh_connect(s[i], (struct sockaddr *)&sin, sizeof sin);
        if (i < 3)
            world_pass(&w, NS_S);
    }
    world_kill(&w, 1);
    world_pass(&w, 5 * NS_S);
    cr_assert(stack_left(&w.s[1], 0));
    for (unsigned i = 0; i < 4; i++) {
        int err = pair_end_of_stream(&w, 0, s[i]);
        cr_assert(err == -ECONNRESET || err == -ECONNREFUSED || err == 0, "errno %d", -err);
        pair_close(&w, 0, s[i]);
    }
    pair_end(&w);
}

/* The program has closed and has taken in that the slot is its own again, and the domain dies
 * before it hears that. The session is another one's business by then: it must end in order. */
Test(sim_death, tcp_dies_before_it_hears_of_a_release)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    uint16_t port = pair_port(&w, 0, fd[0]);
    cr_assert_eq(pair_send(&w, 0, fd[0], 1, 0, 1000), 0);
    cr_assert_eq(pair_send(&w, 1, fd[1], 2, 0, 500), 0);
    cr_assert_eq(pair_receive(&w, 0, fd[0], 2, 0, 500), 0);
    world_pass(&w, NS_S);
    w.wire[0].cut = true; /* the FIN is lost */
    pair_close(&w, 0, fd[0]);
    world_pass(&w, 100 * NS_MS);
    struct bh_event ev;
    world_use(&w, 0);
    (void)bh_ready_events(&ev, 1); /* takes EVT_FREED in, and writes REQ_RELEASED */
    cr_assert_eq(pair_state(&w, 0, port, PAIR_PORT), TCPS_FIN_WAIT_1);
    stack_crash_tcp(&w.s[0], CRASH_IDLE, w.now);
    cr_assert_eq(pair_state(&w, 0, port, PAIR_PORT), TCPS_FIN_WAIT_1);
    w.wire[0].cut = false;
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, 1000), 0);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), 0);
    pair_close(&w, 1, fd[1]);
    pair_end(&w);
}

/* tcp dies again and again while both sides transfer: many crashes, no byte lost. */
Test(sim_death, tcp_dies_all_the_time)
{
    struct rng r = {7};
    pair_init(&w, &c);
    pair_connect(&w, fd);
    uint64_t at[2] = {0, 0}, to[2] = {0, 0};
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 2; i++)
            at[i] += pair_fill(&w, i, fd[i], i, at[i]);
        world_pass(&w, rng_below(&r, NS_MS));
        stack_crash_tcp(&w.s[rng_below(&r, 2)], rng_below(&r, CRASH_POINTS), w.now);
        world_pass(&w, rng_below(&r, NS_MS));
        for (unsigned i = 0; i < 2; i++) {
            int n = 0;
            world_use(&w, !i);
            cr_assert_eq(bh_fionread(fd[!i], &n), 0);
            cr_assert_eq(pair_receive(&w, !i, fd[!i], i, to[i], (size_t)n), 0);
            to[i] += (uint64_t)n;
        }
    }
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pair_receive(&w, !i, fd[!i], i, to[i], at[i] - to[i]), 0);
    cr_assert_gt(at[0], 1000000u);
    for (unsigned i = 0; i < 2; i++)
        pair_close(&w, i, fd[i]);
    pair_end(&w);
}

/* A listener, and a session in each state of opening and closing, survive. */
Test(sim_death, tcp_dies_in_every_state)
{
    pair_init(&w, &c);
    struct sockaddr_in sin = world_sin(1, PAIR_PORT);
    int listener = pair_listen(&w, 1, PAIR_PORT, 8);
    for (unsigned at = 0; at < CRASH_POINTS; at++)
        for (ns_t when = 0; when < 1000 * NS_US; when += 37 * NS_US) {
            fd[0] = pair_socket(&w, 0, SOCK_STREAM | SOCK_NONBLOCK);
            (void)bh_connect(fd[0], (struct sockaddr *)&sin, sizeof sin);
            world_pass(&w, when);
            stack_crash_tcp(&w.s[at & 1], at, w.now);
            stack_crash_tcp(&w.s[!(at & 1)], CRASH_IDLE, w.now);
            cr_assert_eq(bh_set_nonblocking(fd[0], 0), 0);
            world_use(&w, 1);
            fd[1] = bh_accept(listener, NULL, NULL);
            cr_assert_geq(fd[1], 0);
            cr_assert_eq(pair_send(&w, 0, fd[0], 1, 0, 500), 0);
            pair_close(&w, 0, fd[0]);
            world_pass(&w, when);
            stack_crash_tcp(&w.s[at & 1], at, w.now);
            cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, 500), 0);
            cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), 0);
            pair_close(&w, 1, fd[1]);
            world_pass(&w, when);
            stack_crash_tcp(&w.s[!(at & 1)], at, w.now);
        }
    pair_close(&w, 1, listener);
    pair_end(&w);
}
