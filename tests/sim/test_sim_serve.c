/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_serve.c: a transport that dies while it serves its clients: at each kind of request
 * and event, between taking it and doing it, and between doing it and telling the client.
 * Protects: no call of a program fails or hangs for it, no byte is lost, and afterwards no
 * session, slot, page or handle is left behind (pair_end).
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include "pair.h"

#define UDP_PORT 6000u

static struct world w;
static struct world_config c;
static int fd_pair[2];

static void
setup(void)
{
    c = world_usual(11);
}

TestSuite(sim_serve, .init = setup);

/* The handles of a client, but for its creator: as many as its open sockets, whatever happened.
 */
static uint32_t
handles_used(unsigned program, enum stack_up up)
{
    return ((const struct handle_table *)w.prog[program].v[up].handles)->used - 1;
}

/* ---- what programs do, with every request and every event in it ---- */

static void
exchange(const int fd[2], uint64_t at)
{
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(pair_send(&w, i, fd[i], i, at, 100000), 0);
        cr_assert_eq(pair_receive(&w, !i, fd[!i], i, at, 100000), 0);
    }
}

static void
streams(void)
{
    struct sockaddr_in sin = world_sin(1, PAIR_PORT);
    int listener = pair_listen(&w, 1, PAIR_PORT, 1), fd[2];
    for (unsigned round = 0; round < 4; round++) { /* more than the backlog */
        fd[0] = pair_socket(&w, 0, SOCK_STREAM);
        pair_option(&w, 0, fd[0], IPPROTO_TCP, TCP_NODELAY, 1);
        cr_assert_eq(bh_connect(fd[0], (struct sockaddr *)&sin, sizeof sin), 0, "errno %d",
                     errno);
        world_use(&w, 1);
        fd[1] = bh_accept(listener, NULL, NULL);
        cr_assert_geq(fd[1], 0, "errno %d", errno);
        exchange(fd, 0);
        world_use(&w, 0);
        cr_assert_eq(bh_shutdown(fd[0], SHUT_WR), 0, "errno %d", errno);
        cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), 0);
        pair_close(&w, 1, fd[1]);
        cr_assert_eq(pair_end_of_stream(&w, 0, fd[0]), 0);
        pair_close(&w, 0, fd[0]);
        world_pass(&w, NS_S);
    }
    pair_close(&w, 1, listener);
}

static void
datagrams(void)
{
    struct sockaddr_in sin[2] = {world_sin(0, UDP_PORT), world_sin(1, UDP_PORT)};
    char buf[100] = "datagram";
    for (unsigned round = 0; round < 3; round++) {
        int fd[2];
        for (unsigned i = 0; i < 2; i++) {
            fd[i] = pair_socket(&w, i, SOCK_DGRAM);
            pair_option(&w, i, fd[i], SOL_SOCKET, SO_RCVBUF, 100000);
            cr_assert_eq(bh_bind(fd[i], (struct sockaddr *)&sin[i], sizeof sin[i]), 0,
                         "errno %d", errno);
            cr_assert_eq(bh_connect(fd[i], (struct sockaddr *)&sin[!i], sizeof sin[i]), 0,
                         "errno %d", errno);
        }
        for (unsigned i = 0; i < 2; i++) {
            world_use(&w, i);
            cr_assert_eq(bh_send(fd[i], buf, sizeof buf, 0), sizeof buf);
            world_use(&w, !i);
            cr_assert_eq(bh_recv(fd[!i], buf, sizeof buf, 0), sizeof buf);
        }
        for (unsigned i = 0; i < 2; i++)
            pair_close(&w, i, fd[i]);
        world_pass(&w, NS_S);
    }
}

