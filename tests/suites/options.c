/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options.c: what getsockopt and setsockopt answer for each option that programs use, on a new
 * stream, a connected one, a listener and a datagram socket: the result, and the value
 * afterwards. Protects: a program that sets an option and stops if that fails.
 */
#include "suite.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define ASK (-77777) /* do not set, ask alone */

struct option {
    const char *text;
    int level, name, value;
};

#define O(level, name, value)                                                                  \
    {                                                                                          \
#name, level, name, value                                                              \
    }

static void
try_one(const char *on, int fd, const struct option *o)
{
    char value[64] = "";
    int got = -1;
    socklen_t len = sizeof got;
    const char *set = "";
    if (o->value != ASK)
        set = setsockopt(fd, o->level, o->name, &o->value, sizeof o->value) == 0
                  ? "set, "
                  : strerrorname_np(errno);
    if (getsockopt(fd, o->level, o->name, &got, &len) == 0)
        snprintf(value, sizeof value, "%d, length %u", got, len);
    else
        snprintf(value, sizeof value, "%s", strerrorname_np(errno));
    if (o->value == ASK)
        say("%s: %s: %s", on, o->text, value);
    else
        say("%s: %s to %d: %s %s", on, o->text, o->value, set, value);
}

static void
try_all(const struct option *o, size_t n)
{
    int p[2], l = listening(), u = bound(SOCK_DGRAM);
    tcp_pair(p);
    int fresh = socket(AF_INET, SOCK_STREAM, 0);
    for (size_t i = 0; i < n; i++) {
        try_one("new", fresh, &o[i]);
        try_one("connected", p[0], &o[i]);
        try_one("listener", l, &o[i]);
        try_one("datagrams", u, &o[i]);
    }
}

static void
of_socket(void)
{
    static const struct option o[] = {
        O(SOL_SOCKET, SO_TYPE, ASK),      O(SOL_SOCKET, SO_DOMAIN, ASK),
        O(SOL_SOCKET, SO_PROTOCOL, ASK),  O(SOL_SOCKET, SO_ACCEPTCONN, ASK),
        O(SOL_SOCKET, SO_ERROR, ASK),     O(SOL_SOCKET, SO_TYPE, 1),
        O(SOL_SOCKET, SO_REUSEADDR, ASK), O(SOL_SOCKET, SO_REUSEADDR, 1),
        O(SOL_SOCKET, SO_REUSEPORT, ASK), O(SOL_SOCKET, SO_REUSEPORT, 1),
        O(SOL_SOCKET, SO_KEEPALIVE, ASK), O(SOL_SOCKET, SO_KEEPALIVE, 1),
        O(SOL_SOCKET, SO_OOBINLINE, ASK), O(SOL_SOCKET, SO_OOBINLINE, 1),
        O(SOL_SOCKET, SO_RCVLOWAT, ASK),  O(SOL_SOCKET, SO_SNDLOWAT, ASK),
        O(SOL_SOCKET, SO_PRIORITY, ASK),  O(SOL_SOCKET, SO_PRIORITY, 4),
        O(SOL_SOCKET, SO_BROADCAST, 1),   O(SOL_SOCKET, SO_DONTROUTE, ASK),
        O(SOL_SOCKET, SO_TIMESTAMP, ASK), O(SOL_SOCKET, 9999, 1),
    };
    try_all(o, sizeof o / sizeof *o);
}

static void
of_buffers(void)
{
    static const struct option o[] = {
        O(SOL_SOCKET, SO_RCVBUF, 20000), O(SOL_SOCKET, SO_SNDBUF, 20000),
        O(SOL_SOCKET, SO_RCVBUF, 1),     O(SOL_SOCKET, SO_SNDBUF, 1),
        O(SOL_SOCKET, SO_RCVBUF, -1),    O(SOL_SOCKET, SO_SNDBUF, -1),
    };
    try_all(o, sizeof o / sizeof *o);
}

