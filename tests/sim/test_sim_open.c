/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_sim_open.c: connections that begin and end in unusual ways, told with both ends real.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>

#include "lib/client/standin.h"
#include "pair.h"
#include "tcp/priv.h"

#define FAILS(expr, err) cr_assert((expr) == -1 && errno == (err), "%s", strerror(errno))

static struct world w;
static struct world_config c;
static int fd[2];

static void
setup(void)
{
    c = world_usual(2);
}

TestSuite(sim_open, .init = setup);

static int
bound(unsigned program, uint16_t port)
{
    int s = pair_socket(&w, program, SOCK_STREAM);
    struct sockaddr_in sin = world_sin(w.prog[program].side, port);
    pair_option(&w, program, s, SOL_SOCKET, SO_REUSEADDR, 1);
    cr_assert_eq(bh_bind(s, (struct sockaddr *)&sin, sizeof sin), 0);
    return s;
}

/* 0 or errno. */
static int
try_connect(unsigned program, int s, unsigned side, uint16_t port)
{
    struct sockaddr_in sin = world_sin(side, port);
    world_use(&w, program);
    return bh_connect(s, (struct sockaddr *)&sin, sizeof sin) == 0 ? 0 : errno;
}

/* Both ends work: some bytes each way, orderly end. */
static void
exchange_and_close(void)
{
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pair_send(&w, i, fd[i], i, 0, 20000), 0);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pair_receive(&w, !i, fd[!i], i, 0, 20000), 0);
    for (unsigned i = 0; i < 2; i++) {
        world_use(&w, i);
        cr_assert_eq(bh_shutdown(fd[i], SHUT_WR), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(pair_end_of_stream(&w, i, fd[i]), 0);
        pair_close(&w, i, fd[i]);
    }
}

/* RFC 9293 figure 7: both connect to each other at the same time, and it is one connection. */
Test(sim_open, simultaneous_open)
{
    pair_init(&w, &c);
    world_pass(&w, NS_S);
    for (unsigned i = 0; i < 2; i++) { /* so that ARP is done */
        int s = pair_socket(&w, i, SOCK_STREAM);
        cr_assert_eq(try_connect(i, s, !i, 9), ECONNREFUSED);
        pair_close(&w, i, s);
    }
    for (unsigned i = 0; i < 2; i++)
        fd[i] = bound(i, (uint16_t)(6000 + i));
    for (unsigned i = 0; i < 2; i++) {
        pair_nonblocking(&w, i, fd[i]);
        cr_assert_eq(try_connect(i, fd[i], !i, (uint16_t)(6000 + !i)), EINPROGRESS);
    }
    world_pass(&w, 10 * NS_S);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(pair_state(&w, i, (uint16_t)(6000 + i), (uint16_t)(6000 + !i)),
                     TCPS_ESTABLISHED);
        world_use(&w, i);
        cr_assert_eq(bh_set_nonblocking(fd[i], 0), 0);
    }
    exchange_and_close();
    pair_end(&w);
}

/* RFC 9293 figure 13: both close at the same time; both wait 2 MSL. */
Test(sim_open, simultaneous_close)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    uint16_t port = pair_port(&w, 0, fd[0]);
    world_pass(&w, NS_S);
    for (unsigned i = 0; i < 2; i++)
        pair_close(&w, i, fd[i]);
    world_pass(&w, NS_S);
    cr_assert_eq(pair_state(&w, 0, port, PAIR_PORT), TCPS_TIME_WAIT);
    cr_assert_eq(pair_state(&w, 1, PAIR_PORT, port), TCPS_TIME_WAIT);
    world_pass(&w, 61 * NS_S);
    cr_assert_eq(tcp_sessions(w.s[0].join.tcp), 0u);
    cr_assert_eq(tcp_sessions(w.s[1].join.tcp), 0u);
    pair_end(&w);
}

/* Half-close: the other direction goes on for as long as it likes. */
Test(sim_open, half_close)
{
    pair_init(&w, &c);
    pair_connect(&w, fd);
    world_use(&w, 0);
    cr_assert_eq(bh_shutdown(fd[0], SHUT_WR), 0);
    cr_assert_eq(pair_end_of_stream(&w, 1, fd[1]), 0);
    world_pass(&w, 600 * NS_S);
    for (unsigned i = 0; i < 10; i++) {
        cr_assert_eq(pair_send(&w, 1, fd[1], 1, i * 30000u, 30000), 0);
        cr_assert_eq(pair_receive(&w, 0, fd[0], 1, i * 30000u, 30000), 0);
    }
    world_use(&w, 0);
    cr_assert_eq(bh_send(fd[0], "x", 1, 0), -1);
    cr_assert_eq(errno, EPIPE);
    pair_close(&w, 1, fd[1]);
    cr_assert_eq(pair_end_of_stream(&w, 0, fd[0]), 0);
    pair_close(&w, 0, fd[0]);
    pair_end(&w);
}

