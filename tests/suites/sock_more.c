/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sock_more.c: datagrams and what is said with them, sockets of IPv6 that carry IPv4, questions
 * about the interface, files sent, and sockets that stay with the kernel beside those of the
 * stack. Protects: the less usual calls are there, and do the same.
 */
#include "suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void
datagrams(void)
{
    static char big[70000];
    char b[64] = "";
    int u = bound(SOCK_DGRAM), v = bound(SOCK_DGRAM), n;
    struct sockaddr_in a = host_addr(port_of(u)), from;
    socklen_t len = sizeof from;
    said("sendto", sendto(v, "hello", 5, 0, (void *)&a, sizeof a));
    said("and nothing", sendto(v, "", 0, 0, (void *)&a, sizeof a));
    said("and more", sendto(v, "0123456789", 10, 0, (void *)&a, sizeof a));
    pause_ms(100);
    said("FIONREAD", ioctl(u, FIONREAD, &n));
    say("%d bytes", n);
    said("recvfrom", recvfrom(u, b, sizeof b, 0, (void *)&from, &len));
    say("%.5s, name length %u, from HOST %d, its port %d", b, len,
        from.sin_addr.s_addr == suite_host.s_addr, from.sin_port == port_of(v));
    said("a datagram of nothing", recv(u, b, sizeof b, 0));
    said("MSG_PEEK|MSG_TRUNC", recv(u, b, 4, MSG_PEEK | MSG_TRUNC));
    struct iovec w = {b, 4};
    struct msghdr m = {.msg_iov = &w, .msg_iovlen = 1};
    said("recvmsg with little room", recvmsg(u, &m, 0));
    say("cut %d", (m.msg_flags & MSG_TRUNC) != 0);
    said("the rest is gone", recv(u, b, sizeof b, MSG_DONTWAIT));
    said("send without an address", send(v, "x", 1, 0));
    said("too long", sendto(v, big, sizeof big, 0, (void *)&a, sizeof a));
    said("65507 bytes", sendto(v, big, 65507, 0, (void *)&a, sizeof a));
    await(u, POLLIN);
    said("arrive", recv(u, big, sizeof big, 0));
    said("broadcast without leave",
         sendto(v, "x", 1, 0,
                (void *)&(struct sockaddr_in){
                    .sin_family = AF_INET, .sin_port = 9, .sin_addr = {INADDR_BROADCAST}},
                sizeof a));
    a.sin_port = 0;
    said("to port 0", sendto(v, "x", 1, 0, (void *)&a, sizeof a));
    said("shutdown, not connected", shutdown(v, SHUT_WR));
}

static void
datagrams_connected(void)
{
    int p[2], stranger = bound(SOCK_DGRAM);
    udp_pair(p);
    struct sockaddr_in a = host_addr(port_of(p[1]));
    said("a stranger sends", sendto(stranger, "no", 2, 0, (void *)&a, sizeof a));
    say_read("it does not arrive", p[1]);
    send_text(p[0], "yes");
    say_read("from the peer", p[1]);
    struct sockaddr_in none = {.sin_family = AF_UNSPEC};
    said("connect to AF_UNSPEC", connect(p[1], (void *)&none, sizeof none));
    said("getpeername", getpeername(p[1], (void *)&none, &(socklen_t){sizeof none}));
    a = host_addr(port_of(p[1]));
    said("the stranger again", sendto(stranger, "hello", 5, 0, (void *)&a, sizeof a));
    say_read("now it does", p[1]);
    said("write to where nobody is connected", write(p[1], "x", 1));
    close(p[1]);
    said("send to a closed port", send(p[0], "x", 1, 0));
    await(p[0], POLLERR);
    said("the next call", send(p[0], "x", 1, 0));
    pause_ms(100);
    said("SO_ERROR's turn", recv(p[0], &a, 1, MSG_DONTWAIT));
    said("shutdown", shutdown(p[0], SHUT_RD));
    said("recv after it", recv(p[0], &a, 1, 0));
}

static int
arrived(int fd)
{
    int n = 0;
    char c;
    while (recv(fd, &c, 1, MSG_DONTWAIT) == 1)
        n++;
    return n;
}

/* Each datagram goes to whom it was sent to, whatever the socket is told right behind it. */
static void
datagrams_reconnected(void)
{
    struct sockaddr_in none = {.sin_family = AF_UNSPEC}, to[2];
    int p[2], u = socket(AF_INET, SOCK_DGRAM, 0), wrong = 0;
    for (int i = 0; i < 2; i++)
        to[i] = host_addr(port_of(p[i] = bound(SOCK_DGRAM)));
    for (int i = 0; i < 100; i++)
        if (connect(u, (void *)&to[i % 2], sizeof *to) != 0 || send(u, "x", 1, 0) != 1)
            wrong++;
    pause_ms(100);
    say("one after the other: %d and %d, %d wrong", arrived(p[0]), arrived(p[1]), wrong);
    for (int i = 0; i < 50; i++)
        if (connect(u, (void *)&to[0], sizeof *to) != 0 || send(u, "x", 1, 0) != 1 ||
            connect(u, (void *)&none, sizeof none) != 0 ||
            sendto(u, "x", 1, 0, (void *)&to[1], sizeof *to) != 1)
            wrong++;
    pause_ms(100);
    say("and none: %d and %d, %d wrong", arrived(p[0]), arrived(p[1]), wrong);
}