static void
of_tcp(void)
{
    static const struct option o[] = {
        O(IPPROTO_TCP, TCP_NODELAY, ASK),
        O(IPPROTO_TCP, TCP_NODELAY, 1),
        O(IPPROTO_TCP, TCP_NODELAY, 0),
        O(IPPROTO_TCP, TCP_CORK, 1),
        O(IPPROTO_TCP, TCP_CORK, 0),
        O(IPPROTO_TCP, TCP_KEEPIDLE, ASK),
        O(IPPROTO_TCP, TCP_KEEPIDLE, 100),
        O(IPPROTO_TCP, TCP_KEEPIDLE, 0),
        O(IPPROTO_TCP, TCP_KEEPINTVL, 10),
        O(IPPROTO_TCP, TCP_KEEPCNT, 3),
        O(IPPROTO_TCP, TCP_KEEPCNT, 1000),
        O(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000),
        O(IPPROTO_TCP, TCP_DEFER_ACCEPT, ASK),
        O(IPPROTO_TCP, TCP_QUICKACK, 1),
        O(IPPROTO_TCP, TCP_SYNCNT, 3),
        O(IPPROTO_TCP, TCP_LINGER2, ASK),
        O(IPPROTO_TCP, TCP_NOTSENT_LOWAT, ASK),
        O(IPPROTO_TCP, TCP_FASTOPEN, ASK),
        O(IPPROTO_TCP, 9999, 1),
    };
    try_all(o, sizeof o / sizeof *o);
}

static void
of_ip(void)
{
    static const struct option o[] = {
        O(IPPROTO_IP, IP_TOS, ASK),
        O(IPPROTO_IP, IP_TOS, 16),
        O(IPPROTO_IP, IP_TTL, ASK),
        O(IPPROTO_IP, IP_TTL, 9),
        O(IPPROTO_IP, IP_TTL, 0),
        O(IPPROTO_IP, IP_TTL, 256),
        O(IPPROTO_IP, IP_PKTINFO, ASK),
        O(IPPROTO_IP, IP_PKTINFO, 1),
        O(IPPROTO_IP, IP_RECVTOS, 1),
        O(IPPROTO_IP, IP_RECVTTL, 1),
        O(IPPROTO_IP, IP_MTU_DISCOVER, ASK),
        O(IPPROTO_IP, IP_RECVERR, ASK),
        O(IPPROTO_IP, IP_FREEBIND, ASK),
    };
    try_all(o, sizeof o / sizeof *o);
}

static void
of_groups(void)
{
    static const struct option o[] = {
        O(IPPROTO_IP, IP_MULTICAST_TTL, ASK),  O(IPPROTO_IP, IP_MULTICAST_TTL, 0),
        O(IPPROTO_IP, IP_MULTICAST_TTL, 7),    O(IPPROTO_IP, IP_MULTICAST_TTL, 256),
        O(IPPROTO_IP, IP_MULTICAST_TTL, -2),   O(IPPROTO_IP, IP_MULTICAST_TTL, -1),
        O(IPPROTO_IP, IP_MULTICAST_LOOP, ASK), O(IPPROTO_IP, IP_MULTICAST_LOOP, 0),
        O(IPPROTO_IP, IP_MULTICAST_LOOP, 9),   O(IPPROTO_IP, IP_MULTICAST_IF, ASK),
        O(IPPROTO_IP, IP_MULTICAST_IF, 0),     O(IPPROTO_IP, IP_MULTICAST_IF, 0x01020304),
    };
    struct ip_mreqn by = {.imr_address = suite_host};
    struct in_addr got = {0};
    char byte = 9;
    socklen_t len = sizeof got;
    int u = socket(AF_INET, SOCK_DGRAM, 0);
    try_all(o, sizeof o / sizeof *o);
    said("an address", setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &suite_host, sizeof got));
    said("the interface", getsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &got, &len));
    say("is HOST's: %d, length %u", got.s_addr == suite_host.s_addr, len);
    said("half of one", setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &suite_host, 2));
    said("none", setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &(struct in_addr){0}, sizeof got));
    said("ip_mreq", setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(struct ip_mreq)));
    said("ip_mreqn", setsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by));
    said("the interface", getsockopt(u, IPPROTO_IP, IP_MULTICAST_IF, &got, &len));
    say("is HOST's: %d", got.s_addr == suite_host.s_addr);
    said("a byte", setsockopt(u, IPPROTO_IP, IP_MULTICAST_TTL, &byte, 1));
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    to.sin_addr.s_addr = htonl(0xef010203);
    said("to a group", sendto(u, "x", 1, 0, (void *)&to, sizeof to));
    said("connect to it", connect(u, (void *)&to, sizeof to));
    said("send", send(u, "x", 1, 0));
}

