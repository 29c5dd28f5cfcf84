/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_handle.c: descriptors as handles, by the library and the real domains together:
 * rights, the end of a session that has several, revoking, creators; also when the domain dies
 * in it. Afterwards nothing is left behind (pair_end).
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>

#include "pair.h"

static struct world w;
static struct world_config c;
static int fd[2];

#define SESSION (BH_RIGHT_SEND | BH_RIGHT_RECEIVE | BH_RIGHT_SHUTDOWN | BH_RIGHT_OPTIONS)

static void
setup(void)
{
    c = world_usual(5);
    pair_init(&w, &c);
}

TestSuite(sim_handle, .init = setup);

#define FAILS(expr, err)                                                                       \
    do {                                                                                       \
        errno = 0;                                                                             \
        long fails_r = (long)(expr);                                                           \
        cr_assert(fails_r == -1 && errno == (err), #expr ": %ld, errno %d", fails_r, errno);   \
    } while (0)

static int
mint(int from, unsigned rights)
{
    int m = bh_mint(from, rights);
    cr_assert_geq(m, BH_FD_BASE, "errno %d", errno);
    cr_assert_eq(bh_rights(m), (int)rights);
    return m;
}

/* Protects: the rights of each call; and that what one descriptor may not, another one for the
 * same socket still may. */
Test(sim_handle, rights)
{
    char buf[8] = "x";
    struct iovec v;
    int n = 1, one = 1;
    pair_connect(&w, fd);
    world_use(&w, 0);
    int tx = mint(fd[0], BH_RIGHT_SEND), rx = mint(fd[0], BH_RIGHT_RECEIVE);
    int opt = mint(fd[0], BH_RIGHT_OPTIONS | BH_RIGHT_SHUTDOWN);
    FAILS(bh_mint(tx, BH_RIGHT_SEND | BH_RIGHT_RECEIVE), EACCES);
    FAILS(bh_mint(tx, 0), EINVAL);
    FAILS(bh_mint(tx, 1u << 20), EINVAL);
    FAILS(bh_mint(BH_FD_BASE + 1000, 1), EBADF);
    FAILS(bh_rights(BH_FD_BASE + 1000), EBADF);
    FAILS(bh_send(rx, buf, 1, 0), EACCES);
    FAILS(bh_reserve(rx, 1, &v, &n), EACCES);
    FAILS(bh_recv(tx, buf, 1, MSG_DONTWAIT), EACCES);
    FAILS(bh_peek(tx, &v, &n), EACCES);
    FAILS(bh_consume(opt, 0), EACCES);
    FAILS(bh_commit(opt, 0), EACCES);
    FAILS(bh_accept(tx, NULL, NULL), EACCES);
    FAILS(bh_setsockopt(rx, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one), EACCES);
    FAILS(bh_shutdown(rx, SHUT_WR), EACCES);
    cr_assert_eq(bh_setsockopt(opt, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one), 0);
    cr_assert_eq(pair_send(&w, 0, tx, 1, 0, 100000), 0);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, 100000), 0);
    cr_assert_eq(pair_send(&w, 1, fd[1], 2, 0, 100000), 0);
    cr_assert_eq(pair_receive(&w, 0, rx, 2, 0, 100000), 0);
    world_use(&w, 0);
    cr_assert_eq(bh_shutdown(opt, SHUT_WR), 0);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), 0);
    const int all[] = {rx, fd[0], tx, opt};
    for (unsigned i = 0; i < 4; i++)
        pair_close(&w, 0, all[i]);
    pair_close(&w, 1, fd[1]);
    pair_end(&w);
}

/* A listener and a datagram socket, by narrow descriptors. */
Test(sim_handle, rights_of_other_sockets)
{
    struct sockaddr_in sin = world_sin(1, PAIR_PORT);
    int l = pair_socket(&w, 1, SOCK_STREAM);
    int bind = mint(l, BH_RIGHT_BIND), listen = mint(l, BH_RIGHT_LISTEN);
    int accept = mint(l, BH_RIGHT_ACCEPT);
    FAILS(bh_bind(listen, (struct sockaddr *)&sin, sizeof sin), EACCES);
    cr_assert_eq(bh_bind(bind, (struct sockaddr *)&sin, sizeof sin), 0);
    FAILS(bh_listen(bind, 5), EACCES);
    FAILS(bh_connect(bind, (struct sockaddr *)&sin, sizeof sin), EACCES);
    cr_assert_eq(bh_listen(listen, 5), 0);
    for (unsigned i = 0; i < 3; i++)
        pair_close(&w, 1, i == 0 ? l : i == 1 ? bind : listen);
    fd[0] = pair_socket(&w, 0, SOCK_STREAM);
    int only = mint(fd[0], BH_RIGHT_CONNECT | BH_RIGHT_SEND);
    pair_close(&w, 0, fd[0]);
    world_use(&w, 0);
    cr_assert_eq(bh_connect(only, (struct sockaddr *)&sin, sizeof sin), 0, "errno %d", errno);
    world_use(&w, 1);
    fd[1] = bh_accept(accept, NULL, NULL);
    cr_assert_geq(fd[1], 0);
    cr_assert_eq(pair_send(&w, 0, only, 1, 0, 50000), 0);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, 50000), 0);
    pair_close(&w, 0, only);
    pair_close(&w, 1, fd[1]);
    pair_close(&w, 1, accept);
    int u = pair_socket(&w, 0, SOCK_DGRAM), tx = mint(u, BH_RIGHT_SEND);
    pair_close(&w, 0, u);
    FAILS(bh_recv(tx, &u, sizeof u, MSG_DONTWAIT), EACCES);
    cr_assert_eq(bh_sendto(tx, "x", 1, 0, (struct sockaddr *)&sin, sizeof sin), 1);
    world_pass(&w, NS_S);
    pair_close(&w, 0, tx);
    pair_end(&w);
}