static void
story(enum stack_up up, unsigned side, const struct stack_death *d, bool must_die)
{
    char what[80];
    snprintf(what, sizeof what, "%s on side %u: call %u, %s", up == STACK_TCP ? "tcp" : "udp",
             side, d->call, d->after ? "done" : "taken");
    pair_init(&w, &c);
    stack_crash_serving(&w.s[side], up, d);
    if (up == STACK_TCP)
        streams();
    else
        datagrams();
    world_pass(&w, 10 * NS_S);
    cr_assert(w.s[side].n_died != 0 || !must_die, "%s: nobody died: tests nothing", what);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(handles_used(i, up), 0, "%s: a handle is left", what);
    pair_end(&w);
}

/* Does this side do such a thing at all in its story? */
static bool
occurs(enum stack_up up, unsigned side, unsigned call)
{
    switch (call) {
    case REQ_BIND:
    case REQ_LISTEN:
    case REQ_ACCEPTED:
    case STACK_EVENT + EVT_ACCEPT:
        return up == STACK_UDP ? call == REQ_BIND : side == 1;
    case REQ_CONNECT:
    case REQ_SETOPT:
        return up == STACK_UDP || side == 0;
    case REQ_SOCKET:
    case REQ_CLOSE:
    case REQ_RELEASED:
    case REQ_SEND:
    case STACK_EVENT + EVT_READY:
    case STACK_EVENT + EVT_FREED:
        return true;
    case REQ_SHUTDOWN:
        return up == STACK_TCP && side == 0;
    case REQ_CONSUMED:
        return up == STACK_TCP;
    default:
        return false;
    }
}

static void
each_death(unsigned call)
{
    for (unsigned k = 0; k < 24; k++) {
        struct stack_death d = {.call = call, .after = (k & 1) != 0, .in = 1 + k / 8};
        enum stack_up up = k & 2 ? STACK_UDP : STACK_TCP;
        unsigned side = k & 4 ? 1 : 0;
        story(up, side, &d, d.in == 1 && occurs(up, side, call));
    }
}

#define DEATH(name, call)                                                                      \
    Test(sim_serve, name)                                                                      \
    {                                                                                          \
        each_death(call);                                                                      \
    }
DEATH(socket, REQ_SOCKET)
DEATH(bind, REQ_BIND)
DEATH(connect, REQ_CONNECT)
DEATH(listen, REQ_LISTEN)
DEATH(accepted, REQ_ACCEPTED)
DEATH(shutdown, REQ_SHUTDOWN)
DEATH(close, REQ_CLOSE)
DEATH(setopt, REQ_SETOPT)
DEATH(send, REQ_SEND)
DEATH(consumed, REQ_CONSUMED)
DEATH(released, REQ_RELEASED)
DEATH(event_accept, STACK_EVENT + EVT_ACCEPT)
DEATH(event_ready, STACK_EVENT + EVT_READY)
DEATH(event_freed, STACK_EVENT + EVT_FREED)

/* It dies after it told the client of a session and before it noted that: the session is the
 * client's, and stays. */
Test(sim_serve, told_and_not_noted)
{
    for (unsigned up = STACK_TCP; up <= STACK_UDP; up++) {
        pair_init(&w, &c);
        int fd = pair_socket(&w, 0, up == STACK_TCP ? SOCK_STREAM : SOCK_DGRAM);
        const struct arena_view *v = &w.prog[0].v[up];
        for (uint32_t i = 0; i < v->g.n_slots; i++)
            atomic_store(&v->d_slot[i].told, 0);
        if (up == STACK_TCP)
            stack_crash_tcp(&w.s[0], CRASH_IDLE, w.now);
        else
            stack_crash_udp(&w.s[0], w.now);
        struct sockaddr_in sin = world_sin(0, PAIR_PORT);
        cr_assert_eq(bh_bind(fd, (struct sockaddr *)&sin, sizeof sin), 0, "errno %d", errno);
        pair_close(&w, 0, fd);
        pair_end(&w);
    }
}