static void
of_odd_lengths(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    long room = 0x5a5a5a5a5a5a5a5a;
    socklen_t len = 2;
    said("length 2", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, 2));
    said("length 1 of TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, 1));
    said("length 1 of IP_TOS", setsockopt(fd, IPPROTO_IP, IP_TOS, &on, 1));
    said("length 0", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, 0));
    said("get with length 2", getsockopt(fd, SOL_SOCKET, SO_TYPE, &room, &len));
    say("%#lx, length %u", (unsigned long)room, len);
    len = 100;
    said("get with length 100", getsockopt(fd, SOL_SOCKET, SO_TYPE, &room, &len));
    say("length %u", len);
    len = (socklen_t)-1;
    said("get with length -1", getsockopt(fd, SOL_SOCKET, SO_TYPE, &room, &len));
    struct linger g = {.l_onoff = 1, .l_linger = 7}, h = {0};
    said("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &g, sizeof g));
    len = sizeof h;
    said("asked", getsockopt(fd, SOL_SOCKET, SO_LINGER, &h, &len));
    say("%d %d", h.l_onoff, h.l_linger);
    said("SO_LINGER of half the length", setsockopt(fd, SOL_SOCKET, SO_LINGER, &g, 4));
    struct timeval t = {.tv_sec = 3};
    said("SO_SNDTIMEO", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
    t.tv_sec = 0;
    len = sizeof t;
    said("asked", getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, &len));
    say("%ld", (long)t.tv_sec);
    said("no such level", setsockopt(fd, 4242, 1, &on, sizeof on));
    said("of a file", setsockopt(0, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
    said("of nothing", setsockopt(999, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
}

static void
of_info(void)
{
    struct tcp_info i;
    int p[2];
    tcp_pair(p);
    memset(&i, 0, sizeof i);
    socklen_t len = sizeof i;
    said("TCP_INFO", getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &i, &len));
    say("established %d, a window %d, a segment size %d", i.tcpi_state == TCP_ESTABLISHED,
        i.tcpi_snd_cwnd > 0, i.tcpi_snd_mss > 0);
    len = 1;
    said("one byte of it", getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &i, &len));
    say("length %u", len);
    len = sizeof i;
    said("of a listener", getsockopt(listening(), IPPROTO_TCP, TCP_INFO, &i, &len));
    say("listens %d", i.tcpi_state == TCP_LISTEN);
    int mss = 0;
    len = sizeof mss;
    said("TCP_MAXSEG", getsockopt(p[0], IPPROTO_TCP, TCP_MAXSEG, &mss, &len));
    say("a size %d", mss > 500);
    char name[16] = "";
    len = sizeof name;
    said("TCP_CONGESTION", getsockopt(p[0], IPPROTO_TCP, TCP_CONGESTION, name, &len));
    said("to none", setsockopt(p[0], IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
    said("to reno", setsockopt(p[0], IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    len = sizeof name;
    getsockopt(p[0], IPPROTO_TCP, TCP_CONGESTION, name, &len);
    say("%s", name);
    say("what an accepted one inherits:");
    int l = listening(), on = 1, got = 0;
    setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connected_to(l);
    int s = accept(l, NULL, NULL);
    len = sizeof got;
    getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &got, &len);
    say("SO_KEEPALIVE %d", got);
    getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &got, &len);
    say("TCP_NODELAY %d", got);
}

int
main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {"socket", of_socket}, {"buffers", of_buffers}, {"tcp", of_tcp},
        {"ip", of_ip},         {"groups", of_groups},   {"odd-lengths", of_odd_lengths},
        {"info", of_info},
    };
    return suite_main(argc, argv, CASES(cases));
}