/* What is wrong with a datagram is said by the call that sends it, and not by a later one. */
static void
datagrams_refused(void)
{
    char b[2000] = "";
    int u = bound(SOCK_DGRAM), on = 1, strict = IP_PMTUDISC_DO;
    struct sockaddr_in good = host_addr(port_of(u)), all = good, far = good, near = good;
    all.sin_addr.s_addr |= htonl(255);
    near.sin_addr.s_addr ^= htonl(99);
    inet_pton(AF_INET, "198.18.0.1", &far.sin_addr);
    struct sockaddr_in *to[] = {&all, &good, &all, &all, &good, &far, &good, &far, &far};
    for (size_t i = 0; i < sizeof to / sizeof to[0]; i++)
        said("sendto", sendto(u, "x", 1, 0, (void *)to[i], sizeof good));
    all.sin_addr.s_addr = INADDR_BROADCAST;
    said("to everybody", sendto(u, "x", 1, 0, (void *)&all, sizeof good));
    pause_ms(100);
    said("the good ones came", recv(u, b, 1, MSG_DONTWAIT));
    said("SO_BROADCAST", setsockopt(u, SOL_SOCKET, SO_BROADCAST, &on, sizeof on));
    all.sin_addr.s_addr = good.sin_addr.s_addr | htonl(255);
    said("with leave", sendto(u, "x", 1, 0, (void *)&all, sizeof good));
    said("in pieces", sendto(u, b, sizeof b, 0, (void *)&near, sizeof near));
    said("IP_MTU_DISCOVER", setsockopt(u, IPPROTO_IP, IP_MTU_DISCOVER, &strict, sizeof strict));
    said("in one", sendto(u, b, sizeof b, 0, (void *)&near, sizeof near));
    said("1472 bytes", sendto(u, b, 1472, 0, (void *)&near, sizeof near));
    said("1473 bytes", sendto(u, b, 1473, 0, (void *)&near, sizeof near));
    said("in one, to HOST", sendto(u, b, sizeof b, 0, (void *)&good, sizeof good));
    if (ntohl(near.sin_addr.s_addr) >> 24 ==
        127) /* where no one is, and that is known at once */
        return;
    said("connect", connect(u, (void *)&near, sizeof near));
    said("1473 bytes", send(u, b, 1473, 0));
    said("1472 bytes", send(u, b, 1472, 0));
}

static void
many_at_once(void)
{
    int p[2];
    char b[8][16];
    struct iovec v[8];
    struct mmsghdr m[8];
    udp_pair(p);
    memset(m, 0, sizeof m);
    for (int i = 0; i < 8; i++) {
        snprintf(b[i], sizeof b[i], "number %d", i);
        v[i] = (struct iovec){b[i], strlen(b[i])};
        m[i].msg_hdr.msg_iov = &v[i];
        m[i].msg_hdr.msg_iovlen = 1;
    }
    said("sendmmsg", sendmmsg(p[0], m, 5, 0));
    say("lengths %u %u", m[0].msg_len, m[4].msg_len);
    pause_ms(100);
    memset(b, 0, sizeof b);
    for (int i = 0; i < 8; i++)
        v[i].iov_len = sizeof b[i];
    said("recvmmsg, room for 2", recvmmsg(p[1], m, 2, 0, NULL));
    say("%s, %s", b[0], b[1]);
    said("recvmmsg, room for 8", recvmmsg(p[1], m, 8, MSG_WAITFORONE, NULL));
    say("%s, %s, lengths %u %u", b[0], b[2], m[0].msg_len, m[2].msg_len);
    said("recvmmsg, nothing there", recvmmsg(p[1], m, 8, MSG_DONTWAIT, NULL));
}

static void
say_control(const char *what, int fd)
{
    union {
        char room[512];
        struct cmsghdr align;
    } c;
    char b[64];
    struct iovec v = {b, sizeof b};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    said(what, recvmsg(fd, &m, 0));
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h != NULL; h = CMSG_NXTHDR(&m, h)) {
        struct in_pktinfo info;
        say("level %d, type %d, length %zu", h->cmsg_level, h->cmsg_type, h->cmsg_len);
        if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
            memcpy(&info, CMSG_DATA(h), sizeof info);
            say("packet info: to HOST %d", info.ipi_addr.s_addr == suite_host.s_addr);
        }
        if (h->cmsg_level == IPPROTO_IP && (h->cmsg_type == IP_TOS || h->cmsg_type == IP_TTL))
            say("value %d", *CMSG_DATA(h));
    }
    say("flags %#x", (unsigned)m.msg_flags);
}