/* A pair of ports in TIME-WAIT is used again: RFC 6191, RFC 9293 3.6.1. Either side may be the
 * one that waits. */
static void
time_wait_reuse(unsigned first_to_close)
{
    pair_init(&w, &c);
    int listener = pair_listen(&w, 1, PAIR_PORT, 8);
    for (unsigned round = 0; round < 3; round++) {
        fd[0] = bound(0, 6000);
        cr_assert_eq(try_connect(0, fd[0], 1, PAIR_PORT), 0, "round %u: errno %d", round,
                     errno);
        world_use(&w, 1);
        fd[1] = bh_accept(listener, NULL, NULL);
        cr_assert_geq(fd[1], 0);
        for (unsigned i = 0; i < 2; i++)
            cr_assert_eq(pair_send(&w, i, fd[i], i, 0, 3000), 0);
        for (unsigned i = 0; i < 2; i++)
            cr_assert_eq(pair_receive(&w, !i, fd[!i], i, 0, 3000), 0);
        pair_close(&w, first_to_close, fd[first_to_close]);
        cr_assert_eq(pair_end_of_stream(&w, !first_to_close, fd[!first_to_close]), 0);
        pair_close(&w, !first_to_close, fd[!first_to_close]);
        world_pass(&w, 2 * NS_S);
        unsigned side = first_to_close;
        cr_assert_eq(
            pair_state(&w, side, side == 0 ? 6000 : PAIR_PORT, side == 0 ? PAIR_PORT : 6000),
            TCPS_TIME_WAIT);
    }
    pair_close(&w, 1, listener);
    pair_end(&w);
}

Test(sim_open, time_wait_reuse_by_the_opener)
{
    time_wait_reuse(0);
}

Test(sim_open, time_wait_reuse_at_the_listener)
{
    time_wait_reuse(1);
}

/* More connections than the backlog takes: those that found no room come in when there is some,
 * and none is half a connection that never becomes whole. */
Test(sim_open, backlog)
{
    enum { N = 12, BACKLOG = 2 };
    int s[N], a[N];
    pair_init(&w, &c);
    int listener = pair_listen(&w, 1, PAIR_PORT, BACKLOG);
    for (unsigned i = 0; i < N; i++) {
        s[i] = pair_socket(&w, 0, SOCK_STREAM | SOCK_NONBLOCK);
        cr_assert_eq(try_connect(0, s[i], 1, PAIR_PORT), EINPROGRESS);
    }
    world_pass(&w, 2 * NS_S);
    unsigned open = 0;
    for (unsigned i = 0; i < N; i++)
        open += pair_state(&w, 1, PAIR_PORT, pair_port(&w, 0, s[i])) == TCPS_ESTABLISHED;
    cr_assert(open >= BACKLOG && open <= BACKLOG + 1, "%u are open", open);
    cr_assert_gt(world_stat(&w, 1, STAT_tcp_drop_syn_backlog), 0u);
    pair_nonblocking(&w, 1, listener);
    unsigned got = 0;
    for (unsigned second = 0; second < 120 && got < N; second++) {
        world_use(&w, 1);
        while (got < N && (a[got] = bh_accept(listener, NULL, NULL)) >= 0)
            got++;
        world_pass(&w, NS_S);
    }
    cr_assert_eq(got, N, "only %u came in", got);
    for (unsigned i = 0; i < N; i++) {
        cr_assert_eq(try_connect(0, s[i], 1, PAIR_PORT), 0);
        cr_assert_eq(pair_send(&w, 0, s[i], 0, 0, 100), 0);
    }
    for (unsigned i = 0; i < N; i++)
        cr_assert_eq(pair_receive(&w, 1, a[i], 0, 0, 100), 0);
    for (unsigned i = 0; i < N; i++) {
        pair_close(&w, 0, s[i]);
        pair_close(&w, 1, a[i]);
    }
    pair_close(&w, 1, listener);
    pair_end(&w);
}