/* The same with an accepted connection: it is not announced a second time. */
Test(sim_serve, accepted_and_not_noted)
{
    pair_init(&w, &c);
    struct sockaddr_in sin = world_sin(1, PAIR_PORT);
    int listener = pair_listen(&w, 1, PAIR_PORT, 8), fd[2];
    fd[0] = pair_socket(&w, 0, SOCK_STREAM);
    cr_assert_eq(bh_connect(fd[0], (struct sockaddr *)&sin, sizeof sin), 0);
    world_pass(&w, NS_S);
    const struct arena_view *v = &w.prog[1].v[0];
    uint32_t last = atomic_load(&v->d_head->tail) - 1;
    const struct sess_evt *e = &v->evt[last & (v->g.n_evt - 1)];
    cr_assert_eq(e->kind, EVT_ACCEPT);
    atomic_store(&v->d_slot[e->value].told, 0);
    stack_crash_tcp(&w.s[1], CRASH_IDLE, w.now);
    world_pass(&w, NS_S);
    cr_assert_eq(atomic_load(&v->d_head->tail) - 1, last, "told again");
    world_use(&w, 1);
    fd[1] = bh_accept(listener, NULL, NULL);
    cr_assert_geq(fd[1], 0);
    exchange(fd, 0);
    pair_nonblocking(&w, 1, listener);
    cr_assert(bh_accept(listener, NULL, NULL) < 0 && errno == EAGAIN);
    for (unsigned i = 0; i < 2; i++)
        pair_close(&w, i, fd[i]);
    pair_close(&w, 1, listener);
    pair_end(&w);
}

/* A shutdown that ends the session, and only the answer is lost. */
Test(sim_serve, shutdown_that_was_the_last)
{
    pair_init(&w, &c);
    pair_connect(&w, fd_pair);
    world_use(&w, 1);
    cr_assert_eq(bh_shutdown(fd_pair[1], SHUT_WR), 0);
    world_pass(&w, NS_S);
    stack_crash_serving(&w.s[0], STACK_TCP,
                        &(struct stack_death){.in = 1, .call = REQ_SHUTDOWN, .after = true});
    world_use(&w, 0);
    cr_assert_eq(bh_shutdown(fd_pair[0], SHUT_WR), 0, "errno %d", errno);
    cr_assert_eq(w.s[0].n_died, 1);
    for (unsigned i = 0; i < 2; i++)
        pair_close(&w, i, fd_pair[i]);
    pair_end(&w);
}

/* A request that kills whoever serves it kills two, and no more; who else is there notices
 * nothing. What it was about stays until its program ends. */
Test(sim_serve, deadly_request)
{
    static const unsigned deadly[] = {REQ_CLOSE, REQ_RELEASED, REQ_SEND};
    for (unsigned k = 0; k < ARRAY_LEN(deadly); k++) {
        pair_init(&w, &c);
        unsigned p = world_program(&w, 0);
        pair_connect(&w, fd_pair);
        int bad = pair_socket(&w, p, deadly[k] == REQ_SEND ? SOCK_DGRAM : SOCK_STREAM);
        enum stack_up up = deadly[k] == REQ_SEND ? STACK_UDP : STACK_TCP;
        stack_crash_serving(&w.s[0], up,
                            &(struct stack_death){.in = 1, .call = deadly[k], .again = 100});
        if (deadly[k] == REQ_SEND) {
            struct sockaddr_in sin = world_sin(1, UDP_PORT);
            cr_assert_eq(bh_sendto(bad, "x", 1, 0, (struct sockaddr *)&sin, sizeof sin), 1);
        } else {
            pair_close(&w, p, bad);
        }
        world_pass(&w, 10 * NS_S);
        cr_assert_eq(w.s[0].n_died, deadly[k] == REQ_SEND ? 1 : 2, "%u died", w.s[0].n_died);
        exchange(fd_pair, 0);
        stack_crash_serving(&w.s[0], up, &(struct stack_death){0});
        world_kill(&w, p);
        for (unsigned i = 0; i < 2; i++)
            pair_close(&w, i, fd_pair[i]);
        world_pass(&w, NS_S);
        cr_assert(stack_left(&w.s[0], w.prog[p].id));
        pair_end(&w);
    }
}