/* The stream ends with the last descriptor, whichever that is, and not before. */
Test(sim_handle, the_last_one_closes)
{
    pair_connect(&w, fd);
    world_use(&w, 0);
    int a = mint(fd[0], SESSION), b = mint(a, BH_RIGHT_SEND), d = mint(fd[0], SESSION);
    const int order[] = {a, fd[0], d};
    uint64_t at = 0;
    for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
        pair_close(&w, 0, order[i]);
        FAILS(bh_send(order[i], "x", 1, 0), EBADF);
        cr_assert_eq(pair_send(&w, 0, b, 1, at, 5000), 0);
        cr_assert_eq(pair_receive(&w, 1, fd[1], 1, at, 5000), 0);
        at += 5000;
        pair_nonblocking(&w, 1, fd[1]);
        cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), -EAGAIN);
        cr_assert_eq(bh_set_nonblocking(fd[1], 0), 0);
        world_use(&w, 0);
    }
    pair_close(&w, 0, b);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), 0);
    pair_close(&w, 1, fd[1]);
    pair_end(&w);
}

static short
polled(int f)
{
    struct pollfd p = {.fd = f, .events = POLLIN};
    return bh_poll(&p, 1, 0) > 0 ? p.revents : 0;
}

/* A revoked descriptor and those from it are dead at once; others for the socket are not. Its
 * watcher hears of it. Without another one the connection is reset and its memory is free. */
Test(sim_handle, revoke)
{
    struct bh_event ev;
    char byte;
    pair_connect(&w, fd);
    world_use(&w, 0);
    int a = mint(fd[0], SESSION), b = mint(a, BH_RIGHT_RECEIVE), d = mint(fd[0], SESSION);
    cr_assert_eq(bh_watch(b, POLLIN, &w), 0);
    cr_assert_eq(bh_ready_events(&ev, 1), 0);
    cr_assert_eq(bh_revoke(a), 0);
    cr_assert_eq(bh_ready_events(&ev, 1), 1);
    cr_assert(ev.fd == b && ev.arg == &w && (ev.revents & POLLHUP));
    FAILS(bh_send(a, "x", 1, 0), ECONNABORTED);
    FAILS(bh_recv(b, &byte, 1, 0), ECONNABORTED);
    FAILS(bh_mint(b, BH_RIGHT_RECEIVE), ECONNABORTED);
    FAILS(bh_rights(b), ECONNABORTED);
    cr_assert_eq(polled(b), POLLERR | POLLHUP);
    cr_assert_eq(bh_revoke(b), 0, "it is done");
    pair_close(&w, 0, a);
    pair_close(&w, 0, b);
    FAILS(bh_recv(b, &byte, 1, 0), EBADF);
    cr_assert_eq(bh_ready_events(&ev, 1), 0);
    cr_assert_eq(pair_send(&w, 0, d, 1, 0, 5000), 0);
    cr_assert_eq(pair_receive(&w, 1, fd[1], 1, 0, 5000), 0);
    cr_assert_eq(pair_send(&w, 1, fd[1], 1, 0, 5000), 0);
    world_use(&w, 0);
    cr_assert_eq(bh_revoke(fd[0]), 0);
    FAILS(bh_send(d, "x", 1, 0), ECONNABORTED);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), -ECONNRESET);
    pair_close(&w, 0, fd[0]);
    pair_close(&w, 0, d);
    pair_close(&w, 1, fd[1]);
    pair_end(&w);
}

/* Revoking a creator ends its sockets: a listener, what it accepted and has not, a connection
 * and a datagram socket of the other protocol not. Calls on them fail, and peers are told. */