/* A listener that is closed resets what nobody accepted. */
Test(sim_open, listener_closes)
{
    pair_init(&w, &c);
    int listener = pair_listen(&w, 1, PAIR_PORT, 8), s[3];
    for (unsigned i = 0; i < 3; i++) {
        s[i] = pair_socket(&w, 0, SOCK_STREAM);
        cr_assert_eq(try_connect(0, s[i], 1, PAIR_PORT), 0);
        cr_assert_eq(pair_send(&w, 0, s[i], 0, 0, 100), 0);
    }
    world_pass(&w, NS_S);
    pair_close(&w, 1, listener);
    for (unsigned i = 0; i < 3; i++) {
        int err = pair_end_of_stream(&w, 0, s[i]);
        cr_assert_eq(err, -ECONNRESET, "errno %d", -err);
        pair_close(&w, 0, s[i]);
    }
    pair_end(&w);
}

/* Nobody listens; nobody is there; the host is known and silent. */
Test(sim_open, refused_and_unreachable)
{
    pair_init(&w, &c);
    int s = pair_socket(&w, 0, SOCK_STREAM);
    cr_assert_eq(try_connect(0, s, 1, 9), ECONNREFUSED);
    pair_close(&w, 0, s);
    s = pair_socket(&w, 0, SOCK_STREAM);
    cr_assert_eq(try_connect(0, s, 7, 9), EHOSTUNREACH, "no such host: ARP has no answer");
    pair_close(&w, 0, s);
    w.wire[0].cut = true;
    double from = pair_seconds(&w);
    s = pair_socket(&w, 0, SOCK_STREAM);
    int err = try_connect(0, s, 1, 9);
    cr_assert(err == ETIMEDOUT || err == EHOSTUNREACH, "errno %d", err);
    cr_assert_lt(pair_seconds(&w) - from, 150.0);
    pair_close(&w, 0, s);
    pair_end(&w);
}

/* A program talks to another one, and to itself, on the same stack: the loopback pool. */
Test(sim_open, loopback)
{
    pair_init(&w, &c);
    cr_assert_eq(world_program(&w, 0), 2u);
    for (unsigned other = 0; other <= 2; other += 2) {
        int listener = pair_listen(&w, other, PAIR_PORT, 8),
            s = pair_socket(&w, 0, SOCK_STREAM);
        cr_assert_eq(try_connect(0, s, 0, PAIR_PORT), 0);
        world_use(&w, other);
        int a = bh_accept(listener, NULL, NULL);
        cr_assert_geq(a, 0);
        pair_close(&w, other, listener);
        for (unsigned i = 0; i < 30; i++) {
            cr_assert_eq(pair_send(&w, 0, s, 1, i * 10000u, 10000), 0);
            cr_assert_eq(pair_receive(&w, other, a, 1, i * 10000u, 10000), 0);
            cr_assert_eq(pair_send(&w, other, a, 2, i * 10000u, 10000), 0);
            cr_assert_eq(pair_receive(&w, 0, s, 2, i * 10000u, 10000), 0);
        }
        pair_close(&w, 0, s);
        cr_assert_eq(pair_end_of_stream(&w, other, a), 0);
        pair_close(&w, other, a);
    }
    cr_assert_eq(world_stat(&w, 1, STAT_seg_rx), 0u);
    pair_end(&w);
}

static unsigned leaked;

static bool
see_loopback(void *ctx, const uint8_t *b, uint32_t len)
{
    (void)ctx;
    if (len >= ETH_HEADER + IP4_HEADER && be16(b + 12) == ETH_TYPE_IP4)
        leaked += b[ETH_HEADER + 12] == 127 || b[ETH_HEADER + 16] == 127;
    return true;
}

static struct sockaddr_in
at(uint32_t addr, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr = {htonl(addr)}, .sin_port = htons(port)};
}

static int
to(int s, uint32_t addr, uint16_t port)
{
    struct sockaddr_in sin = at(addr, port);
    return bh_connect(s, (struct sockaddr *)&sin, sizeof sin) == 0 ? 0 : errno;
}

static void
expect_name(int s, bool peer, uint32_t addr)
{
    struct sockaddr_in sin;
    socklen_t len = sizeof sin;
    cr_assert_eq((peer ? bh_getpeername : bh_getsockname)(s, (struct sockaddr *)&sin, &len), 0);
    cr_assert_eq(ntohl(sin.sin_addr.s_addr), addr);
}

/* A program finds itself at 127.0.0.0/8 and at no address, refusals included; nothing of that
 * is on the wire. It knows, then, that it takes what comes there, as long as it does. */