static void
control(void)
{
    int p[2], on = 1, tos = 0x28;
    udp_pair(p);
    said("IP_PKTINFO", setsockopt(p[1], IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
    send_text(p[0], "one");
    say_control("recvmsg", p[1]);
    said("SO_TIMESTAMP", setsockopt(p[1], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
    said("IP_RECVTOS", setsockopt(p[1], IPPROTO_IP, IP_RECVTOS, &on, sizeof on));
    said("IP_RECVTTL", setsockopt(p[1], IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
    said("IP_TOS", setsockopt(p[0], IPPROTO_IP, IP_TOS, &tos, sizeof tos));
    send_text(p[0], "two");
    say_control("recvmsg", p[1]);
    char b[8], little[CMSG_SPACE(sizeof(struct timeval))];
    struct iovec v = {b, sizeof b};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = little,
                       .msg_controllen = CMSG_SPACE(sizeof(struct timeval))};
    send_text(p[0], "three");
    said("with room for one", recvmsg(p[1], &m, 0));
    say("cut %d", (m.msg_flags & MSG_CTRUNC) != 0);
}

static void
mapped(void)
{
    int l = socket(AF_INET6, SOCK_STREAM, 0), off = 0;
    char text[64];
    struct sockaddr_in6 any = {.sin6_family = AF_INET6}, peer;
    socklen_t len = sizeof peer;
    said("IPV6_V6ONLY off", setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off));
    said("bind to ::", bind(l, (void *)&any, sizeof any));
    said("listen", listen(l, 4));
    said("getsockname", getsockname(l, (void *)&any, &len));
    say("family %d, length %u, ::: %d", any.sin6_family == AF_INET6, len,
        IN6_IS_ADDR_UNSPECIFIED(&any.sin6_addr));
    struct sockaddr_in a = host_addr(any.sin6_port);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    said("connect by IPv4", connect(c, (void *)&a, sizeof a));
    int s = accept(l, (void *)&peer, &len);
    inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text);
    say("family %d, mapped %d, its port %d", peer.sin6_family == AF_INET6,
        strncmp(text, "::ffff:", 7) == 0, peer.sin6_port == port_of(c));
    send_text(c, "over IPv4");
    say_read("arrives", s);
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = any.sin6_port};
    to.sin6_addr.s6_addr[10] = to.sin6_addr.s6_addr[11] = 0xff;
    memcpy(to.sin6_addr.s6_addr + 12, &suite_host, 4);
    int six = socket(AF_INET6, SOCK_STREAM, 0);
    said("connect to a mapped address", connect(six, (void *)&to, sizeof to));
    len = sizeof peer;
    said("getpeername", getpeername(six, (void *)&peer, &len));
    say("length %u, mapped %d", len, IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
    len = sizeof peer;
    said("getsockname", getsockname(six, (void *)&peer, &len));
    say("length %u, mapped %d", len, IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
    int t = accept(l, NULL, NULL);
    send_text(six, "mapped");
    say_read("arrives", t);
    int u6 = socket(AF_INET6, SOCK_DGRAM, 0), u4 = bound(SOCK_DGRAM);
    to.sin6_port = port_of(u4);
    said("sendto a mapped address", sendto(u6, "datagram", 8, 0, (void *)&to, sizeof to));
    say_read("arrives", u4);
}

static void
interface(void)
{
    struct ifreq q[16], one;
    struct ifconf c = {.ifc_len = sizeof q, .ifc_req = q};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), found = -1;
    said("SIOCGIFCONF", ioctl(fd, SIOCGIFCONF, &c));
    for (int i = 0; i < c.ifc_len / (int)sizeof *q; i++)
        if (((struct sockaddr_in *)(void *)&q[i].ifr_addr)->sin_addr.s_addr ==
            suite_host.s_addr)
            found = i;
    say("an interface has the address: %d", found >= 0);
    if (found < 0)
        return;
    one = q[found];
    said("SIOCGIFADDR", ioctl(fd, SIOCGIFADDR, &one));
    said("SIOCGIFMTU", ioctl(fd, SIOCGIFMTU, &one));
    said("SIOCGIFFLAGS", ioctl(fd, SIOCGIFFLAGS, &one));
    say("up %d", (one.ifr_flags & IFF_UP) != 0);
    said("SIOCGIFNETMASK", ioctl(fd, SIOCGIFNETMASK, &one));
}

static void
addresses(void)
{
    struct ifaddrs *all, *i;
    bool found = false;
    said("getifaddrs", getifaddrs(&all));
    for (i = all; i != NULL; i = i->ifa_next)
        if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET)
            found |= ((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr.s_addr ==
                     suite_host.s_addr;
    say("the address is among them: %d", found);
    freeifaddrs(all);
}

static void
beside(void) /* the kernel's own sockets in the same program */
{
    struct in_addr stack = suite_host;
    int p[2], sv[2];
    suite_host.s_addr = htonl(INADDR_LOOPBACK);
    tcp_pair(p);
    send_text(p[0], "over loopback");
    say_read("arrives", p[1]);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, got = 0;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    struct sockaddr_in a = host_addr(0);
    said("bind to loopback, after an option", bind(fd, (void *)&a, sizeof a));
    said("listen", listen(fd, 1));
    getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &got, &(socklen_t){sizeof got});
    say("the option stays %d, flags %#x, descriptor flags %d", got,
        (unsigned)fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
    suite_host = stack;
    said("socketpair", socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    send_text(sv[0], "over a pair");
    say_read("arrives", sv[1]);
    tcp_pair(p);
    struct pollfd w[] = {{.fd = p[0], .events = POLLIN}, {.fd = sv[0], .events = POLLIN}};
    said("poll of both kinds", poll(w, 2, 0));
    send_text(p[1], "x");
    await(p[0], POLLIN);
    send_text(sv[1], "x");
    said("poll of both kinds", poll(w, 2, 0));
    struct addrinfo *r, hint = {.ai_family = AF_INET, .ai_flags = AI_NUMERICHOST};
    said("getaddrinfo", getaddrinfo("192.0.2.7", "80", &hint, &r));
    said("no such name", getaddrinfo("no.such.name.invalid", "80", NULL, &r) != 0);
}

static void
from_files(void)
{
    FILE *f = tmpfile();
    if (f == NULL)
        give_up("tmpfile");
    fputs("0123456789", f);
    fflush(f);
    off_t at = 4;
    int p[2];
    tcp_pair(p);
    said("sendfile from 4", sendfile(p[0], fileno(f), &at, 3));
    say("offset %ld", (long)at);
    say_read("arrives", p[1]);
    lseek(fileno(f), 8, SEEK_SET);
    said("sendfile from where the file is", sendfile(p[0], fileno(f), NULL, 100));
    say_read("arrives", p[1]);
    said("at its end", sendfile(p[0], fileno(f), NULL, 100));
    said("sendfile from a socket", sendfile(fileno(f), p[1], NULL, 1));
    int way[2];
    if (pipe(way) != 0 || write(way[1], "piped", 5) != 5)
        give_up("pipe");
    said("splice into a socket", splice(way[0], NULL, p[0], NULL, 5, 0));
    say_read("arrives", p[1]);
    send_text(p[0], "out");
    await(p[1], POLLIN);
    said("splice out of a socket", splice(p[1], NULL, way[1], NULL, 64, SPLICE_F_NONBLOCK));
    char b[8] = "";
    set_nonblocking(way[0]);
    said("read from the pipe", read(way[0], b, sizeof b));
    say("%.3s", b);
}

static void
bad_addresses(void)
{
    static struct iovec many[1025];
    int p[2];
    tcp_pair(p);
    said("readv, too many", readv(p[1], many, 1025));
    said("send from a bad address", send(p[0], (void *)8, 5, 0));
    send_text(p[0], "bytes");
    await(p[1], POLLIN);
    said("recv to a bad address", recv(p[1], (void *)8, 5, 0));
    said("getsockname to a bad address", getsockname(p[0], (void *)8, &(socklen_t){16}));
    said("bind to a bad address", bind(p[0], (void *)8, 16));
}

/* ---- loopback ---- */

static void
say_names(const char *what, int fd)
{
    struct sockaddr_in own, peer;
    socklen_t a = sizeof own, b = sizeof peer;
    char text[2][INET_ADDRSTRLEN] = {"none", "none"};
    if (getsockname(fd, (void *)&own, &a) == 0)
        inet_ntop(AF_INET, &own.sin_addr, text[0], sizeof text[0]);
    if (getpeername(fd, (void *)&peer, &b) == 0)
        inet_ntop(AF_INET, &peer.sin_addr, text[1], sizeof text[1]);
    say("%s: at %s, its peer at %s", what, text[0], text[1]);
}

static struct sockaddr_in
at(const char *text, in_port_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port};
    inet_pton(AF_INET, text, &a.sin_addr);
    return a;
}

static const char *const loopback[] = {"127.0.0.1", "127.0.0.5", "0.0.0.0"};

static void
one_stream(const char *to, int l)
{
    struct sockaddr_in a = at(to, port_of(l));
    int s = socket(AF_INET, SOCK_STREAM, 0), c;
    say("to %s", to);
    if (said("connect", connect(s, (void *)&a, sizeof a)) != 0)
        return;
    c = accept(l, NULL, NULL);
    say_names("who connected", s);
    say_names("whom it was accepted as", c);
    send_text(s, "there");
    say_read("arrives", c);
    send_text(c, "and back");
    say_read("arrives", s);
    close(s);
    say_read("then", c);
    close(c);
}

/* A program listens on all addresses and finds itself over loopback: also its child does, and
 * nobody when it listens no more. */
static void
to_itself(void)
{
    struct sockaddr_in any = at("0.0.0.0", 0);
    int l = socket(AF_INET, SOCK_STREAM, 0), six = socket(AF_INET6, SOCK_STREAM, 0);
    bind(l, (void *)&any, sizeof any);
    said("listen", listen(l, 5));
    for (unsigned i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
        one_stream(loopback[i], l);
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = port_of(l)};
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
    said("connect to the mapped address", connect(six, (void *)&mapped, sizeof mapped));
    close(six);
    close(accept(l, NULL, NULL));
    pid_t child = fork();
    if (child == 0) {
        one_stream("127.0.0.1", l);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    struct sockaddr_in a = at("127.0.0.1", port_of(l));
    close(l);
    pause_ms(100);
    l = socket(AF_INET, SOCK_STREAM, 0);
    said("when it listens no more", connect(l, (void *)&a, sizeof a));
}

static void
datagrams_to_itself(void)
{
    struct sockaddr_in any = at("0.0.0.0", 0), from;
    int u = socket(AF_INET, SOCK_DGRAM, 0);
    char b[16], text[INET_ADDRSTRLEN];
    bind(u, (void *)&any, sizeof any);
    for (unsigned i = 0; i < sizeof loopback / sizeof loopback[0]; i++) {
        struct sockaddr_in a = at(loopback[i], port_of(u));
        socklen_t len = sizeof from;
        int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
        say("to %s", loopback[i]);
        said("sendto", sendto(s, "hello", 5, 0, (void *)&a, sizeof a));
        await(u, POLLIN);
        said("recvfrom", recvfrom(u, b, sizeof b, 0, (void *)&from, &len));
        say("from %s", inet_ntop(AF_INET, &from.sin_addr, text, sizeof text));
        said("answer", sendto(u, "back", 4, 0, (void *)&from, sizeof from));
        await(s, POLLIN);
        said("recv", recv(s, b, sizeof b, 0));
        said("connect", connect(c, (void *)&a, sizeof a));
        say_names("who connected", c);
        send_text(c, "again");
        say_read("arrives", u);
        close(s);
        close(c);
    }
}

/* What is bound to loopback, or connected over it, does not leave the host. */
static void
loopback_only(int type)
{
    struct sockaddr_in lo = at("127.0.0.5", 0), away = at("192.0.2.1", htons(9));
    int s = socket(AF_INET, type, 0), l = socket(AF_INET, type, 0);
    said("bind to 127.0.0.5", bind(l, (void *)&lo, sizeof lo));
    say_names("it is", l);
    if (type == SOCK_STREAM)
        said("listen", listen(l, 5));
    struct sockaddr_in other = at("127.0.0.1", port_of(l)), own = at("127.0.0.5", port_of(l));
    if (type == SOCK_STREAM) {
        said("connect to another address", connect(s, (void *)&other, sizeof other));
        close(s);
        s = socket(AF_INET, type, 0);
    } else {
        said("sendto another address", sendto(s, "lost", 4, 0, (void *)&other, sizeof other));
        said("nothing comes", recv(l, (char[4]){0}, 4, MSG_DONTWAIT));
    }
    said("connect to it", connect(s, (void *)&own, sizeof own));
    say_names("who connected", s);
    close(s);
    s = socket(AF_INET, type, 0);
    said("bind to 127.0.0.5", bind(s, (void *)&lo, sizeof lo));
    said("connect to the network's", connect(s, (void *)&away, sizeof away) < 0 &&
                                         (errno == EINVAL || errno == ENETUNREACH));
    own.sin_port = port_of(l);
    said("connect to itself", connect(s, (void *)&own, sizeof own));
    say_names("who connected", s);
}

static void
only_loopback(void)
{
    loopback_only(SOCK_STREAM);
    loopback_only(SOCK_DGRAM);
}

/* ---- a port again ---- */

static int
bind_again(int type, in_port_t port, bool listens)
{
    struct sockaddr_in a = host_addr(port);
    int fd = socket(AF_INET, type, 0);
    int r = bind(fd, (struct sockaddr *)(void *)&a, sizeof a);
    if (r == 0 && listens)
        r = listen(fd, 1);
    if (r != 0)
        say("bind to what was closed: %s", strerror(errno));
    close(fd);
    return r;
}

/* Who has closed the only descriptor of a socket finds its port free, at once; also if there
 * is much to do for whoever gives it away. */
static void
again(void)
{
    int pair[2];
    unsigned held = 0;
    tcp_pair(pair);
    for (unsigned i = 0; i < 100; i++) {
        int type = i % 2 ? SOCK_DGRAM : SOCK_STREAM;
        int fd = bound(type);
        in_port_t port = port_of(fd);
        if (i % 4 == 2)
            said("listen", listen(fd, 1));
        send_text(pair[i % 2], "traffic");
        close(fd);
        held += bind_again(type, port, i % 4 == 2) != 0;
    }
    say("ports that were still taken: %u", held);
}

/* One control message beside a byte. */
static void
beside_a_byte(const char *what, int fd, int level, int type, const void *value, size_t len)
{
    union {
        struct cmsghdr align;
        char room[128];
    } c = {0};
    struct iovec v = {.iov_base = (char[1]){'x'}, .iov_len = 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(len)};
    c.align =
        (struct cmsghdr){.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len)};
    memcpy(CMSG_DATA(&c.align), value, len);
    said(what, sendmsg(fd, &m, 0));
    c.align.cmsg_len = 1;
    said("too short", sendmsg(fd, &m, 0));
    c.align.cmsg_len = sizeof c;
    said("too long", sendmsg(fd, &m, 0));
}

static void
said_beside(void)
{
    struct in_pktinfo any = {0}, far = {.ipi_ifindex = 7777};
    struct in6_pktinfo six = {0};
    struct sockaddr_in6 to = {.sin6_family = AF_INET6};
    int p[2], v6 = socket(AF_INET6, SOCK_DGRAM, 0), hears = bound(SOCK_DGRAM);
    for (int k = 0; k < 2; k++) {
        say("%s", k == 0 ? "stream" : "datagrams");
        if (k == 0)
            tcp_pair(p);
        else
            udp_pair(p);
        beside_a_byte("of another level", p[0], 12345, 1, &any, 4);
        beside_a_byte("of IPv6", p[0], IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof six);
        beside_a_byte("of TCP", p[0], IPPROTO_TCP, 1, &any, 4);
        beside_a_byte("of UDP", p[0], IPPROTO_UDP, 1, &any, 4);
        beside_a_byte("SCM_RIGHTS", p[0], SOL_SOCKET, SCM_RIGHTS, p, sizeof *p);
        beside_a_byte("of sockets, unknown", p[0], SOL_SOCKET, 777, &any, 4);
        beside_a_byte("of IP, unknown", p[0], IPPROTO_IP, 777, &any, 4);
        beside_a_byte("IP_PKTINFO", p[0], IPPROTO_IP, IP_PKTINFO, &any, sizeof any);
        beside_a_byte("cut", p[0], IPPROTO_IP, IP_PKTINFO, &any, sizeof any - 1);
        beside_a_byte("no such interface", p[0], IPPROTO_IP, IP_PKTINFO, &far, sizeof far);
    }
    memset(&to.sin6_addr.s6_addr[10], 0xff, 2);
    memcpy(&to.sin6_addr.s6_addr[12], &suite_host, 4);
    to.sin6_port = port_of(hears);
    said("mapped", connect(v6, (struct sockaddr *)&to, sizeof to));
    beside_a_byte("any", v6, IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof six);
    six.ipi6_addr = to.sin6_addr;
    beside_a_byte("own", v6, IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof six);
    beside_a_byte("class", v6, IPPROTO_IPV6, IPV6_TCLASS, &any, 4);
}

/* What is told apart by a number that is out of range. */
static void
ranges(void)
{
    struct iovec v = {.iov_base = (char[4]){0}, .iov_len = 4};
    int p[2], s = socket(AF_INET6, SOCK_STREAM, 0), on = 1, got = -1;
    socklen_t n = sizeof got;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    tcp_pair(p);
    said("preadv2, unknown flags", preadv2(p[0], &v, 1, -1, 0x4000));
    said("pwritev2, unknown flags", pwritev2(p[0], &v, 1, -1, 0x4000));
    said("pwritev2, flags for files", pwritev2(p[0], &v, 1, -1, RWF_SYNC | RWF_HIPRI));
    said("protocol 263", socket(AF_INET, SOCK_STREAM, 263));
    said("protocol -1", socket(AF_INET, SOCK_DGRAM, -1));
    said("protocol -1 of IPv6", socket(AF_INET6, SOCK_DGRAM, -1));
    said("class 256", setsockopt(s, IPPROTO_IPV6, IPV6_TCLASS, &(int){256}, sizeof(int)));
    said("class -2", setsockopt(s, IPPROTO_IPV6, IPV6_TCLASS, &(int){-2}, sizeof(int)));
    said("class -1", setsockopt(s, IPPROTO_IPV6, IPV6_TCLASS, &(int){-1}, sizeof(int)));
    n = sizeof got;
    said("class", getsockopt(s, IPPROTO_IPV6, IPV6_TCLASS, &got, &n));
    say("%d", got);
    said("class 8", setsockopt(s, IPPROTO_IPV6, IPV6_TCLASS, &(int){8}, sizeof(int)));
    said("IPV6_V6ONLY off", setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int)));
    said("IPV6_V6ONLY nowhere", setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, NULL, 200));
    said("bind", bind(s, (struct sockaddr *)&any, sizeof any));
    said("IPV6_V6ONLY", setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
    said("of IPv4", getsockopt(p[0], IPPROTO_IPV6, IPV6_V6ONLY, &got, &n));
}

/* One datagram of several sends, and sends that make none. */
static void
pieces(void)
{
    static char big[40000];
    struct iovec none[2] = {{NULL, 0}, {big, 0}};
    int p[2], on = 1, off = 0, other = bound(SOCK_DGRAM), lone = bound(SOCK_DGRAM);
    struct sockaddr_in a = host_addr(port_of(other));
    udp_pair(p);
    said("writev of nothing", writev(p[0], none, 2));
    said("writev of no piece", writev(p[0], none, 0));
    pause_ms(50);
    said("nothing came", recv(p[1], big, sizeof big, MSG_DONTWAIT));
    said("a piece", send(p[0], "abc", 3, MSG_MORE));
    said("another", sendto(p[0], "def", 3, MSG_MORE, (struct sockaddr *)&a, sizeof a));
    pause_ms(50);
    said("nothing came", recv(p[1], big, sizeof big, MSG_DONTWAIT));
    said("the last", write(p[0], "gh", 2));
    say_read("all", p[1]);
    send_text(p[0], "next");
    say_read("alone", p[1]);
    said("to another", sendto(p[0], "ab", 2, MSG_MORE, (struct sockaddr *)&a, sizeof a));
    said("the last", send(p[0], "c", 1, 0));
    say_read("it came to", other);
    said("with no peer", send(lone, "a", 1, MSG_MORE));
    said("much", send(p[0], big, sizeof big, MSG_MORE));
    said("too much", send(p[0], big, sizeof big, MSG_MORE));
    said("after that", send(p[0], "new", 3, 0));
    say_read("it came to", p[1]);
    said("UDP_CORK", setsockopt(p[0], IPPROTO_UDP, UDP_CORK, &on, sizeof on));
    said("a piece", send(p[0], "12", 2, 0));
    said("a piece", send(p[0], "345", 3, 0));
    pause_ms(50);
    said("nothing came", recv(p[1], big, sizeof big, MSG_DONTWAIT));
    socklen_t n = sizeof off;
    said("asked", getsockopt(p[0], IPPROTO_UDP, UDP_CORK, &off, &n));
    say("%d", off);
    off = 0;
    said("uncorked", setsockopt(p[0], IPPROTO_UDP, UDP_CORK, &off, sizeof off));
    say_read("all", p[1]);
}

/* What is no file and no pipe, the wrong end of one, and places where there are none. */
static void
splicing(void)
{
    int t[2], u[2], w[2], file, dir = open("/", O_RDONLY), odd = open("/dev/null", O_WRONLY);
    off_t at = 0, before = -1;
    char b[32];
    FILE *f = tmpfile();
    if (f == NULL || fwrite("0123456789", 1, 10, f) != 10 || fflush(f) != 0 || pipe(w) != 0)
        give_up("a file");
    file = fileno(f);
    rewind(f);
    tcp_pair(t);
    udp_pair(u);
    said("sendfile from none", sendfile(t[0], -1, NULL, 5));
    said("of nothing", sendfile(t[0], -1, NULL, 0));
    said("from a directory", sendfile(t[0], dir, NULL, 5));
    said("from where is only written", sendfile(t[0], odd, NULL, 5));
    said("from a pipe", sendfile(t[0], w[0], NULL, 5));
    said("at a place", sendfile(t[0], w[0], &at, 5));
    said("from a session", sendfile(t[0], t[1], NULL, 5));
    said("at a place", sendfile(t[0], t[1], &at, 5));
    said("from a session to a file", sendfile(file, t[1], &at, 5));
    said("before the beginning", sendfile(t[0], file, &before, 5));
    said("of -1", sendfile(t[0], file, NULL, (size_t)-1));
    said("place nowhere", sendfile(t[0], file, (off_t *)(uintptr_t)64, 5));
    said("datagram", sendfile(u[0], file, NULL, 4));
    say_read("datagram", u[1]);
    said("datagram", sendfile(u[0], file, NULL, 400));
    say_read("datagram", u[1]);
    said("datagram at its end", sendfile(u[0], file, NULL, 400));
    at = 7;
    said("datagram", sendfile(u[0], file, &at, 2));
    say_read("datagram", u[1]);
    say("place %d", (int)at);
    send_text(t[1], "some");
    said("pipe", write(w[1], "text", 4));
    await(t[0], POLLIN);
    said("splice from none", splice(-1, NULL, t[0], NULL, 1, 0));
    said("to none", splice(t[0], NULL, -1, NULL, 1, 0));
    said("from the end for writing", splice(w[1], NULL, t[0], NULL, 1, 0));
    said("to the end for reading", splice(t[0], NULL, w[0], NULL, 1, 0));
    said("from a file", splice(file, NULL, t[0], NULL, 1, 0));
    said("to a session", splice(t[0], NULL, t[1], NULL, 1, 0));
    said("place in a session", splice(t[0], &at, w[1], NULL, 1, 0));
    said("place in a session", splice(w[0], NULL, t[0], &at, 1, 0));
    said("place in a pipe", splice(w[0], &at, t[0], NULL, 1, 0));
    said("place nowhere", splice(t[0], (off_t *)(uintptr_t)64, w[1], NULL, 1, 0));
    said("flags", splice(t[0], NULL, w[1], NULL, 1, 0x100));
    said("flags of nothing", splice(-1, NULL, t[0], NULL, 0, 0x100));
    said("of -1", splice(w[0], NULL, t[0], NULL, (size_t)-1, 0));
    said("in", splice(t[0], NULL, w[1], NULL, 2, 0));
    said("out", splice(w[0], NULL, t[0], NULL, 10, 0));
    await(t[1], POLLIN);
    said("read", read(t[1], b, sizeof b));
}

/* By libc's syscall: as libuv does with datagrams, and who had no such function in his libc. */
static void
by_number(void)
{
    struct sockaddr_in a = host_addr(0);
    socklen_t n = sizeof a;
    char b[16] = "", c[16] = "";
    struct iovec v = {b, sizeof b}, w = {c, 3};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &w, .msg_iovlen = 1}};
    int on = 1, pipes[2];
    long l = syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    said("setsockopt", syscall(SYS_setsockopt, l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    said("bind", syscall(SYS_bind, l, &a, n));
    said("listen", syscall(SYS_listen, l, 5));
    said("getsockname", syscall(SYS_getsockname, l, &a, &n));
    long t = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
    said("connect", syscall(SYS_connect, t, &a, sizeof a));
    long s = syscall(SYS_accept4, l, NULL, NULL, SOCK_CLOEXEC);
    said("FD_CLOEXEC", syscall(SYS_fcntl, s, F_GETFD));
    said("write", syscall(SYS_write, t, "abc", 3));
    struct pollfd f = {.fd = (int)s, .events = POLLIN};
    said("ppoll", syscall(SYS_ppoll, &f, 1, NULL, NULL, 8));
    said("read", syscall(SYS_read, s, b, sizeof b));
    said("writev", syscall(SYS_writev, s, &w, 1));
    long d = syscall(SYS_dup, t);
    said("close", syscall(SYS_close, t));
    await((int)d, POLLIN);
    said("readv of a copy", syscall(SYS_readv, d, &v, 1));
    said("getpeername", syscall(SYS_getpeername, d, &a, &n));
    said("shutdown", syscall(SYS_shutdown, d, SHUT_WR));
    await((int)s, POLLIN);
    said("recvfrom", syscall(SYS_recvfrom, s, b, sizeof b, 0, NULL, NULL));
    said("FIONREAD", syscall(SYS_ioctl, s, FIONREAD, &on));
    said("nowhere", syscall(SYS_read, s, (void *)(uintptr_t)64, 3));
    syscall(SYS_close_range, (unsigned)s, (unsigned)s, 0);
    said("closed", recv((int)s, b, sizeof b, 0));
    udp_pair(pipes);
    said("sendmmsg", syscall(SYS_sendmmsg, pipes[0], &m, 1, 0));
    await(pipes[1], POLLIN);
    w.iov_len = sizeof c;
    said("recvmmsg", syscall(SYS_recvmmsg, pipes[1], &m, 1, 0, NULL));
    say("bytes %u", m.msg_len);
    m.msg_hdr.msg_controllen = 0;
    said("sendmsg", syscall(SYS_sendmsg, pipes[0], &m.msg_hdr, MSG_NOSIGNAL));
    await(pipes[1], POLLIN);
    said("recvmsg", syscall(SYS_recvmsg, pipes[1], &m.msg_hdr, MSG_DONTWAIT));
    said("of the kernel", syscall(SYS_pipe2, pipes, O_NONBLOCK));
    said("read", syscall(SYS_read, pipes[0], b, 1));
    said("gettid", syscall(SYS_gettid) == getpid());
    said("no such call", syscall(100000));
}

int
main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {"datagrams", datagrams},
        {"datagrams-connected", datagrams_connected},
        {"datagrams-reconnected", datagrams_reconnected},
        {"datagrams-refused", datagrams_refused},
        {"mmsg", many_at_once},
        {"control", control},
        {"mapped", mapped},
        {"interface", interface},
        {"getifaddrs", addresses},
        {"beside", beside},
        {"sendfile", from_files},
        {"bad-addresses", bad_addresses},
        {"again", again},
        {"by-number", by_number},
        {"splice", splicing},
        {"to-itself", to_itself},
        {"datagrams-to-itself", datagrams_to_itself},
        {"only-loopback", only_loopback},
        {"pieces", pieces},
        {"ranges", ranges},
        {"said-beside", said_beside},
    };
    return suite_main(argc, argv, CASES(cases));
}