Test(sim_handle, creators)
{
    struct sockaddr_in sin = world_sin(1, 8001);
    world_use(&w, 1);
    int all = bh_creator(SOCK_STREAM), s;
    cr_assert_geq(all, 0);
    cr_assert_eq(bh_creator(SOCK_STREAM), all);
    FAILS(bh_mint_ports(all, 0, 1, BH_RIGHT_OPEN), EINVAL);
    FAILS(bh_mint_ports(all, 2, 1, BH_RIGHT_OPEN), EINVAL);
    int some = bh_mint_ports(all, 8000, 8001, bh_rights(all) & ~(int)BH_RIGHT_CONNECT);
    cr_assert_geq(some, 0, "errno %d", errno);
    FAILS(bh_mint_ports(some, 8000, 8002, BH_RIGHT_OPEN), EACCES);
    FAILS(bh_socket_from(some, AF_INET, SOCK_DGRAM, 0), EPROTOTYPE);
    FAILS(bh_send(some, "x", 1, 0), ENOTSOCK);
    cr_assert_eq(polled(some), POLLNVAL);
    cr_assert_geq(s = bh_socket_from(some, AF_INET, SOCK_STREAM, 0), 0);
    FAILS(bh_mint_ports(s, 8000, 8000, BH_RIGHT_OPEN), EINVAL);
    FAILS(bh_socket_from(s, AF_INET, SOCK_STREAM, 0), EINVAL);
    FAILS(bh_connect(s, (struct sockaddr *)&sin, sizeof sin), EACCES);
    cr_assert_eq(bh_rights(s) & (int)(BH_RIGHT_OPEN | BH_RIGHT_CONNECT), 0);
    sin.sin_port = htons(7999);
    FAILS(bh_bind(s, (struct sockaddr *)&sin, sizeof sin), EACCES);
    sin.sin_port = htons(8001);
    cr_assert_eq(bh_bind(s, (struct sockaddr *)&sin, sizeof sin), 0);
    cr_assert_eq(bh_listen(s, 5), 0);
    int u = pair_socket(&w, 1, SOCK_DGRAM), peer[3], got;
    for (unsigned i = 0; i < 3; i++) {
        peer[i] = pair_socket(&w, 0, SOCK_STREAM);
        cr_assert_eq(bh_connect(peer[i], (struct sockaddr *)&sin, sizeof sin), 0);
    }
    world_use(&w, 1);
    cr_assert_geq(got = bh_accept(s, NULL, NULL), 0);
    cr_assert_eq(bh_revoke(some), 0);
    world_pass(&w, NS_S);
    world_use(&w, 1);
    FAILS(bh_accept(s, NULL, NULL), ECONNABORTED);
    FAILS(bh_recv(got, &u, 1, 0), ECONNABORTED);
    FAILS(bh_socket_from(some, AF_INET, SOCK_STREAM, 0), ECONNABORTED);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(pair_end_of_stream(&w, 0, peer[i]), -ECONNRESET);
        pair_close(&w, 0, peer[i]);
    }
    world_use(&w, 1);
    cr_assert_eq(bh_bind(u, (struct sockaddr *)&sin, sizeof sin), 0);
    const int open[] = {got, s, some, u};
    for (unsigned i = 0; i < ARRAY_LEN(open); i++)
        pair_close(&w, 1, open[i]);
    s = pair_socket(&w, 1, SOCK_STREAM);
    pair_close(&w, 1, s);
    /* Given up: a process that means to be confined cannot make sockets any more. */
    pair_close(&w, 1, all);
    FAILS(bh_socket(AF_INET, SOCK_STREAM, 0), EACCES);
    FAILS(bh_creator(SOCK_STREAM), EACCES);
    pair_end(&w);
}

/* The domain dies while it revokes, before or after the session's end: it is revoked for all
 * that, once, and nothing is left. */
Test(sim_handle, dies_while_it_revokes)
{
    for (unsigned k = 0; k < 8; k++) {
        enum stack_up up = k & 1 ? STACK_UDP : STACK_TCP;
        struct stack_death death = {.in = 1, .call = REQ_REVOKE, .after = (k & 2) != 0};
        bool creator = (k & 4) != 0;
        if (k > 0)
            pair_init(&w, &c);
        world_use(&w, 0);
        int from = bh_creator(up == STACK_TCP ? SOCK_STREAM : SOCK_DGRAM), s[3];
        from = bh_mint_ports(from, 4000, 5000, (unsigned)bh_rights(from));
        for (unsigned i = 0; i < 3; i++) {
            struct sockaddr_in sin = world_sin(0, (uint16_t)(4000 + i));
            s[i] = bh_socket_from(from, AF_INET, up == STACK_TCP ? SOCK_STREAM : SOCK_DGRAM, 0);
            cr_assert_geq(s[i], 0);
            cr_assert_eq(bh_bind(s[i], (struct sockaddr *)&sin, sizeof sin), 0);
        }
        stack_crash_serving(&w.s[0], up, &death);
        cr_assert_eq(bh_revoke(creator ? from : s[1]), 0, "errno %d", errno);
        cr_assert_eq(w.s[0].n_died, 1);
        world_pass(&w, 5 * NS_S);
        world_use(&w, 0);
        for (unsigned i = 0; i < 3; i++) {
            struct sockaddr_in sin;
            socklen_t len = sizeof sin;
            int r = bh_getsockname(s[i], (struct sockaddr *)&sin, &len);
            bool over = creator || i == 1;
            cr_assert(over ? r == -1 && errno == ECONNABORTED : r == 0, "%u: socket %u", k, i);
            pair_close(&w, 0, s[i]);
        }
        pair_close(&w, 0, from);
        world_pass(&w, NS_S);
        const struct handle_table *t = w.prog[0].v[up].handles;
        cr_assert(handle_table_validate(t));
        cr_assert_eq(t->used, 1, "a handle is left");
        pair_end(&w);
    }
}