Test(sim_open, loopback_addresses)
{
    static const uint32_t addr[] = {INADDR_LOOPBACK, INADDR_LOOPBACK + 4, INADDR_ANY};
    char b[8];
    pair_init(&w, &c);
    w.wire[0].filter = w.wire[1].filter = see_loopback;
    cr_assert_not(share_takes(IPPROTO_TCP, PAIR_PORT));
    int l = pair_socket(&w, 0, SOCK_STREAM), s, a;
    struct sockaddr_in sin = at(INADDR_ANY, PAIR_PORT);
    cr_assert_eq(bh_bind(l, (struct sockaddr *)&sin, sizeof sin), 0);
    cr_assert_not(share_takes(IPPROTO_TCP, PAIR_PORT), "bound is not listening");
    cr_assert_eq(bh_listen(l, 8), 0);
    cr_assert(share_takes(IPPROTO_TCP, PAIR_PORT));
    cr_assert_not(share_takes(IPPROTO_UDP, PAIR_PORT));
    for (unsigned i = 0; i < 3; i++) {
        uint32_t peer = addr[i] == INADDR_ANY ? INADDR_LOOPBACK : addr[i];
        socklen_t len = sizeof sin;
        s = pair_socket(&w, 0, SOCK_STREAM);
        cr_assert_eq(to(s, addr[i], PAIR_PORT), 0);
        a = bh_accept(l, (struct sockaddr *)&sin, &len);
        cr_assert_geq(a, 0);
        cr_assert_eq(ntohl(sin.sin_addr.s_addr), INADDR_LOOPBACK);
        expect_name(s, false, INADDR_LOOPBACK);
        expect_name(s, true, peer);
        expect_name(a, false, peer);
        cr_assert_eq(pair_send(&w, 0, s, 1, 0, 30000), 0);
        cr_assert_eq(pair_receive(&w, 0, a, 1, 0, 30000), 0);
        pair_close(&w, 0, s);
        cr_assert_eq(pair_end_of_stream(&w, 0, a), 0);
        pair_close(&w, 0, a);
    }
    world_use(&w, 1);
    cr_assert_not(share_takes(IPPROTO_TCP, PAIR_PORT), "that is somebody else's");
    world_use(&w, 0);
    pair_close(&w, 0, l);
    cr_assert_not(share_takes(IPPROTO_TCP, PAIR_PORT));
    s = pair_socket(&w, 0, SOCK_STREAM);
    cr_assert_eq(to(s, INADDR_LOOPBACK, PAIR_PORT), ECONNREFUSED);
    pair_close(&w, 0, s);

    a = pair_socket(&w, 0, SOCK_DGRAM);
    sin = at(INADDR_ANY, 0);
    cr_assert_eq(bh_bind(a, (struct sockaddr *)&sin, sizeof sin), 0);
    uint16_t port = pair_port(&w, 0, a);
    cr_assert(share_takes(IPPROTO_UDP, port));
    for (unsigned i = 0; i < 3; i++) {
        s = pair_socket(&w, 0, SOCK_DGRAM);
        socklen_t len = sizeof sin;
        sin = at(addr[i], port);
        if (i > 0)
            cr_assert_eq(share_be_found(s), 0);
        cr_assert_eq(bh_sendto(s, "hello", 5, 0, (struct sockaddr *)&sin, len), 5);
        cr_assert_eq(share_be_found(s), 0);
        cr_assert_eq(bh_recvfrom(a, b, sizeof b, 0, (struct sockaddr *)&sin, &len), 5);
        cr_assert_eq(ntohl(sin.sin_addr.s_addr), INADDR_LOOPBACK);
        cr_assert(share_takes(IPPROTO_UDP, ntohs(sin.sin_port)), "where the answer goes");
        pair_close(&w, 0, s);
    }
    cr_assert_eq(to(a, INADDR_LOOPBACK, 9), 0);
    cr_assert(share_takes(IPPROTO_UDP, port), "what its peer sends");
    cr_assert_eq(bh_send(a, "hello", 5, 0), 5);
    FAILS(bh_recv(a, b, sizeof b, 0), ECONNREFUSED);
    sin = world_sin(1, 9);
    cr_assert_eq(bh_connect(a, (struct sockaddr *)&sin, sizeof sin), -1);
    cr_assert_eq(errno, EINVAL, "loopback's address reaches this host alone");
    pair_close(&w, 0, a);
    cr_assert_not(share_takes(IPPROTO_UDP, port));
    cr_assert_eq(leaked, 0);
    cr_assert_eq(world_stat(&w, 1, STAT_seg_rx), 0u);
    pair_end(&w);
}
